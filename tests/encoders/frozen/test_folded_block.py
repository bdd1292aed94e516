"""Every step of a folded block equals the plain module, in float64; sizes with and without a remainder."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from napari_vidrecon.encoders.architectures.dwiseneuro import (
    BatchNorm,
    Core,
    DwiseNeuroConfig,
    InvertedResidual,
    PositionalEncoding,
)
from napari_vidrecon.encoders.frozen import folded_block
from napari_vidrecon.encoders.frozen.backend import BufferPool
from napari_vidrecon.encoders.frozen.folded_block import affine_of, folded, nearest
from napari_vidrecon.encoders.frozen.folded_dwiseneuro import FoldedFirstBlock, FoldedResidual, position_tables

FRAMES = 6
EXACT = {"rtol": 0.0, "atol": 1e-12}
SIZES = [(8, 12), (9, 7)]
CHANNELS = [(6, 6), (6, 14), (14, 6)]
"""In and out of a block: tiled not at all, twice and a bit, cut."""


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """In float64 and evaluation, with batch norms that do something."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.state_dict().items():
        if name.endswith("running_var"):
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
        elif value.is_floating_point() and not name.endswith("inv_freq"):
            value.copy_(0.5 * torch.randn(value.shape, generator=generator))
    return module.double().eval().requires_grad_(False)


def plain_block(channels: int, out: int, stride: int) -> InvertedResidual:
    config = DwiseNeuroConfig((3,), expansion_ratio=3, se_reduce_ratio=4)
    block = randomised(InvertedResidual(channels, out, stride, 0.0, config))
    assert isinstance(block, InvertedResidual)
    return block


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def channels_last(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 2, 3, 4, 1).contiguous()


def channels_first(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 4, 1, 2, 3)


@pytest.fixture(params=["one tile", "many tiles"])
def tiles(request, monkeypatch):
    """With everything in one tile, and with tiles of one frame or row."""
    monkeypatch.setattr(folded_block, "CPU_TILE_FLOATS", 1 << 20 if request.param == "one tile" else 1)


def test_a_batch_norm_is_a_scale_and_a_shift():
    norm = randomised(BatchNorm(5, 3))
    x = drawn(2, 5, 3, 4, 4)
    scale, shift = affine_of(norm)
    torch.testing.assert_close(x * scale.view(-1, 1, 1, 1) + shift.view(-1, 1, 1, 1), norm(x), **EXACT)


def test_a_batch_norm_moves_into_the_convolution_before_it():
    pair = randomised(nn.Sequential(nn.Conv3d(4, 5, 1, bias=False), BatchNorm(5, 3)))
    x = drawn(2, 4, 3, 4, 4)
    torch.testing.assert_close(F.conv3d(x, *folded(pair)), pair(x), **EXACT)


@pytest.mark.parametrize("channels", [4, 6, 16])
def test_positions_through_a_matrix_are_a_table_of_frames_and_one_of_pixels(channels):
    position, weight = PositionalEncoding(channels).double(), drawn(7, channels)
    f, g = position_tables(position, weight, FRAMES, 5, 3)
    whole = torch.einsum("mc,cthw->thwm", weight, position.table(FRAMES, 5, 3))
    torch.testing.assert_close(f[:, None, None] + g, whole, **EXACT)


@pytest.mark.parametrize(("length", "out"), [(8, 4), (9, 5), (5, 3), (4, 4)])
def test_the_nearest_positions_are_those_of_torch_and_never_repeat(length, out):
    x = drawn(1, 1, length)
    chosen = nearest(length, out)
    assert torch.equal(x[..., chosen], F.interpolate(x, size=out, mode="nearest"))
    assert len(chosen.unique()) == out


@pytest.mark.parametrize("size", SIZES)
def test_stem_and_positions_fold_into_the_first_expansion(size, tiles):
    config = DwiseNeuroConfig((3,), core_features=(8,), spatial_strides=(2,), expansion_ratio=3, se_reduce_ratio=4)
    core = randomised(Core(config))
    position, block = core.blocks
    first = FoldedFirstBlock(core.stem, position, block, BufferPool())
    x = drawn(1, 5, FRAMES, *size)
    plain = block.conv_pw[1](block.conv_pw[0](position(core.stem(x))))
    for frames in (slice(0, FRAMES), slice(2, 3)):
        torch.testing.assert_close(first.expanded(channels_last(x), frames), channels_last(plain)[:, frames], **EXACT)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", SIZES)
