"""Encoders of other people's packages: they keep what every encoder promises, and answer as their package does."""

from __future__ import annotations

import sys

import pytest
import torch
import torch.nn.functional as F

from napari_vidrecon.encoders.architecture import architecture_named
from napari_vidrecon.encoders.checkpoints import load_encoder, save_encoder
from napari_vidrecon.encoders.conformance import check_encoder
from napari_vidrecon.encoders.encoder import Canvas, EncoderSpec
from napari_vidrecon.encoders.window_encoder import WindowEncoder
from napari_vidrecon.encoders.windows import FrameWindows
from napari_vidrecon.errors import EncoderError

NOT_HERE = "neuralpredictors of the repository is not installed (docs/own_encoder.md)"
SIZES = {
    "factorised": {"channels": (4, 5), "input_kernel": 5, "input_taps": 3, "hidden_taps": 2, "shifter_layers": 2},
    "recurrent": {"core": "stacked_2d", "channels": (4, 5), "gru_kernel": 3, "stride": 2, "padded": True},
}


OPEN_RETINA_NOT_HERE = "the package openretina is not installed"


def test_parts_of_openretina_make_an_encoder_of_two_colours_and_a_model_of_the_package_is_taken_over(tmp_path):
    pytest.importorskip("openretina.modules.core.base_core", reason=OPEN_RETINA_NOT_HERE)
    from openretina.modules.core.base_core import SimpleCoreWrapper
    from openretina.modules.readout.multi_readout import MultiGaussianMaskReadout

    from napari_vidrecon.encoders.architectures.openretina import adopted

    torch.manual_seed(2)
    model = torch.nn.Module()
    model.core = SimpleCoreWrapper((2, 4, 5), (6, 3), (7, 3), 0.0, 0.0, 0.0, 0.0, cut_first_n_frames=0)
    for layer in model.core.features:
        torch.nn.init.normal_(layer.conv.weight_spatial, std=0.3)
    model.readout = MultiGaussianMaskReadout((5, 1, 12, 10), {"A": 3, "B": 4}, True, True, 6.0, 4.0, True)
    module, movie = adopted(model.eval(), 18, 16), torch.rand(2, 2, 12, 18, 16)
    x = torch.zeros(2, 5, 12, 36, 16)
    x[:, 0] = torch.cat(movie.unbind(1), dim=2) * 60.0 + 115.0
    with torch.no_grad():
        expected = model.readout(model.core(movie), data_key="B")
        found = module(x, 1)[..., 5:].transpose(1, 2)
    assert torch.allclose(found, expected, atol=1e-4)
    canvas, windows = Canvas(36, 16, 36, 16, ("green", "uv")), FrameWindows(8, 1)
    save_encoder(
        tmp_path / "r.safetensors", module, architecture="openretina", mice=["A", "B"], canvas=canvas, windows=windows
    )
    assert check_encoder(load_encoder(tmp_path / "r.safetensors", "A", "cpu")) == []
    model.core = SimpleCoreWrapper(
        (2, 4), (6,), (7,), 0.0, 0.0, 0.0, 0.0, 0.0, 0, downsample_input_kernel_size=(1, 2, 2)
    )
    with pytest.raises(EncoderError, match="expected a core without pooling, padding or squashed colours"):
        adopted(model, 18, 16)


def test_without_its_package_an_architecture_is_one_line_that_says_what_to_install(monkeypatch):
    first = {
        "neuralpredictors": "neuralpredictors.layers.cores.conv3d",
        "openretina": "openretina.modules.core.base_core",
    }
    for name, module in first.items():
        monkeypatch.setitem(sys.modules, module, None)
        architecture = architecture_named(name)
        with pytest.raises(EncoderError, match=f"expected the package {name}, found none that can be used"):
            architecture(architecture.config_class((3,)))


@pytest.mark.parametrize("kind", SIZES)
def test_parts_of_neuralpredictors_make_an_encoder_that_keeps_what_encoders_promise(kind):
    pytest.importorskip("neuralpredictors.layers.cores.conv3d", reason=NOT_HERE)
    architecture = architecture_named("neuralpredictors")
    torch.manual_seed(0)
    module = architecture(architecture.config_class((3, 5), rows=18, columns=16, **SIZES[kind]))
    spec = EncoderSpec(
        "x", "neuralpredictors", 3, canvas=Canvas.of_screen(18, 16), windows=FrameWindows(6, 2), causal=True
    )
    assert check_encoder(WindowEncoder(module, spec)) == []


def test_a_published_baseline_of_2023_answers_as_the_package_does(tmp_path):
    conv3d = pytest.importorskip("neuralpredictors.layers.cores.conv3d", reason=NOT_HERE)
    from neuralpredictors.layers.readouts import FullGaussian2d
    from neuralpredictors.layers.shifters import MLPShifter

    torch.manual_seed(1)
    core = conv3d.Factorized3dCore(3, [4, 6], (11, 11), 5, (5, 5), 3, True, layers=2).eval()
    cortex = {"input_dimensions": 2, "hidden_layers": 1, "hidden_features": 30, "final_tanh": True}
    cortex.pop("input_dimensions")
    readout = FullGaussian2d((6, 22, 50), 7, True, grid_mean_predictor=cortex, source_grid=torch.rand(7, 2).numpy())
    shifter = MLPShifter(["A"], 2, hidden_channels_shifter=5, shift_layers=3)
    for part in (core, readout.eval(), shifter):
        for weight in part.parameters():
            weight.data += 0.05 * torch.randn_like(weight)
    state = {f"core.{name}": value for name, value in core.state_dict().items()}
    state |= {f"readout.A.{name}": value for name, value in readout.state_dict().items()}
    torch.save(state | {f"shifter.{name}": value for name, value in shifter.state_dict().items()}, tmp_path / "b.pth")

    encoder = load_encoder(tmp_path / "b.pth", device="cpu")
    assert encoder.spec.causal
    assert "MIT" in encoder.spec.provenance["licence"]
    x = torch.rand(1, 5, 40, 36, 64) * 255
    x[:, 1:] = (torch.rand(1, 4, 40) * 10 + torch.tensor([40.0, 0.5, 150.0, 150.0])[:, None])[..., None, None]
    config = encoder.module.config
    mean, sd = (torch.tensor(each) for each in (config.behavior_mean, config.behavior_sd))
    behavior = ((x[0, 1:, :, 0, 0] - mean[:, None]) / sd[:, None]).clamp(-4, 4)
    planes = behavior[:2, :, None, None].expand(-1, -1, 36, 64)
    seen = torch.cat([(x[:, :1] - config.video_mean) / config.video_sd, planes[None]], dim=1)
    with torch.no_grad():
        features = core(seen).transpose(1, 2)[0]
        shift = shifter["A"](behavior[2:].T[-len(features) :])
        expected = F.elu(readout(features, shift=shift)) + 1
        found = encoder.responses(x)[0, :, -len(features) :].T
    assert len(features) == 40 - 6
    assert torch.allclose(found, expected, atol=1e-5)
