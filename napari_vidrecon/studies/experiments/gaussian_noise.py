"""Noise of every spatial and temporal grain: what can be reconstructed at all (Bauer et al. 2026, Fig. 4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from napari_vidrecon import metrics
from napari_vidrecon.analysis.postprocess import match_luminance_contrast
from napari_vidrecon.figures.matrix_figure import DIVERGING, MatrixPanel, matrix_figure
from napari_vidrecon.sessions.screen import USUAL_SCREEN
from napari_vidrecon.sessions.session import Session
from napari_vidrecon.sessions.stimuli.stimulus import stimulus_video
from napari_vidrecon.sessions.stimuli.synthetic import LEFT_PX, PATCH_PX, WHITE_LEVEL, GaussianNoise
from napari_vidrecon.studies.experiments import noise_findings
from napari_vidrecon.studies.mice import Mouse
from napari_vidrecon.studies.runs.run_spec import RunSpec, RunStore
from napari_vidrecon.studies.runs.stimulus_runs import (
    TARGETS,
    StimulusResult,
    degrees,
    matrix,
    seconds,
    stimuli_figure,
    stimuli_movie,
    stimulus_specs,
)
from napari_vidrecon.studies.study import Drawing, Movie, Outcome, Plan, Study

PHASES = (False, True)
FEWEST_CONTROLS = 5
"""Repetitions whose truth a reconstruction is held against, at least; those beyond the scale's are only shown."""
ENTROPY_RANGE_BITS, MOTION_RANGE, ENSEMBLING_RANGE = (2.5, 4.5), (0.0, 75.0), (0.0, 0.25)
MASKS_NOTE = (
    "Every mouse is evaluated with its own mask (the published notebook takes the next mouse's), and lengths in "
    "degrees are those next to straight ahead (the published labels divide)."
)
CONTROL_NOTE = (
    "The random control holds a reconstruction against the noise of the other repetitions of the same phase. The "
    "published one includes the inverted repetitions, whose correlations cancel: it is the correlation itself times "
    "-1/9, whatever the reconstruction."
)
R = "correlation r"
SPACE, TIME = "spatial length constant, px (°)", "temporal length constant, frames (s)"


def _mice(plan: Plan) -> tuple[Mouse, ...]:
    return plan.mice[: plan.scale.noise_mice]


def _noise(plan: Plan, spatial_px: float, temporal_frames: float, seed: int, inverted: bool = False) -> GaussianNoise:
    return GaussianNoise(spatial_px, temporal_frames, seed, inverted, plan.scale.stimulus_frames)


def _grid(plan: Plan) -> list[tuple[float, float]]:
    return [(space, time) for space in plan.scale.noise_px for time in plan.scale.noise_frames]


def runs(plan: Plan) -> Sequence[RunSpec]:
    """Every length constant, repetition and phase."""
    return [
        spec
        for mouse in _mice(plan)
        for space, time in _grid(plan)
        for seed in range(plan.scale.noise_seeds)
        for inverted in PHASES
        for spec in stimulus_specs(plan, mouse, _noise(plan, space, time, seed, inverted))
    ]


def evaluate(plan: Plan, store: RunStore) -> Outcome:
    """Correlation with the truth and with the reconstruction of the inverted noise, entropy, motion, ensembling.

    The table `gaussian_noise` has a row a mouse, kind of noise, repetition and phase: mouse, spatial_px,
    temporal_frames, seed, inverted, video_correlation (of the mean over encoders), mean_single_correlation,
    ensembling_effect, random_control (correlation with the noise of other repetitions), opposite_phase_correlation
    (of the two phases' reconstructions), and entropy_ (bits) and motion_ (grey levels) of truth_patch, truth and
    reconstruction.

    Parameters
    ----------
    plan
        Mice, clips and scale.
    store
        Where the finished runs lie.

    Returns
    -------
    Outcome
        Table, tests, findings, figures and movie.
    """
    import pandas as pd

    table = pd.DataFrame(list(_rows(plan, store)))
    orders = plan.scale.noise_px, plan.scale.noise_frames
    means = {
        name: matrix(table, "spatial_px", "temporal_frames", name, order=orders)
        for name in table.columns[table.columns.get_loc("video_correlation") :]
    }
    outcome = Outcome(tables={"gaussian_noise": table})
    outcome.tests = noise_findings.paired_tests(table)
    outcome.findings = noise_findings.findings(plan, table, means, outcome.tests)
    outcome.drawings = _drawings(plan, store, means)
    outcome.movies = [
        Movie(
            "gaussian-noise",
            "Odd rows: the noise that was shown; even rows: its reconstructions, averaged over encoders, masked, and "
            "matched in luminance and contrast. Coarsest noise on top, slowest on the right; all repetitions one "
            f"after the other, each followed by its inverse. {_mice(plan)[0].name}.",
            "Video 2",
            lambda: _movie(plan, store),
        )
    ]
    seen_by = f"Shown to {', '.join(mouse.name for mouse in _mice(plan))}."
    outcome.notes = [seen_by, TARGETS[plan.scale.stimulus_target], MASKS_NOTE, CONTROL_NOTE]
    return outcome


