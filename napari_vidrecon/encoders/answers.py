"""What an encoder is asked and answers, checked.

Is the recording such as it was trained on, is what it answers activity, and does another way to compute it keep its
gradient.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_vidrecon.errors import EncoderError, one_line
from napari_vidrecon.sessions.session import Session
from napari_vidrecon.sessions.trial import Trial

if TYPE_CHECKING:
    from napari_vidrecon.encoders.encoder import Encoder


LONGEST_NAME = 80
LONGEST_VALUE = 60
SAME_RATE = 0.01


class UnusableAnswer(EncoderError):
    """An encoder answered NaN, infinity, or something of another size.

    Parameters
    ----------
    encoder
        Its name.
    wanted, found
        What was expected, without for what; and what came.
    clip
        For which movie; what is known only further up is added there.

    Attributes
    ----------
    short
        What is wrong, without the encoder's name and without advice.
    """

    advice = "the encoder is damaged or its training failed: take another one, or train it again"

    def __init__(self, encoder: str, wanted: str, found: str, clip: str = "") -> None:
        self.parts = (encoder, wanted, found)
        self.short = f"expected {wanted}{f' for {clip}' if clip else ''}, found {found}"
        super().__init__(f"{one_line(encoder, LONGEST_NAME)}: {self.short}; {self.advice}")

    def for_clip(self, clip: str) -> UnusableAnswer:
        """The same about a movie that is known by name."""
        return type(self)(*self.parts, one_line(clip, LONGEST_NAME))


class NoActivity(UnusableAnswer):
    """What a module of one's own answers is nothing that could be activity, or nothing to climb along."""

    advice = (
        "its module has to be mended (docs/own_encoder.md says what it answers): check_encoder, or `vidrecon info FILE "
        "--check`, lists all that is wrong"
    )


def predicted(
    encoder: Encoder,
    video: np.ndarray | torch.Tensor,
    behavior: np.ndarray | None = None,
    pupil_center: np.ndarray | None = None,
    *,
    clip: str,
) -> np.ndarray:
    """What `Encoder.predict` answers, refused unless it is activity; for every encoder, one's own included.

    Parameters
    ----------
    encoder
        Whom to ask.
    video, behavior, pupil_center
        As for `Encoder.predict`.
    clip
        What the movie is called in a message.

    Returns
    -------
    np.ndarray
        np.ndarray (N, T), finite.

    Raises
    ------
    UnusableAnswer
        It holds NaN or infinity, or is not of N neurons and T frames.
    EncoderError
        The clip is shorter than what the encoder sees at once, of which it can say nothing.
    """
    span = encoder.spec.windows.span
    if len(video) < span:
        raise EncoderError(
            f"{clip}: expected at least {span} frames, as many as {encoder.spec.name} sees at once, found "
            f"{len(video)}; choose a longer clip"
        )
    try:
        activity = encoder.predict(video, behavior, pupil_center)
        check_size(encoder, activity, (encoder.spec.neurons, len(video)), "neurons x frames")
        check_finite(encoder, activity)
    except UnusableAnswer as refused:
        raise refused.for_clip(clip) from None
    return activity


def check_size(encoder: Encoder, activity: Any, size: tuple[int, ...], axes: str) -> None:
    """Refuse an answer that is no array of a size.

    Parameters
    ----------
    encoder
        Whose answer it is, for the message.
    activity
        The answer.
    size
        Wanted.
    axes
        What they mean, for the message, e.g. "neurons x frames".

    Raises
    ------
    UnusableAnswer
        It is not.
    """
    found = getattr(activity, "shape", None)
    if found is None or tuple(found) != size:
        shown = f"{type(activity).__name__}" if found is None else " x ".join(map(str, found)) or "one number"
        raise NoActivity(encoder.spec.name, f"activity of {' x '.join(map(str, size))} ({axes})", shown)


def check_windows(encoder: Encoder, activity: Any, windows: int, neurons: int, *, gradient: bool = False) -> None:
    """Refuse an answer to windows that is no tensor of activity.

    Parameters
    ----------
    encoder
        Whose answer it is.
    activity
        The answer.
    windows, neurons
        How many were asked for.
    gradient
        Whether the movie is to be changed by it, so that a gradient has to lead back to it.

    Raises
    ------
    NoActivity
        It is of another size, no tensor, not of real numbers, or cut off from the movie.
    """
    size = (windows, neurons, encoder.spec.windows.size)
    check_size(encoder, activity, size, "windows x neurons x frames")
    wanted = f"activity of {' x '.join(map(str, size))} (windows x neurons x frames)"
    if not isinstance(activity, torch.Tensor):
        raise NoActivity(encoder.spec.name, f"{wanted} as a tensor", type(activity).__name__)
    if activity.is_complex():
        raise NoActivity(encoder.spec.name, f"{wanted} in real numbers", "complex ones")
    if gradient and not activity.requires_grad:
        raise NoActivity(
            encoder.spec.name,
            "activity with a gradient that leads back to the movie",
            "none: whole numbers, numpy, no_grad or detach cut it off",
        )


