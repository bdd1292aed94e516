"""Verbs in every surrounding of `places.py`: a sound result, or one line and nothing written.

    python benchmarks/safety/surroundings.py

A case is one verb in one surrounding. It ends well with exit code 0 and the result of ordinary surroundings, or with
exit code 2 (or that of the signal that stopped it) and one line on stderr, with its folder and its inputs as they were;
within a minute, and never with a traceback. Surroundings that this machine does not let anybody make are named. The
exit code is 1 if a case ends badly.
"""

# ruff: noqa: E402  # a script finds the package of benchmarks only once it knows where it lies

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from benchmarks.safety.contents import contents
from benchmarks.safety.kills import fresh, mirror, private_surroundings, undisturbed
from benchmarks.safety.places import SURROUNDINGS, CannotBeMade, Surrounding
from benchmarks.safety.verbs import VERBS, Verb
from napari_vidrecon.cli import main as vidrecon

PATIENCE_S = 60.0
ALWAYS = ("mask", "import arrays", "import suite2p", "import nwb")
"""One of these meets every surrounding."""
QUICK = ("predict", "convert encoder", "export table", "simulate", "import arrays", "decoder", "export figure", "train")
"""For surroundings that need an interpreter of their own, which takes seconds to start."""
VERBS_EACH, VERBS_EACH_PROCESS = 4, 2
INPUT_AT_FAULT = 2
SIGNAL_EXIT_CODE = 128
NAMES_SHOWN = 4
PROGRESS = re.compile(r"[\w ,-]+: (\d+ of \d+ |going on from |finishing )|vidrecon: finishing ")
UNREAD = 1
OTHER = "another result"
MOST_SAID_BYTES = 1 << 20


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code, below 0 the signal's number; stderr; seconds."""

    code: int
    said: str
    seconds: float


def in_fork(words: list[str], place: Path, surrounding: Surrounding) -> Ended:
    """Run a command in a fork of this process."""
    reading, writing = os.pipe()
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        code = 99
        try:
            os.chdir(place)
            os.dup2(writing, 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.closerange(3, 256)
            sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
            sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
            if surrounding.before is not None:
                surrounding.before()
            code = vidrecon(words)
            sys.stderr.flush()
        finally:
            os._exit(code)
    os.close(writing)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() - start > PATIENCE_S:
            os.kill(child, 9)
            status = os.waitpid(child, 0)[1]
            break
        time.sleep(0.002)
    os.set_blocking(reading, False)
    try:
        said = os.read(reading, MOST_SAID_BYTES).decode("utf-8", "replace")
    except BlockingIOError:
        said = ""
    os.close(reading)
    code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    return Ended(code, said, time.monotonic() - start)


def in_process(words: list[str], place: Path, surrounding: Surrounding) -> Ended:
    """Run a command in an interpreter of its own."""
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    for name, value in surrounding.variables.items():
        variables.pop(name, None)
        if value is not None:
            variables[name] = value
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "napari_vidrecon.cli", *words],
        cwd=place,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=surrounding.before,
        errors="replace",
    )
    try:
        if surrounding.signal is not None:
            number, after = surrounding.signal
            try:
                said = process.communicate(timeout=after)[1]
            except subprocess.TimeoutExpired:
                process.send_signal(number)
                said = process.communicate(timeout=PATIENCE_S)[1]
        else:
            said = process.communicate(timeout=PATIENCE_S)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        said = process.communicate()[1]
    return Ended(process.returncode, said, time.monotonic() - start)


def listed(folder: Path) -> dict[str, str]:
    """What is in a folder, read where it can be; a pipe or a link is only named."""
    return contents(folder) if folder.is_dir() else {}


