"""The tour: three clicks on the simulated mouse, offered once, skipped or taken again."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget

from napari_vidrecon.viewer import tour as tours
from napari_vidrecon.viewer.choices import Layout, RunState
from napari_vidrecon.viewer.contributions import commands
from napari_vidrecon.viewer.folders import TOUR, _read, _write
from napari_vidrecon.viewer.main_widget import ReconstructionWidget
from napari_vidrecon.viewer.registry import Workspace, workspace_of
from napari_vidrecon.viewer.tour import TourBar


def press(control) -> None:
    QTest.mouseClick(control, Qt.MouseButton.LeftButton)


@pytest.fixture
def workspace(docked: Callable[..., ReconstructionWidget], make_model, small_session_folder, monkeypatch) -> Workspace:
    """Of a window that is opened for the first time, where the small session is the sample."""
    _write({name: kept for name, kept in _read().items() if name != TOUR})
    monkeypatch.setattr(tours, "find_sample", lambda: SimpleNamespace(session=small_session_folder))
    monkeypatch.setattr(tours, "open_sample", make_model)
    return workspace_of(docked(filled=False).board.viewer)


def test_three_clicks_lead_from_an_empty_window_to_two_runs_side_by_side(qtbot: QtBot, workspace: Workspace) -> None:
    model, tour = workspace.model, workspace.tour
    assert not tour.isHidden()
    press(tour.next_button)
    assert not tour.next_button.isEnabled()
    qtbot.waitUntil(lambda: model.state is RunState.DONE, timeout=60_000)
    press(tour.next_button)
    qtbot.waitUntil(lambda: model.state is RunState.DONE and len(model.runs) == 2, timeout=60_000)
    assert 0 < model.runs[1].result.keep.sum() < model.runs[0].result.keep.sum()
    press(tour.next_button)
    assert (model.layout, model.shown, model.compared) == (Layout.COMPARE, model.runs[1], model.runs[0])
    press(tour.next_button)
    assert tour.isHidden()
    # It is away for good, until it is asked for; then it can be skipped.
    assert TourBar(model, workspace.controller, tour.parent()).isHidden()
    commands.begin_tour(workspace.board.viewer)
    assert not tour.isHidden()
    press(tour.skip_button)
    assert tour.isHidden()


@pytest.mark.long
def test_who_opens_data_is_left_alone_and_finds_start_where_it_was(
    qtbot: QtBot, workspace: Workspace, make_model
) -> None:
    window = workspace.tour.parent()
    start = window.findChild(QWidget, "start")
    window.show()
    qtbot.waitExposed(window)
    QTest.qWait(200)
    assert workspace.tour.isVisible()
    before = start.mapTo(window, start.rect().center())
    make_model(workspace.model)
    assert workspace.tour.isHidden()
    QTest.qWait(200)
    assert start.mapTo(window, start.rect().center()).y() == before.y()
