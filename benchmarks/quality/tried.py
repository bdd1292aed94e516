"""What was tried on the way to `best`: settings on the tuning clips of the arena's mice.

    python benchmarks/quality/tried.py --folder scratch/arena --out docs/quality_tried.json
    python benchmarks/quality/tried.py --print docs/quality_tried.json

Settings are chosen on these clips only; `arena.py` measures what was chosen on others. What is done is kept in
`--out` and not done again.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from arena import DECODER_ALONE, FRAMES, PRIOR_ALONE, TUNING_TIER, Arena, Stored
from mice import MICE

import napari_vidrecon as vr
from napari_vidrecon.reconstruction.neuron_weights import weighed_by_prediction
from napari_vidrecon.reconstruction.run import plan_run

BLUR = {"gradient_blur_px": 2.0, "gradient_blur_frames": 2.0}
STEEP_PRIOR = {
    "prior_sd": 60.0,
    "prior_spatial_corner": 0.2,
    "prior_spatial_exponent": 3.0,
    "prior_temporal_corner": 1.3,
    "prior_temporal_exponent": 1.5,
}
FITTED_PRIOR = {
    "prior_sd": 31.0,
    "prior_spatial_corner": 0.0125,
    "prior_spatial_exponent": 1.8,
    "prior_temporal_corner": 0.7,
    "prior_temporal_exponent": 1.5,
}
HELD_OUT = {"outcome": "held_out", "steps": 200, "outcome_steps": 10}


@dataclass(frozen=True)
class Idea:
    """Settings to try.

    Parameters
    ----------
    preset, changes : settings.
    decoded : with the mouse's decoder.
    weighed : neurons count by how well the encoder predicts them, judged on clips that do not tune.
    encoders : their movies averaged.
    """

    preset: str
    changes: dict = field(default_factory=dict)
    decoded: bool = False
    weighed: bool = False
    encoders: int = 1


def bare(changes: dict | None = None, *, decoded: bool = False, weighed: bool = False, encoders: int = 1) -> Idea:
    """Changes beside the prior alone; most was tried when that was `best`."""
    return Idea("best", {**PRIOR_ALONE, **(changes or {})}, decoded, weighed, encoders)


TRIED = {
    "`paper`, 50 steps": Idea("paper", {"steps": 50}),
    "`paper`, 100 steps": Idea("paper", {"steps": 100}),
    "`paper` with the gradient blurred 2 px and 2 frames, 60 steps": Idea("paper", {**BLUR, "steps": 60}),
    "the same, 100 steps": Idea("paper", {**BLUR, "steps": 100}),
    "the same, 100 steps, the blur annealed to none": Idea("paper", {**BLUR, "steps": 100, "gradient_blur_end": 0.0}),
    "the same, 100 steps, the blur annealed to half": Idea("paper", {**BLUR, "steps": 100, "gradient_blur_end": 0.5}),
    "`paper`, 100 steps, total variation 0.002": Idea("paper", {"steps": 100, "total_variation": 0.002}),
    "`paper`, 100 steps, total variation 0.005": Idea("paper", {"steps": 100, "total_variation": 0.005}),
    "`paper`, 100 steps, total variation 0.01": Idea("paper", {"steps": 100, "total_variation": 0.01}),
    "`paper`, 50 steps, inputs shifted by up to 1 px": Idea("paper", {"steps": 50, "input_jitter_px": 1}),
    "`paper`, 50 steps, inputs shifted by up to 2 px": Idea("paper", {"steps": 50, "input_jitter_px": 2}),
    "`paper`, 50 steps, noise of 20 grey levels on inputs": Idea("paper", {"steps": 50, "input_noise": 20.0}),
    "`paper`, 50 steps, all overlapping windows": Idea("paper", {"steps": 50, "sub_batch_stride": 1}),
    "`paper`, 50 steps, mean of the last 20": Idea(
        "paper", {"steps": 50, "outcome": "mean_of_last", "outcome_steps": 20}
    ),
    "`paper`, stopped by a tenth of the neurons": Idea("paper", HELD_OUT),
    "`paper`, stopped where the loss flattens": Idea("paper", {"steps": 200, "outcome": "plateau"}),
    "`paper`, 50 steps, started from a decoder's movie": Idea("paper", {"steps": 50}, decoded=True),
    "`paper`, 15 steps, started from a decoder's movie": Idea("paper", {"steps": 15}, decoded=True),
    "`paper` blurred, 60 steps, neurons weighed by prediction": Idea("paper", {**BLUR, "steps": 60}, weighed=True),
    "prior alone": bare(),
    "prior alone, as `fast`": Idea("fast", PRIOR_ALONE),
    "prior alone, windows every 16 frames (as it was)": bare({"sub_batch_stride": 16}),
    "prior alone, all overlapping windows": bare({"sub_batch_stride": 1, "schedule": "sliding"}),
    "prior alone, a prior without the lowest frequencies (as it was)": bare(STEEP_PRIOR),
    "prior alone, prior fitted to all frequencies alike (Whittle)": bare(FITTED_PRIOR),
    "prior alone, pixels outside the mask grey": bare({"surround": "grey"}),
    "prior alone, activity counts half": bare({"likelihood_weight": 0.05}),
    "prior alone, activity counts twice": bare({"likelihood_weight": 0.2}),
    "prior alone, gradient blurred as well": bare({"gradient_blur_px": 1.0, "gradient_blur_frames": 1.0}),
    "prior alone, total variation 0.01": bare({"total_variation": 0.01}),
    "prior alone, total variation 0.05": bare({"total_variation": 0.05}),
    "prior alone, inputs shifted by up to 1 px": bare({"input_jitter_px": 1}),
    "prior alone, noise of 20 grey levels on inputs": bare({"input_noise": 20.0}),
    "prior alone, Gaussian likelihood": bare({"variance_power": 0.0}),
    "prior alone, zero-inflated likelihood (power 1.5)": bare({"variance_power": 1.5, "poisson_epsilon": 0.1}),
    "prior alone, gamma likelihood (power 2)": bare({"variance_power": 2.0, "poisson_epsilon": 0.1}),
    "prior alone, neurons weighed by prediction": bare(weighed=True),
    "prior alone, mean of the last 10 steps": bare({"outcome": "mean_of_last"}),
    "prior alone, stopped by a tenth of the neurons": bare({"outcome": "held_out"}),
    "prior alone, mean of 8 draws": bare({"draws": 8}),
    "prior alone, 5 encoders": bare(encoders=5),
    "prior alone, 5 encoders, weighed by deviance": bare({"member_weights": "deviance"}, encoders=5),
    "prior alone, noise of 10 grey levels on inputs": bare({"input_noise": 10.0}),
    "prior alone, noise of 30 grey levels on inputs": bare({"input_noise": 30.0}),
    "prior alone, noise of 40 grey levels on inputs": bare({"input_noise": 40.0}),
    "prior alone, noise of 20 grey levels, 80 steps": bare({"input_noise": 20.0, "steps": 80}),
    "prior alone, noise of 30 grey levels, 80 steps": bare({"input_noise": 30.0, "steps": 80}),
    "prior alone, noise of 20 grey levels, shifted by up to 1 px": bare({"input_noise": 20.0, "input_jitter_px": 1}),
    "prior alone, noise of 20 grey levels, mean of 8 draws": bare({"input_noise": 20.0, "draws": 8}),
    "prior alone, noise of 20 grey levels, neurons weighed": bare({"input_noise": 20.0}, weighed=True),
    "prior alone, noise of 20 grey levels, 5 encoders": bare({"input_noise": 20.0}, encoders=5),
    "prior alone, noise of 20 grey levels, decoder": bare({"input_noise": 20.0}, decoded=True),
    "prior alone, noise of 20 grey levels, decoder, 5 encoders": bare({"input_noise": 20.0}, decoded=True, encoders=5),
    "prior alone with a decoder": bare(decoded=True),
    "prior alone with a decoder, 20 steps": bare({"steps": 20}, decoded=True),
    "prior alone with a decoder, the usual prior about its movie": bare(
        {"decoded_sd": 60.0, "decoded_spatial_corner": 0.035}, decoded=True
    ),
    "prior alone with a decoder, neurons weighed by prediction": bare(decoded=True, weighed=True),
    "prior alone with a decoder, mean of 8 draws": bare({"draws": 8}, decoded=True),
    "prior alone with a decoder, 5 encoders": bare(decoded=True, encoders=5),
    "noise of 30 grey levels, neurons weighed by prediction": bare({"input_noise": 30.0}, weighed=True),
    "noise of 30 grey levels, decoder": bare({"input_noise": 30.0}, decoded=True),
    "noise of 30 grey levels, activity counts twice": bare({"input_noise": 30.0, "likelihood_weight": 0.2}),
    "noise of 20 grey levels, as `fast`": Idea("fast", {**PRIOR_ALONE, "input_noise": 20.0}),
    "noise of 30 grey levels, as `fast`": Idea("fast", {**PRIOR_ALONE, "input_noise": 30.0}),
    "noise of 30 grey levels, neurons by their own noise, shrinkage 0.5": Idea("best", {"neuron_noise_shrinkage": 0.5}),
    "noise of 30 grey levels, neurons by their own noise, shrinkage 1": Idea("best", {"neuron_noise_shrinkage": 1.0}),
    "noise of 20 grey levels, neurons by their own noise, shrinkage 1": Idea(
        "best", {"input_noise": 20.0, "neuron_noise_shrinkage": 1.0}
    ),
    "noise of 40 grey levels, neurons by their own noise, shrinkage 1": Idea(
        "best", {"input_noise": 40.0, "neuron_noise_shrinkage": 1.0}
    ),
    "`best`: noise of 30 grey levels, neurons by their own noise, shrinkage 3": Idea("best"),
    "`fast`": Idea("fast"),
    "`best` with a decoder": Idea("best", decoded=True),
    "`best`, 3 encoders": Idea("best", encoders=3),
    "`best`, 5 encoders": Idea("best", encoders=5),
}
HALF_AND_HALF = "half of the prior alone, half of the decoder"


def movies(arena: Arena, idea: Idea, clips: list[int], neurons: vr.NeuronSet | None) -> list[np.ndarray]:
    """The last step's movie of each clip."""
    config = vr.ReconstructionConfig.preset(idea.preset, track_every=10**6, track_responses=False, **idea.changes)
    made = []
    for clip in clips:
        trial = arena.session.trial(clip).part(0, FRAMES)
        decoder = arena.decoder if idea.decoded else None
        run = plan_run(trial, arena.encoders[: idea.encoders], arena.mask, config, neurons=neurons, decoder=decoder)
        while not run.finished:
            run.step()
        made.append(run.steppable.video)
    return made


