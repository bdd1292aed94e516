"""What an encoder answers, checked: the one place that decides whether it is activity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_vidrecon.errors import EncoderError, one_line

if TYPE_CHECKING:
    from napari_vidrecon.encoders.encoder import Encoder

LONGEST_NAME = 80


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

    def __init__(self, encoder: str, wanted: str, found: str, clip: str = "") -> None:
        self.parts = (encoder, wanted, found)
        self.short = f"expected {wanted}{f' for {clip}' if clip else ''}, found {found}"
        super().__init__(
            f"{one_line(encoder, LONGEST_NAME)}: {self.short}; "
            "the encoder is damaged or its training failed: take another one, or train it again"
        )

    def for_clip(self, clip: str) -> UnusableAnswer:
        """The same about a movie that is known by name."""
        return UnusableAnswer(*self.parts, one_line(clip, LONGEST_NAME))


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
    """
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
        raise UnusableAnswer(encoder.spec.name, f"activity of {' x '.join(map(str, size))} ({axes})", shown)


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
