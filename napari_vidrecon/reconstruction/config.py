"""Every setting of a reconstruction, and the presets."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.priors import NATURAL, checked_settings, prior_named
from napari_vidrecon.settings import LONGEST_NAME, MOST_STEPS, Settings, shown

GREY_LEVEL = 127.5
"""Half of 255: the level every reconstruction starts from, and the level outside the mask."""

PresetName = Literal["paper", "fast", "best"]

PREDICTED_FROM = {
    "shown": "the movie as shown, at the level the run started from outside the evaluation mask",
    "optimised": "the movie as optimised, with what the run has outside the mask",
    "grey": "the movie with grey (127.5) outside the evaluation mask",
}
"""What activity is predicted from, by the setting `predicted_from`, in words."""


class ReconstructionConfig(Settings):
    """Settings of a reconstruction; frozen and validated. The defaults are the `paper` preset.

    Every field has a `description` in `model_fields`. Quirks of the published code are options of their own, named
    after what they do; docs/method.md 10 numbers them (Q1, Q2, ...).

    Each setting is described in `ReconstructionConfig.model_fields`, and by `vidrecon reconstruct --set help`.

    Parameters
    ----------
    prior_temporal_exponent
        How steeply the power of natural movies falls over time above its corner.
    poisson_epsilon
        Added to predicted activity inside the logarithm.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> config = vr.ReconstructionConfig.preset("best", steps=20)
    >>> config.steps, config.update
    (20, 'spectral')
    """

    preset_name: str = Field("paper", description="the preset these settings started from")
    steps: int = Field(1000, ge=1, le=MOST_STEPS, description="optimisation steps")
    sub_batch_stride: int = Field(8, ge=1, le=MOST_STEPS, description="frames between the starts of two sub-batches")
    schedule: Literal["sliding", "random_offset"] = Field(
        "sliding", description="sliding: the same sub-batches every step; random_offset: shifted anew each step"
    )
    duplicate_last_sub_batch: bool = Field(
        True, description="Q21: count the last sub-batch twice where the stride fits the clip exactly"
    )
    initial_level: float = Field(GREY_LEVEL, ge=0, le=255, description="grey level the movie starts from")
    padding_level: float = Field(
        GREY_LEVEL, ge=0, le=255, description="Q4: grey level around the screen during optimisation"
    )
    update: Literal["momentum", "spectral"] = Field(
        "momentum",
        description="momentum: as published; spectral: the most probable movie under a prior of natural movies",
    )
    learning_rate: float = Field(
        1000.0,
        gt=0,
        description="momentum: grey levels a step, times the unit gradient; spectral: prior deviations a step",
    )
    learning_rate_decay: Literal["none", "cosine"] = Field("none", description="over the whole run")
    warmup_steps: int = Field(10, ge=0, le=MOST_STEPS, description="steps over which the learning rate rises")
    momentum: float = Field(0.9, ge=0, lt=1, description="beta 1")
    second_momentum: float = Field(0.99, ge=0, lt=1, description="of the squared gradient (spectral update)")
    ramp: float = Field(0.999, ge=0, lt=1, description="beta 2; acts only as a slow rise of the step size (Q1)")
    bias_corrections: int = Field(2, ge=0, le=2, description="Q1: how often the momentum's bias is corrected")
    skip_first_update: bool = Field(True, description="Q2: the gradient of step 0 is thrown away")
    gradient_norm: Literal["all_channels", "video", "none"] = Field(
        "all_channels", description="Q3: what the norm of a sub-batch's gradient is taken over"
    )
    norm_epsilon: float = Field(1e-6, ge=0, description="added to the norm")
    gradient_clip: float = Field(1.0, gt=0, description="Q19: largest absolute gradient of a pixel")
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
    likelihood_weight: float = Field(
        0.1, gt=0, description="what the activity counts beside the prior (spectral update); less is smoother"
    )
    variance_power: float = Field(
        1.0,
        ge=0,
        le=2,
        description="the noise's variance grows with activity to this power: 0 Gaussian, 1 Poisson, between 1 and 2 "
        "zero-inflated, 2 gamma",
    )
    prior: str = Field(
        NATURAL,
        max_length=LONGEST_NAME,
        description="what is known of movies beforehand (spectral update): natural, with the settings below, or one "
        "that a package adds",
    )
    prior_settings: dict[str, float | int | str | bool] = Field(
        {}, validate_default=True, description="of a prior that a package adds, by name"
    )
    prior_sd: float = Field(60.0, gt=0, le=128, description="SD of a pixel of natural movies, grey levels")
    prior_spatial_corner: float = Field(
        0.035, gt=0, le=0.7, description="power of natural movies is flat below this, cycles per pixel"
    )
    prior_spatial_exponent: float = Field(2.5, ge=0, le=8, description="and falls so steeply above")
    prior_temporal_corner: float = Field(0.65, gt=0, description="likewise over time, Hz")
    prior_temporal_exponent: float = Field(2.0, ge=0, le=8)
    prior_from: Literal["stated", "session"] = Field(
        "stated",
        description="session: level, contrast and spatial exponent of the prior, where not changed, are those of "
        "the session's training movies, else of the encoder's, else of the public mice (spectral update)",
    )
    decoded_sd: float = Field(
        30.0, gt=0, le=128, description="with a decoder: SD of a pixel about the decoder's movie, grey levels"
    )
    decoded_spatial_corner: float = Field(
        0.07, gt=0, le=0.7, description="with a decoder: the corner of what its movie lacks, cycles per pixel"
    )
    draws: int = Field(
        1,
        ge=1,
        le=64,
        description="movies drawn from what activity and prior leave open (spectral update); shown is their mean, "
        "their spread is the uncertainty; 1: the most probable movie alone",
    )
    neuron_noise: Literal["alike", "own"] = Field(
        "alike",
        description="alike: every neuron counts the same; own: by one over its variance in units of its mean",
    )
    neuron_noise_shrinkage: float = Field(
        3.0, gt=0, description="pull of a neuron's variance and mean towards those of all (own); large: all alike"
    )
    poisson_epsilon: float = Field(1e-8, gt=0)
    include_negative_alpha: bool = Field(
        False, description="Q18: with a training threshold of 0, also update pixels with negative alpha"
    )
    surround: Literal["grey", "inferred"] = Field(
        "grey",
        description="pixels outside the training mask: grey as published, or inferred with the others and shown grey, "
        "so that what neurons at the edge saw out there is not put inside",
    )
    outcome: Literal["last", "mean_of_last", "held_out", "plateau"] = Field(
        "last",
        description="the movie a run ends with: its last, the mean of its last ones, the one that predicts left-out "
        "neurons best, or the one at which the loss stopped falling; none needs the true movie",
    )
    outcome_steps: int = Field(
        10,
        ge=1,
        le=MOST_STEPS,
        description="steps averaged (mean_of_last), or waited for something better (held_out, plateau)",
    )
    held_out_share: float = Field(0.1, gt=0, lt=1, description="of the neurons, only to judge by (held_out)")
    plateau_share: float = Field(
        0.01, gt=0, lt=1, description="the loss has stopped falling when it falls by less than this share (plateau)"
    )
    member_weights: Literal["equal", "deviance"] = Field(
        "equal", description="in an ensemble of movies: all alike, or by how well each explains the activity"
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
    seed: int = Field(0, ge=0, description="of everything drawn: offsets, noise, shifts, draws, permuted targets")

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Self:
        """A named choice of parts, with single settings changed.

        Parameters
        ----------
        name
            "paper" (Bauer et al. 2026 to the letter), "fast" (fewest windows), "best" (highest correlation).
        changes
            Fields by name, e.g. steps=200.

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
        config = cls.checked(preset_name=name, **{**PRESETS[name], **changes})
        if config.prior != NATURAL:
            prior_named(config.prior)
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
        others = self.values
        if fields.get("prior", self.prior) != self.prior:
            # The settings of one prior say nothing to another.
            del others["prior_settings"]
        return self.checked(**{**others, **fields})

    @property
    def values(self) -> dict[str, Any]:
        """Every setting by name."""
        return {name: getattr(self, name) for name in type(self).model_fields}

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

    @property
    def shows_grey(self) -> bool:
        """Whether what is shown outside the mask is grey for certain, so that `shown` and `grey` are one movie."""
        return self.prior_from == "stated" and self.initial_level == GREY_LEVEL

    def __hash__(self) -> int:
        values = self.values
        settings = values.pop("prior_settings")
        return hash((*values.values(), frozenset(settings.items())))

    @model_serializer(mode="wrap")
    def _without_the_usual_prior(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Fingerprints are hashes of this: those of runs from before there were others must stay.
        told = dump(self)
        later: dict[str, Any] = {"prior_from": "stated"}
        if self.shows_grey:
            later["predicted_from"] = "shown"
        if self.prior == NATURAL:
            later |= {"prior": NATURAL, "prior_settings": {}}
        return {name: value for name, value in told.items() if name not in later or value != later[name]}

    @field_validator("prior_settings")
    @classmethod
    def _settings_are_the_priors_own(cls, given: dict[str, Any], told: ValidationInfo) -> dict[str, Any]:
        prior = told.data.get("prior", NATURAL)
        if prior != NATURAL:
            return checked_settings(prior, given)
        if given:
            raise ValueError("expected none, as those of the natural prior are prior_sd, prior_spatial_corner ...")
        return given

    @model_validator(mode="after")
    def _offsets_need_room(self) -> Self:
        if self.schedule == "random_offset" and self.sub_batch_stride < 2:
            raise ValueError("a random offset needs a stride of at least 2 frames")
        return self

    @model_validator(mode="after")
    def _likelihood_keeps_its_size(self) -> Self:
        if self.update == "spectral" and self.gradient_norm != "none":
            raise ValueError("the spectral update weighs activity against a prior; gradient_norm must be none")
        if self.update == "momentum" and self.draws > 1:
            raise ValueError("movies are drawn from a prior, which only the spectral update has; draws must be 1")
        if self.update == "momentum" and self.prior != NATURAL:
            raise ValueError("a prior acts in the spectral update alone; prior must be natural")
        if self.update == "momentum" and self.surround == "inferred":
            raise ValueError("without the spectral update nothing holds pixels outside the mask; surround must be grey")
        return self


_MOST_PROBABLE = {
    "update": "spectral",
    "surround": "inferred",
    "gradient_norm": "none",
    # Half the SD of the movies that the prior expects.
    "input_noise": 30.0,
    "prior_from": "session",
    "neuron_noise": "own",
    "schedule": "random_offset",
    "sub_batch_stride": 32,
    "duplicate_last_sub_batch": False,
    "learning_rate_decay": "cosine",
    "warmup_steps": 0,
    "skip_first_update": False,
    "track_every": 1,
    "track_responses": False,
    "track_skip_frames": 30,
}
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "fast": {**_MOST_PROBABLE, "steps": 25, "learning_rate": 0.35, "momentum": 0.8},
    "best": {**_MOST_PROBABLE, "steps": 40, "learning_rate": 0.2, "momentum": 0.8},
}
