"""Where experience differs from expectation by more than noise and the encoder's faults explain.

Expected is the reconstruction from the activity that the encoder predicts from the movie shown, experienced the one
from recorded activity (Bauer et al. 2026, Fig. 6). They differ where the brain adds something, but also because
activity is noisy and because no encoder is right. Both are told from other clips at the same place: every clip is held
against a null that is fitted to all the others. What is the same in all clips is a fault of the encoder by this
account, as an encoder that was fitted to the mouse would have learned it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.ndimage import gaussian_filter

from napari_vidrecon.errors import ConfigError, number_of
from napari_vidrecon.sessions.screen import ScreenGeometry
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ
from napari_vidrecon.settings import brief

Against = Literal["encoder", "noise"]
Procedure = Literal["bh", "by"]
USUAL_Q = 0.1
USUAL_SIGMA = (3.0, 1.5, 1.5)
"""Frames and pixels at 36 x 64 and 30 Hz: a scan of the microscope, and less than a receptive field."""
FEWEST_NULLS = 3
"""Clips besides the one that is tested."""
FEWEST_TO_FLIP, MOST_FLIPS = 5, 64
"""Presentations whose signs are flipped; with fewer there are not enough patterns."""
CONFIDENCE = 0.95
SLOPE_WEIGHT, SPREAD_WEIGHT = 1.0, 1.0
"""How much all pixels together count in what is fitted to each, in units of what it has itself."""
OWN_WEIGHT = 1.0
"""Of how large the differences of a clip are, beside those of all clips."""
MOST_OF_PICTURE, SHOULDER, TAIL = 0.7, 0.9, 0.99
"""Quantiles of the null: what tells its size, and its t distribution."""
DEGREES = np.array([5, 6, 8, 10, 14, 20, 28])
"""Of freedom; a few clips cannot tell whether a null is closer to the normal one."""
TINY = 1e-12


def smoothing_on(screen: ScreenGeometry, frame_rate_hz: float) -> tuple[float, float, float]:
    """`USUAL_SIGMA` in frames and pixels of another screen and rate: as long in seconds, as wide in degrees."""
    frames, *sides = USUAL_SIGMA
    width, height = (side * screen.px_per_usual_px for side in sides)
    return frames * frame_rate_hz / FRAME_RATE_HZ, width, height


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

    __repr__ = brief

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

    __repr__ = brief

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
        times = number_of(self.presentations, "presentation")
        return (
            f"{100 * self.share:.1f} % of the picture exceeds {what[self.against]} ({times}, false discovery rate "
            f"{self.q:g}, {self.procedure.upper()})"
        )


def require_test(q: float, procedure: str, against: str = "noise") -> None:
    """Refuse a test that there is not, before hours are spent on what it is made of.

    Parameters
    ----------
    q
        False discovery rate.
    procedure, against
        By name.

    Raises
    ------
    ConfigError
        One line that says what is expected.
    """
    if not 0 < q < 1:
        raise ConfigError(f"false discovery rate {q}: expected a number between 0 and 1")
    for what, given, known in (("procedure", procedure, Procedure), ("against", against, Against)):
        if given not in get_args(known):
            raise ConfigError(f"{what} {given!r}: expected {' or '.join(get_args(known))}")


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
    require_test(q, procedure)
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
    colours: int = 1,
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
        Smoothing (frames, pixels, pixels) before the test, within the mask; `smoothing_on` a screen at a rate.
    skip_frames
        First frames that are not tested: they have little context.
    nulls
        More clips to hold against, which are not tested themselves, such as surrogates.
    colours
        Parts of the screen, one below the other, that are smoothed each for itself.

    Returns
    -------
    list[Added]
        One a clip.

    Raises
    ------
    ConfigError
        Too few other clips ("encoder") or presentations ("noise"); the message says how many are needed.
    """
    require_test(q, procedure, against)
    pixels = np.asarray(mask).astype(bool)
    tested = [_Smoothed.of(clip, pixels, sigma, skip_frames, colours) for clip in clips]
    if against == "noise":
        usual = [np.zeros_like(clip.difference) for clip in tested]
        p = [_beyond_noise(clip) for clip in tested]
    else:
        others = [_Smoothed.of(clip, pixels, sigma, skip_frames, colours) for clip in nulls]
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
    def of(
        cls, clip: Presented, pixels: np.ndarray, sigma: tuple[float, float, float], skip: int, colours: int = 1
    ) -> _Smoothed:
        frames = clip.expected.shape[1] - skip
        if clip.expected.shape[2:] != pixels.shape or not pixels.any() or frames < 1:
            raise ConfigError(
                f"{clip.name}: expected frames of the mask's shape {pixels.shape}, with pixels in it, and more than "
                f"{skip} of them; found {clip.expected.shape[1:]} and {int(pixels.sum())} pixels"
            )
        tops = range(0, len(pixels), len(pixels) // colours)
        rows = [slice(top, top + len(pixels) // colours) for top in tops]
        filters = [(part, _filter(pixels[part], sigma, frames)) for part in rows if pixels[part].any()]

        def smoothed(movie: np.ndarray) -> np.ndarray:
            return np.concatenate([smooth(movie[skip:, part]) for part, smooth in filters], axis=-1)

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


def _filter(pixels: np.ndarray, sigma: tuple[float, float, float], frames: int) -> Callable[[np.ndarray], np.ndarray]:
    """What smooths a (T, H, W) movie inside pixels, (T, P)."""
    # The rest of the screen has no weight, so it is cut off.
    lines = (np.flatnonzero(pixels.any(axis)) for axis in (1, 0))
    box = tuple(slice(line[0], line[-1] + 1) for line in lines)
    tested = pixels[box]
    inside = np.broadcast_to(tested, (frames, *tested.shape)).astype(np.float64)
    weight = np.maximum(gaussian_filter(inside, sigma, mode="constant"), TINY)

    def smoothed(movie: np.ndarray) -> np.ndarray:
        part = np.asarray(movie[:, *box], np.float64) * inside
        return np.asarray((gaussian_filter(part, sigma, mode="constant") / weight)[:, tested])

    return smoothed


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
    null = [
        each / _spread(np.delete(faults, at, 0), other)
        for at, (each, other) in enumerate(zip(unusual, others, strict=True))
    ]
    usual = line.usual(clip)
    z = (clip.difference - usual) / _spread(faults, clip)
    typical = float(np.median([_size(each) for each in null]))
    degrees, scale = _tails([each / _own(each, typical) for each in null])
    return usual, np.asarray(2 * stats.t.sf(np.abs(z) / (_own(z, typical) * scale), degrees))


def _spread(faults: np.ndarray, clip: _Smoothed) -> np.ndarray:
    """(P,) standard deviation: of the encoder's faults in other clips, and of the noise of the clip's presentations."""
    # The median clip: something may be added at this place in a few of the others.
    own = np.maximum(np.median(faults, axis=0), 0.0) + clip.squared_error
    return np.sqrt(np.maximum((own + SPREAD_WEIGHT * own.mean()) / (1 + SPREAD_WEIGHT), TINY))


def _size(z: np.ndarray) -> float:
    """Of most of the picture: what is added to a minor part of it does not count."""
    return float(np.quantile(np.abs(z), MOST_OF_PICTURE))


def _own(z: np.ndarray, typical: float) -> float:
    """How much larger the differences of a clip are than those of others: an encoder fails more at some clips."""
    return float(np.sqrt((OWN_WEIGHT * (_size(z) / max(typical, TINY)) ** 2 + 1) / (OWN_WEIGHT + 1)))


def _tails(null: Sequence[np.ndarray]) -> tuple[float, float]:
    """Degrees of freedom and scale of a t distribution with the quantiles of the null."""
    # The median over clips: what is added to a few of them is no part of the null.
    shoulder, tail = (np.median([np.quantile(np.abs(each), at) for each in null]) for at in (SHOULDER, TAIL))
    wide, far = (stats.t.ppf((1 + at) / 2, DEGREES) for at in (SHOULDER, TAIL))
    best = int(np.argmin(np.abs(far / wide - tail / max(shoulder, TINY))))
    return float(DEGREES[best]), max(float(shoulder / wide[best]), TINY)


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
