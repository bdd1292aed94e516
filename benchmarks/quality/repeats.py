"""One movie from several presentations of a clip, beside one presentation and beside averaged activity.

    python benchmarks/quality/mice.py --folder arena && python benchmarks/quality/other_mice.py --folder arena
    python benchmarks/quality/repeats.py --folder arena --clips 2 --out docs/repeats.json
    python benchmarks/quality/repeats.py --print docs/repeats.json

Of every mouse in the folder (NAME, NAME_0.safetensors, NAME_resolved.npy, as `any_mouse.py` has them) further
presentations of test clips are simulated: the same movie with other behaviour, another gaze and other noise, by the
simulation that made the mouse. Reconstructed from one presentation, from 2, 4 and 8 together, from the plain mean of
their activity, and from the activity that the encoder predicts. All inside alpha >= 1. Simulated, or semi-real (`semi`,
with --model, the published model that it was made of).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from any_mouse import FRAMES, NAMES, SEMI_REAL, Measured, quiet
from mice import MICE as ARENA_MICE
from other_mice import MEAN_GREY, SD_GREY
from other_mice import MICE as OTHER_MICE

import napari_vidrecon as vr
from napari_vidrecon.encoders.semi_real import SemiRealMouse
from napari_vidrecon.sessions.simulation import signals
from napari_vidrecon.sessions.simulation.behavior import simulate_behavior
from napari_vidrecon.sessions.simulation.visual_cortex import VisualCortex
from napari_vidrecon.storage import replacing_file

COUNTS = (2, 4, 8)
FIRST_NEW = 10_000
"""Numbers of presentations, beyond those of all trials."""
RESAMPLES = 4000
Present = Callable[[vr.Trial, int], vr.Trial]


def presenting(name: str, session: vr.Session, model: Path | None) -> Present:
    """What shows a clip once more to a mouse, as the presentation of a number."""
    arena = [mouse for mouse in ARENA_MICE if mouse.name == name]
    if arena:
        (mouse,) = arena
        how = {"radius_px": mouse.radius_px, "centre": mouse.centre_px, "gain": mouse.gain}
        cortex = VisualCortex(mouse.neurons, mouse.seed, **how)

        def once_more(trial: vr.Trial, number: int) -> vr.Trial:
            behavior, gaze = simulate_behavior(mouse.seed, number, trial.frames)
            answers = cortex.responses(trial.video, behavior, gaze, trial=number)
            return told(trial, number, behavior, gaze, answers)

        return once_more
    if name in OTHER_MICE:
        other = OTHER_MICE[name](seed=5)

        def another(trial: vr.Trial, number: int) -> vr.Trial:
            rng = np.random.default_rng([other.seed, 2, number])
            behavior, gaze, running = other.behaviour(rng)
            answers = other.activity((trial.video - MEAN_GREY) / SD_GREY, running, rng)
            return told(trial, number, behavior, gaze, answers)

        return another
    if model is None:
        raise SystemExit(f"{name}: give --model, the published model that it was made of")
    said = session.simulation
    semi = SemiRealMouse.of_file(model, session.n_neurons, int(said["seed"]), said["model"]["mouse"])

    def semi_real(trial: vr.Trial, number: int) -> vr.Trial:
        behavior, gaze = simulate_behavior(semi.seed, number, trial.frames)
        counts = semi.activity.counts(semi._answer(trial.video, behavior, gaze))
        answers = signals.to_video_clock(semi.activity.scan(counts, number), trial.frames)
        return told(trial, number, behavior, gaze, answers)

    return semi_real


def told(trial: vr.Trial, number: int, behavior: np.ndarray, gaze: np.ndarray, answers: np.ndarray) -> vr.Trial:
    """The clip of a trial with what was recorded at another presentation."""
    recorded = np.asarray(answers, np.float32)
    name = f"{trial.name}, presentation {number}"
    return replace(trial, id=number, behavior=behavior, pupil_center=gaze, recorded_responses=recorded, name=name)


def measured(mouse: Measured, present: Present, clip: int, preset: str) -> dict[str, float]:
    """Correlations of one clip."""
    whole = mouse.session.trial(clip)
    shown = [whole, *(present(whole, FIRST_NEW + 100 * clip + k) for k in range(1, max(COUNTS)))]
    first, *others = (each.part(0, FRAMES) for each in shown)

    def correlation(repeats: list[vr.Trial], target: str = "recorded") -> float:
        run = vr.reconstruct(first, [mouse.encoder], mouse.mask, quiet(preset), repeats=repeats, target=target)
        return mouse.scores(run.video, first.video)[0]

    found = {"one": correlation([])}
    for count in COUNTS:
        found[f"joint {count}"] = correlation(others[: count - 1])
        found[f"mean {count}"] = correlation(others[: count - 1], "averaged")
    found["predicted"] = correlation([], "predicted")
    return found


def interval(values: np.ndarray, beside: np.ndarray | None = None) -> tuple[float, float]:
    """95 % of the mean, or of its share in the mean of others, from resampled clips."""
    drawn = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    means = values[drawn].mean(axis=1)
    if beside is not None:
        means = means / beside[drawn].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def rows(found: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """The tables of docs/repeats.md; a clip in which something was not measured is left out of it."""
    clips = [clip for mouse in found.values() for clip in mouse.values()]
    names = ["one", *(f"{how} {count}" for count in COUNTS for how in ("joint", "mean")), "predicted"]
    values = {name: np.array([clip.get(name, np.nan) for clip in clips]) for name in names}
    lines = ["| from | clips | correlation | beside one presentation (95 %) | distance closed (95 %) |"]
    lines.append("|---|---|---|---|---|")
    for name in names:
        there = np.isfinite(values[name])
        more, distance = (values[each][there] - values["one"][there] for each in (name, "predicted"))
        told_more = closed = ""
        if name != "one":
            told_more = "{:+.3f} ({:+.3f} to {:+.3f})".format(more.mean(), *interval(more))
        if name not in ("one", "predicted"):
            closed = "{:.2f} ({:.2f} to {:.2f})".format(more.mean() / distance.mean(), *interval(more, distance))
        lines.append(f"| {name} | {there.sum()} | {values[name][there].mean():.3f} | {told_more} | {closed} |")
    lines += ["", "| joint beside averaged | clips | difference (95 %) |", "|---|---|---|"]
    for count in COUNTS:
        more = values[f"joint {count}"] - values[f"mean {count}"]
        more = more[np.isfinite(more)]
        told = "{:+.4f} ({:+.4f} to {:+.4f})".format(more.mean(), *interval(more))
        lines.append(f"| {count} presentations | {len(more)} | {told} |")
    lines += ["", f"| mouse (clips) | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for name, mouse in found.items():
        told_means = []
        for each in names:
            known = [clip[each] for clip in mouse.values() if each in clip]
            told_means.append(f"{np.mean(known):.3f}" if known else "")
        lines.append(f"| {name} ({len(mouse)}) | {' | '.join(told_means)} |")
    return lines


def main() -> None:
    """Measure what is missing, clip by clip over all mice, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("repeats.json"))
    parser.add_argument("--clips", type=int, default=2)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--only", nargs="*", default=[name for name in NAMES if name != SEMI_REAL])
    parser.add_argument("--print", type=Path, dest="printed")
    arguments = parser.parse_args()
    out = arguments.printed or arguments.out
    found: dict[str, dict[str, dict[str, float]]] = json.loads(out.read_text()) if out.exists() else {}
    names = [] if arguments.printed else arguments.only
    mice = {name: Measured(arguments.folder, name) for name in names}
    presents = {name: presenting(name, mouse.session, arguments.model) for name, mouse in mice.items()}
    for index in range(arguments.clips):
        for name, mouse in mice.items():
            clip = mouse.session.trials_in_tier("live_test_main")[index]
            known = found.setdefault(name, {})
            if str(clip) in known:
                continue
            known[str(clip)] = measured(mouse, presents[name], clip, arguments.preset)
            with replacing_file(out) as file:
                file.write_text(json.dumps(found, indent=1) + "\n")
    print("\n".join(rows({name: mouse for name, mouse in found.items() if mouse})))


if __name__ == "__main__":
    main()
