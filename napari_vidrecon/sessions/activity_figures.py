"""Activity in figures: what a recording is like beside the ten public mice, and what its units or signal may be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from napari_vidrecon.errors import number_of
from napari_vidrecon.sessions.session import EXCLUDED_TIER, Session
from napari_vidrecon.sessions.trial import SPONTANEOUS_TIER

SILENT = 1e-3
"""A sample below this is a zero: deconvolution leaves tiny values where nothing happened."""
MOST_TRIALS = 24
MOST_CLIPS_COMPARED = 60
"""So many trials are looked at for the figures, and so many clips for repeats: a look must not read a whole session."""
FEWEST_SHARED = 0.1
"""With fewer zeros than this the activity was most likely not deconvolved, or smoothed."""
SCALE_CERTAIN = 3.0
"""A mean so many times off, with a usual SD over mean, is a matter of units."""


class Range(NamedTuple):
    """What the public mice have.

    Parameters
    ----------
    medians
        Lowest and highest of the ten medians over neurons.
    neurons
        Lowest 10th and highest 90th percentile of single neurons in any of the ten.
    """

    medians: tuple[float, float]
    neurons: tuple[float, float]


PUBLIC = {
    "mean": Range((1.7, 3.3), (0.8, 9.9)),
    "sd_over_mean": Range((4.4, 5.0), (3.2, 6.7)),
    "variance_over_mean": Range((39.0, 69.0), (12.0, 250.0)),
}
"""Of deconvolved responses at 30 Hz, all frames: statistics per neuron of the mice A to J, as published by
bryanlimy/ViV1T-closed-loop (MIT; of data under CC BY-NC-ND 4.0)."""
PUBLIC_ZEROS = 0.5
"""At least this share of the samples: the median of nearly every neuron is about 1e-7."""


@dataclass(frozen=True)
class ActivityFigures:
    """A recording's activity in figures; each is a median over neurons.

    Parameters
    ----------
    mean, sd_over_mean, variance_over_mean
        Of each neuron over all frames looked at.
    zeros
        Share of the samples below 0.001.
    lowest
        Smallest value.
    trials
        How many were looked at.
    repeated_clips
        Clips shown at least twice among those compared.
    reliability
        Correlation between two showings of a clip; None where none repeats.
    ceiling
        Highest correlation that any prediction can have with single showings: the root of the reliability.
    silent
        Neurons that were not active in any trial looked at.
    """

    mean: float
    sd_over_mean: float
    variance_over_mean: float
    zeros: float
    lowest: float
    trials: int
    repeated_clips: int = 0
    reliability: float | None = None
    ceiling: float | None = None
    silent: int = 0

    def rows(self) -> dict[str, str]:
        """Each figure in words, beside what the public mice have."""
        told = {}
        for name, public in PUBLIC.items():
            low, high = public.medians
            told[name.replace("sd", "SD").replace("_", " ")] = (
                f"{getattr(self, name):.3g} (public mice: {low:g} to {high:g})"
            )
        told["zeros"] = f"{self.zeros:.0%} of the samples (public mice: {PUBLIC_ZEROS:.0%} or more)"
        if self.reliability is not None and self.ceiling is not None:
            told["repeats"] = (
                f"{number_of(self.repeated_clips, 'clip')} shown again; reliability {self.reliability:.2f}, "
                f"noise ceiling {self.ceiling:.2f} (median neuron)"
            )
        return told

    def values(self) -> dict[str, Any]:
        """The figures as plain values, with the public ranges and what is out of them."""
        public = {name: {"medians": each.medians, "neurons": each.neurons} for name, each in PUBLIC.items()}
        return {
            **vars(self),
            "public": {**public, "zeros": PUBLIC_ZEROS},
            "told": self.rows(),
            "unusual": self.unusual(),
        }

    def unusual(self) -> list[str]:
        """What lies outside of what most neurons of the public mice have, and what it may mean.

        Returns
        -------
        list[str]
            One line each; empty where nothing is.
        """
        found = []
        spread_is_usual = self._side("sd_over_mean") == 0
        low, high = PUBLIC["mean"].medians
        usual = (low * high) ** 0.5
        side = self._side("mean")
        if side:
            off = usual / self.mean if self.mean > 0 else float("inf")
            text = f"mean {self.mean:.3g}: {'below' if side < 0 else 'above'} the public mice's {_of('mean')}"
            if spread_is_usual and max(off, 1 / max(off, 1e-30)) >= SCALE_CERTAIN:
                text += f"; are the units others? times {off:.2g} it would be theirs"
            elif side < 0:
                text += "; are the units others (dF/F, spikes a frame)?"
            else:
                text += "; are the units others (raw fluorescence)?"
            found.append(text)
        side = self._side("sd_over_mean")
        if side:
            text = f"SD over mean {self.sd_over_mean:.3g}: {'below' if side < 0 else 'above'} {_of('sd_over_mean')}"
            if side > 0:
                text += "; few, large events: is it thresholded?"
            elif self.zeros < PUBLIC_ZEROS:
                text += "; is it not deconvolved, or smoothed?"
            else:
                text += "; as of spikes at a high rate"
            found.append(text)
        side = self._side("variance_over_mean")
        if side and not (found and spread_is_usual):
            # With a usual spread the variance only repeats what the mean says.
            text = f"variance over mean {self.variance_over_mean:.3g}: {'below' if side < 0 else 'above'}"
            found.append(f"{text} {_of('variance_over_mean')}; it grows with the units, as the mean does")
        if self.zeros < FEWEST_SHARED:
            found.append(f"{self.zeros:.0%} of the samples are 0: is it not deconvolved, or was an offset added?")
        if self.silent:
            looked_at = number_of(self.trials, "trial")
            found.append(f"{number_of(self.silent, 'neuron')} without any activity in {looked_at}: no cell, or lost?")
        return found

    def _side(self, name: str) -> int:
        value, (low, high) = getattr(self, name), PUBLIC[name].neurons
        return -1 if not value >= low else int(value > high)


def _of(name: str) -> str:
    low, high = PUBLIC[name].neurons
    return f"{low:g} to {high:g}"


class ActivityMeter:
    """Gathers figures trial by trial."""

    def __init__(self) -> None:
        self._samples, self._trials, self._zeros, self._lowest = 0, 0, 0, np.inf
        self._sums: np.ndarray | None = None
        self._shared: list[np.ndarray] = []
        self._spread: list[np.ndarray] = []

    def add(self, responses: np.ndarray) -> None:
        """Take in one trial.

        Parameters
        ----------
        responses
            (N, T) activity.
        """
        exact = responses.astype(np.float64)
        sums = np.stack([exact.sum(axis=1), np.square(exact).sum(axis=1)])
        self._sums = sums if self._sums is None else self._sums + sums
        self._samples += responses.shape[1]
        self._trials += 1
        self._zeros += int((responses < SILENT).sum())
        self._lowest = min(self._lowest, float(responses.min(initial=np.inf)))

    def add_repeats(self, showings: Iterable[np.ndarray]) -> None:
        """Take in all showings of one clip; a single one says nothing.

        Parameters
        ----------
        showings
            (N, T) activity each; cut at the shortest.
        """
        parts = [each.astype(np.float64) for each in showings]
        if len(parts) < 2:
            return
        frames = min(part.shape[1] for part in parts)
        cut = np.stack([part[:, :frames] for part in parts])
        repeats = len(cut)
        of_each = cut.var(axis=2).sum(axis=0)
        # The covariance of two showings, averaged over all pairs.
        self._shared.append((cut.sum(axis=0).var(axis=1) - of_each) / (repeats * (repeats - 1)))
        self._spread.append(of_each / repeats)

    def figures(self) -> ActivityFigures | None:
        """The figures of what was taken in, or None for nothing."""
        if self._sums is None or not self._samples:
            return None
        mean = self._sums[0] / self._samples
        variance = np.maximum(self._sums[1] / self._samples - mean**2, 0.0)
        alive = mean > 0
        if not alive.any():
            return None
        reliability = self._reliability()
        return ActivityFigures(
            mean=float(np.median(mean)),
            sd_over_mean=float(np.median(np.sqrt(variance[alive]) / mean[alive])),
            variance_over_mean=float(np.median(variance[alive] / mean[alive])),
            zeros=self._zeros / (self._samples * len(mean)),
            lowest=self._lowest,
            trials=self._trials,
            repeated_clips=len(self._shared),
            reliability=None if reliability is None else float(np.median(reliability)),
            ceiling=None if reliability is None else float(np.median(np.sqrt(np.maximum(reliability, 0.0)))),
            silent=int((self._sums[1] < SILENT**2 * self._samples).sum()),
        )

    def _reliability(self) -> np.ndarray | None:
        if not self._shared:
            return None
        shared, spread = np.mean(self._shared, axis=0), np.mean(self._spread, axis=0)
        heard = spread > 0
        return np.asarray(shared[heard] / spread[heard]) if heard.any() else None


def spread_over(count: int, most: int) -> np.ndarray:
    """Places of at most so many things, spread evenly over all of them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(int)) if count else np.zeros(0, dtype=int)


