"""Studies in the window: chosen, run in the background, stopped, looked at, and their runs put on the board."""

from __future__ import annotations

import gc
import json
import multiprocessing
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path

import napari
import numpy as np
import pytest

pytest.importorskip("pandas")
pytest.importorskip("distributed")

import pandas as pd
from matplotlib.figure import Figure
from outside_packages import BRIGHTNESS
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QListWidget, QTreeWidget

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.results import Reconstruction
from napari_vidrecon.sessions.stimuli.synthetic import GaussianNoise
from napari_vidrecon.studies import catalogue, conducting, process, scale
from napari_vidrecon.studies.runs.run_spec import RunSpec, is_finished
from napari_vidrecon.studies.runs.running import Progress
from napari_vidrecon.studies.scale import Scale
from napari_vidrecon.studies.study import Drawing, Finding, Outcome, Plan, Study
from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.registry import workspace_of
from napari_vidrecon.viewer.studies.results_view import StudyResults
from napari_vidrecon.viewer.studies.studies_widget import Studies
from napari_vidrecon.viewer.studies.study_job import BoardMouse, StudyController, StudyRequest

NOISE = GaussianNoise(2.0, 2.0, frames=36)
PATIENCE_MS = 60_000
FEW_CYCLES = 2


def tiny_runs(plan: Plan) -> list[RunSpec]:
    """A clip, and noise from predicted activity."""
    (mouse,) = plan.mice
    clip = RunSpec(mouse, plan.scale.config(), trial=0, frames=(4, 40))
    return [clip, clip.changed(trial=None, frames=None, stimulus=NOISE, target="predicted")]


def tiny_outcome(plan: Plan, store: object) -> Outcome:
    """A table, two findings, a figure."""
    findings = [Finding("ones are above noughts", True, "1 > 0"), Finding("it rains", None, "n = 0")]
    drawing = Drawing("ones", "Ones.", "Fig. 0", lambda: Figure(figsize=(2, 1)))
    return Outcome({"ones": pd.DataFrame({"one": [1]})}, findings=findings, drawings=[drawing])


TINY = Study("tiny", "A tiny study", "Fig. 0", tiny_runs, tiny_outcome)
OTHER = Study("other", "Another study", "Fig. 99", tiny_runs, tiny_outcome)


@pytest.fixture(autouse=True)
def tiny_studies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two studies of two runs are all there are, and one scale."""
    monkeypatch.setattr(catalogue, "STUDIES", (TINY, OTHER))
    changes = {"steps": 2, "track_skip_frames": 8}
    monkeypatch.setattr(scale, "SCALES", {"tiny": Scale("tiny", 1, (4, 40), 1, "fast", changes, skip_first=4)})
    # Another process would know nothing of all this; tests/studies/test_study_process.py starts one.
    monkeypatch.setattr(process, "run_apart", process.work)


@pytest.fixture
def mice_file(small_session_folder: Path, small_encoder_file: Path, disc_mask: AlphaMask, tmp_path: Path) -> Path:
    """A list with the small session in it."""
    disc_mask.save(tmp_path / "mask.npy")
    mouse = {"session": str(small_session_folder), "encoders": [str(small_encoder_file)], "mask": "mask.npy"}
    file = tmp_path / "mice.json"
    file.write_text(json.dumps([{**mouse, "name": "small", "trials": [0]}]))
    return file


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are computed here, so that a test need not wait for worker processes."""

    def run_here(
        runs: Mapping[Path, RunSpec], *, on_progress: Callable[[Progress], None] | None = None, **_ignored: object
    ) -> int:
        missing = {folder: spec for folder, spec in runs.items() if not is_finished(folder)}
        for done, (folder, spec) in enumerate(missing.items(), start=1):
            spec.compute(folder, "cpu")
            if on_progress is not None:
                on_progress(Progress(done, len(missing), spec.label))
        return len(missing)

    monkeypatch.setattr(conducting, "run_all", run_here)


@pytest.fixture
def controller(qtbot: QtBot) -> StudyController:
    made = StudyController(ReconstructionModel())
    yield made
    made.stop()
    made.wait()


@pytest.fixture
def request_for(mice_file: Path, tmp_path: Path) -> Callable[..., StudyRequest]:
    """A request for studies of the listed mouse."""

    def make(*names: str, **changes: object) -> StudyRequest:
        fields = {"mice": mice_file, "scale": "tiny", "out": tmp_path / "out", "workers": 1, "device": "cpu"}
        return StudyRequest(names or ("tiny",), **{**fields, **changes})

    return make


@pytest.fixture
def widget(make_napari_viewer_proxy, mice_file: Path, tmp_path: Path) -> Studies:
    """The dock, with the listed mouse and a folder of its own."""
    viewer = make_napari_viewer_proxy()
    made = Studies(viewer)
    viewer.window.add_dock_widget(made, name="Studies", area="right")
    made.form.take_list(mice_file)
    made.form.take_folder(tmp_path / "out")
    made.form.workers.setValue(1)
    return made


