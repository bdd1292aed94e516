"""What happens to a reconstruction between the optimisation and its picture.

The order is: mean over encoders, smoothing, (metrics are taken here), matching of luminance and contrast,
grey outside the mask. Source: Bauer et al. 2026 and its published code.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

GREY_LEVEL = 127.5
BLACK_LEVEL, WHITE_LEVEL = 0.0, 255.0
SMOOTHING_SIGMA = (0.5, 0.5, 0.5)  # frames, pixels, pixels

MatchVersion = Literal["video", "mean_frame"]
ShowAs = Literal["raw", "paper", "matched"]
Outside = Literal["grey", "stimulus", "hidden"]
SMOOTHING_REACH = 2
"""Frames and pixels that the filter looks away from each."""
DIMMED_SHARE = 0.35
"""Of the contrast that a dimmed stimulus keeps."""


def smooth(
    video: ArrayLike, sigma: float | tuple[float, float, float] = SMOOTHING_SIGMA, colours: int = 1
) -> NDArray[np.floating]:
    """Blur a movie with a Gaussian in time and space, across the mask's edge, reflecting at the borders.

    Parameters
    ----------
    video
        (T, H, W), grey levels.
    sigma
        Standard deviations in frames and pixels (time, height, width), or one for all; >= 0.
    colours
        Parts of the screen, one below the other, that are smoothed each for itself.

    Returns
    -------
    NDArray[np.floating]
        (T, H, W), float32 for float32 input, else float64.

    Raises
    ------
    ValueError
        Not (T, H, W), a negative sigma, or rows that are not so many colours.

    References
    ----------
    Bauer et al. 2026, Fig. 1, second supplement (smoothing 0.5; their filter includes time).

    Examples
    --------
    >>> import numpy as np
    >>> from napari_vidrecon import postprocess
    >>> postprocess.smooth(np.full((3, 36, 64), 127.5)).mean()
    np.float64(127.5)
    """
    array = _as_video(video, "video")
    if np.any(np.asarray(sigma) < 0):
        raise ValueError(f"sigma is {sigma}; expected numbers of at least 0")
    frames, height, width = array.shape
    if colours < 1 or height % colours:
        raise ValueError(f"video has {height} rows; expected as many for each of {colours} colours")
    in_time, down, across = np.broadcast_to(np.asarray(sigma, np.float64), 3)
    apart = array.astype(np.float64).reshape(frames, colours, height // colours, width)
    return gaussian_filter(apart, (in_time, 0.0, down, across)).reshape(array.shape).astype(_output_type(array))


def match_luminance_contrast(
    video: ArrayLike,
    truth: ArrayLike,
    mask: ArrayLike | None = None,
    version: MatchVersion = "video",
    clip: bool = True,
    outside: float | None = GREY_LEVEL,
) -> NDArray[np.floating]:
    """Give a movie the mean grey level and the contrast that the truth has inside the mask.

    Parameters
    ----------
    video, truth
        (T, H, W), grey levels.
    mask
        (H, W) boolean or 0/1, or None for all pixels.
    version
        "video" takes mean and standard deviation over pixels and frames; "mean_frame" takes them over the pixels of the
        time-averaged frame.
    clip
        Keep the result within 0..255.
    outside
        Grey level given to pixels outside the mask, or None to change them as those inside.

    Returns
    -------
    NDArray[np.floating]
        (T, H, W), float32 for float32 input, else float64. Of a constant movie only the luminance is matched.

    Raises
    ------
    ValueError
        Shapes that differ, an empty mask, or an unknown version.

    References
    ----------
    Bauer et al. 2026, Fig. 2A.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_vidrecon import postprocess
    >>> truth = np.linspace(50, 150, 3 * 36 * 64).reshape(3, 36, 64)
    >>> matched = postprocess.match_luminance_contrast(truth / 2, truth)
    >>> bool(np.allclose(matched, truth))
    True
    """
    array, reference = _as_video(video, "video"), _as_video(truth, "truth")
    if array.shape != reference.shape:
        raise ValueError(f"truth has shape {reference.shape} and video has shape {array.shape}; expected equal shapes")
    if version not in ("video", "mean_frame"):
        raise ValueError(f'version is {version!r}; expected "video" or "mean_frame"')
    inside = _as_mask(mask, array)
    if not inside.any():
        raise ValueError("mask selects no pixel, so there is no luminance to match")
    mean, sd = _level_and_contrast(array, inside, version)
    target_mean, target_sd = _level_and_contrast(reference, inside, version)
    gain = target_sd / sd if sd > 0 else 1.0
    matched = (array.astype(np.float64) - mean) * gain + target_mean
    if clip:
        np.clip(matched, BLACK_LEVEL, WHITE_LEVEL, out=matched)
    if outside is not None:
        matched[:, ~inside] = outside
    return matched.astype(_output_type(array))


def apply_mask(video: ArrayLike, mask: ArrayLike | None, outside: float = GREY_LEVEL) -> NDArray[np.floating]:
    """Replace what lies outside the mask by one grey level; the input is left alone.

    Parameters
    ----------
    video
        (T, H, W), grey levels.
    mask
        (H, W) boolean or 0/1, or None to change nothing.
    outside
        The grey level, 0..255.

    Returns
    -------
    NDArray[np.floating]
        (T, H, W), float32 for float32 input, else float64.

    Raises
    ------
    ValueError
        The mask does not fit the frames.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_vidrecon import postprocess
    >>> mask = np.array([[True, False]])
    >>> postprocess.apply_mask(np.full((1, 1, 2), 200.0), mask)
    array([[[200. , 127.5]]])
    """
    array = _as_video(video, "video")
    masked = array.astype(_output_type(array))
    masked[:, ~_as_mask(mask, array)] = outside
    return masked


@dataclass(frozen=True)
class Presentation:
    """How a reconstruction is shown; nothing is measured of what this makes.

    Parameters
    ----------
    show_as
        "raw": as it was reconstructed. "paper": smoothed, then with the stimulus's luminance and contrast, as in the
        pictures of Bauer et al. 2026. "matched": luminance and contrast only.
    outside
        What lies outside the mask: "grey"; "stimulus", dimmed; or "hidden", which is NaN. A raw movie with "grey" is
        not touched.
    """

    show_as: ShowAs = "raw"
    outside: Outside = "grey"

    @property
    def changes(self) -> bool:
        """Whether anything differs from the movie itself."""
        return self.show_as != "raw" or self.outside != "grey"

    @property
    def words(self) -> str:
        """What was done, for a caption; empty if nothing was."""
        shown = {"raw": "", "paper": "smoothed and matched", "matched": "contrast matched"}[self.show_as]
        outside = {"grey": "", "stimulus": "outside: stimulus, dimmed", "hidden": "outside: hidden"}[self.outside]
        return ", ".join(part for part in (shown, outside) if part)

    @property
    def without_truth(self) -> Presentation:
        """What is left of it where nothing says what was shown: nothing to match, and nothing to lay around."""
        return Presentation("raw", "hidden" if self.outside == "hidden" else "grey")

    def of(self, video: ArrayLike, truth: ArrayLike, mask: ArrayLike, colours: int = 1) -> NDArray[np.floating]:
        """The whole movie as it is shown.

        Parameters
        ----------
        video, truth
            (T, H, W), grey levels.
        mask
            (H, W) boolean or 0/1.
        colours
            Of the movies, one below the other.

        Returns
        -------
        NDArray[np.floating]
            (T, H, W), float32 for float32 input, else float64; NaN where it is hidden.

        Raises
        ------
        ValueError
            Shapes that differ, or an empty mask.
        """
        array, reference = _as_video(video, "video"), _as_video(truth, "truth")
        if self.show_as != "raw":
            smoothed = smooth(array, colours=colours) if self.show_as == "paper" else array
            array = match_luminance_contrast(smoothed, reference, mask)
        return self._surrounded(array, reference, _as_mask(mask, array))

    def level(
        self, video: NDArray[np.floating], truth: ArrayLike, mask: ArrayLike, colours: int = 1
    ) -> tuple[float, float]:
        """Gain and offset that match the movie; found on the part of the screen that holds the mask.

        Parameters
        ----------
        video, truth
            (T, H, W), grey levels.
        mask
            (H, W) boolean or 0/1.
        colours
            Of the movies, one below the other.

        Returns
        -------
        tuple[float, float]
            1 and 0 for a movie that is not matched, or where the mask is empty.
        """
        inside = _as_mask(mask, video)
        if self.show_as == "raw" or not inside.any():
            return 1.0, 0.0
        rows, columns = union_crop(inside, margin=SMOOTHING_REACH)
        if colours > 1:
            rows = slice(None)  # where one colour ends can be told in whole movies only
        part, within = video[:, rows, columns], inside[rows, columns]
        mean, sd = _level_and_contrast(
            smooth(part, colours=colours) if self.show_as == "paper" else part, within, "video"
        )
        wanted_mean, wanted_sd = _level_and_contrast(_as_video(truth, "truth")[:, rows, columns], within, "video")
        gain = wanted_sd / sd if sd > 0 else 1.0
        return gain, wanted_mean - gain * mean

    def frame(
        self,
        video: NDArray[np.floating],
        truth: NDArray,
        mask: ArrayLike,
        number: int,
        level: tuple[float, float],
        colours: int = 1,
    ) -> NDArray[np.floating]:
        """One frame as it is shown, without the work for the others.

        Parameters
        ----------
        video, truth
            (T, H, W), grey levels.
        mask
            (H, W) boolean or 0/1.
        number
            Of the frame, 0..T - 1.
        level
            What `level` gave.
        colours
            Of the movies, one below the other.

        Returns
        -------
        NDArray[np.floating]
            (H, W).
        """
        inside, shown = _as_mask(mask, video), video[number]
        if self.show_as == "paper":
            first = max(number - SMOOTHING_REACH, 0)
            shown = smooth(video[first : number + SMOOTHING_REACH + 1], colours=colours)[number - first]
        if self.show_as != "raw":
            shown = np.clip(shown * level[0] + level[1], BLACK_LEVEL, WHITE_LEVEL)
            shown[~inside] = GREY_LEVEL
        return self._surrounded(shown[np.newaxis], truth[number : number + 1], inside)[0]

    def _surrounded(
        self, video: NDArray[np.floating], truth: NDArray, inside: NDArray[np.bool_]
    ) -> NDArray[np.floating]:
        if self.outside == "grey":
            return video
        around = video.astype(_output_type(video))
        hidden = np.nan if self.outside == "hidden" else GREY_LEVEL + DIMMED_SHARE * (truth[:, ~inside] - GREY_LEVEL)
        around[:, ~inside] = hidden
        return around


def ensemble_mean(videos: Iterable[ArrayLike]) -> NDArray[np.floating]:
    """Average the reconstructions of several encoders, pixel by pixel.

    Parameters
    ----------
    videos
        One or more movies (T, H, W) of the same shape, grey levels; may be a generator.

    Returns
    -------
    NDArray[np.floating]
        (T, H, W), float32 if all inputs are, else float64; summed in float64.

    Raises
    ------
    ValueError
        No movie, or shapes that differ.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_vidrecon import postprocess
    >>> postprocess.ensemble_mean([np.zeros((1, 1, 2)), np.full((1, 1, 2), 100.0)])
    array([[[50., 50.]]])
    """
    total: NDArray[np.float64] | None = None
    output_type: np.dtype = np.dtype(np.float32)
    count = 0
    for video in videos:
        array = _as_video(video, "video")
        output_type = np.promote_types(output_type, _output_type(array))
        if total is None:
            total = np.zeros(array.shape)
        elif array.shape != total.shape:
            raise ValueError(
                f"video {count} has shape {array.shape} and those before {total.shape}; expected equal shapes"
            )
        total += array
        count += 1
    if total is None:
        raise ValueError("no video to average; expected at least one")
    return (total / count).astype(output_type)


def union_crop(masks: np.ndarray | Iterable[ArrayLike], margin: int = 0, square: bool = False) -> tuple[slice, slice]:
    """Find the smallest rectangle that holds every pixel of any mask.

    Parameters
    ----------
    masks
        One mask (H, W) or several of one shape, boolean or 0/1.
    margin
        Pixels added on each side, as far as the frame goes.
    square
        Lengthen the shorter side around its middle, as far as the frame goes.

    Returns
    -------
    tuple[slice, slice]
        slices of rows and of columns, both ends of the region included.

    Raises
    ------
    ValueError
        Shapes that differ, or no pixel in any mask.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_vidrecon import postprocess
    >>> mask = np.zeros((36, 64), bool)
    >>> mask[10:20, 30:50] = True
    >>> postprocess.union_crop(mask)
    (slice(10, 20, None), slice(30, 50, None))
    """
    single = isinstance(masks, np.ndarray) and masks.ndim == 2
    arrays = [np.asarray(mask) for mask in ([masks] if single else masks)]
    shapes = {array.shape for array in arrays}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise ValueError(f"masks have shapes {sorted(shapes)}; expected (height, width), the same for all")
    union = np.any([array == 1 for array in arrays], axis=0)
    if not union.any():
        raise ValueError("no mask selects a pixel, so there is nothing to crop to")
    ranges = []
    for axis, size in enumerate(union.shape):
        used = np.flatnonzero(union.any(axis=1 - axis))
        ranges.append([max(int(used[0]) - margin, 0), min(int(used[-1]) + 1 + margin, size)])
    if square:
        lengths = [stop - start for start, stop in ranges]
        short = int(np.argmin(lengths))
        missing = max(lengths) - min(lengths)
        start, stop = ranges[short][0] - missing // 2, ranges[short][1] + missing - missing // 2
        ranges[short] = [max(start, 0), min(stop, union.shape[short])]
    return slice(*ranges[0]), slice(*ranges[1])


def _as_video(video: ArrayLike, name: str) -> np.ndarray:
    array = np.asarray(video)
    if array.ndim != 3:
        raise ValueError(f"{name} has shape {array.shape}; expected (frames, height, width)")
    return array


def _as_mask(mask: ArrayLike | None, video: np.ndarray) -> NDArray[np.bool_]:
    if mask is None:
        return np.ones(video.shape[1:], dtype=bool)
    array = np.asarray(mask)
    if array.shape != video.shape[1:]:
        raise ValueError(f"mask has shape {array.shape} and the frames {video.shape[1:]}; expected equal shapes")
    if array.dtype != np.bool_ and not np.isin(array, (0, 1)).all():
        raise ValueError("mask holds values other than 0 and 1; apply a threshold to the transparency first")
    return array == 1


def _output_type(video: np.ndarray) -> np.dtype:
    return np.dtype(np.float32 if video.dtype == np.float32 else np.float64)


def _level_and_contrast(video: np.ndarray, inside: NDArray[np.bool_], version: MatchVersion) -> tuple[float, float]:
    """Mean and population standard deviation in grey levels; exactly 0 for a constant."""
    values = video[:, inside].astype(np.float64)
    if version == "mean_frame":
        values = values.mean(axis=0)
    spread = 0.0 if values.min() == values.max() else float(values.std())
    return float(values.mean()), spread


def mask_outline(mask: ArrayLike | None) -> list[NDArray[np.float64]]:
    """Closed lines half-way between the pixels inside and outside a mask.

    Parameters
    ----------
    mask
        (H, W) boolean or 0/1; None has no outline.

    Returns
    -------
    list[NDArray[np.float64]]
        One line (n, 2) for each border, column and row, pixels; none where there is no mask, or it is empty.
    """
    if mask is None:
        return []
    from skimage.measure import find_contours

    # A ring of zeros closes the outline of a mask that touches the edge of the screen.
    inside = np.pad(np.asarray(mask) == 1, 1).astype(np.float64)
    return [line[:, ::-1] - 1 for line in find_contours(inside, 0.5)]
