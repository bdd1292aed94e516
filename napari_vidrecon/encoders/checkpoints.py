"""Encoder files (reference checkpoints, rebuilt from plain values and tensors, and safetensors), loaded to a device."""

from __future__ import annotations

import functools
import json
import logging
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from napari_vidrecon.encoders.architecture import build_module, config_values
from napari_vidrecon.encoders.encoder import Canvas, EncoderSpec
from napari_vidrecon.encoders.identity import weights_hash
from napari_vidrecon.encoders.reference_checkpoints import read_reference
from napari_vidrecon.encoders.stored_encoder import FORMAT, StoredEncoder, check_fit, read_encoder_description
from napari_vidrecon.encoders.window_encoder import WindowEncoder
from napari_vidrecon.encoders.windows import FrameWindows
from napari_vidrecon.errors import EncoderError
from napari_vidrecon.sessions.session_statistics import MovieStatistics
from napari_vidrecon.settings import shown, whole_number
from napari_vidrecon.storage import check_regular, file_hash, read_description, reading, replacing_file, user_path

__all__ = [
    "FORMAT",
    "StoredEncoder",
    "convert_checkpoint",
    "file_hash",
    "load_encoder",
    "read_encoder_file",
    "save_encoder",
]

MOST_GIB = 1 << 20


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
    path
        A reference checkpoint (`.pth`, `.pt`) or one of our `.safetensors` files.
    mouse
        Index or name of the readout; may be left out where there is only one, or `neurons` decides.
    device
        "auto", "cpu", "cuda", "mps", ...
    neurons
        Neuron count of the recording; chooses the readout where exactly one fits.
    precision
        "float32"; "tf32": fused kernels on a CUDA device, its numbers in float32 and its matrix products in TF32;
        "bfloat16". Both only where its gradient stays what it is, which is checked; a line says so where it does not.
    memory_gib
        What windows at once may take of the device's memory, GiB; None for a part of what is free.

    Returns
    -------
    WindowEncoder
        Its weights are frozen; gradients go to the movie.

    Raises
    ------
    EncoderError
        Missing, damaged, not an encoder, holding code, or without that readout; no such device.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> encoder = vr.load_encoder(vr.find_sample().encoders[0], device="cpu")
    >>> encoder.spec.neurons
    1000
    """
    path = user_path(path)
    if not isinstance(precision, str) or precision not in ("float32", "tf32", "bfloat16"):
        raise EncoderError(f"precision {shown(precision)}: expected float32, tf32 or bfloat16")
    # Not more than any machine has; a limit of NaN would be none.
    if memory_gib is not None and (
        isinstance(memory_gib, bool) or not isinstance(memory_gib, Real) or not 0 < memory_gib <= MOST_GIB
    ):
        raise EncoderError(f"memory: expected more than 0 GiB, found {shown(memory_gib)}")
    if mouse is not None and not isinstance(mouse, str):
        whole_number(mouse, "mouse")
    stored = read_encoder_file(path)
    index = stored.choose(mouse, neurons)
    module = stored.module(index)
    spec = EncoderSpec(
        name=path.name,
        architecture=stored.architecture,
        neurons=stored.neurons[index],
        mouse=stored.mice[index],
        canvas=Canvas(**stored.canvas),
        windows=FrameWindows(**stored.windows),
        frame_rate_hz=stored.frame_rate_hz,
        causal=module.causal,
        sha256=file_hash(path),
        provenance=stored.provenance,
        path=str(path.absolute()),
        readout=mouse,
    )
    neutral = stored.neutral_behavior(index)
    encoder = WindowEncoder(module, spec, choose_device(device), None if neutral is None else np.array(neutral))
    movies = stored.provenance.get("movies")
    encoder.movies = None if movies is None else MovieStatistics(**movies)
    encoder.spec = replace(spec, weights=weights_hash(encoder))
    if memory_gib is not None:
        encoder.memory_limit = int(memory_gib * BYTES_A_GIB)
        bound_memory(encoder.device, encoder.memory_limit)
    if precision == "bfloat16":
        encoder.use_bfloat16()
    elif precision == "tf32":
        encoder.use_tf32()
    return encoder


def read_encoder_file(path: Path | str) -> StoredEncoder:
    """What an encoder file says of itself and of all its readouts, before one is bound.

    Returns
    -------
    StoredEncoder
        Its tensors are read when they are asked for.

    Raises
    ------
    EncoderError
        Missing, damaged, not an encoder, or holding code.
    """
    path = user_path(path)
    check_regular(path, "an encoder file (.pth or .safetensors)", EncoderError)
    # A download is opened before it has its name.
    is_safe = path.name.removesuffix(".part").endswith(".safetensors")
    return _read_safetensors(path) if is_safe else read_reference(path)


def _read_safetensors(path: Path) -> StoredEncoder:
    described = read_encoder_description(path, read_description(path, EncoderError, "an encoder file"))
    config = {name: tuple(value) if isinstance(value, list) else value for name, value in described.config.items()}
    canvas, windows = check_fit(path, described.architecture, config, described.canvas, described.windows)
    with reading(path, EncoderError, "an encoder file"):
        file = safe_open(str(path), framework="pt")
        # Not a dict: it has keys and no length.
        shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    return StoredEncoder(
        path,
        described.architecture,
        config,
        list(config["readout_outputs"]),
        described.mice,
        file.get_tensor,
        shapes,
        canvas=canvas,
        windows=windows,
        frame_rate_hz=described.frame_rate_hz,
        provenance=described.provenance,
    )


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
    check: bool = False,
) -> None:
    """Write an encoder with all its readouts to one safetensors file.

    Parameters
    ----------
    path
        The `.safetensors` file; replaced only once the new one is complete.
    module
        The module whose `config` describes it.
    architecture
        Its name in the registry, e.g. "compact".
    mice
        A name for each readout.
    canvas
        The pixel grid it works on.
    windows
        The frames it sees at once.
    frame_rate_hz
        Rate of the movies it was trained on.
    provenance
        Plain values: how it was trained, licence, citation.
    state
        Weights to store instead of the module's own (averaged ones, say).
    check
        Load what was written before it takes its place.

    Raises
    ------
    EncoderError
        What was written does not load; nothing is left of it.
    """
    described = {
        "format": FORMAT,
        "architecture": architecture,
        "config": config_values(module.config),
        "mice": mice,
        "canvas": canvas.stored,
        "windows": {"size": windows.size, "step": windows.step},
        "frame_rate_hz": frame_rate_hz,
        "provenance": provenance or {},
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in (state or module.state_dict()).items()}
    with replacing_file(path) as temporary:
        save_file(tensors, str(temporary), metadata={"vidrecon": json.dumps(described)})
        if check:
            _read_safetensors(temporary).module()


def convert_checkpoint(source: Path | str, destination: Path | str) -> None:
    """Turn a reference checkpoint, with all its readouts, into a safetensors file.

    Raises
    ------
    EncoderError
        The source is not a checkpoint that can be read safely.
    """
    source = user_path(source)
    stored = read_reference(source)
    stored.check_weights()
    with torch.device("meta"):
        # Only its sizes are asked for; the weights come from the file.
        module = build_module(source, stored.architecture, stored.config)
    save_encoder(
        destination,
        module,
        architecture=stored.architecture,
        mice=stored.mice,
        canvas=Canvas(**stored.canvas),
        windows=FrameWindows(**stored.windows),
        provenance={**stored.provenance, "converted_from_sha256": file_hash(source)},
        state={key: stored.tensor(key) for key in stored.keys},
        check=True,
    )


BYTES_A_GIB = 1 << 30
logger = logging.getLogger(__name__)


def choose_device(device: str = "auto") -> torch.device:
    """The torch device for a name; "auto" takes CUDA, then MPS, then the CPU, and says so once if it is the CPU.

    Returns
    -------
    torch.device
        There, and usable.

    Raises
    ------
    EncoderError
        The device is not there.
    """
    if not isinstance(device, (str, torch.device)):
        raise EncoderError(f"device: expected a name like auto, cpu or cuda, found {type(device).__name__}")
    if device == "auto":
        return fastest_device()
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError):
        raise EncoderError(f'device "{device}": not there on this machine; use "auto" or "cpu"') from None
    return chosen


@functools.cache
def fastest_device() -> torch.device:
    """CUDA, MPS or the CPU; what is there, and also works."""
    for name, there in (("cuda", torch.cuda.is_available), ("mps", torch.backends.mps.is_available)):
        if not there():
            continue
        try:
            torch.ones(1, device=name).add_(1.0).cpu()
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            logger.warning("the GPU does not work (%s); computing on the CPU", reason)
            return torch.device("cpu")
        return torch.device(name)
    logger.warning("no GPU found; computing on the CPU")
    return torch.device("cpu")


def bound_memory(device: torch.device, limit_bytes: int) -> None:
    """Let torch take no more than so much of a CUDA device's memory in this process.

    Beyond it torch says that it is out of memory, and chunks get smaller. On other devices only the choice of the
    chunk keeps to a limit.
    """
    if device.type == "cuda":
        _, total = torch.cuda.mem_get_info(device)
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit_bytes / total), device)
