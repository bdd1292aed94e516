"""Published weights of the factorised 3-D baseline of Sensorium 2023: their names here, and what they do not tell."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from napari_vidrecon.encoders.architectures.neuralpredictors import MADE_OF
from napari_vidrecon.encoders.published_viv1t import learned_positions
from napari_vidrecon.encoders.stored_encoder import StoredEncoder, check_fit
from napari_vidrecon.errors import EncoderError, one_line
from napari_vidrecon.storage import reading

FIRST = "core.features.layer0.conv_spatial.weight"
"""Every published baseline of this kind has this tensor."""
KIND = "neuralpredictors"
WINDOWS = {"size": 40, "step": 1}
SCREEN = {"rows": 36, "columns": 64, "screen_rows": 36, "screen_columns": 64}
GAUSSIANS = {4: "full", 2: "uncorrelated", 1: "isotropic"}
LEFT_OUT = re.compile(r"\.(source_grid|mu_transform\.\d+\.(weight|bias))$")
PROVENANCE = {
    **MADE_OF,
    "additions": (
        "means and deviations of the inputs, which the weights do not tell: as in the public mice of 2023; activity in "
        "units of each neuron's own deviation; filters of step 1 without padding; windows of 40 frames, the first held"
    ),
}


def published_baseline(
    path: Path, sizes: dict[str, tuple[int, ...]], tensor: Callable[[str], torch.Tensor]
) -> StoredEncoder:
    """An encoder of published weights.

    Parameters
    ----------
    path
        The file.
    sizes
        Of every tensor in it.
    tensor
        Reads one of them.

    Returns
    -------
    StoredEncoder
        With all its readouts.

    Raises
    ------
    EncoderError
        They are of another model.
    """
    mice = list(dict.fromkeys(name.split(".")[1] for name in sizes if name.startswith("readout.")))
    try:
        config = _config(sizes, mice)
    except (KeyError, ValueError, IndexError) as missing:
        raise EncoderError(
            f"{path}: expected the weights of a factorised 3-D baseline of Sensorium 2023 with a Gaussian readout, "
            f"found others ({one_line(missing, 80)})"
        ) from None
    canvas, windows = check_fit(path, KIND, config, SCREEN, WINDOWS)
    places = {_name(name, mice): name for name in sizes if not LEFT_OUT.search(name)}
    made: dict[str, Callable[[], torch.Tensor]] = {
        "behavior_mean": lambda: torch.tensor((40.0, 0.5, 150.0, 150.0)),
        "behavior_sd": lambda: torch.tensor((16.0, 2.0, 6.0, 6.0)),
    }
    for index, (mouse, neurons) in enumerate(zip(mice, config["readout_outputs"], strict=True)):
        there, here = f"readout.{mouse}.", f"readouts.{index}."
        made[here + "response_scale"] = lambda count=neurons: torch.ones(count)  # type: ignore[misc]
        if there + "_mu" not in sizes:
            made[here + "points._mu"] = lambda there=there: learned_positions(there, tensor, sizes)[None, :, None]  # type: ignore[misc]
    with reading(path, EncoderError, "weights of Sensorium 2023"):
        computed = {name: tuple(build().shape) for name, build in made.items()}
    return StoredEncoder(
        path,
        KIND,
        config,
        list(config["readout_outputs"]),
        mice,
        lambda name: made[name]() if name in made else tensor(places[name]),
        {**{name: sizes[place] for name, place in places.items()}, **computed},
        canvas=canvas,
        windows=windows,
        provenance=dict(PROVENANCE),
    )


def _config(sizes: dict[str, tuple[int, ...]], mice: list[str]) -> dict[str, Any]:
    layers = sum(bool(re.fullmatch(r"core\.features\.layer\d+\.norm\.weight", name)) for name in sizes)
    later = [f"core.features.layer{index}.conv_{{}}_{index}.weight" for index in range(1, layers)]
    shifters = [name for name in sizes if re.fullmatch(rf"shifter\.{re.escape(mice[0])}\.mlp\.\d+\.weight", name)]
    config: dict[str, Any] = {
        "readout_outputs": tuple(sizes[f"readout.{mouse}.bias"][0] for mouse in mice),
        "behavior_channels": sizes[FIRST][1] - 1,
        "channels": (sizes[FIRST][0], *(sizes[name.format("spatial")][0] for name in later)),
        "input_kernel": sizes[FIRST][3],
        "input_taps": sizes[FIRST.replace("spatial", "temporal")][2],
        "shifter_layers": len(shifters),
        "gaussian": GAUSSIANS[sizes[f"readout.{mice[0]}.sigma"][-1] * sizes[f"readout.{mice[0]}.sigma"][-2]],
        "gru_kernel": sizes.get("gru_module.gru.reset_gate_input.weight", (0,))[-1],
    }
    if later:
        config |= {"hidden_kernel": sizes[later[0].format("spatial")][3]}
        config |= {"hidden_taps": sizes[later[0].format("temporal")][2]}
    if len(shifters) > 1:
        config["shifter_size"] = sizes[shifters[0]][0]
    return config


def _name(name: str, mice: list[str]) -> str:
    """What a weight is called here."""
    part, _, rest = name.partition(".")
    mouse, _, rest = rest.partition(".")
    if part not in ("readout", "shifter") or mouse not in mice:
        return name
    return f"readouts.{mice.index(mouse)}.{'points' if part == 'readout' else 'shifter'}.{rest}"
