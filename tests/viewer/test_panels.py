"""Panels set fields of the model, and follow it; no canvas is needed for that."""

from __future__ import annotations

import gc
import shutil
import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import LayerList, ViewerModel
from outside_packages import WHITE
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QLocale, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QListWidget,
    QMessageBox,
    QTreeWidget,
    QWidget,
)

from napari_vidrecon.encoders.checkpoints import load_encoder
from napari_vidrecon.reconstruction.config import PRESETS, ReconstructionConfig
from napari_vidrecon.reconstruction.flat_names import FLAT_NAMES
from napari_vidrecon.reconstruction.history import History
from napari_vidrecon.reconstruction.recipe import Recipe, most_telling
from napari_vidrecon.reconstruction.reconstructor import StepInfo
from napari_vidrecon.reconstruction.results import Reconstruction
from napari_vidrecon.reconstruction.runner import Snapshot
from napari_vidrecon.reconstruction.targets import NeuronSet
from napari_vidrecon.sessions.session import open_session
from napari_vidrecon.sessions.stimuli.stimulus import STIMULUS_TRIAL
from napari_vidrecon.viewer.board.colormaps import MICE_COLOURS
from napari_vidrecon.viewer.board.outlines import mask_tile
from napari_vidrecon.viewer.controller import RunController
from napari_vidrecon.viewer.evaluation import ONE_PRESENTATION, AddedController, Evaluator
from napari_vidrecon.viewer.fits import GazeFitController, MaskFitController
from napari_vidrecon.viewer.folders import find_companions
from napari_vidrecon.viewer.model import NO_MOVIE_YET, ErrorMode, ReconstructionModel, RunRecord, RunState
from napari_vidrecon.viewer.opening import open_path, open_run, open_sample, take_mask
from napari_vidrecon.viewer.panels.controls import number
from napari_vidrecon.viewer.panels.mask_panel import MaskPanel
from napari_vidrecon.viewer.panels.neuron_panel import NeuronPanel, ablated, in_region, receptive_field_centres
from napari_vidrecon.viewer.panels.run_bar import RunBar
from napari_vidrecon.viewer.panels.run_panel import RunPanel
from napari_vidrecon.viewer.panels.runs_panel import RunsPanel
from napari_vidrecon.viewer.panels.session_panel import EVERY_TIER, SessionPanel
from napari_vidrecon.viewer.playing import Player
from napari_vidrecon.viewer.runs.run_job import RunRequest
from napari_vidrecon.viewer.runs.status import Mood, status, time_in_words
from napari_vidrecon.viewer.tooltips import TOOLTIPS
from napari_vidrecon.viewer.view_controls import ViewPanel

CONTROLS = (QAbstractButton, QAbstractSlider, QAbstractSpinBox, QComboBox, QListWidget, QTreeWidget)


class SelectingBoard:
    """A board on which certain neurons and a region are selected."""

    def __init__(self) -> None:
        self.rows = np.array([], dtype=np.int64)
        self.region: np.ndarray | None = None
        self.viewer = SimpleNamespace(layers=LayerList())
        self.painting = SimpleNamespace(layer=None)

    def selected_neurons(self) -> np.ndarray:
        return self.rows

    def region_mask(self) -> np.ndarray | None:
        return self.region

    def cells_layer(self) -> None:
        return None

    def show_cells(self) -> None: ...

    def draw_region(self) -> None: ...

    def reset_view(self) -> None: ...

    def begin_painting(self) -> None:
        self.painting.layer = "brush"

    def end_painting(self) -> None:
        self.painting.layer = None


@pytest.fixture
def board() -> SelectingBoard:
    return SelectingBoard()


@pytest.fixture
def controller(small_model: ReconstructionModel, qtbot: QtBot) -> RunController:
    made = RunController(small_model)
    yield made
    made.stop()
    made.wait()


def pick(combo: QComboBox, value: object) -> None:
    """As a person does who opens the list and takes a line of it."""
    combo.setCurrentIndex([combo.itemData(index) for index in range(combo.count())].index(value))
    combo.activated.emit(combo.currentIndex())


def record_of(model: ReconstructionModel, name: str, level: float = 100.0, steps: int = 6) -> RunRecord:
    """A run that made a movie of one half the stimulus, one half grey."""
    history = History()
    for step in range(steps):
        history.append(StepInfo(step + 1, steps, 1.0, 0.5, {"video_correlation": 0.5, "rmse": 1.0}))
    trial, neurons = model.trial, model.neurons
    video = (trial.video + level) / 2
    provenance = {
        "session": trial.name,
        "trial": trial.id,
        "wall_seconds": 3.0,
        "mask_threshold": model.training_threshold,
        "evaluation_threshold": model.evaluation_threshold,
    }
    result = Reconstruction(
        video, history, model.config, provenance, trial.video, trial.responses, neurons.keep, model.mask.alpha
    )
    return RunRecord(name, result, model.recipe())


def test_every_control_says_what_it_does(qtbot, small_model, controller, board, tmp_path):
    panels = [
        RunBar(small_model, controller),
        SessionPanel(small_model),
        RunPanel(small_model, GazeFitController(small_model)),
        MaskPanel(small_model, board, MaskFitController(small_model)),
        NeuronPanel(small_model, board),
        ViewPanel(small_model, controller, Player(ViewerModel()), board.reset_view),
        RunsPanel(small_model, tmp_path),
    ]
    silent = []
    for panel in panels:
        qtbot.addWidget(panel)
        for control in panel.findChildren(QWidget):
            above = control
            while not above.toolTip() and above is not panel:
                above = above.parentWidget()
            if isinstance(control, CONTROLS) and not above.toolTip() and control.objectName() != "heading":
                silent.append((type(panel).__name__, type(control).__name__, control.objectName()))
    assert silent == []
    assert all(len(text) > 10 for text in TOOLTIPS.values())


