"""What a study will cost before it is started: runs, time, disk."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_vidrecon.studies.runs.run_spec import RunSpec

BYTES_A_FLOAT = 4
PREDICTIONS_AT_THE_END = 3
TIMED_STEPS = 2


@dataclass(frozen=True)
class Cost:
    """What is missing of some studies.

    Parameters
    ----------
    runs
        Runs in all.
    missing
        Runs still to do.
    worker_seconds
        Work of one worker.
    disk_bytes
        Results still to come.
    """

    runs: int
    missing: int
    worker_seconds: float
    disk_bytes: int


def estimate(runs: Mapping[Path, RunSpec], missing: Mapping[Path, RunSpec]) -> Cost:
    """Time the first steps of one run of each kind, and count.

    A kind is a mouse, a number of encoders and a configuration; the time of a step hardly depends on anything else.

    Parameters
    ----------
    runs
        All runs, by folder.
    missing
        Those not finished.

    Returns
    -------
    Cost
        Of one worker.
    """
    seconds, disk = 0.0, 0
    known: dict[tuple[object, ...], tuple[float, int]] = {}
    for spec in missing.values():
        stimulus = type(spec.stimulus).__name__ if spec.stimulus is not None else ""
        kind = (spec.mouse.name, len(spec.encoders), len(spec.target_encoders), spec.config, spec.frames, stimulus)
        if kind not in known:
            known[kind] = _measure(spec)
        seconds += known[kind][0]
        disk += known[kind][1]
    return Cost(len(runs), len(missing), seconds, disk)


def _measure(spec: RunSpec) -> tuple[float, int]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        began = time.perf_counter()
        run = spec.plan()
        setup = time.perf_counter() - began
        run.step()
        times = [run.step().seconds for _ in range(TIMED_STEPS)]
        began = time.perf_counter()
        for encoder in run.encoders:
            encoder.predict(run.trial.video, run.trial.behavior, run.trial.pupil_center)
        prediction = time.perf_counter() - began
    finally:
        torch.set_num_threads(threads)
    seconds = setup + min(times) * spec.config.steps + PREDICTIONS_AT_THE_END * prediction
    values = 2 * run.trial.video.size + 2 * run.target.activity.size
    return seconds, values * BYTES_A_FLOAT