def one_case(
    verb: Verb, surrounding: Surrounding, kit: Mapping[str, Path | str], work: Path, expected: dict[str, str]
) -> str:
    """Run a verb in a surrounding.

    Parameters
    ----------
    verb, surrounding
        Which.
    kit
        The verb's inputs.
    work
        Folder of the harness.
    expected
        Contents of the folder after the verb in ordinary surroundings.

    Returns
    -------
    str
        What is wrong with how it ended; empty if nothing is.

    Raises
    ------
    CannotBeMade
        This machine does not allow these surroundings.
    """
    place = fresh(work / "place")
    words = verb.command(kit)
    out = verb.out
    if surrounding.out is not None:
        pieces = [word[1:-1] for word in verb.words if word[1:-1] in kit and word[:1] == "{"]
        piece = pieces[0] if pieces else "session"
        out = surrounding.out(place, verb.out).replace("{input}", str(kit[piece]))
        words = [out if word == verb.out else word for word in words]
    if surrounding.around is None:
        return _judged(verb, surrounding, words, out, kit, place, expected)
    with surrounding.around(place):
        return _judged(verb, surrounding, words, out, kit, place, expected)


def _judged(
    verb: Verb,
    surrounding: Surrounding,
    words: list[str],
    out: str,
    kit: Mapping[str, Path | str],
    place: Path,
    expected: dict[str, str],
) -> str:
    before, inputs = listed(place), _stamps(kit)
    ended = (in_process if surrounding.whole_process else in_fork)(words, place, surrounding)
    after = listed(place)
    faults = []
    lines = [line for line in ended.said.splitlines() if line.strip() and not PROGRESS.match(line)]
    if "Traceback" in ended.said or "fault of the program" in ended.said:
        faults.append(f"unexpected: {lines[-1][:300]}")
    if ended.seconds > PATIENCE_S:
        faults.append("hangs")
    there = _stamps(kit)
    if any(there.get(name) != stamp for name, stamp in inputs.items()):
        faults.append("changed its inputs")
    stopped = surrounding.signal is not None and ended.code in (
        SIGNAL_EXIT_CODE + surrounding.signal[0],
        # Before Python has come to the first line of ours.
        -surrounding.signal[0],
    )
    unread = "nobody reads stdout" in surrounding.name and ended.code == UNREAD
    if ended.code == 0 or unread:
        unlike = _unlike(verb, out, place, expected)
        faults += [] if surrounding.other_sums and unlike == [OTHER] else unlike
    elif ended.code == INPUT_AT_FAULT or stopped:
        told = surrounding.name not in ("stderr closed", "all streams closed", "stderr full", "nobody reads stderr")
        if ended.code >= 0 and told and (len(lines) != 1 or not lines[0].startswith("vidrecon: ")):
            faults.append(f"{len(lines)} lines: {' | '.join(lines)[:400]}")
        kept = {name for name in after if verb.name == "mask" and name.endswith("partial.npy")} if stopped else set()
        changed = sorted(name for name in {*after, *before} - kept if after.get(name) != before.get(name))
        # What can be gone on from is kept and named; where only the answer found no room, the result is there.
        meant = "what is done is kept" in ended.said
        # A signal may come between the last move and the end of the process.
        whole = surrounding.name == "stdout full" or stopped
        meant = meant or (whole and not _unlike(verb, out, place, expected))
        if changed and place.is_dir() and not meant:
            faults.append(f"left or changed {', '.join(changed[:NAMES_SHOWN])} | {lines[-1:]}")
    else:
        faults.append(f"exit code {ended.code}: {lines[-1:]}")
    for name in there.keys() - inputs.keys():
        # What was to be written inside of its input is there, and must not be an input of the next case.
        Path(name).unlink()
    return "; ".join(faults)


