"""A run's folder from elsewhere: opened when it is whole, one line when it is not, and nothing of the user's lost."""

from __future__ import annotations

import json
import os
import resource
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_vidrecon.errors import RunError, StorageError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.history import History
from napari_vidrecon.reconstruction.results import Reconstruction

FRAMES, NEURONS, STEPS = 40, 5, 3
COLUMNS = ("step", "loss", "seconds", "video_correlation", "rmse", "response_loss", "response_correlation")


def made(**other: Any) -> Reconstruction:
    chance = np.random.default_rng(0)
    movie = chance.uniform(0, 255, (FRAMES, 36, 64)).astype(np.float32)
    fields = {
        "video": movie,
        "history": History({name: [float(step + 1) for step in range(STEPS)] for name in COLUMNS}),
        "config": ReconstructionConfig.preset("paper", steps=STEPS + 1),
        "provenance": {"session": "mouse, trial 0", "trial": 0, "mask_threshold": 0.5, "evaluation_threshold": 1.0},
        "stimulus": movie.round(),
        "target": chance.random((NEURONS, FRAMES)).astype(np.float32),
        "keep": np.ones(NEURONS, bool),
        "alpha": np.full((36, 64), 1.2, np.float32),
        "state": {"step": STEPS, "video": movie, "momentum": movie},
    }
    return Reconstruction(**{**fields, **other})


@pytest.fixture(scope="module")
def kept_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept") / "run.zarr"
    made().save(folder)
    return folder


@pytest.fixture
def run(kept_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept_run, tmp_path / "run.zarr"))


def edit(file: Path, change) -> None:
    told = json.loads(file.read_text())
    change(told)
    file.write_text(json.dumps(told))


def refused(run: Path, *words: str) -> None:
    with pytest.raises(RunError) as raised:
        Reconstruction.load(run)
    told = str(raised.value)
    assert "\n" not in told
    assert run.name in told
    for word in words:
        assert word in told


ATTRIBUTES = {
    "no settings": lambda a: a.pop("config"),
    "settings that are a list": lambda a: a.update(config=[]),
    "a setting of another kind": lambda a: a["config"].update(steps="many"),
    "a setting nobody knows": lambda a: a["config"].update(preset=1),
    "no history": lambda a: a.pop("history"),
    "a history without steps": lambda a: a["history"].pop("step"),
    "a history of unequal columns": lambda a: a["history"].update(loss=[1.0]),
    "a step that is none": lambda a: a["history"].update(step=[None] * STEPS),
    "steps that go down": lambda a: a["history"].update(step=[3, 2, 1]),
    "half a step": lambda a: a["history"].update(step=[0.5, 1, 2]),
    "a text as a loss": lambda a: a["history"].update(loss=["a"] * STEPS),
    "a loss that no float holds": lambda a: a["history"].update(loss=[10**400] * STEPS),
    "a column that is a number": lambda a: a["history"].update(loss=1),
    "a provenance that is a list": lambda a: a.update(provenance=[]),
    "no frame rate": lambda a: a["provenance"].update(frame_rate_hz=0),
    "a frame rate that is not a number": lambda a: a["provenance"].update(frame_rate_hz=float("nan")),
    "a threshold that is text": lambda a: a["provenance"].update(mask_threshold="0) or (0"),
    "a trial that is text": lambda a: a["provenance"].update(trial="0) or (0"),
    "encoders that are a text": lambda a: a["provenance"].update(encoder_names="enc"),
    "a clip of one frame number": lambda a: a["provenance"].update(inputs={"frames": [1]}),
    "a null byte in a path": lambda a: a["provenance"].update(inputs={"session": "a\0b"}),
    "neurons drawn from nothing": lambda a: a["provenance"].update(neuron_details={"kind": "random"}),
    "changes that are none": lambda a: a["provenance"].update(changes=[1]),
    "levels that are text": lambda a: a.update(levels={"response_loss": "low"}),
}


@pytest.mark.parametrize("change", ATTRIBUTES.values(), ids=ATTRIBUTES)
def test_a_description_that_cannot_be_is_one_line(run, change):
    edit(run / "zarr.json", lambda told: change(told["attributes"]))
    refused(run, "expected")


