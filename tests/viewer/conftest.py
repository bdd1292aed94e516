"""A model with the small session open, and a place for runs that is no one's home."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.results import Reconstruction
from napari_vidrecon.sessions.session import open_session
from napari_vidrecon.viewer.folders import remember_tour
from napari_vidrecon.viewer.main_widget import ReconstructionWidget
from napari_vidrecon.viewer.model import ReconstructionModel

SMALL_CLIP = (0, 48)
FEW_STEPS = 6


FIRST_WINDOW = pytest.StashKey[bool]()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """What a first window leaves stays: napari looks for garbage among all there is whenever a layer goes."""
    if "make_napari_viewer" in getattr(item, "fixturenames", ()) and not item.config.stash.get(FIRST_WINDOW, False):
        item.config.stash[FIRST_WINDOW] = True
        gc.collect()
        gc.freeze()


@pytest.fixture(autouse=True)
def places_of_the_user(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs and recent folders go into a temporary folder, and so does what went wrong: no test may leave any."""
    folder = tmp_path_factory.mktemp("user")
    monkeypatch.setenv("VIDRECON_RUNS", str(folder / "runs"))
    monkeypatch.setenv("VIDRECON_STATE", str(folder / "state"))
    monkeypatch.setenv("VIDRECON_LOGS", str(folder / "logs"))
    remember_tour()
    yield
    logs = sorted((folder / "logs").glob("*.txt"))
    assert not logs, logs[0].read_text("utf-8")


@pytest.fixture
def expected_faults(places_of_the_user: None) -> Callable[[], list[Path]]:
    """Gives the logs of the faults that a test provoked, which are then no failure of it."""

    def take() -> list[Path]:
        folder = Path(os.environ["VIDRECON_LOGS"])
        taken = folder.with_name("taken")
        if folder.exists():
            folder.rename(taken)
        return sorted(taken.glob("*.txt"))

    return take


@pytest.fixture
def disc_mask() -> AlphaMask:
    """Alpha falls from 1.2 in the middle of the screen to 0 at a radius of 17 pixels."""
    rows, columns = np.mgrid[:36, :64]
    return AlphaMask(np.clip(1.2 * (1 - np.hypot(rows - 18, columns - 30) / 17), 0, None), "disc")


@pytest.fixture
def make_model(
    small_session_folder: Path, small_encoder_file: Path, disc_mask: AlphaMask
) -> Callable[..., ReconstructionModel]:
    """Gives a model (a new one, or a window's) a session, 48 frames of a trial, an encoder, a mask, few steps."""

    def make(model: ReconstructionModel | None = None) -> ReconstructionModel:
        model = model or ReconstructionModel()
        model.set_session(open_session(small_session_folder))
        model.set_encoders([small_encoder_file])
        model.set_mask(disc_mask)
        model.set_thresholds(0.4, 0.6)
        model.begin_edits()
        model.set_settings(config=ReconstructionConfig.preset("best", steps=FEW_STEPS, track_every=2), device="cpu")
        model.set_trial(0, *SMALL_CLIP)
        return model

    return make


@pytest.fixture
def small_model(make_model: Callable[..., ReconstructionModel]) -> ReconstructionModel:
    """A model that is ready to start, without any window."""
    return make_model()


@pytest.fixture(scope="session")
def small_run_folder(
    small_session_folder: Path, small_encoder_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished run on disk, without a mask, otherwise like the small model's; shared, so never write to it."""
    import napari_vidrecon as vr

    trial = vr.open_session(small_session_folder).trial(0).part(*SMALL_CLIP)
    config = ReconstructionConfig.preset("best", steps=FEW_STEPS, track_every=2)
    result = vr.reconstruct(trial, [vr.load_encoder(small_encoder_file, device="cpu")], AlphaMask.full(), config)
    path = tmp_path_factory.mktemp("runs") / "kept.zarr"
    result.save(path)
    return path


@pytest.fixture
def small_result(small_run_folder: Path) -> Reconstruction:
    """That run, to use or to change."""
    return Reconstruction.load(small_run_folder)


@pytest.fixture
def docked(make_napari_viewer_proxy, make_model) -> Callable[..., ReconstructionWidget]:
    """Opens a window with the dock in it and the small session on the board."""

    def dock(*, filled: bool = True) -> ReconstructionWidget:
        viewer = make_napari_viewer_proxy()
        widget = ReconstructionWidget(viewer)
        viewer.window.add_dock_widget(widget, name="Movie reconstruction", area="right")
        if filled:
            make_model(widget.model)
        return widget

    return dock
