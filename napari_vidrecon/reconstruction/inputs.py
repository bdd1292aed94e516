"""What goes into a reconstruction, refused before anything is computed if it cannot be used."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike

from napari_vidrecon.encoders.answers import UnusableAnswer, check_clip_fits, check_finite, check_windows
from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.errors import ConfigError, EncoderError, MaskError, SessionError, one_line
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.decoder import Decoder
from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD, TRAINING_THRESHOLD, AlphaMask
from napari_vidrecon.reconstruction.several_mice import AnotherMouse
from napari_vidrecon.reconstruction.targets import AVERAGED, Ablation, NeuronSet
from napari_vidrecon.sessions.repeats import same_clip
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.settings import brief, shown

logger = logging.getLogger(__name__)
LONGEST_VALUE = 60
Ensemble = Literal["videos", "gradients"]
Kept = TypeVar("Kept", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class RunChoices:
    """What is decided about a run besides what goes in and how it is optimised.

    Parameters
    ----------
    ablation
        What becomes of neurons that take no part: "drop" leaves them out; "silence" asks them to be 0, as the
        published code does.
    mask_threshold
        Pixels with alpha at least this are reconstructed; the others stay at the level it starts from.
    evaluation_threshold
        Pixels with alpha at least this are measured.
    ensemble
        "videos": one reconstruction an encoder, averaged; "gradients": unit gradients averaged each step.
    """

    ablation: Ablation = "drop"
    mask_threshold: float = TRAINING_THRESHOLD
    evaluation_threshold: float = EVALUATION_THRESHOLD
    ensemble: Ensemble = "videos"


def choices_of(described: Any) -> dict[str, Any]:
    """What a description of a run decides, by the names that `RunInputs` has for it."""
    return {each.name: getattr(described, each.name) for each in fields(RunChoices)}


@dataclass(frozen=True, eq=False)
class RunInputs(RunChoices):
    """Everything that decides a run, opened; the one place where it is spelled.

    Parameters
    ----------
    trial
        The clip: its behaviour goes into the encoder, its movie is only measured against.
    encoders
        One or more, bound to this mouse.
    mask
        Transparency mask of this mouse.
    config
        Every setting of the optimisation; None: the "best" preset.
    target
        "recorded", "predicted" (mean over `target_encoders`), "permuted" (a control), "averaged" (the plain mean of
        the trial and its repeats) or activity (N, T) >= 0.
    target_encoders
        Encoders that predict the target and measure the result; None: the same.
    neurons
        Who takes part: a NeuronSet, or boolean (N,); None: all.
    chunk
        Windows at once; None: by device and free memory.
    decoder
        Of this mouse; the run starts from its movie, and the prior of natural movies lies around it.
    repeats
        Further presentations of the same clip: one movie is fitted to all, by the sum of their likelihoods, each with
        its own behaviour and eye position. The trial itself may be among them. With the target "averaged" the plain
        mean of their activity is matched instead.
    with_mice
        Further mice that saw the clip, as `mouse_that_saw` gives them: one movie is fitted to all, by the sum of their
        likelihoods, inside the union of their masks.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> sample = vr.find_sample()
    >>> session = vr.open_session(sample.session)
    >>> encoder = vr.load_encoder(sample.encoders[0], device="cpu")
    >>> config = vr.ReconstructionConfig.preset("fast", steps=2)
    >>> inputs = vr.RunInputs(session.trial(0).part(0, 64), [encoder], vr.AlphaMask.full(), config, target="predicted")
    >>> vr.plan_run(**inputs.values).finished
    False
    """

    trial: Trial
    encoders: Sequence[Encoder]
    mask: AlphaMask
    config: ReconstructionConfig | None = None
    _: KW_ONLY
    target: str | np.ndarray = "recorded"
    target_encoders: Sequence[Encoder] | None = None
    neurons: NeuronSet | np.ndarray | None = None
    chunk: int | None = None
    decoder: Decoder | None = None
    repeats: Sequence[Trial] = ()
    with_mice: Sequence[AnotherMouse] = ()

    __repr__ = brief

    @property
    def values(self) -> dict[str, Any]:
        """By name, as `plan_run` and `reconstruct` take them."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


