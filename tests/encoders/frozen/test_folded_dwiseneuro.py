"""The folded encoder gives the plain module's activity and gradients."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch import nn

from napari_vidrecon.encoders.architectures.dwiseneuro import DwiseNeuro, DwiseNeuroConfig, Readout, ShuffleLayer
from napari_vidrecon.encoders.checkpoints import load_encoder
from napari_vidrecon.encoders.encoder import EncoderSpec
from napari_vidrecon.encoders.frozen import backend
from napari_vidrecon.encoders.frozen.backend import matrix_product_for, onednn_product, plain_product
from napari_vidrecon.encoders.frozen.folded_dwiseneuro import FoldedDwiseNeuro, FoldedReadout, FoldedShuffleLayer
from napari_vidrecon.encoders.window_encoder import WindowEncoder

SMALL = DwiseNeuroConfig(
    (30, 21),
    core_features=(16, 16, 32),
    spatial_strides=(2, 1, 2),
    expansion_ratio=3,
    cortex_features=(64, 128),
)
BEHAVIOR = (40.0, 0.5, 150.0, 140.0)
LARGEST_ERROR = {torch.float32: 1e-4, torch.float64: 1e-12}


def small_module(dtype: torch.dtype = torch.float64, config: DwiseNeuroConfig = SMALL) -> DwiseNeuro:
    generator = torch.Generator().manual_seed(4)
    module = DwiseNeuro(config)
    for name, value in module.state_dict().items():
        if name.endswith("running_var"):
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
        elif name.endswith("running_mean") or (name.endswith("bias") and "bn" in name):
            value.copy_(0.1 * torch.randn(value.shape, generator=generator))
        elif name.endswith("bn.weight"):
            value.copy_(0.8 + 0.4 * torch.rand(value.shape, generator=generator))
    module.core.stem[1].bn.running_var.fill_(2500.0)
    return module.to(dtype).eval().requires_grad_(False)


def windows(count: int = 2, rows: int = 64, columns: int = 64, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    x = 255.0 * torch.rand(count, 5, 16, rows, columns, dtype=dtype, generator=generator)
    x[:, 1:] = torch.tensor(BEHAVIOR, dtype=dtype).view(1, 4, 1, 1, 1)
    return x


def loss_and_gradient(activity: torch.Tensor, leaf: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    loss = (activity - 3.0 * torch.log(activity + 1e-8)).mean()
    return loss.detach(), torch.autograd.grad(loss, leaf)[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [(64, 64), (36, 64), (18, 33)])
def test_activity_and_the_gradient_of_all_five_channels_equal_the_module(dtype, size):
    module = small_module(dtype)
    leaf = windows(2, *size, dtype=dtype).requires_grad_(True)
    expected, expected_gradient = loss_and_gradient(module(leaf, 1), leaf)
    found, gradient = loss_and_gradient(FoldedDwiseNeuro.of(module, 1)(leaf), leaf)
    torch.testing.assert_close(found, expected, rtol=LARGEST_ERROR[dtype], atol=0.0)
    for channel in range(5):
        largest = expected_gradient[:, channel].abs().max()
        error = (gradient - expected_gradient)[:, channel].abs().max()
        assert error <= LARGEST_ERROR[dtype] * largest, f"channel {channel}"
    norms = [torch.linalg.vector_norm(each.double()) for each in (gradient, expected_gradient)]
    torch.testing.assert_close(
        *norms, rtol=max(5e-5, LARGEST_ERROR[dtype]) if dtype == torch.float32 else 1e-12, atol=0
    )


def test_a_prediction_without_gradient_is_the_one_with_it():
    folded = FoldedDwiseNeuro.of(small_module())
    x = windows()
    with torch.no_grad():
        plain = folded(x)
    torch.testing.assert_close(folded(x.requires_grad_(True)).detach(), plain, rtol=0.0, atol=0.0)


def test_windows_do_not_influence_each_other():
    folded = FoldedDwiseNeuro.of(small_module())
    x = windows(3)
    together = folded(x)
    for index in range(3):
        torch.testing.assert_close(folded(x[index : index + 1])[0], together[index], rtol=1e-12, atol=0.0)


def test_a_shuffle_layer_equals_the_plain_one():
    layer = ShuffleLayer(6, 16, 2, 0.1).double().eval().requires_grad_(False)
    layer.bn.bn.running_mean.normal_()
    layer.bn_sc.bn.running_var.uniform_(0.5, 2.0)
    x = torch.randn(2, 6, 16, dtype=torch.float64)
    found = FoldedShuffleLayer(layer)(x.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(found, layer(x), rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("chosen", [[0, 3, 20], [20, 0, 11, 10], [1, 2], [15, 18], list(range(21))])
def test_some_neurons_equal_the_same_ones_of_all(chosen):
    readout = Readout(8, 21, SMALL).double().eval().requires_grad_(False)
    x = torch.randn(2, 8, 16, dtype=torch.float64)
    found = FoldedReadout(readout)(x.transpose(1, 2), torch.tensor(chosen))
    torch.testing.assert_close(found, readout(x)[:, chosen], rtol=1e-12, atol=0.0)


def test_another_choice_of_neurons_is_not_answered_with_the_one_before():
    readout = Readout(8, 21, SMALL).double().eval().requires_grad_(False)
    folded = FoldedReadout(readout)
    x = torch.randn(2, 16, 8, dtype=torch.float64)
    for chosen in ([1, 2, 3], [4, 5, 19]):
        torch.testing.assert_close(folded(x, torch.tensor(chosen)), folded(x)[:, chosen], rtol=1e-12, atol=0.0)


@pytest.fixture
def encoder() -> WindowEncoder:
    module = small_module(torch.float32, DwiseNeuroConfig(**{**asdict(SMALL), "readout_outputs": (30,)}))
    return WindowEncoder(module, EncoderSpec("small", "dwiseneuro", 30))


def test_an_encoder_moved_to_float64_is_as_exact_as_a_module_made_there(encoder):
    encoder.responses(windows(1, dtype=torch.float32))
    encoder.to(dtype=torch.float64)
    x = windows(1)
    torch.testing.assert_close(encoder.responses(x), encoder.module(x), rtol=1e-12, atol=0.0)


def test_changed_weights_are_followed(encoder):
    x = windows(1, dtype=torch.float32)
    before = encoder.responses(x)
    encoder.module.readouts[0].layer[1].weight.mul_(2.0)
    after = encoder.responses(x)
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, encoder.module(x), rtol=1e-4, atol=1e-5)


def test_an_unchanged_encoder_is_folded_once(encoder):
    encoder.responses(windows(1, dtype=torch.float32))
    assert encoder.frozen(FoldedDwiseNeuro) is encoder.frozen(FoldedDwiseNeuro)


def test_the_golden_checkpoints_give_the_modules_gradients(golden_checkpoints):
    for checkpoint in golden_checkpoints[:2]:
        encoder = load_encoder(checkpoint, mouse=1, device="cpu")
        leaf = windows(2, dtype=torch.float32).requires_grad_(True)
        _, expected = loss_and_gradient(encoder.module(leaf), leaf)
        _, found = loss_and_gradient(encoder.responses(leaf), leaf)
        assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.long
def test_the_full_size_encoder_gives_the_modules_gradient():
    module = small_module(torch.float32, DwiseNeuroConfig((500,)))
    leaf = windows(1, dtype=torch.float32).requires_grad_(True)
    loss, gradient = loss_and_gradient(FoldedDwiseNeuro.of(module)(leaf), leaf)
    expected_loss, expected = loss_and_gradient(module(leaf), leaf)
    assert float(loss) == pytest.approx(float(expected_loss), rel=1e-5)
    assert (gradient - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("shape", [(7, 5), (2, 3, 4, 6), (1, 1), (1, 9)])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("intel", [True, False])
def test_the_product_of_every_machine_equals_the_plain_one(shape, with_bias, intel, monkeypatch):
    monkeypatch.setattr(backend, "made_by_intel", lambda: intel)
    product = matrix_product_for(torch.device("cpu"), torch.float32)
    assert product is (plain_product if intel or not torch.backends.mkldnn.is_available() else onednn_product)
    x, weight = torch.randn(shape), torch.randn(11, shape[-1])
    bias = torch.randn(11) if with_bias else None
    torch.testing.assert_close(product(x, weight, bias), plain_product(x, weight, bias), rtol=1e-5, atol=1e-5)


def test_products_on_other_devices_and_in_other_precisions_are_torchs_own(monkeypatch):
    assert matrix_product_for(torch.device("cpu"), torch.float64) is plain_product
    assert matrix_product_for(torch.device("cuda"), torch.float32) is plain_product
    monkeypatch.setattr(backend, "made_by_intel", lambda: False)
    monkeypatch.delattr(torch, "mkldnn_convolution")
    assert matrix_product_for(torch.device("cpu"), torch.float32) is plain_product


def test_a_plain_module_answers_for_some_neurons_too():
    class Sums(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.arange(4.0))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean(dim=(1, 3, 4))[:, None] * self.weight[:, None]

    encoder = WindowEncoder(Sums(), EncoderSpec("sums", "sums", 4))
    x = torch.ones(1, 5, 16, 64, 64)
    np.testing.assert_array_equal(encoder.responses(x, torch.tensor([3, 1]))[0, :, 0], [3.0, 1.0])