def test_depthwise_convolutions_are_2d_ones_of_views_and_so_are_their_gradients(size, stride):
    block = plain_block(6, 6, stride)
    folded_form = FoldedResidual(PositionalEncoding(6).double(), block, BufferPool())
    for sequence, forward, backward in (
        (block.spat_covn_dw, folded_form.space, lambda d, shape: folded_form.space_back(d, shape)),
        (block.temp_covn_dw, folded_form.time, lambda d, shape: folded_form.time_back(d)),
    ):
        x = drawn(2, 18, FRAMES, *size).requires_grad_(True)
        plain = sequence[1](sequence[0](x))
        last = channels_last(x.detach())
        torch.testing.assert_close(forward(last), channels_last(plain.detach()), **EXACT)
        dy = torch.randn_like(plain)
        (dx,) = torch.autograd.grad(plain, x, dy)
        torch.testing.assert_close(backward(channels_last(dy), last.shape), channels_last(dx), **EXACT)


def test_the_gate_scales_the_contraction_instead_of_the_movie():
    block = plain_block(6, 6, 1)
    folded_form = FoldedResidual(PositionalEncoding(6).double(), block, BufferPool())
    h3 = drawn(2, 18, FRAMES, 4, 5)
    gate = (block.se(h3) / h3)[:, :, 0, 0, 0]
    ours = folded_form.samplewise(
        channels_last(h3), folded_form.contract * gate[:, None], folded(block.conv_pwl)[1].expand(2, -1)
    )
    torch.testing.assert_close(ours, channels_last(block.conv_pwl(block.se(h3))), **EXACT)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("size", SIZES)
def test_a_block_and_its_gradient_equal_the_plain_ones(size, channels, stride, tiles):
    position, block = PositionalEncoding(channels[0]).double(), plain_block(*channels, stride)
    folded_form = FoldedResidual(position, block, BufferPool())
    x = drawn(2, channels[0], FRAMES, *size).requires_grad_(True)
    plain = block(position(x))
    dy = torch.randn_like(plain)
    ours = channels_first(folded_form(channels_last(x)))
    torch.testing.assert_close(ours, plain, **EXACT)
    (expected,) = torch.autograd.grad(plain, x, dy)
    (found,) = torch.autograd.grad(ours, x, dy)
    assert (found - expected).abs().max() <= 1e-12 * expected.abs().max()


def test_windows_together_as_on_a_gpu_give_the_same_as_one_at_a_time(monkeypatch):
    position, block = PositionalEncoding(6).double(), plain_block(6, 6, 2)
    folded_form = FoldedResidual(position, block, BufferPool())
    answers = []
    for _ in range(2):
        x = channels_last(drawn(3, 6, FRAMES, 8, 8)).requires_grad_(True)
        y = folded_form(x)
        answers.append((y.detach(), *torch.autograd.grad(y.square().sum(), x)))
        folded_form.device = torch.device("meta")  # Only asked whether it is the CPU.
    for one, all_at_once in zip(*answers, strict=True):
        torch.testing.assert_close(all_at_once, one, rtol=1e-12, atol=1e-12)


def test_the_gradient_of_the_gate_comes_from_that_of_the_contraction():
    block = plain_block(6, 10, 1)
    folded_form = FoldedResidual(PositionalEncoding(6).double(), block, BufferPool())
    h3, dy = channels_last(drawn(1, 18, FRAMES, 4, 5)), channels_last(drawn(1, 10, FRAMES, 4, 5))
    gate = drawn(1, 18).requires_grad_(True)
    y = folded_form.samplewise(h3, folded_form.contract * gate[:, None], folded_form.bias[None])
    (expected,) = torch.autograd.grad(y, gate, dy)
    dcontract = dy.flatten(1, 3).transpose(1, 2) @ h3.flatten(1, 3)
    torch.testing.assert_close((folded_form.contract * dcontract).sum(dim=1), expected, **EXACT)


def test_a_prediction_keeps_nothing_and_is_the_same(tiles):
    kept = BufferPool()
    folded_form = FoldedResidual(PositionalEncoding(6).double(), plain_block(6, 6, 2), kept)
    x = channels_last(drawn(2, 6, FRAMES, 8, 8))
    y, nothing = folded_form.forward(x, keep=False)
    assert nothing == []
    assert torch.equal(y, folded_form.forward(x, keep=True)[0])


def test_kept_tensors_are_used_again_by_the_next_step(monkeypatch):
    monkeypatch.setattr(folded_block, "CPU_TILE_FLOATS", 1)
    kept = BufferPool()
    folded_form = FoldedResidual(PositionalEncoding(6).double(), plain_block(6, 6, 1), kept)
    places = []
    for _ in range(3):
        x = channels_last(drawn(2, 6, FRAMES, 4, 4)).requires_grad_(True)
        folded_form(x).sum().backward()
        free = [tensor.data_ptr() for tensors in kept.free.values() for tensor in tensors]
        places.append(sorted(free))
    assert len(places[0]) == 2 * 3
    assert places[0] == places[1] == places[2]


def test_a_second_backward_pass_says_that_it_cannot():
    folded_form = FoldedResidual(PositionalEncoding(6).double(), plain_block(6, 6, 1), BufferPool())
    x = channels_last(drawn(1, 6, FRAMES, 4, 4)).requires_grad_(True)
    loss = folded_form(x).sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="differentiated once"):
        loss.backward()
