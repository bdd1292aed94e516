"""The folder of a run: what in it is a run's, and what it says, held against the bytes that are there."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from napari_vidrecon.errors import ConfigError, MaskError, RunError, StorageError, VidreconError, one_line
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.history import History
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.provenance import Provenance, RunAttributes
from napari_vidrecon.settings import first_fault
from napari_vidrecon.storage import claimed, disk_errors, parse_json, read_bytes, reading, recover_folder
from napari_vidrecon.storage.zarr_arrays import DESCRIPTION, LONGEST_ATTRIBUTES_BYTES, read_arrays, read_attributes

FORMAT = "napari-vidrecon run 1"
MOVIES = ("video", "stimulus")
GROWN = (*MOVIES, "decoded", "target")
"""What grows with a live session, besides all below live/."""
NEEDED = (*MOVIES, "target", "keep", "alpha")
ARRAYS = re.compile(
    r"video|stimulus|target|keep|alpha|predicted_activity|gaze_px|gain|decoded|live/[a-z_]{1,20}|videos/\d{1,5}|mice/\d{1,5}|state/(members/\d{1,5}/)?[a-z][a-z0-9_]{0,60}"
)
GROUPS = re.compile(r"videos|live|mice|state|state/members|state/members/\d{1,5}")
VIDEO, NO_GROUP = re.compile("video"), re.compile(r"(?!)")
GROWING = ".growing"
"""What the next description of an array of a live session is written to."""
OF_A_RUN = re.compile(
    rf"{re.escape(GROWING)}|(({ARRAYS.pattern}|{GROUPS.pattern})/)?{re.escape(DESCRIPTION)}|({ARRAYS.pattern})/c(/\d+)*"
)
"""Every file that a run is made of, by its path inside the folder."""
MOST_KEPT = 10_000


def dimensions(name: str, array: np.ndarray, video: np.ndarray, target: np.ndarray) -> tuple[str, ...]:
    """Names of an array's dimensions, so that labelled-array libraries open a run's folder as it is.

    Parameters
    ----------
    name
        Of the array, as its path in the folder.
    array
        What the dimensions are of.
    video, target
        Of the same run; one name stands for one length.

    Returns
    -------
    tuple[str, ...]
        One an axis.
    """
    activity = ("neuron", "time") if target.shape[-1] == len(video) else ("time", "neuron")
    movie = ("time", "row", "column")
    if name in MOVIES or name.startswith("videos/"):
        return movie
    if name == "keep":
        return activity[:1]
    if name in ("target", "predicted_activity") and array.shape == target.shape:
        return activity
    if name in ("gaze_px", "gain"):
        return ("presentation", "direction", "time") if name == "gaze_px" else ("presentation", "time")
    if name == "alpha" and array.shape == video.shape[1:]:
        return movie[1:]
    return tuple(f"{name.rpartition('/')[2]}_{axis}" for axis in range(array.ndim))


def read_run(path: Path) -> tuple[RunAttributes, dict[str, Any], dict[str, np.ndarray]]:
    """Attributes of a run, checked and as they were read, and its arrays by name.

    Parameters
    ----------
    path
        The folder.

    Returns
    -------
    tuple[RunAttributes, dict[str, Any], dict[str, np.ndarray]]
        Arrays in memory.

    Raises
    ------
    RunError
        Another folder, or a link that leaves it.
    ValueError
        A damaged one; other kinds come from what damage makes numpy and zarr raise, see `storage.reading`.
    """
    told = read_attributes_of_run(path)
    try:
        attributes = RunAttributes.model_validate(told)
    except ValidationError as raised:
        raise ValueError(first_fault(raised)) from None
    arrays = read_arrays(path, ARRAYS, GROUPS, RunError)
    if attributes.provenance.live is not None:
        arrays = _evened(arrays)
    _check_arrays(arrays)
    return attributes, told, arrays


def read_video(path: Path) -> np.ndarray:
    """A run's movie alone; its activity, which may be ten times as large, is left where it is.

    Parameters
    ----------
    path
        The folder.

    Returns
    -------
    np.ndarray
        (T, rows, columns) grey levels, in memory.

    Raises
    ------
    RunError
        No movie, a damaged one, or a link that leaves the folder.
    """
    with reading(path, RunError, "a complete run"):
        video = read_arrays(path, VIDEO, NO_GROUP, RunError).get("video", np.empty(0))
        if video.ndim != 3 or 0 in video.shape or video.dtype.kind != "f":
            raise ValueError(f"expected a video of (frames, rows, columns), found {video.dtype} {video.shape}")
        return video


def read_attributes_of_run(path: Path) -> dict[str, Any]:
    """What a run says of itself, as it was read.

    Returns
    -------
    dict[str, Any]
        Plain values, not checked.

    Raises
    ------
    RunError
        Another folder, or a link that leaves it.
    ValueError
        A damaged one.
    """
    if not os.path.lexists(path / "zarr.json"):
        _require_other_kind_is_not_there(path)
    told = read_attributes(path, "a complete run", RunError)
    if told.get("format") != FORMAT:
        raise RunError(f"{path}: expected a run of this program, found another zarr folder")
    return told


def _require_other_kind_is_not_there(path: Path) -> None:
    """Say what a folder is that was taken for a run: a session, or the folder of several runs."""
    if (path / "data").is_dir() and (path / "meta").is_dir():
        raise RunError(f"{one_line(path)}: expected a run folder (.zarr), found a session")
    for pattern, kind in (("*.zarr", "a folder of runs"), ("runs/*.zarr", "a folder of studies, which holds runs")):
        if runs := sorted(str(each.relative_to(path)) for each in path.glob(pattern)):
            raise RunError(
                f"{one_line(path)}: expected one run, whose name ends in .zarr, found {kind}: {len(runs)} in it; give "
                f"one of them, e.g. {one_line(path / runs[0])}"
            )


def _evened(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of a live session cut to the frames that all of them have: it may have been killed between two."""
    axis = {name: int(name == "target") for name in arrays if name in GROWN or name.startswith("live/")}
    lengths = [arrays[name].shape[at] for name, at in axis.items() if arrays[name].ndim > at]
    shortest = slice(min(lengths, default=0))
    cut = {name: arrays[name][:, shortest] if at else arrays[name][shortest] for name, at in axis.items()}
    return {**arrays, **cut}