def test_an_empty_window_says_what_to_do_first(qtbot, board):
    model = ReconstructionModel()
    controller = RunController(model)
    bar, panel = RunBar(model, controller), SessionPanel(model)
    qtbot.addWidget(bar)
    qtbot.addWidget(panel)
    assert "Simulated mouse" in bar.hint.toolTip()
    assert not bar.start_button.isEnabled()
    assert panel.sample_button.isEnabled()
    assert not panel.trial.isEnabled()


def test_the_session_panel_lists_tiers_trials_and_frames(qtbot, small_model):
    panel = SessionPanel(small_model)
    qtbot.addWidget(panel)
    tiers = [panel.tier.itemText(index) for index in range(panel.tier.count())]
    assert tiers == ["train", "oracle", "live_test_main", "every tier"]
    assert panel.tier.itemData(0, Qt.ItemDataRole.ToolTipRole) == "train: 2 trials"
    assert (panel.first_frame.value(), panel.last_frame.value()) == (0, 48)
    panel.all_button.click()
    assert small_model.trial.frames == 60
    panel.first_frame.setValue(40)
    assert (small_model.clip, small_model.trial.frames) == ((28, None), 32)


def test_recent_can_be_pressed_when_something_was_opened(qtbot, small_model):
    panel = SessionPanel(small_model)
    qtbot.addWidget(panel)
    assert not panel.recent_button.isEnabled()
    panel.open(small_model.session.path)
    assert panel.recent_button.isEnabled()


def test_recent_names_a_folder_as_it_is_called(qtbot, small_model, copy_of_small_session):
    panel = SessionPanel(small_model)
    qtbot.addWidget(panel)
    panel.open(copy_of_small_session.rename(copy_of_small_session.parent / "cage 3 & 4"))
    menu = panel.recent_button.menu()
    menu.aboutToShow.emit()
    # One sign alone underlines the letter after it, and is not seen.
    assert menu.actions()[0].text() == "cage 3 && 4"


def test_a_dock_that_is_opened_again_shows_the_clip_that_is_open(
    qtbot: QtBot, small_model: ReconstructionModel
) -> None:
    small_model.set_trial(2, 6, 50)
    panel = SessionPanel(small_model)
    qtbot.addWidget(panel)
    assert (panel.trial.currentData(), panel.first_frame.value(), panel.last_frame.value()) == (2, 6, 50)
    assert panel.all_button.isEnabled()
    assert small_model.clip == (6, 50)


def test_ticking_encoders_chooses_them(qtbot, small_model, small_encoder_file):
    other = small_encoder_file.with_name("other.safetensors")
    small_model.offer_encoders([small_encoder_file, other])
    panel = SessionPanel(small_model)
    qtbot.addWidget(panel)
    panel.encoders.item(1).setCheckState(Qt.CheckState.Checked)
    assert small_model.encoder_paths == [small_encoder_file, other]
    panel.encoders.item(0).setCheckState(Qt.CheckState.Unchecked)
    assert small_model.encoder_paths == [other]


NAMES = ReconstructionConfig.model_fields
FLAT = {name: name for name in NAMES} | {path.removesuffix(".kind"): name for name, path in FLAT_NAMES.items()}
"""Flat names by those of the controls."""


@pytest.mark.parametrize("preset", list(PRESETS))
def test_a_preset_sets_every_parameter_and_one_changed_parameter_is_counted(qtbot, small_model, preset):
    panel = RunPanel(small_model, GazeFitController(small_model))
    qtbot.addWidget(panel)
    pick(panel.preset, preset)
    assert small_model.config == ReconstructionConfig.preset(preset)
    assert panel.more_button.text() == "Advanced…"
    assert panel.gain.isEnabled() == panel.gaze.isEnabled() == (preset != "paper")
    if panel.gain.isEnabled():
        panel.gain.click()
        assert small_model.config == ReconstructionConfig.preset(preset, gain="inferred")
        panel.gain.click()
    panel.advanced.controls["seed"].value = 7
    assert small_model.config == ReconstructionConfig.preset(preset, seed=7)
    assert panel.more_button.text() == "Advanced (1)…"
    panel.reset_button.click()
    assert small_model.config == ReconstructionConfig.preset(preset)


def test_the_advanced_form_shows_exactly_what_the_model_holds(qtbot, small_model):
    panel = RunPanel(small_model, GazeFitController(small_model))
    qtbot.addWidget(panel)
    for preset in PRESETS:
        config = ReconstructionConfig.preset(preset)
        small_model.set_settings(config=config)
        shown = {name: control.value for name, control in panel.advanced.every_control().items()}
        assert {FLAT[name]: value for name, value in shown.items()}.items() <= config.values.items()
        assert ("update.skip_first_update" in shown) == (preset == "paper")
        assert small_model.config == config


def test_the_advanced_form_shows_the_settings_of_the_chosen_prior(qtbot, small_model, install_package):
    install_package("lab_priors", WHITE, {"priors": "white = lab_priors:WhitePrior"})
    panel = RunPanel(small_model, GazeFitController(small_model))
    qtbot.addWidget(panel)
    pick(panel.preset, "fast")
    panel.advanced.every_control()["update.prior"].value = "white"
    assert "update.prior.spatial_corner" not in panel.advanced.every_control()
    panel.advanced.every_control()["update.prior.sd"].value = 25.0
    panel.advanced.every_control()["update.prior.flipped"].value = True
    expected = ReconstructionConfig.preset("fast", prior="white", prior_settings={"sd": 25.0, "flipped": True})
    assert small_model.config.changed(steps=expected.steps) == expected
    panel.reset_button.click()
    assert small_model.config.outside_prior == ""
    assert "update.prior.spatial_corner" in panel.advanced.every_control()


