"""Movies, pictures and tables of what the board shows; knows nothing of windows and threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_vidrecon.errors import ConfigError, StorageError
from napari_vidrecon.storage import replacing_file, write_csv

if TYPE_CHECKING:
    from napari_vidrecon.viewer.exports.shown_movie import ShownMovie

PANEL_NAMES = ("Stimulus", "Reconstruction")
GIF_MOST_HZ = 50.0
FRAME_ENLARGEMENT = 16
"""A single frame is written larger than a movie: it is what goes on a slide."""
MOVIE_ENDINGS, FRAME_ENDINGS = (".mp4", ".gif", ".tif", ".tiff"), (".png",)
FIGURE_ENDINGS, TABLE_ENDINGS = (".png", ".svg", ".pdf"), (".csv", ".parquet")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class MovieOptions:
    """How a movie is written.

    Parameters
    ----------
    speed
        Of the real one, e.g. 0.5 for half.
    enlargement
        Screen pixels for one pixel of the movie, >= 1.
    """

    speed: float = 1.0
    enlargement: int = 8


def write_movie(shown: ShownMovie, path: Path, options: MovieOptions, on_progress: Progress) -> None:
    """Write stimulus, reconstruction and error beside each other as MP4 or GIF, or the reconstruction as TIFF.

    Parameters
    ----------
    shown
        What is written.
    path
        Its ending says the format.
    options
        Speed and size.
    on_progress
        Called with the frames done and the number of frames; what it raises ends the export.

    Raises
    ------
    StorageError
        Another ending, or the file cannot be written.
    ConfigError
        A GIF faster than 50 frames per second.
    """
    from napari_vidrecon.figures import movie

    ending = _ending(path, MOVIE_ENDINGS)
    rate_hz = shown.frame_rate_hz * options.speed
    frames = _counted(_composed(shown, options.enlargement), len(shown.video), on_progress)
    if ending in (".tif", ".tiff"):
        movie.write_tiff(path, shown.video, rate_hz)
        on_progress(len(shown.video), len(shown.video))
    elif ending == ".gif":
        if rate_hz > GIF_MOST_HZ:
            raise ConfigError(f"{path}: a GIF plays at most {GIF_MOST_HZ:g} frames per second; choose a lower speed")
        movie.write_gif(path, frames, rate_hz)
    else:
        movie.write_mp4(path, frames, rate_hz)


def write_frame(shown: ShownMovie, frame: int, path: Path) -> None:
    """Write one frame of the movie as a picture.

    Parameters
    ----------
    shown
        What is written.
    frame
        Its number.
    path
        Ending in .png.

    Raises
    ------
    StorageError
        Another ending, or the file cannot be written.
    """
    from PIL import Image

    _ending(path, FRAME_ENDINGS)
    picture = next(_composed(shown, FRAME_ENLARGEMENT, slice(frame, frame + 1)))
    with replacing_file(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")


def write_figure(shown: ShownMovie, path: Path) -> None:
    """Write the figure of frames, masks, correlation over time and optimisation (PNG, SVG or PDF).

    Like the correlation it tells, it begins after the frames that are left out of what is measured.

    Raises
    ------
    StorageError
        Another ending, or the file cannot be written.
    """
    from napari_vidrecon.figures.frame import save_figure
    from napari_vidrecon.figures.montage import reconstruction_figure

    _ending(path, FIGURE_ENDINGS)
    optimisation = None if shown.history is None else shown.history.tracked("video_correlation")
    first = shown.skip_frames if shown.skip_frames < len(shown.video) else 0
    figure = reconstruction_figure(
        shown.stimulus[first:],
        shown.video[first:],
        shown.mask,
        training_mask=shown.training_mask,
        error=None if shown.error is None else shown.error[first:],
        optimisation=optimisation if optimisation is not None and len(optimisation[0]) > 1 else None,
        frame_rate_hz=shown.frame_rate_hz,
        start_s=shown.start_s + first / shown.frame_rate_hz,
        title=shown.name,
        simulated=shown.simulated,
    )
    save_figure(figure, path)


def write_tables(shown: ShownMovie, path: Path) -> list[Path]:
    """Write one row a frame, and beside it, in a file of its own, one row an optimisation step.

    Parameters
    ----------
    shown
        What is written.
    path
        Ending in .csv or .parquet; the second file's name has "_history" added.

    Returns
    -------
    list[Path]
        the files.

    Raises
    ------
    StorageError
        Another ending, the file cannot be written, or Parquet is not installed.
    """
    _ending(path, TABLE_ENDINGS)
    frames: dict[str, np.ndarray] = {"frame": np.arange(len(shown.times_s)), "time_s": shown.times_s, **shown.columns}
    _write_table(path, frames)
    if shown.history is None:
        return [path]
    history = path.with_stem(path.stem + "_history")
    _write_table(history, {name: shown.history[name] for name in shown.history.names})
    return [path, history]


def _composed(shown: ShownMovie, enlargement: int, part: slice = slice(None)) -> Iterator[np.ndarray]:
    from napari_vidrecon.analysis.error_maps import symmetric_limit
    from napari_vidrecon.figures.movie import side_by_side_frames

    start = part.indices(len(shown.video))[0]
    return side_by_side_frames(
        shown.stimulus[part],
        shown.video[part],
        shown.mask,
        None if shown.error is None else shown.error[part],
        enlargement,
        [*PANEL_NAMES, shown.error_name],
        training_mask=shown.training_mask,
        # One limit for all frames, so that a single frame looks as it does in the movie.
        error_limit=None if shown.error is None else symmetric_limit(shown.error, shown.mask),
        frame_rate_hz=shown.frame_rate_hz,
        start_s=shown.start_s + start / shown.frame_rate_hz,
        caption=shown.caption,
        simulated=shown.simulated,
    )


def _counted(frames: Iterable[np.ndarray], count: int, on_progress: Progress) -> Iterator[np.ndarray]:
    for done, frame in enumerate(frames):
        on_progress(done, count)
        yield frame
    on_progress(count, count)


def _ending(path: Path, allowed: tuple[str, ...]) -> str:
    if path.suffix.lower() not in allowed:
        raise StorageError(f"{path}: expected a name ending in {', '.join(allowed)}")
    return path.suffix.lower()


def _write_table(path: Path, columns: dict[str, np.ndarray]) -> None:
    if path.suffix.lower() == ".parquet":
        with replacing_file(path) as temporary:
            _write_parquet(temporary, columns)
        return
    rows = zip(*(map(_cell, values.tolist()) for values in columns.values()), strict=True)
    write_csv(path, list(columns), rows)


def _write_parquet(path: Path, columns: dict[str, np.ndarray]) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise StorageError("Parquet needs pyarrow: pip install pyarrow, or choose CSV") from None
    parquet.write_table(pyarrow.table(columns), path)


def _cell(value: float) -> float | str:
    """The number, which reads back as the same; empty where there is none."""
    return "" if value != value else value
