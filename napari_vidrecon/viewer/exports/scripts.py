"""Where the window's copied texts were made before; they are made in `napari_vidrecon.reconstruction.scripts` now."""

from __future__ import annotations

import warnings
from pathlib import Path

from napari_vidrecon.reconstruction.scripts import Script, command_text, command_words, python_text, script_of_run
from napari_vidrecon.viewer.record import RunRecord

__all__ = ["command_text", "command_words", "python_text", "recipe_of_run"]


def recipe_of_run(record: RunRecord, beside: Path) -> Script:
    """The script of a run of the window; use `script_of_run`."""
    warnings.warn(
        "viewer.exports.scripts: use napari_vidrecon.reconstruction.scripts.script_of_run",
        DeprecationWarning,
        stacklevel=2,
    )
    return script_of_run(record.result, record.recipe, record.name, beside)
