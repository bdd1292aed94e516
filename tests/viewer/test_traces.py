"""Curves over time follow the board, and move it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPointF, Qt
from qtpy.QtTest import QTest

import napari_vidrecon as vr
from napari_vidrecon import metrics
from napari_vidrecon.reconstruction.history import History
from napari_vidrecon.viewer.evaluation import GROUPS, TimeCourse, TimeCourses
from napari_vidrecon.viewer.model import ReconstructionModel, RunRecord
from napari_vidrecon.viewer.plots import COLOURS_ON_DARK, COLOURS_ON_LIGHT, ProgressPlot
from napari_vidrecon.viewer.traces import Row

STEPS = 20


def curves_of(model: ReconstructionModel) -> dict[tuple[str, str], TimeCourse]:
    """All curves by group and name."""
    return {(curve.group, curve.name): curve for curve in TimeCourses(model).all()}


def growing_history() -> History:
    """A run that goes well."""
    steps = np.arange(1, STEPS + 1)
    tracked = np.where(steps % 5 == 0, 1 - 1 / steps, np.nan)
    columns = {"step": steps, "loss": 3 + 1 / steps, "seconds": 0.1 * np.ones(STEPS), "video_correlation": tracked}
    empty = {name: np.full(STEPS, np.nan) for name in ("rmse", "response_loss", "response_correlation")}
    return History({name: values.tolist() for name, values in {**columns, **empty}.items()})


def test_before_a_run_there_are_behaviour_and_the_stimulus(small_model: ReconstructionModel) -> None:
    curves = curves_of(small_model)
    assert set(curves) == {("motion_energy", "stimulus"), ("pupil_size", ""), ("running_speed", "")}
    assert small_model.trial is not None
    np.testing.assert_array_equal(curves["pupil_size", ""].values, small_model.trial.behavior[0])
    np.testing.assert_array_equal(curves["running_speed", ""].values, small_model.trial.behavior[1])


def test_curves_of_a_run_are_the_metrics_inside_the_evaluation_mask(
    small_model: ReconstructionModel, small_result: vr.Reconstruction
) -> None:
    small_model.add_run(RunRecord("run 1", small_result, small_model.recipe()))
    small_model.set_thresholds(evaluation=0.9)
    curves, trial = curves_of(small_model), small_model.trial
    assert trial is not None
    pixels = small_model.mask.binary(0.9)
    np.testing.assert_array_equal(
        curves["frame_correlation", "reconstruction"].values,
        metrics.frame_correlation(trial.video, small_result.video, pixels),
    )
    energy = curves["motion_energy", "reconstruction"].values
    assert np.isnan(energy[0])
    np.testing.assert_array_equal(energy[1:], metrics.motion_energy(small_result.video, pixels))
    assert small_result.predicted_activity is not None
    np.testing.assert_array_equal(
        curves["activity_accuracy", "reconstruction"].values,
        metrics.frame_response_correlation(trial.responses, small_result.predicted_activity),
    )


def test_a_compared_run_gets_curves_of_its_own(
    small_model: ReconstructionModel, small_result: vr.Reconstruction
) -> None:
    record = RunRecord("run 1", small_result, small_model.recipe())
    small_model.add_run(record)
    small_model.add_run(RunRecord("run 2", small_result, small_model.recipe()))
    small_model.compare_with(record)
    assert {("frame_correlation", "compared run"), ("motion_energy", "compared run")} <= set(curves_of(small_model))


def test_a_gaze_and_a_gain_that_a_run_inferred_are_curves_with_the_commands_columns(
    small_model: ReconstructionModel, small_result: vr.Reconstruction
) -> None:
    frames = len(small_result.video)
    gaze, gain = np.arange(2 * frames, dtype=np.float32).reshape(1, 2, frames), np.full((1, frames), 1.2, np.float32)
    inferred = replace(small_result, gaze_px=gaze, gain=gain)
    small_model.add_run(RunRecord("run 1", inferred, small_model.recipe()))
    curves = curves_of(small_model)
    np.testing.assert_array_equal(curves["gaze", "down"].values, gaze[0, 1])
    told = {curve.column: curve.values for curve in curves.values() if GROUPS[curve.group].is_inferred}
    assert set(told) == set(inferred.inferred_columns()) == {"gaze_columns_px", "gaze_rows_px", "gain"}


def test_neurons_that_are_left_out_or_not_predicted_do_not_count(small_model: ReconstructionModel) -> None:
    trial = small_model.trial
    assert trial is not None
    predicted = trial.responses + np.random.default_rng(0).normal(size=trial.responses.shape).astype(np.float32)
    predicted[5] = np.nan
    small_model.set_stimulus_prediction(predicted, {})
    small_model.set_neurons(vr.NeuronSet.without(20, np.arange(10, 20)))
    rows = [0, 1, 2, 3, 4, 6, 7, 8, 9]
    expected = metrics.frame_response_correlation(trial.responses[rows], predicted[rows])
    np.testing.assert_array_equal(curves_of(small_model)["activity_accuracy", "stimulus"].values, expected)


def test_a_constant_that_was_filled_in_and_a_grey_screen_are_no_curves(small_model: ReconstructionModel) -> None:
    assert small_model.trial is not None
    dark = replace(small_model.trial, has_movie=False, recorded_behavior=("running", "gaze"))
    small_model.trial = dark
    small_model.set_stimulus_prediction(dark.responses + 1, {})
    assert set(curves_of(small_model)) == {("running_speed", "")}


def test_only_what_changed_is_computed_again(small_model: ReconstructionModel, small_result: vr.Reconstruction) -> None:
    courses = TimeCourses(small_model)
    before = {(curve.group, curve.name): curve for curve in courses.all()}
    small_model.add_run(RunRecord("run 1", small_result, small_model.recipe()))
    after = {(curve.group, curve.name): curve for curve in courses.all()}
    assert after["motion_energy", "stimulus"] is before["motion_energy", "stimulus"]
    small_model.set_thresholds(evaluation=0.9)
    again = {(curve.group, curve.name): curve for curve in courses.all()}
    assert again["motion_energy", "stimulus"] is not before["motion_energy", "stimulus"]


def test_without_a_trial_there_is_no_curve() -> None:
    courses = TimeCourses(ReconstructionModel())
    assert courses.all() == []
    assert courses.times_s().size == 0


def test_the_progress_plot_draws_a_history_and_its_levels(qtbot: QtBot) -> None:
    plot = ProgressPlot()
    qtbot.addWidget(plot)
    plot.show()
    plot.show_run(growing_history(), levels={"loss": 2.5, "response_correlation": 0.4})
    (loss,) = plot.loss_plot.getPlotItem().listDataItems()
    qtbot.waitUntil(lambda: loss.yData is not None and len(loss.yData) == STEPS)
    _run_before, correlation, *_others = plot.correlation_plot.getPlotItem().listDataItems()
    np.testing.assert_allclose(correlation.xData, [5, 10, 15, 20])
    low, high = plot.loss_plot.getPlotItem().viewRange()[1]
    assert low < 2.5 < 4.0 < high
    plot.show_run(None)
    qtbot.waitUntil(lambda: not len(loss.yData if loss.yData is not None else []))


def test_words_above_the_curves_take_no_line_more_when_their_numbers_come(qtbot: QtBot) -> None:
    plot = ProgressPlot()
    qtbot.addWidget(plot)
    plot.resize(329, 300)
    plot.show()
    numbers = {"video_correlation": [0.5, 0.6], "response_correlation": [0.3, 0.4]}
    run = History({"step": [1.0, 2.0], "loss": [3.0, 2.0], "seconds": [1.0, 1.0]} | numbers)
    levels = {"loss": 2.5, "response_correlation": 0.4}
    plot.show_run(None, levels=levels, ghost=run)
    qtbot.waitUntil(lambda: "before&nbsp;0.600" in plot.correlation_heading.text())
    named = plot.correlation_heading.sizeHint().height()
    plot.show_run(run, levels=levels, ghost=run)
    qtbot.waitUntil(lambda: "activity&nbsp;0.400" in plot.correlation_heading.text())
    assert plot.correlation_heading.sizeHint().height() == named


@pytest.mark.window
def test_traces_follow_the_slider_move_it_and_keep_up_with_the_theme(
    make_napari_viewer: Callable, qtbot: QtBot, small_model: ReconstructionModel, small_result: vr.Reconstruction
) -> None:
    from napari_vidrecon.viewer.contributions.commands import show_traces
    from napari_vidrecon.viewer.registry import model_of

    viewer = make_napari_viewer(show=True)
    traces = show_traces(viewer)
    qtbot.waitUntil(lambda: "Open a session" in traces.position.text())
    model = model_of(viewer)
    assert small_model.session is not None
    model.set_session(small_model.session)
    model.set_trial(0, 12, 60)
    model.add_run(RunRecord("run 1", small_result, model.recipe()))
    row = traces.rows["frame_correlation"]
    qtbot.waitUntil(lambda: "reconstruction" in row.plot.curves)
    expected = metrics.frame_correlation(model.trial.video, small_result.video, model.mask.binary(1.0))
    np.testing.assert_array_equal(row.plot.curves["reconstruction"].yData, expected)
    viewer.dims.set_current_step(0, 30)
    qtbot.waitUntil(lambda: traces.position.text() == "frame 30 of 48 · 1.40 s")
    qtbot.waitUntil(lambda: row.plot.now.time_s == pytest.approx(42 / 30))
    qtbot.waitUntil(lambda: f"{expected[30]:.2f}" in row.heading.text())

    box = row.plot.getPlotItem().getViewBox()
    place = row.plot.mapFromScene(box.mapViewToScene(QPointF(1.0, 0.5)))
    qtbot.mouseClick(row.plot.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert viewer.dims.current_step[0] == pytest.approx(30 - 12, abs=1)

    for theme, colours in (("light", COLOURS_ON_LIGHT), ("dark", COLOURS_ON_DARK)):
        viewer.theme = theme
        qtbot.waitUntil(lambda expected=colours: row.plot.colours is expected)
        assert row.plot.curves["reconstruction"].opts["pen"].color().name().upper() == colours["orange"]


def test_a_heading_is_one_line_however_narrow_so_that_a_low_plot_keeps_its_curve(qtbot: QtBot) -> None:
    row = Row("activity_accuracy")
    qtbot.addWidget(row)
    row.show()
    curves = [TimeCourse("activity_accuracy", name, np.full(9, 0.25)) for name in ("stimulus", "reconstruction")]
    row.draw(np.arange(9.0), curves)
    row.read_out(3)
    line = row.heading.fontMetrics().lineSpacing()
    seen = []
    for letters in (100, 60, 45, 24):
        row.resize(letters * row.fontMetrics().averageCharWidth(), 8 * line)
        QTest.qWait(20)
        assert row.heading.height() < 1.6 * line, letters
        seen.append(row.heading.text())
    assert "Activity prediction accuracy" in seen[0]
    assert "reconstruction 0.25" in seen[0]
    assert "Activity r" in seen[-1]
    assert seen[-1].count("0.25") == 2
    row.draw(np.arange(9.0), [])
    row.read_out(3, "once there is a reconstruction")
    QTest.qWait(20)
    assert row.heading.height() < 1.6 * line


@pytest.mark.window
def test_traces_put_their_plots_beside_each_other_where_the_room_is_wide(
    qtbot: QtBot, make_napari_viewer: Callable
) -> None:
    from napari_vidrecon.viewer.traces import Traces

    traces = Traces(make_napari_viewer())
    line = traces.fontMetrics().height()

    rows = [traces.rows[key] for key, group in GROUPS.items() if not group.is_inferred]

    def places() -> list[tuple[int, int]]:
        grid = traces._grid
        return [grid.getItemPosition(grid.indexOf(row))[:2] for row in rows]

    traces.resize(30 * line, 60 * line)
    traces._arrange()
    assert places() == [(index, 0) for index in range(len(rows))]
    traces.resize(120 * line, 12 * line)
    traces._arrange()
    assert places() == [(0, index) for index in range(len(rows))]
    for action in traces.choice.menu().actions()[1:]:
        action.setChecked(False)
    assert [key for key, row in traces.rows.items() if not row.isHidden()] == ["frame_correlation"]
    traces.deleteLater()
