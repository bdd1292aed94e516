"""`RawMouse`: a simulated mouse as one long scan with movies, behaviour and clocks, in the files of a laboratory."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_vidrecon.errors import ConfigError, StorageError, optional_module
from napari_vidrecon.sessions.session import Session
from napari_vidrecon.sessions.simulation.signals import SCAN_RATE_HZ, interpolation, scan_bins
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ
from napari_vidrecon.sessions.writer import Layout
from napari_vidrecon.storage import open_regular, reading, replacing_file, replacing_folder

if TYPE_CHECKING:
    from pynwb import NWBFile

DESCRIPTION_FILE = "recording.toml"
RAW_KINDS = ("arrays", "suite2p", "nwb")
NOTE = "# A simulated mouse, written by napari-vidrecon: no animal, no recording."
STREAMS = ("activity", "stimulus", "running", "pupil_size", "pupil_center")
LAYOUT = Layout(
    frozenset(
        {
            *(DESCRIPTION_FILE, "coordinates.npy", "tiers.npy"),
            *(f"{stream}.npy" for stream in STREAMS),
            *(f"{stream}_times.npy" for stream in STREAMS),
            *(f"suite2p/plane0/{name}.npy" for name in ("spks", "F", "Fneu", "iscell")),
        }
    )
)
WHOLE_SCANS_FRAMES = 15
"""The fewest frames at 30 Hz that a whole number of scan samples lasts: 4 of them, at 8 Hz."""
PAUSE_BINS = 12
"""Scan samples between two trials, in which the screen shows nothing."""
OTHER_REGIONS = (2, 5, 7)
"""Regions that suite2p found among the neurons and that are no cells, by their place."""
BASELINE, BRIGHTNESS, NEUROPIL = 100.0, 10.0, 20.0
"""Fluorescence of a silent cell, of a unit of activity, and of what surrounds a cell."""
DESCRIPTION = (
    NOTE
    + """
name = "{name}"
simulated = true
coordinates = "coordinates.npy"
tiers = "tiers.npy"

[activity]
file = "{activity}"
times = "activity_times.npy"

[stimulus]
file = "stimulus.npy"
times = "stimulus_times.npy"
"""
)


def raw_place(session: Path, kind: str) -> Path:
    """Where raw files of a kind lie, beside the session they are made of.

    Returns
    -------
    Path
        A file for nwb, else a folder; it need not exist.

    Raises
    ------
    ConfigError
        No such kind.
    """
    if kind not in RAW_KINDS:
        raise ConfigError(f"raw files: expected one of {', '.join(RAW_KINDS)}, found {kind!r}")
    return session.with_name(f"{session.name}.nwb" if kind == "nwb" else f"{session.name}_{kind}")


def require_whole_scans(frames: int, frame_rate_hz: float = FRAME_RATE_HZ) -> int:
    """Refuse clips that no whole number of scan samples fills.

    A trial begins with a whole scan sample, so that pauses do not shift the two clocks against each other.

    Parameters
    ----------
    frames
        Of a clip.
    frame_rate_hz
        Of the movies.

    Returns
    -------
    int
        How many frames of the movies there are to one at 30 Hz.

    Raises
    ------
    ConfigError
        Such clips, or such a rate.
    """
    times = round(frame_rate_hz / FRAME_RATE_HZ)
    if times < 1 or times * FRAME_RATE_HZ != frame_rate_hz:
        raise ConfigError(
            f"raw files: expected a multiple of {FRAME_RATE_HZ:g} frames a second, found {frame_rate_hz:g}; simulate "
            "at such a rate"
        )
    whole = times * WHOLE_SCANS_FRAMES
    if frames % whole:
        raise ConfigError(
            f"raw files: expected clips of a multiple of {whole} frames, found {frames}; simulate such clips"
        )
    return times


def require_kind_of(kind: str) -> None:
    """Refuse a kind that cannot be written for want of the library for it.

    Parameters
    ----------
    kind
        Of raw files.

    Raises
    ------
    ConfigError
        It cannot.
    """
    if kind == "nwb":
        optional_module("pynwb", "nwb", "raw files for nwb")


def is_raw(place: Path) -> bool:
    """Whether raw files of a simulated mouse, and not somebody's recording, lie at a place."""
    if not place.is_dir():
        return is_simulated_nwb(place)
    try:
        with open_regular(place / DESCRIPTION_FILE) as file:
            return file.read(len(NOTE)) == NOTE.encode()
    except (OSError, StorageError):
        return False


def left_of_raw(folder: Path) -> list[str]:
    """What a person has put into a folder of raw files, as paths inside it."""
    return LAYOUT.belongings(folder)