def takes_inputs(function: Kept) -> Kept:
    """A function of a run's inputs shows all of them in its signature, without spelling them once more."""
    own = inspect.signature(function)
    told = {name: each for name, each in own.parameters.items() if each.kind is not each.VAR_KEYWORD}
    spelled = inspect.signature(RunInputs).parameters.values()
    named = [each.replace(kind=each.KEYWORD_ONLY) for each in spelled if each.name not in told]
    positional = [each for each in told.values() if each.kind is not each.KEYWORD_ONLY]
    rest = [each for each in told.values() if each.kind is each.KEYWORD_ONLY]
    shown = own.replace(parameters=[*positional, *named, *rest])
    function.__signature__ = shown  # type: ignore[attr-defined]
    return function


def encoder_list(encoders: Any, name: str) -> Sequence[Encoder]:
    """The encoders a caller gives, in a list of at least one.

    Returns
    -------
    Sequence[Encoder]
        The same encoders.

    Raises
    ------
    ConfigError
        None, or something that is no encoder.
    """
    if not isinstance(encoders, (list, tuple)):
        raise ConfigError(f"{name}: expected a list of encoders, found {type(encoders).__name__}")
    if not encoders:
        raise ConfigError(f"{name}: expected at least one, found none")
    for each in encoders:
        if not (hasattr(each, "spec") and callable(getattr(each, "responses", None))):
            raise ConfigError(f"{name}: expected encoders, found {type(each).__name__}; open a file with load_encoder")
    return encoders


def check_inputs(trial: Any, mask: Any, config: Any, decoder: Any = None) -> None:
    """Refuse what is of another kind, or a clip with values that are not finite.

    Parameters
    ----------
    trial
        Has to be a `Trial` of finite numbers.
    mask
        Has to be an `AlphaMask`.
    config
        Has to be a `ReconstructionConfig`.
    decoder
        Has to be a `Decoder`, or None.

    Raises
    ------
    SessionError
        The trial; the message names the array and the frame.
    MaskError
        The mask.
    ConfigError
        The settings or the decoder.
    """
    if not isinstance(trial, Trial):
        raise SessionError(f"trial: expected a Trial, as session.trial(number) gives, found {type(trial).__name__}")
    if not isinstance(mask, AlphaMask):
        raise MaskError(f"mask: expected an AlphaMask, made of an array or a file, found {type(mask).__name__}")
    if not isinstance(config, ReconstructionConfig):
        raise ConfigError(f"config: expected a ReconstructionConfig, found {type(config).__name__}")
    if decoder is not None and not isinstance(decoder, Decoder):
        raise ConfigError(f"decoder: expected a Decoder, found {type(decoder).__name__}")
    if decoder is not None:
        name, rate_hz = one_line(trial.name, LONGEST_VALUE), trial.frame_rate_hz
        decoder.require_screen(trial.video.shape[1:], trial.colours, name, frame_rate_hz=rate_hz)
    arrays: dict[str, ArrayLike | None] = {
        "video": trial.video,
        "behavior": trial.behavior,
        "pupil_center": trial.pupil_center,
        "responses": trial.recorded_responses,
    }
    for name, given in arrays.items():
        if given is not None:
            _check_numbers(np.asarray(given), f"{one_line(trial.name, LONGEST_VALUE)}: {name}", video=name == "video")


def check_colour_levels(config: ReconstructionConfig, trial: Trial) -> None:
    """Refuse levels of more or fewer colours than a clip has.

    Raises
    ------
    ConfigError
        One line.
    """
    found, expected = len(config.colour_levels), len(trial.colours)
    if found and found != expected:
        wanted = f"one for each of {expected} colours" if expected else "none for movies of grey levels"
        raise ConfigError(f"colour_levels: expected {wanted}, found {found}")


