"""What is exported is what the board shows; the window goes on meanwhile."""

from __future__ import annotations

import csv
import threading
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

import napari_vidrecon as vr
from napari_vidrecon.errors import RunError
from napari_vidrecon.figures.export import ShownMovie, write_figure, write_movie, write_tables
from napari_vidrecon.viewer.exports import Exporter, shown_movie
from napari_vidrecon.viewer.model import ErrorMode, Layout, ReconstructionModel, RunRecord


@pytest.fixture
def model_with_run(small_model: ReconstructionModel, small_result: vr.Reconstruction) -> ReconstructionModel:
    """The small model with one finished run on the board."""
    small_model.add_run(RunRecord("run 1", small_result, small_model.recipe()))
    return small_model


@pytest.fixture
def shown(model_with_run: ReconstructionModel) -> ShownMovie:
    """What the board shows of it."""
    return shown_movie(model_with_run)


def test_nothing_to_export_says_to_press_start(small_model: ReconstructionModel) -> None:
    with pytest.raises(RunError, match="press Start"):
        shown_movie(small_model)


def test_command_and_window_show_the_same_of_a_run(
    model_with_run: ReconstructionModel, small_result: vr.Reconstruction
) -> None:
    told = small_result.provenance
    model_with_run.set_mask(vr.AlphaMask(small_result.alpha))
    model_with_run.set_thresholds(told["mask_threshold"], told["evaluation_threshold"])
    window, command = shown_movie(model_with_run), ShownMovie.of(small_result, error=True)
    assert window.error is not None
    assert command.error is not None
    np.testing.assert_array_equal(window.error, command.error)
    assert (window.caption, window.title, window.measured) == (command.caption, command.title, command.measured)
    assert set(command.columns) <= set(window.columns)
    for name, values in command.columns.items():
        np.testing.assert_array_equal(window.columns[name], values)
    # Activity is drawn where the window shows it.
    assert not window.rasters
    model_with_run.set_view(layout=Layout.EXPLAIN)
    drawn = zip(shown_movie(model_with_run).rasters, ShownMovie.of(small_result, activity=True).rasters, strict=True)
    for ours, theirs in drawn:
        assert (ours.name, ours.limit) == (theirs.name, theirs.limit)
        np.testing.assert_array_equal(ours.rows, theirs.rows)


def test_the_table_lists_what_the_traces_draw(
    shown: ShownMovie, model_with_run: ReconstructionModel, tmp_path: Path
) -> None:
    written = write_tables(shown, tmp_path / "numbers.csv")
    assert [path.name for path in written] == ["numbers.csv", "numbers_history.csv"]
    with written[0].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 48
    assert {"pupil_size_camera_px", "running_speed", "activity_accuracy_reconstruction"} <= set(rows[0])
    with written[1].open(newline="") as file:
        assert len(list(csv.DictReader(file))) == model_with_run.config.steps


def test_times_and_tables_of_a_part_begin_where_the_part_begins(model_with_run: ReconstructionModel) -> None:
    record = model_with_run.runs[0]
    model_with_run.set_trial(0, 12, 60)
    model_with_run.show_run(record)
    assert shown_movie(model_with_run).times_s[0] == pytest.approx(12 / 30)


def test_the_error_is_the_one_the_board_shows(model_with_run: ReconstructionModel) -> None:
    shown = shown_movie(model_with_run)
    assert shown.error is not None
    outside = ~shown.mask
    assert (shown.error[:, outside] == 0).all()
    np.testing.assert_allclose(shown.error[:, shown.mask], (shown.video - shown.stimulus)[:, shown.mask], atol=1e-4)
    model_with_run.set_view(error_mode=ErrorMode.NONE)
    assert shown_movie(model_with_run).error is None


def test_the_papers_error_has_its_sign_whichever_of_the_pair_is_shown(model_with_run: ReconstructionModel) -> None:
    recorded = model_with_run.runs[0]
    other = vr.Reconstruction(**{**vars(recorded.result), "video": recorded.result.video + 20})
    predicted = RunRecord("run 2", other, recorded.recipe.changed(target="predicted"))
    model_with_run.add_run(predicted, show=False)
    model_with_run.set_view(error_mode=ErrorMode.PREDICTED)
    errors = []
    for record in (recorded, predicted):
        model_with_run.show_run(record)
        shown = shown_movie(model_with_run)
        assert shown.error is not None
        errors.append(shown.error[:, shown.mask])
    np.testing.assert_allclose(errors[0], -20, atol=1e-3)
    np.testing.assert_allclose(errors[1], -20, atol=1e-3)


def test_the_exporter_works_in_another_thread_and_tells_the_file(qtbot: QtBot, tmp_path: Path) -> None:
    exporter, threads = Exporter(), []

    def work(report: object) -> None:
        threads.append(threading.current_thread())
        report(1, 2)  # type: ignore[operator]

    with qtbot.waitSignal(exporter.finished) as finished:
        exporter.write(work, tmp_path / "a.mp4")
    assert finished.args == [str(tmp_path / "a.mp4")]
    assert threads[0] is not threading.current_thread()
    assert not exporter.busy


def test_a_cancelled_export_ends_and_the_next_one_can_begin(qtbot: QtBot, shown: ShownMovie, tmp_path: Path) -> None:
    exporter, started, go_on = Exporter(), threading.Event(), threading.Event()

    def report_through(report: object) -> object:
        def watch(done: int, of: int) -> None:
            started.set()
            go_on.wait(10)
            report(done, of)  # type: ignore[operator]

        return watch

    path = tmp_path / "a.mp4"
    with qtbot.waitSignal(exporter.stopped):
        exporter.write(lambda report: write_movie(shown, path, enlargement=2, on_progress=report_through(report)), path)
        started.wait(10)
        exporter.stop()
        go_on.set()
    assert not list(tmp_path.iterdir())
    with qtbot.waitSignal(exporter.finished):
        exporter.write(lambda report: write_figure(shown, tmp_path / "f.png"), tmp_path / "f.png")
    assert (tmp_path / "f.png").exists()


def test_an_export_that_fails_says_why(qtbot: QtBot, shown: ShownMovie, tmp_path: Path) -> None:
    exporter = Exporter()
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "a.png"
    with qtbot.waitSignal(exporter.failed) as failed:
        exporter.write(lambda report: write_figure(shown, path), path)
    assert str(path.parent) in failed.args[0]


def test_a_second_export_at_once_is_refused(qtbot: QtBot, tmp_path: Path) -> None:
    exporter, release = Exporter(), threading.Event()
    exporter.write(lambda report: release.wait(10), tmp_path / "a")
    with qtbot.waitSignal(exporter.failed) as failed:
        exporter.write(lambda report: None, tmp_path / "b")
    assert "wait for it or cancel it" in failed.args[0]
    with qtbot.waitSignal(exporter.finished):
        release.set()
