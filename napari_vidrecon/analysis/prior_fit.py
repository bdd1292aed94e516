"""How fast a clip was, by its activity: the prior that predicts left-out neurons best.

A still movie and a moving one have unlike spectra over time, and the prior of `best` is that of the mean of many. What
suits a clip is told by neurons that the reconstruction has not seen (an empirical Bayes estimate); no true movie is
needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.composition import NaturalPrior, Spectral
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.run import plan_run

if TYPE_CHECKING:
    from napari_vidrecon.encoders.encoder import Encoder
    from napari_vidrecon.reconstruction.masks import AlphaMask
    from napari_vidrecon.sessions.trial import Trial

CORNERS_HZ = (0.1, 0.25, 0.65, 1.5)
FIT_STEPS = 25


def fit_prior(
    trial: Trial,
    encoders: Sequence[Encoder],
    mask: AlphaMask,
    config: ReconstructionConfig | None = None,
    *,
    corners_hz: Sequence[float] = CORNERS_HZ,
    **inputs: Any,
) -> ReconstructionConfig:
    """Settings whose natural prior is as fast as this clip's activity says.

    One short run for each corner, without a tenth of the neurons; taken is the corner whose movie predicts these best.

    Parameters
    ----------
    trial
        The clip, with its activity.
    encoders
        Of the mouse.
    mask
        Of its population.
    config
        Settings with the natural prior; default: those of `best`.
    corners_hz
        Temporal corners to choose from, Hz.
    **inputs
        Any other input of `plan_run`, such as `target`.

    Returns
    -------
    ReconstructionConfig
        As given, with another `prior.temporal_corner`, which the recipe of a run then states.

    Raises
    ------
    ConfigError
        Settings without the natural prior, or no corner to choose from.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> config = vr.fit_prior(trial, [encoder], mask)  # doctest: +SKIP
    >>> result = vr.reconstruct(trial, [encoder], mask, config)  # doctest: +SKIP
    """
    config = config or ReconstructionConfig.preset("best")
    rule = config.update
    if not isinstance(rule, Spectral) or not isinstance(rule.prior, NaturalPrior):
        raise ConfigError(
            f"fit_prior: expected settings with the natural prior, such as those of best, found {config.preset_name}"
        )
    if not len(corners_hz):
        raise ConfigError("fit_prior: expected at least one temporal corner in Hz, found none")
    misfits = []
    for corner_hz in corners_hz:
        short = config.changed(
            **{"prior.temporal_corner": corner_hz, "stopping": "held_out"},
            steps=FIT_STEPS,
            draws=1,
            track_every=FIT_STEPS,
            track_responses=False,
        )
        run = plan_run(trial, encoders, mask, short, **inputs)
        losses = []
        while not run.finished:
            # Of the neurons that were left out.
            losses.append(run.step().loss)
        misfits.append(min(losses))
    return config.changed(**{"prior.temporal_corner": float(corners_hz[int(np.argmin(misfits))])})
