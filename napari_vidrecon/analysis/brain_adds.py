"""What the brain adds: where experience differs from expectation by more than noise and the encoder's faults explain.

Expected is the reconstruction from the activity that the encoder predicts from the movie shown, experienced the one
from recorded activity (Bauer et al. 2026, Fig. 6). They differ where the brain adds something, but also because
activity is noisy and because no encoder is right. Both are told from other clips at the same place: every clip is held
against a null that is fitted to all the others. What is the same in all clips is a fault of the encoder by this
account, as an encoder that was fitted to the mouse would have learned it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.ndimage import gaussian_filter

from napari_vidrecon.encoders.answers import predicted
from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD
from napari_vidrecon.reconstruction.runner import reconstruct
from napari_vidrecon.sessions.repeats import clips_shown

if TYPE_CHECKING:
    from napari_vidrecon.encoders.encoder import Encoder
    from napari_vidrecon.reconstruction.masks import AlphaMask
    from napari_vidrecon.sessions.session import Session
    from napari_vidrecon.sessions.trial import Trial

Against = Literal["encoder", "noise"]
Procedure = Literal["bh", "by"]
USUAL_Q = 0.1
USUAL_SIGMA = (3.0, 1.5, 1.5)
"""Frames and pixels: a scan of the microscope, and less than a receptive field."""
FEWEST_NULLS = 3
"""Clips besides the one that is tested."""
FEWEST_TO_FLIP, MOST_FLIPS = 5, 64
"""Presentations whose signs are flipped; with fewer there are not enough patterns."""
USUAL_SURROGATES = 6
MOST_SKIPPED = 0.25
"""Of a clip; a short one has no frames to leave out."""
CONFIDENCE = 0.95
SLOPE_WEIGHT, SPREAD_WEIGHT = 1.0, 1.0
"""How much all pixels together count in what is fitted to each, in units of what it has itself."""
FEWEST_DEGREES, MOST_DEGREES = 5.0, 4.0
"""Of freedom of the null's t distribution: at least, and at most for each other clip."""
TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Presented:
    """One clip, reconstructed from predicted and from recorded activity of each of its presentations.

    Parameters
    ----------
    expected, experienced
        (presentations, T, H, W), grey levels, neither matched in luminance nor in contrast.
    name
        Of the clip, for messages.
    trials
        Ids of the presentations.
    """

    expected: np.ndarray
    experienced: np.ndarray
    name: str = "clip"
    trials: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.expected.shape != self.experienced.shape or self.expected.ndim != 4 or not len(self.expected):
            raise ConfigError(
                f"{self.name}: expected two arrays (presentations, frames, rows, columns) of one shape, found "
                f"{self.expected.shape} and {self.experienced.shape}"
            )


@dataclass(frozen=True, eq=False)
class Added:
    """What exceeds chance in one clip. Arrays are (T, H, W); outside the mask 0, NaN or False.

    Parameters
    ----------
    difference
        Experienced minus expected, mean over presentations, smoothed; grey levels.
    low, high
        Its 95 % interval from the presentations; NaN with one presentation.
    usual
        The difference that other clips lead to expect here, of a fault of the encoder; grey levels.
    p
        Probability of a difference as large, two-sided.
    exceeds
        Where it exceeds chance, at the false discovery rate.
    presentations
        How many.
    q
        False discovery rate over all clips tested together, 0..1.
    procedure
        "bh" (Benjamini-Hochberg) or "by" (Benjamini-Yekutieli).
    against
        What it exceeds: "encoder" (noise and faults of the encoder) or "noise".
    each
        (presentations, T, H, W) smoothed differences of the presentations.
    """

    difference: np.ndarray
    low: np.ndarray
    high: np.ndarray
    usual: np.ndarray
    p: np.ndarray
    exceeds: np.ndarray
    presentations: int
    q: float
    procedure: str
    against: str
    each: np.ndarray

    @property
    def shown(self) -> NDArray[np.float64]:
        """(T, H, W) the difference where it exceeds chance, else 0; what is coloured."""
        return np.where(self.exceeds, self.difference - self.usual, 0.0)

    @property
    def share(self) -> float:
        """Share of the pixels and frames that were tested which exceed chance, 0..1."""
        return float(self.exceeds.sum() / max(np.isfinite(self.p).sum(), 1))

    @property
    def sentence(self) -> str:
        """For people."""
        what = {"encoder": "noise and faults of the encoder", "noise": "noise (not faults of the encoder)"}
        times = "1 presentation" if self.presentations == 1 else f"{self.presentations} presentations"
        return (
            f"{100 * self.share:.1f} % of the picture exceeds {what[self.against]} ({times}, false discovery rate "
            f"{self.q:g}, {self.procedure.upper()})"
        )


