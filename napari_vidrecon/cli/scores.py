"""How good a saved reconstruction is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from napari_vidrecon.reconstruction.results import Reconstruction


def measured_frames(result: Reconstruction) -> slice:
    """The frames a run is measured on: all but the first ones, where the clip is long enough."""
    skipped = result.config.track_skip_frames
    return slice(skipped if skipped < len(result.video) - 1 else 0, None)


def evaluation_mask(result: Reconstruction) -> np.ndarray:
    """(36, 64) bool, the pixels a run is measured on."""
    return _mask(result, "evaluation_threshold", 1.0)


def training_mask(result: Reconstruction) -> np.ndarray:
    """(36, 64) bool, the pixels a run was allowed to change."""
    return _mask(result, "mask_threshold", 0.5)


def _mask(result: Reconstruction, name: str, usual: float) -> np.ndarray:
    from napari_vidrecon.reconstruction.masks import AlphaMask

    return AlphaMask(result.alpha).binary(float(result.provenance.get(name, usual)))


def scores(result: Reconstruction) -> dict[str, float]:
    """Likeness of reconstruction and stimulus inside the evaluation mask, over the measured frames.

    Returns
    -------
    dict[str, float]
        video_correlation, mean_frame_correlation, rmse (grey levels), ssim, and the response correlation at the end.
    """
    from napari_vidrecon import metrics

    frames, mask = measured_frames(result), evaluation_mask(result)
    truth, video = result.stimulus[frames], result.video[frames]
    return {
        "video_correlation": metrics.video_correlation(truth, video, mask),
        "mean_frame_correlation": metrics.mean_frame_correlation(truth, video, mask),
        "rmse": metrics.rmse(truth, video, mask),
        "ssim": metrics.ssim(truth, video, mask),
        "response_correlation": result.history.last("response_correlation"),
    }
