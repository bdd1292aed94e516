"""What a run's provenance says, as data from outside: all that the window takes from it is checked first."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from napari_vidrecon.errors import RunError, one_line

LARGEST_WHOLE_NUMBER = 2**31 - 1
LONGEST_TEXT = 4096
MOST_FILES = 1000
HIGHEST_FRAME_RATE_HZ = 10_000.0

Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
WholeNumber = Annotated[int, Field(ge=-1, le=LARGEST_WHOLE_NUMBER)]
Files = Annotated[list[Text], Field(max_length=MOST_FILES)]


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)

    @field_validator("*", mode="after")
    @classmethod
    def _without_null_bytes(cls, value: Any) -> Any:
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and "\0" in text:
                raise ValueError("a text without null bytes")
        return value


class ToldInputs(_Told):
    """Where everything lay that went in."""

    session: Text | None = None
    frames: list[WholeNumber | None] | None = Field(None, max_length=2)
    encoders: Files | None = None
    target_encoders: Files | None = None
    decoder: Text | None = None
    mouse: WholeNumber | Text | None = None


class ToldTarget(_Told):
    """Which activity was matched."""

    kind: Text = "recorded"


class ToldNeurons(_Told):
    """How the neurons were chosen; numbers where they were drawn at random."""

    kind: Text = "list"
    ablated_fraction: float | None = Field(None, ge=0, le=1)
    seed: int | None = Field(None, ge=0, le=LARGEST_WHOLE_NUMBER)


class ToldByRun(_Told):
    """What the window takes from a run's provenance; all else is only kept."""

    session: Text = ""
    trial: WholeNumber
    ensemble: Text = "videos"
    target: ToldTarget = ToldTarget()
    ablation: Literal["drop", "silence"] = "drop"
    mask_source: Text = ""
    mask_threshold: float
    evaluation_threshold: float
    neuron_reason: Text = "as in the run"
    neuron_details: ToldNeurons = ToldNeurons()
    encoder_names: Files = []
    decoder: Text | None = None
    frame_rate_hz: float = Field(30.0, gt=0, le=HIGHEST_FRAME_RATE_HZ)
    inputs: ToldInputs | None = None


def check_told(provenance: Any, path: Path) -> None:
    """Refuse a run whose provenance cannot be.

    Parameters
    ----------
    provenance
        Of the run, as it was read.
    path
        Its folder, for the message.

    Raises
    ------
    RunError
        One line that says which value, what was expected and what was found.
    """
    try:
        ToldByRun.model_validate(provenance)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "provenance"
        told = f"{one_line(place, 80)}: {first['msg']}, found {one_line(repr(first.get('input')), 60)}"
        raise RunError(f"{path}: expected a complete run, found a damaged one ({told})") from None
