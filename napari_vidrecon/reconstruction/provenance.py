"""What a run says of itself, as data from outside: every value that the program takes from it has its kind and size.

Runs of earlier versions lack some of it, so nothing has to be there; what is unknown is kept and never used.
"""

from __future__ import annotations

import json
import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, field_validator, model_validator

from napari_vidrecon.errors import ConfigError, RunError, one_line
from napari_vidrecon.settings import LARGEST_NUMBER, LARGEST_SEED, first_fault

LARGEST_WHOLE_NUMBER = 2**31 - 1
LONGEST_TEXT = 4096
MOST_FILES = 1000
HIGHEST_FRAME_RATE_HZ = 10_000.0


def _text(value: Any) -> str:
    # Not pydantic's own: paths of other systems hold bytes that are no UTF-8, and Python keeps them as lone surrogates.
    if not isinstance(value, str):
        raise ValueError(f"a text, found {reprlib.repr(value)}")
    if len(value) > LONGEST_TEXT:
        raise ValueError(f"a text of at most {LONGEST_TEXT:,} characters, found {len(value):,}")
    return value


Text = Annotated[str, PlainValidator(_text)]
WholeNumber = Annotated[int, Field(ge=-1, le=LARGEST_WHOLE_NUMBER)]
Threshold = Annotated[float, Field(ge=-LARGEST_NUMBER, le=LARGEST_NUMBER)]
Files = Annotated[list[Text], Field(max_length=MOST_FILES)]
Number = Annotated[float, Field(allow_inf_nan=True)]


