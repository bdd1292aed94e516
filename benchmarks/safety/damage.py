"""Damaged and hostile files of every format through every reader: no traceback, no hang, no memory, no writing outside.

    python -m benchmarks.safety.damage --seeds 5 --cases 1000

A case damages one copy of a sound input (`damages.py`) and opens it by one door (`readers.py`) in a process of its own.
It ends well if it is opened or refused in one line within 10 s, with at most 1 GiB of memory above the file's size,
without writing anything outside its own folder and without running anything. The exit code is 1 if any case does not.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import os
import pkgutil
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import torch

import napari_vidrecon
from benchmarks.safety.damages import damaged
from benchmarks.safety.kit import make_kit
from benchmarks.safety.readers import READERS, Reader
from benchmarks.safety.watching import Ending, watched

ROOT = Path(__file__).parents[2]
CASES_A_WORD = 100


def size_of(path: Path) -> int:
    """Bytes of a file, or of all in a folder; links count nothing."""
    files = [path] if path.is_file() else path.rglob("*")
    return sum(each.lstat().st_size for each in files if each.is_file() and not each.is_symlink())


def one_case(reader: Reader, kit: dict[str, Path], seed: str, folder: Path) -> tuple[str, Ending]:
    """Damage a copy of what the reader opens, in an empty folder, and open it.

    Parameters
    ----------
    reader
        The door.
    kit
        The sound inputs.
    seed
        Source of chance; the same seed makes the same damage.
    folder
        A folder of this case alone.

    Returns
    -------
    tuple
        What was done to it, and how it ended.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    sound = kit[reader.kind]
    # Runs and checkpoints are found by their names, so these stay.
    copy = folder / (Path("part") / sound.name if reader.kind == "part" else Path(sound.name))
    if reader.kind == "ledger":
        copy = folder / "data" / sound.name
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(sound, copy) if sound.is_dir() else shutil.copy(sound, copy)
    how = damaged(copy, random.Random(seed))
    ending = watched(
        lambda: reader.call({**kit, reader.kind: copy}),
        folder=folder,
        allowed=_allowed(folder),
        size_bytes=size_of(copy),
    )
    return how, ending


def warm_kit(folder: Path) -> dict[str, Path]:
    """The sound inputs, and this process with everything imported that its forks will use.

    Torch's gradients do not work in a fork of a process that has used them, so the kit is made in another one.
    """
    make = f"from pathlib import Path; from benchmarks.safety.kit import make_kit; make_kit(Path({str(folder)!r}))"
    subprocess.run([sys.executable, "-c", make], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    torch.set_num_threads(1)
    for module in pkgutil.walk_packages(napari_vidrecon.__path__, "napari_vidrecon."):
        if not module.name.startswith(("napari_vidrecon.viewer", "napari_vidrecon.cli.__main__")):
            # What needs a package that is not installed here is no door here.
            with contextlib.suppress(ModuleNotFoundError):
                importlib.import_module(module.name)
    return make_kit(folder)


def _allowed(folder: Path) -> list[Path]:
    return [folder, Path(tempfile.gettempdir())]


def main() -> int:
    """Run the cases and print what ended badly, and a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=1000, help="a seed")
    parser.add_argument("--kinds", nargs="*", help="only these pieces of the kit")
    parser.add_argument("--case", help="one case again: its seed as printed, and the reader by --reader")
    parser.add_argument("--reader", help="only the reader of this name")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "vidrecon-damage")
    given = parser.parse_args()
    # What the machine keeps of a person (state, logs, recent folders) must not be touched.
    home = str(_fresh(given.work.resolve() / "home"))
    places = (
        "HOME",
        "XDG_STATE_HOME",
        "XDG_CACHE_HOME",
        "XDG_DATA_HOME",
        "XDG_CONFIG_HOME",
        "VIDRECON_STATE",
        "TMPDIR",
    )
    os.environ.update(dict.fromkeys(places, home))
    tempfile.tempdir = home
    kit = warm_kit(given.work / "kit")
    readers = [each for each in READERS if not given.kinds or each.kind in given.kinds]
    readers = [each for each in readers if given.reader in (None, each.name)]
    for reader in readers:
        call = functools.partial(reader.call, kit)
        ending = watched(call, folder=_fresh(given.work / "sound"), allowed=_allowed(given.work), size_bytes=0)
        if ending.fault:
            print(f"SOUND INPUT {reader.kind} {reader.name}: {ending.fault} | {ending.said}")
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    cases = [(f"{seed}-{case}", readers[case % len(readers)]) for seed in seeds for case in range(given.cases)]
    if given.case:
        cases = [(given.case, reader) for reader in readers]
    tried: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    slowest, most = 0.0, 0
    for seed, reader in cases:
        how, ending = one_case(reader, kit, f"{seed}", given.work / "case")
        tried[reader.kind] += 1
        slowest, most = max(slowest, ending.seconds), max(most, ending.memory_bytes)
        if ending.fault or given.case:
            faults[reader.kind] += bool(ending.fault)
            name = f"{seed} {reader.kind} {reader.name!r} [{how}]"
            print(f"{'FAULT' if ending.fault else 'well'} {name}: {ending.fault} | {ending.said}", flush=True)
        if tried.total() % CASES_A_WORD == 0:
            print(f"{tried.total()} of {len(cases)} tried, {faults.total()} ended badly", flush=True)
    for kind in tried:
        print(f"{kind:12} {tried[kind]:6} tried {faults[kind]:6} ended badly")
    print(f"{sum(tried.values())} tried, {sum(faults.values())} ended badly")
    print(f"slowest {slowest:.1f} s, most memory {most / 2**20:.0f} MiB")
    return int(sum(faults.values()) > 0)


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    raise SystemExit(main())
