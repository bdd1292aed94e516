"""What a reconstruction is composed of, as settings: schedule, update rule, prior, and when it stops."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Discriminator, Field, Tag, field_validator

from napari_vidrecon.reconstruction.priors import NATURAL, checked_settings
from napari_vidrecon.sessions.session_statistics import Ratios
from napari_vidrecon.settings import LONGEST_NAME, MOST_STEPS, Settings


class Part(Settings):
    """One choice among several; `kind` says which.

    Attributes
    ----------
    fixed
        Settings of its neighbours that it does not have, by path from its own place, and what stands for each there.
    """

    fixed: ClassVar[dict[str, Any]] = {}
    kind: str

    def __eq__(self, other: object) -> bool:
        # Scripts of before the parts were nested compare with the name of a part alone.
        return self.kind == other if isinstance(other, str) else super().__eq__(other)

    def __hash__(self) -> int:
        return hash(self.kind)

    def __str__(self) -> str:
        return self.kind


def _tag(part: Any) -> str:
    # Settings look at every value before pydantic does, and so it cannot tell parts apart by a field alone.
    return str(part.get("kind")) if isinstance(part, dict) else part.kind


class _Windows(Part):
    stride: int = Field(8, ge=1, le=MOST_STEPS, description="frames between the starts of two sub-batches")


class SlidingWindows(_Windows):
    """The same sub-batches every step; as published."""

    kind: Literal["sliding"] = "sliding"
    duplicate_last: bool = Field(
        True, description="Q21: count the last sub-batch twice where the stride fits the clip exactly"
    )


class RandomOffset(_Windows):
    """Sub-batches that are shifted anew each step."""

    kind: Literal["random_offset"] = "random_offset"
    stride: int = Field(8, ge=2, le=MOST_STEPS, description="frames between the starts of two sub-batches")


Decay = Literal["none", "cosine"]


class Momentum(Part):
    """The gradient's running mean; as published."""

    fixed: ClassVar[dict[str, Any]] = {"draws": 1, "surround": "grey", "prior.kind": NATURAL, "prior.settings": {}}
    draws: ClassVar[int] = 1
    surround: ClassVar[str] = "grey"

    kind: Literal["momentum"] = "momentum"
    learning_rate: float = Field(1000.0, gt=0, description="grey levels a step, times the unit gradient")
    learning_rate_decay: Decay = Field("none", description="over the whole run")
    warmup_steps: int = Field(10, ge=0, le=MOST_STEPS, description="steps over which the learning rate rises")
    momentum: float = Field(0.9, ge=0, lt=1, description="beta 1")
    ramp: float = Field(0.999, ge=0, lt=1, description="beta 2; acts only as a slow rise of the step size (Q1)")
    bias_corrections: int = Field(2, ge=0, le=2, description="Q1: how often the momentum's bias is corrected")
    skip_first_update: bool = Field(True, description="Q2: the gradient of step 0 is thrown away")
    gradient_norm: Literal["all_channels", "video", "none"] = Field(
        "all_channels", description="Q3: what the norm of a sub-batch's gradient is taken over"
    )
    norm_epsilon: float = Field(1e-6, ge=0, description="added to the norm")
    gradient_clip: float = Field(1.0, gt=0, description="Q19: largest absolute gradient of a pixel")


class NaturalPrior(Part):
    """How natural movies vary: less and less power at higher frequencies."""

    fixed: ClassVar[dict[str, Any]] = {"settings": {}}

    kind: Literal["natural"] = "natural"
    sd: float = Field(60.0, title="SD", gt=0, le=128, description="SD of a pixel of natural movies, grey levels")
    spatial_corner: float = Field(
        0.035, gt=0, le=0.7, description="power of natural movies is flat below this, cycles per pixel"
    )
    spatial_exponent: float = Field(2.5, ge=0, le=8, description="and falls so steeply above")
    temporal_corner: float = Field(0.65, gt=0, description="likewise over time, Hz")
    temporal_exponent: float = Field(2.0, ge=0, le=8, description="how steeply power falls over time above its corner")
    decoded_sd: float = Field(
        30.0,
        title="decoded SD",
        gt=0,
        le=128,
        description="with a decoder: SD of a pixel about the decoder's movie, grey levels",
    )
    decoded_spatial_corner: float = Field(
        0.07, gt=0, le=0.7, description="with a decoder: the corner of what its movie lacks, cycles per pixel"
    )
    power_ratios: Ratios = Field(
        (), description="power of movies over that of corners and exponents, 8 frequencies in time by 9 in space"
    )


