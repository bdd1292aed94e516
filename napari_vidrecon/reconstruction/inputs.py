"""What goes into a reconstruction, refused before anything is computed if it cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_vidrecon.encoders.answers import UnusableAnswer, check_finite, check_size
from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.errors import ConfigError, MaskError, SessionError, one_line
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.decoder import Decoder
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.sessions.trial import Trial

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

LONGEST_VALUE = 60


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
    arrays: dict[str, ArrayLike | None] = {
        "video": trial.video,
        "behavior": trial.behavior,
        "pupil_center": trial.pupil_center,
        "responses": trial.recorded_responses,
    }
    for name, given in arrays.items():
        if given is not None:
            _check_numbers(np.asarray(given), f"{one_line(trial.name, LONGEST_VALUE)}: {name}", video=name == "video")


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
        check_size(encoder, activity, (1, encoder.spec.neurons, windows.size), "windows x neurons x frames")
        check_finite(encoder, activity)
    except UnusableAnswer as refused:
        raise refused.for_clip(trial.name) from None