def _window() -> napari.Viewer:
    viewer = napari.current_viewer()
    assert viewer is not None
    return viewer


def until(qtbot: QtBot, condition: Callable[[], bool]) -> None:
    qtbot.waitUntil(condition, timeout=PATIENCE_MS)


@pytest.mark.window
def test_a_study_is_run_by_worker_processes_and_any_of_its_runs_opens_on_the_board(
    qtbot: QtBot, widget: Studies
) -> None:
    assert [widget.tree.topLevelItem(index).text(0) for index in range(2)] == ["A tiny study", "Another study"]
    assert "press Start" in widget.results.about.text()
    widget.choose("tiny")
    widget.start_button.click()
    assert widget.bar.isVisibleTo(widget)
    assert not widget.start_button.isEnabled()
    until(qtbot, lambda: widget.results.runs.topLevelItemCount() == 2)
    assert "not done yet" in widget.results.runs.topLevelItem(0).text(0)
    until(qtbot, lambda: not widget.controller.busy)
    assert widget.controller.fault == ""
    assert not multiprocessing.active_children()

    results = widget.results
    assert "ones are above noughts" in results.findings.text()
    assert "cannot be told" in results.findings.text()
    assert results.figures.count() == 1
    assert not results.figures.item(0).icon().isNull()
    assert "2 of 2" in results.run_section.heading.text()
    labels = [results.runs.topLevelItem(index).text(0) for index in range(2)]
    assert labels == [
        "small, trial 0, encoder 0, frames 4 to 40",
        f"small, {NOISE.name}, encoder 0, from predicted activity",
    ]
    model = workspace_of(_window()).model
    for index, clip in enumerate(("trial 0", NOISE.name)):
        results.runs.clearSelection()
        results.runs.topLevelItem(index).setSelected(True)
        results.open_button.click()
        assert model.clip_name == clip
        assert model.shown.path == results.selected
        assert model.shown.result.stimulus.shape == (36, 36, 64)
    assert model.target == "predicted"
    assert model.encoder_paths
    assert model.stale == []


def test_an_estimate_counts_and_runs_nothing(controller: StudyController, request_for, tmp_path: Path) -> None:
    request = request_for("tiny", "other")
    controller.estimate(request)
    assert controller.busy
    assert controller.wait()
    estimated = controller.estimated
    assert controller.fault == ""
    assert (estimated.runs, estimated.missing, estimated.workers) == (2, 2, 1)
    assert 0 < estimated.seconds < 600
    assert not (tmp_path / "out").exists()


def test_a_second_study_finds_the_runs_of_the_first(
    controller: StudyController, request_for, in_this_process: None
) -> None:
    controller.start(request_for("tiny"))
    assert controller.wait()
    written = [run.path.stat().st_mtime_ns for run in controller.runs_of(request_for().out, "tiny")]
    controller.start(request_for("tiny", "other"))
    assert controller.wait()
    assert controller.written == 3
    runs = controller.runs_of(request_for().out, "other")
    assert [run.path.stat().st_mtime_ns for run in runs] == written
    results = StudyResults.read(request_for().out, "other")
    assert results is not None
    assert (results.mice, results.scale, results.simulated) == (("small",), "tiny", False)
    assert results.runs == runs
    assert results.page.is_file()