@pytest.fixture(params=["de_DE", "ar_EG"])
def language(request):
    before = QLocale()
    QLocale.setDefault(QLocale(request.param))
    yield request.param
    QLocale.setDefault(before)


def test_numbers_are_written_and_typed_with_a_point_in_every_language_and_a_comma_is_one(
    qtbot, small_model, language
) -> None:
    panel = RunPanel(small_model, GazeFitController(small_model))
    qtbot.addWidget(panel)
    pick(panel.preset, "best")
    boxes = [
        number("grating_cycles_s", 0.0, 9.0, decimals=3, after=" cycles/s"),
        panel.advanced.every_control()["input_noise"].native,
    ]
    qtbot.addWidget(boxes[0])
    for box in boxes:
        for typed in ("0.25", "0,25"):
            box.setValue(1.5)
            assert box.text().startswith("1.5"), language
            box.selectAll()
            QTest.keyClicks(box, typed)
            QTest.keyClick(box, Qt.Key.Key_Return)
            assert box.value() == 0.25, (typed, box.text())


def test_a_setting_out_of_range_becomes_a_message_and_is_not_taken(qtbot, small_model):
    messages = []
    small_model.message.connect(lambda text, is_error: messages.append(text))
    panel = RunPanel(small_model, GazeFitController(small_model))
    qtbot.addWidget(panel)
    small_model.set_settings(config=ReconstructionConfig.preset("fast"))
    panel._take_parameter("sub_batch_stride", 1)
    assert "greater than or equal to 2" in messages[-1]
    assert small_model.config.schedule == PRESETS["fast"]["schedule"]


def test_both_thresholds_move_with_the_slider_and_one_undo_takes_a_drag_back(qtbot, small_model, board):
    panel = MaskPanel(small_model, board, MaskFitController(small_model))
    qtbot.addWidget(panel)
    for low in (0.35, 0.3, 0.25):
        panel.thresholds.setValue((low, 0.8))
    assert (small_model.training_threshold, small_model.evaluation_threshold) == (0.25, 0.8)
    assert f"{int(small_model.mask.binary(0.25).sum())} px" in panel.training_size.text()
    assert "°" in panel.evaluation_size.text()
    small_model.undo()
    assert (small_model.training_threshold, small_model.evaluation_threshold) == (0.4, 0.6)
    assert panel.thresholds.value() == pytest.approx((0.4, 0.6))


def test_the_numbers_at_the_slider_of_thresholds_are_as_high_as_their_letters_whatever_those_become(
    qtbot: QtBot, small_model, board
):
    panel = MaskPanel(small_model, board, MaskFitController(small_model))
    qtbot.addWidget(panel)
    panel.show()
    low = panel.thresholds.minimumHeight()
    panel.setStyleSheet("* { font-size: 24pt; }")
    numbers = [each for each in panel.thresholds.findChildren(QLineEdit) if each.isVisible()]
    assert len(numbers) == 4
    qtbot.waitUntil(lambda: all(each.height() >= each.fontMetrics().height() > low / 2 for each in numbers))
    assert panel.thresholds.minimumHeight() == panel.thresholds.minimumSizeHint().height() > low


def test_the_slider_ends_where_the_last_pixel_would_go(qtbot, small_model, board):
    panel = MaskPanel(small_model, board, MaskFitController(small_model))
    qtbot.addWidget(panel)
    panel.thresholds.setValue((0.0, 9.0))
    assert small_model.mask.binary(small_model.evaluation_threshold).any()


def test_a_mask_is_saved_loaded_and_painted(qtbot, small_model, board, tmp_path):
    panel = MaskPanel(small_model, board, MaskFitController(small_model))
    qtbot.addWidget(panel)
    panel.save(tmp_path / "mask.npy")
    saved = small_model.mask.alpha
    small_model.set_mask(type(small_model.mask).full())
    panel.load(tmp_path / "mask.npy")
    assert np.array_equal(small_model.mask.alpha, saved)
    panel.paint_button.click()
    assert board.painting.layer
    panel.paint_button.click()
    assert not board.painting.layer


def test_neurons_are_ablated_at_random_with_a_seed_and_by_rows(qtbot, small_model, board):
    panel = NeuronPanel(small_model, board)
    qtbot.addWidget(panel)
    panel.percent.setValue(50)
    first = small_model.neurons
    assert np.array_equal(first.keep, NeuronSet.random(20, 0.5, 0).keep)
    panel.seed.setValue(1)
    assert not np.array_equal(small_model.neurons.keep, first.keep)
    panel.all_button.click()
    board.rows = np.array([2, 4])
    panel.rows_button.click()
    assert np.flatnonzero(~small_model.neurons.keep).tolist() == [2, 4]
    assert "18 of 20" in panel.count.toolTip()
    small_model.undo()
    assert small_model.neurons.count == 20
    small_model.redo()
    assert small_model.neurons.count == 18
    panel.keep_only.setChecked(True)
    board.rows = np.array([7])
    panel.rows_button.click()
    assert np.flatnonzero(small_model.neurons.keep).tolist() == [7]


def test_ablating_the_last_neuron_is_refused_in_words(qtbot, small_model, board):
    messages = []
    small_model.message.connect(lambda text, is_error: messages.append(text))
    panel = NeuronPanel(small_model, board)
    qtbot.addWidget(panel)
    board.rows = np.arange(20)
    panel.rows_button.click()
    assert small_model.neurons.count == 20
    assert "keep at least one" in messages[-1]


