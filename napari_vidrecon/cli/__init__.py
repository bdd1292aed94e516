"""The command `vidrecon`: one file a verb."""

from __future__ import annotations

import sys
from collections.abc import Sequence

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv
        Words after `vidrecon`; default: those of this process.

    Returns
    -------
    int
        Exit code: 0 done, 1 faults found, 2 input, settings or surroundings at fault, 70 a fault of the program
        itself, 128 and the signal's number if it was stopped (Ctrl-C: 130). Whatever went wrong is one line on stderr;
        the traceback of a fault of the program goes to a log that the line names.
    """
    words = [str(word) for word in (sys.argv[1:] if argv is None else argv)]
    try:
        # Within the guard: Ctrl-C while modules are imported is as orderly as later.
        from napari_vidrecon.cli.guarding import guarded
    except KeyboardInterrupt:
        return INTERRUPTED
    return guarded(_run, words, whole_process=argv is None)


def _run(words: list[str]) -> int:
    from napari_vidrecon.cli.app import run_command

    return run_command(words)
