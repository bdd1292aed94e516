"""Reference checkpoints (`.pth`): rebuilt by constructors of this program from plain values and tensors.

Four kinds: DwiseNeuro, a dictionary with `params` and `nn_state_dict`; the static models of Sensorium 2022 and the
factorised baseline of 2023, which are weights alone, whose sizes are those of the tensors; and ViV1T, weights beside
the settings of their training.
"""

from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
import torch.nn.functional as F

from napari_vidrecon.encoders.architectures.sensorium2022 import ADDED_KERNEL, additions
from napari_vidrecon.encoders.published_sensorium2023 import (
    FIRST,
    TOKENS,
    name_here,
    published_baseline,
    published_viv1t,
)
from napari_vidrecon.encoders.stored_encoder import StoredEncoder, check_fit
from napari_vidrecon.errors import EncoderError, one_line
from napari_vidrecon.storage import open_regular, reading
from napari_vidrecon.storage.impostors import check_genuine, format_of
from napari_vidrecon.storage.pickles import ForbiddenObject
from napari_vidrecon.storage.plain_arrays import PlainArray
from napari_vidrecon.storage.torch_files import StoredTensor, read_torch_file

EXPECTED = "a checkpoint in torch's format"
SAFE, ZIP_MAGIC, DESCRIPTION = ".safetensors", b"PK", "data.pkl"
KIND = "dwiseneuro"
CORE, COMPILED = "core.", "_orig_mod."
STARTS, LONGEST_START = (b"PK", b"\x80"), 8
"""Of a zip, and of the pickle that torch wrote before; what starts otherwise is not damaged, but another file."""
LONGEST_PREFIX = 100
MOST_VALUES = 10_000
SURPLUS_BYTES = 16 << 20
WEIGHTS_ALONE = (
    (TOKENS, "a ViV1T", published_viv1t),
    (FIRST, "a baseline of Sensorium 2023", published_baseline),
)
"""Files of weights and nothing else: a tensor that all of a kind have, what it is, and what reads it."""


def read_reference(path: Path) -> StoredEncoder:
    """What a checkpoint of the published code says of itself; its weights are read once they are asked for.

    Parameters
    ----------
    path
        The `.pth` or `.pt` file.

    Returns
    -------
    StoredEncoder
        With all its readouts.

    Raises
    ------
    EncoderError
        Missing, damaged, of neither kind, or holding anything else than data.
    """
    with open_regular(path, "an encoder file (.pth or .safetensors)", EncoderError) as file:
        size = os.fstat(file.fileno()).st_size
        check_genuine(path, file, EXPECTED, EncoderError)
        start = file.read(LONGEST_START)
        if not start.startswith(STARTS):
            # Nine bytes tell tensors of the other format.
            found = format_of(start + file.read(1)) or f"a file that starts with {start!r}"
            other = "; give it that ending" if SAFE in found else ""
            raise EncoderError(f"{path}: expected {EXPECTED}, found {found}{other}")
        if start.startswith(ZIP_MAGIC):
            _check_whole(path, file)
        with reading(path, EncoderError, EXPECTED):
            try:
                stored = read_torch_file(file, size)
            except ForbiddenObject as found:
                raise EncoderError(
                    f"{path}: expected only tensors and plain values, found objects that could run code "
                    f"({one_line(found, 120)}); it was not opened: where it came from, load it and save what is needed "
                    "alone, torch.save({'params': ..., 'nn_state_dict': model.state_dict()}, FILE)"
                ) from None
    stored = _as_published(stored)
    if isinstance(stored, dict) and STATIC in stored:
        return _static(path, size, stored)
    for first, what, published in WEIGHTS_ALONE:
        if isinstance(stored, dict) and first in stored:
            if not all(isinstance(name, str) and isinstance(each, StoredTensor) for name, each in stored.items()):
                raise EncoderError(f"{path}: expected the weights of {what}, found others among them")
            _check_claim(path, size, stored)
            sizes = {name: each.size for name, each in stored.items()}
            return published(path, sizes, lambda name: _tensor(stored[name]))
    if not isinstance(stored, dict) or not {"params", "nn_state_dict"} <= stored.keys():
        told = isinstance(stored, dict) and any(isinstance(each, StoredTensor) for each in stored.values())
        lacking = "weights alone, which do not tell the sizes of their encoder" if told else "neither in it"
        raise EncoderError(
            f"{path}: expected a checkpoint with `params` and `nn_state_dict`, found {lacking}; "
            "save both in one dictionary with torch.save"
        )
    return _described(path, size, *_parts(path, stored))


