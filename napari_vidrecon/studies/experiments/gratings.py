"""Drifting gratings of every spatial and temporal frequency (Bauer et al. 2026, Fig. 4-S1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from napari_vidrecon.errors import number_of
from napari_vidrecon.figures.matrix_figure import MatrixPanel, matrix_figure
from napari_vidrecon.sessions.stimuli.synthetic import DIRECTIONS, Direction, DriftingGrating
from napari_vidrecon.studies.mice import Mouse
from napari_vidrecon.studies.runs.measuring import listed
from napari_vidrecon.studies.runs.run_spec import RunSpec, RunStore
from napari_vidrecon.studies.runs.stimulus_runs import (
    TARGETS,
    StimulusResult,
    matrix,
    stimuli_figure,
    stimuli_movie,
    stimulus_specs,
)
from napari_vidrecon.studies.study import Drawing, Finding, Movie, Outcome, Plan, Study

HALF_FRAME_RATE_HZ, QUARTER_FRAME_RATE_HZ = 15.0, 7.5
STEP_OF_THE_ARTEFACT = 2
ENSEMBLING_RANGE = (0.0, 0.3)
WAVES_NOTE = (
    "Gratings are square waves of full contrast that start at phase 0 (the published phases are not known); degrees "
    "are those next to straight ahead."
)
SPACE, TIME = "spatial frequency, cycles/px (cycles/°)", "temporal frequency (Hz)"


def _mice(plan: Plan) -> tuple[Mouse, ...]:
    return plan.mice[: plan.scale.grating_mice]


def _directions(plan: Plan) -> tuple[Direction, ...]:
    return DIRECTIONS[: plan.scale.grating_directions]


def _frequencies(plan: Plan) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Spatial ones from fine to coarse, so that coarse gratings stand on top, and temporal ones from fast to slow."""
    # What is faster than half the frame rate would be seen to move backwards, and slower.
    return (
        tuple(sorted(plan.scale.grating_cycles_px, reverse=True)),
        tuple(sorted((hertz for hertz in plan.scale.grating_hz if hertz <= plan.frame_rate_hz / 2), reverse=True)),
    )


def _frame_shown(plan: Plan) -> int:
    """The first that is measured: at 30 Hz the 31st, as in the paper."""
    return plan.scale.stimulus_skip


def _grating(plan: Plan, cycles_px: float, hertz: float, direction: Direction) -> DriftingGrating:
    return DriftingGrating(cycles_px, hertz, direction, frames=plan.scale.stimulus_frames)


def _grid(plan: Plan) -> list[tuple[float, float]]:
    spaces, times = _frequencies(plan)
    return [(space, time) for space in spaces for time in times]


def runs(plan: Plan) -> Sequence[RunSpec]:
    """Every frequency and direction."""
    return [
        spec
        for mouse in _mice(plan)
        for space, time in _grid(plan)
        for direction in _directions(plan)
        for spec in stimulus_specs(plan, mouse, _grating(plan, space, time, direction))
    ]


def evaluate(plan: Plan, store: RunStore) -> Outcome:
    """Correlation over frequencies, mean over directions; what averaging over encoders adds.

    The table `gratings` has a row a mouse, frequency and direction: mouse, cycles_px, cycles_degree, hertz,
    direction, video_correlation (of the mean over encoders), mean_single_correlation (mean over encoders),
    ensembling_effect (the difference of the two).

    Parameters
    ----------
    plan
        Mice, clips and scale.
    store
        Where the finished runs lie.

    Returns
    -------
    Outcome
        Table, findings, figures and movie.
    """
    import pandas as pd

    table = pd.DataFrame(list(_rows(plan, store)))
    means = {
        name: matrix(table, "cycles_px", "hertz", name, order=_frequencies(plan))
        for name in ("video_correlation", "ensembling_effect")
    }
    outcome = Outcome(tables={"gratings": table})
    outcome.findings = [
        artefact(plan, means["video_correlation"]),
        _coarse(plan, means["video_correlation"]),
        _slow(plan, means["video_correlation"]),
        _ensembling(plan, means["ensembling_effect"]),
    ]
    directions = ", ".join(_directions(plan))
    named = _mice(plan)[0].name
    outcome.drawings = [
        Drawing(
            "gratings",
            f"Frame {_frame_shown(plan) + 1} of gratings that move to the right (A) and of their reconstructions (B) "
            f"for {named}, inside the evaluation mask; reconstructions averaged over encoders, matched in luminance "
            "and contrast, not smoothed.",
            "Fig. 4-S1 A, B",
            lambda: _gratings_figure(plan, store),
        ),
        Drawing(
            "correlation",
            f"Left: video correlation of grating and reconstruction, mean over directions ({directions}). Right: video "
            "correlation of the average over encoders, minus the mean correlation of single encoders.",
            "Fig. 4-S1 C; the right panel has no counterpart in the paper",
            lambda: _correlation_figure(plan, means),
        ),
    ]
    outcome.movies = [
        Movie(
            "gratings",
            "Odd rows: the grating that was shown; even rows: its reconstruction, averaged over encoders, masked, and "
            f"matched in luminance and contrast. Directions one after the other: {directions}. {named}.",
            "Video 3",
            lambda: _movie(plan, store),
        )
    ]
    seen_by = f"Shown to {', '.join(mouse.name for mouse in _mice(plan))}."
    outcome.notes = [seen_by, TARGETS[plan.scale.stimulus_target], WAVES_NOTE]
    return outcome


