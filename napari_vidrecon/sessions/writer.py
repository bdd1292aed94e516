"""Writing a session folder in the public Sensorium 2023 layout, trial by trial; what of a folder is not of it."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_vidrecon.errors import SessionError, StorageError
from napari_vidrecon.sessions.metadata import (
    CONFIG_FILE,
    COORDINATES_FILE,
    NEURON_IDS_FILE,
    SIMULATION_FILE,
    TIERS_FILE,
)
from napari_vidrecon.sessions.screen import USUAL_SCREEN, ScreenGeometry
from napari_vidrecon.sessions.session_statistics import STATISTICS, FrameStatistics
from napari_vidrecon.sessions.trial import SPONTANEOUS_TIER, Trial
from napari_vidrecon.sessions.trial_files import LONGEST_CLIP_FRAMES, STREAMS
from napari_vidrecon.storage import disk_errors, recover_folder, replacing_folder, user_path

TRIAL_IDS_FILE = "meta/trials/trial_idx.npy"
REPORT_FILE, REPORT_TEXT_FILE = "import.json", "import.txt"
NUMBERED_FILE = re.compile(r"(?P<folder>.+)/(0|[1-9][0-9]{0,8})\.npy")


@dataclass(frozen=True)
class Layout:
    """Which files of a folder this program writes.

    Parameters
    ----------
    files
        Their paths in it.
    numbered
        Folders in it whose files are named by number: `0.npy`, `1.npy` ...
    """

    files: frozenset[str]
    numbered: tuple[str, ...] = ()

    def with_files(self, names: Iterable[str]) -> Layout:
        """The same with more files."""
        return replace(self, files=self.files | {Path(name).as_posix() for name in names})

    @property
    def folders(self) -> frozenset[str]:
        """Folders that it makes; what else lies in one of them is looked at piece by piece."""
        above = (str(parent) for name in self.files for parent in Path(name).parents)
        return frozenset({*above, *self.numbered, *(str(Path(name).parent) for name in self.numbered)})

    def belongings(self, folder: Path) -> list[str]:
        """What lies in a folder and is not of this layout, as paths inside it; a folder as a whole ends in /."""
        return sorted(self._theirs(folder, "", self.folders))

    def _theirs(self, folder: Path, prefix: str, folders: frozenset[str]) -> Iterator[str]:
        with os.scandir(folder / prefix) as entries:
            for entry in entries:
                name = f"{prefix}{entry.name}"
                if not entry.is_dir(follow_symlinks=False):
                    if not self._writes(name):
                        yield name
                elif name in folders:
                    yield from self._theirs(folder, f"{name}/", folders)
                else:
                    yield f"{name}/"

    def _writes(self, name: str) -> bool:
        numbered = NUMBERED_FILE.fullmatch(name)
        return name in self.files or (numbered is not None and numbered["folder"] in self.numbered)

    def left_in(self, old: Path, new: Path) -> list[str]:
        """What moves from a folder into the one that takes its place.

        Returns
        -------
        list[str]
            Paths inside the folder.

        Raises
        ------
        StorageError
            It stands where a file of the new one must go.
        """
        theirs = self.belongings(old)
        for name in theirs:
            if os.path.lexists(new / name):
                raise StorageError(
                    f"{old / name}: expected what may be replaced, found something that this program did not write; "
                    "move it away first"
                )
        return theirs


SESSION = Layout(
    frozenset(
        {
            *(TIERS_FILE, TRIAL_IDS_FILE, NEURON_IDS_FILE, COORDINATES_FILE),
            *(CONFIG_FILE, SIMULATION_FILE, REPORT_FILE, REPORT_TEXT_FILE),
            *(f"meta/statistics/{stream}/all/{name}.npy" for stream in STREAMS for name in STATISTICS),
        }
    ),
    tuple(f"data/{stream}" for stream in STREAMS),
)


def require_session_or_nothing(folder: Path) -> None:
    """Refuse to write a session where other things lie.

    Raises
    ------
    StorageError
        They do.
    """
    if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not ((folder / TIERS_FILE).is_file() and (folder / "data").is_dir()):
        raise StorageError(f"{folder}: expected a free name for the session, found other files; choose another name")


def require_replaceable(
    folder: Path, replace: bool, *, mark: str = REPORT_FILE, found: str = "an imported one"
) -> None:
    """Refuse a place for a session where other files lie, and clear up there after processes that were killed.

    Parameters
    ----------
    folder
        The session folder to write.
    replace
        Whether a session of the same origin may be replaced.
    mark
        File that only a session of this origin has.
    found
        What such a session is called in the message.

    Raises
    ------
    StorageError
        Something lies there that may not be replaced.
    """
    with disk_errors(folder):
        recover_folder(folder)
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            return
        is_of_this_origin = (folder / mark).is_file()
    if not is_of_this_origin:
        raise StorageError(f"{folder}: expected a free name for the session, found other files; choose another name")
    if not replace:
        raise StorageError(
            f"{folder}: expected a free name for the session, found {found}; "
            "give --overwrite to replace it, or another name"
        )


PADDED_FRAMES = 324
LONGEST_TIER_NAME = 16
SMALL_STATISTICS = ("behavior", "pupil_center")
"""What synthetic stimuli need: the behaviour they are shown with."""

VideoDtype = Literal["float32", "uint8"]


def write_session(
    folder: Path | str,
    trials: Iterable[Trial],
    *,
    coordinates: np.ndarray | None,
    unit_ids: np.ndarray | None = None,
    video_dtype: VideoDtype = "uint8",
    small: bool = False,
    padded_frames: int = PADDED_FRAMES,
    screen: ScreenGeometry = USUAL_SCREEN,
    extra_files: Mapping[str, str] | None = None,
    on_trial: Callable[[int], None] | None = None,
) -> Path:
    """Write a session folder; it appears whole or not at all, and only one trial is held at a time.

    Parameters
    ----------
    folder
        Where the session goes. A session that stood there is replaced when the new one is complete; what a person had
        put into it stays where it was.
    trials
        The trials, in the order that numbers them 0, 1, 2 … (their own ids are not kept); may be a generator. A trial
        without responses gets no responses file.
    coordinates
        (N, 3) cortical position of each neuron [x, y, z], µm; None where unknown, then give `unit_ids`.
    unit_ids
        (N,) integer names of the neurons; 1..N by default.
    video_dtype
        "float32" pads videos with NaN as the public sessions do; "uint8" rounds to whole grey levels and stores the
        clip's frames only.
    small
        Store responses as float16 and leave out the statistics of responses and videos; for shipping.
    padded_frames
        Columns of every float array; frames after the clip's end are NaN.
    screen
        Its size and distance; rows and columns are those of the videos, the frame rate is that of the trials.
    extra_files
        Text files to add, by their path relative to the session folder.
    on_trial
        Called with the number of trials written so far.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    SessionError
        A trial does not fit the neurons, the first trial's screen or the number of columns.
    StorageError
        The disk is full, read-only, or writing is not permitted; or what stands there is no session.

    References
    ----------
    Layout of the Sensorium 2023 sessions. The medians in `meta/statistics` are taken over at most 15 trials, the
    other statistics over all.
    """
    folder = user_path(folder)
    coordinates, unit_ids = _require_neurons(folder, coordinates, unit_ids)
    neurons = len(unit_ids)
    with disk_errors(folder):
        # A link to a session stays one: the session at its other end is replaced.
        place = Path(os.path.realpath(folder)) if folder.is_symlink() else folder
        recover_folder(place)
        require_session_or_nothing(place)
    layout = SESSION.with_files(extra_files or {})
    with replacing_folder(place, theirs=lambda old: layout.left_in(old, draft)) as draft:
        tiers, shown = _write_trials(draft, trials, neurons, video_dtype, small, padded_frames, on_trial)
        _save(draft / NEURON_IDS_FILE, unit_ids)
        if coordinates is not None:
            _save(draft / COORDINATES_FILE, coordinates)
        _save(draft / TIERS_FILE, np.array(tiers, dtype=f"<U{LONGEST_TIER_NAME}"))
        _save(draft / TRIAL_IDS_FILE, np.arange(len(tiers)))
        config: dict[str, Any] = {"links": {}, "frame_rate_hz": shown.rate_hz, "padded_frames": padded_frames}
        rows, columns = shown.size_px
        screen = dataclasses.replace(screen, rows=rows, cols=columns)
        if screen != USUAL_SCREEN:
            config["screen"] = dataclasses.asdict(screen)
            if not screen.colours:
                del config["screen"]["colours"]
        if shown.behavior is not None:
            config["behavior"] = list(shown.behavior)
        _write_text(draft, CONFIG_FILE, json.dumps(config, indent=2) + "\n")
        for name, text in (extra_files or {}).items():
            _write_text(draft, name, text)
    return folder


def _require_neurons(
    folder: Path, coordinates: np.ndarray | None, unit_ids: np.ndarray | None
) -> tuple[np.ndarray | None, np.ndarray]:
    if coordinates is None:
        if unit_ids is None:
            raise SessionError(f"{folder}: expected coordinates or unit ids of the neurons, found neither; give one")
        return None, np.asarray(unit_ids)
    coordinates = np.asarray(coordinates)
    if coordinates.ndim != 2 or coordinates.shape[1] != 3:
        raise SessionError(
            f"{folder}: expected coordinates of shape (neurons, 3), found {coordinates.shape}; "
            "give x, y and z in µm for every neuron"
        )
    neurons = len(coordinates)
    unit_ids = np.arange(1, neurons + 1) if unit_ids is None else np.asarray(unit_ids)
    if unit_ids.shape != (neurons,):
        raise SessionError(f"{folder}: expected {neurons} unit ids, one for each neuron, found {unit_ids.shape}")
    return coordinates, unit_ids


def _write_trials(
    draft: Path,
    trials: Iterable[Trial],
    neurons: int,
    video_dtype: VideoDtype,
    small: bool,
    padded_frames: int,
    on_trial: Callable[[int], None] | None,
) -> tuple[list[str], Shown]:
    """Write every trial's arrays and the statistics over them; return the tiers, and what all have in common."""
    streams = SMALL_STATISTICS if small else tuple(STREAMS)
    statistics = {stream: FrameStatistics(padded_frames) for stream in streams}
    tiers: list[str] = []
    shown: Shown | None = None
    for trial in trials:
        shown = shown or Shown(trial.video.shape[1:], trial.frame_rate_hz, trial.recorded_behavior)
        _require_fit(trial, neurons, shown, padded_frames)
        if not trial.has_movie and trial.tier != SPONTANEOUS_TIER:
            raise SessionError(
                f"{trial.name}: expected the tier {SPONTANEOUS_TIER}, as it has no movie, found {trial.tier}"
            )
        for stream, array in _arrays(trial, video_dtype, padded_frames).items():
            stored = array.astype(np.float16) if small and stream == "responses" else array
            _save(draft / "data" / stream / f"{len(tiers)}.npy", stored)
            if stream in statistics:
                statistics[stream].add(array[..., : trial.frames])
        tiers.append(trial.tier)
        if on_trial is not None:
            on_trial(len(tiers))
    if shown is None:
        raise SessionError("expected at least one trial to write into a session, found none")
    for stream, gathered in statistics.items():
        if not (draft / "data" / stream).exists():
            continue
        for name, values in gathered.summary().items():
            _save(draft / "meta/statistics" / stream / "all" / f"{name}.npy", values)
    return tiers, shown


