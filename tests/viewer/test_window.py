"""The window as a person uses it, with a real canvas."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.settings import get_settings
from napari.utils.key_bindings import coerce_keybinding
from napari.utils.notifications import notification_manager
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLabel

import napari_vidrecon as vr
from napari_vidrecon.analysis.postprocess import Presentation
from napari_vidrecon.sessions.sample import Sample
from napari_vidrecon.viewer.board.layers import Role
from napari_vidrecon.viewer.choices import ErrorMode, Layout
from napari_vidrecon.viewer.demo import Demonstration, closed_by_signals
from napari_vidrecon.viewer.exports import shown_movie
from napari_vidrecon.viewer.main_widget import HOW, ReconstructionWidget
from napari_vidrecon.viewer.main_window import go_to_frame, main_window_of, present_frame
from napari_vidrecon.viewer.model import RunRecord, RunState
from napari_vidrecon.viewer.registry import find_workspace, model_of, workspace_of
from napari_vidrecon.viewer.traces import Traces
from napari_vidrecon.viewer.view_controls import LAYOUT_KEYS

pytestmark = pytest.mark.window

LONG_RUN = 100_000
PATIENCE_MS = 60_000


def until(qtbot: QtBot, condition: Callable[[], bool]) -> None:
    qtbot.waitUntil(condition, timeout=PATIENCE_MS)


def run_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("vidrecon")]


def started(qtbot: QtBot, widget: ReconstructionWidget, steps: int = LONG_RUN) -> None:
    widget.model.set_settings(config=widget.model.config.changed(steps=steps))
    widget.run_bar.start_button.click()
    until(qtbot, lambda: widget.model.snapshot is not None and widget.model.snapshot.info.step > 2)


@pytest.mark.long
def test_a_stranger_can_go_through_the_whole_story(qtbot, docked, small_session_folder, small_encoder_file):
    widget = docked(filled=False)
    model, bar, board = widget.model, widget.run_bar, widget.board
    assert not bar.start_button.isEnabled()
    assert "Open a session first" in bar.hint.toolTip()

    widget.open(small_session_folder)
    widget.open(small_encoder_file)
    assert bar.start_button.isEnabled()
    widget.session_panel.last_frame.setValue(48)
    assert model.trial.frames == 48
    until(qtbot, lambda: model.stimulus_prediction is not None)

    started(qtbot, widget)
    assert "Step " in bar.state.text()
    bar.pause_button.click()
    assert model.state == RunState.PAUSED
    assert bar.pause_button.text() == "Resume"
    bar.pause_button.click()
    board.viewer.dims.set_current_step(0, 20)
    reconstruction = board.layer("reconstruction")
    until(qtbot, lambda: not np.all(reconstruction.data == reconstruction.data[0, 0, 0]))

    widget.mask_panel.thresholds.setValue((0.3, 0.9))
    assert (model.training_threshold, model.evaluation_threshold) == (0.3, 0.9)
    assert "mask 0.5 → 0.3" in bar.hint.text()
    widget.neuron_panel.percent.setValue(50)
    assert 4 <= model.neurons.count <= 16

    model.set_settings(config=model.config.changed(steps=4))
    bar.rerun_button.click()
    until(qtbot, lambda: len(model.runs) == 2 and model.state == RunState.DONE)
    assert "mask 0.5 → 0.3" in model.runs[1].changed_from_before
    assert model.shown is model.runs[1]
    assert np.array_equal(reconstruction.data, model.video)

    widget.undo_bar.undo_button.click()
    widget.neuron_panel.take_all()
    board.activity.mark(np.array([3, 5]))
    widget.neuron_panel.rows_button.click()
    assert sorted(np.flatnonzero(~model.neurons.keep)) == [3, 5]

    runs = widget.runs_panel
    runs.compare.setCurrentIndex(1)
    runs.compare.activated.emit(1)
    assert model.compared is model.runs[0]
    assert board.layer("comparison") is not None
    runs.tree.setCurrentItem(runs.tree.topLevelItem(0))
    runs.delete(model.runs[1])
    assert model.shown is model.runs[0]


def test_closing_the_window_stops_the_run_and_keeps_it(qtbot, docked):
    widget = docked()
    started(qtbot, widget)
    folder = widget.controller.runs_folder
    (thread,) = run_threads()
    widget.board.viewer.close()
    del widget
    until(qtbot, lambda: not thread.is_alive())
    (kept,) = folder.glob("*.zarr")
    assert len(vr.Reconstruction.load(kept).history) > 2


def test_a_window_that_was_closed_with_its_cells_takes_no_notice_of_larger_letters_in_another(
    qtbot, docked, monkeypatch
):
    widget = docked()
    board = widget.board
    assert board.show_cells() is not None
    gone, told = [], []
    widget.model.message.connect(lambda words, _is_error: told.append(words))
    main_window_of(board.viewer).destroyed.connect(lambda: gone.append(True))
    board.viewer.close()
    until(qtbot, lambda: bool(gone))
    monkeypatch.setattr(get_settings().appearance, "font_size", 16)
    assert told == []


def test_a_viewer_without_a_window_is_refused_in_words():
    with pytest.raises(vr.VidreconError, match="window"):
        workspace_of(ViewerModel())


@pytest.mark.long
def test_a_demonstration_closed_in_the_middle_is_finished_without_its_window(
    qtbot, make_napari_viewer_proxy, make_model, small_session_folder, small_encoder_file, disc_mask, tmp_path
):
    disc_mask.save(tmp_path / "mask.npy")
    sample = Sample(small_session_folder, (small_encoder_file,), tmp_path / "mask.npy")
    config = vr.ReconstructionConfig.preset("best", steps=40)
    demonstration = Demonstration(make_napari_viewer_proxy(), tmp_path / "runs")
    demonstration.begin(sample, 0, 48, config)
    # A quick machine may be through before the first picture is due, so no picture is waited for.
    until(qtbot, lambda: demonstration.model.state == RunState.RUNNING)
    demonstration.viewer.close()
    result = demonstration.result()
    assert result.finished
    assert len(result.video) == 48


def test_whoever_ends_the_demonstration_closes_its_window_first_and_in_order(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []
    before = signal.signal(signal.SIGTERM, lambda *_: happened.append("the process ends"))
    try:
        with closed_by_signals(lambda: happened.append("the window closes")):
            signal.raise_signal(signal.SIGTERM)
            until(qtbot, lambda: bool(happened))
            happened.append("napari returns")
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert happened == ["the window closes", "napari returns", "the process ends", "the process ends"]


@pytest.mark.long
def test_the_button_of_the_brush_says_whether_it_is_there_whoever_took_it_and_whichever_dock_shows_it(qtbot, docked):
    widget = docked()
    viewer = widget.board.viewer
    widget.pages.open_page(HOW)
    paint = widget.mask_panel.paint_button
    QTest.mouseClick(paint, Qt.MouseButton.LeftButton)
    assert (paint.text(), paint.isChecked()) == ("Done", True)
    viewer.layers.remove(widget.board.painting.layer)
    assert (paint.text(), paint.isChecked()) == ("Paint", False)
    QTest.mouseClick(paint, Qt.MouseButton.LeftButton)
    assert widget.board.painting.layer is not None
    viewer.window.remove_dock_widget(widget)
    again = ReconstructionWidget(viewer)
    viewer.window.add_dock_widget(again, name="Movie reconstruction", area="right")
    again.pages.open_page(HOW)
    paint = again.mask_panel.paint_button
    assert (paint.text(), paint.isChecked()) == ("Done", True)
    QTest.mouseClick(paint, Qt.MouseButton.LeftButton)
    assert (paint.text(), paint.isChecked(), again.board.painting.layer) == ("Paint", False, None)


@pytest.mark.long
def test_a_run_goes_on_without_its_dock_and_without_its_layers_and_a_new_dock_shows_it(qtbot, docked):
    widget = docked()
    viewer, model = widget.board.viewer, widget.model
    started(qtbot, widget)
    viewer.window.remove_dock_widget(widget)
    del widget
    step = model.snapshot.info.step
    until(qtbot, lambda: model.snapshot.info.step > step)

    again = ReconstructionWidget(viewer)
    viewer.window.add_dock_widget(again, name="Movie reconstruction", area="right")
    assert again.model is model
    assert "Step " in again.run_bar.state.text()

    viewer.layers.clear()
    step = model.snapshot.info.step
    until(qtbot, lambda: model.snapshot.info.step > step)
    again.run_bar.stop_button.click()
    until(qtbot, lambda: model.state == RunState.DONE)
    assert model.video is model.shown.result.video


def test_layouts_are_switched_by_bar_and_keys_and_the_next_window_begins_with_the_last_but_is_another(
    qtbot, docked, make_model
):
    widget = docked(filled=False)
    bar, viewer = workspace_of(widget.board.viewer).stage_bar, widget.board.viewer
    assert bar.layouts[Layout.WATCH].isChecked()
    for layout, key in LAYOUT_KEYS.items():
        viewer.keymap[coerce_keybinding(key)](viewer)
        assert widget.model.layout is layout
        assert bar.layouts[layout].isChecked()
    bar.layouts[Layout.COMPARE].trigger()
    bar.show_as.setCurrentIndex(1)
    bar.show_as.activated.emit(1)
    assert widget.model.presentation == Presentation("paper")

    other = docked(filled=False)
    assert (other.model.layout, other.model.presentation) == (Layout.COMPARE, Presentation("paper"))
    assert other.model is not widget.model
    before = other.mask_panel.thresholds.value()
    make_model(widget.model).set_thresholds(0.1, 0.2)
    widget.controller.start()
    until(qtbot, lambda: widget.model.state == RunState.DONE)
    assert other.model.runs == []
    assert other.model.session is None
    assert other.mask_panel.thresholds.value() == before != (0.1, 0.2)


def test_nonsense_becomes_a_message_and_neither_it_nor_layers_of_other_units_make_a_window_useless(
    qtbot, docked, tmp_path
):
    widget = docked()
    messages = []
    widget.model.message.connect(lambda text, is_error: messages.append((text, is_error)))
    (tmp_path / "zarr.json").write_text("{}")
    (tmp_path / "mask.npy").write_bytes(b"\x80\x04nonsense")
    for path in (tmp_path, tmp_path / "mask.npy", tmp_path / "nothing"):
        widget.open(path)
    assert len(messages) == 3
    assert all(is_error for _, is_error in messages)
    assert not widget.run_bar.message.isHidden()
    widget.controller.start()
    until(qtbot, lambda: widget.model.state == RunState.DONE)

    viewer, before = widget.board.viewer, len(notification_manager.records)
    other = {"units": ("ms", "micrometer", "micrometer"), "scale": (10, 1, 1)}
    for add in (
        lambda: viewer.add_image(np.zeros((9, 20, 20), np.float32), **other),
        lambda: viewer.add_image(np.zeros((2, 5, 20, 20), np.float32)),
        lambda: viewer.add_points(np.zeros((1, 3))),
    ):
        added = add()
        qtbot.wait(50)
        viewer.screenshot(flash=False)
        viewer.layers.remove(added)
        viewer.screenshot(flash=False)
    widget.board.show_cells()
    viewer.screenshot(flash=False)
    assert not [record.message for record in notification_manager.records[before:] if "units" in str(record.message)]


def test_the_movies_have_their_share_of_the_canvas_in_a_window_of_any_size(qtbot, docked):
    widget = docked()
    board, model, window = widget.board, widget.model, main_window_of(widget.board.viewer)
    for layout, least in ((Layout.WATCH, 0.45), (Layout.EXPLAIN, 0.3)):
        model.set_view(layout=layout)
        for width, height in ((1024, 576), (1366, 768), (1600, 1000)):
            window.resize(width, height)
            qtbot.wait(100)
            camera = board.viewer.scene.camera
            seen = [tile.area * camera.zoom**2 for tile in board.layout.tiles]
            rows, columns = board.viewer.canvas.size
            assert sum(seen) / (rows * columns) >= least
            assert board.layout.has_rasters == (layout is Layout.EXPLAIN)


@pytest.mark.long
def test_in_every_window_from_1024_pixels_each_part_of_explain_says_what_it_is(qtbot, docked):
    widget = docked()
    board, model, window = widget.board, widget.model, main_window_of(widget.board.viewer)
    for show_as in ("raw", "paper"):
        model.set_view(layout=Layout.EXPLAIN, presentation=Presentation(show_as))
        for width, height in ((1024, 576), (1366, 768), (1600, 1000)):
            window.resize(width, height)
            qtbot.wait(100)
            written = list(board.layer(Role.CAPTIONS).features["caption"])
            for word in ("Stimulus", "Reconstruction", "Recorded", "r"):
                assert any(text.startswith(word) for text in written), (width, word, written)
            assert any(text.startswith(("Error", "Reconstruction −")) for text in written), (width, written)
            assert any("redict" in text or text.startswith("From") for text in written), (width, written)
    window.resize(1024, 576)
    qtbot.wait(100)
    for mode in ErrorMode:
        model.set_view(error_mode=mode)
        assert not [text for text in board.layer(Role.CAPTIONS).features["caption"] if "…" in text], mode
    model.set_view(layout=Layout.PAPER)
    assert any("; reconstruction below" in text for text in board.layer(Role.CAPTIONS).features["caption"])


def test_every_widget_of_a_window_finds_the_same_model_and_every_control_of_the_bar_says_what_it_does(docked):
    widget = docked(filled=False)
    assert model_of(widget.board.viewer) is widget.model
    assert workspace_of(widget.board.viewer) is find_workspace(widget.board.viewer)
    assert find_workspace(widget.board.viewer).controller is widget.controller
    bar = workspace_of(widget.board.viewer).stage_bar
    controls = [bar.widgetForAction(action) for action in bar.actions() if not action.isSeparator()]
    for control in controls:
        if not isinstance(control, QLabel):
            assert control.accessibleName()
            assert control.toolTip()


def test_beside_four_foreign_layers_play_traces_and_export_are_right_and_ours_may_be_renamed_coloured_and_deleted(
    qtbot, docked, small_result, tmp_path
):
    widget = docked()
    viewer, model, board = widget.board.viewer, widget.model, widget.board
    model.add_run(RunRecord("kept", small_result, model.recipe()))
    before = shown_movie(model)
    traces = Traces(viewer)
    viewer.window.add_dock_widget(traces, area="bottom")
    main_window_of(viewer).show()
    foreign = [
        viewer.add_image(np.zeros((2, 5, 20, 20), np.float32)),
        viewer.add_image(np.zeros((400, 20, 20), np.float32), scale=(10, 1, 1), units=("ms", "um", "um")),
        viewer.add_image(np.zeros((40, 20, 20), np.float32), translate=(-3, -500, -500)),
        viewer.add_points(np.array([[0.0, 0, 0, 5, 5], [1, 1, 2, 3, 3]])),
    ]
    go_to_frame(viewer, 20)
    qtbot.waitUntil(lambda: traces.position.text().startswith("frame 20 of 48 · 0.67 s"), timeout=5000)
    assert traces.rows["frame_correlation"].plot.now.time_s == pytest.approx(20 / 30)
    traces.go_to_time(11 / 30)
    assert present_frame(viewer) == 11

    stimulus = board.layer("stimulus")
    widget.player.play()
    qtbot.waitUntil(lambda: widget.player.frame >= 15, timeout=10_000)
    widget.player.stop()
    shown = present_frame(viewer)
    assert 15 <= shown < 48
    np.testing.assert_array_equal(np.asarray(stimulus._data_view), model.trial.video[shown])
    # Another layer is chosen now: what is written is the board's all the same.
    viewer.layers.selection.active = foreign[1]
    after = shown_movie(model)
    np.testing.assert_array_equal(after.video, before.video)
    np.testing.assert_array_equal(after.error, before.error)
    assert after.frame_rate_hz == 30
    assert after.start_s == before.start_s
    widget.export_panel.export_frame(tmp_path / "shown.png")
    qtbot.waitUntil((tmp_path / "shown.png").exists, timeout=30_000)
    qtbot.waitUntil(lambda: not workspace_of(viewer).exporter.busy, timeout=30_000)

    mine = viewer.add_image(np.zeros((3, 9, 9), np.float32), name="stimulus")
    stimulus, reconstruction = board.layer("stimulus"), board.layer("reconstruction")
    stimulus.name, stimulus.colormap = "what it saw", "viridis"
    reconstruction.contrast_limits = (40, 200)
    viewer.layers.remove(board.layer("error_map"))
    # Another clip of the same length, another layout, and back.
    model.set_trial(0, 48, 96)
    for layout in (Layout.EXPLAIN, Layout.COMPARE, Layout.WATCH):
        model.set_view(layout=layout)
    assert board.layer("stimulus") is stimulus
    assert (stimulus.name, stimulus.colormap.name) == ("what it saw", "viridis")
    assert board.layer("reconstruction").contrast_limits == [40, 200]
    # What was deleted is back with the clip; a layer of the same name is still a person's.
    assert board.layer("error_map") is not None
    assert mine in viewer.layers
    assert mine.metadata == {}
    np.testing.assert_array_equal(mine.data, 0)
