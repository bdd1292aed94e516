"""A monkey plays with the window for a moment; `benchmarks/safety/monkey.py` lets it for hours."""

from __future__ import annotations

import gc

import pytest
from qtpy.QtCore import QEvent, QObject
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QApplication, QWidget

from benchmarks.safety.monkey import Outcome
from benchmarks.safety.monkey_answers import Answers
from benchmarks.safety.monkey_moves import Monkey
from napari_vidrecon.viewer.background import subscribe
from napari_vidrecon.viewer.model import ReconstructionModel

MOMENT_MS = 20


@pytest.mark.window
@pytest.mark.parametrize("cycles", [8, pytest.param(60, marks=pytest.mark.long)])
def test_nothing_random_that_is_done_to_the_window_goes_wrong(
    cycles,
    qtbot,
    make_napari_viewer_proxy,
    monkeypatch,
    small_session_folder,
    small_encoder_file,
    small_decoder_file,
    small_run_folder,
    disc_mask,
    tmp_path,
):
    disc_mask.save(tmp_path / "mask.npy")
    kit = {
        "session": small_session_folder, "encoder": small_encoder_file, "decoder": small_decoder_file,
        "run": small_run_folder, "mask": tmp_path / "mask.npy",
    }  # fmt: skip
    monkeypatch.setattr(QDesktopServices, "openUrl", staticmethod(lambda _url: True))
    monkey = Monkey(make_napari_viewer_proxy(), kit, tmp_path / "things", seed=5)
    Answers(monkey, monkeypatch.setattr)
    monkey.settle()
    for _ in range(cycles):
        monkey.move()
        qtbot.wait(MOMENT_MS)
    monkey.settle()
    assert len(monkey.done) == cycles


class Listener(QWidget):
    """Has heard so often."""

    def __init__(self, model: ReconstructionModel) -> None:
        super().__init__()
        self.heard = 0
        self.me = self
        subscribe(self, model.runs_changed, self.hear)

    def hear(self) -> None:
        """Count."""
        self.heard += 1


def test_a_widget_whose_two_halves_end_apart_is_no_trouble(qtbot):
    model = ReconstructionModel()
    for _ in range(20):
        listener = Listener(model)
        # Qt deletes its half later; Python collects its own in between.
        listener.deleteLater()
        del listener
    gc.collect()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    model.runs_changed.emit()
    assert len(model.runs_changed) == 0


def test_a_widget_whose_qt_half_has_ended_hears_nothing(qtbot):
    model = ReconstructionModel()
    listener = Listener(model)
    model.runs_changed.emit()
    QObject.deleteLater(listener)
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    model.runs_changed.emit()
    assert listener.heard == 1


def test_memory_and_threads_are_judged_from_the_first_look_on():
    flat = Outcome(1, memory_mb=[900.0, 950.0, 920.0], threads=[["a"], ["a", "b"], ["b"]])
    flat.judge()
    assert flat.faults == []
    growing = Outcome(1, memory_mb=[900.0, 931.0], threads=[["a"], ["a", "a"]])
    growing.judge()
    assert len(growing.faults) == 2
