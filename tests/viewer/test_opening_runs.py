"""Runs of a session whose name another folder has, too, and runs that are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_vidrecon.errors import RunError
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.opening import open_run, open_session_folder


@pytest.fixture
def portrait_of_the_same_name(small_session_folder: Path, tmp_path: Path) -> Path:
    """A session with the small session's name and neurons on a screen of 64 x 36."""
    folder = tmp_path / "elsewhere" / small_session_folder.name
    shutil.copytree(small_session_folder, folder)
    for file in (folder / "data" / "videos").glob("*.npy"):
        np.save(file, np.load(file).transpose(1, 0, 2))
    (folder / "config.json").write_text(json.dumps({"screen": {"rows": 64, "cols": 36}}))
    return folder


def of_run(small_run_folder: Path, folder: Path, change: Callable[[dict], object]) -> Path:
    """A copy of the small run that tells something else."""
    run = folder / "changed.zarr"
    shutil.copytree(small_run_folder, run)
    told = json.loads((run / "zarr.json").read_text())
    change(told["attributes"]["provenance"])
    (run / "zarr.json").write_text(json.dumps(told))
    return run


def test_a_run_opens_its_own_session_where_one_of_the_same_name_is_open(
    portrait_of_the_same_name, small_session_folder, small_run_folder
):
    model = ReconstructionModel()
    open_session_folder(model, portrait_of_the_same_name)
    record = open_run(model, small_run_folder)
    assert model.session.path == small_session_folder
    assert model.shown is record
    assert model.mask.alpha.shape == model.trial.video.shape[1:]


def test_a_run_of_another_screen_is_refused_in_words_and_leaves_the_mask_alone(
    portrait_of_the_same_name, small_run_folder, tmp_path
):
    run = of_run(small_run_folder, tmp_path, lambda told: told["inputs"].update(session="/nowhere"))
    model = ReconstructionModel()
    open_session_folder(model, portrait_of_the_same_name)
    with pytest.raises(RunError, match=r"made from a screen of 36 x 64 pixels, but that of .* has 64 x 36; open"):
        open_run(model, run)
    assert model.mask.alpha.shape == (64, 36)
    assert model.runs == []


def test_a_run_that_is_refused_changes_no_setting(small_model, small_run_folder, tmp_path):
    run = of_run(small_run_folder, tmp_path, lambda told: (told.update(trial=99), told["inputs"].update(trial=99)))
    small_model.set_thresholds(0.3, 0.5)
    small_model.set_settings(config=small_model.config.changed(steps=3))
    before = small_model.recipe()
    with pytest.raises(RunError, match="trial 99"):
        open_run(small_model, run)
    assert small_model.recipe() == before


def test_a_run_of_another_session_that_does_not_hold_its_clip_any_more_leaves_the_board_alone(
    small_model, small_run_folder, copy_of_small_session, tmp_path
):
    other = copy_of_small_session.rename(tmp_path / "other")
    file = other / "data" / "videos" / "0.npy"
    np.save(file, 255 - np.load(file))
    told = {"session": f"{other.name}, trial 0"}
    run = of_run(
        small_run_folder, tmp_path, lambda made: (made.update(told), made["inputs"].update(session=str(other)))
    )
    small_model.set_mask(AlphaMask.full())
    open_before = small_model.session
    with pytest.raises(RunError, match="another movie than trial 0 of other"):
        open_run(small_model, run)
    assert small_model.session is open_before
