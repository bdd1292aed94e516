"""Is there a movie in activity? What one half of the neurons says about the other, beside controls; needs no truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_vidrecon.encoders.answers import predicted
from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.history import UNCHECKED, measured_frames
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.runner import reconstruct
from napari_vidrecon.reconstruction.spectral_prior import stated
from napari_vidrecon.reconstruction.targets import NeuronSet
from napari_vidrecon.sessions.session_statistics import MovieStatistics
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ, Trial
from napari_vidrecon.settings import brief

HALF = 0.5
SIGNIFICANT = 0.05
LEAST_SHIFT_S = 8 / FRAME_RATE_HZ
"""Activity is alike over shorter times, so a shift by less is no control."""
FEWEST_SHIFTS = 19
"""With fewer, none could be called significant."""
FEWEST_NEURONS = 5
MOST_SKIPPED = 0.25
"""Of a clip; a short one has no frames to leave out."""


class TooLittleActivity(ConfigError):
    """A clip too short, or too few active neurons, to say anything; of other clips it may be said."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """How well a movie that half of the neurons give explains the activity of the others.

    Parameters
    ----------
    explained
        Mean over held-out neurons of the correlation over time between recorded activity and what the movie adds to
        the prediction: beyond a grey screen with the same behaviour. -1..1.
    permuted
        (controls,) the same with the recorded activity under other neurons.
    shifted
        (shifts,) the same with the recorded activity shifted in time, around the end of the clip.
    grey
        Correlation of what is predicted from a grey screen alone, by behaviour: the prior and nothing else.
    neurons
        Held-out neurons that were active.
    has_movie
        Whether a movie says what was shown.
    """

    explained: float
    permuted: np.ndarray
    shifted: np.ndarray
    grey: float
    neurons: int
    has_movie: bool

    __repr__ = brief

    @property
    def p(self) -> float:
        """Share of controls that are explained as well, of the control that does better; 0..1."""
        shares = [(1 + np.sum(each >= self.explained)) / (1 + len(each)) for each in (self.permuted, self.shifted)]
        return float(max(shares))

    @property
    def found(self) -> bool:
        """Whether there is something to see: activity is explained better than 19 of 20 controls."""
        return self.p <= SIGNIFICANT

    @property
    def sentence(self) -> str:
        """For people, with what cannot be known."""
        verdict = "there is a movie in this activity" if self.found else "nothing to see"
        told = (
            f"{verdict}: held-out neurons are explained at r = {self.explained:.3f}, permuted neurons at "
            f"{self.permuted.mean():.3f}, shifted in time at {self.shifted.mean():.3f}, a grey screen at "
            f"{self.grey:.3f} (p = {self.p:.3f}, {self.neurons} neurons)"
        )
        return told if self.has_movie else f"{told}; {UNCHECKED}"

    def as_values(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "found": self.found,
            "explained": self.explained,
            "permuted": float(self.permuted.mean()),
            "shifted": float(self.shifted.mean()),
            "grey": self.grey,
            "p": self.p,
            "neurons": self.neurons,
            "has_movie": self.has_movie,
            "sentence": self.sentence,
        }


def evidence_of_a_movie(
    trial: Trial,
    encoders: Sequence[Encoder],
    mask: AlphaMask,
    config: ReconstructionConfig | None = None,
    *,
    controls: int = 199,
    seed: int = 0,
    **others: Any,
) -> Evidence:
    """Reconstruct from half of the neurons and see what the movie says about the others; no true movie is needed.

    A movie that fits noise explains the neurons it was fitted to and no others. What neurons have in common, a gain
    that goes up and down, is explained as well when they are permuted; what recurs in time as well when it is shifted.

    Parameters
    ----------
    trial
        With recorded activity, with or without a movie.
    encoders
        One or more, bound to this mouse.
    mask
        Transparency mask of this mouse.
    config
        Every setting; None: the "fast" preset.
    controls
        Permutations of the neurons.
    seed
        Of the halves and of the permutations.
    others
        Everything else of `RunInputs` but the neurons, by name.

    Returns
    -------
    Evidence
        `found`, `p` and a `sentence`.

    Raises
    ------
    VidreconError
        As `reconstruct`; too few neurons, or a clip that is too short to shift.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> sample = vr.find_sample()
    >>> clip = vr.open_session(sample.session).trial(0).part(0, 64)
    >>> encoder = vr.load_encoder(sample.encoders[0], device="cpu")
    >>> config = vr.ReconstructionConfig.preset("fast", steps=4)
    >>> vr.evidence_of_a_movie(clip, [encoder], vr.AlphaMask.load(sample.mask), config).found
    True
    """
    if "neurons" in others:
        raise ConfigError("neurons: expected none beside evidence, which halves them by its seed; leave them out")
    config = ReconstructionConfig.preset("fast") if config is None else config
    config = config.changed(track_every=max(config.steps, 1), track_responses=False)
    recorded = trial.require_responses()
    fitted = NeuronSet.random(len(recorded), HALF, seed)
    skipped = min(config.track_skip_frames, int(MOST_SKIPPED * trial.frames))
    frames, held_out = measured_frames(trial.frames, skipped), ~fitted.keep
    shift = max(1, round(LEAST_SHIFT_S * trial.frame_rate_hz))
    recorded = recorded[held_out, frames]
    varies = recorded.std(axis=1) > 0
    _require_enough(trial, varies, recorded.shape[1], shift)
    result = reconstruct(trial, encoders, mask, config, neurons=fitted, **others)
    assert result.predicted_activity is not None
    movies = result.provenance.get("movies")
    started = config if movies is None else stated(config, MovieStatistics(**movies))
    level = np.broadcast_to(started.blank(trial.video.shape[1]), trial.video.shape).astype(trial.video.dtype)
    streams = trial.behavior, trial.pupil_center
    blank = np.mean([predicted(encoder, level, *streams, clip=trial.name) for encoder in encoders], axis=0)
    blank = blank[held_out, frames]
    added = result.predicted_activity[held_out, frames] - blank
    active = varies & (added.std(axis=1) > 0)
    _require_enough(trial, active, recorded.shape[1], shift)
    units = _unit(recorded[active])
    movie, chance = _unit(added[active]), np.random.default_rng(seed)

    def explained(wanted: np.ndarray) -> float:
        return float((movie * wanted).sum(axis=1).mean())

    shifts = range(shift, units.shape[1] - shift + 1)
    return Evidence(
        explained=explained(units),
        permuted=np.array([explained(units[chance.permutation(len(units))]) for _ in range(controls)]),
        shifted=np.array([explained(np.roll(units, shift, axis=1)) for shift in shifts]),
        grey=float((_unit(blank[active]) * units).sum(axis=1).mean()),
        neurons=int(active.sum()),
        has_movie=trial.has_movie,
    )


def _require_enough(trial: Trial, active: np.ndarray, frames: int, shift: int) -> None:
    fewest = 2 * shift + FEWEST_SHIFTS - 1
    if active.sum() >= FEWEST_NEURONS and frames >= fewest:
        return
    if len(active) < FEWEST_NEURONS:
        remedy = f"half of the neurons are held out, so that {2 * FEWEST_NEURONS} are needed"
    else:
        remedy = "take a longer clip" if frames < fewest else "take one with more activity"
    raise TooLittleActivity(
        f"{trial.name}: expected at least {FEWEST_NEURONS} active neurons to hold out and {fewest} measured frames, "
        f"found {int(active.sum())} of {len(active)} and {frames}; {remedy}"
    )


def _unit(activity: np.ndarray) -> np.ndarray:
    """Rows of mean 0 and length 1, so that products of two add up to their correlation; 0 where nothing changes."""
    centred = activity - activity.mean(axis=1, keepdims=True, dtype=np.float64)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(length, np.finfo(np.float64).tiny))
