"""`vidrecon bench`: no part of the package; its code lies beside it, in a checkout of the repository."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import typer

from napari_vidrecon.errors import ConfigError

CHECKOUT = Path(__file__).resolve().parents[2]
COMMAND = Path("benchmarks", "speed", "command.py")
CONTEXT = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "allow_interspersed_args": False,
    "help_option_names": [],
}
"""Every word is for the command in the repository, `--help` too."""


def bench(context: typer.Context) -> None:
    """Measure speed beside the published loop (in a checkout)."""
    if not (CHECKOUT / COMMAND).is_file():
        raise ConfigError(
            f"{CHECKOUT / COMMAND}: expected the benchmark, found nothing there; it is not installed with the package: "
            "in a checkout of its repository type `make bench`, or here `vidrecon doctor --speed`"
        )
    if str(CHECKOUT) not in sys.path:
        sys.path.append(str(CHECKOUT))
    raise typer.Exit(importlib.import_module("benchmarks.speed.command").run(context.args))
