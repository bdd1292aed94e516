from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_vidrecon import metrics
from napari_vidrecon.storage import read_array

SCREEN_ROWS = slice(14, 50)
FIRST_FOLD_TRIAL = 10


@pytest.fixture(autouse=True)
def numbers_never_warn() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture
def movies() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    truth = random.uniform(0, 255, (7, 6, 9))
    video = np.clip(0.5 * truth + random.normal(60, 30, truth.shape), 0, 255)
    return truth, video, random.random((6, 9)) > 0.4


@pytest.fixture(scope="session")
def golden_truth(golden_session_folder: Path) -> np.ndarray:
    video = read_array(golden_session_folder / "data" / "videos" / f"{FIRST_FOLD_TRIAL}.npy")
    frames = int(np.flatnonzero(np.isnan(video[0, 0]))[0])
    return video[..., :frames].transpose(2, 0, 1)


def test_metrics_equal_those_of_the_reference(golden: Mapping[str, np.ndarray], golden_truth: np.ndarray) -> None:
    mask = golden["alpha_m1"][SCREEN_ROWS] >= 1
    video = golden["metric_reconstruction"]
    measures = [
        metrics.video_correlation,
        metrics.mean_frame_correlation,
        metrics.rmse,
        metrics.psnr,
        metrics.ssim_global,
    ]
    values = [measure(golden_truth, video, mask) for measure in measures]
    np.testing.assert_allclose(values, golden["metric_values"], rtol=0, atol=1e-9)


def test_motion_energy_equals_that_of_the_reference(golden: Mapping[str, np.ndarray], golden_truth: np.ndarray) -> None:
    energy = metrics.motion_energy(golden_truth, golden["alpha_m1"][SCREEN_ROWS] >= 1)
    np.testing.assert_allclose(energy, golden["metric_motion_energy"], rtol=0, atol=1e-9)


def test_activity_correlation_and_poisson_loss_equal_those_of_the_reference(
    golden: Mapping[str, np.ndarray], golden_session_folder: Path
) -> None:
    predicted = golden["standard__responses_predicted_full"]
    responses = read_array(golden_session_folder / "data" / "responses" / f"{FIRST_FOLD_TRIAL}.npy")
    recorded = np.maximum(responses[:, : predicted.shape[1]], 0)
    correlation = metrics.response_correlation(recorded, predicted)
    assert correlation == pytest.approx(golden["standard__response_corr_full"][-1], abs=1e-9)
    loss = metrics.poisson_loss(predicted[:, 32:], recorded[:, 32:])
    # The reference sums the loss in float32.
    assert loss == pytest.approx(golden["standard__response_loss_full"][-1], abs=1e-6)


def test_video_correlation_is_that_of_all_pixels_inside_the_mask(movies: tuple) -> None:
    truth, video, mask = movies
    expected = np.corrcoef(truth[:, mask].ravel(), video[:, mask].ravel())[0, 1]
    assert metrics.video_correlation(truth, video, mask) == pytest.approx(expected, abs=1e-12)


def test_prepared_correlation_serves_many_movies_and_changes_none(movies: tuple) -> None:
    truth, video, _ = movies
    prepared = metrics.VideoCorrelation(truth)
    before = video.copy()
    first, second = prepared(video), prepared(video[::-1])
    assert first == metrics.video_correlation(truth, video)
    assert second == metrics.video_correlation(truth, video[::-1])
    np.testing.assert_array_equal(video, before)


def test_a_mask_of_ones_counts_like_no_mask(movies: tuple) -> None:
    truth, video, _ = movies
    ones = np.ones(truth.shape[1:])
    assert metrics.video_correlation(truth, video, ones) == metrics.video_correlation(truth, video, None)
    assert metrics.ssim(truth, video, ones) == pytest.approx(metrics.ssim(truth, video))


def test_pixels_outside_the_mask_change_nothing(movies: tuple) -> None:
    truth, video, mask = movies
    changed = video.copy()
    changed[:, ~mask] = 0
    for measure in (metrics.video_correlation, metrics.rmse, metrics.psnr, metrics.ssim_global):
        assert measure(truth, changed, mask) == measure(truth, video, mask)


@pytest.mark.parametrize("level", [0.0, 127.3, 255.0])
def test_correlation_with_a_constant_movie_is_not_a_number(movies: tuple, level: float) -> None:
    truth, _, mask = movies
    constant = np.full_like(truth, level)
    assert np.isnan(metrics.video_correlation(truth, constant, mask))
    assert np.isnan(metrics.video_correlation(constant, truth, mask))
    assert np.isnan(metrics.mean_frame_correlation(truth, constant, mask))
    assert np.isnan(metrics.pixel_correlation_map(truth, constant, mask)).all()
    assert np.isnan(metrics.frame_correlation(constant, truth, mask)).all()


