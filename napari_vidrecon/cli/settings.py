"""Settings given as NAME=VALUE words."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, get_origin

from napari_vidrecon.errors import ConfigError, one_line

if TYPE_CHECKING:
    from pydantic import BaseModel

    Settings = TypeVar("Settings", bound=BaseModel)

LONGEST_PAIR = 80


def parse_settings(option: str, pairs: Sequence[str], model: type[BaseModel]) -> dict[str, Any]:
    """Fields of a model by name; the model itself turns the words into numbers.

    Parameters
    ----------
    option
        The option they were given with, for messages.
    pairs
        Words like "steps=200"; several values of a list are separated by commas, a setting within another by a dot:
        "prior_settings.sd=40".
    model
        Whose fields they are.

    Returns
    -------
    dict[str, Any]
        {name: text}.

    Raises
    ------
    ConfigError
        Not NAME=VALUE, or no such field.
    """
    settings: dict[str, Any] = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        name, told = name.strip(), f"{option} {one_line(pair, LONGEST_PAIR)}"
        if not separator or not name:
            raise ConfigError(f"{told}: expected name=value, found no value")
        outer, _, inner = name.partition(".")
        if inner and outer in model.model_fields and get_origin(model.model_fields[outer].annotation) is dict:
            settings.setdefault(outer, {})[inner] = text.strip()
            continue
        if name not in model.model_fields:
            close = difflib.get_close_matches(name, model.model_fields, n=3)
            hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(model.model_fields)}"
            raise ConfigError(f"{told}: expected a known setting, found {one_line(repr(name), LONGEST_PAIR)}; {hint}")
        several = get_origin(model.model_fields[name].annotation) is tuple
        settings[name] = tuple(text.split(",")) if several else text.strip()
    return settings


def checked(model: type[Settings], fields: dict[str, Any]) -> Settings:
    """Build a model from fields.

    Returns
    -------
    Settings
        Frozen.

    Raises
    ------
    ConfigError
        The first value that cannot be used, in one line.
    """
    from pydantic import ValidationError

    from napari_vidrecon.settings import setting_fault

    try:
        return model(**fields)
    except ValidationError as raised:
        raise ConfigError(setting_fault(raised)) from None
