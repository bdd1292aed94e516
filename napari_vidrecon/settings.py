"""Settings: frozen and validated values; whoever gives a wrong one gets one line."""

from __future__ import annotations

import reprlib
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from napari_vidrecon.errors import ConfigError, one_line

LONGEST_NAME, LONGEST_VALUE = 60, 80
MOST_STEPS = 1_000_000
"""A thousand times as many as published; what is longer was mistyped."""
LARGEST_SEED = 2**63 - 1
"""What generators of chance take."""
LARGEST_NUMBER = 1e12
"""Of a rate or a weight; beyond, single precision overflows in a product of a few."""


class Settings(BaseModel):
    """A model of settings: frozen, no unknown field, no NaN, no infinity, no yes or no where a number belongs.

    Raises
    ------
    ConfigError
        A value that cannot be used; one line that names it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as raised:
            raise ConfigError(setting_fault(raised)) from None

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_no_booleans(cls, value: Any, told: ValidationInfo) -> Any:
        # Python counts True as 1.
        kinds = _kinds(cls.model_fields[told.field_name or ""].annotation)
        if kinds & {int, float} and bool not in kinds and any(_is_boolean(each) for each in _several(value)):
            raise PydanticCustomError("number", "Expected a number, not yes or no")
        return value

    @field_validator("*")
    @classmethod
    def _numbers_have_a_size(cls, value: Any, told: ValidationInfo) -> Any:
        # Not in the fields' own limits: the window makes its controls as wide as those.
        largest = LARGEST_SEED if told.field_name == "seed" else LARGEST_NUMBER
        if any(isinstance(each, (int, float)) and abs(each) > largest for each in _several(value)):
            raise PydanticCustomError("size", "Expected a number of at most {largest}", {"largest": f"{largest:.4g}"})
        return value


def _kinds(annotation: Any) -> set[Any]:
    inner = get_args(annotation) if get_origin(annotation) is not None else ()
    return {annotation}.union(*map(_kinds, inner)) if inner else {annotation}


def _several(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def _is_boolean(value: Any) -> bool:
    return type(value).__name__ in ("bool", "bool_")


def setting_fault(raised: ValidationError) -> str:
    """The first value that cannot be used, in one line."""
    first = raised.errors(include_url=False, include_context=False)[0]
    name = ".".join(str(part) for part in first["loc"]) or "settings"
    reason = first["msg"].removeprefix("Value error, ")
    found = f", found {_shown(first['input'])}" if first["loc"] else ""
    return one_line(f"{one_line(name, LONGEST_NAME)}: {reason[0].lower()}{reason[1:]}{found}")


def _shown(value: Any) -> str:
    try:
        return one_line(reprlib.repr(value), LONGEST_VALUE)
    except ValueError:
        # Python writes no whole number of more than 4,300 digits.
        return "a number of thousands of digits"
