"""Sorted spikes and CaImAn's results: the right counts in the right frames, the right units, and nothing executed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pynwb
import pytest
from pynwb.image import ImageSeries
from raw_recordings import RawMouse
from scipy.sparse import csc_matrix

from napari_vidrecon.errors import SessionError, StorageError
from napari_vidrecon.sessions.importing.arrays import ArrayFolder
from napari_vidrecon.sessions.importing.caiman import CaimanFile
from napari_vidrecon.sessions.importing.importer import import_recording
from napari_vidrecon.sessions.importing.nwb import NwbFile
from napari_vidrecon.sessions.importing.phy import PhyFolder
from napari_vidrecon.sessions.importing.recording import Recording
from napari_vidrecon.sessions.importing.recording_reader import Reader
from napari_vidrecon.sessions.importing.sources import kind_of
from napari_vidrecon.sessions.importing.spikes import Spikes
from napari_vidrecon.sessions.session import open_session

SAMPLE_RATE_HZ = 30_000.0
UNITS = np.array([3, 5, 8, 11])
LABELS = {3: "good", 5: "mua", 8: "good", 11: "noise"}


class Probe:
    """Spikes of four units during the raw mouse's movies; counts in the frames of each trial are known."""

    def __init__(self, mouse: RawMouse) -> None:
        self.mouse = mouse
        draw = np.random.default_rng(1)
        stop = float(mouse.frame_times.max()) + 1.0
        # Samples in the midst of a tenth of a millisecond: no spike lies on the edge of a frame.
        self.samples = [
            np.sort(draw.choice(int(stop * SAMPLE_RATE_HZ), 400 * (1 + k), replace=False)) for k in range(4)
        ]

    def counts(self, trial: int, units: list[int]) -> np.ndarray:
        """(units, T) spikes in each frame of a clip."""
        times = self.mouse.frame_times[trial]
        edges = np.append(times, times[-1] + np.median(np.diff(times)))
        return np.stack([np.histogram(self.samples[unit] / SAMPLE_RATE_HZ, edges)[0] for unit in units])

    def sorting(self) -> tuple[np.ndarray, np.ndarray]:
        """Samples of all spikes in order, and the unit of each."""
        samples = np.concatenate(self.samples)
        of = np.repeat(UNITS, [len(each) for each in self.samples])
        order = np.argsort(samples, kind="stable")
        return samples[order], of[order]

    def write_beside(self, folder: Path) -> None:
        """The arrays around the spikes."""
        folder.mkdir(exist_ok=True, parents=True)
        np.save(folder / "stimulus.npy", self.mouse.movies)
        np.save(folder / "stimulus_times.npy", self.mouse.frame_times)

    def write_phy(self, folder: Path) -> Path:
        """As Kilosort and Phy leave them."""
        self.write_beside(folder)
        samples, of = self.sorting()
        np.save(folder / "spike_times.npy", samples.astype(np.uint64)[:, None])
        np.save(folder / "spike_clusters.npy", of.astype(np.int32))
        (folder / "params.py").write_text(
            f"dat_path = 'x.dat'\nn_channels_dat = 4\noffset = 0\nsample_rate = {SAMPLE_RATE_HZ}\nhp_filtered = False\n"
        )
        lines = [f"{unit}\t{word}" for unit, word in LABELS.items() if word != "mua"]
        (folder / "cluster_group.tsv").write_text("cluster_id\tgroup\n5\tunsorted\n" + "\n".join(lines) + "\n")
        (folder / "cluster_KSLabel.tsv").write_text("cluster_id\tKSLabel\n5\tmua\n3\tmua\n")
        return folder


@pytest.fixture
def probe(raw_mouse: RawMouse) -> Probe:
    return Probe(raw_mouse)


def assert_counts(recording: Recording, out: Path, probe: Probe, units: list[int]) -> None:
    import_recording(recording, out)
    for number in (0, 5, 11):
        trial = open_session(out).trial(number)
        edges = np.append(probe.mouse.frame_times[number], np.inf)[: trial.frames + 1]
        edges[-1] = edges[-2] + np.median(np.diff(edges[:-1]))
        counts = probe.counts(number, units)[:, : trial.frames]
        np.testing.assert_allclose(trial.responses * np.diff(edges), counts, atol=2e-4)
        assert counts.sum() > 10


def read(source: Reader) -> Recording:
    with source:
        return source.recording()


def test_spikes_are_counted_in_the_frames_as_spikes_a_second() -> None:
    spikes = Spikes.of([np.array([0.5, 0.1, 0.12, 3.0])], "x")
    np.testing.assert_allclose(spikes.in_frames(np.array([0.09, 0.11, 0.15, 0.51])), [[50.0, 25.0, 1 / 0.36]])
    assert spikes.values.sum() == pytest.approx(4 * 30)


