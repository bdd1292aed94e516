"""Writing a simulated recording as an NWB file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from napari_vidrecon.errors import ConfigError, StorageError
from napari_vidrecon.sessions.simulation.calcium import SCAN_RATE_HZ
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ
from napari_vidrecon.storage import open_regular, reading

SAYS, NAMED = "a simulated mouse", "raw mouse"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def is_simulated_nwb(file: Path) -> bool:
    """Whether a file is what `write_nwb` writes, and not somebody's recording."""
    try:
        import h5py
    except ImportError:
        return False
    try:
        with open_regular(file) as opened, reading(file), h5py.File(opened, "r") as stored:
            told = [stored[name].asstr()[()] for name in ("session_description", "identifier")]
    except StorageError:
        return False
    return told == [SAYS, NAMED]


def write_nwb(
    file: Path,
    *,
    activity: np.ndarray,
    activity_times: np.ndarray,
    movies: np.ndarray,
    frame_times: np.ndarray,
    onsets: np.ndarray,
    tiers: list[str],
    behavior: dict[str, np.ndarray],
    behavior_times: np.ndarray,
    coordinates: np.ndarray,
) -> None:
    """Write one recording; its keywords say that it is simulated.

    Parameters
    ----------
    file
        The NWB file.
    activity, activity_times
        (N, samples), and when each sample starts, s.
    movies, frame_times
        (clips, T, H, W) uint8, and (clips, T) when each frame appeared, s.
    onsets, tiers
        When each clip began, s, and what it is for; the table of trials.
    behavior, behavior_times
        Running (S,), pupil_size (S,), pupil_center (2, S), and their times, s.
    coordinates
        (N, 3) µm.

    Raises
    ------
    ConfigError
        Pynwb is not installed.
    """
    try:
        import pynwb
    except ImportError:
        raise ConfigError(
            f"{file}: expected pynwb to write NWB files, found none; pip install 'napari-vidrecon[nwb]'"
        ) from None
    from pynwb.behavior import BehavioralTimeSeries, EyeTracking, PupilTracking, SpatialSeries
    from pynwb.image import ImageSeries
    from pynwb.ophys import Fluorescence, ImageSegmentation, OpticalChannel, RoiResponseSeries

    book = pynwb.NWBFile(
        session_description=SAYS,
        identifier=NAMED,
        session_start_time=BEGAN,
        keywords=["simulated"],
    )
    device = book.create_device("microscope")
    channel = OpticalChannel(name="green", description="green", emission_lambda=510.0)
    plane = book.create_imaging_plane(
        name="plane", optical_channel=channel, description="V1", device=device, excitation_lambda=920.0,
        indicator="GCaMP6s", location="V1", imaging_rate=SCAN_RATE_HZ,
    )  # fmt: skip
    module = book.create_processing_module("ophys", "optical physiology")
    segmentation = ImageSegmentation()
    module.add(segmentation)
    table = segmentation.create_plane_segmentation("cells", plane, "PlaneSegmentation")
    for name in "xyz":
        table.add_column(f"{name}_um", f"{name} in µm")
    for x, y, z in coordinates.astype(float):
        table.add_roi(pixel_mask=[(0, 0, 1.0)], x_um=x, y_um=y, z_um=z)
    rois = table.create_roi_table_region("all cells", region=list(range(len(activity))))
    fluorescence = Fluorescence(name="Deconvolved")
    module.add(fluorescence)
    fluorescence.add_roi_response_series(
        RoiResponseSeries(name="Deconvolved", data=activity.T, unit="a.u.", rois=rois, timestamps=activity_times)
    )
    frames = movies.reshape(-1, *movies.shape[2:])
    book.add_stimulus(
        ImageSeries(name="movies", data=frames, unit="n.a.", timestamps=frame_times.ravel(), format="raw")
    )
    book.add_trial_column("tier", "what the trial is for")
    for onset, tier in zip(onsets, tiers, strict=True):
        book.add_trial(start_time=float(onset), stop_time=float(onset + movies.shape[1] / FRAME_RATE_HZ), tier=tier)
    watched = book.create_processing_module("behavior", "behaviour")
    speed = BehavioralTimeSeries(name="BehavioralTimeSeries")
    watched.add(speed)
    speed.create_timeseries("running_speed", behavior["running"], "cm/s", timestamps=behavior_times)
    pupil = PupilTracking(name="PupilTracking")
    watched.add(pupil)
    pupil.create_timeseries("pupil_size", behavior["pupil_size"], "px", timestamps=behavior_times)
    eye = EyeTracking(name="EyeTracking")
    watched.add(eye)
    gaze = behavior["pupil_center"].T
    eye.add_spatial_series(
        SpatialSeries(name="pupil_center", data=gaze, reference_frame="camera", timestamps=behavior_times)
    )
    with pynwb.NWBHDF5IO(str(file), "w") as io:
        io.write(book)
