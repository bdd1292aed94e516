"""What several movies of one clip say: how good means over sets of encoders would be, and how sure their mean is.

No movie is averaged for the first: the mean of some movies correlates with the truth as their covariances say, so one
small matrix of covariances answers for all sets. Source of the question: Bauer et al. 2026, Fig. 3; that all sets are
taken is this program's choice, as the paper does not say which it took.

How sure a mean is has to be calibrated. Prior and noise model say how far draws differ, and neither knows how wrong the
encoder is. Clips of the same mouse that were used for nothing else tell: the ratio of error and spread there scales the
map of other clips, and quantiles of that ratio give intervals. Clips differ in how large it is, so few of them say
little (`docs/quality.md`, "Uncertainty").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy.ndimage import gaussian_filter
from scipy.stats import norm

from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.errors import ConfigError, SessionError, StorageError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD, AlphaMask
from napari_vidrecon.reconstruction.results import Reconstruction
from napari_vidrecon.reconstruction.runner import reconstruct
from napari_vidrecon.reconstruction.spectral_prior import stated
from napari_vidrecon.sessions.session import Session
from napari_vidrecon.sessions.session_statistics import MovieStatistics
from napari_vidrecon.settings import first_fault, listed
from napari_vidrecon.storage import read_bytes, replacing_file, user_path

Floats = NDArray[np.float64]


def subsets(members: int, size: int) -> NDArray[np.intp]:
    """All sets of `size` out of `members`: (sets, size) positions."""
    return np.array(list(combinations(range(members), size)), dtype=np.intp).reshape(-1, size)


def mean_video_correlations(truth: ArrayLike, videos: Sequence[ArrayLike], pixels: ArrayLike) -> list[Floats]:
    """Video correlation of the mean of every set of movies, by the size of the set.

    Parameters
    ----------
    truth
        (T, H, W), grey levels.
    videos
        K movies (T, H, W), as they are averaged: clipped, and smoothed (a linear filter, which may come first).
    pixels
        (H, W) bool, pixels that are measured.

    Returns
    -------
    list[Floats]
        K arrays: of sets of 1, of 2, ... of all K movies; NaN where truth or mean is constant.
    """
    inside = np.asarray(pixels) == 1
    rows = np.stack([np.asarray(movie, dtype=np.float64)[:, inside].ravel() for movie in (truth, *videos)])
    covariance = _covariance(rows)[np.newaxis]
    return [_correlations(covariance, subsets(len(videos), size))[:, 0] for size in range(1, len(videos) + 1)]


def mean_frame_correlations(truth: ArrayLike, videos: Sequence[ArrayLike], pixels: ArrayLike) -> list[Floats]:
    """Mean frame correlation of the mean of every set of movies.

    Parameters
    ----------
    truth
        (T, H, W), grey levels.
    videos
        Movies (T, H, W), one an encoder.
    pixels
        (H, W) boolean or 0/1, what is measured.

    Returns
    -------
    list[NDArray[np.float64]]
        One array for each size of a set, from one movie to all; a value for each set.
    """
    inside = np.asarray(pixels) == 1
    movies = np.stack([np.asarray(movie, dtype=np.float64)[:, inside] for movie in (truth, *videos)])
    covariance = np.stack([_covariance(movies[:, frame]) for frame in range(movies.shape[1])])
    means = []
    for size in range(1, len(videos) + 1):
        frames = _correlations(covariance, subsets(len(videos), size))
        defined = np.isfinite(frames)
        counts = defined.sum(axis=1)
        total = np.where(defined, frames, 0.0).sum(axis=1)
        means.append(np.divide(total, counts, out=np.full(len(frames), np.nan), where=counts > 0))
    return means


def _covariance(rows: Floats) -> Floats:
    centred = rows - rows.mean(axis=1, keepdims=True)
    # The rounding of a mean would make a constant movie look as if it varied.
    centred[rows.min(axis=1) == rows.max(axis=1)] = 0.0
    return centred @ centred.T


def _correlations(covariance: Floats, sets: NDArray[np.intp]) -> Floats:
    """(sets, frames) from (frames, 1 + K, 1 + K), whose first row is the truth's."""
    member = np.zeros((len(sets), covariance.shape[1] - 1))
    np.put_along_axis(member, sets, 1.0 / sets.shape[1], axis=1)
    with_truth = np.einsum("sk,fk->sf", member, covariance[:, 0, 1:])
    of_mean = np.einsum("sk,fkl,sl->sf", member, covariance[:, 1:, 1:], member)
    norm = np.sqrt(np.maximum(of_mean, 0.0) * covariance[:, 0, 0])
    return np.divide(with_truth, norm, out=np.full(with_truth.shape, np.nan), where=norm > 0)


