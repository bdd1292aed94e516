"""A reconstruction as movie, picture, figure and tables: the only place that writes them, for command and window."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from napari_vidrecon import metrics
from napari_vidrecon.analysis.postprocess import BLACK_LEVEL, Presentation, match_luminance_contrast
from napari_vidrecon.errors import ConfigError, StorageError, one_line
from napari_vidrecon.sessions.screen import USUAL_SCREEN
from napari_vidrecon.settings import brief
from napari_vidrecon.storage import replacing_file
from napari_vidrecon.storage import write_tables as write_all_tables

if TYPE_CHECKING:
    from napari_vidrecon.figures.movie import MovieRaster
    from napari_vidrecon.reconstruction.history import History
    from napari_vidrecon.reconstruction.results import Reconstruction

PANEL_NAMES = ("Stimulus", "Reconstruction")
NO_MOVIE = "No movie"
STIMULUS_ERROR_NAME = "Error: orange too bright, blue too dark"
GIF_MOST_HZ = 50.0
NARROWEST_PANEL_PX = 240
ENLARGEMENT, FRAME_ENLARGEMENT = 8, 16
"""Screen pixels for one of the movie. A single frame is written larger: it is what goes on a slide."""
SLOWEST_HZ = 0.1
"""Slower, a movie's time is no longer told by its formats."""
MOVIE_ENDINGS, FRAME_ENDINGS = (".mp4", ".gif", ".tif", ".tiff"), (".png",)
FIGURE_ENDINGS, TABLE_ENDINGS = (".png", ".svg", ".pdf"), (".csv", ".parquet")
COLUMN_UNITS = {"motion_energy": "grey_levels", "pupil_size": "camera_px"}
"""Of measures whose name does not say it: correlations have none, and running speed is as it was recorded."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class ShownMovie:
    """A reconstruction as it is shown.

    Parameters
    ----------
    stimulus, video
        (T, 36, 64), grey levels 0..255.
    mask, training_mask
        (36, 64) bool: the pixels that are measured, and those that the run was allowed to change.
    frame_rate_hz
        Frames a second.
    start_s
        Time of the first frame in the trial, seconds.
    measured
        The frames that are measured.
    correlation
        Video correlation inside the evaluation mask, over these frames.
    title
        What it is, e.g. "dynamic29515, trial 22".
    simulated
        The mouse is a simulation.
    error
        (T, 36, 64) signed grey levels, 0 outside the evaluation mask; None to show no error.
    error_name
        What the error is.
    history
        Of the run, where there is one.
    predicted_from
        What the history's activity is predicted from, as the setting of that name.
    columns
        Name to (T,) values, for the table of frames; see `column_name`.
    presentation
        What is done to the reconstruction before it is drawn; numbers stay those of `video`.
    rasters
        Activity, drawn below the movies.
    colours
        Names of the colours that stand one below the other; empty for grey levels.
    has_movie
        Something says what was shown; else `stimulus` is grey, and nothing is told of it.
    """

    stimulus: np.ndarray
    video: np.ndarray
    mask: np.ndarray
    training_mask: np.ndarray
    frame_rate_hz: float
    start_s: float
    measured: slice
    correlation: float
    title: str
    simulated: bool
    error: np.ndarray | None = None
    error_name: str = STIMULUS_ERROR_NAME
    history: History | None = None
    predicted_from: str = "shown"
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    presentation: Presentation = field(default_factory=Presentation)
    rasters: tuple[MovieRaster, ...] = ()
    colours: tuple[str, ...] = ()
    has_movie: bool = True

    __repr__ = brief

    @classmethod
    def of(cls, result: Reconstruction, *, error: bool = False, activity: bool = False) -> Self:
        """A result as it was saved.

        Parameters
        ----------
        result
            A finished or partial run.
        error
            Show where it differs from the stimulus, inside the evaluation mask; of a run without a movie nothing does.
        activity
            Draw the neurons' activity below the movies.

        Returns
        -------
        Self
            With the masks of the run.
        """
        from napari_vidrecon.analysis.error_maps import stimulus_difference
        from napari_vidrecon.figures.activity import activity_rasters

        truth, video, mask = result.stimulus, result.video, result.evaluation_mask
        against = {"stimulus": truth} if result.has_movie else {}
        compared = {column_name("frame_correlation", "reconstruction"): metrics.frame_correlation(truth, video, mask)}
        return cls(
            stimulus=truth,
            video=video,
            mask=mask,
            training_mask=result.training_mask,
            frame_rate_hz=result.frame_rate_hz,
            start_s=result.start_s,
            measured=result.measured_frames,
            correlation=result.evaluation().video_correlation(video),
            title=result.name,
            simulated=result.simulated,
            error=stimulus_difference(video, truth, mask) if error and result.has_movie else None,
            history=result.history,
            predicted_from=result.config.predicted_from,
            columns={
                **(compared if result.has_movie else {}),
                **{
                    column_name("motion_energy", of): motion_energy(movie, mask)
                    for of, movie in {**against, "reconstruction": video}.items()
                },
                **result.inferred_columns(),
            },
            rasters=activity_rasters(result.target, result.predicted_activity, result.keep) if activity else (),
            colours=result.colours,
            has_movie=result.has_movie,
        )

    @property
    def name(self) -> str:
        """Trial or stimulus without its session, e.g. "trial 22"."""
        return self.title.partition(", ")[2] or self.title

    @property
    def caption(self) -> str:
        """Trial and video correlation, e.g. "trial 22, r = 0.61"."""
        return f"{self.name}, r = {self.correlation:.2f}" if np.isfinite(self.correlation) else self.name

    @property
    def times_s(self) -> np.ndarray:
        """(T,) time of every frame in the trial, seconds."""
        return self.start_s + np.arange(len(self.video)) / self.frame_rate_hz

    @property
    def presented(self) -> Presentation:
        """What is done to it, as far as there is a movie to match."""
        return self.presentation if self.has_movie else self.presentation.without_truth

    @property
    def pictures(self) -> np.ndarray:
        """(T, 36, 64) the reconstruction as it is drawn; black where it is hidden."""
        presentation = self.presented
        if not presentation.changes:
            return self.video
        shown = presentation.of(self.video, self.stimulus, self.training_mask, max(1, len(self.colours)))
        return np.nan_to_num(shown, nan=BLACK_LEVEL)

    @property
    def panel_names(self) -> list[str]:
        """Of stimulus, reconstruction and error; what was done to the reconstruction is said."""
        words, colours = self.presented.words, " above ".join(self.colours)
        return [
            (PANEL_NAMES[0] if self.has_movie else NO_MOVIE) + (f" ({colours})" if colours else ""),
            PANEL_NAMES[1] + (f", {words}" if words else ""),
            self.error_name,
        ]

    def with_presentation(self, presentation: Presentation) -> Self:
        """The same, drawn in another way."""
        return replace(self, presentation=presentation)

    def with_matched_contrast(self) -> Self:
        """The same, the reconstruction with the stimulus's luminance and contrast; numbers stay unmatched."""
        if not self.has_movie:
            return self
        return replace(self, video=match_luminance_contrast(self.video, self.stimulus, self.training_mask))


