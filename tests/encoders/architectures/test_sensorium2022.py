"""The static encoders of Sensorium 2022: published weights open and answer as published, and their promises hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from published_weights import CHANNELS, MOUSE, NEURONS, PUBLISHED, made_up, published, saved

from napari_vidrecon.encoders.architectures.sensorium2022 import Sensorium2022
from napari_vidrecon.encoders.checkpoints import convert_checkpoint, load_encoder
from napari_vidrecon.encoders.conformance import check_encoder
from napari_vidrecon.encoders.window_encoder import WindowEncoder
from napari_vidrecon.errors import EncoderError

FEWER = ("sensorium_sota_model", "sensorium_p_ln_model")
"""One of each kind, whose promises every run of the tests looks at."""


def as_published(state: dict, pictures: torch.Tensor, linear: bool, mouse: str, shift: torch.Tensor) -> torch.Tensor:
    """What the published code computes of standardised pictures (B, C, 36, 64): drive (B, N)."""
    x, layer = pictures, 0
    while f"core.features.layer{layer}.norm.weight" in state:
        name = f"core.features.layer{layer}."
        if layer:
            x = F.conv2d(x, state[f"{name}ds_conv.in_depth_conv.weight"])
            x = F.conv2d(x, state[f"{name}ds_conv.spatial_conv.weight"], padding=3, groups=x.shape[1])
            x = F.conv2d(x, state[f"{name}ds_conv.out_depth_conv.weight"])
        else:
            x = F.conv2d(x, state[f"{name}conv.weight"])
        norm = [state[f"{name}norm.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        x = F.batch_norm(x, *norm)
        x, layer = (x if linear else F.elu(x)), layer + 1
    name = f"readout.{mouse}."
    hidden = F.elu(
        F.linear(state[f"{name}source_grid"], *(state[f"{name}mu_transform.0.{p}"] for p in ("weight", "bias")))
    )
    mu = torch.tanh(F.linear(hidden, *(state[f"{name}mu_transform.2.{part}"] for part in ("weight", "bias"))))
    points = (mu + shift)[None, :, None].expand(len(x), -1, -1, -1)
    sampled = F.grid_sample(x, points, align_corners=True).squeeze(-1)
    return (sampled * state[f"{name}_features"][:, :, 0]).sum(1) + state[f"{name}bias"]


@pytest.mark.parametrize("extra", [{}, {"inputs": 4}, {"inputs": 4, "shifter": True}, {"layers": 1}])
def test_weights_of_the_published_names_open_and_keep_what_encoders_promise(extra, tmp_path):
    encoder = load_encoder(saved(tmp_path, made_up(**extra)), device="cpu")
    assert (encoder.spec.architecture, encoder.spec.mouse, encoder.spec.neurons) == ("sensorium2022", MOUSE, NEURONS)
    assert check_encoder(encoder) == []


def test_every_mouse_of_a_file_can_be_bound(tmp_path):
    file = saved(tmp_path, made_up(mice=("1-2-3", "4-5-6")))
    video = np.random.default_rng(0).uniform(0, 255, (31, 36, 64))
    answers = [load_encoder(file, mouse, "cpu").predict(video) for mouse in ("1-2-3", "4-5-6")]
    assert not np.allclose(*answers)


def test_a_converted_file_answers_the_same_bits_and_says_what_was_added(tmp_path):
    source, converted = saved(tmp_path, made_up(inputs=4, shifter=True)), tmp_path / "static.safetensors"
    convert_checkpoint(source, converted)
    video = np.random.default_rng(0).uniform(0, 255, (31, 36, 64))
    before, after = (load_encoder(file, device="cpu") for file in (source, converted))
    assert np.array_equal(before.predict(video), after.predict(video))
    for encoder in (before, after):
        assert "not of the published model, which answers a picture" in encoder.spec.provenance["additions"]
        assert "not of the published model" in repr(encoder.module)


def test_a_movie_that_stands_still_has_the_published_answer(tmp_path):
    state = made_up()
    encoder = load_encoder(saved(tmp_path, state), device="cpu")
    picture = torch.rand(36, 64, generator=torch.Generator().manual_seed(1)) * 255
    expected = F.elu(as_published(state, ((picture - 113.5) / 59.58)[None, None], False, MOUSE, torch.zeros(2))) + 1
    answer = encoder.predict(picture.expand(40, 36, 64).numpy())
    np.testing.assert_allclose(answer, expected.numpy().T.repeat(40, 1), rtol=1e-4)


def test_a_picture_is_answered_over_the_next_frames_and_never_before(tmp_path):
    encoder = load_encoder(saved(tmp_path, made_up()), device="cpu")
    windows = torch.full((1, 5, 16, 36, 64), 80.0)
    flashed = windows.clone()
    flashed[:, 0, 4] = 200.0
    change = (encoder.responses(flashed) - encoder.responses(windows)).abs().amax(dim=(0, 1))
    assert (change > 1e-5).nonzero().flatten().tolist() == [4, 5, 6, 7, 8]


def test_some_neurons_answer_as_among_all(tmp_path):
    encoder = load_encoder(saved(tmp_path, made_up(inputs=4, shifter=True)), device="cpu")
    some, windows = torch.tensor([7, 2]), 100 * torch.rand(1, 5, 16, 36, 64)
    part = encoder.module.of_neurons(some)
    # Two neurons are multiplied in another order than ten: single precision agrees to some digits.
    torch.testing.assert_close(part(windows), encoder.responses(windows)[:, some], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"readout.1-2-3.mu_transform.0.weight": None}, "whose positions follow from the cortex"),
        ({"readout.1-2-3.bias": torch.zeros(4)}, "should be of"),
        ({"core.features.layer1.norm.weight": torch.full((CHANNELS,), torch.nan)}, "expected finite weights"),
        ({"core.features.layer1.ds_conv.spatial_conv.weight": torch.zeros(CHANNELS, 1, 4, 4)}, "must be odd"),
        ({"core.features.layer0.conv.weight": torch.zeros(CHANNELS, 1, 99, 99)}, "pictures as large as"),
        ({"readout.1-2-3._features": "text"}, "expected the weights of a model of Sensorium 2022"),
    ],
)
def test_weights_that_do_not_fit_are_one_line(change, expected, tmp_path):
    state = {name: value for name, value in (made_up() | change).items() if value is not None}
    with pytest.raises(EncoderError, match=expected) as raised:
        load_encoder(saved(tmp_path, state), device="cpu")
    assert "static.pth" in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_weights_answer_as_the_published_code_does(name):
    file = published(name)
    state, encoder = torch.load(file, weights_only=True, map_location="cpu"), load_encoder(file, device="cpu")
    module, mouse = encoder.module, encoder.spec.mouse
    assert isinstance(module, Sensorium2022)
    windows = 255 * torch.rand(1, 5, 2, 36, 64, generator=torch.Generator().manual_seed(2))
    windows[:, 1:] = torch.tensor([50.0, 1.0, 152.0, 147.0]).view(4, 1, 1, 1)
    inputs = (windows[0, :1].transpose(0, 1) - 113.5) / 59.58
    shift = torch.zeros(2)
    if module.config.behavior:
        planes = torch.ones_like(inputs)
        inputs = torch.cat([inputs, 50.0 / 14.5 * planes, 0 * planes, 1 / 2.2 * planes], 1)
        shift = torch.tensor([2.0 / 5.5, -3.0 / 6.0])
        for part in (0, 2, 4):
            shift = torch.tanh(F.linear(shift, *(state[f"shifter.{mouse}.mlp.{part}.{p}"] for p in ("weight", "bias"))))
    expected = as_published(state, inputs, "_ln_" in name, mouse, shift)
    torch.testing.assert_close(module.drive(windows)[0].T, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "name", [name if name in FEWER else pytest.param(name, marks=pytest.mark.long) for name in PUBLISHED]
)
def test_real_neurons_keep_what_encoders_promise(name):
    encoder = load_encoder(published(name), device="cpu")
    some = torch.arange(0, encoder.spec.neurons, 100)
    spec = replace(encoder.spec, neurons=len(some))
    assert check_encoder(WindowEncoder(encoder.module.of_neurons(some), spec)) == []


def test_the_receptive_fields_of_a_real_mouse_lie_where_its_readout_looks():
    centres = load_encoder(published("sensorium_sota_model"), device="cpu").module.centres().numpy()
    assert np.percentile(centres[:, 0], (1, 99)) == pytest.approx((13.0, 19.0), abs=1)
    assert np.percentile(centres[:, 1], (1, 99)) == pytest.approx((23.0, 33.5), abs=1)
