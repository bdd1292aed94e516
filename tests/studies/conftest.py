"""Tiny mice, a tiny scale, and the runs of a study done in this process: everything a study's tests need."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("pandas")
pytest.importorskip("pingouin")

from napari_vidrecon.encoders.architectures.compact import CompactRecipe
from napari_vidrecon.encoders.training.training_run import train_encoder
from napari_vidrecon.sessions.session import open_session
from napari_vidrecon.studies.conducting import grid
from napari_vidrecon.studies.mice import Mouse
from napari_vidrecon.studies.runs.run_spec import RunStore
from napari_vidrecon.studies.scale import Scale
from napari_vidrecon.studies.study import Outcome, Plan, Study

TINY_FRAMES = (0, 40)
TINY_STEPS = 3
ENCODERS = 2

Conducted = Callable[[Study, Plan], Outcome]


@pytest.fixture(scope="session")
def tiny_mask_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Alpha falls from 1.3 in the middle of the screen to 0 at a radius of 17 pixels, and is negative outside."""
    rows, columns = np.mgrid[:36, :64]
    file = tmp_path_factory.mktemp("masks") / "mask.npy"
    np.save(file, np.maximum(1.3 * (1 - np.hypot(rows - 18, columns - 30) / 17), -0.1).astype(np.float32))
    return file


@pytest.fixture(scope="session")
def tiny_encoders(small_session_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Two compact encoders for the small session, trained for two steps from different seeds."""
    folder, session = tmp_path_factory.mktemp("encoders"), open_session(small_session_folder)
    files = tuple(folder / f"tiny_{seed}.safetensors" for seed in range(ENCODERS))
    for seed, file in enumerate(files):
        recipe = CompactRecipe(features=4, temporal_kernels=(5,), steps=2, batch_size=2, seed=seed)
        train_encoder([session], recipe, file)
    return files


@pytest.fixture(scope="session")
def tiny_mouse(small_session_folder: Path, tiny_encoders: tuple[Path, ...], tiny_mask_file: Path) -> Mouse:
    """A mouse of noise: 20 neurons, two clips, two encoders. Its numbers mean nothing; shared, so never write to it."""
    return Mouse(small_session_folder, tiny_encoders, tiny_mask_file, "tiny", trials=(0, 1))


@pytest.fixture(scope="session")
def other_tiny_mouse(tiny_mouse: Mouse, tmp_path_factory: pytest.TempPathFactory) -> Mouse:
    """Another one: it saw the same clips mirrored, and its neurons come in another order."""
    folder = tmp_path_factory.mktemp("sessions") / "dynamic2-2-2-Video-small"
    shutil.copytree(tiny_mouse.session, folder)
    for stream, axis in (("videos", 1), ("responses", 0)):
        for file in (folder / "data" / stream).iterdir():
            np.save(file, np.flip(np.load(file), axis))
    return Mouse(folder, tiny_mouse.encoders, tiny_mouse.mask, "other", trials=(0, 2))


@pytest.fixture(scope="session")
def tiny_scale() -> Scale:
    """Two clips of 40 frames, two encoders, three steps; the smallest grids that still have every part."""
    return Scale(
        "tiny",
        clips=2,
        frames=TINY_FRAMES,
        encoders=ENCODERS,
        preset="fast",
        changes={"steps": TINY_STEPS, "track_skip_frames": 8},
        skip_first=4,
        skip_last=2,
        stimulus_frames=40,
        stimulus_skip=4,
        noise_mice=1,
        noise_px=(0, 4),
        noise_frames=(0, 4),
        noise_seeds=1,
        grating_cycles_px=(0.0625, 0.125),
        grating_hz=(3.75, 0),
        grating_directions=1,
    )


@pytest.fixture(scope="session")
def tiny_plan(tiny_mouse: Mouse, tiny_scale: Scale) -> Plan:
    """The tiny mouse at the tiny scale."""
    return Plan((tiny_mouse,), tiny_scale)


@pytest.fixture(scope="session")
def two_mice_plan(tiny_mouse: Mouse, other_tiny_mouse: Mouse, tiny_scale: Scale) -> Plan:
    """Two tiny mice, so that tests over mice have something to test."""
    return Plan((tiny_mouse, other_tiny_mouse), tiny_scale)


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    """Where the tests' runs lie, found again by the next test that needs them."""
    return RunStore(tmp_path_factory.mktemp("studies"))


def compute_missing(study: Study, plan: Plan, store: RunStore) -> int:
    """Compute the runs of a study that are not there, here and now; returns how many."""
    missing = [(folder, spec) for folder, spec in grid([study], plan, store).items() if not store.has(folder.stem)]
    for folder, spec in missing:
        spec.compute(folder, "cpu")
    return len(missing)


@pytest.fixture(scope="session")
def outcome_of(shared_store: RunStore) -> Conducted:
    """What a study finds with a plan; its runs are computed in this process, without Dask, and shared by all tests."""

    def conduct_here(study: Study, plan: Plan) -> Outcome:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            compute_missing(study, plan, shared_store)
        finally:
            torch.set_num_threads(threads)
        return study.evaluate(plan, shared_store)

    return conduct_here
