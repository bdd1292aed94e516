"""How often a run's newest picture may be shown, so that showing it does not hold up the run."""

from __future__ import annotations

import time
from collections.abc import Callable

REDRAW_SHARE = 0.025
"""Most of the time that pictures may take. While Qt paints, it keeps Python, and so the run, waiting; a processor that
draws by itself takes its other cores from the run as well, which costs as much again. A graphics card draws several
pictures a second within this share, such a processor one in a second or two."""
FIRST_REST_SECONDS = 0.4
"""After the start of a run: its first steps are all but grey, and a picture of them would only put off the next."""
LONGEST_REST_SECONDS = 2.0
"""However long a picture took, on a machine that is busy with other things: a person still sees that it goes on."""


class RedrawBudget:
    """Rests after a redraw for as long as its share demands.

    Parameters
    ----------
    share
        Part of the time that redraws may take, 0..1.
    clock
        Seconds, ever growing.
    """

    def __init__(self, share: float = REDRAW_SHARE, clock: Callable[[], float] = time.monotonic) -> None:
        self._rest_per_second, self._clock = 1 / share - 1, clock
        self._began: float | None = None
        self._rests_until = -float("inf")

    def rest(self, seconds: float) -> None:
        """Show nothing for so long."""
        self._rests_until = self._clock() + seconds

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
            self._rests_until = now + min(self._rest_per_second * (now - self._began), LONGEST_REST_SECONDS)
            self._began = None