def check_finite(encoder: Encoder, activity: np.ndarray | torch.Tensor, clip: str = "") -> None:
    """Refuse an answer that holds NaN or infinity; one sum where it holds none.

    Parameters
    ----------
    encoder
        Whose.
    activity
        (N, T), or (windows, N, frames).
    clip
        For which movie.

    Raises
    ------
    UnusableAnswer
        It does; the message says how many, and where the first is.
    """
    if sums_to_a_number(activity):
        return
    values = activity.detach().float().cpu().numpy() if isinstance(activity, torch.Tensor) else activity
    bad = np.argwhere(~np.isfinite(values))
    if not len(bad):
        # Huge, but numbers.
        return
    first = bad[0]
    where = f"neuron {first[0]} in frame {first[1]}" if len(first) == 2 else f"neuron {first[-2]} in window {first[0]}"
    found = f"NaN or infinity in {len(bad)} of {values.size} values, first of {where}"
    refused = UnusableAnswer(encoder.spec.name, "finite activity", found)
    raise refused.for_clip(clip) if clip else refused


def sums_to_a_number(values: np.ndarray | torch.Tensor) -> bool:
    """Whether the sum is finite: then all values are, and it costs a tenth of looking at each of them."""
    if isinstance(values, torch.Tensor):
        # On the device, so that only one number comes from there.
        return bool(values.sum().isfinite())
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(values.sum()))


LEAST_COSINE = 0.999
"""Between the gradients in bfloat16 and in float32, for an encoder to compute in bfloat16."""
MOST_ERROR = 1e-3
"""Of the gradient by fused kernels with TF32 products, beside its norm in float32."""
Form = Callable[[torch.Tensor], torch.Tensor]
logger = logging.getLogger(__name__)


def movie_gradients(forms: Sequence[Form], windows: torch.Tensor) -> list[torch.Tensor]:
    """Gradients of a Poisson loss in the movie, of several forms of an encoder.

    Parameters
    ----------
    forms
        Map windows to activity; the first one's activity, times noise, is what all are to match.
    windows
        (B, 5, size, rows, columns).

    Returns
    -------
    list[torch.Tensor]
        Of each form one vector, float64 on the CPU.
    """
    generator = torch.Generator().manual_seed(0)
    target: torch.Tensor | None = None
    gradients = []
    for each in forms:
        leaf = windows.detach().clone().requires_grad_(True)
        activity = each(leaf)
        if target is None:
            drawn = torch.rand(activity.shape, generator=generator).to(activity)
            target = 2.0 * activity.detach().mean() * drawn
        loss = (activity - target * torch.log(activity + torch.finfo(activity.dtype).eps)).sum()
        gradients.append(torch.autograd.grad(loss, leaf)[0][:, 0].cpu().double().flatten())
    return gradients


def gradient_cosine(form: Form, reference: Form, windows: torch.Tensor) -> float:
    """Cosine between the movie gradients of two forms of an encoder.

    Parameters
    ----------
    form, reference
        Map windows to activity.
    windows
        (B, 5, size, rows, columns).

    Returns
    -------
    float
        -1..1.
    """
    expected, found = movie_gradients([reference, form], windows)
    return float(torch.nn.functional.cosine_similarity(expected, found, dim=0))


def why_another_gradient(form: Form, reference: Form, windows: torch.Tensor) -> str | None:
    """Whether an encoder's form by kernels fails, or gives another gradient.

    Parameters
    ----------
    form
        By kernels, which are compiled when they are first called.
    reference
        The same without.
    windows
        (B, 5, size, rows, columns), what both are asked for.

    Returns
    -------
    str | None
        What is wrong with it; None if nothing.
    """
    try:
        expected, found = movie_gradients([reference, form], windows)
    except Exception as reason:  # noqa: BLE001 - whatever a compiler or driver says, the encoder has another form
        return f"the kernels failed ({type(reason).__name__}: {str(reason).strip().partition(chr(10))[0]})"
    error = float((found - expected).norm() / expected.norm())
    if not error <= MOST_ERROR:
        return f"its gradient by the kernels differs by {error:.1e} of its norm (expected at most {MOST_ERROR:g})"
    return None