def _rows(plan: Plan, store: RunStore) -> Iterator[dict[str, Any]]:
    """One row a mouse, stimulus type, repetition and phase."""
    masks = {mouse: mouse.evaluation_mask() for mouse in _mice(plan)}
    seeds = range(plan.scale.noise_seeds)
    controls = range(max(plan.scale.noise_seeds, FEWEST_CONTROLS))
    for space, time in _grid(plan):
        noises = [_noise(plan, space, time, seed) for seed in controls]
        for mouse, pixels in masks.items():
            session = mouse.open_session()
            truths = [stimulus_video(noise, session) for noise in noises]
            patch = np.zeros_like(pixels)
            patch[:, noise_columns(session)] = True
            for seed in seeds:
                pair = [
                    StimulusResult.load(plan, store, mouse, _noise(plan, space, time, seed, inverted), pixels)
                    for inverted in PHASES
                ]
                opposite = metrics.video_correlation(pair[0].measured[1], pair[1].measured[1], pixels)
                for inverted, result in zip(PHASES, pair, strict=True):
                    others = [truths[other] for other in controls if other != seed]
                    yield {
                        "mouse": mouse.name,
                        "spatial_px": space,
                        "temporal_frames": time,
                        "seed": seed,
                        "inverted": inverted,
                        **result.correlations(),
                        "random_control": _control(result, others, inverted),
                        "opposite_phase_correlation": opposite,
                        **_entropy_and_motion(result, patch),
                    }


def noise_columns(session: Session) -> slice:
    """Columns of the screen that show noise: those of the published patch, or all of another screen."""
    usual = session.screen.size_px == USUAL_SCREEN.size_px
    return slice(LEFT_PX, LEFT_PX + PATCH_PX) if usual else slice(None)


def _control(result: StimulusResult, others: Sequence[np.ndarray], inverted: bool) -> float:
    _, video = result.measured
    shown = [WHITE_LEVEL - truth if inverted else truth for truth in others]
    return float(np.mean([metrics.video_correlation(each[result.skip :], video, result.pixels) for each in shown]))


def _entropy_and_motion(result: StimulusResult, patch: np.ndarray) -> dict[str, float]:
    truth, video = result.measured
    matched = match_luminance_contrast(video, truth, result.pixels)
    measured = {}
    for name, movie, pixels in (
        ("truth_patch", truth, patch),
        ("truth", truth, result.pixels),
        ("reconstruction", matched, result.pixels),
    ):
        measured[f"entropy_{name}"] = metrics.shannon_entropy(movie, pixels)
        measured[f"motion_{name}"] = float(np.mean(metrics.motion_energy(movie, pixels)))
    return measured


def _drawings(plan: Plan, store: RunStore, means: dict[str, np.ndarray]) -> list[Drawing]:
    averaged = "Mean over mice, repetitions and both phases."
    return [
        Drawing(
            "stimuli",
            f"Last frame of every noise (A) and of its reconstruction (B) for {_mice(plan)[0].name}, inside the "
            "evaluation mask; reconstructions averaged over encoders, matched in luminance and contrast, not smoothed.",
            "Fig. 4 A, B",
            lambda: _stimuli_figure(plan, store),
        ),
        Drawing(
            "correlation",
            "Left: video correlation of noise and reconstruction. Right: correlation between the reconstructions of a "
            f"noise and of its inverse; -1 is ideal, above 0 the sign of the contrast is lost. {averaged}",
            "Fig. 4 C, D",
            lambda: _correlation_figure(plan, means),
        ),
        Drawing(
            "entropy-motion",
            "Shannon entropy of single frames and motion energy, of the noise on its whole patch (left, as published), "
            f"of the noise inside the evaluation mask, and of the reconstruction there, matched (right). {averaged}",
            "Fig. 4-S2 A, B",
            lambda: _entropy_figure(plan, means),
        ),
        Drawing(
            "ensembling-control",
            "Left: video correlation of the average over encoders, minus the mean correlation of single encoders. "
            f"Right: correlation with noise that was not shown. {averaged}",
            "Fig. 4-S2 C, and the random control of its statistics",
            lambda: _ensembling_figure(plan, means),
        ),
    ]


