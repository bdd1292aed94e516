"""Recordings as a lab has them: motion artefacts, clocks of milliseconds, names and tables of other machines."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from raw_recordings import RawMouse

from napari_vidrecon.errors import VidreconError
from napari_vidrecon.sessions.importing.array_folder import recorded_array
from napari_vidrecon.sessions.importing.arrays import ArrayFolder
from napari_vidrecon.sessions.importing.importer import import_recording
from napari_vidrecon.sessions.importing.recording import ImportReport, Presentation, Recording, Signal
from napari_vidrecon.sessions.importing.recording_reader import ImportSettings
from napari_vidrecon.sessions.importing.stimuli import stimulus_movie
from napari_vidrecon.sessions.session import Session, open_session

ARRAYS = '[activity]\nfile = "activity.npy"\ntimes = "activity_times.npy"\n'
STIMULUS = '[stimulus]\nfile = "stimulus.npy"\ntimes = "stimulus_times.npy"\n'


@pytest.fixture
def folder(raw_mouse: RawMouse, tmp_path: Path) -> Path:
    return raw_mouse.write_arrays(tmp_path / "raw")


def imported(folder: Path, out: Path, **choices: object) -> ImportReport:
    settings = ImportSettings.model_validate(choices)
    return import_recording(ArrayFolder(folder, settings).recording(), out, settings)


def refusal(folder: Path, out: Path, **choices: object) -> str:
    with pytest.raises(VidreconError) as refused:
        imported(folder, out, **choices)
    assert not out.exists()
    return str(refused.value)


def brightness(frames: np.ndarray) -> np.ndarray:
    return frames.reshape(len(frames), -1).mean(axis=1)


def a_recording(
    rate_hz: float, delays_s: np.ndarray | None = None, flips: Callable[[np.ndarray], np.ndarray] = np.array
) -> Recording:
    """Nine films of 192 frames at 60 Hz; each neuron's activity is how bright the screen was."""
    rng = np.random.default_rng(4)
    slow = np.cumsum(rng.normal(size=(9, 192)), axis=1)
    scaled = 30 + 190 * (slow - slow.min()) / np.ptp(slow)
    texture = rng.integers(0, 30, (9, 1, 18, 32))
    films = (scaled[:, :, None, None] + texture).astype(np.uint8)
    shown = [flips(2.0 + 5.0 * number + np.arange(192) / 60) for number in range(9)]
    delays = np.zeros(3) if delays_s is None else delays_s
    times = np.arange(0, 52, 1 / rate_hz)
    at, levels = np.concatenate(shown), np.concatenate([brightness(film) for film in films])
    values = np.stack([np.interp(times + delay, at, levels) for delay in delays])
    return Recording(
        "lab",
        Signal(values.astype(np.float32), times, "activity.npy", delays_s),
        tuple(stimulus_movie(f"film {number}", film) for number, film in enumerate(films)),
        tuple(Presentation(number, np.arange(192), when) for number, when in enumerate(shown)),
    )


def all_trials(session: Session) -> list[int]:
    return [trial for trial in session.trial_ids if trial in session.labelled]


@pytest.mark.parametrize("rate_hz", [400.0, 50.0, 7.0])
def test_activity_that_is_missing_before_a_film_spoils_nothing_of_it(rate_hz: float, out: Path) -> None:
    recording = a_recording(rate_hz)
    times = recording.activity.times
    for number in (3, 6):
        before = np.searchsorted(times, 2.0 + 5.0 * number) - 2
        recording.activity.values[:, before - 1 : before + 1] = np.nan
    report = import_recording(recording, out)
    session = open_session(out)
    assert len(all_trials(session)) == report.totals["trials"] == 9
    for trial in session.trial_ids:
        clip = session.trial(trial)
        assert np.corrcoef(clip.responses[0, 5:-5], brightness(clip.video)[5:-5])[0, 1] > 0.9


