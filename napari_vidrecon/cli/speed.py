"""How fast this machine reconstructs: seconds a step of the sample takes, beside a machine that is known."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_vidrecon.reconstruction.reconstructor import StepInfo

FIRST_FRAME, END_FRAME = 30, 94
STEPS = 8
REFERENCE_SECONDS = 0.124
REFERENCE_MACHINE = "one core of an Intel Xeon of 2026"
"""The case `step-sample` of `docs/performance.json`."""
WHAT = "a step of `paper` on 64 frames of the sample, one encoder"


def step_seconds(device: str) -> float:
    """Median seconds that a step takes.

    Parameters
    ----------
    device
        Where: "cpu", "cuda:0", "mps".

    Returns
    -------
    float
        Seconds, > 0.
    """
    import napari_vidrecon as vr
    from napari_vidrecon.sessions.sample import find_sample

    sample = find_sample()
    session = vr.open_session(sample.session)
    encoder = vr.load_encoder(sample.encoders[0], device=device, neurons=session.n_neurons)
    config = vr.ReconstructionConfig.preset("paper", steps=STEPS)
    seconds: list[float] = []

    def note(step: StepInfo) -> None:
        # The first one, which sets things up, and the last are tracked, and that takes time too.
        if step.tracked is None:
            seconds.append(step.seconds)

    trial = session.trial(session.trial_ids[0]).part(FIRST_FRAME, END_FRAME)
    vr.reconstruct(trial, [encoder], vr.AlphaMask.load(sample.mask), config, on_step=note)
    return statistics.median(seconds)


def speed_lines() -> Iterator[tuple[str, str]]:
    """Name and words for every device of this machine, one after the other."""
    import torch

    devices = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    for device in [*devices, *["mps"] * torch.backends.mps.is_available()]:
        seconds = step_seconds(device)
        beside = f"{REFERENCE_SECONDS / seconds:.2g} times as fast as {REFERENCE_MACHINE} ({REFERENCE_SECONDS} s)"
        yield f"speed, {device}", f"{seconds:.3g} s {WHAT}; {beside}"
