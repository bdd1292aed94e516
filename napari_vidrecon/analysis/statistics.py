"""Tests of the paper, with the library's numbers and exact p values, and a word where a test needs more mice.

A table has one row a mouse (or another unit, such as a clip) and one column a level (a population size, a
variant). Source of the choice of tests: Bauer et al. 2026, Fig. 2, 3 and 5 and their supplements.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_vidrecon.errors import ConfigError

NAN = float("nan")
CONFIDENCE = 0.95
SIGNIFICANCE = 0.05
FEWEST_UNITS = 2


@dataclass(frozen=True)
class TestResult:
    """One test: what was compared, the statistic, its p value and how large the effect is.

    Parameters
    ----------
    test
        Its name, e.g. "paired t-test".
    compared
        What with what, e.g. "500 - 1000 neurons".
    statistic, degrees
        The value, and its degrees of freedom (one or two).
    p
        From the survival function, so that small values are exact; two-sided.
    effect, effect_name
        Size of the effect, e.g. "Cohen's dz".
    estimate, low, high
        What was estimated (a mean difference, a mean, r) and its 95 % interval.
    mice, clips
        How many went in; 0 clips where clips play no part.
    unit
        What one observation is.
    corrected_p
        After a correction, NaN without one; `correction` names it.
    correction
        Names the correction; empty without one.
    note
        Why there is no number, or what to keep in mind.
    """

    __test__ = False  # not for pytest, which would collect a class of this name

    test: str
    compared: str
    statistic: float = NAN
    degrees: tuple[float, ...] = ()
    p: float = NAN
    effect: float = NAN
    effect_name: str = ""
    estimate: float = NAN
    low: float = NAN
    high: float = NAN
    mice: int = 0
    clips: int = 0
    unit: str = "mouse"
    corrected_p: float = NAN
    correction: str = ""
    note: str = ""

    @property
    def p_in_words(self) -> str:
        """Two digits of p; "p not defined" where too little went in."""
        return f"p = {self.p:.2g}" if np.isfinite(self.p) else "p not defined"

    @property
    def interval_in_words(self) -> str:
        """The estimate with its 95 % interval, or the estimate alone."""
        interval = f"{self.low:.3f} to {self.high:.3f}" if np.isfinite(self.low) else "not defined"
        return f"{in_digits(self.estimate)} (95 % interval {interval})"

    def row(self) -> dict[str, Any]:
        """Plain values, one a column of a table."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return values | {"degrees": ", ".join(f"{degree:g}" for degree in self.degrees)}


def in_digits(value: float, digits: int = 3, sign: Literal["-", "+"] = "-") -> str:
    """A number for people; "not defined" for NaN.

    Parameters
    ----------
    value
        The number.
    digits
        Behind the point.
    sign
        "+": told of positive ones, too.

    Returns
    -------
    str
        E.g. "0.812".
    """
    return f"{value:{sign}.{digits}f}" if np.isfinite(value) else "not defined"


def mean_interval(values: ArrayLike, what: str = "mean", **counts: Any) -> TestResult:
    """Mean with its t-interval.

    Parameters
    ----------
    values
        (n,); NaN are left out.
    what
        What it is the mean of.
    counts
        `mice`, `clips`, `unit` of the result.

    Returns
    -------
    TestResult
        The mean as the estimate, with its 95 % interval; no p.
    """
    from scipy import stats

    sample = _finite(values)
    result = TestResult("mean, 95 % interval", what, estimate=_mean(sample), **counts)
    if len(sample) < FEWEST_UNITS:
        return _needs_more(result, len(sample))
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(sample) - 1) * stats.sem(sample)
    return replace(result, low=result.estimate - half, high=result.estimate + half, degrees=(len(sample) - 1.0,))


def paired_t(first: ArrayLike, second: ArrayLike, compared: str, **counts: Any) -> TestResult:
    """Paired t-test of first minus second.

    Parameters
    ----------
    first, second
        (n,), one pair a unit; pairs with a NaN are left out.
    compared
        What with what, for people.
    counts
        `mice`, `clips` and `unit` of the result.

    Returns
    -------
    TestResult
        t, degrees of freedom, two-sided p, Cohen's dz, and the mean difference with its 95 % interval.

    References
    ----------
    Bauer et al. 2026, Fig. 1-S2.
    """
    from scipy import stats

    pairs = np.stack([np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)])
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    difference = pairs[0] - pairs[1]
    result = TestResult("paired t-test", compared, estimate=_mean(difference), effect_name="Cohen's dz", **counts)
    if len(difference) < FEWEST_UNITS:
        return _needs_more(result, len(difference))
    spread = difference.std(ddof=1)
    if spread == 0:
        return replace(result, note="all differences are equal: t is not defined")
    return _told_by_t(result, stats.ttest_rel(*pairs), effect=difference.mean() / spread)


