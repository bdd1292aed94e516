"""Tests over mice, and over clips where there is one mouse; the published means give the published changes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from napari_vidrecon.studies.runs.measuring import change, level_tests, monotone, pair_tests

MICE, CLIPS = 5, 10
STANDARD = 0.5687160439598533
PUBLISHED = {
    # Bauer et al. 2026, Fig. 1-S2 C: mean, p of the paired t-test over mice, change as in the caption.
    "from predicted": (0.7663389724135738, 1.535503548145431e-05, "+34.75 %"),
    "gradient ensembling": (0.551678889767367, 0.01984676278147517, "-3.00 %"),
    "no smoothing": (0.532975492920991, 6.257442758484064e-06, "-6.28 %"),
}
ABLATION = {100.0: STANDARD, 50.0: 0.512074088586291, 25.0: 0.4273313454266915, 12.5: 0.3443467253742075}
ABLATION_CHANGES = {50.0: "-9.96 %", 25.0: "-24.86 %", 12.5: "-39.45 %"}


def mice_with(difference: float, p: float) -> np.ndarray:
    """Five differences with this mean and this p in a t-test."""
    pattern = stats.zscore(np.array([-2.0, -1.0, 0.5, 1.0, 1.5]), ddof=1)
    t = stats.t.isf(p / 2, MICE - 1)
    return difference + pattern * abs(difference) * np.sqrt(MICE) / t


def clips_of(level: object, means: np.ndarray, column: str = "version") -> list[dict]:
    """Ten clips a mouse around the mouse's mean."""
    around = np.linspace(-0.1, 0.1, CLIPS)
    return [
        {"mouse": f"m{mouse}", "clip": clip, column: level, "video_correlation": mean + around[clip]}
        for mouse, mean in enumerate(means)
        for clip in range(CLIPS)
    ]


@pytest.mark.parametrize("version", PUBLISHED)
def test_published_means_and_p_values_come_back_with_the_captions_changes(version: str) -> None:
    mean, p, changed = PUBLISHED[version]
    standard = STANDARD + np.array([-0.04, -0.02, 0.015, 0.02, 0.025])
    other = standard + mice_with(mean - STANDARD, p)
    table = pd.DataFrame(clips_of("standard", standard) + clips_of(version, other))
    (test,) = pair_tests(table, "version", "video_correlation", "standard", version)
    assert test.p == pytest.approx(p, rel=1e-6)
    assert f"({changed})" in test.compared
    assert (test.mice, test.clips, test.unit, test.degrees) == (MICE, MICE * CLIPS, "mouse", (4.0,))


@pytest.mark.parametrize("kept", ABLATION_CHANGES)
def test_the_published_ablation_loses_what_the_paper_says(kept: float) -> None:
    whole = np.full(MICE, STANDARD)
    fewer = whole + mice_with(ABLATION[kept] - STANDARD, 1e-4)
    rows = clips_of(100.0, whole, "kept") + clips_of(kept, fewer, "kept")
    (test,) = pair_tests(pd.DataFrame(rows), "kept", "video_correlation", 100.0, kept)
    assert f"({ABLATION_CHANGES[kept]})" in test.compared


def test_a_negative_value_that_rises_changes_upwards() -> None:
    rows = clips_of("full", np.full(2, -10.0)) + clips_of("masked", np.array([-9.4, -9.6]))
    (test,) = pair_tests(pd.DataFrame(rows), "version", "video_correlation", "full", "masked")
    assert "(+5.00 %)" in test.compared


def test_of_a_correlation_next_to_nothing_no_percentage_is_told() -> None:
    assert change(0.569, 0.766, 1) == "+34.6 %"
    for nothing in (0.005, -0.001, np.nan):
        assert change(nothing, 0.271) == "no percentage of next to nothing"


def test_levels_are_tested_over_mice_with_all_the_papers_tests() -> None:
    random = np.random.default_rng(3)
    rows = [
        row for kept, mean in ABLATION.items() for row in clips_of(kept, mean + random.normal(0, 0.01, MICE), "kept")
    ]
    tests = level_tests(pd.DataFrame(rows), "kept", "video_correlation", "% of the neurons")
    assert [test.test.split()[0] for test in tests] == ["one-way", "paired", "paired", "paired", "linear"]
    anova, *pairs, mixed = tests
    assert anova.degrees == (3.0, 12.0)
    assert anova.p < 1e-6
    assert [pair.compared for pair in pairs] == [
        f"{a} against {b} % of the neurons" for a, b in (("12.5", 25), (25, 50), (50, 100))
    ]
    assert all(pair.corrected_p == pytest.approx(3 * pair.p) for pair in pairs)
    assert mixed.estimate > 0
    assert mixed.clips == MICE * CLIPS


def test_one_mouse_is_tested_over_its_clips_too() -> None:
    rows = clips_of("a", np.array([0.5])) + clips_of("b", np.array([0.6]))
    table = pd.DataFrame(rows)
    table["video_correlation"] += np.random.default_rng(1).normal(0, 0.01, len(table))
    over_mice, over_clips = pair_tests(table, "version", "video_correlation", "a", "b")
    assert over_mice.note == "needs at least 2 mice, found 1"
    wide = table.pivot(index="clip", columns="version", values="video_correlation")
    assert over_clips.p == pytest.approx(stats.ttest_rel(wide["a"], wide["b"]).pvalue, rel=1e-10)
    assert over_clips.unit == "clip"


def test_monotone_means_every_step_rises() -> None:
    assert monotone([0.1, 0.2, 0.3])
    assert not monotone([0.1, 0.3, 0.2])
    assert not monotone([0.1, 0.1, 0.2])