@dataclass
class RawMouse:
    """A session as one continuous recording; arrays may be changed before they are written.

    Parameters
    ----------
    activity
        (N, samples) at 8 Hz; `activity_times` say when each sample starts, s.
    activity_times
        (samples,) start of each sample, s.
    movies
        (clips, T, H, W) uint8, each shown once, in order; colours come last, where there are some.
    onsets
        (clips,) s.
    behavior
        {"running" | "pupil_size" | "pupil_center": array}, a sample a frame, with `behavior_times`.
    behavior_times
        (samples,) s.
    coordinates
        (N, 3) µm.
    tiers
        One a clip.
    name
        Of the mouse.
    frame_rate_hz
        Of the movies.
    """

    activity: np.ndarray
    activity_times: np.ndarray
    movies: np.ndarray
    onsets: np.ndarray
    behavior: dict[str, np.ndarray]
    behavior_times: np.ndarray
    coordinates: np.ndarray
    tiers: list[str]
    name: str = "simulated mouse"
    frame_rate_hz: float = FRAME_RATE_HZ

    @classmethod
    def of(cls, session: Session) -> RawMouse:
        """Undo what made a session of a simulated mouse: trials become one recording with pauses.

        Returns
        -------
        RawMouse
            All trials in order.

        Raises
        ------
        ConfigError
            Not a simulated mouse, or clips that no whole number of scan samples fills.
        """
        numbers = session.trial_ids
        frames, rate = session.trial(numbers[0]).frames, session.frame_rate_hz
        if not session.simulated or session.coordinates is None:
            raise ConfigError(f"{session.path}: expected a simulated mouse to make raw files of, found another session")
        times = require_whole_scans(frames, rate)
        usual = frames // times
        bins = scan_bins(usual)
        to_scan = np.linalg.pinv(interpolation(usual).astype(float)).repeat(times, axis=0) / times
        half = PAUSE_BINS // 2
        length_s = (bins + PAUSE_BINS) / SCAN_RATE_HZ
        pause = round(half / SCAN_RATE_HZ * rate)
        pads = ((0, 0), (pause, round(length_s * rate) - pause - frames))
        scans, movies, behavior, gaze = [], [], [], []
        planes = session.screen.planes
        for number in numbers:
            trial = session.trial(number)
            scan = np.maximum(np.pad(trial.responses @ to_scan, ((0, 0), (half, half)), mode="edge"), 0)
            scans.append(scan.astype(np.float32))
            shown = np.rint(trial.video).astype(np.uint8)
            movies.append(np.stack(np.split(shown, planes, axis=1), -1) if planes > 1 else shown)
            behavior.append(np.pad(trial.behavior, pads, mode="edge"))
            gaze.append(np.pad(trial.pupil_center, pads, mode="edge"))
        size, running = np.concatenate(behavior, axis=1)
        activity = np.concatenate(scans, axis=1)
        shift = half / SCAN_RATE_HZ - pause / rate
        return cls(
            activity=activity,
            activity_times=np.arange(activity.shape[1]) / SCAN_RATE_HZ,
            movies=np.stack(movies),
            onsets=half / SCAN_RATE_HZ + length_s * np.arange(len(numbers)),
            behavior={"running": running, "pupil_size": size, "pupil_center": np.concatenate(gaze, axis=1)},
            behavior_times=shift + (np.arange(size.size) + 0.5) / rate,
            coordinates=np.asarray(session.coordinates),
            tiers=list(session.tiers.values()),
            name=session.name,
            frame_rate_hz=rate,
        )

    @property
    def frame_times(self) -> np.ndarray:
        """(clips, T) when each frame appeared, s."""
        return np.asarray(self.onsets[:, None] + np.arange(self.movies.shape[1]) / self.frame_rate_hz)

    def write(self, kind: str, place: Path) -> Path:
        """Write raw files that say themselves that the mouse is simulated; they appear whole or not at all.

        Of earlier ones in a folder, what a person had put among them stays where it was.

        Parameters
        ----------
        kind
            "arrays", "suite2p" or "nwb", as `vidrecon import` calls them.
        place
            The folder, or the NWB file.

        Returns
        -------
        Path
            The file or folder.

        Raises
        ------
        ConfigError
            Another kind.
        """
        if kind == "nwb":
            require_kind_of(kind)
            with replacing_file(place) as draft:
                self.write_nwb(draft)
        elif kind in RAW_KINDS:
            with replacing_folder(place, theirs=lambda old: LAYOUT.left_in(old, draft)) as draft:
                (self.write_suite2p if kind == "suite2p" else self.write_arrays)(draft)
                activity = "spks.npy" if kind == "suite2p" else "activity.npy"
                (draft / DESCRIPTION_FILE).write_text(self._description(activity), encoding="utf-8")
        else:
            raise ConfigError(f"raw files: expected one of {', '.join(RAW_KINDS)}, found {kind!r}")
        return place

    def _description(self, activity: str) -> str:
        parts = [f'\n[{name}]\nfile = "{name}.npy"\ntimes = "{name}_times.npy"\n' for name in self.behavior]
        return DESCRIPTION.format(name=self.name, activity=activity) + "".join(parts)

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
        others = [place for place in OTHER_REGIONS if place < neurons]
        regions = neurons + len(others)
        cells = np.zeros(regions, dtype=bool)
        cells[np.arange(neurons) + np.searchsorted(others, np.arange(neurons), side="right")] = True
        spikes = random.gamma(1.0, 3.0, (regions, samples)).astype(np.float32)
        spikes[cells] = self.activity
        positions = np.zeros((regions, 3))
        positions[cells] = self.coordinates
        np.save(plane / "spks.npy", spikes)
        np.save(plane / "F.npy", np.float32(BASELINE) + np.float32(BRIGHTNESS) * spikes)
        np.save(plane / "Fneu.npy", np.full_like(spikes, NEUROPIL))
        np.save(plane / "iscell.npy", np.column_stack([cells, np.where(cells, 0.9, 0.1)]))
        np.save(folder / "coordinates.npy", positions)
        return folder

    def write_nwb(self, file: Path) -> Path:
        """As an NWB file: deconvolved fluorescence, one image series, running, pupil, a table of positions."""
        write_nwb(
            file,
            activity=self.activity,
            activity_times=self.activity_times,
            movies=self.movies,
            frame_times=self.frame_times,
            onsets=self.onsets,
            tiers=self.tiers,
            behavior=self.behavior,
            behavior_times=self.behavior_times,
            coordinates=self.coordinates,
            frame_rate_hz=self.frame_rate_hz,
        )
        return file


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
    frame_rate_hz: float = FRAME_RATE_HZ,
) -> None:
    """Write one recording; its keywords say that it is simulated.

    Parameters
    ----------
    file
        The NWB file.
    activity, activity_times
        (N, samples), and when each sample starts, s.
    movies, frame_times
        (clips, T, H, W) uint8, colours last where there are some, and (clips, T) when each frame appeared, s.
    onsets, tiers
        When each clip began, s, and what it is for; the table of trials.
    behavior, behavior_times
        Running (S,), pupil_size (S,), pupil_center (2, S), and their times, s.
    coordinates
        (N, 3) µm.
    frame_rate_hz
        Of the movies.

    Raises
    ------
    ConfigError
        Pynwb is not installed.
    """
    pynwb = optional_module("pynwb", "nwb", f"{file}: an NWB file")
    book = pynwb.NWBFile(
        session_description=SAYS,
        identifier=NAMED,
        session_start_time=BEGAN,
        keywords=["simulated"],
    )
    _add_cells(book, activity, activity_times, coordinates)
    frames = movies.reshape(-1, *movies.shape[2:])
    book.add_stimulus(
        pynwb.image.ImageSeries(name="movies", data=frames, unit="n.a.", timestamps=frame_times.ravel(), format="raw")
    )
    book.add_trial_column("tier", "what the trial is for")
    for onset, tier in zip(onsets, tiers, strict=True):
        book.add_trial(start_time=float(onset), stop_time=float(onset + movies.shape[1] / frame_rate_hz), tier=tier)
    _add_behaviour(book, behavior, behavior_times)
    with pynwb.NWBHDF5IO(str(file), "w") as io:
        io.write(book)


