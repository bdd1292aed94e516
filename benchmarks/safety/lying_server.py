"""A server that lies, in every way of a table, and what comes of it: one line each, and a bad ending is exit code 1.

    python -m benchmarks.safety.lying_server

A way ends well if the command either brings the sound file or refuses in one line with exit code 2; if nothing is
written outside the folder of downloads; if it takes less than 10 s (the patience of the command is shortened to 1 s);
and if the sound file is accepted afterwards, so that no checksum of anything else was recorded.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import multiprocessing
import queue
import sys
import tempfile
import time
import traceback
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# Loaded before processes branch off, so that their times are the download's.
import napari_vidrecon.encoders.checkpoints  # noqa: F401
import napari_vidrecon.reconstruction.masks  # noqa: F401
from benchmarks.safety.lies import LyingServer, lying
from benchmarks.safety.lying_ways import TRANSPORT, Way
from benchmarks.safety.lying_zips import ZIPS
from napari_vidrecon.cli import main as vidrecon
from napari_vidrecon.sessions.downloading import answers, resuming
from napari_vidrecon.sessions.downloading.catalogue import PublicFile, catalogue
from napari_vidrecon.sessions.metadata import LICENCE_FILE

WAYS: tuple[Way, ...] = TRANSPORT + ZIPS
PUBLIC = {"mask": "mask-m0", "mouse": "dynamic29515-10-12", "weights": "weights-fold0"}
SHORT_WINDOW_S = 1.0
HANG_S = 10.0
WEIGHTS = Path(__file__).parents[2] / "tests" / "golden" / "checkpoints" / "fold_0-model-017-0.292118.pth"
INPUT_AT_FAULT = 2


@dataclass(frozen=True)
class Ending:
    """How one way ended.

    Parameters
    ----------
    fault
        What was wrong; empty if it ended well.
    came
        What came of it, for people.
    seconds
        How long the lie took.
    """

    fault: str
    came: str
    seconds: float


def sound_things() -> dict[str, bytes]:
    """The sound mask, weights and mouse."""
    mask = io.BytesIO()
    rows, columns = np.mgrid[:64, :64]
    np.save(mask, np.where(np.hypot(rows - 32, columns - 32) < 20, 1.2, 0.01) * (1 + rows / 1000) + columns / 1e5)
    assert len(mask.getvalue()) == 64 * 64 * 8 + 128
    return {"mask": mask.getvalue(), "weights": WEIGHTS.read_bytes(), "mouse": _mouse()}


def _mouse(trials: int = 2, neurons: int = 8, frames: int = 60) -> bytes:
    """A session of noise, zipped as the public ones are."""
    chance = np.random.default_rng(1)
    arrays: dict[str, np.ndarray] = {
        "meta/trials/tiers": np.array(["train", "oracle"][:trials]),
        "meta/neurons/unit_ids": np.arange(neurons),
        "meta/neurons/cell_motor_coordinates": chance.integers(0, 600, (neurons, 3)),
    }
    for trial in range(trials):
        arrays[f"data/videos/{trial}"] = np.floor(chance.uniform(0, 256, (36, 64, frames))).astype(np.float32)
        arrays[f"data/responses/{trial}"] = chance.gamma(0.5, 6.0, (neurons, frames)).astype(np.float32)
        for name in ("behavior", "pupil_center"):
            arrays[f"data/{name}/{trial}"] = chance.uniform(1, 9, (2, frames)).astype(np.float32)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, values in arrays.items():
            array = io.BytesIO()
            np.save(array, values)
            packed.writestr(f"m/{name}.npy", array.getvalue())
    return buffer.getvalue()


def place_of(file: PublicFile) -> str:
    """Path of a file on its server."""
    return f"/{file.repository}/raw/master/{file.path}"


def one_way(way: Way, things: dict[str, bytes], folder: Path) -> Ending:
    """Download from a server that lies, then from the same one when it is honest.

    Parameters
    ----------
    way
        How it lies.
    things
        What is sound, from `sound_things`.
    folder
        An empty folder of this way alone; `data` in it is the folder of downloads.
    """
    known = catalogue()[PUBLIC[way.thing]]
    with lying({place_of(known): things[way.thing]}) as server:
        server.lie, server.lie_of_licences = way.lie, way.licences
        start = time.monotonic()
        code, text = _command(known, folder, way.mirror.format(port=server.port))
        seconds = time.monotonic() - start
        said = (text.strip().splitlines() or [""])[-1]
        if code == 0:
            fault = _fault_of_success(way, known, things, folder)
        else:
            fault = _fault_of_refusal(code, text, known, folder)
        if not fault and seconds > HANG_S:
            fault = f"hangs: {seconds:.0f} s"
        fault = fault or _afterwards(way, known, things, folder, server)
    outside = [each.name for each in folder.iterdir() if each.name != "data"]
    if outside and not fault:
        fault = f"wrote outside: {outside}"
    return Ending(fault, "whole" if code == 0 else said, seconds)


def _command(known: PublicFile, folder: Path, mirror: str) -> tuple[int, str]:
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        try:
            code = vidrecon(["download", known.name, "--out", str(folder / "data"), "--mirror", mirror])
        except BaseException:  # noqa: BLE001  # this is what it looks for
            return 1, traceback.format_exc()
    return code, stderr.getvalue()


def _is_sound(way: Way, known: PublicFile, things: dict[str, bytes], folder: Path) -> bool:
    target = folder / "data" / known.goes_to
    if way.thing != "mouse":
        return target.is_file() and target.read_bytes() == things[way.thing]
    with zipfile.ZipFile(io.BytesIO(things["mouse"])) as packed:
        members = {name.partition("/")[2]: packed.read(name) for name in packed.namelist()}
    found = {str(each.relative_to(target)): each.read_bytes() for each in target.rglob("*") if each.is_file()}
    # What its owners say of its use is kept with it.
    found.pop(LICENCE_FILE, None)
    return found == members


def _fault_of_success(way: Way, known: PublicFile, things: dict[str, bytes], folder: Path) -> str:
    if not _is_sound(way, known, things, folder):
        return "something else counts as whole"
    return "" if way.may_succeed else "was believed"


def _fault_of_refusal(code: int, text: str, known: PublicFile, folder: Path) -> str:
    lines = [line for line in text.splitlines() if line.startswith("vidrecon: ")]
    if code != INPUT_AT_FAULT or "Traceback" in text or "fault" in text.partition("vidrecon: ")[0]:
        return f"exit code {code}: {text.strip()[-300:]}"
    if len(lines) != 1 or not lines[0].isprintable():
        return f"not one line: {text.strip()[-300:]!r}"
    if "expected" not in lines[0]:
        return f"does not say what was expected: {lines[0]}"
    if (folder / "data" / known.goes_to).exists():
        return "refused, and is there"
    return "a checksum was recorded" if (folder / "data" / "downloads.json").exists() else ""


def _afterwards(way: Way, known: PublicFile, things: dict[str, bytes], folder: Path, server: LyingServer) -> str:
    """Whether the sound file is taken after the lie, and nothing but it is left."""
    server.lie, server.lie_of_licences = (lambda talk: talk.honest()), None
    code, text = _command(known, folder, f"http://127.0.0.1:{server.port}")
    if code != 0:
        return f"the sound file is refused afterwards: {text.strip()[-300:]}"
    if not _is_sound(way, known, things, folder):
        return "something else lies there afterwards"
    recorded = json.loads((folder / "data" / "downloads.json").read_text(encoding="utf-8")).values()
    right = hashlib.sha256(things[way.thing]).hexdigest()
    if any(each["sha256"] != right for each in recorded):
        return "another checksum is recorded"
    target = folder / "data" / known.goes_to
    others = [each.name for each in target.parent.iterdir() if each != target]
    return f"left behind: {others}" if others else ""


def _in_process(way: Way, things: dict[str, bytes], told: Any) -> None:
    answers.WINDOW_S, resuming.PAUSE_S = SHORT_WINDOW_S, 0.05
    with tempfile.TemporaryDirectory(prefix="vidrecon-lies-") as folder:
        told.put(one_way(way, things, Path(folder)))


def tried(way: Way, things: dict[str, bytes]) -> Ending:
    """One way in a process of its own, which may not take long."""
    fork = multiprocessing.get_context("fork")
    told: Any = fork.Queue()
    process = fork.Process(target=_in_process, args=(way, things, told))
    process.start()
    try:
        ending = told.get(timeout=3 * HANG_S)
    except queue.Empty:
        ending = Ending("hangs, or died", "", 3 * HANG_S)
        process.kill()
    process.join()
    return ending


def main() -> int:
    """Print a table of ways; 1 if one ended badly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only ways whose name holds one of these")
    chosen = parser.parse_args().words
    things = sound_things()
    ways = [way for way in WAYS if not chosen or any(word in way.name for word in chosen)]
    bad = 0
    for way in ways:
        ending = tried(way, things)
        bad += bool(ending.fault)
        verdict = f"BAD  {ending.fault}" if ending.fault else "well"
        print(f"{way.name:45.45} | {ending.came[:110]:110} | {ending.seconds:5.1f} s | {verdict}", flush=True)
    print(f"{len(ways)} ways, {bad} ended badly")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
