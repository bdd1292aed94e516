"""Peak memory of reconstructing a 300-frame clip with a full-size DwiseNeuro on a CPU.

    python benchmarks/memory.py [--steps 1] [--neurons 8000]

The weights are random: memory does not depend on them. Prints the peak resident memory of the process.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

import numpy as np

import napari_vidrecon as vr
from napari_vidrecon.encoders.dwiseneuro import DwiseNeuro, DwiseNeuroConfig
from napari_vidrecon.encoders.encoder import EncoderSpec
from napari_vidrecon.encoders.window_encoder import WindowEncoder
from napari_vidrecon.reconstruction.run import plan_run
from napari_vidrecon.sessions.session import Trial

GIB = 1 << 30


def peak_bytes() -> int:
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main(frames: int, neurons: int, steps: int) -> None:
    """Run the steps and print what they took."""
    random = np.random.default_rng(0)
    trial = Trial(
        id=0,
        tier="train",
        video=random.uniform(0, 255, (frames, 36, 64)).astype(np.float32),
        behavior=np.ones((2, frames), np.float32),
        pupil_center=np.full((2, frames), 150, np.float32),
        recorded_responses=random.gamma(0.5, 6.0, (neurons, frames)).astype(np.float32),
    )
    spec = EncoderSpec(name="full size, random weights", architecture="dwiseneuro", neurons=neurons)
    encoder = WindowEncoder(DwiseNeuro(DwiseNeuroConfig((neurons,))), spec)
    config = vr.ReconstructionConfig.preset("paper", steps=max(steps, 2), track_responses=False)
    run = plan_run(trial, [encoder], vr.AlphaMask.full(), config)
    began = time.perf_counter()
    for _ in range(steps):
        run.steppable.gradient()
    seconds = (time.perf_counter() - began) / steps
    peak = peak_bytes() / GIB
    print(f"{frames} frames, {neurons} neurons, {steps} step(s): peak {peak:.2f} GiB, {seconds:.0f} s a step")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--neurons", type=int, default=8000)
    parser.add_argument("--steps", type=int, default=1)
    arguments = parser.parse_args()
    main(arguments.frames, arguments.neurons, arguments.steps)
