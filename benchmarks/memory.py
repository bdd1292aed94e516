"""Peak memory of reconstructing a clip with a DwiseNeuro of the published size on a CPU.

    python benchmarks/memory.py [--frames 300] [--neurons 8000] [--threads 2] [--memory GIB]

The weights are random: memory does not depend on them. Prints the peak resident memory of the process, what was there
before the first step, and how many windows go through at once.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from dataclasses import replace

import torch

import napari_vidrecon as vr
from benchmarks.speed.stand_ins import PUBLISHED, random_clip, random_encoder
from napari_vidrecon.encoders.chunks import chunk_that_fits, window_threads
from napari_vidrecon.reconstruction.run import plan_run

GIB = 1 << 30


def peak_bytes() -> int:
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main(frames: int, neurons: int, steps: int, memory_gib: float | None) -> None:
    """Run the steps and print what they took."""
    encoder = random_encoder(replace(PUBLISHED, readout_outputs=(neurons,)))
    encoder.memory_limit = None if memory_gib is None else int(memory_gib * GIB)
    config = vr.ReconstructionConfig.preset("paper", steps=steps + 1, track_responses=False)
    run = plan_run(random_clip(frames, neurons), [encoder], vr.AlphaMask.full(), config)
    before, began = peak_bytes() / GIB, time.perf_counter()
    for _ in range(steps):
        run.step()
    seconds = (time.perf_counter() - began) / steps
    workers, _ = window_threads(encoder)
    at_once = f"{chunk_that_fits(encoder, gradient=True)} window(s) in each of {workers} thread(s)"
    print(
        f"{frames} frames, {neurons} neurons, {steps} step(s), {at_once}: peak {peak_bytes() / GIB:.2f} GiB "
        f"({before:.2f} before the first step), {seconds:.0f} s a step"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--neurons", type=int, default=8000)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", type=float, metavar="GIB")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    main(arguments.frames, arguments.neurons, arguments.steps, arguments.memory)
