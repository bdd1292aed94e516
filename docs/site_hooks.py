"""What the site adds to the pages: references made from the program itself, and links from page to page.

MkDocs calls the two functions below (`hooks` in mkdocs.yml); `make docs` builds the site.
"""

from __future__ import annotations

import inspect
import json
import posixpath
import re
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import napari_vidrecon as vr
from napari_vidrecon.cli.app import VERBS, build_app

COMMANDS, PYTHON, KEYS, CHANGES = "reference/commands.md", "reference/python.md", "reference/keys.md", "changelog.md"
GROUPS = {
    "Open": ["open_session", "Session", "Trial", "load_encoder", "Encoder", "find_sample", "AlphaMask", "Decoder"],
    "Reconstruct": [
        *("reconstruct", "Reconstruction", "ReconstructionConfig", "NeuronSet", "StepInfo", "Recipe", "RunInputs"),
        *("plan_run", "Runner"),
    ],
    "Make what a reconstruction needs": [
        *("import_recording", "train_encoder", "fit_mask", "fit_decoder", "map_receptive_fields", "simulate_session"),
    ],
    "Stimuli": ["stimulus_trial", "GivenMovie"],
    "Measure and show": ["metrics", "postprocess", "perceptual_hash"],
    "Studies": ["Study"],
}
A_PAGE = re.compile(r"`docs/([\w/]+\.md)`|`(\w+\.md)`")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made here."""
    changes = (Path(config.config_file_path).parent / "CHANGELOG.md").read_text(encoding="utf-8")
    made = {COMMANDS: command_page(), PYTHON: python_page(), KEYS: key_page(), CHANGES: changes}
    for book in sorted((Path(config.config_file_path).parent / "notebooks").glob("*.ipynb")):
        made[f"notebooks/{book.stem}.md"] = notebook_page(book)
    for path, content in made.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Pages name each other as files of the repository, for those who read them there; here they link by title."""

    def linked(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        target = files.get_file_from_path(name)
        if target is None or target.src_uri == page.file.src_uri:
            return found[0]
        head = re.match(r"# (.+)", target.content_string)
        return (
            f"[{head[1] if head else found[0]}]({posixpath.relpath(name, posixpath.dirname(page.file.src_uri) or '.')})"
        )

    return A_PAGE.sub(linked, markdown)


def command_page() -> str:
    """Every verb with its arguments and options, as its `--help` tells them."""
    group = typer.main.get_command(build_app())
    lines = ["# Commands", "", "Made from the commands themselves; `vidrecon VERB --help` says the same.", ""]
    lines += ["| verb | does |", "|---|---|"]
    for verb in VERBS:
        lines.append(f"| [`{verb}`](#vidrecon-{verb}) | {_cell(group.commands[verb].get_short_help_str(200))} |")
    for verb in VERBS:
        command = group.commands[verb]
        context = command.make_context(verb, [], resilient_parsing=True)
        usage = " ".join(command.collect_usage_pieces(context))
        lines += ["", f"## vidrecon {verb}", "", _plain(command.help or ""), "", "```text", f"vidrecon {verb} {usage}"]
        lines += ["```", "", "| | what |", "|---|---|"]
        for parameter in command.get_params(context):
            told = _parameter(parameter, context)
            if told:
                lines.append(told)
    return "\n".join([*lines, ""])


def _parameter(parameter: Any, context: Any) -> str:
    """The row of one argument or option; empty for what `--help` leaves out."""
    record = parameter.get_help_record(context)
    if record is None:
        return ""
    name, told = record
    return f"| `{_cell(name)}` | {_cell(told).replace('<', '&lt;')} |"


def _plain(text: str) -> str:
    """A help text as paragraphs."""
    return "\n\n".join(
        " ".join(part.split()) for part in re.split(r"\n\s*\n", inspect.cleandoc(text.replace("\b", "")))
    )


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def python_page() -> str:
    """Every public name, in groups; what is in none of them comes last."""
    grouped = {name for names in GROUPS.values() for name in names}
    errors = [name for name in vr.__all__ if name.endswith("Error")]
    rest = [name for name in vr.__all__ if name not in {*grouped, *errors, "__version__"}]
    lines = ["# Python", "", "`import napari_vidrecon as vr`; every name below is `vr.NAME`, and stays.", ""]
    for title, names in {
        **GROUPS,
        "More": rest,
        "Errors": ["VidreconError", *sorted({*errors} - {"VidreconError"})],
    }.items():
        if names:
            lines += ["", f"## {title}", ""]
        for name in names:
            home = vr._MODULES.get(name) or f"{vr._HOME[name]}.{name}"
            lines += [f"::: {home}", ""]
    return "\n".join(lines)


def key_page() -> str:
    """The keys of the window, as its own list has them."""
    from napari_vidrecon.viewer.contributions.commands import NATIVE_KEYS, SHORTCUTS

    rows = [(each.key.replace("-", "+"), each.what) for each in SHORTCUTS]
    told = [f"| {key} | {what} |" for key, what in [*rows, *NATIVE_KEYS]]
    return "\n".join(
        ["# Keys of the window", "", "F1 shows them in the window.", "", "| key | does |", "|---|---|", *told, ""]
    )


def notebook_page(file: Path) -> str:
    """A notebook with what it shows, as it was last run."""
    lines: list[str] = []
    for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            lines += [text, ""]
            continue
        lines += ["```python", text, "```", ""]
        for output in cell["outputs"]:
            data = output.get("data", {})
            if "image/png" in data:
                lines += [f"![What the cell shows](data:image/png;base64,{''.join(data['image/png']).strip()})", ""]
            elif words := "".join(output.get("text", data.get("text/plain", []))).strip():
                lines += ["```text", words, "```", ""]
    return "\n".join([*lines, f"*This page is the notebook `notebooks/{file.name}` of the repository.*", ""])