class OutsidePrior(Part):
    """A prior that another package adds; `kind` is its name there."""

    kind: str = Field(max_length=LONGEST_NAME)
    settings: dict[str, float | int | str | bool] = Field({}, validate_default=True, description="its own, by name")

    @field_validator("settings")
    @classmethod
    def _are_its_own(cls, given: dict[str, Any], told: Any) -> dict[str, Any]:
        return checked_settings(told.data.get("kind", ""), given)


def _prior_tag(prior: Any) -> str:
    return NATURAL if _tag(prior) == NATURAL else "outside"


Prior = Annotated[
    Annotated[NaturalPrior, Tag(NATURAL)] | Annotated[OutsidePrior, Tag("outside")], Discriminator(_prior_tag)
]


class Spectral(Part):
    """The most probable movie under a prior of movies."""

    fixed: ClassVar[dict[str, Any]] = {"gradient_norm": "none"}
    gradient_norm: ClassVar[str] = "none"

    kind: Literal["spectral"] = "spectral"
    learning_rate: float = Field(0.2, gt=0, description="prior deviations a step")
    learning_rate_decay: Decay = Field("cosine", description="over the whole run")
    warmup_steps: int = Field(0, ge=0, le=MOST_STEPS, description="steps over which the learning rate rises")
    momentum: float = Field(0.8, ge=0, lt=1, description="beta 1")
    second_momentum: float = Field(0.99, ge=0, lt=1, description="of the squared gradient")
    damping: float = Field(
        0.0,
        ge=0,
        le=100,
        description="added to what a gradient is divided by; at 1, the prior's own curvature, coefficients that the "
        "activity says little of move little. 0: as in Adam",
    )
    likelihood_weight: float = Field(
        0.1, gt=0, description="what the activity counts beside the prior; less is smoother"
    )
    prior: Prior = Field(NaturalPrior(), description="what is known of movies beforehand")
    prior_from: Literal["stated", "session", "movies"] = Field(
        "stated",
        description="movies: level, contrast and spectrum of the prior, where not changed, are those of the session's "
        "training movies, else of the encoder's, else of the public mice; session: of the spectrum the spatial "
        "exponent alone",
    )
    draws: int = Field(
        1,
        ge=1,
        le=64,
        description="movies drawn from what activity and prior leave open; shown is their mean, their spread is the "
        "uncertainty; 1: the most probable movie alone",
    )
    surround: Literal["grey", "inferred"] = Field(
        "grey",
        description="pixels outside the training mask: grey as published, or inferred with the others and shown grey, "
        "so that what neurons at the edge saw out there is not put inside",
    )


class StopAtEnd(Part):
    """After all steps, with the last movie; as published."""

    kind: Literal["last"] = "last"


class AverageLast(Part):
    """After all steps, with the mean of the last movies."""

    kind: Literal["mean_of_last"] = "mean_of_last"
    steps: int = Field(10, ge=1, le=MOST_STEPS, description="steps averaged")


class StopByHeldOut(Part):
    """With the movie that predicts left-out neurons best."""

    kind: Literal["held_out"] = "held_out"
    steps: int = Field(10, ge=1, le=MOST_STEPS, description="steps waited for something better")
    neuron_share: float = Field(0.1, gt=0, lt=1, description="of the neurons, only to judge by")


class StopAtPlateau(Part):
    """With the movie at which the loss stopped falling."""

    kind: Literal["plateau"] = "plateau"
    steps: int = Field(10, ge=1, le=MOST_STEPS, description="steps over which the fall is measured")
    loss_share: float = Field(
        0.01, gt=0, lt=1, description="the loss has stopped falling when it falls by less than this share"
    )


class StillGaze(Part):
    """The picture moves only as the encoder makes of the recorded pupil; as published."""

    kind: Literal["still"] = "still"


class InferredGaze(Part):
    """The picture is shifted as well: by the recorded pupil, and slowly about that, as is inferred with the movie."""

    kind: Literal["inferred"] = "inferred"
    sd_px: float = Field(
        2.0,
        title="SD, px",
        ge=0,
        le=32,
        description="SD of the slow shift about the pupil's, pixels, where several presentations of a clip tell it",
    )
    seconds: float = Field(1.5, gt=0, le=600, description="over which it stays much the same, s")
    alone: bool = Field(
        False, description="slow shift from one presentation, too, which hardly tells it from a moving scene"
    )
    columns_per_x: float = Field(
        0.0, ge=-100, le=100, description="pixels to the right per unit of the pupil's x, found by `vidrecon gaze`"
    )
    rows_per_x: float = Field(0.0, ge=-100, le=100, description="pixels down per unit of x")
    columns_per_y: float = Field(0.0, ge=-100, le=100, description="pixels to the right per unit of y")
    rows_per_y: float = Field(0.0, ge=-100, le=100, description="pixels down per unit of y")
    rest_x: float = Field(0.0, ge=-1e6, le=1e6, description="x of the pupil that shifts nothing")
    rest_y: float = Field(0.0, ge=-1e6, le=1e6, description="y of the pupil that shifts nothing")


