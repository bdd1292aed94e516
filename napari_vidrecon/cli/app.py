"""The verbs put together; nothing of what they need is imported before one is called."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Sequence
from typing import Annotated, Any, cast

import typer

from napari_vidrecon.cli.options import VerbCommand
from napari_vidrecon.cli.report import tell
from napari_vidrecon.errors import INDEX, one_line, page
from napari_vidrecon.version import __version__

VERBS = (
    "demo",
    "info",
    "validate",
    "predict",
    "reconstruct",
    "evidence",
    "export",
    "train",
    "mask",
    "decoder",
    "gaze",
    "prior",
    "live",
    "calibrate",
    "rf",
    "study",
    "simulate",
    "import",
    "download",
    "convert",
    "push",
    "bench",
    "doctor",
)
MODULES = {
    "validate": "checks",
    "evidence": "checks",
    "calibrate": "checks",
    "predict": "reconstruct",
    "mask": "fits",
    "decoder": "fits",
    "gaze": "fits",
    "rf": "fits",
    "download": "published",
    "convert": "published",
    "push": "published",
    "import": "importing",
    "bench": "doctor",
}
"""Where a verb lives that has no file of its own name."""
FUNCTIONS = {"import": "importing"}
"""What a verb is called that is no name in Python."""
SETTINGS: dict[str, Any] = {
    "add_completion": False,
    "rich_markup_mode": None,
    "pretty_exceptions_enable": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
LONGEST_INPUT = 60
USAGE_ERROR_EXIT_CODE = 2
LONGEST_MESSAGE = 1000
OF_HOME = re.compile(r"((?:-{1,2}[\w-]+=)?(?:[\w.]+=)?)(~(?:[/\\].*)?)", re.DOTALL)
"""A word that is a path at home: alone, behind --option=, behind the name of a setting."""
FIRST_STEPS = """\
vidrecon reconstructs the movies a mouse saw from the activity of its visual cortex.

Where to begin:
  vidrecon demo              watch one come back: a simulated mouse, half a minute, no data needed
  vidrecon doctor            what this machine has, and what is missing
  napari                     the window: Plugins, napari-vidrecon, Movie reconstruction

Whose mouse:
  vidrecon import --help     a recording of yours: suite2p, NWB, CaImAn, sorted spikes, arrays
  vidrecon download --list   public mice, encoders and masks
  vidrecon simulate --help   a simulated mouse of any size

  vidrecon --help            every verb; vidrecon VERB --help explains one

Tutorials, how-to pages, what a reconstruction means: {index}"""
"""What the command says alone."""


def build_app(verbs: Sequence[str] = VERBS) -> typer.Typer:
    """The command with all its verbs, or with these."""
    app = typer.Typer(name="vidrecon", **SETTINGS)
    app.callback()(vidrecon)
    for verb in verbs:
        module = importlib.import_module(f"napari_vidrecon.cli.{MODULES.get(verb, verb)}")
        settings = getattr(module, "COMMAND_SETTINGS", {}).get(verb, {"cls": VerbCommand})
        app.command(verb, **settings)(getattr(module, FUNCTIONS.get(verb, verb)))
    return app


def run_command(words: Sequence[str]) -> int:
    """Run `vidrecon` with these words; returns the exit code. Errors of the input are raised."""
    if not words:
        print(FIRST_STEPS.format(index=page(INDEX)))
        return 0
    words = [_with_home(word) for word in words]
    # A verb is asked for without the others: to take in all of them is what a short command would wait for.
    verbs = words[:1] if words[0] in VERBS else VERBS
    return run_app(build_app(verbs), "vidrecon", list(words))


def _with_home(word: str) -> str:
    """A word of a command line with ~/ as the home that it means, where a shell leaves it: --out=~/runs, or quoted."""
    # What a shell leaves would make a folder named ~ here, which nobody dares to remove.
    told = OF_HOME.fullmatch(word)
    return f"{told[1]}{os.path.expanduser(told[2])}" if told else word  # noqa: PTH111


def run_app(app: typer.Typer, name: str, words: Sequence[str]) -> int:
    """Run any command, under this name in its messages.

    Parameters
    ----------
    app
        With its verbs.
    name
        In messages.
    words
        The command line after the name.

    Returns
    -------
    int
        Exit code.
    """
    command = typer.main.get_command(app)
    # Typer has its own copy of click or not, by its version; this is the class of all its errors either way.
    usage_error = cast(type[Exception], cast(type[Exception], typer.BadParameter.__base__).__base__)
    try:
        with command.make_context(name, list(words)) as context:
            command.invoke(context)
    except typer.Exit as finished:
        return finished.exit_code
    except typer.Abort:
        raise KeyboardInterrupt from None
    except usage_error as error:
        return _explain_usage(error)
    return 0


def _explain_usage(error: BaseException) -> int:
    message = error.format_message()  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    path = "vidrecon" if context is None else context.command_path
    message = one_line(message, LONGEST_MESSAGE).rstrip(".")
    # What a number was read from stands in the error behind this one alone.
    refused: list[Any] = getattr(error.__cause__, "errors", list)()
    if refused and isinstance(refused[0].get("input"), str):
        message = f"{message}, found '{one_line(refused[0]['input'] or ' ', LONGEST_INPUT)}'"
    wanted = getattr(getattr(error, "param", None), "help", None)
    if wanted and message.startswith("Missing"):
        message = f"{message}: {one_line(wanted).rstrip('.')}"
    tell(f"vidrecon: {message}{'' if message.endswith('?') else '.'} See `{path} --help`.")
    return USAGE_ERROR_EXIT_CODE


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"vidrecon {__version__}")
        raise typer.Exit


def vidrecon(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """Reconstruct movies from the activity of mouse visual cortex.

    `vidrecon VERB --help` explains a verb. Long ones show their progress on stderr; Ctrl-C keeps what is done,
    and the same command goes on from there.
    """