def test_a_phy_folder_gives_its_good_units(probe: Probe, tmp_path: Path, out: Path) -> None:
    folder = probe.write_phy(tmp_path / "phy")
    assert kind_of(folder) == "phy"
    uses = {column.name: column.use for column in PhyFolder(folder).columns()}
    assert (uses["spike_times.npy"], uses["cluster_group.tsv"]) == ("activity", "labels of the units")
    assert uses["params.py"] == "sampling rate, read as text"
    recording = read(PhyFolder(folder))
    assert_counts(recording, out, probe, [0, 2])
    assert recording.neuron_ids is not None
    np.testing.assert_array_equal(recording.neuron_ids, [3, 8])
    assert any("2 of 4 units" in note.text for note in recording.report.of_kind("dropped"))
    # A person's word stands above the sorter's, and "unsorted" is none.
    assert len(read(PhyFolder(folder, units="mua")).activity.values) == 3
    assert len(read(PhyFolder(folder, units="all")).activity.values) == 4


def test_what_phy_shows_of_all_units_tells_which_are_good(probe: Probe, tmp_path: Path) -> None:
    folder = probe.write_phy(tmp_path / "phy")
    for name in ("cluster_KSLabel.tsv", "cluster_group.tsv"):
        (folder / name).unlink(missing_ok=True)
    rows = [["cluster_id", "amp", "KSLabel", "ch", "group", "n"]]
    said = {3: ("good", ""), 5: ("good", "noise"), 8: ("mua", "good"), 11: ("mua", "unsorted")}
    rows += [[str(unit), "1.0", ks, "4", group, "9"] for unit, (ks, group) in said.items()]
    (folder / "cluster_info.tsv").write_text("\n".join("\t".join(row) for row in rows))
    np.testing.assert_array_equal(read(PhyFolder(folder)).neuron_ids, [3, 8])


def test_the_parameters_of_phy_are_text_and_never_run(probe: Probe, tmp_path: Path) -> None:
    folder = probe.write_phy(tmp_path / "phy")
    ran = tmp_path / "ran"
    (folder / "params.py").write_text(f"open({str(ran)!r}, 'w')\nsample_rate = 3e4  # Hz\nraise SystemExit\n")
    assert len(read(PhyFolder(folder)).activity.values) == 2
    assert not ran.exists()
    (folder / "params.py").write_text("sample_rate = rate()\n")
    with pytest.raises(SessionError, match=r"params.py.*--sample-rate"):
        read(PhyFolder(folder))
    assert len(read(PhyFolder(folder, sample_rate=30_000)).activity.values) == 2


def test_units_lie_at_the_channel_at_which_they_are_largest(probe: Probe, tmp_path: Path) -> None:
    folder = probe.write_phy(tmp_path / "phy")
    _, of = probe.sorting()
    templates = np.zeros((4, 20, 6), dtype=np.float32)
    for number, channel in enumerate((4, 1, 2, 0)):
        templates[number, 5, channel] = -3.0
        templates[number, 6, 5] = 1.0
    np.save(folder / "templates.npy", templates)
    np.save(folder / "spike_templates.npy", np.searchsorted(UNITS, of).astype(np.uint32)[:, None])
    np.save(folder / "channel_positions.npy", np.column_stack([np.arange(6) % 2 * 16.0, np.arange(6) * 20.0]))
    np.testing.assert_array_equal(read(PhyFolder(folder)).coordinates, [[0, 0, 80], [0, 0, 40]])


def test_spike_times_may_lie_among_plain_arrays(probe: Probe, tmp_path: Path, out: Path) -> None:
    probe.write_beside(tmp_path / "arrays")
    samples, of = probe.sorting()
    np.save(tmp_path / "arrays/spike_times.npy", samples / SAMPLE_RATE_HZ)
    np.save(tmp_path / "arrays/spike_clusters.npy", of)
    source = ArrayFolder(tmp_path / "arrays")
    uses = {column.name: column.use for column in source.columns()}
    assert uses["spike_times.npy"] == "activity"
    assert uses["spike_clusters.npy"] == "which unit each spike is of"
    assert_counts(read(source), out, probe, [0, 1, 2, 3])
    np.save(tmp_path / "arrays/spike_times.npy", samples)
    with pytest.raises(SessionError, match=r"seconds, found whole numbers.*rate_hz"):
        read(ArrayFolder(tmp_path / "arrays"))


def write_units(probe: Probe, file: Path) -> Path:
    book = pynwb.NWBFile("units", "x", datetime(2026, 1, 1, tzinfo=UTC), keywords=["simulated"])
    book.add_unit_column("quality", "what the unit is")
    for unit, samples in zip(UNITS, probe.samples, strict=True):
        book.add_unit(spike_times=samples / SAMPLE_RATE_HZ, quality=LABELS[int(unit)], id=int(unit))
    movies = probe.mouse.movies
    book.add_stimulus(
        ImageSeries(
            name="movies", data=movies.reshape(-1, *movies.shape[2:]), unit="n.a.",
            timestamps=probe.mouse.frame_times.ravel(),
        )
    )  # fmt: skip
    with pynwb.NWBHDF5IO(str(file), "w") as io:
        io.write(book)
    return file


