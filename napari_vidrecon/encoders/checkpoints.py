"""Encoder files: reference checkpoints (`.pth`, read without unpickling objects) and our safetensors."""

from __future__ import annotations

import hashlib
import json
import pickle
import struct
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from napari_vidrecon.encoders.compact import Compact, CompactConfig
from napari_vidrecon.encoders.devices import BYTES_A_GIB, bound_memory, choose_device
from napari_vidrecon.encoders.dwiseneuro import DwiseNeuro, DwiseNeuroConfig
from napari_vidrecon.encoders.encoder import Canvas, EncoderSpec
from napari_vidrecon.encoders.factorised import Factorised, FactorisedConfig
from napari_vidrecon.encoders.window_encoder import WindowEncoder
from napari_vidrecon.encoders.windows import FrameWindows
from napari_vidrecon.errors import EncoderError
from napari_vidrecon.storage import replacing_file

FORMAT = "napari-vidrecon encoder 1"
HASH_BLOCK_BYTES = 1 << 20


def load_encoder(
    path: Path | str,
    mouse: int | str | None = None,
    device: str = "auto",
    *,
    neurons: int | None = None,
    precision: str = "float32",
    memory_gib: float | None = None,
) -> WindowEncoder:
    """Open an encoder file and bind it to one mouse's readout.

    Parameters
    ----------
    path : a reference checkpoint (`.pth`, `.pt`) or one of our `.safetensors` files.
    mouse : index or name of the readout; may be left out where there is only one, or `neurons` decides.
    device : "auto", "cpu", "cuda", "mps", ...
    neurons : neuron count of the recording; chooses the readout where exactly one fits.
    precision : "float32", or "bfloat16" if its gradient keeps its direction in it, which is checked; a line says
        so where it does not.
    memory_gib : what windows at once may take of the device's memory, GiB; None for a part of what is free.

    Raises
    ------
    EncoderError : missing, damaged, not an encoder, holding code, or without that readout; no such device.
    """
    path = Path(path)
    if precision not in ("float32", "bfloat16"):
        raise EncoderError(f"precision {precision!r}: expected float32 or bfloat16")
    stored = read_encoder_file(path)
    index = stored.choose(mouse, neurons)
    state = stored.state(index)
    module = ARCHITECTURES[stored.architecture]({**stored.config, "readout_outputs": (stored.neurons[index],)})
    try:
        module.load_state_dict(state, strict=True)
    except RuntimeError as error:
        lines = str(error).splitlines()
        raise EncoderError(f"{path}: its weights do not fit its own description: {lines[-1].strip()}") from None
    finite = all(bool(value.isfinite().all()) for value in state.values() if value.is_floating_point())
    if not finite:
        raise EncoderError(f"{path}: expected finite weights, found NaN or Inf; the file is damaged")
    spec = EncoderSpec(
        name=path.name,
        architecture=stored.architecture,
        neurons=stored.neurons[index],
        mouse=stored.mice[index],
        canvas=Canvas(**stored.canvas),
        windows=FrameWindows(**stored.windows),
        frame_rate_hz=stored.frame_rate_hz,
        sha256=file_hash(path),
        provenance=stored.provenance,
    )
    neutral = stored.provenance.get("neutral_behavior")
    encoder = WindowEncoder(module, spec, choose_device(device), None if neutral is None else np.array(neutral))
    if memory_gib is not None:
        if memory_gib <= 0:
            raise EncoderError(f"memory: expected more than 0 GiB, found {memory_gib:g}")
        encoder.memory_limit = int(memory_gib * BYTES_A_GIB)
        bound_memory(encoder.device, encoder.memory_limit)
    if precision == "bfloat16":
        encoder.use_bfloat16()
    return encoder


def read_encoder_file(path: Path | str) -> StoredEncoder:
    """What an encoder file says of itself and of all its readouts, before one is bound.

    Raises
    ------
    EncoderError : missing, damaged, not an encoder, or holding code.
    """
    path = Path(path)
    if path.is_dir() or not path.exists():
        found = "a folder" if path.is_dir() else "nothing there"
        raise EncoderError(f"{path}: expected an encoder file (.pth or .safetensors), found {found}")
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_reference(path)


