"""Drawing the next batch while a step runs, so that a GPU does not wait for the disk."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from napari_vidrecon.encoders.training.batches import Batches, MixedBatch


class DrawingAhead:
    """Draws batches on a thread of its own, one step ahead; they are those of `batches`, bit by bit.

    Parameters
    ----------
    batches
        What draws them; nobody else may use it at the same time.
    """

    def __init__(self, batches: Batches) -> None:
        self.batches = batches
        # One thread, because what is drawn shares the trials kept in memory and the shuffled epoch.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._coming: tuple[int, Future[MixedBatch]] | None = None

    def draw(self, step: int) -> MixedBatch:
        """The batch of a step, counted from 0; the next one is begun."""
        if self._coming is not None and self._coming[0] == step:
            batch = self._coming[1].result()
        else:
            batch = self._thread.submit(self.batches.draw, step).result()
        self._coming = (step + 1, self._thread.submit(self.batches.draw, step + 1))
        return batch
