"""Napari's layer list rests while frames go by."""

from __future__ import annotations

import numpy as np
import pytest
from napari._qt.layer_controls.qt_layer_controls_container import QtLayerControlsContainer
from napari.components import ViewerModel
from napari.settings import get_settings
from qtpy.QtWidgets import QAbstractItemView, QApplication, QDockWidget, QScrollBar, QStackedWidget, QWidget

from napari_vidrecon.viewer.board import Board
from napari_vidrecon.viewer.board.camera import LAYER_LIST, LayerListRest
from napari_vidrecon.viewer.choices import Layout
from napari_vidrecon.viewer.faults import Faults
from napari_vidrecon.viewer.main_window import main_window_of, sliders_of
from napari_vidrecon.viewer.model import RunState
from napari_vidrecon.viewer.record import RunRecord


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((9, 4, 4), np.float32))
    return viewer


def layer_list(viewer) -> QAbstractItemView:
    return main_window_of(viewer).findChild(QDockWidget, LAYER_LIST).findChild(QAbstractItemView)


def test_the_list_rests_while_the_slider_moves_and_wakes_after(viewer, qtbot) -> None:
    rest = LayerListRest(viewer, Faults(print))
    assert layer_list(viewer).updatesEnabled()
    viewer.dims.set_current_step(0, 5)
    assert not layer_list(viewer).updatesEnabled()
    qtbot.waitUntil(lambda: layer_list(viewer).updatesEnabled(), timeout=3000)
    rest.close()


def test_the_list_does_not_rest_again_before_it_is_painted_or_its_place_would_stay_empty(
    make_napari_viewer, qtbot
) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.zeros((9, 4, 5)))
    rest = LayerListRest(viewer, Faults(print))
    qtbot.wait(300)
    rest.begin()
    assert not layer_list(viewer).updatesEnabled()
    rest.end()
    rest.begin()
    assert layer_list(viewer).updatesEnabled()
    qtbot.waitUntil(lambda: rest._owed.painted, timeout=10_000)
    rest.begin()
    assert not layer_list(viewer).updatesEnabled()
    rest.close()


def test_a_closed_board_leaves_the_list_awake(viewer) -> None:
    rest = LayerListRest(viewer, Faults(print))
    viewer.dims.set_current_step(0, 5)
    rest.close()
    assert layer_list(viewer).updatesEnabled()
    viewer.dims.set_current_step(0, 6)
    assert layer_list(viewer).updatesEnabled()


def test_a_viewer_without_a_window_has_no_list_to_calm() -> None:
    viewer = ViewerModel()
    viewer.add_image(np.zeros((9, 4, 4), np.float32))
    rest = LayerListRest(viewer, Faults(print))
    viewer.dims.set_current_step(0, 5)
    assert viewer.dims.current_step[0] == 5
    rest.close()


def rows_seen(viewer) -> list[str]:
    view = layer_list(viewer)
    names = (view.model().index(row, 0).data() for row in range(view.model().rowCount()) if not view.isRowHidden(row))
    return list(names)


@pytest.mark.window
def test_the_list_holds_what_a_person_may_style_and_nothing_else(make_napari_viewer, small_model, qtbot) -> None:
    viewer = make_napari_viewer()
    board = Board(viewer, small_model)
    own = viewer.add_points(np.zeros((1, 2)), name="own")
    four = {"stimulus", "reconstruction", "error", "mask"}
    qtbot.waitUntil(lambda: set(rows_seen(viewer)) == {"own", *four}, timeout=3000)
    viewer.layers.move(viewer.layers.index(own), 0)
    viewer.layers.remove(board.layer("error_map"))
    qtbot.waitUntil(lambda: set(rows_seen(viewer)) == {"own", *four} - {"error"}, timeout=3000)
    small_model.set_view(layout=Layout.EXPLAIN)
    activity = {"recorded activity", "predicted activity", "activity difference"}
    qtbot.waitUntil(lambda: set(rows_seen(viewer)) == {"own", *four, *activity}, timeout=3000)
    board.close()


