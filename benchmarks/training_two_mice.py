"""Two mice in one encoder against an encoder each: does sharing cost anything?

    vidrecon simulate --seed 31 --neurons 400 --trials 100 --test-trials 0 --out mouse31
    vidrecon simulate --seed 32 --neurons 400 --trials 100 --test-trials 0 --out mouse32
    python benchmarks/training_two_mice.py mouse31 mouse32 --steps 300 --out training_two_mice/

The same recipe and as many windows of every mouse; without --steps the whole recipe, three times as long. Scores are
single-trial correlations over the held-out oracle trials, all windows. The command can be stopped and repeated: a
training goes on where it was, and an encoder that is there is not trained again. The exit code is 1 where the encoder
for both falls short of the others by more than 0.02.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch

import napari_vidrecon as vr
from napari_vidrecon.encoders.checkpoints import read_encoder_file
from napari_vidrecon.encoders.training.architectures import recipe_of
from napari_vidrecon.encoders.training.training_run import (
    VALIDATION_TIER,
    TrainingProgress,
    single_trial_correlation,
    train_encoder,
)
from napari_vidrecon.encoders.training_recipe import TrainingRecipe

BAR = 0.02
"""One encoder for both may score this much less than one for each."""


def trained(sessions: list, recipe: TrainingRecipe, path: Path) -> Path:
    """The encoder file of these mice, trained now if it is not there."""

    def tell(now: TrainingProgress) -> None:
        if now.step % 100 == 0:
            print(f"{path.name}: {now.step} of {now.steps}, about {now.seconds_left:.0f} s left", flush=True)

    if path.exists():
        found = read_encoder_file(path).provenance["training"]
        if found != json.loads(recipe.model_dump_json()):
            sys.exit(f"{path}: expected an encoder of this recipe, found one of another; choose another --out")
    else:
        train_encoder(sessions, recipe, path, on_progress=tell)
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sessions", type=Path, nargs=2)
    parser.add_argument("--out", type=Path, default=Path("training_two_mice"))
    parser.add_argument("--architecture", default="compact")
    parser.add_argument("--mixing", default="in_turn", choices=["in_turn", "within_batch"])
    parser.add_argument("--steps", type=int, help="for each mouse; default: those of the recipe")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)
    sessions = [vr.open_session(folder) for folder in arguments.sessions]
    fewer = {} if arguments.steps is None else {"steps": arguments.steps}
    recipe = recipe_of(arguments.architecture)(mixing=arguments.mixing, **fewer)
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
    told = {"mixing": arguments.mixing, "steps": arguments.steps, "mice": rows, "within": BAR, "kept": kept}
    text = json.dumps(told, indent=1)
    (arguments.out / "training_two_mice.json").write_text(text + "\n")
    print(text)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
