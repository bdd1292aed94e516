"""Movies from arrays: stimulus and reconstruction side by side, as MP4, GIF or TIFF, without a screen.

Source: after Bauer et al. 2026, Videos 1 and 4.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from napari_vidrecon.analysis.error_maps import overlay, symmetric_limit
from napari_vidrecon.errors import StorageError
from napari_vidrecon.storage import replacing_file, user_path

Frame = NDArray[np.uint8]

SCREEN_RATE_HZ = 30.0
UPSCALE = 8
SMALLEST_TEXT_PX, SMALLEST_LABEL_PX = 11, 8
USUAL_ASPECT = 36 / 64
PANEL_LABELS = ("Stimulus", "Reconstruction", "Error: orange too bright, blue too dark")
SIMULATED_LABEL = "simulated mouse"
BACKGROUND = (22, 22, 26)
TEXT_COLOUR = (235, 235, 235)
OUTLINE_COLOUR = (240, 228, 66)  # Okabe and Ito's yellow
SHADOW = 0.45  # how far the pixels beside an outline are darkened, so that it shows on white too
# Rate factor 16 is below what the eye tells from the original. The colour matrix is said in the file,
# because players otherwise guess it from the size.
H264_OPTIONS = (
    *("-crf", "16", "-preset", "veryfast", "-movflags", "+faststart", "-f", "mp4"),
    *("-vf", "scale=out_color_matrix=bt709:out_range=tv", "-colorspace", "bt709"),
)
RASTER_SHARE = 0.6  # height of a raster, as part of a movie's
CURSOR_COLOUR, CURSOR_PX = OUTLINE_COLOUR, 2
DASH_PX = 2.0  # length of a dash and of a gap, in pixels of the movie
THICK_FROM_SCALE = 8  # enlargement from which a line one pixel thick looks lost
GIF_TICK_MS = 10  # the format counts time in hundredths of a second


@dataclass(frozen=True, eq=False)
class MovieRaster:
    """Activity drawn below a panel, with a line at the frame that is shown.

    Parameters
    ----------
    name
        What it is, e.g. "Recorded activity".
    rows
        (R, T) activity, in any unit; dark is 0.
    limit
        Activity drawn white, > 0.
    """

    name: str
    rows: np.ndarray
    limit: float


def side_by_side_frames(
    truth: ArrayLike,
    reconstruction: ArrayLike,
    mask: ArrayLike | None = None,
    error: ArrayLike | None = None,
    scale: int = UPSCALE,
    labels: Sequence[str] = PANEL_LABELS,
    *,
    training_mask: ArrayLike | None = None,
    error_limit: float | None = None,
    frame_rate_hz: float = SCREEN_RATE_HZ,
    start_s: float = 0.0,
    caption: str = "",
    simulated: bool = False,
    rasters: Sequence[MovieRaster] = (),
    first_frame: int = 0,
) -> Iterator[Frame]:
    """Put stimulus, reconstruction and (if given) error beside each other, and activity below them.

    A frame at a time, so that a long movie never fills the memory.

    Parameters
    ----------
    truth, reconstruction
        (T, H, W), grey levels 0..255.
    mask
        (H, W), evaluation mask, boolean or 0/1; outlined.
    error
        (T, H, W), signed error in grey levels, tinted over the stimulus in a third panel.
    scale
        Screen pixels for one pixel of the movie, >= 1.
    labels
        Names of the panels, from left to right.
    training_mask
        (H, W), boolean or 0/1; outlined in dashes.
    error_limit
        Grey levels at which the tint is full; default: 99th percentile of |error| in the mask.
    frame_rate_hz
        Frames per second, > 0.
    start_s
        Time of the first frame, in seconds of the clip.
    caption
        Said below the panels, e.g. "trial 22, r = 0.61".
    simulated
        Say below the panels that the mouse is simulated.
    rasters
        Drawn below the panels, from left to right, at most as many as these.
    first_frame
        Which column of the rasters is the first frame.

    Returns
    -------
    Iterator[Frame]
        (height, width, 3) 8-bit RGB, both sizes even.

    Raises
    ------
    ValueError
        Shapes that do not fit together, no frame, or a scale below 1.
    """
    movies = [np.asarray(truth), np.asarray(reconstruction)]
    if error is not None:
        movies.append(np.asarray(error))
    shapes = [movie.shape for movie in movies]
    if len(set(shapes)) != 1 or len(shapes[0]) != 3:
        raise ValueError(f"the movies have shapes {shapes}; expected one (frames, height, width)")
    if not shapes[0][0]:
        raise ValueError("the movies hold no frame, so there is nothing to show")
    if scale < 1 or len(labels) < len(movies):
        raise ValueError(f"scale {scale}, {len(labels)} labels; expected at least 1, and {len(movies)} labels")
    for outlined in (mask, training_mask):
        if outlined is not None and np.shape(outlined) != shapes[0][1:]:
            raise ValueError(
                f"mask has shape {np.shape(outlined)} and the frames {shapes[0][1:]}; expected equal shapes"
            )
    if len(rasters) > len(movies):
        raise ValueError(f"{len(rasters)} rasters below {len(movies)} panels; expected at most one each")
    limit = (error_limit or symmetric_limit(movies[2], mask)) if error is not None else 0.0
    board = _Board(shapes[0][1:], scale, labels[: len(movies)], mask, training_mask, rasters)
    note = "  ·  ".join(part for part in (SIMULATED_LABEL if simulated else "", caption) if part)

    def frames() -> Iterator[Frame]:
        for index, pictures in enumerate(zip(*movies, strict=True)):
            panels = [grey_rgb(pictures[0]), grey_rgb(pictures[1])]
            if error is not None:
                panels.append(overlay(pictures[0], pictures[2], limit))
            yield board.frame(panels, f"{start_s + index / frame_rate_hz:.2f} s", note, first_frame + index)

    return frames()


def write_mp4(path: Path | str, frames: Iterable[Frame], fps: float = SCREEN_RATE_HZ) -> Path:
    """Write an MP4 that every player opens (H.264, yuv420p, even sizes); complete or not at all.

    Parameters
    ----------
    path
        The file.
    frames
        (T, height, width, 3) 8-bit RGB, or any iterable of such frames.
    fps
        Frames per second, > 0; half the screen's rate shows the movie at half speed.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        No frame, or frames of another kind.
    StorageError
        The file cannot be written, or ffmpeg is missing.
    """
    path = user_path(path)
    if not fps > 0:
        raise ValueError(f"fps is {fps}; expected a number above 0")
    even = (_pad_to_even(_checked(frame)) for frame in frames)
    first = next(even, None)
    if first is None:
        raise ValueError("there is no frame to write")
    with replacing_file(path) as temporary:
        try:
            _encode_h264(temporary, first, even, fps)
        except (RuntimeError, OSError) as error:
            reason = _last_line(error)
            raise StorageError(f"{path}: the movie could not be written by ffmpeg ({reason})") from error
    return path


def write_gif(path: Path | str, frames: Iterable[Frame], fps: float = SCREEN_RATE_HZ) -> Path:
    """Write an endless GIF; times are rounded to 10 ms so that the whole keeps its length.

    Parameters
    ----------
    path
        The file.
    frames
        (T, height, width, 3) 8-bit RGB, or any iterable of such frames.
    fps
        Frames per second, 0 < fps <= 50.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        No frame, frames of another kind, or a rate the format does not know.
    StorageError
        The file cannot be written.
    """
    path = user_path(path)
    if not 0 < fps <= 1000 / (2 * GIF_TICK_MS):
        raise ValueError(f"fps is {fps}; a GIF plays more than 0 and at most 50 frames per second")
    images = [Image.fromarray(_checked(frame)).quantize(256, dither=Image.Dither.NONE) for frame in frames]
    if not images:
        raise ValueError("there is no frame to write")
    ends = np.round(np.arange(len(images) + 1) * 1000 / (fps * GIF_TICK_MS)).astype(int) * GIF_TICK_MS
    with replacing_file(path) as temporary:
        images[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=images[1:],
            loop=0,
            duration=np.diff(ends).tolist(),
            optimize=False,
        )
    return path


def write_tiff(path: Path | str, video: ArrayLike, fps: float = SCREEN_RATE_HZ) -> Path:
    """Write a movie as a TIFF stack that ImageJ opens with its time axis and frame rate.

    Parameters
    ----------
    path
        The file.
    video
        (T, H, W) of any real type, kept as uint8, uint16 or float32; or (T, H, W, 3) 8-bit RGB.
    fps
        Frames per second, > 0.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        Another shape.
    StorageError
        The file cannot be written.
    """
    import tifffile

    path = user_path(path)
    array = np.asarray(video)
    colour = array.ndim == 4 and array.shape[-1] == 3 and array.dtype == np.uint8
    if not colour and array.ndim != 3:
        raise ValueError(f"video has shape {array.shape}; expected (frames, height, width), or 8-bit RGB frames")
    if array.dtype not in (np.uint8, np.uint16):
        array = array.astype(np.float32)
    with replacing_file(path) as temporary:
        tifffile.imwrite(
            temporary,
            array,
            imagej=True,
            photometric="rgb" if colour else "minisblack",
            metadata={"axes": "TYXS" if colour else "TYX", "fps": fps},
        )
    return path


class _Board:
    """The unchanging part of every frame: background, panel labels, rasters, and where the outlines run."""

    def __init__(
        self,
        frame_shape: tuple[int, ...],
        scale: int,
        labels: Sequence[str],
        mask: ArrayLike | None,
        training_mask: ArrayLike | None,
        rasters: Sequence[MovieRaster],
    ) -> None:
        self._scale = scale
        self._height, self._width = frame_shape[0] * scale, frame_shape[1] * scale
        # A narrow movie has smaller letters, so that words stay above their picture.
        points = max(SMALLEST_TEXT_PX, round(0.055 * min(self._height, self._width * USUAL_ASPECT)))
        self._points, self._font = points, ImageFont.load_default(size=points)
        self._gap = max(2, points // 2)
        self._strip = 2 * points
        self._starts = [self._gap + column * (self._width + self._gap) for column in range(len(labels))]
        self._raster_top = 2 * self._strip + self._height
        self._raster_height = round(RASTER_SHARE * self._height) if rasters else 0
        self._raster_frames = [raster.rows.shape[1] for raster in rasters]
        height = 2 * self._strip + self._height + (self._strip + self._raster_height if rasters else 0)
        width = self._starts[-1] + self._width + self._gap
        self._size = width + width % 2, height + height % 2
        self._outlines = [
            outline(np.asarray(outlined) == 1, scale, dashed)
            for outlined, dashed in ((training_mask, True), (mask, False))
            if outlined is not None
        ]
        canvas = Image.new("RGB", self._size, BACKGROUND)
        draw = ImageDraw.Draw(canvas)
        for start, label in zip(self._starts, labels, strict=True):
            self._say(draw, (start, self._strip // 2), label)
        for start, raster in zip(self._starts, rasters, strict=False):
            middle = self._raster_top - self._strip // 2
            self._say(draw, (start, middle), raster.name)
            levels = np.nan_to_num(255 * np.clip(raster.rows / raster.limit, 0, 1)).astype(np.uint8)
            size = (self._width, self._raster_height)
            # More rows than lines: neighbours are averaged, never left out.
            large = Image.fromarray(levels).resize(size, Image.Resampling.BOX)
            canvas.paste(large, (start, self._raster_top))
        self._canvas = canvas

    def _say(self, draw: ImageDraw.ImageDraw, place: tuple[int, int], label: str) -> None:
        """Write a label above its picture, in smaller letters or cut where it is longer than that is wide."""
        font, points = self._font, self._points
        while font.getlength(label) > self._width and points > SMALLEST_LABEL_PX:
            points -= 1
            font = ImageFont.load_default(size=points)
        if font.getlength(label) > self._width:
            kept = next(end for end in range(len(label), -1, -1) if font.getlength(f"{label[:end]}…") <= self._width)
            label = f"{label[:kept].rstrip(' ,:(')}…"
        draw.text(place, label, TEXT_COLOUR, font, anchor="lm")

    def frame(self, panels: Sequence[Frame], time: str, note: str, number: int) -> Frame:
        canvas = self._canvas.copy()
        draw = ImageDraw.Draw(canvas)
        for start, frames in zip(self._starts, self._raster_frames, strict=False):
            left = start + round((number + 0.5) * self._width / frames) - CURSOR_PX // 2
            right, bottom = left + CURSOR_PX - 1, self._raster_top + self._raster_height - 1
            draw.rectangle((left, self._raster_top, right, bottom), CURSOR_COLOUR)
        middle = canvas.height - self._strip // 2
        draw.text((self._starts[0], middle), time, TEXT_COLOUR, self._font, anchor="lm")
        draw.text((self._starts[-1] + self._width, middle), note, TEXT_COLOUR, self._font, anchor="rm")
        picture = np.array(canvas)
        for start, panel in zip(self._starts, panels, strict=True):
            large = panel.repeat(self._scale, axis=0).repeat(self._scale, axis=1)
            pixels = large.reshape(-1, 3)
            for line, shadow in self._outlines:
                pixels[shadow] = (pixels[shadow] * (1 - SHADOW)).astype(np.uint8)
                pixels[line] = OUTLINE_COLOUR
            picture[self._strip : self._strip + self._height, start : start + self._width] = large
        return picture


def _encode_h264(path: Path, first: Frame, others: Iterator[Frame], fps: float) -> None:
    import imageio_ffmpeg

    height, width = first.shape[:2]
    writer = imageio_ffmpeg.write_frames(
        str(path),
        (width, height),
        fps=fps,
        codec="libx264",
        pix_fmt_in="rgb24",
        pix_fmt_out="yuv420p",
        macro_block_size=2,
        quality=None,
        ffmpeg_log_level="error",
        output_params=list(H264_OPTIONS),
    )
    writer.send(None)
    written = 0
    try:
        for frame in itertools.chain((first,), others):
            if frame.shape != first.shape:
                raise ValueError(f"a frame has shape {frame.shape} after one of {first.shape}")
            writer.send(np.ascontiguousarray(frame))
            written += 1
    finally:
        writer.close()
    # The writer does not report an encoder that fails at the very end, as on a full disk.
    try:
        found, _ = imageio_ffmpeg.count_frames_and_secs(str(path))
    except RuntimeError:
        found = 0
    if found != written:
        raise RuntimeError(f"{found} of {written} frames arrived in the file; see whether the disk is full")


def grey_rgb(picture: np.ndarray) -> Frame:
    """Grey levels (H, W) as 8-bit RGB."""
    levels = np.nan_to_num(np.round(np.clip(picture, 0, 255))).astype(np.uint8)
    return np.repeat(levels[..., np.newaxis], 3, axis=-1)


def _checked(frame: Frame) -> Frame:
    array = np.asarray(frame)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
        raise ValueError(f"a frame has shape {array.shape} and type {array.dtype}; expected 8-bit (height, width, 3)")
    return array


def _pad_to_even(frame: Frame) -> Frame:
    height, width = frame.shape[:2]
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge") if height % 2 or width % 2 else frame


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def outline(inside: NDArray[np.bool_], scale: int, dashed: bool) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find the pixels of a line just inside a mask's edge on the enlarged frame.

    Parameters
    ----------
    inside
        (H, W), True inside the mask.
    scale
        Enlargement, >= 1.
    dashed
        Leave gaps.

    Returns
    -------
    tuple[NDArray[np.intp], NDArray[np.intp]]
        flat indices into the (H * scale, W * scale) frame of the line, and of the pixels beside it (its shadow).
    """
    large = np.pad(inside.repeat(scale, axis=0).repeat(scale, axis=1), 1)
    line = large[1:-1, 1:-1] & ~_eroded(large)[1:-1, 1:-1]
    if scale >= THICK_FROM_SCALE:
        inner = np.pad(large[1:-1, 1:-1] & ~line, 1)
        line |= inner[1:-1, 1:-1] & ~_eroded(inner)[1:-1, 1:-1]
    if dashed:
        line = _dashed(line, scale)
    around = ~_eroded(np.pad(~line, 1, constant_values=True))[1:-1, 1:-1]
    return np.flatnonzero(line), np.flatnonzero(around & ~line)


def _dashed(line: NDArray[np.bool_], scale: int) -> NDArray[np.bool_]:
    """Cut a closed line into dashes of about two movie pixels, in order of the angle around its middle."""
    rows, columns = np.nonzero(line)
    if not len(rows):
        return line
    order = np.argsort(np.arctan2(rows - rows.mean(), columns - columns.mean()), kind="stable")
    thickness = 2 if scale >= THICK_FROM_SCALE else 1
    dashes = max(2, 2 * round(len(order) / (2 * thickness * DASH_PX * scale)))
    kept = order[np.arange(len(order)) * dashes // len(order) % 2 == 0]
    dashed = np.zeros_like(line)
    dashed[rows[kept], columns[kept]] = True
    return dashed


def _eroded(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels whose eight neighbours are inside too; the array needs a border of one pixel."""
    kept = inside.copy()
    for row, column in itertools.product((-1, 0, 1), repeat=2):
        kept &= np.roll(inside, (row, column), axis=(0, 1))
    return kept