def told_by_pupil(gaze: Part) -> bool:
    """Whether the recorded pupil says anything of the shift."""
    per_unit = [f"{place}_per_{axis}" for place in ("columns", "rows") for axis in "xy"]
    return isinstance(gaze, InferredGaze) and any(getattr(gaze, name) for name in per_unit)


class ConstantGain(Part):
    """Activity is as strong as the encoder says; as published."""

    kind: Literal["constant"] = "constant"


class InferredGain(Part):
    """All neurons are more or less active together, slowly; how much is inferred with the movie."""

    kind: Literal["inferred"] = "inferred"
    log_sd: float = Field(0.3, title="SD of the logarithm", gt=0, le=3, description="SD of the gain's logarithm")
    seconds: float = Field(1.5, gt=0, le=600, description="over which it stays much the same, s")


Schedule = Annotated[
    Annotated[SlidingWindows, Tag("sliding")] | Annotated[RandomOffset, Tag("random_offset")], Discriminator(_tag)
]
Update = Annotated[Annotated[Momentum, Tag("momentum")] | Annotated[Spectral, Tag("spectral")], Discriminator(_tag)]
Stopping = Annotated[
    Annotated[StopAtEnd, Tag("last")]
    | Annotated[AverageLast, Tag("mean_of_last")]
    | Annotated[StopByHeldOut, Tag("held_out")]
    | Annotated[StopAtPlateau, Tag("plateau")],
    Discriminator(_tag),
]


Gaze = Annotated[Annotated[StillGaze, Tag("still")] | Annotated[InferredGaze, Tag("inferred")], Discriminator(_tag)]
Gain = Annotated[
    Annotated[ConstantGain, Tag("constant")] | Annotated[InferredGain, Tag("inferred")], Discriminator(_tag)
]


class Composed(Settings):
    """Settings that have one part of each kind."""

    schedule: Schedule = Field(
        SlidingWindows(),
        description="sliding: the same sub-batches every step; random_offset: shifted anew each step",
    )
    update: Update = Field(
        Momentum(),
        description="momentum: as published; spectral: the most probable movie under a prior of natural movies",
    )
    stopping: Stopping = Field(
        StopAtEnd(),
        description="the movie a run ends with: its last, the mean of its last ones, the one that predicts left-out "
        "neurons best, or the one at which the loss stopped falling; none needs the true movie",
    )
    gaze: Gaze = Field(
        StillGaze(),
        description="still: the picture moves only as the encoder makes of the pupil; inferred: a slow shift of it is "
        "found with the movie",
    )
    gain: Gain = Field(
        ConstantGain(),
        description="constant: activity is as strong as the encoder says; inferred: a slow factor of all neurons is "
        "found with the movie",
    )
    unread: dict[str, Any] = Field(
        {}, description="settings of parts that were not chosen, by flat name; nothing reads them but fingerprints"
    )

    @property
    def parts(self) -> dict[str, Part]:
        """The chosen ones by their place."""
        parts: dict[str, Part] = {name: getattr(self, name) for name in CHOICES if "." not in name}
        return parts | ({"update.prior": self.update.prior} if isinstance(self.update, Spectral) else {})


CHOICES: dict[str, tuple[type[Part], ...]] = {
    "schedule": (SlidingWindows, RandomOffset),
    "update": (Momentum, Spectral),
    "update.prior": (NaturalPrior, OutsidePrior),
    "stopping": (StopAtEnd, AverageLast, StopByHeldOut, StopAtPlateau),
    "gaze": (StillGaze, InferredGaze),
    "gain": (ConstantGain, InferredGain),
}
"""The parts by their place; of each the published choice first."""


def kind_of(part: type[Part]) -> str:
    """What `kind` of a part says; nothing where it is a name of another package."""
    return next(iter(get_args(part.model_fields["kind"].annotation)), "")


def choice(place: str, kind: Any) -> type[Part] | None:
    """The part of a kind at a place, or None where there is none."""
    if not isinstance(kind, str):
        return None
    return next((part for part in CHOICES[place] if kind_of(part) in (kind, "")), None)