def test_a_region_needs_to_know_where_the_neurons_look(qtbot, small_model, board):
    panel = NeuronPanel(small_model, board)
    qtbot.addWidget(panel)
    assert not panel.region_button.isEnabled()
    assert "receptive fields" in panel.region_button.toolTip()
    small_model.session.simulation = {
        "simulated": True,
        "per_neuron": {"row_px": [10.2] * 5 + [30.0] * 15, "column_px": [20.0] * 20},
    }
    small_model.session_changed.emit()
    assert panel.region_button.isEnabled()
    board.region = np.zeros((36, 64), bool)
    board.region[8:12, 18:22] = True
    panel.region_button.click()
    assert np.flatnonzero(~small_model.neurons.keep).tolist() == [0, 1, 2, 3, 4]


def test_receptive_fields_off_the_screen_or_unknown_lie_in_no_region():
    centres = np.array([[5.0, 5.0], [-3.0, 5.0], [np.nan, 2.0], [35.4, 63.4], [35.6, 2.0]])
    assert in_region(centres, np.ones((36, 64), bool)).tolist() == [0, 3]


def test_a_session_whose_notes_do_not_fit_knows_no_receptive_fields(small_session_folder):
    session = open_session(small_session_folder)
    session.simulation = {"per_neuron": {"row_px": [1.0], "column_px": ["a"]}}
    assert receptive_field_centres(session) is None


def test_a_choice_adds_to_the_one_before():
    present = ablated(NeuronSet.all(6), np.array([0]), "marked rows")
    both = ablated(present, np.array([5]), "marked rows")
    assert np.flatnonzero(~both.keep).tolist() == [0, 5]


def test_the_score_follows_the_evaluation_threshold_at_once(qtbot, small_model, controller):
    bar = RunBar(small_model, controller)
    qtbot.addWidget(bar)
    assert bar.video_correlation.text() == "–"
    small_model.add_run(record_of(small_model, "Run 1"))
    small_model.shown.result.video[:, :10] = 0.0
    small_model.set_thresholds(evaluation=0.61)
    inside = bar.video_correlation.text()
    small_model.set_thresholds(evaluation=0.01)
    assert bar.video_correlation.text() != inside
    assert float(inside) == pytest.approx(1.0)


def test_steps_are_told_now_and_then_and_the_last_one_as_soon_as_the_run_is_held(qtbot, small_model, controller):
    bar = RunBar(small_model, controller)
    qtbot.addWidget(bar)
    small_model.begin_run(small_model.recipe())
    small_model.set_state(RunState.RUNNING)
    for step in (3, 4):
        small_model.take_picture(snapshot(small_model, step))
    # Each telling has the whole window composed anew, which the run would wait for.
    assert bar.state.text().startswith("Step 3 of 100")
    small_model.set_state(RunState.PAUSED)
    assert bar.state.text() == "Paused at step 4 of 100: press Resume"


def test_the_uncertainty_is_one_click_from_where_it_is_asked_for(qtbot, small_model, controller, board, tmp_path):
    panel = ViewPanel(small_model, controller, Player(ViewerModel()), board.reset_view)
    qtbot.addWidget(panel)
    small_model.set_settings(config=small_model.config.changed(steps=2))
    small_model.set_view(error_mode=ErrorMode.UNCERTAINTY)
    assert not panel.draw_button.isVisibleTo(panel)
    controller.start()
    qtbot.waitUntil(lambda: not controller.busy and small_model.shown is not None, timeout=60_000)
    assert panel.draw_button.isVisibleTo(panel)
    assert small_model.shown.uncertainty is None
    panel.draw_button.click()
    qtbot.waitUntil(lambda: not controller.busy and small_model.shown.uncertainty is not None, timeout=60_000)
    assert small_model.shown.result.config.update.draws == 8
    assert not panel.draw_button.isVisibleTo(panel)
    small_model.undo()
    assert small_model.config.update.draws == 1
    small_model.set_settings(config=ReconstructionConfig.preset("paper"))
    small_model.add_run(small_model.runs[0])
    assert not panel.draw_button.isVisibleTo(panel)
    assert "another preset than paper" in panel.note.text()


def test_scores_are_the_ones_of_the_run_itself(small_model):
    from napari_vidrecon import metrics

    record = record_of(small_model, "Run 1")
    record.result.video += np.random.default_rng(0).normal(0, 40, record.result.video.shape)
    small_model.add_run(record)
    mask = small_model.mask.binary(small_model.evaluation_threshold)
    skip = small_model.config.track_skip_frames
    expected = metrics.video_correlation(small_model.trial.video[skip:], record.result.video[skip:], mask)
    assert Evaluator(small_model).board().video_correlation == pytest.approx(expected)
    assert Evaluator(small_model).video_correlation(record) == pytest.approx(expected)
    told = record.result.scores()
    small_model.set_thresholds(evaluation=record.result.provenance["evaluation_threshold"])
    board = Evaluator(small_model).board()
    assert (board.video_correlation, board.frame_correlation) == (
        told["video_correlation"],
        told["mean_frame_correlation"],
    )


