"""Learning the transparency mask: which pixels the population's activity depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator

from napari_vidrecon.encoders.answers import check_finite, check_session_fits, check_windows
from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.errors import ConfigError, MaskError
from napari_vidrecon.reconstruction.inputs import encoder_list
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.resolved_mask import SMOOTHING_PX, InformationFitter
from napari_vidrecon.sessions.session import Session, Trial
from napari_vidrecon.sessions.validation import FEWEST_HELD_OUT
from napari_vidrecon.settings import MOST_STEPS, Settings, brief, listed, of_kind

HUGE_ACTIVITY = 1e15
"""Its square leaves single precision when it is summed."""
LARGEST_KERNEL_PX = 71
"""A reflected edge of 35 pixels is all that a screen of 36 rows has."""


MaskRule = Literal["resolved", "decayed", "published"]
USUAL_STEPS: dict[str, int] = {"resolved": 96}
OTHER_STEPS = 350
OF_ALL_RULES = {"rule", "steps", "seed", "skip_frames"}
OF_DECAYED = {"decay", "lowest", "highest"}
"""Settings that the other rules do not read."""


def _usual_steps(fields: dict[str, Any]) -> int:
    return USUAL_STEPS.get(fields.get("rule", ""), OTHER_STEPS)


class MaskRecipe(Settings):
    """Settings of a mask fit (docs/method.md 6).

    The resolved rule measures how small a change of each pixel the activity tells (the root of its Fisher information),
    and scales that so that alpha 0.5 and 1 are 0.75 and 0.92 of what it is in the middle of the field. The published
    rule never takes alpha back: its normalised gradient does not shrink, and with a small encoder the mask grows over
    the whole screen. The decayed rule, the default of earlier versions, adds a constant pull towards 0 and limits
    alpha.

    Parameters
    ----------
    rule
        "resolved", "decayed", or "published" to the letter.
    steps
        Of the fit; probes of the resolved rule. Usual: 96 (resolved), 350 (the others).
    learning_rate
        Step along the unit gradient of alpha.
    blur_sigma_px
        Standard deviation of the blur of the gradient, pixels.
    norm_epsilon
        Added to the gradient's norm.
    seed
        Of the start and of the pairs of clips.
    """

    rule: MaskRule = "resolved"
    steps: int = Field(default_factory=_usual_steps, ge=1, le=MOST_STEPS)
    learning_rate: float = Field(10.0, gt=0)
    initial_scale: float = Field(0.05, ge=0, description="alpha starts uniform in 0 .. this")
    skip_frames: int = Field(50, ge=0, le=MOST_STEPS, description="first frames of a clip that are not used")
    blur_sigma_px: float = Field(5.0, gt=0)
    blur_kernel_px: int = Field(15, ge=3, le=LARGEST_KERNEL_PX, description="odd")
    norm_epsilon: float = Field(1e-6, ge=0)
    decay: float = Field(5e-4, ge=0, description="pull towards 0 a step, before the learning rate (decayed rule)")
    lowest: float = Field(-0.2, description="smallest alpha (decayed rule)")
    highest: float = Field(1.2, description="largest alpha (decayed rule)")
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _kernel_has_a_middle(self) -> Self:
        if self.blur_kernel_px % 2 == 0:
            raise ValueError(f"blur_kernel_px: expected an odd number of pixels, found {self.blur_kernel_px}")
        if self.lowest >= self.highest:
            raise ValueError(f"lowest: expected less than the highest alpha {self.highest:g}, found {self.lowest:g}")
        return self

    def require_used(self, given: Iterable[str]) -> None:
        """Refuse settings that the rule does not read: a person who gives one expects that it does something.

        Parameters
        ----------
        given
            Names of settings that somebody chose.

        Raises
        ------
        ConfigError
            One of them decides nothing with this rule.
        """
        used = {
            "resolved": OF_ALL_RULES,
            "decayed": set(type(self).model_fields),
            "published": set(type(self).model_fields) - OF_DECAYED,
        }
        for name in given:
            if name not in used[self.rule]:
                others = " or ".join(f"--rule {rule}" for rule, known in used.items() if name in known)
                raise ConfigError(
                    f"{name}: expected a setting that the {self.rule} rule reads, found one of others; leave it out, "
                    f"or give {others}"
                )

    @classmethod
    def published(cls, **changes: Any) -> MaskRecipe:
        """The published rule with its 1000 steps."""
        return cls(**{"rule": "published", "steps": 1000, **changes})


@dataclass(frozen=True, eq=False)
class MaskProgress:
    """How far a fit is.

    Parameters
    ----------
    step
        Steps done.
    steps
        Steps in all.
    loss
        Of the last step.
    alpha
        (36, 64) on the screen.
    """

    step: int
    steps: int
    loss: float
    alpha: np.ndarray

    __repr__ = brief


class MaskFitter:
    """Fits alpha by blending two movies: only where alpha is high does the right one show.

    Parameters
    ----------
    encoder
        Best one that has not been trained on the trials.
    recipe
        Every setting.
    """

    def __init__(self, encoder: Encoder, recipe: MaskRecipe) -> None:
        self.encoder, self.recipe = encoder, recipe
        canvas, windows = encoder.spec.canvas, encoder.spec.windows
        self.frames = windows.sub_batch_frames
        self.generator = np.random.default_rng(recipe.seed)
        start = self.generator.random((self.frames, canvas.rows, canvas.columns)) * recipe.initial_scale
        self.alpha_by_frame = torch.as_tensor(start, dtype=encoder.dtype, device=encoder.device)
        self._indices = torch.as_tensor(windows.indices(np.arange(windows.step)), device=encoder.device)

    @property
    def alpha(self) -> np.ndarray:
        """Alpha on the encoder's canvas."""
        return self.alpha_by_frame[0].float().cpu().numpy().copy()

    @property
    def screen_alpha(self) -> np.ndarray:
        """Alpha on the screen, (36, 64)."""
        return self.alpha[self.encoder.spec.canvas.screen]

    @property
    def said(self) -> str:
        """What else a mask's source tells: nothing."""
        return ""

    def drawn(self, trials: list[Trial], step: int) -> tuple[Trial, ...]:
        """The pair of trials of a step."""
        # The published code never draws the last trial (Q17); the decayed rule draws all.
        count = len(trials) - 1 if self.recipe.rule == "published" else len(trials)
        return tuple(trials[index] for index in self.generator.integers(0, count, size=2))

    def step(self, shown: Trial, background: Trial) -> float:
        """One step with an explicit pair of trials; returns the mean squared error of the blend's prediction.

        Returns
        -------
        float
            Of the prediction before the step.

        Raises
        ------
        MaskError
            A trial is too short, the responses too large, or alpha left what can be counted.
        EncoderError
            The encoder answers NaN or infinity, or activity of another size.
        """
        recipe, first = self.recipe, self.recipe.skip_frames
        frames = slice(first, first + self.frames)
        if min(shown.video.shape[0], background.video.shape[0]) < first + self.frames:
            raise MaskError(
                f"trials {shown.id} and {background.id}: expected at least {first + self.frames} frames for the mask "
                f"fit, found {min(shown.video.shape[0], background.video.shape[0])}"
            )
        inputs = self._packed(shown, frames)
        behind = self._packed(background, frames)[0]
        leaf = torch.cat([inputs[:1], self.alpha_by_frame[None], inputs[1:]]).requires_grad_(True)
        opacity = leaf[1].clamp(0.0, 1.0)
        blended = torch.cat([(leaf[0] * opacity + behind * (1.0 - opacity))[None], leaf[2:]])
        activity = self.encoder.responses(blended[:, self._indices].transpose(0, 1))
        check_windows(self.encoder, activity, len(self._indices), self.encoder.spec.neurons, gradient=True)
        wanted = torch.as_tensor(shown.responses[:, frames], dtype=leaf.dtype, device=leaf.device)
        loss = (activity - wanted[:, self._indices].transpose(0, 1)).square().mean()
        (gradient,) = torch.autograd.grad(loss, leaf)
        gradient = gradient / (torch.linalg.vector_norm(gradient) + recipe.norm_epsilon)
        pulls = gradient[1].clamp(-1.0, 1.0).mean(dim=0).split(self.encoder.spec.canvas.parts)
        pull = torch.cat([blur_reflected(each, recipe.blur_sigma_px, recipe.blur_kernel_px) for each in pulls])
        if recipe.rule == "decayed":
            # An opaque pixel gets no gradient; decaying it too would tear holes into the middle of the mask.
            decay = torch.where(self.alpha_by_frame < 1.0, recipe.decay, 0.0)
            moved = self.alpha_by_frame - recipe.learning_rate * (pull + decay)
            self.alpha_by_frame = moved.clamp(recipe.lowest, recipe.highest)
        else:
            self.alpha_by_frame = self.alpha_by_frame - recipe.learning_rate * pull
        # One number from the device, as before.
        told = torch.stack([loss.detach(), pull.isfinite().all().to(loss)]).tolist()
        if not np.isfinite(told[0]) or not told[1]:
            self._explain(shown, background, activity)
        return told[0]

    def _explain(self, shown: Trial, background: Trial, activity: torch.Tensor) -> None:
        """Why a step came to no number."""
        check_finite(self.encoder, activity, f"a blend of {shown.name} and {background.name}")
        largest = float(np.abs(shown.responses).max())
        reason = f"the responses of {shown.name} reach {largest:.3g}; rescale them if that is far too large"
        if self.alpha_by_frame.isfinite().all() and largest < HUGE_ACTIVITY:
            reason = f"the gradient of {self.encoder.spec.name} is NaN or infinite; take another encoder"
        raise MaskError(f"mask of {shown.name} and {background.name}: expected a finite loss and gradient; {reason}")

    def _packed(self, trial: Trial, frames: slice) -> torch.Tensor:
        return self.encoder.pack(trial.video[frames], trial.behavior[:, frames], trial.pupil_center[:, frames])


