"""How large an uncertainty map is beside the true error, found on clips of the same mouse whose movie is known.

Prior and noise model say how far draws differ, and neither knows how wrong the encoder is. Clips that were used for
nothing else tell: the ratio of error and spread there scales the map of other clips, and quantiles of that ratio give
intervals. Clips differ in how large it is, so few of them say little (`docs/quality.md`, "Uncertainty").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_vidrecon.analysis.ensembles import uncertainty_map
from napari_vidrecon.errors import ConfigError, SessionError, StorageError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD
from napari_vidrecon.reconstruction.runner import reconstruct
from napari_vidrecon.settings import listed
from napari_vidrecon.storage import replacing_file

if TYPE_CHECKING:
    from napari_vidrecon.encoders.encoder import Encoder
    from napari_vidrecon.reconstruction.masks import AlphaMask
    from napari_vidrecon.sessions.session import Session

CALIBRATION_TIER, CALIBRATION_TRIALS = "oracle", 8
CALIBRATION_FRAMES, SKIPPED_FRAMES = 64, 16
"""Of each clip; the first ones have little context."""
CONFIDENCES = (0.5, 0.68, 0.8, 0.9, 0.95)
"""Shares of the pixels that intervals are found for."""
SCALES = (1e-3, 100.0)
WIDEST = 1000.0
"""Half of an interval in units of the spread."""
LEAST_SPREAD = 1e-3
"""Grey levels; where the draws do not differ at all, nothing can be scaled."""


class Calibration(BaseModel):
    """What turns the spread of draws, or of encoders, into the size of the error.

    Parameters
    ----------
    scale
        Error over spread, root mean squares; what `ReconstructionConfig.uncertainty_scale` takes.
    half_widths
        By confidence (0..1): half the width of an interval, in units of the spread.
    trials
        Clips that it was found on.
    frames
        Of each, from its first.
    preset, draws, encoders
        Of the reconstructions.
    mouse
        Name of the session.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_vidrecon as vr
    >>> of = {"trials": [3], "frames": 64, "preset": "best", "draws": 8, "encoders": 1}
    >>> known = vr.Calibration(scale=0.8, half_widths={0.9: 1.4}, **of)
    >>> low, high = known.interval(np.full((1, 1, 1), 100.0), np.full((1, 1, 1), 10.0), 0.9)
    >>> float(low[0, 0, 0]), float(high[0, 0, 0])
    (86.0, 114.0)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scale: Annotated[float, Field(gt=0, le=100)]
    half_widths: dict[float, Annotated[float, Field(ge=0, le=WIDEST)]]
    trials: list[int]
    frames: Annotated[int, Field(ge=1)]
    preset: str
    draws: Annotated[int, Field(ge=1)]
    encoders: Annotated[int, Field(ge=1)]
    mouse: str = ""

    def interval(self, video: np.ndarray, spread: np.ndarray, confidence: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Between which grey levels a pixel was, with a confidence that held on the clips of the calibration.

        Parameters
        ----------
        video
            (T, rows, columns) reconstruction, grey levels.
        spread
            (T, rows, columns) `uncertainty_map` of its movies, without a scale.
        confidence
            One of `half_widths`.

        Returns
        -------
        tuple[np.ndarray, np.ndarray]
            Lower and upper end, (T, rows, columns), clipped to 0..255.

        Raises
        ------
        ConfigError
            Another confidence.
        """
        if confidence not in self.half_widths:
            known = ", ".join(f"{each:g}" for each in self.half_widths)
            raise ConfigError(f"confidence {confidence!r}: expected one of {known}")
        half = self.half_widths[confidence] * spread
        return np.clip(video - half, 0.0, 255.0), np.clip(video + half, 0.0, 255.0)

    def save(self, path: Path | str) -> None:
        """Write it as JSON.

        Parameters
        ----------
        path
            File to write, or to replace.
        """
        with replacing_file(Path(path)) as file:
            file.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read it.

        Parameters
        ----------
        path
            JSON file that `save` or `vidrecon calibrate` wrote.

        Returns
        -------
        Calibration
            What it holds.

        Raises
        ------
        StorageError
            Missing, or not a calibration.
        """
        try:
            return cls.model_validate_json(Path(path).read_bytes())
        except OSError as error:
            raise StorageError(f"{path}: cannot be read ({error.strerror})") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "text"
            raise StorageError(
                f"{path}: expected a calibration, as `vidrecon calibrate` writes it, found {where}: {first['msg']}"
            ) from None


def calibrate_uncertainty(
    session: Session,
    encoders: Sequence[Encoder],
    mask: AlphaMask,
    config: ReconstructionConfig,
    trial_ids: Sequence[int] | None = None,
    *,
    frames: int = CALIBRATION_FRAMES,
    on_trial: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Reconstruct clips whose movie is known, and compare the spread of the draws with the error.

    Parameters
    ----------
    session
        The mouse.
    encoders
        Bound to it.
    mask
        Measured inside alpha >= 1.
    config
        As it will be used; with draws, or with several encoders whose videos are averaged.
    trial_ids
        Clips that neither encoders nor mask were fitted on; default: the first eight of the oracle tier.
    frames
        Of each clip, from its first.
    on_trial
        Called with clips done and clips in all, before the first and after each.

    Returns
    -------
    Calibration
        Of this mouse, these encoders and this preset.

    Raises
    ------
    ConfigError
        One movie only, so that there is no spread.
    SessionError
        No clip to calibrate on.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> sample = vr.find_sample()
    >>> session, mask = vr.open_session(sample.session), vr.AlphaMask.load(sample.mask)
    >>> encoder = vr.load_encoder(sample.encoders[0], device="cpu")
    >>> config = vr.ReconstructionConfig.preset("fast", steps=2, draws=2)
    >>> found = vr.calibrate_uncertainty(session, [encoder], mask, config, [0], frames=34)
    >>> later = config.changed(uncertainty_scale=found.scale)
    """
    chosen = session.trials_in_tier(CALIBRATION_TIER)[:CALIBRATION_TRIALS] if trial_ids is None else trial_ids
    ids = listed(chosen, "trial_ids")
    if not ids:
        raise SessionError(f"{session.path}: expected clips of the tier {CALIBRATION_TIER} to calibrate on, found none")
    if config.update.draws * len(encoders) < 2:
        raise ConfigError("draws 1: expected at least 2 (8 will do), or several encoders; one movie has no spread")
    config = config.changed(track_every=config.steps, track_responses=False, uncertainty_scale=1.0)
    pixels = mask.binary(EVALUATION_THRESHOLD)
    spreads, errors = [], []
    for done, trial_id in enumerate(ids):
        if on_trial is not None:
            on_trial(done, len(ids))
        trial = session.trial(trial_id)
        part = trial.part(0, min(frames, trial.frames))
        result = reconstruct(part, encoders, mask, config)
        measured = slice(min(SKIPPED_FRAMES, part.frames // 2), None)
        spreads.append(uncertainty_map(result.videos)[measured][:, pixels].ravel())
        errors.append(np.abs(result.video - part.video)[measured][:, pixels].ravel())
    if on_trial is not None:
        on_trial(len(ids), len(ids))
    spread, error = np.concatenate(spreads).astype(np.float64), np.concatenate(errors).astype(np.float64)
    ratio = error / np.maximum(spread, LEAST_SPREAD)
    size = float(np.sqrt(np.mean(spread**2)))
    return Calibration(
        scale=float(np.clip(np.sqrt(np.mean(error**2)) / max(size, LEAST_SPREAD), *SCALES)),
        half_widths={each: float(min(np.quantile(ratio, each), WIDEST)) for each in CONFIDENCES},
        trials=[int(each) for each in ids],
        frames=frames,
        preset=config.preset_name,
        draws=config.update.draws,
        encoders=len(encoders),
        mouse=session.name,
    )
