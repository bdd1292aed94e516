"""Recordings with faults: each a clear error, or a repair that the report tells of."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from raw_recordings import RawMouse

from napari_vidrecon.errors import SessionError, VidreconError
from napari_vidrecon.sessions.importing.arrays import ArrayFolder
from napari_vidrecon.sessions.importing.importer import import_recording
from napari_vidrecon.sessions.importing.recording import ImportReport
from napari_vidrecon.sessions.importing.recording_reader import ImportSettings
from napari_vidrecon.sessions.session import open_session
from napari_vidrecon.sessions.validation import validate_session

Damage = Callable[[Path], object]


def change(name: str, function: Callable[[np.ndarray], np.ndarray]) -> Damage:
    """Damage that replaces an array by what a function makes of it."""

    def damage(folder: Path) -> None:
        np.save(folder / f"{name}.npy", function(np.load(folder / f"{name}.npy")))

    return damage


def put(name: str, index: Any, value: float) -> Damage:
    """Damage that writes one value into an array."""

    def changed(array: np.ndarray) -> np.ndarray:
        array = array.astype(np.float64)
        array[index] = value
        return array

    return change(name, changed)


def drift(parts_in_a_thousand: float) -> Damage:
    """Pulses of two machines whose clocks run apart."""

    def damage(folder: Path) -> None:
        pulses = np.arange(0, 50, 0.5)
        np.save(folder / "pulses_activity.npy", pulses)
        np.save(folder / "pulses_stimulus.npy", pulses * (1 + parts_in_a_thousand / 1000) + 7)
        for name in ("stimulus_times", "running_times", "pupil_size_times", "pupil_center_times"):
            change(name, lambda times: times * (1 + parts_in_a_thousand / 1000) + 7)(folder)

    return damage


def wandering(folder: Path) -> None:
    drift(0.0)(folder)
    change("pulses_stimulus", lambda pulses: pulses + 0.4 * np.sin(pulses / 10))(folder)


def described(text: str) -> Damage:
    """Damage by a description."""
    return lambda folder: (folder / "recording.toml").write_text(text)


ACTIVITY = '[activity]\nfile = "activity.npy"\ntimes = "activity_times.npy"\n'
RATES = ACTIVITY + 'rate_hz = 8.1\n[stimulus]\nfile = "stimulus.npy"\ntimes = "stimulus_times.npy"'
ONSETS = ACTIVITY + '[stimulus]\nfile = "stimulus.npy"\nonsets = "onsets.npy"\nrate_hz = 10.0'
AXES = ACTIVITY + 'axes = "neurons,time"\n[stimulus]\nfile = "stimulus.npy"\ntimes = "stimulus_times.npy"'

REFUSED: dict[str, tuple[Damage, tuple[str, ...]]] = {
    "activity shorter than its times": (
        change("activity", lambda a: a[:, :-3]),
        ("activity_times.npy", "381 samples", "found 384", "--trim"),
    ),
    "movies without times": (change("stimulus_times", lambda t: t[:-1]), ("stimulus_times.npy", "900", "825")),
    "no clock of the activity": (lambda f: (f / "activity_times.npy").unlink(), ("clock", "rate_hz")),
    "no movies": (lambda f: (f / "stimulus.npy").unlink(), ("stimulus.npy", "neither")),
    "clocks of another zero": (change("stimulus_times", lambda t: t + 1e4), ("same zero",)),
    "clocks that wander": (wandering, ("pulses_stimulus.npy", "wander")),
    "a missed pulse": (
        lambda f: (drift(0.0)(f), change("pulses_stimulus", lambda p: p[1:])(f)),
        ("pulses_stimulus.npy", "100", "99"),
    ),
    "a rate that the times do not have": (described(RATES), ("activity_times.npy", "8.1 Hz", "found 8 Hz", "apart")),
    "times that run back": (put("activity_times", 100, 1.0), ("activity_times.npy", "ascending", "sample 100")),
    "NaN times": (put("activity_times", 100, np.nan), ("activity_times.npy", "NaN")),
    "negative activity": (put("activity", (2, 110), -50.0), ("activity.npy", "-50", "--negative clip")),
    "only dead neurons": (change("activity", np.zeros_like), ("activity.npy", "none among 9")),
    "too few trials": (
        lambda f: [change(n, lambda a: a[:4])(f) for n in ("stimulus", "stimulus_times", "tiers")],
        ("at least 8 trials", "found 4"),
    ),
    "even grey movies": (change("stimulus", lambda a: np.full_like(a, 90)), ("even grey",)),
    "behaviour that ends early": (
        lambda f: [change(n, lambda a: a[..., :400])(f) for n in ("running", "running_times")],
        ("running.npy", "% missing", "neutral"),
    ),
    "behaviour of NaN": (change("running", lambda a: np.full(a.shape, np.nan)), ("running.npy", "only NaN")),
    "three pupil channels": (change("pupil_center", lambda a: a[[0, 1, 1]]), ("pupil_center.npy", "(2, samples)")),
    "coordinates of fewer neurons": (change("coordinates", lambda a: a[:5]), ("coordinates.npy", "9 neurons", "5")),
    "too few tiers": (change("tiers", lambda a: a[:5]), ("12 presentations", "found 5")),
    "a movie in two tiers": (
        change("stimulus", lambda a: np.concatenate([a[-1:], a[1:]])),
        ("share no movie", "trial 0 (live_test_main)", "trial 11 (train)"),
    ),
    "overlapping presentations": (
        lambda f: (np.save(f / "onsets.npy", np.arange(12.0)), described(ONSETS)(f)),
        ("one presentation after another", "number 1", "7.500 s"),
    ),
    "an unknown word in the description": (described("[stimuli]\nfile = 'a.npy'"), ("recording.toml", "fault at")),
    "a description that is none": (described("a = = b"), ("recording.toml", "TOML")),
    "pickled activity": (
        lambda f: np.save(f / "activity.npy", np.array([{}, None], dtype=object), allow_pickle=True),
        ("activity.npy", "pickled"),
    ),
    "axes that were said and do not fit": (
        lambda f: (change("activity", lambda a: a.T)(f), described(AXES)(f)),
        ("activity_times.npy", "9 samples", "found 384"),
    ),
}


@pytest.fixture
def folder(raw_mouse: RawMouse, tmp_path: Path) -> Path:
    return raw_mouse.write_arrays(tmp_path / "raw")


def imported(folder: Path, out: Path, **choices: Any) -> ImportReport:
    settings = ImportSettings(**choices)
    return import_recording(ArrayFolder(folder, settings).recording(), out, settings)


def said(report: ImportReport, kind: str, about: str, *words: str) -> bool:
    """Whether a note of this kind about this stream holds all these words."""
    return any(
        note.kind == kind and note.about == about and all(word in note.text for word in words) for note in report.notes
    )


@pytest.mark.parametrize("kind", REFUSED)
def test_a_recording_with_a_fault_is_refused_in_one_line(kind: str, folder: Path, out: Path) -> None:
    damage, words = REFUSED[kind]
    damage(folder)
    with pytest.raises(VidreconError) as caught:
        imported(folder, out)
    message = str(caught.value)
    assert "\n" not in message
    for word in ("expected", "found", *words):
        assert word in message, (word, message)
    assert not out.parent.exists() or list(out.parent.iterdir()) == []


def test_the_longer_of_two_arrays_is_cut_only_if_asked(folder: Path, out: Path) -> None:
    change("activity", lambda a: a[:, :-3])(folder)
    report = imported(folder, out, trim=True)
    assert said(report, "repaired", "activity", "3 times too many")


def test_clocks_that_run_apart_are_set_right_by_their_pulses(folder: Path, out: Path, simulated_mouse) -> None:
    drift(2.0)(folder)
    report = imported(folder, out)
    assert said(report, "repaired", "clock", "0.099 s apart")
    for number in simulated_mouse.trial_ids:
        np.testing.assert_allclose(
            open_session(out).trial(number).responses, simulated_mouse.trial(number).responses, atol=0.01
        )


def test_behaviour_that_was_not_recorded_is_neutral_and_said(folder: Path, out: Path) -> None:
    for name in ("running", "pupil_size", "pupil_center"):
        (folder / f"{name}.npy").unlink()
    report = imported(folder, out)
    trial = open_session(out).trial(0)
    assert np.unique(trial.behavior[1]).tolist() == [0.0]
    assert np.unique(trial.behavior[0]).tolist() == [50.0]
    for about in ("running", "pupil size", "pupil centre"):
        assert said(report, "filled", about, "not recorded", "neutral")


def test_a_blink_is_bridged_and_a_long_gap_gets_the_median(folder: Path, out: Path) -> None:
    before = np.load(folder / "pupil_size.npy")
    put("pupil_size", np.s_[40:50], np.nan)(folder)
    put("pupil_size", np.s_[200:300], np.nan)(folder)
    report = imported(folder, out)
    assert said(report, "filled", "pupil size", "0.69%", "interpolated")
    assert said(report, "filled", "pupil size", "6.94%", "median")
    kept = np.delete(before, np.r_[40:50, 200:300])
    np.testing.assert_allclose(open_session(out).trial(2).behavior[0, :30], np.median(kept), atol=1e-3)
    assert validate_session(out) == []


def test_a_pupil_of_zero_is_a_blink(folder: Path, out: Path) -> None:
    before = np.load(folder / "pupil_size.npy")
    put("pupil_size", np.s_[40:50], 0)(folder)
    put("pupil_center", np.s_[:, 40:50], 0)(folder)
    report = imported(folder, out)
    for about in ("pupil size", "pupil centre"):
        assert said(report, "repaired", about, "0.69% of the samples are 0", "as if missing")
    assert min(open_session(out).trial(n).behavior[0].min() for n in range(12)) > 0.5 * before.min()
    change("pupil_size", lambda _: (before - before.min()) / np.ptp(before))(folder)
    assert not said(imported(folder, out.with_name("scaled")), "repaired", "pupil size", "as if missing")


@pytest.mark.parametrize(("factor", "words"), [(0.01, "in m/s? times 100"), (10, "in mm/s? times 0.1")])
def test_a_speed_no_mouse_has_is_said_to_be_of_other_units(folder: Path, out: Path, factor: float, words: str) -> None:
    change("running", lambda a: 40 * factor * np.sin(np.arange(a.size) / 50).reshape(a.shape) ** 2)(folder)
    assert said(imported(folder, out), "warning", "running", words)


def test_movies_of_zeros_and_ones_kept_as_bytes_are_not_black(folder: Path, out: Path) -> None:
    change("stimulus", lambda a: (a > 127).astype(np.uint8))(folder)
    with pytest.raises(SessionError, match=r"found none above 1; if 1 was shown as white.*--levels 0:1"):
        imported(folder, out)
    imported(folder, out, levels=(0, 1))
    assert open_session(out).trial(0).video.max() == 255
    change("stimulus", lambda a: a * 15)(folder)
    assert said(imported(folder, out.with_name("dark")), "warning", "stimulus", "no grey level is above 15 of 255")


def test_a_stream_that_ends_a_little_early_is_filled_and_said(folder: Path, out: Path) -> None:
    for name in ("running", "running_times"):
        change(name, lambda a: a[..., :1400])(folder)
    assert said(imported(folder, out), "filled", "running", "outside of it")
    assert validate_session(out) == []


@pytest.mark.parametrize(
    ("damage", "words"),
    [(put("activity", np.s_[3], 4.0), "the same in every sample"), (put("activity", (3, 110), np.nan), "NaN")],
)
def test_dead_and_nan_neurons_are_dropped_or_refused(damage: Damage, words: str, folder: Path, out: Path) -> None:
    damage(folder)
    coordinates = np.load(folder / "coordinates.npy")
    with pytest.raises(SessionError, match=r"1 neuron that is.*rows 3.*--bad-neurons drop"):
        imported(folder, out, bad_neurons="refuse")
    assert not out.exists()
    assert said(imported(folder, out), "dropped", "activity", "1 neuron that is", words, "rows 3")
    session = open_session(out)
    assert session.neuron_ids.tolist() == [1, 2, 3, 5, 6, 7, 8, 9]
    np.testing.assert_array_equal(session.coordinates, np.delete(coordinates, 3, axis=0))


def test_a_trial_in_which_all_neurons_are_nan_is_dropped(folder: Path, out: Path) -> None:
    put("activity", np.s_[:, 44:46], np.nan)(folder)
    report = imported(folder, out)
    assert said(report, "dropped", "trials", "1 in which all neurons are NaN")
    assert (report.totals["neurons"], report.totals["trials"]) == (9, 11)


def test_activity_below_zero_is_cut_off_if_asked(folder: Path, out: Path) -> None:
    put("activity", (2, 110), -50.0)(folder)
    assert said(imported(folder, out, negative="clip"), "repaired", "activity", "down to -50")
    assert validate_session(out) == []


@pytest.mark.parametrize(("ended", "said"), [(1.0, ""), (0.2, r"is 0\.(29|3\d?) times"), (5.0, r"is 3\.\d times")])
def test_an_indicator_that_bleached_is_said(ended: float, said: str, folder: Path, out: Path) -> None:
    samples = np.load(folder / "activity.npy").shape[1]
    steady = np.random.default_rng(1).gamma(2.0, 1.0, (40, samples))
    np.save(folder / "activity.npy", steady * np.linspace(1.0, ended, samples))
    (folder / "coordinates.npy").unlink()
    settings = ImportSettings(trial_frames=37)
    report = import_recording(ArrayFolder(folder, settings).recording(), out, settings)
    assert report.totals["trials"] == 24
    found = [note.text for note in report.of_kind("warning") if "did the indicator bleach" in note.text]
    assert len(found) == bool(said)
    assert not said or re.search(said, found[0])


def test_trials_after_the_end_of_the_activity_are_dropped(folder: Path, out: Path) -> None:
    for name in ("activity", "activity_times"):
        change(name, lambda a: a[..., :330])(folder)
    report = imported(folder, out)
    assert said(report, "dropped", "trials", "2 of 12", "no activity")
    assert report.totals["trials"] == 10


def test_behaviour_that_never_changes_is_warned_of(folder: Path, out: Path) -> None:
    change("running", np.zeros_like)(folder)
    assert said(imported(folder, out), "warning", "running", "never changes")


def test_a_frame_that_stayed_for_longer_is_said_and_the_activity_follows_it(folder: Path, out: Path) -> None:
    def late(times: np.ndarray) -> np.ndarray:
        times[0, 30:] += 1 / 30
        return times

    change("stimulus_times", late)(folder)
    assert said(imported(folder, out), "repaired", "stimulus", "1 frames stayed")


def test_the_report_is_in_the_session_for_machines_and_for_people(folder: Path, out: Path) -> None:
    report = imported(folder, out)
    assert (out / "import.txt").read_text() == report.as_text()
    assert '"trial_frames": 300' in (out / "import.json").read_text()


def test_without_coordinates_the_session_has_none(folder: Path, out: Path) -> None:
    (folder / "coordinates.npy").unlink()
    assert said(imported(folder, out), "warning", "coordinates", "none given")
    assert open_session(out).coordinates is None
