"""The view of the board: all of it at any size, put aside in 3-D and back; napari's own grid and list of layers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from napari.layers import Image, Layer
from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import QAbstractItemView, QDockWidget, QListView, QWidget

from napari_vidrecon.viewer.board.captions import fitted
from napari_vidrecon.viewer.board.layers import ROLE_KEY, Role, RoleLayers
from napari_vidrecon.viewer.board.tiles import BoardLayout, Box
from napari_vidrecon.viewer.faults import Faults, guarded
from napari_vidrecon.viewer.main_window import LAYER_LIST, letter_scale, main_window_of

if TYPE_CHECKING:
    from napari.utils.events import Event, EventEmitter


MARGIN = 0.03


class BoardCamera:
    """Fits the board to the canvas, again and again while the canvas changes its size.

    Parameters
    ----------
    viewer
        Whose camera it is.
    layers
        The board's.
    refit
        Called when the canvas has another size and the view is still as `fit` left it.
    """

    def __init__(self, viewer: napari.components.ViewerModel, layers: RoleLayers, refit: Callable[[], None]) -> None:
        self._viewer, self._layers, self._refit = viewer, layers, refit
        self._left: tuple[float, ...] | None = None
        self._owes_a_fit = False
        viewer.canvas.events.size.connect(self._on_canvas_size)

    def fit(self, layout: BoardLayout, part: Box | None = None) -> None:
        """Show all of the board, or a part of it, as large as it goes."""
        if layout.gridded:
            shown = [layer for layer in self._layers.ours() if layer.visible]
            # Napari looks for every axis on display in the layers it is given; a layer of a person's may add some.
            whole = all(layer.ndim < self._viewer.dims.ndim for layer in shown)
            self._viewer.reset_view(layers=None if whole else shown, margin=MARGIN)
        else:
            camera = self._viewer.scene.camera
            view = layout.canvas if part is None else part
            camera.center = (0.0, (view.top + view.bottom) / 2, (view.left + view.right) / 2)
            height, width = self.canvas
            camera.zoom = 1 / layout.pixel if part is None else min(height / part.height, width / part.width)
        # Napari tells its layers while it draws, too late for letters: they would have all of it drawn once more.
        for layer in self._layers.ours():
            layer.scale_factor = self.unit
        self._left = self._place()

    @property
    def moved(self) -> bool:
        """Whether a person has zoomed or moved since the last fit."""
        return self._left is not None and not np.allclose(self._place(), self._left)

    @property
    def view(self) -> Box:
        """What of the world is on the canvas."""
        camera = self._viewer.scene.camera
        height, width = (length / camera.zoom for length in self.canvas)
        y, x = camera.center[-2:]
        return Box(y - height / 2, x - width / 2, height, width)

    @property
    def unit(self) -> float:
        """World units a pixel of the screen."""
        return 1 / self._viewer.scene.camera.zoom

    @property
    def canvas(self) -> tuple[float, float]:
        """Height and width of the canvas on the screen."""
        height, width = self._viewer.canvas.size
        return float(height), float(width)

    def close(self) -> None:
        """Follow the canvas no longer."""
        self._viewer.canvas.events.size.disconnect(self._on_canvas_size)
        self._owes_a_fit = False

    def _on_canvas_size(self) -> None:
        # Where a person has zoomed or moved, the view is theirs.
        if self._owes_a_fit or self._left is None or not np.allclose(self._place(), self._left):
            return
        # Not at once: napari may be at work on the very thing that changed the size. While it goes from the controls of
        # many layers to those of one, none may be selected, and a layer that is made is.
        self._owes_a_fit = True
        QTimer.singleShot(0, self._fit_again)

    def _fit_again(self) -> None:
        if self._owes_a_fit:
            self._owes_a_fit = False
            self._layers.when_settled(self._refit)

    def _place(self) -> tuple[float, ...]:
        camera = self._viewer.scene.camera
        return (*camera.center, camera.zoom)


TOLD = "The board is flat: its layers are hidden in 3-D, and come back in 2-D."
TOLD_OF_ORDER = "The board hides while napari's axes are in another order: press that button until it is back."
PLAIN_MODE = "pan_zoom"


class Flatness:
    """Hides the board's layers while the viewer shows three dimensions, or its axes in another order.

    Time and screen make no body, and time and rows no picture: napari would draw every movie as a cloud, for seconds
    each without a graphics card, and its brush fails beside the layer. What is hidden is not drawn.

    Parameters
    ----------
    layers
        The board's.
    faults
        Take what goes wrong.
    tell
        Called with one line and whether it is an error.
    """

    def __init__(self, layers: RoleLayers, faults: Faults, tell: Callable[[str, bool], object]) -> None:
        self._layers, self.faults, self._tell = layers, faults, tell
        self._was_flat = layers.flat
        self._turned = (layers.viewer.dims.events.ndisplay, layers.viewer.dims.events.order)
        for event in self._turned:
            event.connect(self._on_turned)
        layers.viewer.layers.events.inserted.connect(self._on_inserted)

    def close(self) -> None:
        """Leave the layers as they are."""
        for event in self._turned:
            event.disconnect(self._on_turned)
        self._layers.viewer.layers.events.inserted.disconnect(self._on_inserted)

    @guarded
    def _on_turned(self) -> None:
        # Napari also tells of an order while it takes in a layer, which is put aside then.
        if self._layers.flat is self._was_flat:
            return
        self._was_flat = self._layers.flat
        if self._was_flat:
            for layer in list(self._layers.waiting):
                self._layers.show(layer, True)
            return
        shown = [layer for layer in self._layers.ours() if layer.visible]
        for layer in shown:
            self._put_aside(layer)
        if shown:
            self._tell(TOLD if self._layers.viewer.dims.ndisplay > 2 else TOLD_OF_ORDER, False)

    @guarded
    def _on_inserted(self, event: Event) -> None:
        if not self._layers.flat and ROLE_KEY in event.value.metadata:
            self._put_aside(event.value)

    def _put_aside(self, layer: Layer) -> None:
        if hasattr(layer, "mode"):
            layer.mode = PLAIN_MODE
        self._layers.show(layer, layer.visible)


LAYERS_A_TILE = 2
COLUMNS = 3
SPACING = 0.06
TITLE_LETTERS, TITLE_POINTS = 28, 8.0
TILES: tuple[tuple[Role, Role], ...] = (
    (Role.STIMULUS, Role.MASK),
    (Role.RECONSTRUCTION, Role.MASK),
    (Role.COMPARISON, Role.MASK),
    (Role.ERROR_BASE, Role.ERROR_MAP),
    (Role.RECORDED, Role.NOW),
    (Role.PREDICTED, Role.NOW),
    (Role.DIFFERENCE, Role.NOW),
)
"""Below and above in each tile; what lies above in several is drawn once more for each."""
TITLED = {Role.ERROR_BASE: Role.ERROR_MAP, Role.DIFFERENCE: Role.PREDICTED}
"""Tiles whose title is written under another role."""


class GridTiles:
    """Orders and copies layers so that each pair falls into one tile of the grid, and takes it back.

    Parameters
    ----------
    layers
        The board's layers.
    faults
        Take what goes wrong.
    asked
        Called with whether there is to be a grid when a person presses napari's own button for it.
    """

    def __init__(self, layers: RoleLayers, faults: Faults, asked: Callable[[bool], object]) -> None:
        self._layers, self.faults, self._asked = layers, faults, asked
        self._names: dict[Layer, str] = {}
        self._switching = False
        self._asking = QTimer(interval=0, singleShot=True)
        self._asking.timeout.connect(self._ask)
        layers.viewer.canvas.grid.events.enabled.connect(self._on_switched)

    @property
    def on(self) -> bool:
        """Whether napari shows the grid for us."""
        return bool(self._names)

    def enter(self, titles: dict[Role, str]) -> None:
        """Lay the tiles out in the grid.

        Parameters
        ----------
        titles
            What each tile shows; written in it through the layer's name.
        """
        self.leave()
        ordered: list[Layer] = []
        for below, above in TILES:
            base, over = self._layers.find(below), self._layers.find(above)
            if base is None or over is None:
                continue
            if over in ordered:
                over = self._copy(over)
            over.visible = base.visible
            ordered += [base, over]
            self._names[base] = base.name
            base.name = fitted(titles.get(TITLED.get(below, below), base.name), TITLE_LETTERS)
            base.name_overlay.visible, base.name_overlay.font_size = True, TITLE_POINTS * letter_scale()
        self._sort(ordered)
        grid = self._layers.viewer.canvas.grid
        grid.stride, grid.shape, grid.spacing = LAYERS_A_TILE, (-1, COLUMNS), SPACING
        self._switch(True)

    def leave(self) -> None:
        """Back to one canvas."""
        self._layers.remove(Role.GRID_COPY)
        for layer, name in self._names.items():
            layer.name_overlay.visible = False
            layer.name = name
        if self._names:
            self._switch(False)
        self._names = {}

    def close(self) -> None:
        """Follow napari's button no longer."""
        self._asking.stop()
        self._layers.viewer.canvas.grid.events.enabled.disconnect(self._on_switched)

    def _switch(self, on: bool) -> None:
        self._switching = True
        self._layers.viewer.canvas.grid.enabled = on
        self._switching = False

    def _on_switched(self) -> None:
        # Of a grid that changes while it is being made, napari's cameras are not told where they look.
        if not self._switching:
            self._asking.start()

    @guarded
    def _ask(self) -> None:
        wanted = self._layers.viewer.canvas.grid.enabled
        if wanted and not self.on:
            self._switch(False)
        self._asked(wanted)

    def copies_of(self, layer: Layer) -> list[Layer]:
        """The layers in other tiles that show the same data."""
        return [copy for copy in self._layers.all_of(Role.GRID_COPY) if copy.data is layer.data]

    def _copy(self, layer: Layer) -> Layer:
        assert isinstance(layer, Image)
        style: dict[str, Any] = {
            "name": layer.name,
            "scale": layer.scale,
            "translate": layer.translate,
            "units": layer.units,
            "axis_labels": layer.axis_labels,
            "blending": str(layer.blending),
            "interpolation2d": str(layer.interpolation2d),
            "metadata": {ROLE_KEY: str(Role.GRID_COPY)},
        }
        if layer.rgb:
            return self._layers.viewer.add_image(layer.data, rgb=True, **style)
        limits = tuple(layer.contrast_limits)
        return self._layers.viewer.add_image(layer.data, colormap=layer.colormap, contrast_limits=limits, **style)

    def _sort(self, ordered: list[Layer]) -> None:
        # The grid puts layers into tiles by their place in the list, whatever else the person has there.
        layers = self._layers.viewer.layers
        for target, layer in enumerate(ordered):
            present = layers.index(layer)
            if present != target:
                layers.move(present, target)


REST_MS = 500


class OwedPicture(QObject):
    """Knows whether a widget has been painted since.

    Parameters
    ----------
    widget
        What is waited for.
    """

    def __init__(self, widget: QWidget) -> None:
        super().__init__()
        self.painted = False
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """See the picture go by."""
        if event is not None and event.type() == QEvent.Type.Paint:
            self.painted = True
        return False


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
        self._owed: OwedPicture | None = None
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
        if self._owed is not None and not self._owed.painted:
            # To rest again before that would leave its place empty: Qt has cleared it.
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
                viewport = view.viewport()
                self._owed = None if viewport is None else OwedPicture(viewport)

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
