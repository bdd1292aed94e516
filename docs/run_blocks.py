"""Run what the pages show: every `vidrecon` command and every piece of Python, in order, in a folder of its own.

    python docs/run_blocks.py                         # all pages, some minutes
    python docs/run_blocks.py docs/tutorials/*.md

What takes long is made short (a smaller simulated mouse, a few steps); what needs a network, a cluster or a container
is left out and counted. Pages that speak of `my_mouse` get the one that docs/tutorials/own_recording.md makes. The exit
code is 1 where anything failed.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FIRST = ROOT / "docs" / "tutorials" / "own_recording.md"
MADE = ("mouse_suite2p", "my_mouse", "encoder.safetensors", "mask.npy")
"""What it leaves for the other pages."""
SMALL_MOUSE = "--neurons 80 --trials 12 --validation-trials 6 --test-trials 2"
SHORTER = {
    "simulate": SMALL_MOUSE,
    "train": "--steps 40",
    "mask": "--steps 24",
    "reconstruct": "--steps 2",
    "demo": "--headless --steps 2",
    "study": "--dry-run",
}
"""Options that are added to a verb; where one stands twice, the last counts."""
ELSEWHERE = (
    "--scheduler",
    "--mice",
    "/shared/",
    "download",
    "$MOUSE",
    "vidrecon_data/",
    "dynamic29515",
    "bench ",
    "vidrecon live",
    "tcp://",
)
"""Words of commands that need what is not here: a network, a cluster, other people's files."""
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
LONGEST_S = 600


def commands(block: str) -> list[str]:
    """The lines of a shell block, continued ones joined."""
    lines = re.sub(r"\s*\\\n\s*", " ", block).splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def runnable(line: str) -> str | None:
    """A command, made short; None if it cannot or should not be run here."""
    line = re.sub(r"\s+#.*$", "", line)
    words = shlex.split(line)
    if words[:1] != ["vidrecon"] or any(word in line for word in ELSEWHERE):
        return None
    added = SHORTER.get(words[1], "")
    return f"{line} {added}" if added not in line else line


class Scratch:
    """A folder in which the blocks of one page are run, with the sample where a checkout has it."""

    def __init__(self, folder: Path, made: Path | None, page: str) -> None:
        self.folder = folder
        (folder / "sample_data").symlink_to(ROOT / "sample_data")
        for name in MADE if made is not None else ():
            if f"--out {name}" not in page:
                (folder / name).symlink_to(made / name)
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        self.environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}

    def run(self, *words: str) -> tuple[bool, str]:
        """Whether it ended well, and the last of what it said."""
        done = subprocess.run(
            words, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=LONGEST_S, check=False
        )
        return done.returncode == 0, "\n".join((done.stdout + done.stderr).splitlines()[-8:])


def run_page(page: Path, scratch: Scratch) -> tuple[int, int, int]:
    """Run a page's blocks in order; returns how many were run, failed, left out.

    A piece of Python may go on from those before it, so each is run behind them.
    """
    run = failed = left = 0
    before = ""
    for language, block in BLOCK.findall(page.read_text(encoding="utf-8")):
        pieces = [block] if language == "python" else [runnable(line) for line in commands(block)]
        for piece in pieces:
            elsewhere = piece is None or "mice.json" in piece or "SLURM" in piece or (left and "runs/*" in piece)
            if piece is None or elsewhere:
                left += 1
                continue
            began = time.monotonic()
            good, said = scratch.run(
                *([sys.executable, "-c", before + piece] if language == "python" else ["bash", "-c", piece])
            )
            run, failed = run + 1, failed + (not good)
            before += piece + "\n" if language == "python" else ""
            shown = piece.strip().splitlines()[0][:100]
            print(
                f"{'ok    ' if good else 'FAILED'} {time.monotonic() - began:5.1f} s  {page.name}: {shown}", flush=True
            )
            if not good:
                print(said)
    return run, failed, left


def main() -> int:
    """Run them, and say what failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", type=Path, default=PAGES)
    pages = [page.resolve() for page in parser.parse_args().pages]
    counts = [0, 0, 0]
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / FIRST.stem
        for page in [FIRST, *(page for page in pages if page != FIRST)]:
            own = Path(folder) / str(page.relative_to(ROOT)).replace("/", "_") if page != FIRST else made
            own.mkdir()
            text = page.read_text(encoding="utf-8")
            makes_its_own = "vidrecon simulate --seed 21" in text
            found = run_page(page, Scratch(own, None if makes_its_own else made, text))
            counts = [before + now for before, now in zip(counts, found, strict=True)]
    run, failed, left = counts
    print(f"{run} run, {failed} failed, {left} left out (network, cluster, container, measurements)")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