SHAPES = {
    "a row as a video": ("video", np.zeros(3, np.float32)),
    "a video of another screen": ("video", np.zeros((FRAMES, 64, 36), np.float32)),
    "a video of whole numbers": ("video", np.zeros((FRAMES, 36, 64), np.int64)),
    "a video with NaN": ("video", np.full((FRAMES, 36, 64), np.nan, np.float32)),
    "a stimulus of another length": ("stimulus", np.zeros((FRAMES + 1, 36, 64), np.float32)),
    "activity of other frames": ("target", np.zeros((NEURONS, FRAMES + 1), np.float32)),
    "a choice of other neurons": ("keep", np.ones(NEURONS + 1, bool)),
    "a choice that is numbers": ("keep", np.ones(NEURONS, np.float32)),
    "a choice that is complex": ("keep", np.ones((2, 2, 2), complex)),
    "a mask of another screen": ("alpha", np.zeros((3, 3), np.float32)),
    "predicted activity of one number": ("predicted_activity", np.zeros(1, np.float32)),
    "a movie of an ensemble that is a row": ("videos/0", np.zeros(3, np.float32)),
    "a step with a fraction": ("state/step", np.array([1.5])),
    "several steps": ("state/step", np.array([1, 2])),
}


@pytest.mark.parametrize(("name", "array"), SHAPES.values(), ids=SHAPES)
def test_arrays_that_do_not_go_together_are_one_line(run, name, array):
    import zarr

    shutil.rmtree(run / name, ignore_errors=True)
    zarr.open_group(run, mode="a").create_array(name, data=array)
    refused(run, "expected")


def chunks_of(shape):
    def change(told):
        told["shape"] = shape
        told["chunk_grid"]["configuration"]["chunk_shape"] = shape

    return change


DESCRIPTIONS = {
    "a shape of 4 GiB": chunks_of([500_000, 36, 64]),
    "a shape that no memory holds": chunks_of([2**40, 36, 64]),
    "a shape of 10^30": lambda told: told.update(shape=[10**30, 36, 64]),
    "a negative shape": lambda told: told.update(shape=[-1, 36, 64]),
    "a shape of yes and no": lambda told: told.update(shape=[True, 36, 64]),
    "no shape": lambda told: told.pop("shape"),
    "chunks of one number": lambda told: told["chunk_grid"]["configuration"].update(chunk_shape=[1, 1, 1]),
    "chunks of nothing": lambda told: told["chunk_grid"]["configuration"].update(chunk_shape=[0, 36, 64]),
    "chunks of two dimensions": lambda told: told["chunk_grid"]["configuration"].update(chunk_shape=[36, 64]),
    "objects": lambda told: told.update(data_type="object"),
    "another number type than its chunks hold": lambda told: told.update(data_type="float64"),
    "a filling that is no zero": lambda told: told.update(fill_value=7.0),
    "a codec nobody asked for": lambda told: told["codecs"].append({"name": "blosc", "configuration": {}}),
    "no codec": lambda told: told.update(codecs=[]),
    "a codec that is a text": lambda told: told.update(codecs=["bytes"]),
    "a list": lambda told: told.update(attributes=[]),
    "transformers": lambda told: told.update(storage_transformers=[{"name": "x"}]),
}


