"""Receptive fields in the window: mapped in the background, shown over the stimulus where a person clicks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Shapes
from pytestqt.qtbot import QtBot

from napari_vidrecon.analysis.receptive_field_mapping import MappingRecipe
from napari_vidrecon.analysis.receptive_fields import ReceptiveFieldMaps
from napari_vidrecon.errors import StorageError
from napari_vidrecon.sessions.stimuli.synthetic import OnOffPatches
from napari_vidrecon.viewer.background import Counted
from napari_vidrecon.viewer.board import Board
from napari_vidrecon.viewer.board.pointing import Pointing
from napari_vidrecon.viewer.model import Layout, ReconstructionModel
from napari_vidrecon.viewer.panels.neuron_panel import ReceptiveFieldPanel
from napari_vidrecon.viewer.receptive_fields import FieldMappingController, ReceptiveFieldChoice, ReceptiveFieldTile
from napari_vidrecon.viewer.tooltips import TOOLTIPS

NEURONS = 20
COARSE = MappingRecipe(patch_px=12)
SILENT = NEURONS - 1


def known_maps(neurons: int = NEURONS) -> ReceptiveFieldMaps:
    """Even neurons like light, odd ones dark; their fields lie on a line across the screen; the last is silent."""
    rows, columns = np.mgrid[:36, :64]
    places = np.linspace(10, 54, neurons)[:, None, None]
    fields = np.exp(-0.5 * ((rows - 15) ** 2 + (columns - places) ** 2) / 3.0**2)
    fields[-1] = 0
    light = (np.arange(neurons) % 2 == 0)[:, None, None]
    return ReceptiveFieldMaps(fields * light, fields * ~light, OnOffPatches(), {"session": "known"})


@pytest.fixture
def fields(small_model: ReconstructionModel) -> ReceptiveFieldChoice:
    return ReceptiveFieldChoice(small_model)


@pytest.fixture
def board(small_model: ReconstructionModel) -> Iterator[Board]:
    small_model.set_view(layout=Layout.EXPLAIN)
    made = Board(ViewerModel(), small_model)
    yield made
    made.close()


@pytest.fixture
def pointing(board: Board) -> Iterator[Pointing]:
    made = Pointing(board)
    yield made
    made.close()


@pytest.fixture
def tile(board: Board, pointing: Pointing, fields: ReceptiveFieldChoice) -> Iterator[ReceptiveFieldTile]:
    made = ReceptiveFieldTile(board, pointing, fields)
    yield made
    made.close()


def click(board: Board, row: int, frame: int) -> None:
    """Press and release on the recorded raster."""
    position = (0.0, *board.layer("recorded_activity").data_to_world((row, frame)))
    event = SimpleNamespace(position=position, pos=np.zeros(2), modifiers=(), type="mouse_press")
    (press,) = (
        each for each in board.viewer.mouse_drag_callbacks if each.__qualname__ == Pointing.on_press.__qualname__
    )
    gesture = press(board.viewer, event)
    next(gesture)
    event.type = "mouse_release"
    next(gesture, None)


def test_clicking_a_row_shows_the_field_of_its_neuron_over_the_stimulus(
    board: Board, fields: ReceptiveFieldChoice, tile: ReceptiveFieldTile
) -> None:
    fields.take(known_maps())
    active = board.viewer.layers.selection.active
    assert board.layer("receptive_field") is None
    click(board, 4, 7)
    neuron = int(board.activity.rows.neurons(4)[0])
    assert fields.neurons.tolist() == [neuron]
    layer = board.layer("receptive_field")
    assert isinstance(layer, Image)
    np.testing.assert_allclose(layer.data, fields.maps.difference(np.array([neuron]))[0], atol=1e-6)
    assert layer.contrast_limits == [-1, 1]
    # Where there is no field, the stimulus is seen as it is.
    assert layer.colormap.map(np.array([0.5]))[0, 3] == pytest.approx(0, abs=0.01)
    stimulus = board.layer("stimulus")
    np.testing.assert_allclose(layer.data_to_world((0, 0)), stimulus.data_to_world((0, 0, 0))[1:])
    np.testing.assert_allclose(layer.data_to_world((35, 63)), stimulus.data_to_world((0, 35, 63))[1:])
    assert board.viewer.layers.selection.active is active
    assert board.viewer.dims.current_step[0] == 7


def test_the_outline_of_the_fit_lies_around_the_centre_of_the_field(
    board: Board, fields: ReceptiveFieldChoice, tile: ReceptiveFieldTile
) -> None:
    fields.take(known_maps())
    fields.choose([2])
    outline = board.layer("receptive_field_outline")
    assert isinstance(outline, Shapes)
    (path,) = outline.data
    centre = np.linspace(10, 54, NEURONS)[2]
    np.testing.assert_allclose(path[:-1].mean(axis=0), [15, centre], atol=0.2)
    assert np.ptp(path[:, 0]) == pytest.approx(2.3548 * 3, rel=0.15)
    stimulus = board.layer("stimulus")
    np.testing.assert_allclose(outline.data_to_world((15, 20)), stimulus.data_to_world((0, 15, 20))[1:])
    fields.choose([SILENT])
    assert not board.layer("receptive_field_outline").data
    assert not board.layer("receptive_field").data.any()


def test_another_neuron_is_drawn_into_the_same_layer_and_none_takes_it_away(
    board: Board, fields: ReceptiveFieldChoice, tile: ReceptiveFieldTile
) -> None:
    fields.take(known_maps())
    fields.choose([0])
    layer = board.layer("receptive_field")
    assert layer.data.max() == 1
    fields.choose([1])
    assert board.layer("receptive_field") is layer
    assert layer.data.min() == -1
    assert len(board.layers.all_of("receptive_field_outline")) == 1
    fields.choose(())
    assert board.layer("receptive_field") is None
    assert board.layer("receptive_field_outline") is None


def test_a_deleted_layer_comes_back_and_the_grid_does_without(
    board: Board, fields: ReceptiveFieldChoice, tile: ReceptiveFieldTile, small_model: ReconstructionModel
) -> None:
    fields.take(known_maps())
    fields.choose([0])
    board.viewer.layers.remove(board.layer("receptive_field"))
    small_model.set_view(grid=True)
    assert board.layer("receptive_field_outline") is None
    small_model.set_view(grid=False)
    assert board.layer("receptive_field") is not None


def test_a_click_without_maps_only_goes_to_its_time(
    board: Board, fields: ReceptiveFieldChoice, tile: ReceptiveFieldTile
) -> None:
    click(board, 4, 7)
    assert board.layer("receptive_field") is None
    assert board.viewer.dims.current_step[0] == 7


def test_clicking_a_cell_shows_its_field(
    board: Board, fields: ReceptiveFieldChoice, tile: ReceptiveFieldTile, small_model: ReconstructionModel, qtbot: QtBot
) -> None:
    cells = board.show_cells()
    qtbot.waitUntil(lambda: cells.loaded, timeout=10_000)
    scene = board.cells.scene
    told: list[str] = []
    small_model.message.connect(lambda text, _error: told.append(text))

    def press(drag_px: float = 0.0) -> None:
        event = SimpleNamespace(
            position=tuple(cells.data[3]), pos=np.zeros(2), modifiers=(), type="mouse_press",
            view_direction=np.array([1.0, 0.0, 0.0]), dims_displayed=[0, 1, 2],
        )  # fmt: skip
        gesture = board.cells.on_press(scene, event)
        next(gesture)
        event.pos, event.type = np.full(2, drag_px), "mouse_move"
        next(gesture, None)
        event.type = "mouse_release"
        next(gesture, None)

    press()
    assert "map its receptive field" in told[-1]
    fields.take(known_maps())
    press(drag_px=50.0)
    assert not len(fields.neurons)
    press()
    (hit,) = fields.neurons
    # Seen along the depth, another cell may lie in front; it is then at the same place.
    np.testing.assert_allclose(cells.data[hit][1:], cells.data[3][1:], atol=9)
    assert board.layer("receptive_field") is not None


def test_fields_are_mapped_in_the_background_and_can_be_stopped(
    qtbot, fields: ReceptiveFieldChoice, small_model: ReconstructionModel
) -> None:
    mapping, told = FieldMappingController(fields), []
    mapping.changed.connect(lambda: told.append(mapping.counted))
    mapping.start(COARSE)
    qtbot.waitUntil(lambda: not mapping.busy, timeout=60_000)
    assert told[0] == Counted(0, 36)
    assert told[-1] is None
    assert len(fields.maps) == NEURONS
    before = fields.maps
    mapping.start(MappingRecipe(patch_px=1, window_stride=1))
    mapping.stop()
    assert mapping.wait()
    assert fields.maps is before
    assert mapping.counted is None


def test_a_mapping_without_an_encoder_says_what_is_missing(
    qtbot, fields: ReceptiveFieldChoice, small_model: ReconstructionModel
) -> None:
    told: list[str] = []
    small_model.message.connect(lambda text, _error: told.append(text))
    small_model.set_encoders([])
    FieldMappingController(fields).start(COARSE)
    assert "choose an encoder first" in told[-1]


def test_the_panel_saves_and_loads_and_tells(
    qtbot, fields: ReceptiveFieldChoice, small_model: ReconstructionModel, tmp_path: Path
) -> None:
    panel = ReceptiveFieldPanel(fields, FieldMappingController(fields))
    qtbot.addWidget(panel)
    assert not panel.save_button.isEnabled()
    assert panel.summary.text() == "Not mapped yet."
    fields.take(known_maps())
    assert f"{NEURONS - 1} of {NEURONS} neurons respond" in panel.summary.text()
    assert "Click a row" in panel.told.text()
    panel.neuron.setValue(4)
    assert fields.neurons.tolist() == [4]
    assert panel.told.text().startswith("Neuron 4: ")
    panel.neuron.setValue(SILENT)
    assert "does not respond" in panel.told.text()
    panel.save(tmp_path / "rf.npz")
    panel.hide_button.click()
    assert not len(fields.neurons)
    small_model.session_changed.emit()
    assert fields.maps is None
    panel.load(tmp_path / "rf.npz")
    assert len(fields.maps) == NEURONS
    told: list[str] = []
    small_model.message.connect(lambda text, _error: told.append(text))
    panel.load(tmp_path / "nothing.npz")
    assert "nothing there" in told[-1]
    assert len(fields.maps) == NEURONS


def test_maps_of_another_number_of_neurons_are_refused(fields: ReceptiveFieldChoice) -> None:
    with pytest.raises(StorageError, match=r"rf\.npz: expected receptive fields of 20 neurons.*found 7"):
        fields.take(known_maps(7), "rf.npz")


def test_a_row_of_many_neurons_shows_their_mean(fields: ReceptiveFieldChoice) -> None:
    fields.take(known_maps())
    fields.choose([0, 1, 2])
    np.testing.assert_allclose(fields.field(), fields.maps.difference(np.arange(3)).mean(axis=0), atol=1e-6)
    assert len(fields.outlines()) == 3
    assert "3 neurons" in fields.chosen_in_words()


def test_every_control_of_the_panel_says_what_it_does(qtbot, fields: ReceptiveFieldChoice) -> None:
    panel = ReceptiveFieldPanel(fields, FieldMappingController(fields))
    qtbot.addWidget(panel)
    controls = (
        panel.preset, panel.map_button, panel.mapping_bar.stop_button, panel.mapping_bar.bar, panel.load_button,
        panel.save_button, panel.neuron, panel.hide_button,
    )  # fmt: skip
    assert all(TOOLTIPS[control.objectName()] in control.toolTip() for control in controls)
