"""How the recorded pupil shifts the picture on the retina, found on clips whose movie is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from napari_vidrecon.encoders.answers import check_clip_fits
from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.errors import ConfigError, SessionError, number_of
from napari_vidrecon.reconstruction.composition import InferredGaze
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.gaze import COLUMNS, ROWS, Curves, Drift, shift_of_pupil
from napari_vidrecon.reconstruction.gradients import likelihood_scale, sub_batch_gradients
from napari_vidrecon.reconstruction.neuron_weights import noise_weights
from napari_vidrecon.reconstruction.schedule import SubBatches
from napari_vidrecon.sessions.screen import USUAL_SCREEN
from napari_vidrecon.sessions.session import Session
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.settings import listed

PUPIL_TRIALS, CHECKED_TRIALS, PUPIL_FRAMES = 24, 6, 150
PUPIL_STEPS, PUPIL_RATE = 72, 0.2
SURE = 1.5
"""Standard errors over clips that a gain has to reach: by chance once in five times with two clips, in ten with six.

What is found in noise makes other clips rather worse, so that it is rarer than that.
"""
PUPIL_SD_PX = 2.0
"""Of the shift that one deviation of the pupil is expected to tell, on 36 rows; weak beside dozens of trials."""


@dataclass(frozen=True)
class PupilGaze:
    """How the recorded pupil moves the picture beyond what the encoder makes of it.

    Parameters
    ----------
    gaze
        What a reconstruction takes.
    shift_px
        SD of that shift, along columns and rows, on the trials it was found on.
    losses
        Mean loss of the activity of each trial that was left out, without and with the shift.
    trials
        How many it was found on.
    """

    gaze: InferredGaze
    shift_px: tuple[float, float]
    losses: tuple[tuple[float, float], ...]
    trials: int

    @property
    def better(self) -> int:
        """Of the trials left out, how many are explained better with the shift."""
        return sum(after < before for before, after in self.losses)

    @property
    def helps(self) -> bool:
        """Whether the trials left out, two at least, are explained better, by more than they differ in it."""
        if len(self.losses) < 2 or not self._mostly_better:
            return False
        gains = np.array([before - after for before, after in self.losses])
        return bool(gains.mean() > SURE * gains.std(ddof=1) / np.sqrt(len(gains)))

    @property
    def _mostly_better(self) -> bool:
        return 2 * self.better > len(self.losses)

    @property
    def checked_in_words(self) -> str:
        """How many of the trials left out are explained better, and whether that is no more than chance."""
        told = f"{self.better} of {number_of(len(self.losses), 'other clip')} explained better"
        return f"{told}, which may be chance" if self._mostly_better and not self.helps else told

    @property
    def settings(self) -> dict[str, Any]:
        """For `ReconstructionConfig.preset` and --set; nothing where the shift does not help."""
        if not self.helps:
            return {}
        told = self.gaze.model_dump(exclude_defaults=True)
        return {"gaze": "inferred", **{f"gaze.{name}": each for name, each in told.items()}}


def fit_gaze(
    session: Session,
    encoder: Encoder,
    trial_ids: Sequence[int] | None = None,
    check_ids: Sequence[int] | None = None,
    on_progress: Callable[[int, int], bool | None] | None = None,
) -> PupilGaze:
    """Find by how many pixels the picture shifts with the recorded pupil, on clips whose movie is known.

    The pupil's deviation from its mean, times a matrix, moves the movie before the encoder sees it; the matrix is the
    most probable one, given the activity. Nothing is taken from the clips to be reconstructed.

    Parameters
    ----------
    session
        Of the mouse.
    encoder
        Bound to it.
    trial_ids
        Trials to find it on; None: 24 of the tier train.
    check_ids
        Trials to check it on, others than it is found on; None: the first 6 of the tier oracle that are not among
        `trial_ids`, or, without any, every fourth of those.
    on_progress
        Called with (steps done, steps in all); return False to stop with what is found.

    Returns
    -------
    PupilGaze
        Its `settings` are empty where the trials to check are not explained better.

    Raises
    ------
    EncoderError
        The encoder is of another frame rate or other colours.
    SessionError
        Too few trials whose movie and activity are known.
    ConfigError
        A trial to find it on is to check it, too.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> sample = vr.find_sample()
    >>> session = vr.open_session(sample.session)
    >>> encoder = vr.load_encoder(sample.encoders[0], device="cpu")
    >>> vr.fit_gaze(session, encoder, [2, 3], [4], on_progress=lambda done, steps: done < 2).trials
    2
    """
    known = session.trials_in_tier("train") if trial_ids is None else listed(trial_ids, "trial_ids")
    if trial_ids is None:
        known = known[:: max(1, len(known) // PUPIL_TRIALS)][:PUPIL_TRIALS]
    if check_ids is None:
        checked = [each for each in session.trials_in_tier("oracle") if each not in known][:CHECKED_TRIALS]
    else:
        checked = listed(check_ids, "check_ids")
        if both := [each for each in checked if each in known]:
            raise ConfigError(
                f"check_ids: expected other trials than the shift is found on, found {both[0]} among both; what it was "
                "found on always seems explained better"
            )
    if not checked:
        checked, known = known[::4], [each for place, each in enumerate(known) if place % 4]
    least = encoder.spec.windows.sub_batch_frames
    clips = {each: session.trial(each) for each in {*known, *checked} if session.has_movie(each)}
    for clip in clips.values():
        check_clip_fits(encoder, clip)
    usable = {
        each: clip.part(0, min(clip.frames, PUPIL_FRAMES)) for each, clip in clips.items() if clip.frames >= least
    }
    known, checked = ([each for each in ids if each in usable] for ids in (known, checked))
    if not known or not checked:
        raise SessionError(
            f"{session.path}: expected trials of {least} frames or more whose movie is known, to find the pupil's "
            f"shift on and to check it, found {len(known)} and {len(checked)}; name others (--trials)"
        )
    pupils = np.concatenate([usable[each].pupil_center for each in known], axis=1, dtype=np.float64)
    rest, sd = pupils.mean(axis=1), pupils.std(axis=1)
    shown = usable[known[0]]
    finer = shown.video.shape[1] / shown.planes / USUAL_SCREEN.rows
    per_unit = np.divide(PUPIL_SD_PX * finer, sd, out=np.zeros(2), where=sd > 0)
    config = ReconstructionConfig.preset("fast", gaze="inferred", steps=PUPIL_STEPS)
    told = encoder, config, rest, per_unit
    weights: Curves = {}
    for step in range(PUPIL_STEPS):
        _, drift, scale = _answered(usable[known[step % len(known)]], *told, weights)
        rate = PUPIL_RATE * 0.5 * (1.0 + np.cos(np.pi * step / PUPIL_STEPS))
        drift.advance(scale * len(known), rate, step)
        weights = drift.state
        if on_progress is not None and on_progress(step + 1, PUPIL_STEPS) is False:
            break
    nothing = {name: torch.zeros_like(each) for name, each in weights.items()}
    losses = [
        (_answered(usable[each], *told, nothing)[0], _answered(usable[each], *told, weights)[0]) for each in checked
    ]
    matrix = np.stack([weights[f"{name}_weights"].cpu().numpy() for name in (COLUMNS, ROWS)]) * per_unit
    matrix, rest = np.round(matrix, 5), np.round(rest, 3)
    (columns_per_x, columns_per_y), (rows_per_x, rows_per_y) = matrix.tolist()
    gaze = InferredGaze(
        sd_px=0.0,
        columns_per_x=columns_per_x,
        rows_per_x=rows_per_x,
        columns_per_y=columns_per_y,
        rows_per_y=rows_per_y,
        rest_x=float(rest[0]),
        rest_y=float(rest[1]),
    )
    spread = shift_of_pupil(gaze, pupils).std(axis=1)
    return PupilGaze(gaze, (float(spread[0]), float(spread[1])), tuple(losses), len(known))


def _answered(
    trial: Trial, encoder: Encoder, config: ReconstructionConfig, rest: np.ndarray, per_unit: np.ndarray, state: Curves
) -> tuple[float, Drift, float]:
    """Mean loss of a trial's activity with the movie known, and the shift with its gradient there.

    Parameters
    ----------
    trial
        Its movie is known.
    encoder
        Of the mouse.
    config
        Of the loss, and of steps.
    rest, per_unit
        (2,) of the pupil: what shifts nothing, and what it is multiplied by.
    state
        Of the shift; empty: of a beginning.

    Returns
    -------
    tuple[float, Drift, float]
        Loss, in units of activity, the shift, and what makes its gradient one of a negative log likelihood.
    """
    windows, canvas = encoder.spec.windows, encoder.spec.canvas
    inputs = encoder.pack(trial.video, trial.behavior, trial.pupil_center)
    movie = inputs[0].clone()
    curves = torch.as_tensor(((trial.pupil_center - rest[:, None]) * per_unit[:, None]).T).to(movie)
    drift = Drift(config, canvas, torch.zeros(2, trial.frames).to(movie), {COLUMNS: curves, ROWS: curves})
    drift.state = state or drift.state
    starts = np.arange(0, trial.frames - windows.sub_batch_frames + 1, windows.sub_batch_frames)
    told = trial.responses
    counts = noise_weights(config, told)
    wanted = torch.as_tensor(told).to(movie)
    weights = None if counts is None else torch.as_tensor(counts).to(movie)[:, None].expand_as(wanted)
    inputs[0] = drift.seen(movie)
    found = sub_batch_gradients(encoder, inputs, wanted, None, starts, config, weights=weights)
    drift.settled(found, movie, SubBatches(starts, np.ones(len(starts))), wanted, weights)
    return float(found.losses.mean()), drift, likelihood_scale(config, told, windows.sub_batch_frames)
