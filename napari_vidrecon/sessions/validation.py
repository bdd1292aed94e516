"""Validation: every fault of a session folder, and a summary of what a sound one holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions import metadata, trial_files
from napari_vidrecon.sessions.screen import ScreenGeometry
from napari_vidrecon.sessions.session import EXCLUDED_TIER, LABELLED_TIERS, Session
from napari_vidrecon.sessions.session_statistics import SessionStatistics
from napari_vidrecon.sessions.trial_files import STREAMS, Fault, clip_length, open_array

__all__ = ["KNOWN_TIERS", "Fault", "SessionSummary", "session_summary", "validate_session"]

KNOWN_TIERS = (
    *LABELLED_TIERS,
    "live_test_main",
    "live_test_bonus",
    "final_test_main",
    "final_test_bonus",
    EXCLUDED_TIER,
)
STATISTICS = ("mean", "median", "std", "min", "max")
DARKEST_PLAUSIBLE_MAXIMUM = 1.0
"""A float video that never exceeds this grey level was most likely scaled to 0..1."""


def validate_session(
    path: Path | str, *, full: bool = True, on_progress: Callable[[int, int], None] | None = None
) -> list[Fault]:
    """Find everything that is wrong with a session folder; never stops at the first fault.

    Trials of the tier none are set aside by their makers and are not looked into. Files are mapped, one at a
    time, so a large session needs little memory.

    Parameters
    ----------
    path : the session folder.
    full : look at every number; otherwise at headers, behaviour and eye position only, which is quick.
    on_progress : called with the number of trials checked and the number in all.

    Returns
    -------
    The faults, in the order of the folder; empty when the session is sound.
    """
    path = Path(path)
    if not path.is_dir():
        found = "a file" if path.exists() else "nothing there"
        return [Fault(path, "a session folder", found, "choose the folder that holds data and meta")]
    return list(_Validation(path, full=full, on_progress=on_progress).faults())


class _Validation:
    def __init__(self, path: Path, *, full: bool, on_progress: Callable[[int, int], None] | None) -> None:
        self.path = path
        self.full = full
        self.on_progress = on_progress
        self.screen = ScreenGeometry()
        self.neurons: int | None = None
        self.tiers: dict[int, str] = {}

    def faults(self) -> Iterator[Fault]:
        yield from self._neuron_faults()
        yield from self._tier_faults()
        yield from self._note_faults()
        yield from self._statistics_faults()
        streams = []
        for stream in STREAMS:
            folder = self.path / "data" / stream
            if folder.is_dir():
                streams.append(stream)
                yield from self._stray_faults(folder)
            else:
                yield Fault(folder, "a folder of trials", "nothing there", "download the session again")
        for done, (trial_id, tier) in enumerate(self.tiers.items(), start=1):
            if tier != EXCLUDED_TIER:
                yield from self._trial_faults(trial_id, tier, streams)
            if self.on_progress is not None:
                self.on_progress(done, len(self.tiers))

    def _neuron_faults(self) -> Iterator[Fault]:
        file = self.path / metadata.NEURON_IDS_FILE
        try:
            ids = metadata.read_neuron_ids(self.path)
        except SessionError as error:
            yield Fault.of_unreadable(file, error)
            return
        self.neurons = ids.size
        repeated = ids.size - np.unique(ids).size
        if repeated:
            yield Fault(file, "a different id for every neuron", f"{repeated} repeated ids", "number the neurons")
        file = self.path / metadata.COORDINATES_FILE
        try:
            coordinates = metadata.read_coordinates(self.path, ids.size)
        except SessionError as error:
            yield Fault.of_unreadable(file, error)
            return
        if coordinates is not None and not np.isfinite(coordinates).all():
            bad = int((~np.isfinite(coordinates)).any(axis=1).sum())
            yield Fault(
                file,
                "finite positions in µm",
                f"{bad} neurons without one",
                "remove the file or fill them in",
            )

    def _tier_faults(self) -> Iterator[Fault]:
        file = self.path / metadata.TIERS_FILE
        try:
            self.tiers = metadata.read_tiers(self.path)
        except SessionError as error:
            yield Fault.of_unreadable(file, error)
            videos = self.path / "data" / "videos"
            ids = sorted(int(name.stem) for name in videos.glob("*.npy") if name.stem.isdecimal())
            self.tiers = dict.fromkeys(ids, LABELLED_TIERS[0])
            return
        for tier in sorted(set(self.tiers.values()) - set(KNOWN_TIERS)):
            yield Fault(file, f"tiers out of {', '.join(KNOWN_TIERS)}", repr(tier), "rename this tier")

    def _note_faults(self) -> Iterator[Fault]:
        try:
            metadata.read_simulation(self.path)
        except SessionError as error:
            yield Fault.of_unreadable(self.path / metadata.SIMULATION_FILE, error)

    def _statistics_faults(self) -> Iterator[Fault]:
        statistics = SessionStatistics(self.path / "meta" / "statistics")
        for name in statistics.present:
            stream, which, statistic = name.split("/")
            if stream not in STREAMS or statistic not in STATISTICS:
                continue
            file = statistics.file(stream, statistic, which)
            try:
                values = open_array(file)
            except SessionError as error:
                yield Fault.of_unreadable(file, error)
                continue
            leading = {"videos": (self.screen.rows, self.screen.cols), "responses": (self.neurons,)}.get(stream, (2,))
            if None not in leading and values.shape[: len(leading)] != leading:
                yield Fault(
                    file,
                    f"an array of shape {(*leading, 'frames')}",
                    f"shape {values.shape}",
                    "remove the file",
                )

    def _stray_faults(self, folder: Path) -> Iterator[Fault]:
        expected = {f"{trial_id}.npy" for trial_id in self.tiers}
        try:
            names = {file.name for file in folder.iterdir() if not file.name.startswith(".")}
        except OSError as error:
            yield Fault(folder, "a readable folder", f"{error.strerror}", "check the permissions")
            return
        for name in sorted(names - expected):
            wanted = f"only files of the {len(expected)} trials in the list of tiers"
            yield Fault(folder / name, wanted, "another file", "remove it")

    def _trial_faults(self, trial_id: int, tier: str, streams: list[str]) -> Iterator[Fault]:
        files = {stream: self.path / "data" / stream / f"{trial_id}.npy" for stream in streams}
        withheld = "responses" in files and not trial_files.holds_responses(files["responses"])
        if withheld and tier not in LABELLED_TIERS:
            del files["responses"]
        arrays: dict[str, np.ndarray] = {}
        for stream, file in files.items():
            try:
                array = open_array(file)
            except SessionError as error:
                yield Fault.of_unreadable(file, error)
                continue
            # Where the list of neurons is damaged, any number of them will do.
            neurons = self.neurons or max((1, *array.shape[:1]))
            fault = trial_files.layout_fault(array, file, stream, neurons, self.screen)
            if fault is not None:
                yield fault
            else:
                arrays[stream] = array
        decisive = arrays.get("responses", arrays.get("behavior"))
        if decisive is None:
            return
        frames = clip_length(decisive[0])
        yield from trial_files.length_faults(arrays, files, frames)
        for stream, array in arrays.items():
            if self.full or stream in ("behavior", "pupil_center"):
                yield from self._value_faults(array[..., :frames], files[stream], stream, tier)

    def _value_faults(self, clip: np.ndarray, file: Path, stream: str, tier: str) -> Iterator[Fault]:
        faults = list(trial_files.value_faults(clip, file, stream))
        yield from faults
        if faults or clip.size == 0 or stream not in ("videos", "responses"):
            return
        highest = float(clip.max())
        if stream == "videos" and clip.dtype.kind == "f" and 0.0 < highest <= DARKEST_PLAUSIBLE_MAXIMUM:
            yield Fault(file, "grey levels from 0 to 255", f"values up to {highest:g}", "multiply the video by 255")
        if stream == "responses" and tier in LABELLED_TIERS and highest <= 0.0:
            yield Fault(file, f"recorded responses in tier {tier}", "only zeros", "restore them or change the tier")


@dataclass(frozen=True)
class SessionSummary:
    """What a session holds, at a glance.

    Parameters
    ----------
    name, path : the folder.
    simulated : the mouse is a simulation.
    neurons : number of neurons N.
    coordinates : positions in cortex are known.
    trials_by_tier : {tier: number of trials}, most frequent first.
    labelled_trials : number of trials whose responses are known.
    clips_by_frames : {length in frames: number of trials}, ascending; trials of the tier none left out.
    video_dtype : kind of numbers in which the first video is stored.
    statistics : names "stream/which/statistic" of the statistics there.
    frame_rate_hz : frames a second.
    screen_deg : height and width of the screen in degrees.
    """

    name: str
    path: Path
    simulated: bool
    neurons: int
    coordinates: bool
    trials_by_tier: dict[str, int]
    labelled_trials: int
    clips_by_frames: dict[int, int]
    video_dtype: str
    statistics: list[str]
    frame_rate_hz: float
    screen_deg: tuple[float, float]


def session_summary(session: Session) -> SessionSummary:
    """Summarise a session; reads the behaviour of every trial and the header of one video.

    Raises
    ------
    SessionError : one of those files cannot be read.
    """
    chosen = [trial_id for trial_id, tier in session.tiers.items() if tier != EXCLUDED_TIER]
    lengths = Counter(session.clip_frames(trial_id) for trial_id in chosen)
    return SessionSummary(
        name=session.name,
        path=session.path,
        simulated=session.simulated,
        neurons=session.n_neurons,
        coordinates=session.coordinates is not None,
        trials_by_tier=dict(Counter(session.tiers.values()).most_common()),
        labelled_trials=len(session.labelled),
        clips_by_frames=dict(sorted(lengths.items())),
        video_dtype=str(open_array(session.file("videos", chosen[0])).dtype) if chosen else "none",
        statistics=session.statistics.present,
        frame_rate_hz=session.frame_rate_hz,
        screen_deg=session.screen.size_deg(),
    )
