"""DwiseNeuro gives the reference's numbers."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import torch

from napari_vidrecon.encoders.architectures.dwiseneuro import DwiseNeuro, DwiseNeuroConfig, InvertedResidual
from napari_vidrecon.encoders.checkpoints import load_encoder
from napari_vidrecon.sessions.session import open_session

PUBLISHED_NEURONS = (7863, 7908, 8202, 7939, 8122, 7440, 7928, 8285, 7671, 7495)
PUBLISHED_KEYS = 365
PUBLISHED_PARAMETERS = 170_656_070


@pytest.fixture(scope="module")
def first_trial(golden, golden_session_folder):
    return open_session(golden_session_folder).trial(int(golden["fold0_trial_ids"][0]))


def test_one_window_equals_the_reference_for_both_readouts(golden, golden_checkpoints, first_trial):
    answers = []
    for mouse in (0, 1):
        encoder = load_encoder(golden_checkpoints[0], mouse=mouse, device="cpu")
        inputs = encoder.pack(first_trial.video, first_trial.behavior, first_trial.pupil_center)
        answers.append(encoder.responses(inputs[:, 0:31:2][None])[0].numpy())
    np.testing.assert_allclose(np.concatenate(answers), golden["window0_all_readouts_concat"], rtol=1e-5)


def test_trial_prediction_equals_the_reference(golden, golden_checkpoints, first_trial):
    encoder = load_encoder(golden_checkpoints[0], mouse=1, device="cpu")
    predicted = encoder.predict(first_trial.video, first_trial.behavior, first_trial.pupil_center)
    np.testing.assert_allclose(predicted, golden["trial0_prediction"], rtol=1e-5)


@pytest.mark.parametrize("chunk", [1, 7, 30])
def test_the_chunk_does_not_change_a_prediction(golden_checkpoints, first_trial, chunk):
    encoder = load_encoder(golden_checkpoints[0], mouse=1, device="cpu")
    arguments = (first_trial.video[:45], first_trial.behavior[:, :45], first_trial.pupil_center[:, :45])
    np.testing.assert_allclose(
        encoder.predict(*arguments, chunk=chunk), encoder.predict(*arguments, chunk=2), rtol=1e-5
    )


def test_model_input_equals_the_reference(golden, golden_checkpoints, first_trial):
    encoder = load_encoder(golden_checkpoints[0], mouse=1, device="cpu")
    inputs = encoder.pack(first_trial.video, first_trial.behavior, first_trial.pupil_center)
    np.testing.assert_allclose(inputs.sum(dim=(0, 2, 3)), golden["trial0_inputs_sum_per_frame"], rtol=1e-6)


def test_a_clip_shorter_than_a_window_predicts_zeros(golden_checkpoints, first_trial):
    encoder = load_encoder(golden_checkpoints[0], mouse=1, device="cpu")
    predicted = encoder.predict(first_trial.video[:30], first_trial.behavior[:, :30], first_trial.pupil_center[:, :30])
    assert predicted.shape == (40, 30)
    assert not predicted.any()


def test_depthwise_convolutions_equal_torch_3d_ones():
    torch.manual_seed(1)
    config = DwiseNeuroConfig((3,), core_features=(6,), spatial_strides=(2,), expansion_ratio=2, se_reduce_ratio=4)
    block = InvertedResidual(6, 6, 2, 0.0, config)
    x = torch.randn(2, 12, 16, 9, 11)
    for sequence in (block.spat_covn_dw, block.temp_covn_dw):
        ours = sequence[0]
        plain = torch.nn.Conv3d.forward(ours, x)
        torch.testing.assert_close(ours(x), plain, rtol=1e-5, atol=1e-6)


def _documented_weights(module: DwiseNeuro) -> dict[str, torch.Tensor]:
    """Weights by the rule of the golden data's README."""
    state = module.state_dict()
    for key, value in state.items():
        if key.endswith(("inv_freq", "num_batches_tracked")):
            continue
        generator = np.random.default_rng(zlib.crc32(key.encode()))
        if key.endswith("running_var"):
            drawn = generator.uniform(0.5, 1.5, value.shape)
        elif key.endswith(("running_mean", "bias")):
            drawn = generator.normal(0, 0.1, value.shape)
        elif key.endswith("bn.weight"):
            drawn = generator.uniform(0.8, 1.2, value.shape)
        else:
            drawn = generator.normal(0, np.prod(value.shape[1:]) ** -0.5, value.shape)
        state[key] = torch.from_numpy(np.asarray(drawn, dtype=np.float32))
    state["core.stem.1.bn.running_var"][:] = 2500.0
    return state


@pytest.mark.long
def test_the_full_size_encoder_equals_the_reference(golden_folder):
    expected = np.load(golden_folder / "full_size_window.npz", allow_pickle=False)
    with torch.device("meta"):
        whole = DwiseNeuro(DwiseNeuroConfig(PUBLISHED_NEURONS))
    assert len(whole.state_dict()) == PUBLISHED_KEYS == int(expected["n_keys"])
    assert sum(p.numel() for p in whole.parameters()) == PUBLISHED_PARAMETERS == int(expected["n_params"])

    # Only the readout that is asked for is filled: the other nine hold 95 % of the weights.
    mouse = 2
    module = DwiseNeuro(DwiseNeuroConfig((PUBLISHED_NEURONS[mouse],))).eval().requires_grad_(False)
    renamed = {key.replace("readouts.0.", f"readouts.{mouse}."): key for key in module.state_dict()}
    named = _Renamed(module, renamed)
    module.load_state_dict({renamed[key]: value for key, value in _documented_weights(named).items()})

    generator = np.random.default_rng(2023)
    inputs = np.zeros((1, 5, 16, 64, 64), np.float32)
    inputs[0, 0, :, 14:50] = generator.uniform(0, 255, (16, 36, 64))
    inputs[0, 1:] = np.array([40, 0.5, 150, 140], np.float32)[:, None, None, None]
    target = torch.from_numpy(generator.gamma(0.5, 6.0, (8202, 16)).astype(np.float32))
    leaf = torch.from_numpy(inputs).requires_grad_(True)
    predicted = module(leaf)[0]
    loss = (predicted - target * torch.log(predicted + 1e-8)).mean()
    loss.backward()
    np.testing.assert_allclose(predicted[:100].detach(), expected["prediction_first_100"], rtol=1e-4)
    assert float(predicted.detach().mean()) == pytest.approx(float(expected["prediction_mean"]), rel=1e-4)
    assert float(predicted.detach().std()) == pytest.approx(float(expected["prediction_std"]), rel=1e-4)
    assert float(loss.detach()) == pytest.approx(float(expected["loss"]), rel=1e-5)
    assert float(leaf.grad.norm()) == pytest.approx(float(expected["gradient_norm"]), rel=1e-4)
    largest = np.abs(expected["gradient_frame8"]).max()
    assert np.abs(leaf.grad[0, 0, 8].numpy() - expected["gradient_frame8"]).max() < 1e-4 * largest


class _Renamed:
    """A module's state under the names of the whole, ten-mouse encoder."""

    def __init__(self, module: DwiseNeuro, renamed: dict[str, str]) -> None:
        self._state = {name: module.state_dict()[key] for name, key in renamed.items()}

    def state_dict(self) -> dict[str, torch.Tensor]:
        return dict(self._state)
