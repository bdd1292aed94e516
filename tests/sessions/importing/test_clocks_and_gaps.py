"""Clocks: what is missing is a gap, other units and multiples of a rate are named, and little is ever trimmed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from raw_recordings import RawMouse

from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions.importing.arrays import ArrayFolder
from napari_vidrecon.sessions.importing.importer import import_recording
from napari_vidrecon.sessions.importing.recording import ImportReport, Presentation
from napari_vidrecon.sessions.importing.recording_reader import ImportSettings
from napari_vidrecon.sessions.session import Session, open_session


@pytest.fixture
def folder(raw_mouse: RawMouse, tmp_path: Path) -> Path:
    return raw_mouse.write_arrays(tmp_path / "raw")


def imported(folder: Path, out: Path, **choices: bool) -> ImportReport:
    settings = ImportSettings(**choices)
    return import_recording(ArrayFolder(folder, settings).recording(), out, settings)


def without(folder: Path, stream: str, samples: slice) -> None:
    """Samples of a stream were never recorded."""
    for name in (stream, f"{stream}_times"):
        array = np.load(folder / f"{name}.npy")
        np.save(folder / f"{name}.npy", np.delete(array, samples, axis=-1))


def times(folder: Path, stream: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    file = folder / f"{stream}_times.npy"
    np.save(file, change(np.load(file)))


@pytest.mark.parametrize(("stream", "samples"), [("activity", slice(70, 72)), ("running", slice(260, 300))])
def test_trials_that_touch_a_gap_are_dropped_and_the_others_are_as_before(
    stream: str, samples: slice, folder: Path, out: Path, simulated_mouse: Session
) -> None:
    gap = np.load(folder / f"{stream}_times.npy")[samples]
    without(folder, stream, samples)
    report = imported(folder, out)
    shown = np.load(folder / "stimulus_times.npy")
    touched = [bool((clip[0] < gap[-1]) & (clip[-1] > gap[0])) for clip in shown]
    assert 1 <= sum(touched) <= 2
    assert f"{sum(touched)} of 12 trials touch gaps in the clock of the {stream}" in report.as_text()
    found = open_session(out)
    kept = [trial for trial, gone in enumerate(touched) if not gone]
    assert len(found.trial_ids) == len(kept)
    for new, old in zip(found.trial_ids, kept, strict=True):
        np.testing.assert_allclose(found.trial(new).responses, simulated_mouse.trial(old).responses, atol=1e-3)


def test_a_single_missing_sample_of_behaviour_is_interpolated_and_said(folder: Path, out: Path) -> None:
    without(folder, "running", slice(260, 262))
    report = imported(folder, out)
    assert report.totals["trials"] == 12
    assert "1 gaps of up to 1 s in its clock during trials: interpolated" in report.as_text()


def stood_still(folder: Path, for_s: float) -> None:
    """In the sixth of twelve clips the 31st frame stays for longer."""
    times(folder, "stimulus", lambda t: t + np.where(np.arange(75) > 30, for_s, 0.0) * (np.arange(12) == 5)[:, None])


def test_a_frame_that_stood_still_is_held_for_as_long(folder: Path, out: Path, simulated_mouse: Session) -> None:
    stood_still(folder, 0.9)
    report = imported(folder, out)
    assert report.totals["trials"] == 12
    assert "1 frames that stayed for over 0.5 s, up to 0.933 s, are held for as long" in report.as_text()
    old, new = simulated_mouse.trial(5).video, open_session(out).trial(5).video
    assert len(new) == 75 + 27
    np.testing.assert_array_equal(new, old[np.r_[:31, [30] * 27, 31:75]])


@pytest.mark.parametrize(
    ("stay_s", "left_out", "longest_s", "is_gap"),
    [
        (2.0, 0, 10.0, False),
        (11.0, 0, 10.0, True),
        (11.0, 0, np.inf, False),
        (2.0, 5, np.inf, True),
        (2.0, 0, 0.5, True),
    ],
)
def test_frames_left_out_and_endless_stills_of_a_list_say_that_times_are_missing(
    stay_s: float, left_out: int, longest_s: float, is_gap: bool
) -> None:
    late = np.arange(60) > 30
    times = np.arange(60) / 30 + stay_s * late
    shown = Presentation(0, np.arange(60) + left_out * late, times, longest_s)
    assert (shown.gaps.nonzero()[0].tolist(), shown.stays.nonzero()[0].tolist()) == (
        ([30], []) if is_gap else ([], [30])
    )


def test_a_clock_of_hardly_anything_but_gaps_is_refused(folder: Path, out: Path) -> None:
    without(folder, "running", np.s_[np.arange(1440) % 60 > 10])
    with pytest.raises(SessionError, match=r"running.npy: expected a clock without gaps.*leave the stream out"):
        imported(folder, out)


ALL = ("activity", "stimulus", "running", "pupil_size", "pupil_center")


@pytest.mark.parametrize(
    ("streams", "factor", "words"),
    [
        (ALL, 1e3, "milliseconds\\? that would be 8 Hz"),
        (("stimulus",), 1e3, "milliseconds\\? that would be 30 Hz"),
        (("running",), 1e3, r"999.3 times as long: the running in milliseconds\?"),
        (("pupil_center",), 1e6, "give them in seconds"),
        (("activity",), 1 / 60, r"times as long: the activity in minutes\?"),
        (("activity",), 1e3, "milliseconds\\? that would be 8 Hz"),
        (ALL, 1 / 60, r"minutes\? that would be 30 Hz"),
        (
            ("activity",),
            1 / 3,
            r"running.npy.* 2.998 times as long: is the rate of the activity that of 3 planes together",
        ),
    ],
)
def test_other_units_and_multiples_are_named_at_once_with_their_ratio(
    streams: tuple[str, ...], factor: float, words: str, folder: Path, out: Path
) -> None:
    for stream in streams:
        times(folder, stream, lambda t: t * factor)
    with pytest.raises(SessionError, match=words):
        imported(folder, out)
    assert not out.exists()


def test_an_activity_that_lasts_a_multiple_of_the_movies_is_warned_of(folder: Path, out: Path) -> None:
    shown = np.load(folder / "stimulus_times.npy")
    span = float(np.ptp(shown)) + 1 / 30
    activity = np.load(folder / "activity.npy")
    samples = round(2 * span * 8)
    np.save(folder / "activity.npy", np.resize(activity, (samples, 9)).T)
    np.save(folder / "activity_times.npy", np.arange(samples) / 8)
    assert "2.0 times as long" in imported(folder, out).as_text().replace("2 times", "2.0 times").replace("2.00", "2.0")


def test_no_more_than_a_few_samples_are_ever_trimmed(folder: Path, out: Path) -> None:
    activity = np.load(folder / "activity.npy")
    np.save(folder / "activity.npy", activity[:, :-11])
    with pytest.raises(SessionError, match="found 384; --trim cuts at most 10"):
        imported(folder, out, trim=True)
    np.save(folder / "activity.npy", activity[:, ::3])
    with pytest.raises(SessionError, match="128 samples of the activity, found 384; that is 3 times as many"):
        imported(folder, out, trim=True)
