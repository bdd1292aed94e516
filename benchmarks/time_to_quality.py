"""Windows and seconds until a reconstruction reaches 95 % of the best correlation the first variant reaches.

    python benchmarks/time_to_quality.py --out quality.json                                   # the sample
    python benchmarks/time_to_quality.py --session DIR --encoder FILE --mask FILE --trials 0,1,2 \\
        --variants paper,fast,quick=fast --set quick.steps=30 --set quick.update.learning_rate=3000 --out quality.json
    python benchmarks/time_to_quality.py --print quality.json

A variant is a preset, or NAME=PRESET with changes by `--set NAME.field=value`. The variants of a clip run one
step each in turn in one process; their correlation with the true movie (alpha >= 1, single noisy trial) is
measured after every step, outside the clock. `--session`, `--encoder` and `--mask` may be repeated, one of each a
mouse. The file is rewritten after every clip, and a clip that was done is not done again with the same settings.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

import napari_vidrecon as vr
from benchmarks.speed.quality import UNMEASURED_ENDS, Approach, approach_truth, compare_costs
from napari_vidrecon.cli.options import parse_settings
from napari_vidrecon.encoders.window_encoder import WindowEncoder
from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.config import PRESETS
from napari_vidrecon.sessions.sample import SAMPLE_TEST_TIER, find_sample
from napari_vidrecon.sessions.session import Session


def build_variants(names: Sequence[str], changes: Sequence[str]) -> dict[str, vr.ReconstructionConfig]:
    """Settings of every variant: `names` are PRESET or NAME=PRESET, `changes` NAME.field=value."""
    presets = {name: preset or name for name, _, preset in (each.partition("=") for each in names)}
    own: dict[str, list[str]] = {name: [] for name in presets}
    for change in changes:
        name, dot, pair = change.partition(".")
        if not dot or name not in own:
            raise ConfigError(f"--set {change}: expected NAME.field=value with NAME one of {', '.join(own)}")
        own[name].append(pair)
    return {
        name: vr.ReconstructionConfig.preset(preset, **parse_settings("--set", own[name], vr.ReconstructionConfig))
        for name, preset in presets.items()
    }


def mice(arguments: argparse.Namespace) -> Iterator[tuple[Session, WindowEncoder, vr.AlphaMask, list[int]]]:
    """Session, encoder, mask and clips of every mouse asked for; the sample's if none was."""
    sessions, encoders, masks = arguments.session, arguments.encoder, arguments.mask
    if not sessions:
        sample = find_sample()
        sessions, encoders, masks = [sample.session], encoders or [sample.encoders[0]], masks or [sample.mask]
    if not len(sessions) == len(encoders) == len(masks):
        raise ConfigError(
            f"expected as many --encoder and --mask as --session, found {len(encoders)}, {len(masks)}, {len(sessions)}"
        )
    for folder, file, mask in zip(sessions, encoders, masks, strict=True):
        session = vr.open_session(folder)
        encoder = vr.load_encoder(file, device=arguments.device, neurons=session.n_neurons)
        ids = arguments.trials or session.trials_in_tier(arguments.tier)
        yield session, encoder, vr.AlphaMask.load(mask), ids


def run(arguments: argparse.Namespace, variants: dict[str, vr.ReconstructionConfig]) -> dict[str, Any]:
    """Measure every clip of every mouse; the file is rewritten after each."""
    first, last = arguments.first_frame, arguments.first_frame + arguments.frames
    settings = {
        "variants": {name: config.model_dump() for name, config in variants.items()},
        "frames": [first, last],
        "target": arguments.target,
        "threads": torch.get_num_threads(),
        "unmeasured": list(UNMEASURED_ENDS),
    }
    stored: dict[str, Any] = {"settings": settings, "clips": {}}
    if arguments.out.exists():
        found = json.loads(arguments.out.read_text())
        if found["settings"] != settings:
            raise ConfigError(f"{arguments.out}: was made with other settings; choose another --out")
        stored = found
    for session, encoder, mask, ids in mice(arguments):
        for trial_id in ids:
            key = f"{session.name}/{encoder.spec.sha256[:12]}/{trial_id}"
            if key in stored["clips"]:
                continue
            began = time.perf_counter()
            trial = session.trial(trial_id).part(first, last)
            approaches = approach_truth(trial, [encoder], mask, variants, target=arguments.target)
            stored["clips"][key] = {name: vars(approach) for name, approach in approaches.items()}
            arguments.out.write_text(json.dumps(stored))
            bests = ", ".join(f"{name} {approach.best:.3f}" for name, approach in approaches.items())
            print(f"{key}: best {bests} ({time.perf_counter() - began:.0f} s)", flush=True)
    return stored


def table(stored: dict[str, Any], measure: str) -> str:
    """Means over clips, one row a variant; the first variant sets the level."""
    clips = [{name: Approach(**each) for name, each in clip.items()} for clip in stored["clips"].values()]
    reference = next(iter(stored["settings"]["variants"]))
    ratios = f"{reference}'s windows / its (mean; median; least) | the same for seconds"
    rows = [
        f"| {measure}, {len(clips)} clips | best | final | reached | steps | windows | seconds | {ratios} |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in compare_costs(clips, reference, measure).items():
        cells = [name, f"{row['best']:.3f}", f"{row['final']:.3f}", f"{row['reached']} of {row['clips']}"]
        cells += ["-" if row[kind] is None else f"{row[kind]:.1f}" for kind in ("steps", "windows", "seconds")]
        for kind in ("windows_ratio", "seconds_ratio"):
            cells.append("; ".join(f"{row[kind + end]:.2f}" for end in ("", "_median", "_least")))
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def numbers(text: str) -> list[int]:
    """Whole numbers separated by commas."""
    return [int(word) for word in text.split(",")]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--session", type=Path, action="append", default=[], help="default: the sample")
    parser.add_argument("--encoder", type=Path, action="append", default=[])
    parser.add_argument("--mask", type=Path, action="append", default=[])
    parser.add_argument("--trials", type=numbers, help="clips by number, e.g. 0,1,2")
    parser.add_argument("--tier", default=SAMPLE_TEST_TIER, help="all clips of a tier")
    parser.add_argument("--frames", type=int, default=64, help="length of the part of each clip")
    parser.add_argument("--first-frame", type=int, default=30, help="where that part begins")
    parser.add_argument("--target", default="recorded", choices=("recorded", "predicted"))
    parser.add_argument("--variants", "--presets", default=",".join(PRESETS), help="PRESET or NAME=PRESET, by commas")
    parser.add_argument("--set", action="append", default=[], metavar="NAME.FIELD=VALUE")
    parser.add_argument("--steps-paper", type=int, default=150, help="steps of the preset paper: its best lies before")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("time_to_quality.json"))
    parser.add_argument("--print", type=Path, metavar="JSON", help="print the table of an earlier run")
    arguments = parser.parse_args()
    if arguments.print is None:
        torch.set_num_threads(arguments.threads)
        names = arguments.variants.split(",")
        changes = [f"paper.steps={arguments.steps_paper}"] if "paper" in names else []
        stored = run(arguments, build_variants(names, [*changes, *arguments.set]))
    else:
        stored = json.loads(arguments.print.read_text())
    print(table(stored, "smoothed"))
    print(table(stored, "unsmoothed"))
