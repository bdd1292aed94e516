"""suite2p folders: planes, cells, signals, and pickled files that are read without running anything."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from raw_recordings import RawMouse

from napari_vidrecon.errors import SessionError, VidreconError
from napari_vidrecon.sessions.importing.importer import import_recording
from napari_vidrecon.sessions.importing.recording_reader import ImportSettings
from napari_vidrecon.sessions.importing.resampling import on_video_clock
from napari_vidrecon.sessions.importing.suite2p import Suite2pFolder

PLANE = "suite2p/plane0"


@pytest.fixture
def folder(raw_mouse: RawMouse, tmp_path: Path) -> Path:
    return raw_mouse.write_suite2p(tmp_path / "raw")


def test_every_file_is_listed_with_its_use(folder: Path) -> None:
    columns = {column.name: column for column in Suite2pFolder(folder).columns()}
    spikes = columns["plane0/spks.npy"]
    assert (spikes.shape, spikes.use) == ((12, 384), "activity")
    assert columns["plane0/iscell.npy"].use == "which regions are cells"
    assert columns["plane0/stat.npy"].use == "positions of 12 regions, where no coordinates are given"
    assert columns["running.npy"].rate_hz == pytest.approx(30)
    assert columns["stimulus.npy"].use == "stimulus"


def test_only_cells_are_taken_and_keep_their_numbers(folder: Path, raw_mouse: RawMouse) -> None:
    recording = Suite2pFolder(folder).recording()
    np.testing.assert_array_equal(recording.activity.values, raw_mouse.activity)
    assert recording.neuron_ids.tolist() == [1, 2, 4, 5, 6, 8, 9, 11, 12]
    assert len(Suite2pFolder(folder, all_regions=True).recording().activity.values) == 12


def test_the_arrays_beside_may_lie_elsewhere(folder: Path, raw_mouse: RawMouse, tmp_path: Path, out: Path) -> None:
    elsewhere = tmp_path / "beside"
    elsewhere.mkdir()
    for file in folder.glob("*.npy"):
        file.rename(elsewhere / file.name)
    report = import_recording(Suite2pFolder(folder / PLANE, beside=elsewhere).recording(), out)
    assert report.totals["neurons"] == 9


def test_planes_are_put_together_and_must_be_equally_long(folder: Path, tmp_path: Path) -> None:
    second = shutil.copytree(folder / PLANE, folder / "suite2p/plane1")
    positions = np.load(folder / "coordinates.npy")
    np.save(folder / "coordinates.npy", np.concatenate([positions, positions]))
    both = Suite2pFolder(folder).recording()
    assert len(both.activity.values) == len(both.coordinates) == 18
    np.save(second / "spks.npy", np.load(second / "spks.npy")[:, :-2])
    with pytest.raises(VidreconError, match=r"plane0: 384, plane1: 382.*--trim"):
        Suite2pFolder(folder).recording()
    settings = ImportSettings(trim=True)
    assert Suite2pFolder(folder, settings=settings).recording().activity.values.shape == (18, 382)


def test_df_f_is_made_of_f_and_neuropil_and_said(folder: Path) -> None:
    recording = Suite2pFolder(folder, signal="dff").recording()
    bright = np.load(folder / PLANE / "F.npy")[0] - 0.7 * 20
    baseline = np.percentile(bright, 10)
    expected = np.maximum((bright - baseline) / baseline, 0)
    np.testing.assert_allclose(recording.activity.values[0], expected, rtol=1e-4)
    assert any("not deconvolved" in note.text for note in recording.report.of_kind("resampled"))


def write_ops(plane: Path, **entries: object) -> None:
    """As suite2p does: one pickled dictionary, with arrays, paths and a date."""
    told = {
        "date_proc": datetime.now(UTC),
        "save_path": PurePosixPath("/data/mouse"),
        "meanImg": np.ones((3, 4), np.float32),
        "tau": np.float64(1.0),
        "batch": [1, (2, "x")],
        **entries,
    }
    np.save(plane / "ops.npy", told, allow_pickle=True)


def test_rate_and_positions_come_by_themselves_from_what_suite2p_wrote(folder: Path) -> None:
    expected = Suite2pFolder(folder).recording()
    write_ops(folder / PLANE, fs=np.float32(8.0), nplanes=1)
    for name in ("coordinates", "activity_times"):
        (folder / f"{name}.npy").unlink()
    recording = Suite2pFolder(folder).recording()
    np.testing.assert_allclose(recording.activity.times, expected.activity.times)
    np.testing.assert_allclose(recording.coordinates[:, :2], expected.coordinates[:, :2])
    assert "8 Hz, from ops.npy" in recording.report.as_text()
    assert "pixels, as nothing tells their size" in recording.report.as_text()
    assert "3 of 12 regions are no cells" in recording.report.as_text()
    columns = {column.name: column for column in Suite2pFolder(folder).columns()}
    assert columns["plane0/ops.npy"].use == "rate of 8 Hz, plane 0 of 1, where nothing else tells them"
    assert not any(column.fault for column in columns.values())


def test_pixels_become_micrometres_by_what_is_known(folder: Path) -> None:
    expected = Suite2pFolder(folder).recording().coordinates[:, :2]
    (folder / "coordinates.npy").unlink()
    write_ops(folder / PLANE, um_per_pixel=[0.5, 2.0])
    np.testing.assert_allclose(Suite2pFolder(folder).recording().coordinates[:, :2], expected * [0.5, 2.0])
    (folder / "recording.toml").write_text(
        'coordinates = "suite2p/plane0/stat.npy"\ncoordinate_scale_um = 0.9\n'
        '[activity]\nfile = "spks.npy"\ntimes = "activity_times.npy"\n'
        '[stimulus]\nfile = "stimulus.npy"\ntimes = "stimulus_times.npy"\n'
    )
    np.testing.assert_allclose(Suite2pFolder(folder).recording().coordinates[:, :2], expected * 0.9)


def test_planes_have_their_own_sampling_offset(folder: Path) -> None:
    """The same slope in three planes: what was sampled a third of a sample later shows up that much later."""
    shape = np.load(folder / PLANE / "spks.npy").shape
    slope = np.tile(np.arange(shape[1], dtype=np.float32), (shape[0], 1))
    for number in range(3):
        plane = folder / f"suite2p/plane{number}"
        if number:
            shutil.copytree(folder / PLANE, plane)
        write_ops(plane, fs=8.0, nplanes=3)
    for number in range(3):
        np.save(folder / f"suite2p/plane{number}/spks.npy", slope)
    (folder / "coordinates.npy").unlink()
    recording = Suite2pFolder(folder).recording()
    assert np.unique(recording.coordinates[:, 2]).tolist() == [0, 1, 2]
    edges = 10 + np.arange(31) / 30
    found = on_video_clock(recording.activity, edges)
    # A sample of plane k starts k / 24 s after its time, and takes a third of 1 / 8 s.
    middles = (edges[:-1] + edges[1:]) / 2
    for number in range(3):
        expected = (middles - number / 24 - 1 / 48) * 8
        np.testing.assert_allclose(found[9 * number], expected, atol=1e-3)
    one = Suite2pFolder(folder / "suite2p/plane2", beside=folder).recording()
    np.testing.assert_array_equal(on_video_clock(one.activity, edges), found[18:])


def test_what_could_run_code_is_not_read_and_the_import_goes_on(folder: Path, tmp_path: Path) -> None:
    (folder / "coordinates.npy").unlink()
    for name in ("stat", "ops"):
        np.save(folder / PLANE / f"{name}.npy", np.array([Attack(tmp_path / "trace")], dtype=object), allow_pickle=True)
    recording = Suite2pFolder(folder).recording()
    assert recording.coordinates is None
    assert not (tmp_path / "trace").exists()
    assert recording.report.as_text().count("could run code; it was not opened") == 2
    use = {column.name: column.use for column in Suite2pFolder(folder).columns()}["plane0/stat.npy"]
    assert "could run code" in use


def test_fluorescence_without_its_neuropil_says_what_to_do(folder: Path) -> None:
    (folder / PLANE / "Fneu.npy").unlink()
    with pytest.raises(SessionError, match=r"Fneu.npy: expected the neuropil .*make dF/F of it and import .* arrays"):
        Suite2pFolder(folder, signal="dff").recording()


def test_a_clock_that_was_not_read_is_missed_with_the_reason(folder: Path, tmp_path: Path) -> None:
    (folder / "activity_times.npy").unlink()
    (folder / "recording.toml").unlink(missing_ok=True)
    ops = np.array({"fs": 8.0, "how": Attack(tmp_path / "trace")}, dtype=object)
    np.save(folder / PLANE / "ops.npy", ops, allow_pickle=True)
    with pytest.raises(SessionError, match=r"ops.npy: expected .* could run code; it was not opened; give the rate"):
        Suite2pFolder(folder).recording()


def test_the_settings_of_suite2p_1_tell_the_rate_where_there_is_no_ops(folder: Path) -> None:
    (folder / "activity_times.npy").unlink()
    (folder / "recording.toml").unlink(missing_ok=True)
    (folder / PLANE / "ops.npy").unlink(missing_ok=True)
    for name, values in {"db": {"nplanes": 3}, "settings": {"fs": 8.0, "torch_device": "cuda"}}.items():
        np.save(folder / PLANE / f"{name}.npy", np.array(values, dtype=object), allow_pickle=True)
    recording = Suite2pFolder(folder).recording()
    found = recording.activity
    assert "8 Hz, from settings.npy" in recording.report.as_text()
    assert found.rate_hz == pytest.approx(8.0)
    assert found.times[0] == pytest.approx(1 / 8 / 3 / 2)


def test_positions_of_another_run_are_left_out_and_said(folder: Path) -> None:
    (folder / "coordinates.npy").unlink()
    np.save(folder / PLANE / "stat.npy", np.array([{"med": [1, 2]}] * 5, dtype=object), allow_pickle=True)
    recording = Suite2pFolder(folder).recording()
    assert recording.coordinates is None
    assert "5 positions for 12 regions: it is of another run" in recording.report.as_text()


class Attack:
    """Pickles to a call that would leave a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: (f / PLANE / "spks.npy").unlink(), "spks.npy.*deconvolution"),
        (lambda f: (f / PLANE / "iscell.npy").unlink(), "iscell.npy.*--all-regions"),
        (lambda f: np.save(f / PLANE / "iscell.npy", np.ones((5, 2))), "iscell.npy.*12 regions.*same run"),
        (lambda f: np.save(f / PLANE / "iscell.npy", np.zeros((12, 2))), "iscell.npy.*none"),
        (lambda f: np.save(f / PLANE / "spks.npy", np.ones(12)), "spks.npy.*regions, samples"),
        (shutil.rmtree, "nothing there"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused(damage, words: str, folder: Path) -> None:
    damage(folder)
    with pytest.raises(VidreconError, match=words):
        Suite2pFolder(folder).recording()


def test_a_preview_shows_the_rate_of_a_plane_though_times_are_those_of_all(folder: Path) -> None:
    shutil.copytree(folder / PLANE, folder / "suite2p/plane1")
    times = np.load(folder / "activity_times.npy")
    step = float(np.median(np.diff(times)))
    np.save(folder / "activity_times.npy", np.sort(np.concatenate([times, times + step / 2])))
    rates = [column.rate_hz for column in Suite2pFolder(folder).columns() if column.name.endswith("spks.npy")]
    assert rates == pytest.approx([8, 8])


def together(folder: Path) -> Path:
    """Two planes, and suite2p's folder of both: pictures side by side, and the plane of each region."""
    first, inner = folder / PLANE, folder / "suite2p"
    (folder / "coordinates.npy").unlink()
    stat = [{"med": [10.0 + 2 * number, 5.0 + number]} for number in range(12)]
    np.save(first / "stat.npy", np.array(stat, dtype=object), allow_pickle=True)
    np.save(first / "ops.npy", np.array({"fs": 8.0, "nplanes": 2}, dtype=object), allow_pickle=True)
    second = shutil.copytree(first, inner / "plane1")
    np.save(second / "spks.npy", np.load(first / "spks.npy") + 1)
    combined = inner / "combined"
    combined.mkdir()
    for name in ("spks.npy", "iscell.npy"):
        np.save(combined / name, np.concatenate([np.load(first / name), np.load(second / name)]))
    shifted = [
        {"med": [y, x + 512 * plane], "iplane": plane} for plane in (0, 1) for y, x in (each["med"] for each in stat)
    ]
    np.save(combined / "stat.npy", np.array(shifted, dtype=object), allow_pickle=True)
    shutil.copy(first / "ops.npy", combined / "ops.npy")
    return combined


def test_the_folder_of_all_planes_together_gives_what_the_planes_give(folder: Path) -> None:
    combined = together(folder)
    apart, both = Suite2pFolder(folder).recording(), Suite2pFolder(combined, beside=folder).recording()
    np.testing.assert_array_equal(both.activity.values, apart.activity.values)
    np.testing.assert_array_equal(both.activity.delays_s, np.repeat([0.0, 1 / 16], 9))
    np.testing.assert_array_equal(both.activity.delays_s, apart.activity.delays_s)
    np.testing.assert_array_equal(both.coordinates, apart.coordinates)
    assert not apart.report.of_kind("warning")
    marks = np.load(combined / "iscell.npy")
    marks[5] = 0
    np.save(combined / "iscell.npy", marks)
    (warning,) = Suite2pFolder(folder).recording().report.of_kind("warning")
    assert f"calls 1 regions otherwise; to take those of it, give {combined} with --beside {folder}" in warning.text
    shutil.rmtree(combined.parent / "plane1")
    alone = Suite2pFolder(combined, beside=folder).recording()
    np.testing.assert_array_equal(alone.activity.delays_s, np.repeat([0.0, 1 / 16], [8, 9]))
    assert alone.coordinates is None