def _rows(plan: Plan, store: RunStore) -> Iterator[dict[str, Any]]:
    """One row a mouse, frequency and direction."""
    for mouse in _mice(plan):
        pixels = mouse.evaluation_mask()
        for space, time in _grid(plan):
            for direction in _directions(plan):
                grating = _grating(plan, space, time, direction)
                result = StimulusResult.load(plan, store, mouse, grating, pixels)
                yield {
                    "mouse": mouse.name,
                    "cycles_px": space,
                    "cycles_degree": space / plan.degrees_per_pixel,
                    "hertz": time,
                    "direction": direction,
                    **result.correlations(),
                }


def artefact(plan: Plan, correlation: np.ndarray) -> Finding:
    """Whether 15 Hz beats 7.5 Hz, as it must where every second frame is a film of its own for the encoder."""
    statement = (
        "gratings of 15 Hz are reconstructed better than those of 7.5 Hz, an artefact of an encoder that takes every "
        "second frame: each half of the frames is a still picture to it"
    )
    _, times = _frequencies(plan)
    if HALF_FRAME_RATE_HZ not in times or QUARTER_FRAME_RATE_HZ not in times:
        return Finding(statement, None, "not both frequencies were shown")
    fast, slower = (times.index(hertz) for hertz in (HALF_FRAME_RATE_HZ, QUARTER_FRAME_RATE_HZ))
    pairs = correlation[::-1, [fast, slower]]
    told = "r at 15 and 7.5 Hz, from coarse to fine: " + ", ".join(f"{a:.2f} and {b:.2f}" for a, b in pairs)
    steps = {mouse.load_encoder(0, "cpu").spec.windows.step for mouse in _mice(plan)}
    told += f"; the encoder takes every {_ordinal(max(steps))} frame"
    if steps != {STEP_OF_THE_ARTEFACT}:
        return Finding(statement, None, f"{told}, so it says nothing about this artefact")
    means = pairs.mean(axis=0)
    return Finding(statement, bool(means[0] > means[1]), told)


def _ordinal(step: int) -> str:
    return {1: "single", 2: "second", 3: "third"}.get(step, f"{step}th")


def _coarse(plan: Plan, correlation: np.ndarray) -> Finding:
    spaces, _ = _frequencies(plan)
    by_space = correlation.mean(axis=1)
    return Finding(
        "the finer a grating, the worse its reconstruction",
        bool((np.diff(by_space) > 0).all()),
        f"r = {listed(by_space)} at {', '.join(f'{space:g}' for space in spaces)} cycles/px",
    )


def _slow(plan: Plan, correlation: np.ndarray) -> Finding:
    _, times = _frequencies(plan)
    by_time = correlation.mean(axis=0)
    # At half the frame rate the artefact says more than the speed.
    slower = by_time[[hertz < plan.frame_rate_hz / 2 for hertz in times]]
    return Finding(
        "below half the frame rate, still gratings are reconstructed better than the fastest",
        bool(slower[-1] > slower[0]) if len(slower) > 1 else None,
        f"r = {listed(by_time)} at {', '.join(f'{hertz:g}' for hertz in times)} Hz",
    )


def _ensembling(plan: Plan, effect: np.ndarray) -> Finding:
    encoders = min(len(plan.encoders(mouse)) for mouse in _mice(plan))
    return Finding(
        "averaging over encoders helps, except where next to nothing is reconstructed",
        None if encoders < 2 else bool(effect.mean() > 0),
        f"{(effect > 0).sum()} of {effect.size} gratings; mean {effect.mean():+.3f}, with "
        f"{number_of(encoders, 'encoder')}",
    )


def _labels(plan: Plan) -> tuple[list[str], list[str]]:
    spaces, times = _frequencies(plan)
    labels = [f"{space:g}\n({space / plan.degrees_per_pixel:.3f})" for space in spaces]
    return labels, [f"{hertz:.3g}" for hertz in times]


def _gratings_figure(plan: Plan, store: RunStore) -> Figure:
    (spaces, times), to_the_right = _frequencies(plan), _directions(plan)[0]
    gratings = [[_grating(plan, space, time, to_the_right) for time in times] for space in spaces]
    title = f"Gratings that move to the right, frame {_frame_shown(plan) + 1}"
    labels = (*_labels(plan), SPACE, TIME)
    return stimuli_figure(plan, store, _mice(plan)[0], gratings, _frame_shown(plan), "grating", labels, title)


def _correlation_figure(plan: Plan, means: dict[str, np.ndarray]) -> Figure:
    rows, columns = _labels(plan)
    correlation, effect = means["video_correlation"], means["ensembling_effect"]
    panels = [
        MatrixPanel(
            correlation, rows, columns, SPACE, TIME, "C  grating and reconstruction", bar_label="correlation r"
        ),
        MatrixPanel(effect, rows, columns, "", TIME, "ensembling effect", ENSEMBLING_RANGE, "difference in r"),
    ]
    return matrix_figure([panels], title="Gratings: video correlation", simulated=plan.simulated)


def _movie(plan: Plan, store: RunStore) -> Iterator[np.ndarray]:
    spaces, times = _frequencies(plan)
    spaces = spaces[::-1]
    gratings = [
        [[_grating(plan, space, time, each) for each in _directions(plan)] for time in times] for space in spaces
    ]
    labels = [f"{space:g} cycles/px" for space in spaces], [f"{hertz:.3g} Hz" for hertz in times]
    caption = "rows: spatial, columns: temporal frequency"
    return stimuli_movie(plan, store, _mice(plan)[0], gratings, labels, caption)


GRATINGS = Study(
    name="gratings",
    title="Reconstruction of drifting gratings",
    panels="Fig. 4-S1, Video 3",
    runs=runs,
    evaluate=evaluate,
    clips=lambda _: (),
)