@pytest.mark.window
def test_the_tile_of_the_run_before_comes_and_goes_without_the_frame_being_looked_for_anew(
    make_napari_viewer, small_model, small_result
) -> None:
    viewer = make_napari_viewer()
    board = Board(viewer, small_model)
    small_model.add_run(RunRecord("Run 1", small_result, small_model.recipe()))
    small_model.set_state(RunState.RUNNING)
    small_model.set_state(RunState.DONE)
    viewer.dims.set_current_step(0, 3)
    looked: list[object] = []
    viewer.dims.events.point.connect(looked.append)
    for state in (RunState.RUNNING, RunState.DONE):
        before = viewer.dims.nsteps
        small_model.set_state(state)
        assert viewer.dims.nsteps != before
        assert viewer.dims.current_step[0] == 3
        found = [bar for dims in sliders_of(main_window_of(viewer)) for bar in dims.findChildren(QScrollBar)]
        sliders = {bar.parent().axis: bar for bar in found if hasattr(bar.parent(), "axis")}
        assert [sliders[axis].value() for axis in range(3)] == list(viewer.dims.current_step)
        assert not any(bar.signalsBlocked() for bar in sliders.values())
    assert not looked
    board.close()


@pytest.mark.window
def test_no_layer_of_the_board_comes_or_goes_while_napari_takes_in_a_persons(make_napari_viewer, small_model) -> None:
    viewer = make_napari_viewer()
    board = Board(viewer, small_model)
    rows, told = layer_list(viewer).model().sourceModel(), []
    for signal in (rows.rowsAboutToBeInserted, rows.rowsAboutToBeRemoved):
        signal.connect(lambda *_: told.append("begins"))
    for signal in (rows.rowsInserted, rows.rowsRemoved):
        signal.connect(lambda *_: told.append("ends"))
    # As the slider of a fourth axis does, which napari puts below the canvas before its list has the new row.
    viewer.dims.events.ndim.connect(lambda: setattr(viewer.canvas, "size", (90, 700)))
    viewer.canvas.size = (600, 700)
    QApplication.processEvents()
    assert board.layer("correlation_strip") is not None
    told.clear()
    viewer.add_image(np.zeros((3, 40, 4, 4), np.float32), name="own")
    QApplication.processEvents()
    assert board.layer("correlation_strip") is None
    assert len(told) > 2
    assert told[::2] == ["begins"] * (len(told) // 2)
    assert told[1::2] == ["ends"] * (len(told) // 2)
    assert layer_list(viewer).model().rowCount() == rows.rowCount() == len(viewer.layers)
    board.close()


@pytest.mark.window
@pytest.mark.long
def test_no_layer_of_the_board_comes_while_napari_goes_from_the_controls_of_many_layers_to_those_of_one(
    make_napari_viewer, small_model, monkeypatch
) -> None:
    viewer = make_napari_viewer()
    board = Board(viewer, small_model)
    viewer.canvas.size = (90, 700)
    QApplication.processEvents()
    assert board.layer("correlation_strip") is None
    controls = main_window_of(viewer).findChild(QtLayerControlsContainer)

    def remove(panel: QWidget) -> None:
        # As a dock does that becomes lower when the panel goes.
        viewer.canvas.size = (600, 700)
        QStackedWidget.removeWidget(controls, panel)

    chosen = [board.layer("stimulus"), board.layer("mask")]
    viewer.layers.selection = set(chosen)
    monkeypatch.setattr(controls, "removeWidget", remove)
    viewer.layers.selection.active = chosen[0]
    assert controls.currentWidget() is controls.widgets[chosen[0]]
    QApplication.processEvents()
    assert board.layer("correlation_strip") is not None
    assert viewer.layers.selection.active is chosen[0]
    board.close()


@pytest.mark.window
@pytest.mark.long
def test_a_layer_of_the_board_goes_after_the_persons_that_napari_lets_go(make_napari_viewer, small_model) -> None:
    viewer = make_napari_viewer()
    board = Board(viewer, small_model)
    own = viewer.add_points(np.zeros((1, 2)), name="own")
    others = [layer for layer in viewer.layers if layer is not own]
    viewer.layers.events.removing.connect(lambda: board.layers.remove("mask"))
    viewer.layers.remove(own)
    assert own not in viewer.layers
    assert board.layer("mask") is None
    assert len(viewer.layers) == len(others) - 1
    board.close()


@pytest.mark.window
@pytest.mark.long
def test_captions_come_and_go_where_napari_slices_in_threads_of_its_own(
    make_napari_viewer, small_model, qtbot, monkeypatch
) -> None:
    viewer = make_napari_viewer()
    monkeypatch.setattr(get_settings().experimental, "async_", True)
    board, told = Board(viewer, small_model), []
    small_model.message.connect(lambda text, _is_error: told.append(text))
    for size in ((600, 700), (90, 700), (600, 700)):
        viewer.canvas.size = size
        qtbot.waitUntil(lambda: board.layer("captions").loaded)
    assert told == []
    board.close()
