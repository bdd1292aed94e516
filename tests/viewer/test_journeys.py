"""Five ways through the window by mouse and keys alone, with the clicks that each takes.

A click, a drag, a drop and the answer of a file dialog count one each; keys do not.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication, QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QTabBar, QWidget
from raw_recordings import RawMouse
from vispy.app.base import BaseCanvasBackend

import napari_vidrecon as vr
from napari_vidrecon.cli.app import run_command
from napari_vidrecon.sessions.simulation.mouse import simulate_session
from napari_vidrecon.viewer.board.cells import DOCK_NAME
from napari_vidrecon.viewer.choices import Layout
from napari_vidrecon.viewer.importing.form import ImportForm
from napari_vidrecon.viewer.main_widget import ReconstructionWidget
from napari_vidrecon.viewer.main_window import main_window_of
from napari_vidrecon.viewer.model import RunState

pytestmark = pytest.mark.window

PATIENCE_MS = 60_000
LONG_RUN, FEW_STEPS = 100_000, 6
SMALL_NEURONS = 20
LEFT, NO_KEY = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier


class Hand:
    """A person's mouse and keys in one window; counts the clicks."""

    def __init__(self, widget: ReconstructionWidget, monkeypatch: pytest.MonkeyPatch) -> None:
        self._clicks: list[str] = []
        self._widget, self._monkeypatch = widget, monkeypatch
        self._window = main_window_of(widget.board.viewer)
        self._window.resize(1366, 768)
        self._window.show()
        self._window.activateWindow()
        QTest.qWait(100)

    @property
    def clicks(self) -> int:
        """So many so far."""
        return len(self._clicks)

    def click(self, target: QWidget, at: QPoint | None = None) -> None:
        """Only what is in sight and enabled can be clicked."""
        QTest.qWait(50)
        assert target.isVisible(), target.objectName()
        assert target.isEnabled(), target.objectName()
        middle = target.rect().center() if at is None else at
        assert not target.visibleRegion().isEmpty(), target.objectName()
        QTest.mouseClick(target, LEFT, pos=middle)
        self._clicks.append(target.objectName())

    def click_tab(self, title: str) -> None:
        tabs: QTabBar = self._widget.pages.tabs
        (index,) = [index for index in range(tabs.count()) if tabs.tabText(index) == title]
        self.click(tabs, tabs.tabRect(index).center())
        assert self._widget.pages.page == title

    def drag(self, target: QWidget, corners: list[QPoint], keys: Qt.KeyboardModifier = NO_KEY) -> None:
        """Press at the first place, move along the others, let go at the last."""
        assert target.isVisible()

        def send(kind: QEvent.Type, at: QPoint, changed: Qt.MouseButton, held: Qt.MouseButton) -> None:
            places = QPointF(at), QPointF(target.mapToGlobal(at))
            QApplication.sendEvent(target, QMouseEvent(kind, *places, changed, held, keys))
            QTest.qWait(5)

        nothing = Qt.MouseButton.NoButton
        send(QEvent.Type.MouseButtonPress, corners[0], LEFT, LEFT)
        for corner in corners[1:]:
            send(QEvent.Type.MouseMove, corner, nothing, LEFT)
        send(QEvent.Type.MouseButtonRelease, corners[-1], LEFT, nothing)
        self._clicks.append("drag")

    def drop(self, path: Path) -> None:
        """Drag a folder from the file manager onto the dock."""
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(path))])
        entered = QDragEnterEvent(QPoint(5, 5), Qt.DropAction.CopyAction, data, LEFT, NO_KEY)
        QApplication.sendEvent(self._widget, entered)
        assert entered.isAccepted()
        QApplication.sendEvent(self._widget, QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, LEFT, NO_KEY))
        self._clicks.append("drop")

    def will_answer(self, dialog: str, path: Path, chosen_filter: str = "") -> None:
        """The next file dialog of a kind is answered with a path."""
        # It outlives the window, so it must not hold the hand.
        clicks = self._clicks

        def answer(*_given: object) -> tuple[str, str] | str:
            clicks.append(dialog)
            return (str(path), chosen_filter) if dialog != "getExistingDirectory" else str(path)

        self._monkeypatch.setattr(QFileDialog, dialog, answer)

    def press(self, key: Qt.Key, keys: Qt.KeyboardModifier = NO_KEY) -> None:
        """A key of the window."""
        QTest.keyClick(canvas_in(self._window.centralWidget()), key, keys)


