"""Fewer neurons, worse movies (Bauer et al. 2026, Fig. 5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from napari_vidrecon.analysis import statistics
from napari_vidrecon.errors import ConfigError
from napari_vidrecon.figures.frame import panels_figure
from napari_vidrecon.figures.mouse_lines import LinePanel, Lines
from napari_vidrecon.reconstruction.targets import Ablation, NeuronSet
from napari_vidrecon.studies.runs.measuring import (
    change,
    evaluation_mask,
    level_tests,
    monotone,
    mosaic_of_clips,
    row,
    scores,
    with_reconstructions,
)
from napari_vidrecon.studies.runs.run_spec import RunSpec, RunStore
from napari_vidrecon.studies.study import Clip, Finding, Outcome, Plan, Study, averaged

if TYPE_CHECKING:
    import pandas as pd


FRACTIONS = (0.875, 0.75, 0.5, 0.0)
"""Of the neurons that are ablated: 12.5, 25, 50 and 100 % stay."""
TREATMENTS: tuple[Ablation, ...] = ("drop", "silence")
PIXEL_SCALE = 5
TREATMENT_NAMES = {"drop": "ablated neurons left out", "silence": "ablated neurons held at 0 (published code)"}


def _specs(plan: Plan, clip: Clip, fraction: float, ablation: Ablation) -> list[RunSpec]:
    if not fraction:
        return plan.standard(clip)
    # The sets of one clip are nested.
    return plan.standard(clip, ablated_fraction=fraction, ablation_seed=plan.seed(clip), ablation=ablation)


def _kept(plan: Plan, clip: Clip, fraction: float) -> int:
    """Neurons that stay; each is drawn for itself, so of few there may be none."""
    neurons = clip.mouse.open_session().n_neurons
    try:
        return int(NeuronSet.random(neurons, fraction, plan.seed(clip)).keep.sum())
    except ConfigError:
        return 0


def _fractions(plan: Plan) -> list[float]:
    """Those of which neurons are left for every clip."""
    return [fraction for fraction in FRACTIONS if all(_kept(plan, clip, fraction) for clip in plan.clips)]


def runs(plan: Plan) -> Sequence[RunSpec]:
    """Every clip at every population size, with both treatments."""
    fractions = _fractions(plan)
    return [
        spec
        for clip in plan.clips
        for ablation in TREATMENTS
        for fraction in fractions
        for spec in _specs(plan, clip, fraction, ablation)
    ]


def evaluate(plan: Plan, store: RunStore) -> Outcome:
    """Video and frame correlation over population size; ANOVA and consecutive t-tests.

    The table `ablation` has a row a clip, treatment and population size: mouse, clip, treatment ("drop" or
    "silence"), kept_percent, neurons (that share of all), neurons_kept (as many as were
    drawn, each for itself), video_correlation, mean_frame_correlation, rmse (grey levels).

    Parameters
    ----------
    plan
        Mice, clips and scale.
    store
        Where the finished runs lie.

    Returns
    -------
    Outcome
        Table, tests, findings, figure and movie.
    """
    import pandas as pd

    rows, fractions = [], _fractions(plan)
    for clip in plan.clips:
        trial, pixels = plan.trial(clip), evaluation_mask(clip)
        neurons = clip.mouse.open_session().n_neurons
        for ablation in TREATMENTS:
            for fraction in fractions:
                video = averaged(store, _specs(plan, clip, fraction, ablation))
                rows.append(
                    row(
                        clip,
                        treatment=ablation,
                        kept_percent=100 * (1 - fraction),
                        neurons=round(neurons * (1 - fraction)),
                        neurons_kept=_kept(plan, clip, fraction),
                        **scores(plan, trial, video, pixels),
                    )
                )
    table = pd.DataFrame(rows)
    outcome = Outcome(tables={"ablation": table})
    for ablation in TREATMENTS:
        part = table[table["treatment"] == ablation]
        what = f"% of the neurons, {TREATMENT_NAMES[ablation]}"
        outcome.tests += level_tests(part, "kept_percent", "video_correlation", what)
        values, _ = statistics.by_unit(part, ["mouse"], "kept_percent", "video_correlation")
        means = values.mean(axis=0)
        changes = ", ".join(dict.fromkeys(change(means[-1], mean, 1) for mean in means[:-1]))
        outcome.findings.append(
            Finding(
                f"the correlation falls with every halving of the population ({TREATMENT_NAMES[ablation]})",
                monotone(means) if len(means) > 1 else None,
                f"r = {', '.join(f'{mean:.3f}' for mean in means)} at "
                f"{', '.join(f'{_percent(each)}' for each in fractions)} %; against all: {changes}",
            )
        )
    outcome.add_drawing(
        "ablation",
        "Video and mean frame correlation over the number of neurons. Dashed: single mice; solid: their mean; "
        "faint dots: clips.",
        "Fig. 5",
        lambda: _figure(plan, table),
    )
    outcome.add_movie(
        "ablation",
        "The clip shown (top) and its reconstructions from fewer and fewer neurons, averaged over encoders, "
        "smoothed, masked, and matched in luminance and contrast.",
        "no counterpart in the paper",
        lambda: _movie(plan, store),
    )
    outcome.notes.append(
        "The published code holds ablated neurons at 0 inside the loss, so its figure mixes fewer neurons with silent "
        "ones as constraints. Both treatments are run here."
    )
    if len(fractions) < len(FRACTIONS):
        missing = ", ".join(_percent(each) for each in FRACTIONS if each not in fractions)
        outcome.notes.append(f"Of {missing} % of so few neurons none would be left for some clip: these were not run.")
    return outcome


def _percent(fraction: float) -> str:
    return f"{100 * (1 - fraction):g}"


def _figure(plan: Plan, table: pd.DataFrame) -> Figure:
    panels = []
    for measure, label in (("video_correlation", "video correlation r"), ("mean_frame_correlation", "mean frame r")):
        lines = []
        for ablation in TREATMENTS:
            part = table[table["treatment"] == ablation]
            mice, levels = statistics.by_unit(part, ["mouse"], "kept_percent", measure)
            clips, _ = statistics.by_unit(part, ["mouse", "clip"], "kept_percent", measure)
            lines.append(Lines(levels, mice, TREATMENT_NAMES[ablation], clips))
        ticks = [f"{level:g}" for level in levels]
        panels.append(LinePanel(lines, "neurons kept (%)", label, ticks=ticks, log_x=True, y_range=(0, 1)))
    neurons = ", ".join(f"{mouse.open_session().n_neurons}" for mouse in plan.mice)
    return panels_figure(panels, title=f"Population ablation of {neurons} neurons", simulated=plan.simulated)


def _movie(plan: Plan, store: RunStore) -> Iterator[np.ndarray]:
    sizes = list(reversed(_fractions(plan)))
    columns = [
        with_reconstructions(plan, clip, (averaged(store, _specs(plan, clip, each, "drop")) for each in sizes))
        for clip in plan.clips
    ]
    labels = ["shown", *(f"{_percent(fraction)} %" for fraction in sizes)]
    return mosaic_of_clips(plan, plan.clips, columns, labels, PIXEL_SCALE)


ABLATION = Study(
    name="ablation",
    title="Reconstruction from fewer neurons",
    panels="Fig. 5",
    runs=runs,
    evaluate=evaluate,
)
