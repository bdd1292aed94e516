"""Several reconstructions at once, in threads, beside the same ones in turn."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from napari_vidrecon.reconstruction.run import Run


def run_in_turn(runs: Sequence[Run]) -> None:
    """Finish one run after the other, each with all of torch's threads."""
    for run in runs:
        finish(run)


def run_at_once(runs: Sequence[Run]) -> None:
    """Finish all runs at once, a thread each; torch's threads are shared out among them."""
    threads = torch.get_num_threads()
    share = max(1, threads // len(runs))
    try:
        with ThreadPoolExecutor(min(threads, len(runs)), initializer=torch.set_num_threads, initargs=(share,)) as pool:
            list(pool.map(finish, runs))
    finally:
        torch.set_num_threads(threads)


def finish(run: Run) -> None:
    """Do all steps that are left."""
    while not run.finished:
        run.step()
