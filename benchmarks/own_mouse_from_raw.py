"""From a new seed, or from its raw files, to a fitted mask, by the commands of the README: how well, and how long?

    python benchmarks/own_mouse_from_raw.py --seed 21 --out own_mouse/

Runs `vidrecon simulate`, `train` and `mask`; then writes the same mouse as suite2p and as NWB leave it, and runs
`vidrecon import`, `train` and `mask` on each. Asked for: a single-trial correlation of held-out clips of at least 0.40
from the seed to the mask in at most 15 minutes on two cores, and the same numbers from raw files within noise: the
correlations within 0.01, the masks with an overlap of at least 0.9. Sessions that hold the same bits train the same
bits (a test sees to that), so of two ways to such a session only the first is trained.

Every step is a process of its own whose times are kept in `steps.json`; what is done is not done again, so that the
command can be stopped and repeated, and `--only simulate train` takes some of the steps. Times are measured with as
many threads as the environment allows (OMP_NUM_THREADS=1 for one core). The exit code is 1 where something asked for
is missed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

import napari_vidrecon as vr
from napari_vidrecon.encoders.training.training_run import single_trial_correlation
from napari_vidrecon.sessions.simulation.raw_mouse import RawMouse, raw_place
from napari_vidrecon.sessions.trial_files import STREAMS

RAW_KINDS = ("suite2p", "nwb")
TEST_TIER = "live_test_main"
LEAST_CORRELATION = 0.40
LONGEST_SECONDS = 15 * 60
LARGEST_DIFFERENCE = 0.01
LEAST_OVERLAP = 0.9
TRAINING_THRESHOLD = 0.5


@dataclass(frozen=True)
class Way:
    """One way to a session: simulated, or imported from raw files."""

    folder: Path
    kind: str

    @property
    def session(self) -> Path:
        """The session folder."""
        return self.folder / ("mouse" if self.kind == "simulated" else f"from_{self.kind}")

    @property
    def encoder(self) -> Path:
        """The trained encoder."""
        return self.folder / f"encoder_{self.kind}.safetensors"

    @property
    def mask(self) -> Path:
        """The fitted mask."""
        return self.folder / f"mask_{self.kind}.npy"

    def steps(self, seed: int) -> dict[str, tuple[list[Any], Path]]:
        """The commands of this way in order, each with what it writes."""
        mouse = self.folder / "mouse"
        first: tuple[str, list[Any]] = ("simulate", ["simulate", "--seed", seed, "--out", mouse])
        if self.kind != "simulated":
            first = ("import", ["import", self.kind, raw_place(mouse, self.kind), "--out", self.session])
        return {
            first[0]: (first[1], self.session),
            "train": (["train", self.session, "--out", self.encoder], self.encoder),
            "mask": (["mask", self.session, "--encoder", self.encoder, "--out", self.mask], self.mask),
        }


class Steps:
    """What was run, with its times and answers, kept in a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    @property
    def done(self) -> dict[str, Any]:
        """Every step by its name, as the file has it now: several processes may share it."""
        return json.loads(self.file.read_text()) if self.file.exists() else {}

    @property
    def same(self) -> dict[str, str]:
        """Ways whose sessions hold the same bits as an earlier one, with that one."""
        first: dict[str, str] = {}
        found = {}
        for kind in ("simulated", *RAW_KINDS):
            data = self.done.get("data_sha256", {}).get(kind)
            if data is not None and first.setdefault(data, kind) != kind:
                found[kind] = first[data]
        return found

    def note_data(self, way: Way) -> None:
        """Keep the checksum of a way's session."""
        known = self.done.get("data_sha256", {})
        if way.kind not in known:
            self.keep("data_sha256", known | {way.kind: data_sha256(way.session)})

    def keep(self, name: str, value: Any) -> None:
        """Add to the file."""
        self.file.write_text(json.dumps(self.done | {name: value}, indent=1) + "\n")

    def run(self, name: str, words: list[Any], written: Path) -> None:
        """Run a command, unless it was run before."""
        if name in self.done and written.exists():
            return
        print(f"{name}: vidrecon {' '.join(map(str, words))}", flush=True)
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        command = [sys.executable, "-m", "napari_vidrecon.cli", *map(str, words), "--json"]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        told = json.loads(answer.stdout)
        told.pop("notes", None)
        self.keep(name, {"seconds": time.monotonic() - began, "cpu_seconds": used, "answer": told})