@dataclass(frozen=True)
class Shown:
    """What the videos of all trials have in common.

    Parameters
    ----------
    size_px
        Rows and columns.
    rate_hz
        Frames a second.
    behavior
        Names of what was recorded of it; None where nothing tells.
    """

    size_px: tuple[int, ...]
    rate_hz: float
    behavior: tuple[str, ...] | None = None


def _require_fit(trial: Trial, neurons: int, shown: Shown, padded_frames: int) -> None:
    longest = min(padded_frames, LONGEST_CLIP_FRAMES)
    if not 0 < trial.frames <= longest:
        wider = f" or give padded_frames={trial.frames}" if 0 < trial.frames <= LONGEST_CLIP_FRAMES else ""
        raise SessionError(f"{trial.name}: expected 1 to {longest} frames, found {trial.frames}; cut the clip{wider}")
    if trial.video.shape[1:] != shown.size_px:
        raise SessionError(
            f"{trial.name}: expected a video of {shown.size_px} pixels, as in the first trial, "
            f"found {trial.video.shape[1:]}"
        )
    if trial.frame_rate_hz != shown.rate_hz:
        raise SessionError(
            f"{trial.name}: expected {shown.rate_hz:g} frames a second, as in the first trial, "
            f"found {trial.frame_rate_hz:g}"
        )
    if trial.recorded_responses is not None and len(trial.recorded_responses) != neurons:
        raise SessionError(
            f"{trial.name}: expected responses of {neurons} neurons, as many as there are coordinates, "
            f"found {len(trial.recorded_responses)}"
        )
    if not 0 < len(trial.tier) <= LONGEST_TIER_NAME:
        raise SessionError(
            f"{trial.name}: expected a tier name of 1 to {LONGEST_TIER_NAME} characters, found '{trial.tier}'"
        )