def canvas_in(widget: QWidget) -> QWidget:
    return next(each for each in widget.findChildren(QWidget) if isinstance(each, BaseCanvasBackend))


@pytest.fixture
def hand_in(docked, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Hand, ReconstructionWidget]]:  # type: ignore[no-untyped-def]
    """A window with the dock, and a hand in it."""

    def begin(*, filled: bool) -> tuple[Hand, ReconstructionWidget]:
        widget = docked(filled=filled)
        return Hand(widget, monkeypatch), widget

    return begin


def until(qtbot: QtBot, condition: Callable[[], bool]) -> None:
    qtbot.waitUntil(condition, timeout=PATIENCE_MS)


def end_run(qtbot: QtBot, widget: ReconstructionWidget) -> None:
    widget.controller.stop()
    until(qtbot, lambda: not widget.controller.busy)


def test_a_reconstruction_is_watched_with_two_clicks(qtbot, hand_in):
    hand, widget = hand_in(filled=False)
    model, viewer = widget.model, widget.board.viewer
    hand.click(widget.session_panel.sample_button)
    hand.click(widget.run_bar.start_button)
    until(qtbot, lambda: model.state == RunState.RUNNING and widget.board.layer("reconstruction") is not None)
    tile = widget.board.layer("reconstruction")
    first = np.array(tile.data)
    until(qtbot, lambda: not np.array_equal(first, tile.data))
    frame = viewer.dims.current_step[0]
    hand.press(Qt.Key.Key_Space, SHIFT)
    assert widget.player.playing
    until(qtbot, lambda: viewer.dims.current_step[0] >= frame + 5)
    widget.player.stop()
    end_run(qtbot, widget)
    assert hand.clicks == 2


def test_a_threshold_is_lowered_while_it_runs_with_two_clicks(qtbot, hand_in):
    hand, widget = hand_in(filled=True)
    model = widget.model
    model.set_settings(config=model.config.changed(steps=LONG_RUN))
    widget.controller.start()
    until(qtbot, lambda: model.snapshot is not None)
    run = model.run_recipe
    pixels = int(model.mask.binary(run.mask_threshold).sum())

    hand.press(Qt.Key.Key_F3)
    hand.click(widget.run_panel.apply_live)
    slider = widget.mask_panel.thresholds._slider
    handle = slider._handleRect(0).center()
    at = handle if isinstance(handle, QPoint) else handle.toPoint()
    hand.drag(slider, [at, at - QPoint(10, 0), at - QPoint(40, 0)])
    assert hand.clicks == 2

    until(qtbot, lambda: model.run_recipe.mask_threshold < run.mask_threshold)
    assert int(model.mask.binary(model.run_recipe.mask_threshold).sum()) > pixels
    step = model.snapshot.info.step
    until(qtbot, lambda: model.snapshot.info.step > step + 5)
    end_run(qtbot, widget)
    until(qtbot, lambda: model.shown is not None)
    # One a movement of the hand, or fewer: as many steps as were done in between.
    changes = model.shown.result.provenance["changes"]
    assert changes
    assert all("threshold" in str(change) for change in changes)


