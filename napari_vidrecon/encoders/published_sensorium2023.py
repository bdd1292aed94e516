"""Published weights of Sensorium 2023, ViV1T and the factorised 3-D baseline: their names here, and what is not told.

Weights of a ViV1T are `ckpt/model.pt` beside `args.yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from napari_vidrecon.encoders.architectures.neuralpredictors import MADE_OF
from napari_vidrecon.encoders.architectures.viv1t import VIDEO_MEAN, VIDEO_SD, ViV1TConfig
from napari_vidrecon.encoders.stored_encoder import StoredEncoder, check_fit
from napari_vidrecon.errors import EncoderError, one_line
from napari_vidrecon.storage import read_bytes, reading

Sizes = dict[str, tuple[int, ...]]
"""Shapes of the tensors in a file, by name."""
Tensors = Callable[[str], torch.Tensor]
"""Reads one of them."""
TOKENS = "core.tokenizer.tokenizer.linear.weight"
"""Every published ViV1T has this tensor."""
VIV1T, ARGUMENTS_FILE = "viv1t", "args.yaml"
VIV1T_WINDOWS = {"size": 32, "step": 1}
LARGEST_ARGUMENTS_BYTES = 1 << 20
ARGUMENT = re.compile(r"^([a-z][a-z0-9_]*):[ ]+([^\s#&*!|>{\[][^\n#]*?)[ ]*$", re.MULTILINE)
VIV1T_LEFT_OUT = re.compile(r"(^|\.)(reg_scale|sigma|_mu|source_grid)$|\.mu_transform\.|^output_activation\.")
FIXED = {
    "core_pos_encoding": ("6", "places learned, times rotary"),
    "core_temporal_patch_stride": ("1", "a token a frame"),
    "core_norm": ("layernorm", ""),
    "output_mode": ("1", "ELU + 1"),
}
YES = ("true", "1", "yes", "on")
VIV1T_PROVENANCE = {
    "citation": "Li et al. 2025, doi 10.1101/2025.09.16.676524; bryanlimy/ViV1T-closed-loop",
    "licence": "MIT; trained on data with terms of their own",
    "additions": (
        "means and deviations of the inputs, which the weights do not tell: grey levels "
        f"{VIDEO_MEAN:g} and {VIDEO_SD:g}, behaviour as in the public mice of 2023; activity in units of each "
        "neuron's own deviation; windows of 32 frames"
    ),
}
FIRST = "core.features.layer0.conv_spatial.weight"
"""Every published baseline of this kind has this tensor."""
BASELINE = "neuralpredictors"
BASELINE_WINDOWS = {"size": 40, "step": 1}
WHOLE_SCREEN = {"rows": 36, "columns": 64, "screen_rows": 36, "screen_columns": 64}
GAUSSIANS = {4: "full", 2: "uncorrelated", 1: "isotropic"}
BASELINE_LEFT_OUT = re.compile(r"\.(source_grid|mu_transform\.\d+\.(weight|bias))$")
BASELINE_PROVENANCE = {
    **MADE_OF,
    "additions": (
        "means and deviations of the inputs, which the weights do not tell: as in the public mice of 2023; activity in "
        "units of each neuron's own deviation; filters of step 1 without padding; windows of 40 frames, the first held"
    ),
}


def published_viv1t(path: Path, sizes: Sizes, tensor: Tensors) -> StoredEncoder:
    """An encoder of published weights.

    Parameters
    ----------
    path
        The file; `args.yaml` of its training lies beside it, or in the folder above.
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
        `args.yaml` is missing or tells of a model that is not known here, or the weights do not fit it.
    """
    told = _arguments(path)
    mice = list(dict.fromkeys(name.split(".")[1] for name in sizes if name.startswith("readouts.")))
    try:
        config = _viv1t_config(path, told, sizes, mice)
    except (KeyError, ValueError, IndexError, ZeroDivisionError) as missing:
        raise EncoderError(
            f"{path}: expected the weights of a ViV1T and the {ARGUMENTS_FILE} of its training, found others "
            f"({one_line(missing, 80)})"
        ) from None
    canvas, windows = check_fit(path, VIV1T, config, WHOLE_SCREEN, VIV1T_WINDOWS)
    places = {_viv1t_name(name, mice): name for name in sizes if not VIV1T_LEFT_OUT.search(name)}
    places.pop("core.tokenizer.tokenizer.weight", None)
    made = _viv1t_made(config, mice, tensor, sizes)
    shapes = {name: _squeezed(name, sizes[place]) for name, place in places.items()}
    with reading(path, EncoderError, "the weights of a ViV1T"):
        shapes |= {name: tuple(build().shape) for name, build in made.items()}
    return StoredEncoder(
        path,
        VIV1T,
        config,
        list(config["readout_outputs"]),
        mice,
        lambda name: made[name]() if name in made else tensor(places[name]).reshape(shapes[name]),
        shapes,
        canvas=canvas,
        windows=windows,
        provenance=dict(VIV1T_PROVENANCE),
    )


def _arguments(path: Path) -> dict[str, str]:
    """Plain values of args.yaml; nothing in it is run, and whatever is no plain value is passed over."""
    for folder in (path.parent, path.parent.parent):
        file = folder / ARGUMENTS_FILE
        if file.is_file():
            text = read_bytes(file, most=LARGEST_ARGUMENTS_BYTES, expected="settings of a training", error=EncoderError)
            found = ARGUMENT.findall(text.decode("utf-8", errors="replace"))
            return {name: value.strip("'\"").lower() for name, value in found}
    raise EncoderError(
        f"{path}: expected {ARGUMENTS_FILE} of its training beside it, or in the folder above, found none; the weights "
        "alone do not tell heads, patches and activations"
    )


def _viv1t_config(path: Path, told: dict[str, str], sizes: Sizes, mice: list[str]) -> dict[str, Any]:
    for name, (expected, why) in FIXED.items():
        if told.get(name, expected) != expected:
            raise EncoderError(
                f"{path}: expected {name} of {expected}{f' ({why})' if why else ''}, found {one_line(told[name], 40)}; "
                "such a model cannot be opened here"
            )
    for name in ("core_pad_frame", "core_use_causal_attention"):
        if told.get(name, "false") not in YES:
            raise EncoderError(f"{path}: expected {name}, found a model without it, which cannot be opened here")
    shifters = [name for name in sizes if re.fullmatch(rf"shifters\.{re.escape(mice[0])}\.mlp\.\d+\.weight", name)]
    first = sizes.get(f"shifters.{mice[0]}.mlp.0.weight")
    if first is not None and first[1] != 4:
        raise EncoderError(
            f"{path}: expected shifter_mode 2 (gaze and behaviour), found another; it cannot be opened here"
        )
    inner = sizes["core.vivit.temporal_transformer.blocks.0.attn_out.weight"][1]
    heads = int(told["core_num_heads"])
    config: dict[str, Any] = {
        "readout_outputs": tuple(sizes[f"readouts.{mouse}.features"][-1] for mouse in mice),
        "frames": VIV1T_WINDOWS["size"],
        "behavior_channels": 2 * int(told["core_behavior_mode"]),
        "spatial_patch": int(told["core_spatial_patch_size"]),
        "spatial_stride": int(told["core_spatial_patch_stride"]),
        "temporal_patch": int(told["core_temporal_patch_size"]),
        "emb_dim": sizes[TOKENS][0],
        "heads": heads,
        "head_dim": inner // heads,
        "ff_dim": sizes["core.vivit.temporal_transformer.blocks.0.ff_out.2.weight"][1],
        "ff_activation": told["core_ff_activation"],
        "spatial_depth": _depth("spatial", sizes),
        "temporal_depth": _depth("temporal", sizes),
        "register_tokens": sizes.get("core.vivit.reg_s_tokens", (0,))[0],
        "normalised_attention": "core.vivit.temporal_transformer.blocks.0.norm_q.weight" in sizes,
        "activation": told["core_activation"],
        "shifter_layers": len(shifters),
        "states": f"readouts.{mice[0]}.state_encoder.0.weight" in sizes,
    }
    if len(shifters) > 1 and first is not None:
        config["shifter_size"] = first[0]
    return config


def _depth(which: str, sizes: Sizes) -> int:
    blocks = (re.match(rf"core\.vivit\.{which}_transformer\.blocks\.(\d+)\.", name) for name in sizes)
    return 1 + max((int(found[1]) for found in blocks if found), default=-1)


def _viv1t_name(name: str, mice: list[str]) -> str:
    """What a weight is called here."""
    part, _, rest = name.partition(".")
    mouse, _, rest = rest.partition(".")
    if part not in ("readouts", "shifters") or mouse not in mice:
        return name
    rest = f"shifter.{rest.removeprefix('mlp.')}" if part == "shifters" else rest
    return f"readouts.{mice.index(mouse)}.{rest}"


def _squeezed(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The features of readouts have an axis of one in front there."""
    return shape[1:] if name.endswith(".features") and len(shape) == 3 else shape


