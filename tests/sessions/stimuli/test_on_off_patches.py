"""On and off patches: what a clip shows, and that they cover the screen once."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon.sessions.stimuli.on_off_patches import OFF_LEVEL, ON_LEVEL, OnOffPatches


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


@pytest.mark.parametrize("patch_px", [1, 2, 5])
def test_values_are_spread_over_the_pixels_of_their_patch(patch_px: int) -> None:
    patches = OnOffPatches(patch_px)
    spread = patches.on_screen(np.arange(len(patches)).reshape(1, patches.rows, patches.columns))
    assert spread.shape == (1, 36, 64)
    for place in (0, 7, len(patches) - 1):
        assert (spread[0][patches.pixels(place)] == place).all()
