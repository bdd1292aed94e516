"""What tells one encoder from every other: the file it was read from, or else its weights themselves."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Set
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from napari_vidrecon.encoders.encoder import Encoder

DEEPEST = 20
"""Levels of nesting that are looked into."""
OF_A_MODULE = frozenset(vars(nn.Module()))
"""Attributes that torch keeps of every module: its parts, buffers and hooks."""
PLAIN = (bool, int, float, complex, str, bytes, Path, torch.dtype, torch.device, np.generic, Enum)
NOT_OF_THE_WEIGHTS = ("spec", "device", "memory_limit")


class _Unknown(Exception):
    """Something that cannot be told from another of its kind."""


def identity(encoder: Encoder) -> str:
    """Hash of an encoder's file where it is still what the file held, else of its weights.

    Returns
    -------
    str
        Hexadecimal; for an encoder that hides what it computes with, a text that no other call ever gives, so that
        nothing made with it is taken for something made before.
    """
    weights = weights_hash(encoder)
    if encoder.spec.sha256 and weights == encoder.spec.weights:
        return encoder.spec.sha256
    return weights or f"unknown {uuid.uuid4().hex}"


def weights_hash(encoder: Encoder) -> str:
    """SHA-256 of all that an encoder computes with; empty where that cannot be seen."""
    digest = hashlib.sha256()
    module = getattr(encoder, "module", None)
    try:
        if isinstance(module, nn.Module):
            # What a `WindowEncoder` keeps besides is made of its module.
            _take(digest, [module, getattr(encoder, "neutral_behavior", None)], DEEPEST)
        else:
            known = {name: value for name, value in vars(encoder).items() if name not in NOT_OF_THE_WEIGHTS}
            _take(digest, [_name(encoder), known], DEEPEST)
    except (_Unknown, TypeError):
        return ""
    return digest.hexdigest()


def _take(digest: Any, value: Any, deeper: int) -> None:
    """Add a value to the digest; raises `_Unknown` for one whose content cannot be seen."""
    if deeper < 0:
        raise _Unknown
    if value is None or isinstance(value, PLAIN):
        digest.update(f"{type(value).__name__} {value!r};".encode())
    elif isinstance(value, torch.Tensor):
        told = value.detach().to("cpu").contiguous()
        digest.update(f"tensor {told.dtype} {tuple(told.shape)};".encode())
        digest.update(told.flatten().view(torch.uint8).numpy().data if told.numel() else b"")
    elif isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise _Unknown
        digest.update(f"array {value.dtype} {value.shape};".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, nn.Module):
        _take_module(digest, value, deeper)
    elif isinstance(value, Mapping):
        digest.update(b"mapping;")
        for name, part in value.items():
            _take(digest, name, deeper - 1)
            _take(digest, part, deeper - 1)
    elif isinstance(value, (list, tuple)):
        digest.update(f"sequence {len(value)};".encode())
        for part in value:
            _take(digest, part, deeper - 1)
    elif isinstance(value, Set):
        _take(digest, sorted(value, key=repr), deeper - 1)
    elif isinstance(value, type):
        digest.update(f"class {value.__module__}.{value.__qualname__};".encode())
    elif hasattr(value, "__dict__") and not callable(value):
        digest.update(_name(value).encode())
        _take(digest, vars(value), deeper - 1)
    else:
        raise _Unknown


def _take_module(digest: Any, module: nn.Module, deeper: int) -> None:
    digest.update(_name(module).encode())
    _take(digest, dict(module.state_dict()), deeper - 1)
    for name, part in module.named_modules():
        # A number that is no parameter decides as much; what begins with an underscore is prepared on the way.
        own = {key: each for key, each in vars(part).items() if key not in OF_A_MODULE and not key.startswith("_")}
        digest.update(f"{name} {_name(part)};".encode())
        _take(digest, own, deeper - 1)


def _name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
