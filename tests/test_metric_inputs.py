"""What nothing can be measured on is named in one line; what is not defined is NaN, without a warning."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable

import numpy as np
import pytest

from napari_vidrecon import metrics
from napari_vidrecon.errors import VidreconError

MOVIE = np.random.default_rng(0).uniform(0, 255, (4, 6, 8))
ACTIVITY = np.random.default_rng(1).random((3, 9))
MEASURES = {
    name: measure
    for name, measure in vars(metrics).items()
    if inspect.isfunction(measure) and not name.startswith("_") and measure.__module__ == metrics.__name__
}


def usual(measure: Callable) -> list[np.ndarray]:
    """Arrays that it can be called with."""
    needed = [each for each in inspect.signature(measure).parameters.values() if each.default is each.empty]
    return [
        ACTIVITY if {"recorded", "predicted"} & set(inspect.signature(measure).parameters) else MOVIE for _ in needed
    ]


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize(
    "wrong",
    [None, "movie", 5, [[1], [1, 2]], MOVIE + 1j, MOVIE.astype(str), np.zeros((2, 2, 2, 2)), {}],
    ids=["None", "text", "a number", "ragged", "complex", "an array of text", "four axes", "a dictionary"],
)
def test_a_wrong_array_is_one_line_that_names_it(name: str, wrong: object) -> None:
    measure = MEASURES[name]
    for index, argument in enumerate(list(inspect.signature(measure).parameters)[: len(usual(measure))]):
        given: list = usual(measure)
        given[index] = wrong
        with pytest.raises(VidreconError, match=argument) as refused:
            measure(*given)
        assert isinstance(refused.value, ValueError)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300, 0.0], ids=["NaN", "infinity", "huge", "zero"])
def test_values_that_cannot_be_compared_give_no_warning(name: str, value: float) -> None:
    measure = MEASURES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for given in (
            [np.full_like(each, value) for each in usual(measure)],
            [*usual(measure)[:-1], usual(measure)[-1] * value],
        ):
            measure(*given)


@pytest.mark.parametrize("weight", [np.nan, np.inf, -1.0, "a", None, True])
def test_a_weight_that_is_none_is_named(weight: object) -> None:
    for call in (
        lambda: metrics.ssim(MOVIE, MOVIE, k1=weight),
        lambda: metrics.ssim_global(MOVIE, MOVIE, k2=weight),
        lambda: metrics.poisson_loss(ACTIVITY, ACTIVITY, weight),
    ):
        with pytest.raises(VidreconError, match=r"^(k1|k2|eps): expected a number from 0"):
            call()