def _arrays(trial: Trial, video_dtype: VideoDtype, padded_frames: int) -> dict[str, np.ndarray]:
    """What goes to disk, by stream, time last."""
    video = np.moveaxis(trial.video, 0, -1)
    if video_dtype == "uint8":
        stored = np.ascontiguousarray(np.clip(np.rint(video), 0, 255).astype(np.uint8))
    else:
        stored = _padded(video, padded_frames)
    arrays = {
        **({"videos": stored} if trial.has_movie else {}),
        "behavior": _padded(trial.behavior, padded_frames),
        "pupil_center": _padded(trial.pupil_center, padded_frames),
    }
    if trial.recorded_responses is not None:
        arrays["responses"] = _padded(trial.recorded_responses, padded_frames)
    return arrays


def _padded(array: np.ndarray, frames: int) -> np.ndarray:
    """Float32 copy with NaN after the last frame; the last axis is time."""
    padded = np.full((*array.shape[:-1], frames), np.nan, dtype=np.float32)
    padded[..., : array.shape[-1]] = array
    return padded


def _save(file: Path, array: np.ndarray) -> None:
    """Plainly: the whole session is a draft until it is complete."""
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, array, allow_pickle=False)


def _write_text(folder: Path, name: str, text: str) -> None:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise SessionError(f"{name}: expected a path inside the session folder; use a relative name without ..")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