def test_runs_are_listed_shown_renamed_compared_and_deleted(qtbot, small_model, tmp_path):
    panel = RunsPanel(small_model, tmp_path)
    qtbot.addWidget(panel)
    first, second = record_of(small_model, "Run 1"), record_of(small_model, "Run 2")
    first.path = tmp_path / "first.zarr"
    first.path.mkdir()
    small_model.add_run(first)
    small_model.add_run(second)
    assert panel.selected is second
    panel.tree.setCurrentItem(panel.tree.topLevelItem(0))
    assert small_model.shown is first
    panel.tree.topLevelItem(0).setText(0, "with all neurons")
    assert first.name == "with all neurons"
    first.name = "a run with a name that is longer than the column of its name has room for"
    first.result.config = first.result.config.changed(steps=1000)
    small_model.runs_changed.emit()
    assert panel.tree.columnWidth(0) < 200
    assert panel.tree.topLevelItem(0).text(1).startswith("stopped at step")
    pick(panel.compare, second)
    pick(panel.compare_mode, "difference")
    assert small_model.error_mode == ErrorMode.COMPARISON
    pick(panel.compare_mode, "blink")
    assert small_model.blinking
    assert small_model.error_mode == ErrorMode.STIMULUS
    pick(panel.compare, None)
    assert small_model.compared is None
    assert not small_model.blinking
    panel.delete(first)
    assert not first.path.exists()
    assert small_model.runs == [second]


def test_the_shown_run_is_in_sight_and_every_run_can_be_compared_with_whatever_it_is_called(
    qtbot, small_model, tmp_path
):
    panel = RunsPanel(small_model, tmp_path)
    qtbot.addWidget(panel)
    panel.show()
    for each in range(12):
        small_model.add_run(record_of(small_model, f"Run {each}"))
    room = panel.tree.viewport().rect()
    last = panel.tree.topLevelItem(11)
    assert room.contains(panel.tree.visualItemRect(last))
    # Where a person looks for another run, the list stays, also when it is made anew.
    panel.tree.scrollToTop()
    small_model.rename_run(small_model.runs[3], "Run 5")
    assert room.contains(panel.tree.visualItemRect(panel.tree.topLevelItem(0)))
    offered = [panel.compare.itemData(row) for row in range(1, panel.compare.count())]
    assert offered == small_model.runs[:-1]
    assert panel.compare.findText("Run 5 (2)") > 0


def test_a_run_that_is_listed_no_more_and_a_clip_that_is_not_there_are_let_go_of(qtbot, small_model, tmp_path):
    panel = RunsPanel(small_model, tmp_path)
    qtbot.addWidget(panel)
    small_model.add_run(record_of(small_model, "Run 1"))
    # Its scores are in the list: the clip's side of them was prepared.
    held = [weakref.ref(small_model.shown), weakref.ref(small_model.trial)]
    assert panel.tree.topLevelItemCount() == 1
    small_model.remove_run(small_model.runs[0])
    other = next(each for each in small_model.session.trial_ids if each != small_model.trial.id)
    small_model.set_trial(other)
    gc.collect()
    assert [each() for each in held] == [None, None]


def test_a_run_that_could_not_be_deleted_is_told(qtbot, small_model, tmp_path, monkeypatch):
    panel = RunsPanel(small_model, tmp_path / "link" / "..")
    qtbot.addWidget(panel)
    (tmp_path / "link").mkdir()
    record, told, asked = record_of(small_model, "<b>Run</b>"), [], []
    record.path = tmp_path / "kept.zarr"
    record.path.mkdir()
    small_model.add_run(record)
    small_model.message.connect(lambda text, is_error: told.append((text, is_error)))
    monkeypatch.setattr(shutil, "rmtree", lambda *_path, **_how: None)
    yes = QMessageBox.StandardButton.Yes
    monkeypatch.setattr(QMessageBox, "question", lambda *given: asked.append(given[-1]) or yes)
    panel.delete_button.click()
    assert "&lt;b&gt;Run&lt;/b&gt;, also from disk" in asked[0]
    assert told[-1][1]
    assert "could not be deleted" in told[-1][0]
    # One that lies elsewhere is only taken from the list, and that is what is asked.
    record.path = tmp_path / "link" / "mine.zarr"
    small_model.add_run(record)
    panel.delete_button.click()
    assert "stays where it is" in asked[1]
    assert small_model.runs == []


def test_a_row_whose_choice_or_tick_lists_all_anew_lives_until_qt_is_at_rest(
    qtbot, small_model, small_encoder_file, tmp_path
):
    panel, session = RunsPanel(small_model, tmp_path), SessionPanel(small_model)
    for each in (panel, session):
        qtbot.addWidget(each)
    small_model.add_run(record_of(small_model, "Run 1"))
    small_model.add_run(record_of(small_model, "Run 2"))
    small_model.shown_changed.connect(small_model.runs_changed.emit)
    row, tick = panel.tree.topLevelItem(0), session.encoders.item(0)
    panel.tree.clearSelection()
    row.setSelected(True)
    tick.setCheckState(Qt.CheckState.Unchecked)
    assert panel.tree.topLevelItem(0) is not row
    assert session.encoders.item(0) is not tick
    assert (row.text(0), tick.text()) == ("Run 1", small_encoder_file.stem)


def test_deleting_a_run_leaves_folders_elsewhere_alone(qtbot, small_model, tmp_path):
    panel = RunsPanel(small_model, tmp_path / "runs")
    qtbot.addWidget(panel)
    record = record_of(small_model, "Run 1")
    record.path = tmp_path / "mine.zarr"
    record.path.mkdir()
    small_model.add_run(record)
    panel.delete(record)
    assert record.path.is_dir()


def test_a_saved_run_of_an_unknown_session_says_what_to_open_first(small_model, tmp_path):
    record_of(small_model, "Run 1").result.save(tmp_path / "run.zarr")
    from napari_vidrecon.errors import RunError

    with pytest.raises(RunError, match="open that session first"):
        open_run(ReconstructionModel(), tmp_path / "run.zarr")


