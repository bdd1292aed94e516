"""All kinds of encoders keep what the protocol promises; a broken one is found out, check by check."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_vidrecon.encoders import conformance
from napari_vidrecon.encoders.architecture import build_module
from napari_vidrecon.encoders.checkpoints import load_encoder
from napari_vidrecon.encoders.conformance import CHECKS, check_encoder
from napari_vidrecon.encoders.encoder import Canvas, Encoder, EncoderSpec
from napari_vidrecon.encoders.window_encoder import WindowEncoder
from napari_vidrecon.encoders.windows import FrameWindows

NEURONS = 7
SMALL = {
    "dwiseneuro": {
        "core_features": (8, 16),
        "spatial_strides": (2, 2),
        "expansion_ratio": 2,
        "se_reduce_ratio": 4,
        "cortex_features": (32,),
    },
    "compact": {"features": 8, "temporal_kernels": (3,)},
    "factorised": {
        "channels": (4, 6),
        "spatial_kernels": (5, 3),
        "temporal_kernels": (3, 3),
        "spatial_strides": (4, 1),
    },
    "viv1t": {
        "emb_dim": 8,
        "heads": 2,
        "head_dim": 4,
        "ff_dim": 12,
        "ff_activation": "swiglu",
        "spatial_depth": 1,
        "temporal_depth": 1,
        "register_tokens": 1,
        "shifter_layers": 2,
    },
}
CANVASES = {"dwiseneuro": Canvas(), "compact": Canvas(36, 64), "factorised": Canvas(36, 64), "viv1t": Canvas(36, 64)}


def small_encoder(architecture: str) -> WindowEncoder:
    """An encoder with random weights whose batch norms have seen something."""
    torch.manual_seed(0)
    module = build_module(Path("small"), architecture, {"readout_outputs": (NEURONS,), **SMALL[architecture]})
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
                part.running_mean.normal_(0.0, 0.1)
                part.running_var.uniform_(0.5, 1.5)
    windows = FrameWindows(16, 2)
    spec = EncoderSpec("small", architecture, NEURONS, canvas=CANVASES[architecture], windows=windows)
    return WindowEncoder(module, spec, neutral_behavior=np.array([40.0, 0.5, 150.0, 150.0]))


@pytest.mark.parametrize("architecture", list(SMALL))
def test_every_kind_of_encoder_keeps_its_promises(architecture):
    encoder = small_encoder(architecture)
    before = {name: value.clone() for name, value in encoder.module.state_dict().items()}
    assert check_encoder(encoder) == []
    assert all(torch.equal(value, before[name]) for name, value in encoder.module.state_dict().items())


def test_a_published_checkpoint_keeps_its_promises(golden_checkpoints):
    assert check_encoder(load_encoder(golden_checkpoints[0], mouse=0, device="cpu")) == []


class Broken(WindowEncoder):
    """A small encoder to break in one place."""

    def __init__(self, architecture: str = "compact") -> None:
        whole = small_encoder(architecture)
        super().__init__(whole.module, whole.spec, neutral_behavior=whole.neutral_behavior)


class LosesAFrame(Broken):
    def responses(self, windows, neurons=None):
        return super().responses(windows, neurons)[..., :-1]


class PredictsNegative(Broken):
    def predict(self, *arguments, **settings):
        return super().predict(*arguments, **settings) - 1000.0


class PredictsNothing(Broken):
    def predict(self, *arguments, **settings):
        return np.full_like(super().predict(*arguments, **settings), np.nan)


class CutsTheGraph(Broken):
    def responses(self, windows, neurons=None):
        return super().responses(windows.detach(), neurons)


class WrongSlope(Broken):
    def responses(self, windows, neurons=None):
        activity = super().responses(windows, neurons)
        return 2 * activity - activity.detach()


class ForgetsTheMovie(Broken):
    def responses(self, windows, neurons=None):
        return super().responses(torch.cat([windows[:, :1] * 0, windows[:, 1:]], dim=1), neurons)


class LeavesDropoutOn(Broken):
    def responses(self, windows, neurons=None):
        return torch.nn.functional.dropout(super().responses(windows, neurons), 0.5)


class MixesWindows(Broken):
    def responses(self, windows, neurons=None):
        return super().responses(windows, neurons) + windows.mean()


class LooksAtTheFirstWindowsOnly(Broken):
    def predict(self, video, behavior=None, pupil_center=None, *, chunk=None):
        activity = super().predict(video, behavior, pupil_center, chunk=chunk)
        activity[:, -1] *= 0.5
        return activity


class ClaimsToBeCausal(Broken):
    def __init__(self) -> None:
        super().__init__()
        self.spec = dataclasses.replace(self.spec, causal=True)

    def responses(self, windows, neurons=None):
        return super().responses(windows.flip(2), neurons).flip(2)


class ShufflesNeurons(Broken):
    def responses(self, windows, neurons=None):
        return super().responses(windows, None if neurons is None else neurons.sort().values)


class TakesAnyMouse(Broken):
    def require_neurons(self, neurons, of):
        pass


class NeedsBehavior(Broken):
    def pack(self, video, behavior=None, pupil_center=None, *, padding=0.0):
        return super().pack(video, behavior + 0, pupil_center, padding=padding)


class ForgetsItsNeutralBehavior(Broken):
    def __init__(self) -> None:
        # A compact encoder learns what behaviour does; a fresh one does not heed it.
        super().__init__("dwiseneuro")

    def pack(self, video, behavior=None, pupil_center=None, *, padding=0.0):
        if behavior is None:
            behavior, pupil_center = np.zeros((2, len(video))), np.zeros((2, len(video)))
        return super().pack(video, behavior, pupil_center, padding=padding)


class TakesAnyBehavior(Broken):
    def pack(self, video, behavior=None, pupil_center=None, *, padding=0.0):
        if behavior is not None and behavior.shape[1] != len(video):
            behavior = pupil_center = None
        return super().pack(video, behavior, pupil_center, padding=padding)


@pytest.mark.parametrize(
    ("broken", "check", "said"),
    [
        (LosesAFrame, "shapes", "expected responses to give"),
        (PredictsNegative, "finite", ">= 0"),
        (PredictsNothing, "finite", "NaN"),
        (CutsTheGraph, "gradient", "graph is cut"),
        (WrongSlope, "gradient", "slope"),
        (ForgetsTheMovie, "gradient", "depend on the movie"),
        (LeavesDropoutOn, "determinism", "dropout"),
        (MixesWindows, "windows", "alone"),
        (LooksAtTheFirstWindowsOnly, "windows", "mean over all windows"),
        (ClaimsToBeCausal, "causality", "later frames"),
        (ShufflesNeurons, "neurons", "subset"),
        (TakesAnyMouse, "neurons", "refused"),
        (NeedsBehavior, "behavior", "TypeError"),
        (ForgetsItsNeutralBehavior, "behavior", "neutral"),
        (TakesAnyBehavior, "behavior", "too short"),
    ],
)
def test_a_broken_promise_is_found(broken, check, said):
    findings = check_encoder(broken())
    assert any(finding.check == check and said in finding.message for finding in findings), findings


def test_the_broken_encoders_are_broken_in_nothing_else():
    assert isinstance(Broken(), Encoder)
    assert check_encoder(Broken()) == []
    assert {finding.check for finding in check_encoder(TakesAnyMouse())} == {"neurons"}
    assert {finding.check for finding in check_encoder(WrongSlope())} == {"gradient"}


def test_all_checks_are_listed():
    expected = (
        "shapes",
        "finite",
        "gradient",
        "determinism",
        "windows",
        "state",
        "causality",
        "devices",
        "neurons",
        "behavior",
    )
    assert tuple(CHECKS) == expected


class AnswersOtherwiseElsewhere(Broken):
    """Its copies know that they were moved; here the CPU plays the other device, under another name."""

    def to(self, device=None, dtype=None):
        self.moved = device == "cpu:0"
        return super().to(device, dtype)

    def predict(self, *arguments, **settings):
        return super().predict(*arguments, **settings) * (1.1 if getattr(self, "moved", False) else 1.0)


def test_another_device_must_agree_with_the_cpu(monkeypatch):
    monkeypatch.setattr(conformance, "accelerators", lambda: ("cpu:0",))
    assert check_encoder(Broken()) == []
    findings = check_encoder(AnswersOtherwiseElsewhere())
    assert [(finding.check, "cpu:0" in finding.message) for finding in findings] == [("devices", True)]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("architecture", list(SMALL))
def test_every_kind_of_encoder_agrees_with_itself_on_a_gpu(architecture):
    encoder = small_encoder(architecture)
    assert list(conformance.check_devices(encoder, conformance.Clip.for_encoder(encoder, 0))) == []
