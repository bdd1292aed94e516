"""The run folder of a live session: it grows as frames come in, and opens at any moment, whoever is killed.

Chunks of frames are written in place: what is there of frames that count is only overwritten by the same. Only then are
the arrays said to be longer, each by a file that is swapped in at once. Should a kill leave arrays of different
lengths, the shortest counts (`run_folder.read_run`). It is a run from its first whole chunk on, or from its end.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_vidrecon.errors import RunError, StorageError, VidreconError
from napari_vidrecon.reconstruction.run_folder import (
    FORMAT,
    GROWING,
    OF_A_RUN,
    check_replaceable,
    read_attributes_of_run,
)
from napari_vidrecon.storage import check_inside, check_regular, disk_errors, parse_json, read_bytes, reading
from napari_vidrecon.storage.zarr_arrays import DESCRIPTION, LONGEST_ARRAY_DESCRIPTION_BYTES

CHUNK_FRAMES = 32
CHUNKS_IN_MEMORY = 24
SECONDS_BETWEEN_WRITES = 0.25
MOST_WAITING_FRAMES, LONGEST_HOLD_UP_S = 900, 5.0
"""Half a minute that a disk may hold up, and how long it is then waited for; then it is told."""
LONG_ARRAYS = ("video", "stimulus", "decoded", "target")
TIME_ARRAYS = {"live/number": "int64", "live/time_s": "float64", "live/latency_s": "float32", "live/kind": "uint8"}
SEEN, LATE, LOST = 0, 1, 2
"""What `live/kind` says of a frame: it came in time, it came after a later one, it was filled in."""


@dataclass(frozen=True)
class Block:
    """Frames of one array, to be written.

    Parameters
    ----------
    name
        Of the array.
    start
        First frame.
    values
        Frames first.
    """

    name: str
    start: int
    values: np.ndarray


@dataclass(frozen=True)
class Sizes:
    """Of a frame.

    Parameters
    ----------
    neurons
        Of its activity.
    size_px
        Rows and columns of its picture.
    """

    neurons: int
    size_px: tuple[int, int]

    def of(self, name: str, frames: int) -> tuple[int, ...]:
        """Shape of so many frames of an array, as it is on disk."""
        if name == "target":
            return (self.neurons, frames)
        return (frames,) if name in TIME_ARRAYS else (frames, *self.size_px)


class LiveRecord:
    """Writes what was seen, in a thread of its own, so that nobody waits for a disk.

    Parameters
    ----------
    path
        The run folder; one of the same session is gone on with.
    attributes
        Of the run, as `Reconstruction.save` writes them; `provenance` holds a `fingerprint`.
    alpha
        Of the mask.
    neurons
        Of the mouse.
    size_px
        Rows and columns of the movies.
    replace
        Another run that stands there is replaced; otherwise that is an error.

    Raises
    ------
    RunError
        Another run is there.
    StorageError
        Something else is there, or nothing can be written.
    """

    def __init__(
        self,
        path: Path,
        attributes: dict[str, Any],
        alpha: np.ndarray,
        neurons: int,
        size_px: tuple[int, int],
        *,
        replace: bool = False,
    ) -> None:
        self.path, self._attributes, self._sizes = path, attributes, Sizes(neurons, size_px)
        self._alpha = np.asarray(alpha)
        check_replaceable(path)
        _check_own(path)
        self._replaces = False
        self.told_before: dict[str, Any] = {}
        """Counts of the session that it goes on with."""
        self._began_s, self._seconds_before = time.monotonic(), 0.0
        self.frames = self._frames_there(replace)
        """How many are on disk."""
        self.first = self.frames
        """How many were there before."""
        self._waiting: list[Block] = []
        if 0 < self.frames < CHUNK_FRAMES:
            # Written anew, in whole chunks.
            names, self._replaces = (*LONG_ARRAYS, *TIME_ARRAYS), True
            self._waiting = [Block(name, 0, self._read(name, 0, self.frames)) for name in names]
            self.frames = 0
        self._waiting_frames, self._length = 0, self.first
        self._lock, self._news, self._stopping = threading.Lock(), threading.Event(), threading.Event()
        self._chunks: OrderedDict[tuple[str, int], np.ndarray] = OrderedDict()
        if self.frames:
            # What new frames go into has to be there, before any of it is changed.
            for name in (*LONG_ARRAYS, *TIME_ARRAYS):
                self._chunk(name, (self.frames - 1) // CHUNK_FRAMES)
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._write_until_stopped, name="live record", daemon=True)
        self._thread.start()

    def _frames_there(self, replace: bool) -> int:
        """How many frames of this very session are on disk."""
        if not os.path.lexists(self.path / DESCRIPTION):
            return 0
        try:
            with reading(self.path, RunError, "a live session"):
                return self._frames_of_this_session()
        except VidreconError:
            if not replace:
                raise
        self._replaces, self.told_before, self._seconds_before = True, {}, 0.0
        return 0

    def _frames_of_this_session(self) -> int:
        there, mine = read_attributes_of_run(self.path)["provenance"], self._attributes["provenance"]
        if not there.get("live") or there.get("fingerprint") != mine["fingerprint"]:
            raise RunError(
                f"{self.path}: expected this live session or nothing, found another run; give --overwrite to replace "
                "it, or another --out"
            )
        frames = min(_length(self.path, name, self._sizes) for name in (*LONG_ARRAYS, *TIME_ARRAYS))
        self.told_before, self._seconds_before = dict(there["live"]), float(there.get("wall_seconds") or 0.0)
        mine.update({name: there[name] for name in ("started", "session", "inputs") if name in there})
        return frames

    def write(self, blocks: list[Block], told: Mapping[str, Any]) -> None:
        """Write frames soon.

        Parameters
        ----------
        blocks
            Frames of every array where they are new; of some, where they are amended.
        told
            Counts of the session so far, for the provenance.

        Raises
        ------
        StorageError
            An earlier frame could not be written, or the disk does not keep up.
        """
        self._raise_fault()
        with self._lock:
            self._waiting += blocks
            provenance = self._attributes["provenance"]
            provenance["live"] = dict(told)
            provenance["wall_seconds"] = self._seconds_before + time.monotonic() - self._began_s
            if not told["truth_known"]:
                provenance["movie"] = False
            for each in blocks:
                if each.name == "video":
                    self._waiting_frames += len(each.values)
                    self._length = max(self._length, each.start + len(each.values))
        self._news.set()
        # Thousands of frames at once, as gaps are filled in, are no fault of the disk.
        until_s = time.monotonic() + LONGEST_HOLD_UP_S
        while self._waiting_frames > MOST_WAITING_FRAMES and self._fault is None and time.monotonic() < until_s:
            time.sleep(SECONDS_BETWEEN_WRITES / 10)
        if self._waiting_frames > MOST_WAITING_FRAMES:
            self._raise_fault()
            raise StorageError(f"{self.path}: the disk does not keep up with what comes in; choose another place")

    def close(self, attributes: Mapping[str, Any] | None = None) -> None:
        """Write what waits, and end; raises what could not be written.

        Parameters
        ----------
        attributes
            Of the run, where they are known better at its end.
        """
        self._attributes.update(attributes or {})
        self._stopping.set()
        self._news.set()
        self._thread.join()
        self._raise_fault()

    def _raise_fault(self) -> None:
        if self._fault is not None:
            raise self._fault

    def _write_until_stopped(self) -> None:
        try:
            while True:
                self._news.wait()
                stopping = self._stopping.is_set()
                self._news.clear()
                with disk_errors(self.path):
                    self._write_waiting()
                if stopping:
                    return
                self._stopping.wait(SECONDS_BETWEEN_WRITES)
        except Exception as error:  # noqa: BLE001  # raised where the next frame is written
            self._fault = error

    def _write_waiting(self) -> None:
        with self._lock:
            waiting, self._waiting, self._waiting_frames = self._waiting, [], 0
            length, stopping = self._length, self._stopping.is_set()
            if length < CHUNK_FRAMES and not stopping:
                self._waiting = waiting
                return
            text = json.dumps(_group(self._attributes))
        if not length:
            return
        if not self.frames:
            self._begin()
        changed: dict[tuple[str, int], None] = {}
        for block in waiting:
            for start in range(0, len(block.values), CHUNK_FRAMES):
                changed |= dict.fromkeys(self._place(block, start))
        for name, number in changed:
            self._write_chunk(name, number, min(length, CHUNK_FRAMES))
        while len(self._chunks) > CHUNKS_IN_MEMORY:
            self._chunks.popitem(last=False)
        if length != self.frames:
            for name in (*LONG_ARRAYS, *TIME_ARRAYS):
                self._swap_in(name, json.dumps(_described(name, length, self._sizes)))
        self._swap_in("", text)
        self.frames = length

    def _place(self, block: Block, start: int) -> list[tuple[str, int]]:
        """Put frames from `start` of a block into chunks; which ones."""
        values = block.values[start : start + CHUNK_FRAMES]
        touched = []
        while len(values):
            number, offset = divmod(block.start + start, CHUNK_FRAMES)
            part = values[: CHUNK_FRAMES - offset]
            self._chunk(block.name, number)[offset : offset + len(part)] = part
            touched.append((block.name, number))
            values, start = values[len(part) :], start + len(part)
        return touched

    def _chunk(self, name: str, number: int) -> np.ndarray:
        """Frames first, as it is in memory or on disk, or new."""
        key = name, number
        if key not in self._chunks:
            there = number * CHUNK_FRAMES < self.frames
            shape, dtype = self._sizes.of(name, CHUNK_FRAMES), TIME_ARRAYS.get(name, "float32")
            new = np.zeros(shape, dtype)
            self._chunks[key] = self._read(name, number) if there else new.T if name == "target" else new
        self._chunks.move_to_end(key)
        return self._chunks[key]

    def _read(self, name: str, number: int, frames: int = CHUNK_FRAMES) -> np.ndarray:
        shape, dtype = self._sizes.of(name, frames), np.dtype(TIME_ARRAYS.get(name, "float32"))
        file, size = self._file(name, number), math.prod(shape) * dtype.itemsize
        stored = read_bytes(file, most=size, expected="a part of a live session")
        if len(stored) != size:
            raise StorageError(
                f"{file}: expected {size:,} bytes of a live session, found {len(stored):,}: it is damaged; "
                "give another --out"
            )
        values = np.frombuffer(bytearray(stored), dtype).reshape(shape)
        return values.T if name == "target" else values

    def _write_chunk(self, name: str, number: int, frames: int) -> None:
        values = self._chunks[name, number][:frames]
        values = np.ascontiguousarray(values.T if name == "target" else values)
        file = self._file(name, number)
        file.parent.mkdir(parents=True, exist_ok=True)
        check_inside(self.path, file, StorageError)
        with file.open("r+b" if number * CHUNK_FRAMES < self.frames else "wb") as opened:
            opened.write(values.data)

    def _file(self, name: str, number: int) -> Path:
        parts = {"target": ("0", str(number)), "live": (str(number),)}.get(name.partition("/")[0])
        return self.path.joinpath(name, "c", *(parts or (str(number), "0", "0")))

    def _begin(self) -> None:
        """What does not grow; a folder without its own description is no run yet."""
        if self._replaces:
            # The description first: without it the rest is no run. What is somebody's own stays.
            with contextlib.suppress(FileNotFoundError):
                (self.path / DESCRIPTION).unlink()
            for folder, _, files in os.walk(self.path):
                for file in (Path(folder) / each for each in files):
                    if OF_A_RUN.fullmatch(file.relative_to(self.path).as_posix()):
                        file.unlink()
        (self.path / "live").mkdir(parents=True, exist_ok=True)
        self._swap_in("live", json.dumps(_group({})))
        keep = np.ones(self._sizes.neurons, bool)
        for name, values in {"keep": keep, "alpha": self._alpha}.items():
            chunk = self.path.joinpath(name, "c", *("0" for _ in values.shape))
            chunk.parent.mkdir(parents=True, exist_ok=True)
            chunk.write_bytes(np.ascontiguousarray(values).tobytes())
            # A mask may have the published square canvas around the screen.
            axes = ["row", "column"] if values.shape == self._sizes.size_px else ["alpha_0", "alpha_1"]
            axes = ["neuron"] if name == "keep" else axes
            self._swap_in(name, json.dumps(_array(list(values.shape), list(values.shape), values.dtype.name, axes)))

    def _swap_in(self, name: str, text: str) -> None:
        draft, folder = self.path / GROWING, self.path / name
        folder.mkdir(parents=True, exist_ok=True)
        check_inside(self.path, draft, StorageError)
        draft.write_text(text, encoding="utf-8")
        draft.replace(folder / DESCRIPTION)


def _check_own(path: Path) -> None:
    """Refuse to write into what leads out of the folder, or is no file, before anything is written."""
    own = {GROWING, DESCRIPTION, "keep", "alpha", "live", *LONG_ARRAYS}
    for folder, folders, files in os.walk(path):
        if Path(folder) == path:
            folders[:], files = [each for each in folders if each in own], [each for each in files if each in own]
        for file in (Path(folder, each) for each in (*folders, *files)):
            if file.is_symlink():
                check_inside(path, file)
            if file.name in files:
                check_regular(file, "a file of a run")


def _described(name: str, frames: int, sizes: Sizes) -> dict[str, Any]:
    chunk = list(sizes.of(name, min(frames, CHUNK_FRAMES)))
    shape = list(sizes.of(name, frames))
    axes = ["neuron", "time"] if name == "target" else ["time", "row", "column"][: len(chunk)]
    return _array(shape, chunk, TIME_ARRAYS.get(name, "float32"), axes)


def _time_axis(name: str) -> int:
    return 1 if name == "target" else 0


def _array(shape: list[int], chunk: list[int], dtype: str, axes: list[str]) -> dict[str, Any]:
    order = {} if np.dtype(dtype).itemsize == 1 else {"configuration": {"endian": "little"}}
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": False if dtype == "bool" else 0,
        "codecs": [{"name": "bytes", **order}],
        "attributes": {},
        "storage_transformers": [],
        "dimension_names": axes,
    }


def _group(attributes: Mapping[str, Any]) -> dict[str, Any]:
    told = {**attributes, "format": FORMAT} if attributes else {}
    return {"zarr_format": 3, "node_type": "group", "attributes": told}


def _length(path: Path, name: str, sizes: Sizes) -> int:
    """Frames that an array of a live session says it has."""
    file = path / name / DESCRIPTION
    told = parse_json(read_bytes(file, most=LONGEST_ARRAY_DESCRIPTION_BYTES, expected="an array of a live session"))
    shape = told.get("shape") if isinstance(told, dict) else None
    frames = shape[_time_axis(name)] if isinstance(shape, list) and len(shape) > _time_axis(name) else None
    if type(frames) is not int or told != json.loads(json.dumps(_described(name, frames, sizes))):
        raise StorageError(
            f"{path}: expected a live session of {sizes.neurons} neurons, found another {name}; choose another"
        )
    return frames