def _viv1t_made(
    config: dict[str, Any],
    mice: list[str],
    tensor: Tensors,
    sizes: Sizes,
) -> dict[str, Callable[[], torch.Tensor]]:
    """Weights that are computed from those in the file, or stand for what it does not tell."""
    usual = ViV1TConfig(config["readout_outputs"])
    made: dict[str, Callable[[], torch.Tensor]] = {
        "behavior_mean": lambda: torch.tensor(usual.behavior_mean),
        "behavior_sd": lambda: torch.tensor(usual.behavior_sd),
    }
    for index, (mouse, neurons) in enumerate(zip(mice, config["readout_outputs"], strict=True)):
        there, here = f"readouts.{mouse}.", f"readouts.{index}."
        made[here + "position"] = lambda there=there: learned_positions(there, tensor, sizes)  # type: ignore[misc]
        made[here + "spread"] = lambda there=there, count=neurons: _spread(tensor(there + "sigma"), count)  # type: ignore[misc]
        made[here + "response_scale"] = lambda count=neurons: torch.ones(count)  # type: ignore[misc]
        if there + "bias" not in sizes:
            made[here + "bias"] = lambda count=neurons: torch.zeros(count)  # type: ignore[misc]
    return made


def learned_positions(there: str, tensor: Tensors, sizes: Sizes) -> torch.Tensor:
    """Where neurons look: learned, or told by where they lie in cortex.

    Parameters
    ----------
    there
        What the names of the readout's tensors begin with.
    tensor
        Reads one by name.
    sizes
        Of all tensors.

    Returns
    -------
    torch.Tensor
        (N, 2) column and row from -1 to 1.
    """
    if there + "_mu" in sizes:
        return tensor(there + "_mu").reshape(-1, 2)
    x = tensor(there + "source_grid")
    x = x.reshape(-1, x.shape[-1])
    mapping = [name for name in sizes if name.startswith(there + "mu_transform.") and name.endswith(".weight")]
    layers = sorted(int(name.split(".")[3]) for name in mapping)
    for layer in layers:
        weight, bias = (tensor(f"{there}mu_transform.{layer}.{part}") for part in ("weight", "bias"))
        x = F.linear(x.to(weight.dtype), weight, bias)
        x = F.elu(x) if layer != layers[-1] else torch.tanh(x)
    return x