@pytest.mark.parametrize("change", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_a_shape_that_its_bytes_do_not_hold_is_refused_before_memory_is_taken(run, change):
    edit(run / "video" / "zarr.json", change)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(run, "expected")
    if change.__qualname__.startswith("chunks_of"):
        # Chunks that are not there count as zeros, of which a small file must not make gigabytes.
        shutil.rmtree(run / "video" / "c")
        refused(run, "expected")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200 << 10, f"{grown / 1024:.0f} MiB"


def zstd_header(size: int) -> bytes:
    return b"\x28\xb5\x2f\xfd\xe0" + size.to_bytes(8, "little")


CHUNKS = {
    "empty": b"",
    "another format": b"\x89PNG" * 10,
    "a size that is not told": b"\x28\xb5\x2f\xfd\x00\x58" + b"\0" * 20,
    "a size of a terabyte": zstd_header(2**40) + b"\0" * 20,
    "cut off": zstd_header(FRAMES * 36 * 64 * 4 // 2),
}


@pytest.mark.parametrize("content", CHUNKS.values(), ids=CHUNKS)
def test_a_damaged_chunk_is_one_line(run, content):
    (run / "video" / "c" / "0" / "0" / "0").write_bytes(content)
    refused(run, "complete run")


def test_a_chunk_much_larger_than_its_array_is_never_read(run):
    with (run / "video" / "c" / "0" / "0" / "0").open("r+b") as file:
        file.truncate(1 << 40)
    refused(run, "at most")


def test_chunks_of_zeros_that_zarr_leaves_out_are_zeros(tmp_path):
    made(stimulus=np.zeros((FRAMES, 36, 64), np.float32)).save(tmp_path / "dark.zarr")
    assert not (tmp_path / "dark.zarr" / "stimulus" / "c").exists()
    assert not Reconstruction.load(tmp_path / "dark.zarr").stimulus.any()


@pytest.mark.parametrize("inside", ["zarr.json", "video/zarr.json", "video/c/0/0/0", "video"])
def test_a_link_that_leaves_the_folder_is_not_followed(run, kept_run, inside):
    place = run / inside
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    place.symlink_to(kept_run / inside)
    refused(run, "link that leaves")


@pytest.mark.parametrize("inside", ["zarr.json", "video/zarr.json", "video/c/0/0/0"])
def test_a_pipe_is_not_waited_for(run, inside):
    (run / inside).unlink()
    os.mkfifo(run / inside)
    refused(run, "found a pipe")


@pytest.mark.parametrize("text", ["[" * 100_000, "[[]," * 100_000, '{"a":' * 90_000, "1" * 10_000, "\0", "null"])
def test_a_description_that_is_none_is_one_line(run, text):
    (run / "zarr.json").write_text(text)
    refused(run)
    shutil.copy(run / "stimulus" / "zarr.json", run / "zarr.json")
    refused(run, "zarr group")


def test_a_path_that_is_no_utf8_comes_back(tmp_path):
    odd = os.fsdecode(b"mouse \xff")
    told = {"session": odd, "trial": 0, "inputs": {"session": odd, "encoders": [odd]}}
    made(provenance=told).save(tmp_path / "run.zarr")
    assert Reconstruction.load(tmp_path / "run.zarr").provenance == told


def test_a_run_of_an_earlier_version_opens_without_what_it_did_not_know(run):
    def older(told):
        attributes = told["attributes"]
        attributes["provenance"] = {"trial": 0, "session": "mouse"}
        attributes["history"] = {name: attributes["history"][name] for name in ("step", "loss")}
        del attributes["levels"], attributes["finished"]
        del attributes["config"]["neuron_noise"]

    edit(run / "zarr.json", older)
    found = Reconstruction.load(run)
    assert list(found.history["step"]) == [1, 2, 3]
    assert np.isnan(found.history["rmse"]).all()
    assert found.levels == {}


def test_what_a_user_put_into_a_run_stays_when_the_run_goes_on(run):
    (run / "notes.txt").write_text("precious")
    (run / "video" / "c" / "drawing.png").write_text("precious")
    (run / "figures").mkdir()
    (run / "figures" / "a.png").write_text("precious")
    made(state=None).save(run)
    for name in ("notes.txt", "video/c/drawing.png", "figures/a.png"):
        assert (run / name).read_text() == "precious"
    assert Reconstruction.load(run).state is None
    assert not (run / "state").exists()


@pytest.mark.parametrize("there", ["a file", "a folder", "another zarr folder"])
def test_a_run_is_written_over_nothing_but_a_run(tmp_path, there):
    place = tmp_path / "mine"
    if there == "a file":
        place.write_text("precious")
    elif there == "a folder":
        place.mkdir()
        (place / "precious.txt").write_text("precious")
    else:
        import zarr

        zarr.open_group(place, mode="w").create_array("precious", data=np.ones(3))
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    with pytest.raises(StorageError, match="mine: expected a run's folder or nothing there"):
        made().save(place)
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before


def test_a_damaged_run_may_be_replaced(run):
    (run / "zarr.json").write_text('{"attributes": {"format": ')
    made().save(run)
    assert len(Reconstruction.load(run).history) == STEPS
