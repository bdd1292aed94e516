"""Where the window's copied texts were made before; they are made in `napari_vidrecon.reconstruction.scripts` now."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace

from napari_vidrecon.reconstruction.script_texts import command_text, command_words, python_text
from napari_vidrecon.reconstruction.scripts import Script, script_of_run
from napari_vidrecon.viewer.record import RunRecord


def _recipe_of_run(record: RunRecord, beside: Path) -> Script:
    warnings.warn(
        "viewer.exports.scripts: use napari_vidrecon.reconstruction.scripts.script_of_run",
        DeprecationWarning,
        stacklevel=2,
    )
    return script_of_run(record.result, record.recipe, record.name, beside)


scripts = SimpleNamespace(
    command_text=command_text, command_words=command_words, python_text=python_text, recipe_of_run=_recipe_of_run
)
