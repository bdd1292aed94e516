"""Weights as the static models of Sensorium 2022 have them: made up, and the published ones where they are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

REAL = Path(__file__).parents[2] / "shared/real"
PUBLISHED = ("sensorium_sota_model", "sensorium_ln_model", "sensorium_p_sota_model", "sensorium_p_ln_model")
CHANNELS, NEURONS, MOUSE = 6, 9, "1-2-3"


def made_up(inputs: int = 1, layers: int = 3, shifter: bool = False, mice: tuple[str, ...] = (MOUSE,)) -> dict:
    """Weights of the published names, small and by chance."""
    generator = torch.Generator().manual_seed(5)

    def drawn(*size: int) -> torch.Tensor:
        return 0.3 * torch.randn(size, generator=generator)

    state = {"core._input_weights_regularizer.laplace.filter": drawn(1, 1, 3, 3)}
    for layer in range(layers):
        name = f"core.features.layer{layer}"
        if layer:
            state[f"{name}.ds_conv.in_depth_conv.weight"] = drawn(CHANNELS, CHANNELS, 1, 1)
            state[f"{name}.ds_conv.spatial_conv.weight"] = drawn(CHANNELS, 1, 7, 7)
            state[f"{name}.ds_conv.out_depth_conv.weight"] = drawn(CHANNELS, CHANNELS, 1, 1)
        else:
            state[f"{name}.conv.weight"] = drawn(CHANNELS, inputs, 9, 9)
        for part in ("weight", "bias", "running_mean"):
            state[f"{name}.norm.{part}"] = drawn(CHANNELS) + (part == "weight")
        state[f"{name}.norm.running_var"] = 1.0 + drawn(CHANNELS).abs()
        state[f"{name}.norm.num_batches_tracked"] = torch.tensor(7)
    for mouse in mice:
        name = f"readout.{mouse}"
        state |= {f"{name}.sigma": drawn(1, NEURONS, 2, 2), f"{name}._features": drawn(1, CHANNELS, 1, NEURONS)}
        state |= {f"{name}.bias": drawn(NEURONS), f"{name}.source_grid": drawn(NEURONS, 2).clamp(-1, 1)}
        state |= {f"{name}.mu_transform.0.weight": drawn(30, 2), f"{name}.mu_transform.0.bias": drawn(30)}
        state |= {f"{name}.mu_transform.2.weight": drawn(2, 30), f"{name}.mu_transform.2.bias": drawn(2)}
        if shifter:
            for part, (out, into) in {0: (5, 2), 2: (5, 5), 4: (2, 5)}.items():
                state[f"shifter.{mouse}.mlp.{part}.weight"] = drawn(out, into)
                state[f"shifter.{mouse}.mlp.{part}.bias"] = drawn(out)
    return state


def saved(folder: Path, state: dict) -> Path:
    torch.save(state, folder / "static.pth")
    return folder / "static.pth"


def published(name: str) -> Path:
    file = REAL / f"{name}.pth"
    if not file.is_file():
        pytest.skip(f"no published weights beside the repository ({file.name})")
    return file
