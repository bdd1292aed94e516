"""NWB files as laboratories write them: planes, traces the other way round, masks, cells, and pictures (x, y)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pynwb
import pytest
from pynwb.image import ImageSeries
from pynwb.ophys import Fluorescence, ImageSegmentation, OpticalChannel, RoiResponseSeries
from raw_recordings import RawMouse

from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions.importing.importer import import_recording
from napari_vidrecon.sessions.importing.nwb import NwbFile
from napari_vidrecon.sessions.importing.nwb_activity import um_a_unit
from napari_vidrecon.sessions.importing.recording import Recording, Signal
from napari_vidrecon.sessions.importing.recording_reader import ImportSettings
from napari_vidrecon.sessions.importing.resampling import on_video_clock
from napari_vidrecon.sessions.session import open_session

PLANE_DELAY_S = 0.031


class Lab:
    """Writes the raw mouse as an NWB file in the layout that a test asks for."""

    def __init__(self, mouse: RawMouse, file: Path) -> None:
        self.mouse, self.file = mouse, file
        self.book = pynwb.NWBFile(
            session_description="two planes",
            identifier="x",
            session_start_time=datetime(2026, 1, 1, tzinfo=UTC),
            keywords=["simulated"],
        )
        self.segmentation = ImageSegmentation()
        self.module = self.book.create_processing_module("ophys", "processed")
        self.module.add(self.segmentation)
        self.traces = Fluorescence(name="Deconvolved")
        self.module.add(self.traces)

    def plane(self, name: str = "plane", **told: Any) -> Any:
        """A table of regions of an imaging plane with these properties."""
        channel = OpticalChannel(name=f"{name} green", description="green", emission_lambda=510.0)
        device = self.book.devices.get("microscope") or self.book.create_device("microscope")
        imaged = self.book.create_imaging_plane(
            name=name, optical_channel=channel, description="V1", device=device, excitation_lambda=920.0,
            indicator="GCaMP6s", location="V1", imaging_rate=8.0, **told,
        )  # fmt: skip
        return self.segmentation.create_plane_segmentation("regions", imaged, f"{name} regions")

    def add(self, name: str, table: Any, values: np.ndarray, times: np.ndarray | None = None, **told: Any) -> None:
        """A series of the regions of a table, as stored."""
        rois = table.create_roi_table_region("all", region=list(range(len(table))))
        clock = {"rate": 8.0, "starting_time": 0.0} if times is None else {"timestamps": times}
        self.traces.add_roi_response_series(
            RoiResponseSeries(name=name, data=values, unit="a.u.", rois=rois, **(clock | told))
        )

    def write(self, movies: np.ndarray | None = None) -> Path:
        """The file, with the movies as (frames, ...)."""
        shown = self.mouse.movies if movies is None else movies
        self.book.add_stimulus(
            ImageSeries(
                name="movies",
                data=shown.reshape(-1, *shown.shape[2:]),
                unit="n.a.",
                timestamps=self.mouse.frame_times.ravel(),
            )
        )
        with pynwb.NWBHDF5IO(str(self.file), "w") as io:
            io.write(self.book)
        return self.file


@pytest.fixture
def lab(raw_mouse: RawMouse, tmp_path: Path) -> Lab:
    return Lab(raw_mouse, tmp_path / "lab.nwb")


def with_pixels(table: Any, neurons: int, **columns: Any) -> Any:
    for index in range(neurons):
        table.add_roi(pixel_mask=[(10 + index, 20, 1.0), (12 + index, 24, 1.0)])
    for name, values in columns.items():
        table.add_column(name, name, np.asarray(values))
    return table


def read(file: Path, settings: ImportSettings | None = None, **options: Any) -> Recording:
    with NwbFile(file, settings, **options) as source:
        return source.recording()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("clock", ["rate", "times"])
def test_traces_stored_region_by_time_are_told_by_the_numbers_of_both(clock: str, lab: Lab) -> None:
    times = lab.mouse.activity_times if clock == "times" else None
    lab.add("traces", with_pixels(lab.plane(), 9), lab.mouse.activity.T, times)
    file = lab.write()
    with h5py.File(file, "a") as book:
        # As older writers let it through.
        traces = book["processing/ophys/Deconvolved/traces"]
        told = dict(traces["data"].attrs)
        del traces["data"]
        traces["data"] = lab.mouse.activity
        traces["data"].attrs.update(told)
    recording = read(file)
    np.testing.assert_array_equal(recording.activity.values, lab.mouse.activity.astype(np.float32))
    assert recording.report.mentions("repaired", "activity")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_traces_that_fit_neither_the_regions_nor_the_times_are_named(lab: Lab) -> None:
    lab.add("traces", with_pixels(lab.plane(), 8), lab.mouse.activity)
    with pytest.raises(SessionError, match=r"8 regions, found 9 x 384.*rois"):
        read(lab.write())


def two_planes(lab: Lab, delay_s: float, shared: bool = False) -> Path:
    first = with_pixels(lab.plane("a", grid_spacing=[2.0, 2.0], grid_spacing_unit="um"), 5)
    second = first if shared else with_pixels(lab.plane("b", grid_spacing=[2.0, 2.0], grid_spacing_unit="um"), 4)
    activity = lab.mouse.activity
    lab.add("plane0", first, activity[:5].T, lab.mouse.activity_times)
    lab.add("plane1", second, activity[:5].T if shared else activity[5:].T, lab.mouse.activity_times + delay_s)
    return lab.write()


def test_planes_are_joined_and_each_keeps_its_own_times(lab: Lab) -> None:
    recording = read(two_planes(lab, PLANE_DELAY_S), sample_time="middle")
    assert recording.activity.values.shape == (9, 384)
    np.testing.assert_allclose(recording.activity.delays_s, np.repeat([0.0, PLANE_DELAY_S], [5, 4]), atol=1e-9)
    assert recording.coordinates is not None
    assert recording.coordinates.shape == (9, 3)
    edges = recording.presentations[0].edges_s
    values, times = lab.mouse.activity.astype(np.float32), lab.mouse.activity_times
    expected = np.concatenate([
        on_video_clock(Signal(values[:5], times, "a"), edges),
        on_video_clock(Signal(values[5:], times + PLANE_DELAY_S, "b"), edges),
    ])  # fmt: skip
    np.testing.assert_allclose(on_video_clock(recording.activity, edges), expected, rtol=1e-6)


def test_neurons_that_are_left_out_take_their_delay_with_them(lab: Lab, out: Path) -> None:
    lab.mouse.activity[2] = np.nan
    file = two_planes(lab, PLANE_DELAY_S)
    with NwbFile(file, sample_time="middle") as source:
        recording = source.recording()
        import_recording(recording, out)
    trial = open_session(out).trial(0)
    expected = on_video_clock(recording.activity, recording.presentations[0].edges_s)
    np.testing.assert_allclose(trial.responses, np.delete(expected, 2, axis=0)[:, : trial.frames], rtol=1e-5)


def test_planes_may_be_named_one_by_one_and_regions_are_never_taken_twice(lab: Lab) -> None:
    file = two_planes(lab, 0.0)
    assert read(file, activity="plane1").activity.values.shape == (4, 384)
    both = read(file, activity="plane1, plane0")
    np.testing.assert_array_equal(both.activity.values[:4], lab.mouse.activity[5:].astype(np.float32))
    assert both.activity.delays_s is None


def test_series_of_the_same_regions_are_not_joined(lab: Lab) -> None:
    file = two_planes(lab, 0.0, shared=True)
    with pytest.raises(SessionError, match=r"found .*plane0.*plane1.*--activity"):
        read(file)
    with pytest.raises(SessionError, match="share regions"):
        read(file, activity="plane0,plane1")


def test_planes_of_two_clocks_are_refused(lab: Lab) -> None:
    with pytest.raises(SessionError, match="sampled in turn"):
        read(two_planes(lab, 3.0))


@pytest.mark.parametrize(
    ("unit", "scale"),
    [("um", 1), ("µm", 1), ("μm", 1), ("microns", 1), ("Micrometers", 1), ("micrometres", 1), ("meters", 1e6),
     ("m", 1e6), ("mm", 1e3), ("nm", 1e-3), ("furlongs", None), ("", None)],
)  # fmt: skip
def test_lengths_are_told_by_the_names_of_their_units(unit: str, scale: float | None) -> None:
    assert um_a_unit(unit) == scale


@pytest.mark.parametrize(("unit", "size"), [("microns", 2.0), ("um", 2.0), ("meters", 2e-6), ("mm", 2e-3)])
def test_pixel_masks_give_positions_in_every_unit(unit: str, size: float, lab: Lab) -> None:
    table = lab.plane(
        grid_spacing=[size, 2 * size],
        grid_spacing_unit=unit,
        origin_coords=[0.0, 0.0, 150 * size],
        origin_coords_unit=unit,
    )
    lab.add("traces", with_pixels(table, 9), lab.mouse.activity.T)
    found = read(lab.write()).coordinates
    expected = np.column_stack([2.0 * (11 + np.arange(9)), np.full(9, 4.0 * 22), np.full(9, 300.0)])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_image_masks_are_taken_as_the_standard_stores_them(lab: Lab) -> None:
    table = lab.plane(grid_spacing=[1.5, 1.5], grid_spacing_unit="micrometers")
    for index in range(9):
        mask = np.zeros((40, 30))
        mask[10 + index : 13 + index, 4:7] = 1.0
        table.add_roi(image_mask=mask)
    lab.add("traces", table, lab.mouse.activity.T)
    found = read(lab.write()).coordinates
    expected = 1.5 * np.column_stack([11.0 + np.arange(9), np.full(9, 5.0), np.zeros(9)])
    np.testing.assert_allclose(found, expected)


def test_voxel_masks_have_a_depth(lab: Lab) -> None:
    table = lab.plane(grid_spacing=[1.0, 1.0, 20.0], grid_spacing_unit="um")
    for index in range(9):
        table.add_roi(voxel_mask=[(index, 3, 2, 1.0), (index, 5, 4, 1.0)])
    lab.add("traces", table, lab.mouse.activity.T)
    expected = np.column_stack([np.arange(9.0), np.full(9, 4.0), np.full(9, 60.0)])
    np.testing.assert_allclose(read(lab.write()).coordinates, expected)


def test_a_pixel_of_two_metres_gives_no_positions(lab: Lab) -> None:
    lab.add("traces", with_pixels(lab.plane(grid_spacing=[2.0, 2.0]), 9), lab.mouse.activity.T)
    recording = read(lab.write())
    assert recording.coordinates is None
    (note,) = (note for note in recording.report.notes if note.about == "coordinates")
    assert "is its unit right?" in note.text


CELLS = np.array([1, 1, 0, 1, 1, 1, 0, 1, 1])


@pytest.mark.parametrize(
    ("column", "marks"),
    [
        ("iscell", np.column_stack([CELLS, np.full(9, 0.9)])),
        ("is_cell", CELLS.astype(bool)),
        ("accepted", CELLS),
        ("Accepted", CELLS.astype(float)),
    ],
)
def test_regions_marked_as_no_cells_are_left_out_and_counted(column: str, marks: np.ndarray, lab: Lab) -> None:
    table = with_pixels(lab.plane(grid_spacing=[1.0, 1.0], grid_spacing_unit="um"), 9, **{column: marks})
    lab.add("traces", table, lab.mouse.activity.T)
    file = lab.write()
    recording = read(file)
    kept = CELLS > 0
    np.testing.assert_array_equal(recording.activity.values, lab.mouse.activity[kept].astype(np.float32))
    assert recording.coordinates is not None
    np.testing.assert_allclose(recording.coordinates[:, 0], 11.0 + np.flatnonzero(kept))
    assert recording.neuron_ids is not None
    np.testing.assert_array_equal(recording.neuron_ids, np.flatnonzero(kept))
    assert any("2 of 9 regions" in note.text for note in recording.report.of_kind("dropped"))
    assert len(read(file, all_regions=True).activity.values) == 9


def test_pictures_stored_x_first_are_asked_for_and_turned_by_axes(lab: Lab, out: Path) -> None:
    lab.add("traces", with_pixels(lab.plane(), 9), lab.mouse.activity.T, lab.mouse.activity_times)
    file = lab.write(np.ascontiguousarray(lab.mouse.movies.transpose(0, 1, 3, 2)))
    with pytest.raises(SessionError, match=r"64 x 36.*--axes twh"):
        read(file)
    with NwbFile(file) as source:
        assert [column.name for column in source.columns() if column.fault] == ["stimulus"]
    settings = ImportSettings(axes="twh")
    with NwbFile(file, settings) as source:
        import_recording(source.recording(), out, settings)
    for number in range(3):
        np.testing.assert_array_equal(open_session(out).trial(number).video, lab.mouse.movies[number])
    with pytest.raises(SessionError, match="expected axes t, h and w"):
        read(file, ImportSettings(axes="nthw"))


def test_square_pictures_are_taken_as_rows_first_with_a_warning(lab: Lab) -> None:
    lab.add("traces", with_pixels(lab.plane(), 9), lab.mouse.activity.T, lab.mouse.activity_times)
    recording = read(lab.write(np.ascontiguousarray(lab.mouse.movies[..., :36])))
    assert any("--axes twh" in note.text for note in recording.report.of_kind("warning"))
