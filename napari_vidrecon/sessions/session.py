"""`Session`: one mouse's recording, opened lazily."""

from __future__ import annotations

import functools
import hashlib
import logging
import operator
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from napari_vidrecon.errors import SessionError, number_of, one_line
from napari_vidrecon.sessions import trial_files
from napari_vidrecon.sessions.metadata import (
    TIERS_FILE,
    folder_fingerprint,
    read_coordinates,
    read_neuron_ids,
    read_shown_on,
    read_simulation,
    read_tiers,
    require_session_folder,
)
from napari_vidrecon.sessions.screen import ScreenGeometry
from napari_vidrecon.sessions.session_statistics import MovieStatistics, SessionStatistics
from napari_vidrecon.sessions.trial import (
    FOLDS,
    NO_MOVIE_LEVEL,
    SPONTANEOUS_TIER,
    ClipSource,
    Trial,
    fold_of,
    perceptual_hash,
)
from napari_vidrecon.sessions.trial_files import BEHAVIOR_STREAMS, STREAMS, clip_length, open_array, padded_length
from napari_vidrecon.storage import reading, user_path

__all__ = ["Session", "Trial", "open_session"]

logger = logging.getLogger(__name__)

LONGEST_SHOWN = 60
LONGEST_PATH = 400
KEY_LETTERS = 16
MOST_MEASURED_CLIPS = 24
TRAINING_TIER = "train"
BEHAVIOR_VIDEO = "behavior_video"
"""Not of the public format: a folder that a person may put beside its streams."""
LABELLED_TIERS = (TRAINING_TIER, "oracle")
EXCLUDED_TIER = "none"
OLD_MICE = (
    "dynamic29156-11-10",
    "dynamic29228-2-10",
    "dynamic29234-6-9",
    "dynamic29513-3-5",
    "dynamic29514-2-9",
)
"""Sessions of the 2023 pre-release whose test tiers were published later and count as training data."""


