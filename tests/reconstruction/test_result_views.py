"""A result as people and other programs look at it: in a line, in a notebook, as labelled arrays, without torch."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import napari_vidrecon as vr
from napari_vidrecon import metrics
from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.reconstructor import StepInfo

OPENED_WITHOUT = """
import sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError(name)
sys.meta_path.insert(0, Refused())
import napari_vidrecon as vr
result = vr.Reconstruction.load(sys.argv[1])
print(result.video.shape, sorted(result.scores()), len(result._repr_html_()) > 1000)
"""


@pytest.fixture(scope="module")
def result(small_session_folder: Path, small_encoder_file: Path) -> vr.Reconstruction:
    """A short run of the small session."""
    trial = vr.open_session(small_session_folder).trial(0)
    config = vr.ReconstructionConfig.preset("fast", steps=3, track_every=1, track_skip_frames=5)
    encoders = [vr.load_encoder(small_encoder_file, device="cpu")]
    mask = np.zeros((36, 64), np.float32)
    mask[8:28, 20:44] = 1.0
    return vr.reconstruct(trial, encoders, vr.AlphaMask(mask), config)


@pytest.fixture
def folder(result: vr.Reconstruction, tmp_path: Path) -> Path:
    """The same, saved."""
    result.save(tmp_path / "run.zarr")
    return tmp_path / "run.zarr"


def test_scores_are_those_of_the_measured_frames_inside_the_evaluation_mask(result: vr.Reconstruction) -> None:
    scores, part = result.scores(), result.measured_frames
    expected = metrics.video_correlation(result.stimulus[part], result.video[part], result.evaluation_mask)
    assert scores["video_correlation"] == expected == result.history.last("video_correlation")
    assert scores["rmse"] == result.history.last("rmse")
    assert scores["response_correlation"] == result.history.last("response_correlation")


def test_a_result_is_one_line_and_equal_to_itself_alone(result: vr.Reconstruction) -> None:
    assert re.fullmatch(
        r"<Reconstruction: .*small, trial 0, 60 frames, 3 of 3 steps, video corr.* -?0\.\d{3}>", repr(result)
    )
    other = dataclasses.replace(result)
    assert result == result
    assert result != other
    assert len({result, other}) == 2


def test_a_notebook_shows_frames_and_scores_and_runs_nothing_of_a_name(result: vr.Reconstruction) -> None:
    told = {**result.provenance, "session": "<script>alert(1)</script>"}
    page = dataclasses.replace(result, provenance=told)._repr_html_()
    assert "<script>" not in page
    assert "video correlation" in page
    packed = re.search(r"base64,([^\"]+)", page)
    assert packed is not None
    with Image.open(io.BytesIO(base64.b64decode(packed[1]))) as picture:
        assert picture.width > 8 * 64
        assert picture.height > 2 * 36


def test_a_run_opens_without_torch(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OPENED_WITHOUT, str(folder)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(60, 36, 64) ['mean_frame_correlation'")


def test_step_info_keeps_its_old_address() -> None:
    from napari_vidrecon.reconstruction import history

    assert StepInfo is history.StepInfo


def test_a_history_is_a_data_frame(result: vr.Reconstruction) -> None:
    pytest.importorskip("pandas")
    frame = result.history.to_dataframe()
    assert frame["step"].tolist() == [1, 2, 3]
    assert list(frame) == list(result.history.table())
    np.testing.assert_array_equal(frame["rmse_grey_levels"], result.history["rmse"])


@pytest.mark.parametrize(
    ("library", "asked"),
    [("pandas", lambda result: result.history.to_dataframe()), ("xarray", lambda result: result.to_xarray())],
)
def test_a_missing_library_is_one_line_that_names_the_extra(
    result: vr.Reconstruction, monkeypatch: pytest.MonkeyPatch, library: str, asked
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError, match=rf"expected {library}, found none; pip install 'napari-vidrecon\["):
        asked(result)


def test_a_dataset_has_seconds_and_pixels(result: vr.Reconstruction) -> None:
    pytest.importorskip("xarray")
    part = dataclasses.replace(
        result, provenance={**result.provenance, "inputs": {"frames": [30, 90]}, "frame_rate_hz": 30.0}
    )
    dataset = part.to_xarray()
    assert dataset.video.dims == ("time", "row", "column")
    np.testing.assert_array_equal(dataset.video, result.video)
    assert float(dataset.time[0]) == 1.0
    assert dataset.time.units == "s"
    assert dataset.video.units == "grey levels, 0..255"
    assert dataset.target.dims == ("neuron", "time")
    assert json.loads(dataset.provenance)["inputs"] == {"frames": [30, 90]}


def test_xarray_opens_a_run_folder_as_it_is(result: vr.Reconstruction, tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    state = {"step": np.array(2), "video": np.zeros((60, 64, 64), np.float32), "members": [{"loss": np.zeros(3)}]}
    dataclasses.replace(result, videos=[result.video, result.video], state=state).save(tmp_path / "run.zarr")
    dataset = xarray.open_zarr(tmp_path / "run.zarr", consolidated=False, chunks=None)
    assert dataset.sizes == {"time": 60, "row": 36, "column": 64, "neuron": 20}
    np.testing.assert_array_equal(dataset.video, result.video)
    tree = xarray.open_datatree(tmp_path / "run.zarr", engine="zarr", consolidated=False)
    assert tree["videos/1"].dims == ("time", "row", "column")
    assert tree["state/video"].shape == (60, 64, 64)


def test_activity_the_other_way_round_has_its_own_names(result: vr.Reconstruction, tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    turned = {"target": result.target.T, "keep": np.ones(60, dtype=bool), "predicted_activity": None}
    dataclasses.replace(result, **turned).save(tmp_path / "run.zarr")
    dataset = xarray.open_zarr(tmp_path / "run.zarr", consolidated=False, chunks=None)
    assert dataset.target.dims == ("time", "neuron")


def test_a_run_from_before_its_dimensions_had_names_opens_to_the_same_bits(
    folder: Path, result: vr.Reconstruction
) -> None:
    for file in folder.rglob("*/zarr.json"):
        described = json.loads(file.read_text())
        if described.pop("dimension_names", None) is not None:
            file.write_text(json.dumps(described))
    again = vr.Reconstruction.load(folder)
    for name in ("video", "stimulus", "target", "keep", "alpha", "predicted_activity"):
        np.testing.assert_array_equal(getattr(again, name), getattr(result, name))