def test_a_run_opened_again_by_another_path_is_the_one_that_is_listed(
    small_model, small_run_folder, tmp_path, monkeypatch
):
    run, link = tmp_path / "run.zarr", tmp_path / "link.zarr"
    shutil.copytree(small_run_folder, run)
    link.symlink_to(run)
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir(tmp_path)
    record = open_run(small_model, Path("run.zarr"))
    for path in (run, link, tmp_path / "deeper" / ".." / "run.zarr"):
        assert open_run(small_model, path) is record
    assert record.path == run


def test_a_run_that_is_opened_while_another_goes_on_says_where_it_is(small_model, tmp_path, monkeypatch):
    record = record_of(small_model, "Run 1")
    record.path = tmp_path / "run.zarr"
    small_model.add_run(record)
    said = []
    small_model.message.connect(lambda text, _is_error: said.append(text))
    open_run(small_model, record.path)
    assert said == []
    monkeypatch.setattr(ReconstructionModel, "going_on", True)
    open_run(small_model, record.path)
    assert "under Results" in said[0]


def test_that_there_is_nothing_yet_is_said_only_until_something_is(qtbot, small_model, controller):
    bar = RunBar(small_model, controller)
    qtbot.addWidget(bar)
    for text, stays in ((f"{NO_MOVIE_YET}. Press Start.", False), ("It was trained on another mouse.", True)):
        small_model.message.emit(text, False)
        assert bar.news.currentWidget() is bar.message
        small_model.add_run(record_of(small_model, "Run 1"))
        assert (bar.news.currentWidget() is bar.message) is stays


def test_news_of_what_another_session_led_to_stay_and_older_ones_go(qtbot, small_model, copy_of_small_session):
    news = []
    small_model.session_changed.connect(lambda: [small_model.message.emit(text, False) for text in news])
    bar = RunBar(small_model, RunController(small_model))
    qtbot.addWidget(bar)
    small_model.message.emit("of the session before", False)
    small_model.set_session(open_session(copy_of_small_session))
    assert bar.news.currentWidget() is bar.hint
    news.append("The run was stopped.")
    small_model.set_session(open_session(copy_of_small_session))
    assert bar.news.currentWidget() is bar.message


def test_a_run_made_elsewhere_finds_its_frames_by_itself(small_model, small_session_folder, tmp_path):
    small_model.set_trial(2, 10, 50)
    record = record_of(small_model, "Run 1")
    record.result.save(tmp_path / "run.zarr")
    other = ReconstructionModel()
    open_path(other, small_session_folder)
    open_path(other, tmp_path / "run.zarr")
    assert (other.trial.id, other.clip) == (2, (10, 50))
    assert np.array_equal(other.video, record.result.video)


def test_encoders_and_mask_beside_a_session_are_found(small_encoder_file, disc_mask, tmp_path):
    (tmp_path / "encoders").mkdir()
    (tmp_path / "session").mkdir()
    for name in ("b.safetensors", "a.safetensors", "a.training.safetensors", "notes.txt"):
        shutil.copy(small_encoder_file, tmp_path / "encoders" / name)
    disc_mask.save(tmp_path / "mask.npy")
    found = find_companions(tmp_path / "session")
    encoders, mask = list(found.encoders), found.mask_path
    assert [path.name for path in encoders] == ["a.safetensors", "b.safetensors"]
    assert mask == tmp_path / "mask.npy"


def test_the_sample_opens_ready_to_start(qtbot):
    model = ReconstructionModel()
    open_sample(model)
    assert model.session.simulated
    assert model.trial.frames == 64
    assert RunController(model).missing == ""
    assert model.mask.binary(model.evaluation_threshold).any()


def snapshot(model: ReconstructionModel, step: int) -> Snapshot:
    return Snapshot(StepInfo(step, 100, 1.0, 0.3), model.trial.video, History(), 3.2, 21.4)


def test_the_state_line_tells_step_speed_and_time_left(small_model):
    small_model.begin_run(small_model.recipe())
    assert status(small_model).mood == Mood.BUSY
    small_model.set_state(RunState.RUNNING)
    small_model.take_snapshot(snapshot(small_model, 31))
    told = status(small_model)
    assert told.text == "Step 31 of 100 · 3.2 steps/s · 21 s left"
    assert told.done == pytest.approx(0.31)
    small_model.set_thresholds(training=0.1)
    assert status(small_model).hint == (
        "Changed since Start: mask 0.4 → 0.1. Press Rerun, or tick “Apply while running”."
    )
    small_model.set_thresholds(training=0.4)
    small_model.set_settings(config=small_model.config.changed(steps=9))
    assert status(small_model).hint == "Settings changed since Start: steps 6 → 9. Press Rerun."


def test_the_state_line_tells_what_changed_since_the_run(small_model):
    small_model.add_run(record_of(small_model, "Run 1"))
    assert status(small_model).text.startswith("Finished")
    small_model.set_thresholds(training=0.1)
    small_model.set_neurons(NeuronSet.random(20, 0.5))
    hint = status(small_model).hint
    assert "mask 0.4 → 0.1" in hint
    assert "ablated at random" in hint
    assert hint.endswith("Press Rerun.")


def test_moving_the_evaluation_mask_asks_for_no_other_run(small_model):
    small_model.add_run(record_of(small_model, "Run 1"))
    small_model.set_thresholds(evaluation=0.2)
    assert small_model.stale == []
    assert status(small_model).hint == ""