def column_name(measure: str, of: str = "") -> str:
    """Name of a column of the table of frames: the measure, what it was taken of, its unit."""
    return "_".join([measure, *of.split(), *COLUMN_UNITS.get(measure, "").split()])


def motion_energy(movie: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """(T,) change from the frame before inside a mask, grey levels; the first frame has none."""
    return np.concatenate([[np.nan], metrics.motion_energy(movie, pixels)])


def check_path(path: Path, kind: str, endings: tuple[str, ...]) -> str:
    """The ending of a file to write, in small letters.

    Parameters
    ----------
    path
        The file.
    kind
        What it will be, with its article.
    endings
        Those it may have.

    Returns
    -------
    str
        With its dot, e.g. ".mp4".

    Raises
    ------
    StorageError
        Another ending, or a folder of that name.
    """
    ending = path.suffix.lower()
    if ending not in endings:
        raise StorageError(
            f"{one_line(path)}: expected {kind}'s name ending in {', '.join(endings)}, found "
            f"'{one_line(path.suffix or ' ')}'"
        )
    if os.path.isdir(path):  # noqa: PTH112  # has an answer for every name there is
        raise StorageError(f"{one_line(path)}: expected {kind} or nothing there, found a folder; choose another name")
    return ending


def write_movie(
    shown: ShownMovie,
    path: Path,
    *,
    speed: float = 1.0,
    enlargement: int | None = None,
    on_progress: Progress | None = None,
) -> Path:
    """Write stimulus, reconstruction and error beside each other as MP4 or GIF, or the reconstruction as TIFF.

    Parameters
    ----------
    shown
        What is written.
    path
        Its ending says the format.
    speed
        Of the real one, e.g. 0.5 for half.
    enlargement
        Screen pixels for one pixel of the movie, >= 1; default: 8, and fewer of a movie with more pixels, so that its
        panels are as wide as usual.
    on_progress
        Called with the frames done and the number of frames; what it raises ends the export.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    StorageError
        Another ending, or the file cannot be written.
    ConfigError
        A GIF faster than 50 frames per second, or any movie slower than one in ten seconds.
    """
    from napari_vidrecon.figures import movie

    ending = check_path(path, "a movie", MOVIE_ENDINGS)
    rate_hz, count = shown.frame_rate_hz * speed, len(shown.video)
    report = on_progress or (lambda done, of: None)
    if rate_hz < SLOWEST_HZ:
        faster = math.ceil(SLOWEST_HZ / shown.frame_rate_hz * 10_000) / 10_000
        raise ConfigError(
            f"{path}: expected at least {SLOWEST_HZ:g} frames a second, found {rate_hz:g}; choose a speed of "
            f"{faster:g} or higher"
        )
    if ending in (".tif", ".tiff"):
        movie.write_tiff(path, shown.pictures, rate_hz)
        report(count, count)
        return path
    if ending == ".gif" and rate_hz > GIF_MOST_HZ:
        slower = math.floor(GIF_MOST_HZ / shown.frame_rate_hz * 100) / 100
        raise ConfigError(
            f"{path}: expected at most {GIF_MOST_HZ:g} frames a second, which is what a GIF plays, found {rate_hz:g}; "
            f"choose a speed of {slower:g} or lower, or an .mp4"
        )
    usual = max(1, min(ENLARGEMENT, ENLARGEMENT * USUAL_SCREEN.cols // shown.stimulus.shape[2]))
    frames = _counted(_composed(shown, enlargement or usual), count, report)
    return (movie.write_gif if ending == ".gif" else movie.write_mp4)(path, frames, rate_hz)


def write_frame(shown: ShownMovie, frame: int, path: Path) -> Path:
    """Write one frame of the movie as a picture.

    Parameters
    ----------
    shown
        What is written.
    frame
        Its number.
    path
        Ending in .png.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    StorageError
        Another ending, or the file cannot be written.
    """
    from PIL import Image

    check_path(path, "a picture", FRAME_ENDINGS)
    picture = next(_composed(shown, FRAME_ENLARGEMENT, slice(frame, frame + 1)))
    with replacing_file(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")
    return path


def write_figure(shown: ShownMovie, path: Path, *, match_contrast: bool = False) -> Path:
    """Write the figure of frames, masks, correlation over time and optimisation (PNG, SVG or PDF).

    Like the correlation it tells, it begins after the frames that are left out of what is measured.

    Parameters
    ----------
    shown
        What is drawn.
    path
        Its ending says the format.
    match_contrast
        Draw the reconstruction with the stimulus's luminance and contrast; numbers stay unmatched.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    StorageError
        Another ending, or the file cannot be written.
    """
    from napari_vidrecon.figures.frame import save_figure
    from napari_vidrecon.figures.montage import reconstruction_figure

    check_path(path, "a figure", FIGURE_ENDINGS)
    part, history = shown.measured, shown.history
    steps, correlation = ((), ()) if history is None else history.tracked("video_correlation")
    figure = reconstruction_figure(
        shown.stimulus[part],
        shown.video[part],
        shown.mask,
        training_mask=shown.training_mask,
        error=None if shown.error is None else shown.error[part],
        optimisation=(steps, correlation) if len(steps) > 1 else None,
        match_contrast=match_contrast and shown.has_movie,
        has_movie=shown.has_movie,
        drawn_as=(shown.presented.words, shown.pictures[part]) if shown.presented.changes else None,
        frame_rate_hz=shown.frame_rate_hz,
        start_s=shown.times_s[part][0],
        colours=shown.colours,
        title=shown.name if shown.simulated else shown.title,
        simulated=shown.simulated,
    )
    return save_figure(figure, path)


def history_path(path: Path) -> Path:
    """Where the table of optimisation steps goes, beside the table of frames at `path`."""
    return path.with_stem(path.stem + "_history")


def write_tables(shown: ShownMovie, path: Path) -> list[Path]:
    """Write one row a frame, and beside it, in a file of its own, one row an optimisation step; both or none.

    Parameters
    ----------
    shown
        What is written.
    path
        Ending in .csv or .parquet; the second file's name has "_history" added.

    Returns
    -------
    list[Path]
        The files.

    Raises
    ------
    StorageError
        Another ending, or a file cannot be written.
    ConfigError
        Parquet is not installed.
    """
    numbers = np.arange(len(shown.video))
    tables = {
        path: {
            "frame": numbers,
            "time_s": shown.times_s,
            "measured": np.isin(numbers, numbers[shown.measured]).astype(np.int64),
            **shown.columns,
        }
    }
    if shown.history is not None:
        steps = shown.history.table()
        movie = np.full(len(shown.history), shown.predicted_from)
        tables[history_path(path)] = {**steps, "response_predicted_from": movie}
    for each in tables:
        check_path(each, "a table", TABLE_ENDINGS)
    write_all_tables(tables)
    return list(tables)


def _composed(shown: ShownMovie, enlargement: int, part: slice = slice(None)) -> Iterator[np.ndarray]:
    from napari_vidrecon.analysis.error_maps import symmetric_limit
    from napari_vidrecon.figures.movie import side_by_side_frames

    # Pixels of a narrow movie are drawn larger, so that the words above and below it find room.
    enlargement = max(enlargement, math.ceil(NARROWEST_PANEL_PX / shown.stimulus.shape[2]))
    return side_by_side_frames(
        shown.stimulus[part],
        shown.pictures[part],
        shown.mask,
        None if shown.error is None else shown.error[part],
        enlargement,
        shown.panel_names,
        training_mask=shown.training_mask,
        # One limit for all frames, so that a single frame looks as it does in the movie.
        error_limit=None if shown.error is None else symmetric_limit(shown.error, shown.mask),
        frame_rate_hz=shown.frame_rate_hz,
        start_s=shown.times_s[part][0],
        caption=shown.caption,
        simulated=shown.simulated,
        rasters=shown.rasters,
        first_frame=part.start or 0,
    )


def _counted(frames: Iterable[np.ndarray], count: int, on_progress: Progress) -> Iterator[np.ndarray]:
    for done, frame in enumerate(frames):
        on_progress(done, count)
        yield frame
    on_progress(count, count)