def data_sha256(folder: Path) -> str:
    """Checksum of all that an encoder learns from: every array of every trial, and the tiers."""
    session, digest = vr.open_session(folder), hashlib.sha256()
    digest.update(json.dumps(session.tiers).encode())
    for trial in session.trial_ids:
        for stream in STREAMS:
            digest.update(session.file(stream, trial).read_bytes())
    return digest.hexdigest()


def run_way(way: Way, steps: Steps, arguments: argparse.Namespace) -> None:
    """Run what is not done yet of one way, and of that what was asked for."""
    mouse = arguments.out / "mouse"
    for name, (words, written) in way.steps(arguments.seed).items():
        full_name = f"{way.kind} {name}"
        if arguments.only and full_name not in arguments.only:
            continue
        if written != way.session and way.kind in steps.same:
            print(f"{full_name}: left out, as its session holds the same bits as that from {steps.same[way.kind]}")
            continue
        if name == "import" and not raw_place(mouse, way.kind).exists():
            RawMouse.of(vr.open_session(mouse)).write(way.kind, raw_place(mouse, way.kind))
        steps.run(full_name, words, written)
        if written == way.session:
            steps.note_data(way)


def result_of(way: Way, steps: Steps, reference: vr.AlphaMask) -> dict[str, Any]:
    """What one way led to."""
    mine = {name.partition(" ")[2]: step for name, step in steps.done.items() if name.startswith(f"{way.kind} ")}
    session = vr.open_session(way.session)
    encoder = vr.load_encoder(way.encoder, device="cpu")
    mask = vr.AlphaMask.load(way.mask)
    alpha, other = mask.binary(TRAINING_THRESHOLD), reference.binary(TRAINING_THRESHOLD)
    test = single_trial_correlation(encoder, session, session.trials_in_tier(TEST_TIER))
    return {
        "way": way.kind,
        "neurons": session.n_neurons,
        "seconds": {name: round(step["seconds"], 1) for name, step in mine.items()},
        "cpu_seconds": {name: round(step["cpu_seconds"], 1) for name, step in mine.items()},
        "seconds_in_all": round(sum(step["seconds"] for step in mine.values()), 1),
        "validation_correlation": mine["train"]["answer"]["validation_correlation"],
        "test_correlation": float(np.mean(test)),
        "mask_px": int(alpha.sum()),
        "mask_overlap": float((alpha & other).sum() / max((alpha | other).sum(), 1)),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--out", type=Path, default=Path("own_mouse"))
    parser.add_argument("--kinds", nargs="*", default=list(RAW_KINDS), choices=RAW_KINDS, help="of raw files")
    parser.add_argument("--only", nargs="*", help="some of the steps, e.g. 'nwb train'; no results then")
    arguments = parser.parse_args()
    folder = arguments.out
    folder.mkdir(parents=True, exist_ok=True)
    steps = Steps(folder / "steps.json")
    ways = [Way(folder, kind) for kind in ("simulated", *arguments.kinds)]
    for way in ways:
        run_way(way, steps, arguments)
    if arguments.only:
        return 0
    reference = vr.AlphaMask.load(ways[0].mask)
    results = [result_of(way, steps, reference) for way in ways if way.kind not in steps.same]
    first = results[0]
    kept = {
        "correlation": min(first["validation_correlation"], first["test_correlation"]) >= LEAST_CORRELATION,
        "time": first["seconds_in_all"] <= LONGEST_SECONDS,
        "same_correlations": all(
            abs(each[name] - first[name]) <= LARGEST_DIFFERENCE
            for each in results
            for name in ("validation_correlation", "test_correlation")
        ),
        "same_masks": all(each["mask_overlap"] >= LEAST_OVERLAP for each in results),
    }
    measured = {
        "simulated": True,
        "seed": arguments.seed,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "threads": torch.get_num_threads(),
        "ways": results,
        "same_bits": steps.same,
        "kept": kept,
    }
    text = json.dumps(measured, indent=1)
    (folder / "own_mouse_from_raw.json").write_text(text + "\n")
    print(text)
    return 0 if all(kept.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
