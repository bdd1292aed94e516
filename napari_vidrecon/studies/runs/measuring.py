"""Measurements that several studies share, and what they need for them: predictions, mapped fields, parts shown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from napari_vidrecon import metrics
from napari_vidrecon.analysis import statistics
from napari_vidrecon.analysis.postprocess import apply_mask, match_luminance_contrast, union_crop
from napari_vidrecon.analysis.receptive_field_mapping import MappingRecipe, map_receptive_fields
from napari_vidrecon.analysis.receptive_fields import ReceptiveFieldMaps
from napari_vidrecon.analysis.statistics import TestResult
from napari_vidrecon.encoders.answers import predicted
from napari_vidrecon.encoders.checkpoints import file_hash
from napari_vidrecon.errors import RunError, StorageError, number_of
from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD
from napari_vidrecon.reconstruction.recipe import fingerprint
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.studies.mice import Mouse
from napari_vidrecon.studies.runs.run_spec import KEY_LETTERS, RunSpec, RunStore
from napari_vidrecon.studies.study import Clip, Plan

if TYPE_CHECKING:
    import pandas as pd


LEAST_BASE = 0.05
"""A correlation or loss below it is next to nothing: that another is ten times as large says nothing."""


def evaluation_mask(clip: Clip) -> np.ndarray:
    """(36, 64) bool: pixels that are measured."""
    return clip.mouse.evaluation_mask()


def scores(plan: Plan, trial: Trial, video: np.ndarray, pixels: np.ndarray) -> dict[str, float]:
    """Video correlation, mean frame correlation and RMSE of a reconstruction, at the scale's frames.

    Parameters
    ----------
    plan
        Says which frames are measured.
    trial
        The clip; its movie is the truth.
    video
        (T, 36, 64) averaged over encoders and smoothed.
    pixels
        (36, 64) bool, the evaluation mask.

    Returns
    -------
    dict[str, float]
        {"video_correlation", "mean_frame_correlation", "rmse": value}; NaN where nothing tells what was shown.
    """
    if not trial.has_movie:
        return dict.fromkeys(("video_correlation", "mean_frame_correlation", "rmse"), math.nan)
    part = plan.measured(len(video))
    truth, shown = trial.video[part], video[part]
    return {
        "video_correlation": metrics.video_correlation(truth, shown, pixels),
        "mean_frame_correlation": metrics.mean_frame_correlation(truth, shown, pixels),
        "rmse": metrics.rmse(truth, shown, pixels),
    }


def row(clip: Clip, **values: Any) -> dict[str, Any]:
    """One row of a table: which mouse and clip, and the values."""
    return {"mouse": clip.mouse.name, "clip": clip.trial, **values}


def presented(truth: np.ndarray, video: np.ndarray, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Truth and reconstruction as the paper shows them: luminance and contrast matched, grey outside the mask.

    Parameters
    ----------
    truth
        (T, 36, 64), grey levels.
    video
        (T, 36, 64), grey levels.
    pixels
        (36, 64) bool, the evaluation mask.

    Returns
    -------
    tuple[np.ndarray, np.ndarray]
        Truth and reconstruction, (T, 36, 64).
    """
    return apply_mask(truth, pixels), match_luminance_contrast(video, truth, pixels)


def with_reconstructions(plan: Plan, clip: Clip, videos: Iterable[np.ndarray]) -> list[np.ndarray]:
    """The measured frames of a clip, and those of each of its reconstructions, as the paper shows movies.

    Parameters
    ----------
    plan, clip
        The study, and one of its clips.
    videos
        (T, 36, 64) each, its reconstructions.

    Returns
    -------
    list[np.ndarray]
        The clip first.
    """
    truth, pixels = plan.trial(clip).video, evaluation_mask(clip)
    part = plan.measured(len(truth))
    return [apply_mask(truth[part], pixels), *(presented(truth[part], video[part], pixels)[1] for video in videos)]