def test_activity_missing_in_the_sample_that_only_a_later_plane_needs_drops_the_trial(out: Path) -> None:
    delays_s = np.array([0.0, 0.05, 0.1])
    recording = a_recording(7.0, delays_s)
    before = np.searchsorted(recording.activity.times, 2.0 + 5.0 * 4) - 1
    recording.activity.values[:, before - 1 : before + 1] = np.nan
    report = import_recording(recording, out)
    session = open_session(out)
    assert len(all_trials(session)) == report.totals["trials"] == 8
    assert "in which all neurons are NaN at once" in report.as_text()


def test_flips_that_are_told_in_whole_milliseconds_bend_no_film(out: Path) -> None:
    report = import_recording(a_recording(31.0, flips=lambda times: np.floor(times * 1000) / 1000), out)
    session = open_session(out)
    assert {session.trial(trial).frames for trial in session.trial_ids} == {96}
    assert [note.text for note in report.notes if "averaged over time" in note.text] == [
        "movies at 60 Hz to 30 Hz, averaged over time"
    ]


def test_showings_of_a_film_whose_clock_jitters_are_the_same_clip(out: Path) -> None:
    rng = np.random.default_rng(0)
    recording = a_recording(31.0, flips=lambda times: 0.8 * times + rng.normal(0, 5e-4, times.size))
    shown = [Presentation(0, each.frames, each.times) if each.movie == 5 else each for each in recording.presentations]
    report = import_recording(Recording("lab", recording.activity, recording.movies, tuple(shown)), out)
    session = open_session(out)
    np.testing.assert_array_equal(session.trial(0).video, session.trial(5).video)
    assert sum("averaged over time" in note.text for note in report.notes) == 1


def test_columns_of_tables_have_names_that_no_file_may_have(tmp_path: Path) -> None:
    (tmp_path / "wheel log.csv").write_text("t/s,speed (cm/s),clip.txt\n0,1.5,3\n1,2.5,4\n")
    assert recorded_array(tmp_path, "wheel log.csv:speed (cm/s)").tolist() == [1.5, 2.5]
    assert recorded_array(tmp_path, "wheel log.csv:clip.txt").tolist() == [3, 4]


def test_films_are_found_by_names_written_on_other_machines(folder: Path, out: Path, simulated_mouse: Session) -> None:
    clips, names = np.load(folder / "stimulus.npy"), [f"Möwe {number}" for number in range(12)]
    order, when = np.random.default_rng(1).permutation(12), np.load(folder / "stimulus_times.npy")[:, 0]
    (folder / "filme").mkdir()
    for place, clip in zip(order, clips, strict=True):
        np.save(folder / "filme" / (unicodedata.normalize("NFD", names[place]) + ".npy"), clip)
    rows = [f"C:\\Reize\\{names[place]}.AVI;{1e3 * onset:.3f}\r\n" for place, onset in zip(order, when, strict=True)]
    log = folder / "log.csv"
    log.write_bytes("".join(["Film;Beginn (µs/1000)\r\n", *rows]).encode("cp1252"))
    (folder / "recording.toml").write_text(
        ARRAYS + '[stimulus]\nfile = "filme"\nonsets = "log.csv:Beginn (µs/1000)"\norder = "log.csv:Film"\n'
        "rate_hz = 30\nticks_hz = 1000\n",
        "utf-8",
    )
    imported(folder, out)
    session = open_session(out)
    for trial in session.trial_ids:
        np.testing.assert_allclose(session.trial(trial).video, simulated_mouse.trial(trial).video, atol=0.51)
    next((folder / "filme").iterdir()).unlink()
    assert "1 row of 1 movie without a file: add it, or leave its name empty" in refusal(folder, out.parent / "other")


