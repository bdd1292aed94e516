"""Two mice in one encoder against an encoder each: does sharing cost anything?

    vidrecon simulate --seed 11 --neurons 800 --out mouse11
    vidrecon simulate --seed 7 --neurons 800 --out mouse7
    python benchmarks/training_two_mice.py mouse11 mouse7 --out training_two_mice/

The same recipe and as many windows of every mouse. Scores are single-trial correlations over the held-out oracle
trials, all windows. An encoder that is there is not trained again, so the command can be stopped and repeated.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

import napari_vidrecon as vr
from napari_vidrecon.encoders.training.published_recipe import recipe_of
from napari_vidrecon.encoders.training.recipe import Recipe
from napari_vidrecon.encoders.training.training_run import VALIDATION_TIER, TrainingProgress, train_encoder
from napari_vidrecon.encoders.training.validation import single_trial_correlation

BAR = 0.02
"""One encoder for both may score this much less than one for each."""


def trained(sessions: list, recipe: Recipe, path: Path) -> Path:
    """The encoder file of these mice, trained now if it is not there."""

    def tell(now: TrainingProgress) -> None:
        if now.step % 100 == 0:
            print(f"{path.name}: {now.step} of {now.steps}, about {now.seconds_left:.0f} s left", flush=True)

    if not path.exists():
        train_encoder(sessions, recipe, path, on_progress=tell)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sessions", type=Path, nargs=2)
    parser.add_argument("--out", type=Path, default=Path("training_two_mice"))
    parser.add_argument("--architecture", default="compact")
    parser.add_argument("--mixing", default="in_turn", choices=["in_turn", "within_batch"])
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)
    sessions = [vr.open_session(folder) for folder in arguments.sessions]
    recipe = recipe_of(arguments.architecture)(mixing=arguments.mixing)
    both = trained(sessions, recipe, arguments.out / f"both_{arguments.mixing}.safetensors")
    rows = []
    for index, session in enumerate(sessions):
        alone = trained([session], recipe, arguments.out / f"alone_{session.name}.safetensors")
        trials = session.trials_in_tier(VALIDATION_TIER)
        shared, own = (
            float(single_trial_correlation(encoder, session, trials).mean())
            for encoder in (vr.load_encoder(both, mouse=index, device="cpu"), vr.load_encoder(alone, device="cpu"))
        )
        rows.append({"mouse": session.name, "together": shared, "alone": own, "difference": shared - own})
    kept = all(row["difference"] >= -BAR for row in rows)
    print(json.dumps({"mixing": arguments.mixing, "mice": rows, "within": BAR, "kept": kept}, indent=1))


if __name__ == "__main__":
    main()
