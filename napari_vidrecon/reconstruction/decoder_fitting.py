"""Fitting a decoder: ridge regression of a session's training movies on their activity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
import scipy.linalg
from pydantic import Field, model_validator
from scipy.fft import dctn

from napari_vidrecon import metrics
from napari_vidrecon.errors import ConfigError, SessionError, number_of
from napari_vidrecon.reconstruction.config import GREY_LEVEL
from napari_vidrecon.reconstruction.decoder import LARGEST_LAG_FRAMES, Decoder, lagged, rooted
from napari_vidrecon.sessions.screen import USUAL_SCREEN
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ
from napari_vidrecon.settings import MOST_STEPS, Settings, listed, of_kind, shown

if TYPE_CHECKING:
    from napari_vidrecon.sessions.session import Session


MOST_LAGS = 100
GOOD_CORRELATION = 0.7
"""Video correlation of a decoder alone, `docs/quality.md` and `benchmarks/`: 0.70 to 0.75."""
USUAL_LAGS_FRAMES = (-2, 0, 2, 4, 6, 8)
CAUSAL_LAGS_FRAMES = (-4, -2, 0)
"""Of a causal decoder: more of the past adds noise and no movie."""
Lag = Annotated[int, Field(ge=-LARGEST_LAG_FRAMES, le=LARGEST_LAG_FRAMES)]


class DecoderRecipe(Settings):
    """Settings of a fit.

    The lags span what a movie frame does to a slow recording: the delay of cortex, and the spread that deconvolution
    leaves. With many neurons fewer lags are taken, evenly, so that memory holds the regression. A causal decoder takes
    none that lies after the movie's frame, so that its picture can be had while the activity comes in.
    """

    causal: bool = Field(False, description="only activity up to the movie's frame is taken: lags of at most 0")
    lags_frames: tuple[Lag, ...] = Field(
        USUAL_LAGS_FRAMES,
        min_length=1,
        max_length=MOST_LAGS,
        description="frames at 30 Hz after a movie's frame at which activity is taken",
    )
    most_predictors: int = Field(24_000, ge=1, description="lags times neurons; 24,000 need 5 GB")
    ridge: float = Field(1.0, gt=0, description="penalty, as a share of each predictor's power in the training trials")
    finest_cycles_per_px: float = Field(0.2, gt=0, le=0.5, description="finer detail of a frame is not decoded")
    every_frames: int = Field(2, ge=1, le=MOST_STEPS, description="one frame in so many of the training trials is used")

    @model_validator(mode="before")
    @classmethod
    def _causal_by_itself(cls, given: Any) -> Any:
        wanted = isinstance(given, dict) and given.get("causal") not in (None, False, "false", "False", "0", 0)
        return {"lags_frames": CAUSAL_LAGS_FRAMES, **given} if wanted else given

    @model_validator(mode="after")
    def _without_the_future(self) -> Self:
        if self.causal and max(self.lags_frames) > 0:
            raise ValueError(f"lags_frames of at most 0 for a causal decoder, found {max(self.lags_frames)}")
        return self

    def lags_for(self, neurons: int) -> tuple[int, ...]:
        """The lags that are taken for so many neurons: all, or as many as are allowed, evenly chosen."""
        count = max(1, min(len(self.lags_frames), self.most_predictors // max(neurons, 1)))
        if count == 1 and self.causal:
            return (max(self.lags_frames),)
        chosen = np.linspace(0, len(self.lags_frames) - 1, count + 2)[1:-1] if count < 2 else None
        indices = np.linspace(0, len(self.lags_frames) - 1, count) if chosen is None else chosen
        return tuple(self.lags_frames[index] for index in indices.round().astype(int))


def decoded_frequencies(finest_cycles_per_px: float, size_px: tuple[int, int] = USUAL_SCREEN.size_px) -> np.ndarray:
    """(coefficients, 2) row and column index of the cosine coefficients of a frame up to a frequency."""
    row, column = np.meshgrid(*(np.arange(side) / (2 * side) for side in size_px), indexing="ij")
    return np.argwhere(np.hypot(row, column) <= finest_cycles_per_px)


def fit_decoder(
    session: Session,
    recipe: DecoderRecipe | None = None,
    *,
    trial_ids: Sequence[int] | None = None,
    on_progress: Callable[[int, int], bool | None] | None = None,
) -> Decoder:
    """Fit a linear decoder on a session's training trials.

    Parameters
    ----------
    session
        The mouse.
    recipe
        Settings; None: the usual ones.
    trial_ids
        Labelled trials to learn from; default: the tier train, as encoders do.
    on_progress
        Called with (trials read, trials in all); return False to stop with the trials read so far.

    Returns
    -------
    Decoder
        Bound to this session's neurons.

    Raises
    ------
    ConfigError
        `session` is none.
    SessionError
        Fewer than two trials to learn from, or activity that no weights can be found for.

    References
    ----------
    Not of the paper; linear decoding of movies, Stanley et al. 1999.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> from napari_vidrecon.reconstruction.decoder_fitting import DecoderRecipe
    >>> session = vr.open_session(vr.find_sample().session)
    >>> quick = DecoderRecipe(most_predictors=1000, finest_cycles_per_px=0.05)
    >>> decoder = vr.fit_decoder(session, quick, trial_ids=[0, 1])
    >>> decoder.movie(session.trial(0).responses).shape
    (300, 36, 64)
    """
    if not hasattr(session, "trials_in_tier"):
        raise ConfigError(f"session: expected a session, as open_session gives one, found {shown(session)}")
    recipe = of_kind(recipe, DecoderRecipe, "recipe")
    ids = session.trials_in_tier("train") if trial_ids is None else listed(trial_ids, "trial_ids")
    if len(ids) < 2:
        raise SessionError(f"{session.path}: expected at least 2 training trials to fit a decoder on, found {len(ids)}")
    per_usual_frame = session.frame_rate_hz / FRAME_RATE_HZ
    lags = tuple(round(lag * per_usual_frame) for lag in recipe.lags_for(session.n_neurons))
    screen = session.screen
    one = decoded_frequencies(recipe.finest_cycles_per_px, (screen.rows_a_colour, screen.cols))
    tops = screen.rows_a_colour * np.arange(screen.planes)
    frequencies = np.concatenate([one + np.array([top, 0]) for top in tops])
    mean = np.mean([rooted(session.trial(each).responses).mean(axis=1) for each in ids], axis=0).astype(np.float32)
    if not mean.any():
        raise SessionError(
            f"{session.path}: expected activity to fit a decoder on, found 0 of all neurons in all "
            f"{len(ids)} training trials, as where responses are withheld"
        )
    regression = _Regression(len(lags) * session.n_neurons, len(frequencies))
    levels = []
    for done, trial_id in enumerate(ids, start=1):
        trial = session.trial(trial_id)
        root, frames = rooted(trial.responses) - mean[:, None], slice(None, None, recipe.every_frames)
        predictors = np.concatenate([lagged(root, lag)[:, frames] for lag in lags])
        shown_frames = trial.video[frames]
        parts = shown_frames.reshape(len(shown_frames), screen.planes, screen.rows_a_colour, screen.cols)
        spectrum = dctn(parts - GREY_LEVEL, axes=(2, 3), norm="ortho").reshape(shown_frames.shape)
        levels.append([float(part.mean(dtype=np.float64)) for part in np.split(trial.video, screen.planes, axis=1)])
        regression.add(predictors, spectrum[:, frequencies[:, 0], frequencies[:, 1]])
        if on_progress is not None and on_progress(done, len(ids)) is False:
            break
    weights = _solved(regression, recipe, session).reshape(len(lags), session.n_neurons, len(frequencies))
    # Rounded as a file keeps them, so that one read back makes the same movies to the bit.
    with np.errstate(over="ignore"):
        weights = np.ascontiguousarray(weights.astype(np.float16).astype(np.float32))
    if not np.isfinite(weights).all():
        raise _unsolvable(session, recipe)
    told: dict[str, Any] = {"trials": done, "simulated": session.simulated, "recipe": recipe.model_dump()}
    told["frame_rate_hz"] = float(session.frame_rate_hz)
    each = tuple(float(np.mean(of_colour)) for of_colour in zip(*levels, strict=True))
    by_colour: dict[str, Any] = {"colours": screen.colours, "levels": each} if screen.colours else {}
    level, size_px = float(np.mean(each)), screen.size_px
    return Decoder(weights, mean, lags, frequencies, session.name, told, level=level, size_px=size_px, **by_colour)


def held_out_correlation(
    decoder: Decoder,
    session: Session,
    trial_ids: Sequence[int],
    pixels: np.ndarray,
    on_trial: Callable[[], None] | None = None,
) -> float:
    """Video correlation of a decoder's movies with the true ones, mean over trials; NaN without a trial.

    Parameters
    ----------
    decoder
        Fitted for this mouse.
    session
        The mouse.
    trial_ids
        Labelled trials that it was not fitted on.
    pixels
        (36, 64) bool, what is measured.
    on_trial
        Called before every trial.

    Returns
    -------
    float
        -1..1, or NaN.
    """
    found = []
    for trial_id in trial_ids:
        if on_trial is not None:
            on_trial()
        trial = session.trial(trial_id)
        found.append(metrics.video_correlation(trial.video, decoder.movie(trial.responses), pixels))
    return sum(found) / len(found) if found else float("nan")


def decoder_verdict(correlation: float, clips: int) -> tuple[bool, str]:
    """Whether a decoder is worth starting from, by rule of thumb: half of what good ones reach.

    Parameters
    ----------
    correlation
        Mean video correlation over held-out clips, -1..1; NaN without any.
    clips
        How many those are.

    Returns
    -------
    tuple[bool, str]
        Whether it is, and a sentence for people.
    """
    if np.isnan(correlation):
        return False, "Nobody knows how good it is: the session has no clip of the tier oracle that was held out."
    found = (
        f"video correlation {correlation:.2f} on {number_of(clips, 'held-out clip')}; "
        f"decoders of 1000 simulated neurons reach {GOOD_CORRELATION:.1f} inside their mask"
    )
    if correlation >= GOOD_CORRELATION:
        return True, f"Good: {found}. Runs that start from its movie gain a little."
    if correlation >= GOOD_CORRELATION / 2:
        return True, f"Usable: {found}. More neurons or more training trials would help."
    return False, f"Not worth starting from: {found}. Check the timing of movie and activity, or do without a decoder."


def _solved(regression: _Regression, recipe: DecoderRecipe, session: Session) -> np.ndarray:
    try:
        return regression.solved(recipe.ridge)
    except (np.linalg.LinAlgError, ValueError):
        # Not positive, or not finite.
        raise _unsolvable(session, recipe) from None


def _unsolvable(session: Session, recipe: DecoderRecipe) -> SessionError:
    return SessionError(
        f"{session.path}: expected responses that finite weights can be found for, found some far too large or too "
        f"small, or a ridge of {recipe.ridge:g} that is too small; rescale the responses, or take a larger ridge"
    )


class _Regression:
    """Ridge regression that sees its data bit by bit; targets keep their mean out of the weights."""

    def __init__(self, predictors: int, targets: int) -> None:
        self._gram = np.zeros((predictors, predictors), np.float32)
        self._cross = np.zeros((predictors, targets), np.float32)
        self._sums = np.zeros(predictors), np.zeros(targets)
        self._count = 0

    def add(self, predictors: np.ndarray, targets: np.ndarray) -> None:
        """Take in (P, T) predictors and (T, K) targets."""
        # What leaves single precision is found when it is solved.
        with np.errstate(over="ignore", invalid="ignore"):
            self._gram += predictors @ predictors.T
            self._cross += predictors @ targets.astype(np.float32)
            for total, more in zip(self._sums, (predictors.sum(axis=1), targets.sum(axis=0)), strict=True):
                total += more
            self._count += predictors.shape[1]

    @np.errstate(over="ignore", invalid="ignore")
    def solved(self, ridge: float) -> np.ndarray:
        """(P, K) float32 weights; what was gathered is used up."""
        predictor_sum, target_sum = (total / np.sqrt(self._count) for total in self._sums)
        self._gram -= np.outer(predictor_sum, predictor_sum).astype(np.float32)
        self._cross -= np.outer(predictor_sum, target_sum).astype(np.float32)
        power = np.diagonal(self._gram).copy()
        # A neuron that never answered has no power: a little of the others' keeps the equations solvable.
        self._gram[np.diag_indices_from(self._gram)] += ridge * power + max(float(power.mean()), 1.0) * 1e-3
        return scipy.linalg.solve(self._gram, self._cross, assume_a="pos", overwrite_a=True, overwrite_b=True)
