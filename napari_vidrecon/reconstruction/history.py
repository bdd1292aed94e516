"""The numbers of a run: what happened step by step, and how good its movie is.

Command, window and tables all measure a movie here: inside a mask, first frames left out.
"""

from __future__ import annotations

import base64
import html
import io
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_vidrecon import metrics
from napari_vidrecon.errors import optional_module

if TYPE_CHECKING:
    import pandas


TRACKED_COLUMNS = ("video_correlation", "rmse", "response_loss", "response_correlation")
LAST_STEP = 2**31 - 1
"""What any counter takes."""
UNITS = {"rmse": "grey_levels"}
"""Of columns whose name does not say it."""


@dataclass(frozen=True)
class StepInfo:
    """What one step did.

    Parameters
    ----------
    step
        Steps done, 1 .. steps.
    steps
        Steps to do.
    loss
        Mean loss over sub-batches (and encoders) before the update; of held-out neurons where there are some.
    seconds
        Time of this step.
    tracked
        What was measured at this step, or None.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> info = vr.StepInfo(step=3, steps=10, loss=0.5, seconds=0.2)
    >>> info.step < info.steps
    True
    """

    step: int
    steps: int
    loss: float
    seconds: float
    tracked: dict[str, float] | None = None


def with_unit(name: str) -> str:
    """Name of a column, with its unit where the name does not say it."""
    return f"{name}_{UNITS[name]}" if name in UNITS else name


