"""Transfer on simulated mice: a frozen core of other mice and few trials, beside an encoder that learns from nothing.

    python -m benchmarks.transfer --out transfer.json

The bar: with 60 training trials a frozen core of three other mice predicts single trials at least as well as 200
trials do from nothing, in at most a fifth of the time. Everything is simulated; times are CPU seconds of one thread,
the core's own training not counted (it is done once, for all mice to come).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import napari_vidrecon as vr
from napari_vidrecon.encoders.architectures.compact import CompactRecipe
from napari_vidrecon.encoders.training.core import PretrainedCore
from napari_vidrecon.encoders.training.training_run import single_trial_correlation
from napari_vidrecon.sessions.session import Session, open_session

CORE_MICE = (101, 102, 103)
NEW_MICE = (111, 112)
MANY, FEW = 200, 60


def mouse(folder: Path, seed: int, trials: int, sizes: argparse.Namespace, neurons: int) -> Session:
    """A simulated mouse; made once."""
    place = folder / f"mouse_{seed}"
    if not place.is_dir():
        shown = {"frames": sizes.frames, "validation_trials": sizes.held_out, "test_trials": 0}
        vr.simulate_session(place, seed=seed, neurons=neurons, train_trials=trials, small=True, **shown)
    return open_session(place)


def trained(
    session: Session, trials: int, path: Path, recipe: CompactRecipe, core: PretrainedCore | None = None
) -> dict[str, float]:
    """Train on the first trials; single-trial correlation of held-out trials, and CPU seconds of the training."""
    ids = session.trials_in_tier("train")[:trials]
    # Of this process alone, whatever else the machine does.
    begun = time.process_time()
    vr.train_encoder([session], recipe, path, training_trials=[ids], validation_trials=[[]], core=core)
    seconds = time.process_time() - begun
    encoder = vr.load_encoder(path, device="cpu")
    score = single_trial_correlation(encoder, session, session.trials_in_tier("oracle")).mean()
    return {"correlation": float(score), "seconds": seconds, "steps": recipe.steps}


def main() -> None:
    """Simulate, train, compare."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--out", type=Path, required=True)
    words.add_argument("--folder", type=Path, help="mice and encoders are kept here; default: a temporary folder")
    words.add_argument("--neurons", type=int, default=150)
    words.add_argument("--frames", type=int, default=150)
    words.add_argument("--core-trials", type=int, default=100)
    words.add_argument("--core-neurons", type=int, help="of a mouse that makes the core; default: as of the new")
    words.add_argument("--core-steps", type=int, help="for each mouse that makes the core; default: as from nothing")
    words.add_argument("--new-mice", type=int, default=len(NEW_MICE), help="how many of them")
    words.add_argument("--held-out", type=int, default=12)
    words.add_argument("--features", type=int, default=24)
    words.add_argument(
        "--as-they-come",
        action="store_true",
        help="the core of three mice as `vidrecon train` makes it: usual sizes, begun with the core that comes along",
    )
    words.add_argument("--steps", type=int, default=600, help="of an encoder that learns from nothing, for each mouse")
    words.add_argument("--readout-steps", type=int, nargs="+", default=[100, 200])
    words.add_argument("--thaw", type=float, nargs="+", default=[0.0, 0.3])
    sizes = words.parse_args()
    torch.set_num_threads(1)
    folder = sizes.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    features = CompactRecipe().features if sizes.as_they_come else sizes.features
    whole = CompactRecipe(features=features, steps=sizes.steps, validate_every=0, pretrained=False)
    source = folder / "core.safetensors"
    started = time.monotonic()
    if not source.exists():
        of_three = whole.model_copy(update={"pretrained": sizes.as_they_come, "steps": sizes.core_steps or sizes.steps})
        neurons = sizes.core_neurons or sizes.neurons
        mice = [mouse(folder, seed, sizes.core_trials, sizes, neurons) for seed in CORE_MICE]
        vr.train_encoder(mice, of_three, source)
    rows = []
    for seed in NEW_MICE[: sizes.new_mice]:
        new = mouse(folder, seed, MANY, sizes, sizes.neurons)
        for trials in (MANY, FEW):
            score = trained(new, trials, folder / f"nothing_{seed}_{trials}.safetensors", whole)
            rows.append({"mouse": seed, "from": "nothing", "trials": trials, "thaw": None, **score})
            print(rows[-1], flush=True)
        for steps in sizes.readout_steps:
            for thaw in sizes.thaw:
                core = PretrainedCore(source, thaw)
                recipe = CompactRecipe(**{**core.recipe_fields(), "steps": steps, "validate_every": 0})
                score = trained(new, FEW, folder / f"core_{seed}_{steps}_{thaw}.safetensors", recipe, core)
                rows.append({"mouse": seed, "from": "core", "trials": FEW, "thaw": thaw, **score})
                print(rows[-1], flush=True)
    bar = _against_the_bar(rows)
    told = {name: value for name, value in vars(sizes).items() if name not in ("out", "folder")}
    told |= {"simulated": True, "seconds_in_all": time.monotonic() - started, "torch_threads": 1}
    sizes.out.write_text(json.dumps({"sizes": told, "rows": rows, "bar": bar}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(bar, indent=1))


def _against_the_bar(rows: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Each way of transfer beside 200 trials from nothing: gain of correlation, share of the time; mean over mice."""
    whole = {row["mouse"]: row for row in rows if row["from"] == "nothing" and row["trials"] == MANY}
    found = []
    for steps, thaw in dict.fromkeys((row["steps"], row["thaw"]) for row in rows if row["from"] == "core"):
        mine = [row for row in rows if row["from"] == "core" and (row["steps"], row["thaw"]) == (steps, thaw)]
        gains = [row["correlation"] - whole[row["mouse"]]["correlation"] for row in mine]
        shares = [row["seconds"] / whole[row["mouse"]]["seconds"] for row in mine]
        found.append({
            "steps": steps,
            "thaw": thaw,
            "correlation_gain": float(np.mean(gains)),
            "share_of_time": float(np.mean(shares)),
            "reached": bool(min(gains) >= 0 and max(shares) <= 0.2),
        })  # fmt: skip
    return found


if __name__ == "__main__":
    main()