def check_repeats(trial: Trial, repeats: Any, target: Any) -> list[Trial]:
    """The further presentations of a clip, once each, or an error that says why they do not go together.

    Parameters
    ----------
    trial
        The clip.
    repeats
        Has to be a list of `Trial`, of the same movie and length.
    target
        What is matched; one activity, given or averaged, cannot be that of several presentations.

    Returns
    -------
    list[Trial]
        Without the trial itself.

    Raises
    ------
    SessionError
        One shows another movie, is of another length, or holds values that are not finite.
    ConfigError
        No list of trials; one is there twice; the target is given, or averaged over one.
    """
    if not isinstance(repeats, (list, tuple)) or not all(isinstance(each, Trial) for each in repeats):
        raise ConfigError(f"repeats: expected a list of trials, as repeats_of gives, found {shown(repeats)}")
    kept: list[Trial] = []
    for each in repeats:
        if each is trial or _same_presentation(trial, each):
            continue
        if any(each is other or (each.id, each.name) == (other.id, other.name) for other in kept):
            raise ConfigError(
                f"repeats: expected each presentation once, found {one_line(each.name, LONGEST_VALUE)} twice"
            )
        if each.frames != trial.frames:
            raise SessionError(
                f"{each.name}: expected {trial.frames} frames, as {trial.name} has, found {each.frames}; "
                "cut both with part()"
            )
        known = trial.has_movie and each.has_movie
        if known and not same_clip(np.moveaxis(trial.video, 0, -1), np.moveaxis(each.video, 0, -1)):
            raise SessionError(
                f"{each.name}: expected the movie of {trial.name}, found another; "
                "trials_showing finds those of one clip"
            )
        if (each.id, each.name) == (trial.id, trial.name):
            raise ConfigError(
                f"repeats: expected each presentation under a number of its own, found another one of "
                f"{one_line(each.name, LONGEST_VALUE)} under number {each.id}; give it a number of its own, "
                "as dataclasses.replace(trial, id=...)"
            )
        kept.append(each)
    if kept and not isinstance(target, str):
        raise ConfigError("target: expected recorded, predicted, permuted or averaged with repeats, found an array")
    if isinstance(target, str) and target == AVERAGED and not kept:
        raise ConfigError("target averaged: expected further presentations to average over, found none; give repeats")
    return kept


def _same_presentation(first: Trial, second: Trial) -> bool:
    """Whether two trials are one: under one name and with the same in them, not merely another part of one trial."""
    if (first.id, first.name, first.labelled) != (second.id, second.name, second.labelled):
        return False
    streams = ("behavior", "pupil_center", "recorded_responses")
    pairs = [(first.video, second.video), *((getattr(first, name), getattr(second, name)) for name in streams)]
    return all(one is other or np.array_equal(one, other) for one, other in pairs)


def check_mice(
    trial: Trial, encoders: Sequence[Encoder], mice: Any, target: Any, config: ReconstructionConfig
) -> list[AnotherMouse]:
    """Further mice, or an error that says why they do not go together with the first one.

    Parameters
    ----------
    trial
        The clip, as the first mouse saw it.
    encoders
        Of the first mouse.
    mice
        Has to be a list of `AnotherMouse`.
    target
        What is matched; given activity cannot be that of several mice.
    config
        Settings of the run.

    Returns
    -------
    list[AnotherMouse]
        As given.

    Raises
    ------
    ConfigError
        No list of mice, or a given target.
    SessionError
        A clip of another length.
    EncoderError
        Encoders that do not fit the clip, the mouse, or those of the first mouse.
    """
    if not isinstance(mice, (list, tuple)) or not all(isinstance(each, AnotherMouse) for each in mice):
        raise ConfigError(f"with_mice: expected a list of mice, as mouse_that_saw gives, found {shown(mice)}")
    if mice and not isinstance(target, str):
        raise ConfigError("target: expected recorded, predicted or permuted with other mice, found an array")
    seen: list[AnotherMouse] = []
    for mouse in mice:
        _check_mouse(trial, encoders, mouse, config)
        source = mouse.trial.source
        if any(source is not None and (each.trial.source, each.trial.id) == (source, mouse.trial.id) for each in seen):
            raise ConfigError(f"with_mice: expected each presentation once, found {mouse.name} twice")
        seen.append(mouse)
    return seen


