"""Napari's main window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_vidrecon.errors import ConfigError

if TYPE_CHECKING:
    import napari
    from qtpy.QtWidgets import QWidget

MAIN_DOCK_NAME = "vidrecon_main_dock"
"""By which the dock "Movie reconstruction" is found, whatever its frame is called."""


def main_window_of(viewer: napari.components.ViewerModel) -> QWidget:
    """Napari's main window, through its public menu bar.

    Raises
    ------
    ConfigError
        The viewer has no window.
    """
    window = getattr(viewer, "window", None)
    if window is None:
        raise ConfigError("the viewer: expected one with a window, found a bare model; use napari.Viewer()")
    return window.main_menu.window()