def blur_reflected(image: torch.Tensor, sigma: float, kernel: int) -> torch.Tensor:
    """Gaussian blur of (rows, columns) with a kernel of fixed size and reflected edges.

    Parameters
    ----------
    image
        (rows, columns).
    sigma
        Standard deviation, pixels.
    kernel
        Size of the kernel, pixels, odd.

    Returns
    -------
    torch.Tensor
        (rows, columns).
    """
    offsets = torch.arange(kernel, dtype=image.dtype, device=image.device) - (kernel - 1) / 2
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    weights = weights / weights.sum()
    # A reflected edge can be as wide as the picture less a pixel.
    half = min(kernel // 2, min(image.shape) - 1)
    weights = weights[kernel // 2 - half : kernel // 2 + half + 1]
    weights = weights / weights.sum() if half < kernel // 2 else weights
    padded = F.pad(image[None, None], (half, half, half, half), mode="reflect")
    blurred = F.conv2d(F.conv2d(padded, weights.view(1, 1, 1, -1)), weights.view(1, 1, -1, 1))
    return blurred[0, 0]


def fit_mask(
    session: Session,
    encoder: Encoder,
    recipe: MaskRecipe | None = None,
    *,
    trial_ids: list[int] | None = None,
    on_progress: Callable[[MaskProgress], bool | None] | None = None,
) -> AlphaMask:
    """Fit a transparency mask on trials the encoder was not trained on.

    Parameters
    ----------
    session
        The mouse.
    encoder
        Bound to this mouse.
    recipe
        Settings; default: the resolved rule.
    trial_ids
        Trials to draw pairs from; default: the oracle tier.
    on_progress
        Called after every step; return False to stop with what is learned.

    Returns
    -------
    AlphaMask
        On the encoder's canvas, or on the screen where the canvas is the screen.

    Raises
    ------
    EncoderError
        The encoder has other neurons, or answers NaN or infinity.
    MaskError
        Fewer than two trials, or trials that are too short for the recipe.
    SessionError
        A trial cannot be read, or its responses are withheld.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> sample = vr.find_sample()
    >>> session = vr.open_session(sample.session)
    >>> from napari_vidrecon.reconstruction.mask_fitting import MaskRecipe
    >>> encoder = vr.load_encoder(sample.encoders[0], device="cpu")
    >>> vr.fit_mask(session, encoder, MaskRecipe(steps=1), trial_ids=[0, 1]).alpha.ndim
    2
    """
    recipe = of_kind(recipe, MaskRecipe, "recipe")
    encoder_list([encoder], "encoder")
    encoder.require_neurons(session.n_neurons, session.name)
    check_session_fits(encoder, session)
    ids = session.trials_in_tier("oracle") if trial_ids is None else listed(trial_ids, "trial_ids")
    if len(ids) < FEWEST_HELD_OUT:
        where = " of the tier oracle" if trial_ids is None else ""
        raise MaskError(
            f"{session.path}: expected at least {FEWEST_HELD_OUT} labelled trials{where} to fit a mask on, "
            f"found {len(ids)}; keep some from the encoder's training, as tier oracle in meta/trials/tiers.npy"
        )
    trials = [session.trial(trial_id) for trial_id in ids]
    for trial in trials:
        trial.require_responses()
    fitter = _fitter(session, encoder, recipe)
    for step in range(recipe.steps):
        loss = fitter.step(*fitter.drawn(trials, step))
        progress = MaskProgress(step + 1, recipe.steps, loss, fitter.screen_alpha)
        if on_progress is not None and on_progress(progress) is False:
            break
    canvas = encoder.spec.canvas
    screen_px = (canvas.screen_rows, canvas.screen_columns)
    return AlphaMask(fitter.alpha, f"fitted on {session.name}, {recipe.rule} rule{fitter.said}", screen_px)


def _fitter(session: Session, encoder: Encoder, recipe: MaskRecipe) -> MaskFitter | InformationFitter:
    if recipe.rule == "resolved":
        return InformationFitter(
            encoder,
            session.frame_rate_hz,
            seed=recipe.seed,
            skip_frames=recipe.skip_frames,
            smoothing_px=SMOOTHING_PX * session.screen.px_per_usual_px,
        )
    return MaskFitter(encoder, recipe)
