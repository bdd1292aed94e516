"""A learned prior: a safe file, a training that goes on to the same weights, runs that know which it was."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import napari_vidrecon as vr
from napari_vidrecon.cli.app import run_command
from napari_vidrecon.errors import StorageError
from napari_vidrecon.reconstruction.denoiser import (
    SHIPPED,
    Denoiser,
    DenoiserSettings,
    DenoisingNetwork,
    LearnedSpectrum,
)
from napari_vidrecon.reconstruction.denoiser_training import DenoiserRecipe, DenoiserTraining, Spoiler, wiener
from napari_vidrecon.reconstruction.priors import prior_identity
from napari_vidrecon.reconstruction.run import plan_run

SMALL = {"steps": 2, "batch": 2, "frames": 8, "rows": 12, "columns": 16, "movies": 2, "pairs": 3}


@pytest.fixture
def file(tmp_path):
    torch.manual_seed(0)
    network = DenoisingNetwork(4)
    torch.nn.init.normal_(network.gains.weight, std=0.2)
    path = tmp_path / "denoiser.safetensors"
    Denoiser(network.requires_grad_(False)).save(path)
    return path


def best(file, **settings):
    prior = {"prior": "denoiser", "prior_settings": {"file": str(file), **settings}}
    return vr.ReconstructionConfig.preset("best", steps=3, **prior)


def test_it_finishes_the_movie_of_best_and_pulls_at_every_step_where_asked(file, trial, encoder, disc_mask):
    videos = {
        scheme: vr.reconstruct(trial, [encoder], disc_mask, best(file, scheme=scheme)).video
        for scheme in ("finish", "red")
    }
    usual = vr.reconstruct(trial, [encoder], disc_mask, vr.ReconstructionConfig.preset("best", steps=3))
    nothing = vr.reconstruct(trial, [encoder], disc_mask, best(file, pull=0.0))
    assert np.array_equal(nothing.video, usual.video)
    assert all(not np.array_equal(video, usual.video) for video in videos.values())


def test_a_run_is_told_apart_by_the_weights_and_not_resumed_with_others(file, trial, encoder, disc_mask):
    first = plan_run(trial, [encoder], disc_mask, best(file)).fingerprint
    assert plan_run(trial, [encoder], disc_mask, best(file)).fingerprint == first
    denoiser = Denoiser.load(file)
    with torch.no_grad():
        denoiser.network.gains.weight.mul_(2)
    Denoiser(denoiser.network).save(file)
    assert plan_run(trial, [encoder], disc_mask, best(file)).fingerprint != first


@pytest.mark.parametrize(
    ("content", "named"),
    [(None, "found nothing there"), (b"\x80\x04pickle", "denoiser")],
)
def test_a_file_that_is_none_is_one_line(content, named, tmp_path, trial, encoder, disc_mask):
    path = tmp_path / "other.safetensors"
    if content:
        path.write_bytes(content)
    with pytest.raises(StorageError, match=named) as caught:
        plan_run(trial, [encoder], disc_mask, best(path))
    assert "\n" not in str(caught.value)


def test_a_training_that_was_stopped_goes_on_to_the_same_weights(tmp_path):
    whole = DenoiserTraining(DenoiserRecipe(**SMALL))
    first = DenoiserTraining(DenoiserRecipe(**SMALL))
    errors = [whole.advance(), whole.advance()]
    assert errors[0] == first.advance()
    first.keep(tmp_path / "kept")
    second = DenoiserTraining(DenoiserRecipe(**SMALL))
    second.go_on_from(tmp_path / "kept")
    assert second.advance() == errors[1]
    assert second.denoiser().sha256 == whole.denoiser().sha256
    with pytest.raises(StorageError, match="of other settings or films"):
        DenoiserTraining(DenoiserRecipe(**{**SMALL, "seed": 5})).go_on_from(tmp_path / "kept")
    with safe_open(str(tmp_path / "kept"), "pt") as kept:
        tensors, told = {name: kept.get_tensor(name) for name in kept.keys()}, kept.metadata()  # noqa: SIM118
    other = next(name for name in tensors if name.endswith("exp_avg"))
    for name, value, step in (
        (other, tensors[other].flatten(), 1),
        (other, tensors[other] * float("nan"), 1),
        ("optimiser.99.exp_avg", tensors[other], 1),
        (other, tensors[other], -5),
        (other, tensors[other], True),
    ):
        said = {"vidrecon": json.dumps({**json.loads(told["vidrecon"]), "step": step})}
        save_file({**tensors, name: value.clone()}, tmp_path / "damaged", metadata=said)
        with pytest.raises(StorageError, match="damaged: expected"):
            DenoiserTraining(DenoiserRecipe(**SMALL)).go_on_from(tmp_path / "damaged")


def test_the_command_learns_from_films_of_a_folder_at_any_size(tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    np.save(folder / "a.npy", np.random.default_rng(0).integers(0, 255, (10, 12, 16)).astype(np.uint8))
    out = tmp_path / "mine.safetensors"
    settings = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
    assert run_command(["prior", "train", str(folder), "--out", str(out), *settings]) == 0
    assert Denoiser.load(out).provenance["films"]
    assert out.stat().st_size < 4e6
    with pytest.raises(StorageError, match="expected a folder of films"):
        run_command(["prior", "train", str(tmp_path / "none"), "--out", str(out), "--overwrite"])


def test_without_a_network_the_slope_is_the_spectrums_and_the_filter_the_wiener_filter(file):
    network = DenoisingNetwork(4).requires_grad_(False)
    settings = best(file, scheme="red").update.prior.settings
    prior = LearnedSpectrum(DenoiserSettings(**settings), Denoiser(network), (8, 12, 16), 30.0, torch.zeros(1))
    coefficients = torch.randn(8, 12, 16)
    assert not prior.correction(coefficients, 80.0, 0.5, 0).any()
    movie = prior.synthesis(coefficients)
    power = prior.deviations**2
    kept = prior.synthesis(power / (power + 50.0**2) * prior.analysis(movie)).numpy()
    assert np.allclose(kept, wiener(movie.numpy(), prior.deviations.numpy(), 50.0), atol=0.05)


def test_what_neurons_leave_open_is_a_smooth_movie_of_less_contrast():
    pair = Spoiler(DenoiserRecipe(**{**SMALL, "frames": 16})).pair(1)
    assert pair.smooth.var() < pair.true.var()
    assert pair.told[1] == 1.0


def test_the_denoiser_that_comes_along_is_what_the_usual_settings_make():
    told = Denoiser.load(SHIPPED).provenance
    assert (told["recipe"], told["films"]) == (DenoiserRecipe().model_dump(), "")
    assert SHIPPED.stat().st_size < 4e6


def test_movies_of_another_rate_are_weighed_in_bands_of_the_same_seconds():
    """Every frame shown twice, at twice the rate: what is missing is the same, and shown twice."""
    denoiser = Denoiser.load(SHIPPED)
    movie = torch.as_tensor(
        np.random.default_rng(0).normal(120, 30, (64, 18, 16)).cumsum(0) / 8 % 200, dtype=torch.float32
    )
    usual = denoiser.missing(movie, None, 120.0, 60.0)
    fast = denoiser.missing(movie.repeat_interleave(2, 0), None, 120.0, 60.0, 2 * denoiser.frame_rate_hz)
    as_if_slow = denoiser.missing(movie.repeat_interleave(2, 0), None, 120.0, 60.0)
    assert torch.equal(usual, denoiser.missing(movie, None, 120.0, 60.0, denoiser.frame_rate_hz))
    away, before = ((each[::2] - usual).square().mean() for each in (fast, as_if_slow))
    assert away < 0.5 * before


def test_runs_of_a_learned_prior_at_other_rates_are_none_of_those_that_earlier_versions_left(file):
    """Those took bands of other seconds there; at the rate it learned at nothing changed, and runs go on."""
    settings = {"file": str(file)}
    usual = prior_identity("denoiser", settings, Denoiser.load(file).frame_rate_hz)
    assert usual == {"name": "denoiser", "content": Denoiser.load(file).sha256}
    fast = prior_identity("denoiser", settings, 60.0)
    assert fast["content"].startswith(usual["content"])
    assert fast != usual