def test_a_runs_name_keeps_its_letters_and_hides_not_what_became_of_it(
    small_model: ReconstructionModel, small_result: Reconstruction
) -> None:
    small_model.add_run(RunRecord("V1 and LM", small_result, small_model.recipe()))
    assert status(small_model).text.startswith("Finished, 6 steps")
    small_model.add_run(RunRecord("both areas of Mouse A", small_result, small_model.recipe()))
    assert status(small_model).text.startswith("both are… of Mouse A: finished, 6 steps")
    small_model.show_run(small_model.runs[0])
    assert status(small_model).text.startswith("V1 and LM: finished, 6 steps")


@pytest.mark.parametrize(("seconds", "words"), [(21.2, "21 s"), (170, "3 min"), (4801, "1 h 20 min"), (np.nan, "– s")])
def test_times_are_told_as_people_do(seconds, words):
    assert time_in_words(seconds) == words


def test_another_preset_is_told_without_all_it_brings(small_model):
    before = small_model.recipe()
    small_model.set_settings(config=ReconstructionConfig.preset("paper"))
    assert most_telling(before.differences(small_model.recipe())) == "preset best → paper, steps 6 → 1000"


def test_many_differences_are_counted(small_model):
    before = small_model.recipe()
    small_model.set_settings(
        config=small_model.config.changed(seed=1, momentum=0.5, warmup_steps=3, track_every=7, steps=9)
    )
    assert most_telling(before.differences(small_model.recipe())).endswith("and 1 more")


def test_a_run_is_found_again_among_the_kept_ones(tmp_path):
    from napari_vidrecon.viewer.folders import kept_runs, new_run_folder

    path = new_run_folder(tmp_path, "dynamic1-Video_x", 12)
    path.mkdir()
    (tmp_path / "other_trial3_20260101-000000-000.zarr").mkdir()
    stimulus = new_run_folder(tmp_path, "dynamic1-Video_x", STIMULUS_TRIAL)
    stimulus.mkdir()
    found = {run.path: run.clip for run in kept_runs(tmp_path, "dynamic1-Video_x")}
    assert found == {path: "trial 12", stimulus: "stimulus"}
    # Also of a session whose name leaves no room for more.
    long = "长" * 82
    path = new_run_folder(tmp_path, long, 3)
    path.mkdir()
    assert [run.path for run in kept_runs(tmp_path, long)] == [path]
    assert kept_runs(tmp_path, long[:-1]) == []


def test_missing_folders_hold_no_runs(tmp_path: Path):
    from napari_vidrecon.viewer.folders import kept_runs

    assert kept_runs(tmp_path / "nothing", "any") == []


def test_runs_of_one_name_are_told_apart(small_model):
    first, second = record_of(small_model, "same"), record_of(small_model, "same")
    small_model.add_run(first)
    small_model.add_run(second)
    small_model.remove_run(second)
    assert small_model.runs == [first]
    assert small_model.shown is first


def test_a_new_trial_shows_its_own_newest_run(small_model):
    record = record_of(small_model, "Run 1")
    small_model.add_run(record)
    clip = small_model.clip
    small_model.set_trial(1, 0, 48)
    assert small_model.shown is None
    small_model.set_trial(0, *clip)
    assert small_model.shown is record


def test_a_folder_that_is_no_run_is_never_replaced_by_one(qtbot, small_model, tmp_path):
    panel = RunsPanel(small_model, tmp_path)
    qtbot.addWidget(panel)
    precious = tmp_path / "precious.zarr"
    precious.mkdir()
    (precious / "thesis.txt").touch()
    panel.save(record_of(small_model, "Run 1"), precious)
    assert (precious / "thesis.txt").exists()


def test_a_trial_too_short_for_the_frames_is_taken_whole(qtbot, small_model, monkeypatch):
    small_model.set_trial(0, 28, 60)
    panel = SessionPanel(small_model)
    qtbot.addWidget(panel)
    pick(panel.tier, EVERY_TIER)
    pick(panel.trial, 2)
    assert (small_model.trial.id, small_model.clip) == (2, (28, None))
    monkeypatch.setattr(small_model.session, "clip_frames", lambda _trial: 40)
    pick(panel.trial, 1)
    assert small_model.clip == (0, None)


def test_a_mask_that_never_reaches_the_thresholds_lowers_them(small_model, disc_mask):
    take_mask(small_model, type(disc_mask)(disc_mask.alpha / 4, "faint"))
    assert small_model.mask.binary(small_model.evaluation_threshold).any()
    assert small_model.training_threshold <= small_model.evaluation_threshold


def test_repeats_of_the_clip_are_found_on_a_tick_and_go_with_the_trial(qtbot, make_model, copy_of_small_session):
    videos = copy_of_small_session / "data" / "videos"
    shutil.copy(videos / "0.npy", videos / "2.npy")
    model = make_model()
    model.set_session(open_session(copy_of_small_session))
    model.set_trial(0, 0, 48)
    panel = SessionPanel(model)
    qtbot.addWidget(panel)
    panel.repeats.click()
    assert model.recipe().repeats == (2,)
    assert panel.repeats.text() == "fit together (1 more)"
    model.set_trial(0, 4, 40)
    assert model.repeats == (2,)
    told = []
    model.message.connect(lambda text, _bad: told.append(text))
    model.set_trial(1, 0, 48)
    assert not model.repeats
    panel.repeats.click()
    assert not panel.repeats.isChecked()
    assert "shown once" in told[-1]


