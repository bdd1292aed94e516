"""Where encoders run: the device for a name, and how much of its memory they may take."""

from __future__ import annotations

import functools
import logging

import torch

from napari_vidrecon.errors import EncoderError

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
        return _fastest_device()
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError):
        raise EncoderError(f'device "{device}": not there on this machine; use "auto" or "cpu"') from None
    return chosen


@functools.cache
def _fastest_device() -> torch.device:
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
