"""How often a run's newest picture may be shown, so that showing it does not hold up the run."""

from __future__ import annotations

import time
from collections.abc import Callable

REDRAW_SHARE = 0.2
"""Most of the window's time that pictures may take. Where a graphics card draws they take far less; a processor
that draws by itself has the run to think of."""


class RedrawBudget:
    """Rests after a redraw for as long as its share demands.

    Parameters
    ----------
    share : part of the time that redraws may take, 0..1.
    clock : seconds, ever growing.
    """

    def __init__(self, share: float = REDRAW_SHARE, clock: Callable[[], float] = time.monotonic) -> None:
        self._rest_per_second, self._clock = 1 / share - 1, clock
        self._began: float | None = None
        self._rests_until = -float("inf")

    def may_redraw(self) -> bool:
        """Whether the last redraw is over and rested from."""
        return self._began is None and self._clock() >= self._rests_until

    def begin(self) -> None:
        """A redraw begins."""
        self._began = self._clock()

    def end(self) -> None:
        """It is on the screen."""
        if self._began is not None:
            now = self._clock()
            self._rests_until = now + self._rest_per_second * (now - self._began)
            self._began = None
