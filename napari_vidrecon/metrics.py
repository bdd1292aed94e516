"""How alike two movies, or two populations' activities, are: numbers from arrays, in float64.

Movies are (T, H, W) or one frame (H, W), in grey levels 0..255. A mask is (H, W), True or 1 where a pixel
counts; None counts every pixel. Where a number is not defined (a constant picture, no pixel, no frame) the
answer is NaN, without a warning. All definitions: Bauer et al. 2026 and its published code, unless said.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_vidrecon.errors import ConfigError, one_line

Floats = NDArray[np.float64]

DATA_RANGE = 255.0
ENTROPY_BINS = 25
ENTROPY_RANGE = (0.0, 256.0)
POISSON_EPSILON = 1e-8
SSIM_SIGMA_PX = 1.5
SSIM_TRUNCATE_SIGMAS = 3.5
LARGEST_WEIGHT = 1e12
UNDEFINED_IS_NAN = np.errstate(invalid="ignore", divide="ignore", over="ignore")
"""What NaN, infinite or huge values come to is NaN or infinite, without a warning."""


class MetricError(ConfigError, ValueError):
    """An array that nothing can be measured on: the message names it."""


class VideoCorrelation:
    """Correlation of many movies with one truth, whose side is prepared once.

    Parameters
    ----------
    truth
        (T, H, W), grey levels.
    mask
        (H, W) boolean or 0/1, or None for all pixels.

    Raises
    ------
    MetricError
        The mask does not fit the frames, or holds other values than 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_vidrecon.metrics import VideoCorrelation
    >>> truth = np.arange(24.0).reshape(2, 3, 4)
    >>> with_truth = VideoCorrelation(truth)
    >>> round(with_truth(255 - truth), 6)
    -1.0
    """

    @UNDEFINED_IS_NAN
    def __init__(self, truth: ArrayLike, mask: ArrayLike | None = None) -> None:
        array = _as_video(truth, "truth")
        self._shape = array.shape
        self._pixels = _selected_pixels(mask, array.shape[1:])
        values = _take(array, self._pixels).ravel()
        self._constant = _is_constant(values)
        centred = values - values.mean() if values.size else values
        norm = np.sqrt(centred @ centred)
        self._unit = centred / norm if norm > 0 else centred

    @UNDEFINED_IS_NAN
    def __call__(self, video: ArrayLike) -> float:
        """Pearson's r of a movie with the truth; NaN where either is constant.

        Parameters
        ----------
        video
            (T, H, W), grey levels 0..255; of the truth's shape.

        Returns
        -------
        float
            -1..1.

        Raises
        ------
        MetricError
            The shapes differ.
        """
        array = _as_video(video, "video")
        if array.shape != self._shape:
            raise MetricError(f"truth has shape {self._shape} and video has shape {array.shape}; expected equal shapes")
        values = _take(array, self._pixels).ravel()
        if self._constant or _is_constant(values):
            return float("nan")
        values -= values.mean()
        norm = np.sqrt(values @ values)
        return float(np.clip(self._unit @ values / norm, -1.0, 1.0)) if norm > 0 else float("nan")


@UNDEFINED_IS_NAN
def video_correlation(truth: ArrayLike, video: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Pearson's r between two movies over all pixels and frames inside the mask, -1..1.

    Parameters
    ----------
    truth, video
        (T, H, W), grey levels.
    mask
        (H, W) boolean or 0/1, or None for all pixels.

    Returns
    -------
    float
        -1..1; NaN where either movie is constant.

    Raises
    ------
    MetricError
        The shapes differ, or the mask does not fit.

    References
    ----------
    Bauer et al. 2026, Fig. 2B (spatio-temporal correlation).

    Examples
    --------
    >>> import numpy as np
    >>> from napari_vidrecon import metrics
    >>> truth = np.arange(24.0).reshape(2, 3, 4)
    >>> round(metrics.video_correlation(truth, 2 * truth + 5), 6)
    1.0
    """
    return VideoCorrelation(truth, mask)(video)


