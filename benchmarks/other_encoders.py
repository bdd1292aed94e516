"""Encoders of every architecture on a small simulated mouse: trained briefly, then a movie back from their own answers.

    python -m benchmarks.other_encoders --architecture viv1t --out viv1t.json
    python -m benchmarks.other_encoders --architecture neuralpredictors --recipe steps=600 --out baseline.json
    python -m benchmarks.other_encoders --architecture openretina --screen 36x16 --colours 2 --out retina.json

The bar: conformance finds nothing, and the movie reconstructed from predicted activity correlates with the shown one by
0.7 or more within the receptive fields (`evaluation_mask`). Everything is simulated.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import yaml

import napari_vidrecon as vr
from napari_vidrecon.encoders.conformance import check_encoder
from napari_vidrecon.encoders.training.architectures import recipe_of
from napari_vidrecon.encoders.training.training_run import single_trial_correlation

FRAMES = 64


def disc(rows: int, columns: int) -> vr.AlphaMask:
    """Where the simulated neurons look: a disc about the middle of the fields, whatever the screen."""
    row, column = np.ogrid[:rows, :columns]
    scale = rows / 36
    return vr.AlphaMask((np.hypot(row - 18.0 * scale, column - 30.0 * columns / 64) <= 9.0 * scale).astype(np.float32))


def main() -> None:
    """Simulate, train, check, reconstruct."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--architecture", required=True)
    words.add_argument("--recipe", action="append", default=[], metavar="NAME=VALUE")
    words.add_argument("--out", type=Path, required=True)
    words.add_argument("--folder", type=Path, help="mouse and encoder are kept here; default: a temporary folder")
    words.add_argument("--session", type=Path, help="one that is there, instead of a simulated mouse")
    words.add_argument("--neurons", type=int, default=300)
    words.add_argument("--trials", type=int, default=120)
    words.add_argument("--preset", default="best")
    words.add_argument("--clips", type=int, default=2)
    asked = words.parse_args()
    torch.set_num_threads(1)
    folder = asked.folder or Path(tempfile.mkdtemp())
    place = asked.session or folder / "mouse"
    if not place.is_dir():
        shown = {"frames": 150, "validation_trials": 6, "test_trials": 0}
        vr.simulate_session(place, seed=31, neurons=asked.neurons, train_trials=asked.trials, small=True, **shown)
    session = vr.open_session(place)
    settings = {name: yaml.safe_load(value) for name, _, value in (each.partition("=") for each in asked.recipe)}
    recipe = recipe_of(asked.architecture)(**{"validate_every": 0, **settings})
    file, begun = folder / f"{asked.architecture}.safetensors", time.process_time()
    if not file.is_file():
        vr.train_encoder([session], recipe, file)
    training_s = time.process_time() - begun
    encoder = vr.load_encoder(file, device="cpu")
    held_out = session.trials_in_tier("oracle")
    findings = [finding.message for finding in check_encoder(encoder)]
    mask = disc(session.screen.rows, session.screen.cols)
    rows = []
    for trial in held_out[: asked.clips]:
        begun = time.process_time()
        clip = session.trial(trial).part(40, 40 + FRAMES)
        found = vr.reconstruct(clip, [encoder], mask, vr.ReconstructionConfig.preset(asked.preset), target="predicted")
        rows.append({"trial": trial, "seconds": time.process_time() - begun, **found.scores()})
        print(rows[-1], flush=True)
    told = {
        "simulated": session.simulated,
        "architecture": asked.architecture,
        "recipe": recipe.model_dump(mode="json"),
        "training_s": training_s,
        "single_trial_correlation": float(single_trial_correlation(encoder, session, held_out).mean()),
        "conformance": findings,
        "clips": rows,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20),
    }
    asked.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: value for name, value in told.items() if name != "recipe"}, indent=1))


if __name__ == "__main__":
    main()
