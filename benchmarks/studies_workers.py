"""How much faster two workers are than one on the independent runs of a study.

    python benchmarks/studies_workers.py [--workers 1 2] [--runs 10]

Runs of the simulated mouse (the ablation study at quick scale) on a local Dask cluster, each number of workers into
an empty folder. Starting the cluster, which takes a few seconds whatever the study, is timed apart: the rate counts
from the first finished run of every worker to the last. Prints JSON; run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from napari_vidrecon.studies.conducting import grid
from napari_vidrecon.studies.experiments.ablation import ABLATION
from napari_vidrecon.studies.mice import sample_mouse
from napari_vidrecon.studies.runs.run_spec import RunStore
from napari_vidrecon.studies.runs.running import Progress, run_all, usual_workers
from napari_vidrecon.studies.scale import scale_named
from napari_vidrecon.studies.study import Plan


def timed(workers: int, runs: int) -> dict[str, float]:
    """Runs a minute with so many workers, once all of them are at work, and the whole time."""
    plan = Plan((sample_mouse(),), scale_named("quick"))
    ends: list[float] = []
    began = time.monotonic()

    def on_progress(progress: Progress) -> None:
        if progress.done > len(ends):
            ends.extend([time.monotonic()] * (progress.done - len(ends)))
            print(f"{workers} workers: {progress.done} of {runs} after {ends[-1] - began:.1f} s", file=sys.stderr)

    with tempfile.TemporaryDirectory() as folder:
        chosen = dict(list(grid([ABLATION], plan, RunStore(Path(folder))).items())[:runs])
        run_all(chosen, workers=workers, device="cpu", on_progress=on_progress)
        whole = time.monotonic() - began
    # The first run of each worker also imports everything: it starts the clock.
    first = ends[workers - 1]
    return {
        "seconds": round(whole, 2),
        "seconds_to_first": round(ends[0] - began, 2),
        "runs_a_minute": round(60 * (len(ends) - workers) / (ends[-1] - first), 2),
    }


def main() -> int:
    """Time each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--runs", type=int, default=10)
    options = parser.parse_args()
    found = {str(workers): timed(workers, options.runs) for workers in options.workers}
    first, last = (found[str(options.workers[place])] for place in (0, -1))
    answer = {
        "cores": usual_workers(),
        "runs": options.runs,
        "workers": found,
        "speed_up_at_work": round(last["runs_a_minute"] / first["runs_a_minute"], 2),
        "speed_up_with_the_start": round(first["seconds"] / last["seconds"], 2),
    }
    print(json.dumps(answer, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
