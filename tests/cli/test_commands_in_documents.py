"""Every command that the documents show is one that `vidrecon` takes: verbs, options and arguments."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from napari_vidrecon.cli.app import build_app

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "sample_data" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands(document: Path) -> list[list[str]]:
    """The words of every `vidrecon` command in the shell blocks of a document."""
    found = []
    for block in re.findall(r"```bash\n(.*?)```", document.read_text(encoding="utf-8"), flags=re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(re.sub(r"\$\w+", "0", line), comments=True)
            if "vidrecon" in words[:1]:
                found.append(words[1:])
    return found


@pytest.fixture(scope="module")
def group() -> Any:
    """The whole command, put together once."""
    return typer.main.get_command(build_app())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_of_a_document_is_taken(document: Path, group: Any) -> None:
    for words in commands(document):
        verb = group.commands.get(words[0])
        assert verb is not None, words
        # Parsed to the end, with all its values, but never run.
        context = verb.make_context(words[0], words[1:])
        assert context.command is verb, words


def test_the_readme_and_the_walk_show_commands() -> None:
    assert len(commands(ROOT / "README.md")) >= 5
    assert len(commands(ROOT / "docs" / "own_mouse.md")) >= 8
