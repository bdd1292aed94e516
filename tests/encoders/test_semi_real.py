"""The semi-real mouse: real neurons' fields and places, simulated noise, and an encoder that fits it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from published_weights import NEURONS, made_up, published, saved

from napari_vidrecon.analysis.receptive_field_mapping import MappingRecipe, map_receptive_fields
from napari_vidrecon.encoders.checkpoints import load_encoder
from napari_vidrecon.encoders.conformance import check_encoder
from napari_vidrecon.encoders.semi_real import Films, SemiRealMouse, picked_neurons
from napari_vidrecon.errors import ConfigError, EncoderError, StorageError
from napari_vidrecon.sessions.session import open_session
from napari_vidrecon.sessions.writer import write_session

LARGEST_CENTRE_ERROR_PX, LARGEST_SHARED_ERROR_PX = 3.5, 1.0
"""One neuron's field has bright and dark parts: a fit lies on one of them, the gradient's centroid among them."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("model"), made_up(inputs=4, shifter=True))


@pytest.fixture(scope="module")
def mouse(model: Path) -> SemiRealMouse:
    return SemiRealMouse.of_file(model, 5, seed=3)


def test_a_trial_is_a_function_of_the_seed_and_its_number(model, mouse):
    again = SemiRealMouse.of_file(model, 5, seed=3).trial(2, frames=60, tier="train")
    trial = mouse.trial(2, frames=60, tier="train")
    assert trial.simulated
    assert np.array_equal(trial.video, again.video)
    assert np.array_equal(trial.recorded_responses, again.recorded_responses)
    assert trial.recorded_responses.shape == (5, 60)
    assert trial.recorded_responses.min() >= 0


def test_the_mouse_has_the_neurons_of_the_model_that_its_notes_name(model, mouse):
    whole, notes = load_encoder(model, device="cpu").module, mouse.notes()
    assert notes["semi_real"] is True
    assert notes["simulated"] is True
    picked = notes["per_neuron"]["model_neuron"]
    assert picked == sorted(set(picked))
    for name, places in {"": whole.fields(), "readout_": whole.centres()}.items():
        np.testing.assert_allclose(notes["per_neuron"][f"{name}row_px"], places[picked, 0], atol=1e-3)
        np.testing.assert_allclose(notes["per_neuron"][f"{name}column_px"], places[picked, 1], atol=1e-3)
    np.testing.assert_allclose(mouse.coordinates[:, :2], 308 * whole.readout().source_grid[picked], atol=0.5)
    assert json.dumps(notes)


def test_its_encoder_keeps_what_encoders_promise_and_predicts_the_expected_activity(mouse, tmp_path):
    mouse.save_encoder(tmp_path / "model.safetensors", "my_mouse")
    stored = load_encoder(tmp_path / "model.safetensors", device="cpu")
    assert stored.spec.mouse == "my_mouse"
    assert "not of the published model" in stored.spec.provenance["additions"]
    assert stored.spec.provenance["semi_real"].startswith("5 neurons of static.pth")
    trial = mouse.trial(0, frames=120, tier="train")
    clip = (trial.video, trial.behavior, trial.pupil_center)
    for encoder in (stored, mouse.encoder()):
        assert check_encoder(encoder) == []
        predicted, expected = encoder.predict(*clip), mouse.rates(*clip)
        for one, other in zip(predicted, expected, strict=True):
            assert np.corrcoef(one, other)[0, 1] > 0.8
        np.testing.assert_allclose(predicted.mean(axis=1), expected.mean(axis=1), rtol=0.1)


def test_mean_activity_is_in_the_units_of_recordings(mouse):
    trials = [mouse.trial(number, frames=90, tier="train") for number in range(3)]
    rates = [mouse.rates(each.video, each.behavior, each.pupil_center).mean(axis=1) for each in trials]
    assert np.median(np.mean(rates, axis=0) / mouse.activity.mean_response) == pytest.approx(1.0, abs=0.5)


def test_films_are_cut_into_clips_one_after_the_other(model, tmp_path):
    film = np.random.default_rng(1).integers(0, 256, (70, 36, 64)).astype(np.uint8)
    np.save(tmp_path / "b.npy", film)
    np.save(tmp_path / "a.npy", film[::-1])
    films = Films.read(tmp_path, frames=31, wanted=4)
    mouse = SemiRealMouse.of_file(model, 2, seed=3, films=films)
    assert np.array_equal(mouse.trial(0, frames=31, tier="train").video, film[::-1][:31])
    assert np.array_equal(mouse.trial(3, frames=31, tier="train").video, film[31:62])
    assert mouse.notes()["films"] == tmp_path.name
    with pytest.raises(StorageError, match="expected 9 clips of 31 frames, found 4; give more films"):
        Films.read(tmp_path, frames=31, wanted=9)


def test_what_cannot_be_is_one_line(model, small_encoder_file):
    with pytest.raises(ConfigError, match=f"expected 1 to {NEURONS}, as many as the encoder has, found 99"):
        SemiRealMouse.of_file(model, 99, seed=0)
    with pytest.raises(EncoderError, match=r"expected a published encoder of Sensorium 2022, found one of .* compact"):
        SemiRealMouse.of_file(small_encoder_file, 2, seed=0)


def test_other_seeds_draw_other_neurons():
    assert not np.array_equal(picked_neurons(100, 10, 0), picked_neurons(100, 10, 1))
    assert np.array_equal(picked_neurons(100, 100, 0), np.arange(100))


@pytest.mark.long
def test_real_neurons_answer_like_those_of_the_public_mice():
    mouse = SemiRealMouse.of_file(published("sensorium_sota_model"), 150, seed=0)
    assert np.median(mouse.readout_points, axis=0) == pytest.approx((15.5, 28.0), abs=1.0)
    responses = np.concatenate([mouse.trial(n, frames=150, tier="train").recorded_responses for n in range(6)], 1)
    mean, sd = responses.mean(axis=1), responses.std(axis=1)
    heard = mean > 0
    assert 1.2 < np.median(mean) < 4.0
    assert 3.0 < np.median(sd[heard] / mean[heard]) < 6.5
    assert (responses < 1e-3).mean() > 0.5


def test_receptive_fields_of_real_neurons_are_mapped_where_the_model_has_them(tmp_path):
    mouse = SemiRealMouse.of_file(published("sensorium_sota_model"), 40, seed=0)
    trials = [mouse.trial(number, frames=40, tier="train") for number in range(2)]
    session = open_session(write_session(tmp_path / "semi", trials, coordinates=mouse.coordinates))
    recipe = MappingRecipe(patch_px=2, before_frames=31, window_stride=15)
    maps = map_receptive_fields(session, [mouse.encoder()], recipe)
    found = np.stack([maps.fits.row, maps.fits.column], axis=1)
    off = (found - mouse.fields)[maps.responsive]
    assert len(off) >= 20
    assert np.nanmedian(np.hypot(*off.T)) < LARGEST_CENTRE_ERROR_PX
    assert np.abs(np.nanmedian(off, axis=0)).max() < LARGEST_SHARED_ERROR_PX
