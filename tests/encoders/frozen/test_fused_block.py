"""The fused kernels of a GPU, by Triton's interpreter where there is none: the numbers of the plain modules.

`make kernels` installs Triton, which nothing else here needs, and runs these.
"""

from __future__ import annotations

import importlib.util
import os

import pytest
import torch

from napari_vidrecon.encoders.answers import why_another_gradient
from napari_vidrecon.encoders.architectures.dwiseneuro import (
    Core,
    DwiseNeuro,
    DwiseNeuroConfig,
    InvertedResidual,
    PositionalEncoding,
)
from napari_vidrecon.encoders.checkpoints import load_encoder
from napari_vidrecon.encoders.frozen.backend import BufferPool
from napari_vidrecon.encoders.frozen.folded_dwiseneuro import FoldedDwiseNeuro, FoldedFirstBlock, FoldedResidual
from napari_vidrecon.encoders.frozen.fused_block import FusedPasses, Tiling, power_of_two

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":
    # Read by Triton where a kernel is defined, so before they are imported.
    os.environ.setdefault("TRITON_INTERPRET", "1")

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed (`make kernels` does it)"
)
SMALL_TILES = Tiling(matrix_pixels=64, stencil_pixels=32, middle=16, products="ieee")
USUAL_TILES = Tiling(products="ieee")
CONFIG = {"expansion_ratio": 3, "se_reduce_ratio": 4}


def randomised(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """In float64 and evaluation, with batch norms that do something."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.state_dict().items():
        if name.endswith("running_var"):
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
        elif value.is_floating_point() and not name.endswith("inv_freq"):
            value.copy_(0.5 * torch.randn(value.shape, generator=generator))
    return module.double().eval().requires_grad_(False)


def drawn(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def first_block(stride: int) -> tuple[torch.nn.Module, FoldedFirstBlock, int]:
    config = DwiseNeuroConfig((3,), core_features=(8,), spatial_strides=(stride,), **CONFIG)
    core = randomised(Core(config))
    position, block = core.blocks
    single = (module.float() for module in (core.stem, position, block))
    folded = FoldedFirstBlock(*single, BufferPool())
    return core.double(), folded, 5


def later_block(channels: int, out: int, stride: int) -> tuple[torch.nn.Module, FoldedResidual, int]:
    position = PositionalEncoding(channels)
    block = randomised(InvertedResidual(channels, out, stride, 0.0, DwiseNeuroConfig((3,), **CONFIG)))
    folded = FoldedResidual(position, block.float(), BufferPool())
    return torch.nn.Sequential(position, block).double(), folded, channels


@needs_triton
@pytest.mark.parametrize(
    ("made", "size", "tiling"),
    [
        (lambda: first_block(2), (9, 7), SMALL_TILES),
        (lambda: first_block(1), (4, 6), USUAL_TILES),
        (lambda: later_block(6, 6, 1), (4, 7), SMALL_TILES),
        (lambda: later_block(6, 14, 2), (8, 6), USUAL_TILES),
        (lambda: later_block(6, 14, 2), (9, 5), SMALL_TILES),
        (lambda: later_block(20, 6, 1), (5, 4), SMALL_TILES),
    ],
    ids=["first, stride 2", "first", "same width", "wider, stride 2", "wider, stride 2, ragged", "narrower"],
)
def test_a_fused_block_and_its_gradient_equal_the_plain_ones(made, size, tiling):
    plain, folded, channels = made()
    folded.device = torch.device(DEVICE)
    folded.fused = FusedPasses(tiling)
    assert FusedPasses.fit(folded)
    x = drawn(2, channels, 6, *size).requires_grad_(True)
    expected = plain(x)
    dy = drawn(*expected.shape, seed=2)
    (expected_gradient,) = torch.autograd.grad(expected, x, dy)

    single = x.detach().float().to(DEVICE).requires_grad_(True)
    found = folded(single.permute(0, 2, 3, 4, 1).contiguous()).permute(0, 4, 1, 2, 3)
    (gradient,) = torch.autograd.grad(found, single, dy.float().to(DEVICE))
    assert (found.detach().cpu() - expected.detach()).abs().max() <= 1e-4 * expected.detach().abs().max()
    assert (gradient.cpu() - expected_gradient).abs().max() <= 1e-4 * expected_gradient.abs().max()


def test_blocks_of_kernels_are_powers_of_two_within_bounds():
    assert [power_of_two(length, 64) for length in (1, 5, 16, 17, 33, 448)] == [16, 16, 16, 32, 64, 64]


@needs_triton
def test_a_whole_encoder_passes_the_gate_and_one_with_another_weight_does_not():
    torch.manual_seed(0)
    config = DwiseNeuroConfig((9,), core_features=(8, 16), spatial_strides=(2, 1), cortex_features=(16, 32), **CONFIG)
    module = DwiseNeuro(config).eval().requires_grad_(False).to(DEVICE)
    plain, fused = FoldedDwiseNeuro.of(module), FoldedDwiseNeuro.of(module)
    assert FusedPasses(Tiling(products="ieee")).take_over(fused.blocks) == 2
    windows = drawn(1, 5, 16, 6, 8).float().to(DEVICE)
    assert why_another_gradient(fused, plain, windows) is None
    fused.blocks[1].time_weight *= -3.0
    assert "differs by" in why_another_gradient(fused, plain, windows)


def test_a_form_that_fails_is_told_of_in_a_line():
    def broken(windows):
        raise RuntimeError("out of shared memory\nRequired: 300000")

    reason = why_another_gradient(broken, lambda windows: windows.mean(dim=(1, 3, 4)), drawn(1, 5, 16, 6, 8))
    assert reason == "the kernels failed (RuntimeError: out of shared memory)"


def test_an_encoder_on_another_device_stays_as_it_is_and_says_why(small_encoder_file, caplog):
    encoder = load_encoder(small_encoder_file, device="cpu", precision="tf32")
    assert encoder.precision == "float32"
    assert "it stays in float32" in caplog.text
    assert "CUDA" in caplog.text
