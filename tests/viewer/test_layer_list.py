"""Napari's layer list rests while frames go by."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QAbstractItemView, QDockWidget

from napari_vidrecon.viewer.board.layer_list import LAYER_LIST, LayerListRest
from napari_vidrecon.viewer.faults import Faults
from napari_vidrecon.viewer.main_window import main_window_of


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
