"""Statistics equal the libraries on the same numbers, and the published values where these follow from others."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pingouin")

import pandas as pd
import pingouin
from scipy import stats
from statsmodels.stats.anova import AnovaRM

from napari_vidrecon.analysis import statistics

MICE, LEVELS = 5, 4
EXACT = 1e-10


@pytest.fixture
def table() -> np.ndarray:
    """Five mice, four levels that rise."""
    random = np.random.default_rng(7)
    return random.normal(0, 1, (MICE, LEVELS)) + np.arange(LEVELS) * 0.8 + random.normal(0, 2, (MICE, 1))


def long(table: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        [(m, l, table[m, l]) for m in range(table.shape[0]) for l in range(table.shape[1])],
        columns=["mouse", "level", "value"],
    )


def test_the_anova_equals_statsmodels_and_pingouin(table: np.ndarray) -> None:
    result = statistics.repeated_measures_anova(table, "levels", mice=MICE)
    theirs = AnovaRM(long(table), "value", "mouse", within=["level"]).fit().anova_table.iloc[0]
    assert result.statistic == pytest.approx(theirs["F Value"], rel=EXACT)
    assert result.p == pytest.approx(theirs["Pr > F"], rel=EXACT)
    assert result.degrees == (LEVELS - 1, (LEVELS - 1) * (MICE - 1))
    greenhouse = pingouin.rm_anova(long(table), dv="value", within="level", subject="mouse", correction=True)
    assert result.corrected_p == pytest.approx(greenhouse["p_GG_corr"].iloc[0], rel=EXACT)
    assert result.corrected_p > result.p


def test_the_anova_equals_sums_of_squares_by_hand(table: np.ndarray) -> None:
    result = statistics.repeated_measures_anova(table, "levels")
    grand = table.mean()
    between = MICE * ((table.mean(axis=0) - grand) ** 2).sum()
    error = ((table - grand) ** 2).sum() - between - LEVELS * ((table.mean(axis=1) - grand) ** 2).sum()
    by_hand = (between / (LEVELS - 1)) / (error / ((LEVELS - 1) * (MICE - 1)))
    assert result.statistic == pytest.approx(by_hand, rel=EXACT)
    assert result.effect == pytest.approx(between / (between + error), rel=EXACT)


def test_p_of_the_published_ablation_follows_from_its_f() -> None:
    assert statistics.f_survival(521.2395858228449, 3, 12) == pytest.approx(5.702105454474804e-13, rel=1e-6)
    assert statistics.f_survival(438.89, 3, 12) == pytest.approx(1.585e-12, rel=1e-3)


@pytest.mark.parametrize(("t", "p"), [(13.3976, 1.795e-4), (19.1422, 4.389e-5), (19.4846, 4.091e-5)])
def test_p_of_the_published_post_hoc_tests_follows_from_their_t(t: float, p: float) -> None:
    # Five differences with exactly this t: a mean of t / sqrt(5) around a standard deviation of 1.
    pattern = np.array([-2.0, -1.0, 0.0, 1.0, 2.0]) / np.std([-2, -1, 0, 1, 2], ddof=1)
    result = statistics.paired_t(pattern + t / np.sqrt(5), np.zeros(5), "levels")
    assert result.statistic == pytest.approx(t, rel=EXACT)
    assert result.p == pytest.approx(p, rel=1e-3)


def test_p_has_no_floor() -> None:
    assert 0 < statistics.f_survival(5000.0, 6, 24) < 1e-30


@pytest.mark.parametrize(("mean", "published"), [(0.569, (0.542, 0.596)), (0.512, (0.481, 0.543))])
def test_the_published_intervals_are_t_intervals_over_50_clips(mean: float, published: tuple) -> None:
    half = (published[1] - published[0]) / 2
    spread = half / stats.t.ppf(0.975, 49) * np.sqrt(50)
    sample = stats.zscore(np.random.default_rng(1).normal(size=50), ddof=1) * spread + mean
    result = statistics.mean_interval(sample)
    assert (result.low, result.high) == pytest.approx(published, abs=5e-4)


def test_paired_t_equals_scipy_and_pingouin(table: np.ndarray) -> None:
    result = statistics.paired_t(table[:, 0], table[:, 1], "first two")
    theirs = stats.ttest_rel(table[:, 0], table[:, 1])
    assert (result.statistic, result.p) == pytest.approx((theirs.statistic, theirs.pvalue), rel=EXACT)
    interval = theirs.confidence_interval(0.95)
    assert (result.low, result.high) == pytest.approx((interval.low, interval.high), rel=EXACT)
    one_sample = pingouin.ttest(table[:, 0] - table[:, 1], 0)
    assert abs(result.effect) == pytest.approx(one_sample["cohen_d"].iloc[0], rel=EXACT)


def test_two_sample_t_equals_scipy(table: np.ndarray) -> None:
    result = statistics.independent_t(table[:, 0], table[:, 3], "first and last")
    theirs = stats.ttest_ind(table[:, 0], table[:, 3])
    assert (result.statistic, result.p) == pytest.approx((theirs.statistic, theirs.pvalue), rel=EXACT)
    effect = pingouin.compute_effsize(table[:, 0], table[:, 3], eftype="cohen")
    assert result.effect == pytest.approx(effect, rel=EXACT)


def test_consecutive_tests_are_corrected_after_bonferroni(table: np.ndarray) -> None:
    results = statistics.consecutive_paired_t(table, [1, 2, 3, 4], "levels", mice=MICE)
    assert results[0].compared == "1 against 2 levels"
    raw = [stats.ttest_rel(table[:, i], table[:, i + 1]).pvalue for i in range(3)]
    _, corrected = pingouin.multicomp(raw, method="bonf")
    assert [result.corrected_p for result in results] == pytest.approx(list(corrected), rel=EXACT)


def test_pearson_with_its_line_equals_scipy(table: np.ndarray) -> None:
    x, y = table[:, 0], table[:, 1]
    result, (slope, intercept) = statistics.pearson_fit(x, y, "x, y")
    theirs = stats.pearsonr(x, y)
    assert (result.statistic, result.p) == pytest.approx((theirs.statistic, theirs.pvalue), rel=EXACT)
    assert (slope, intercept) == pytest.approx(tuple(np.polyfit(x, y, 1)), rel=1e-8)


def test_the_mixed_model_equals_statsmodels(table: np.ndarray) -> None:
    import statsmodels.formula.api as formula

    rows = long(table)
    theirs = formula.mixedlm("value ~ level", rows, groups=rows["mouse"]).fit()
    result = statistics.mixed_model(rows["value"], rows["level"], rows["mouse"], "slope")
    assert result.estimate == pytest.approx(theirs.params["level"], rel=EXACT)
    assert result.p == pytest.approx(theirs.pvalues["level"], rel=EXACT)


def test_with_one_mouse_the_tests_say_what_they_need() -> None:
    one = np.array([[0.1, 0.2, 0.3]])
    anova = statistics.repeated_measures_anova(one, "sizes", mice=1)
    pairs = statistics.consecutive_paired_t(one, [1, 2, 3], mice=1)
    mixed = statistics.mixed_model([1, 2, 3], [1, 2, 3], ["a"] * 3, "slope")
    for result in (anova, *pairs, mixed):
        assert np.isnan(result.p)
        assert result.note == "needs at least 2 mice, found 1"


def test_units_with_gaps_are_left_out(table: np.ndarray) -> None:
    gapped = np.vstack([table, np.full((1, LEVELS), np.nan)])
    whole, with_gap = (statistics.repeated_measures_anova(each, "levels") for each in (table, gapped))
    assert whole.statistic == with_gap.statistic


def test_equal_differences_have_no_t() -> None:
    result = statistics.paired_t([1.0, 2.0], [0.0, 1.0], "same")
    assert np.isnan(result.p)
    assert "not defined" in result.note


def test_a_long_table_becomes_one_row_a_unit() -> None:
    rows = pd.DataFrame({"mouse": ["a", "a", "b", "b", "a"], "size": [1, 2, 1, 2, 1], "r": [0.1, 0.3, 0.5, 0.7, 0.3]})
    values, levels = statistics.by_unit(rows, ["mouse"], "size", "r")
    np.testing.assert_allclose(values, [[0.2, 0.3], [0.5, 0.7]])
    assert levels == [1, 2]


@pytest.mark.parametrize(("units", "levels"), [(2, 2), (2, 3), (2, 4), (3, 3)])
def test_the_fewest_units_can_be_compared_over_any_number_of_levels(units: int, levels: int) -> None:
    """The library's own correction divides by 0 with two units and three levels."""
    values = np.random.default_rng(0).normal(size=(units, levels))
    result = statistics.repeated_measures_anova(values, "encoders")
    assert 0 < result.p < 1
    assert (0 < result.corrected_p < 1) is (levels > 2)


def test_what_has_no_p_has_no_corrected_one_and_says_so_in_words() -> None:
    (found,) = statistics.consecutive_paired_t([[0.1, 0.2]], [1, 2])
    assert np.isnan(found.p)
    assert np.isnan(found.corrected_p)
    assert found.p_in_words == "p not defined"
    assert statistics.mean_interval([0.25]).interval_in_words == "0.250 (95 % interval not defined)"