def _check_mouse(trial: Trial, encoders: Sequence[Encoder], mouse: AnotherMouse, config: ReconstructionConfig) -> None:
    theirs = encoder_list(mouse.encoders, f"encoders of {mouse.name}")
    check_inputs(mouse.trial, mouse.mask, config)
    if mouse.trial.frames != trial.frames:
        raise SessionError(
            f"{mouse.name}: expected {trial.frames} frames, as {trial.name} has, found {mouse.trial.frames}; "
            "mouse_that_saw cuts them"
        )
    if len(theirs) not in (1, len(encoders)):
        raise EncoderError(
            f"encoders of {mouse.name}: expected one, or {len(encoders)} as of the first mouse, found {len(theirs)}"
        )
    canvas = encoders[0].spec.canvas
    for encoder in theirs:
        if mouse.trial.labelled:
            encoder.require_neurons(mouse.trial.responses.shape[0], mouse.name)
        check_clip_fits(encoder, mouse.trial)
        if encoder.spec.windows != encoders[0].spec.windows:
            raise EncoderError(
                f"{encoder.spec.name}: expected windows of {encoders[0].spec.windows.size} frames, as "
                f"{encoders[0].spec.name} has, found {encoder.spec.windows.size}; take encoders of one kind"
            )
        own, common = encoder.spec.canvas, mouse.trial.video.shape[1:]
        size = own.screen_rows, own.screen_columns
        if size != common:
            raise EncoderError(
                f"{encoder.spec.name}: expected a screen of {common[0]}x{common[1]} pixels, as {mouse.name} has, "
                f"found {size[0]}x{size[1]}"
            )
        if mouse.same_screen and size != (canvas.screen_rows, canvas.screen_columns):
            raise EncoderError(
                f"{mouse.name}: expected a screen of {canvas.screen_rows}x{canvas.screen_columns} pixels, as the first "
                f"mouse has, found {size[0]}x{size[1]}; give mouse_that_saw the first one's screen"
            )
        check_one_window(encoder, mouse.trial)
    known = trial.has_movie and mouse.trial.has_movie and mouse.same_screen
    if known and not same_clip(np.moveaxis(trial.video, 0, -1), np.moveaxis(mouse.trial.video, 0, -1)):
        raise SessionError(
            f"{mouse.name}: expected the movie of {trial.name}, found another; mouse_that_saw finds the trial with it"
        )


def _check_numbers(array: np.ndarray, what: str, *, video: bool) -> None:
    if array.dtype.kind not in "fiu":
        raise SessionError(f"{what}: expected numbers, found {one_line(array.dtype, LONGEST_VALUE)}")
    finite = np.isfinite(array)
    if finite.all():
        return
    first = np.argwhere(~finite)[0]
    place = f"frame {first[0]}" if video else f"row {first[0]}, frame {first[-1]}"
    raise SessionError(
        f"{what}: expected finite numbers, found {finite.size - np.count_nonzero(finite)} of {finite.size} that are "
        f"NaN or infinite, the first in {place}; interpolate them, or leave this trial out"
    )


@torch.no_grad()
def check_one_window(encoder: Encoder, trial: Trial) -> None:
    """Ask an encoder about the middle of a clip: one that answers NaN is found before a run, not after it.

    Raises
    ------
    EncoderError
        It answers NaN, infinity, or activity of another size.
    """
    windows = encoder.spec.windows
    starts = windows.starts(trial.frames)
    if not len(starts):
        return
    frames = windows.indices(starts[len(starts) // 2 :][:1])[0]
    inputs = encoder.pack(trial.video[frames], trial.behavior[:, frames], trial.pupil_center[:, frames])
    activity = encoder.responses(inputs[None])
    try:
        check_windows(encoder, activity, 1, encoder.spec.neurons)
        check_finite(encoder, activity)
    except UnusableAnswer as refused:
        raise refused.for_clip(trial.name) from None
