"""Every method on every mouse of the quality arena: the numbers of docs/quality.md.

    python benchmarks/quality/arena.py --folder scratch/arena --out docs/quality.json
    python benchmarks/quality/arena.py --folder scratch/arena --out docs/quality.json --published 2
    python benchmarks/quality/arena.py --print docs/quality.json

Clips of the tier oracle tune: only the step count of `paper` is chosen there. Clips of the tier live_test_main
are measured once; no encoder was trained on either. Single noisy trials. Correlations are those of the last step,
inside alpha >= 1, after the paper's smoothing (sigma 0.5) of both movies. What is done is kept in `--out` and not
done again, so the command can be stopped and repeated. `--published N` adds the 1000 steps of `paper` on N clips.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from mice import MICE, ArenaMouse
from scipy.fft import dct
from tables import bars, best_step, mouse_table, rows, table

import napari_vidrecon as vr
from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD
from napari_vidrecon.reconstruction.run import plan_run
from napari_vidrecon.reconstruction.schedule import build_schedule
from napari_vidrecon.storage import replacing_file

FRAMES, MEASURED = 64, slice(16, 64)
"""Of each clip; the first frames have little context."""
TUNING_TIER, TEST_TIER = "oracle", "live_test_main"
TUNING_STEPS, TUNED_EVERY = 100, 5
PAPER_STEPS = 1000
DECODED = "best with a decoder"
DECODER_ALONE = "decoder alone"
PRIOR_ALONE = {"input_noise": 0.0, "neuron_noise": "alike"}
"""`best` without what was added to its prior last."""
POWER_BANDS_HZ = ((0.0, 1.0), (1.0, 3.0), (3.0, 8.0))


@dataclass
class Method:
    """One way to reconstruct.

    Parameters
    ----------
    name : in the table.
    preset, changes : settings.
    target : "recorded", "predicted", "permuted", or "other clip".
    encoders : how many, their movies averaged.
    decoded : with the mouse's decoder.
    """

    name: str
    preset: str
    changes: dict = field(default_factory=dict)
    target: str = "recorded"
    encoders: int = 1
    decoded: bool = False

    def config(self) -> vr.ReconstructionConfig:
        """Its settings; nothing is tracked, so that times are the reconstruction's own."""
        return vr.ReconstructionConfig.preset(self.preset, track_every=10**6, track_responses=False, **self.changes)


def methods(paper_steps: int, steps_from_predicted: int, encoders: int) -> list[Method]:
    """What is measured on test clips.

    Parameters
    ----------
    paper_steps, steps_from_predicted : of `paper`, chosen on this mouse's tuning clips.
    encoders : how many an ensemble has; 1 leaves ensembles out.
    """
    best = vr.ReconstructionConfig.preset("best").steps
    tuned = {"steps": paper_steps}
    listed = [
        Method("paper, tuned steps", "paper", tuned),
        Method("paper from predicted, tuned steps", "paper", {"steps": steps_from_predicted}, "predicted"),
        Method("best", "best"),
        Method("fast", "fast"),
        Method("best from predicted", "best", target="predicted"),
        Method("best, twice the steps", "best", {"steps": 2 * best}),
        Method("best, four times the steps", "best", {"steps": 4 * best}),
        Method("best, other clip's activity", "best", target="other clip"),
        Method("fast, other clip's activity", "fast", target="other clip"),
        Method("paper, other clip's activity", "paper", tuned, target="other clip"),
        Method("best, permuted neurons", "best", target="permuted"),
        Method("fast, permuted neurons", "fast", target="permuted"),
        Method("paper, permuted neurons", "paper", tuned, target="permuted"),
        Method(DECODED, "best", decoded=True),
        Method(f"{DECODED}, twice the steps", "best", {"steps": 2 * best}, decoded=True),
        Method(f"{DECODED}, four times the steps", "best", {"steps": 4 * best}, decoded=True),
        Method(f"{DECODED}, other clip's activity", "best", target="other clip", decoded=True),
        Method(f"{DECODED}, permuted neurons", "best", target="permuted", decoded=True),
    ]
    listed.append(Method("prior alone", "best", PRIOR_ALONE))
    listed.append(Method("prior alone, with a decoder", "best", PRIOR_ALONE, decoded=True))
    if encoders > 1:
        listed.append(Method(f"paper, tuned steps, {encoders} encoders", "paper", tuned, encoders=encoders))
        listed.append(Method(f"best, {encoders} encoders", "best", encoders=encoders))
        listed.append(Method(f"{DECODED}, {encoders} encoders", "best", encoders=encoders, decoded=True))
        listed.append(Method(f"prior alone, {encoders} encoders", "best", PRIOR_ALONE, encoders=encoders))
    return listed


