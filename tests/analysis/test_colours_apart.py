"""Of movies in colours, which stand one below the other, nothing leaks over the seam between two of them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon import metrics
from napari_vidrecon.analysis.ensembles import uncertainty_map
from napari_vidrecon.analysis.postprocess import Presentation, smooth
from napari_vidrecon.analysis.receptive_fields import ReceptiveFieldMaps
from napari_vidrecon.errors import ConfigError
from napari_vidrecon.metrics import MetricError
from napari_vidrecon.reconstruction.history import Evaluation
from napari_vidrecon.sessions.screen import ScreenGeometry
from napari_vidrecon.sessions.stimuli.synthetic import OnOffPatches

HALVES = slice(None, 9), slice(9, None)


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth and movie of two colours of 9 x 12 pixels each, the lower one brighter, and a mask over the seam."""
    random = np.random.default_rng(0)
    truth, video = random.uniform(0, 90, (2, 6, 18, 12))
    truth[:, 9:] += 150
    video[:, 9:] += 150
    mask = np.zeros((18, 12), bool)
    mask[6:12] = True
    return truth, video, mask


def test_each_colour_is_smoothed_by_itself(pair):
    _, video, _ = pair
    together = smooth(video, colours=2)
    for half in HALVES:
        np.testing.assert_array_equal(together[:, half], smooth(video[:, half]))
    assert not np.allclose(together, smooth(video))
    with pytest.raises(ValueError, match="18 rows; expected as many for each of 4 colours"):
        smooth(video, colours=4)


def test_similarity_is_the_mean_of_that_of_the_colours(pair):
    truth, video, mask = pair
    parts = [metrics.ssim(truth[:, half], video[:, half], mask[half]) for half in HALVES]
    assert metrics.ssim(truth, video, mask, colours=2) == pytest.approx(np.mean(parts))
    assert Evaluation(truth, mask, 0, 2).scores(video)["ssim"] == pytest.approx(np.mean(parts))
    assert metrics.ssim(truth, video, mask) != pytest.approx(np.mean(parts))
    with pytest.raises(MetricError, match="18 rows"):
        metrics.ssim(truth, video, colours=5)


def test_what_is_shown_of_a_frame_is_what_is_shown_of_the_movie(pair):
    truth, video, mask = pair
    shown = Presentation("paper")
    level = shown.level(video, truth, mask, 2)
    frame = shown.frame(video, truth, mask, 3, level, 2)
    np.testing.assert_allclose(frame, shown.of(video, truth, mask, 2)[3], rtol=1e-6)


def test_movies_that_disagree_in_one_colour_leave_the_other_certain():
    videos = np.full((4, 6, 18, 12), 100.0)
    videos[:, :, :9] += np.random.default_rng(1).normal(0, 20, (4, 6, 9, 12))
    videos[0, :, 9:] += 1e-3
    found = uncertainty_map(list(videos), colours=2)
    assert found[:, :9].min() > 1
    assert found[:, 9:].max() < 1e-2
    with pytest.raises(ConfigError, match="18 in all"):
        uncertainty_map(list(videos), colours=4)


def test_a_neuron_that_sees_a_place_in_two_colours_has_its_field_there_and_not_between_them():
    screen = ScreenGeometry(rows=36, cols=64, colours=("green", "uv"))
    y, x = np.mgrid[:18, :64]
    blob = np.exp(-((y - 4) ** 2 + (x - 30) ** 2) / (2 * 2.0**2))
    seen = np.concatenate([0.8 * blob, blob])[None]
    maps = ReceptiveFieldMaps(seen, np.zeros_like(seen), OnOffPatches(1, screen=screen), {}, screen)
    fits = maps.fits
    assert (fits.row[0], fits.column[0]) == pytest.approx((22.0, 30.0), abs=0.3)
    assert fits.sigma_long[0] < 3
    assert maps.linear_fits.row[0] == pytest.approx(22.0, abs=0.3)


def test_a_field_at_the_edge_of_one_colour_does_not_enter_the_next():
    screen = ScreenGeometry(rows=36, cols=64, colours=("green", "uv"))
    seen = np.zeros((1, 36, 64))
    seen[0, 17, 20] = 1.0
    maps = ReceptiveFieldMaps(seen, seen, OnOffPatches(1, screen=screen), {}, screen)
    assert maps.increase("on")[0, 17].max() > 0
    assert not maps.increase("on")[0, 18:].any()
