"""What a GPU reaches, and how near that is to what its memory allows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.speed.naive import NaiveLoop
from benchmarks.speed.quality import step_windows
from benchmarks.speed.stand_ins import PUBLISHED, describe, random_clip, random_encoder
from benchmarks.speed.timing import compared, interleaved, timed
from napari_vidrecon.encoders.architectures.dwiseneuro import DwiseNeuroConfig
from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.encoders.windows import FrameWindows
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.run import plan_run

NO_GPU = "no GPU at hand: step time, and share of the memory-bandwidth limit, at the published size are not measured"
FRAMES = 300
REPEATS = 5
NAIVE = "naive loop"
PASSES = 5
"""Least traffic of an expanded tensor in a step: written and read forwards, read backwards, its gradient written
and read."""
COPIED_BYTES = 1 << 30
COPIES = 10


def gpu_at_hand() -> bool:
    """Whether there is a CUDA device."""
    return torch.cuda.is_available()


def least_bytes(config: DwiseNeuroConfig, bytes_a_number: int, canvas: Canvas, windows: FrameWindows) -> int:
    """Least memory traffic of a window, forwards and backwards: an estimate by counting.

    Only the three expanded tensors of every block count; all else is small beside them. At the published size this
    is 3.4 GB in float32.
    """
    numbers = 0
    rows, columns = canvas.rows, canvas.columns
    for channels, stride in zip(config.core_features, config.spatial_strides, strict=True):
        middle = channels * config.expansion_ratio * windows.size
        numbers += middle * rows * columns
        rows, columns = math.ceil(rows / stride), math.ceil(columns / stride)
        numbers += 2 * middle * rows * columns
    return PASSES * numbers * bytes_a_number


def measured_bandwidth(device: str, copied_bytes: int = COPIED_BYTES) -> float:
    """Bytes a second that a large copy on the device reads and writes."""
    source = torch.empty(copied_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)

    def copy() -> None:
        for _ in range(COPIES):
            target.copy_(source)

    copy()
    return 2 * copied_bytes * COPIES / min(timed(copy) for _ in range(REPEATS))


def measure_gpu(
    config: DwiseNeuroConfig = PUBLISHED,
    frames: int = FRAMES,
    *,
    repeats: int = REPEATS,
    device: str = "cuda",
    copied_bytes: int = COPIED_BYTES,
) -> list[dict[str, Any]]:
    """One optimisation step beside the naive loop, and its share of the memory-bandwidth limit, a row a precision.

    bfloat16 is left out where the encoder's gradient does not keep its direction in it.
    """
    trial, mask = random_clip(frames, config.readout_outputs[0]), AlphaMask.full()
    encoders = [random_encoder(config, device=device) for _ in range(2)]
    if not encoders[1].use_bfloat16():
        del encoders[1]
    naive = NaiveLoop(trial, encoders[0], mask)
    settings = ReconstructionConfig.preset("paper", steps=repeats + 2)
    tasks: dict[str, Callable[[], object]] = {NAIVE: naive.step}
    for encoder in encoders:
        run = plan_run(trial, [encoder], mask, settings)
        run.steppable.tracker = None
        tasks[encoder.precision] = run.step
    timings = interleaved(tasks, repeats)
    bandwidth = measured_bandwidth(device, copied_bytes)
    windows = step_windows(settings, encoders[:1], frames, 0)
    rows = []
    for encoder in encoders:
        bytes_a_number = getattr(torch, encoder.precision).itemsize
        traffic = windows * least_bytes(config, bytes_a_number, encoder.spec.canvas, encoder.spec.windows)
        naive_timing, ours = timings[NAIVE], timings[encoder.precision]
        rows.append(
            {
                "size": f"{describe(encoder)}, {frames} frames",
                "precision": encoder.precision,
                "beside_seconds": naive_timing.seconds,
                "seconds": ours.seconds,
                **compared(naive_timing, ours),
                "windows": windows,
                "bandwidth_limit_seconds": traffic / bandwidth,
                "share_of_limit": traffic / bandwidth / ours.median,
            }
        )
    return rows