def keeps_direction(form: Form, reference: Form, windows: torch.Tensor, name: str) -> bool:
    """Whether the gradient of an encoder's form in bfloat16 keeps its direction.

    A line of the log says so where it does not.

    Parameters
    ----------
    form
        In bfloat16.
    reference
        The same in float32.
    windows
        (B, 5, size, rows, columns), what both are asked for.
    name
        Of the encoder, for the line.

    Returns
    -------
    bool
        The cosine of both gradients is large enough.
    """
    cosine = gradient_cosine(form, reference, windows)
    if cosine >= LEAST_COSINE:
        return True
    logger.warning(
        "%s: in bfloat16 its gradient differs (cosine %.5f, expected at least %s); it stays in its own precision",
        name,
        cosine,
        LEAST_COSINE,
    )
    return False


def check_session_fits(encoder: Encoder, session: Session) -> None:
    """Refuse a recording of another screen, frame rate or other colours than the encoder was trained on.

    Parameters
    ----------
    encoder
        Bound to its neurons; that they may be others, or in another order, is said.
    session
        The recording.

    Raises
    ------
    EncoderError
        What the encoder would answer would mean nothing.
    """
    size, wanted = session.screen.size_px, (encoder.spec.canvas.screen_rows, encoder.spec.canvas.screen_columns)
    _check_fits(encoder, session.screen.colours, session.frame_rate_hz, session.recorded_behavior, session.name)
    if size != wanted:
        raise EncoderError(
            f"{encoder.spec.name}: expected movies of {wanted[0]}x{wanted[1]} pixels, as it was trained on, found "
            f"{size[0]}x{size[1]} in {one_line(session.name, LONGEST_VALUE)}; train an encoder on this session, or "
            "import the recording with --screen as the encoder has it"
        )
    if of_other_neurons(encoder, session):
        _tell_once(
            f"{encoder.spec.name}: was trained on other neurons than those of {one_line(session.name, LONGEST_VALUE)}, "
            "or on the same in another order; what comes of it is wrong unless they are the same row by row"
        )
    elif encoder.spec.mouse not in ("", session.name):
        _tell_once(
            f"{encoder.spec.name}: was trained on {one_line(encoder.spec.mouse, LONGEST_VALUE)}, not on "
            f"{one_line(session.name, LONGEST_VALUE)}; what comes of it is wrong unless only the name differs"
        )


def check_clip_fits(encoder: Encoder, trial: Trial) -> None:
    """Refuse a clip of another frame rate or other colours than the encoder was trained on: answers would mean nothing.

    Raises
    ------
    EncoderError
        The rates differ by more than one percent, or colours by name or order.
    """
    _check_fits(encoder, trial.colours, trial.frame_rate_hz, trial.recorded_behavior, trial.name)


def _check_fits(
    encoder: Encoder, colours: tuple[str, ...], rate_hz: float, recorded: Sequence[str] | None, name: str
) -> None:
    if encoder.spec.canvas.colours != colours:
        wanted, shown_in = (" and ".join(each) or "grey levels" for each in (encoder.spec.canvas.colours, colours))
        raise EncoderError(
            f"{encoder.spec.name}: expected movies in {wanted}, as it was trained on, found {shown_in} in "
            f"{one_line(name, LONGEST_VALUE)}; train an encoder on this session, or import the recording with "
            "--colours as the encoder has them"
        )
    expected = encoder.spec.frame_rate_hz
    if abs(rate_hz - expected) > SAME_RATE * expected:
        raise EncoderError(
            f"{encoder.spec.name}: expected clips of {expected:g} frames a second, as it was trained on, found "
            f"{rate_hz:g} in {one_line(name, LONGEST_VALUE)}; train an encoder on this session, or import the "
            "recording at the encoder's rate"
        )
    lacking = lacking_behavior(encoder, recorded)
    if lacking:
        _tell_once(
            f"{encoder.spec.name}: was trained with {' and '.join(lacking)}, of which this session has no recording; "
            "the constant that stands in it is taken"
        )


def lacking_behavior(encoder: Encoder, recorded: Sequence[str] | None) -> list[str]:
    """Names of the behaviour that an encoder was trained with and a session lacks; none where either tells nothing."""
    trained = encoder.spec.provenance.get("behavior") or []
    return [] if recorded is None else [one_line(name, LONGEST_VALUE) for name in trained if name not in recorded]


def of_other_neurons(encoder: Encoder, session: Session) -> bool:
    """Whether a recording's neurons are others than those an encoder was trained on, or stand in another order.

    Returns
    -------
    bool
        Told by their ids, and by their positions where both have some; of an encoder that keeps neither never.
    """
    told = encoder.spec.provenance.get("neurons")
    known = told.get(encoder.spec.mouse) if isinstance(told, dict) else None
    if not isinstance(known, dict):
        return False
    return any(known.get(name) not in (None, value) for name, value in session.neuron_keys.items())


@functools.lru_cache(maxsize=64)
def _tell_once(line: str) -> None:
    """One line a process, however many clips it is true of."""
    logger.warning("%s", line)
