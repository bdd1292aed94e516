"""One place says how good a movie is."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon import metrics
from napari_vidrecon.reconstruction.history import Evaluation, measured_frames


@pytest.fixture
def clip() -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    truth = random.uniform(0, 255, (40, 36, 64))
    pixels = np.zeros((36, 64), dtype=bool)
    pixels[8:28, 20:44] = True
    return {"truth": truth, "video": truth + random.normal(0, 40, truth.shape), "pixels": pixels}


def test_first_frames_are_left_out_where_enough_are_left() -> None:
    assert measured_frames(40, 30) == slice(30, None)
    assert measured_frames(30, 30) == slice(0, None)


def test_scores_are_the_metrics_of_the_measured_frames_inside_the_mask(clip: dict[str, np.ndarray]) -> None:
    truth, video, pixels = clip["truth"][10:], clip["video"][10:], clip["pixels"]
    assert Evaluation(clip["truth"], pixels, 10).scores(clip["video"]) == {
        "video_correlation": metrics.video_correlation(truth, video, pixels),
        "mean_frame_correlation": metrics.mean_frame_correlation(truth, video, pixels),
        "rmse": metrics.rmse(truth, video, pixels),
        "ssim": metrics.ssim(truth, video, pixels),
    }