def mosaic_of_clips(
    plan: Plan, clips: Sequence[Clip], columns: Sequence[Sequence[np.ndarray]], row_labels: Sequence[str], scale: int
) -> Iterator[np.ndarray]:
    """Frames of a movie: a column a clip, and what was made of it below each other.

    Parameters
    ----------
    plan, clips
        The study; one a column.
    columns
        Movies of the same frames, from the top.
    row_labels
        One a row.
    scale
        Pixels of the movie a pixel of the screen.

    Returns
    -------
    Iterator[np.ndarray]
        As `mosaic_frames` gives them.
    """
    from napari_vidrecon.figures.picture_grids import mosaic_frames

    return mosaic_frames(
        cropped(plan, same_length(list(zip(*columns, strict=True)))),
        row_labels=row_labels,
        column_labels=[plan.label(clip) for clip in clips],
        scale=scale,
        simulated=plan.simulated,
    )


def mosaic_of_rows(plan: Plan, movies: Mapping[Clip, np.ndarray], caption: str) -> Iterator[np.ndarray]:
    """Frames of a movie: clips beside each other, a row or more a mouse.

    Parameters
    ----------
    plan
        The study.
    movies
        One a clip.
    caption
        Below all.

    Returns
    -------
    Iterator[np.ndarray]
        As `mosaic_frames` gives them.
    """
    from napari_vidrecon.figures.picture_grids import mosaic_frames

    tiled = [clips for clips in rows_of_clips(plan, list(movies)) if clips]
    rows = same_length([[movies[clip] for clip in clips] for clips in tiled])
    names = [clips[0].mouse.name for clips in tiled] if len(plan.mice) > 1 else ()
    return mosaic_frames(cropped(plan, rows), row_labels=names, caption=caption, scale=6, simulated=plan.simulated)


def other_movies(clips: Sequence[Clip]) -> dict[Clip, Clip]:
    """For each clip the next one of the same mouse, whose movie is its random control; none where there is but one."""
    others: dict[Clip, Clip] = {}
    for mouse in dict.fromkeys(clip.mouse for clip in clips):
        own = [clip for clip in clips if clip.mouse == mouse]
        if len(own) > 1:
            others.update(zip(own, own[1:] + own[:1], strict=True))
    return others


def from_truth(plan: Plan, trials: Mapping[Clip, Trial]) -> dict[Clip, np.ndarray]:
    """Activity predicted from the movies shown, (N, T), mean over the encoders that are averaged.

    Parameters
    ----------
    trials
        Each clip, cut as it is reconstructed. Every encoder is loaded once a mouse.

    Returns
    -------
    dict[Clip, np.ndarray]
        {clip: (N, T)}.
    """
    total: dict[Clip, np.ndarray] = {}
    for mouse in dict.fromkeys(clip.mouse for clip in trials):
        indices = plan.encoders(mouse)
        for index in indices:
            encoder = mouse.load_encoder(index)
            for clip, trial in trials.items():
                if clip.mouse == mouse:
                    inputs = trial.video, trial.behavior, trial.pupil_center
                    activity = predicted(encoder, *inputs, clip=trial.name) / len(indices)
                    total[clip] = total[clip] + activity if clip in total else activity
    return total


def from_reconstructions(store: RunStore, specs: Iterable[RunSpec]) -> np.ndarray:
    """Activity predicted from reconstructions, mean over runs; each encoder predicts from its own.

    Returns
    -------
    np.ndarray
        (N, T) >= 0.

    Raises
    ------
    RunError
        A run holds no predicted activity.
    """
    activities = []
    for spec in specs:
        activity = store.load(spec).predicted_activity
        if activity is None:
            raise RunError(f"{spec.label}: expected a run with predicted activity, found none; run it again")
        activities.append(activity)
    return np.mean(activities, axis=0)


MAPS_FOLDER = "maps"
KEY_FORMAT = 1