def _unlike(verb: Verb, out: str, place: Path, expected: dict[str, str]) -> list[str]:
    """What is written against what ordinary surroundings lead to."""
    # ~/ is home, wherever a shell leaves it.
    written = place / (Path(out).expanduser() if out.startswith("~/") else out)
    if any(name.startswith((".vidrecon", "runs/.vidrecon")) for name in listed(place)):
        return ["leaves litter"]
    wanted = {name: digest for name, digest in expected.items() if name == verb.out or name.startswith(f"{verb.out}/")}
    try:
        if written.is_file():
            (found,) = {contents(written.resolve().parent)[written.resolve().name]}
            return [] if found == wanted[verb.out] else [OTHER]
        if written.is_dir():
            inside = {f"{verb.out}/{name}": digest for name, digest in contents(written).items()}
            missing = [name for name, digest in wanted.items() if name != verb.out and inside.get(name) != digest]
            return [f"another result: {', '.join(missing[:NAMES_SHOWN])}"] if missing else []
    except (OSError, ValueError, KeyError) as error:
        return [f"its result cannot be looked at: {error}"]
    return ["exit code 0 and no result"]


def _stamps(kit: Mapping[str, Path | str]) -> dict[str, tuple[int, int]]:
    files = [
        file
        for piece in kit.values()
        if isinstance(piece, Path)
        for file in ([piece] if piece.is_file() else piece.rglob("*"))
        if not file.is_dir()
    ]
    return {str(file): (file.lstat().st_size, file.lstat().st_mtime_ns) for file in files}


def chosen_verbs(number: int, surrounding: Surrounding, verbs: list[Verb]) -> list[Verb]:
    """The verbs that meet a surrounding: others for each, in turn, and always import or mask."""
    always = [verb for verb in verbs if verb.name in ALWAYS]
    others = [verb for verb in verbs if verb not in always and verb.share]
    if surrounding.whole_process:
        others = [verb for verb in verbs if verb.name in QUICK and verb not in always]
        others = [verb for verb in others if surrounding.signal is None or verb.name != "train"]
    if surrounding.out is not None:
        # What takes a folder of several things goes into one that is there.
        others = [verb for verb in others if verb.out not in ("runs", "data", "studies")]
    count = VERBS_EACH_PROCESS if surrounding.whole_process else VERBS_EACH
    first = [always[number % len(always)]] if always else []
    rest = [others[(number * count + step) % len(others)] for step in range(min(count - 1, len(others)))]
    return list(dict.fromkeys([*first, *rest]))


def main() -> int:
    """Run the cases and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", help="only surroundings with one of these words in their name")
    parser.add_argument("--verbs", nargs="*", help="only these")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "vidrecon-surroundings")
    given = parser.parse_args()
    work = given.work.resolve()
    private_surroundings(work)
    from benchmarks.safety.damage import warm_kit

    start = time.monotonic()
    kit: dict[str, Path | str] = dict(warm_kit(work / "kit"))
    verbs = [verb for verb in VERBS if not given.verbs or verb.name in given.verbs]
    tried: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    skipped: dict[str, str] = {}
    with mirror(work / "server") as address:
        kit["mirror"] = address
        usual = {verb.name: undisturbed(verb, kit, work / "place").left for verb in verbs}
        for number, surrounding in enumerate(SURROUNDINGS):
            if given.only and not any(word in surrounding.name for word in given.only):
                continue
            for verb in chosen_verbs(number, surrounding, verbs):
                try:
                    fault = one_case(verb, surrounding, kit, work, usual[verb.name])
                except CannotBeMade as reason:
                    skipped[surrounding.name] = str(reason)
                    break
                tried[surrounding.name] += 1
                if fault:
                    faults[surrounding.name] += 1
                    print(f"FAULT {surrounding.name} / {verb.name}: {fault}", flush=True)
    for name in tried:
        print(f"{name:42} {tried[name]:4} tried {faults[name]:4} ended badly")
    for name, reason in skipped.items():
        print(f"{name:42} cannot be made: {reason}")
    total = sum(faults.values())
    print(
        f"{len(tried)} surroundings, {sum(tried.values())} cases, {total} ended badly, {len(skipped)} surroundings "
        f"not made, {time.monotonic() - start:.0f} s"
    )
    return int(total > 0)


if __name__ == "__main__":
    raise SystemExit(main())