def _check_whole(path: Path, file: BinaryIO) -> None:
    """Refuse a zip whose end, or whose description, is not there: what a library says of them helps nobody."""
    with reading(path, EncoderError, EXPECTED):
        if not zipfile.is_zipfile(file):
            raise EncoderError(
                f"{path}: expected {EXPECTED}, found the beginning of one without its end: it was not copied or "
                "fetched whole; fetch it again"
            )
        with zipfile.ZipFile(file) as packed:
            names = {name.partition("/")[2] for name in packed.namelist()}
    if DESCRIPTION not in names:
        raise EncoderError(
            f"{path}: expected {EXPECTED}, found another zip archive, without a {DESCRIPTION}; unpack it, if the "
            "checkpoint lies in it"
        )


def _parts(path: Path, stored: dict[str, Any]) -> tuple[Any, dict[str, StoredTensor]]:
    state = stored["nn_state_dict"]
    if not isinstance(state, dict) or not all(isinstance(each, StoredTensor) for each in state.values()):
        raise EncoderError(
            f"{path}: its `params` do not describe a DwiseNeuro: its weights are no tensors; save a state_dict"
        )
    if not all(isinstance(name, str) for name in state):
        raise EncoderError(f"{path}: its `params` do not describe a DwiseNeuro: its weights have no names")
    try:
        return _plain(stored["params"], [MOST_VALUES]), _unwrapped(state)
    except (TypeError, ValueError, RecursionError):
        raise EncoderError(f"{path}: its `params` do not describe a DwiseNeuro: they hold more than values") from None


def _as_published(stored: Any) -> Any:
    """Lightning's layout as that of the published code: the weights, and the parameters that its module was given."""
    if not isinstance(stored, dict) or "nn_state_dict" in stored:
        return stored
    if stored and all(isinstance(name, str) and isinstance(each, StoredTensor) for name, each in stored.items()):
        return _unwrapped(stored)
    if not isinstance(stored.get("state_dict"), dict) or any(type(name) is not str for name in stored["state_dict"]):
        return stored
    given = stored.get("hyper_parameters")
    given = given if isinstance(given, dict) else {}
    places = (stored.get("params"), given.get("params"), given)
    params = next((each for each in places if isinstance(each, dict) and "nn_module" in each), None)
    return (
        _unwrapped(stored["state_dict"])
        if params is None
        else {"params": params, "nn_state_dict": stored["state_dict"]}
    )


