"""Validation: every fault of a session folder, and a summary of what a sound one holds."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_vidrecon.errors import SessionError, number_of
from napari_vidrecon.sessions import metadata, trial_files
from napari_vidrecon.sessions.screen import ScreenGeometry
from napari_vidrecon.sessions.session import EXCLUDED_TIER, LABELLED_TIERS, Session
from napari_vidrecon.sessions.session_statistics import SessionStatistics
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ, SPONTANEOUS_TIER
from napari_vidrecon.sessions.trial_files import (
    BEHAVIOR_STREAMS,
    NOT_RECORDED_REMEDY,
    STREAMS,
    USUAL_REMEDY,
    Fault,
    clip_length,
    open_array,
    padded_length,
)
from napari_vidrecon.storage import check_inside, reading, user_path

__all__ = [
    "KNOWN_TIERS",
    "Fault",
    "SessionSummary",
    "behaviour_gaps",
    "later_needs",
    "session_summary",
    "validate_session",
]

KNOWN_TIERS = (
    *LABELLED_TIERS,
    "live_test_main",
    "live_test_bonus",
    "final_test_main",
    "final_test_bonus",
    SPONTANEOUS_TIER,
    EXCLUDED_TIER,
)
MOST_NAMED = 100
"""Files of a folder, or tiers, that are named one by one; of more the number is told."""
MOST_DIGITS = 9
FEWEST_HELD_OUT = 2
"""Clips that a mask is fitted on at least: it shows one on top of another."""
FEWEST_NEVER_SILENT = 10
"""So many neurons are not all silent for a whole clip."""
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
    path
        The session folder.
    full
        Look at every number; otherwise at headers, behaviour and eye position only, which is quick.
    on_progress
        Called with the number of trials checked and the number in all.

    Returns
    -------
    list[Fault]
        The faults, in the order of the folder; empty when the session is sound.
    """
    path = user_path(path)
    # Not Path.exists, which raises for a name longer than the system takes.
    if not os.path.isdir(path):  # noqa: PTH112
        found = "a file" if os.path.exists(path) else "nothing there"  # noqa: PTH110
        return [Fault(path, "a session folder", found, "choose the folder that holds data and meta")]
    return list(_Validation(path, full=full, on_progress=on_progress).faults())


OF_A_TIER = "rename it: train for clips to learn from, oracle for those held out to score on, none to leave them out"
PICTURES_REMEDY = "it holds pictures (Sensorium 2022), and this program reads movies (Sensorium 2023)"


