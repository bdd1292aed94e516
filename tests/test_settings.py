"""Odd numbers in settings and arguments: each is refused in one line that names it."""

from __future__ import annotations

import numpy as np
import pytest

import napari_vidrecon as vr
from napari_vidrecon.analysis.receptive_field_mapping import MappingRecipe
from napari_vidrecon.encoders.architectures.compact import CompactRecipe
from napari_vidrecon.encoders.architectures.dwiseneuro import DwiseNeuroRecipe
from napari_vidrecon.encoders.architectures.factorised import FactorisedRecipe
from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.composition import CHOICES, OutsidePrior
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.decoder_fitting import DecoderRecipe
from napari_vidrecon.reconstruction.mask_fitting import MaskRecipe
from napari_vidrecon.reconstruction.targets import NeuronSet
from napari_vidrecon.settings import Settings, finite_number, listed, whole_number

PARTS = tuple(part for parts in CHOICES.values() for part in parts if part is not OutsidePrior)
MODELS = (
    *PARTS,
    *(ReconstructionConfig, MaskRecipe, DecoderRecipe, MappingRecipe),
    *(CompactRecipe, FactorisedRecipe, DwiseNeuroRecipe),
)
ODD = {
    "NaN": float("nan"),
    "infinity": float("inf"),
    "minus infinity": "-inf",
    "far too large": 10**30,
    "far too large, as a float": 1e30,
    "far too small": -(10**30),
    "thousands of digits": 10**5000,
    "a yes": True,
    "numpy's yes": np.True_,
    "a word": "many",
    "nothing": "",
    "an empty dictionary": {},
}


def numbers_of(model: type[Settings]) -> list[str]:
    """Fields that hold one number."""
    fields = model.model_fields.items()
    return [name for name, field in fields if field.annotation in (int, float, int | None)]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@pytest.mark.parametrize("value", ODD.values(), ids=list(ODD))
def test_an_odd_number_is_one_line_that_names_the_setting(model: type[Settings], value: object) -> None:
    for name in numbers_of(model):
        with pytest.raises(ConfigError) as refused:
            model(**{name: value})
        told = str(refused.value)
        assert told.startswith(f"{name}: ")
        assert "\n" not in told
        assert len(told) < 200


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_steps_beyond_any_use_are_refused_before_anything_is_made_for_them(model: type[Settings]) -> None:
    for name in ("steps", "batch_size", "features", "most_predictors", "before_frames"):
        if name in model.model_fields:
            with pytest.raises(ConfigError, match=f"^{name}: "):
                model(**{name: 10**12 + 1})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"blur_kernel_px": 14}, "odd number of pixels, found 14"),
        ({"lowest": 2.0}, "less than the highest alpha 1.2, found 2"),
    ],
)
def test_a_mask_that_cannot_be_fitted_says_why(changes: dict, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        MaskRecipe(**changes)


@pytest.mark.parametrize("betas", [(0.9, 1.0), (-0.1, 0.9), (float("nan"), 0.9), (0.9,), (True, 0.5)])
def test_moments_outside_their_range_are_refused(betas: tuple) -> None:
    with pytest.raises(ConfigError, match=r"^betas"):
        CompactRecipe(betas=betas)


@pytest.mark.parametrize("value", [*ODD.values(), None, [], np.zeros(2), 1.5], ids=lambda value: type(value).__name__)
def test_a_count_is_a_whole_number_within_its_limits(value: object) -> None:
    with pytest.raises(ConfigError, match=r"^windows: expected a whole number from 1 to 10"):
        whole_number(value, "windows", 1, 10)


@pytest.mark.parametrize(
    "call",
    [
        lambda: NeuronSet.random(10, float("nan")),
        lambda: NeuronSet.random(10, True),
        lambda: NeuronSet.random(10, 0.5, -1),
        lambda: NeuronSet.random(-1, 0.5),
        lambda: NeuronSet.random(10**30, 0.5),
        lambda: NeuronSet.all(2.5),
        lambda: NeuronSet.without(3, np.array([7])),
        lambda: NeuronSet.without(3, np.array([np.nan])),
        lambda: NeuronSet([[True], [True, False]]),
        lambda: NeuronSet(np.ones(3, bool), weights=["a", "b", "c"]),
        lambda: finite_number(float("nan"), "threshold"),
        lambda: listed("13", "trial_ids"),
        lambda: listed(5, "trial_ids"),
    ],
)
def test_arguments_that_are_none_are_one_line(call) -> None:
    with pytest.raises(ConfigError) as refused:
        call()
    assert "\n" not in str(refused.value)


def test_what_holds_arrays_is_told_in_one_line_without_them() -> None:
    mask = vr.AlphaMask(np.ones((36, 64), np.float32))
    assert repr(mask).startswith("AlphaMask(alpha=float32 (36, 64), ")
    many = vr.GivenMovie("grey" * 200, np.zeros((40, 36, 64)))
    assert len(repr(many)) < 200
    assert "pixels=float64 (40, 36, 64)" in repr(many)
