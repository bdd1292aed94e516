"""The board in a viewer that is turned to three dimensions."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_vidrecon.viewer.board import Board, captions
from napari_vidrecon.viewer.board.camera import TOLD_OF_ORDER
from napari_vidrecon.viewer.board.layers import Role
from napari_vidrecon.viewer.choices import Layout
from napari_vidrecon.viewer.model import ErrorMode


@pytest.fixture
def board(qtbot, small_model):
    made = Board(ViewerModel(), small_model)
    yield made
    made.close()


def seen(board: Board) -> set[str]:
    return {str(layer.metadata["vidrecon_role"]) for layer in board.layers.ours() if layer.visible}


def test_in_three_dimensions_it_is_put_aside_and_comes_back_as_it_was(board):
    board.layer("mask").visible = False
    before, said = seen(board), []
    board.model.message.connect(lambda text, _is_error: said.append(text))
    theirs = board.viewer.add_points([[0.0, 0.0, 0.0]])
    board.viewer.dims.ndisplay = 3
    assert seen(board) == set()
    assert theirs.visible
    assert len(said) == 1
    board.viewer.dims.ndisplay = 2
    assert seen(board) == before


def test_what_is_made_or_called_for_in_three_dimensions_waits_for_two(board):
    before = seen(board)
    board.viewer.dims.ndisplay = 3
    board.viewer.layers.clear()
    board.model.set_trial(0, 0, 40)
    board.model.set_view(error_mode=ErrorMode.NONE)
    board.model.set_view(error_mode=ErrorMode.STIMULUS)
    board.model.set_view(blinking=True)
    assert seen(board) == set()
    board.viewer.dims.ndisplay = 2
    assert before <= seen(board)


def test_brush_and_pen_are_lent_in_two_dimensions_and_laid_down_in_three(board):
    board.viewer.dims.ndisplay = 3
    brush = board.begin_painting()
    assert board.viewer.dims.ndisplay == 2
    assert brush.mode == "paint"
    board.viewer.dims.ndisplay = 3
    assert brush.mode == "pan_zoom"
    board.draw_region()
    assert board.viewer.dims.ndisplay == 2
    assert board.layer(Role.REGION) is not None


def test_the_grid_fits_the_view_beside_a_layer_of_more_dimensions(board, expected_faults):
    board.viewer.add_image(np.zeros((2, 3, 9, 7), np.float32))
    board.viewer.dims.roll()
    board.model.set_view(grid=True)
    board.reset_view()
    assert expected_faults() == []


@pytest.mark.window
def test_captions_of_a_shorter_clip_can_be_written_while_they_are_hidden(
    make_napari_viewer_proxy, small_model, expected_faults
):
    board = Board(make_napari_viewer_proxy(), small_model)
    small_model.set_trial(0, 0, 35)
    before = len(board.layer(Role.CAPTIONS).data)
    board.viewer.dims.ndisplay = 3
    small_model.set_trial(0, 0, 45)
    assert len(board.layer(Role.CAPTIONS).data) == before
    captions.write(board.layers, [], "white")
    board.viewer.dims.ndisplay = 2
    captions.write(board.layers, [], "white")
    assert set(board.layer(Role.CAPTIONS).features["caption"]) == {captions.NOTHING}
    assert expected_faults() == []
    board.close()


def test_captions_asked_for_while_napari_takes_in_another_layer_are_made_after_it(board):
    viewer, meanwhile = board.viewer, []

    def ask() -> None:
        viewer.theme = "light"
        meanwhile.append(board.layer(Role.CAPTIONS))

    viewer.layers.remove(board.layer(Role.CAPTIONS))
    viewer.layers.events.inserted.connect(ask, position="first")
    viewer.add_points([[0.0, 0.0, 0.0]])
    assert meanwhile[0] is None
    assert board.layer(Role.CAPTIONS) is viewer.layers[-1]


def test_the_boards_layers_are_hidden_while_napari_rolls_its_axes_and_it_is_said_how_they_come_back(board):
    said, before = [], seen(board)
    board.model.message.connect(lambda text, _is_error: said.append(text))
    dims = board.viewer.dims
    for _ in range(2):
        dims.roll()
        assert seen(board) == set()
    assert said == [TOLD_OF_ORDER]
    board.model.set_trial(0, 0, 40)
    assert seen(board) == set()
    dims.roll()
    assert before <= seen(board)
    dims.transpose()
    assert seen(board) == set()
    board.begin_painting()
    assert before <= seen(board)


def test_napari_s_own_button_for_the_grid_asks_for_that_of_the_board(board, qtbot):
    grid, model = board.viewer.canvas.grid, board.model
    for on in (True, False, True):
        grid.enabled = on
        qtbot.waitUntil(lambda wanted=on: model.grid == wanted)
        assert (model.grid, board.grid.on, board.layout.gridded) == (on, on, on)
    model.set_view(layout=Layout.EXPLAIN)
    model.set_trial(0, 0, 40)
    assert model.grid
    assert grid.enabled
    model.set_view(grid=False)
    assert not grid.enabled
