"""The state of a reconstruction that a later process goes on from, checked before any of it is taken over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from napari_vidrecon.errors import ConfigError, one_line

OUTCOME_PREFIX, DEVIANCE = "outcome_", "deviance"
"""Names in a saved state."""
LONGEST_NAME = 40
SHORT_ROWS = (OUTCOME_PREFIX, DEVIANCE)
"""What may be a few numbers; everything else is as large as the movie."""


def check_state(
    state: Mapping[str, Any], movie: tuple[int, ...], update: Mapping[str, torch.Tensor], steps: int
) -> None:
    """Refuse a saved state that does not fit a run.

    Parameters
    ----------
    state
        As `Reconstructor.state` gives it, from a file.
    movie
        Shape of the movie on the canvas.
    update
        The state of an update rule that has not begun: what must be there, and how large.
    steps
        Of the run.

    Raises
    ------
    ConfigError
        A part is missing, of another size or kind, or not finite.
    """
    step = state.get("step")
    if isinstance(step, bool) or not isinstance(step, (int, np.integer)) or not 0 <= step <= steps:
        raise ConfigError(f"state: expected a step from 0 to {steps}, found {one_line(repr(step), LONGEST_NAME)}")
    sizes = {"video": movie, **{name: tuple(each.shape) for name, each in update.items()}}
    for name in (*sizes, *state):
        if name == "step":
            continue
        what = "a movie" if name == "video" else one_line(name, LONGEST_NAME)
        if name not in state:
            raise ConfigError(f"state: expected {what}, found none")
        found = np.asarray(state[name])
        if found.dtype.kind not in "fiu":
            raise ConfigError(f"state: expected numbers in {what}, found {found.dtype}")
        wanted = sizes.get(name, movie)
        if found.shape != wanted and not (found.ndim <= 1 and name.startswith(SHORT_ROWS)):
            raise ConfigError(f"state: expected {what} of {wanted}, found {found.shape}")
        # A deviance may be none; then all members of an ensemble count the same.
        if name != DEVIANCE and not np.isfinite(found).all():
            raise ConfigError(f"state: expected finite numbers in {what}, found others")