def _add_cells(book: NWBFile, activity: np.ndarray, times: np.ndarray, coordinates: np.ndarray) -> None:
    from pynwb.ophys import Fluorescence, ImageSegmentation, OpticalChannel, RoiResponseSeries

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
        RoiResponseSeries(name="Deconvolved", data=activity.T, unit="a.u.", rois=rois, timestamps=times)
    )


def _add_behaviour(book: NWBFile, behavior: dict[str, np.ndarray], times: np.ndarray) -> None:
    from pynwb.behavior import BehavioralTimeSeries, EyeTracking, PupilTracking, SpatialSeries

    module = book.create_processing_module("behavior", "behaviour")
    speed = BehavioralTimeSeries(name="BehavioralTimeSeries")
    module.add(speed)
    speed.create_timeseries("running_speed", behavior["running"], "cm/s", timestamps=times)
    pupil = PupilTracking(name="PupilTracking")
    module.add(pupil)
    pupil.create_timeseries("pupil_size", behavior["pupil_size"], "px", timestamps=times)
    eye = EyeTracking(name="EyeTracking")
    module.add(eye)
    gaze = behavior["pupil_center"].T
    eye.add_spatial_series(SpatialSeries(name="pupil_center", data=gaze, reference_frame="camera", timestamps=times))