def test_one_constant_frame_is_left_out_of_the_mean_frame_correlation(movies: tuple) -> None:
    truth, video, mask = movies
    video[2] = 40.1
    correlation = metrics.frame_correlation(truth, video, mask)
    assert np.flatnonzero(np.isnan(correlation)).tolist() == [2]
    mean = np.delete(correlation, 2).mean()
    assert metrics.mean_frame_correlation(truth, video, mask) == pytest.approx(mean)


def test_an_empty_mask_gives_no_number_instead_of_an_error(movies: tuple) -> None:
    truth, video, mask = movies
    nothing = np.zeros_like(mask)
    measures = [metrics.video_correlation, metrics.mean_frame_correlation, metrics.rmse, metrics.psnr]
    for measure in [*measures, metrics.ssim, metrics.ssim_global]:
        assert np.isnan(measure(truth, video, nothing))
    for describe in (metrics.shannon_entropy, metrics.luminance, metrics.contrast):
        assert np.isnan(describe(truth, nothing))
    assert np.isnan(metrics.motion_energy(truth, nothing)).all()


def test_movies_of_different_shape_are_refused_with_both_shapes(movies: tuple) -> None:
    truth, video, _ = movies
    for measure in (metrics.video_correlation, metrics.rmse, metrics.ssim, metrics.pixel_correlation_map):
        with pytest.raises(ValueError, match=r"\(7, 6, 9\).*\(5, 6, 9\)"):
            measure(truth, video[:5])


def test_a_mask_of_the_model_size_is_refused_with_both_shapes(movies: tuple) -> None:
    with pytest.raises(ValueError, match=r"\(64, 64\).*\(6, 9\)"):
        metrics.video_correlation(movies[0], movies[1], np.ones((64, 64)))


def test_a_mask_without_threshold_is_refused(movies: tuple) -> None:
    with pytest.raises(ValueError, match="threshold"):
        metrics.rmse(movies[0], movies[1], np.full((6, 9), 0.7))


def test_activities_of_different_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3, 4\).*\(3, 5\)"):
        metrics.response_correlation(np.ones((3, 4)), np.ones((3, 5)))
    with pytest.raises(ValueError, match=r"\(3, 4\).*\(4, 3\)"):
        metrics.poisson_loss(np.ones((3, 4)), np.ones((4, 3)))


def test_equal_movies_have_no_error_and_full_similarity(movies: tuple) -> None:
    truth = movies[0]
    assert metrics.rmse(truth, truth) == 0
    assert metrics.psnr(truth, truth) == np.inf
    assert metrics.ssim(truth, truth) == pytest.approx(1)


def test_windowed_similarity_is_that_of_scikit_image() -> None:
    similarity = pytest.importorskip("skimage.metrics")
    random = np.random.default_rng(8)
    truth = random.uniform(0, 255, (2, 36, 64))
    video = 0.4 * truth + random.normal(80, 20, truth.shape)
    mask = random.random((36, 64)) > 0.5
    maps = [
        similarity.structural_similarity(
            x, y, data_range=255, gaussian_weights=True, use_sample_covariance=False, full=True
        )[1]
        for x, y in zip(truth, video, strict=True)
    ]
    assert metrics.ssim(truth, video, mask) == pytest.approx(np.stack(maps)[:, mask].mean(), abs=1e-9)


def test_global_similarity_calls_unlike_movies_alike_and_the_windowed_one_does_not() -> None:
    random = np.random.default_rng(9)
    truth, noise = random.uniform(0, 255, (2, 4, 36, 64))
    assert metrics.ssim_global(truth, noise) > 0.8
    assert metrics.ssim(truth, noise) < 0.2


def test_motion_energy_of_alternating_black_and_white_is_the_whole_range() -> None:
    movie = np.zeros((6, 4, 5), dtype=np.uint8)
    movie[1::2] = 255
    np.testing.assert_array_equal(metrics.motion_energy(movie), np.full(5, 255.0))


def test_motion_energy_of_one_frame_is_empty() -> None:
    assert metrics.motion_energy(np.ones((1, 4, 5))).shape == (0,)


def test_entropy_of_a_constant_movie_is_zero() -> None:
    assert metrics.shannon_entropy(np.full((3, 8, 8), 90.0)) == 0


def test_entropy_of_an_even_ramp_is_that_of_its_bins() -> None:
    ramp = np.arange(256.0).reshape(1, 16, 16)
    assert metrics.shannon_entropy(ramp) == pytest.approx(np.log2(25), abs=1e-2)
    assert metrics.shannon_entropy(ramp[0]) == metrics.shannon_entropy(ramp)


def test_grey_levels_of_a_bin_are_256_by_25() -> None:
    assert metrics.frame_entropy([[0.0, 10.23]]).tolist() == [0.0]
    assert metrics.frame_entropy([[0.0, 10.25]]).tolist() == [1.0]


