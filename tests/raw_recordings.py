"""Raw recordings of the simulated mouse, as a laboratory would have them: one long scan, movies, behaviour, clocks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

import numpy as np

from napari_vidrecon.sessions.session import Session
from napari_vidrecon.sessions.simulation.calcium import SCAN_RATE_HZ, interpolation, scan_bins

VIDEO_RATE_HZ = 30.0
PAUSE_BINS = 12
"""Scan samples between two trials, in which the screen shows nothing."""


@dataclass
class RawMouse:
    """A session as one continuous recording; arrays may be changed before they are written.

    Parameters
    ----------
    activity : (N, samples) at 8 Hz; `activity_times` say when each sample starts.
    movies : (clips, T, H, W) uint8, each shown once, in order.
    onsets : (clips,) s.
    behavior : {"running" | "pupil_size" | "pupil_center": array}, at 30 Hz, with `behavior_times`.
    """

    activity: np.ndarray
    activity_times: np.ndarray
    movies: np.ndarray
    onsets: np.ndarray
    behavior: dict[str, np.ndarray]
    behavior_times: np.ndarray
    coordinates: np.ndarray
    tiers: list[str]

    @classmethod
    def of(cls, session: Session) -> RawMouse:
        """Undo what made a session of the simulated mouse: trials become one recording with pauses."""
        trials = [session.trial(number) for number in session.trial_ids]
        frames = trials[0].frames
        bins = scan_bins(frames)
        # A trial begins with a whole scan sample, so that pauses do not shift the two clocks against each other.
        assert bins * VIDEO_RATE_HZ == frames * SCAN_RATE_HZ
        to_scan = np.linalg.pinv(interpolation(frames).astype(float))
        half = PAUSE_BINS // 2
        scans = [np.pad(trial.responses @ to_scan, ((0, 0), (half, half)), mode="edge") for trial in trials]
        length_s = (bins + PAUSE_BINS) / SCAN_RATE_HZ
        onsets = half / SCAN_RATE_HZ + length_s * np.arange(len(trials))
        pause = round(half / SCAN_RATE_HZ * VIDEO_RATE_HZ)
        pads = ((0, 0), (pause, round(length_s * VIDEO_RATE_HZ) - pause - frames))
        behavior = [np.pad(trial.behavior, pads, mode="edge") for trial in trials]
        gaze = [np.pad(trial.pupil_center, pads, mode="edge") for trial in trials]
        size, running = np.concatenate(behavior, axis=1)
        activity = np.maximum(np.concatenate(scans, axis=1), 0)
        shift = half / SCAN_RATE_HZ - pause / VIDEO_RATE_HZ
        return cls(
            activity=activity.astype(np.float32),
            activity_times=np.arange(activity.shape[1]) / SCAN_RATE_HZ,
            movies=np.stack([np.rint(trial.video).astype(np.uint8) for trial in trials]),
            onsets=onsets,
            behavior={"running": running, "pupil_size": size, "pupil_center": np.concatenate(gaze, axis=1)},
            behavior_times=shift + (np.arange(size.size) + 0.5) / VIDEO_RATE_HZ,
            coordinates=np.asarray(session.coordinates),
            tiers=list(session.tiers.values()),
        )

    @property
    def frame_times(self) -> np.ndarray:
        """(clips, T) when each frame appeared."""
        return self.onsets[:, None] + np.arange(self.movies.shape[1]) / VIDEO_RATE_HZ

    def write_beside(self, folder: Path) -> None:
        """Stimulus, behaviour and clocks as arrays named by convention."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "activity_times.npy", self.activity_times)
        np.save(folder / "stimulus.npy", self.movies)
        np.save(folder / "stimulus_times.npy", self.frame_times)
        for name, values in self.behavior.items():
            np.save(folder / f"{name}.npy", values)
            np.save(folder / f"{name}_times.npy", self.behavior_times)
        np.save(folder / "coordinates.npy", self.coordinates)
        np.save(folder / "tiers.npy", np.array(self.tiers))

    def write_arrays(self, folder: Path) -> Path:
        """Everything as plain arrays."""
        self.write_beside(folder)
        np.save(folder / "activity.npy", self.activity)
        return folder

    def write_suite2p(self, folder: Path) -> Path:
        """As suite2p leaves it: cells among other regions, in `plane0`, with the other arrays beside it."""
        self.write_beside(folder)
        plane = folder / "suite2p" / "plane0"
        plane.mkdir(parents=True)
        neurons, samples = self.activity.shape
        random = np.random.default_rng(3)
        cells = np.zeros(neurons + 3, dtype=bool)
        cells[np.arange(neurons) + np.searchsorted([2, 5, 7], np.arange(neurons), side="right")] = True
        spikes = random.gamma(1.0, 3.0, (neurons + 3, samples)).astype(np.float32)
        spikes[cells] = self.activity
        positions = np.zeros((neurons + 3, 3))
        positions[cells] = self.coordinates
        np.save(plane / "spks.npy", spikes)
        np.save(plane / "F.npy", 100 + 10 * spikes)
        np.save(plane / "Fneu.npy", np.full_like(spikes, 20))
        np.save(plane / "iscell.npy", np.column_stack([cells, np.where(cells, 0.9, 0.1)]))
        stat = np.array([{"med": [y, x]} for x, y, _ in positions], dtype=object)
        np.save(plane / "stat.npy", stat, allow_pickle=True)
        np.save(folder / "coordinates.npy", positions)
        return folder

    def write_nwb(self, file: Path) -> Path:
        """As an NWB file: deconvolved fluorescence, one image series, running, pupil, a table of positions."""
        from datetime import datetime

        import pynwb
        from pynwb.behavior import BehavioralTimeSeries, EyeTracking, PupilTracking, SpatialSeries
        from pynwb.image import ImageSeries
        from pynwb.ophys import Fluorescence, ImageSegmentation, OpticalChannel, RoiResponseSeries

        began = datetime(2026, 1, 1, tzinfo=UTC)
        book = pynwb.NWBFile(
            session_description="a simulated mouse",
            identifier="raw mouse",
            session_start_time=began,
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
        for x, y, z in self.coordinates.astype(float):
            table.add_roi(pixel_mask=[(0, 0, 1.0)], x_um=x, y_um=y, z_um=z)
        rois = table.create_roi_table_region("all cells", region=list(range(len(self.activity))))
        fluorescence = Fluorescence(name="Deconvolved")
        module.add(fluorescence)
        fluorescence.add_roi_response_series(
            RoiResponseSeries(
                name="Deconvolved", data=self.activity.T, unit="a.u.", rois=rois, timestamps=self.activity_times
            )
        )
        book.add_stimulus(
            ImageSeries(name="movies", data=self.movies.reshape(-1, *self.movies.shape[2:]), unit="n.a.",
                        timestamps=self.frame_times.ravel(), format="raw")
        )  # fmt: skip
        book.add_trial_column("tier", "what the trial is for")
        for onset, tier in zip(self.onsets, self.tiers, strict=True):
            stop = onset + self.movies.shape[1] / VIDEO_RATE_HZ
            book.add_trial(start_time=float(onset), stop_time=float(stop), tier=tier)
        behavior = book.create_processing_module("behavior", "behaviour")
        speed = BehavioralTimeSeries(name="BehavioralTimeSeries")
        behavior.add(speed)
        speed.create_timeseries("running_speed", self.behavior["running"], "cm/s", timestamps=self.behavior_times)
        pupil = PupilTracking(name="PupilTracking")
        behavior.add(pupil)
        pupil.create_timeseries("pupil_size", self.behavior["pupil_size"], "px", timestamps=self.behavior_times)
        eye = EyeTracking(name="EyeTracking")
        behavior.add(eye)
        eye.add_spatial_series(
            SpatialSeries(
                name="pupil_center",
                data=self.behavior["pupil_center"].T,
                reference_frame="camera",
                timestamps=self.behavior_times,
            )
        )
        with pynwb.NWBHDF5IO(str(file), "w") as io:
            io.write(book)
        return file