class Session:
    """One mouse's recording: who and what was recorded at once, every trial only when it is asked for.

    Made by `open_session`.

    Attributes
    ----------
    name, path
        Name of the folder, and the folder.
    path
        The session folder.
    trial_ids
        All trials, ascending.
    tiers
        {trial id: tier}.
    neuron_ids
        (N,) integers.
    coordinates
        (N, 3) float32, position in cortex [x, y, z] in µm, or None.
    frame_rate_hz
        Frames a second; as config.json says, else 30.
    screen
        Size, distance and pixels of the screen; as config.json says, else those of the public recordings.
    statistics
        The recording's own statistics, where the folder holds them.
    simulation
        What the simulation says about itself, or None for a recording.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> session = vr.open_session(vr.find_sample().session)
    >>> session.n_neurons, session.simulated
    (1000, True)
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        shown_on = read_shown_on(path)
        self.frame_rate_hz: float = shown_on.frame_rate_hz
        self.screen: ScreenGeometry = shown_on.screen
        self.recorded_behavior: tuple[str, ...] | None = shown_on.behavior
        self.statistics = SessionStatistics(path / "meta" / "statistics", path)
        self.tiers = read_tiers(path)
        self.trial_ids = tuple(self.tiers)
        self.neuron_ids = read_neuron_ids(path)
        self.coordinates = read_coordinates(path, self.n_neurons)
        self.simulation = read_simulation(path)
        self._movies: MovieStatistics | None = None
        self._hashes: dict[int, int] = {}
        self._told_of_gaps = False
        self._stamp = self._present_stamp()

    def __repr__(self) -> str:
        return f"Session({self.name!r}, {len(self.trial_ids)} trials, {self.n_neurons} neurons)"

    @property
    def n_neurons(self) -> int:
        """Number of recorded neurons N."""
        return int(self.neuron_ids.size)

    @property
    def neuron_keys(self) -> dict[str, str]:
        """What tells these neurons, in their order, from others: hashes of their ids and of the order of positions."""
        keys = {"ids": self.neuron_ids.astype(np.int64)}
        if self.coordinates is not None:
            # Of positions in other units the order is the same.
            keys["positions"] = np.lexsort(np.asarray(self.coordinates).T).astype(np.int64)
        return {name: hashlib.sha256(value.tobytes()).hexdigest()[:KEY_LETTERS] for name, value in keys.items()}

    @property
    def simulated(self) -> bool:
        """Whether the mouse is a simulation."""
        return self.simulation is not None and self.simulation.get("simulated") is True

    def trials_in_tier(self, tier: str) -> list[int]:
        """Trials of one tier.

        Parameters
        ----------
        tier
            "train", "oracle", "live_test_main", ...

        Returns
        -------
        list[int]
            Their ids, ascending; empty where there is no such tier.
        """
        return [trial_id for trial_id, name in self.tiers.items() if name == tier]

    @functools.cached_property
    def labelled(self) -> tuple[int, ...]:
        """Ids of the trials whose responses are known, ascending."""
        return tuple(trial_id for trial_id in self.trial_ids if self._is_labelled(trial_id))

    def _is_labelled(self, trial_id: int) -> bool:
        tier = self.tiers[trial_id]
        if tier in LABELLED_TIERS or tier == EXCLUDED_TIER:
            return tier != EXCLUDED_TIER
        return trial_files.holds_responses(self.file("responses", trial_id), self.path)

    def has_movie(self, trial_id: int) -> bool:
        """Whether a trial says what was shown; only those of the tier "spontaneous" need not.

        Parameters
        ----------
        trial_id
            One of `trial_ids`.

        Returns
        -------
        bool
            False where no movie is stored.
        """
        return self.tiers[trial_id] != SPONTANEOUS_TIER or os.path.lexists(self.file("videos", trial_id))

    def file(self, stream: str, trial_id: int) -> Path:
        """Where one array of a trial lies.

        Parameters
        ----------
        stream
            "videos", "responses", "behavior" or "pupil_center".
        trial_id
            One of `trial_ids`.

        Returns
        -------
        Path
            The `.npy` file; it need not exist.
        """
        return self.path / "data" / stream / f"{trial_id}.npy"

    def trial(self, trial_id: int) -> Trial:
        """Read one clip, cut at the first NaN.

        Parameters
        ----------
        trial_id
            One of `trial_ids`.

        Returns
        -------
        Trial
            Its arrays, float32.

        Raises
        ------
        SessionError
            No such trial; a file of it is missing, damaged or unsafe; wrong shape or kind of numbers; NaN or infinite
            values within the clip; negative responses; fewer than 32 frames.

        Examples
        --------
        >>> import napari_vidrecon as vr
        >>> session = vr.open_session(vr.find_sample().session)
        >>> session.trial(0).video.shape
        (300, 36, 64)
        """
        trial_id = self._known(trial_id)
        self.require_folder()
        with reading(self.path, SessionError, f"a trial {trial_id} that can be read"):
            return self._read_clip(trial_id)

    def require_folder(self) -> None:
        """Refuse to read, or to write beside it, where the session's folder is gone, or is another's.

        Raises
        ------
        SessionError
            It was moved, renamed, deleted or replaced since it was opened.
        """
        if not os.path.isdir(self.path):  # noqa: PTH112  # has an answer for every path there is
            raise SessionError(
                f"{self.path}: expected the folder of the open session, found nothing there; it was moved, renamed or "
                "deleted: open the session again where it is now"
            )
        stamp = self._present_stamp()
        if stamp != self._stamp:
            if Session(self.path)._identity != self._identity:
                raise SessionError(
                    f"{self.path}: expected the session that was opened from there, found that another one was put "
                    "into its place: open it again"
                )
            self._stamp = stamp

    def _present_stamp(self) -> tuple[int, ...]:
        """Changes when something else lies at the session's place; nothing where that cannot be said."""
        try:
            told = os.stat(self.path / TIERS_FILE)  # noqa: PTH116  # as above
        except OSError:
            return ()
        return told.st_ino, told.st_size, told.st_mtime_ns

    @property
    def _identity(self) -> tuple[object, ...]:
        return self.tiers, self.neuron_keys, self.screen, self.frame_rate_hz

    def _read_clip(self, trial_id: int) -> Trial:
        labelled = self._is_labelled(trial_id)
        movie = self.has_movie(trial_id)
        unknown = {*(() if labelled else ("responses",)), *(() if movie else ("videos",))}
        streams = [stream for stream in STREAMS if stream not in unknown]
        files = {stream: self.file(stream, trial_id) for stream in streams}
        arrays = {stream: self._open(stream, trial_id) for stream in streams}
        frames = clip_length(arrays["responses"][0]) if labelled else padded_length(arrays["behavior"][0])
        for fault in trial_files.length_faults(arrays, files, frames):
            raise fault.error()
        clips, missing = {}, 0
        for stream, array in arrays.items():
            clips[stream] = _float32(array[..., :frames], time_first=stream == "videos")
            if stream in BEHAVIOR_STREAMS:
                clips[stream], closed = trial_files.bridged(clips[stream], self.frame_rate_hz)
                missing += closed
            time_last = np.moveaxis(clips[stream], 0, -1) if stream == "videos" else clips[stream]
            for fault in trial_files.value_faults(time_last, files[stream], stream):
                raise fault.error()
        self._tell_of_gaps(trial_id, missing)
        if not movie:
            clips["videos"] = np.full((frames, self.screen.rows, self.screen.cols), NO_MOVIE_LEVEL, np.float32)
        return Trial(
            id=trial_id,
            tier=self.tiers[trial_id],
            has_movie=movie,
            video=clips["videos"],
            behavior=clips["behavior"],
            pupil_center=clips["pupil_center"],
            recorded_responses=np.maximum(clips["responses"], 0.0) if labelled else None,
            frame_rate_hz=self.frame_rate_hz,
            name=f"{self.name}, trial {trial_id}",
            simulated=self.simulated,
            source=ClipSource(str(self.path)),
            movies=self.movie_statistics,
            colours=self.screen.colours,
            recorded_behavior=self.recorded_behavior,
            bridged_behavior=missing,
        )

    def _tell_of_gaps(self, trial_id: int, missing: int) -> None:
        if missing and not self._told_of_gaps:
            self._told_of_gaps = True
            logger.warning(
                "%s: behaviour of trial %d is NaN in %s, for at most %g s at a time: interpolated; "
                "`vidrecon validate` counts the trials in which it is",
                one_line(str(self.path), LONGEST_PATH),
                trial_id,
                number_of(missing, "value"),
                trial_files.LONGEST_BRIDGED_S,
            )

    def movie_statistics(self) -> MovieStatistics | None:
        """Level, contrast and spectrum of the training movies, measured once.

        Returns
        -------
        MovieStatistics | None
            Of at most 24 clips of the tier "train", spread over the recording; where there is none, what a simulation
            tells of them; None where nothing does.
        """
        if self._movies is None and (told := (self.simulation or {}).get("movies")):
            self._movies = MovieStatistics(**told)
        if self._movies is None:
            ids = self.trials_in_tier(TRAINING_TIER)
            spread = np.linspace(0, len(ids) - 1, min(MOST_MEASURED_CLIPS, len(ids))).round().astype(int)
            try:
                videos = [self.trial(ids[index]).video for index in spread]
            except SessionError:
                # A clip that cannot be read says so where it is reconstructed or learned from.
                return None
            if videos:
                source = f"the training movies of {self.name}"
                self._movies = MovieStatistics.of(videos, self.frame_rate_hz, source, self.screen.planes)
        return self._movies

    def _known(self, trial_id: int) -> int:
        try:
            known = operator.index(trial_id)
        except TypeError:
            known = -1
        if known not in self.tiers:
            raise SessionError(
                f"{self.path}: expected a trial from {self.trial_ids[0]} to {self.trial_ids[-1]}, "
                f"found {_shown(trial_id)}"
            )
        return known

    def _open(self, stream: str, trial_id: int) -> np.ndarray:
        file = self.file(stream, trial_id)
        try:
            array = open_array(file, self.path)
        except SessionError:
            # Of a folder that is gone the folder is told, and not one of its files.
            self.require_folder()
            raise
        fault = trial_files.layout_fault(array, file, stream, self.n_neurons, self.screen)
        if fault is not None:
            raise fault.error()
        return array

    def behavior_video(self, trial_id: int) -> np.ndarray | None:
        """The video of the mouse beside a clip, where somebody has put one into the folder; see `docs/formats.md`.

        Parameters
        ----------
        trial_id
            One of `trial_ids`.

        Returns
        -------
        np.ndarray | None
            (rows, columns, frames) uint8 grey levels, at the frame rate of the clip, mapped; None without a file.

        Raises
        ------
        SessionError
            No such trial, or the file is no such video.
        """
        file = self.file(BEHAVIOR_VIDEO, self._known(trial_id))
        if not file.is_file():
            return None
        video, frames = open_array(file, self.path), self.clip_frames(trial_id)
        if video.ndim != 3 or video.dtype != np.uint8 or 0 in video.shape or video.shape[-1] < frames:
            raise SessionError(
                f"{file}: expected a uint8 video of shape (rows, columns, frames) with the {frames} frames of the "
                f"clip, found {video.dtype} of shape {video.shape}; store it so, or take the file away"
            )
        return video

    def clip_frames(self, trial_id: int) -> int:
        """Length of a clip, told by one padded row of its responses or, where it has none, one of its behaviour.

        Parameters
        ----------
        trial_id
            One of `trial_ids`.

        Returns
        -------
        int
            Frames.

        Raises
        ------
        SessionError
            No such trial, or a row cannot be read.
        """
        labelled = self._is_labelled(self._known(trial_id))
        # Looked for in any case: what is missing is told before a training has begun.
        behavior = self._open("behavior", trial_id)
        return clip_length(self._open("responses", trial_id)[0]) if labelled else padded_length(behavior[0])

    def clip_hash(self, trial_id: int) -> int:
        """Perceptual hash of a trial's video, whatever its padding; equal clips share it across sessions.

        Parameters
        ----------
        trial_id
            One of `trial_ids`.

        Returns
        -------
        int
            64 bits.

        Raises
        ------
        SessionError
            No such trial, or its video cannot be read.
        """
        trial_id = self._known(trial_id)
        with reading(self.file("videos", trial_id), SessionError, "a video"):
            return self._hash_clip(trial_id)

    def stored_video(self, trial_id: int) -> np.ndarray:
        """The movie of a trial as it lies on disk, without its padding; mapped, so only what is looked at is read.

        Parameters
        ----------
        trial_id
            One of `trial_ids`.

        Returns
        -------
        np.ndarray
            (rows, columns, T), grey levels, read-only.

        Raises
        ------
        SessionError
            No such trial, or its video cannot be read.
        """
        video = self._open("videos", self._known(trial_id))
        # A uint8 video cannot mark its end with NaN; the behaviour recorded with it tells where it ends.
        frames = clip_length(video[0, 0]) if video.dtype.kind == "f" else self.clip_frames(trial_id)
        return video[..., : min(frames, video.shape[-1])]

    def _hash_clip(self, trial_id: int) -> int:
        try:
            return perceptual_hash(np.moveaxis(self.stored_video(trial_id), -1, 0))
        except ValueError as error:
            raise SessionError(f"{self.file('videos', trial_id)}: {error}") from None

    def folds(self, folds: int = FOLDS, on_progress: Callable[[int, int], None] | None = None) -> dict[int, int]:
        """Fold of every trial that encoders are trained or tested on.

        Those are the tiers train and oracle; in the five old mice of the competition every tier but none.
        The first call reads every such video; later ones remember the hashes.

        Parameters
        ----------
        folds
            Number of folds.
        on_progress
            Called with the number of clips hashed so far and the number in all.

        Returns
        -------
        dict[int, int]
            {trial id: fold 0..folds-1}, ascending.

        Raises
        ------
        SessionError
            A video cannot be read.

        References
        ----------
        Baikulov 2023; Bauer et al. 2026 hold out fold 0.
        """
        chosen = [trial_id for trial_id in self.trial_ids if self._takes_part_in_folds(trial_id)]
        found = {}
        for done, trial_id in enumerate(chosen, start=1):
            found[trial_id] = self._fold(trial_id, folds)
            if on_progress is not None:
                on_progress(done, len(chosen))
        return found

    def fold_of_trial(self, trial_id: int) -> int | None:
        """Fold of one trial, without a look at the others.

        Parameters
        ----------
        trial_id
            The trial.

        Returns
        -------
        int | None
            0 and up; None for a trial of a tier that takes no part in folds.
        """
        return self._fold(trial_id, FOLDS) if self._takes_part_in_folds(trial_id) else None

    def _fold(self, trial_id: int, folds: int) -> int:
        if trial_id not in self._hashes:
            self._hashes[trial_id] = self.clip_hash(trial_id)
        return fold_of(self._hashes[trial_id], folds)

    def _takes_part_in_folds(self, trial_id: int) -> bool:
        if self.name.partition("-Video")[0] in OLD_MICE:
            return self.tiers[trial_id] != EXCLUDED_TIER
        return self.tiers[trial_id] in LABELLED_TIERS

    def trials_in_fold(self, fold: int, folds: int = FOLDS) -> list[int]:
        """Trials of one fold; the paper names its clips by position in fold 0.

        Parameters
        ----------
        fold
            0..folds-1.
        folds
            Number of folds.

        Returns
        -------
        list[int]
            Their ids, ascending.

        Raises
        ------
        SessionError
            A video cannot be read.
        """
        return [trial_id for trial_id, its_fold in self.folds(folds).items() if its_fold == fold]

    def average_behavior(self) -> tuple[np.ndarray, np.ndarray]:
        """Constant behaviour for synthetic stimuli: the largest, over frames, of the mean over trials.

        Taken from the session's statistics; where it holds none, from the trials themselves.

        Returns
        -------
        behavior (2,), pupil_center (2,)
            float32.

        Raises
        ------
        SessionError
            The statistics or the arrays they are taken from cannot be read.

        References
        ----------
        Bauer et al. 2026, synthetic stimuli of Fig. 4.
        """
        with reading(self.path, SessionError, "behaviour that can be averaged"):
            return self._largest_mean("behavior"), self._largest_mean("pupil_center")

    def _largest_mean(self, stream: str) -> np.ndarray:
        mean = self.statistics.get(stream, "mean")
        if mean is None:
            mean = self._mean_over_trials(stream)
        shape = mean.shape
        mean = np.asarray(mean, dtype=np.float64).reshape(2, -1) if shape[:1] == (2,) and mean.size else None
        if mean is None or np.isnan(mean).all(axis=1).any():
            raise SessionError(f"{self.path}: expected two mean values of {stream}, found shape {shape} or only NaN")
        with np.errstate(over="ignore"):
            largest = np.nanmax(mean, axis=1).astype(np.float32)
        if not np.isfinite(largest).all():
            raise SessionError(f"{self.path}: expected finite mean values of {stream}, found infinite ones")
        return largest

    def _mean_over_trials(self, stream: str) -> np.ndarray:
        chosen = [trial_id for trial_id, tier in self.tiers.items() if tier != EXCLUDED_TIER]
        arrays = [np.array(self._open(stream, trial_id), dtype=np.float64) for trial_id in chosen]
        total = np.zeros((2, max((array.shape[1] for array in arrays), default=0)))
        count = np.zeros_like(total)
        for array in arrays:
            total[:, : array.shape[1]] += np.nan_to_num(array)
            count[:, : array.shape[1]] += ~np.isnan(array)
        return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)

    def fingerprint(self) -> str:
        """SHA-256, as hexadecimal, of names and sizes of all files and the content of the small ones in meta.

        Cheap: no trial is read, so a change of values that keeps a file's size goes unseen.

        Returns
        -------
        str
            64 digits.
        """
        return folder_fingerprint(self.path)


def open_session(path: Path | str) -> Session:
    """Open a session folder in the public Sensorium 2023 format; no trial is read yet.

    Parameters
    ----------
    path
        The folder that holds `data` and `meta`.

    Returns
    -------
    Session
        Trials are read when they are asked for.

    Raises
    ------
    SessionError
        Not such a folder, or its tiers, neurons or simulation notes cannot be read.
    ConfigError
        No path at all.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> session = vr.open_session(vr.find_sample().session)
    >>> session.name, session.tiers[0]
    ('simulated_mouse', 'live_test_main')
    """
    # Unlike Path.resolve, this keeps the name under which the user knows a linked folder.
    path = Path(os.path.abspath(os.path.expanduser(user_path(path))))  # noqa: PTH100, PTH111
    with reading(one_line(path), SessionError, "a readable session folder"):
        require_session_folder(path)
        return Session(path)


def _shown(value: object) -> str:
    try:
        return one_line(repr(value), LONGEST_SHOWN)
    except ValueError:
        return "a number of thousands of digits"


def _float32(clip: np.ndarray, *, time_first: bool) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.array(np.moveaxis(clip, -1, 0) if time_first else clip, dtype=np.float32, order="C")