def test_a_movie_inside_no_mask_has_a_change_of_no_value_for_each_next_frame() -> None:
    for frames in (1, 2, 4):
        change = metrics.motion_energy(np.ones((frames, 2, 3)), np.zeros((2, 3)))
        assert np.isnan(change).tolist() == [True] * (frames - 1)


def test_rounding_takes_no_correlation_beyond_one() -> None:
    for seed in range(200):
        truth = np.random.default_rng(seed).uniform(0, 255, (1, 2, 3))
        for video in (truth, 255 - truth):
            assert abs(metrics.video_correlation(truth, video)) <= 1
            assert abs(metrics.frame_correlation(truth, video)[0]) <= 1


def test_entropy_is_the_mean_over_frames() -> None:
    movie = np.stack([np.full((16, 16), 10.0), np.arange(256.0).reshape(16, 16)])
    frames = metrics.frame_entropy(movie)
    assert frames[0] == 0
    assert metrics.shannon_entropy(movie) == pytest.approx(frames[1] / 2)


def test_luminance_and_contrast_are_mean_and_population_deviation(movies: tuple) -> None:
    truth, _, mask = movies
    assert metrics.luminance(truth, mask) == pytest.approx(truth[:, mask].mean())
    assert metrics.contrast(truth, mask) == pytest.approx(truth[:, mask].std(ddof=0))
    np.testing.assert_allclose(metrics.frame_contrast(truth, mask), truth[:, mask].std(axis=1))


def test_pixel_map_holds_each_pixels_correlation_over_time(movies: tuple) -> None:
    truth, video, mask = movies
    correlation = metrics.pixel_correlation_map(truth, video, mask)
    row, column = np.argwhere(mask)[3]
    expected = np.corrcoef(truth[:, row, column], video[:, row, column])[0, 1]
    assert correlation[row, column] == pytest.approx(expected)
    np.testing.assert_array_equal(np.isnan(correlation), ~mask)


def test_frame_response_correlation_runs_across_neurons() -> None:
    random = np.random.default_rng(1)
    recorded, predicted = random.gamma(0.5, 6, (2, 30, 4))
    predicted[:, 2] = 1.0
    correlation = metrics.frame_response_correlation(recorded, predicted)
    assert correlation.shape == (4,)
    assert np.isnan(correlation[2])
    assert correlation[1] == pytest.approx(np.corrcoef(recorded[:, 1], predicted[:, 1])[0, 1])


def test_poisson_loss_is_least_at_the_target() -> None:
    target = np.array([[1.0, 4.0], [0.5, 2.0]])
    best = metrics.poisson_loss(target, target)
    assert metrics.poisson_loss(target * 1.1, target) > best
    assert metrics.poisson_loss(target * 0.9, target) > best


def test_poisson_loss_of_silent_predictions_and_targets_is_zero() -> None:
    assert metrics.poisson_loss(np.zeros((2, 3)), np.zeros((2, 3))) == 0


seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, gain=st.floats(0.01, 100), offset=st.floats(-200, 200))
def test_correlations_ignore_a_positive_gain_and_an_offset(seed: int, gain: float, offset: float) -> None:
    truth, video = np.random.default_rng(seed).uniform(0, 255, (2, 3, 5, 4))
    for measure in (metrics.video_correlation, metrics.mean_frame_correlation):
        assert measure(truth, gain * video + offset) == pytest.approx(measure(truth, video), abs=1e-9)
        assert measure(truth, -gain * video + offset) == pytest.approx(-measure(truth, video), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(seed=seeds)
def test_measures_do_not_care_which_movie_comes_first(seed: int) -> None:
    truth, video = np.random.default_rng(seed).uniform(0, 255, (2, 3, 5, 4))
    measures = [metrics.video_correlation, metrics.mean_frame_correlation, metrics.rmse, metrics.psnr]
    for measure in [*measures, metrics.ssim, metrics.ssim_global]:
        assert measure(truth, video) == pytest.approx(measure(video, truth), abs=1e-10)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, scale=st.floats(1e-6, 1e6))
def test_correlations_stay_within_one(seed: int, scale: float) -> None:
    truth = np.random.default_rng(seed).normal(0, scale, (3, 5, 4))
    assert metrics.video_correlation(truth, truth) == pytest.approx(1)
    assert -1 <= metrics.video_correlation(truth, truth[::-1]) <= 1
    assert (np.abs(metrics.frame_correlation(truth, truth[::-1])) <= 1).all()


@settings(max_examples=40, deadline=None)
@given(seed=seeds)
def test_entropy_lies_between_none_and_that_of_even_bins(seed: int) -> None:
    random = np.random.default_rng(seed)
    movie = np.clip(random.normal(random.uniform(0, 255), random.uniform(0, 90), (2, 9, 9)), 0, 255)
    assert 0 <= metrics.shannon_entropy(movie) <= np.log2(metrics.ENTROPY_BINS)