def mapped_fields(plan: Plan, store: RunStore, mouse: Mouse) -> ReceptiveFieldMaps:
    """Maps of all neurons, the mean over the mouse's encoders; read where an earlier call has written them.

    Parameters
    ----------
    plan
        Scale of the mapping.
    store
        Whose folder holds the maps.
    mouse
        To map.

    Returns
    -------
    ReceptiveFieldMaps
        In half precision, as the file holds them.

    Raises
    ------
    VidreconError
        An input cannot be read, or the maps cannot be written.
    """
    recipe = MappingRecipe.preset(plan.scale.mapping)
    encoders = plan.encoders(mouse)
    file = store.out / MAPS_FOLDER / f"{_key(mouse, encoders, recipe)}.npz"
    session = mouse.open_session()
    if not _readable(file):
        opened = [mouse.load_encoder(index) for index in encoders]
        found = map_receptive_fields(session, opened, recipe)
        if found is None:
            raise RunError(f"{mouse.session}: the mapping of receptive fields was stopped; start it again")
        found.save(file)
    # Read in any case: the file holds half precision, and the first and every later evaluation must agree.
    return ReceptiveFieldMaps.load(file, session.screen)


def _key(mouse: Mouse, encoders: tuple[int, ...], recipe: MappingRecipe) -> str:
    behavior, pupil_center = mouse.open_session().average_behavior()
    decisive = {
        "format": KEY_FORMAT,
        "session": mouse.open_session().fingerprint(),
        "behavior": [behavior.tolist(), pupil_center.tolist()],
        "encoders": [file_hash(mouse.encoders[index]) for index in encoders],
        "readout": mouse.readout,
        "recipe": recipe.model_dump(mode="json"),
    }
    return fingerprint(decisive)[:KEY_LETTERS]


def _readable(file: Path) -> bool:
    """Whether the file is there and sound; a damaged one is mapped anew."""
    if not file.exists():
        return False
    try:
        ReceptiveFieldMaps.load(file)
    except StorageError:
        return False
    return True


CLIPS_A_ROW = 5
CROP_MARGIN_PX = 2


def example_times_s(plan: Plan, trial: Trial) -> np.ndarray:
    """Times of all frames of an example, in seconds from the beginning of the whole clip."""
    return ((plan.scale.example_frames or (0, 0))[0] + np.arange(trial.frames)) / trial.frame_rate_hz


def spread_frames(frames: int, every: int, most: int) -> np.ndarray:
    """Frames to show: the first, one every `every` frames, and the last, as the paper does; at most `most`.

    Where that gives fewer than `most`, as in a short clip, they are equally spaced instead.

    Parameters
    ----------
    frames
        Length of the clip.
    every
        Frames between two that are shown.
    most
        How many are shown.

    Returns
    -------
    np.ndarray
        Indices, ascending.
    """
    regular = [*range(0, frames - 1, every), frames - 1]
    if len(regular) != most:
        regular = np.unique(np.round(np.linspace(0, frames - 1, min(most, frames)))).astype(int).tolist()
    return np.array(regular)


