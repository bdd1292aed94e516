"""Encoders with a state run through clips: exact gradients, truncated ones, and the adapter of `fnn` on a stand-in."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import napari_vidrecon as vr
from napari_vidrecon.encoders.architecture import build_module
from napari_vidrecon.encoders.chunks import gradient_through
from napari_vidrecon.encoders.conformance import check_encoder
from napari_vidrecon.encoders.encoder import Canvas, EncoderSpec
from napari_vidrecon.encoders.published_fnn import fnn_encoder
from napari_vidrecon.encoders.window_encoder import WindowEncoder
from napari_vidrecon.encoders.windows import FrameWindows
from napari_vidrecon.errors import EncoderError

NEURONS, ROWS, COLUMNS = 5, 12, 20


def recurrent(step: int = 1) -> WindowEncoder:
    """A small one of the architecture `recurrent`, with random weights."""
    torch.manual_seed(0)
    sizes = {"first_channels": 3, "hidden_channels": 4, "first_kernel": 5, "first_stride": 2, "warm_up": 3}
    module = build_module(Path("small"), "recurrent", {"readout_outputs": (NEURONS,), **sizes})
    canvas = Canvas.of_screen(ROWS, COLUMNS)
    spec = EncoderSpec("small", "recurrent", NEURONS, canvas=canvas, windows=FrameWindows(8, step), causal=True)
    return WindowEncoder(module, spec, neutral_behavior=np.array([40.0, 0.5, 150.0, 150.0]))


class Past(nn.Module):
    """A part of the stand-in that remembers as the package's do: in `past`, emptied by the network's `reset`."""

    def __init__(self):
        super().__init__()
        self.past, self.weight = {}, nn.Parameter(torch.randn(6, 6) / 6)

    def forward(self, x):
        weight = self.past.setdefault("weight", self.weight * 2.0)
        frames = self.past.setdefault("history", deque([torch.zeros_like(x)] * 3, maxlen=3))
        h = torch.tanh((x + frames[0]) @ weight + self.past.get("h", torch.zeros_like(x)))
        self.past["h"] = h
        frames.append(x)
        return h


class StandIn(nn.Module):
    """Answers as a network of `fnn` does: [N, C, H, W], [N, 2] and [N, 2] to [N, units], a frame at a time."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.eye = nn.Linear(ROWS * COLUMNS + 4, 6)
        self.core, self.out = nn.Sequential(Past(), Past()), nn.Linear(6, NEURONS)

    def reset(self):
        for module in self.modules():
            if isinstance(module, Past):
                module.past.clear()

    def forward(self, stimulus, perspective, modulation):
        assert stimulus.detach().abs().max() <= 1.1
        seen = self.eye(torch.cat([stimulus.flatten(1), perspective, modulation], dim=1))
        return torch.exp(self.out(self.core(seen)))


def adapted() -> WindowEncoder:
    """The stand-in as an encoder."""
    mean, sd = np.array([40.0, 0.5, 150.0, 150.0]), np.array([10.0, 0.5, 5.0, 5.0])
    return fnn_encoder(StandIn(), screen=(ROWS, COLUMNS), warm_up=4, behavior_mean=mean, behavior_sd=sd)


@pytest.mark.parametrize("encoder", [recurrent(), recurrent(step=2), adapted()], ids=["gru", "every second", "fnn"])
def test_an_encoder_with_a_state_keeps_its_promises(encoder):
    assert check_encoder(encoder) == []


def test_one_that_forgets_its_state_is_found_out():
    encoder = recurrent()
    encoder.continued = lambda inputs, state=None, neurons=None: WindowEncoder.continued(encoder, inputs, None, neurons)
    assert {finding.check for finding in check_encoder(encoder)} == {"state"}


@pytest.mark.parametrize("encoder", [recurrent(), adapted()], ids=["gru", "fnn"])
def test_the_gradient_through_time_is_exact_in_segments_and_nearer_the_later_it_is_cut(encoder):
    encoder.to(dtype=torch.float64)
    inputs = encoder.pack(np.random.default_rng(0).uniform(0, 255, (19, ROWS, COLUMNS)))
    weights = torch.rand(NEURONS, 19, dtype=torch.float64)
    leaf = inputs.clone().requires_grad_()
    whole = encoder.continued(leaf[None])[0][0]
    (expected,) = torch.autograd.grad((whole * weights).sum(), leaf)

    def asked(cut: int) -> tuple[torch.Tensor, torch.Tensor]:
        return gradient_through(encoder, inputs, lambda activity, at: (activity * weights[:, at]).sum(), cut=cut)

    activity, exact = asked(0)
    torch.testing.assert_close(activity, whole.detach())
    torch.testing.assert_close(exact, expected)
    likeness = [torch.cosine_similarity(asked(cut)[1].flatten(), exact.flatten(), dim=0) for cut in (1, 4, 19)]
    assert likeness == sorted(likeness)
    assert likeness[0] < 0.999
    assert likeness[-1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    "settings", [{}, {"gradient_frames": 4}, {"memory": "windows"}], ids=["exact", "cut", "windows"]
)
def test_a_movie_is_reconstructed_through_the_whole_clip_or_window_by_window(settings):
    encoder, generator = recurrent(), np.random.default_rng(1)
    video = generator.uniform(0, 255, (24, ROWS, COLUMNS)).astype(np.float32)
    behavior, gaze = np.full((2, 24), 1.0, np.float32), np.full((2, 24), 150.0, np.float32)
    trial = vr.Trial(
        id=0,
        tier="",
        video=video,
        behavior=behavior,
        pupil_center=gaze,
        recorded_responses=encoder.predict(video, behavior, gaze),
    )
    config = vr.ReconstructionConfig.preset("fast", steps=12, **settings)
    result = vr.reconstruct(trial, [encoder], vr.AlphaMask(np.ones((ROWS, COLUMNS), np.float32)), config)

    def misfit(movie: np.ndarray) -> float:
        return float(np.square(encoder.predict(movie, behavior, gaze) - trial.responses).mean())

    assert misfit(result.video) < 0.9 * misfit(np.full_like(video, 127.5))


def test_something_else_than_a_network_of_fnn_is_refused():
    with pytest.raises(EncoderError, match="expected a network of the package fnn, found Linear"):
        fnn_encoder(nn.Linear(2, 2))
