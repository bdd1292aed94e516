"""The command `vidrecon`: one file a verb."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Sequence

INPUT_AT_FAULT = 2
INTERRUPTED = 130
QUIET_LIBRARIES = r"(zarr|torch|numpy|imageio|tifffile)\b"
OUT_OF_MEMORY_WORDS = ("can't allocate memory", "not enough memory")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : words after `vidrecon`; default: those of this process.

    Returns
    -------
    Exit code: 0 done, 1 faults found, 2 input or settings at fault, 130 interrupted. What a person can mend is
    one line on stderr; only an error of the program itself shows its traceback.
    """
    from napari_vidrecon.cli.app import run_command
    from napari_vidrecon.cli.stopping import Stopped
    from napari_vidrecon.errors import VidreconError

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal that cannot show a degree sign must not end a run.
            stream.reconfigure(errors="replace")
    try:
        with warnings.catch_warnings():
            # What these libraries warn of is for programmers; a person gets one line that says what to do.
            warnings.filterwarnings("ignore", module=QUIET_LIBRARIES)
            code = run_command(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return code
    except VidreconError as error:
        return _say(str(error), INPUT_AT_FAULT)
    except Stopped as stopped:
        return _say(str(stopped), stopped.exit_code)
    except KeyboardInterrupt:
        return _say("stopped; nothing was written", INTERRUPTED)
    except BrokenPipeError:
        _discard_stdout()
        return 1
    except MemoryError:
        return _say(OUT_OF_MEMORY, INPUT_AT_FAULT)
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        return _say(OUT_OF_MEMORY, INPUT_AT_FAULT)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return _say(f"{error.filename or 'output'}: the disk is full; make room or choose another", INPUT_AT_FAULT)


OUT_OF_MEMORY = (
    "expected more memory than this machine or device has left; close other programs, "
    "or take a shorter clip (--frames), fewer encoders, or --device cpu"
)


def _say(message: str, code: int) -> int:
    print(f"vidrecon: {' '.join(message.split())}", file=sys.stderr)
    return code


def _is_out_of_memory(error: RuntimeError) -> bool:
    # Named, not imported: importing torch to look at an error would take seconds.
    return type(error).__name__ == "OutOfMemoryError" or any(word in str(error) for word in OUT_OF_MEMORY_WORDS)


def _discard_stdout() -> None:
    """Keep Python from complaining at exit that nobody reads what is left to write."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        sys.stdout = None
