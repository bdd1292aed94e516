"""What reconstructions of noise say: tests, limits of resolution, and the paper's results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from napari_vidrecon.analysis import statistics
from napari_vidrecon.analysis.statistics import TestResult
from napari_vidrecon.errors import number_of
from napari_vidrecon.studies.runs.measuring import listed
from napari_vidrecon.studies.runs.stimulus_runs import degrees, seconds
from napari_vidrecon.studies.study import Finding, Plan

if TYPE_CHECKING:
    import pandas as pd

FEWEST_REPETITIONS = 3
LARGEST_P = 0.001
HALF = 0.5
COMPARISONS = {
    "random_control": "video correlation against other noise",
    "mean_single_correlation": "average over encoders against single encoders",
}
UNIT = "mouse, repetition and phase"


def paired_tests(table: pd.DataFrame) -> list[TestResult]:
    """Paired t-tests of the correlation against chance and against single encoders: over types, and for each type.

    The paper tests each type over 3 mice and 10 repetitions. With few repetitions those tests are left out.

    Returns
    -------
    list[TestResult]
        Chance first.
    """
    results = []
    kinds = table.groupby(["spatial_px", "temporal_frames"])
    counts = {"mice": int(table["mouse"].nunique())}
    for other, compared in COMPARISONS.items():
        means = kinds[["video_correlation", other]].mean()
        results.append(
            statistics.paired_t(
                means["video_correlation"], means[other], f"{compared}, over stimulus types", unit="stimulus", **counts
            )
        )
    if kinds.size().min() < FEWEST_REPETITIONS:
        return results
    for other, compared in COMPARISONS.items():
        for (space, time), part in kinds:
            result = statistics.paired_t(
                part["video_correlation"],
                part[other],
                f"{compared}, {space:g} px, {time:g} frames",
                unit=UNIT,
                **counts,
            )
            corrected = min(1.0, result.p * len(kinds)) if np.isfinite(result.p) else result.p
            results.append(replace(result, corrected_p=corrected, correction=f"Bonferroni, {len(kinds)} tests"))
    return results


def findings(
    plan: Plan, table: pd.DataFrame, means: Mapping[str, np.ndarray], results: Sequence[TestResult]
) -> list[Finding]:
    """The paper's results on noise, and whether they show here.

    Parameters
    ----------
    plan
        Mice and scale.
    table
        One row a mouse, kind of noise, repetition and phase, as `gaussian_noise.evaluate` makes it.
    means
        {column: (spatial lengths, temporal lengths)}, mean over everything else.
    results
        The tests.

    Returns
    -------
    list[Finding]
        In the order of the paper.
    """
    return [
        _space(plan, means["video_correlation"]),
        _time(plan, means["video_correlation"]),
        _chance(means, results),
        _phase(plan, means["opposite_phase_correlation"]),
        _phase_of_single_pixels(plan, means["opposite_phase_correlation"]),
        _ensembling(plan, means["ensembling_effect"]),
        _entropy(means),
        _motion(plan, means),
    ]


def half_of_best(constants: Sequence[float], correlations: ArrayLike) -> float:
    """The length constant below which less than half of the best correlation is left; NaN if half always is.

    Parameters
    ----------
    constants
        Ascending.
    correlations
        (n,) at each of them; between them a straight line is taken.

    Returns
    -------
    float
        In the unit of `constants`.
    """
    values = np.asarray(correlations, dtype=float)
    best = int(np.nanargmax(values))
    below = np.flatnonzero(values[:best] < HALF * values[best])
    if not len(below):
        return float("nan")
    last = int(below[-1])
    step = (HALF * values[best] - values[last]) / (values[last + 1] - values[last])
    return float(constants[last] + step * (constants[last + 1] - constants[last]))


def _space(plan: Plan, correlation: np.ndarray) -> Finding:
    constants, by_space = plan.scale.noise_px, correlation.mean(axis=1)
    limit = half_of_best(constants, by_space)
    told = f"r = {listed(by_space)} at {listed(constants, 'g')} px"
    if np.isfinite(limit):
        told += f"; half of the best is reached at {limit:.1f} px ({degrees(plan, limit)})"
    shows = None if constants[0] != 0 else bool(by_space[0] < HALF * by_space.max())
    return Finding("noise of single pixels is beyond the resolution in space, coarser noise is not", shows, told)


def _time(plan: Plan, correlation: np.ndarray) -> Finding:
    constants = plan.scale.noise_frames
    by_time = correlation[np.asarray(plan.scale.noise_px) > 0].mean(axis=0)
    limit = half_of_best(constants, by_time)
    told = f"r = {listed(by_time)} at {listed(constants, 'g')} frames, noise coarser than 0 px; "
    told += (
        f"half of the best is reached at {limit:.1f} frames ({seconds(plan, limit)})"
        if np.isfinite(limit)
        else "more than half of the best is left even for noise that is new in every frame"
    )
    shows = None if constants[0] != 0 else bool(by_time[0] < by_time[-1])
    return Finding("noise that is new in every frame is reconstructed worse than the slowest", shows, told)


def _chance(means: Mapping[str, np.ndarray], results: Sequence[TestResult]) -> Finding:
    above = means["video_correlation"] > means["random_control"]
    single = [each for each in results if each.unit == UNIT and COMPARISONS["random_control"] in each.compared]
    told = f"{above.sum()} of {above.size} types above the random control"
    if single:
        told += f"; {sum(each.p < LARGEST_P for each in single)} with p < {LARGEST_P}"
        return Finding("every type of noise is reconstructed better than chance", _all_below(single), told)
    told += "; too few repetitions to test every type"
    return Finding("every type of noise is reconstructed better than chance", None if above.all() else False, told)


def _all_below(results: Sequence[TestResult]) -> bool:
    return all(each.p < LARGEST_P and each.estimate > 0 for each in results)


def _phase(plan: Plan, opposite: np.ndarray) -> Finding:
    coarse = opposite[np.asarray(plan.scale.noise_px) > 0]
    return Finding(
        "inverted noise gives an inverted reconstruction",
        bool((coarse < 0).all()),
        f"r of both reconstructions = {listed(opposite.mean(axis=1))} at {listed(plan.scale.noise_px, 'g')} px "
        f"(-1: exactly inverted); below 0 for {(coarse < 0).sum()} of {coarse.size} types coarser than 0 px",
    )


def _phase_of_single_pixels(plan: Plan, opposite: np.ndarray) -> Finding:
    statement = "except noise of single pixels, whose reconstructions ignore the sign of the contrast"
    if plan.scale.noise_px[0] != 0:
        return Finding(statement, None, "there was no such noise")
    return Finding(statement, bool(opposite[0].mean() > 0), f"r of both reconstructions = {listed(opposite[0])}")


def _ensembling(plan: Plan, effect: np.ndarray) -> Finding:
    encoders = min(len(plan.encoders(mouse)) for mouse in plan.mice)
    told = (
        f"{(effect > 0).sum()} of {effect.size} types; mean {effect.mean():+.3f}, with {number_of(encoders, 'encoder')}"
    )
    shows = None if encoders < 2 else bool((effect > 0).all())
    return Finding("averaging over encoders helps for every type of noise", shows, told)


def _entropy(means: Mapping[str, np.ndarray]) -> Finding:
    truth, video = means["entropy_truth"].ravel(), means["entropy_reconstruction"].ravel()
    r = float(np.corrcoef(truth, video)[0, 1])
    return Finding(
        "the spatial detail of reconstructions follows that of the noise (entropy)",
        bool(r > HALF),
        f"r = {r:.2f} over types; {truth.mean():.2f} bits shown, {video.mean():.2f} reconstructed",
    )


def _motion(plan: Plan, means: Mapping[str, np.ndarray]) -> Finding:
    truth, video = means["motion_truth"].mean(axis=0), means["motion_reconstruction"].mean(axis=0)
    return Finding(
        "reconstructions of fast noise move less than it, those of slow noise more",
        bool(video[0] < truth[0] and video[-1] > truth[-1]),
        f"grey levels a frame: {listed(truth, '.1f')} shown, {listed(video, '.1f')} reconstructed at "
        f"{listed(plan.scale.noise_frames, 'g')} frames",
    )