class Arena:
    """One mouse with its clips; measures methods on them.

    Parameters
    ----------
    mouse : whose.
    folder : where `mice.py` put it.
    device : of the encoders.
    """

    def __init__(self, mouse: ArenaMouse, folder: Path, device: str = "cpu") -> None:
        self.session, self.encoders, self.mask, self.decoder = mouse.open(folder, device)
        self.pixels = self.mask.binary(EVALUATION_THRESHOLD)

    def clips(self, tier: str, count: int) -> list[int]:
        """Ids of the first clips of a tier."""
        return [each for each in self.session.trial_ids if self.session.tiers[each] == tier][:count]

    def correlation(self, truth: np.ndarray, video: np.ndarray) -> float:
        """Video correlation with the paper's smoothing on both sides; 0 for a movie without contrast."""
        shown, true = (vr.postprocess.smooth(movie)[MEASURED] for movie in (np.clip(video, 0, 255), truth))
        value = vr.metrics.video_correlation(true, shown, self.pixels)
        return value if np.isfinite(value) else 0.0

    def measured(self, method: Method, clip: int, clips: list[int]) -> dict[str, float]:
        """What one method gives on one clip."""
        trial = self.session.trial(clip).part(0, FRAMES)
        other = self.session.trial(clips[(clips.index(clip) + 1) % len(clips)]).part(0, FRAMES)
        target = other.responses if method.target == "other clip" else method.target
        encoders = self.encoders[: method.encoders]
        steps: list[float] = []
        config = method.config()
        result = vr.reconstruct(
            trial,
            encoders,
            self.mask,
            config,
            target=target,
            target_encoders=encoders,
            on_step=lambda info: steps.append(info.seconds),  # type: ignore[func-returns-value]
            decoder=self.decoder if method.decoded else None,
        )
        return {
            **self.compared(trial.video, result.video),
            "seconds": float(np.median(steps)) * len(steps),
            "windows": windows_of(config, encoders[0], FRAMES) * len(encoders),
        }

    def decoded(self, clip: int) -> dict[str, float]:
        """What the decoder's movie gives on one clip, without any encoder."""
        trial = self.session.trial(clip).part(0, FRAMES)
        began = time.perf_counter()
        movie = self.decoder.movie(trial.responses)
        seconds = time.perf_counter() - began
        return {**self.compared(trial.video, np.clip(movie, 0, 255)), "seconds": seconds, "windows": 0}

    def compared(self, truth: np.ndarray, video: np.ndarray) -> dict[str, float]:
        """Every measure of a reconstruction."""
        shown, true = (vr.postprocess.smooth(movie)[MEASURED] for movie in (video, truth))
        return {
            "correlation": self.correlation(truth, video),
            "frame_correlation": vr.metrics.mean_frame_correlation(true, shown, self.pixels),
            "ssim": vr.metrics.ssim(true, shown, self.pixels),
            **self.power(true, shown),
        }

    def power(self, truth: np.ndarray, shown: np.ndarray) -> dict[str, float]:
        """Power of a reconstruction as part of the truth's, by temporal frequency, inside the mask."""
        hertz, true_power = self.temporal_power(truth)
        shown_power = self.temporal_power(shown)[1]
        parts = {}
        for low, high in POWER_BANDS_HZ:
            band = (hertz >= low) & (hertz < high)
            parts[f"power {low:g} to {high:g} Hz"] = float(shown_power[band].sum() / true_power[band].sum())
        return parts

    def temporal_power(self, movie: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(Hz, mean power of a pixel inside the mask), each (frames,)."""
        inside = movie[:, self.pixels]
        power = (dct(inside - inside.mean(), axis=0, norm="ortho") ** 2).mean(axis=1)
        return np.arange(len(movie)) / (2 * len(movie)) * self.session.frame_rate_hz, power

    def tuning_curve(self, clips: list[int], target: str) -> dict[int, float]:
        """Mean correlation of `paper` after 5, 10, ... steps on the tuning clips."""
        config = vr.ReconstructionConfig.preset("paper", steps=TUNING_STEPS, track_every=10**6, track_responses=False)
        curves = []
        for clip in clips:
            trial = self.session.trial(clip).part(0, FRAMES)
            run = plan_run(trial, self.encoders[:1], self.mask, config, target=target)
            curve = {}
            while not run.finished:
                done = run.step().step
                if done % TUNED_EVERY == 0:
                    curve[done] = self.correlation(trial.video, run.steppable.video)
            curves.append(curve)
        return {step: float(np.mean([curve[step] for curve in curves])) for step in curves[0]}


def windows_of(config: vr.ReconstructionConfig, encoder: Encoder, frames: int) -> int:
    """Windows that go through an encoder in all steps."""
    spec = encoder.spec.windows
    schedule = build_schedule(config, frames, spec.sub_batch_frames)
    return spec.step * sum(len(schedule.at(step).starts) for step in range(config.steps)) * config.update.draws


class Stored:
    """Results on disk, rewritten after each.

    Parameters
    ----------
    path : JSON file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: dict = json.loads(path.read_text()) if path.exists() else {"tuning": {}, "test": {}}

    def keep(self) -> None:
        """Write."""
        with replacing_file(self.path) as temporary:
            temporary.write_text(json.dumps(self.values, indent=1))


def main() -> None:
    """Tune, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where mice.py put the mice")
    parser.add_argument("--out", type=Path, default=Path("docs/quality.json"))
    parser.add_argument("--mice", nargs="+", help="only these, e.g. seed7 seed11")
    parser.add_argument("--tuning-clips", type=int, default=6)
    parser.add_argument("--test-clips", type=int, default=10)
    parser.add_argument(
        "--published", type=int, default=0, help="also the 1000 steps of paper, on so many clips a mouse"
    )
    parser.add_argument("--ensembles", type=int, default=1, help="encoders of an ensemble; 1: no ensembles")
    parser.add_argument("--device", default="cpu", help="of the encoders; on a GPU, seconds are not comparable")
    parser.add_argument("--print", type=Path, metavar="JSON", help="print the tables of an earlier run")
    arguments = parser.parse_args()
    if arguments.print is None:
        measure(arguments)
    stored = Stored(arguments.print or arguments.out).values
    ensembles = max(
        (
            int(name.split()[1])
            for name, _ in rows(stored["test"], "ssim")
            if name.endswith("encoders") and name.startswith("best,")
        ),
        default=1,
    )
    print(bars(stored["test"], ensembles), mouse_table(stored), table(stored["test"]), sep="\n\n")


def measure(arguments: argparse.Namespace) -> None:
    """All mice; a clip at a time over all mice, so that a stopped run is balanced."""
    stored = Stored(arguments.out)
    wanted = [mouse for mouse in MICE if not arguments.mice or mouse.name in arguments.mice]
    arenas = {mouse.name: Arena(mouse, arguments.folder, arguments.device) for mouse in wanted}
    for name, arena in arenas.items():
        curves = stored.values["tuning"].setdefault(name, {})
        for target in ("recorded", "predicted"):
            if target not in curves:
                curves[target] = arena.tuning_curve(arena.clips(TUNING_TIER, arguments.tuning_clips), target)
                stored.keep()
                print(name, target, "peak at step", best_step(curves[target]), flush=True)
    for index in range(arguments.test_clips):
        for name, arena in arenas.items():
            clips = arena.clips(TEST_TIER, 10**6)
            curves = stored.values["tuning"][name]
            listed = methods(best_step(curves["recorded"]), best_step(curves["predicted"]), arguments.ensembles)
            if index < arguments.published:
                listed.append(Method("paper, 1000 steps as published", "paper", {"steps": PAPER_STEPS}))
            for method in listed:
                done = stored.values["test"].setdefault(name, {}).setdefault(method.name, {})
                if index < len(clips) and str(clips[index]) not in done:
                    done[str(clips[index])] = arena.measured(method, clips[index], clips)
                    stored.keep()
            alone = stored.values["test"][name].setdefault(DECODER_ALONE, {})
            if index < len(clips) and str(clips[index]) not in alone:
                alone[str(clips[index])] = arena.decoded(clips[index])
                stored.keep()
            print(name, "clip", clips[index], flush=True)


if __name__ == "__main__":
    main()