def _told_by_t(result: TestResult, outcome: Any, effect: float) -> TestResult:
    interval = outcome.confidence_interval(CONFIDENCE)
    return replace(
        result,
        statistic=float(outcome.statistic),
        degrees=(float(outcome.df),),
        p=float(outcome.pvalue),
        effect=float(effect),
        low=float(interval.low),
        high=float(interval.high),
    )


def independent_t(first: ArrayLike, second: ArrayLike, compared: str, **counts: Any) -> TestResult:
    """Two-sample t-test of first minus second with a common variance, as for the random-video control.

    Parameters
    ----------
    first, second
        (n,), (m,); NaN are left out.
    compared
        What with what, for people.
    counts
        `mice`, `clips` and `unit` of the result.

    Returns
    -------
    TestResult
        t, degrees of freedom, two-sided p, Cohen's d, and the difference of the means with its 95 % interval.

    References
    ----------
    Bauer et al. 2026, Fig. 2B.
    """
    from scipy import stats

    here, there = _finite(first), _finite(second)
    result = TestResult(
        "two-sample t-test", compared, estimate=_mean(here) - _mean(there), effect_name="Cohen's d", **counts
    )
    if min(len(here), len(there)) < FEWEST_UNITS:
        return _needs_more(result, min(len(here), len(there)))
    degrees = len(here) + len(there) - 2
    pooled = np.sqrt(((len(here) - 1) * here.var(ddof=1) + (len(there) - 1) * there.var(ddof=1)) / degrees)
    if pooled == 0:
        return replace(result, note="neither sample varies: t is not defined")
    return _told_by_t(result, stats.ttest_ind(here, there), effect=result.estimate / pooled)


def repeated_measures_anova(table: ArrayLike, compared: str, **counts: Any) -> TestResult:
    """One-way repeated-measures ANOVA, without and with the Greenhouse-Geisser correction.

    Parameters
    ----------
    table
        (units, levels); units with a NaN are left out.
    compared
        What with what, for people.
    counts
        `mice`, `clips` and `unit` of the result.

    Returns
    -------
    TestResult
        F, both degrees of freedom, p and partial eta squared; the corrected p is Greenhouse and Geisser's. With two
        levels there is nothing to correct.

    References
    ----------
    Bauer et al. 2026, Fig. 3 and 5.
    """
    values = _complete(table)
    units, levels = values.shape
    result = TestResult("one-way repeated-measures ANOVA", compared, effect_name="partial eta²", **counts)
    if units < FEWEST_UNITS or levels < 2:
        return _needs_more(result, units)
    import pandas as pd
    import pingouin
    from scipy import stats

    # By hand: the library's own also tests for sphericity, and divides by 0 there with two units and three levels.
    centred = values - values.mean(axis=1, keepdims=True)
    between = centred.mean(axis=0)
    of_levels, of_error = units * (between**2).sum(), ((centred - between) ** 2).sum()
    degrees = levels - 1, (levels - 1) * (units - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = float(np.divide(of_levels / degrees[0], of_error / degrees[1]))
        effect = float(np.divide(of_levels, of_levels + of_error))
        epsilon = float(pingouin.epsilon(pd.DataFrame(values), correction="gg"))
    corrected = float(stats.f.sf(statistic, *(epsilon * each for each in degrees))) if levels > 2 else NAN
    return replace(
        result,
        statistic=statistic,
        degrees=(float(degrees[0]), float(degrees[1])),
        p=f_survival(statistic, *degrees),
        effect=effect,
        corrected_p=corrected,
        correction=f"Greenhouse-Geisser, epsilon {epsilon:.3f}" if np.isfinite(corrected) else "",
    )


def f_survival(statistic: float, between: int, within: int) -> float:
    """P of an F value at least this large: the survival function, which has no floor at 1.1e-16 as 1 - cdf has.

    Parameters
    ----------
    statistic
        The F value.
    between, within
        Its degrees of freedom.

    Returns
    -------
    float
        0..1.
    """
    from scipy import stats

    return float(stats.f.sf(statistic, between, within))


def consecutive_paired_t(
    table: ArrayLike, levels: Sequence[object], unit_name: str = "", **counts: Any
) -> list[TestResult]:
    """Paired t-tests of each level against the next, corrected after Bonferroni.

    Parameters
    ----------
    table
        (units, levels).
    levels
        Names of the columns.
    unit_name
        What the levels count, e.g. "neurons".
    counts
        `mice`, `clips` and `unit` of the results.

    Returns
    -------
    list[TestResult]
        One `TestResult` a pair of neighbours; its corrected p is p times the number of tests, at most 1.
    """
    values = np.asarray(table, dtype=np.float64)
    tests = len(levels) - 1
    results = []
    for index in range(tests):
        compared = f"{levels[index]} against {levels[index + 1]} {unit_name}".rstrip()
        result = paired_t(values[:, index], values[:, index + 1], compared, **counts)
        # A p that is none stays none: of 1.0 and NaN Python's min takes the first.
        corrected = min(1.0, result.p * tests) if np.isfinite(result.p) else NAN
        results.append(replace(result, corrected_p=corrected, correction=f"Bonferroni, {tests} tests"))
    return results


def pearson_fit(x: ArrayLike, y: ArrayLike, compared: str, **counts: Any) -> tuple[TestResult, tuple[float, float]]:
    """Pearson's r with p and interval, and the least-squares line.

    Parameters
    ----------
    x, y
        (n,); pairs with a NaN are left out.
    compared
        What with what, for people.
    counts
        `mice`, `clips` and `unit` of the result.

    Returns
    -------
    tuple[TestResult, tuple[float, float]]
        The test (its statistic, estimate and effect are r), and slope and intercept of y over x.

    References
    ----------
    Bauer et al. 2026, Fig. 2-S1.
    """
    from scipy import stats

    pairs = np.stack([np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)])
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    result = TestResult("Pearson correlation", compared, effect_name="r", **counts)
    count = pairs.shape[1]
    if count <= FEWEST_UNITS:
        return _needs_more(result, count, FEWEST_UNITS + 1), (NAN, NAN)
    if np.ptp(pairs, axis=1).min() == 0:
        return replace(result, note="one of them does not vary: r is not defined"), (NAN, NAN)
    outcome = stats.pearsonr(*pairs)
    line = stats.linregress(*pairs)
    result = replace(
        result,
        statistic=float(outcome.statistic),
        degrees=(float(count - 2),),
        p=float(outcome.pvalue),
        effect=float(outcome.statistic),
        estimate=float(outcome.statistic),
    )
    if count > FEWEST_UNITS + 1:
        interval = outcome.confidence_interval(CONFIDENCE)
        result = replace(result, low=float(interval.low), high=float(interval.high))
    return result, (float(line.slope), float(line.intercept))