def discoveries(p: ArrayLike, q: float = USUAL_Q, procedure: Procedure = "bh") -> NDArray[np.bool_]:
    """Which of many tests are discoveries at a false discovery rate.

    Parameters
    ----------
    p
        Any shape, 0..1; NaN was not tested.
    q
        Share of the discoveries that may be false, 0..1.
    procedure
        "bh": tests that are independent, or that depend positively as neighbouring pixels do; "by": any dependence.

    Returns
    -------
    NDArray[np.bool_]
        Of the shape of `p`.

    Raises
    ------
    ConfigError
        q is not between 0 and 1, or there is no such procedure.
    """
    if not 0 < q < 1:
        raise ConfigError(f"false discovery rate {q}: expected a number between 0 and 1")
    if procedure not in get_args(Procedure):
        raise ConfigError(f"procedure {procedure!r}: expected {' or '.join(get_args(Procedure))}")
    values = np.asarray(p, np.float64)
    tested = np.isfinite(values)
    found = np.zeros(values.shape, bool)
    if tested.any():
        found[tested] = stats.false_discovery_control(values[tested], method=procedure) <= q
    return found


def beyond_chance(
    clips: Sequence[Presented],
    mask: ArrayLike,
    *,
    q: float = USUAL_Q,
    procedure: Procedure = "bh",
    against: Against = "encoder",
    sigma: tuple[float, float, float] = USUAL_SIGMA,
    skip_frames: int = 0,
    nulls: Sequence[Presented] = (),
) -> list[Added]:
    """Where clips differ from what was expected by more than chance.

    Parameters
    ----------
    clips
        Of one mouse, one encoder or ensemble, and one setting. They are tested together: q is a share of all of them.
    mask
        (H, W) boolean: pixels that are tested.
    q
        False discovery rate, 0..1.
    procedure
        "bh" (Benjamini-Hochberg) or "by" (Benjamini-Yekutieli: any dependence, finds less).
    against
        "encoder": beyond what other clips differ by at the same place, which is noise and faults of the encoder.
        "noise": beyond what the presentations of the clip differ by; faults of the encoder are coloured too.
    sigma
        Smoothing (frames, pixels, pixels) before the test, within the mask.
    skip_frames
        First frames that are not tested: they have little context.
    nulls
        More clips to hold against, which are not tested themselves, such as surrogates.

    Returns
    -------
    list[Added]
        One a clip.

    Raises
    ------
    ConfigError
        Too few other clips ("encoder") or presentations ("noise"); the message says how many are needed.
    """
    if against not in get_args(Against):
        raise ConfigError(f"against {against!r}: expected {' or '.join(get_args(Against))}")
    pixels = np.asarray(mask).astype(bool)
    tested = [_Smoothed.of(clip, pixels, sigma, skip_frames) for clip in clips]
    if against == "noise":
        usual = [np.zeros_like(clip.difference) for clip in tested]
        p = [_beyond_noise(clip) for clip in tested]
    else:
        others = [_Smoothed.of(clip, pixels, sigma, skip_frames) for clip in nulls]
        told = [_beyond_encoder(clip, [*tested[:at], *tested[at + 1 :], *others]) for at, clip in enumerate(tested)]
        usual, p = [each[0] for each in told], [each[1] for each in told]
    lengths = np.cumsum([each.size for each in p])[:-1]
    found = np.split(discoveries(np.concatenate([each.ravel() for each in p]), q, procedure), lengths)
    return [
        clip.told(pixels, skip_frames, mine, chances, exceeds.reshape(chances.shape), (q, procedure, against))
        for clip, mine, chances, exceeds in zip(tested, usual, p, found, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class _Smoothed:
    """A clip inside the mask: (presentations, T, P) differences, and (T, P) what was expected."""

    each: np.ndarray
    expected: np.ndarray
    name: str

    @classmethod
    def of(cls, clip: Presented, pixels: np.ndarray, sigma: tuple[float, float, float], skip: int) -> _Smoothed:
        frames = clip.expected.shape[1] - skip
        if clip.expected.shape[2:] != pixels.shape or not pixels.any() or frames < 1:
            raise ConfigError(
                f"{clip.name}: expected frames of the mask's shape {pixels.shape}, with pixels in it, and more than "
                f"{skip} of them; found {clip.expected.shape[1:]} and {int(pixels.sum())} pixels"
            )
        # The rest of the screen has no weight, so it is cut off.
        lines = (np.flatnonzero(pixels.any(axis)) for axis in (1, 0))
        box = tuple(slice(line[0], line[-1] + 1) for line in lines)
        tested = pixels[box]
        inside = np.broadcast_to(tested, (frames, *tested.shape)).astype(np.float64)
        weight = np.maximum(gaussian_filter(inside, sigma, mode="constant"), TINY)

        def smoothed(movie: np.ndarray) -> np.ndarray:
            part = np.asarray(movie[skip:, *box], np.float64) * inside
            return np.asarray((gaussian_filter(part, sigma, mode="constant") / weight)[:, tested])

        pairs = zip(clip.experienced, clip.expected, strict=True)
        each = [smoothed(np.subtract(*pair, dtype=np.float64)) for pair in pairs]
        return cls(np.stack(each), smoothed(clip.expected.mean(axis=0)), clip.name)

    @property
    def difference(self) -> np.ndarray:
        return np.asarray(self.each.mean(axis=0))

    @property
    def presentations(self) -> int:
        return len(self.each)

    @property
    def squared_error(self) -> np.ndarray:
        """(P,) of the mean over presentations, by what they differ; 0 with one."""
        if self.presentations < 2:
            return np.zeros(self.each.shape[-1])
        return np.asarray(self.each.var(axis=0, ddof=1).mean(axis=0) / self.presentations)

    def told(
        self,
        pixels: np.ndarray,
        skip: int,
        usual: np.ndarray,
        p: np.ndarray,
        exceeds: np.ndarray,
        how: tuple[float, str, str],
    ) -> Added:
        """On the screen again."""

        def back(values: np.ndarray, fill: float | bool) -> np.ndarray:
            frames = values.shape[-2] + skip
            whole = np.full((*values.shape[:-2], frames, *pixels.shape), fill, values.dtype)
            whole[..., skip:, pixels] = values
            return whole

        half = np.full_like(usual, np.nan)
        if self.presentations > 1:
            wide = stats.t.ppf((1 + CONFIDENCE) / 2, self.presentations - 1)
            half = wide * self.each.std(axis=0, ddof=1) / np.sqrt(self.presentations)
        low, high = (back(self.difference + sign * half, np.nan) for sign in (-1, 1))
        return Added(
            back(self.difference, 0.0),
            low,
            high,
            back(usual, 0.0),
            back(p, np.nan),
            back(exceeds, False),
            self.presentations,
            *how,
            back(self.each, 0.0),
        )


class _Line:
    """Difference = offset + slope * expected at every pixel: an encoder's fault that recurs, and too little contrast.

    Sums, so that a clip can be taken out again.
    """

    def __init__(self, clips: Sequence[_Smoothed]) -> None:
        self.parts = [self._sums(clip) for clip in clips]
        self.total = np.sum(self.parts, axis=0)

    @staticmethod
    def _sums(clip: _Smoothed) -> np.ndarray:
        x, y = clip.expected, clip.difference
        return np.stack([np.full(x.shape[1], float(len(x))), x.sum(0), y.sum(0), (x * x).sum(0), (x * y).sum(0)])

    def usual(self, clip: _Smoothed, without: int | None = None) -> np.ndarray:
        """(T, P) the difference that is usual where this was expected, told without one of the clips."""
        count, x, y, xx, xy = self.total - (0 if without is None else self.parts[without])
        mean_x, mean_y = x / count, y / count
        varied, together = xx / count - mean_x**2, xy / count - mean_x * mean_y
        of_all = SLOPE_WEIGHT * varied.mean() + TINY
        slope = (together + SLOPE_WEIGHT * together.mean()) / (varied + of_all)
        return np.asarray(mean_y + slope * (clip.expected - mean_x))


def _beyond_encoder(clip: _Smoothed, others: Sequence[_Smoothed]) -> tuple[np.ndarray, np.ndarray]:
    """What is usual (T, P), and the probability (T, P) of what is not, from other clips at the same place."""
    if len(others) < FEWEST_NULLS:
        raise ConfigError(
            f"{clip.name}: expected at least {FEWEST_NULLS} other clips of this mouse to tell the encoder's faults "
            f"from what the brain adds, found {len(others)}; take more clips, or surrogates"
        )
    line = _Line(others)
    unusual = [other.difference - line.usual(other, at) for at, other in enumerate(others)]
    # What other clips vary by holds the noise of their own presentations, of which they may have more or fewer.
    faults = np.stack(
        [(each**2).mean(axis=0) - other.squared_error for each, other in zip(unusual, others, strict=True)]
    )
    # Each of the others is measured as the tested one is: by what the rest varies by.
    rest = [_spread(np.delete(faults, at, 0), other) for at, other in enumerate(others)]
    null = np.concatenate([(each / spread).ravel() for each, spread in zip(unusual, rest, strict=True)])
    usual = line.usual(clip)
    z = (clip.difference - usual) / np.maximum(_spread(faults, clip) * np.sqrt((null**2).mean()), TINY)
    return usual, _two_sided(z, _tails(null, len(others)))


def _spread(faults: np.ndarray, clip: _Smoothed) -> np.ndarray:
    """(P,) standard deviation: of the encoder's faults in other clips, and of the noise of the clip's presentations."""
    own = np.maximum(faults.mean(axis=0), 0.0) + clip.squared_error
    return np.sqrt(np.maximum((own + SPREAD_WEIGHT * own.mean()) / (1 + SPREAD_WEIGHT), TINY))


def _tails(null: np.ndarray, clips: int) -> float:
    """Degrees of freedom of a t distribution with the kurtosis of the null; few clips say little about rare things."""
    excess, most = float(stats.kurtosis(null)), max(float(MOST_DEGREES * clips), FEWEST_DEGREES)
    return float(np.clip(4 + 6 / excess, FEWEST_DEGREES, most)) if excess > 0 else most


def _two_sided(z: np.ndarray, degrees: float) -> np.ndarray:
    """Of a t distribution with variance 1."""
    return np.asarray(2 * stats.t.sf(np.abs(z) * np.sqrt(degrees / (degrees - 2)), degrees))


def _beyond_noise(clip: _Smoothed) -> np.ndarray:
    """(T, P) probability of the mean difference, from presentations: by flipped signs, or with few of them by t."""
    count = clip.presentations
    if count < 2:
        raise ConfigError(f"{clip.name}: expected at least 2 presentations to tell noise from, found 1")
    t = _moderated_t(clip.each)
    if count < FEWEST_TO_FLIP:
        return np.asarray(2 * stats.t.sf(np.abs(t), 2 * (count - 1)))
    # All patterns but the one that was seen; the opposite of a pattern is the same.
    patterns = np.array([(1, *rest) for rest in product((1, -1), repeat=count - 1)])[1:]
    chosen = np.random.default_rng(0).permutation(len(patterns))[:MOST_FLIPS]
    null = np.sort(
        np.concatenate([np.abs(_moderated_t(clip.each * patterns[at][:, None, None])).ravel() for at in chosen])
    )
    as_large = len(null) - np.searchsorted(null, np.abs(t).ravel(), side="left")
    return np.asarray(((1 + as_large) / (1 + len(null))).reshape(t.shape))


def _moderated_t(each: np.ndarray) -> np.ndarray:
    """Mean over standard error; the variance half a pixel's own over all frames, as few presentations tell it badly."""
    variance = each.var(axis=0, ddof=1)
    steady = (variance + variance.mean(axis=0)) / 2
    return np.asarray(each.mean(axis=0) / np.sqrt(np.maximum(steady / len(each), TINY)))


def presented(
    trials: Sequence[Trial],
    encoders: Sequence[Encoder],
    mask: AlphaMask,
    config: ReconstructionConfig,
    *,
    expected: np.ndarray | None = None,
    **others: Any,
) -> Presented:
    """Reconstruct presentations of one clip from predicted and from recorded activity, each with its own behaviour.

    Parameters
    ----------
    trials
        Presentations of one clip.
    encoders
        One or more, bound to this mouse.
    mask
        Transparency mask of this mouse.
    config
        Every setting.
    expected
        (presentations, T, H, W) if they are known.
    others
        Everything else of `RunInputs`, by name.

    Returns
    -------
    Presented
        Grey levels 0..255.
    """

    def movies(target: str) -> np.ndarray:
        found = [reconstruct(trial, encoders, mask, config, target=target, **others).video for trial in trials]
        return np.clip(np.stack(found), 0.0, 255.0).astype(np.float32)

    known = movies("predicted") if expected is None else expected
    return Presented(known, movies("recorded"), trials[0].name, tuple(trial.id for trial in trials))


def surrogate(trials: Sequence[Trial], encoders: Sequence[Encoder], shift: int) -> list[Trial]:
    """Presentations in which nothing is added: what the encoders expect, and their residuals from another time.

    Parameters
    ----------
    trials
        Presentations of one clip.
    encoders
        One or more, bound to this mouse.
    shift
        Frames that the residuals of all neurons are shifted by, around the end of the clip; so they stay as large, as
        heavy-tailed and as alike between neurons as they are, and have nothing to do with the movie.

    Returns
    -------
    list[Trial]
        With other activity, else the same.
    """
    made = []
    for trial in trials:
        streams = trial.video, trial.behavior, trial.pupil_center
        expected = np.mean([predicted(encoder, *streams, clip=trial.name) for encoder in encoders], axis=0)
        noise = np.roll(trial.require_responses() - expected, shift, axis=1)
        activity = np.maximum(expected + noise, 0.0).astype(np.float32)
        made.append(replace(trial, recorded_responses=activity, name=f"{trial.name}, residuals shifted by {shift}"))
    return made


def what_the_brain_adds(
    session: Session,
    encoders: Sequence[Encoder],
    mask: AlphaMask,
    config: ReconstructionConfig | None = None,
    *,
    clips: Sequence[Sequence[int]] | None = None,
    frames: tuple[int, int] | None = None,
    q: float = USUAL_Q,
    procedure: Procedure = "bh",
    against: Against = "encoder",
    sigma: tuple[float, float, float] = USUAL_SIGMA,
    surrogates: int | None = None,
    on_clip: Callable[[Presented], None] | None = None,
    **others: Any,
) -> list[Added]:
    """Where what a mouse experienced differs from what was expected, by more than chance, in every clip.

    Parameters
    ----------
    session
        Of one mouse.
    encoders
        One or more, bound to this mouse, fitted without these clips.
    mask
        Transparency mask of this mouse; alpha >= 1 is tested.
    config
        Every setting; None: the "fast" preset.
    clips
        Trials of each clip; None: all that were shown at least twice (`clips_shown`). One trial a clip is enough, and
        gives no interval.
    frames
        First and end frame of each clip; None: as many as its shortest presentation has.
    q
        False discovery rate over all clips together, 0..1.
    procedure
        "bh" (Benjamini-Hochberg) or "by" (Benjamini-Yekutieli: any dependence, finds less).
    against
        "encoder": beyond noise and faults of the encoder, as other clips show them; "noise": beyond noise alone.
    sigma
        Smoothing (frames, pixels, pixels) before the test.
    surrogates
        Reconstructions a clip from expected activity with residuals of other times, to hold against besides other
        clips; None: 6 where there are too few other clips, else 0.
    on_clip
        Called with the reconstructions of every clip.
    others
        Everything else of `RunInputs`, by name.

    Returns
    -------
    list[Added]
        One a clip, in order.

    Raises
    ------
    VidreconError
        As `reconstruct`; no clip was shown twice, or too few clips or presentations to tell chance from.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> sample = vr.find_sample()
    >>> session = vr.open_session(sample.session)
    >>> encoder = vr.load_encoder(sample.encoders[0], device="cpu")
    >>> mask, config = vr.AlphaMask.load(sample.mask), vr.ReconstructionConfig.preset("fast", steps=1)
    >>> shown = [[0], [1], [2], [3], [4], [5]]
    >>> added = vr.what_the_brain_adds(session, [encoder], mask, config, clips=shown, frames=(0, 32))
    >>> len(added), added[0].exceeds.shape
    (6, (32, 36, 64))
    """
    config = ReconstructionConfig.preset("fast") if config is None else config
    config = config.changed(track_every=max(config.steps, 1), track_responses=False)
    chosen = clips_shown(session) if clips is None else [list(ids) for ids in clips]
    if not chosen or not all(chosen):
        raise ConfigError(
            f"{session.name}: expected clips that were shown at least twice, found none; name trials with clips="
        )
    count = surrogates if surrogates is not None else USUAL_SURROGATES * (len(chosen) <= FEWEST_NULLS)
    found, nulls = [], []
    for ids in chosen:
        trials = _alike([session.trial(trial_id) for trial_id in ids], frames)
        clip = presented(trials, encoders, mask, config, **others)
        found.append(clip)
        for at in range(count):
            shift = (at + 1) * trials[0].frames // (count + 1)
            made = surrogate(trials, encoders, shift)
            nulls.append(presented(made, encoders, mask, config, expected=clip.expected, **others))
        if on_clip is not None:
            on_clip(clip)
    length = found[0].expected.shape[1]
    return beyond_chance(
        found,
        mask.binary(EVALUATION_THRESHOLD),
        q=q,
        procedure=procedure,
        against=against,
        sigma=sigma,
        skip_frames=min(config.track_skip_frames, int(MOST_SKIPPED * length)),
        nulls=nulls,
    )


def _alike(trials: Sequence[Trial], frames: tuple[int, int] | None) -> list[Trial]:
    """Cut to the same frames."""
    first, end = frames or (0, min(trial.frames for trial in trials))
    return [trial.part(first, end) for trial in trials]