def test_cells_are_ablated_by_lasso_and_compared_with_the_run_before_with_four_clicks(qtbot, hand_in):
    hand, widget = hand_in(filled=True)
    model = widget.model
    widget.controller.start()
    until(qtbot, lambda: model.state == RunState.DONE and not widget.controller.busy)

    hand.click_tab("How")
    hand.click(widget.neuron_panel.show_cells_button)
    until(qtbot, lambda: DOCK_NAME in widget.board.viewer.window.dock_widgets)
    QTest.qWait(300)
    canvas = canvas_in(widget.board.viewer.window.dock_widgets[DOCK_NAME])
    width, height = canvas.width(), canvas.height()
    corners = [QPoint(width // 2, 2), QPoint(2, 2), QPoint(2, height - 2), QPoint(width // 2, height - 2)]
    hand.drag(canvas, corners, SHIFT)
    hand.click(widget.neuron_panel.cells_button)
    ablated = len(model.neurons.keep) - model.neurons.count
    assert 0 < ablated < len(model.neurons.keep)
    # What is ablated is seen to be, and not still marked as chosen.
    assert not widget.board.cells_layer().selected_data
    # A change is taken back, and made anew, from wherever the last click was: the cells, or the movies.
    for place in (canvas, canvas_in(main_window_of(widget.board.viewer).centralWidget())):
        place.setFocus()
        QTest.keyClick(place, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        assert model.neurons.count == len(model.neurons.keep)
        QTest.keyClick(place, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | SHIFT)
        assert model.neurons.count == len(model.neurons.keep) - ablated
    hand.press(Qt.Key.Key_U)
    until(qtbot, lambda: len(model.runs) == 2 and not widget.controller.busy)
    hand.press(Qt.Key.Key_F7)
    assert model.layout is Layout.COMPARE
    assert hand.clicks == 4

    assert model.shown is model.runs[1]
    assert int((~model.shown.result.keep).sum()) == ablated
    assert "selected cells ablated" in model.shown.changed_from_before
    QTest.qWait(100)
    assert widget.board.layout.kind is Layout.COMPARE


def test_a_suite2p_folder_becomes_a_movie_on_disk_with_six_clicks(
    qtbot, hand_in, small_encoder_file, disc_mask, tmp_path
):
    counts = {"train_trials": 8, "validation_trials": 2, "test_trials": 2, "frames": 75}
    simulate_session(tmp_path / "simulated" / "mouse", seed=7, neurons=SMALL_NEURONS, **counts)
    mouse = vr.open_session(tmp_path / "simulated" / "mouse")
    recording = RawMouse.of(mouse).write_suite2p(tmp_path / "mine")
    (tmp_path / "encoders").mkdir()
    shutil.copy(small_encoder_file, tmp_path / "encoders")
    disc_mask.save(tmp_path / "mask.npy")
    movie = tmp_path / "movie.mp4"
    hand, widget = hand_in(filled=False)
    model = widget.model
    model.set_settings(config=model.config.changed(steps=FEW_STEPS))

    hand.drop(recording)
    form = main_window_of(widget.board.viewer).findChild(ImportForm)
    until(qtbot, lambda: form.import_button.isEnabled())
    hand.click(form.import_button)
    until(qtbot, lambda: form.open_button.isVisible())
    hand.click(form.open_button)
    hand.click(widget.run_bar.start_button)
    until(qtbot, lambda: model.state == RunState.DONE)
    hand.press(Qt.Key.Key_F4)
    hand.will_answer("getSaveFileName", movie, "MP4 movie (*.mp4)")
    hand.click(widget.export_panel.movie_button)
    until(qtbot, lambda: "Saved" in widget.export_panel.status.text())
    assert hand.clicks == 6
    assert movie.stat().st_size > 1000
    assert model.session.path == tmp_path / "mine_session"


def test_an_old_run_is_repeated_by_its_copied_command_with_three_clicks(
    hand_in, small_run_folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    old = tmp_path / "old.zarr"
    shutil.copytree(small_run_folder, old)
    hand, widget = hand_in(filled=False)

    hand.will_answer("getExistingDirectory", old)
    hand.click(widget.session_panel.open_button)
    assert widget.model.shown is not None
    assert widget.pages.page == "Results"
    hand.click(widget.export_panel.command_button)
    assert hand.clicks == 3

    words = shlex.split(QGuiApplication.clipboard().text())
    assert words[0] == "vidrecon"
    assert run_command(words[1:]) == 0
    (again,) = [path for path in tmp_path.rglob("*.zarr") if path != old]
    np.testing.assert_array_equal(vr.Reconstruction.load(again).video, vr.Reconstruction.load(old).video)
