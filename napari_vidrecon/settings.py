"""Settings: frozen and validated values; whoever gives a wrong one gets one line."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from dataclasses import fields
from numbers import Integral, Real
from typing import Any, TypeVar, get_args, get_origin

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


Chosen = TypeVar("Chosen", bound="Settings")


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

    @classmethod
    def setting_names(cls) -> list[str]:
        """Names by which settings can be given."""
        return list(cls.model_fields)

    @classmethod
    def older_names(cls) -> list[str]:
        """Names that are taken too, and that people are no longer told."""
        return []

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


def of_kind(given: Settings | None, kind: type[Chosen], name: str) -> Chosen:
    """An argument of settings, or the usual ones where none is given.

    Parameters
    ----------
    given
        The argument; None: none.
    kind
        Class of settings that it has to be of.
    name
        What the message calls it.

    Returns
    -------
    Chosen
        `given`, or a `kind()` of defaults.

    Raises
    ------
    ConfigError
        It is something else.
    """
    if given is None:
        return kind()
    if not isinstance(given, kind):
        raise ConfigError(f"{name}: expected a {kind.__name__}, found {shown(given)}")
    return given


def listed(given: Iterable[Any], name: str) -> list[Any]:
    """An argument of several values as a list.

    Returns
    -------
    list[Any]
        A new one.

    Raises
    ------
    ConfigError
        It is one value, or a text.
    """
    if isinstance(given, (str, bytes, dict)) or not isinstance(given, Iterable):
        raise ConfigError(f"{name}: expected a list, found {shown(given)}")
    return list(given)


def whole_number(value: Any, name: str, least: int = 0, largest: int = LARGEST_SEED) -> int:
    """An argument that counts something.

    Parameters
    ----------
    value
        The argument.
    name
        What the message calls it.
    least, largest
        Limits, both allowed.

    Returns
    -------
    int
        The same number.

    Raises
    ------
    ConfigError
        It is no whole number, or not within the limits; the message names it.
    """
    # Integral: numpy's whole numbers, too.
    number = isinstance(value, Integral) and not isinstance(value, bool)
    if not number or not least <= value <= largest:
        raise ConfigError(f"{name}: expected a whole number from {least} to {largest}, found {shown(value)}")
    return int(value)


def finite_number(value: Any, name: str, least: float = -LARGEST_NUMBER, largest: float = LARGEST_NUMBER) -> float:
    """An argument that measures something; limits as for `whole_number`.

    Parameters
    ----------
    value
        The argument.
    name
        What the message calls it.
    least, largest
        Limits, both allowed.

    Returns
    -------
    float
        The same number.

    Raises
    ------
    ConfigError
        It is no number, or not within the limits, or NaN; the message names it.
    """
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not least <= value <= largest:
        raise ConfigError(f"{name}: expected a number from {least:g} to {largest:g}, found {shown(value)}")
    # As it was given: a run's fingerprint holds its spelling.
    return value if isinstance(value, (int, float)) else float(value)


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
    reason = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        # A rule about several of them, which names them itself.
        return one_line(reason)
    name = one_line(".".join(str(part) for part in first["loc"]), LONGEST_NAME)
    return one_line(f"{name}: {reason[0].lower()}{reason[1:]}, found {shown(first['input'])}")


def shown(value: Any) -> str:
    """A value that somebody gave, for a message: short, and on one line."""
    try:
        return one_line(reprlib.repr(value), LONGEST_VALUE)
    except ValueError:
        # Python writes no whole number of more than 4,300 digits.
        return "a number of thousands of digits"


LONGEST_FIELD_SHOWN, MOST_ITEMS_SHOWN = 120, 3


def brief(instance: Any) -> str:
    """A dataclass in one line, its arrays by kind and shape: for `__repr__` of what holds movies or activity."""
    told = [f"{each.name}={_briefly(getattr(instance, each.name))}" for each in fields(instance) if each.repr]
    return f"{type(instance).__name__}({', '.join(told)})"


def _briefly(value: Any) -> str:
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype} {tuple(value.shape)}"
    if isinstance(value, list | tuple) and value and not isinstance(value[0], str | int | float):
        shown = ", ".join(_briefly(each) for each in value[:MOST_ITEMS_SHOWN])
        more = f", and {len(value) - MOST_ITEMS_SHOWN} more" if len(value) > MOST_ITEMS_SHOWN else ""
        return f"[{shown}{more}]"
    if isinstance(value, dict):
        return f"{{{len(value)} values}}" if value else "{}"
    return one_line(repr(value), LONGEST_FIELD_SHOWN)


UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")
ABSENT = ("missing", "missing_argument")
OUR_OWN = "value_error"
LONGEST_FIELD = 80


def first_fault(error: ValidationError, what: str = "") -> str:
    """The first thing that a model found, e.g. "expected config.features to be at least 1, found -1".

    Parameters
    ----------
    error
        Of the model.
    what
        Name of what the values describe; it leads the name of each.

    Returns
    -------
    str
        One line.
    """
    first = error.errors(include_url=False)[0]
    name = one_line(".".join(str(part) for part in (what, *first["loc"]) if part != ""), LONGEST_FIELD) or "description"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] in UNKNOWN:
        return f"{name} is unknown to this version; was the file made by a newer one?"
    if first["type"] in ABSENT:
        return f"expected {name}, found none of it"
    if first["type"] == OUR_OWN:
        return one_line(message if message.startswith("expected") else f"{name}: {message}")
    for before, after in (("Input should be ", "to be "), ("Input should ", "to "), ("", "to be fitting: ")):
        if message.startswith(before):
            message = after + message.removeprefix(before)
            break
    return one_line(f"expected {name} {message}, found {reprlib.repr(first['input'])}")
