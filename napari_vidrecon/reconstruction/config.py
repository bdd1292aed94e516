"""Every setting of a reconstruction, and the presets."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.composition import (
    CHOICES,
    Composed,
    ConstantGain,
    OutsidePrior,
    Part,
    RandomOffset,
    Spectral,
    StillGaze,
)
from napari_vidrecon.reconstruction.flat_names import FLAT_NAMES, composed, flat_values, spoken
from napari_vidrecon.reconstruction.priors import NATURAL, prior_named
from napari_vidrecon.sessions.screen import MOST_COLOURS
from napari_vidrecon.settings import MOST_STEPS, shown
from napari_vidrecon.storage import user_path

GREY_LEVEL = 127.5
"""Half of 255: the level every reconstruction starts from, and the level outside the mask."""

LEARNED, PRIOR_FILE = "denoiser", "prior.file"

GreyLevel = Annotated[float, Field(ge=0, le=255)]

PREDICTED_FROM = {
    "shown": "the movie as shown, at the level the run started from outside the evaluation mask",
    "optimised": "the movie as optimised, with what the run has outside the mask",
    "grey": "the movie with grey (127.5) outside the evaluation mask",
}
"""What activity is predicted from, by the setting `predicted_from`, in words."""


class ReconstructionConfig(Composed):
    """Settings of a reconstruction; frozen and validated. The defaults are the `paper` preset.

    What it is composed of are parts, each with the settings that it has and no others: `schedule`, `update` (with its
    `prior`) and `stopping`. Settings within them are given by a name with a dot, e.g. "update.learning_rate", or in
    Python by the flat name from before they were nested (`learning_rate`). Quirks of the published code are options of
    their own, named after what they do; docs/method.md 10 numbers them (Q1, Q2, ...).

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> config = vr.ReconstructionConfig.preset("best", steps=20, learning_rate=0.3)
    >>> config.steps, config.update.kind, config.update.learning_rate
    (20, 'spectral', 0.3)
    >>> config.changed(update="momentum", stopping={"kind": "plateau", "loss_share": 0.02}).stopping.loss_share
    0.02
    """

    preset_name: str = Field("paper", description="the preset these settings started from")
    steps: int = Field(1000, ge=1, le=MOST_STEPS, description="optimisation steps")
    initial_level: float = Field(GREY_LEVEL, ge=0, le=255, description="grey level the movie starts from")
    padding_level: float = Field(
        GREY_LEVEL, ge=0, le=255, description="Q4: grey level around the screen during optimisation"
    )
    colour_levels: tuple[GreyLevel, ...] = Field(
        (), max_length=MOST_COLOURS, description="movies in colours: level of each; none: initial_level for all"
    )
    gradient_blur_px: float = Field(0.0, ge=0, le=8, description="spatial SD of a blur of the gradient, pixels")
    gradient_blur_frames: float = Field(0.0, ge=0, le=8, description="temporal SD of the blur, frames")
    gradient_blur_end: float = Field(
        1.0, ge=0, le=1, description="share of the blur that is left at the last step; below 1 it is annealed"
    )
    total_variation: float = Field(
        0.0, ge=0, description="pull towards movies with few edges, in units of the gradient; 0: none"
    )
    input_jitter_px: int = Field(
        0, ge=0, le=8, description="gradients are averaged over movies shifted by up to this, another shift each step"
    )
    input_noise: float = Field(0.0, ge=0, le=128, description="likewise over added noise of this SD, grey levels")
    variance_power: float = Field(
        1.0,
        ge=0,
        le=2,
        description="the noise's variance grows with activity to this power: 0 Gaussian, 1 Poisson, between 1 and 2 "
        "zero-inflated, 2 gamma",
    )
    neuron_noise: Literal["alike", "own"] = Field(
        "alike",
        description="alike: every neuron counts the same; own: by one over its variance in units of its mean",
    )
    neuron_noise_shrinkage: float = Field(
        3.0, gt=0, description="pull of a neuron's variance and mean towards those of all (own); large: all alike"
    )
    poisson_epsilon: float = Field(1e-8, gt=0, description="added to predicted activity inside the logarithm")
    include_negative_alpha: bool = Field(
        False, description="Q18: with a training threshold of 0, also update pixels with negative alpha"
    )
    member_weights: Literal["equal", "deviance"] = Field(
        "equal", description="in an ensemble of movies: all alike, or by how well each explains the activity"
    )
    memory: Literal["clip", "windows"] = Field(
        "clip",
        description="encoders with a state run through the whole clip, or anew in every window; others ignore it",
    )
    gradient_frames: int = Field(
        0, ge=0, le=MOST_STEPS, description="encoders with a state: gradients end every so many frames; 0: exact"
    )
    track_every: int = Field(10, ge=1, le=MOST_STEPS, description="steps between two measurements")
    track_responses: bool = Field(True, description="measure predicted activity too (a whole prediction each time)")
    predicted_from: Literal["shown", "optimised", "grey"] = Field(
        "shown",
        description="the movie that a reconstruction's activity is predicted from. shown: with the level that the run "
        "started from outside the evaluation mask; optimised: every pixel that the run changed, without added noise; "
        "grey: 127.5 outside the evaluation mask (as published, and in all runs of earlier versions)",
    )
    track_skip_frames: int = Field(32, ge=0, le=MOST_STEPS, description="first frames that are not measured (Q10)")
    uncertainty_scale: float = Field(
        1.0,
        gt=0,
        le=100,
        description="what the spread of draws or encoders is multiplied with to be as large as the error; found by "
        "`vidrecon calibrate`",
    )
    seed: int = Field(0, ge=0, description="of everything drawn: offsets, noise, shifts, draws, permuted targets")

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Self:
        """A named choice of parts, with single settings changed.

        Parameters
        ----------
        name
            "paper" (Bauer et al. 2026 to the letter), "fast" (fewest windows), "best" (highest correlation).
        changes
            Settings by name, e.g. steps=200.

        Returns
        -------
        ReconstructionConfig
            Its `preset_name` is the name.

        Raises
        ------
        ConfigError
            Unknown preset or field, or a value out of range.
        """
        if not isinstance(name, str) or name not in PRESETS:
            raise ConfigError(f"preset {shown(name)}: expected one of {', '.join(PRESETS)}")
        if "preset_name" in changes:
            raise ConfigError(f"preset_name: expected to be set by choosing the preset itself, of {', '.join(PRESETS)}")
        file = changes.get(PRIOR_FILE)
        if changes.get("prior") == LEARNED and isinstance(file, str) and file:
            # The run is told of it, and repeated by scripts, wherever those are started.
            changes = {**changes, PRIOR_FILE: str(user_path(file).absolute())}
        config = cls(preset_name=name, **PRESETS[name]).changed(**changes)
        if config.outside_prior:
            prior_named(config.outside_prior)
        return config

    @classmethod
    def checked(cls, **fields: Any) -> Self:
        """Build from fields; one clear `ConfigError` instead of pydantic's list.

        Parameters
        ----------
        fields
            Any of the settings, by name.

        Returns
        -------
        ReconstructionConfig
            The others as in the `paper` preset.

        Raises
        ------
        ConfigError
            A field that does not exist, or a value out of range.
        """
        return cls(**fields)

    def changed(self, **fields: Any) -> Self:
        """The same settings with some fields changed.

        Parameters
        ----------
        fields
            Those to change, by name.

        Returns
        -------
        ReconstructionConfig
            A new one; this one is left alone.

        Raises
        ------
        ConfigError
            A field that does not exist, or a value out of range.
        """
        return type(self)(**composed(fields, self))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's; settings within the parts may go by their flat names, and those are checked.

        Parameters
        ----------
        update
            Settings to change, by name.
        deep
            Whether to copy the parts, too.

        Returns
        -------
        ReconstructionConfig
            A new one.
        """
        own = {name for name in type(self).model_fields if name not in CHOICES}
        moved = {
            name: value
            for name, value in (update or {}).items()
            if name not in own and not (name in CHOICES and isinstance(value, Part))
        }
        others = {name: value for name, value in (update or {}).items() if name not in moved}
        started = self.changed(**moved) if moved else self
        return super(ReconstructionConfig, started).model_copy(update=others, deep=deep)

    @property
    def values(self) -> dict[str, Any]:
        """Every setting by its flat name, those of parts that were not chosen too."""
        return flat_values(self)

    @property
    def outside_prior(self) -> str:
        """Name of the prior that another package adds; empty where there is none of these."""
        prior = self.update.prior if isinstance(self.update, Spectral) else None
        return prior.kind if isinstance(prior, OutsidePrior) else ""

    @property
    def shows_grey(self) -> bool:
        """Whether what is shown outside the mask is grey for certain, so that `shown` and `grey` are one movie."""
        stated = self.values["prior_from"] == "stated" and not self.colour_levels
        return stated and self.initial_level == GREY_LEVEL

    def blank(self, rows: int) -> np.ndarray:
        """The level that a movie starts from, each colour at its own.

        Parameters
        ----------
        rows
            Of the movie, all colours together.

        Returns
        -------
        np.ndarray
            (rows, 1) float32 grey levels.
        """
        levels = np.array(self.colour_levels or (self.initial_level,), np.float32)
        return np.repeat(levels, rows // len(levels))[:, None]

    @property
    def decisive(self) -> dict[str, Any]:
        """What fingerprints hold: the flat description of before, which must stay for runs of before to be known."""
        values = self.values
        later: dict[str, Any] = {
            "prior_from": "stated",
            "uncertainty_scale": 1.0,
            "memory": "clip",
            "gradient_frames": 0,
            "damping": 0.0,
            "colour_levels": (),
            "prior_power_ratios": (),
        }
        for part, usual in (("gaze", "still"), ("gain", "constant")):
            if values[part] == usual:
                later |= {name: each for name, each in values.items() if name.partition("_")[0] == part}
        if self.shows_grey:
            later["predicted_from"] = "shown"
        if values["prior"] == NATURAL:
            later |= {"prior": NATURAL, "prior_settings": {}}
        return {name: value for name, value in values.items() if name not in later or value != later[name]}

    @classmethod
    def setting_names(cls) -> list[str]:
        nested = [f"{place}.{name}" for place, parts in CHOICES.items() for part in parts for name in part.model_fields]
        own = [name for name in cls.model_fields if name != "unread"]
        return list(dict.fromkeys([*own, *map(spoken, nested)]))

    @classmethod
    def older_names(cls) -> list[str]:
        return [*FLAT_NAMES, *FLAT_NAMES.values()]

    def differences(self, other: ReconstructionConfig) -> dict[str, tuple[Any, Any]]:
        """Fields whose values differ.

        Parameters
        ----------
        other
            What to compare with.

        Returns
        -------
        dict[str, tuple[Any, Any]]
            {name: (here, there)}.

        Examples
        --------
        >>> import napari_vidrecon as vr
        >>> paper = vr.ReconstructionConfig.preset("paper")
        >>> paper.differences(paper.changed(steps=500))
        {'steps': (1000, 500)}
        """
        mine, theirs = self.values, other.values
        return {name: (mine[name], theirs[name]) for name in mine if mine[name] != theirs[name]}

    def __hash__(self) -> int:
        values = self.values
        settings = values.pop("prior_settings")
        return hash((*values.values(), frozenset(settings.items())))

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name not in FLAT_NAMES:
                return super().__getattr__(name)
            warnings.warn(f"{name} is now {FLAT_NAMES[name]}", DeprecationWarning, stacklevel=2)
            return self.values[name]

    @model_validator(mode="before")
    @classmethod
    def _from_names(cls, given: Any) -> Any:
        return composed(given) if isinstance(given, dict) else given

    @model_validator(mode="after")
    def _has_a_scale_for_what_is_inferred(self) -> Self:
        for name in ("gaze", "gain"):
            if getattr(self, name) == "inferred" and not isinstance(self.update, Spectral):
                raise ValueError(
                    f"{name}: inferred needs the update spectral, as the presets best and fast have it, "
                    f"found {self.update}"
                )
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_empty(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        told = dump(self)
        if not self.unread:
            told.pop("unread", None)
        if not self.colour_levels:
            told.pop("colour_levels", None)
        for name, usual in (("gaze", StillGaze()), ("gain", ConstantGain())):
            # Runs without are as those of earlier versions, and open there.
            if getattr(self, name) == usual:
                told.pop(name, None)
        return told


_MOST_PROBABLE: dict[str, Any] = {
    # Half the SD of the movies that the prior expects.
    "input_noise": 30.0,
    "neuron_noise": "own",
    "schedule": RandomOffset(stride=32),
    "track_every": 1,
    "track_responses": False,
    "track_skip_frames": 30,
    "unread": {"skip_first_update": False, "duplicate_last_sub_batch": False},
}
_PRIOR_OF_THE_SESSION: dict[str, Any] = {"surround": "inferred", "prior_from": "movies", "likelihood_weight": 0.15}
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "fast": {
        **_MOST_PROBABLE,
        "steps": 25,
        "update": Spectral(learning_rate=0.35, **_PRIOR_OF_THE_SESSION),
    },
    "best": {
        **_MOST_PROBABLE,
        "steps": 40,
        "update": Spectral(learning_rate=0.2, **_PRIOR_OF_THE_SESSION),
    },
}
