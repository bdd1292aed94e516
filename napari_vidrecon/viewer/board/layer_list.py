"""Napari's list of layers, at rest while pictures change quickly."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QAbstractItemView, QDockWidget

from napari_vidrecon.viewer.faults import Faults, guarded
from napari_vidrecon.viewer.main_window import main_window_of

if TYPE_CHECKING:
    import napari

REST_MS = 500
LAYER_LIST = "layer list"
"""Name of napari's dock."""


class LayerListRest:
    """Lets napari's layer list paint itself twice a second at most while frames go by.

    Napari paints every line of the list anew whenever any layer shows another frame, which takes longer than all
    the layers themselves; nothing but the small thumbnails has changed.

    Parameters
    ----------
    viewer
        Whose list it is; a viewer without a window has none.
    faults
        Take what goes wrong.
    """

    def __init__(self, viewer: napari.components.ViewerModel, faults: Faults) -> None:
        self._viewer, self.faults = viewer, faults
        self._list: QAbstractItemView | None = None
        self._timer: QTimer | None = None
        viewer.dims.events.current_step.connect(self.begin)

    @guarded
    def begin(self) -> None:
        """Many changes follow: rest for a moment, then paint once. A list that a person points at stays awake."""
        if self._list is not None or getattr(self._viewer, "window", None) is None:
            return
        dock = main_window_of(self._viewer).findChild(QDockWidget, LAYER_LIST)
        view = None if dock is None else dock.findChild(QAbstractItemView)
        if view is None or view.underMouse() or view.hasFocus() or not view.updatesEnabled():
            return
        view.setUpdatesEnabled(False)
        self._list = view
        if self._timer is None:
            self._timer = QTimer()
            self._timer.setSingleShot(True)
            self._timer.timeout.connect(self.end)
        self._timer.start(REST_MS)

    @guarded
    def end(self) -> None:
        """Paint what has changed meanwhile."""
        view, self._list = self._list, None
        if view is not None:
            # The window may have been closed in the meantime.
            with contextlib.suppress(RuntimeError):
                view.setUpdatesEnabled(True)

    def close(self) -> None:
        """Leave the list alone."""
        self._viewer.dims.events.current_step.disconnect(self.begin)
        if self._timer is not None:
            self._timer.stop()
        self.end()