def _unwrapped(state: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Weights without the names of what the encoder was wrapped in: DataParallel, torch.compile, a Lightning module."""
    named = {name.replace(COMPILED, ""): each for name, each in state.items()}
    first = next((name for name in named if f".{CORE}" in name and not name.startswith(CORE)), "")
    prefix = first.partition(f".{CORE}")[0] + "." if first else ""
    if len(named) != len(state) or len(prefix) > LONGEST_PREFIX or any(name.startswith(CORE) for name in named):
        return state if len(named) != len(state) else named
    # A Lightning module has weights besides, of its loss, say.
    return {name.removeprefix(prefix): each for name, each in named.items() if name.startswith(prefix)}


def _plain(value: Any, left: list[int]) -> Any:
    """A copy of plain values that fits on a page: a pickle may hold one part a million times, or itself."""
    left[0] -= 1
    if left[0] < 0:
        raise ValueError("more values than a checkpoint has")
    if isinstance(value, dict):
        return {str(name): _plain(each, left) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(_plain(each, left) for each in value)
    if isinstance(value, (np.bool_, np.number)):
        return value.item()
    if isinstance(value, StoredTensor) and math.prod(value.size) <= left[0]:
        return _plain(_tensor(value).tolist(), left)
    if isinstance(value, PlainArray) and value.array is not None and value.array.size <= left[0]:
        return _plain(value.array.tolist(), left)
    return value if type(value) in (int, float, bool, str) else None


def _described(path: Path, size: int, params: Any, state: dict[str, StoredTensor]) -> StoredEncoder:
    try:
        kind, config = params["nn_module"]
        neurons = list(config["readout_outputs"])
        processor = params.get("inputs_processor", ("", {}))
        rows, columns = processor[1].get("size", (64, 64))
        stack = params.get("frame_stack", {"size": 16, "step": 2})
        windows = {name: stack[name] for name in ("size", "step")}
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise EncoderError(f"{path}: its `params` do not describe a DwiseNeuro") from None
    if not isinstance(config, dict):
        raise EncoderError(f"{path}: its `params` do not describe a DwiseNeuro")
    if kind != KIND:
        raise EncoderError(f"{path}: expected a DwiseNeuro checkpoint, found '{one_line(kind, 60)}'")
    canvas, windows = check_fit(path, KIND, config, {"rows": rows, "columns": columns}, windows)
    _check_claim(path, size, state)
    return StoredEncoder(
        path,
        KIND,
        config,
        neurons,
        [""] * len(neurons),
        lambda name: _tensor(state[name]),
        {name: each.size for name, each in state.items()},
        canvas=canvas,
        windows=windows,
        provenance={"citation": "Baikulov 2023, doi 10.5281/zenodo.10155151"},
    )


def _check_claim(path: Path, size: int, state: dict[str, StoredTensor]) -> None:
    """Tensors may share their bytes; together they must not stand for more than the file has."""
    claimed = sum(math.prod(each.size) * each.stored.values.itemsize for each in state.values())
    if claimed > size + SURPLUS_BYTES:
        raise EncoderError(f"{path}: its weights claim {claimed:,} bytes, more than the file has")


STATIC = "core.features.layer0.conv.weight"
"""Every static model of Sensorium 2022 has this tensor."""
STATIC_KIND = "sensorium2022"
STATIC_WINDOWS = {"size": 16, "step": 2}
STATIC_PROVENANCE = {
    "citation": "Willeke et al. 2022 (Sensorium 2022), sinzlab/sensorium",
    "licence": "MIT; trained on data with terms of their own",
    "additions": additions(ADDED_KERNEL),
}
MOST_LAYERS = 16
NEAR_LINEAR = 0.5
"""Part of a layer's mean square that a chain without nonlinearity may leave unexplained (published: 0.1 against 2)."""


def _static(path: Path, size: int, stored: dict[Any, Any]) -> StoredEncoder:
    """A static model of Sensorium 2022: weights of a core, and of a readout and a shifter for each mouse."""
    if not all(isinstance(name, str) and isinstance(each, StoredTensor) for name, each in stored.items()):
        raise EncoderError(f"{path}: expected the weights of a model of Sensorium 2022, found others among them")
    _check_claim(path, size, stored)
    state = {name: each for name, each in stored.items() if not name.endswith(".sigma") and "_regularizer." not in name}
    mice = list(dict.fromkeys(name.split(".")[1] for name in state if name.startswith("readout.")))
    places = {name_here(name, mice): name for name in state}
    counts = [state[name].size for mouse in mice if (name := f"readout.{mouse}.bias") in state]
    first, hidden = state[STATIC].size, state.get("core.features.layer1.ds_conv.spatial_conv.weight")
    mapped = state.get(places.get("readouts.0.mu_transform.0.weight", ""))
    if mapped is None or len(counts) != len(mice) or {len(first)} | {len(each) for each in counts} != {4, 1}:
        raise EncoderError(
            f"{path}: expected a model of Sensorium 2022 whose positions follow from the cortex (mu_transform), "
            "found another"
        )
    shifter = state.get(places.get("readouts.0.mlp.0.bias", ""))
    config: dict[str, Any] = {
        "readout_outputs": tuple(count[0] for count in counts),
        "channels": first[0],
        "layers": sum(f"core.features.layer{index}.norm.weight" in state for index in range(MOST_LAYERS)),
        "input_kernel": first[2],
        "behavior": first[1] > 1,
        "shifter": 0 if shifter is None else math.prod(shifter.size),
        "position_features": mapped.size[0] if mapped.size else 0,
        "temporal_kernel": ADDED_KERNEL,
    }
    if hidden is not None and len(hidden.size) == len(first):
        config["hidden_kernel"] = hidden.size[2]
    canvas, windows = check_fit(path, STATIC_KIND, config, {"rows": 36, "columns": 64}, STATIC_WINDOWS)
    neurons = list(config["readout_outputs"])
    shapes = {name: state[place].size for name, place in places.items()}
    gains = {f"readouts.{index}.gain": (count,) for index, count in enumerate(neurons)}
    found = StoredEncoder(
        path,
        STATIC_KIND,
        config,
        neurons,
        mice,
        lambda name: torch.ones(gains[name]) if name in gains else _tensor(state[places[name]]),
        {**shapes, **gains},
        canvas=canvas,
        windows=windows,
        provenance=dict(STATIC_PROVENANCE),
    )
    found.check_weights()
    config["linear"] = _is_linear(found, config["layers"])
    return found


def _is_linear(stored: StoredEncoder, layers: int) -> bool:
    """Whether the core has no nonlinearity, which the file does not say: by the means that its layers kept."""
    # Without one, a layer's mean is the layer of the mean before it, which the batch norm there gives as its bias.
    for index in range(1, layers):
        before, here = f"core.features.layer{index - 1}.norm.", f"core.features.layer{index}."
        mixed, space, out = (
            stored.tensor(f"{here}ds_conv.{name}.weight").double()
            for name in ("in_depth_conv", "spatial_conv", "out_depth_conv")
        )
        mean = F.linear(stored.tensor(f"{before}bias").double(), mixed.flatten(1))
        expected = F.linear(space.flatten(1).sum(1) * mean, out.flatten(1))
        kept = stored.tensor(f"{here}norm.running_mean").double()
        if float((expected - kept).square().sum()) > NEAR_LINEAR * float(kept.square().sum()):
            return False
    return True


def _tensor(stored: StoredTensor) -> torch.Tensor:
    array = stored.array()
    if stored.kind == "BFloat16":
        return torch.from_numpy(array.view("i2")).view(torch.bfloat16)
    return torch.from_numpy(array)
