"""Training samples: windows drawn from the trials of one session, a pure function of seed and step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_vidrecon.encoders.windows import FrameWindows
from napari_vidrecon.errors import SessionError, one_line

if TYPE_CHECKING:
    from napari_vidrecon.sessions.session import Session

NEURONS_AT_ONCE = 1000
"""Whose activity is put together from many trials at once."""
CACHE_BYTES = 2 << 30
"""Memory for trials where nothing else is said."""


@dataclass(frozen=True)
class TrialArrays:
    """The arrays of a trial as they are kept in memory.

    Parameters
    ----------
    video
        (T, H, W) grey levels; uint8 where that loses nothing.
    behavior
        (4, T) pupil dilation, running, pupil x, pupil y.
    responses
        (N, T) >= 0.
    """

    video: np.ndarray
    behavior: np.ndarray
    responses: np.ndarray

    @property
    def nbytes(self) -> int:
        """Memory taken."""
        return self.video.nbytes + self.behavior.nbytes + self.responses.nbytes


@dataclass(frozen=True)
class Batch:
    """Windows of one session.

    Parameters
    ----------
    video
        (B, S, H, W) grey levels.
    behavior
        (B, 4, S) pupil dilation, running, pupil x, pupil y.
    responses
        (B, N, S) >= 0.
    """

    video: np.ndarray
    behavior: np.ndarray
    responses: np.ndarray

    @classmethod
    def of(cls, windows: Sequence[tuple[TrialArrays, np.ndarray]]) -> Batch:
        """Windows of trials, each with the frames that it sees."""
        return cls(
            np.stack([arrays.video[frames] for arrays, frames in windows]).astype(np.float32),
            np.stack([arrays.behavior[:, frames] for arrays, frames in windows]).astype(np.float32),
            np.stack([arrays.responses[:, frames] for arrays, frames in windows]).astype(np.float32),
        )


class SessionSamples:
    """Draws windows from the given trials of a session.

    Parameters
    ----------
    session
        Whose trials are drawn.
    trial_ids
        The trials to draw from, each with responses.
    windows
        The encoder's frame windows.
    cache_bytes
        Trials are kept in memory up to this size, and read again beyond it.
    """

    def __init__(
        self, session: Session, trial_ids: list[int], windows: FrameWindows, cache_bytes: int = CACHE_BYTES
    ) -> None:
        if not trial_ids:
            raise SessionError(
                f"{session.path}: expected trials to train on, found none of the wanted tier or fold; its tiers are "
                f"{one_line(', '.join(dict.fromkeys(session.tiers.values())))}: give the trials to learn from the "
                "tier train (meta/trials/tiers.npy), or name a fold"
            )
        self.session, self.trial_ids, self.windows = session, list(trial_ids), windows
        # Before anything is learned: a short one may be drawn first after an hour.
        self._require_long_enough()
        self.cache_bytes = cache_bytes
        self._kept: dict[int, TrialArrays] = {}
        self._kept_bytes = 0

    def _require_long_enough(self) -> None:
        windows = self.windows
        frames = {trial_id: self.session.clip_frames(trial_id) for trial_id in self.trial_ids}
        short = {trial_id: length for trial_id, length in frames.items() if length < windows.span}
        if not short:
            return
        trial_id, length = next(iter(short.items()))
        remedy = "give it the tier none" if len(short) == 1 else f"give it and {len(short) - 1} more the tier none"
        fewer = (min(frames.values()) - 1) // windows.step + 1
        if len(short) == len(frames) and fewer > 1:
            remedy = f"have it see fewer at once: --recipe window_size={fewer}"
        raise SessionError(
            f"{self.session.path}: trial {trial_id} has {length} frames, expected at least {windows.span}, which an "
            f"encoder sees at once; {remedy}"
        )

    def arrays(self, trial_id: int) -> TrialArrays:
        """A trial's arrays, from memory or from disk."""
        if trial_id in self._kept:
            return self._kept[trial_id]
        trial = self.session.trial(trial_id)
        compact = trial.video.astype(np.uint8)
        video = compact if np.array_equal(compact, trial.video) else trial.video
        arrays = TrialArrays(video, np.concatenate([trial.behavior, trial.pupil_center]), trial.responses)
        if self._kept_bytes + arrays.nbytes <= self.cache_bytes:
            self._kept[trial_id] = arrays
            self._kept_bytes += arrays.nbytes
        return arrays

    def draw(self, windows: int, seed: int, step: int, *stream: int) -> Batch:
        """So many windows for a step; the same seed, step and stream give the same ones.

        Parameters
        ----------
        windows
            How many, B.
        seed
            Of the training, >= 0.
        step
            Its number.
        stream
            Further numbers that tell draws of one step apart.

        Returns
        -------
        Batch
            Float32.
        """
        generator = np.random.default_rng([seed, step, *stream])
        drawn = []
        for trial_id in generator.choice(self.trial_ids, size=windows):
            arrays = self.arrays(int(trial_id))
            start = generator.integers(0, arrays.video.shape[0] - self.windows.span + 1)
            drawn.append((arrays, self.windows.indices(np.array([start]))[0]))
        return Batch.of(drawn)

    def whole_trial(self, trial_id: int) -> Batch:
        """Every frame of a trial once, as far as its windows reach.

        Returns
        -------
        Batch
            Windows that lie beside each other.
        """
        arrays, step = self.arrays(trial_id), self.windows.step
        spans = range(0, arrays.video.shape[0] - self.windows.span + 1, self.windows.size * step)
        starts = np.array([first + shift for first in spans for shift in range(step)])
        starts = starts[starts + self.windows.span <= arrays.video.shape[0]]
        return Batch.of([(arrays, frames) for frames in self.windows.indices(starts)])

    def statistics(self, most_trials: int = 60) -> SampleStatistics:
        """Means and spreads over at most `most_trials` trials."""
        chosen = self.trial_ids[:: max(1, len(self.trial_ids) // most_trials)][:most_trials]
        arrays = [self.arrays(trial_id) for trial_id in chosen]
        behavior = np.concatenate([each.behavior for each in arrays], axis=1)
        return SampleStatistics(
            behavior_mean=behavior.mean(axis=1),
            behavior_sd=behavior.std(axis=1) + 1e-3,
            response_mean=np.mean([each.responses.mean(axis=1) for each in arrays], axis=0),
            response_sd=self._spread([each.responses for each in arrays]) + 1e-3,
        )

    @staticmethod
    def _spread(responses: list[np.ndarray]) -> np.ndarray:
        """(N,) standard deviation over all frames; of thousands of neurons some at a time, as all take gigabytes."""
        starts = range(0, len(responses[0]), NEURONS_AT_ONCE)
        some = [[each[at : at + NEURONS_AT_ONCE] for each in responses] for at in starts]
        return np.concatenate([np.concatenate(each, axis=1).std(axis=1) for each in some])


@dataclass(frozen=True)
class SampleStatistics:
    """Mean and spread of what a session's samples hold.

    Parameters
    ----------
    behavior_mean, behavior_sd
        (4,) of pupil dilation, running, pupil x, pupil y.
    response_mean, response_sd
        (N,) of each neuron's activity.
    """

    behavior_mean: np.ndarray
    behavior_sd: np.ndarray
    response_mean: np.ndarray
    response_sd: np.ndarray
