"""What is timed: every case by name, each beside what it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.speed.at_once import finish, run_at_once, run_in_turn
from benchmarks.speed.gpu import NO_GPU, gpu_at_hand, measure_gpu
from benchmarks.speed.gradient_check import check_both_precisions, check_gradients
from benchmarks.speed.growth import GROWTH_AXES, measure_growth
from benchmarks.speed.naive import NaiveLoop
from benchmarks.speed.quality import approach_truth, compare_costs, step_windows
from benchmarks.speed.sample_clips import SampleClips
from benchmarks.speed.scales import WHOLE, Scale
from benchmarks.speed.stand_ins import describe, random_clip, random_encoder
from benchmarks.speed.timing import Timing, compared, interleaved
from napari_vidrecon.encoders.architectures.dwiseneuro import DwiseNeuroConfig
from napari_vidrecon.encoders.window_encoder import WindowEncoder
from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.run import Run, plan_run
from napari_vidrecon.sessions.trial import Trial

OnCall = Callable[[str], None]
NAIVE = "naive loop"
QUALITY_VARIANTS = ("paper", "fast", "best")


@dataclass(frozen=True)
class Case:
    """One part of a benchmark.

    Parameters
    ----------
    name
        For `--cases`.
    section
        Where its rows go: "timings", "quality", "gradients", "growth" or "gpu".
    calls
        How often it calls `on_call`, for the progress.
    measure
        Does it; takes `on_call`, which is told what was just done.
    """

    name: str
    section: str
    calls: int
    measure: Callable[[OnCall], list[dict[str, Any]]]


def build_cases(scale: Scale) -> list[Case]:
    """All cases of a scale; nothing is loaded or computed before a case is measured."""
    turns, large_turns = 2 * (scale.warmups + scale.repeats), 2 * scale.large_repeats
    quality_calls = scale.quality_clips * len(QUALITY_VARIANTS)
    several = len(scale.ensembles), len(scale.clips)
    return [
        Case("gradients", "gradients", 2, lambda on: _gradients(scale, on)),
        Case("step-small", "timings", turns, lambda on: [_random_step(scale, scale.small, on)]),
        Case("step-large", "timings", large_turns, lambda on: [_random_step(scale, scale.large, on)]),
        Case("step-sample", "timings", turns, lambda on: [_sample_step(scale, on)]),
        Case("prediction-small", "timings", turns, lambda on: [_prediction(scale, scale.small, on)]),
        Case("prediction-large", "timings", large_turns, lambda on: [_prediction(scale, scale.large, on)]),
        Case("clip-sample", "timings", turns, lambda on: [_whole_clip(scale, on)]),
        Case("quality", "quality", quality_calls, lambda on: _quality(scale, on)),
        Case("ensembles", "timings", turns * several[0], lambda on: [_ensemble(scale, n, on) for n in scale.ensembles]),
        Case("clips", "timings", turns * several[1], lambda on: [_clips(scale, n, on) for n in scale.clips]),
        Case("growth", "growth", len(GROWTH_AXES), lambda on: measure_growth(scale, on)),
        Case("gpu", "gpu", 1, _gpu),
    ]


def choose_cases(scale: Scale, names: Sequence[str]) -> list[Case]:
    """The named cases, in the usual order; all for no name.

    Raises
    ------
    ConfigError
        There is no case of that name.
    """
    cases = build_cases(scale)
    known = [case.name for case in cases]
    for name in names:
        if name not in known:
            raise ConfigError(f"--cases {name}: expected one of {', '.join(known)}")
    return [case for case in cases if not names or case.name in names]


def with_case(results: Mapping[str, Any], case: Case, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Results with the rows of a case in place of its earlier ones, in the usual order; each says on how many cores."""
    order = [each.name for each in build_cases(WHOLE)]
    others = [row for row in results.get(case.section, []) if row["of"] != case.name]
    threads = results["machine"]["threads"]
    together = [*others, *({"threads": threads, **row, "of": case.name} for row in rows)]
    return {**results, case.section: sorted(together, key=lambda row: order.index(row["of"]))}


