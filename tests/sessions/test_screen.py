"""Degrees of visual angle: the numbers the paper and its notebooks print."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon.errors import MaskError
from napari_vidrecon.sessions.screen import ScreenGeometry

SCREEN = ScreenGeometry()
FULL = np.ones((36, 64))


def rows_of(count: int, first: int = 0) -> np.ndarray:
    mask = np.zeros((36, 64), dtype=bool)
    mask[first : first + count] = True
    return mask


def test_the_full_screen_covers_the_published_area_and_diameter() -> None:
    assert SCREEN.pixel_areas_deg2().sum() == pytest.approx(11575.7008, abs=1e-4)
    assert SCREEN.mask_diameter_deg(FULL) == pytest.approx(121.4028, abs=1e-4)


def test_pixels_shrink_in_angle_towards_the_corners() -> None:
    areas = SCREEN.pixel_areas_deg2()
    assert areas.shape == (36, 64)
    assert areas[17, 31] == pytest.approx(11.3448, abs=1e-4)
    assert areas[0, 0] == pytest.approx(1.2439, abs=1e-4)
    assert areas.max() == pytest.approx(areas[17:19, 31:33].max())


def test_areas_are_the_same_left_and_right_and_up_and_down() -> None:
    areas = SCREEN.pixel_areas_deg2()
    np.testing.assert_allclose(areas, areas[::-1, ::-1], rtol=1e-12)


def test_areas_of_an_odd_screen_are_symmetric_and_cover_the_pixel_in_the_middle() -> None:
    areas = ScreenGeometry(rows=3, cols=5).pixel_areas_deg2()
    np.testing.assert_allclose(areas, areas[::-1, ::-1], rtol=1e-12)
    assert areas.argmax() == 7


def test_the_whole_screen_is_as_high_and_wide_as_printed() -> None:
    height, width = SCREEN.size_deg()
    assert (int(height), int(width)) == (93, 124)
    assert SCREEN.extent_deg(FULL) == pytest.approx((height, width))


@pytest.mark.parametrize(("rows", "degrees"), [(29, 81.0), (19, 58.4)])
def test_height_of_a_mask_is_the_printed_one(rows: int, degrees: float) -> None:
    assert SCREEN.extent_deg(rows_of(rows))[0] == pytest.approx(degrees, abs=0.05)


@pytest.mark.parametrize("first", [0, 3, 36 - 12])
def test_a_mask_at_the_border_is_as_high_as_the_same_mask_inside(first: int) -> None:
    assert SCREEN.extent_deg(rows_of(12, first)) == SCREEN.extent_deg(rows_of(12, first=5))


def test_an_empty_mask_has_no_size() -> None:
    empty = np.zeros((36, 64), dtype=bool)
    assert SCREEN.extent_deg(empty) == (0.0, 0.0)
    assert SCREEN.mask_diameter_deg(empty) == 0.0


def test_masks_of_another_size_are_refused_with_both_sizes() -> None:
    with pytest.raises(MaskError, match=r"\(36, 64\).*\(64, 64\)"):
        SCREEN.mask_diameter_deg(np.ones((64, 64)))


@pytest.mark.parametrize(
    ("degrees", "pixels"),
    [(0, 0.0), (10, 2.996), (20, 6.184), (30, 9.810), (40, 14.257), (50, 20.249), (60, 29.430), (70, 46.683)],
)
def test_rings_of_eccentricity_have_the_published_radii(degrees: float, pixels: float) -> None:
    assert SCREEN.eccentricity_radius_px(degrees) == pytest.approx(pixels, abs=1e-3)


@pytest.mark.parametrize("degrees", [-1.0, 90.0, float("nan")])
def test_an_angle_that_never_meets_the_screen_is_refused(degrees: float) -> None:
    with pytest.raises(ValueError, match="eccentricity"):
        SCREEN.eccentricity_radius_px(degrees)


def test_one_pixel_straight_ahead_is_3_37_degrees_and_the_middle_lies_between_pixels() -> None:
    assert SCREEN.degrees_per_pixel == pytest.approx(3.368, abs=1e-3)
    assert SCREEN.centre == (17.5, 31.5)


def test_a_mask_reaches_as_far_as_its_farthest_pixel() -> None:
    mask = np.zeros((36, 64), dtype=bool)
    assert SCREEN.mask_eccentricity_deg(mask) == 0.0
    mask[17, 31] = mask[20, 40] = True
    away_cm = np.hypot(20 - 17.5, 40 - 31.5) * 56.5 / 64
    assert SCREEN.mask_eccentricity_deg(mask) == pytest.approx(np.degrees(np.arctan(away_cm / 15)))


def test_rings_and_pixels_agree_on_eccentricity() -> None:
    radius = SCREEN.eccentricity_radius_px(30.0)
    inside = SCREEN.eccentricities_deg() <= 30.0
    rows, columns = np.mgrid[:36, :64]
    assert np.array_equal(inside, np.hypot(rows - 17.5, columns - 31.5) <= radius)


def test_degrees_of_a_screen_of_two_colours_are_those_of_one() -> None:
    one, two = ScreenGeometry(rows=18, cols=16), ScreenGeometry(rows=36, cols=16, colours=("green", "uv"))
    mask = np.zeros((18, 16))
    mask[4:9, 3:7] = 1
    both = np.tile(mask, (2, 1))
    assert two.centre == one.centre
    assert two.extent_deg(both) == one.extent_deg(mask)
    assert two.mask_diameter_deg(both) == pytest.approx(one.mask_diameter_deg(mask))
    assert two.mask_eccentricity_deg(both) == one.mask_eccentricity_deg(mask)
    rows, _ = two.directions_onto(ScreenGeometry(rows=18, cols=8, colours=("green", "uv")))
    assert not rows[:9, 18:].any()
    with pytest.raises(ValueError, match="2 to 4 names of as many equal parts"):
        ScreenGeometry(rows=35, cols=16, colours=("green", "uv"))


def test_names_of_colours_are_such_as_can_be_shown():
    with pytest.raises(ValueError, match="names of as many equal parts"):
        ScreenGeometry(rows=36, cols=16, colours=("green\x1b[2J", "uv"))


STRETCHED = ScreenGeometry(width_cm=52.0, height_cm=32.5, distance_cm=15.0)
"""A movie of 36 x 64 pixels over all of a monitor of 16:10: its pixels are 1.11 times as high as wide."""


def test_pixels_that_are_stretched_fill_the_screen_they_are_shown_on():
    assert STRETCHED.pixel_height_over_width == pytest.approx(10 / 9)
    heights = STRETCHED.pixel_areas_deg2()[:, 32] / STRETCHED.pixel_areas_deg2()[0, 32]
    height, width = STRETCHED.size_deg()
    one = STRETCHED.pixel_areas_deg2().sum() / (height * width)
    assert one == pytest.approx(1.0)
    assert heights.argmax() in (17, 18)
    assert STRETCHED.extent_deg(np.ones((36, 64))) == pytest.approx((height, width))
    top = STRETCHED.eccentricities_deg()[0, 31:33].mean()
    assert top == pytest.approx(np.degrees(np.arctan((16.25 - 32.5 / 72) / 15)), abs=0.05)
    # To the side nothing changes.
    side = ScreenGeometry(width_cm=52.0, height_cm=29.25, distance_cm=15.0)
    assert STRETCHED.eccentricity_radius_px(30.0) == side.eccentricity_radius_px(30.0)
    assert STRETCHED.degrees_per_pixel == side.degrees_per_pixel


def test_the_size_of_a_usual_screen_leaves_its_pixels_square():
    assert SCREEN.pixel_height_over_width == 1.0
    assert SCREEN.pixel_height_cm == SCREEN.pixel_pitch_cm


def test_pictures_of_stretched_pixels_find_their_directions_on_square_ones():
    coarse = ScreenGeometry(rows=18, cols=64)
    down, across = coarse.directions_onto(SCREEN)
    np.testing.assert_allclose(across, np.eye(64))
    angle_of_row = (np.arange(18) - 8.5) * 2.0
    np.testing.assert_allclose((down @ angle_of_row)[1:-1], (np.arange(36) - 17.5)[1:-1], atol=0.02)
    assert down.sum(axis=1) == pytest.approx(1.0)
