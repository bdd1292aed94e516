"""A documentation tool finds every argument described, and what examples show is what happens."""

from __future__ import annotations

import doctest
import importlib
import inspect
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import griffe
import pytest

import napari_vidrecon as vr

ARGUMENTS, ATTRIBUTES = griffe.DocstringSectionKind.parameters, griffe.DocstringSectionKind.attributes
FEW_ARGUMENTS = 2
NO_EXAMPLE = ("__version__", "ConfigError", "EncoderError", "MaskError", "RunError", "SessionError", "StorageError")
"""Public names that one shows nothing of: the errors are told of together, in `VidreconError`."""


KERNELS = "napari_vidrecon.encoders.frozen.kernels."
"""Twenty functions of the same pointers and sizes: described once, at the top of that file."""


@pytest.fixture(scope="module")
def package() -> griffe.Module:
    """The package as the tool sees it, without importing it."""
    loaded = griffe.load(
        "napari_vidrecon",
        search_paths=[Path(vr.__file__).parents[1]],
        allow_inspection=False,
        docstring_parser="numpy",
        docstring_options={"warn_missing_types": False, "warn_unknown_params": False},
    )
    assert isinstance(loaded, griffe.Module)
    return loaded


def test_no_argument_of_the_public_interface_lacks_a_description(package):
    missing = {each.path: names for each in _public(package) if (names := _undescribed(each))}
    assert missing == {}


def test_functions_of_three_and_more_arguments_describe_them_in_the_whole_package(package):
    missing = {
        each.path: names
        for each in _walk(package)
        if len(_arguments(each)) > FEW_ARGUMENTS and not each.path.startswith(KERNELS) and (names := _undescribed(each))
    }
    assert missing == {}


def test_docstrings_describe_no_argument_that_there_is_not(package):
    unknown = {each.path: names for each in _walk(package) if (names := _told(each, ARGUMENTS) - _known(each))}
    assert unknown == {}


def test_the_tool_parses_every_section_without_a_complaint(package, caplog):
    with caplog.at_level(logging.WARNING, "griffe"):
        for each in _walk(package):
            if each.docstring:
                each.docstring.parse(each.docstring.parser, **each.docstring.parser_options)
    assert caplog.messages == []


@pytest.mark.parametrize("name", [name for name in vr.__all__ if name not in NO_EXAMPLE])
def test_examples_of_the_public_interface_run_and_give_what_they_show(name):
    shown = getattr(vr, name)
    home = shown if inspect.ismodule(shown) else importlib.import_module(shown.__module__)
    finder = doctest.DocTestFinder(exclude_empty=True)
    tests = [test for test in finder.find(shown, name, module=home, globs={}) if test.examples]
    assert tests, f"{name} has no example"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    told: list[str] = []
    for test in tests:
        runner.run(test, out=told.append)
    assert runner.failures == 0, "".join(told)


def _walk(parent: griffe.Object) -> Iterator[griffe.Object]:
    """Functions and classes of no private name, down to methods."""
    for name, each in parent.members.items():
        if each.is_alias or name.startswith("_"):
            continue
        if each.is_function or each.is_class:
            yield each
        if each.is_module or each.is_class:
            yield from _walk(each)


def _public(package: griffe.Module) -> Iterator[griffe.Object]:
    """What `__all__` names, and its methods."""
    for name in vr.__all__:
        home = vr._HOME.get(name) or vr._MODULES.get(name)
        if home is None:
            continue
        found = package[home.partition(".")[2]]
        if name in vr._MODULES:
            yield from _walk(found)
            continue
        found = found[name]
        found = found.final_target if found.is_alias else found
        yield found
        if found.is_class:
            yield from _walk(found)


def _arguments(documented: griffe.Object) -> list[str]:
    told = [each.name for each in documented.parameters if each.name not in ("self", "cls") and each.name[0] != "_"]
    # The tool takes neither a model of settings nor a dataclass that pydantic checks for what it is.
    if documented.is_class and told in ([], ["fields"]) and (_is_model(documented) or _is_dataclass(documented)):
        return [name for name, each in _fields(documented).items() if "description=" not in str(each.value)]
    return told


def _fields(documented: griffe.Object) -> dict[str, griffe.Object]:
    return {
        name: each
        for name, each in documented.members.items()
        if each.is_attribute
        and each.annotation
        and not name.startswith("_")
        and "instance-attribute" in each.labels  # Neither a property nor a ClassVar.
    }


def _is_model(documented: griffe.Object) -> bool:
    return any(str(base) == "BaseModel" for each in (documented, *documented.mro()) for base in each.bases)


def _is_dataclass(documented: griffe.Object) -> bool:
    return any("dataclass" in str(each.value) for each in documented.decorators)


def _known(documented: griffe.Object) -> set[str]:
    """Arguments, and a class's attributes."""
    known = {each.name for each in documented.parameters}
    return known | set(documented.all_members) if documented.is_class else known


def _undescribed(documented: griffe.Object) -> list[str]:
    """Arguments that neither its docstring, nor that of what it overrides, nor the command's help describes."""
    told = _described(documented) | _described_in_help(documented)
    if documented.is_class:
        told |= {name for base in documented.mro() for name in _described(base)}
    elif documented.parent is not None and documented.parent.is_class:
        promised = (base.members.get(documented.name) for base in (*documented.parent.mro(), *_protocols(documented)))
        told |= {name for base in promised if base is not None for name in _described(base)}
    return [name for name in _arguments(documented) if name not in told]


def _protocols(method: griffe.Object) -> Iterator[griffe.Object]:
    """Protocols of its module, which its class keeps without naming them."""
    return (each for each in method.module.classes.values() if any(str(base) == "Protocol" for base in each.bases))


def _described(documented: griffe.Object) -> set[str]:
    return _told(documented, ARGUMENTS) | _told(documented, ATTRIBUTES)


def _told(documented: griffe.Object, kind: griffe.DocstringSectionKind) -> set[str]:
    """Names with a text in the sections of one kind."""
    sections = documented.docstring.parsed if documented.docstring else []
    return {
        name.strip().lstrip("*")
        for section in sections
        if section.kind == kind
        for entry in section.value
        if entry.description.strip()
        for name in entry.name.split(",")
    }


def _described_in_help(documented: griffe.Object) -> set[str]:
    """Options of a command: `--help` shows their text, and the docstring above it."""
    if not documented.path.startswith("napari_vidrecon.cli."):
        return set()
    told = {each.name: _spelled(documented, str(each.annotation)) for each in documented.parameters}
    return {name for name, annotation in told.items() if "help=" in annotation or annotation == "typer.Context"}


def _spelled(documented: griffe.Object, annotation: str) -> str:
    """An annotation, with what stands behind its names."""
    named = {**documented.module.members, **documented.package["cli.options"].members}
    options = (named[word] for word in re.findall(r"\w+", annotation) if word in named)
    return " ".join([annotation, *(str(each.value) for each in options if not each.is_alias and each.is_attribute)])