def _spread(sigma: torch.Tensor, neurons: int) -> torch.Tensor:
    """(N, 2, 2): full as it is, a deviation an axis or one for both on the diagonal."""
    found = sigma.reshape(neurons, -1)
    if found.shape[1] == 4:
        return found.reshape(neurons, 2, 2)
    return torch.diag_embed(found.expand(neurons, 2))


def published_baseline(path: Path, sizes: Sizes, tensor: Tensors) -> StoredEncoder:
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
        config = _baseline_config(sizes, mice)
    except (KeyError, ValueError, IndexError) as missing:
        raise EncoderError(
            f"{path}: expected the weights of a factorised 3-D baseline of Sensorium 2023 with a Gaussian readout, "
            f"found others ({one_line(missing, 80)})"
        ) from None
    canvas, windows = check_fit(path, BASELINE, config, WHOLE_SCREEN, BASELINE_WINDOWS)
    kept = [name for name in sizes if not BASELINE_LEFT_OUT.search(name)]
    places = {name_here(name, mice, "points.", "shifter."): name for name in kept}
    made: dict[str, Callable[[], torch.Tensor]] = {
        "behavior_mean": lambda: torch.tensor((40.0, 0.5, 150.0, 150.0)),
        "behavior_sd": lambda: torch.tensor((16.0, 2.0, 6.0, 6.0)),
    }
    for index, (mouse, neurons) in enumerate(zip(mice, config["readout_outputs"], strict=True)):
        there, here = f"readout.{mouse}.", f"readouts.{index}."
        made[here + "response_scale"] = lambda count=neurons: torch.ones(count)  # type: ignore[misc]
        if there + "_mu" not in sizes:
            made[here + "points._mu"] = lambda there=there: learned_positions(there, tensor, sizes)[None, :, None]  # type: ignore[misc]
    shapes = {name: sizes[place] for name, place in places.items()}
    with reading(path, EncoderError, "weights of Sensorium 2023"):
        shapes |= {name: tuple(build().shape) for name, build in made.items()}
    return StoredEncoder(
        path,
        BASELINE,
        config,
        list(config["readout_outputs"]),
        mice,
        lambda name: made[name]() if name in made else tensor(places[name]),
        shapes,
        canvas=canvas,
        windows=windows,
        provenance=dict(BASELINE_PROVENANCE),
    )


def _baseline_config(sizes: Sizes, mice: list[str]) -> dict[str, Any]:
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


def name_here(name: str, mice: list[str], readout: str = "", shifter: str = "") -> str:
    """What a weight is called here.

    Parameters
    ----------
    name
        What the package calls it.
    mice
        Its names of them, in the order of the readouts.
    readout, shifter
        What stands before the weights of each in a readout.

    Returns
    -------
    str
        The same where it is of no mouse.
    """
    part, _, rest = name.partition(".")
    mouse, _, rest = rest.partition(".")
    if part not in ("readout", "shifter") or mouse not in mice:
        return name
    return f"readouts.{mice.index(mouse)}.{readout if part == 'readout' else shifter}{rest}"