def checked_config(settings: dict[str, Any]) -> ReconstructionConfig:
    """Settings of a run.

    Returns
    -------
    ReconstructionConfig
        Of this version.

    Raises
    ------
    ValueError
        One that cannot be used.
    """
    try:
        config = ReconstructionConfig.checked(**settings)
    except ConfigError as raised:
        raise ValueError(f"config.{raised}") from None
    # Before it was a setting, activity was predicted with grey outside the mask, whatever the movie's level.
    earlier = "predicted_from" not in settings and not config.shows_grey
    return config.changed(predicted_from="grey") if earlier else config


def checked_history(attributes: RunAttributes) -> History:
    """History of a run; see `History.of_file`."""
    return History.of_file(attributes.history)


def _check_arrays(arrays: dict[str, np.ndarray]) -> None:
    """Hold the arrays of a run against each other."""
    for name in NEEDED:
        if name not in arrays:
            raise ValueError(f"expected its array {name}, found none of it")
    movie = arrays["video"].shape
    if len(movie) != 3 or 0 in movie:
        raise ValueError(f"expected a video of (frames, rows, columns), found {movie}")
    for name, array in arrays.items():
        if name == "alpha" or name.startswith("mice/"):
            _check_alpha(array, movie[1:])
    target, keep = arrays["target"], arrays["keep"]
    # Published results may hold activity the other way round.
    if target.ndim != 2 or movie[0] not in target.shape or 0 in target.shape:
        raise ValueError(f"expected a target of (neurons, {movie[0]} frames), found {target.shape}")
    if keep.dtype.kind != "b" or keep.shape != target.shape[:1]:
        raise ValueError(f"expected keep with yes or no for {target.shape[0]} neurons, found {keep.dtype} {keep.shape}")
    predicted = arrays.get("predicted_activity", target)
    if predicted.ndim != 2 or 0 in predicted.shape:
        raise ValueError(f"expected predicted_activity of {target.shape}, found {predicted.shape}")
    for name, wanted in (("gaze_px", (2, movie[0])), ("gain", (movie[0],))):
        if (told := arrays.get(name)) is not None and (
            told.shape[1:] != wanted or not len(told) or told.dtype.kind != "f" or not np.isfinite(told).all()
        ):
            raise ValueError(f"expected {name} of finite numbers (presentations, {wanted}), found {told.shape}")
    for name, array in arrays.items():
        is_movie = name in (*MOVIES, "decoded") or name.startswith("videos/")
        if is_movie and array.shape != movie:
            raise ValueError(f"expected {name} of {movie} as its video, found {array.shape}")
        if (is_movie or name in ("target", "predicted_activity")) and array.dtype.kind != "f":
            raise ValueError(f"expected {name} of floating-point numbers, found {array.dtype}")
        if is_movie and not np.isfinite(array).all():
            raise ValueError(f"expected finite numbers in {name}, found others")


def _check_alpha(alpha: np.ndarray, screen_px: tuple[int, int]) -> None:
    try:
        AlphaMask(alpha, "alpha").for_screen(*screen_px)
    except MaskError as raised:
        raise ValueError(str(raised)) from None


@contextlib.contextmanager
def at_work_on(path: Path, wait_s: float = 0.0, *, what: str = "run") -> Iterator[None]:
    """Keep a run's folder to this process, from before it is read to after it is written the last time.

    Parameters
    ----------
    path
        The folder; it need not be there.
    wait_s
        How long to wait for another process, seconds; below 0 as long as it takes.
    what
        Its kind, for the message.

    Raises
    ------
    InUseError
        Another process is at work on this run.
    StorageError
        Nothing can be written there.
    """
    made = [folder for folder in path.parents if not os.path.lexists(folder)]
    with contextlib.ExitStack() as claim:
        claim.callback(_remove_empty, made)
        with disk_errors(path):
            recover_folder(path)
            claim.enter_context(claimed(path, what, wait_s))
        yield


