"""What is installed with the package: everything that it imports is declared, and the window is an extra."""

from __future__ import annotations

import ast
import functools
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "napari_vidrecon"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NAMES = {"zmq": "pyzmq", "PIL": "pillow", "skimage": "scikit-image"}
"""What is imported under another name than it is installed by."""
EXTRAS = {
    "viewer": ("gui", "studies"),
    "studies": ("studies",),
    "analysis": ("studies", "sorting"),
    "sessions": ("nwb",),
    "figures": ("nwb",),
    "reconstruction": ("studies", "xarray"),
}
"""What a part may import beside the core's requirements; a part that is not named, nothing."""

OF_THE_WINDOW = ("napari", "qtpy", "PyQt6", "vispy", "superqt", "magicgui", "psygnal", "pyqtgraph")
WITHOUT_WINDOW = f"import sys; sys.modules.update(dict.fromkeys({OF_THE_WINDOW}))\n"
WITH_TORCH = {"triton"}
"""What torch for CUDA brings along; only kernels of a GPU import it."""
EVERY_MODULE = f"""
import importlib, importlib.util, pkgutil
import napari_vidrecon

for name in napari_vidrecon.__all__:
    getattr(napari_vidrecon, name)
of_a_gpu = [] if all(map(importlib.util.find_spec, {WITH_TORCH})) else ["napari_vidrecon.encoders.frozen.kernels"]
left_out = ("napari_vidrecon.viewer", *of_a_gpu)
outside = lambda name: not name.startswith(left_out) and not name.endswith("__main__")
for module in pkgutil.walk_packages(napari_vidrecon.__path__, "napari_vidrecon.", onerror=lambda name: None):
    if outside(module.name):
        importlib.import_module(module.name)
"""
A_VERB = "from napari_vidrecon.cli import main; sys.exit(main(sys.argv[1:]))"


def requirements(lines: list[str]) -> set[str]:
    """Names of distributions, without versions and extras."""
    return {re.split(r"[\[<>=!~; ]", line, maxsplit=1)[0].lower() for line in lines}


@functools.cache
def imported_by(file: Path) -> frozenset[str]:
    """Top-level modules that a file imports, lazily or not."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return frozenset(found)


def imports(part: Path) -> set[str]:
    """Distributions of what a file, or the files of a folder, import, lazily or not."""
    found = {name for file in ([part] if part.is_file() else part.rglob("*.py")) for name in imported_by(file)}
    return {NAMES.get(name, name.replace("_", "-")) for name in found - {*sys.stdlib_module_names, "napari_vidrecon"}}


PARTS = sorted(part.name for part in PACKAGE.iterdir() if part.suffix == ".py" or (part / "__init__.py").is_file())


@pytest.mark.parametrize("part", PARTS)
def test_everything_that_is_imported_is_declared(part: str) -> None:
    extras = [line for extra in EXTRAS.get(part, ()) for line in PROJECT["optional-dependencies"][extra]]
    undeclared = imports(PACKAGE / part) - requirements([*PROJECT["dependencies"], *extras]) - WITH_TORCH
    assert not undeclared


def test_what_is_asked_for_by_name_is_declared_in_the_extra_that_the_error_names() -> None:
    asked = re.compile(r'optional_module\("(\w+)[\w.]*", "(\w+)"')
    found = {pair for file in PACKAGE.rglob("*.py") for pair in asked.findall(file.read_text(encoding="utf-8"))}
    assert found
    for name, extra in found:
        assert NAMES.get(name, name) in requirements(PROJECT["optional-dependencies"][extra])


def test_everything_that_is_declared_is_imported() -> None:
    declared = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["gui"]]
    assert requirements(declared) <= imports(PACKAGE)


def test_all_takes_every_extra_but_openretina_which_brings_notebooks_and_trackers_along() -> None:
    extras = PROJECT["optional-dependencies"]
    (ours,) = (line for line in extras["all"] if line.startswith("napari-vidrecon["))
    assert set(ours.partition("[")[2].rstrip("]").split(",")) == extras.keys() - {"all", "openretina"}


def without_window(code: str, *words: object) -> subprocess.CompletedProcess[str]:
    """Code in a process that has neither napari nor Qt."""
    command = [sys.executable, "-c", WITHOUT_WINDOW + code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "DISPLAY": ":0"}, check=False)


@pytest.mark.long
def test_without_napari_and_qt_every_module_outside_the_viewer_loads_and_the_demo_goes_on(tmp_path: Path) -> None:
    words = ("demo", "--steps", 1, "--frames", 40, "--device", "cpu", "--out", tmp_path / "demo")
    answer = without_window(EVERY_MODULE + A_VERB, *words)
    assert answer.returncode == 0, answer.stderr
    assert "vidrecon demo: the window needs napari, qtpy, " in answer.stderr
    assert "pip install 'napari-vidrecon[gui]'; going on headless\n" in answer.stderr
    assert (tmp_path / "demo" / "movie.mp4").is_file()


def test_the_plugin_says_in_one_line_what_it_needs() -> None:
    answer = without_window("from napari_vidrecon.viewer import ReconstructionWidget")
    assert answer.stderr.splitlines()[-1].startswith("ModuleNotFoundError: the window needs napari, qtpy, superqt")


def test_napari_finds_the_plugin() -> None:
    assert PROJECT["entry-points"]["napari.manifest"] == {"napari-vidrecon": "napari_vidrecon:napari.yaml"}
    assert (PACKAGE / "napari.yaml").is_file()
