"""A patch anywhere on the screen, and a movie given as an array."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.sessions.session import open_session
from napari_vidrecon.sessions.stimuli.given_movie import GivenMovie
from napari_vidrecon.sessions.stimuli.single_patch import SinglePatch
from napari_vidrecon.sessions.stimuli.stimulus import stimulus_trial


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