def test_a_stopped_study_keeps_what_is_finished_and_goes_on_from_there(
    controller: StudyController, request_for, in_this_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    once, stops = RunSpec.compute, []

    def stopped_after_the_first(spec: RunSpec, *arguments: object) -> None:
        once(spec, *arguments)
        stops.append(spec)
        controller.stop()

    monkeypatch.setattr(RunSpec, "compute", stopped_after_the_first)
    controller.start(request_for())
    assert controller.wait()
    assert (controller.stopped, controller.fault, controller.written, len(stops)) == (True, "", 0, 1)
    first, second = controller.runs_of(request_for().out, "tiny")
    assert is_finished(first.path)
    assert not second.path.exists()
    assert StudyResults.read(request_for().out, "tiny") is None
    monkeypatch.undo()


def test_stopping_while_it_measures_leaves_nothing_half_written(
    controller: StudyController, request_for, in_this_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped_meanwhile(plan: Plan, store: object) -> Outcome:
        controller.stop()
        return tiny_outcome(plan, store)

    study = Study("tiny", "A tiny study", "Fig. 0", tiny_runs, stopped_meanwhile)
    monkeypatch.setattr(catalogue, "STUDIES", (study,))
    controller.start(request_for())
    assert controller.wait()
    assert controller.stopped
    assert StudyResults.read(request_for().out, "tiny") is None
    assert not (request_for().out / "tiny" / "index.html").exists()


@pytest.mark.window
@pytest.mark.long
def test_closing_the_window_ends_the_workers_and_keeps_finished_runs(
    qtbot: QtBot, widget: Studies, tmp_path: Path
) -> None:
    widget.choose("tiny")
    widget.start_button.click()
    until(qtbot, lambda: bool(multiprocessing.active_children()))
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "vidrecon-study"]
    _window().close()
    del widget
    until(qtbot, lambda: not thread.is_alive())
    assert not multiprocessing.active_children()
    for folder in (tmp_path / "out" / "runs").glob("*.zarr"):
        Reconstruction.load(folder)
    assert not list((tmp_path / "out").glob("*/index.html"))


def test_a_fault_is_one_message(controller: StudyController, request_for, tmp_path: Path) -> None:
    file = tmp_path / "none.json"
    file.write_text("[]")
    controller.start(request_for(mice=file))
    assert controller.wait()
    assert controller.fault == f"{file}: expected a list of mice, each with session, encoders and mask"
    assert not controller.busy


def test_the_mouse_on_the_board_comes_with_its_present_mask(small_model: ReconstructionModel, tmp_path: Path) -> None:
    request = StudyRequest(("tiny",), BoardMouse.of(small_model), "tiny", tmp_path / "out")
    (mouse,) = request.ask(tmp_path).plan().mice
    assert mouse.session == small_model.session.path
    assert list(mouse.encoders) == small_model.encoder_paths
    # It was painted, so it lies in no file yet.
    assert mouse.mask.parent == tmp_path
    np.testing.assert_array_equal(mouse.load_mask().alpha, small_model.mask.alpha)
    small_model.set_mask(AlphaMask.load(mouse.mask))
    assert BoardMouse.of(small_model).as_files(tmp_path / "elsewhere")["mask"] == str(mouse.mask)
    with pytest.raises(ConfigError, match="open a session"):
        BoardMouse.of(ReconstructionModel())


@pytest.mark.window
def test_a_run_that_cannot_be_opened_is_told_in_one_line(widget: Studies, tmp_path: Path) -> None:
    (tmp_path / "damaged.zarr").mkdir()
    widget.open_run(tmp_path / "damaged.zarr")
    assert "damaged.zarr" in widget.state.text()


@pytest.mark.window
def test_docks_may_be_closed_and_opened_and_garbage_collected_while_a_study_measures(
    qtbot: QtBot,
    make_napari_viewer_proxy,
    mice_file: Path,
    tmp_path: Path,
    in_this_process: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def measured_slowly(plan: Plan, store: object) -> Outcome:
        for _ in range(200):
            circle: list[object] = []
            circle.append(circle)
            time.sleep(0.002)
        return tiny_outcome(plan, store)

    study = Study("tiny", "A tiny study", "Fig. 0", tiny_runs, measured_slowly)
    monkeypatch.setattr(catalogue, "STUDIES", (study,))
    viewer, docks = make_napari_viewer_proxy(), weakref.WeakSet[Studies]()
    for cycle in range(FEW_CYCLES):
        dock = Studies(viewer)
        docks.add(dock)
        window = viewer.window.add_dock_widget(dock, name=f"Studies {cycle}", area="right")
        dock.form.take_list(mice_file)
        dock.form.take_folder(tmp_path / f"out{cycle}")
        dock.choose("tiny")
        dock.start_button.click()
        controller = dock.controller
        until(qtbot, lambda controller=controller: "measuring" in controller.phase)
        viewer.window.remove_dock_widget(window)
        del dock, window
        viewer.theme = "light" if cycle % 2 else "dark"
        gc.collect()
        until(qtbot, lambda controller=controller: not controller.busy)
        assert controller.fault == ""
        assert (tmp_path / f"out{cycle}" / "tiny" / "index.html").is_file()
    # Nothing holds a dock that was closed: fifty of them would take a window's memory.
    qtbot.wait(50)
    # One may have been there when the modules of a study came, and be out of account since then.
    gc.unfreeze()
    gc.collect()
    assert not docks


@pytest.mark.window
def test_without_a_session_the_mouse_on_the_board_is_refused_and_every_control_says_what_it_does(
    widget: Studies,
) -> None:
    widget.form.mice.setCurrentIndex(widget.form.mice.findData("board"))
    widget.start()
    assert "open a session" in widget.state.text()
    assert not widget.controller.busy
    kinds = (QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QListWidget, QTreeWidget)
    headings = {section.heading for section in (
        widget.results.found_section, widget.results.figure_section, widget.results.run_section)}  # fmt: skip
    silent = []
    for control in [control for kind in kinds for control in widget.findChildren(kind)]:
        above = control
        while not above.toolTip() and above is not widget:
            above = above.parentWidget()
        if not above.toolTip() and control not in headings:
            silent.append(control.objectName() or type(control).__name__)
    assert silent == []


@pytest.mark.window
def test_a_study_of_another_package_is_the_last_of_the_list(
    install_package: Callable[..., Path], make_napari_viewer_proxy
) -> None:
    install_package("lab_studies", BRIGHTNESS, {"studies": "bright = lab_studies:STUDY"})
    tree = Studies(make_napari_viewer_proxy()).tree
    titles = [tree.topLevelItem(index).text(0) for index in range(tree.topLevelItemCount())]
    assert titles == ["A tiny study", "Another study", "How bright the clips are"]