class Told(BaseModel):
    """Plain values of the right kind: no number for a text, no text for a number, no NaN, no null byte."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)

    @field_validator("*", mode="after")
    @classmethod
    def _without_null_bytes(cls, value: Any) -> Any:
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and "\0" in text:
                raise ValueError("a text without null bytes")
        return value


class ToldMouse(Told):
    """A further mouse that a movie was fitted to; as `MouseRecipe`.

    Parameters
    ----------
    session
        Folder of its session.
    name
        What to call it.
    trial
        Id of its presentation of the clip.
    encoders
        Files.
    mouse
        Index or name of the encoders' readout.
    mask, mask_content
        File of its mask, and the hash of its alpha values.
    """

    session: Text = ""
    name: Text = ""
    trial: WholeNumber = 0
    encoders: Files = []
    mouse: WholeNumber | Text | None = None
    mask: Text = ""
    mask_content: Text = ""


class ToldInputs(Told):
    """Where everything lay that went in.

    Parameters
    ----------
    session
        Folder of the session.
    trial
        Its id; -1 for a stimulus.
    frames
        First frame and the frame after the last one, each or both unknown.
    stimulus
        Name of what was shown instead of a trial.
    repeats
        Ids of further presentations of the clip.
    mice
        Further mice that saw it.
    encoders
        Files.
    target_encoders
        Files of those that predicted the target.
    decoder
        File.
    mouse
        Index or name of the encoders' readout.
    device
        "auto", "cpu", "cuda", ...
    precision
        "float32" or "bfloat16".
    """

    session: Text | None = None
    trial: WholeNumber | None = None
    frames: list[WholeNumber | None] | None = Field(None, min_length=2, max_length=2)
    stimulus: Text | None = None
    repeats: list[WholeNumber] | None = Field(None, max_length=MOST_FILES)
    mice: list[ToldMouse] | None = Field(None, max_length=MOST_FILES)
    encoders: Files | None = None
    target_encoders: Files | None = None
    decoder: Text | None = None
    mouse: WholeNumber | Text | None = None
    device: Text | None = None
    precision: Text | None = None


class ToldTarget(Told):
    """Which activity was matched."""

    kind: Text


class ToldNeurons(Told):
    """How the neurons were chosen; numbers where they were drawn at random.

    Parameters
    ----------
    kind
        "list", or "random" where they were drawn.
    ablated_fraction
        Share left out, 0..1.
    seed
        Of the choice.
    """

    kind: Text = "list"
    ablated_fraction: float | None = Field(None, ge=0, le=1)
    seed: int | None = Field(None, ge=0, le=LARGEST_SEED)

    @model_validator(mode="after")
    def _drawn_from_something(self) -> Self:
        if self.kind == "random" and (self.ablated_fraction is None or self.seed is None):
            raise ValueError("neurons drawn at random without their share and seed")
        return self


class ToldChoice(Told):
    """What is known of the neurons besides the choice itself: the hash of what each counts."""

    weights: Text = ""


class ToldChange(Told):
    """A setting that was changed while the run went on."""

    after_step: WholeNumber
    what: Text


class Provenance(Told):
    """What went into a run, as far as the program takes it up again.

    Parameters
    ----------
    session
        Its name.
    trial
        Its id; -1 for a stimulus.
    encoders
        What tells each encoder from others, e.g. the hash of its file.
    ensemble
        "single", "videos" or "gradients".
    target
        Which activity was matched.
    ablation
        What became of neurons that took no part.
    mask_source
        File or rule of the mask.
    mask_threshold
        Least alpha of pixels that were reconstructed.
    evaluation_threshold
        Least alpha of pixels that were measured.
    fingerprint
        Of everything that decides the result.
    neuron_reason
        How the neurons were chosen, in words.
    neuron_details
        The same in numbers.
    neurons
        What each neuron counts.
    encoder_names
        Names of the encoders.
    devices
        What each encoder computed on.
    decoder
        Hash of the decoder it started from.
    frame_rate_hz
        Frames a second.
    simulated
        The mouse is a simulation.
    published
        It was made by the published code.
    mouse_index
        Number of the mouse in the published code.
    settings
        Those of a file of the published code.
    changes
        Settings that changed while it went on.
    wall_seconds
        Time taken.
    inputs
        Where everything lay.
    movie
        Whether anything tells what was shown.
    response_correlations
        How well the activity of each of several mice is explained at the end.
    live
        What came frame by frame, of a live session; None for every other run.
    """

    session: Text = ""
    trial: WholeNumber = -1
    encoders: Files = []
    ensemble: Text = "videos"
    target: ToldTarget = ToldTarget(kind="recorded")
    ablation: Literal["drop", "silence"] = "drop"
    mask_source: Text = ""
    mask_threshold: Threshold = 0.5
    evaluation_threshold: Threshold = 1.0
    fingerprint: Text = ""
    neuron_reason: Text = "as in the run"
    neuron_details: ToldNeurons = ToldNeurons()
    neurons: ToldChoice = ToldChoice()
    encoder_names: Files = []
    devices: Files = []
    decoder: Text | None = None
    frame_rate_hz: float = Field(30.0, gt=0, le=HIGHEST_FRAME_RATE_HZ)
    simulated: bool = False
    published: bool = False
    mouse_index: WholeNumber | None = None
    settings: dict[str, Any] = {}
    changes: list[ToldChange] = Field([], max_length=MOST_FILES)
    wall_seconds: Number | None = None
    inputs: ToldInputs | None = None
    movie: bool = True
    response_correlations: list[Number | None] = Field([], max_length=MOST_FILES)
    live: dict[str, Any] | None = None


class RunAttributes(Told):
    """All that stands beside the arrays of a run; `history` is looked at column by column.

    Parameters
    ----------
    format
        Of the folder.
    config
        Every setting.
    history
        Columns by name.
    provenance
        What went in.
    levels
        What the true movie reaches.
    """

    format: Text
    config: dict[str, Any]
    history: dict[str, list[Any]] = Field(max_length=100)
    provenance: Provenance = Provenance()
    levels: dict[str, Number | None] = Field({}, max_length=100)


class ShownNeurons(ToldNeurons):
    """How the neurons were chosen, with a seed that a control can show."""

    seed: int | None = Field(None, ge=0, le=LARGEST_WHOLE_NUMBER)


class CompleteRun(Provenance):
    """A run that can be put on the board: its trial and both thresholds are told.

    Parameters
    ----------
    trial
        Its id.
    mask_threshold
        Least alpha of pixels that were reconstructed.
    evaluation_threshold
        Least alpha of pixels that were measured.
    neuron_details
        How the neurons were chosen.
    """

    trial: WholeNumber
    mask_threshold: Threshold
    evaluation_threshold: Threshold
    neuron_details: ShownNeurons = ShownNeurons()


def check_can_be_read_back(provenance: Any) -> None:
    """Refuse before a run what nobody could open after it.

    Parameters
    ----------
    provenance
        Of the run, as it would be written.

    Raises
    ------
    ConfigError
        One line that says which value, what was expected and what was found.
    """
    try:
        Provenance.model_validate(json.loads(json.dumps(provenance)))
    except ValidationError as error:
        raise ConfigError(f"run: expected values that can be saved and opened again: {first_fault(error)}") from None
    except (TypeError, ValueError) as error:
        raise ConfigError(f"run: expected plain values that can be saved, found others ({one_line(error)})") from None


def check_complete(provenance: Any, path: Path) -> None:
    """Refuse a run that cannot be put on the board.

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
        CompleteRun.model_validate(provenance)
    except ValidationError as error:
        raise RunError(f"{path}: expected a complete run, found a damaged one ({first_fault(error)})") from None