def _remove_empty(folders: list[Path]) -> None:
    """A run that came to nothing leaves no folder behind."""
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()


def check_replaceable(path: Path) -> None:
    """Refuse to write a run where something else than a run stands.

    Parameters
    ----------
    path
        Where it is to be written.

    Raises
    ------
    StorageError
        A file, or a folder that this program did not write.
    """
    with disk_errors(path):
        if not os.path.lexists(path):
            return
        if not path.is_dir():
            raise StorageError(f"{path}: expected a run's folder or nothing there, found a file; choose another name")
        if any(path.iterdir()) and not _is_run(path):
            raise StorageError(
                f"{path}: expected a run's folder or nothing there, found a folder of something else; "
                "choose another name"
            )


def _is_run(path: Path) -> bool:
    """Whether a folder is a run; a damaged one is where nothing else lies in it."""
    try:
        told = parse_json(read_bytes(path / DESCRIPTION, most=LONGEST_ATTRIBUTES_BYTES))
    except (VidreconError, ValueError):
        return not any(_others(path))
    attributes = told.get("attributes") if isinstance(told, dict) else None
    return isinstance(attributes, dict) and attributes.get("format") == FORMAT


def not_of_the_run(path: Path) -> list[str]:
    """What lies in a run's folder and is none of it: somebody's notes, figures, links; paths inside the folder."""
    return list(_others(path))


def _others(path: Path) -> Iterator[str]:
    found = 0
    for folder, folders, files in os.walk(path):
        inside = Path(folder).relative_to(path)
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in [*files, *links]:
            each = (inside / name).as_posix()
            if not OF_A_RUN.fullmatch(each):
                found += 1
                if found > MOST_KEPT:
                    raise StorageError(f"{path}: expected a run, found thousands of other files in it; move them away")
                yield each


def shown(names: list[str], most: int = 3) -> str:
    """The first of several paths, for a message."""
    told = ", ".join(one_line(name, 60) for name in names[:most])
    return told if len(names) <= most else f"{told} and {len(names) - most} more"


def by_number(name: str) -> tuple[str, int]:
    """Sorts names of arrays, those that end in a number by it."""
    parent, _, last = name.rpartition("/")
    return (parent, int(last)) if last.isdigit() else (name, -1)


def plain(value: Any) -> Any:
    """JSON values; NaN becomes null."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return json.loads(json.dumps(value, default=_plain_value))


def _plain_value(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return str(value) if isinstance(value, os.PathLike) else float(value)


def plain_texts(provenance: dict[str, Any]) -> dict[str, Any]:
    """What a run says of itself, with what its owner noted down, as JSON values; NaN stays."""
    told: dict[str, Any] = json.loads(json.dumps(provenance, default=_plain_value))
    return told


def check_can_be_opened(path: Path, provenance: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Refuse to write what could not be opened again, and would stand where a good run was.

    Parameters
    ----------
    path
        Where it is to be written.
    provenance
        What went in, as plain values.
    arrays
        By name.

    Raises
    ------
    RunError
        One line that says which, what was expected and what was found.
    """
    try:
        _check_arrays({name: np.asarray(array) for name, array in arrays.items()})
        Provenance.model_validate(provenance)
    except ValidationError as raised:
        raise RunError(f"{path}: expected a run that can be opened again: {first_fault(raised)}") from None
    except ValueError as refused:
        raise RunError(f"{path}: expected a run that can be opened again: {one_line(refused)}") from None


def flattened_state(state: dict[str, Any], prefix: str) -> dict[str, np.ndarray]:
    """The state of an unfinished run as arrays, by their paths below `prefix`."""
    arrays: dict[str, np.ndarray] = {}
    for name, value in state.items():
        if isinstance(value, list):
            for index, part in enumerate(value):
                arrays |= flattened_state(part, f"{prefix}/{name}/{index}")
        else:
            arrays[f"{prefix}/{name}"] = np.atleast_1d(np.asarray(value))
    return arrays


def nested_state(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, Any] | None:
    """The state that `flattened_state` made arrays of; None where there is none below `prefix`."""
    mine = {name.removeprefix(prefix + "/"): array for name, array in arrays.items() if name.startswith(prefix + "/")}
    if not mine:
        return None
    state: dict[str, Any] = {name: array for name, array in mine.items() if "/" not in name}
    step = state.get("step")
    if step is not None:
        if step.shape != (1,) or step.dtype.kind not in "iu":
            raise ValueError(f"expected a whole number as {prefix}/step, found {step.dtype} {step.shape}")
        state["step"] = int(step[0])
    members = sorted({int(name.split("/")[1]) for name in mine if name.startswith("members/")})
    if members:
        state["members"] = [nested_state(arrays, f"{prefix}/members/{index}") for index in members]
    return state