def activity_figures(session: Session) -> ActivityFigures | None:
    """What the activity of a session is like; reads some of its trials.

    Parameters
    ----------
    session
        Opened.

    Returns
    -------
    ActivityFigures | None
        None where no trial has responses.

    Raises
    ------
    SessionError
        A trial cannot be read.
    """
    meter = ActivityMeter()
    for place in spread_over(len(session.labelled), MOST_TRIALS):
        meter.add(_responses(session, session.labelled[int(place)]))
    for clip in _repeated(session):
        meter.add_repeats(_responses(session, trial_id) for trial_id in clip)
    return meter.figures()


def _responses(session: Session, trial_id: int) -> np.ndarray:
    found = session.trial(trial_id).responses
    assert found is not None
    return found


def _repeated(session: Session) -> Sequence[Sequence[int]]:
    """Trials that show the same clip; held-out tiers are looked at first, as repeats are shown there."""
    unlike = ("train", EXCLUDED_TIER, SPONTANEOUS_TIER)
    chosen = [trial_id for trial_id in session.labelled if session.tiers[trial_id] not in unlike]
    chosen += [trial_id for trial_id in session.labelled if session.tiers[trial_id] == "train"]
    clips: dict[tuple[int, int], list[int]] = defaultdict(list)
    for trial_id in chosen[:MOST_CLIPS_COMPARED]:
        clips[session.clip_hash(trial_id), session.clip_frames(trial_id)].append(trial_id)
    return [clip for clip in clips.values() if len(clip) > 1]
