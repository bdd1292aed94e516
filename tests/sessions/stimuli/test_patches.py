"""Patches on grey: what a clip shows, that a grid of them covers the screen once, and where a single one lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.sessions.screen import ScreenGeometry
from napari_vidrecon.sessions.session import open_session
from napari_vidrecon.sessions.stimuli.stimulus import GivenMovie, stimulus_trial
from napari_vidrecon.sessions.stimuli.synthetic import OFF_LEVEL, ON_LEVEL, OnOffPatches, SinglePatch


def test_a_published_clip_is_grey_but_for_one_pixel_in_its_middle_third() -> None:
    patches = OnOffPatches()
    assert (len(patches), patches.frames) == (36 * 64, 45)
    clip = patches.video(3 * 64 + 5, OFF_LEVEL)
    assert clip.shape == (45, 36, 64)
    changed = np.argwhere(clip != 127.5)
    assert {tuple(place) for place in changed[:, 1:]} == {(3, 5)}
    assert changed[:, 0].tolist() == list(range(15, 30))
    assert clip[20, 3, 5] == 0
    assert patches.video(0, ON_LEVEL)[15, 0, 0] == 255


@pytest.mark.parametrize("patch_px", [1, 2, 5])
def test_patches_cover_every_pixel_once(patch_px: int) -> None:
    patches = OnOffPatches(patch_px)
    covered = np.zeros((36, 64), int)
    for place in range(len(patches)):
        covered[patches.pixels(place)] += 1
    assert (covered == 1).all()


@pytest.mark.parametrize("patch_px", [1, 3, 4, 5])
def test_no_patch_lies_in_two_colours(patch_px: int) -> None:
    screen = ScreenGeometry(rows=36, cols=16, colours=("green", "uv"))
    patches = OnOffPatches(patch_px, screen=screen)
    covered, numbered = np.zeros((36, 16), int), np.zeros((36, 16), int)
    for place in range(len(patches)):
        rows, _ = patches.pixels(place)
        assert np.ptp(screen.colour_at(np.arange(rows.start, rows.stop))) == 0
        covered[patches.pixels(place)] += 1
        numbered[patches.pixels(place)] = place
    assert (covered == 1).all()
    spread = patches.on_screen(np.arange(len(patches)).reshape(patches.rows, patches.columns))
    assert np.array_equal(spread, numbered)


@pytest.mark.parametrize("patch_px", [1, 2, 5])
def test_values_are_spread_over_the_pixels_of_their_patch(patch_px: int) -> None:
    patches = OnOffPatches(patch_px)
    spread = patches.on_screen(np.arange(len(patches)).reshape(1, patches.rows, patches.columns))
    assert spread.shape == (1, 36, 64)
    for place in (0, 7, len(patches) - 1):
        assert (spread[0][patches.pixels(place)] == place).all()


def test_a_patch_beyond_the_screen_is_refused_and_one_at_the_edge_is_cut() -> None:
    video = SinglePatch(34, 60, 6, bright=False, before=1, shown=1, after=1).video()
    assert (video[1] == 0).sum() == 2 * 4
    assert (video[[0, 2]] == 127.5).all()
    with pytest.raises(ConfigError, match="row 36"):
        SinglePatch(36, 0)


def test_a_patch_appears_and_goes_where_it_should() -> None:
    patch = SinglePatch(10, 20, 3, before=2, shown=4, after=1)
    video = patch.video()
    assert video.shape == (patch.frames, 36, 64) == (7, 36, 64)
    lit = np.argwhere(video == 255)
    assert lit.min(axis=0).tolist() == [2, 10, 20]
    assert lit.max(axis=0).tolist() == [5, 12, 22]
    assert len(lit) == 4 * 3 * 3


def test_a_given_movie_is_shown_as_it_is_under_its_name(small_session_folder: Path) -> None:
    session = open_session(small_session_folder)
    movie = np.random.default_rng(0).uniform(0, 255, (40, 36, 64))
    trial = stimulus_trial(GivenMovie("noise of mine", movie), session)
    np.testing.assert_array_equal(trial.video, movie.astype(np.float32))
    assert trial.name == f"{session.name}, noise of mine"