def test_clips_whose_frames_come_last_are_warned_of_where_nothing_refuses_them(folder: Path, out: Path) -> None:
    clips = np.load(folder / "stimulus.npy")
    np.save(folder / "stimulus.npy", np.moveaxis(clips, 1, -1))
    np.save(folder / "onsets.npy", np.load(folder / "stimulus_times.npy")[:, 0])
    described = '[stimulus]\nfile = "stimulus.npy"\nonsets = "onsets.npy"\nrate_hz = 30\n'
    (folder / "recording.toml").write_text(ARRAYS + described)
    report = imported(folder, out)
    assert "if these are 75 frames of 36 x 64 pixels, say so (--axes nhwt" in report.as_text()
    assert "say so" not in imported(folder, out, axes="nhwt").as_text()


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            STIMULUS.replace("times =", "time ="),
            r"a fault at stimulus\.time: there is no such name; is times meant\? \(known are file, axes",
        ),
        (STIMULUS.replace("[stimulus]", "[stimuli]"), "a fault at stimuli: there is no such name; is stimulus meant"),
        (STIMULUS + '[running]\nfiles = "x.npy"\n', r"a fault at running\.files: .*is file meant"),
        (STIMULUS.replace('"stim', '"C:\\stim'), "write folders with / in place of"),
        (STIMULUS.replace('"stimulus.npy"', '"/data/stimulus.npy"'), "give its path from there on"),
    ],
)
def test_a_slip_in_a_description_is_told_with_what_is_meant(written: str, said: str, folder: Path, out: Path) -> None:
    (folder / "recording.toml").write_text(ARRAYS + written)
    with pytest.raises(VidreconError, match=said):
        imported(folder, out)


def test_a_description_of_another_name_is_not_passed_over(folder: Path, out: Path) -> None:
    (folder / "Recording.toml.txt").write_text(ARRAYS + STIMULUS)
    assert "expected a description called recording.toml or recording.json" in refusal(folder, out)


@pytest.mark.parametrize("cells", [["29.11.2026 10:00:00", "29.11.2026 10:00:05"], ["10:00:00.5", "10:00:05.5"]])
def test_dates_of_other_kinds_are_repeated_with_how_to_write_them(cells: list[str], folder: Path, out: Path) -> None:
    (folder / "log.csv").write_text("\n".join(["on", *cells]))
    (folder / "recording.toml").write_text(
        ARRAYS + '[stimulus]\nfile = "stimulus.npy"\nonsets = "log.csv:on"\nrate_hz = 30\n'
    )
    told = refusal(folder, out)
    assert f"'{cells[0]}' first; write dates as 2026-11-29T10:00:00.000+01:00" in told


@pytest.mark.parametrize("change", [lambda t: t + 0.3, lambda t: t + 0.5 * (t > t.mean())], ids=["later", "a pause"])
def test_onsets_in_samples_are_no_ticks_where_the_samples_were_not_steady_from_zero_on(
    change: Callable[[np.ndarray], np.ndarray], folder: Path, out: Path
) -> None:
    times = change(np.load(folder / "activity_times.npy"))
    np.save(folder / "activity_times.npy", times)
    shown = np.load(folder / "stimulus_times.npy")[:, 0]
    np.save(folder / "onsets.npy", np.searchsorted(times, shown))
    (folder / "recording.toml").write_text(
        ARRAYS + '[stimulus]\nfile = "stimulus.npy"\nonsets = "onsets.npy"\nrate_hz = 30\n'
    )
    told = refusal(folder, out)
    assert "give the times of these samples, as activity_times[numbers]" in told
    assert "ticks_hz" not in told


