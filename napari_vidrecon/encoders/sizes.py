"""What a size, a count or a rate of an encoder may be: they come from files that anyone may have written."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

CHECKED = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
"""No text for a number, no unknown entry, nothing that is not finite."""


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError("a filter needs a middle: its size must be odd")
    return size


Count = Annotated[int, Field(ge=1, le=1 << 20)]
"""Channels, features, neurons."""
Pixels = Annotated[int, Field(ge=1, le=4096)]
Frames = Annotated[int, Field(ge=1, le=512)]
Taps = Annotated[int, Field(ge=1, le=255)]
"""Size of a filter."""
OddTaps = Annotated[Taps, AfterValidator(_odd)]
"""Size of a filter whose output is as large as its input."""
Stride = Annotated[int, Field(ge=1, le=64)]
Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, le=1e6)]
Number = Annotated[float, Field(ge=-1e12, le=1e12)]
Deviation = Annotated[float, Field(ge=0, le=1e12)]
Neurons = Annotated[tuple[Count, ...], Field(min_length=1, max_length=1024)]
"""Of each mouse."""
MOST_LAYERS = 64
Counts = Annotated[tuple[Count, ...], Field(max_length=MOST_LAYERS)]
"""One for each layer."""
BEHAVIORS = 4
"""Pupil size, running, pupil x, pupil y."""
FourNumbers = Annotated[tuple[Number, ...], Field(min_length=BEHAVIORS, max_length=BEHAVIORS)]
FourDeviations = Annotated[tuple[Deviation, ...], Field(min_length=BEHAVIORS, max_length=BEHAVIORS)]
