"""The board follows the model: roles, tiles, errors, rasters, live updates, survival of what a person does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from app_model.types import KeyBinding
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points, Shapes
from napari.utils.colormaps import DirectLabelColormap, ensure_colormap
from napari.utils.colormaps.standardize_color import transform_color
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QApplication

from napari_vidrecon.analysis import raster_order
from napari_vidrecon.analysis.error_maps import lost_map
from napari_vidrecon.analysis.excess import Added
from napari_vidrecon.analysis.postprocess import Outside, Presentation, ShowAs, smooth
from napari_vidrecon.reconstruction.history import History
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.reconstructor import StepInfo
from napari_vidrecon.reconstruction.results import Reconstruction
from napari_vidrecon.reconstruction.runner import Snapshot
from napari_vidrecon.reconstruction.targets import NeuronSet
from napari_vidrecon.sessions.session import open_session
from napari_vidrecon.viewer.board import Board
from napari_vidrecon.viewer.board.arranging import arranged
from napari_vidrecon.viewer.board.board import NEEDED
from napari_vidrecon.viewer.board.captions import LETTER_PX, fitted, least_titles, ticks
from napari_vidrecon.viewer.board.cells import BY_COLUMN, BY_EXPLAINED, BY_ROW, CHOSEN_COLOUR, cells_inside
from napari_vidrecon.viewer.board.explained import BELOW_CURVE_COLOUR, CURVE_COLOUR
from napari_vidrecon.viewer.board.layers import ROLE_KEY, Role
from napari_vidrecon.viewer.board.movies import briefly_named
from napari_vidrecon.viewer.board.outlines import bar_box, contours
from napari_vidrecon.viewer.board.pointing import Pointing
from napari_vidrecon.viewer.board.rasters import neuron_spread
from napari_vidrecon.viewer.board.tiles import Box, Clip
from napari_vidrecon.viewer.exports import shown_movie
from napari_vidrecon.viewer.main_window import frame_count, go_to_frame, present_frame
from napari_vidrecon.viewer.model import (
    ActivityMode,
    ErrorMode,
    Layout,
    RasterOrder,
    ReconstructionModel,
    RunRecord,
    RunState,
)
from napari_vidrecon.viewer.pulls import PixelPulls
from napari_vidrecon.viewer.under_mouse import Readout

FRAMES, NEURONS = 48, 20
PROMISED_ROLES = (
    "stimulus",
    "reconstruction",
    "error_map",
    "mask",
    "recorded_activity",
    "predicted_activity",
    "activity_difference",
    "now",
)


WIDE_CANVAS = (900, 1900)
"""Movies in a row above the rasters, with room for every word."""


def wide_viewer() -> ViewerModel:
    viewer = ViewerModel()
    viewer.canvas.size = WIDE_CANVAS
    return viewer


def shown_picture(board: Board, role: str) -> np.ndarray:
    """What napari hands to the screen of a layer: the slice it took, as it is now."""
    return np.array(image(board, role)._data_view)


@pytest.fixture
def model(small_session_folder: Path, disc_mask: AlphaMask) -> ReconstructionModel:
    model = ReconstructionModel()
    model.set_session(open_session(small_session_folder))
    model.set_mask(disc_mask)
    model.set_thresholds(0.4, 0.6)
    model.set_view(layout=Layout.EXPLAIN)
    model.set_trial(0, 0, FRAMES)
    return model


@pytest.fixture(scope="module")
def kept_viewer() -> ViewerModel:
    return ViewerModel()


@pytest.fixture
def board(kept_viewer: ViewerModel, model: ReconstructionModel) -> Iterator[Board]:
    """A board that takes over the layers of the test before, if that left them as new: making them takes longest."""
    kept_viewer.canvas.size = WIDE_CANVAS
    board = Board(kept_viewer, model)
    yield board
    board.close()
    kept_viewer.mouse_over_canvas = False
    kept_viewer.canvas.grid.enabled = False
    as_new = {"activity_difference": False}
    found = {layer.metadata.get(ROLE_KEY, ""): layer for layer in kept_viewer.layers}
    if tuple(role for role in found if role != Role.LEGEND) != NEEDED or any(
        layer.visible != as_new.get(role, True) or layer.name == "my favourite" for role, layer in found.items()
    ):
        kept_viewer.layers.clear()


@pytest.fixture
def make_record(model: ReconstructionModel) -> Callable[..., RunRecord]:
    def make(name: str, seed: int, target: str = "recorded") -> RunRecord:
        assert model.trial is not None
        assert model.neurons is not None
        random = np.random.default_rng(seed)
        result = Reconstruction(
            video=random.uniform(0, 255, model.trial.video.shape).astype(np.float32),
            history=History(),
            config=model.config,
            provenance={},
            stimulus=model.trial.video,
            target=model.trial.responses,
            keep=model.neurons.keep,
            alpha=model.mask.alpha,
            predicted_activity=random.gamma(1.0, 1.0, model.trial.responses.shape).astype(np.float32),
        )
        return RunRecord(name, result, model.recipe().changed(target=target))

    return make


@pytest.fixture
def snapshot(model: ReconstructionModel) -> Snapshot:
    assert model.trial is not None
    random = np.random.default_rng(8)
    video = random.uniform(0, 255, model.trial.video.shape).astype(np.float32)
    activity = random.gamma(1.0, 1.0, model.trial.responses.shape).astype(np.float32)
    activity[3] = np.nan
    return Snapshot(StepInfo(1, 9, 1.0, 0.1), video, History(), 1.0, 1.0, activity)


def image(board: Board, role: str) -> Image:
    layer = board.layer(role)
    assert isinstance(layer, Image)
    return layer


def written(board: Board) -> list[str]:
    captions = board.layer("captions")
    assert isinstance(captions, Points)
    return list(captions.features["caption"])


def evaluated(model: ReconstructionModel) -> np.ndarray:
    return model.mask.binary(model.evaluation_threshold)


# Building


def test_every_promised_role_is_there_with_the_clip_in_it(board: Board, model: ReconstructionModel) -> None:
    assert model.trial is not None
    assert all(board.layer(role) is not None for role in PROMISED_ROLES)
    np.testing.assert_array_equal(image(board, "stimulus").data, model.trial.video)
    assert np.ptp(image(board, "reconstruction").data) == 0


def test_time_is_in_seconds_and_the_screen_in_degrees(board: Board) -> None:
    stimulus = image(board, "stimulus")
    assert [str(unit) for unit in stimulus.units] == ["second", "degree", "degree"]
    np.testing.assert_allclose(stimulus.scale, [1 / 30, 3.368, 3.368], rtol=1e-3)
    assert board.viewer.dims.nsteps[0] == FRAMES
    units = {str(layer.units[-1]) for layer in board.viewer.layers}
    assert units == {"degree"}


def test_without_a_known_screen_the_unit_is_the_pixel(model: ReconstructionModel) -> None:
    assert model.session is not None
    model.session = SimpleNamespace(screen=None, coordinates=None, name="unknown", path="")  # type: ignore[assignment]
    stimulus = image(Board(ViewerModel(), model), "stimulus")
    assert [str(unit) for unit in stimulus.units] == ["second", "pixel", "pixel"]
    assert stimulus.scale[1] == 1.0


def test_tiles_do_not_touch_and_the_error_lies_on_its_base(board: Board) -> None:
    spans = {role: image(board, role).extent.world for role in ("stimulus", "reconstruction", "error_map")}
    assert spans["stimulus"][1][2] < spans["reconstruction"][0][2]
    assert spans["reconstruction"][1][2] < spans["error_map"][0][2]
    np.testing.assert_allclose(spans["error_map"][:, 1:], image(board, "error_base").extent.world)
    recorded, predicted = (image(board, role).extent.world for role in ("recorded_activity", "predicted_activity"))
    assert recorded[1][1] < predicted[0][1]
    assert recorded[0][0] > spans["stimulus"][1][1]


def test_the_time_line_meets_the_same_frame_in_both_rasters(board: Board) -> None:
    now = image(board, "now")
    for frame in (0, 17, FRAMES - 1):
        board.viewer.dims.set_current_step(0, frame)
        marks = np.flatnonzero(now.data[0])
        places = [now.data_to_world((0, mark))[1] for mark in marks]
        columns = [
            image(board, role).world_to_data((0.0, place))[1]
            for role, place in zip(("recorded_activity", "predicted_activity"), places, strict=True)
        ]
        np.testing.assert_allclose(columns, frame, atol=0.05)


def test_the_slider_reaches_the_last_frame_at_a_rate_whose_frames_are_no_round_numbers(
    model: ReconstructionModel,
) -> None:
    assert model.trial is not None
    last = FRAMES - 1
    rate_hz = next(rate for rate in np.arange(7.0, 99.0, 0.1) if int(last * (1 / rate) / (1 / rate)) < last)
    object.__setattr__(model.trial, "frame_rate_hz", float(rate_hz))
    viewer = Board(wide_viewer(), model).viewer
    assert viewer.dims.nsteps[0] == FRAMES


def test_a_simulated_mouse_is_called_so(model: ReconstructionModel) -> None:
    assert model.trial is not None
    object.__setattr__(model.trial, "simulated", True)
    assert written(Board(wide_viewer(), model))[0].startswith("Simulated mouse")


def test_withheld_activity_is_said_to_be_withheld(model: ReconstructionModel) -> None:
    board = Board(wide_viewer(), model)
    model.set_trial(3)
    assert "Recorded activity: withheld" in written(board)
    assert not image(board, "recorded_activity").data.any()


# Following the model


def test_a_live_snapshot_is_written_into_the_arrays_on_display(
    board: Board, model: ReconstructionModel, snapshot: Snapshot
) -> None:
    assert model.trial is not None
    arrays = {role: image(board, role).data for role in ("reconstruction", "error_map", "predicted_activity")}
    model.set_state(RunState.RUNNING)
    model.take_snapshot(snapshot)
    assert all(image(board, role).data is array for role, array in arrays.items())
    np.testing.assert_array_equal(arrays["reconstruction"], snapshot.video)
    inside = evaluated(model)
    np.testing.assert_allclose(arrays["error_map"], (snapshot.video - model.trial.video) * inside, atol=1e-4)
    assert np.isfinite(arrays["predicted_activity"]).all()
    assert arrays["predicted_activity"].any()


def test_the_snapshot_is_copied_so_that_nobody_shares_it(
    board: Board, model: ReconstructionModel, snapshot: Snapshot
) -> None:
    model.set_state(RunState.RUNNING)
    model.take_snapshot(snapshot)
    assert not np.shares_memory(image(board, "reconstruction").data, snapshot.video)


def test_the_error_from_predicted_activity_is_taken_as_published(
    board: Board, model: ReconstructionModel, make_record: Callable[..., RunRecord]
) -> None:
    expected, shown = make_record("expected", 1, "predicted"), make_record("shown", 2)
    model.set_view(error_mode=ErrorMode.PREDICTED)
    model.add_run(shown)
    assert any(text.startswith("No run from predicted") for text in written(board))
    assert not np.asarray(image(board, "error_map").data).any()
    model.add_run(expected, show=False)
    difference = smooth(shown.result.video) - smooth(expected.result.video)
    np.testing.assert_allclose(image(board, "error_map").data, difference * evaluated(model), atol=1e-2)
    model.show_run(expected)
    np.testing.assert_allclose(image(board, "error_map").data, difference * evaluated(model), atol=1e-2)


def test_the_magnitude_of_the_error_has_its_own_colours(
    board: Board, model: ReconstructionModel, make_record: Callable[..., RunRecord]
) -> None:
    model.add_run(make_record("one", 1))
    signed = np.asarray(image(board, "error_map").data)
    low, high = image(board, "error_map").contrast_limits
    assert low == -high
    model.set_view(error_signed=False)
    error = image(board, "error_map")
    np.testing.assert_allclose(error.data, np.abs(signed))
    assert error.contrast_limits[0] == 0
    assert error.colormap.map(np.array([0.0]))[0, 3] == 0


def test_no_error_is_clear_and_both_signs_are_opaque(board: Board) -> None:
    colours = image(board, "error_map").colormap.map(np.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(colours[:, 3], [1, 0, 1], atol=1e-6)
    assert colours[0, 2] > colours[0, 0]
    assert colours[2, 0] > colours[2, 2]


def test_the_error_lies_over_the_movie_asked_for(
    board: Board, model: ReconstructionModel, make_record: Callable[..., RunRecord]
) -> None:
    model.add_run(make_record("one", 1))
    base = image(board, "error_base")
    for frame in (0, 5):
        board.viewer.dims.set_current_step(0, frame)
        np.testing.assert_array_equal(base.data, image(board, "stimulus").data[frame])
    model.set_view(error_over="reconstruction")
    np.testing.assert_array_equal(base.data, image(board, "reconstruction").data[5])


def test_what_changes_in_place_reaches_the_screen(board: Board, model: ReconstructionModel, snapshot: Snapshot) -> None:
    board.viewer.dims.set_current_step(0, 7)
    roles = ("reconstruction", "error_map", "predicted_activity", "error_base", "now")
    before = {role: shown_picture(board, role) for role in roles}
    model.set_view(activity_mode=ActivityMode.FROM_RECONSTRUCTION, error_over="reconstruction")
    model.set_state(RunState.RUNNING)
    model.take_snapshot(snapshot)
    for role in roles[:4]:
        assert not np.array_equal(shown_picture(board, role), before[role]), role
    np.testing.assert_array_equal(shown_picture(board, "reconstruction"), image(board, "reconstruction").data[7])
    np.testing.assert_array_equal(shown_picture(board, "error_map"), np.asarray(image(board, "error_map").data)[7])
    board.viewer.dims.set_current_step(0, 8)
    assert not np.array_equal(shown_picture(board, "now"), before["now"])


def test_the_errors_colours_stay_while_a_run_goes_on_and_settle_after(
    board: Board, model: ReconstructionModel, snapshot: Snapshot, make_record: Callable[..., RunRecord]
) -> None:
    before = list(image(board, "error_map").contrast_limits)
    model.set_state(RunState.RUNNING)
    model.take_snapshot(snapshot)
    assert list(image(board, "error_map").contrast_limits) == before
    model.set_state(RunState.DONE)
    model.add_run(make_record("one", 1))
    low, high = image(board, "error_map").contrast_limits
    assert low == -high != before[0]
    assert any(f"+{high:.0f}" in text for text in written(board))


def test_limits_moved_by_hand_stay_symmetric(board: Board) -> None:
    error = image(board, "error_map")
    error.contrast_limits = (-64, 30)
    assert list(error.contrast_limits) == [-30, 30]
    error.contrast_limits = (-90, 30)
    assert list(error.contrast_limits) == [-90, 90]


def test_outlines_and_error_follow_the_thresholds(
    board: Board, model: ReconstructionModel, make_record: Callable[..., RunRecord]
) -> None:
    model.add_run(make_record("one", 1))
    outlines, error = image(board, "mask").data.copy(), np.asarray(image(board, "error_map").data)
    model.set_thresholds(evaluation=0.9)
    assert not np.array_equal(image(board, "mask").data, outlines)
    smaller = evaluated(model)
    assert not np.asarray(image(board, "error_map").data)[:, ~smaller].any()
    np.testing.assert_allclose(np.asarray(image(board, "error_map").data)[:, smaller], error[:, smaller])
    assert any("α ≥ 0.9" in text for text in written(board))


def test_the_predicted_tile_shows_what_is_asked_for(
    board: Board, model: ReconstructionModel, make_record: Callable[..., RunRecord]
) -> None:
    assert model.trial is not None
    record = make_record("one", 1)
    model.set_stimulus_prediction(model.trial.responses * 2, {})
    model.add_run(record)
    rows = board.activity.rows
    assert rows is not None
    assert record.result.predicted_activity is not None
    np.testing.assert_allclose(
        image(board, "predicted_activity").data, rows.picture(record.result.predicted_activity), rtol=1e-5
    )
    model.set_view(activity_mode=ActivityMode.FROM_STIMULUS)
    recorded = image(board, "recorded_activity").data
    np.testing.assert_allclose(image(board, "predicted_activity").data, 2 * recorded, rtol=1e-5)
    model.set_view(activity_mode=ActivityMode.DIFFERENCE)
    assert image(board, "activity_difference").visible
    assert not image(board, "predicted_activity").visible
    from_video = rows.picture(record.result.predicted_activity)
    np.testing.assert_allclose(image(board, "activity_difference").data, from_video - 2 * recorded, atol=1e-4)


def test_what_is_not_there_yet_is_named_in_the_title(board: Board) -> None:
    assert "No prediction from the reconstruction yet" in written(board)


def test_ablated_neurons_become_dim_and_are_counted(board: Board, model: ReconstructionModel) -> None:
    model.set_view(raster_order=RasterOrder.RECORDED)
    before = image(board, "recorded_activity").data.copy()
    model.set_neurons(NeuronSet.without(NEURONS, np.array([2, 5])))
    after = image(board, "recorded_activity").data
    assert (after[[2, 5]] < before[[2, 5]]).all()
    np.testing.assert_array_equal(np.delete(after, [2, 5], 0), np.delete(before, [2, 5], 0))
    assert any("18 of 20 neurons" in text for text in written(board))


@pytest.mark.parametrize("order", list(RasterOrder))
def test_every_order_shows_each_neuron_once(board: Board, model: ReconstructionModel, order: RasterOrder) -> None:
    assert model.trial is not None
    model.set_view(raster_order=order)
    model.set_stimulus_prediction(model.trial.responses, {})
    rows = board.activity.rows
    assert rows is not None
    assert sorted(rows.order) == list(range(NEURONS))
    single = (model.trial.responses / neuron_spread(model.trial.responses)[:, np.newaxis])[rows.order]
    np.testing.assert_allclose(image(board, "recorded_activity").data, single, rtol=1e-4)


@pytest.mark.window
def test_rastermaps_order_takes_the_place_of_the_quick_one_when_it_is_found(
    qtbot, monkeypatch: pytest.MonkeyPatch, model: ReconstructionModel
) -> None:  # type: ignore[no-untyped-def]
    slow = np.random.default_rng(4).permutation(NEURONS)
    monkeypatch.setattr(raster_order, "rastermap_installed", lambda: True)
    monkeypatch.setattr(raster_order, "by_rastermap", lambda _: slow)
    board = Board(ViewerModel(), model)
    assert model.trial is not None
    assert board.activity.rows is not None
    np.testing.assert_array_equal(board.activity.rows.order, raster_order.by_first_component(model.trial.responses))
    qtbot.waitUntil(lambda: np.array_equal(board.activity.rows.order, slow), timeout=5000)
    single = (model.trial.responses / neuron_spread(model.trial.responses)[:, np.newaxis])[slow]
    np.testing.assert_allclose(image(board, "recorded_activity").data, single, rtol=1e-4)
    board.close()


def test_a_run_to_compare_gets_a_tile_beside_the_reconstruction(
    board: Board, model: ReconstructionModel, make_record: Callable[..., RunRecord]
) -> None:
    one, two = make_record("one", 1), make_record("two", 2)
    model.add_run(one)
    model.add_run(two)
    model.set_view(error_mode=ErrorMode.COMPARISON)
    model.compare_with(one)
    np.testing.assert_array_equal(image(board, "comparison").data, one.result.video)
    roles = ("stimulus", "reconstruction", "comparison", "error_map")
    places = [tuple(image(board, role).translate[1:]) for role in roles]
    assert len(set(places)) == len(roles)
    assert sorted(places) == places
    difference = (two.result.video - one.result.video) * evaluated(model)
    np.testing.assert_allclose(image(board, "error_map").data, difference, atol=1e-3)
    assert "Compared: one" in written(board)
    model.compare_with(None)
    assert board.layer("comparison") is None
    assert board.layout.columns == 3


def test_the_uncertainty_of_a_run_with_several_movies_is_a_map(
    board: Board, model: ReconstructionModel, make_record: Callable[..., RunRecord]
) -> None:
    single, several = make_record("single", 1), make_record("several", 2)
    noise = np.random.default_rng(0).normal(scale=9.0, size=(8, *several.result.video.shape)).astype(np.float32)
    several.result.videos.extend(several.result.video + each for each in noise)
    model.add_run(single)
    model.set_view(error_mode=ErrorMode.UNCERTAINTY)
    assert "One movie: no uncertainty" in written(board)
    assert not np.asarray(image(board, "error_map").data).any()
    model.add_run(several)
    shown = np.asarray(image(board, "error_map").data)
    inside = evaluated(model) > 0
    assert shown[:, inside].mean() == pytest.approx(9.0, rel=0.1)
    assert not shown[:, ~inside].any()
    assert image(board, "error_map").contrast_limits[0] == 0.0
    assert image(board, "error_map").colormap.name == "error magnitude"
    assert "Uncertainty (1 SD)" in written(board)


def test_what_the_brain_adds_is_coloured_where_it_exceeds_chance_and_nowhere_else(
    board: Board, model: ReconstructionModel, make_record: Callable[..., RunRecord]
) -> None:
    record = make_record("repeated", 1)
    model.add_run(record)
    model.set_view(error_mode=ErrorMode.ADDED)
    assert "Added by the brain: not known" in written(board)
    # Colours that are nowhere to be seen are not explained, least of all by the numbers of another error.
    assert not any("darker" in text or "brighter" in text for text in written(board))
    without_bar = image(board, "legend").data.size
    assert not np.asarray(image(board, "error_map").data).any()
    shape = record.result.video.shape
    exceeds, nothing = np.zeros(shape, bool), np.zeros(shape)
    exceeds[5:9, 17:19, 29:31] = True
    difference = np.full(shape, -30.0)
    model.take_added(
        record, Added(difference, nothing, nothing, nothing + 2.0, nothing, exceeds, 3, 0.05, "bh", "encoder", nothing)
    )
    shown = np.asarray(image(board, "error_map").data)
    assert np.array_equal(shown, np.where(exceeds, np.float32(-32.0), np.float32(0.0)))
    assert tuple(image(board, "error_map").contrast_limits) == (-32.0, 32.0)
    assert "Added by the brain, FDR 0.05" in written(board)
    assert any(text.startswith("+32") for text in written(board))
    assert image(board, "legend").data.size > without_bar
    error = shown_movie(model).error
    assert np.array_equal(error, shown)


@pytest.mark.window
def test_blinking_lays_the_compared_run_over_the_reconstruction(
    qtbot, board: Board, model: ReconstructionModel, make_record: Callable[..., RunRecord]
) -> None:  # type: ignore[no-untyped-def]
    one, two = make_record("one", 1), make_record("two", 2)
    model.add_run(one)
    model.add_run(two)
    model.compare_with(one)
    model.set_view(blinking=True)
    comparison = image(board, "comparison")
    np.testing.assert_array_equal(comparison.translate, image(board, "reconstruction").translate)
    seen = [comparison.visible]
    comparison.events.visible.connect(lambda: seen.append(comparison.visible))
    qtbot.waitUntil(lambda: len(seen) >= 3, timeout=5000)
    assert len(set(seen[:2])) == 2
    model.set_view(blinking=False)
    assert image(board, "comparison").visible
    assert board.layout.columns == 4


@pytest.mark.window
def test_without_a_compared_run_the_stimulus_blinks(
    qapp: object, board: Board, model: ReconstructionModel, make_record: Callable[..., RunRecord]
) -> None:
    assert model.trial is not None
    model.add_run(make_record("one", 1))
    model.set_view(blinking=True)
    np.testing.assert_array_equal(image(board, "comparison").data, model.trial.video)
    model.set_view(blinking=False)
    assert board.layer("comparison") is None


# What a person may do to the layers


def test_renamed_hidden_and_moved_layers_are_still_known(
    board: Board, model: ReconstructionModel, snapshot: Snapshot
) -> None:
    layer = image(board, "reconstruction")
    layer.name, layer.visible = "my favourite", False
    board.viewer.layers.move(board.viewer.layers.index(layer), 0)
    model.set_state(RunState.RUNNING)
    model.take_snapshot(snapshot)
    model.set_trial(0, 0, FRAMES)
    assert image(board, "reconstruction") is layer
    assert layer.name == "my favourite"


def test_an_error_that_was_hidden_by_hand_stays_hidden_until_one_is_asked_for(
    board: Board, model: ReconstructionModel, make_record: Callable[..., RunRecord]
) -> None:
    error = image(board, "error_map")
    error.visible = False
    model.add_run(make_record("one", 1))
    model.add_run(make_record("two", 2))
    model.set_view(layout=Layout.WATCH)
    model.set_view(layout=Layout.EXPLAIN)
    assert not error.visible
    model.set_view(error_mode=ErrorMode.NONE)
    model.set_view(error_mode=ErrorMode.STIMULUS)
    assert error.visible


@pytest.mark.parametrize("role", NEEDED)
def test_a_deleted_layer_does_no_harm_and_returns_with_the_next_start(
    board: Board, model: ReconstructionModel, snapshot: Snapshot, make_record: Callable[..., RunRecord], role: Role
) -> None:
    layer = board.layer(role)
    assert layer is not None
    board.viewer.layers.remove(layer)
    model.snapshot = None
    model.snapshot_arrived.emit(snapshot)
    model.set_thresholds(evaluation=0.7)
    model.set_neurons(NeuronSet.random(NEURONS, 0.5))
    model.set_view(error_signed=False)
    model.set_state(RunState.RUNNING)
    assert board.layer(role) is not None
    order = [board.viewer.layers.index(found) for found in map(board.layer, NEEDED) if found is not None]
    assert order == sorted(order)


def take_movie_away(model: ReconstructionModel, make_record: Callable[..., RunRecord]) -> np.ndarray:
    """Have two runs of a trial of which nothing says what was shown; return the grey that stands for its movie."""
    assert model.trial is not None
    grey = np.full_like(model.trial.video, 127.5)
    model.trial = replace(model.trial, has_movie=False, video=grey)
    for seed in (1, 2):
        record = make_record(f"run {seed}", seed)
        record.result.stimulus, record.result.provenance["movie"] = grey, False
        model.add_run(record)
    return grey


@pytest.mark.parametrize("layout", [Layout.EXPLAIN, Layout.COMPARE, Layout.PAPER])
def test_where_no_movie_says_what_was_shown_no_error_is_drawn_and_no_correlation_told(
    board: Board, model: ReconstructionModel, make_record: Callable[..., RunRecord], layout: Layout
) -> None:
    take_movie_away(model, make_record)
    model.set_view(layout=layout)
    assert not np.asarray(image(board, "error_map").data).any()
    differences = board.layer(Role.DIFFERENCES)
    assert differences is None or not np.asarray(differences.data).any()
    assert not any("nan" in text or "grey levels" in text or "brighter" in text for text in written(board))
    assert shown_movie(model).error is None


@pytest.mark.parametrize("layout", [Layout.WATCH, Layout.COMPARE, Layout.PAPER])
@pytest.mark.parametrize("presentation", [Presentation("paper"), Presentation("matched", "stimulus")])
def test_a_reconstruction_that_has_no_movie_to_be_matched_to_is_shown_as_it_is(
    board: Board,
    model: ReconstructionModel,
    make_record: Callable[..., RunRecord],
    layout: Layout,
    presentation: Presentation,
) -> None:
    grey = take_movie_away(model, make_record)
    model.set_view(layout=layout, presentation=presentation)
    assert model.shown is not None
    np.testing.assert_array_equal(image(board, "reconstruction").data, model.shown.result.video)
    others = board.layer(Role.OTHERS)
    assert others is None or np.nanstd(np.asarray(others.data[3])) > 1
    assert not any("matched" in text for text in written(board))
    assert shown_movie(model).pictures is not grey
    np.testing.assert_array_equal(shown_movie(model).pictures, model.shown.result.video)
    if layout is Layout.WATCH:
        assert "Reconstruction (raw: no movie to match)" in written(board)
        assert any(text.startswith("No movie") for text in written(board))
        assert not any("orrelation with the stimulus" in text for text in written(board))


@pytest.mark.parametrize("mode", list(ActivityMode))
def test_a_raster_too_narrow_for_its_title_does_not_call_a_difference_a_prediction(
    model: ReconstructionModel, mode: ActivityMode
) -> None:
    model.set_view(activity_mode=mode)
    assert least_titles(model, True)[Role.PREDICTED] == "Predicted"
    activity = np.ones((NEURONS, 48), np.float32)
    model.set_stimulus_prediction(activity, {})
    model.course, model.state, model.snapshot = None, RunState.RUNNING, SimpleNamespace(predicted_activity=activity)
    least = least_titles(model, True)[Role.PREDICTED]
    assert least == ("Difference" if mode is ActivityMode.DIFFERENCE else "Predicted")


@pytest.mark.parametrize("pixels", [(36, 16), (36, 64)])
def test_what_to_do_in_compare_is_said_in_whole_beside_movies_of_any_shape(
    board: Board, model: ReconstructionModel, make_record: Callable[..., RunRecord], pixels: tuple[int, int]
) -> None:
    assert model.trial is not None
    model.set_view(layout=Layout.COMPARE)
    model.trial = replace(model.trial, video=model.trial.video[:, : pixels[0], : pixels[1]])
    board.viewer.canvas.size = (670, 668)
    model.set_mask(AlphaMask(np.ones(pixels)))
    model.trial_changed.emit()
    assert any(text.startswith(("To compare", "Run it again")) and "…" not in text for text in written(board))


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("canvas", [(430, 660), (1000, 1500)])
def test_of_a_movie_in_colours_every_layout_says_which_part_is_which(
    board: Board, model: ReconstructionModel, make_record: Callable[..., RunRecord], layout: Layout, canvas
) -> None:
    assert model.trial is not None
    model.trial = replace(model.trial, colours=("green", "uv"))
    model.add_run(make_record("Run 1", 3))
    model.set_view(layout=layout)
    board.viewer.canvas.size = canvas
    model.trial_changed.emit()
    said = [text for text in written(board) if "green" in text]
    assert len(said) == 1
    assert "green above uv" in said[0] or "green/uv" in said[0]
    assert "…" not in said[0]


def test_the_status_tells_places_of_each_colour_from_the_middle_of_the_screen(
    board: Board, model: ReconstructionModel, readout: Readout
) -> None:
    assert model.session is not None
    model.session.screen = replace(model.session.screen, colours=("green", "uv"))
    tile = board.layout.movie(0)
    upper, lower = (readout.text((tile.top + (row + 0.5) / 36 * tile.height, tile.left + 1)) for row in (3, 21))
    assert "row 3, column" in upper
    assert "of green (" in upper
    assert "of uv (" in lower
    assert upper[upper.index("°, ") : upper.index("from the")] == lower[lower.index("°, ") : lower.index("from the")]


def test_everything_deleted_while_a_run_goes_on_does_no_harm(
    board: Board, model: ReconstructionModel, snapshot: Snapshot
) -> None:
    model.set_state(RunState.RUNNING)
    board.viewer.layers.clear()
    model.take_snapshot(snapshot)
    model.set_state(RunState.DONE)
    assert len(board.viewer.layers) <= 1
    model.set_trial(0)
    assert all(board.layer(role) is not None for role in PROMISED_ROLES)


def test_a_second_trial_and_a_second_session_use_the_same_layers(
    board: Board, model: ReconstructionModel, copy_of_small_session: Path
) -> None:
    before = list(board.viewer.layers)
    model.set_trial(2)
    model.set_session(open_session(copy_of_small_session))
    model.set_trial(1, 5, 45)
    assert model.trial is not None
    assert list(board.viewer.layers) == before
    np.testing.assert_array_equal(image(board, "stimulus").data, model.trial.video)
    assert board.viewer.dims.nsteps[0] == 40


def test_a_new_board_takes_over_the_layers_of_one_before(board: Board, model: ReconstructionModel) -> None:
    board.close()
    again = Board(board.viewer, model)
    assert len(board.viewer.layers) == len((*NEEDED, Role.LEGEND))
    assert all(again.layer(role) is board.layer(role) for role in PROMISED_ROLES)


def test_a_closed_board_listens_no_more(board: Board, model: ReconstructionModel, snapshot: Snapshot) -> None:
    board.close()
    model.set_state(RunState.RUNNING)
    model.take_snapshot(snapshot)
    assert np.ptp(image(board, "reconstruction").data) == 0


def test_layers_of_a_person_are_left_alone(board: Board, model: ReconstructionModel) -> None:
    own = board.viewer.add_image(np.zeros((4, 4)), name="mine")
    model.set_view(grid=True)
    model.set_view(grid=False)
    model.set_trial(1)
    assert own in board.viewer.layers
    assert own.name == "mine"


def test_the_frame_and_the_selected_layer_survive_changes_of_the_view(
    board: Board, model: ReconstructionModel, make_record: Callable[..., RunRecord]
) -> None:
    board.viewer.layers.selection.active = image(board, "stimulus")
    board.viewer.dims.set_current_step(0, 7)
    one = make_record("one", 1)
    model.add_run(one)
    model.compare_with(one)
    model.set_view(error_over="reconstruction", raster_order=RasterOrder.RECORDED)
    assert board.viewer.dims.current_step[0] == 7
    assert board.viewer.layers.selection.active is image(board, "stimulus")


def foreign_stacks(viewer: ViewerModel) -> None:
    """What else people have open: more dimensions, other time scales and units, negative starts, points."""
    viewer.add_image(np.zeros((2, 5, 20, 20), np.float32), name="four dimensions")
    viewer.add_image(np.zeros((400, 20, 20), np.float32), scale=(0.01, 1, 1), name="frames of 10 ms")
    viewer.add_image(np.zeros((40, 20, 20), np.float32), translate=(-3, -500, -500), name="starts before zero")
    viewer.add_points(np.array([[0.0, 0, 0, 5, 5], [1, 1, 2, 3, 3]]), name="points")


def test_beside_foreign_layers_the_board_counts_time_by_its_own_clock(board: Board, model: ReconstructionModel) -> None:
    foreign_stacks(board.viewer)
    readout = Readout(board)
    for frame in (20, 0, FRAMES - 1):
        go_to_frame(board.viewer, frame)
        assert present_frame(board.viewer) == frame
        np.testing.assert_array_equal(shown_picture(board, "stimulus"), image(board, "stimulus").data[frame])
        np.testing.assert_array_equal(image(board, "error_base").data, image(board, "stimulus").data[frame])
    assert frame_count(board.viewer) == FRAMES
    place = image(board, "stimulus").data_to_world((20, 3, 4))
    go_to_frame(board.viewer, 20)
    assert f"frame 20, {20 / 30:.2f} s   row 3, column 4" in str(readout.text(tuple(place)))
    drag(board, raster_place(board, 3, 31), [], ())
    assert present_frame(board.viewer) == 31
    readout.close()


def test_our_layers_take_the_units_of_a_persons_and_take_them_back(board: Board) -> None:
    def all_agree() -> bool:
        return board.viewer.layers.extent.units is not None

    plain = board.viewer.add_image(np.zeros((4, 9, 9), np.float32))
    assert all_agree()
    assert {str(layer.units[-1]) for layer in board.layers.ours()} == {"pixel"}
    board.reset_view()
    assert all_agree()
    board.viewer.layers.remove(plain)
    assert {str(layer.units[-1]) for layer in board.layers.ours()} == {"degree"}
    quick = board.viewer.add_image(
        np.zeros((400, 9, 9), np.float32), scale=(10, 1, 1), units=("ms", "micrometer", "micrometer")
    )
    assert all_agree()
    go_to_frame(board.viewer, 17)
    assert present_frame(board.viewer) == 17
    np.testing.assert_array_equal(shown_picture(board, "stimulus"), image(board, "stimulus").data[17])
    assert frame_count(board.viewer) == FRAMES
    board.viewer.layers.remove(quick)
    assert [str(unit) for unit in image(board, "stimulus").units] == ["second", "degree", "degree"]


# Layouts, and how movies are shown


def test_watching_leaves_the_rasters_out_and_shows_how_good_each_frame_is(
    board: Board, model: ReconstructionModel, make_record: Callable[..., RunRecord]
) -> None:
    model.set_view(layout=Layout.WATCH)
    model.add_run(make_record("one", 1))
    model.set_neurons(NeuronSet.without(NEURONS, np.array([2, 5])))
    assert board.layer("recorded_activity") is None
    assert board.layer("predicted_activity") is None
    strip = image(board, "correlation_strip")
    assert strip.visible
    np.testing.assert_allclose(strip.extent.world.mean(axis=0), image(board, "now").extent.world.mean(axis=0))
    empty = strip.data.copy()
    model.show_run(None)
    assert not np.array_equal(image(board, "correlation_strip").data, empty)
    model.set_view(layout=Layout.EXPLAIN)
    assert image(board, "recorded_activity").visible
    assert board.layer("correlation_strip") is None


def test_a_raster_that_a_person_restyled_comes_back_as_it_was(board: Board, model: ReconstructionModel) -> None:
    layer = image(board, "recorded_activity")
    layer.colormap, layer.name = "viridis", "my raster"
    model.set_view(layout=Layout.WATCH)
    model.set_view(layout=Layout.EXPLAIN)
    again = image(board, "recorded_activity")
    assert (again.colormap.name, again.name) == ("viridis", "my raster")
    assert image(board, "predicted_activity").colormap.name != "viridis"


def test_no_error_shows_no_movie_twice(board: Board, model: ReconstructionModel) -> None:
    model.set_view(error_mode=ErrorMode.NONE)
    assert board.layout.columns == 2
    assert not image(board, "error_base").visible
    assert not image(board, "error_map").visible


def test_an_error_without_a_tile_lies_over_the_movie_itself(board: Board, model: ReconstructionModel) -> None:
    model.set_view(error_apart=False, error_over="reconstruction")
    assert board.layout.columns == 2
    np.testing.assert_allclose(image(board, "error_map").translate, image(board, "reconstruction").translate)
    assert not image(board, "error_base").visible
    model.set_view(error_over="stimulus")
    np.testing.assert_allclose(image(board, "error_map").translate, image(board, "stimulus").translate)


def test_a_deleted_error_returns_when_its_mode_is_chosen(board: Board, model: ReconstructionModel) -> None:
    board.viewer.layers.remove(image(board, "error_map"))
    model.set_view(error_mode=ErrorMode.NONE)
    model.set_view(error_mode=ErrorMode.STIMULUS)
    assert image(board, "error_map").visible


@pytest.mark.parametrize("show_as", ["raw", "paper", "matched"])
@pytest.mark.parametrize("outside", ["grey", "stimulus", "hidden"])
def test_the_reconstruction_is_shown_as_asked_for_and_measured_as_it_is(
    board: Board,
    model: ReconstructionModel,
    make_record: Callable[..., RunRecord],
    show_as: ShowAs,
    outside: Outside,
) -> None:
    assert model.trial is not None
    record, presentation = make_record("one", 1), Presentation(show_as, outside)
    model.add_run(record)
    error = np.asarray(image(board, "error_map").data).copy()
    model.set_view(presentation=presentation)
    expected = presentation.of(record.result.video, model.trial.video, model.mask.binary(model.training_threshold))
    shown = image(board, "reconstruction").data
    for frame in (0, 20, FRAMES - 1):
        np.testing.assert_allclose(shown[frame], expected[frame], atol=0.05, equal_nan=True)
    np.testing.assert_allclose(np.asarray(shown), expected, atol=0.05, equal_nan=True)
    np.testing.assert_array_equal(image(board, "error_map").data, error)
    assert any(presentation.words in text for text in written(board) if text.startswith("Reconstruction"))


def test_a_live_picture_is_shown_as_asked_for_too(board: Board, model: ReconstructionModel, snapshot: Snapshot) -> None:
    assert model.trial is not None
    presentation = Presentation("paper", "stimulus")
    model.set_view(presentation=presentation)
    go_to_frame(board.viewer, 7)
    model.set_state(RunState.RUNNING)
    model.take_snapshot(snapshot)
    mask = model.mask.binary(model.training_threshold)
    expected = presentation.of(snapshot.video, model.trial.video, mask)[7]
    np.testing.assert_allclose(shown_picture(board, "reconstruction"), expected, atol=0.05)


def test_to_compare_every_run_of_the_clip_has_a_cell_with_its_difference(
    board: Board, model: ReconstructionModel, make_record: Callable[..., RunRecord]
) -> None:
    assert model.trial is not None
    model.set_view(layout=Layout.COMPARE)
    assert "To compare, run this clip once more" in written(board)
    records = [make_record(f"run {number}", number) for number in range(8)]
    for record in records:
        model.add_run(record)
    others, differences = image(board, "other_movies"), image(board, "other_differences")
    layout = board.layout
    assert len(layout.others) == 5
    go_to_frame(board.viewer, 7)
    for number, record in enumerate(reversed(records[2:7])):
        for role, box, expected in (
            ("other_movies", layout.others[number], record.result.video[7]),
            ("other_movies", layout.differences[number], model.trial.video[7]),
            (
                "other_differences",
                layout.differences[number],
                (record.result.video - model.trial.video)[7] * evaluated(model),
            ),
        ):
            layer = image(board, role)
            row, column = np.rint(layer.world_to_data((0, box.top + layout.pitch / 2, box.left + layout.pitch / 2))[1:])
            part = np.asarray(layer.data[7])[int(row) :, int(column) :][: layout.rows, : layout.cols]
            np.testing.assert_allclose(part, expected, atol=1e-4)
    assert records[7].name in "".join(written(board))
    assert others.contrast_limits == image(board, "stimulus").contrast_limits
    assert differences.contrast_limits == image(board, "error_map").contrast_limits
    model.set_view(layout=Layout.WATCH)
    assert board.layer("other_movies") is None
    assert board.layer("other_differences") is None


def test_as_in_the_paper_every_clip_has_truth_over_reconstruction(
    board: Board, model: ReconstructionModel, make_record: Callable[..., RunRecord]
) -> None:
    model.add_run(make_record("first clip", 1))
    model.set_trial(2, 0, 40)
    model.set_view(layout=Layout.PAPER)
    model.add_run(make_record("second clip", 2))
    assert len(board.layout.others) == 2
    assert any(text.startswith("trial 0") for text in written(board))
    shown = np.asarray(image(board, "other_movies").data[3])
    np.testing.assert_allclose(shown[: board.layout.rows, : board.layout.cols], model.runs[0].result.stimulus[3])
    np.testing.assert_allclose(shown[-board.layout.rows :, : board.layout.cols], model.runs[0].result.video[3])


# The grid


def test_in_the_grid_each_tile_holds_two_layers_and_leaving_restores_all(
    board: Board, model: ReconstructionModel
) -> None:
    names = [layer.name for layer in board.viewer.layers]
    places = {layer.name: tuple(layer.translate) for layer in board.viewer.layers}
    model.set_view(grid=True)
    layers, grid = board.viewer.layers, board.viewer.canvas.grid
    assert grid.enabled
    roles = [layer.metadata[ROLE_KEY] for layer in layers]
    assert roles[:6] == ["stimulus", "mask", "reconstruction", "grid_copy", "error_base", "error_map"]
    assert roles[6:10] == ["recorded_activity", "now", "predicted_activity", "grid_copy"]
    assert len({tuple(layer.translate[-2:].round(3)) for layer in layers[:1] + layers[2:3] + layers[4:6]}) == 1
    assert grid.actual_shape(layers) == (2, 3)
    model.set_view(grid=False)
    assert not board.viewer.canvas.grid.enabled
    assert [layer.name for layer in board.viewer.layers] == names
    assert {layer.name: tuple(layer.translate) for layer in board.viewer.layers} == places


def test_outlines_move_in_every_tile_of_the_grid(board: Board, model: ReconstructionModel) -> None:
    model.set_view(grid=True)
    model.set_thresholds(evaluation=0.9)
    copies = [layer for layer in board.layers.all_of(Role.GRID_COPY) if isinstance(layer, Image) and layer.rgb]
    assert copies
    assert all(np.array_equal(copy.data, image(board, "mask").data) for copy in copies)


# Status bar


@pytest.fixture
def readout(board: Board) -> Iterator[Readout]:
    made = Readout(board)
    yield made
    made.close()


def test_the_status_names_pixel_grey_levels_error_and_degrees(
    board: Board, readout: Readout, model: ReconstructionModel, make_record: Callable[..., RunRecord]
) -> None:
    assert model.trial is not None
    record = make_record("one", 1)
    model.add_run(record)
    board.viewer.dims.set_current_step(0, 12)
    text = readout.text(tuple(image(board, "stimulus").data_to_world((12, 18, 30))))
    assert text is not None
    truth, guess = model.trial.video[12, 18, 30], record.result.video[12, 18, 30]
    for part in ("frame 12, 0.40 s", "row 18, column 30", f"stimulus {truth:.0f}", f"reconstruction {guess:.0f}"):
        assert part in text
    assert f"error {guess - truth:+.0f} grey levels" in text
    assert "-5°, -2° from the middle" in text
    assert "training and evaluation mask" in text


def test_the_status_names_neuron_and_activity_under_the_mouse(
    board: Board, readout: Readout, model: ReconstructionModel
) -> None:
    assert model.trial is not None
    model.set_view(raster_order=RasterOrder.RECORDED)
    model.set_neurons(NeuronSet.without(NEURONS, np.array([4])))
    text = readout.text(tuple(image(board, "recorded_activity").data_to_world((4, 30))))
    assert text is not None
    assert "frame 30, 1.00 s   neuron 4 " in text
    assert f"recorded {model.trial.responses[4, 30]:.2f}" in text
    assert "ablated" in text


def test_between_the_tiles_napari_keeps_its_own_status(board: Board, readout: Readout) -> None:
    assert readout.text((0.0, -1000.0, 0.0)) is None


def test_our_line_takes_the_place_of_naparis(board: Board, readout: Readout) -> None:
    board.viewer.mouse_over_canvas = True
    board.viewer.cursor.position = tuple(image(board, "stimulus").data_to_world((0, 3, 3)))
    board.viewer.status = "what napari says"
    assert "row 3, column 3" in str(board.viewer.status)


def test_scrubbing_with_the_mouse_elsewhere_names_frame_and_time(board: Board, readout: Readout) -> None:
    board.viewer.dims.set_current_step(0, 9)
    assert board.viewer.status == "frame 9, 0.30 s"


def test_a_quick_scrub_ends_with_the_frame_it_ended_at_in_the_status(
    board: Board, readout: Readout, qtbot: QtBot
) -> None:
    for frame in range(1, 12):
        board.viewer.dims.set_current_step(0, frame)
    qtbot.waitUntil(lambda: board.viewer.status == "frame 11, 0.37 s", timeout=2000)


# Mouse on the rasters


def drag(board: Board, start: tuple[float, ...], stops: list[tuple[float, ...]], modifiers: tuple[str, ...]) -> None:
    """Press, move and release a mouse button as napari reports it."""
    event = SimpleNamespace(position=start, pos=np.zeros(2), modifiers=modifiers, type="mouse_press")
    pointing = Pointing(board)
    gesture = pointing.on_press(board.viewer, event)
    pointing.close()
    assert pointing.on_press not in board.viewer.mouse_drag_callbacks
    if next(gesture, "ignored") == "ignored":
        return
    for number, stop in enumerate(stops):
        event.position, event.pos, event.type = stop, np.full(2, 50.0 * (number + 1)), "mouse_move"
        next(gesture, None)
    event.type = "mouse_release"
    next(gesture, None)


def raster_place(board: Board, row: int, frame: int) -> tuple[float, ...]:
    return (0.0, *image(board, "recorded_activity").data_to_world((row, frame)))


def test_dragging_with_shift_marks_neurons_and_says_so(board: Board, model: ReconstructionModel) -> None:
    heard: list[int] = []
    board.selection_changed.connect(lambda: heard.append(len(board.selected_neurons())))
    rows = board.activity.rows
    assert rows is not None
    drag(board, raster_place(board, 3, 5), [raster_place(board, 6, 9)], ("Shift",))
    np.testing.assert_array_equal(board.selected_neurons(), np.sort(rows.order[3:7]))
    assert heard[-1] == 4
    drag(board, raster_place(board, 12, 5), [], ("Shift",))
    assert rows.order[12] in board.selected_neurons()
    drag(board, raster_place(board, 12, 5), [], ("Shift",))
    assert rows.order[12] not in board.selected_neurons()
    np.testing.assert_array_equal(np.flatnonzero(image(board, "marked_neurons").data[:, 0]), [3, 4, 5, 6])
    board.activity.mark(np.empty(0, np.intp))
    assert board.layer("marked_neurons") is None


def test_marked_neurons_stay_marked_in_another_order(board: Board, model: ReconstructionModel) -> None:
    board.activity.mark(np.array([1, 2, 3]))
    model.set_view(raster_order=RasterOrder.RECORDED)
    np.testing.assert_array_equal(np.flatnonzero(image(board, "marked_neurons").data[:, 0]), [1, 2, 3])


def test_a_click_on_a_raster_goes_to_its_time_and_a_drag_takes_the_time_along(board: Board) -> None:
    centre = board.viewer.scene.camera.center
    drag(board, raster_place(board, 3, 31), [], ())
    assert present_frame(board.viewer) == 31
    drag(board, raster_place(board, 3, 8), [raster_place(board, 9, 20)], ())
    assert present_frame(board.viewer) == 20
    assert not len(board.activity.explained.chosen) or present_frame(board.viewer) == 20
    assert board.viewer.scene.camera.center == centre
    assert board.viewer.scene.camera.mouse_pan


def test_a_title_stays_in_sight_while_anything_of_its_tile_does(board: Board) -> None:
    def place_of(title: str) -> tuple[float, float]:
        captions = board.layer("captions")
        assert isinstance(captions, Points)
        return tuple(captions.data[written(board).index(title)])

    before, camera, raster = place_of("Stimulus"), board.viewer.scene.camera, board.layout.raster(1)
    title = next(text for text in written(board) if text.startswith("No prediction"))
    camera.zoom *= 4
    camera.center = (0.0, raster.top + raster.height / 2, raster.left + raster.width / 2)
    view = board.camera.view
    y, x = place_of(title)
    assert view.top < y < view.bottom
    assert view.left < x < view.right
    board.reset_view()
    assert place_of("Stimulus") == pytest.approx(before)


def test_frames_below_zero_are_seen_in_the_strip_and_named(
    board: Board, model: ReconstructionModel, make_record: Callable[..., RunRecord]
) -> None:
    def has(colour: tuple[int, ...]) -> bool:
        return bool((image(board, "correlation_strip").data[..., :3] == colour[:3]).all(axis=-1).any())

    record = make_record("upside down", 1)
    model.set_view(layout=Layout.WATCH)
    record.result.video = model.trial.video.copy()
    model.add_run(record)
    assert has(CURVE_COLOUR)
    assert not has(BELOW_CURVE_COLOUR)
    assert any("0 to 1" in text for text in written(board))
    model.replace_result(record, replace(record.result, video=255 - model.trial.video))
    assert has(BELOW_CURVE_COLOUR)
    assert any("rose: below 0" in text for text in written(board))


def test_a_press_on_the_strip_goes_to_its_time(board: Board, model: ReconstructionModel) -> None:
    model.set_view(layout=Layout.WATCH)
    strip = board.layout.strip
    assert strip is not None
    drag(board, (0.0, strip.top + strip.height / 2, strip.left + strip.width * 20.5 / FRAMES), [], ())
    assert present_frame(board.viewer) == 20


def test_after_ablated_neurons_come_back_the_rasters_colours_are_those_of_before(
    board: Board, model: ReconstructionModel
) -> None:
    before = image(board, "recorded_activity").contrast_limits
    model.set_neurons(NeuronSet.random(NEURONS, 0.8, seed=1))
    board.build()
    model.set_neurons(NeuronSet.all(NEURONS))
    assert image(board, "recorded_activity").contrast_limits == pytest.approx(before)


def test_zoomed_the_mask_fills_the_canvas_and_all_comes_back(board: Board, model: ReconstructionModel) -> None:
    camera = board.viewer.scene.camera
    whole = camera.zoom
    model.set_view(zoomed=True)
    assert camera.zoom > 2 * whole
    inside = np.argwhere(model.mask.binary(model.training_threshold)).mean(axis=0)
    middle = image(board, "reconstruction").data_to_world((0, *inside))[1:]
    np.testing.assert_allclose(camera.center[-2:], middle, atol=2 * board.layout.pitch)
    # Told of it only while the canvas is drawn, letters would have it drawn once more.
    assert {layer.scale_factor for layer in board.layers.ours()} == {1 / camera.zoom}
    model.set_view(zoomed=False)
    assert camera.zoom == pytest.approx(whole)


def test_a_run_is_not_compared_with_itself(model: ReconstructionModel, make_record: Callable[..., RunRecord]) -> None:
    one, two = make_record("one", 1), make_record("two", 2)
    model.add_run(one)
    model.add_run(two)
    model.compare_with(two)
    assert model.compared is None
    model.compare_with(one)
    model.show_run(one)
    assert model.compared is None


def test_a_click_on_a_row_keeps_its_curves_and_says_how_well_it_is_explained(
    board: Board, model: ReconstructionModel, make_record
) -> None:
    record = make_record("Run 1", 3)
    model.add_run(record)
    model.set_view(raster_order=RasterOrder.RECORDED)
    before = image(board, "activity_curves").data.copy(), image(board, "neuron_correlation").data.copy()
    drag(board, raster_place(board, 3, 31), [], ())
    assert board.activity.explained.chosen.tolist() == [3]
    assert not np.array_equal(image(board, "activity_curves").data, before[0])
    assert (image(board, "neuron_correlation").data[2:5] > before[1][2:5]).any(axis=1).all()
    r = np.corrcoef(model.trial.responses[3], record.result.predicted_activity[3])[0, 1]
    assert board.activity.explained.words(board.activity.predicted) == f"neuron 3, r = {r:.2f}"
    drag(board, raster_place(board, 3, 31), [], ())
    np.testing.assert_array_equal(image(board, "activity_curves").data, before[0])
    np.testing.assert_array_equal(image(board, "neuron_correlation").data, before[1])


def test_a_bar_is_as_long_as_the_rows_correlation(board: Board, model: ReconstructionModel, make_record) -> None:
    record = make_record("Run 1", 3)
    assert not image(board, "neuron_correlation").data.any()
    exact = record.result.predicted_activity
    exact[...] = model.trial.responses
    exact[4] = exact[4].max() - exact[4]
    model.add_run(record)
    model.set_view(raster_order=RasterOrder.RECORDED)
    bars = image(board, "neuron_correlation").data.mean(axis=1)
    assert bars[4] == 0
    assert (np.delete(bars, 4) == 1).all()
    model.set_view(raster_order=RasterOrder.EXPLAINED)
    assert board.activity.rows.order[-1] == 4


def test_while_the_mouse_is_on_a_row_the_curves_are_that_rows(qtbot: QtBot, board: Board, model) -> None:
    all_of_them = image(board, "activity_curves").data.copy()
    pointing = Pointing(board)
    try:
        pointing.on_move(board.viewer, SimpleNamespace(position=raster_place(board, 6, 4)))
        qtbot.waitUntil(lambda: len(board.activity.explained.looked_at) == 1, timeout=2000)
        assert not np.array_equal(image(board, "activity_curves").data, all_of_them)
        pointing.on_move(board.viewer, SimpleNamespace(position=(0.0, -500.0, -500.0)))
        qtbot.waitUntil(lambda: len(board.activity.explained.looked_at) == 0, timeout=2000)
        np.testing.assert_array_equal(image(board, "activity_curves").data, all_of_them)
    finally:
        pointing.close()


def test_a_time_brushed_on_the_curves_is_what_the_bars_are_of(board: Board, model, make_record) -> None:
    record = make_record("Run 1", 3)
    # Of neuron 4 only the second half is explained.
    half = FRAMES // 2
    record.result.predicted_activity[4, half:] = model.trial.responses[4, half:]
    model.add_run(record)
    model.set_view(raster_order=RasterOrder.RECORDED)
    whole = image(board, "neuron_correlation").data.copy()
    curves, raster = board.layout.curves, board.layout.raster(1)

    def place(frame: float) -> tuple[float, ...]:
        return (0.0, curves.top + curves.height / 2, raster.left + (frame + 0.5) * raster.width / FRAMES)

    drag(board, place(half), [place(FRAMES - 1)], ("Shift",))
    assert board.activity.explained.span == (half, FRAMES - 1)
    assert image(board, "neuron_correlation").data[4].all()
    assert not whole[4].all()
    assert "r of 0.8 to 1.6 s" in board.activity.explained.words(board.activity.predicted)
    drag(board, place(3), [], ("Shift",))
    assert board.activity.explained.span is None
    np.testing.assert_array_equal(image(board, "neuron_correlation").data, whole)


def test_pointing_at_a_pixel_lights_up_the_neurons_that_look_there(qtbot: QtBot, board: Board, model) -> None:
    model.set_view(raster_order=RasterOrder.RECORDED)
    pointing, asked = Pointing(board), []

    def neurons_at(row: int, column: int) -> np.ndarray:
        asked.append((row, column))
        return np.array([5, 12], np.intp)

    pointing.neurons_at = neurons_at
    try:
        tile = board.layout.movie(0)
        scale = tile.width / board.layout.cols
        place = (0.0, tile.top + 10.5 * scale, tile.left + 20.5 * scale)
        pointing.on_move(board.viewer, SimpleNamespace(position=place))
        qtbot.waitUntil(lambda: board.activity.explained.looked_at.tolist() == [5, 12], timeout=2000)
        assert asked == [(10, 20)]
        lit = np.flatnonzero(image(board, "neuron_correlation").data.any(axis=1))
        assert {5, 12} <= set(lit.tolist()) <= {4, 5, 6, 11, 12, 13}
    finally:
        pointing.close()


def test_an_outline_that_is_dragged_moves_its_threshold_which_undo_takes_back_at_once(board: Board, model) -> None:
    tile = board.layout.movie(1)

    def place(radius: float) -> tuple[float, ...]:
        pitch = board.layout.pitch
        return (0.0, tile.top + 18.5 * pitch, tile.left + (30.5 + radius) * pitch)

    def radius_at(alpha: float) -> float:
        return 17 * (1 - alpha / 1.2)

    drag(board, place(radius_at(0.4)), [place(12.0), place(13.0), place(14.0)], ())
    assert model.training_threshold == pytest.approx(1.2 * (1 - 14 / 17), abs=0.01)
    assert model.evaluation_threshold == 0.6
    # Neither goes beyond the other, or takes the whole screen.
    drag(board, place(14.0), [place(2.0)], ())
    assert model.training_threshold == model.evaluation_threshold == 0.6
    drag(board, place(radius_at(0.6)), [place(30.0)], ())
    assert (model.training_threshold, model.evaluation_threshold) == (0.01, 0.6)
    while model.training_threshold != 0.4:
        model.undo()
    assert model.evaluation_threshold == 0.6
    # Elsewhere the picture is moved, as in napari.
    drag(board, place(3.0), [place(9.0)], ())
    assert model.training_threshold == 0.4
    # A click on it is one on its pixel, as everywhere.
    pointing, clicked = Pointing(board), []
    pointing.pixel_clicked.connect(lambda row, column: clicked.append((row, column)))
    event = SimpleNamespace(position=place(radius_at(0.4)), pos=np.zeros(2), modifiers=(), type="mouse_press")
    gesture = pointing.on_press(board.viewer, event)
    next(gesture)
    event.type = "mouse_release"
    assert next(gesture, "over") == "over"
    pointing.close()
    assert clicked == [(18, 30 + round(radius_at(0.4)))]
    assert model.training_threshold == 0.4


def test_silent_neurons_are_folded_away_and_counted(model: ReconstructionModel) -> None:
    trial = model.trial
    responses = trial.responses.copy()
    responses[[2, 7]] = 0.0
    model.trial = replace(trial, recorded_responses=responses)
    board = Board(wide_viewer(), model)
    assert image(board, "recorded_activity").data.shape[0] == NEURONS - 2
    assert not {2, 7} & set(board.activity.rows.order.tolist())
    assert any("2 silent" in text for text in written(board))
    board.close()


def test_rows_may_follow_depth_and_the_place_of_the_receptive_fields(board: Board, model: ReconstructionModel) -> None:
    model.set_view(raster_order=RasterOrder.DEPTH)
    depths = model.session.coordinates[:, 2]
    assert (np.diff(depths[board.activity.rows.order]) >= 0).all()
    told: list[str] = []
    model.message.connect(lambda text, _error: told.append(text))
    model.set_view(raster_order=RasterOrder.FIELD)
    assert "Map the receptive fields first" in told[-1]
    columns = np.arange(NEURONS)[::-1].astype(float)
    board.activity.ordering.take_fields(SimpleNamespace(looks_at=np.stack([columns, columns], axis=1)))
    assert board.activity.rows.order.tolist() == list(range(NEURONS))[::-1]


@pytest.mark.window
def test_the_rasters_keep_still_while_another_tool_is_in_hand(qapp: object, board: Board) -> None:
    board.begin_painting()
    drag(board, raster_place(board, 3, 31), [], ("Shift",))
    assert not len(board.selected_neurons())


# Painting, region, cells


@pytest.mark.window
def test_a_mask_that_was_erased_as_a_whole_stays_as_it_was_which_is_said_and_can_be_taken_back(
    qtbot, board: Board, model: ReconstructionModel
) -> None:  # type: ignore[no-untyped-def]
    told: list[str] = []
    model.message.connect(lambda text, _is_error: told.append(text))
    layer = board.begin_painting()
    layer.paint((2, 2), 1)
    qtbot.waitUntil(lambda: model.mask.source == "painted by hand", timeout=5000)
    painted = model.mask
    layer.data[...] = 0
    layer.data[2, 2] = 1
    layer.paint((2, 2), 0)
    qtbot.waitUntil(lambda: bool(told), timeout=5000)
    assert told == ["All of the mask was erased. It stays as it was until something is painted again."]
    assert model.mask is painted
    layer.keymap[KeyBinding.from_str("Ctrl+Z")](layer)
    assert model.mask is painted
    np.testing.assert_array_equal(layer.data > 0, painted.binary(model.training_threshold))


@pytest.mark.window
def test_a_painted_pixel_joins_both_masks_and_an_erased_one_leaves(
    qtbot, board: Board, model: ReconstructionModel
) -> None:  # type: ignore[no-untyped-def]
    layer = board.begin_painting()
    assert isinstance(layer, Labels)
    # For a direct one napari compiles code at the first stroke, for two seconds.
    assert not isinstance(layer.colormap, DirectLabelColormap)
    np.testing.assert_array_equal(layer.data > 0, model.mask.binary(model.training_threshold))
    alpha = model.mask.screen.copy()
    layer.paint((2, 2), 1)
    layer.paint((18, 30), 0)
    qtbot.waitUntil(lambda: bool(model.mask.binary(model.evaluation_threshold)[2, 2]), timeout=5000)
    changed = model.mask.screen != alpha
    assert changed[2, 2]
    assert model.mask.screen[18, 30] == 0
    np.testing.assert_array_equal(model.mask.screen[~changed], alpha[~changed])
    assert model.can_undo
    model.undo()
    assert not layer.data[2, 2]
    # Its keys undo on the mask, and at once, and not on what is painted alone.
    undo, redo = (layer.keymap[KeyBinding.from_str(keys)] for keys in ("Ctrl+Z", "Ctrl+Shift+Z"))
    layer.paint((30, 50), 1)
    undo(layer)
    np.testing.assert_array_equal(model.mask.screen, alpha)
    assert not layer.data[30, 50]
    redo(layer)
    assert model.mask.binary(model.training_threshold)[30, 50]
    assert layer.data[30, 50]
    board.end_painting()
    assert board.layer(Role.PAINTING) is None


@pytest.mark.window
def test_the_brush_stays_on_the_stimulus_wherever_that_goes(qapp: object, board: Board) -> None:
    brush, region = board.begin_painting(), board.draw_region()
    for layout in (Layout.WATCH, Layout.PAPER, Layout.COMPARE, Layout.EXPLAIN):
        for canvas in ((400, 700), WIDE_CANVAS):
            board.viewer.canvas.size = canvas
            board.model.set_view(layout=layout)
            board.reset_view()
            shown = board.layer(Role.STIMULUS)
            for on_it in (brush, region):
                np.testing.assert_allclose(on_it.scale, shown.scale[1:])
                np.testing.assert_allclose(on_it.translate, shown.translate[1:])
    board.viewer.layers.remove(region)
    board.end_painting()


@pytest.mark.window
def test_a_stroke_is_kept_where_a_threshold_moves_before_it_has_settled(
    qapp: object, board: Board, model: ReconstructionModel
) -> None:
    layer = board.begin_painting()
    layer.paint((2, 2), 1)
    layer.paint((18, 30), 0)
    model.set_thresholds(training=0.2)
    inside = model.mask.binary(model.training_threshold)
    assert inside[2, 2]
    assert not inside[18, 30]
    np.testing.assert_array_equal(layer.data > 0, inside)
    # What the lower threshold brought is there, too, and was not taken for erased.
    assert inside.sum() > model.mask.binary(0.4).sum()
    # A mask that is loaded meanwhile is not painted on.
    layer.paint((30, 50), 1)
    model.set_mask(AlphaMask.full())
    assert not model.mask.source.startswith("painted")
    board.end_painting()


@pytest.mark.window
def test_the_brush_is_forgotten_when_another_session_comes(
    qapp: object, board: Board, model: ReconstructionModel, copy_of_small_session: Path
) -> None:
    layer = board.begin_painting()
    assert isinstance(layer, Labels)
    layer.paint((2, 2), 1)
    model.set_session(open_session(copy_of_small_session))
    assert board.layer(Role.PAINTING) is None
    assert model.mask.source == "full screen"


def test_a_region_drawn_on_the_stimulus_becomes_pixels(board: Board) -> None:
    assert board.region_mask() is None
    layer = board.draw_region()
    assert isinstance(layer, Shapes)
    assert board.region_mask() is None
    layer.add_rectangles(np.array([[4.6, 9.6], [4.6, 20.4], [10.4, 20.4], [10.4, 9.6]]))
    mask = board.region_mask()
    assert mask is not None
    expected = np.zeros((36, 64), bool)
    expected[5:11, 10:21] = True
    assert (mask != expected).sum() <= 2 * (6 + 11)
    assert mask[7, 15]
    assert not mask[20, 40]
    np.testing.assert_allclose(layer.scale, image(board, "stimulus").scale[1:])


def test_cells_are_shown_where_they_lie_and_ablated_ones_are_grey(board: Board, model: ReconstructionModel) -> None:
    assert model.session is not None
    assert model.session.coordinates is not None
    assert board.cells_layer() is None
    cells = board.show_cells()
    assert cells is not None
    assert board.cells_layer() is cells
    np.testing.assert_array_equal(cells.data, model.session.coordinates[:, ::-1])
    model.set_neurons(NeuronSet.without(NEURONS, np.array([6])))
    colours = np.asarray(cells.face_color)
    assert not np.allclose(colours[6], colours[0])
    np.testing.assert_allclose(colours[7], colours[0])
    cells.selected_data = {7, 9}
    chosen = np.asarray(cells.face_color)
    np.testing.assert_allclose(chosen[7], chosen[9])
    assert not np.allclose(chosen[7], colours[7])
    np.testing.assert_allclose(chosen[6], colours[6])


def test_cells_show_how_well_they_are_explained_and_which_one_was_clicked(
    board: Board, model: ReconstructionModel, make_record
) -> None:
    cells = board.show_cells()
    scene = board.cells.scene
    assert "takes part" in board.cells.words
    assert scene.canvas.overlays.scale_bar.visible
    record = make_record("Run 1", 3)
    record.result.predicted_activity[4] = model.trial.responses[4]
    record.result.predicted_activity[5] = -model.trial.responses[5]
    model.add_run(record)
    colours = np.asarray(cells.face_color)
    assert colours[4, 0] > 0.9
    assert colours[5, 0] < 0.4
    assert "r with the prediction" in board.cells.words
    board.activity.choose(np.array([6]))
    # Neither of the colours of r, and seen on napari's white as on its black.
    np.testing.assert_allclose(np.asarray(cells.face_color)[6], transform_color(CHOSEN_COLOUR)[0])
    assert CHOSEN_COLOUR in board.cells.words


def test_cells_show_where_they_look_once_fields_are_mapped(board: Board, model: ReconstructionModel) -> None:
    cells = board.show_cells()
    assert "colours:" not in board.cells.words
    looks_at = np.stack([np.full(NEURONS, 9.0), np.linspace(10, 50, NEURONS)], axis=1)
    looks_at[3] = np.nan
    board.activity.ordering.take_fields(SimpleNamespace(looks_at=looks_at))
    board.cells.update_neurons()
    assert f'<a href="{BY_COLUMN}">' in board.cells.words
    board.cells.colour_by(BY_COLUMN)
    assert "looks at column" in board.cells.words
    assert f'<a href="{BY_EXPLAINED}">' in board.cells.words
    seen = np.asarray(cells.face_color)[[0, NEURONS // 2, NEURONS - 1]]
    np.testing.assert_allclose(seen, ensure_colormap("viridis").map([0.0, 0.5, 1.0]), atol=0.06)
    # All look at one row; what is ablated stays grey, and fields of other cells are not these cells'.
    model.set_neurons(NeuronSet.without(NEURONS, np.array([6])))
    board.cells.colour_by(BY_ROW)
    colours = np.asarray(cells.face_color)
    np.testing.assert_allclose(colours[0], colours[-1])
    assert not np.allclose(colours[6], colours[0])
    board.activity.ordering.take_fields(SimpleNamespace(looks_at=looks_at[:-1]))
    board.cells.update_neurons()
    assert "takes part" in board.cells.words


def test_without_positions_there_are_no_cells_to_show(board: Board, model: ReconstructionModel) -> None:
    assert model.session is not None
    known, session = model.session.coordinates, model.session
    session.coordinates = None
    assert board.show_cells() is None
    session.coordinates = known
    board.show_cells()
    assert "lasso" in board.cells.words
    # What is open already says so instead of a legend of cells that are not there, until there are some again.
    session.coordinates = None
    model.set_session(session)
    assert board.cells.words == "Where the cells lie is not known of this session."
    session.coordinates = known
    board.show_cells()
    assert "lasso" in board.cells.words


def test_neurons_without_a_position_keep_their_numbers_and_are_neither_drawn_nor_selected(
    board: Board, model: ReconstructionModel
) -> None:
    session = model.session
    assert session is not None
    known = session.coordinates.astype(np.float32)
    known[[1, 4], 2] = np.nan
    session.coordinates = known
    cells = board.show_cells()
    assert cells is not None
    assert np.isfinite(cells.data).all()
    np.testing.assert_array_equal(np.flatnonzero(~cells.shown), [1, 4])
    assert f"2 of {NEURONS} without a position" in board.cells.words
    lasso_all(board)
    assert cells.selected_data == set(range(NEURONS)) - {1, 4}
    session.coordinates = np.full_like(known, np.nan)
    assert board.show_cells() is None


def lasso_all(board: Board, on_move: Callable[[], None] = lambda: None) -> None:
    """Shift-drag a line around all cells, from a distance."""
    cells, scene = board.cells_layer(), board.cells.scene
    assert cells is not None
    assert scene is not None
    middle, reach = cells.data.mean(axis=0), 2000.0
    view, up = np.asarray(scene.scene.camera.view_direction), np.asarray(scene.scene.camera.up_direction)
    side = np.cross(view, up)
    corners = [middle + reach * (a * up + b * side) for a, b in ((-1, -1), (-1, 1), (1, 1), (1, -1))]
    event = SimpleNamespace(position=corners[0], modifiers=("Shift",), type="mouse_press")
    gesture = board.cells.on_press(scene, event)
    next(gesture)
    for corner in corners[1:]:
        event.position, event.type = corner, "mouse_move"
        next(gesture)
        on_move()
    event.type = "mouse_release"
    next(gesture, None)


def test_the_lasso_selects_what_lies_inside_it_from_where_it_was_drawn() -> None:
    cells = np.array([[0.0, 0, 0], [50, 1, 1], [0, 30, 0], [0, 0, 30]])
    corners = np.array([[9.0, -5, -5], [9, -5, 5], [9, 5, 5], [9, 5, -5]])
    inside = cells_inside(cells, corners, view=np.array([1.0, 0, 0]), up=np.array([0.2, -1.0, 0]))
    np.testing.assert_array_equal(inside, [True, True, False, False])


def test_a_lasso_gesture_selects_cells_and_leaves_nothing_behind(board: Board) -> None:
    cells = board.show_cells()
    scene = board.cells.scene
    assert cells is not None
    assert scene is not None
    lines: list[int] = []
    lasso_all(board, lambda: lines.append(next(layer for layer in scene.layers if layer is not cells).nshapes))
    # The line is there with the first move, the first time as well.
    assert lines == [1, 1, 1]
    assert cells.selected_data == set(range(NEURONS))
    (lasso,) = [layer for layer in scene.layers if layer is not cells]
    assert lasso.nshapes == 0
    assert scene.scene.camera.mouse_pan


# Geometry and words


CANVASES = [
    (height, round(height * aspect))
    for height in (380, 450, 549, 697, 900, 1300, 1900)
    for aspect in (0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.2, 2.6)
]
"""Height and width: what docks leave of windows from 1024 x 576 to 4k, and of small ones at twice the scale."""


@pytest.mark.parametrize(("kind", "least"), [(Layout.WATCH, 0.45), (Layout.EXPLAIN, 0.3)])
@pytest.mark.parametrize("movies", [2, 3, 4])
def test_the_movies_have_their_share_of_a_canvas_of_any_size(kind: Layout, least: float, movies: int) -> None:
    for canvas in CANVASES:
        layout = arranged(kind, canvas, movies, Clip())
        assert layout.movie_share >= least, canvas
        assert layout.has_rasters == (kind is Layout.EXPLAIN)
        assert len({(round(tile.height, 6), round(tile.width, 6)) for tile in layout.tiles}) == 1


@pytest.mark.parametrize("kind", [Layout.WATCH, Layout.EXPLAIN])
@pytest.mark.parametrize(("rows", "cols"), [(60, 9), (100, 4), (8, 100)])
def test_movies_of_a_narrow_screen_have_titles_where_leaving_them_out_gains_little(
    kind: Layout, rows: int, cols: int
) -> None:
    for canvas in CANVASES:
        for movies in (2, 3):
            layout = arranged(kind, canvas, movies, Clip(rows=rows, cols=cols))
            assert layout.words.titles or layout.movie_share > 0.2, canvas


@pytest.mark.parametrize("kind", [Layout.WATCH, Layout.EXPLAIN])
@pytest.mark.parametrize("movies", [2, 3, 4])
@pytest.mark.parametrize(("rows", "cols"), [(36, 64), (60, 9), (9, 60)])
def test_nothing_on_a_canvas_of_any_size_overlaps_or_is_cut(kind: Layout, movies: int, rows: int, cols: int) -> None:
    for canvas in CANVASES:
        layout = arranged(kind, canvas, movies, Clip(rows=rows, cols=cols))
        parts = [*layout.tiles, *layout.raster_tiles, *([layout.strip] if layout.strip else []), *layout.legend]
        whole = layout.canvas
        for number, box in enumerate(parts):
            assert box.top >= 0, canvas
            assert box.left >= 0, canvas
            assert box.bottom <= whole.bottom + 1e-6, canvas
            assert box.right <= whole.right + 1e-6, canvas
            for other in parts[:number]:
                apart = max(
                    box.top - other.bottom, other.top - box.bottom, box.left - other.right, other.left - box.right
                )
                assert apart > -1e-6, (canvas, number)


@pytest.mark.parametrize("runs", range(1, 7))
def test_the_colours_of_an_error_are_explained_beside_any_number_of_compared_runs(runs: int) -> None:
    for canvas in CANVASES:
        layout = arranged(Layout.COMPARE, canvas, 3, Clip(), others=runs - 1)
        assert layout.colours is not None, canvas
        bar, px = bar_box(layout.colours, layout.unit), layout.unit
        # Room for "−128" before and "128" after it.
        assert bar.left - layout.colours.left > 4 * LETTER_PX * px
        assert layout.colours.right - bar.right > 3 * LETTER_PX * px
        assert bar.width > LETTER_PX * px


def test_the_view_follows_the_size_of_the_canvas_until_a_person_moves_it(board: Board, qapp: QApplication) -> None:
    camera = board.viewer.scene.camera

    def resize(height: int, width: int) -> None:
        board.viewer.canvas.size = (height, width)
        qapp.processEvents()

    resize(900, 1200)
    fitted_zoom = camera.zoom
    resize(450, 600)
    assert camera.zoom == pytest.approx(fitted_zoom / 2, rel=0.05)
    camera.zoom = 7.0
    resize(900, 1200)
    assert camera.zoom == 7.0
    board.reset_view()
    assert camera.zoom == pytest.approx(fitted_zoom)


def test_after_naparis_own_button_for_the_whole_view_the_board_follows_the_window_again(
    board: Board, qapp: QApplication
) -> None:
    viewer, camera = board.viewer, board.viewer.scene.camera
    viewer.canvas.size = (900, 1200)
    qapp.processEvents()
    whole, layout = camera.zoom, board.layout
    camera.zoom = 7.0
    viewer.canvas.size = (300, 250)
    qapp.processEvents()
    assert board.layout == layout
    viewer.reset_view()
    assert board.layout != layout
    viewer.canvas.size = (900, 1200)
    qapp.processEvents()
    assert (camera.zoom, board.layout) == (pytest.approx(whole), layout)


def test_naparis_own_button_shows_what_a_person_has_beside_the_board(board: Board, qapp: QApplication) -> None:
    viewer = board.viewer
    viewer.canvas.size = (900, 1200)
    qapp.processEvents()
    whole = viewer.scene.camera.zoom
    beside = viewer.add_points([[0.0, 0.0], [board.layout.canvas.bottom * 3, 0.0]])
    viewer.reset_view()
    assert viewer.scene.camera.zoom < whole / 2
    beside.visible = False
    viewer.reset_view()
    assert viewer.scene.camera.zoom == pytest.approx(whole)


def test_a_box_finds_the_element_under_a_point() -> None:
    box = Box(top=10.0, left=20.0, height=36.0, width=64.0)
    assert box.element(10.0, 20.0, 36, 64) == (0, 0)
    assert box.element(45.9, 83.9, 36, 64) == (35, 63)
    assert box.element(46.1, 50.0, 36, 64) is None
    # Where a camera sees nothing, napari gives no place.
    assert box.element(np.nan, 50.0, 36, 64) is None
    assert box.translate(36, 64) == (10.5, 20.5)


def test_outlines_run_round_the_mask_even_at_the_edge_of_the_screen() -> None:
    mask = np.zeros((36, 64), bool)
    mask[:, :20] = True
    (line,) = contours(mask)
    assert line.min() >= 0
    np.testing.assert_allclose(line.max(axis=0), [20, 36], atol=0.3)
    rows, columns = np.mgrid[:36, :64]
    (ring,) = contours(np.hypot(rows - 18, columns - 30) < 10)
    radii = np.hypot(ring[:, 0] - 30.5, ring[:, 1] - 18.5)
    assert np.all((radii > 9) & (radii < 10.5))
    assert len(contours(np.zeros((36, 64), bool))) == 0


def test_a_single_pixel_still_has_an_outline() -> None:
    mask = np.zeros((36, 64), bool)
    mask[5, 7] = True
    (line,) = contours(mask)
    assert np.all(np.abs(line - [7.5, 5.5]) <= 0.6)
    assert np.ptp(line) > 0.5


def test_times_on_the_axis_are_round_and_inside_the_clip() -> None:
    for duration_s in (0.8, 1.6, 10.0, 33.0, 300.0):
        times = [time for time, _ in ticks(duration_s)]
        assert 2 <= len(times) <= 7
        assert times[0] == 0
        assert times[-1] < duration_s
    assert ticks(10.0)[1][1] == "2"
    # Of a single one nobody would know how long a second is.
    assert [text for _, text in ticks(64 / 30, 2)] == ["0 s", "1"]


def test_long_names_are_cut_to_their_tile() -> None:
    assert fitted("a long name of a run", 8) == "a long…"
    assert fitted("short", 8) == "short"


# In a real window


def saturation(board: Board, picture: np.ndarray, tile: Box) -> float:
    """Share of coloured pixels in a tile on a screenshot of the canvas."""
    camera = board.viewer.scene.camera
    middle, centre = np.array(picture.shape[:2]) / 2, np.asarray(camera.center[-2:])
    (top, left), (bottom, right) = (
        np.round(middle + (np.array(corner) - centre) * camera.zoom).astype(int)
        for corner in ((tile.top, tile.left), (tile.bottom, tile.right))
    )
    return float((np.ptp(picture[top:bottom, left:right, :3].astype(int), axis=-1) > 60).mean())


@pytest.mark.window
def test_a_window_shows_the_board_the_cells_and_the_grid(
    make_napari_viewer_proxy: Callable[..., object],
    qtbot,
    model: ReconstructionModel,
    make_record: Callable[..., RunRecord],
) -> None:  # type: ignore[no-untyped-def]
    viewer = make_napari_viewer_proxy(show=True)
    board = Board(viewer, model)  # type: ignore[arg-type]
    model.add_run(make_record("one", 1))
    picture = viewer.screenshot(flash=False)  # type: ignore[attr-defined]
    stimulus, error = (saturation(board, picture, board.layout.movie(column)) for column in (0, 2))
    assert error > 0.05
    assert error > 2 * stimulus
    cells = board.show_cells()
    assert cells is not None
    assert "Cells" in viewer.window.dock_widgets  # type: ignore[attr-defined]
    model.set_view(grid=True)
    assert np.ptp(viewer.screenshot(flash=False)) > 100  # type: ignore[attr-defined]
    model.set_view(grid=False)
    board.close()
    assert "Cells" not in viewer.window.dock_widgets  # type: ignore[attr-defined]


def test_alpha_lies_over_the_stimulus_as_heat_and_a_fit_is_seen_as_it_grows(
    board: Board, model: ReconstructionModel
) -> None:
    assert board.layer("alpha") is None
    model.set_view(alpha_shown=True)
    assert np.array_equal(image(board, "alpha").data, model.mask.screen.astype(np.float32))
    assert np.array_equal(image(board, "alpha").translate, image(board, "stimulus").translate[-2:])
    growing = np.full_like(model.mask.screen, 0.25)
    board.show_fitted_alpha(growing)
    assert (image(board, "alpha").data == 0.25).all()
    board.show_fitted_alpha(None)
    model.set_view(alpha_shown=False)
    assert board.layer("alpha") is None


def test_the_run_before_has_a_tile_while_another_one_goes_on(
    board: Board, model: ReconstructionModel, make_record: Callable[..., RunRecord], snapshot: Snapshot
) -> None:
    before = make_record("Run 1", seed=1)
    model.add_run(before)
    model.set_state(RunState.RUNNING)
    model.take_snapshot(snapshot)
    assert np.array_equal(image(board, "comparison").data, before.result.video)
    assert np.array_equal(image(board, "reconstruction").data, snapshot.video)
    assert "Before: Run 1" in written(board)
    assert len(board.layout.tiles) == 4
    model.set_view(ghost_shown=False)
    assert board.layer("comparison") is None
    model.set_view(ghost_shown=True)
    model.set_state(RunState.DONE)
    assert board.layer("comparison") is None
    assert len(board.layout.tiles) == 3


def test_between_two_runs_the_layer_of_the_run_before_rests_unseen_and_keeps_nothing_of_it(
    board: Board, model: ReconstructionModel, make_record: Callable[..., RunRecord], snapshot: Snapshot
) -> None:
    before, layers = make_record("Run 1", seed=1), board.viewer.layers
    model.add_run(before)
    model.set_state(RunState.RUNNING)
    model.take_snapshot(snapshot)
    ghost = image(board, "comparison")
    ghost.name = "as it was"
    layers.selection.active = ghost
    model.set_state(RunState.DONE)
    assert ghost in layers
    assert not ghost.visible
    assert ghost.data is model.trial.video
    assert layers.selection.active is board.layer("reconstruction")
    model.set_state(RunState.RUNNING)
    assert image(board, "comparison") is ghost
    assert ghost.visible
    assert ghost.name == "as it was"
    assert np.array_equal(ghost.data, before.result.video)
    assert np.array_equal(ghost.translate[-2:], board.layout.movie(2).translate(*ghost.data.shape[1:]))
    model.set_state(RunState.DONE)
    model.set_view(grid=True)
    assert ghost not in layers
    model.set_view(grid=False)


def test_what_is_lost_is_shown_against_the_run_with_more_neurons(
    board: Board, model: ReconstructionModel, make_record: Callable[..., RunRecord]
) -> None:
    full, ablated = make_record("Run 1", seed=1), make_record("Run 2", seed=2)
    ablated.result = replace(ablated.result, keep=np.arange(len(full.result.keep)) > 0)
    model.add_run(full)
    model.set_view(error_mode=ErrorMode.LOST)
    assert "No run with more neurons to lose against" in written(board)
    model.add_run(ablated)
    lost = lost_map(model.trial.video, full.result.video, ablated.result.video)
    shown = np.asarray(image(board, "error_map").data)
    assert np.allclose(shown, lost * evaluated(model), atol=1e-3)
    assert "Lost against Run 1" in written(board)
    assert any("lost" in text and text.startswith("+") for text in written(board))


def test_runs_of_several_sessions_stand_side_by_side_named_and_each_held_against_its_own_movie(
    board: Board, model: ReconstructionModel, make_record: Callable[..., RunRecord], copy_of_small_session: Path
) -> None:
    first, theirs = model.session, make_record("Run 1", seed=1)
    theirs.result = replace(theirs.result, video=theirs.result.video[:40], stimulus=model.trial.video[:40])
    model.add_run(theirs)
    model.set_session(open_session(copy_of_small_session))
    assert (model.runs, model.elsewhere) == ([], [theirs])
    model.set_trial(1, 0, 48)
    ours = make_record("Run 1", seed=2)
    model.add_run(ours)
    model.set_view(layout=Layout.COMPARE)
    clip = f"trial {theirs.recipe.trial}"
    assert any(text.startswith(f"{first.name}: Run 1, {clip}") for text in written(board))
    # Where there is no room for all of that, its first letters tell it from the others.
    assert briefly_named(model, theirs) == f"Run 1, {first.name}"
    theirs.result.provenance["simulated"] = True
    assert briefly_named(model, theirs) == f"Run 1, sim. {first.name}"
    assert briefly_named(model, ours) == "Run 1"
    others, differences = (np.asarray(image(board, role).data) for role in ("other_movies", "other_differences"))
    assert np.nanmax(np.abs(others[39])) > 0
    assert np.isnan(others[40]).all() or not np.isfinite(others[40]).any()
    own_error = theirs.result.video[3] - theirs.result.stimulus[3]
    assert np.nanmax(np.abs(differences[3])) <= np.abs(own_error).max() + 1e-3
    model.compare_with(theirs)
    model.set_view(layout=Layout.WATCH, error_mode=ErrorMode.COMPARISON)
    assert np.array_equal(image(board, "comparison").data[:40], theirs.result.video)
    assert np.isnan(image(board, "comparison").data[40:]).all()
    assert "Another movie: no difference" in written(board)
    # They come back with their session.
    model.set_session(first)
    assert (model.runs, model.elsewhere) == ([theirs], [ours])


def test_runs_of_a_mouse_that_was_in_the_folder_before_are_not_those_of_the_one_in_it_now(
    model: ReconstructionModel, make_record: Callable[..., RunRecord]
) -> None:
    before = make_record("Run 1", seed=1)
    before.recipe = before.recipe.changed(neurons_of=model.session.n_neurons + 1)
    model.add_run(before)
    model.set_session(open_session(model.session.path))
    assert (model.runs, model.elsewhere) == ([], [before])


def test_a_click_on_a_pixel_tells_which_neurons_pull_it(
    board: Board, model: ReconstructionModel, make_record: Callable[..., RunRecord], small_encoder_file: Path
) -> None:
    pulls, news = PixelPulls(model, board), []
    model.message.connect(lambda text, _is_error: news.append(text))
    pointing = Pointing(board)
    pointing.pixel_clicked.connect(pulls.ask)

    def click(row: int = 2) -> None:
        tile = board.layout.movie(1)
        place = (0.0, tile.top + (row + 0.5) * board.layout.pitch, tile.left + 3.5 * board.layout.pitch)
        event = SimpleNamespace(position=place, pos=np.zeros(2), modifiers=(), type="mouse_press")
        gesture = pointing.on_press(board.viewer, event)
        next(gesture)
        event.type = "mouse_release"
        next(gesture, None)

    click()
    assert not pulls.busy  # There is no reconstruction yet.
    model.set_settings(device="cpu")
    model.set_encoders([small_encoder_file])
    model.add_run(make_record("Run 1", seed=1))
    click()
    assert pulls.wait()
    assert pulls.result.pixel == (2, 3)
    pulling = np.concatenate([pulls.result.brighter, pulls.result.darker])
    assert np.array_equal(board.activity.explained.chosen, pulling)
    assert news[-1].startswith("Pulled ")
    assert news[-1].endswith(": row 2, column 3 at 0.00 s (first encoder).")
    # Of clicks in a hurry the last is answered, and of none after something else was chosen.
    told = len(news)
    for row in (3, 4, 5):
        click(row)
    assert pulls.wait()
    assert pulls.result.pixel == (5, 3)
    assert len(news) == told + 1
    click(6)
    board.activity.choose(np.array([0]))
    assert pulls.wait()
    assert pulls.result.pixel == (5, 3)
    assert board.activity.explained.chosen.tolist() == [0]
    pointing.close()