POOLED_PX, POOLED_FRAMES = 1.0, 2.0
"""SD of the neighbourhood whose variances are averaged: of a few movies, that of a single pixel is mostly chance."""


def uncertainty_map(videos: Sequence[np.ndarray], scale: float = 1.0, colours: int = 1) -> np.ndarray:
    """Standard deviation over movies, pixel by pixel and frame by frame.

    With movies of several draws it is the spread that activity and prior leave open; with those of several encoders
    what the encoders disagree about; with both, both.

    Parameters
    ----------
    videos
        At least two movies (T, rows, columns), grey levels 0..255.
    scale
        What it is multiplied with, to be as large as the error (`calibrate_uncertainty`).
    colours
        Parts of the screen, one below the other, each with neighbourhoods of its own.

    Returns
    -------
    np.ndarray
        (T, rows, columns) float32, grey levels, >= 0.

    Raises
    ------
    ConfigError
        Fewer than two movies, or rows that are not so many colours.
    """
    if len(videos) < 2:
        raise ConfigError(f"uncertainty: expected at least two movies, found {len(videos)}; use draws or encoders")
    variance = np.var(np.stack(videos), axis=0, ddof=1, dtype=np.float64)
    # Beyond the mask nothing varies, and that must not thin out the variance at its edge.
    moves = (variance > 0).any(axis=0)
    frames, rows, columns = variance.shape
    if colours < 1 or rows % colours:
        raise ConfigError(f"uncertainty: expected as many rows for each of {colours} colours, found {rows} in all")
    sigmas, apart = (POOLED_FRAMES, 0.0, POOLED_PX, POOLED_PX), (colours, rows // colours, columns)
    pooled = gaussian_filter(variance.reshape(frames, *apart), sigmas, mode="nearest").reshape(variance.shape)
    share = gaussian_filter(moves.reshape(apart).astype(np.float64), sigmas[1:], mode="nearest").reshape(moves.shape)
    pooled = np.divide(pooled, share, out=np.zeros_like(pooled), where=moves)
    return (scale * np.sqrt(pooled)).astype(np.float32)


def prior_share_map(result: Reconstruction) -> np.ndarray:
    """How much of a movie is the prior, pixel by pixel: the variance that activity leaves open over that of the prior.

    Near 0 the neurons decided what is shown, at 1 nothing but the prior did. No truth is needed, so it is a mask that a
    recording has too.

    Parameters
    ----------
    result
        Of a run with draws.

    Returns
    -------
    np.ndarray
        (T, rows, columns) float32, 0..1; 1 where nothing was reconstructed.

    Raises
    ------
    ConfigError
        A run of one movie, or of no Gaussian prior with a known deviation.
    """
    config = result.config
    if "movies" in result.provenance:
        config = stated(config, MovieStatistics(**result.provenance["movies"]))
    sd = config.values["prior_settings"].get("sd") if config.outside_prior else config.values["prior_sd"]
    if config.update.draws < 2 or not isinstance(sd, float):
        raise ConfigError("prior share: expected a run with draws and a prior with an SD, found none; use draws=8")
    # What a screen can show of the prior: beyond black and white it is cut off.
    spread = uncertainty_map(result.videos, colours=result.planes)
    chances = (np.arange(SHOWN_LEVELS) + 0.5) / SHOWN_LEVELS
    levels = config.colour_levels or (config.initial_level,)
    widths = [norm.ppf(chances, level, sd).clip(0.0, 255.0).var() for level in levels]
    share = np.square(spread) / np.repeat(widths, spread.shape[1] // len(widths))[:, None]
    return np.where(spread > 0, share.clip(max=1.0), 1.0).astype(np.float32)


SHOWN_LEVELS = 1000
CALIBRATION_TIER, CALIBRATION_TRIALS = "oracle", 8
CALIBRATION_FRAMES, SKIPPED_FRAMES = 64, 16
"""Of each clip; the first ones have little context."""
CONFIDENCES = (0.5, 0.68, 0.8, 0.9, 0.95)
"""Shares of the pixels that intervals are found for."""
SCALES = (1e-3, 100.0)
WIDEST = 1000.0
LONGEST_BYTES = 1 << 20
"""Half of an interval in units of the spread."""
LEAST_SPREAD = 1e-3
"""Grey levels; where the draws do not differ at all, nothing can be scaled."""


class Calibration(BaseModel):
    """What turns the spread of draws, or of encoders, into the size of the error.

    Parameters
    ----------
    scale
        Error over spread, root mean squares; what `ReconstructionConfig.uncertainty_scale` takes.
    half_widths
        By confidence (0..1): half the width of an interval, in units of the spread.
    trials
        Clips that it was found on.
    frames
        Of each, from its first.
    preset, draws, encoders
        Of the reconstructions.
    mouse
        Name of the session.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_vidrecon as vr
    >>> of = {"trials": [3], "frames": 64, "preset": "best", "draws": 8, "encoders": 1}
    >>> known = vr.Calibration(scale=0.8, half_widths={0.9: 1.4}, **of)
    >>> low, high = known.interval(np.full((1, 1, 1), 100.0), np.full((1, 1, 1), 10.0), 0.9)
    >>> float(low[0, 0, 0]), float(high[0, 0, 0])
    (86.0, 114.0)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scale: Annotated[float, Field(gt=0, le=100)]
    half_widths: dict[float, Annotated[float, Field(ge=0, le=WIDEST)]]
    trials: list[int]
    frames: Annotated[int, Field(ge=1)]
    preset: str
    draws: Annotated[int, Field(ge=1)]
    encoders: Annotated[int, Field(ge=1)]
    mouse: str = ""

    def interval(self, video: np.ndarray, spread: np.ndarray, confidence: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Between which grey levels a pixel was, with a confidence that held on the clips of the calibration.

        Parameters
        ----------
        video
            (T, rows, columns) reconstruction, grey levels.
        spread
            (T, rows, columns) `uncertainty_map` of its movies, without a scale.
        confidence
            One of `half_widths`.

        Returns
        -------
        tuple[np.ndarray, np.ndarray]
            Lower and upper end, (T, rows, columns), clipped to 0..255.

        Raises
        ------
        ConfigError
            Another confidence.
        """
        if confidence not in self.half_widths:
            known = ", ".join(f"{each:g}" for each in self.half_widths)
            raise ConfigError(f"confidence {confidence!r}: expected one of {known}")
        half = self.half_widths[confidence] * spread
        return np.clip(video - half, 0.0, 255.0), np.clip(video + half, 0.0, 255.0)

    def save(self, path: Path | str) -> None:
        """Write it as JSON.

        Parameters
        ----------
        path
            File to write, or to replace.
        """
        with replacing_file(path) as file:
            file.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read it.

        Parameters
        ----------
        path
            JSON file that `save` or `vidrecon calibrate` wrote.

        Returns
        -------
        Calibration
            What it holds.

        Raises
        ------
        StorageError
            Missing, or not a calibration.
        """
        expected = "a calibration, as `vidrecon calibrate` writes it"
        text = read_bytes(user_path(path), most=LONGEST_BYTES, expected=expected)
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise StorageError(f"{path}: expected {expected}; {first_fault(error)}") from None


def calibrate_uncertainty(
    session: Session,
    encoders: Sequence[Encoder],
    mask: AlphaMask,
    config: ReconstructionConfig,
    trial_ids: Sequence[int] | None = None,
    *,
    frames: int = CALIBRATION_FRAMES,
    on_trial: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Reconstruct clips whose movie is known, and compare the spread of the draws with the error.

    Parameters
    ----------
    session
        The mouse.
    encoders
        Bound to it.
    mask
        Measured inside alpha >= 1.
    config
        As it will be used; with draws, or with several encoders whose videos are averaged.
    trial_ids
        Clips that neither encoders nor mask were fitted on; default: the first eight of the oracle tier.
    frames
        Of each clip, from its first.
    on_trial
        Called with clips done and clips in all, before the first and after each.

    Returns
    -------
    Calibration
        Of this mouse, these encoders and this preset.

    Raises
    ------
    ConfigError
        One movie only, so that there is no spread.
    SessionError
        No clip to calibrate on.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> sample = vr.find_sample()
    >>> session, mask = vr.open_session(sample.session), vr.AlphaMask.load(sample.mask)
    >>> encoder = vr.load_encoder(sample.encoders[0], device="cpu")
    >>> config = vr.ReconstructionConfig.preset("fast", steps=2, draws=2)
    >>> found = vr.calibrate_uncertainty(session, [encoder], mask, config, [0], frames=34)
    >>> later = config.changed(uncertainty_scale=found.scale)
    """
    with_movie = [each for each in session.trials_in_tier(CALIBRATION_TIER) if session.has_movie(each)]
    ids = listed(with_movie[:CALIBRATION_TRIALS] if trial_ids is None else trial_ids, "trial_ids")
    if not ids:
        raise SessionError(f"{session.path}: expected clips of the tier {CALIBRATION_TIER} to calibrate on, found none")
    if config.update.draws * len(encoders) < 2:
        raise ConfigError("draws 1: expected at least 2 (8 will do), or several encoders; one movie has no spread")
    config = config.changed(track_every=config.steps, track_responses=False, uncertainty_scale=1.0)
    pixels = mask.binary(EVALUATION_THRESHOLD)
    spreads, errors = [], []
    for done, trial_id in enumerate(ids):
        if on_trial is not None:
            on_trial(done, len(ids))
        trial = session.trial(trial_id)
        if not trial.has_movie:
            raise SessionError(
                f"{trial.name}: expected a clip whose movie is known, to measure the error by, found one without; "
                "leave it out"
            )
        part = trial.part(0, min(frames, trial.frames))
        result = reconstruct(part, encoders, mask, config)
        measured = slice(min(SKIPPED_FRAMES, part.frames // 2), None)
        spreads.append(uncertainty_map(result.videos, colours=part.planes)[measured][:, pixels].ravel())
        errors.append(np.abs(result.video - part.video)[measured][:, pixels].ravel())
    if on_trial is not None:
        on_trial(len(ids), len(ids))
    spread, error = np.concatenate(spreads).astype(np.float64), np.concatenate(errors).astype(np.float64)
    ratio = error / np.maximum(spread, LEAST_SPREAD)
    size = float(np.sqrt(np.mean(spread**2)))
    return Calibration(
        scale=float(np.clip(np.sqrt(np.mean(error**2)) / max(size, LEAST_SPREAD), *SCALES)),
        half_widths={each: float(min(np.quantile(ratio, each), WIDEST)) for each in CONFIDENCES},
        trials=[int(each) for each in ids],
        frames=frames,
        preset=config.preset_name,
        draws=config.update.draws,
        encoders=len(encoders),
        mouse=session.name,
    )