def test_a_log_may_have_a_row_for_each_frame(folder: Path, out: Path, simulated_mouse: Session) -> None:
    clips, times = np.load(folder / "stimulus.npy"), np.load(folder / "stimulus_times.npy")
    (folder / "films").mkdir()
    for number, clip in enumerate(clips):
        np.save(folder / "films" / f"film {number}.npy", clip)
    rows = [f"film {number},{frame},{at}" for number, film in enumerate(times) for frame, at in enumerate(film)]
    (folder / "log.csv").write_text("\n".join(["film,frame,t", *rows]))
    (folder / "recording.toml").write_text(
        ARRAYS + '[stimulus]\nfile = "films"\ntimes = "log.csv:t"\norder = "log.csv:film"\n'
    )
    assert "the order has a row for each frame" in imported(folder, out).as_text()
    for trial in (0, 7, 11):
        np.testing.assert_array_equal(open_session(out).trial(trial).video, simulated_mouse.trial(trial).video)
    (folder / "log.csv").write_text("\n".join(["film,frame,t", *rows[:80], *rows[82:]]))
    assert "film 1.npy, 75 a showing, found 73 from row 75 on" in refusal(folder, out.parent / "other")


def test_neurons_that_are_missing_in_a_trial_or_two_are_said_to_be_kept_at_the_cost_of_these(out: Path) -> None:
    recording = a_recording(7.0)
    recording.activity.values[:2, 100:103] = np.nan
    report = import_recording(recording, out)
    assert report.totals["neurons"] == 1
    assert "67% of the neurons are NaN only in 1 of 9 trials; make those samples NaN in all" in report.as_text()
    recording.activity.values[2, 140:142] = np.nan
    with pytest.raises(VidreconError, match="found none among 3; it is missing in 2 of 9 trials; make those samples"):
        import_recording(recording, out.parent / "other")


def test_what_is_no_list_of_times_is_called_what_it_is(folder: Path, out: Path) -> None:
    times = np.load(folder / "stimulus_times.npy")
    trace = (np.arange(50_000) // 17) % 2
    np.save(folder / "stimulus_times.npy", trace)
    assert "the trace of a photodiode? give the times of its flips" in refusal(folder, out)
    (folder / "recording.toml").write_text(
        ARRAYS + '[stimulus]\nfile = "stimulus.npy"\nonsets = "stimulus_times.npy"\nrate_hz = 30\n'
    )
    assert "as a photodiode's, give the times of its flips" in refusal(folder, out)
    (folder / "recording.toml").unlink()
    np.save(folder / "stimulus_times.npy", times)
    np.savez(folder / "activity.npz", format=b"csr", shape=(9, 99), data=[1.0], indices=[0], indptr=[0, 1])
    (folder / "activity.npy").unlink()
    assert "a sparse matrix of SciPy's; save it whole" in refusal(folder, out)


def test_a_session_is_not_imported_again(folder: Path, out: Path) -> None:
    imported(folder, out)
    assert "found a session: it is imported already" in refusal(out, out.parent / "again")


def test_clips_that_are_too_short_are_not_to_be_cut_shorter(folder: Path, out: Path) -> None:
    np.save(folder / "stimulus.npy", np.load(folder / "stimulus.npy")[:, :20])
    np.save(folder / "stimulus_times.npy", np.load(folder / "stimulus_times.npy")[:, :20])
    told = refusal(folder, out)
    assert "clips of 0.667 s are that long at 48 Hz (--rate)" in told
    assert "--trial-frames" not in told


def test_one_short_film_shown_over_and_over_is_to_be_cut_into_more_parts(folder: Path, out: Path) -> None:
    np.save(folder / "stimulus.npy", np.load(folder / "stimulus.npy")[:1])
    np.save(folder / "stimulus_order.npy", np.zeros(12, int))
    (folder / "tiers.npy").unlink()
    assert "(--within-movie)" in refusal(folder, out)
    assert "cut it into more parts (--trial-frames)" in refusal(folder, out, within_movie=True)


def test_a_small_recording_keeps_as_many_trials_to_validate_with_as_a_mask_takes(folder: Path, out: Path) -> None:
    (folder / "tiers.npy").unlink()
    assert imported(folder, out).totals["trials_by_tier"] == {"train": 9, "oracle": 2, "live_test_main": 1}
