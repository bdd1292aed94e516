"""A run's folder: whole or not there, and refused when it is damaged."""

from __future__ import annotations

import errno
import json
from dataclasses import replace

import numpy as np
import pytest

import napari_vidrecon as vr
from napari_vidrecon.errors import RunError, StorageError


@pytest.fixture
def result(trial, encoder, disc_mask, quick_config):
    return vr.reconstruct(trial, [encoder], disc_mask, quick_config)


def test_everything_comes_back(result, tmp_path):
    result.save(tmp_path / "run.zarr")
    again = vr.Reconstruction.load(tmp_path / "run.zarr")
    for name in ("video", "stimulus", "target", "keep", "alpha", "predicted_activity"):
        np.testing.assert_array_equal(getattr(again, name), getattr(result, name))
    for name in result.history.names:
        np.testing.assert_array_equal(again.history[name], result.history[name])
    assert again.config == result.config
    assert again.provenance == json.loads(json.dumps(result.provenance))
    assert again.finished


def test_what_its_owner_notes_in_a_run_comes_back(result, tmp_path):
    notes = {"contrast": np.float32(0.5), "layers": np.arange(3), "from": tmp_path}
    replace(result, provenance={**result.provenance, **notes}).save(tmp_path / "run.zarr")
    told = vr.Reconstruction.load(tmp_path / "run.zarr").provenance
    assert {name: told[name] for name in notes} == {"contrast": 0.5, "layers": [0, 1, 2], "from": str(tmp_path)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"video": lambda result: result.video * np.nan}, "expected finite numbers in video"),
        ({"video": lambda result: result.video[:30]}, "30"),
        ({"video": lambda result: result.video.astype(int)}, "expected video of floating-point numbers"),
        ({"stimulus": lambda result: None}, "expected stimulus of"),
        ({"provenance": lambda result: {**result.provenance, "trial": "7"}}, "trial"),
        ({"provenance": lambda result: {**result.provenance, "mine": object()}}, "expected plain values in provenance"),
    ],
)
def test_a_run_that_could_not_be_opened_again_does_not_replace_a_good_one(change, said, result, tmp_path):
    result.save(tmp_path / "run.zarr")
    spoiled = replace(result, **{name: value(result) for name, value in change.items()})
    with pytest.raises(RunError, match=said):
        spoiled.save(tmp_path / "run.zarr")
    np.testing.assert_array_equal(vr.Reconstruction.load(tmp_path / "run.zarr").video, result.video)


def test_provenance_says_what_went_in(result, encoder):
    provenance = result.provenance
    assert provenance["encoders"] == [encoder.spec.sha256]
    assert {"torch", "numpy", "napari_vidrecon"} <= provenance["versions"].keys()
    assert provenance["target"]["kind"] == "recorded"
    assert provenance["neurons"]["kept"] == 20
    assert provenance["wall_seconds"] > 0


def test_a_full_disk_is_one_clear_error_and_leaves_the_old_run(result, tmp_path, monkeypatch):
    folder = tmp_path / "run.zarr"
    result.save(folder)
    import zarr

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zarr.Group, "create_array", full)
    with pytest.raises(StorageError, match=r"run\.zarr: could not be written: the disk is full"):
        result.save(folder)
    monkeypatch.undo()
    assert np.array_equal(vr.Reconstruction.load(folder).video, result.video)
    assert [path.name for path in tmp_path.iterdir()] == ["run.zarr"]


def test_what_is_no_run_is_one_clear_error(tmp_path, result):
    with pytest.raises(RunError, match="nothing there"):
        vr.Reconstruction.load(tmp_path / "missing.zarr")
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(RunError, match=r"empty\.zarr: expected a complete run"):
        vr.Reconstruction.load(tmp_path / "empty.zarr")
    result.save(tmp_path / "run.zarr")
    (tmp_path / "run.zarr" / "video" / "zarr.json").unlink()
    with pytest.raises(RunError, match=r"run\.zarr: expected a complete run"):
        vr.Reconstruction.load(tmp_path / "run.zarr")