class Trier:
    """One mouse's tuning clips.

    Parameters
    ----------
    arena : the mouse.
    clips : how many tune; the tier's others judge neurons.
    """

    def __init__(self, arena: Arena, clips: int) -> None:
        self.arena, known = arena, arena.clips(TUNING_TIER, 10**6)
        self.clips, self._others = known[:clips], known[clips:]
        self._neurons: vr.NeuronSet | None = None

    @property
    def neurons(self) -> vr.NeuronSet:
        """All, weighed by prediction."""
        if self._neurons is None:
            self._neurons = weighed_by_prediction(self.arena.session, self.arena.encoders[0], self._others)
        return self._neurons

    def correlations(self, name: str) -> list[float]:
        """What an idea gives on each clip."""
        trials = [self.arena.session.trial(clip).part(0, FRAMES) for clip in self.clips]
        decoded = [self.arena.decoder.movie(trial.responses) for trial in trials]
        if name == DECODER_ALONE:
            made = decoded
        elif name == HALF_AND_HALF:
            made = [(one + other) / 2 for one, other in zip(decoded, self.movies(TRIED["prior alone"]), strict=True)]
        else:
            made = self.movies(TRIED[name])
        return [self.arena.correlation(trial.video, video) for trial, video in zip(trials, made, strict=True)]

    def movies(self, idea: Idea) -> list[np.ndarray]:
        """Of every clip."""
        return movies(self.arena, idea, self.clips, self.neurons if idea.weighed else None)


