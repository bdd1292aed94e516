"""`ImportSettings`: the choices of an import, each with the value that changes least."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_vidrecon.sessions.importing.resampling import ScreenFit
from napari_vidrecon.sessions.trial_files import MINIMUM_FRAMES


class ImportSettings(BaseModel):
    """The choices of an import.

    Parameters
    ----------
    trial_frames
        Frames of a trial at 30 Hz; longer presentations are cut into several.
    fit
        How movies of other proportions meet the screen: "pad" with mid grey, "crop" or "stretch".
    bad_neurons
        Neurons that are NaN or never change: "drop" them and say so, or "refuse" the recording.
    negative
        Activity below zero: "refuse" the recording, or set it to zero ("clip") and say so.
    test_share, validation_share
        Share of the trials held out in the tiers live_test_main and oracle.
    within_movie
        Hold out parts of movies whose other parts are trained on; only if there is one movie.
    trim
        Of two arrays that should be equally long, cut the longer one at its end instead of refusing.
    clock_tolerance_s
        How far two clocks may run apart over the recording, s.
    levels
        Values of the movies that were shown as black and as white; None to tell them by the kind of numbers.
    axes
        Order of the axes of the movies, e.g. "twh" where they are stored (frame, x, y): n clips, t frames, h rows,
        w columns, c colours; None for the usual order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trial_frames: int = Field(default=300, ge=MINIMUM_FRAMES)
    fit: ScreenFit = "pad"
    bad_neurons: Literal["drop", "refuse"] = "drop"
    negative: Literal["refuse", "clip"] = "refuse"
    test_share: float = Field(default=0.1, ge=0.0, lt=0.5)
    validation_share: float = Field(default=0.1, gt=0.0, lt=0.5)
    within_movie: bool = False
    trim: bool = False
    clock_tolerance_s: float = Field(default=0.05, gt=0.0)
    levels: tuple[float, float] | None = None
    axes: str | None = Field(default=None, pattern="^[nthwc]{3,5}$")
