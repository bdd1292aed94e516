"""Masks: reading, thresholds, sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.errors import MaskError
from napari_vidrecon.reconstruction.masks import AlphaMask, file_faults

COMPACT_CANVAS = Canvas(36, 64)


def test_the_published_square_mask_and_its_screen_part_select_the_same_pixels(golden):
    square = AlphaMask(golden["alpha_m1"])
    screen = AlphaMask(golden["alpha_m1"][14:50])
    for threshold in (0.5, 1.0):
        assert np.array_equal(square.binary(threshold), screen.binary(threshold))
        assert np.array_equal(square.on(COMPACT_CANVAS, threshold), screen.on(COMPACT_CANVAS, threshold))
        assert square.on(Canvas(), threshold)[14:50].tolist() == screen.on(Canvas(), threshold)[14:50].tolist()
    assert not screen.on(Canvas(), 0.0)[:14].any()


def test_a_threshold_belongs_to_the_mask():
    alpha = np.zeros((36, 64), np.float32)
    alpha[3, 4] = 0.5
    assert AlphaMask(alpha).binary(0.5).sum() == 1
    for canvas in (Canvas(), COMPACT_CANVAS):
        assert AlphaMask(np.pad(alpha, ((14, 14), (0, 0)))).on(canvas, 0.5).sum() == 1


def test_a_screen_has_from_one_row_to_4096_and_no_more():
    assert AlphaMask(np.ones((1, 4096))).screen_px == (1, 4096)
    assert AlphaMask(np.ones((4096, 1))).binary(1.0).all()
    for shape in ((4097, 1), (0, 4)):
        with pytest.raises(MaskError, match="of up to 4096 pixels"):
            AlphaMask(np.ones(shape))


def test_masks_are_told_apart_as_objects_and_can_be_keys():
    mask, same = AlphaMask(np.ones((2, 2))), AlphaMask(np.ones((2, 2)))
    assert mask != same
    assert {mask: 1}[mask] == 1


def test_a_screen_larger_than_the_mask_or_values_beyond_float32_are_refused():
    with pytest.raises(MaskError, match="expected 36x65 pixels, found 36x64"):
        AlphaMask(np.ones((36, 64)), "", (36, 65))
    with pytest.raises(MaskError, match="far too large"):
        AlphaMask(np.full((2, 2), 1e39))


def test_a_saved_mask_comes_back(tmp_path, disc_mask):
    disc_mask.save(tmp_path / "mask.npy")
    assert np.array_equal(AlphaMask.load(tmp_path / "mask.npy").alpha, disc_mask.alpha)


def test_a_mask_of_another_size_belongs_to_another_screen():
    of_canvas = AlphaMask(np.arange(128.0 * 128).reshape(128, 128)).for_screen(72, 128)
    assert np.array_equal(of_canvas.screen, of_canvas.alpha[28:100])
    square = AlphaMask(np.ones((64, 64)))
    assert square.screen.shape == (36, 64)
    assert square.for_screen(64, 64).screen.shape == (64, 64)
    with pytest.raises(MaskError, match="mask: expected 36x64 or 64x64 pixels, found 32x32"):
        AlphaMask(np.ones((32, 32))).for_screen(36, 64)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((32, 32, 1)), "expected rows x columns of the screen, of up to 4096 pixels, found 32x32x1"),
        (np.full((36, 64), np.nan), "found NaN or Inf"),
        (np.array([["a"] * 64] * 36), "expected numbers"),
    ],
)
def test_a_mask_that_cannot_be_one_is_refused_by_name(tmp_path, array, message):
    np.save(tmp_path / "mask.npy", array)
    with pytest.raises(MaskError, match=rf"mask\.npy: .*{message}"):
        AlphaMask.load(tmp_path / "mask.npy")


def test_an_empty_mask_says_what_its_largest_alpha_is(disc_mask):
    with pytest.raises(MaskError, match=r"no pixel reaches alpha 3; the largest is 1\.2"):
        disc_mask.on(COMPACT_CANVAS, 3.0)


def test_missing_and_pickled_masks_are_one_clear_error(tmp_path):
    with pytest.raises(MaskError, match="nothing there"):
        AlphaMask.load(tmp_path / "mask.npy")
    np.save(tmp_path / "mask.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(MaskError, match="could run code"):
        AlphaMask.load(tmp_path / "mask.npy")


def test_the_whole_screen_has_the_published_diameter():
    assert AlphaMask.full().diameter_deg(1.0) == pytest.approx(121.4028, abs=1e-3)


def test_a_mask_tells_its_size_in_degrees_in_all_three_ways():
    mask = np.zeros((36, 64), np.float32)
    mask[4:33, 20:39] = 1
    alpha = AlphaMask(mask)
    # 29 rows are 81.0 degrees high as the paper prints it.
    assert alpha.extent_deg(1.0)[0] == pytest.approx(81.0, abs=0.05)
    assert alpha.extent_deg(1.0)[1] == pytest.approx(2 * np.degrees(np.arctan2(19 / 64 * 56.5 / 2, 15)))
    assert alpha.eccentricity_deg(1.0) == pytest.approx(np.degrees(np.arctan(np.hypot(14.5, 11.5) * 56.5 / 64 / 15)))
    assert 0 < alpha.diameter_deg(1.0) < 81


def test_pixels_outside_are_exactly_grey(disc_mask):
    video = np.full((2, 36, 64), 200.0, np.float32)
    shown = disc_mask.transparent(video, 1.0)
    assert set(np.unique(shown[:, ~disc_mask.binary(1.0)])) == {127.5}
    assert set(np.unique(shown[:, disc_mask.binary(1.0)])) == {200.0}


@pytest.mark.parametrize(("kind", "yes"), [("u1", 255), ("u1", 1), ("i8", 255), ("?", 1)])
def test_a_mask_of_yes_and_no_may_be_saved_as_bytes(kind, yes, tmp_path):
    wanted = np.zeros((36, 64), bool)
    wanted[10:20, 30:40] = True
    np.save(tmp_path / "mask.npy", (wanted * yes).astype(kind))
    np.testing.assert_array_equal(AlphaMask.load(tmp_path / "mask.npy").alpha, wanted.astype(np.float32))


def test_a_mask_says_where_it_lies_from_wherever_it_was_opened(tmp_path, monkeypatch):
    np.save(tmp_path / "mask.npy", np.ones((36, 64), np.float32))
    monkeypatch.chdir(tmp_path)
    source = AlphaMask.load("mask.npy").source
    monkeypatch.chdir(tmp_path.parent)
    assert Path(source) == tmp_path / "mask.npy"
    np.testing.assert_array_equal(AlphaMask.load(source).alpha, 1.0)


@pytest.mark.parametrize(("lowest", "highest"), [(-100, 1), (0, 254), (0, 11)])
def test_an_array_of_other_numbers_is_no_mask(tmp_path: Path, lowest: int, highest: int) -> None:
    alpha = np.zeros((36, 64), np.float32)
    alpha[10:20, 10:20] = np.linspace(lowest, highest, 100).reshape(10, 10)
    np.save(tmp_path / "other.npy", alpha)
    with pytest.raises(MaskError, match=rf"other\.npy: expected alpha of .*found values from {lowest} to {highest};"):
        AlphaMask.load(tmp_path / "other.npy")


def test_the_faults_of_a_file_are_those_it_has_in_any_number_of_colours(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:36, :64]
    disc = 1.4 * (np.hypot(rows - 18, columns - 30) < 9)
    noise = 1.4 * (np.random.default_rng(0).random((36, 64)) < 0.3)
    told = []
    for name, alpha in {"one": disc, "two": np.concatenate([disc, disc]), "noise": noise, "empty": 0 * disc}.items():
        np.save(tmp_path / f"{name}.npy", alpha.astype(np.float32))
        told.append(" ".join(file_faults(tmp_path / f"{name}.npy")))
    assert told[:2] == ["", ""]
    assert "pieces" in told[2]
    assert told[3] == "no pixel reaches alpha 0.5, the largest is 0; fit it anew"
