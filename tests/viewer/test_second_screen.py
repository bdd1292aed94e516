"""The movies alone on a screen, and the mouse's behaviour beside the board."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QRectF, Qt
from qtpy.QtTest import QTest

from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions.session import open_session
from napari_vidrecon.viewer.behaviour import NO_GAZE, NO_PUPIL, NO_RUNNING, NOTHING
from napari_vidrecon.viewer.contributions import commands
from napari_vidrecon.viewer.evaluation import GROUPS
from napari_vidrecon.viewer.main_widget import ReconstructionWidget
from napari_vidrecon.viewer.main_window import present_frame
from napari_vidrecon.viewer.model import ErrorMode, RunRecord
from napari_vidrecon.viewer.playing import other_screen, places, shown_movies
from napari_vidrecon.viewer.registry import workspace_of
from napari_vidrecon.viewer.runs.status import status


def test_what_is_told_of_the_mouse_is_what_was_recorded_and_a_mouse_may_stand_still(
    docked: Callable[..., ReconstructionWidget],
) -> None:
    widget = docked()
    model, behaviour = widget.model, commands.show_behaviour(widget.board.viewer)
    still = replace(model.trial, behavior=np.ones_like(model.trial.behavior))
    model.trial = still
    assert behaviour.told[2] == "running 1.00 throughout"
    # Of a session that tells what was recorded nothing is guessed.
    model.trial = replace(still, recorded_behavior=("running", "pupil size"))
    assert behaviour.told[0] == "pupil 1.0 px"
    assert behaviour.told[1:] == [NO_GAZE, "running 1.00 throughout"]
    model.trial = replace(still, recorded_behavior=())
    assert behaviour.told == [NO_PUPIL, NO_GAZE, NO_RUNNING]
    traces = commands.show_traces(widget.board.viewer)
    assert [traces._missing(GROUPS[key]) for key in ("pupil_size", "running_speed")] == ["not recorded"] * 2
    assert traces._missing(GROUPS["frame_correlation"]) == "once there is a reconstruction"
    model.trial = replace(still, has_movie=False)
    assert traces._missing(GROUPS["frame_correlation"]) == "no movie to compare with"


def test_movies_and_mouse_follow_the_slider(
    docked: Callable[..., ReconstructionWidget], make_model, small_result, monkeypatch
) -> None:
    widget = docked(filled=False)
    viewer, model = widget.board.viewer, widget.model
    alone = workspace_of(viewer).movies_alone
    commands.show_movies_alone(viewer)
    assert alone.isFullScreen()
    assert alone.grab().toImage().pixelColor(3, 3).name() == "#000000"
    behaviour = commands.show_behaviour(viewer)
    assert behaviour.told == [NOTHING]

    make_model(model)
    assert [title for _, title in shown_movies(widget.board)] == ["Stimulus", "Reconstruction"]
    first, eye = alone.grab().toImage(), behaviour.grab().toImage()
    QTest.keyClick(alone, Qt.Key.Key_Right)
    assert present_frame(viewer) == 1
    assert alone.grab().toImage() != first
    assert behaviour.grab().toImage() != eye
    assert behaviour.told[0] == f"pupil {model.trial.behavior[0, 1]:.1f} px"
    speed = behaviour._places()[2]
    QTest.mouseClick(behaviour, Qt.MouseButton.LeftButton, pos=QPoint(round(speed.right()) - 1, round(speed.top()) + 2))
    assert present_frame(viewer) >= model.trial.frames - 2

    commands.magnify(viewer)
    workspace = workspace_of(viewer)
    workspace.pointing.pixel_pointed.emit((0, 63))
    assert workspace.magnifier.isVisible()
    assert workspace.magnifier.grab().width() >= 2 * workspace.magnifier.side_px
    workspace.pointing.pixel_pointed.emit(None)
    assert not workspace.magnifier.isVisible()

    # Without the neurons that were clicked: they are left out, it runs again, and what is lost is shown.
    reruns = []
    monkeypatch.setattr(workspace.controller, "rerun", lambda: reruns.append(model.neurons.keep.copy()))
    commands.run_without_chosen(viewer)
    assert not reruns
    workspace.board.activity.explained.choose(np.array([2, 5]))
    model.add_run(RunRecord("Run 1", small_result, model.recipe()))
    commands.run_without_chosen(viewer)
    assert np.flatnonzero(~reruns[0]).tolist() == [2, 5]
    assert model.error_mode is ErrorMode.LOST
    # And in words, with whatever else was changed.
    less = replace(small_result, keep=reruns[0])
    model.set_settings(config=model.config.changed(steps=9))
    model.add_run(RunRecord("Run 2", less, model.recipe()))
    r = f"{small_result.history.last('video_correlation'):.3f}"
    assert status(model).hint == f"Run 1 → Run 2: video r {r} → {r}; not of neurons alone: steps 6 → 9"

    model.trial.behavior[1] = 0.0
    assert behaviour.told[2] == "running 0.00 throughout"
    QTest.keyClick(alone, Qt.Key.Key_Escape)
    assert not alone.isVisible()


def test_a_second_screen_is_taken_where_there_is_one() -> None:
    first, second = object(), object()
    assert other_screen(first, [first, second]) is second
    assert other_screen(first, [first]) is first


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1080, 1920), (3840, 1080), (300, 200)])
@pytest.mark.parametrize("movies", [1, 2, 3])
def test_movies_fill_a_screen_of_any_shape_without_leaving_it(width, height, movies):
    whole = QRectF(0, 0, width, height)
    found = places(whole, movies, 36 / 64, 30.0, 10.0)
    assert all(whole.contains(place) for place in found)
    assert not any(a.intersects(b) for a in found for b in found if a is not b)
    assert found[0].width() > 0.3 * min(width, height)


def test_a_video_of_the_mouse_is_read_where_there_is_one(copy_of_small_session) -> None:
    session = open_session(copy_of_small_session)
    assert session.behavior_video(0) is None
    file = session.file("behavior_video", 0)
    file.parent.mkdir()
    np.save(file, np.zeros((12, 16, 60), np.uint8))
    assert session.behavior_video(0).shape == (12, 16, 60)
    np.save(file, np.zeros((12, 16, 59), np.uint8))
    with pytest.raises(SessionError, match=r"expected a uint8 video .* 60 frames"):
        session.behavior_video(0)
