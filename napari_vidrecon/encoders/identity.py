"""Who an encoder is: what tells it from every other, and the card that it is shared with."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence, Set
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.encoders.stored_encoder import StoredEncoder
from napari_vidrecon.errors import ConfigError, one_line

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


CARD_FILE, WEIGHTS_FILE = "README.md", "encoder.safetensors"
LONGEST_VALUE = 300
MOST_MICE = 12


def model_card(stored: StoredEncoder, name: str, licence: str, terms: Sequence[str] = ()) -> str:
    """The card of an encoder, in Markdown with the header that the hub reads.

    Parameters
    ----------
    stored
        The encoder.
    name
        "owner/name" on the hub.
    licence
        How others may use the weights, e.g. "mit"; empty: as the encoder itself says.
    terms
        Of the recordings that it was trained on, a line each.

    Returns
    -------
    str
        Text of the file README.md.

    Raises
    ------
    ConfigError
        Nobody says how it may be used.
    """
    licence = (licence or str(stored.provenance.get("licence", ""))).strip()
    if not licence:
        raise ConfigError(
            f"--licence: expected how others may use {stored.path.name}, e.g. mit or cc-by-nc-nd-4.0, found nothing; "
            "the encoder itself does not say"
        )
    mice = [f"{neurons} neurons" + (f" ({each})" if each else "") for neurons, each in _readouts(stored)]
    others = [one_line(each, 60) for each in stored.learned_from if each not in stored.mice]
    kind = "semi-real" if stored.provenance.get("semi_real") is True else "simulated"
    made = f", {kind}" if stored.provenance.get("simulated") is True else ""
    facts = {
        "architecture": stored.architecture,
        "mice": "; ".join(mice) + made,
        **({"its core or a teacher learned from": "; ".join(others[:MOST_MICE])} if others else {}),
        "movie": f"{stored.canvas['rows']} x {stored.canvas['columns']} pixels of the encoder's own, "
        f"{stored.frame_rate_hz:g} Hz, {stored.windows['size']} frames at once",
        "correlation of single trials, held out": stored.provenance.get("validation_correlation", "not measured"),
        "steps of the training": stored.provenance.get("steps_done", "not told"),
        "licence of the weights": licence,
        "cite": stored.provenance.get("citation", "the authors of this page, and napari-vidrecon"),
        **{f"terms of the recordings, {number}": text for number, text in enumerate(terms, 1)},
    }
    rows = "\n".join(f"| {what} | {_cell(value)} |" for what, value in facts.items())
    return f"""---
license: {_header(licence)}
library_name: napari-vidrecon
tags:
- neuroscience
- visual-cortex
- neural-encoding-model
---

# {_cell(name)}

A dynamic neural encoding model: it predicts the activity of neurons of the visual cortex from a movie and behaviour.
With napari-vidrecon the movie is reconstructed from activity (Bauer, Margrie & Clopath, doi 10.7554/eLife.105081).

| | |
|---|---|
{rows}

```
vidrecon download hf:{name}
vidrecon info vidrecon_data/encoders/{file_name(name)}
```
"""


def file_name(name: str, file: str = WEIGHTS_FILE) -> str:
    """What the weights of "owner/name" are called where they are downloaded."""
    return f"{name.replace('/', '--')}-{file}"


def _readouts(stored: StoredEncoder) -> list[tuple[int, str]]:
    found = list(zip(stored.neurons, (one_line(mouse, 60) for mouse in stored.mice), strict=True))
    return found[:MOST_MICE]


def _cell(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else one_line(str(value), LONGEST_VALUE)
    # What comes from a file is text of a table, neither markup nor a link.
    return "".join(f"\\{letter}" if letter in r"\|`*_[]<>#!" else letter for letter in text)


def _header(licence: str) -> str:
    """The hub knows licences by short names; of any other it is told that there is one."""
    plain = licence.replace("-", "").replace(".", "")
    return licence.lower() if plain.isascii() and plain.isalnum() else "other"
