"""Reconstruct a movie from activity: the one function most people need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.inputs import RunInputs, takes_inputs
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.reconstructor import StepInfo
from napari_vidrecon.reconstruction.results import Reconstruction
from napari_vidrecon.reconstruction.run import Run
from napari_vidrecon.reconstruction.runner import Runner

if TYPE_CHECKING:
    from napari_vidrecon.encoders.encoder import Encoder
    from napari_vidrecon.sessions.session import Trial


@takes_inputs
def reconstruct(
    trial: Trial,
    encoders: Sequence[Encoder],
    mask: AlphaMask,
    config: ReconstructionConfig | None = None,
    *,
    on_step: Callable[[StepInfo], bool | None] | None = None,
    save_to: Path | str | None = None,
    **others: Any,
) -> Reconstruction:
    """Reconstruct the movie of a trial from activity (Bauer et al. 2026, Fig. 1B).

    Parameters
    ----------
    trial
        The clip: its behaviour goes into the encoder, its movie is only measured against.
    encoders
        One or more, bound to this mouse.
    mask
        Transparency mask of this mouse.
    config
        Every setting; default: the "best" preset.
    on_step
        Called after every step with a StepInfo; return False to stop.
    save_to
        Run folder; kept up to date, and continued from if it holds the same run unfinished.
    others
        Everything else of `RunInputs`, by name: target, neurons, thresholds, a decoder ...

    Returns
    -------
    Reconstruction
        `video` (T, 36, 64) float32 in 0..255, unmasked and unsmoothed; `history`; `provenance`.

    Raises
    ------
    ConfigError
        A setting, target, choice of neurons or decoder that cannot be used, a clip that is too short, or a step whose
        numbers are not finite.
    MaskError
        No pixel reaches a threshold.
    EncoderError
        An encoder does not fit the clip or another encoder, or answers NaN or infinity.
    SessionError
        The clip holds values that are not finite, or its recorded activity is withheld.
    RunError
        `save_to` holds another run, or no run.
    StorageError
        `save_to` cannot be written, or another process is at work on it.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> sample = vr.find_sample()
    >>> clip = vr.open_session(sample.session).trial(0).part(0, 64)
    >>> encoder = vr.load_encoder(sample.encoders[0], device="cpu")
    >>> mask = vr.AlphaMask.load(sample.mask)
    >>> result = vr.reconstruct(clip, [encoder], mask, vr.ReconstructionConfig.preset("fast", steps=1))
    >>> result.video.shape
    (64, 36, 64)
    """
    run = Run.plan(RunInputs(trial, encoders, mask, config, **others))
    return Runner(run, on_step=on_step, save_to=save_to).resume_or_start()
