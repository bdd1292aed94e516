"""The documentation holds together: each page has its place, links lead somewhere, and what it quotes is said."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

import pytest
import yaml

from napari_vidrecon import errors

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
NOTEBOOKS = {f"notebooks/{file.stem}.md" for file in (ROOT / "notebooks").glob("*.ipynb")}
GENERATED = {"reference/commands.md", "reference/python.md", "reference/keys.md", "changelog.md"} | NOTEBOOKS
"""Made by docs/site_hooks.py when the site is built."""
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", flags=re.DOTALL | re.MULTILINE)


def settings() -> dict:
    return yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def leaves(nav: object) -> list[str]:
    """Every page of the navigation, in order."""
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [page for part in parts for page in leaves(part)]


def anchors(page: Path) -> set[str]:
    """What links may lead to in a page: its headings, as the site names them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    heads = re.findall(r"^#{1,6} (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", head.replace("`", "")).strip().lower()) for head in heads}


def test_every_page_has_its_place_and_every_place_its_page() -> None:
    listed = leaves(settings()["nav"])
    assert len(listed) == len(set(listed))
    assert set(listed) == {str(page.relative_to(DOCS).as_posix()) for page in PAGES} | GENERATED


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_pictures_of_a_page_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in LINK.findall(FENCE.sub("", text)):
        if re.match(r"\w+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        made = target.is_relative_to(DOCS) and target.relative_to(DOCS).as_posix() in GENERATED
        assert made or target.is_file(), link
        assert made or not anchor or anchor in anchors(target), link
    for named in re.findall(r"`(docs/[\w/.]+)`", text):
        assert (ROOT / named).exists() or named.removeprefix("docs/") in GENERATED, named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_of_a_page_is_python(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
        ast.parse(block)


def test_notebooks_are_kept_with_what_they_show_and_small() -> None:
    for file in (ROOT / "notebooks").glob("*.ipynb"):
        cells = [cell for cell in json.loads(file.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
        outputs = [output for cell in cells for output in cell["outputs"]]
        assert any("image/png" in output.get("data", {}) for output in outputs), file
        assert not any(output["output_type"] == "error" for output in outputs), file
        assert file.stat().st_size < 500_000, file


def test_the_front_page_links_every_feature_to_a_page_of_its_own() -> None:
    rows = re.findall(
        r"^\| (\d+) \|.*\| \[.+\]\(.+\) \|$", (DOCS / "index.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert [int(row) for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) >= 40


def texts(code: CodeType) -> Iterator[str]:
    """All texts in compiled code, also those between what is filled in."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from texts(constant)
        for text in constant if isinstance(constant, tuple) else (constant,):
            if isinstance(text, str):
                yield text


def test_messages_that_the_troubleshooting_page_explains_are_ones_that_the_program_has() -> None:
    files = (ROOT / "napari_vidrecon").rglob("*.py")
    said = "\n".join(text for file in files for text in texts(compile(file.read_text("utf-8"), str(file), "exec")))
    page = (DOCS / "how_to" / "troubleshooting.md").read_text(encoding="utf-8")
    # A file's own part of a message is written as "…".
    pieces = [piece.strip() for words in re.findall(r"^\| \*(.+?)\*", page, re.MULTILINE) for piece in words.split("…")]
    assert [piece for piece in pieces if piece not in said] == []


def test_every_kind_of_error_names_a_section_of_the_troubleshooting_page() -> None:
    page = ROOT / errors.TROUBLESHOOTING
    kinds = errors.VidreconError.__subclasses__()
    assert len(kinds) >= 6
    assert {kind.section for kind in kinds if kind.__module__ == errors.__name__} <= anchors(page)
