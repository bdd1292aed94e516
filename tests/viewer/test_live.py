"""A run as it grows: pictures between those of the board, what is kept of it, and how it came."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QObject, QPoint, QPointF, Qt
from qtpy.QtGui import QColor, QImage, QMouseEvent, QPainter, QPixmap
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDialog, QLabel, QMainWindow, QScrollBar, QWidget

from napari_vidrecon.reconstruction.history import History, StepInfo
from napari_vidrecon.reconstruction.runner import Snapshot
from napari_vidrecon.viewer import live_picture, played_pictures
from napari_vidrecon.viewer import playing as player_module
from napari_vidrecon.viewer.board.layers import Role
from napari_vidrecon.viewer.choices import ErrorMode
from napari_vidrecon.viewer.contributions.commands import show_board
from napari_vidrecon.viewer.controller import RunController
from napari_vidrecon.viewer.main_window import go_to_frame, present_frame
from napari_vidrecon.viewer.model import ReconstructionModel, RunState
from napari_vidrecon.viewer.playing import Rest
from napari_vidrecon.viewer.plots import ProgressPlot
from napari_vidrecon.viewer.record import Course
from napari_vidrecon.viewer.registry import workspace_of

PATIENCE_MS = 60_000


def snapshot(step: int, level: float, frames: int = 48, activity: np.ndarray | None = None) -> Snapshot:
    video = np.full((frames, 36, 64), level, np.float32)
    return Snapshot(StepInfo(step, 40, 1.0, 0.1), video, History(), 1.0, 1.0, activity)


def test_a_course_keeps_the_first_and_the_last_and_no_more_than_its_memory() -> None:
    course = Course(most_bytes=5 * 48 * 36 * 64)
    for step in range(1, 41):
        course.add(snapshot(step, float(step)))
    steps = [stage.step for stage in course.stages]
    assert len(steps) <= 5
    assert steps[0] == 1
    assert steps[-1] > 30
    assert np.diff(steps).min() * 2 >= np.diff(steps).max()
    assert course.at(0.2).movie.max() == 1
    assert Course().at(3) is None


@pytest.fixture
def controller(small_model: ReconstructionModel, qtbot: QtBot, tmp_path) -> RunController:
    made = RunController(small_model, runs_folder=tmp_path / "runs")
    yield made
    made.stop()
    assert made.wait(60)


def test_a_run_can_be_looked_back_on(controller: RunController, small_model: ReconstructionModel, qtbot: QtBot) -> None:
    seen = []
    small_model.picture_arrived.connect(lambda each: seen.append(each.info.step))
    controller.start()
    qtbot.waitUntil(lambda: small_model.state == RunState.DONE, timeout=PATIENCE_MS)
    course = small_model.shown.course
    assert seen[0] == course.stages[0].step
    newest = small_model.video
    small_model.look_back(course.stages[0].step)
    assert small_model.looked_back is course.stages[0]
    assert not np.array_equal(small_model.video, newest)
    np.testing.assert_array_equal(small_model.video, course.stages[0].movie)
    small_model.look_back(None)
    assert small_model.video is newest


def test_a_run_of_a_file_cannot_be_looked_back_on_and_says_so(small_model: ReconstructionModel) -> None:
    told: list[str] = []
    small_model.message.connect(lambda text, _error: told.append(text))
    small_model.look_back(3)
    assert small_model.looked_back is None
    assert "made in this window" in told[-1]


def test_stop_keeps_the_activity_that_was_predicted_last(
    controller: RunController, small_model: ReconstructionModel, qtbot: QtBot
) -> None:
    small_model.set_settings(config=small_model.config.changed(steps=4000))
    controller.start()
    arrived = lambda: small_model.snapshot is not None and small_model.snapshot.info.step > 0  # noqa: E731
    qtbot.waitUntil(arrived, timeout=PATIENCE_MS)
    controller.stop()
    qtbot.waitUntil(lambda: small_model.state == RunState.DONE, timeout=PATIENCE_MS)
    shown = small_model.shown
    assert shown.result.predicted_activity is None
    assert small_model.reconstruction_prediction.shape == small_model.trial.responses.shape
    assert shown.history.tracked("response_correlation")[0][-1] == len(shown.result.history)


@pytest.mark.window
def test_the_reconstruction_grows_between_two_pictures_of_the_board(
    qtbot: QtBot, make_napari_viewer_proxy, make_model, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = make_napari_viewer_proxy(show=True)
    workspace = workspace_of(viewer)
    model, live = make_model(workspace.model), workspace.live_picture
    monkeypatch.setattr(live_picture, "PLATFORM", live_picture.QGuiApplication.platformName())
    # What is predicted of the stimulus comes first; its end would end the run that is played here.
    qtbot.waitUntil(lambda: model.stimulus_prediction is not None and not workspace.controller.polling, timeout=60_000)
    model.begin_run(model.recipe())
    model.set_state(RunState.RUNNING)
    model.take_picture(snapshot(0, 0.0))
    model.take_picture(snapshot(1, 200.0))
    qtbot.waitUntil(lambda: live.pictures >= 5, timeout=5000)
    assert live.window.isVisible()
    qtbot.waitUntil(lambda: live.window.picture.pixelColor(0, 0).red() == 200, timeout=5000)
    # A movie that comes while another is on its way is gone to from what is seen.
    model.take_picture(snapshot(2, 0.0))
    model.take_picture(snapshot(3, 200.0))
    live.draw()
    assert live.window.picture.pixelColor(0, 0).red() > 100
    qtbot.waitUntil(lambda: live.window.picture.pixelColor(0, 0).red() == 200, timeout=5000)
    # Just over its tile, as the canvas has it.
    camera, box = (
        viewer.scene.camera,
        workspace.board.layout.movie(workspace.board.movies.number_of(Role.RECONSTRUCTION)),
    )
    assert live.window.width() == pytest.approx(box.width * camera.zoom, abs=2)
    # A dock takes room from the canvas: until that is painted anew, the picture is not seen at its old place.
    seen: list[bool] = []
    viewer.canvas.events.size.connect(lambda _event: seen.append(live.window.isVisible()))
    viewer.window.add_dock_widget(QLabel("a dock " * 9), area="left")
    qtbot.waitUntil(lambda: bool(seen) and live.window.isVisible(), timeout=5000)
    assert not any(seen)
    box = workspace.board.layout.movie(workspace.board.movies.number_of(Role.RECONSTRUCTION))
    canvas = live_picture.canvas_of(workspace.parent())
    place, _ = live_picture.place_of(workspace.board, box, canvas, workspace.parent())
    assert live.window.x() == pytest.approx(place.left(), abs=2)
    # Where something is drawn over the reconstruction, the board alone shows it.
    model.set_view(error_mode=ErrorMode.STIMULUS, error_apart=False, error_over="reconstruction")
    live.draw()
    assert live.window is None
    model.set_view(error_apart=True)
    live.draw()
    assert live.window.isVisible()
    model.end_run(RunState.IDLE)
    assert live.window is None


@pytest.mark.parametrize("height_px", [140, 400])
def test_no_number_beside_a_curve_lies_over_another_however_low_the_plot(qtbot: QtBot, height_px: int) -> None:
    plot = ProgressPlot()
    qtbot.addWidget(plot)
    plot.resize(300, height_px)
    plot.show_run(History({"step": [1.0, 2.0], "loss": [3.0, -9.0], "seconds": [1.0, 2.0]}))
    plot.show()
    qtbot.waitExposed(plot)
    for each in (plot.loss_plot, plot.correlation_plot):
        picture = QPixmap(each.size())
        painter = QPainter(picture)
        _, _, numbers = each.getPlotItem().getAxis("left").generateDrawSpecs(painter)
        painter.end()
        assert numbers
        places = [place for place, _, _ in numbers]
        assert not any(one.intersects(other) for one, other in itertools.combinations(places, 2))


def test_dragging_over_the_steps_asks_for_them_and_a_double_click_for_the_newest(qtbot: QtBot) -> None:
    plot = ProgressPlot()
    qtbot.addWidget(plot)
    plot.resize(400, 400)
    plot.show()
    steps = [float(step) for step in range(1, 11)]
    run, before = (
        History({"step": steps, "loss": steps, "seconds": steps, "video_correlation": [correlation] * 10})
        for correlation in (0.5, 0.25)
    )
    plot.show_run(run, ghost=before)
    qtbot.waitUntil(lambda: "before&nbsp;0.250" in plot.correlation_heading.text(), timeout=5000)
    asked: list[float | None] = []
    plot.step_asked_for.connect(asked.append)
    inner = plot.correlation_plot
    middle = QPointF(inner.width() / 2, inner.height() / 2)
    left = Qt.MouseButton.LeftButton
    for kind, act in (
        (QMouseEvent.Type.MouseButtonPress, inner.mousePressEvent),
        (QMouseEvent.Type.MouseButtonDblClick, inner.mouseDoubleClickEvent),
    ):
        act(QMouseEvent(kind, middle, inner.mapToGlobal(middle), left, left, Qt.KeyboardModifier.NoModifier))
    assert 2 < asked[0] < 8
    assert asked[1] is None
    plot.mark_step(5.0)
    qtbot.waitUntil(lambda: plot._lines[0].isVisible(), timeout=5000)


@pytest.mark.window
def test_where_the_canvas_is_slow_what_moves_is_drawn_over_it_and_the_slider_is_exact_when_it_holds(
    qtbot: QtBot, make_napari_viewer_proxy, make_model, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = make_napari_viewer_proxy(show=True)
    workspace = workspace_of(viewer)
    model, player, board = make_model(workspace.model), workspace.player, workspace.board
    pictures = player.pictures
    monkeypatch.setattr(live_picture, "PLATFORM", live_picture.QGuiApplication.platformName())
    monkeypatch.setattr(player_module, "FAST_S", 0.0)
    painted: list[int] = []
    pictures.painted.connect(painted.append)
    player.play()
    qtbot.waitUntil(lambda: len(painted) >= 5, timeout=20_000)
    # Three movies and the strip, each just over its place, as the canvas has it.
    stimulus = pictures.windows[0]
    assert len(pictures.windows) == len(board.layout.all_movies) + 1
    assert stimulus.width() == pytest.approx(board.layout.movie(0).width * viewer.scene.camera.zoom, abs=2)
    assert pictures.show(7)
    assert stimulus.picture.pixelColor(5, 9).red() == pytest.approx(model.trial.video[7, 9, 5], abs=1.5)
    assert pictures.windows[-1].line == pytest.approx(7.5 / 48)
    shown = player.frame
    player.stop()
    assert present_frame(viewer) == shown
    qtbot.waitUntil(lambda: not pictures.windows, timeout=5000)
    # A layer of a person's may lie over the movies: the canvas alone draws it.
    viewer.add_points(np.zeros((1, 2)))
    pictures.prepare()
    assert not pictures.show(7)


@pytest.mark.long
def test_every_layer_may_be_deleted_while_the_movie_plays(
    qtbot: QtBot, make_napari_viewer_proxy, make_model, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = make_napari_viewer_proxy(show=True)
    workspace = workspace_of(viewer)
    model, player = make_model(workspace.model), workspace.player
    told: list[str] = []
    model.message.connect(lambda text, _is_error: told.append(text))
    monkeypatch.setattr(live_picture, "PLATFORM", live_picture.QGuiApplication.platformName())
    monkeypatch.setattr(player_module, "FAST_S", 0.0)
    painted: list[int] = []
    player.pictures.painted.connect(painted.append)
    player.play()
    qtbot.waitUntil(lambda: len(painted) >= 3, timeout=20_000)
    for role in ("stimulus", "reconstruction", "error_map"):
        before = len(painted)
        viewer.layers.remove(workspace.board.layer(role))
        if role != "error_map":
            qtbot.waitUntil(lambda before=before: len(painted) >= before + 3, timeout=20_000)
    viewer.layers.clear()
    qtbot.wait(300)
    assert told == []
    player.stop()


@pytest.fixture
def scrubbed(qtbot: QtBot, make_napari_viewer_proxy, make_model, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """A workspace with a session, where the canvas is slow, and the hand moves until a test says that it is still."""
    viewer = make_napari_viewer_proxy(show=True)
    workspace = workspace_of(viewer)
    make_model(workspace.model)
    monkeypatch.setattr(live_picture, "PLATFORM", live_picture.QGuiApplication.platformName())
    monkeypatch.setattr(played_pictures, "FAST_S", 0.0)
    qtbot.wait(500)
    scrubbing = workspace.player.scrubbing
    # The first frame is drawn by the canvas, for nobody knows that another one follows.
    go_to_frame(viewer, 3)
    assert not scrubbing.active
    qtbot.waitUntil(lambda: scrubbing._took_s > 0, timeout=5000)
    monkeypatch.setattr(scrubbing, "_took_s", 100.0)
    monkeypatch.setattr(played_pictures, "STILL_S", 1000.0)
    return workspace


def drawn_at(workspace, place: tuple[int, int]) -> QColor:  # type: ignore[no-untyped-def]
    """What the screen shows in the middle of a pixel, by row and column, of the stimulus."""
    board, main = workspace.board, workspace.parent()
    box, canvas = board.layout.movie(0), live_picture.canvas_of(main)
    at, _ = live_picture.place_of(board, box, canvas, main)
    step = at.width() / board.layout.cols
    seen = main.screen().grabWindow(0).toImage()
    corner = main.mapToGlobal(QPoint(0, 0))
    x, y = at.left() + (place[1] + 0.5) * step, at.top() + (place[0] + 0.5) * step
    return seen.pixelColor(corner.x() + round(x), corner.y() + round(y))


@pytest.mark.window
def test_a_scrubbed_frame_is_on_the_screen_at_once_and_the_window_follows_when_the_hand_is_still(
    qtbot: QtBot, scrubbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, video = scrubbed, scrubbed.model.trial.video
    viewer, scrubbing, pictures = workspace.board.viewer, workspace.player.scrubbing, workspace.player.pictures
    # Where neighbours are as bright, so that half a pixel of the screen makes no difference.
    place, frames = (18, 8), (20, 33, 41)
    composed: list[int] = []
    live_picture.canvas_of(workspace.parent())._vispy_canvas.events.draw.connect(
        lambda event: composed.append(present_frame(viewer))
    )
    for frame in frames:
        go_to_frame(viewer, frame)
        assert scrubbing.active
        assert pictures.windows[0].picture.pixelColor(place[1], place[0]).red() == pytest.approx(
            video[frame][place], abs=1.5
        )
        level = pytest.approx(video[frame][place], abs=3)
        qtbot.waitUntil(lambda level=level: drawn_at(workspace, place).red() == level, timeout=10_000)
    # One that was asked for before the hand moved may come late.
    assert len(composed) < len(frames) - 1
    assert pictures.windows[-1].line == pytest.approx(41.5 / 48)
    slider = next(bar for bar in workspace.parent().centralWidget().findChildren(QScrollBar) if bar.isVisible())
    assert slider.value() == 41
    monkeypatch.setattr(played_pictures, "STILL_S", 0.1)
    qtbot.waitUntil(lambda: not scrubbing.active, timeout=10_000)
    assert composed[-1] == 41
    assert pictures.windows == []
    qtbot.waitUntil(lambda: drawn_at(workspace, place).red() == level, timeout=10_000)
    assert present_frame(viewer) == 41


@pytest.mark.window
def test_the_slider_held_with_a_mouse_is_scrubbed_and_the_window_is_drawn_between_as_often_as_it_can(
    qtbot: QtBot, scrubbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = scrubbed
    scrubbing, pictures = workspace.player.scrubbing, workspace.player.pictures
    main = workspace.parent()
    # In which something may follow the slider.
    workspace.board.viewer.window.add_dock_widget(QLabel("curves"), name="curves of a person", area="bottom")
    qtbot.wait(200)
    slider = next(bar for bar in main.centralWidget().findChildren(QScrollBar) if bar.isVisible())
    composed, middle = [], slider.height() // 2
    painted: list[int] = []
    pictures.painted.connect(painted.append)
    live_picture.canvas_of(main)._vispy_canvas.events.draw.connect(lambda event: composed.append(event))
    left = slider.width() // 4
    QTest.mousePress(slider, Qt.MouseButton.LeftButton, pos=QPoint(left, middle))
    monkeypatch.setattr(scrubbing, "_took_s", 0.02)
    for move in range(20):
        QTest.mouseMove(slider, QPoint(left + 10 * move, middle))
        qtbot.wait(30)
    frame = present_frame(workspace.board.viewer)
    assert scrubbing.active
    assert painted[-1] == frame == slider.value()
    assert 1 <= len(composed) < len(set(painted))
    QTest.mouseRelease(slider, Qt.MouseButton.LeftButton, pos=QPoint(left + 190, middle))
    monkeypatch.setattr(played_pictures, "STILL_S", 0.1)
    qtbot.waitUntil(lambda: not scrubbing.active, timeout=10_000)
    assert (slider.value(), present_frame(workspace.board.viewer), pictures.windows) == (frame, frame, [])


@pytest.mark.window
@pytest.mark.long
def test_the_slider_and_the_status_are_seen_to_follow_while_the_window_rests_for_long(
    qtbot: QtBot, scrubbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    scrubbing, main, viewer = scrubbed.player.scrubbing, scrubbed.parent(), scrubbed.board.viewer
    (sliders,) = scrubbing._sliders
    monkeypatch.setattr(scrubbing, "_took_s", 0.02)
    # However slow the machine is.
    monkeypatch.setattr(played_pictures, "REST_S", 1000.0)
    composed: list[int] = []
    live_picture.canvas_of(main)._vispy_canvas.events.draw.connect(lambda event: composed.append(1))
    pictures = []

    def slider_is_seen() -> bool:
        pictures.append(on_screen(main, sliders))
        return bool(np.abs(pictures[-1].astype(int) - levels_of(sliders.grab().toImage())).max() <= SAME_LEVELS)

    def scrubs_undisturbed() -> bool:
        for each in (composed, pictures):
            each.clear()
        for frame in range(10, 30):
            go_to_frame(viewer, frame)
            qtbot.waitUntil(slider_is_seen, timeout=5000)
        # One that was asked for before the hand moved may come late.
        return scrubbing.active and len(composed) <= 1

    # A canvas that still finds its size ends it, and it begins again.
    assert any(scrubs_undisturbed() for _ in range(5))
    assert len({picture.tobytes() for picture in pictures}) > 10
    viewer.status = "frame 29, as a reader of it says"

    def is_seen() -> bool:
        # What it says now: napari's own reader of the pointer may have the last word.
        return bool((on_screen(main, main.statusBar()) == levels_of(main.statusBar().grab().toImage())).all())

    qtbot.waitUntil(is_seen, timeout=5000)
    by_hand = on_screen(main, sliders)
    monkeypatch.setattr(played_pictures, "STILL_S", 0.1)
    qtbot.waitUntil(lambda: not scrubbing.active, timeout=10_000)
    qtbot.wait(200)

    def looks_the_same() -> bool:
        return bool(np.abs(on_screen(main, sliders).astype(int) - by_hand).max() <= SAME_LEVELS)

    # Drawn by the window itself, once it has come to it.
    qtbot.waitUntil(looks_the_same, timeout=5000)


@pytest.fixture
def played(qtbot: QtBot, scrubbed, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """A workspace that plays where the canvas is slow, whose window rests for as long as nobody touches it."""
    monkeypatch.setattr(player_module, "FAST_S", 0.0)
    monkeypatch.setattr(player_module, "WINDOW_REST_S", 1000.0)
    player = scrubbed.player
    player.play()
    yield scrubbed
    player.stop()
    qtbot.waitUntil(lambda: not player.pictures.windows, timeout=5000)


@pytest.mark.window
def test_while_a_movie_plays_and_nobody_touches_it_the_window_rests_and_its_slider_goes_along(
    qtbot: QtBot, played, monkeypatch: pytest.MonkeyPatch
) -> None:
    player, main, viewer = played.player, played.parent(), played.board.viewer
    qtbot.waitUntil(lambda: player.rest.active, timeout=10_000)
    (sliders,) = player.scrubbing._sliders
    composed: list[int] = []
    seen: set[bytes] = set()
    frames: set[int] = set()
    live_picture.canvas_of(main)._vispy_canvas.events.draw.connect(lambda event: composed.append(1))
    player.pictures.painted.connect(lambda frame: frames.add(frame))

    def plays_undisturbed() -> bool:
        for each in (composed, seen, frames):
            each.clear()
        for _ in range(10):
            qtbot.wait(150)
            seen.add(on_screen(main, sliders).tobytes())
        # One that was asked for before may come late; where others keep the processors, few frames are shown.
        return player.rest.active and len(composed) <= 1 and len(seen) > 2 and len(frames) > 10

    # What else still comes up in a new window wakes it.
    assert any(plays_undisturbed() for _ in range(5))
    monkeypatch.setattr(player_module, "TOUCHED_S", 1000.0)
    QTest.keyClick(main, Qt.Key.Key_Shift)
    qtbot.waitUntil(lambda: len(composed) > 2, timeout=10_000)
    assert player.playing
    assert not player.rest.active
    player.stop()
    qtbot.waitUntil(lambda: not player.pictures.windows, timeout=5000)
    assert present_frame(viewer) == player.frame


@pytest.mark.window
def test_the_window_does_not_rest_where_something_else_follows_the_movie_or_goes_on(qtbot: QtBot, played) -> None:
    player, viewer = played.player, played.board.viewer
    qtbot.waitUntil(lambda: player.rest.active, timeout=10_000)
    player.rest._busy = lambda: True
    qtbot.waitUntil(lambda: not player.rest.active, timeout=10_000)
    assert not player.rest.begin()
    player.rest._busy = lambda: False
    assert player.rest.begin()
    player.rest.end()
    viewer.window.add_dock_widget(QLabel("curves"), name="curves of a person", area="bottom")
    qtbot.wait(100)
    assert not player.rest.begin()


@pytest.mark.window
@pytest.mark.long
def test_the_step_of_a_run_is_seen_without_the_window_being_composed_for_it(
    qtbot: QtBot, make_napari_viewer_proxy, make_model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_picture, "PLATFORM", live_picture.QGuiApplication.platformName())
    viewer = make_napari_viewer_proxy(show=True)
    dock = show_board(viewer)
    model, bar, main = dock.model, dock.run_bar, dock.window()
    make_model(model)
    # The activity that is predicted from the stimulus is there.
    qtbot.waitUntil(lambda: model.stimulus_prediction is not None and dock.controller._active is None, timeout=60_000)
    model.set_state(RunState.RUNNING)
    model.take_picture(snapshot(1, 100.0))
    qtbot.wait(500)
    asked = Asked(main)

    def is_seen() -> bool:
        return bool((on_screen(main, bar.state.label) == levels_of(bar.state.label.grab().toImage())).all())

    seen = set()
    for step in range(2, 8):
        bar._step_pause.stop()
        model.take_picture(snapshot(step, 100.0))
        assert bar.state.text().startswith(f"Step {step} of 40")
        qtbot.waitUntil(is_seen, timeout=5000)
        seen.add(on_screen(main, bar.state.label).tobytes())
    assert len(seen) == 6
    # One that was asked for before may come late.
    assert asked.times <= 1
    model.set_state(RunState.IDLE)
    qtbot.waitUntil(lambda: not bar.over._held, timeout=5000)
    assert asked.times >= 1
    qtbot.waitUntil(is_seen, timeout=5000)


class Asked(QObject):
    """Counts how often a window is asked to be composed."""

    def __init__(self, window: QMainWindow) -> None:
        super().__init__(window)
        self.times = 0
        window.installEventFilter(self)

    def eventFilter(self, _watched: QObject | None, event: QEvent | None) -> bool:
        self.times += event is not None and event.type() == QEvent.Type.UpdateRequest
        return False


def test_what_comes_up_while_the_window_rests_is_seen_at_once(
    qtbot: QtBot, played, monkeypatch: pytest.MonkeyPatch
) -> None:
    player, main = played.player, played.parent()
    news, told = QDialog(main, Qt.WindowType.SubWindow), played.stage_bar.play
    news.setStyleSheet("background: #ff0000")
    news.setGeometry(main.width() // 2, main.height() // 2, 60, 40)
    monkeypatch.setattr(player_module, "TOUCHED_S", 0.3)

    qtbot.waitUntil(lambda: player.rest.active, timeout=20_000)
    news.show()
    # What plays would lie over it.
    qtbot.waitUntil(lambda: not player.pictures.windows, timeout=10_000)
    qtbot.waitUntil(lambda: sorted(on_screen(main, news)[20, 30]) == [0, 0, 255], timeout=5000)
    qtbot.wait(500)
    assert not player.rest.active
    news.hide()
    for appears in (
        lambda: told.setText("a longer text than before"),
        lambda: setattr(played.board.viewer, "theme", "light"),
    ):
        qtbot.waitUntil(lambda: player.rest.active, timeout=20_000)
        appears()
        qtbot.waitUntil(lambda: not player.rest.active, timeout=5000)


def test_a_window_that_went_while_it_rested_leaves_nothing_that_could_fail(qtbot: QtBot) -> None:
    main = QMainWindow()
    rest = Rest(main, lambda: False)
    rest.watch()
    assert rest.begin()
    main.deleteLater()
    QApplication.sendPostedEvents(main, QEvent.Type.DeferredDelete.value)
    rest.close()
    assert not rest.active


SAME_LEVELS = 2


def on_screen(main: QMainWindow, widget: QWidget) -> np.ndarray:
    """(rows, columns, 3) levels that the screen shows where a widget of a window is."""
    QApplication.processEvents()
    at = widget.mapToGlobal(QPoint(0, 0))
    return levels_of(main.screen().grabWindow(0, at.x(), at.y(), widget.width(), widget.height()).toImage())


def levels_of(image: QImage) -> np.ndarray:
    """(rows, columns, 3) of a picture."""
    picture = image.convertToFormat(QImage.Format.Format_RGB32)
    held = picture.constBits()
    if hasattr(held, "setsize"):
        # PyQt's does not know its size, PySide's does.
        held.setsize(picture.sizeInBytes())
    return np.frombuffer(held, np.uint8).reshape(picture.height(), picture.width(), 4)[..., :3].copy()


@pytest.mark.window
def test_the_clock_waits_for_the_hand_that_scrubs_and_plays_on_from_there(
    qtbot: QtBot, scrubbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer, player = scrubbed.board.viewer, scrubbed.player
    player.play()
    player.set_frame_rate(1.0)
    go_to_frame(viewer, 20)
    go_to_frame(viewer, 30)
    assert player.scrubbing.active
    player.tick()
    assert player.frame == 30
    monkeypatch.setattr(played_pictures, "STILL_S", 0.1)
    qtbot.waitUntil(lambda: not player.scrubbing.active, timeout=10_000)
    player.tick()
    assert player.frame >= 30
    player.stop()
    qtbot.waitUntil(lambda: not player.pictures.windows, timeout=5000)


@pytest.mark.window
@pytest.mark.long
def test_the_button_of_naparis_slider_which_waits_for_the_canvas_is_left_to_it(qtbot: QtBot, scrubbed) -> None:
    viewer, scrubbing, main = scrubbed.board.viewer, scrubbed.player.scrubbing, scrubbed.parent()
    (sliders,) = scrubbing._sliders
    frames: list[int] = []
    begun: list[bool] = []
    viewer.dims.events.current_step.connect(lambda event: frames.append(present_frame(viewer)))
    viewer.dims.events.current_step.connect(lambda event: begun.append(scrubbing.active))
    sliders.play(0, fps=20)
    qtbot.waitUntil(lambda: len(set(frames)) >= 4, timeout=20_000)
    sliders.stop()
    assert main.isVisible()
    assert not any(begun)
    qtbot.waitUntil(lambda: not sliders.is_playing, timeout=5000)


@pytest.mark.window
@pytest.mark.long
def test_the_canvas_draws_what_is_scrubbed_where_something_else_is_to_be_seen(qtbot: QtBot, scrubbed) -> None:
    viewer, model, scrubbing = scrubbed.board.viewer, scrubbed.model, scrubbed.player.scrubbing
    zoom = viewer.scene.camera.zoom
    obstacles = {
        "a run": (lambda: model.set_state(RunState.RUNNING), lambda: model.set_state(RunState.IDLE)),
        "another view": (
            lambda: setattr(viewer.scene.camera, "zoom", 2 * zoom),
            lambda: setattr(viewer.scene.camera, "zoom", zoom),
        ),
        "points": (lambda: viewer.add_points(np.zeros((1, 2)), name="mine"), lambda: viewer.layers.remove("mine")),
    }
    for obstacle, (come, go) in obstacles.items():
        go_to_frame(viewer, 5)
        assert scrubbing.active, obstacle
        come()
        for frame in (9, 11):
            go_to_frame(viewer, frame)
            assert not scrubbing.active, obstacle
            assert scrubbed.player.pictures.windows == []
        go()
        go_to_frame(viewer, 3)
