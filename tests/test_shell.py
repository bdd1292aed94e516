"""What surrounds the package says the same as the package: recipe, container, workflows, templates."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path

import yaml

from napari_vidrecon.version import __version__

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OTHER_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
"""What conda calls otherwise."""


def loaded(*parts: str) -> dict:
    return yaml.safe_load(ROOT.joinpath(*parts).read_text(encoding="utf-8"))


def test_the_conda_recipe_asks_for_what_the_package_asks_for() -> None:
    recipe = loaded("packaging", "conda", "recipe.yaml")
    asked = dict(line.split(" ", 1) for line in recipe["requirements"]["run"] if not line.startswith("python "))
    wanted = [re.match(r"([\w-]+)(.*)", line).groups() for line in PROJECT["dependencies"]]
    assert asked == {OTHER_NAMES.get(name, name): bound for name, bound in wanted}
    assert recipe["context"]["version"] == __version__
    assert f">={recipe['context']['python_min']}" == PROJECT["requires-python"]


def test_tests_run_on_every_system_and_on_every_python_that_is_promised() -> None:
    matrix = loaded(".github", "workflows", "tests.yml")["jobs"]["everywhere"]["strategy"]["matrix"]
    assert matrix["os"] == ["ubuntu-latest", "macos-latest", "windows-latest"]
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert matrix["python"] == promised


def test_every_make_target_that_a_workflow_calls_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    for workflow in (ROOT / ".github" / "workflows").glob("*.yml"):
        assert set(re.findall(r"\bmake ([a-z-]+)", workflow.read_text(encoding="utf-8"))) <= targets, workflow


def test_containers_are_built_of_files_that_are_there_and_of_extras_that_the_package_has() -> None:
    folder = ROOT / "packaging" / "container"
    docker, apptainer = ((folder / name).read_text(encoding="utf-8") for name in ("Dockerfile", "vidrecon.def"))
    copied = [name for line in re.findall(r"^COPY (.+) \S+$", docker, re.MULTILINE) for name in line.split()]
    copied += re.findall(r"^    (\S+) /build/", apptainer, re.MULTILINE)
    let_in = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert [name for name in copied if name != "." and f"!{name}" not in let_in] == []
    asked = re.findall(r'"\.\[([\w,]+)\]"', docker + apptainer)
    assert len(asked) == 2
    assert set(",".join(asked).split(",")) <= set(PROJECT["optional-dependencies"])
    assert set(re.findall(r"python:3[\w.-]+", docker + apptainer)) == {"python:3.11-slim"}


def test_who_reports_a_fault_is_asked_what_the_machine_has() -> None:
    for form in ("bug.yml", "data.yml"):
        body = loaded(".github", "ISSUE_TEMPLATE", form)["body"]
        assert any("vidrecon doctor --json" in part["attributes"]["label"] for part in body if "id" in part)


def test_a_registry_gets_absolute_addresses_and_the_repository_keeps_its_own() -> None:
    spec = importlib.util.spec_from_file_location("release_addresses", ROOT / ".github" / "release_addresses.py")
    addresses = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(addresses)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    changed = addresses.absolute(readme, "https://host.example/lab/vidrecon", "v1.0.0")
    assert "![" in changed
    assert not re.search(r"\]\((?!https?://)", changed)
    assert "https://host.example/lab/vidrecon/raw/v1.0.0/docs/images/demo.gif" in changed
    assert "[project.urls]" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_pictures_stay_small_and_each_is_shown() -> None:
    """Each version of a picture stays in the history: a clone without history is to have at most 25 MB."""
    pages = [ROOT / "README.md", ROOT / "mkdocs.yml", *(ROOT / "docs").rglob("*.md")]
    said = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    limits = {"images": 2_000_000, "gallery": 2_500_000}
    for folder, limit in limits.items():
        files = [file for file in (ROOT / "docs" / folder).rglob("*") if file.is_file()]
        assert sum(file.stat().st_size for file in files) < limit, folder
        assert [file.name for file in files if file.name not in said] == []