def test_units_of_an_nwb_file_are_counted_in_the_frames(probe: Probe, tmp_path: Path, out: Path) -> None:
    file = write_units(probe, tmp_path / "units.nwb")
    with NwbFile(file) as source:
        assert [column.name for column in source.columns() if column.use == "activity"] == ["units"]
        recording = source.recording()
        np.testing.assert_array_equal(recording.neuron_ids, [3, 8])
        assert_counts(recording, out, probe, [0, 2])


def test_between_units_and_response_series_the_person_chooses(probe: Probe, tmp_path: Path) -> None:
    file = probe.mouse.write_nwb(tmp_path / "both.nwb")
    with pynwb.NWBHDF5IO(str(file), "a") as io:
        book = io.read()
        book.add_unit(spike_times=probe.samples[0] / SAMPLE_RATE_HZ)
        io.write(book)
    with NwbFile(file) as source, pytest.raises(SessionError, match=r"units.*Deconvolved.*--activity units"):
        source.recording()
    with NwbFile(file, activity="units") as source:
        assert isinstance(source.recording().activity, Spikes)
    with NwbFile(file, activity="Deconvolved") as source:
        assert not isinstance(source.recording().activity, Spikes)


ROWS, COLUMNS = 20, 30


def write_caiman(mouse: RawMouse, folder: Path, accepted: np.ndarray | None) -> Path:
    """As `cnm.save` writes: None as text, footprints as a sparse matrix of pixels column by column."""
    folder.mkdir()
    np.save(folder / "stimulus.npy", mouse.movies)
    np.save(folder / "stimulus_times.npy", mouse.frame_times)
    footprints = np.zeros((ROWS * COLUMNS, 9))
    for number in range(9):
        picture = np.zeros((ROWS, COLUMNS))
        picture[number : number + 2, 3 * number] = 1.0, 3.0
        footprints[:, number] = picture.ravel(order="F")
    sparse = csc_matrix(footprints)
    file = folder / "analysis_results.hdf5"
    with h5py.File(file, "w") as book:
        estimates = book.create_group("estimates")
        estimates["S"] = mouse.activity
        estimates["C"] = mouse.activity + 1.0
        estimates["idx_components"] = "NoneType" if accepted is None else accepted
        for name in ("data", "indices", "indptr", "shape"):
            estimates[f"A/{name}"] = getattr(sparse, name)
        book["dims"] = (ROWS, COLUMNS)
        book["params/data/fr"] = 8.0
    return file


def test_caiman_gives_its_accepted_components(raw_mouse: RawMouse, tmp_path: Path) -> None:
    kept = np.array([1, 2, 6])
    file = write_caiman(raw_mouse, tmp_path / "caiman", kept)
    assert kind_of(file) == "caiman"
    recording = read(CaimanFile(file))
    np.testing.assert_array_equal(recording.activity.values, raw_mouse.activity[kept].astype(np.float32))
    assert recording.activity.rate_hz == pytest.approx(8.0)
    expected = np.column_stack([3.0 * kept, kept + 0.75, np.zeros(3)])
    np.testing.assert_allclose(recording.coordinates, expected)
    assert any("6 of 9 components" in note.text for note in recording.report.of_kind("dropped"))
    assert len(read(CaimanFile(file, all_regions=True)).activity.values) == 9
    denoised = read(CaimanFile(file, estimate="C")).activity.values
    np.testing.assert_allclose(denoised, raw_mouse.activity[kept] + 1.0, rtol=1e-6)


def test_a_preview_reads_nothing_of_traces_that_are_not_stored(raw_mouse: RawMouse, tmp_path: Path) -> None:
    file = write_caiman(raw_mouse, tmp_path / "caiman", None)
    with h5py.File(file, "r+") as opened:
        del opened["estimates/S"]
        opened["estimates"].create_dataset("S", (9, 10**9), "f8", chunks=(1, 10**6))
    reader = CaimanFile(file)
    with reader:
        (found,) = [column for column in reader.columns() if column.name == "estimates/S"]
    assert found.fault
    assert "truncated or damaged" in found.use


def test_what_caiman_did_not_evaluate_is_taken_whole_and_said(raw_mouse: RawMouse, tmp_path: Path) -> None:
    recording = read(CaimanFile(write_caiman(raw_mouse, tmp_path / "caiman", None)))
    assert len(recording.activity.values) == 9
    assert recording.report.mentions("assumed", "activity")


def test_another_hdf5_file_is_one_line(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.hdf5", "w") as book:
        book["a"] = 1
    assert kind_of(tmp_path / "x.hdf5") == "nwb"
    with pytest.raises(StorageError, match=r"expected CaImAn's results, found no group estimates"):
        read(CaimanFile(tmp_path / "x.hdf5"))


def test_a_preview_misses_no_spikes_that_lie_apart_from_their_description(probe: Probe, tmp_path: Path) -> None:
    folder, beside = probe.write_phy(tmp_path / "phy"), tmp_path / "beside"
    probe.write_beside(beside)
    (beside / "recording.toml").write_text('[stimulus]\nfile = "stimulus.npy"\ntimes = "stimulus_times.npy"\n')
    columns = PhyFolder(folder, beside=beside).columns()
    assert not [column for column in columns if column.fault]
    assert len(read(PhyFolder(folder, beside=beside)).activity.values) == 2
