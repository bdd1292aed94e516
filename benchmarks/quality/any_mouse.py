"""Do mask and prior hold for mice that the package did not make? The bars of docs/quality.md, "Any mouse".

    python benchmarks/quality/mice.py --folder arena && python benchmarks/quality/other_mice.py --folder arena
    python benchmarks/quality/any_mouse.py --folder arena --out docs/any_mouse.json        # can be stopped and repeated
    python benchmarks/quality/any_mouse.py --print docs/any_mouse.json

Of every mouse in the folder (NAME, NAME_0.safetensors; the arena's four and those of other simulations): the overlap
(intersection over union) of the mask of `vidrecon mask`, as it comes, with the true field (the disc or ellipse that
receptive-field centres were drawn in; of the semi-real mouse, `semi`, with its own model as encoder, where Gaussians at
the model's own centres add up to half of what they do in the middle), its pieces and holes; and, inside its
alpha >= 1, `best` with the prior of the session, `best` with the stated one (level 127.5), and `paper` with its steps
tuned on other clips. Of the arena's four also what the simulation itself, as encoder, makes of the same activity under
the same prior: more than that no encoder can give; under a prior with the spectrum of the very clip, which nobody
knows; and of the activity without its noise. Single noisy trials, one encoder. Simulated, or semi-real.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from bound import reconstructed
from mice import MICE as ARENA_MICE
from other_mice import MICE as OTHER_MICE
from other_mice import Field
from simulated_encoder import SimulatedEncoder

import napari_vidrecon as vr
from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.reconstruction.masks import MaskShape
from napari_vidrecon.storage import replacing_file

FRAMES, MEASURED = 64, slice(16, 64)
"""Of each clip; the first frames have little context."""
TUNING_CLIPS, TUNING_STEPS, TUNED_EVERY = 4, 100, 5
METHODS = {
    "best": ("best", {}),
    "best, stated prior": ("best", {"prior_from": "stated"}),
}
BOUND = "simulation as encoder"
BOUNDS = {
    BOUND: {},
    f"{BOUND}, spectrum of the clip": {"own_spectrum": True},
    f"{BOUND}, activity without noise": {"noiseless": True},
}
FIELDS = {
    **{mouse.name: Field(*mouse.centre_px, mouse.radius_px, mouse.radius_px, 0.0) for mouse in ARENA_MICE},
    **{name: mouse.field for name, mouse in OTHER_MICE.items()},
}


SEMI_REAL, SEMI_REAL_SIGMA_PX = "semi", 3.3
"""The semi-real mouse (docs/simulated_mice.md), and the median width of the linear part of its receptive fields."""
NAMES = [*FIELDS, SEMI_REAL]


def true_field(name: str, session: vr.Session) -> np.ndarray:
    """(36, 64) bool: where the neurons look."""
    if name in FIELDS:
        return FIELDS[name].pixels()
    known = session.simulation["per_neuron"]
    row, column = (np.array(known[f"{axis}_px"])[:, None, None] for axis in ("row", "column"))
    down, right = np.mgrid[:36, :64]
    distance = (down - row) ** 2 + (right - column) ** 2
    covered = np.exp(-distance / (2 * SEMI_REAL_SIGMA_PX**2)).sum(axis=0)
    middle = np.median(covered[covered >= 0.5 * covered.max()])
    return covered >= 0.5 * middle


class Measured:
    """One mouse.

    Parameters
    ----------
    folder : where its session, encoder and mask lie.
    name : of the mouse.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.name, self.session = name, vr.open_session(folder / name)
        self.encoder: Encoder = vr.load_encoder(folder / f"{name}_0.safetensors", device="cpu")
        mask_file = folder / f"{name}_resolved.npy"
        if not mask_file.exists():
            vr.fit_mask(self.session, self.encoder).save(mask_file)
        self.mask = vr.AlphaMask.load(mask_file)

    def shape(self) -> dict[str, float]:
        """How the mask lies over the true field."""
        field = true_field(self.name, self.session)
        training, evaluation = self.mask.binary(0.5), self.mask.binary(1.0)
        shapes = MaskShape.of(training), MaskShape.of(evaluation)
        return {
            "field": int(field.sum()),
            "training": shapes[0].pixels,
            "overlap": float((training & field).sum() / (training | field).sum()),
            "evaluation share": shapes[1].pixels / max(shapes[0].pixels, 1),
            "pieces": max(shape.pieces for shape in shapes),
            "hole pixels": sum(shape.hole_pixels for shape in shapes),
        }

    def scores(self, video: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
        """Video correlation and RMSE (grey levels) inside alpha >= 1, smoothed as in the paper."""
        shown, true = (vr.postprocess.smooth(movie)[MEASURED] for movie in (np.clip(video, 0, 255), truth))
        pixels = self.mask.binary(1.0)
        correlation = vr.metrics.video_correlation(true, shown, pixels)
        return float(np.nan_to_num(correlation)), float(np.sqrt(np.square(shown - true)[:, pixels].mean()))

    def tuned_steps(self) -> int:
        """Steps at which `paper` is best on tuning clips, which nobody could know of a recording."""
        curves = []
        for clip in self.session.trials_in_tier("oracle")[:TUNING_CLIPS]:
            trial = self.session.trial(clip).part(0, FRAMES)
            run = vr.plan_run(trial, [self.encoder], self.mask, quiet("paper", steps=TUNING_STEPS))
            curve = []
            while not run.finished:
                run.step()
                if run.steppable.step_index % TUNED_EVERY == 0:
                    curve.append(self.scores(run.steppable.video, trial.video)[0])
            curves.append(curve)
        return TUNED_EVERY * (int(np.mean(curves, axis=0).argmax()) + 1)

    def mean_scores(self, config: vr.ReconstructionConfig, clips: list[int]) -> dict[str, float]:
        """Of the last step, mean over clips."""
        found = []
        for clip in clips:
            trial = self.session.trial(clip).part(0, FRAMES)
            result = vr.reconstruct(trial, [self.encoder], self.mask, config)
            found.append(self.scores(result.video, trial.video))
        correlation, rmse = np.mean(found, axis=0)
        return {"correlation": float(correlation), "rmse": float(rmse)}

    def bound(self, clips: list[int], *, noiseless: bool = False, own_spectrum: bool = False) -> dict | None:
        """What the simulation itself gives as encoder, mean over clips; None for mice that are not of the arena."""
        simulated = [mouse for mouse in ARENA_MICE if mouse.name == self.name]
        if not simulated:
            return None
        encoder, found = SimulatedEncoder(simulated[0]), []
        for clip in clips:
            trial = self.session.trial(clip).part(0, FRAMES)
            activity = trial.responses
            if noiseless:
                activity = encoder.cortex.rates(trial.video, trial.behavior, trial.pupil_center)
            video = reconstructed(encoder, trial, activity, own_spectrum=own_spectrum)
            found.append(self.scores(video, trial.video))
        correlation, rmse = np.mean(found, axis=0)
        return {"correlation": float(correlation), "rmse": float(rmse)}


def quiet(preset: str, **changes: object) -> vr.ReconstructionConfig:
    """A preset that measures nothing on the way."""
    return vr.ReconstructionConfig.preset(preset, track_every=10**6, track_responses=False, **changes)


def rows(told: dict[str, dict]) -> list[str]:
    """The table of docs/quality.md."""
    heads = "mouse (simulated)", "field, training mask (px)", "overlap", "evaluation mask", "pieces, holes (px)"
    heads += "paper, tuned", "best", "gain", "gain with the simulation as encoder", "RMSE best", "with level 127.5"
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, mouse in told.items():
        shape, paper, best, stated = (mouse[key] for key in ("shape", "paper, tuned steps", *METHODS))
        gain = 100 * (best["correlation"] / paper["correlation"] - 1)
        bound = mouse.get(BOUND)
        most = f"{100 * (bound['correlation'] / paper['correlation'] - 1):+.0f} %" if bound else "not known"
        change = 100 * (best["rmse"] / stated["rmse"] - 1)
        lines.append(
            f"| {name} | {shape['field']}, {shape['training']} | {shape['overlap']:.2f} | "
            f"{100 * shape['evaluation share']:.0f} % | {shape['pieces']}, {shape['hole pixels']} | "
            f"{paper['correlation']:.3f} ({mouse['steps']} steps) | {best['correlation']:.3f} | {gain:+.0f} % | "
            f"{most} | {best['rmse']:.1f} | {stated['rmse']:.1f} ({change:+.0f} %), r {stated['correlation']:.3f} |"
        )
    return lines


def main() -> None:
    """Measure what is missing, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("any_mouse.json"))
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--only", nargs="*", default=NAMES)
    parser.add_argument("--print", type=Path, dest="printed")
    arguments = parser.parse_args()
    out = arguments.printed or arguments.out
    told: dict[str, dict] = json.loads(out.read_text()) if out.exists() else {}
    for name in [] if arguments.printed else arguments.only:
        if not (arguments.folder / f"{name}_0.safetensors").exists():
            continue
        mouse, known = Measured(arguments.folder, name), told.setdefault(name, {})
        known["shape"] = mouse.shape()
        clips = mouse.session.trials_in_tier("live_test_main")[: arguments.clips]
        for method, (preset, changes) in METHODS.items():
            known[method] = known.get(method) or mouse.mean_scores(quiet(preset, **changes), clips)
        known["steps"] = known.get("steps") or mouse.tuned_steps()
        tuned = quiet("paper", steps=known["steps"])
        known["paper, tuned steps"] = known.get("paper, tuned steps") or mouse.mean_scores(tuned, clips)
        for bound, changes in BOUNDS.items():
            known[bound] = known.get(bound) or mouse.bound(clips, **changes)
        with replacing_file(out) as file:
            file.write_text(json.dumps(told, indent=1) + "\n")
    print("\n".join(rows(told)))


if __name__ == "__main__":
    main()