def table(tried: dict) -> str:
    """Every setting over all mice, and mouse by mouse."""
    mice = list(dict.fromkeys(name for found in tried.values() for name in found))
    lines = [f"| settings | {' | '.join(mice)} | mean of mice |", "|---|" + "---|" * (len(mice) + 1)]
    for name, found in tried.items():
        means = [float(np.mean(values)) for values in found.values()]
        lines.append(f"| {name} | {' | '.join(f'{mean:.3f}' for mean in means)} | {np.mean(means):.3f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure what is missing, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where mice.py put the mice")
    parser.add_argument("--out", type=Path, default=Path("docs/quality_tried.json"))
    parser.add_argument("--clips", type=int, default=4, help="tuning clips of each mouse")
    parser.add_argument("--mice", nargs="+", help="only these, e.g. seed7 seed11")
    parser.add_argument("--device", default="cpu", help="of the encoders")
    parser.add_argument("--print", type=Path, metavar="JSON", help="print the table of an earlier run")
    arguments = parser.parse_args()
    stored = Stored(arguments.print or arguments.out)
    tried = stored.values.setdefault("tried", {})
    if arguments.print is None:
        wanted = [mouse for mouse in MICE if not arguments.mice or mouse.name in arguments.mice]
        triers = {
            mouse.name: Trier(Arena(mouse, arguments.folder, arguments.device), arguments.clips) for mouse in wanted
        }
        for name in (*TRIED, DECODER_ALONE, HALF_AND_HALF):
            for mouse, trier in triers.items():
                if mouse not in tried.setdefault(name, {}):
                    tried[name][mouse] = trier.correlations(name)
                    stored.keep()
            print(name, {mouse: round(float(np.mean(values)), 3) for mouse, values in tried[name].items()}, flush=True)
    print(table(tried))


if __name__ == "__main__":
    main()