class History:
    """Columns of one value a step: step, loss, seconds, and what was tracked (NaN where it was not).

    Parameters
    ----------
    columns
        Name to values, all of one length.
    """

    def __init__(self, columns: dict[str, list[float]] | None = None) -> None:
        names = ("step", "loss", "seconds", *TRACKED_COLUMNS)
        self._columns = {name: list((columns or {}).get(name, [])) for name in names}

    @classmethod
    def of_file(cls, columns: Mapping[str, list[Any]]) -> History:
        """The history that a file tells; null is NaN, and a column that is not there was not measured.

        Parameters
        ----------
        columns
            Name to values, from outside.

        Returns
        -------
        History
            With a value for each step in every column.

        Raises
        ------
        ValueError
            Columns of different lengths, no numbers, or steps that do not go up.
        """
        steps = columns.get("step")
        if steps is None:
            raise ValueError("expected history.step, found none of it")
        known: dict[str, list[float]] = {}
        for name in cls().names:
            values = columns.get(name, [None] * len(steps))
            if len(values) != len(steps):
                raise ValueError(f"expected history.{name} of {len(steps)} steps, found {len(values)}")
            if any(value is not None and type(value) not in (int, float) for value in values):
                raise ValueError(f"expected numbers in history.{name}, found something else")
            try:
                known[name] = [math.nan if value is None else float(value) for value in values]
            except OverflowError:
                raise ValueError(f"expected numbers in history.{name}, found one that is far too large") from None
        done = known["step"]
        whole = all(0 < step <= LAST_STEP and step.is_integer() for step in done)
        if not whole or any(later <= earlier for earlier, later in itertools.pairwise(done)):
            raise ValueError("expected history.step to go up from 1, found other numbers")
        return cls(known)

    def __len__(self) -> int:
        return len(self._columns["step"])

    def __getitem__(self, name: str) -> np.ndarray:
        return np.asarray(self._columns[name], dtype=np.float64)

    @property
    def names(self) -> tuple[str, ...]:
        """Column names."""
        return tuple(self._columns)

    def append(self, info: StepInfo) -> None:
        """Add one step."""
        self._columns["step"].append(float(info.step))
        self._columns["loss"].append(info.loss)
        self._columns["seconds"].append(info.seconds)
        for name in TRACKED_COLUMNS:
            self._columns[name].append((info.tracked or {}).get(name, float("nan")))

    def tracked(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps at which a column was measured, and the values."""
        values, steps = self[name], self["step"]
        measured = ~np.isnan(values)
        return steps[measured], values[measured]

    def last(self, name: str) -> float:
        """The newest measured value; NaN before the first."""
        values = self.tracked(name)[1]
        return float(values[-1]) if len(values) else float("nan")

    def as_dict(self) -> dict[str, list[float]]:
        """Plain lists."""
        return {name: list(values) for name, values in self._columns.items()}

    def table(self) -> dict[str, np.ndarray]:
        """Columns by their name and unit, as tables are written: step in whole numbers, NaN where none was measured."""
        columns = {with_unit(name): self[name] for name in self.names}
        return {**columns, "step": self["step"].astype(np.int64)}

    def to_dataframe(self) -> pandas.DataFrame:
        """One row a step, with the columns of `table`.

        Returns
        -------
        pandas.DataFrame
            NaN where nothing was measured.

        Raises
        ------
        ConfigError
            pandas is not installed.
        """
        return optional_module("pandas", "studies", "a history as a data frame").DataFrame(self.table())

    def filled(self, name: str, watched: dict[int, float]) -> History:
        """The same, with values for steps at which a column was not measured.

        Parameters
        ----------
        name
            Of the column.
        watched
            Step to value.

        Returns
        -------
        History
            What was measured stays.
        """
        columns = self.as_dict()
        pairs = zip(columns["step"], columns[name], strict=True)
        columns[name] = [watched.get(int(step), value) if math.isnan(value) else value for step, value in pairs]
        return History(columns)

    def cut(self, steps: int) -> History:
        """The first `steps` rows."""
        return History({name: values[:steps] for name, values in self._columns.items()})


SCORES = ("video_correlation", "mean_frame_correlation", "rmse", "ssim")
UNCHECKED = "no movie says what was shown, so nothing can be checked against one"
FRAMES_SHOWN = 8
ENLARGEMENT, GAP_PX = 2, 4
WHITE_LEVEL = 255


def measured_frames(frames: int, skip_frames: int) -> slice:
    """The frames that a movie is measured on: all but the first ones, where the clip is long enough.

    Parameters
    ----------
    frames
        Length of the clip.
    skip_frames
        First frames to leave out.

    Returns
    -------
    slice
        To the end of the movie.
    """
    return slice(skip_frames if skip_frames < frames - 1 else 0, None)


class Evaluation:
    """Measures movies against the true one, whose side is prepared once.

    Parameters
    ----------
    truth
        (T, 36, 64) the true movie, grey levels 0..255.
    pixels
        (36, 64) bool, the evaluation mask.
    skip_frames
        First frames that are left out.
    colours
        Parts of a frame, one below the other.
    """

    def __init__(self, truth: np.ndarray, pixels: np.ndarray, skip_frames: int, colours: int = 1) -> None:
        self._colours = colours
        self._frames, self._pixels = measured_frames(len(truth), skip_frames), pixels
        self._truth = truth[self._frames]
        self._correlation = metrics.VideoCorrelation(self._truth, pixels)

    def video_correlation(self, video: np.ndarray) -> float:
        """Pearson's r over all pixels and frames of a (T, 36, 64) movie, -1..1."""
        return self._correlation(video[self._frames])

    def mean_frame_correlation(self, video: np.ndarray) -> float:
        """Mean over frames of Pearson's r over the pixels of a frame, -1..1."""
        return metrics.mean_frame_correlation(self._truth, video[self._frames], self._pixels)

    def scores(self, video: np.ndarray) -> dict[str, float]:
        """video_correlation, mean_frame_correlation, rmse (grey levels) and ssim of a (T, 36, 64) movie."""
        shown = video[self._frames]
        return {
            "video_correlation": self.video_correlation(video),
            "mean_frame_correlation": self.mean_frame_correlation(video),
            "rmse": metrics.rmse(self._truth, shown, self._pixels),
            "ssim": metrics.ssim(self._truth, shown, self._pixels, colours=self._colours),
        }


def _strip(stimulus: np.ndarray, video: np.ndarray) -> np.ndarray:
    """(height, width) uint8: frames of the stimulus above those of the reconstruction, equally spaced in time."""
    rows = []
    for movie in (stimulus, video):
        indices = np.linspace(0, len(movie) - 1, min(FRAMES_SHOWN, len(movie))).round().astype(int)
        levels = np.clip(np.rint(movie[indices]), 0, WHITE_LEVEL).astype(np.uint8)
        large = levels.repeat(ENLARGEMENT, axis=1).repeat(ENLARGEMENT, axis=2)
        framed = np.pad(large, ((0, 0), (0, GAP_PX), (0, GAP_PX)), constant_values=WHITE_LEVEL)
        rows.append(np.concatenate(list(framed), axis=1))
    return np.concatenate(rows)


def scored_page(heading: str, stimulus: np.ndarray, video: np.ndarray, scores: Mapping[str, float]) -> str:
    """HTML: a heading, the strip as a PNG inside the text, and a table of scores.

    Parameters
    ----------
    heading
        Any text; nothing of it runs.
    stimulus, video
        (T, H, W), grey levels 0..255.
    scores
        Name to value; those that are not finite are left out.

    Returns
    -------
    str
        One element, with nothing to fetch.
    """
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(_strip(stimulus, video)).save(file, format="PNG")
    picture = base64.b64encode(file.getvalue()).decode("ascii")
    named = {with_unit(name).replace("_", " "): value for name, value in scores.items() if math.isfinite(value)}
    names = "".join(f"<th>{html.escape(name)}</th>" for name in named)
    values = "".join(f"<td>{value:.3f}</td>" for value in named.values())
    return (
        f"<div><b>{html.escape(heading)}</b><br>"
        f'<img alt="stimulus above reconstruction" src="data:image/png;base64,{picture}">'
        f"<table><tr>{names}</tr><tr>{values}</tr></table></div>"
    )
