"""Kill a training at a random moment, again and again: does it resume to the same bits?

    python benchmarks/training_resume.py --architecture compact --times 10
    python benchmarks/training_resume.py --times 6 --processes 2      # two processes at each training

Each round starts a training in a process of its own, kills it (`kill -9`) at a random step, and lets the same command
go on; the encoder must hold the same bits as that of a training that was left alone. One round in two is killed
twice. Prints one line a round, and a summary as JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file

SMALL_RECIPES = {
    "compact": ("features=8", "temporal_kernels=3", "batch_size=4", "cutmix_probability=0.5"),
    "dwiseneuro": (
        *("core_features=8,16", "spatial_strides=4,2", "expansion_ratio=2", "se_reduce_ratio=4"),
        *("cortex_features=32", "batch_size=4"),
    ),
    "factorised": (
        "channels=4,4",
        "spatial_kernels=5,3",
        "temporal_kernels=3,3",
        "spatial_strides=4,1",
        "batch_size=4",
    ),
}
SMALL_MOUSE = ("--neurons", "60", "--trials", "8", "--validation-trials", "2", "--test-trials", "0", "--frames", "90")
SAVE_EVERY_SECONDS = 0.2
LONGEST_SECONDS = 600.0
LAST_SHARE = 0.3


def command(session: Path, out: Path, architecture: str, steps: int, processes: int = 1) -> list[str]:
    """The training as a command."""
    settings = [word for setting in SMALL_RECIPES[architecture] for word in ("--recipe", setting)]
    words = ["train", session, "--out", out, "--architecture", architecture, *settings, "--steps", steps]
    words += ["--save-every", SAVE_EVERY_SECONDS, "--device", "cpu", "--processes", processes, "--json"]
    return [sys.executable, "-m", "napari_vidrecon.cli", *map(str, words)]


def run(words: list[str]) -> None:
    """Run a command to its end."""
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def simulated(folder: Path) -> Path:
    """A small simulated mouse."""
    run([sys.executable, "-m", "napari_vidrecon.cli", "simulate", "--out", str(folder), *SMALL_MOUSE])
    return folder


def last_losses(encoder: Path) -> float:
    """Mean loss of the last steps of an encoder's training."""
    curve = np.genfromtxt(encoder.with_suffix(".curve.csv"), delimiter=",", names=True)["loss"]
    return float(curve[-max(int(LAST_SHARE * len(curve)), 1) :].mean())


def steps_done(checkpoint: Path) -> int:
    """Steps in a checkpoint; 0 where there is none."""
    if not checkpoint.exists():
        return 0
    with safe_open(str(checkpoint), framework="pt") as file:
        return int(json.loads(file.metadata()["vidrecon"])["step"])


def kill_at(words: list[str], checkpoint: Path, step: int) -> int:
    """Start the training and kill it once its checkpoint holds `step` steps; returns those of the checkpoint left."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + LONGEST_SECONDS
    while process.poll() is None and steps_done(checkpoint) < step and time.monotonic() < deadline:
        time.sleep(0.005)
    # A moment more, so that the kill may fall anywhere, also while the next checkpoint is written.
    time.sleep(random.uniform(0.0, 2 * SAVE_EVERY_SECONDS))
    process.send_signal(signal.SIGKILL)
    process.wait()
    return steps_done(checkpoint)


def same_bits(first: Path, second: Path) -> bool:
    """Whether two encoders hold the same weights, bit by bit."""
    one, other = load_file(first), load_file(second)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--session", type=Path, help="default: a small simulated mouse")
    parser.add_argument("--architecture", default="compact", choices=SMALL_RECIPES)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--processes", type=int, default=1, help="that share the training; its loss is compared, too")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        session = arguments.session or simulated(Path(folder) / "mouse")
        whole = Path(folder) / "whole.safetensors"
        run(command(session, whole, arguments.architecture, arguments.steps, arguments.processes))
        losses = {arguments.processes: last_losses(whole)}
        if arguments.processes > 1:
            alone = Path(folder) / "alone.safetensors"
            run(command(session, alone, arguments.architecture, arguments.steps))
            losses[1] = last_losses(alone)
            print(f"mean loss of the last {LAST_SHARE:.0%} of steps, by processes: {losses}", flush=True)
        good, rounds = 0, []
        for number in range(arguments.times):
            killed = Path(folder) / f"killed_{number}.safetensors"
            checkpoint = killed.with_name(f"{killed.stem}.training.safetensors")
            words = command(session, killed, arguments.architecture, arguments.steps, arguments.processes)
            left = []
            for _ in range(1 + number % 2):
                now = left[-1] if left else 0
                left.append(kill_at(words, checkpoint, random.randint(now + 1, max(now + 1, arguments.steps * 3 // 4))))
                if killed.exists():
                    break
            unfinished = not killed.exists()
            if unfinished:
                run(words)
            same = same_bits(whole, killed)
            good += same and unfinished
            rounds.append({"killed_with_steps_saved": left, "killed_in_time": unfinished, "same_bits": same})
            print(
                f"round {number + 1}: killed with {left} of {arguments.steps} steps saved, same bits: {same}",
                flush=True,
            )
    print(
        json.dumps(
            {
                "architecture": arguments.architecture,
                "processes": arguments.processes,
                "losses": losses,
                "same_bits": good,
                "of": arguments.times,
                "rounds": rounds,
            }
        )
    )
    return 0 if good == arguments.times else 1


if __name__ == "__main__":
    sys.exit(main())
