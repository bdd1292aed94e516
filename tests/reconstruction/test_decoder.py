"""A linear decoder finds movies that activity tells of, and a run starts from what it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.fft import idctn

import napari_vidrecon as vr
from napari_vidrecon.errors import ConfigError, SessionError, StorageError
from napari_vidrecon.reconstruction.config import GREY_LEVEL
from napari_vidrecon.reconstruction.decoder import Decoder, lagged
from napari_vidrecon.reconstruction.decoder_fitting import DecoderRecipe, fit_decoder
from napari_vidrecon.reconstruction.inputs import check_inputs
from napari_vidrecon.reconstruction.run import plan_run
from napari_vidrecon.sessions.screen import ScreenGeometry
from napari_vidrecon.sessions.session import open_session
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.sessions.writer import write_session

NEURONS, FRAMES, DELAY_FRAMES = 10, 60, 2
HELD_OUT_TRIAL = 3
RECIPE = DecoderRecipe(lags_frames=(0, 2), ridge=1e-4, finest_cycles_per_px=0.1, every_frames=1)
FINER = RECIPE.model_copy(update={"finest_cycles_per_px": 0.25})
HALVES = slice(0, 18), slice(18, 36)
"""Of the session in two colours."""
SILENT = 1e-12
"""Likelihood weight at which neurons say nothing."""


@pytest.fixture(scope="module")
def linear_session(tmp_path_factory):
    """Movies that are sums of one pattern a neuron, each as strong as the root of its activity two frames later."""
    random = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("sessions") / "dynamic2-2-2-Video-linear"
    return written(folder, random, {"": GREY_LEVEL}, (36, 64))


@pytest.fixture(scope="module")
def coloured_session(tmp_path_factory):
    """The same in two colours of unlike levels, on a screen of 18 x 16 pixels."""
    folder = tmp_path_factory.mktemp("sessions") / "dynamic3-3-3-Video-linear"
    return written(folder, np.random.default_rng(0), {"green": 112.0, "uv": 142.0}, (18, 16))


def written(folder, random, levels, size_px):
    """A session of such movies: level by name of the colour, and the pixels of one."""
    spectra = np.zeros((NEURONS, len(levels), *size_px))
    spectra[..., :4, :6] = random.normal(size=(NEURONS, len(levels), 4, 6))
    patterns = 8 * idctn(spectra, axes=(2, 3), norm="ortho") / spectra.std()
    level = np.array(list(levels.values()))[:, None, None]
    colours = tuple(filter(None, levels))
    trials = []
    for number in range(HELD_OUT_TRIAL + 1):
        root = random.uniform(0, 2, (NEURONS, FRAMES))
        planes = level + np.tensordot(lagged(root - 1.0, DELAY_FRAMES).T, patterns, 1)
        video = planes.reshape(FRAMES, -1, size_px[1]).astype(np.float32)
        tier = "oracle" if number == HELD_OUT_TRIAL else "train"
        still = np.ones((2, FRAMES), np.float32)
        activity = (root**2).astype(np.float32)
        trials.append(Trial(number, tier, video, still, still, activity, colours=colours))
    rows, columns = size_px
    screen = ScreenGeometry(rows=rows * len(levels), cols=columns, colours=colours)
    told = {"coordinates": None, "unit_ids": np.arange(NEURONS), "video_dtype": "float32"}
    write_session(folder, trials, **told, screen=screen)
    return open_session(folder)


@pytest.fixture(scope="module")
def decoder(linear_session):
    return fit_decoder(linear_session, RECIPE)


@pytest.fixture(scope="module")
def noise_decoder(small_session_folder):
    """Of the small session; its movies are far from grey, and mean nothing."""
    return fit_decoder(open_session(small_session_folder), RECIPE)


@pytest.fixture
def average(decoder):
    """Activity in which every neuron is at its mean."""
    return np.repeat(decoder.mean[:, None] ** 2, 20, axis=1)


def test_it_recovers_a_movie_it_was_not_fitted_to(linear_session, decoder):
    trial = linear_session.trial(HELD_OUT_TRIAL)
    movie = decoder.movie(trial.responses)
    assert movie.shape == trial.video.shape
    assert movie.dtype == np.float32
    assert np.corrcoef(movie.ravel(), trial.video.ravel())[0, 1] > 0.995
    assert np.abs(movie - trial.video).mean() < 0.1 * trial.video.std()


def test_it_finds_the_lag_at_which_neurons_answer(decoder):
    size = dict(zip(decoder.lags_frames, np.square(decoder.weights).mean(axis=(1, 2)), strict=True))
    assert size[DELAY_FRAMES] > 1000 * size[0]


def test_activity_at_its_mean_is_a_movie_of_the_mean_grey(decoder, average):
    np.testing.assert_allclose(decoder.movie(average), decoder.level, atol=1e-3)


def test_a_neuron_that_is_left_out_says_nothing(linear_session, decoder, average):
    activity = linear_session.trial(HELD_OUT_TRIAL).responses[:, :20]
    keep = np.arange(NEURONS) != 4
    without = decoder.movie(activity, keep)
    silent = np.where(keep[:, None], activity, average)
    np.testing.assert_allclose(without, decoder.movie(silent), atol=1e-3)
    assert np.abs(without - decoder.movie(activity)).max() > 1.0


def test_it_comes_back_from_disk_within_a_grey_level(linear_session, decoder, tmp_path):
    decoder.save(tmp_path / "decoder.safetensors")
    loaded = Decoder.load(tmp_path / "decoder.safetensors")
    activity = linear_session.trial(HELD_OUT_TRIAL).responses
    np.testing.assert_allclose(loaded.movie(activity), decoder.movie(activity), atol=1.0)
    assert (loaded.lags_frames, loaded.mouse) == ((0, 2), linear_session.name)
    assert loaded.provenance["trials"] == 3
    assert loaded.provenance["recipe"]["ridge"] == RECIPE.ridge
    assert loaded.sha256 == Decoder.load(tmp_path / "decoder.safetensors").sha256


def test_what_is_no_decoder_is_one_clear_line(decoder, small_encoder_file, tmp_path):
    decoder.save(tmp_path / "whole.safetensors")
    whole = (tmp_path / "whole.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.safetensors").write_text("a movie, please")
    (tmp_path / "empty.safetensors").touch()
    wrong = {
        tmp_path / "missing.safetensors": "found nothing there",
        tmp_path: "found a folder",
        small_encoder_file: "found other tensors",
        tmp_path / "cut.safetensors": "found a damaged one",
        tmp_path / "text.safetensors": "found a damaged one",
        tmp_path / "empty.safetensors": "found an empty file",
    }
    for path, expected in wrong.items():
        with pytest.raises(StorageError, match=expected) as caught:
            Decoder.load(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_weights_that_do_not_fit_their_lags_are_refused(decoder, tmp_path):
    replace(decoder, lags_frames=(0, 1, 2)).save(tmp_path / "odd.safetensors")
    with pytest.raises(StorageError, match="found others"):
        Decoder.load(tmp_path / "odd.safetensors")


def test_activity_of_another_mouse_is_refused(decoder):
    with pytest.raises(ConfigError, match=r"10 neurons.*found 7"):
        decoder.movie(np.ones((7, 40)))


def test_many_neurons_get_fewer_lags():
    recipe = DecoderRecipe(most_predictors=60)
    lags = {neurons: recipe.lags_for(neurons) for neurons in (10, 20, 30, 31, 1000)}
    assert lags == {10: (-2, 0, 2, 4, 6, 8), 20: (-2, 2, 8), 30: (-2, 8), 31: (2,), 1000: (2,)}
    assert DecoderRecipe(lags_frames=(3,)).lags_for(5) == (3,)


def test_one_trial_is_too_few(linear_session):
    with pytest.raises(SessionError, match=r"at least 2 training trials.*found 1"):
        fit_decoder(linear_session, RECIPE, trial_ids=[0])


def test_what_is_no_session_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"^session: expected a session, as open_session gives one, found 5$"):
        fit_decoder(5, RECIPE)


def test_only_training_trials_are_learned_from_until_it_is_stopped(linear_session):
    seen = []
    stopped = fit_decoder(linear_session, RECIPE, on_progress=lambda *done: seen.append(done) or done[0] < 2)
    assert seen == [(1, 3), (2, 3)]
    assert stopped.provenance["trials"] == 2


def test_a_momentum_run_starts_from_its_movie_inside_the_mask(trial, encoder, disc_mask, quick_config, noise_decoder):
    start = plan_run(trial, [encoder], disc_mask, quick_config, decoder=noise_decoder).steppable.video
    inside = disc_mask.binary(0.5)
    expected = noise_decoder.movie(trial.responses).clip(0, 255)
    np.testing.assert_allclose(start[:, inside], expected[:, inside], atol=1e-3)
    assert (start[:, ~inside] == GREY_LEVEL).all()
    assert start[:, inside].std() > 5.0


@pytest.mark.parametrize("preset", ["fast", "best"])
def test_where_neurons_say_nothing_a_run_ends_at_its_movie(preset, trial, encoder, disc_mask, noise_decoder):
    config = vr.ReconstructionConfig.preset(preset, likelihood_weight=SILENT, track_every=100)
    run = plan_run(trial, [encoder], disc_mask, config, decoder=noise_decoder)
    while not run.finished:
        run.step()
    inside = disc_mask.binary(0.5)
    expected = noise_decoder.movie(trial.responses).clip(0, 255)[:, inside]
    assert np.abs(run.steppable.video[:, inside] - expected).max() < 3.0
    assert expected.std() > 5.0


def test_activity_still_counts_beside_it(trial, encoder, disc_mask, noise_decoder):
    config = vr.ReconstructionConfig.preset("fast", steps=6, likelihood_weight=10.0, track_every=100)
    run = plan_run(trial, [encoder], disc_mask, config, decoder=noise_decoder)
    start = run.steppable.video
    while not run.finished:
        run.step()
    assert np.abs(run.steppable.video - start).max() > 3.0
    assert run.history["loss"][-1] < run.history["loss"][0]


@pytest.mark.parametrize("steps_before", [0, 1])
def test_other_activity_moves_the_movie_to_what_it_says(steps_before, trial, encoder, disc_mask, noise_decoder):
    config = vr.ReconstructionConfig.preset("best", likelihood_weight=SILENT, track_every=100)
    run = plan_run(trial, [encoder], disc_mask, config, decoder=noise_decoder)
    for _ in range(steps_before):
        run.step()
    other = replace(run.target, activity=np.ascontiguousarray(run.target.activity[::-1]))
    inside = disc_mask.binary(0.5)
    expected = noise_decoder.movie(other.activity).clip(0, 255)[:, inside]
    before = np.abs(run.steppable.video[:, inside] - expected).mean()
    run.steppable.set_target(other)
    while not run.finished:
        run.step()
    assert np.abs(run.steppable.video[:, inside] - expected).mean() < 0.6 * before


def test_it_is_told_which_neurons_were_ablated(trial, encoder, disc_mask, quick_config, noise_decoder):
    keep = np.arange(encoder.spec.neurons) < 5
    start = plan_run(trial, [encoder], disc_mask, quick_config, neurons=keep, decoder=noise_decoder).steppable.video
    inside = disc_mask.binary(0.5)
    expected = noise_decoder.movie(trial.responses, keep).clip(0, 255)
    np.testing.assert_allclose(start[:, inside], expected[:, inside], atol=1e-3)


def test_a_run_says_which_decoder_it_had(trial, encoder, disc_mask, quick_config, noise_decoder):
    other = replace(noise_decoder, weights=2 * noise_decoder.weights)
    runs = [plan_run(trial, [encoder], disc_mask, quick_config, decoder=each) for each in (None, noise_decoder, other)]
    assert [run.provenance.get("decoder") for run in runs] == [None, noise_decoder.sha256, other.sha256]
    assert len({run.fingerprint for run in runs}) == 3


@pytest.mark.parametrize("draws", [1, 2])
def test_a_run_with_one_goes_on_from_disk_to_the_same_bits(draws, trial, encoder, disc_mask, noise_decoder, tmp_path):
    config = vr.ReconstructionConfig.preset("fast", steps=4, draws=draws, track_every=100)
    whole, half, again = (plan_run(trial, [encoder], disc_mask, config, decoder=noise_decoder) for _ in range(3))
    half.step()
    half.step()
    half.result(with_activity=False).save(tmp_path / "half.zarr")
    again.resume(vr.Reconstruction.load(tmp_path / "half.zarr"))
    for run in (whole, again):
        while not run.finished:
            run.step()
    assert np.array_equal(again.steppable.video, whole.steppable.video)


def test_reconstruct_takes_one(trial, encoder, disc_mask, quick_config, noise_decoder):
    config = quick_config.changed(steps=1)
    video = vr.reconstruct(trial, [encoder], disc_mask, config, decoder=noise_decoder).video
    expected = plan_run(trial, [encoder], disc_mask, config, decoder=noise_decoder).steppable.video
    assert np.array_equal(video, expected)


def test_a_run_goes_on_with_its_decoder_read_from_disk(
    trial, encoder, disc_mask, quick_config, small_session_folder, tmp_path
):
    fitted = fit_decoder(open_session(small_session_folder), DecoderRecipe(lags_frames=(0,)))
    fitted.save(tmp_path / "decoder.safetensors")
    loaded = Decoder.load(tmp_path / "decoder.safetensors")
    runs = [plan_run(trial, [encoder], disc_mask, quick_config, decoder=each) for each in (fitted, loaded)]
    assert runs[0].fingerprint == runs[1].fingerprint


@pytest.mark.parametrize(
    "damage",
    [
        {"frequencies": np.array([[100, 0]])},
        {"weights": np.full((1, 20, 1), np.nan, np.float32)},
        {"provenance": None},
    ],
)
def test_a_decoder_of_impossible_numbers_is_one_clear_error(damage, tmp_path):
    weights, mean = np.ones((1, 20, 1), np.float32), np.ones(20, np.float32)
    whole = Decoder(weights, mean, (0,), np.array([[0, 0]]))
    replace(whole, **damage).save(tmp_path / "odd.safetensors")
    with pytest.raises(StorageError):
        Decoder.load(tmp_path / "odd.safetensors")


def test_a_decoder_of_dark_movies_is_dark_and_one_of_an_earlier_version_is_grey(copy_of_small_session, tmp_path):
    for file in (copy_of_small_session / "data/videos").glob("*.npy"):
        np.save(file, np.load(file) * 0.5)
    session = vr.open_session(copy_of_small_session)
    ids = session.labelled[:2]
    decoder = vr.fit_decoder(session, trial_ids=list(ids))
    decoder.save(tmp_path / "decoder.safetensors")
    level = np.mean([session.trial(each).video.mean() for each in ids])
    read = vr.Decoder.load(tmp_path / "decoder.safetensors")
    assert read.level == decoder.level == pytest.approx(level, rel=1e-4)
    silent = np.zeros((session.n_neurons, 5), np.float32)
    shown = read.movie(silent, np.zeros(session.n_neurons, bool))
    assert shown == pytest.approx(level, rel=1e-4)
    old = vr.Decoder(decoder.weights, decoder.mean, decoder.lags_frames, decoder.frequencies)
    assert old.movie(silent, np.zeros(session.n_neurons, bool)) == pytest.approx(127.5)
    assert old.sha256 != decoder.sha256


def test_each_colour_is_decoded_for_itself_about_a_level_of_its_own(coloured_session, tmp_path):
    fitted = fit_decoder(coloured_session, FINER)
    trials = [coloured_session.trial(each).video for each in range(HELD_OUT_TRIAL)]
    assert fitted.colours == ("green", "uv")
    assert fitted.levels == pytest.approx([np.mean([each[:, part] for each in trials]) for part in HALVES], rel=1e-5)
    assert fitted.level == pytest.approx(np.mean(fitted.levels))
    trial = coloured_session.trial(HELD_OUT_TRIAL)
    movie = fitted.movie(trial.responses)
    for part in HALVES:
        inside = slice(5, -5), part
        assert np.corrcoef(movie[inside].ravel(), trial.video[inside].ravel())[0, 1] > 0.99
    silent = fitted.movie(trial.responses, np.zeros(NEURONS, bool))
    assert np.array_equal(silent[0, :, 0], np.repeat(np.float32(fitted.levels), 18))
    fitted.save(tmp_path / "decoder.safetensors")
    read = Decoder.load(tmp_path / "decoder.safetensors")
    assert (read.colours, read.levels, read.sha256) == (fitted.colours, fitted.levels, fitted.sha256)
    assert np.array_equal(read.movie(trial.responses), movie)
    assert replace(fitted, levels=fitted.levels[::-1]).sha256 != fitted.sha256


def test_a_detail_of_one_colour_does_not_leak_over_the_seam(coloured_session):
    fitted = fit_decoder(coloured_session, FINER)
    only = replace(fitted, weights=fitted.weights * (fitted.frequencies[:, 0] < 18))
    movie = only.movie(coloured_session.trial(HELD_OUT_TRIAL).responses)
    assert movie[:, HALVES[0]].std() > 1
    assert np.ptp(movie[:, HALVES[1]]) == 0


def test_a_decoder_of_other_colours_is_refused_in_one_line(coloured_session, disc_mask, quick_config, tmp_path):
    fitted = fit_decoder(coloured_session, FINER)
    trial = coloured_session.trial(0)
    for other in (replace(fitted, colours=(), levels=()), replace(fitted, colours=("uv", "green"))):
        with pytest.raises(ConfigError, match=r"expected a decoder of movies of 36x16 pixels in green above uv"):
            check_inputs(trial, disc_mask, quick_config, other)
    check_inputs(trial, disc_mask, quick_config, fitted)
    with pytest.raises(ConfigError, match=r"expected a decoder of 60 frames a second, as .* has, found one of 30"):
        check_inputs(replace(trial, frame_rate_hz=60.0), disc_mask, quick_config, fitted)
    check_inputs(replace(trial, frame_rate_hz=60.0), disc_mask, quick_config, replace(fitted, provenance={}))
    replace(fitted, levels=(70.0,)).save(tmp_path / "odd.safetensors")
    with pytest.raises(StorageError, match="a level for each of 2 colours, found 1"):
        Decoder.load(tmp_path / "odd.safetensors")