def test_a_finished_run_in_colours_tells_the_correlation_of_each(small_model):
    small_model.add_run(record_of(small_model, "Run 1"))
    assert status(small_model).hint == ""
    record = small_model.shown
    coloured = {**record.result.provenance, "colours": ["green", "uv"]}
    small_model.replace_result(record, replace(record.result, provenance=coloured))
    told = record.result.scores_by_colour()
    green, uv = (told[name]["video_correlation"] for name in ("green", "uv"))
    assert status(small_model).hint == f"video r by colour: green {green:.2f}, uv {uv:.2f}"
    assert record.result.correlation_by_colour() == {"green": green, "uv": uv}
    without_movie = {**coloured, "movie": False}
    small_model.replace_result(record, replace(record.result, provenance=without_movie))
    assert status(small_model).hint == ""


def test_what_the_brain_adds_is_worked_out_beside_the_window_and_can_be_stopped(
    qtbot, make_model, copy_of_small_session, board
):
    videos = copy_of_small_session / "data" / "videos"
    shutil.copy(videos / "0.npy", videos / "2.npy")
    model = make_model()
    model.set_session(open_session(copy_of_small_session))
    model.set_trial(0, 0, 48)
    model.set_encoders(make_model().encoder_paths)
    mask = make_model().mask
    model.set_mask(mask)
    model.set_settings(config=ReconstructionConfig.preset("fast", steps=1), device="cpu")
    controller, added, told = RunController(model), AddedController(model), []
    panel = ViewPanel(model, controller, Player(ViewerModel()), board.reset_view, added=added)
    qtbot.addWidget(panel)
    model.message.connect(lambda text, _bad: told.append(text))
    controller.start()
    assert controller.wait()
    model.set_view(error_mode=ErrorMode.ADDED)
    assert panel.note.text() == ONE_PRESENTATION
    assert not panel.added_button.isVisibleTo(panel)
    added.start()
    assert told[-1] == ONE_PRESENTATION
    model.set_repeats((2,))
    controller.start()
    assert controller.wait()
    assert panel.added_button.isVisibleTo(panel)
    panel.added_button.click()
    assert panel.added_button.text() == "Stop"
    panel.added_button.click()
    assert added.wait()
    assert model.shown.added is None
    assert panel.added_button.text() == "Work it out"
    seen = []
    added.changed.connect(lambda: seen.append(panel.note.text()))
    panel.added_button.click()
    qtbot.waitUntil(lambda: not added.busy, timeout=100_000)
    assert any("of 16 reconstructions" in each for each in seen)
    found = model.shown.added
    assert found.presentations == 2
    assert found.shown.shape == model.shown.result.video.shape
    assert panel.note.text().startswith(found.sentence)
    found.exceeds[...] = False
    model.set_view(error_over="reconstruction")
    assert panel.note.text() == found.sentence
    # Most frames have no colour, so it says where to look.
    found.exceeds[5] = True
    model.set_view(error_over="stimulus")
    assert panel.note.text().endswith(f"; most of it at {5 / model.trial.frame_rate_hz:.2f} s")
    assert "false discovery rate 0.1" in told[-1]
    assert not panel.added_button.isVisibleTo(panel)
    controller.stop()
    assert controller.wait()


def test_a_click_on_a_run_of_another_session_puts_it_beside_the_shown_one(
    qtbot, small_model, copy_of_small_session, tmp_path
):
    theirs = record_of(small_model, "Run 1")
    small_model.add_run(theirs)
    panel = RunsPanel(small_model, tmp_path)
    qtbot.addWidget(panel)
    small_model.set_session(open_session(copy_of_small_session))
    small_model.set_trial(0)
    ours = record_of(small_model, "Run 1")
    small_model.add_run(ours)
    row = panel.tree.topLevelItem(1)
    assert row.text(1) == f"{Path(theirs.recipe.session).name}, trial 0"
    QTest.mouseClick(panel.tree.viewport(), Qt.MouseButton.LeftButton, pos=panel.tree.visualItemRect(row).center())
    assert (small_model.shown, small_model.compared) == (ours, theirs)
    assert panel.compare.currentData() is theirs
    assert "Run 1, trial 0" in panel.compare.currentText()


def test_another_mouse_that_saw_the_clip_is_added_found_again_and_fitted(
    qtbot, small_model, copy_of_small_session, small_encoder_file, disc_mask, tmp_path
):
    other, model = copy_of_small_session, small_model
    panel = SessionPanel(model)
    qtbot.addWidget(panel)
    told: list[str] = []
    model.message.connect(lambda text, _error: told.append(text))
    assert not panel.mice.add(other, [small_encoder_file])
    assert "expected its mask as mask.npy" in told.pop()
    left = np.where(np.arange(64) < 20, 1.3, 0.0) * np.ones((36, 1))
    np.save(other / "mask.npy", left)
    assert panel.mice.add(other, [small_encoder_file]), told
    assert panel.mice.outlines.text().count("trial 0") == 2
    np.testing.assert_allclose(model.common_mask.alpha, np.maximum(left, disc_mask.alpha), rtol=1e-6)
    assert [mask.sum() for mask in model.masks_of_mice] == [(disc_mask.alpha >= 0.6).sum(), 36 * 20]
    shown = mask_tile(*(model.common_mask.binary(each) for each in (0.4, 0.6)), model.masks_of_mice)
    assert (shown[..., :3] == MICE_COLOURS[1]).all(axis=-1).any()
    request = RunRequest.from_model(model)
    run = request.planned([load_encoder(small_encoder_file, device="cpu")])
    assert [each.trial.id for each, _ in run.mice] == [0]
    assert Recipe.of(run.result(with_activity=False)).mice == request.recipe.mice
    model.set_trial(1, 0, 48)
    assert [each.trial for each in model.mice] == [1]
    panel.mice._remove(model.mice[0])
    assert not model.recipe().mice
    assert model.common_mask is model.mask