def joined(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Two results of one machine as one; of a case that is in both, the later one's rows."""
    together: dict[str, Any] = {**earlier, "machine": later["machine"]}
    for case in build_cases(WHOLE):
        rows = [row for row in later.get(case.section, []) if row["of"] == case.name]
        if rows:
            together = with_case(together, case, rows)
    return together


def _row(case: str, what: str, size: str, timings: Mapping[str, Timing], **more: Any) -> dict[str, Any]:
    """One line of the table: the first timing is what ours, the second, is compared with."""
    (beside, theirs), (_, ours) = timings.items()
    return {
        "case": case,
        "what": what,
        "size": size,
        "beside": beside,
        "repeats": len(ours.seconds),
        "beside_seconds": theirs.seconds,
        "seconds": ours.seconds,
        **compared(theirs, ours),
        **more,
    }


def _paper(steps: int) -> ReconstructionConfig:
    return ReconstructionConfig.preset("paper", steps=steps)


def _untracked_step(trial: Trial, encoder: WindowEncoder, mask: AlphaMask) -> Callable[[], object]:
    run = plan_run(trial, [encoder], mask, _paper(1_000_000))
    run.steppable.tracker = None
    return run.step


def _steps(
    trial: Trial, encoder: WindowEncoder, mask: AlphaMask, repeats: int, warmups: int, on_call: OnCall
) -> tuple[dict[str, Timing], dict[str, int]]:
    naive = NaiveLoop(trial, encoder, mask)
    tasks = {NAIVE: naive.step, "ours": _untracked_step(trial, encoder, mask)}
    timings = interleaved(tasks, repeats, warmups=warmups, on_call=on_call)
    windows = step_windows(_paper(1), [encoder], trial.frames, 0)
    return timings, {"beside_windows": naive.windows // naive.steps_done, "windows": windows}


def _repeats(scale: Scale, config: DwiseNeuroConfig) -> tuple[int, int]:
    return (scale.large_repeats, 0) if config is scale.large else (scale.repeats, scale.warmups)


def _random_step(scale: Scale, config: DwiseNeuroConfig, on_call: OnCall) -> dict[str, Any]:
    large = config is scale.large
    encoder = random_encoder(config)
    trial = random_clip(scale.large_frames if large else scale.small_frames, encoder.spec.neurons)
    timings, windows = _steps(trial, encoder, AlphaMask.full(), *_repeats(scale, config), on_call)
    size = f"{describe(encoder)}, {trial.frames} frames"
    return _row("step-large" if large else "step-small", "optimisation step", size, timings, **windows)


def _sample_step(scale: Scale, on_call: OnCall) -> dict[str, Any]:
    sample = SampleClips(scale)
    trial, encoder = sample.clip(0), sample.encoder(0)
    timings, windows = _steps(trial, encoder, sample.mask, scale.repeats, scale.warmups, on_call)
    return _row("step-sample", "optimisation step", sample.size(1), timings, **windows)


def _prediction(scale: Scale, config: DwiseNeuroConfig, on_call: OnCall) -> dict[str, Any]:
    large = config is scale.large
    encoder = random_encoder(config)
    trial = random_clip(scale.large_prediction_frames if large else scale.small_frames, encoder.spec.neurons)
    naive = NaiveLoop(trial, encoder, AlphaMask.full())
    tasks: dict[str, Callable[[], object]] = {
        NAIVE: lambda: naive.predict(trial.video),
        "ours": lambda: encoder.predict(trial.video, trial.behavior, trial.pupil_center),
    }
    repeats, warmups = _repeats(scale, config)
    timings = interleaved(tasks, repeats, warmups=warmups, on_call=on_call)
    windows = naive.evaluations // (repeats + warmups)
    case = "prediction-large" if large else "prediction-small"
    size = f"{describe(encoder)}, {trial.frames} frames"
    return _row(case, "prediction of a clip", size, timings, beside_windows=windows, windows=windows)


def _whole_clip(scale: Scale, on_call: OnCall) -> dict[str, Any]:
    sample = SampleClips(scale)
    trial, encoder = sample.clip(0), sample.encoder(0)
    tasks: dict[str, Callable[[], object]] = {
        NAIVE: lambda: NaiveLoop(trial, encoder, sample.mask).run(scale.clip_steps),
        "ours": lambda: finish(plan_run(trial, [encoder], sample.mask, _paper(scale.clip_steps))),
    }
    timings = interleaved(tasks, scale.repeats, warmups=scale.warmups, on_call=on_call)
    what = f"whole clip with tracking, {scale.clip_steps} steps"
    return _row("clip-sample", what, sample.size(1), timings)


def _ensemble(scale: Scale, count: int, on_call: OnCall) -> dict[str, Any]:
    sample = SampleClips(scale)
    trial, encoders, config = sample.clip(0), [sample.encoder(index) for index in range(count)], _paper(scale.run_steps)
    singles = f"{count} single run{'s' * (count > 1)}"
    tasks: dict[str, Callable[[], object]] = {
        singles: lambda: run_in_turn([plan_run(trial, [encoder], sample.mask, config) for encoder in encoders]),
        "ours": lambda: finish(plan_run(trial, encoders, sample.mask, config)),
    }
    timings = interleaved(tasks, scale.repeats, warmups=scale.warmups, on_call=on_call)
    return _row(f"ensemble-{count}", f"ensemble of {count}, {scale.run_steps} steps", sample.size(count), timings)


def _clips(scale: Scale, count: int, on_call: OnCall) -> dict[str, Any]:
    sample, config = SampleClips(scale), _paper(scale.run_steps)
    trials, encoder = [sample.clip(index) for index in range(count)], sample.encoder(0)

    def plan() -> list[Run]:
        return [plan_run(trial, [encoder], sample.mask, config) for trial in trials]

    tasks: dict[str, Callable[[], object]] = {
        "one after the other": lambda: run_in_turn(plan()),
        "ours": lambda: run_at_once(plan()),
    }
    timings = interleaved(tasks, scale.repeats, warmups=scale.warmups, on_call=on_call)
    what = f"{count} clip{'s' * (count > 1)} at once, {scale.run_steps} steps"
    return _row(f"clips-{count}", what, sample.size(1), timings)


def _quality_config(scale: Scale, name: str) -> ReconstructionConfig:
    config = ReconstructionConfig.preset(name)
    if name == "paper":
        return config.changed(steps=scale.quality_steps)
    return config.changed(steps=min(config.steps, scale.quality_most_steps or config.steps))


def _quality(scale: Scale, on_call: OnCall) -> list[dict[str, Any]]:
    sample = SampleClips(scale)
    encoder = sample.encoder(0)
    variants = {name: _quality_config(scale, name) for name in QUALITY_VARIANTS}

    def finished(name: str, step: int) -> None:
        if step == variants[name].steps:
            on_call(name)

    clips = [
        approach_truth(sample.clip(index), [encoder], sample.mask, variants, on_step=finished)
        for index in range(scale.quality_clips)
    ]
    costs = compare_costs(clips, reference="paper")
    return [{"preset": name, "size": sample.size(1), **row} for name, row in costs.items()]


def _gradients(scale: Scale, on_call: OnCall) -> list[dict[str, Any]]:
    return list(_gradient_rows(scale, on_call))


def _gradient_rows(scale: Scale, on_call: OnCall) -> Iterator[dict[str, Any]]:
    yield from check_both_precisions(scale.small, scale.check_frames)
    on_call("gradients, small")
    yield check_gradients(random_encoder(scale.large), scale.large_check_frames)
    on_call("gradients, large")


def _gpu(on_call: OnCall) -> list[dict[str, Any]]:
    rows = measure_gpu() if gpu_at_hand() else [{"missing": NO_GPU}]
    on_call("gpu")
    return rows
