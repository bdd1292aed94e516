"""Layers that napari opened by itself lead to the whole board.

A reader and a sample can only return layers. Once those have arrived in a window, they are replaced by the board
of the folder they came from. Where there is no window, as in a script, they stay as they are.
"""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

PATH_KEY = "vidrecon_path"
SAMPLE = Path("simulated_mouse")
"""Stands for the sample, wherever it lies."""


def put_on_board_soon(path: Path) -> None:
    """Open a folder on the board of the window its layers arrive in, as soon as they are there.

    Parameters
    ----------
    path
        A session or run folder, or `SAMPLE`; the layers carry it in their metadata.
    """
    if QApplication.instance() is not None:
        QTimer.singleShot(0, lambda: _put_on_board(path))


def _put_on_board(path: Path) -> None:
    import napari

    viewer = napari.current_viewer()
    arrived = [layer for layer in viewer.layers if layer.metadata.get(PATH_KEY) == str(path)] if viewer else []
    # A window that was closed, or layers that a script opened in another one: nothing to do.
    if not arrived:
        return
    from napari_vidrecon.viewer.contributions import commands
    from napari_vidrecon.viewer.registry import workspace_of

    with workspace_of(viewer).faults:
        for layer in arrived:
            viewer.layers.remove(layer)
        if path == SAMPLE:
            commands.open_simulated_mouse(viewer)
        else:
            commands.open_folder(viewer, path)


def told_in_window(error: Exception) -> bool:
    """Tell an error in the present window, which napari would make a dialog with a traceback of.

    Parameters
    ----------
    error
        Why something could not be read or written.

    Returns
    -------
    bool
        bool False where there is no window: a script wants the error itself.
    """
    import napari

    viewer = napari.current_viewer() if QApplication.instance() is not None else None
    if viewer is None or getattr(viewer, "window", None) is None:
        return False
    from napari_vidrecon.viewer.registry import workspace_of

    workspace_of(viewer).faults.take(error)
    return True
