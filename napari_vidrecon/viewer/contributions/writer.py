"""File > Save: the run on the board as a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_vidrecon.errors import RunError, VidreconError
from napari_vidrecon.viewer.contributions.reader import PATH_KEY, told_in_window

if TYPE_CHECKING:
    from napari_vidrecon.reconstruction.results import Reconstruction

ROLE_KEY, RECONSTRUCTION_ROLE = "vidrecon_role", "reconstruction"


def write_run(path: str, layers: list[tuple[Any, dict[str, Any], str]]) -> list[str]:
    """Save the run that the given layers show: everything of it, not only what is seen.

    In a window, what goes wrong is a line there, and nothing is written.

    Parameters
    ----------
    path
        The run folder, ending in .zarr.
    layers
        (data, attributes, type) of each layer; one of them is a reconstruction.

    Returns
    -------
    list[str]
        the folder.

    Raises
    ------
    RunError
        No layer is a reconstruction of this plugin, or its run still goes on.
    StorageError
        It cannot be written.
    """
    try:
        return _write(path, layers)
    except VidreconError as error:
        if told_in_window(error):
            return []
        raise


def _write(path: str, layers: list[tuple[Any, dict[str, Any], str]]) -> list[str]:
    for data, attributes, _ in layers:
        metadata = attributes.get("metadata", {})
        result = None
        if metadata.get(ROLE_KEY) == RECONSTRUCTION_ROLE:
            result = _on_board(data)
        elif PATH_KEY in metadata:
            result = _on_disk(Path(metadata[PATH_KEY]))
        if result is not None:
            result.save(path)
            return [path]
    raise RunError(f"{path}: expected the reconstruction of a run to save, found none; wait for its end, or press Stop")


def _on_board(data: np.ndarray) -> Reconstruction | None:
    """The shown run of the present window, if its movie is in the layer."""
    import napari

    from napari_vidrecon.viewer.registry import find_workspace

    viewer = napari.current_viewer()
    workspace = find_workspace(viewer) if viewer is not None else None
    shown = workspace.model.shown if workspace is not None else None
    if shown is None or shown.result.video.shape != np.shape(data):
        return None
    return shown.result if np.allclose(data, shown.result.video, atol=1e-3) else None


def _on_disk(folder: Path) -> Reconstruction | None:
    from napari_vidrecon.reconstruction.results import Reconstruction

    return Reconstruction.load(folder) if (folder / "zarr.json").is_file() else None
