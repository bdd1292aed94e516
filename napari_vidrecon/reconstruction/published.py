"""Published reconstructions: the reference's own result files, read without running anything they hold."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format

from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.errors import RunError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.history import History
from napari_vidrecon.reconstruction.results import Reconstruction

LARGEST_FILE_BYTES = 4 << 30
REQUIRED = (
    *("video_pred", "video_gt", "responses", "mask", "video_itter"),
    *("epochs", "lr", "mask_update_th", "mask_eval_th"),
)


def read_published(path: Path | str) -> Reconstruction:
    """Open a `reconstruction_summary_*.npy` of the published code (science.md 5.6).

    Such a file is a pickled dictionary. Only plain containers, numbers, numpy arrays, torch tensors, paths and
    devices are rebuilt; anything else in it is refused before it could run.

    Parameters
    ----------
    path : the `.npy` file.

    Returns
    -------
    Reconstruction : its provenance says "published", and keeps the plain settings of the file.

    Raises
    ------
    RunError : missing, not such a file, damaged, or holding anything else than data.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise RunError(f"{path}: larger than {LARGEST_FILE_BYTES >> 30} GiB, more than any published result")
        with path.open("rb") as file:
            stored = _read_dictionary(path, file)
    except FileNotFoundError:
        raise RunError(f"{path}: expected a published result, found nothing there") from None
    except (IsADirectoryError, PermissionError):
        raise RunError(f"{path}: expected a published result, found a folder or an unreadable file") from None
    missing = [name for name in REQUIRED if name not in stored]
    if missing:
        raise RunError(f"{path}: expected a published result, found none of its entries {', '.join(missing)}")
    try:
        return _as_reconstruction(path, stored)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise RunError(f"{path}: its entries do not fit each other ({error})") from None


def _read_dictionary(path: Path, file: BinaryIO) -> dict[str, Any]:
    try:
        version = npy_format.read_magic(file)
        reader = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
        shape, _, dtype = reader(file)
        if shape != () or dtype != np.dtype(object):
            raise RunError(f"{path}: expected a dictionary, found a {shape} array of {dtype}")
        stored = DataUnpickler(file).load()
        stored = stored.item() if isinstance(stored, np.ndarray) else stored
    except ForbiddenObject as error:
        raise RunError(f"{path}: holds {error}, which is not data and could run code; it was not opened") from None
    except Exception as error:
        # A damaged pickle can fail in any way; nothing of it is kept.
        if isinstance(error, RunError):
            raise
        raise RunError(f"{path}: expected a published result, found a damaged file") from None
    if not isinstance(stored, dict):
        raise RunError(f"{path}: expected a dictionary, found {type(stored).__name__}")
    return stored


class ForbiddenObject(pickle.UnpicklingError):
    """A pickle names something that is not plain data."""


class DataUnpickler(pickle.Unpickler):
    """Rebuilds plain data only: every name it may look up is listed here."""

    def find_class(self, module: str, name: str) -> Any:
        """The rebuilder for an allowed name.

        Raises
        ------
        ForbiddenObject : every other name.
        """
        module = module.replace("numpy.core", "numpy._core")
        allowed = _allowed()
        if (module, name) not in allowed:
            raise ForbiddenObject(f"{module}.{name}")
        return allowed[module, name]


def _allowed() -> dict[tuple[str, str], Any]:
    import torch
    from numpy._core import multiarray

    paths = {("pathlib", name): _path_text for name in ("PosixPath", "WindowsPath", "PurePosixPath", "Path")}
    paths |= {("pathlib._local", name): _path_text for name in ("PosixPath", "WindowsPath")}
    return {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("numpy._core.multiarray", "_reconstruct"): multiarray._reconstruct,
        ("numpy._core.multiarray", "scalar"): multiarray.scalar,
        ("collections", "OrderedDict"): OrderedDict,
        ("torch", "device"): torch.device,
        ("torch", "Size"): torch.Size,
        ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
        ("torch.storage", "_load_from_bytes"): _storage_from_bytes,
        **paths,
    }


def _path_text(*parts: str) -> str:
    return "/".join(parts)


def _storage_from_bytes(data: bytes) -> Any:
    import torch

    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _as_reconstruction(path: Path, stored: dict[str, Any]) -> Reconstruction:
    video = _array(stored["video_pred"])
    frames = video.shape[0]
    stimulus = _array(stored["video_gt"])
    target = _array(stored["responses"])
    if target.shape[-1] != frames and target.shape[0] == frames:
        target = target.T
    canvas = Canvas()
    if video.shape[1:] != (canvas.screen_rows, canvas.screen_columns) or stimulus.shape != video.shape:
        raise ValueError(f"movies of {stimulus.shape} and {video.shape}")
    predicted = stored.get("responses_predicted_full")
    kept = stored.get("population_mask")
    keep = np.ones(target.shape[0], bool) if kept is None else _array(kept).reshape(-1).astype(bool)
    steps = [float(step) + 1 for step in _array(stored["video_itter"])]
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
    config = ReconstructionConfig.preset("paper", steps=int(stored["epochs"]), learning_rate=float(stored["lr"]))
    plain = {name: value for name, value in stored.items() if isinstance(value, (str, int, float, bool))}
    return Reconstruction(
        video=video.astype(np.float32),
        history=History(columns),
        config=config,
        provenance={
            "published": True,
            "source": path.name,
            "mask_threshold": float(stored["mask_update_th"]),
            "evaluation_threshold": float(stored["mask_eval_th"]),
            "mouse_index": int(stored.get("mouse_index", -1)),
            "trial": int(stored.get("trial", -1)),
            "wall_seconds": float(stored.get("training_time", float("nan"))),
            "settings": plain,
            "simulated": False,
        },
        stimulus=stimulus.astype(np.float32),
        target=target.astype(np.float32),
        keep=keep,
        alpha=_array(stored["mask"]).astype(np.float32).reshape(canvas.rows, canvas.columns),
        predicted_activity=None if predicted is None else _array(predicted).astype(np.float32),
        levels={
            "response_loss": float(stored.get("response_loss_gt", float("nan"))),
            "response_correlation": float(stored.get("response_corr_gt", float("nan"))),
        },
    )


def _array(value: Any) -> np.ndarray:
    return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)


def _numbers(values: Any) -> list[float]:
    return [float(_array(value)) for value in values]
