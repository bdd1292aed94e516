"""`kill -9` at random moments of every verb that writes, then the same command again: the same bits, and no litter.

    python benchmarks/safety/kills.py --kills 300

Half of the kills come at a random moment, the other half right before a random one of the changes that the command
makes to the disk (a file opened for writing, a move, a folder made or removed). The command is then started again. It
must end with exit code 0, or, where what it writes was there already, refuse to replace it (and with --overwrite do
so); and its folder must hold what it holds after an undisturbed command, to the last bit, and nothing else. The exit
code is 1 if a case fails.
"""

# ruff: noqa: E402  # a script finds the package of benchmarks only once it knows where it lies

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

import numpy as np

from benchmarks.safety.changes import Changes
from benchmarks.safety.contents import contents
from benchmarks.safety.verbs import VERBS, Verb
from napari_vidrecon.cli import main as vidrecon

PATIENCE_S = 120.0
SURPLUS = 1.02
"""A moment of a kill may come after the usual end."""
INPUT_AT_FAULT = 2
NAMES_SHOWN = 3


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Parameters
    ----------
    code
        Exit code, or below 0 the signal's number.
    said
        Its last line.
    seconds
        How long it took.
    changes
        Changes to the disk that it made.
    modules
        What it had imported at its end.
    """

    code: int
    said: str
    seconds: float
    changes: int
    modules: tuple[str, ...]


def in_fork(words: list[str], place: Path, *, after_s: float | None = None, at_change: int | None = None) -> Ended:
    """Run a command in a process forked from this one, in a folder of its own, and kill it on the way if asked.

    Parameters
    ----------
    words
        After `vidrecon`.
    place
        Its working folder.
    after_s
        Kill it after so many seconds.
    at_change
        Kill it right before it makes this change to the disk (1, 2, ...).
    """
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as told:
        start = time.monotonic()
        child = os.fork()
        if child == 0:
            _inside(words, place, said.fileno(), told.fileno(), at_change)
        status = _wait(child, start, after_s)
        seconds = time.monotonic() - start
        for report in (said, told):
            report.seek(0)
        changes, *modules = told.read().decode().split("\n")
        lines = said.read().decode("utf-8", "replace").strip().splitlines()
    code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    return Ended(code, lines[-1] if lines else "", seconds, int(changes or 0), tuple(modules))


def _wait(child: int, start: float, after_s: float | None) -> int:
    until = start + (PATIENCE_S if after_s is None else after_s)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        if time.monotonic() >= until:
            os.kill(child, signal.SIGKILL)
            return os.waitpid(child, 0)[1]
        time.sleep(0.001)


def _inside(words: list[str], place: Path, said: int, told: int, at_change: int | None) -> None:
    """The forked process; it never comes back."""
    code = 99
    try:
        os.chdir(place)
        os.dup2(said, 1)
        os.dup2(said, 2)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
        changes = Changes(at_change)
        sys.addaudithook(changes)
        code = vidrecon(words)
        with os.fdopen(told, "w") as report:
            report.write("\n".join([str(changes.count), *sys.modules]))
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


@dataclass(frozen=True)
class Undisturbed:
    """What a command does when nobody kills it."""

    left: dict[str, str]
    seconds: float
    changes: int


def undisturbed(verb: Verb, kit: Mapping[str, Path | str], place: Path) -> Undisturbed:
    """Run a command once, and once more for the time it takes.

    Parameters
    ----------
    verb
        Which.
    kit
        Its inputs.
    place
        Its working folder; emptied before.

    Raises
    ------
    RuntimeError
        It does not end well.
    """
    for _ in range(2):
        ended = in_fork(verb.command(kit), fresh(place))
        if ended.code != 0:
            raise RuntimeError(f"{verb.name} ended with {ended.code} undisturbed: {ended.said}")
        # What it imported is here from now on, and no later fork needs time for it.
        for module in ended.modules:
            with contextlib.suppress(Exception):
                importlib.import_module(module)
    return Undisturbed(contents(place), ended.seconds, ended.changes)


def killed(verb: Verb, kit: Mapping[str, Path | str], place: Path, expected: Undisturbed, chance: random.Random) -> str:
    """Kill a command and start it again.

    Parameters
    ----------
    verb, kit, place
        As for `undisturbed`.
    expected
        What it does undisturbed.
    chance
        Decides when it is killed.

    Returns
    -------
    str
        What is wrong then; empty if nothing is.
    """
    words = verb.command(kit)
    fresh(place)
    if chance.random() < 0.5:
        moment = chance.uniform(0, SURPLUS * expected.seconds)
        when = f"after {moment:.3f} s"
        in_fork(words, place, after_s=moment)
    else:
        change = chance.randint(1, max(1, expected.changes))
        when = f"before change {change} of {expected.changes}"
        in_fork(words, place, at_change=change)
    again = in_fork(words, place)
    refused = again.code == INPUT_AT_FAULT and "expected a free name" in again.said
    left = contents(place)
    if refused and left != expected.left:
        # Of two files that it writes only the first was there: it says so, and how to go on.
        again = in_fork([*words, "--overwrite"], place)
        left = contents(place)
    differing = sorted(name for name in {*left, *expected.left} if left.get(name) != expected.left.get(name))
    wrong = []
    if again.code != 0 and not refused:
        wrong.append(f"exit code {again.code}: {again.said}")
    if differing:
        wrong.append(f"{len(differing)} differ: {', '.join(differing[:NAMES_SHOWN])}")
    return f"killed {when}: {'; '.join(wrong)}" if wrong else ""


def fresh(folder: Path) -> Path:
    """The folder, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


