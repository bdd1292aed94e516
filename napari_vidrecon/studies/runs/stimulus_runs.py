"""Runs that reconstruct made stimuli from predicted activity, and what became of each stimulus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from napari_vidrecon import metrics
from napari_vidrecon.analysis.postprocess import ensemble_mean, union_crop
from napari_vidrecon.figures.picture_grids import StimulusGrid, mosaic_frames, stimulus_grid_figure
from napari_vidrecon.sessions.stimuli.stimulus import Stimulus, stimulus_video
from napari_vidrecon.studies.mice import Mouse
from napari_vidrecon.studies.runs.measuring import presented
from napari_vidrecon.studies.runs.run_spec import RunSpec, RunStore
from napari_vidrecon.studies.study import Plan

CROP_MARGIN_PX = 2
LARGE_ANGLE_DEG = 99.5
"""From here on two digits would be written as 1e+02."""
TARGETS = {
    "self": "Targets are what the encoder that reconstructs predicts itself, as published; an encoder that agrees "
    "with itself says nothing of how well it agrees with a brain.",
    "ensemble": "Targets are the mean prediction of all encoders of the mouse; published are targets that the encoder "
    "that reconstructs predicts itself.",
}


def stimulus_specs(plan: Plan, mouse: Mouse, stimulus: Stimulus) -> list[RunSpec]:
    """One run an encoder: the stimulus, from the activity that is predicted for it.

    Parameters
    ----------
    plan
        Scale: settings, and whose prediction is the target.
    mouse
        Whose encoders are used.
    stimulus
        What is shown.

    Returns
    -------
    list[RunSpec]
        One an encoder.
    """
    everyone = tuple(range(len(mouse.encoders))) if plan.scale.stimulus_target == "ensemble" else ()
    base = RunSpec(mouse, plan.scale.stimulus_config(), stimulus=stimulus, target="predicted", target_encoders=everyone)
    return [base.changed(encoders=(index,)) for index in plan.encoders(mouse)]


@dataclass(frozen=True)
class StimulusResult:
    """A stimulus and its reconstructions, unsmoothed as published.

    Parameters
    ----------
    truth
        (T, 36, 64) what was shown.
    singles
        (encoders, T, 36, 64) what each encoder made of it, clipped to 0..255.
    pixels
        (36, 64) bool, what is measured.
    skip
        First frames that are not measured.
    """

    truth: np.ndarray
    singles: np.ndarray
    pixels: np.ndarray
    skip: int

    @classmethod
    def load(cls, plan: Plan, store: RunStore, mouse: Mouse, stimulus: Stimulus, pixels: np.ndarray) -> StimulusResult:
        """Read the finished runs of one stimulus.

        Parameters
        ----------
        plan
            Scale of the runs.
        store
            Where they lie.
        mouse
            Whose.
        stimulus
            What was shown.
        pixels
            (36, 64) bool, the evaluation mask.

        Returns
        -------
        StimulusResult
            Movies of all encoders.

        Raises
        ------
        RunError
            A run is missing.
        """
        singles = np.stack(store.videos(stimulus_specs(plan, mouse, stimulus)))
        truth = stimulus_video(stimulus, mouse.open_session())
        return cls(truth, singles, pixels, plan.scale.stimulus_skip)

    @property
    def video(self) -> np.ndarray:
        """(T, 36, 64) mean over encoders."""
        return ensemble_mean(self.singles)

    @property
    def measured(self) -> tuple[np.ndarray, np.ndarray]:
        """Truth and mean reconstruction in the frames that are measured."""
        return self.truth[self.skip :], self.video[self.skip :]

    def correlations(self) -> dict[str, float]:
        """Video correlation of the mean, mean over single encoders, and what averaging adds."""
        truth = metrics.VideoCorrelation(self.truth[self.skip :], self.pixels)
        together = truth(self.video[self.skip :])
        alone = float(np.mean([truth(single[self.skip :]) for single in self.singles]))
        return {
            "video_correlation": together,
            "mean_single_correlation": alone,
            "ensembling_effect": together - alone,
        }

    def shown(self) -> tuple[np.ndarray, np.ndarray]:
        """Truth and reconstruction for the eye, all frames: matched in luminance and contrast, cut to the mask."""
        crop = (slice(None), *union_crop(self.pixels, margin=CROP_MARGIN_PX, square=True))
        truth, video = presented(self.truth, self.video, self.pixels)
        return truth[crop], video[crop]


def stimuli_figure(
    plan: Plan,
    store: RunStore,
    mouse: Mouse,
    stimuli: Sequence[Sequence[Stimulus]],
    frame: int,
    kind: str,
    labels: tuple[Sequence[str], Sequence[str], str, str],
    title: str,
) -> Figure:
    """One frame of every stimulus, and of its reconstruction, as the paper shows them.

    Parameters
    ----------
    plan, store, mouse
        Scale, finished runs, and whose they are.
    stimuli
        Row by row.
    frame
        Which; the last one where there are fewer, and for -1.
    kind
        What the stimuli are called.
    labels
        Of each row, of each column, and what rows and columns stand for.
    title
        Above all.

    Returns
    -------
    Figure
        Close it once it is saved.
    """
    pixels = mouse.evaluation_mask()
    results = (StimulusResult.load(plan, store, mouse, each, pixels) for row in stimuli for each in row)
    pictures = [[movie[min(frame, len(movie) - 1)] for movie in result.shown()] for result in results]
    shown, made = (each.reshape(len(stimuli), -1, *each.shape[1:]) for each in np.stack(pictures, axis=1))
    grids = [StimulusGrid(shown, f"A  {kind} shown"), StimulusGrid(made, "B  reconstruction")]
    return stimulus_grid_figure(grids, *labels, title=title, simulated=plan.simulated)


def stimuli_movie(
    plan: Plan,
    store: RunStore,
    mouse: Mouse,
    stimuli: Sequence[Sequence[Sequence[Stimulus]]],
    labels: tuple[Sequence[str], Sequence[str]],
    caption: str,
) -> Iterator[np.ndarray]:
    """Frames of a movie: a row of stimuli, a row of their reconstructions, and so on.

    Parameters
    ----------
    plan, store, mouse
        Scale, finished runs, and whose they are.
    stimuli
        Row by row; those of one place are shown one after the other.
    labels
        Of each row of stimuli, and of each column.
    caption
        Below all.

    Returns
    -------
    Iterator[np.ndarray]
        As `mosaic_frames` gives them.
    """
    pixels, rows = mouse.evaluation_mask(), []
    for row in stimuli:
        loaded = [[StimulusResult.load(plan, store, mouse, each, pixels) for each in place] for place in row]
        movies = [zip(*(result.shown() for result in place), strict=True) for place in loaded]
        truths, videos = zip(*([np.concatenate(each) for each in place] for place in movies), strict=True)
        rows += [list(truths), list(videos)]
    return mosaic_frames(
        rows,
        row_labels=[label for name in labels[0] for label in (name, "reconstruction")],
        column_labels=labels[1],
        caption=caption,
        simulated=plan.simulated,
    )


def seconds(plan: Plan, frames: float) -> str:
    """A number of frames in seconds, for labels."""
    return f"{frames / plan.frame_rate_hz:.2f} s" if frames else "0 s"


def degrees(plan: Plan, pixels: float) -> str:
    """A length in pixels as visual angle next to straight ahead, for labels."""
    angle = pixels * plan.degrees_per_pixel
    return f"{angle:.2g}°" if angle < LARGE_ANGLE_DEG else f"{angle:.0f}°"


def matrix(table: object, rows: str, columns: str, value: str, *, order: Sequence[Sequence[float]]) -> np.ndarray:
    """Mean of a column of a table over everything but two others.

    Parameters
    ----------
    table
        A data frame.
    rows, columns
        Names of the two columns.
    value
        Name of the column that is averaged.
    order
        Their levels, in the order wanted.

    Returns
    -------
    np.ndarray
        (levels of `rows`, levels of `columns`); NaN where nothing is known.
    """
    wide = table.pivot_table(index=rows, columns=columns, values=value, aggfunc="mean")  # type: ignore[attr-defined]
    return wide.reindex(index=list(order[0]), columns=list(order[1])).to_numpy(dtype=float)
