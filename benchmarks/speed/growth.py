"""How the cost grows with frames, neurons, encoders and steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from benchmarks.speed.at_once import finish
from benchmarks.speed.sample_clips import SampleClips
from benchmarks.speed.scales import Scale
from benchmarks.speed.stand_ins import describe, random_clip, random_encoder
from benchmarks.speed.timing import interleaved
from napari_vidrecon.encoders.architectures.dwiseneuro import DwiseNeuroConfig
from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.run import plan_run
from napari_vidrecon.sessions.trial import Trial

NEVER_DONE = 1_000_000
GROWTH_AXES = ("frames", "neurons", "encoders", "steps")


def measure_growth(scale: Scale, on_call: Callable[[str], None]) -> list[dict[str, Any]]:
    """Rows {axis, value, what, size, repeats, seconds}: the values of an axis are timed in turn."""
    rows = []
    for axis, measure in zip(GROWTH_AXES, (_frames, _neurons, _encoders, _steps), strict=True):
        rows += measure(scale)
        on_call(axis)
    return rows


def _frames(scale: Scale) -> list[dict[str, Any]]:
    tasks = {frames: _random_step(scale.small, frames) for frames in scale.growth_frames}
    return _rows(scale, "frames", "a step", describe(random_encoder(scale.small)), tasks)


def _neurons(scale: Scale) -> list[dict[str, Any]]:
    frames = scale.growth_frames[0]
    tasks = {
        neurons: _random_step(replace(scale.small, readout_outputs=(neurons,)), frames)
        for neurons in scale.growth_neurons
    }
    size = describe(random_encoder(scale.small)).partition(",")[0]
    return _rows(scale, "neurons", "a step", f"{size}, {frames} frames", tasks)


def _encoders(scale: Scale) -> list[dict[str, Any]]:
    sample = SampleClips(scale)
    tasks = {
        count: _step(sample.clip(0), [sample.encoder(index) for index in range(count)], sample.mask)
        for count in scale.growth_encoders
    }
    return _rows(scale, "encoders", "a step", sample.size(1), tasks)


def _steps(scale: Scale) -> list[dict[str, Any]]:
    sample = SampleClips(scale)
    trial, encoder = sample.clip(0), sample.encoder(0)

    def whole(steps: int) -> Callable[[], object]:
        config = ReconstructionConfig.preset("paper", steps=steps)
        return lambda: finish(plan_run(trial, [encoder], sample.mask, config))

    tasks = {steps: whole(steps) for steps in scale.growth_steps}
    return _rows(scale, "steps", "a whole run with tracking", sample.size(1), tasks)


def _random_step(config: DwiseNeuroConfig, frames: int) -> Callable[[], object]:
    encoder = random_encoder(config)
    return _step(random_clip(frames, encoder.spec.neurons), [encoder], AlphaMask.full())


def _step(trial: Trial, encoders: list[Encoder], mask: AlphaMask) -> Callable[[], object]:
    run = plan_run(trial, encoders, mask, ReconstructionConfig.preset("paper", steps=NEVER_DONE))
    run.steppable.tracker = None
    return run.step


def _rows(
    scale: Scale, axis: str, what: str, size: str, tasks: Mapping[int, Callable[[], object]]
) -> list[dict[str, Any]]:
    named = {str(value): task for value, task in tasks.items()}
    timings = interleaved(named, scale.repeats, warmups=scale.warmups)
    return [
        {
            "axis": axis,
            "value": value,
            "what": what,
            "size": size,
            "repeats": scale.repeats,
            "seconds": timings[str(value)].seconds,
        }
        for value in tasks
    ]
