"""Tables as text in place of arrays: PsychoPy's, DeepLabCut's and ScanImage's habits; the same values come in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from raw_recordings import RawMouse

from napari_vidrecon.errors import SessionError, StorageError
from napari_vidrecon.sessions.importing.array_folder import recorded_array
from napari_vidrecon.sessions.importing.arrays import ArrayFolder
from napari_vidrecon.sessions.importing.recording_reader import ImportSettings
from napari_vidrecon.sessions.importing.suite2p import Suite2pFolder
from napari_vidrecon.sessions.importing.text_tables import TextTable
from napari_vidrecon.sessions.importing.trials import TrialCut
from napari_vidrecon.sessions.screen import USUAL_SCREEN

TRACKED = """scorer,DLC_resnet50,DLC_resnet50,DLC_resnet50
bodyparts,pupil,pupil,pupil
coords,x,y,likelihood
0,150.5,101.25,0.99
1,12.0,640.0,0.03
2,151.5,103.25,0.98
"""


def a_table(folder: Path, text: str) -> TextTable:
    file = folder / "log.csv"
    file.write_text(text, "utf-8")
    return TextTable(file)


def written(raw_mouse: RawMouse, folder: Path, description: str) -> Path:
    """Plain arrays of a mouse, its films as single files, with a description."""
    raw_mouse.write_arrays(folder)
    clips = np.load(folder / "stimulus.npy")
    for number, clip in enumerate(clips):
        np.save(folder / f"nat_{number:02d}.npy", clip)
    (folder / "films").mkdir()
    for file in folder.glob("nat_*.npy"):
        file.rename(folder / "films" / file.name)
    (folder / "recording.toml").write_text(description, "utf-8")
    return folder


def test_a_point_that_deeplabcut_holds_for_unlikely_is_missing(tmp_path: Path) -> None:
    table = a_table(tmp_path, TRACKED)
    np.testing.assert_array_equal(table.array("pupil.x,pupil.y"), [[150.5, 101.25], [np.nan] * 2, [151.5, 103.25]])
    assert table.array("pupil.likelihood").tolist() == [0.99, 0.03, 0.98]


def test_dates_become_seconds_whatever_their_time_zone(tmp_path: Path) -> None:
    text = "shown\n2026-11-29T10:00:00.250+01:00\n2026-11-29 09:00:01.5Z\n"
    assert a_table(tmp_path, text).array("shown").tolist() == [1795942800.25, 1795942801.5]
    with pytest.raises(SessionError, match=r"log.csv: expected dates with their time zone.*found 2026-11-29T10:00:00"):
        a_table(tmp_path, "shown\n2026-11-29T10:00:00\n").array("shown")


def test_columns_of_a_table_without_names_go_by_their_numbers(tmp_path: Path) -> None:
    bonsai = "0,2026-11-29T10:00:00.2500000+01:00\n1,2026-11-29T10:00:00.5000004+01:00\n"
    table = a_table(tmp_path, bonsai)
    assert table.array("2").tolist() == [1795942800.25, 1795942800.5]
    assert table.array("1").tolist() == [0, 1]
    assert table.columns == "2 columns without names"
    for wanted in ("3", "0", "Timestamp", ""):
        with pytest.raises(SessionError, match=r'found 2 columns without names; name it, by its number.*"log.csv:2"'):
            table.array(wanted)
    assert a_table(tmp_path, "2,7\nx,y\n").array("1").tolist() == ["2", "x"]


def facemap(folder: Path) -> Path:
    """What Facemap writes: a dictionary that numpy pickled, with a list of pupils."""
    pupil = {"area": np.array([9.0, 8.0, 7.0]), "com": np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], np.float32)}
    file = folder / "face_proc.npy"
    np.save(file, {"pupil": [pupil], "motion": [np.zeros(0), np.ones(3)], "filenames": [["a.avi"]]}, allow_pickle=True)
    return file


def test_the_pupil_of_facemap_is_read_from_its_dictionary_without_running_it(
    raw_mouse: RawMouse, tmp_path: Path
) -> None:
    folder = raw_mouse.write_arrays(tmp_path / "lab")
    file = facemap(folder)
    assert recorded_array(folder, "face_proc.npy:pupil.area").tolist() == [9, 8, 7]
    assert recorded_array(folder, "face_proc.npy:pupil.0.com").shape == (3, 2)
    assert recorded_array(folder, "face_proc.npy:motion.1").tolist() == [1, 1, 1]
    with pytest.raises(StorageError, match=r"expected an array pupil.size in it, found pupil.0.area, pupil.0.com"):
        recorded_array(folder, "face_proc.npy:pupil.size")
    uses = {column.name: column.use for column in ArrayFolder(folder).columns()}
    assert uses["face_proc.npy"] == "not used: a dictionary of pupil.0.area, pupil.0.com, motion.1"
    (folder / "recording.toml").write_text(
        '[activity]\nfile = "activity.npy"\ntimes = "activity_times.npy"\n'
        '[stimulus]\nfile = "stimulus.npy"\ntimes = "stimulus_times.npy"\n'
        '[pupil_center]\nfile = "face_proc.npy:pupil.com"\nrate_hz = 0.01\n'
    )
    found = ArrayFolder(folder).recording().pupil_center
    assert found is not None
    assert found.values.tolist() == [[1, 3, 5], [2, 4, 6]]
    column = next(each for each in ArrayFolder(folder).columns() if each.name == "face_proc.npy:pupil.com")
    assert (column.use, column.shape, column.rate_hz) == ("pupil centre", (3, 2), 0.01)
    with file.open("wb") as opened:
        np.save(opened, np.array({"pupil": print}, dtype=object), allow_pickle=True)
    with pytest.raises(StorageError, match="which is no data and could run code; it was not opened"):
        recorded_array(folder, "face_proc.npy:pupil.area")
    assert (
        "could run code" in {each.name: each.use for each in ArrayFolder(folder).columns()}["face_proc.npy:pupil.com"]
    )


def test_an_index_that_pandas_wrote_is_no_channel(tmp_path: Path) -> None:
    assert a_table(tmp_path, ",a,b\n0,5,7\n1,6,\n").array()[:, 0].tolist() == [5, 6]
    assert a_table(tmp_path, "a;b\n1,5;2\n").array("a").tolist() == [1.5]
    with pytest.raises(SessionError, match=r'found a, word; name it as "log.csv:COLUMN"'):
        a_table(tmp_path, "a,word\n5,x\n").array()


def test_a_log_of_psychopy_tells_when_which_film_was_shown(raw_mouse: RawMouse, tmp_path: Path) -> None:
    expected = ArrayFolder(raw_mouse.write_arrays(tmp_path / "expected")).recording()
    folder = written(
        raw_mouse,
        tmp_path / "lab",
        '[activity]\nfile = "activity.npy"\ntimes = "frames.csv:time_ms"\nticks_hz = 1000\n[stimulus]\nfile = "films"\n'
        'onsets = "log.csv:movie.started"\norder = "log.csv:film"\nrate_hz = 30\n',
    )
    times = np.load(folder / "activity_times.npy")
    (folder / "frames.csv").write_text(
        "frame,time_ms\n" + "".join(f"{n},{1000 * t!r}\n" for n, t in enumerate(times.tolist()))
    )
    rows = [f"stimuli\\nat_{shown.movie:02d}.npy,{float(shown.times[0])!r}" for shown in expected.presentations]
    (folder / "log.csv").write_text("film,movie.started,\n,,press space\n" + "\n".join(f"{row}," for row in rows))
    found = ArrayFolder(folder).recording()
    assert [shown.movie for shown in found.presentations] == [shown.movie for shown in expected.presentations]
    for one, other in zip(found.presentations, expected.presentations, strict=True):
        np.testing.assert_allclose(one.times, other.times, atol=2e-3)
    np.testing.assert_allclose(found.activity.times, expected.activity.times, atol=1e-9)
    assert "1 of" in found.report.of_kind("dropped")[0].text
    uses = {column.name: (column.use, column.rate_hz) for column in ArrayFolder(folder).columns()}
    assert uses["log.csv:film"][0] == "order of the movies"
    assert [uses[name][1] for name in ("activity.npy", "frames.csv:time_ms")] == pytest.approx([8, 8])
    (folder / "log.csv").write_text("film,movie.started\nother.mp4,1.0\nother.mp4,2.0\n")
    with pytest.raises(SessionError, match=r"log.csv:film: expected names of the movies \(nat_00.npy.*'other.mp4'"):
        ArrayFolder(folder).recording()


def test_a_preview_shows_the_rate_of_clocks_that_count_anything_but_seconds(
    raw_mouse: RawMouse, tmp_path: Path
) -> None:
    folder = raw_mouse.write_arrays(tmp_path / "lab")
    for name, ticks in (("activity", 30000), ("stimulus", 1000), ("running", 1000)):
        np.save(folder / f"{name}_times.npy", np.load(folder / f"{name}_times.npy") * ticks)
    (folder / "recording.toml").write_text(
        '[activity]\nfile = "activity.npy"\ntimes = "activity_times.npy"\nticks_hz = 30000\n'
        '[stimulus]\nfile = "stimulus.npy"\ntimes = "stimulus_times.npy"\nticks_hz = 1000\n'
        '[running]\nfile = "running.npy"\ntimes = "running_times.npy"\nticks_hz = 1000\n'
    )
    rates = {column.name: column.rate_hz for column in ArrayFolder(folder).columns()}
    assert rates["activity.npy"] == rates["activity_times.npy"] == pytest.approx(8)
    assert [rates["stimulus.npy"], rates["running.npy"]] == pytest.approx([30, 30])


def test_one_time_a_plane_gives_each_plane_its_own_time(raw_mouse: RawMouse, tmp_path: Path) -> None:
    folder = raw_mouse.write_arrays(tmp_path / "lab")
    period = 0.2
    neurons, samples = np.load(folder / "activity.npy").shape
    frames = 3.0 + np.arange(4 * samples + 2) * period / 4
    np.save(folder / "frames.npy", frames)
    np.save(folder / "plane.npy", np.arange(neurons) % 3)
    (folder / "recording.toml").write_text(
        '[activity]\nfile = "activity.npy"\ntimes = "frames.npy"\nplanes = 4\nplane = "plane.npy"\n'
        '[stimulus]\nfile = "stimulus.npy"\ntimes = "stimulus_times.npy"\n'
    )
    found = ArrayFolder(folder).recording().activity
    rates = {column.name: column.rate_hz for column in ArrayFolder(folder).columns()}
    assert [rates["activity.npy"], rates["frames.npy"]] == pytest.approx([1 / period, 4 / period])
    np.testing.assert_allclose(found.times, frames[: 4 * samples : 4] + period / 8)
    assert found.delays_s is not None
    np.testing.assert_allclose(found.delays_s, np.arange(neurons) % 3 * period / 4)

    folder = raw_mouse.write_suite2p(tmp_path / "suite2p")
    plane = folder / "suite2p" / "plane0"
    samples = np.load(plane / "spks.npy").shape[1]
    np.save(plane / "ops.npy", np.array({"fs": 5.0, "nplanes": 4}, dtype=object), allow_pickle=True)
    np.save(folder / "activity_times.npy", frames[: 4 * samples])
    np.testing.assert_allclose(Suite2pFolder(folder).recording().activity.times, frames[: 4 * samples : 4] + period / 8)


@pytest.mark.parametrize(("suffix", "counted_from"), [(".npy", 0), (".mat", 1)])
def test_an_order_that_leaves_the_last_movie_out_counts_as_its_maker_does(
    raw_mouse: RawMouse, tmp_path: Path, suffix: str, counted_from: int
) -> None:
    import scipy.io

    folder = raw_mouse.write_arrays(tmp_path / "lab")
    clips, times = np.load(folder / "stimulus.npy"), np.load(folder / "stimulus_times.npy")
    order = np.arange(len(clips)) % (len(clips) - 2) + 1
    np.save(folder / "stimulus.npy", clips)
    np.save(folder / "stimulus_times.npy", times)
    (folder / "stimulus_order.npy").unlink(missing_ok=True)
    if suffix == ".npy":
        np.save(folder / "stimulus_order.npy", order)
    else:
        scipy.io.savemat(folder / "stimulus_order.mat", {"stimulus_order": order.astype(float)})
    found = ArrayFolder(folder).recording()
    assert [shown.movie for shown in found.presentations] == (order - counted_from).tolist()
    told = [note.text for note in found.report.notes if "order" in note.text]
    assert ("never shows movie 0" if counted_from == 0 else "counts from 1") in told[0]


@pytest.mark.parametrize("by_name", [False, True])
def test_rows_of_a_log_that_name_no_movie_are_left_out_and_said(
    raw_mouse: RawMouse, tmp_path: Path, *, by_name: bool
) -> None:
    folder = raw_mouse.write_arrays(tmp_path / "lab")
    clips, times = np.load(folder / "stimulus.npy"), np.load(folder / "stimulus_times.npy")
    (folder / "movies").mkdir()
    for number, clip in enumerate(clips):
        np.save(folder / "movies" / f"film{number}.npy", clip)
    rows = [f"{shown[0]},{f'C:/films/film{n}.avi' if by_name else n},train" for n, shown in enumerate(times)]
    blank = f"{times[3, -1] + 0.2},,oracle"
    (folder / "log.csv").write_text("\n".join(["onset,movie,tier", ",,", *rows[:4], blank, *rows[4:]]))
    (folder / "recording.toml").write_text(
        'tiers = "log.csv:tier"\n[activity]\ntimes = "activity_times.npy"\n[stimulus]\nfile = "movies"\n'
        'onsets = "log.csv:onset"\norder = "log.csv:movie"\nrate_hz = 30\n'
    )
    found = ArrayFolder(folder).recording()
    assert [shown.movie for shown in found.presentations] == list(range(12))
    assert found.tiers == ("train",) * 12
    assert "1 of 14 rows with an onset and without a movie: no presentations" in found.report.as_text()


@pytest.mark.parametrize(
    ("text", "columns", "said"),
    [
        ("scorer,a\n", "", "found no rows"),
        ("t\n2026-99-99T99:99Z\n", "t", "expected dates"),
        ("scorer,a,a\nbodyparts,n,n\ncoords,x,likelihood\n0,1,low\n", "n.x", "expected numbers"),
        ("a\n" + "x" * 100_000 + "\ny" * 1000, "a", "short words"),
        ("a,b\n1,2\n", "a,a", "each column once"),
        ("trial,onset\n0,2,000\n1,6,400\n", "onset", "2 names above rows of 3 cells; if .* decimal commas"),
        ('"onset","movie"\n"1",2.0,4\n"2",6.4,3\n', "onset", "2 names above rows of 3 cells; .* count the rows"),
    ],
)
def test_a_table_that_cannot_be_read_is_one_line(text: str, columns: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(SessionError, match=rf"t\.csv: .*{said}"):
        TextTable(tmp_path / "t.csv").array(columns)


def test_a_table_may_be_wider_than_its_names_and_takes_no_more_room_than_there_is(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("a,b\n1,2,3\n")
    assert TextTable(file).array().tolist() == [[1, 2, 3]]
    file.write_text("t\n2026-11-29 10:00:00 +01:00\n")
    assert TextTable(file).array().tolist() == [1795942800]
    file.write_text("\n" * 6_000_000)
    with pytest.raises(StorageError, match="bytes of memory"):
        TextTable(file)


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        ("onset\n2,000\n6,400\n", "onset", [2.0, 6.4]),
        ("onset\n2\n6,4\n", "onset", [2.0, 6.4]),
        ("2\n6,4\n", "", [2.0, 6.4]),
        ("trial onset\n0 2.0\n1 6.4\n", "onset", [2.0, 6.4]),
        ("trial   onset\n    0   2,0\n    1   6,4\n", "onset", [2.0, 6.4]),
        ("0.0e+00 2.0e+00\n1.0e+00 6.4e+00\n", "2", [2.0, 6.4]),
        ("# time (s)\n2.0\n6.4\n", "", [2.0, 6.4]),
        ("# trial,onset\n0,2.0\n1,6.4\n", "onset", [2.0, 6.4]),
        ("# trial onset\n0 2.0\n1 6.4\n", "onset", [2.0, 6.4]),
        ("# mouse 12, rig B\n% noon\ntrial,onset\n0,2.0\n1,6.4\n", "onset", [2.0, 6.4]),
        ("time of day (h)\n2.0\n6.4\n", "time of day (h)", [2.0, 6.4]),
    ],
)
def test_columns_are_told_apart_by_blanks_too_and_a_decimal_comma_parts_none(
    tmp_path: Path, text: str, columns: str, expected: list[float]
) -> None:
    file = tmp_path / "t.csv"
    file.write_text(text)
    assert TextTable(file).array(columns).tolist() == expected


def cell_of(values: list[np.ndarray]) -> np.ndarray:
    cell = np.empty((1, len(values)), dtype=object)
    for place, value in enumerate(values):
        cell[0, place] = value
    return cell


@pytest.mark.parametrize("equal", [False, True])
def test_trials_of_matlab_come_one_after_the_other(raw_mouse: RawMouse, tmp_path: Path, *, equal: bool) -> None:
    import scipy.io

    folder = raw_mouse.write_arrays(tmp_path / "lab")
    expected = ArrayFolder(folder).recording()
    clips = np.load(folder / "stimulus.npy")
    for file in folder.glob("*.npy"):
        file.unlink()
    values, times = expected.activity.values, expected.activity.times
    ends = np.arange(30, values.shape[1], 30) if equal else np.array([20, 55, 90])
    cuts = [slice(*pair) for pair in zip([0, *ends[:-1]], ends, strict=True)]
    scipy.io.savemat(
        folder / "exp.mat",
        {
            "resp": cell_of([values[:, cut] for cut in cuts]),
            "t": cell_of([1000 * times[cut].reshape(-1, 1) for cut in cuts]),
            "movies": cell_of(
                [np.moveaxis(clip, 0, -1)[..., : len(clip) - (0 if equal else n)] for n, clip in enumerate(clips)]
            ),
            "shown": cell_of(
                [shown.times[: None if equal else len(shown.times) - shown.movie] for shown in expected.presentations]
            ),
            "order": [shown.movie + 1.0 for shown in expected.presentations],
        },
    )
    (folder / "recording.toml").write_text(
        '[activity]\nfile = "exp.mat:resp"\ntimes = "exp.mat:t"\nticks_hz = 1000\nsample_time = "middle"\n[stimulus]\n'
        f'file = "exp.mat:movies"\naxes = "{"nhwt" if equal else "hwt"}"\ntimes = "exp.mat:shown"\n'
        'order = "exp.mat:order"\n'
    )
    found = ArrayFolder(folder).recording()
    np.testing.assert_array_equal(found.activity.values, values[:, : ends[-1]])
    np.testing.assert_allclose(found.activity.times, times[: ends[-1]])
    assert [shown.movie for shown in found.presentations] == [shown.movie for shown in expected.presentations]
    for shown in found.presentations:
        left = 0 if equal else shown.movie
        assert len(found.movies[shown.movie]) == len(shown.times) == len(clips[shown.movie]) - left
        np.testing.assert_array_equal(found.movies[shown.movie].grey(0, 9), clips[shown.movie][:9].astype(np.float32))
    assert not [column for column in ArrayFolder(folder).columns() if column.fault]


def test_activity_stored_the_other_way_round_is_named_where_no_times_tell(raw_mouse: RawMouse, tmp_path: Path) -> None:
    from napari_vidrecon.sessions.importing.importer import import_recording

    folder = raw_mouse.write_arrays(tmp_path / "lab")
    values = np.load(folder / "activity.npy")
    np.save(folder / "activity.npy", values.T)
    (folder / "recording.toml").write_text(
        '[activity]\nfile = "activity.npy"\nrate_hz = 8\n'
        '[stimulus]\nfile = "stimulus.npy"\ntimes = "stimulus_times.npy"\n'
    )
    with pytest.raises(SessionError, match=rf"if it is {values.shape[1]} samples of {len(values)} neurons, say axes"):
        import_recording(ArrayFolder(folder).recording(), tmp_path / "out")


def test_ticks_of_a_treadmill_are_refused_as_a_speed_and_become_one(raw_mouse: RawMouse, tmp_path: Path) -> None:
    from napari_vidrecon.sessions.importing.importer import import_recording

    folder = raw_mouse.write_arrays(tmp_path / "lab")
    times = np.load(folder / "running_times.npy")
    speed = 20 + 10 * np.sin(times)
    ticks = (1e4 * (times - times[0]) / 5 + 5e3 * (np.cos(times[0]) - np.cos(times)) / 5 - 300) % 40_000
    np.save(folder / "running.npy", ticks)
    with pytest.raises(SessionError, match=r"running.npy: expected a running speed.*an encoder's ticks.*cm_a_tick"):
        import_recording(ArrayFolder(folder).recording(), tmp_path / "out")
    (folder / "recording.toml").write_text(
        '[activity]\nfile = "activity.npy"\ntimes = "activity_times.npy"\n'
        '[stimulus]\nfile = "stimulus.npy"\ntimes = "stimulus_times.npy"\n'
        '[running]\nfile = "running.npy"\ntimes = "running_times.npy"\ncm_a_tick = 0.01\n'
    )
    found = ArrayFolder(folder).recording().running
    assert found is not None
    lost = np.isnan(found.values[0])
    assert 0 < lost.sum() <= 2 * (1 + np.ptp(times) * 30 / 0.01 / 40_000)
    np.testing.assert_allclose(found.values[0][~lost][2:-2], speed[~lost][2:-2], atol=0.1)


def test_the_way_gone_is_said_to_be_no_speed_though_its_range_is_that_of_one(
    raw_mouse: RawMouse, tmp_path: Path
) -> None:
    from napari_vidrecon.sessions.importing.importer import import_recording

    folder = raw_mouse.write_arrays(tmp_path / "lab")
    speed = np.load(folder / "running.npy")
    report = import_recording(ArrayFolder(folder).recording(), tmp_path / "speed")
    assert "found values that only go on" not in report.as_text()
    np.save(folder / "running.npy", np.cumsum(np.abs(speed) + 1) / speed.size)
    report = import_recording(ArrayFolder(folder).recording(), tmp_path / "out")
    assert "warning: running: expected a speed, found values that only go on, from" in report.as_text()


def test_pulses_in_samples_are_named_and_become_seconds(raw_mouse: RawMouse, tmp_path: Path) -> None:
    folder = raw_mouse.write_arrays(tmp_path / "lab")
    expected = ArrayFolder(folder).recording()
    pulses = np.arange(1.0, 40.0, 5.0)
    np.save(folder / "ours.npy", np.round(pulses * 30_000).astype(np.int64))
    np.save(folder / "theirs.npy", pulses + 100.0)
    np.save(folder / "stimulus_times.npy", np.load(folder / "stimulus_times.npy") + 100.0)
    text = (
        '[activity]\ntimes = "activity_times.npy"\n[stimulus]\nfile = "stimulus.npy"\ntimes = "stimulus_times.npy"\n'
        '[clock]\nactivity = "ours.npy"\nstimulus = "theirs.npy"\n'
    )
    (folder / "recording.toml").write_text(text)
    with pytest.raises(SessionError, match=r"theirs.npy and ours.npy: .* 30000 times as long.*say activity_ticks_hz"):
        ArrayFolder(folder).recording()
    (folder / "recording.toml").write_text(text + "activity_ticks_hz = 30000\n")
    found = ArrayFolder(folder).recording()
    for one, other in zip(found.presentations, expected.presentations, strict=True):
        np.testing.assert_allclose(one.times, other.times, atol=1e-6)
    uses = {column.name: column.use for column in ArrayFolder(folder).columns()}
    assert uses["ours.npy"] == uses["theirs.npy"] == "pulses"
    edges = np.repeat(pulses * 30_000, 2)
    edges[1::2] += 300
    np.save(folder / "ours.npy", edges.astype(np.int64))
    with pytest.raises(SessionError, match=r"found \d+ and \d+; that is twice as many: both edges of each pulse"):
        ArrayFolder(folder).recording()


def test_stills_in_any_order_are_named_where_their_numbers_are_taken_for_those_of_movies(
    raw_mouse: RawMouse, tmp_path: Path
) -> None:
    folder = raw_mouse.write_arrays(tmp_path / "lab")
    np.save(folder / "stimulus.npy", raw_mouse.movies[0])
    (folder / "stimulus_times.npy").unlink()
    np.save(folder / "stimulus_onsets.npy", 1.0 + np.arange(20.0))
    np.save(folder / "stimulus_order.npy", np.arange(20) * 7 % 19)
    with pytest.raises(
        SessionError, match=r"stimulus.npy is one movie of 75 frames: if these are stills, .* \(--stills 0.5; "
    ):
        ArrayFolder(folder).recording()


def stills(folder: Path, times: np.ndarray, order: np.ndarray) -> np.ndarray:
    """A folder of plain arrays whose stimulus is six pictures; returns them."""
    (folder / "tiers.npy").unlink(missing_ok=True)
    pictures = np.stack([np.full((36, 64), 20 * number, np.uint8) for number in range(1, 7)])
    for name, array in (("stimulus", pictures), ("stimulus_times", times), ("stimulus_order", order)):
        np.save(folder / f"{name}.npy", array)
    return pictures


def test_stills_in_any_order_are_shown_for_as_long_as_is_said_with_grey_between(
    raw_mouse: RawMouse, tmp_path: Path
) -> None:
    folder = raw_mouse.write_arrays(tmp_path / "lab")
    order = np.arange(24) * 5 % 6
    # The last four follow each other without grey, after a pause of two seconds.
    times = 1.0 + np.append(np.arange(20.0), 22.0 + 0.5 * np.arange(4))
    stills(folder, times, order)
    recording = ArrayFolder(folder, settings=ImportSettings(stills_s=0.5, trial_frames=90)).recording()
    first, last = recording.presentations[0], recording.presentations[-1]
    assert first.frames.tolist() == [order[0], 6, order[1], 6, order[2], 6]
    assert first.times.tolist() == [1.0, 1.5, 2.0, 2.5, 3.0, 3.5]
    assert last.frames.tolist() == [*order[20:], 6]
    cut = TrialCut(0, np.arange(7.0), first.edges_s)
    video = cut.video(recording, "pad", USUAL_SCREEN)
    levels = [20 * (order[0] + 1), 127, 20 * (order[1] + 1), 127, 20 * (order[2] + 1), 127]
    np.testing.assert_allclose(video, np.broadcast_to(np.array(levels)[:, None, None], video.shape), atol=0.51)
    said = [note.text for note in recording.report.notes]
    assert any("24 showings of 6 stills, each for 0.5 s; grey of level 127.5 between" in text for text in said)


@pytest.mark.parametrize(
    ("seconds", "count", "words"),
    [(2.0, 24, "number 1 to begin 1 s after the one before it"), (0.5, 23, "expected 24 times, one for each still")],
)
def test_stills_that_do_not_fit_their_times_are_refused(
    seconds: float, count: int, words: str, raw_mouse: RawMouse, tmp_path: Path
) -> None:
    folder = raw_mouse.write_arrays(tmp_path / "lab")
    stills(folder, 1.0 + np.arange(float(count)), np.arange(24) * 5 % 6)
    with pytest.raises(SessionError, match=words):
        ArrayFolder(folder, settings=ImportSettings(stills_s=seconds)).recording()