class _Validation:
    def __init__(self, path: Path, *, full: bool, on_progress: Callable[[int, int], None] | None) -> None:
        self.path = path
        self.full = full
        self.on_progress = on_progress
        self.screen, self.frame_rate_hz = ScreenGeometry(), FRAME_RATE_HZ
        self.neurons: int | None = None
        self.tiers: dict[int, str] = {}
        self.clips_with_activity = self.constant_clips = 0

    def faults(self) -> Iterator[Fault]:
        yield from self._screen_faults()
        yield from self._neuron_faults()
        yield from self._tier_faults()
        yield from self._note_faults()
        yield from self._statistics_faults()
        streams: dict[str, frozenset[int]] = {}
        for stream in STREAMS:
            yield from self._folder_faults(stream, streams)
        for done, (trial_id, tier) in enumerate(self.tiers.items(), start=1):
            if tier != EXCLUDED_TIER:
                there = [stream for stream, missing in streams.items() if trial_id not in missing]
                yield from self._faults_of_trial(trial_id, tier, there)
            if self.on_progress is not None:
                self.on_progress(done, len(self.tiers))
        if self.constant_clips and self.constant_clips == self.clips_with_activity:
            yield Fault(
                self.path / "data" / "responses",
                "activity that changes over time",
                "one value for every neuron in each trial",
                "save activity frame by frame, neurons x frames, before averaging",
            )

    def _screen_faults(self) -> Iterator[Fault]:
        try:
            shown_on = metadata.read_shown_on(self.path)
            self.screen, self.frame_rate_hz = shown_on.screen, shown_on.frame_rate_hz
        except SessionError as error:
            yield Fault.of_unreadable(self.path / metadata.CONFIG_FILE, error)

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
                f"{number_of(bad, 'neuron')} without one",
                "remove the file or fill them in",
            )

    def _tier_faults(self) -> Iterator[Fault]:
        file = self.path / metadata.TIERS_FILE
        try:
            self.tiers = metadata.read_tiers(self.path)
        except SessionError as error:
            yield Fault.of_unreadable(file, error)
            videos = self.path / "data" / "videos"
            names: set[str] = set()
            with contextlib.suppress(OSError):
                names = _names(videos)
            stems = [name.removesuffix(".npy") for name in names if name.endswith(".npy")]
            ids = sorted(int(stem) for stem in stems if stem.isdecimal() and len(stem) <= MOST_DIGITS)
            self.tiers = dict.fromkeys(ids[: metadata.MOST_TRIALS], LABELLED_TIERS[0])
            return
        expected = f"tiers out of {', '.join(KNOWN_TIERS)}"
        unknown = sorted(set(self.tiers.values()) - set(KNOWN_TIERS))
        for tier in unknown[:MOST_NAMED]:
            yield Fault(file, expected, repr(tier), OF_A_TIER)
        if len(unknown) > MOST_NAMED:
            yield Fault(file, expected, f"{len(unknown) - MOST_NAMED} more", "rename these tiers")

    def _note_faults(self) -> Iterator[Fault]:
        try:
            metadata.read_simulation(self.path)
        except SessionError as error:
            yield Fault.of_unreadable(self.path / metadata.SIMULATION_FILE, error)

    def _statistics_faults(self) -> Iterator[Fault]:
        statistics = SessionStatistics(self.path / "meta" / "statistics", self.path)
        for name in statistics.present:
            stream, which, statistic = name.split("/")
            file = statistics.file(stream, statistic, which)
            try:
                values = open_array(file, self.path)
            except SessionError as error:
                yield Fault.of_unreadable(file, error)
                continue
            leading = {"videos": (self.screen.rows, self.screen.cols), "responses": (self.neurons,)}.get(stream, (2,))
            if values.dtype.kind not in "fiu":
                yield Fault(file, "numbers per channel", str(values.dtype), "remove the file")
            elif None not in leading and values.shape[: len(leading)] != leading:
                yield Fault(
                    file,
                    f"an array of shape {(*leading, 'frames')}",
                    f"shape {values.shape}",
                    "remove the file",
                )

    def _folder_faults(self, stream: str, streams: dict[str, frozenset[int]]) -> Iterator[Fault]:
        """What is wrong with one folder of trials; one that can be used joins the streams, with what it lacks."""
        folder = self.path / "data" / stream
        if not folder.is_dir():
            remedy = NOT_RECORDED_REMEDY if stream in BEHAVIOR_STREAMS else "fetch what is missing of the session"
            if stream == "videos" and (folder.parent / "images").is_dir():
                remedy = PICTURES_REMEDY
            yield Fault(folder, "a folder of trials", "nothing there", remedy)
            return
        try:
            check_inside(self.path, folder, SessionError)
            with reading(folder, SessionError, "a readable folder"):
                names = _names(folder)
        except SessionError as error:
            yield Fault.of_unreadable(folder, error)
            return
        numbered = {f"{trial_id}.npy" for trial_id in self.tiers}
        if numbered and not names & numbered and len(names) >= len(numbered):
            # A lab's own numbers of trials: nothing is missing, and nothing is to be removed.
            first, last = (sorted(names, key=lambda name: (len(name), name))[end] for end in (0, -1))
            streams[stream] = frozenset(self.tiers)
            wanted = f"files 0.npy to {len(numbered) - 1}.npy, numbered as in the list of tiers"
            yield Fault(folder, wanted, f"{first} to {last}", "rename them in this order, in every folder alike")
            return
        yield from self._stray_faults(folder, names)
        missing = [
            trial_id
            for trial_id, tier in self.tiers.items()
            if f"{trial_id}.npy" not in names
            and tier != EXCLUDED_TIER
            and (tier in LABELLED_TIERS or stream != "responses")
        ]
        if len(missing) <= MOST_NAMED:
            streams[stream] = frozenset()
            return
        streams[stream] = frozenset(missing)
        found = f"{len(missing)} missing, the first {missing[0]}.npy"
        yield Fault(folder, f"a file for each of {len(self.tiers)} trials", found, USUAL_REMEDY)

    def _stray_faults(self, folder: Path, names: set[str]) -> Iterator[Fault]:
        expected = {f"{trial_id}.npy" for trial_id in self.tiers}
        wanted = f"only files of the {len(expected)} trials in the list of tiers"
        stray = sorted(names - expected)
        for name in stray[:MOST_NAMED]:
            yield Fault(folder / name, wanted, "another file", "remove it")
        if len(stray) > MOST_NAMED:
            yield Fault(folder, wanted, f"{len(stray) - MOST_NAMED} more", "remove them")

    def _faults_of_trial(self, trial_id: int, tier: str, streams: list[str]) -> Iterator[Fault]:
        try:
            with reading(self.path, SessionError, f"a trial {trial_id} that can be read"):
                yield from self._trial_faults(trial_id, tier, streams)
        except SessionError as error:
            yield Fault.of_unreadable(self.path, error)

    def _trial_faults(self, trial_id: int, tier: str, streams: list[str]) -> Iterator[Fault]:
        files = {stream: self.path / "data" / stream / f"{trial_id}.npy" for stream in streams}
        withheld = "responses" in files and not trial_files.holds_responses(files["responses"], self.path)
        if withheld and tier not in LABELLED_TIERS:
            del files["responses"]
        if tier == SPONTANEOUS_TIER and not os.path.lexists(self.path / "data" / "videos" / f"{trial_id}.npy"):
            files.pop("videos", None)
        arrays: dict[str, np.ndarray] = {}
        for stream, file in files.items():
            try:
                array = open_array(file, self.path)
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
        frames = clip_length(decisive[0]) if "responses" in arrays else padded_length(decisive[0])
        yield from trial_files.length_faults(arrays, files, frames)
        for stream, array in arrays.items():
            if self.full or stream in BEHAVIOR_STREAMS:
                clip = array[..., :frames]
                if stream in BEHAVIOR_STREAMS:
                    clip, _ = trial_files.bridged(clip, self.frame_rate_hz)
                yield from self._value_faults(clip, files[stream], stream, tier)

    def _value_faults(self, clip: np.ndarray, file: Path, stream: str, tier: str) -> Iterator[Fault]:
        faults = list(trial_files.value_faults(clip, file, stream))
        yield from faults
        if faults or clip.size == 0 or stream not in ("videos", "responses"):
            return
        highest = float(clip.max())
        if stream == "videos" and clip.dtype.kind == "f" and 0.0 < highest <= DARKEST_PLAUSIBLE_MAXIMUM:
            yield Fault(file, "grey levels from 0 to 255", f"values up to {highest:g}", "multiply the video by 255")
        if stream != "responses" or tier not in LABELLED_TIERS:
            return
        self.clips_with_activity += 1
        if highest > 0.0 or len(clip) < FEWEST_NEVER_SILENT:
            self.constant_clips += bool((clip == clip[:, :1]).all())
        else:
            yield Fault(file, f"recorded responses in tier {tier}", "only zeros", "restore them or change the tier")