def file_hash(path: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


class StoredEncoder:
    """What an encoder file says, before any readout is bound: one entry of `neurons` and `mice` a readout."""

    def __init__(
        self,
        path: Path,
        architecture: str,
        config: dict[str, Any],
        neurons: list[int],
        mice: list[str],
        tensor: Callable[[str], torch.Tensor],
        keys: list[str],
        *,
        canvas: dict[str, int],
        windows: dict[str, int],
        frame_rate_hz: float = 30.0,
        provenance: dict[str, Any] | None = None,
    ) -> None:
        self.path, self.architecture, self.config = path, architecture, config
        self.neurons, self.mice, self.tensor, self.keys = neurons, mice, tensor, keys
        self.canvas, self.windows, self.frame_rate_hz = canvas, windows, frame_rate_hz
        self.provenance = provenance or {}

    def choose(self, mouse: int | str | None, neurons: int | None) -> int:
        """Index of the readout asked for; the only one, or the only one with `neurons`, if none is."""
        listed = ", ".join(
            f"{index}: {count} neurons" + (f" ({name})" if name else "")
            for index, (count, name) in enumerate(zip(self.neurons, self.mice, strict=True))
        )
        if isinstance(mouse, str):
            if mouse in self.mice:
                return self.mice.index(mouse)
            raise EncoderError(f"{self.path}: expected a readout named {mouse}, found {listed}")
        if mouse is not None:
            if 0 <= mouse < len(self.neurons):
                return mouse
            raise EncoderError(f"{self.path}: expected a readout of mouse index {mouse}, found {listed}")
        if len(self.neurons) == 1:
            return 0
        fitting = [index for index, count in enumerate(self.neurons) if count == neurons]
        if len(fitting) == 1:
            return fitting[0]
        wanted = "one readout" if neurons is None else f"exactly one readout of {neurons} neurons"
        raise EncoderError(f"{self.path}: expected {wanted}, found {listed}; choose with the mouse index")

    def state(self, index: int) -> dict[str, torch.Tensor]:
        """State dict of a module with only readout `index`; other readouts are never read."""
        mine = f"readouts.{index}."
        state = {}
        for key in self.keys:
            if key.startswith(mine):
                state["readouts.0." + key.removeprefix(mine)] = self.tensor(key)
            elif not key.startswith("readouts."):
                state[key] = self.tensor(key)
        return state


def _read_reference(path: Path) -> StoredEncoder:
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, ValueError, EOFError, OSError):
        try:
            stored = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise _not_safe(path, error) from None
        except (RuntimeError, ValueError, EOFError, OSError, KeyError, IndexError, AttributeError, TypeError):
            raise EncoderError(
                f"{path}: expected a checkpoint in torch's format, found something else, or a truncated file"
            ) from None
    except pickle.UnpicklingError as error:
        raise _not_safe(path, error) from None
    except (KeyError, IndexError, AttributeError, TypeError, struct.error):
        raise EncoderError(f"{path}: expected a checkpoint in torch's format, found a damaged file") from None
    if not isinstance(stored, dict) or not {"params", "nn_state_dict"} <= stored.keys():
        raise EncoderError(f"{path}: expected a checkpoint with `params` and `nn_state_dict`, found none in it")
    try:
        params, state = stored["params"], stored["nn_state_dict"]
        kind, config = params["nn_module"]
        config = {name: tuple(v) if isinstance(v, list) else v for name, v in config.items()}
        neurons = [int(n) for n in config["readout_outputs"]]
        rows, columns = params.get("inputs_processor", ("", {}))[1].get("size", (64, 64))
        stack = params.get("frame_stack", {"size": 16, "step": 2})
        if kind != "dwiseneuro":
            raise EncoderError(f"{path}: expected a DwiseNeuro checkpoint, found {kind!r}")
        if not all(isinstance(value, torch.Tensor) for value in state.values()):
            raise TypeError
        return StoredEncoder(
            path,
            kind,
            config,
            neurons,
            [""] * len(neurons),
            state.__getitem__,
            list(state),
            canvas={"rows": int(rows), "columns": int(columns)},
            windows={"size": int(stack["size"]), "step": int(stack["step"])},
            provenance={"citation": "Baikulov 2023, doi 10.5281/zenodo.10155151"},
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise EncoderError(f"{path}: its `params` do not describe a DwiseNeuro") from None


def _not_safe(path: Path, error: Exception) -> EncoderError:
    reason = str(error)
    if "Unsupported" in reason or "GLOBAL" in reason:
        return EncoderError(
            f"{path}: expected only tensors and plain values, found objects that could run code; it was not opened"
        )
    return EncoderError(f"{path}: expected a checkpoint in torch's format, found something else")


def _read_safetensors(path: Path) -> StoredEncoder:
    try:
        file = safe_open(str(path), framework="pt")
        described = json.loads((file.metadata() or {}).get("vidrecon", "null"))
    except (SafetensorError, json.JSONDecodeError, OSError, UnicodeDecodeError) as error:
        raise EncoderError(f"{path}: expected a safetensors file, found a damaged one ({error})") from None
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        told = described.get("format") if isinstance(described, dict) else None
        found = "other tensors" if told is None else f"a file of the format '{told}'"
        raise EncoderError(f"{path}: expected an encoder of this program, found {found}")
    if described.get("architecture") not in ARCHITECTURES:
        raise EncoderError(f"{path}: its architecture {described.get('architecture')!r} is unknown to this version")
    try:
        return StoredEncoder(
            path,
            described["architecture"],
            {k: tuple(v) if isinstance(v, list) else v for k, v in described["config"].items()},
            [int(n) for n in described["config"]["readout_outputs"]],
            [str(name) for name in described["mice"]],
            file.get_tensor,
            list(file.keys()),
            canvas=described["canvas"],
            windows=described["windows"],
            frame_rate_hz=float(described["frame_rate_hz"]),
            provenance=described["provenance"],
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise EncoderError(f"{path}: its description is incomplete") from None


def save_encoder(
    path: Path | str,
    module: nn.Module,
    *,
    architecture: str,
    mice: list[str],
    canvas: Canvas,
    windows: FrameWindows,
    frame_rate_hz: float = 30.0,
    provenance: dict[str, Any] | None = None,
    state: dict[str, torch.Tensor] | None = None,
) -> None:
    """Write an encoder with all its readouts to one safetensors file.

    Parameters
    ----------
    path : the `.safetensors` file; replaced only once the new one is complete.
    module : the module whose `config` describes it.
    mice : a name for each readout.
    state : weights to store instead of the module's own (averaged ones, say).
    provenance : plain values: how it was trained, licence, citation.
    """
    described = {
        "format": FORMAT,
        "architecture": architecture,
        "config": module.config.as_dict(),  # type: ignore[union-attr, operator]
        "mice": mice,
        "canvas": asdict(canvas),
        "windows": {"size": windows.size, "step": windows.step},
        "frame_rate_hz": frame_rate_hz,
        "provenance": provenance or {},
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in (state or module.state_dict()).items()}
    with replacing_file(path) as temporary:
        save_file(tensors, str(temporary), metadata={"vidrecon": json.dumps(described)})


def convert_checkpoint(source: Path | str, destination: Path | str) -> None:
    """Turn a reference checkpoint, with all its readouts, into a safetensors file.

    Raises
    ------
    EncoderError : the source is not a checkpoint that can be read safely.
    """
    stored = _read_reference(Path(source))
    module = ARCHITECTURES[stored.architecture](stored.config)
    save_encoder(
        destination,
        module,
        architecture=stored.architecture,
        mice=stored.mice,
        canvas=Canvas(**stored.canvas),
        windows=FrameWindows(**stored.windows),
        provenance={**stored.provenance, "converted_from_sha256": file_hash(Path(source))},
        state={key: stored.tensor(key) for key in stored.keys},
    )


ARCHITECTURES: dict[str, Callable[[dict[str, Any]], nn.Module]] = {
    "dwiseneuro": lambda config: DwiseNeuro(DwiseNeuroConfig(**config)),
    "compact": lambda config: Compact(CompactConfig(**config)),
    "factorised": lambda config: Factorised(FactorisedConfig(**config)),
}
