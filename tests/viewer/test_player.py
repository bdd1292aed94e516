"""Playing by the clock."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QApplication, QMainWindow

from napari_vidrecon.viewer import playing as player_module
from napari_vidrecon.viewer.board import Board
from napari_vidrecon.viewer.main_window import ROLE_KEY, frame_count, go_to_frame, present_frame
from napari_vidrecon.viewer.played_pictures import PlayedPictures, Scrubbing
from napari_vidrecon.viewer.playing import Player

pytestmark = pytest.mark.window

FRAMES = 60


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(player_module, "time", clock)
    return clock


@pytest.fixture
def viewer() -> ViewerModel:
    viewer = ViewerModel()
    viewer.add_image(np.zeros((FRAMES, 4, 5)), scale=(1 / 30, 1, 1))
    viewer.dims.set_current_step(0, 10)
    return viewer


@pytest.fixture
def player(qapp: object, viewer: ViewerModel, clock: Clock) -> Player:
    return Player(viewer, 30.0)


def test_a_second_is_thirty_frames_however_rarely_the_picture_is_drawn(
    player: Player, viewer: ViewerModel, clock: Clock
) -> None:
    player.play()
    clock.now += 1.01
    player.tick()
    assert viewer.dims.current_step[0] == 40


def test_it_starts_again_after_the_last_frame(player: Player, viewer: ViewerModel, clock: Clock) -> None:
    player.play()
    clock.now += 1.81
    player.tick()
    assert viewer.dims.current_step[0] == (10 + 54) % FRAMES


def test_a_slider_moved_while_playing_is_gone_on_from(player: Player, viewer: ViewerModel, clock: Clock) -> None:
    player.play()
    clock.now += 0.5
    player.tick()
    viewer.dims.set_current_step(0, 3)
    player.tick()
    clock.now += 0.11
    player.tick()
    assert viewer.dims.current_step[0] == 6


def test_toggling_plays_and_holds_and_says_so(player: Player) -> None:
    heard: list[bool] = []
    player.playing_changed.connect(heard.append)
    player.toggle()
    assert player.playing
    player.toggle()
    assert not player.playing
    assert heard == [True, False]


def test_another_rate_takes_effect_without_a_jump(player: Player, viewer: ViewerModel, clock: Clock) -> None:
    player.play()
    clock.now += 0.5
    player.tick()
    player.set_frame_rate(10.0)
    player.tick()
    assert viewer.dims.current_step[0] == 25
    clock.now += 1.01
    player.tick()
    assert viewer.dims.current_step[0] == 35


def test_a_rate_that_is_not_positive_is_refused(player: Player) -> None:
    with pytest.raises(ValueError, match="above 0, found -3"):
        player.set_frame_rate(-3)


def test_nothing_to_play_is_not_played(qapp: object) -> None:
    player = Player(ViewerModel())
    player.play()
    assert not player.playing


def test_it_holds_when_the_movie_is_taken_away(player: Player, viewer: ViewerModel) -> None:
    player.play()
    viewer.layers.clear()
    player.tick()
    assert not player.playing


@pytest.mark.timing
def test_real_time_is_kept_by_the_real_clock(qtbot, viewer: ViewerModel) -> None:  # type: ignore[no-untyped-def]
    import time

    player = Player(viewer, 30.0)
    began = time.perf_counter()
    player.play()
    qtbot.waitUntil(lambda: viewer.dims.current_step[0] >= 25, timeout=10_000)
    frames, seconds = viewer.dims.current_step[0] - 10, time.perf_counter() - began
    player.stop()
    assert abs(frames / 30.0 - seconds) < 0.15


@pytest.fixture
def crowded() -> ViewerModel:
    """A movie of the board, and a 4-D layer of another scale that a person has open."""
    viewer = ViewerModel()
    viewer.add_image(np.zeros((FRAMES, 4, 5)), scale=(1 / 30, 1, 1), metadata={ROLE_KEY: "stimulus"})
    viewer.add_image(np.zeros((3, 200, 4, 5)), scale=(1, 0.5, 1, 1))
    return viewer


def test_time_is_counted_from_the_boards_own_layer_beside_layers_of_more_axes_and_other_scales(
    crowded: ViewerModel,
) -> None:
    assert frame_count(crowded) == FRAMES
    go_to_frame(crowded, 37)
    assert crowded.dims.point[-3] == pytest.approx(37 / 30)
    assert present_frame(crowded) == 37
    crowded.dims.set_point(1, 50.0)
    assert present_frame(crowded) == FRAMES - 1
    crowded.dims.set_point(0, 2.0)
    go_to_frame(crowded, 5)
    assert (present_frame(crowded), crowded.dims.point[0]) == (5, 2.0)


def test_it_plays_beside_layers_of_more_axes(qapp: object, crowded: ViewerModel, clock: Clock) -> None:
    go_to_frame(crowded, 10)
    player = Player(crowded, 30.0)
    player.play()
    clock.now += 0.5
    player.tick()
    assert present_frame(crowded) == 25
    player.stop()


def test_a_window_whose_slider_nobody_moved_closes_in_peace(qapp: object, small_model, monkeypatch) -> None:
    board, window = Board(ViewerModel(), small_model), QMainWindow()
    scrubbing = Scrubbing(board, PlayedPictures(board, window), window)
    QObject.deleteLater(window)
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    scrubbing.close()
    board.close()