def _names(folder: Path) -> set[str]:
    """Names of what lies in a folder; what systems hide there (`.DS_Store`, `._0.npy`) is none of the session."""
    return {entry.name for entry in os.scandir(folder) if not entry.name.startswith(".")}


def later_needs(tiers: Mapping[int, str]) -> list[str]:
    """Say what a sound session lacks for what is done with it later.

    Parameters
    ----------
    tiers
        {trial id: tier}.

    Returns
    -------
    list[str]
        A sentence each; empty if training, scores and masks have what they need.
    """
    counts = Counter(tiers.values())
    learned_from, held_out = LABELLED_TIERS
    needs = []
    if not counts[learned_from]:
        needs.append(f"no clip of the tier {learned_from}, which an encoder and the session's own prior learn from")
    if counts[held_out] < FEWEST_HELD_OUT:
        needs.append(
            f"{number_of(counts[held_out], 'clip')} of the tier {held_out}: a mask needs {FEWEST_HELD_OUT} that no "
            f"encoder learned from, and a training is scored on them; call some of the tier {learned_from} so in "
            f"{metadata.TIERS_FILE}"
        )
    return needs


def behaviour_gaps(session: Session) -> list[str]:
    """Say where behaviour is missing for so short that it is interpolated as it is read.

    Parameters
    ----------
    session
        One without a fault.

    Returns
    -------
    list[str]
        A sentence; empty where nothing is missing.

    Raises
    ------
    SessionError
        A trial cannot be read.
    """
    missing = {}
    for trial_id in (each for each, tier in session.tiers.items() if tier != EXCLUDED_TIER):
        frames = session.clip_frames(trial_id)
        clips = [np.array(open_array(session.file(each, trial_id))[:, :frames]) for each in BEHAVIOR_STREAMS]
        missing[trial_id] = sum(trial_files.bridged(clip, session.frame_rate_hz)[1] for clip in clips)
    trials = [trial_id for trial_id, values in missing.items() if values]
    if not trials:
        return []
    named = ", ".join(map(str, trials[:MOST_NAMED])) + ", ..." * (len(trials) > MOST_NAMED)
    of = f"behaviour of {number_of(len(trials), 'trial')} is NaN in {number_of(sum(missing.values()), 'value')}"
    longest = trial_files.LONGEST_BRIDGED_S
    return [f"{of}, for at most {longest:g} s at a time: interpolated where it is read (trial {named})"]


@dataclass(frozen=True)
class SessionSummary:
    """What a session holds, at a glance.

    Parameters
    ----------
    name, path
        The folder.
    simulated
        The mouse is a simulation.
    neurons
        Number of neurons N.
    coordinates
        Positions in cortex are known.
    trials_by_tier
        {tier: number of trials}, most frequent first.
    labelled_trials
        Number of trials whose responses are known.
    clips_by_frames
        {length in frames: number of trials}, ascending; trials of the tier none left out.
    video_dtype
        Kind of numbers in which the first video is stored.
    statistics
        Names "stream/which/statistic" of the statistics there.
    frame_rate_hz
        Frames a second.
    screen_deg
        Height and width of the screen in degrees.
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

    Returns
    -------
    SessionSummary
        Numbers for people.

    Raises
    ------
    SessionError
        One of those files cannot be read.
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
        video_dtype=_video_dtype(session, chosen),
        statistics=session.statistics.present,
        frame_rate_hz=session.frame_rate_hz,
        screen_deg=session.screen.size_deg(),
    )


def _video_dtype(session: Session, trial_ids: Sequence[int]) -> str:
    shown = next((each for each in trial_ids if session.has_movie(each)), None)
    return "none" if shown is None else str(open_array(session.file("videos", shown), session.path).dtype)
