"""ViV1T: it looks at patches and never ahead; weights of published names find their places."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_vidrecon.encoders.architectures.viv1t import ViV1T, ViV1TConfig
from napari_vidrecon.encoders.checkpoints import load_encoder
from napari_vidrecon.errors import EncoderError

CONFIG = ViV1TConfig(
    (3, 5),
    frames=32,
    emb_dim=8,
    heads=2,
    head_dim=4,
    ff_dim=6,
    ff_activation="swiglu",
    spatial_depth=1,
    temporal_depth=2,
    register_tokens=1,
    shifter_layers=2,
    shifter_size=5,
)
ARGUMENTS = """
core_num_heads: 2
core_behavior_mode: 2
core_spatial_patch_size: 8
core_spatial_patch_stride: 4
core_temporal_patch_size: 5
core_temporal_patch_stride: 1
core_ff_activation: swiglu
core_activation: elu
core_pos_encoding: 6
core_norm: layernorm
core_pad_frame: true
core_use_causal_attention: true
output_mode: 1
device: !!python/object/apply:torch.device
- cpu
"""


def published(module: ViV1T) -> dict[str, torch.Tensor]:
    """Its weights under the names of the published code; the second mouse's positions follow from the cortex."""
    state = {"core.vivit.reg_scale": torch.tensor(0.0)}
    for name, value in module.state_dict().items():
        if name.startswith("behavior_") or name.endswith("response_scale"):
            continue
        for index, mouse in enumerate("AB"):
            name = name.replace(f"readouts.{index}.shifter.", f"shifters.{mouse}.mlp.")
            name = name.replace(f"readouts.{index}.", f"readouts.{mouse}.")
        if name.endswith(".position"):
            name, value = name.replace("position", "_mu"), value[None, :, None]
        if name.endswith(".spread"):
            name, value = name.replace("spread", "sigma"), value[None]
        state[name] = value[None] if name.endswith(".features") else value
    state["output_activation.A.one"] = torch.tensor(1.0)
    del state["readouts.B._mu"]
    state["readouts.B.source_grid"] = torch.randn(5, 2)
    for layer, (before, after) in {0: (2, 30), 2: (30, 2)}.items():
        state[f"readouts.B.mu_transform.{layer}.weight"] = torch.randn(after, before)
        state[f"readouts.B.mu_transform.{layer}.bias"] = torch.randn(after)
    return state


@pytest.fixture
def module() -> ViV1T:
    torch.manual_seed(0)
    return ViV1T(CONFIG).eval()


@pytest.fixture
def run_folder(module, tmp_path):
    (tmp_path / "ckpt").mkdir()
    torch.save(published(module), tmp_path / "ckpt" / "model.pt")
    (tmp_path / "args.yaml").write_text(ARGUMENTS)
    return tmp_path


def test_weights_of_published_names_find_their_places(module, run_folder):
    x = torch.rand(2, 5, 32, 36, 64) * 255
    first = load_encoder(run_folder / "ckpt" / "model.pt", "A", "cpu")
    assert first.spec.causal
    assert "MIT" in first.spec.provenance["licence"]
    assert torch.equal(first.responses(x), module(x, 0))
    second = load_encoder(run_folder / "ckpt" / "model.pt", "B", "cpu")
    state = published(module.eval())
    positions = second.module.state_dict()["readouts.0.position"]
    assert positions.shape == (5, 2)
    assert positions.abs().max() <= 1
    assert torch.equal(second.module.state_dict()["readouts.0.features"], state["readouts.B.features"][0])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (("core_pos_encoding: 6", "core_pos_encoding: 1"), "expected core_pos_encoding of 6"),
        (("core_use_causal_attention: true", ""), "expected core_use_causal_attention"),
        (("core_num_heads: 2", ""), "core_num_heads"),
        (("core_spatial_patch_size: 8", "core_spatial_patch_size: 7"), "do not fit"),
        (("core_activation: elu", "core_activation: sine"), "activation"),
    ],
)
def test_settings_of_another_model_are_one_line(changed, message, run_folder):
    (run_folder / "args.yaml").write_text(ARGUMENTS.replace(*changed))
    with pytest.raises(EncoderError, match=message) as caught:
        load_encoder(run_folder / "ckpt" / "model.pt", 0, "cpu")
    assert "\n" not in str(caught.value)


def test_without_its_settings_the_weights_say_what_is_missing(run_folder):
    (run_folder / "args.yaml").unlink()
    with pytest.raises(EncoderError, match=r"expected args\.yaml of its training"):
        load_encoder(run_folder / "ckpt" / "model.pt", 0, "cpu")


def test_no_token_sees_a_later_frame_and_patches_cover_the_screen(module):
    x = torch.rand(1, 5, 32, 36, 64) * 255
    later = x.clone()
    later[:, :, 20:] = 0.0
    with torch.no_grad():
        before, after = module(x), module(later)
    assert torch.allclose(before[..., :20], after[..., :20], atol=1e-5)
    assert not torch.allclose(before[..., 20:], after[..., 20:], atol=1e-5)
    assert CONFIG.map_size == (9, 16)
    assert np.prod(CONFIG.map_size) == module.core.tokenizer.spatial_pos_embedding.shape[2]
