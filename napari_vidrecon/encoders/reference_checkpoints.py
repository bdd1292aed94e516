"""Reference checkpoints (`.pth`): rebuilt by constructors of this program from plain values and tensors."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_vidrecon.encoders.description import check_fit
from napari_vidrecon.encoders.stored_encoder import StoredEncoder
from napari_vidrecon.errors import EncoderError, one_line
from napari_vidrecon.storage import open_regular, reading
from napari_vidrecon.storage.impostors import check_genuine
from napari_vidrecon.storage.pickles import ForbiddenObject
from napari_vidrecon.storage.torch_files import StoredTensor, read_torch_file

EXPECTED = "a checkpoint in torch's format"
KIND = "dwiseneuro"
MOST_VALUES = 10_000
SURPLUS_BYTES = 16 << 20


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
        Missing, damaged, no DwiseNeuro, or holding anything else than data.
    """
    with open_regular(path, "an encoder file (.pth or .safetensors)", EncoderError) as file:
        size = os.fstat(file.fileno()).st_size
        check_genuine(path, file, EXPECTED, EncoderError)
        with reading(path, EncoderError, EXPECTED):
            try:
                stored = read_torch_file(file, size)
            except ForbiddenObject as found:
                raise EncoderError(
                    f"{path}: expected only tensors and plain values, found objects that could run code "
                    f"({one_line(found, 120)}); it was not opened"
                ) from None
    if not isinstance(stored, dict) or not {"params", "nn_state_dict"} <= stored.keys():
        raise EncoderError(f"{path}: expected a checkpoint with `params` and `nn_state_dict`, found none in it")
    return _described(path, size, *_parts(path, stored))


def _parts(path: Path, stored: dict[str, Any]) -> tuple[Any, dict[str, StoredTensor]]:
    state = stored["nn_state_dict"]
    if not isinstance(state, dict) or not all(isinstance(each, StoredTensor) for each in state.values()):
        raise EncoderError(f"{path}: its `params` do not describe a DwiseNeuro: its weights are no tensors")
    if not all(isinstance(name, str) for name in state):
        raise EncoderError(f"{path}: its `params` do not describe a DwiseNeuro: its weights have no names")
    try:
        return _plain(stored["params"], [MOST_VALUES]), state
    except (TypeError, ValueError, RecursionError):
        raise EncoderError(f"{path}: its `params` do not describe a DwiseNeuro: they hold more than values") from None


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
    # Tensors may share their bytes; together they must not stand for more than the file has.
    claimed = sum(math.prod(each.size) * each.stored.values.itemsize for each in state.values())
    if claimed > size + SURPLUS_BYTES:
        raise EncoderError(f"{path}: its weights claim {claimed:,} bytes, more than the file has")
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


def _tensor(stored: StoredTensor) -> torch.Tensor:
    array = stored.array()
    if stored.kind == "BFloat16":
        return torch.from_numpy(array.view("i2")).view(torch.bfloat16)
    return torch.from_numpy(array)
