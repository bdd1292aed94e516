"""What a session says about itself: tiers, neurons, notes of a simulation, and its fingerprint."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions.trial_files import open_array

TIERS_FILE = "meta/trials/tiers.npy"
NEURON_IDS_FILE = "meta/neurons/unit_ids.npy"
COORDINATES_FILE = "meta/neurons/cell_motor_coordinates.npy"
SIMULATION_FILE = "simulation.json"
MAXIMUM_SIMULATION_BYTES = 50_000_000
SMALL_FILE_BYTES = 1_000_000


def read_tiers(session: Path) -> dict[int, str]:
    """Tier of every trial, by trial id, ascending.

    Raises
    ------
    SessionError : the file is missing, damaged, empty, or not a list of words.
    """
    file = session / TIERS_FILE
    tiers = open_array(file)
    if tiers.ndim != 1 or tiers.dtype.kind not in "US" or tiers.size == 0:
        raise SessionError(
            f"{file}: expected one tier name a trial, found {tiers.dtype} of shape {tiers.shape}; "
            "store a one-dimensional array of unicode text"
        )
    try:
        names = tiers.astype(str).tolist()
    except (UnicodeDecodeError, ValueError):
        raise SessionError(f"{file}: expected one tier name a trial, found bytes that are no text") from None
    return dict(enumerate(names))


def read_neuron_ids(session: Path) -> np.ndarray:
    """Identifiers of the neurons, (N,) integers.

    Raises
    ------
    SessionError : the file is missing, damaged, empty, or not a list of integers.
    """
    file = session / NEURON_IDS_FILE
    ids = open_array(file)
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or ids.size == 0:
        raise SessionError(f"{file}: expected one integer a neuron, found {ids.dtype} of shape {ids.shape}")
    return np.array(ids)


def read_coordinates(session: Path, neurons: int) -> np.ndarray | None:
    """Position of the neurons in cortex, (N, 3) float32 [x, y, z] in µm, or None if there are none.

    Raises
    ------
    SessionError : the file is damaged, or does not fit the neurons.
    """
    file = session / COORDINATES_FILE
    if not file.exists():
        return None
    coordinates = open_array(file)
    if coordinates.shape != (neurons, 3) or coordinates.dtype.kind not in "fiu":
        raise SessionError(
            f"{file}: expected x, y and z of {neurons} neurons, shape ({neurons}, 3), "
            f"found {coordinates.dtype} of shape {coordinates.shape}"
        )
    return np.array(coordinates, dtype=np.float32)


def read_simulation(session: Path) -> dict[str, Any] | None:
    """Notes of the simulation that made the session, or None for a recording.

    Raises
    ------
    SessionError : the file is there but is not a JSON object.
    """
    file = session / SIMULATION_FILE
    try:
        if file.stat().st_size > MAXIMUM_SIMULATION_BYTES:
            raise SessionError(f"{file}: expected notes below {MAXIMUM_SIMULATION_BYTES // 10**6} MB, found more")
        notes = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise SessionError(f"{file}: expected a JSON object, found a file that cannot be read ({error})") from None
    if not isinstance(notes, dict):
        raise SessionError(f"{file}: expected a JSON object, found {type(notes).__name__}")
    return notes


def folder_fingerprint(session: Path) -> str:
    """SHA-256, as hexadecimal, over names and sizes of all files and the content of small ones outside data.

    Raises
    ------
    SessionError : a file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        for name, size in sorted(_files_below(session, "")):
            digest.update(f"{name}\0{size}\n".encode(errors="surrogateescape"))
            if size <= SMALL_FILE_BYTES and not name.startswith(("data/", "meta/statistics/")):
                digest.update((session / name).read_bytes())
    except OSError as error:
        raise SessionError(f"{session}: expected readable files, found {error}; check the permissions") from None
    return digest.hexdigest()


def _files_below(folder: Path, prefix: str) -> Iterator[tuple[str, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _files_below(Path(entry.path), f"{prefix}{entry.name}/")
            else:
                yield f"{prefix}{entry.name}", entry.stat().st_size
