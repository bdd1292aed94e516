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


CLOCKS = ("activity", "stimulus", "running", "pupil_size", "pupil_center")
BEGAN = np.datetime64("2026-03-05T10:00:00")


@pytest.mark.parametrize(
    "kept_as",
    [
        lambda t: BEGAN + (t * 1e9).astype("m8[ns]"),
        lambda t: (t * 1e6).astype("m8[us]"),
        lambda t: np.char.add((BEGAN + (t * 1e6).astype("m8[us]")).astype(str), "+00:00"),
    ],
    ids=["dates", "durations", "text"],
)
def test_dates_and_durations_of_numpy_are_seconds(
    folder: Path, out: Path, simulated_mouse: Session, kept_as: Callable[[np.ndarray], np.ndarray]
) -> None:
    for stream in CLOCKS:
        times(folder, stream, kept_as)
    assert imported(folder, out).totals["trials"] == 12
    for number in simulated_mouse.trial_ids:
        found, expected = open_session(out).trial(number), simulated_mouse.trial(number)
        np.testing.assert_allclose(found.responses, expected.responses, atol=1e-2)
        np.testing.assert_array_equal(found.video, expected.video)


def test_clocks_in_floats_of_too_few_bits_are_named(folder: Path, out: Path) -> None:
    for stream in CLOCKS:
        times(folder, stream, lambda t: (t + 200_000.0).astype(np.float32))
    report = imported(folder, out)
    assert "warning: activity: its times are floats of 32 bits, which tell only every 15.6 ms" in report.as_text()
    times(folder, "running", lambda t: (t + 1.7e9).astype(np.float32))
    with pytest.raises(
        SessionError, match=r"running_times.npy: .*floats of 32 bits.*1.28e\+05 ms.*save them as float64"
    ):
        imported(folder, out)


def test_samples_of_behaviour_that_came_in_batches_are_spread_and_said(folder: Path, out: Path) -> None:
    before = np.load(folder / "running_times.npy")
    times(folder, "running", lambda t: t[np.minimum(np.arange(t.size) // 5 * 5 + 4, t.size - 1)])
    report = imported(folder, out)
    assert "at the time of the one before: spread over the time since another" in report.as_text()
    found = ArrayFolder(folder).recording().running
    assert found is not None
    np.testing.assert_allclose(found.times[4:-5], before[4:-5], atol=1e-9)


def test_a_clock_that_began_anew_is_called_so(folder: Path) -> None:
    times(folder, "activity", lambda t: np.concatenate([t[:50], t[50:] - t[50]]))
    with pytest.raises(SessionError, match=r"found 0 s after 6.125 s \(sample 50\); if the clock began anew, add"):
        ArrayFolder(folder).recording()


def test_onsets_in_samples_of_the_activity_are_named_and_become_seconds(folder: Path, out: Path) -> None:
    onsets = np.load(folder / "stimulus_times.npy")[:, 0]
    np.save(folder / "onsets.npy", np.rint(onsets * 8).astype(int))
    text = (
        '[activity]\ntimes = "activity_times.npy"\n'
        '[stimulus]\nfile = "stimulus.npy"\nonsets = "onsets.npy"\nrate_hz = 30\n'
    )
    (folder / "recording.toml").write_text(text)
    with pytest.raises(
        SessionError, match=r"whole numbers up to \d+: numbers of its \d+ samples\?.*ticks_hz = 8 below"
    ):
        imported(folder, out)
    (folder / "recording.toml").write_text(f"{text}ticks_hz = 8\n")
    assert imported(folder, out).totals["trials"] == 12
    found = [shown.times[0] for shown in ArrayFolder(folder).recording().presentations]
    np.testing.assert_allclose(found, np.rint(onsets * 8) / 8)


@pytest.mark.parametrize("filling", [np.nan, 0.0])
@pytest.mark.parametrize("turned", [False, True])
def test_a_row_of_times_a_presentation_may_be_filled_up(folder: Path, *, filling: float, turned: bool) -> None:
    expected = ArrayFolder(folder).recording().presentations

    def filled(t: np.ndarray) -> np.ndarray:
        found = np.column_stack([t, np.full((len(t), 9), filling)])
        return found.T if turned else found

    times(folder, "stimulus", filled)
    for found, shown in zip(ArrayFolder(folder).recording().presentations, expected, strict=True):
        np.testing.assert_array_equal(found.times, shown.times)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t[:, :74:2], "1/2.*as many: of a light that flips with each frame, give both edges"),
        (lambda t: np.column_stack([t, t[:, -1] + 1 / 30]).ravel(), "one more a presentation: leave out when the last"),
        (lambda t: np.delete(t.ravel(), 400), "1 too few, nobody knows where: give onsets and rate_hz"),
    ],
)
def test_other_numbers_of_times_than_frames_say_what_they_may_be(
    folder: Path, change: Callable[[np.ndarray], np.ndarray], said: str
) -> None:
    times(folder, "stimulus", change)
    with pytest.raises(SessionError, match=said):
        ArrayFolder(folder).recording()


@pytest.mark.parametrize("axes", ["", 'axes = "time,neurons"\n'])
def test_a_single_neuron_may_be_a_list(folder: Path, axes: str) -> None:
    activity = np.load(folder / "activity.npy")[3]
    np.save(folder / "activity.npy", activity)
    (folder / "recording.toml").write_text(
        f'[activity]\ntimes = "activity_times.npy"\n{axes}'
        '[stimulus]\nfile = "stimulus.npy"\ntimes = "stimulus_times.npy"\n'
    )
    np.testing.assert_array_equal(ArrayFolder(folder).recording().activity.values, activity[None])


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
