"""Reconstruct a movie from activity: the one function most people need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.decoder import Decoder
from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD, TRAINING_THRESHOLD, AlphaMask
from napari_vidrecon.reconstruction.neurons import Ablation, NeuronSet
from napari_vidrecon.reconstruction.reconstructor import StepInfo
from napari_vidrecon.reconstruction.results import Reconstruction
from napari_vidrecon.reconstruction.run import Ensemble, plan_run
from napari_vidrecon.reconstruction.run_folder import at_work_on
from napari_vidrecon.reconstruction.runner import Runner

if TYPE_CHECKING:
    from napari_vidrecon.encoders.encoder import Encoder
    from napari_vidrecon.sessions.session import Trial


def reconstruct(
    trial: Trial,
    encoders: Sequence[Encoder],
    mask: AlphaMask,
    config: ReconstructionConfig | None = None,
    *,
    target: str | np.ndarray = "recorded",
    target_encoders: Sequence[Encoder] | None = None,
    neurons: NeuronSet | np.ndarray | None = None,
    ablation: Ablation = "drop",
    mask_threshold: float = TRAINING_THRESHOLD,
    evaluation_threshold: float = EVALUATION_THRESHOLD,
    ensemble: Ensemble = "videos",
    on_step: Callable[[StepInfo], bool | None] | None = None,
    save_to: Path | str | None = None,
    chunk: int | None = None,
    decoder: Decoder | None = None,
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
    target
        "recorded", "predicted" (mean over `target_encoders`), "permuted" (a control) or activity (N, T) >= 0.
    target_encoders
        Encoders that predict the target and measure the result; default: the same.
    neurons
        Who takes part: a NeuronSet, or boolean (N,); default: all.
    ablation
        "drop" leaves the others out; "silence" asks them to be 0, as the published code does.
    mask_threshold
        Pixels with alpha at least this are reconstructed; the others stay at the level it starts from.
    evaluation_threshold
        Pixels with alpha at least this are measured.
    ensemble
        "videos": one reconstruction an encoder, averaged; "gradients": unit gradients averaged each step.
    on_step
        Called after every step with a StepInfo; return False to stop.
    save_to
        Run folder; kept up to date, and continued from if it holds the same run unfinished.
    chunk
        Windows at once; default: by device and free memory.
    decoder
        Of this mouse; the run starts from its movie, and the prior of natural movies lies around it.

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
    run = plan_run(
        trial,
        encoders,
        mask,
        config,
        target=target,
        target_encoders=target_encoders,
        neurons=neurons,
        ablation=ablation,
        mask_threshold=mask_threshold,
        evaluation_threshold=evaluation_threshold,
        ensemble=ensemble,
        chunk=chunk,
        decoder=decoder,
    )
    if save_to is None:
        return Runner(run, on_step=on_step).drive()
    with at_work_on(Path(save_to)):
        done = run.go_on_from(Path(save_to))
        return done or Runner(run, on_step=on_step, save_to=save_to).drive()