def _labels(plan: Plan) -> tuple[list[str], list[str]]:
    spaces = [f"{space:g}\n({degrees(plan, space)})" for space in plan.scale.noise_px]
    return spaces, [f"{time:g}\n({seconds(plan, time)})" for time in plan.scale.noise_frames]


def _stimuli_figure(plan: Plan, store: RunStore) -> Figure:
    noises = [[_noise(plan, space, time, 0) for time in plan.scale.noise_frames] for space in plan.scale.noise_px]
    labels = (*_labels(plan), SPACE, TIME)
    return stimuli_figure(plan, store, _mice(plan)[0], noises, -1, "noise", labels, "Gaussian noise, last frame")


def _correlation_figure(plan: Plan, means: dict[str, np.ndarray]) -> Figure:
    rows, columns = _labels(plan)
    same = means["video_correlation"]
    panels = [
        MatrixPanel(same, rows, columns, SPACE, TIME, "C  noise and reconstruction", bar_label=R),
        MatrixPanel(
            means["opposite_phase_correlation"],
            rows,
            columns,
            "",
            TIME,
            "D  reconstructions of opposite phases",
            limits=(-1.0, 1.0),
            bar_label=R,
            colours=DIVERGING,
        ),
    ]
    return matrix_figure([panels], title="Gaussian noise: video correlation", simulated=plan.simulated)


def _entropy_figure(plan: Plan, means: dict[str, np.ndarray]) -> Figure:
    rows, columns = _labels(plan)
    kinds = (("truth_patch", "noise on its patch"), ("truth", "noise"), ("reconstruction", "reconstruction"))
    quantities = (
        ("entropy", "A  entropy, ", ENTROPY_RANGE_BITS, "bits", 2, ""),
        ("motion", "B  motion energy, ", MOTION_RANGE, "grey levels a frame", 1, TIME),
    )
    panels = [
        [
            MatrixPanel(
                means[f"{quantity}_{kind}"],
                rows,
                columns,
                "" if position else SPACE,
                below,
                f"{title}{what}",
                limits,
                unit,
                decimals=places,
            )
            for position, (kind, what) in enumerate(kinds)
        ]
        for quantity, title, limits, unit, places, below in quantities
    ]
    return matrix_figure(panels, title="Gaussian noise: entropy and motion energy", simulated=plan.simulated)


def _ensembling_figure(plan: Plan, means: dict[str, np.ndarray]) -> Figure:
    rows, columns = _labels(plan)
    effect, control = means["ensembling_effect"], means["random_control"]
    panels = [
        MatrixPanel(effect, rows, columns, SPACE, TIME, "C  ensembling effect", ENSEMBLING_RANGE, "difference in r"),
        MatrixPanel(control, rows, columns, "", TIME, "random control", (-1.0, 1.0), R, DIVERGING),
    ]
    return matrix_figure([panels], title="Averaging over encoders, and chance", simulated=plan.simulated)


def _movie(plan: Plan, store: RunStore) -> Iterator[np.ndarray]:
    spaces, times = plan.scale.noise_px[::-1], plan.scale.noise_frames
    shown = [(seed, inverted) for seed in range(plan.scale.noise_seeds) for inverted in PHASES]
    noises = [[[_noise(plan, space, time, *each) for each in shown] for time in times] for space in spaces]
    labels = [f"{space:g} px shown" for space in spaces], [f"{time:g} frames" for time in times]
    caption = "rows: spatial, columns: temporal length constant"
    return stimuli_movie(plan, store, _mice(plan)[0], noises, labels, caption)


GAUSSIAN_NOISE = Study(
    name="gaussian-noise",
    title="Gaussian noise across space and time",
    panels="Fig. 4, Fig. 4-S2, Video 2",
    runs=runs,
    evaluate=evaluate,
    clips=lambda _: (),
)
