"""Is a slow shift of the picture, or a common gain, found with the movie? And does it cost nothing where there is none?

    python benchmarks/quality/mice.py --folder arena
    python benchmarks/quality/gaze.py --folder arena --out docs/gaze.json            # can be stopped and repeated
    python benchmarks/quality/gaze.py --print docs/gaze.json

Planted: every clip, of training and test, is shown to the arena's mice once more while their receptive fields move
slowly, by 4 px at most, and the recorded pupil with them (2.5 units a pixel, besides a drift of its own of SD 1 unit
and noise of SD 0.15). None planted: the same behaviour and noise without the shift, and the pupil's own drift. The
encoders know nothing of it. Reconstructed with `fast`: ignored, inferred without the pupil (2 px), by the pupil as
`vidrecon gaze` finds it on training clips, with what is left inferred as well (0.5 px), and with the true shift.
Likewise a slow common gain (SD of its logarithm 0.5), and the shift from four presentations of a clip. As simulated:
the arena's own trials, whose receptive fields move by 0.12 px a unit of the pupil. Inside alpha >= 1. Simulated.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from any_mouse import Measured, quiet
from mice import MICE
from repeats import RESAMPLES, told

import napari_vidrecon as vr
from napari_vidrecon import metrics
from napari_vidrecon.reconstruction.gaze import moved_array, slow_curves
from napari_vidrecon.reconstruction.gaze_fitting import PupilGaze, fit_gaze
from napari_vidrecon.sessions.simulation.behavior import EYE_CENTRE_PX, simulate_behavior
from napari_vidrecon.sessions.simulation.signals import ornstein_uhlenbeck
from napari_vidrecon.sessions.simulation.visual_cortex import VisualCortex
from napari_vidrecon.storage import replacing_file

FRAMES, SKIPPED = 150, 16
LARGEST_PX, SECONDS = 4.0, 2.0
UNITS_PER_PX, PUPIL_DRIFT, PUPIL_DRIFT_S, PUPIL_NOISE = 2.5, 1.0, 3.0, 0.15
LOG_GAIN_SD = 0.5
PRESENTATIONS = 4
SHIFT, PUPIL, GAIN = 77, 78, 79
"""Streams of chance."""
NONE, PLANTED = "none planted", "planted"
CASES = {
    NONE: ("ignored", "without pupil", "by pupil", "by pupil, rest inferred"),
    PLANTED: ("ignored", "without pupil", "by pupil", "by pupil, rest inferred", "true shift"),
    "four presentations": ("ignored", "without pupil", "by pupil"),
    "as simulated": ("ignored", "by pupil"),
    "gain, none planted": ("ignored", "inferred"),
    "gain, planted": ("ignored", "inferred"),
}


class Drifting:
    """A mouse of the arena whose gaze moves; as a session, the clips that it saw then."""

    def __init__(self, mouse: Measured, largest_px: float) -> None:
        (made,) = [each for each in MICE if each.name == mouse.name]
        self.mouse, self.largest_px, self.seed, self.path = mouse, largest_px, made.seed, mouse.session.path
        how = {"radius_px": made.radius_px, "centre": made.centre_px, "gain": made.gain}
        self.cortex = VisualCortex(made.neurons, made.seed, **how)
        self.trials_in_tier, self.has_movie = mouse.session.trials_in_tier, mouse.session.has_movie

    def shift(self, number: int, frames: int) -> np.ndarray:
        """(2, T) columns and rows, pixels; at most as large as is planted."""
        curves = slow_curves(frames, 30.0, SECONDS)
        shift = (curves @ self.chance(SHIFT, number).standard_normal((curves.shape[1], 2))).T
        return self.largest_px * shift / np.hypot(*shift).max()

    def chance(self, stream: int, number: int) -> np.random.Generator:
        """Of a presentation."""
        return np.random.default_rng([self.seed, stream, number])

    def trial(self, number: int, presentation: int = 0) -> vr.Trial:
        """A clip as it was shown once more."""
        clip = self.mouse.session.trial(number)
        clip = clip.part(0, min(clip.frames, FRAMES))
        number += 10_000 * (1 + presentation)
        shift, rng = self.shift(number, clip.frames), self.chance(PUPIL, number)
        behavior, _ = simulate_behavior(self.seed, number, clip.frames)
        own = [ornstein_uhlenbeck(rng, clip.frames, PUPIL_DRIFT, PUPIL_DRIFT_S, 30.0) for _ in range(2)]
        pupil = np.array(EYE_CENTRE_PX)[:, None] + own + UNITS_PER_PX * shift
        pupil = (pupil + PUPIL_NOISE * rng.standard_normal(pupil.shape)).astype(np.float32)
        answers = self.cortex.responses(moved_array(clip.video, shift), behavior, pupil, trial=number)
        return told(clip, number, behavior, pupil, answers)


def correlation(mouse: Measured, trials: list[vr.Trial], true_px: np.ndarray | None = None, **settings: Any) -> float:
    """Video correlation of a reconstruction from presentations of a clip."""
    run = vr.plan_run(trials[0], [mouse.encoder], mouse.mask, quiet("fast").changed(**settings), repeats=trials[1:])
    if true_px is not None:
        for drift in run.steppable.drifts:
            drift._start = torch.as_tensor(true_px).float()
    while not run.finished:
        run.step()
    found = run.steppable.video[SKIPPED:]
    return round(metrics.video_correlation(trials[0].video[SKIPPED:], found, mouse.mask.binary(1.0)), 4)


def by_pupil(found: PupilGaze, sd_px: float = 0.0) -> dict[str, Any]:
    """Settings of a run that takes what was found, checked or not."""
    return {"gaze": {**found.gaze.model_dump(), "sd_px": sd_px, "alone": True}}


def measured(mouse: Measured, clips: list[int], keep: Callable[[dict[str, Any]], None], known: dict[str, Any]) -> None:
    """All cases of all clips of a mouse; what is known is not made again."""
    mice = {NONE: Drifting(mouse, 0.0), PLANTED: Drifting(mouse, LARGEST_PX)}
    fits = {what: fit_gaze(each, mouse.encoder) for what, each in mice.items()}
    found = {what: {"matrix": each.settings, "better": each.better} for what, each in fits.items()}
    known["pupil"] = known.get("pupil", {}) | found
    own: PupilGaze | None = None
    blind = {"gaze": {"kind": "inferred", "sd_px": 2.0, "alone": True}}
    for clip in clips:
        told = known.setdefault("clips", {}).setdefault(str(clip), {})
        for what, drifting in mice.items():
            if what not in told:
                trial, fit = drifting.trial(clip), fits[what]
                cases = [{}, blind, by_pupil(fit) if fit.helps else {}, by_pupil(fit, 0.5)]
                told[what] = [correlation(mouse, [trial], **each) for each in cases]
                if what == PLANTED:
                    true = drifting.shift(clip + 10_000, trial.frames)
                    told[what].append(correlation(mouse, [trial], true, gaze={"kind": "inferred", "sd_px": 0.0}))
                keep(known)
        if "as simulated" not in told:
            own = fit_gaze(mouse.session, mouse.encoder) if own is None else own
            trial = mouse.session.trial(clip)
            trial = trial.part(0, min(trial.frames, FRAMES))
            told["as simulated"] = [correlation(mouse, [trial], **each) for each in ({}, by_pupil(own))]
            known["pupil"]["as simulated"] = {"matrix": own.settings, "better": own.better}
            keep(known)
        if "gain, planted" not in told:
            trial = mice[NONE].trial(clip)
            curves = slow_curves(trial.frames, 30.0, SECONDS)
            rng = mice[NONE].chance(GAIN, clip)
            gain = np.exp(LOG_GAIN_SD * curves @ rng.standard_normal(curves.shape[1]))
            varied = vr.Trial(**{**vars(trial), "recorded_responses": (trial.responses * gain).astype(np.float32)})
            for what, each in (("gain, none planted", trial), ("gain, planted", varied)):
                told[what] = [correlation(mouse, [each], **changes) for changes in ({}, {"gain": "inferred"})]
            keep(known)
        if clip == clips[0] and "four presentations" not in told:
            trials = [mice[PLANTED].trial(clip, presentation) for presentation in range(PRESENTATIONS)]
            cases = [{}, blind, by_pupil(fits[PLANTED])]
            told["four presentations"] = [correlation(mouse, trials, **each) for each in cases]
            keep(known)


def interval(values: np.ndarray, of: Callable[[np.ndarray], np.ndarray]) -> str:
    """A number of all clips, and its 95 % interval from resampled clips."""
    drawn = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile([of(values[each]) for each in drawn], [2.5, 97.5])
    return f"{of(values):+.3f} ({low:+.3f} to {high:+.3f})"


def rows(known: dict[str, dict]) -> list[str]:
    """The tables of docs/repeats.md."""
    clips = [each for mouse in known.values() for each in mouse["clips"].values()]
    lines = ["| | clips | correlation | beside ignored (95 %) | of what it loses (95 %) |", "|---|---|---|---|---|"]
    for what, cases in CASES.items():
        there = [each for each in clips if what in each]
        if not there:
            continue
        values = np.array([each[what] for each in there])
        whole = np.array([each[NONE][0] for each in there]) if what == PLANTED else None
        for place, case in enumerate(cases):
            pairs = np.stack([values[:, 0], values[:, place]], axis=1)
            beside = interval(pairs, lambda v: v[:, 1].mean() - v[:, 0].mean()) if place else ""
            share = ""
            if place and whole is not None:
                triples = np.column_stack([pairs, whole])
                share = interval(triples, lambda v: (v[:, 1] - v[:, 0]).sum() / (v[:, 2] - v[:, 0]).sum())
            cells = (f"{what}: {case}", len(there), f"{values[:, place].mean():.3f}", beside, share)
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("gaze.json"))
    parser.add_argument("--clips", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[mouse.name for mouse in MICE])
    parser.add_argument("--print", type=Path, dest="printed")
    arguments = parser.parse_args()
    out = arguments.printed or arguments.out
    told: dict[str, dict] = json.loads(out.read_text()) if out.exists() else {}
    for name in [] if arguments.printed else arguments.only:

        def keep(mine: dict[str, Any], name: str = name) -> None:
            with replacing_file(out) as file:
                file.write_text(json.dumps(told | {name: mine}, indent=1) + "\n")
            told[name] = mine

        mouse = Measured(arguments.folder, name)
        measured(mouse, mouse.session.trials_in_tier("live_test_main")[: arguments.clips], keep, told.get(name, {}))
    print("\n".join(rows(told)))


if __name__ == "__main__":
    main()
