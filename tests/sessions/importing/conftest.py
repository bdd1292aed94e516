"""A small simulated mouse, and the raw recording it would have come from."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from raw_recordings import RawMouse

from napari_vidrecon.sessions.session import Session, open_session
from napari_vidrecon.sessions.simulation.mouse import simulate_session

CLIP_FRAMES = 75


@pytest.fixture(scope="package")
def simulated_mouse(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """12 trials of 75 frames, 9 neurons; shared, so never write into it."""
    folder = tmp_path_factory.mktemp("simulated") / "mouse"
    simulate_session(folder, seed=7, neurons=9, train_trials=8, validation_trials=2, test_trials=2, frames=CLIP_FRAMES)
    return open_session(folder)


@pytest.fixture(scope="package")
def shared_raw_mouse(simulated_mouse: Session) -> RawMouse:
    return RawMouse.of(simulated_mouse)


@pytest.fixture
def raw_mouse(shared_raw_mouse: RawMouse) -> RawMouse:
    """The raw recording of the simulated mouse, to change and to write."""
    return copy.deepcopy(shared_raw_mouse)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where the imported session goes."""
    return tmp_path / "imported" / "session"
