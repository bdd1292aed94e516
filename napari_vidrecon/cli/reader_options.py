"""Options of `vidrecon import` that readers bring, built from their settings."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.settings import shown

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from napari_vidrecon.sessions.importing.recording_reader import Reader

SEPARATOR = "."
"""Between a kind of files and a field in the name of a value; no kind of this package has one."""
ALSO = "/"
"""Between several kinds of files that share a field."""


def parameters(taken: set[str]) -> list[Any]:
    """The options of all readers that can be used, as parameters of a command.

    Parameters
    ----------
    taken
        Options of the command itself; a field of the same name becomes `--KIND-FIELD`.

    Returns
    -------
    list[Any]
        For the command's signature.
    """
    from napari_vidrecon.sessions.importing.sources import READERS, all_readers

    made: list[tuple[str, Any]] = []
    for kind, reader in all_readers().items():
        for name, field in reader.options_class.model_fields.items():
            kinds = [each for each, ours in READERS.items() if name in ours.options_class.model_fields]
            if kind not in READERS:
                kinds = [kind]
            if kind != kinds[0]:
                # One option of the command serves all kinds of this package that have it.
                continue
            flag = f"--{name}".replace("_", "-")
            if flag in taken:
                flag = f"--{kind}-{name}".replace("_", "-")
            taken.add(flag)
            made.append((f"{ALSO.join(kinds)}{SEPARATOR}{name}", _annotation(flag, ", ".join(kinds), field)))
    return list(_as_parameters(made))


def chosen_options(kind: str, reader: type[Reader], given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, for a reader; checked.

    Parameters
    ----------
    kind
        Name of the reader.
    reader
        The reader itself.
    given
        Options by names of reader and field; None where one was left out.

    Returns
    -------
    dict[str, Any]
        Fields of the reader's options.

    Raises
    ------
    ConfigError
        One belongs to another kind of files, was given twice, or its value cannot be used.
    """
    chosen: dict[str, Any] = {}
    for name, value in given.items():
        if value is None or value == () or value == []:
            continue
        theirs, _, field = name.rpartition(SEPARATOR)
        told = f"--{field.replace('_', '-')}"
        if kind not in theirs.split(ALSO):
            raise ConfigError(f"{told}: expected only for {theirs.replace(ALSO, ', ')}, found for {kind}; leave it out")
        if isinstance(value, (list, tuple)):
            value = _one(told, list(value), reader.options_class.model_fields[field])
        choices = _choices(reader.options_class.model_fields[field])
        if choices and value not in choices:
            raise ConfigError(f"{told}: expected {' or '.join(choices)}, found {shown(value)}")
        chosen[field] = value
    reader.options_class(**chosen)
    return chosen


def _one(told: str, values: list[str], field: FieldInfo) -> str:
    """The value of an option that was given once, or the list of those of a field that takes several."""
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    if len(values) > 1 and not extra.get("several"):
        raise ConfigError(f"{told}: expected it once, found {', '.join(map(shown, values))}; it takes one value")
    return ",".join(values)


def _annotation(flag: str, kind: str, field: FieldInfo) -> Any:
    help_ = f"{kind}: {field.description or field.title or 'see its documents'}"
    if field.default not in (None, "", False):
        help_ += f"  [default: {field.default}]"
    if field.annotation is bool:
        return Annotated[bool | None, typer.Option(f"{flag}/--no-{flag[2:]}" if field.default else flag, help=help_)]
    metavar = "|".join(_choices(field)) or ("PATH" if Path in _kinds(field) else "VALUE")
    # Words: the reader's own settings turn them into what they want, and two are not one of them in silence.
    return Annotated[list[str] | None, typer.Option(flag, metavar=metavar, help=help_)]


def _as_parameters(made: list[tuple[str, Any]]) -> Iterator[Any]:
    """Parameters as Typer makes them of a function that has them."""
    app = typer.Typer()
    function = lambda **_values: None  # noqa: E731  # its signature is given to it
    places = {f"option_{number}": value for number, value in enumerate(made)}
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(place, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
            for place, (_, annotation) in places.items()
        ]
    )
    function.__annotations__ = {place: annotation for place, (_, annotation) in places.items()}
    app.command()(function)
    for parameter in typer.main.get_command(app).params:
        if parameter.name in places:
            parameter.name = places[parameter.name][0]
            yield parameter


def _choices(field: FieldInfo) -> tuple[str, ...]:
    literal = typing.get_origin(field.annotation) is typing.Literal
    return tuple(map(str, typing.get_args(field.annotation))) if literal else ()


def _kinds(field: FieldInfo) -> set[Any]:
    return {field.annotation, *typing.get_args(field.annotation)}