@contextlib.contextmanager
def mirror(folder: Path) -> Iterator[str]:
    """Serve the mask of the catalogue from this machine; yields the address."""
    from napari_vidrecon.sessions.downloading.catalogue import catalogue

    known = catalogue()["mask-m0"]
    file = fresh(folder) / known.repository / "raw" / "master" / known.path
    file.parent.mkdir(parents=True)
    rows, columns = np.mgrid[:64, :64]
    np.save(file, np.where(np.hypot(rows - 32, columns - 32) < 20, 1.2, 0.01) * (1 + rows / 1000) + columns / 1e5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(folder)]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while server.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def private_surroundings(work: Path) -> None:
    """What this machine keeps of a person (state, logs, recent folders) must not be touched."""
    home = fresh(work / "home")
    names = ("HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "VIDRECON_STATE", "TMPDIR")
    os.environ.update(dict.fromkeys(names, str(home)), VIDRECON_LOGS=str(work / "logs"))
    tempfile.tempdir = str(home)


def run_kills(
    verbs: list[Verb],
    kit: Mapping[str, Path | str],
    work: Path,
    kills: int,
    seed: int,
    tell: Callable[[str], None] = print,
) -> dict[str, tuple[int, int]]:
    """Kill verbs in turn.

    Parameters
    ----------
    verbs
        Which.
    kit
        Their inputs.
    work
        A folder for all that is written.
    kills
        In all.
    seed
        Source of chance; the same seed, the same moments.
    tell
        Called with every fault.

    Returns
    -------
    dict
        Kills and faults of each verb.
    """
    place = work / "place"
    turns = [verb for verb in verbs for _ in range(verb.share)]
    known: dict[str, Undisturbed] = {}
    tried: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    for number in range(kills):
        verb = turns[number % len(turns)]
        if verb.name not in known:
            known[verb.name] = undisturbed(verb, kit, place)
        tried[verb.name] += 1
        fault = killed(verb, kit, place, known[verb.name], random.Random(f"{seed}-{number}"))
        if fault:
            faults[verb.name] += 1
            tell(f"FAULT {number} {verb.name}: {fault}")
    return {name: (tried[name], faults[name]) for name in tried}


def _kit(pieces: list[str] | None, folder: Path) -> dict[str, Path]:
    """The inputs; this process computes nothing itself, as torch has no gradients in a fork of one that has."""
    if pieces is None:
        from benchmarks.safety.damage import warm_kit

        return warm_kit(folder)
    import torch

    torch.set_num_threads(1)
    return {name: Path(place) for name, _, place in (piece.partition("=") for piece in pieces)}


def main() -> int:
    """Run the kills and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbs", nargs="*", help="only these")
    parser.add_argument(
        "--kit", nargs="*", metavar="NAME=PLACE", help="pieces of the kit that are there already; no other is made"
    )
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "vidrecon-kills")
    given = parser.parse_args()
    work = given.work.resolve()
    private_surroundings(work)
    kit = _kit(given.kit, work / "kit")
    verbs = [verb for verb in VERBS if not given.verbs or verb.name in given.verbs]
    start = time.monotonic()
    with mirror(work / "server") as address:
        found = run_kills(
            verbs, {**kit, "mirror": address}, work, given.kills, given.seed, lambda line: print(line, flush=True)
        )
    for name, (tried, faults) in found.items():
        print(f"{name:20} {tried:5} killed {faults:5} ended badly")
    total = sum(faults for _, faults in found.values())
    print(f"{sum(tried for tried, _ in found.values())} kills, {total} ended badly, {time.monotonic() - start:.0f} s")
    return int(total > 0)


if __name__ == "__main__":
    raise SystemExit(main())
