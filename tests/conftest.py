"""What the tests share: golden data of the reference implementation, a small session to use or to damage."""

from __future__ import annotations

import gc
import importlib
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from outside_packages import write_package

SMALL_TRIALS = 4
SMALL_NEURONS = 20
SMALL_FRAMES = 60
SMALL_PADDED_FRAMES = 66
SMALL_TIERS = ("train", "oracle", "train", "live_test_main")


LONGEST = (
    "test_study_process.py",
    "test_studies_widget.py",
    "test_running.py",
    "test_golden.py",
    "test_packaging.py",
    "test_journeys.py",
    "test_kills.py",
    "test_dock.py",
)
"""Begun first: at the end they would hold up one worker while the others have nothing left."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, each file's together."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


def pytest_collection_finish() -> None:
    """Garbage is looked for among what tests made, not among all modules and tests each time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """What a test and its fixtures draw from torch is the same in every run and every order."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """The folder of reference outputs; its README says what each file is."""
    return Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden(golden_folder: Path) -> Mapping[str, np.ndarray]:
    """The expected numbers, by name; loaded without unpickling."""
    with np.load(golden_folder / "expected.npz", allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


@pytest.fixture(scope="session")
def golden_session_folder(golden_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference's made-up session (mouse 1: 40 neurons, 30 trials) as a folder in the public format."""
    parent = tmp_path_factory.mktemp("sensorium_all_2023")
    with np.load(golden_folder / "session.npz", allow_pickle=False) as archive:
        for name in archive.files:
            file = parent / f"{name}.npy"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, archive[name], allow_pickle=False)
    return next(parent.iterdir())


def write_small_session(folder: Path, seed: int = 5) -> None:
    """Write a session of noise in the public format: 4 trials, 20 neurons, 60 frames, NaN-padded to 66."""
    random = np.random.default_rng(seed)
    for trial, tier in enumerate(SMALL_TIERS):
        video = np.floor(random.uniform(0, 256, (36, 64, SMALL_FRAMES)))
        responses = random.gamma(0.5, 6.0, (SMALL_NEURONS, SMALL_FRAMES))
        behavior = np.stack([random.uniform(10, 90, SMALL_FRAMES), random.exponential(0.5, SMALL_FRAMES)])
        pupil_center = random.normal(150, 5, (2, SMALL_FRAMES))
        arrays = {"videos": video, "responses": responses, "behavior": behavior, "pupil_center": pupil_center}
        for quantity, values in arrays.items():
            padding = [(0, 0)] * (values.ndim - 1) + [(0, SMALL_PADDED_FRAMES - SMALL_FRAMES)]
            padded = np.pad(values.astype(np.float32), padding, constant_values=np.nan)
            if quantity == "responses" and tier == "live_test_main":
                padded = np.zeros_like(padded)
            file = folder / "data" / quantity / f"{trial}.npy"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, padded)
    for file, values in {
        "meta/trials/tiers.npy": np.array(SMALL_TIERS, dtype="<U16"),
        "meta/neurons/unit_ids.npy": np.arange(1, SMALL_NEURONS + 1),
        "meta/neurons/cell_motor_coordinates.npy": random.integers(0, 600, (SMALL_NEURONS, 3)),
    }.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / file, values)


@pytest.fixture(scope="session")
def small_session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session of 4 trials and 20 neurons; shared by all tests, so never write into it."""
    folder = tmp_path_factory.mktemp("sessions") / "dynamic1-1-1-Video-small"
    write_small_session(folder)
    return folder


@pytest.fixture(scope="session")
def recorded_mouse_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated mouse for raw recordings: 12 trials of 75 frames, 5 neurons; shared, so never write into it."""
    from napari_vidrecon.sessions.simulation.mouse import simulate_session

    folder = tmp_path_factory.mktemp("simulated") / "mouse"
    return simulate_session(folder, seed=7, neurons=5, train_trials=8, validation_trials=2, test_trials=2, frames=75)


@pytest.fixture
def copy_of_small_session(small_session_folder: Path, tmp_path: Path) -> Path:
    """A copy of the small session for one test, to change or to damage."""
    copy = tmp_path / small_session_folder.name
    shutil.copytree(small_session_folder, copy)
    return copy


@pytest.fixture(scope="session")
def golden_checkpoints(golden_folder: Path) -> list[Path]:
    """The reference's seven checkpoints, ascending; two readouts each (37 and 40 neurons)."""
    return sorted((golden_folder / "checkpoints").glob("*.pth"))


@pytest.fixture(scope="session")
def small_encoder_file(small_session_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compact encoder for the small session, trained for a few steps only; shared, so never write to it."""
    from napari_vidrecon.encoders.architectures.compact import CompactRecipe
    from napari_vidrecon.encoders.training.training_run import train_encoder
    from napari_vidrecon.sessions.session import open_session

    path = tmp_path_factory.mktemp("encoders") / "small.safetensors"
    recipe = CompactRecipe(features=8, temporal_kernels=(5,), steps=3, batch_size=4)
    train_encoder([open_session(small_session_folder)], recipe, path)
    return path


@pytest.fixture(scope="session")
def small_decoder_file(small_session_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder of the small session, whose movies mean nothing; shared, so never write to it."""
    from napari_vidrecon.reconstruction.decoder_fitting import DecoderRecipe, fit_decoder
    from napari_vidrecon.sessions.session import open_session

    path = tmp_path_factory.mktemp("decoders") / "decoder.safetensors"
    recipe = DecoderRecipe(lags_frames=(0, 2), finest_cycles_per_px=0.1)
    fit_decoder(open_session(small_session_folder), recipe).save(path)
    return path


@pytest.fixture
def install_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Puts a package with entry points where Python finds it; see `write_package`."""

    def put(package: str, code: str, entries: Mapping[str, str]) -> Path:
        site = write_package(tmp_path / f"site_{package}", package, code, entries)
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.delitem(sys.modules, package, raising=False)
        return site

    yield put
    for module in [name for name in sys.modules if name.startswith("lab_")]:
        del sys.modules[module]
    importlib.invalidate_caches()
