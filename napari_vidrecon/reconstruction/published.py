"""Published reconstructions: the reference's own result files, rebuilt by constructors of this program."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format

from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.errors import RunError, one_line
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.history import History
from napari_vidrecon.reconstruction.results import Reconstruction
from napari_vidrecon.storage import open_regular, reading, user_path
from napari_vidrecon.storage.pickles import Allowance, ForbiddenObject, rebuild
from napari_vidrecon.storage.plain_arrays import PlainArray
from napari_vidrecon.storage.torch_files import StoredTensor, rules_for_values

EXPECTED = "a published result"
LARGEST_FILE_BYTES = 4 << 30
SURPLUS_BYTES = 256 << 20
MOST_FRAMES = 100_000
MOST_STEPS_SHOWN = 1_000_000
MOST_NUMBERS = 1_000_000
REQUIRED = (
    *("video_pred", "video_gt", "responses", "mask", "video_itter"),
    *("epochs", "lr", "mask_update_th", "mask_eval_th"),
)


def is_published(path: Path | str) -> bool:
    """Whether a `.npy` file holds one Python object, as published results do; nothing of it is opened.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    bool
        False, too, for a file that cannot be read.

    Raises
    ------
    RunError
        Missing, or not a regular file.
    """
    with open_regular(path, "a .npy file", RunError) as file:
        try:
            return _header(file) == ((), np.dtype(object))
        except Exception:  # noqa: BLE001  # whoever reads it as what it is says what is wrong with it
            return False


def read_published(path: Path | str) -> Reconstruction:
    """Open a `reconstruction_summary_*.npy` of the published code (docs/method.md 5).

    Such a file is a pickled dictionary. Plain containers, numbers, numpy arrays, torch tensors, paths and devices
    are rebuilt by constructors of this program from plain data; a file that holds anything else is refused. No
    function that the file names is looked up, called or changed.

    Parameters
    ----------
    path
        The `.npy` file.

    Returns
    -------
    Reconstruction
        Its provenance says "published", and keeps the plain settings of the file.

    Raises
    ------
    RunError
        Missing, not such a file, damaged, or holding anything else than data.
    """
    path = user_path(path)
    with open_regular(path, EXPECTED, RunError) as file:
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST_FILE_BYTES:
            raise RunError(f"{path}: larger than {LARGEST_FILE_BYTES >> 30} GiB, more than any published result")
        with reading(path, RunError, EXPECTED):
            stored = _read_dictionary(path, file, size)
    missing = [name for name in REQUIRED if name not in stored]
    if missing:
        raise RunError(f"{path}: expected {EXPECTED}, found none of its entries {', '.join(missing)}")
    try:
        return _as_reconstruction(path, stored, size)
    except RunError:
        raise
    except Exception as error:  # noqa: BLE001  # entries from outside misfit in every way there is
        raise RunError(f"{path}: its entries do not fit each other ({one_line(error)})") from None


def _header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype]:
    version = npy_format.read_magic(file)
    reader = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    try:
        shape, _, dtype = reader(file)
    except MemoryError:
        # Python's parser says so of nesting.
        raise ValueError("its header is nested too deep") from None
    return shape, dtype


def _read_dictionary(path: Path, file: BinaryIO, size: int) -> dict[str, Any]:
    shape, dtype = _header(file)
    if shape != () or dtype != np.dtype(object):
        raise RunError(f"{path}: expected a dictionary, found a {one_line(shape, 60)} array of {one_line(dtype, 60)}")
    try:
        stored = rebuild(file, size, rules_for_values(), Allowance(size + SURPLUS_BYTES))
    except ForbiddenObject as error:
        raise RunError(
            f"{path}: holds {one_line(error, 120)}, which is not data and could run code; it was not opened"
        ) from None
    if isinstance(stored, PlainArray) and len(stored.objects) == 1:
        stored = stored.objects[0]
    if not isinstance(stored, dict):
        raise RunError(f"{path}: expected a dictionary, found {type(stored).__name__}")
    return stored


def _as_reconstruction(path: Path, stored: dict[str, Any], size: int) -> Reconstruction:
    video, stimulus, target = (_array(stored[name]) for name in ("video_pred", "video_gt", "responses"))
    predicted, kept, mask = (stored.get(name) for name in ("responses_predicted_full", "population_mask", "mask"))
    canvas = Canvas()
    _check_shapes(canvas, video, stimulus, target)
    frames = len(video)
    if target.shape[1] != frames and target.shape[0] == frames:
        target = target.T
    activity = None if predicted is None else _array(predicted)
    alpha = _array(mask)
    _check_room(size, video, stimulus, target, alpha, *(() if activity is None else (activity,)))
    keep = np.ones(target.shape[0], bool) if kept is None else _array(kept).reshape(-1).astype(bool)
    if len(keep) != len(target):
        raise ValueError(f"a choice of {len(keep)} neurons of {len(target)}")
    steps = [step + 1 for step in _numbers(stored["video_itter"])]
    columns = {
        "step": steps,
        "loss": [float("nan")] * len(steps),
        "seconds": [float("nan")] * len(steps),
        "video_correlation": _numbers(stored.get("video_corr", [])),
        "rmse": _numbers(stored.get("video_RMSE", [])),
        "response_loss": _numbers(stored.get("response_loss_full", [])),
        "response_correlation": _numbers(stored.get("response_corr_full", [])),
    }
    columns = {name: [*values, *[float("nan")] * len(steps)][: len(steps)] for name, values in columns.items()}
    epochs = _whole(stored["epochs"])
    if not all(0 < step <= MOST_STEPS_SHOWN for step in (epochs, *steps)):
        raise ValueError("steps that cannot be")
    config = ReconstructionConfig.preset("paper", steps=epochs, learning_rate=_number(stored["lr"]))
    return Reconstruction(
        video=_float32(video, "movie"),
        history=History(columns),
        config=config,
        provenance={
            "published": True,
            "source": path.name,
            "mask_threshold": _number(stored["mask_update_th"]),
            "evaluation_threshold": _number(stored["mask_eval_th"]),
            "mouse_index": _whole(stored.get("mouse_index", -1)),
            "trial": _whole(stored.get("trial", -1)),
            "wall_seconds": _number(stored.get("training_time", float("nan"))),
            "settings": _settings(stored),
            "simulated": False,
        },
        stimulus=_float32(stimulus, "movie"),
        target=target.astype(np.float32),
        keep=keep,
        alpha=_float32(alpha, "mask").reshape(canvas.rows, canvas.columns),
        predicted_activity=None if activity is None else activity.astype(np.float32),
        levels={
            "response_loss": _number(stored.get("response_loss_gt", float("nan"))),
            "response_correlation": _number(stored.get("response_corr_gt", float("nan"))),
        },
    )


def _check_shapes(canvas: Canvas, video: np.ndarray, stimulus: np.ndarray, target: np.ndarray) -> None:
    screen = (canvas.screen_rows, canvas.screen_columns)
    if video.ndim != 3 or video.shape[1:] != screen or stimulus.shape != video.shape:
        raise ValueError(f"movies of {stimulus.shape} and {video.shape}")
    if not 0 < len(video) <= MOST_FRAMES:
        raise ValueError(f"movies of {len(video)} frames")
    if target.ndim != 2 or len(video) not in target.shape or 0 in target.shape:
        raise ValueError(f"activity of {target.shape} for a movie of {len(video)} frames")


def _check_room(size: int, *arrays: np.ndarray) -> None:
    """Refuse arrays that share their bytes, or have few, and would need far more room than the file has bytes."""
    if sum(array.size for array in arrays) * np.dtype(np.float32).itemsize > size + SURPLUS_BYTES:
        raise ValueError("arrays that need far more room than the file has bytes")


def _settings(stored: dict[str, Any]) -> dict[str, Any]:
    plain = {name: float(value) if isinstance(value, np.float64) else value for name, value in stored.items()}
    return {name: value for name, value in plain.items() if type(value) in (str, int, float, bool)}


def _float32(array: np.ndarray, what: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        found = array.astype(np.float32)
    if not np.isfinite(found).all():
        raise ValueError(f"a {what} with values that are not finite")
    return found


def _array(value: Any) -> np.ndarray:
    """The numbers of an array or tensor, or of a flat list of numbers."""
    if isinstance(value, StoredTensor):
        found = value.array()
        if value.kind == "BFloat16":
            found = (found.astype(np.uint32) << 16).view(np.float32)
    elif isinstance(value, PlainArray) and value.array is not None:
        found = value.array
    else:
        return np.array(_numbers(value), np.float64)
    if found.dtype.kind not in "biuf":
        raise TypeError(f"numbers of type {found.dtype}")
    return found


def _numbers(value: Any) -> list[float]:
    if isinstance(value, PlainArray) and value.array is None:
        value = value.objects
    if not isinstance(value, (list, tuple)):
        array = _array(value) if isinstance(value, (StoredTensor, PlainArray)) else np.zeros((1, 1))
        if array.ndim != 1 or len(array) > MOST_NUMBERS:
            raise TypeError(f"{type(value).__name__} where a row of numbers belongs")
        return [float(each) for each in array]
    if len(value) > MOST_NUMBERS:
        raise ValueError(f"a row of {len(value)} numbers")
    return [_number(each) for each in value]


def _number(value: Any) -> float:
    """A number, also where it stands in an array or tensor of one."""
    if isinstance(value, (StoredTensor, PlainArray)):
        array = _array(value)
        if array.size != 1:
            raise TypeError("an array where a number belongs")
        return float(array.reshape(())[()])
    if not isinstance(value, (int, float, np.number, np.bool_)):
        raise TypeError(f"{type(value).__name__} where a number belongs")
    return float(value)


def _whole(value: Any) -> int:
    found = _number(value)
    if found != int(found):
        raise ValueError(f"{found} where a whole number belongs")
    return int(found)
