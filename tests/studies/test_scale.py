"""How large a study is on recordings of other frame rates."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from napari_vidrecon.sessions.screen import ScreenGeometry
from napari_vidrecon.studies.experiments.gratings import runs
from napari_vidrecon.studies.mice import Mouse
from napari_vidrecon.studies.runs.stimulus_runs import degrees, seconds
from napari_vidrecon.studies.scale import SCALES, scale_named
from napari_vidrecon.studies.study import Plan


def mouse_at(frame_rate_hz: float, clips: Sequence[int] = ()) -> Mouse:
    """A mouse of which only rate, screen and the length of each clip are known."""
    screen = ScreenGeometry(rows=72, cols=128)
    session = SimpleNamespace(frame_rate_hz=frame_rate_hz, screen=screen, clip_frames=lambda trial: clips[trial])
    trials = tuple(range(len(clips)))
    mouse: Any = SimpleNamespace(
        open_session=lambda: session, encoders=("encoder",), has_clips=bool(clips), clips=lambda: trials
    )
    return cast(Mouse, mouse)


@pytest.mark.parametrize("name", SCALES)
def test_clips_last_as_long_at_60_hz_as_at_30_and_have_no_fewer_frames_at_25(name: str) -> None:
    usual = scale_named(name)
    fast = usual.at_rate(60.0)
    assert fast.frames == (usual.frames and (60, 156))
    assert fast.example_frames == (usual.example_frames and (60, 360))
    assert (fast.stimulus_frames, fast.stimulus_skip) == (120, 60)
    assert (fast.skip_first, fast.skip_last) == (2 * usual.skip_first, 2 * usual.skip_last)
    assert usual.at_rate(25.0) == usual.at_rate(30.0) == usual


def test_a_plan_counts_frames_seconds_and_degrees_of_its_mice() -> None:
    plan = Plan.at_their_rate([mouse_at(25.0), mouse_at(60.0)], scale_named("quick"))
    assert plan.scale == scale_named("quick").at_rate(60.0)
    assert seconds(plan, 6) == "0.10 s"
    assert degrees(plan, 2) == f"{2 * ScreenGeometry(rows=72, cols=128).degrees_per_pixel:.2g}°"


@pytest.mark.parametrize("name", SCALES)
def test_a_scale_is_the_same_for_clips_that_are_long_enough(name: str) -> None:
    assert scale_named(name).within(300) == scale_named(name)


@pytest.mark.parametrize(("clips", "frames"), [((300, 60), (12, 60)), ((33, 300), (0, 48))])
def test_the_cut_begins_earlier_where_a_clip_is_short(clips: Sequence[int], frames: tuple[int, int]) -> None:
    scale = Plan.at_their_rate([mouse_at(30.0, clips)], scale_named("quick")).scale
    assert scale.frames == frames
    assert scale.example_frames == (frames[0], 180)
    assert (scale.skip_first, scale.skip_last) == (8, 4)


def test_of_short_clips_most_is_measured() -> None:
    whole = scale_named("paper").within(32)
    assert (whole.frames, whole.skip_first) == (None, 8)
    fast = scale_named("quick").at_rate(120.0).within(40)
    assert (fast.frames, fast.skip_first, fast.skip_last) == ((0, 192), 10, 10)


def test_gratings_faster_than_half_the_frame_rate_are_not_shown() -> None:
    def shown(frame_rate_hz: float) -> set[float]:
        plan = Plan.at_their_rate([mouse_at(frame_rate_hz)], scale_named("quick"))
        return {cast(Any, spec.stimulus).cycles_per_s for spec in runs(plan)}

    assert shown(60.0) == shown(30.0) == {15, 7.5, 3.75, 1.875, 0.9375, 0.46875, 0}
    assert max(shown(25.0)) == 7.5