@UNDEFINED_IS_NAN
def frame_correlation(truth: ArrayLike, video: ArrayLike, mask: ArrayLike | None = None) -> Floats:
    """Pearson's r over the pixels inside the mask, frame by frame.

    Parameters
    ----------
    truth, video
        (T, H, W) or (H, W), grey levels 0..255.
    mask
        (H, W) boolean or 0/1, or None for all pixels.

    Returns
    -------
    NDArray[np.float64]
        (T,), -1..1; NaN where a frame is constant.

    Raises
    ------
    MetricError
        The shapes differ, or the mask does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_vidrecon import metrics
    >>> truth = np.arange(24.0).reshape(2, 3, 4)
    >>> metrics.frame_correlation(truth, truth[::-1]).round(6)
    array([1., 1.])
    """
    return _pearson_rows(*_pair_inside(truth, video, mask))


@UNDEFINED_IS_NAN
def mean_frame_correlation(truth: ArrayLike, video: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Mean of the frame correlations that have a value (Bauer et al. 2026, Fig. 2B).

    Parameters
    ----------
    truth, video
        (T, H, W) or (H, W), grey levels 0..255.
    mask
        (H, W) boolean or 0/1, or None for all pixels.

    Returns
    -------
    float
        -1..1; NaN where every frame is constant.

    Raises
    ------
    MetricError
        The shapes differ, or the mask does not fit.
    """
    return _nanmean(frame_correlation(truth, video, mask))


@UNDEFINED_IS_NAN
def rmse(truth: ArrayLike, video: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Root mean squared difference inside the mask.

    Parameters
    ----------
    truth, video
        (T, H, W) or (H, W), grey levels 0..255.
    mask
        (H, W) boolean or 0/1, or None for all pixels.

    Returns
    -------
    float
        Grey levels, >= 0.

    Raises
    ------
    MetricError
        The shapes differ, or the mask does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_vidrecon import metrics
    >>> metrics.rmse(np.zeros((2, 3, 4)), np.full((2, 3, 4), 8.0))
    8.0
    """
    return float(np.sqrt(_mean_squared_error(truth, video, mask)))


@UNDEFINED_IS_NAN
def psnr(truth: ArrayLike, video: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Peak signal-to-noise ratio inside the mask, with a peak of 255 grey levels.

    Parameters
    ----------
    truth, video
        (T, H, W) or (H, W), grey levels 0..255.
    mask
        (H, W) boolean or 0/1, or None for all pixels.

    Returns
    -------
    float
        Decibels; infinite for equal movies.

    Raises
    ------
    MetricError
        The shapes differ, or the mask does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_vidrecon import metrics
    >>> round(metrics.psnr(np.zeros((2, 3, 4)), np.full((2, 3, 4), 25.5)), 1)
    20.0
    """
    error = _mean_squared_error(truth, video, mask)
    return float("inf") if error == 0 else float(10 * np.log10(DATA_RANGE**2 / error))


@UNDEFINED_IS_NAN
def ssim_global(
    truth: ArrayLike, video: ArrayLike, mask: ArrayLike | None = None, *, k1: float = 1.0, k2: float = 1.0
) -> float:
    """Structural similarity of two movies taken as one window each, as the reference code computes it.

    With its constants k1 = k2 = 1 the value is near 1 for nearly everything: use `ssim` to judge quality.
    The covariance alone is divided by n - 1, as there.

    Parameters
    ----------
    truth, video
        (T, H, W) or (H, W), grey levels 0..255.
    mask
        (H, W) boolean or 0/1, or None for all pixels.
    k1, k2
        Constants of luminance and contrast as a share of 255, >= 0; 0.01 and 0.03 are usual elsewhere.

    Returns
    -------
    float
        NaN with fewer than two values.

    Raises
    ------
    MetricError
        The shapes differ, the mask does not fit, or a constant is no number >= 0.
    """
    _check_weights(k1=k1, k2=k2)
    x, y = (values.ravel() for values in _pair_inside(truth, video, mask))
    if x.size < 2:
        return float("nan")
    c1, c2 = (k1 * DATA_RANGE) ** 2, (k2 * DATA_RANGE) ** 2
    c3 = c2 / 2
    mean_x, mean_y, sd_x, sd_y = x.mean(), y.mean(), x.std(), y.std()
    covariance = (x - mean_x) @ (y - mean_y) / (x.size - 1)
    luminance_term = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    contrast_term = (2 * sd_x * sd_y + c2) / (sd_x**2 + sd_y**2 + c2)
    structure_term = (covariance + c3) / (sd_x * sd_y + c3)
    return float(luminance_term * contrast_term * structure_term)


@UNDEFINED_IS_NAN
def ssim(
    truth: ArrayLike,
    video: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    k1: float = 0.01,
    k2: float = 0.03,
    colours: int = 1,
) -> float:
    """Mean structural similarity: Gaussian window of 1.5 px in each frame, averaged inside the mask.

    Frames are continued by reflection at their edges, so every pixel of the mask has a value; a window near the
    mask's edge also sees pixels outside it.

    Parameters
    ----------
    truth, video
        (T, H, W) or (H, W), grey levels 0..255.
    mask
        (H, W) boolean or 0/1, or None for all pixels.
    k1, k2
        Constants of luminance and contrast as a share of 255, >= 0.
    colours
        Parts of a frame, one below the other: no window sees two of them.

    Returns
    -------
    float
        -1..1.

    Raises
    ------
    MetricError
        The shapes differ, the mask does not fit, a constant is no number >= 0, or rows that are not so many colours.

    References
    ----------
    Wang et al. 2004.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_vidrecon import metrics
    >>> movie = np.random.default_rng(0).uniform(0, 255, (2, 36, 64))
    >>> metrics.ssim(movie, movie)
    1.0
    """
    from scipy.ndimage import gaussian_filter

    _check_weights(k1=k1, k2=k2)
    x, y = _pair(truth, video)
    pixels = _selected_pixels(mask, x.shape[1:])

    frames, rows, columns = x.shape
    if colours < 1 or rows % colours:
        raise MetricError(f"truth has {rows} rows; expected as many for each of {colours} colours")
    apart, sigmas = (frames, colours, rows // colours, columns), (0.0, 0.0, SSIM_SIGMA_PX, SSIM_SIGMA_PX)

    def local_mean(movie: Floats) -> Floats:
        return gaussian_filter(movie.reshape(apart), sigmas, truncate=SSIM_TRUNCATE_SIGMAS).reshape(movie.shape)

    x, y = x.astype(np.float64), y.astype(np.float64)
    mean_x, mean_y = local_mean(x), local_mean(y)
    variance_x = local_mean(x * x) - mean_x**2
    variance_y = local_mean(y * y) - mean_y**2
    covariance = local_mean(x * y) - mean_x * mean_y
    c1, c2 = (k1 * DATA_RANGE) ** 2, (k2 * DATA_RANGE) ** 2
    similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    )
    values = _take(similarity, pixels)
    return float(values.mean()) if values.size else float("nan")


@UNDEFINED_IS_NAN
def motion_energy(video: ArrayLike, mask: ArrayLike | None = None) -> Floats:
    """Mean absolute change from each frame to the next inside the mask.

    Parameters
    ----------
    video
        (T, H, W) or (H, W), grey levels 0..255.
    mask
        (H, W) boolean or 0/1, or None for all pixels.

    Returns
    -------
    NDArray[np.float64]
        (T - 1,) grey levels, >= 0.

    Raises
    ------
    MetricError
        No movie, or the mask does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_vidrecon import metrics
    >>> metrics.motion_energy(np.stack([np.zeros((3, 4)), np.full((3, 4), 10.0)]))
    array([10.])
    """
    values = _inside(video, mask)
    if values.shape[1] == 0:
        return np.full(max(len(values) - 1, 0), np.nan)
    return np.abs(np.diff(values, axis=0)).mean(axis=1)


def frame_entropy(video: ArrayLike, mask: ArrayLike | None = None) -> Floats:
    """Shannon entropy of each frame's grey levels inside the mask.

    Parameters
    ----------
    video
        (T, H, W) or (H, W), grey levels 0..255.
    mask
        (H, W) boolean or 0/1, or None for all pixels.

    Returns
    -------
    NDArray[np.float64]
        (T,) bits, 0..log2(25) = 4.64: 25 bins over 0..256.

    Raises
    ------
    MetricError
        No movie, or the mask does not fit.
    """
    return np.array([_entropy_bits(values) for values in _inside(video, mask)])


def shannon_entropy(video: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Mean over frames of the grey levels' Shannon entropy in space.

    Parameters
    ----------
    video
        (T, H, W) or (H, W), grey levels 0..255.
    mask
        (H, W) boolean or 0/1, or None for all pixels.

    Returns
    -------
    float
        Bits, 0..4.64: 25 bins over 0..256.

    Raises
    ------
    MetricError
        No movie, or the mask does not fit.

    References
    ----------
    Bauer et al. 2026, Fig. 4, second supplement, A.
    """
    return _nanmean(frame_entropy(video, mask))


@UNDEFINED_IS_NAN
def luminance(video: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Mean grey level of all pixels and frames inside the mask.

    Parameters
    ----------
    video
        (T, H, W) or (H, W), grey levels 0..255.
    mask
        (H, W) boolean or 0/1, or None for all pixels.

    Returns
    -------
    float
        Grey levels.

    Raises
    ------
    MetricError
        No movie, or the mask does not fit.
    """
    values = _inside(video, mask)
    return float(values.mean()) if values.size else float("nan")


@UNDEFINED_IS_NAN
def contrast(video: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Population standard deviation of all pixels and frames inside the mask.

    Parameters
    ----------
    video
        (T, H, W) or (H, W), grey levels 0..255.
    mask
        (H, W) boolean or 0/1, or None for all pixels.

    Returns
    -------
    float
        Grey levels, >= 0.

    Raises
    ------
    MetricError
        No movie, or the mask does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_vidrecon import metrics
    >>> metrics.contrast(np.array([[[0.0, 255.0]]]))
    127.5
    """
    values = _inside(video, mask)
    return float(values.std()) if values.size else float("nan")


@UNDEFINED_IS_NAN
def frame_contrast(video: ArrayLike, mask: ArrayLike | None = None) -> Floats:
    """Population standard deviation over the pixels inside the mask, frame by frame.

    Parameters
    ----------
    video
        (T, H, W) or (H, W), grey levels 0..255.
    mask
        (H, W) boolean or 0/1, or None for all pixels.

    Returns
    -------
    NDArray[np.float64]
        (T,) grey levels, >= 0.

    Raises
    ------
    MetricError
        No movie, or the mask does not fit.
    """
    values = _inside(video, mask)
    return values.std(axis=1) if values.shape[1] else np.full(len(values), np.nan)


@UNDEFINED_IS_NAN
def pixel_correlation_map(truth: ArrayLike, video: ArrayLike, mask: ArrayLike | None = None) -> Floats:
    """Pearson's r over time of every pixel.

    Parameters
    ----------
    truth, video
        (T, H, W) or (H, W), grey levels 0..255.
    mask
        (H, W) boolean or 0/1, or None for all pixels.

    Returns
    -------
    NDArray[np.float64]
        (H, W), -1..1; NaN outside the mask and where a pixel never changes.

    Raises
    ------
    MetricError
        The shapes differ, or the mask does not fit.

    References
    ----------
    Bauer et al. 2026, Fig. 1, third supplement, E.
    """
    x, y = _pair(truth, video)
    height, width = x.shape[1:]
    pixels = _selected_pixels(mask, (height, width))
    correlation = np.full(height * width, np.nan)
    correlation[slice(None) if pixels is None else pixels] = _pearson_rows(_take(x, pixels).T, _take(y, pixels).T)
    return correlation.reshape(height, width)


@UNDEFINED_IS_NAN
def response_correlation(recorded: ArrayLike, predicted: ArrayLike) -> float:
    """Pearson's r of two activities over all neurons and frames at once; not the Sensorium score.

    Parameters
    ----------
    recorded, predicted
        (N, T), activity of neurons x frames.

    Returns
    -------
    float
        -1..1; NaN where either is constant.

    Raises
    ------
    MetricError
        The shapes differ, or are not (N, T).

    Examples
    --------
    >>> import numpy as np
    >>> from napari_vidrecon import metrics
    >>> recorded = np.array([[0.0, 1.0], [2.0, 3.0]])
    >>> round(metrics.response_correlation(recorded, 3 * recorded), 6)
    1.0
    """
    x, y = _response_pair(recorded, predicted)
    return float(_pearson_rows(x.reshape(1, -1), y.reshape(1, -1))[0])


@UNDEFINED_IS_NAN
def frame_response_correlation(recorded: ArrayLike, predicted: ArrayLike) -> Floats:
    """Pearson's r of two activities over neurons, frame by frame.

    Parameters
    ----------
    recorded, predicted
        (N, T), activity of neurons x frames.

    Returns
    -------
    NDArray[np.float64]
        (T,), -1..1; NaN where either is constant.

    Raises
    ------
    MetricError
        The shapes differ, or are not (N, T).
    """
    x, y = _response_pair(recorded, predicted)
    return _pearson_rows(x.T, y.T)


@UNDEFINED_IS_NAN
def neuron_response_correlation(recorded: ArrayLike, predicted: ArrayLike) -> Floats:
    """Pearson's r of two activities over frames, neuron by neuron.

    Parameters
    ----------
    recorded, predicted
        (N, T), activity of neurons x frames.

    Returns
    -------
    NDArray[np.float64]
        (N,), -1..1; NaN where either is constant.

    Raises
    ------
    MetricError
        The shapes differ, or are not (N, T).

    Examples
    --------
    >>> import numpy as np
    >>> from napari_vidrecon import metrics
    >>> recorded = np.array([[0.0, 1.0], [2.0, 3.0]])
    >>> metrics.neuron_response_correlation(recorded, recorded[:, ::-1]).round(6).tolist()
    [-1.0, -1.0]
    """
    x, y = _response_pair(recorded, predicted)
    return _pearson_rows(x, y)


@UNDEFINED_IS_NAN
def poisson_loss(predicted: ArrayLike, target: ArrayLike, eps: float = POISSON_EPSILON) -> float:
    """Mean Poisson negative log-likelihood, without the term of the target alone; lower is better.

    Parameters
    ----------
    predicted
        (N, T) expected activity, >= 0.
    target
        (N, T) activity to explain, >= 0.
    eps
        Added to the prediction inside the logarithm, >= 0.

    Returns
    -------
    float
        Lower is better, below 0 where much is explained; NaN of no values.

    Raises
    ------
    MetricError
        The shapes differ.
    MetricError
        The shapes differ, or `eps` is no number >= 0.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_vidrecon import metrics
    >>> metrics.poisson_loss(np.ones((2, 3)), np.zeros((2, 3)))
    1.0
    """
    _check_weights(eps=eps)
    rates, counts = _response_pair(predicted, target, names=("predicted", "target"))
    if not rates.size:
        return float("nan")
    return float(np.mean(rates - counts * np.log(rates + eps)))


def _as_video(video: ArrayLike, name: str) -> np.ndarray:
    array = _numbers(video, name)
    if array.ndim == 2:
        array = array[np.newaxis]
    if array.ndim != 3:
        raise MetricError(f"{name} has shape {array.shape}; expected (frames, height, width)")
    return array


def _check_weights(**weights: float) -> None:
    for name, value in weights.items():
        number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
        if not number or not 0 <= value <= LARGEST_WEIGHT:
            found = f"{value:.4g}" if isinstance(value, float) else type(value).__name__
            raise MetricError(f"{name}: expected a number from 0 to {LARGEST_WEIGHT:g}, found {found}")


def _numbers(values: ArrayLike, name: str) -> np.ndarray:
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, RuntimeError):
        raise MetricError(f"{name}: expected an array of numbers, found rows of different lengths") from None
    if array.dtype.kind not in "fiub":
        raise MetricError(f"{name}: expected an array of numbers, found {one_line(array.dtype, 40)}")
    return array


def _selected_pixels(mask: ArrayLike | None, frame_shape: tuple[int, ...]) -> NDArray[np.intp] | None:
    """Flat indices of the mask's pixels, or None for all of them."""
    if mask is None:
        return None
    array = _numbers(mask, "mask")
    if array.shape != frame_shape:
        raise MetricError(f"mask has shape {array.shape} and the frames {frame_shape}; expected equal shapes")
    inside = array == 1
    if array.dtype != np.bool_ and not np.all(inside | (array == 0)):
        raise MetricError("mask holds values other than 0 and 1; apply a threshold to the transparency first")
    return np.flatnonzero(inside)


def _take(video: np.ndarray, pixels: NDArray[np.intp] | None) -> Floats:
    """The selected pixels of every frame, (T, pixels), in float64: always a copy."""
    flat = video.reshape(len(video), video.shape[1] * video.shape[2])
    if pixels is None:
        return flat.astype(np.float64)
    return flat.take(pixels, axis=1).astype(np.float64, copy=False)


def _inside(video: ArrayLike, mask: ArrayLike | None) -> Floats:
    array = _as_video(video, "video")
    return _take(array, _selected_pixels(mask, array.shape[1:]))


def _pair(truth: ArrayLike, video: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    x, y = _as_video(truth, "truth"), _as_video(video, "video")
    if x.shape != y.shape:
        raise MetricError(f"truth has shape {x.shape} and video has shape {y.shape}; expected equal shapes")
    return x, y


def _pair_inside(truth: ArrayLike, video: ArrayLike, mask: ArrayLike | None) -> tuple[Floats, Floats]:
    x, y = _pair(truth, video)
    pixels = _selected_pixels(mask, x.shape[1:])
    return _take(x, pixels), _take(y, pixels)


def _response_pair(
    first: ArrayLike, second: ArrayLike, names: tuple[str, str] = ("recorded", "predicted")
) -> tuple[Floats, Floats]:
    x, y = (_numbers(*pair).astype(np.float64, copy=False) for pair in zip((first, second), names, strict=True))
    if x.shape != y.shape or x.ndim != 2:
        raise MetricError(f"{names[0]} has shape {x.shape} and {names[1]} {y.shape}; expected one (neurons, frames)")
    return x, y


def _mean_squared_error(truth: ArrayLike, video: ArrayLike, mask: ArrayLike | None) -> float:
    x, y = _pair_inside(truth, video, mask)
    difference = (x - y).ravel()
    return float(difference @ difference / difference.size) if difference.size else float("nan")


def _is_constant(values: Floats) -> bool:
    """Exact, because the rounding of a mean would make a constant vector look as if it varied."""
    return not values.size or bool(values.min() == values.max())


def _pearson_rows(x: Floats, y: Floats) -> Floats:
    """Pearson's r of each pair of rows, (rows,); NaN where a row is constant or empty."""
    if x.shape[1] == 0:
        return np.full(len(x), np.nan)
    constant = (x.min(axis=1) == x.max(axis=1)) | (y.min(axis=1) == y.max(axis=1))
    x = x - x.mean(axis=1, keepdims=True)
    y = y - y.mean(axis=1, keepdims=True)
    norms = np.sqrt(np.einsum("ij,ij->i", x, x)) * np.sqrt(np.einsum("ij,ij->i", y, y))
    correlation = np.einsum("ij,ij->i", x, y) / norms
    return np.where(constant, np.nan, np.clip(correlation, -1.0, 1.0))


def _nanmean(values: Floats) -> float:
    finite = values[~np.isnan(values)]
    return float(finite.mean()) if finite.size else float("nan")


def _entropy_bits(values: Floats) -> float:
    counts, _ = np.histogram(values, bins=ENTROPY_BINS, range=ENTROPY_RANGE)
    total = counts.sum()
    if not total:
        return float("nan")
    shares = counts[counts > 0] / total
    return float(np.sum(shares * np.log2(1 / shares)))