def same_length(rows: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
    """Rows of movies cut to the shortest, so that they can play beside each other."""
    shortest = min(len(movie) for movies in rows for movie in movies)
    return [[movie[:shortest] for movie in movies] for movies in rows]


def rows_of_clips(plan: Plan, clips: Sequence[Clip]) -> list[list[Clip]]:
    """Clips as the paper tiles them, a row a mouse; those of a single mouse wrapped."""
    if len(plan.mice) > 1:
        return [[clip for clip in clips if clip.mouse == mouse] for mouse in plan.mice]
    return [list(clips[start : start + CLIPS_A_ROW]) for start in range(0, len(clips), CLIPS_A_ROW)]


def screen_window(plan: Plan) -> tuple[slice, slice]:
    """The part of the screen that holds every mouse's evaluation mask, with a little room around."""
    masks = [mouse.load_mask().binary(EVALUATION_THRESHOLD) for mouse in plan.mice]
    return union_crop(masks, margin=CROP_MARGIN_PX)


def cropped(plan: Plan, rows: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
    """Rows of movies (T, H, W) or (T, H, W, 3) cut to `screen_window`."""
    window = screen_window(plan)
    return [[movie[:, *window] for movie in movies] for movies in rows]


def listed(values: ArrayLike, form: str = ".2f") -> str:
    """Numbers of a finding, with commas between."""
    return ", ".join(f"{value:{form}}" for value in np.asarray(values, dtype=float))


MOUSE_UNIT, CLIP_UNIT = ("mouse",), ("mouse", "clip")


def level_tests(table: pd.DataFrame, level: str, value: str, what: str) -> list[TestResult]:
    """ANOVA over levels and consecutive t-tests, as for Fig. 3 and 5, and a mixed model over all clips.

    The paper's unit is the mouse. With one mouse these tests say what they need, and the same tests over clips are
    given beside them. The mixed model fits value over log2(level), with an intercept of each mouse.

    Parameters
    ----------
    table
        One row a mouse, clip and level.
    level, value
        Columns.
    what
        What the levels are, e.g. "encoders averaged".

    Returns
    -------
    list[TestResult]
        For each unit ANOVA, then t-tests; last the mixed model.
    """
    results = []
    for unit in _units(table):
        values, levels = statistics.by_unit(table, list(unit), level, value)
        size = counts(table, unit)
        results.append(statistics.repeated_measures_anova(values, what, **size))
        names = [f"{each:g}" if isinstance(each, (int, float)) else str(each) for each in levels]
        results += statistics.consecutive_paired_t(values, names, what, **size)
    size, slope = counts(table, MOUSE_UNIT), f"slope a doubling: {what}"
    mixed = statistics.mixed_model(table[value], np.log2(table[level]), list(table["mouse"]), slope, **size)
    return [*results, mixed]


def pair_tests(table: pd.DataFrame, level: str, value: str, first: str, second: str) -> list[TestResult]:
    """Paired t-test of two levels over mice, as for Fig. 1-S2; over clips too, where there is one mouse.

    Parameters
    ----------
    table
        One row a mouse, clip and level.
    level
        Column of the levels.
    value
        Column that is compared.
    first, second
        The levels.

    Returns
    -------
    list[TestResult]
        One for each unit.
    """
    part = table[table[level].isin([first, second])]
    results = []
    for unit in _units(part):
        wide = part.pivot_table(index=list(unit), columns=level, values=value, aggfunc="mean", observed=True)
        means = wide.mean()
        compared = f"{value.replace('_', ' ')}: {first} against {second} ({change(means[first], means[second])})"
        results.append(statistics.paired_t(wide[first], wide[second], compared, **counts(part, unit)))
    return results


def change(first: float, second: float, digits: int = 2) -> str:
    """How much larger the second of two means is than the first, in percent, where there is a first to speak of.

    Parameters
    ----------
    first, second
        Correlations, losses or errors.
    digits
        Behind the point.

    Returns
    -------
    str
        E.g. "+34.70 %".
    """
    if not abs(first) >= LEAST_BASE:
        return "no percentage of next to nothing"
    # A Poisson loss may be negative: a change upwards stays one.
    return f"{100 * (second - first) / abs(first):+.{digits}f} %"


def monotone(means: ArrayLike) -> bool:
    """Whether every mean is above the one before."""
    return bool((np.diff(np.asarray(means, dtype=float)) > 0).all())


def _units(table: pd.DataFrame) -> list[Sequence[str]]:
    return [MOUSE_UNIT] if table["mouse"].nunique() > 1 else [MOUSE_UNIT, CLIP_UNIT]


def counts(table: pd.DataFrame, unit: Sequence[str]) -> dict[str, Any]:
    """Mice, clips and unit of a test over the rows of a table, as `TestResult` names them."""
    return {
        "mice": int(table["mouse"].nunique()),
        "clips": len(table[["mouse", "clip"]].drop_duplicates()),
        "unit": unit[-1],
    }


def counted(table: pd.DataFrame) -> str:
    """How many clips of how many mice a table holds, in words."""
    size = counts(table, CLIP_UNIT)
    mice, clips = size["mice"], size["clips"]
    return f"{number_of(clips, 'clip')} of {number_of(mice, 'mouse', 'mice')}"
