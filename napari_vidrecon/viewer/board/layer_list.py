"""Napari's list of layers: at rest while pictures change quickly, and without the board's inner parts."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QAbstractItemView, QDockWidget, QListView

from napari_vidrecon.viewer.board.layers import ROLE_KEY, Role
from napari_vidrecon.viewer.faults import Faults, guarded
from napari_vidrecon.viewer.main_window import main_window_of

if TYPE_CHECKING:
    import napari
    from napari.utils.events import EventEmitter

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
        self._inner: frozenset[Role] = frozenset()
        self._sorting: QTimer | None = None
        for event in self._changes:
            event.connect(self._soon)
        viewer.dims.events.current_step.connect(self.begin)

    @property
    def _changes(self) -> tuple[EventEmitter, ...]:
        events = self._viewer.layers.events
        return events.inserted, events.removed, events.reordered

    def hide(self, inner: frozenset[Role]) -> None:
        """Leave layers of these roles out of the list: nobody has a use for them one by one."""
        self._inner = inner
        self._soon()

    def _soon(self) -> None:
        # Napari's list learns of a layer in the same turn of the event loop, but not always before us.
        if getattr(self._viewer, "window", None) is None:
            return
        if self._sorting is None:
            self._sorting = QTimer()
            self._sorting.setSingleShot(True)
            self._sorting.timeout.connect(self._sort)
        self._sorting.start(0)

    @guarded
    def _sort(self) -> None:
        view = None
        # The window may have been closed in the meantime.
        with contextlib.suppress(RuntimeError):
            view = self._view
        model = None if view is None else view.model()
        if not isinstance(view, QListView) or model is None:
            return
        for row in range(model.rowCount()):
            layer = model.index(row, 0).data(Qt.ItemDataRole.UserRole)
            inner = getattr(layer, "metadata", {}).get(ROLE_KEY) in self._inner
            if view.isRowHidden(row) != inner:
                view.setRowHidden(row, inner)

    @property
    def _view(self) -> QAbstractItemView | None:
        dock = main_window_of(self._viewer).findChild(QDockWidget, LAYER_LIST)
        return None if dock is None else dock.findChild(QAbstractItemView)

    @guarded
    def begin(self) -> None:
        """Many changes follow: rest for a moment, then paint once. A list that a person points at stays awake."""
        if self._list is not None or getattr(self._viewer, "window", None) is None:
            return
        view = self._view
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
        for event in self._changes:
            event.disconnect(self._soon)
        if self._sorting is not None:
            self._sorting.stop()
        if self._timer is not None:
            self._timer.stop()
        self.end()
