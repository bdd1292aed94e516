"""What a person can choose to see, and where a run can be."""

from __future__ import annotations

from enum import StrEnum


class RunState(StrEnum):
    """Where the optimisation is."""

    IDLE = "idle"
    LOADING = "loading"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"


class ErrorMode(StrEnum):
    """What the error layer shows."""

    STIMULUS = "reconstruction - stimulus"
    PREDICTED = "from recorded - from predicted activity"
    COMPARISON = "shown run - compared run"
    UNCERTAINTY = "uncertainty: how far draws or encoders differ"
    NONE = "none"


class ActivityMode(StrEnum):
    """What the predicted-activity tile shows."""

    FROM_STIMULUS = "predicted from the stimulus"
    FROM_RECONSTRUCTION = "predicted from the reconstruction"
    DIFFERENCE = "difference"


class RasterOrder(StrEnum):
    """How the neurons of the rasters are sorted."""

    RECORDED = "as recorded"
    SIMILARITY = "by similarity"
    PREDICTION = "by prediction correlation"
    POSITION = "by position"
