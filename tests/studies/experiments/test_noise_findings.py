"""Limits of resolution and tests, from tables whose answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_vidrecon.studies.experiments.noise_findings import findings, half_of_best, paired_tests

SPACE, TIME = (0, 4), (0, 4)


def table(repetitions: int, correlation: float = 0.8, control: float = 0.0) -> pd.DataFrame:
    random = np.random.default_rng(0)
    rows = [
        {
            "mouse": "m",
            "spatial_px": space,
            "temporal_frames": time,
            "seed": seed,
            "video_correlation": correlation + 0.01 * random.standard_normal(),
            "mean_single_correlation": correlation - 0.1 + 0.01 * random.standard_normal(),
            "random_control": control + 0.01 * random.standard_normal(),
        }
        for space in SPACE
        for time in TIME
        for seed in range(repetitions)
    ]
    return pd.DataFrame(rows)


def means(correlation: np.ndarray) -> dict[str, np.ndarray]:
    """What a study would have found, with everything but the correlation as in the paper."""
    entropy, motion = np.array([[4.5, 4.4], [3.5, 3.2]]), np.array([[70.0, 5.0], [68.0, 4.0]])
    return {
        "video_correlation": correlation,
        "random_control": np.zeros((2, 2)),
        "opposite_phase_correlation": np.array([[0.4, 0.2], [-0.5, -0.8]]),
        "ensembling_effect": np.full((2, 2), 0.1),
        "entropy_truth": entropy,
        "entropy_reconstruction": entropy - 0.1,
        "motion_truth": motion,
        "motion_reconstruction": np.array([[60.0, 8.0], [59.0, 7.0]]),
    }


PUBLISHED = np.array([[0.1, 0.2], [0.6, 0.9]])


@pytest.mark.parametrize(
    ("correlations", "expected"),
    [([0.1, 0.5, 0.8], 0.75), ([0.0, 0.8, 0.8], 0.5), ([0.5, 0.8, 0.6], np.nan), ([0.9, 0.1, 0.0], np.nan)],
)
def test_the_limit_lies_where_half_of_the_best_is_reached(correlations, expected) -> None:
    assert half_of_best((0, 1, 2), correlations) == pytest.approx(expected, nan_ok=True)


def test_with_repetitions_every_type_is_tested_and_corrected() -> None:
    results = paired_tests(table(repetitions=6))
    assert len(results) == 2 + 2 * 4
    single = [each for each in results if "against other noise, 4 px, 0 frames" in each.compared]
    assert single[0].corrected_p == pytest.approx(4 * single[0].p)
    assert single[0].degrees == (5.0,)
    assert single[0].unit == "mouse, repetition and phase"


def test_with_few_repetitions_only_types_are_compared() -> None:
    results = paired_tests(table(repetitions=2))
    assert [each.unit for each in results] == ["stimulus", "stimulus"]
    assert results[0].degrees == (3.0,)


def test_the_papers_own_numbers_show_all_its_results(tiny_plan) -> None:
    many = table(repetitions=6)
    found = findings(tiny_plan, many, means(PUBLISHED), paired_tests(many))
    assert [each.shows for each in found] == [True] * 8
    assert "half of the best is reached at 1.5 px (5.1°)" in found[0].numbers


def test_numbers_that_contradict_the_paper_do_not_show_it(tiny_plan) -> None:
    many = table(repetitions=6, correlation=0.0)
    found = findings(tiny_plan, many, means(PUBLISHED[::-1, ::-1]), paired_tests(many))
    assert [each.shows for each in found[:3]] == [False, False, False]


def test_chance_cannot_be_told_from_few_repetitions(tiny_plan) -> None:
    few = table(repetitions=2)
    chance = findings(tiny_plan, few, means(PUBLISHED), paired_tests(few))[2]
    assert chance.shows is None
    assert "too few repetitions" in chance.numbers


def test_the_sign_of_single_pixels_is_told_apart_from_that_of_coarser_noise(tiny_plan) -> None:
    many, numbers = table(repetitions=6), means(PUBLISHED)
    numbers["opposite_phase_correlation"] = np.full((2, 2), -0.5)
    found = findings(tiny_plan, many, numbers, paired_tests(many))
    assert [each.shows for each in found[3:5]] == [True, False]
    numbers["opposite_phase_correlation"] = np.full((2, 2), 0.5)
    found = findings(tiny_plan, many, numbers, paired_tests(many))
    assert [each.shows for each in found[3:5]] == [False, True]