def mixed_model(values: ArrayLike, x: ArrayLike, groups: Sequence[object], compared: str, **counts: Any) -> TestResult:
    """Linear mixed model: value over x, with an intercept of its own for every mouse.

    Parameters
    ----------
    values, x
        (n,), one a clip.
    groups
        (n,) which mouse each belongs to.
    compared
        What with what, for people.
    counts
        `mice`, `clips` and `unit` of the result.

    Returns
    -------
    TestResult
        The slope, its z, p and 95 % interval; an option beside the paper's tests that uses every clip.
    """
    result = TestResult("linear mixed model, random intercept of each mouse", compared, **counts)
    if len(set(groups)) < FEWEST_UNITS:
        return _needs_more(result, len(set(groups)))
    import statsmodels.api as sm

    design = sm.add_constant(np.asarray(x, dtype=np.float64))
    names = [str(mouse) for mouse in groups]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = sm.MixedLM(np.asarray(values, dtype=np.float64), design, groups=names).fit(reml=True)
    low, high = np.asarray(fit.conf_int(1 - CONFIDENCE))[1]
    return replace(
        result,
        statistic=float(fit.tvalues[1]),
        p=float(fit.pvalues[1]),
        estimate=float(fit.params[1]),
        low=float(low),
        high=float(high),
        note="" if fit.converged and not caught else "the fit did not settle cleanly; read with care",
    )


def by_unit(rows: Any, unit: Sequence[str], level: str, value: str) -> tuple[NDArray[np.float64], list[Any]]:
    """Turn a long table into one row a unit and one column a level, averaging what falls together.

    Parameters
    ----------
    rows
        A data frame with the columns named.
    unit
        Columns that name the unit: ["mouse"], or ["mouse", "clip"].
    level, value
        Columns.

    Returns
    -------
    tuple[NDArray[np.float64], list[Any]]
        (units, levels) and the levels, ascending.

    Raises
    ------
    ConfigError
        A column is missing.
    """
    missing = [name for name in (*unit, level, value) if name not in rows.columns]
    if missing:
        raise ConfigError(f"table: expected columns {', '.join(missing)}, found {', '.join(rows.columns)}")
    wide = rows.pivot_table(index=list(unit), columns=level, values=value, aggfunc="mean", observed=True)
    return wide.to_numpy(dtype=np.float64), list(wide.columns)


def _needs_more(result: TestResult, found: int, fewest: int = FEWEST_UNITS) -> TestResult:
    units = {"mouse": "mice"}.get(result.unit, result.unit + "s")
    return replace(result, note=f"needs at least {fewest} {units}, found {found}")


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64).ravel()
    return array[np.isfinite(array)]


def _complete(table: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(table, dtype=np.float64)
    if array.ndim != 2:
        raise ConfigError(f"table: expected (units, levels), found shape {array.shape}")
    return array[np.isfinite(array).all(axis=1)]


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else NAN
