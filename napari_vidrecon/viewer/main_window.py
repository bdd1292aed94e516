"""Napari's main window, what its canvas needs, and its slider of time in frames of the board's own layers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from napari.layers import Image
from napari.settings import get_settings
from qtpy.QtCore import QCoreApplication, QEvent, QObject, Qt, QTimer
from qtpy.QtGui import QDropEvent, QFontInfo, QOpenGLContext
from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QDockWidget,
    QMainWindow,
    QScrollBar,
    QStackedWidget,
    QWidget,
)
from vispy.app.base import BaseCanvasBackend
from vispy.geometry import Rect
from vispy.gloo.glir import BaseGlirParser
from vispy.scene import Grid, Node, ViewBox
from vispy.scene.cameras import BaseCamera
from vispy.scene.cameras.perspective import PerspectiveCamera

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.viewer.background import subscribe
from napari_vidrecon.viewer.faults import Faults, guarded

if TYPE_CHECKING:
    import pint


MAIN_DOCK_NAME = "vidrecon_main_dock"
"""By which the dock "Movie reconstruction" is found, whatever its frame is called."""


def main_window_of(viewer: napari.components.ViewerModel) -> QWidget:
    """Napari's main window, through its public menu bar.

    Returns
    -------
    QWidget
        It owns what lives as long as the window.

    Raises
    ------
    ConfigError
        The viewer has no window.
    """
    window = getattr(viewer, "window", None)
    if window is None:
        raise ConfigError("the viewer: expected one with a window, found a bare model; use napari.Viewer()")
    return window.main_menu.window()


def letter_scale() -> float:
    """How large napari's settings want letters to be, 1.0 for the size they come with."""
    appearance = get_settings().appearance
    return float(appearance.font_size / type(appearance).model_fields["font_size"].default)


LETTERS_STYLE = "QTreeWidget, QHeaderView, QLineEdit, QToolButton {{ font-size: {:.1f}pt; }}"
"""Napari's own style leaves these at the size of the system, whatever its settings say."""


class Letters(QObject):
    """Keeps the letters of a widget, and of all inside, as large as napari's settings say.

    Parameters
    ----------
    widget
        Owns it.
    style
        The widget's own style sheet.
    """

    def __init__(self, widget: QWidget, style: str = "") -> None:
        super().__init__(widget)
        self._widget, self._style = widget, style
        subscribe(self, get_settings().appearance.events.font_size, self._follow)
        self._follow()

    def _follow(self, _event: object = None) -> None:
        scale = letter_scale()
        points = QFontInfo(QApplication.font()).pointSizeF() * scale
        # As they come, they are left to the system.
        self._widget.setStyleSheet(self._style + ("" if scale == 1 else LETTERS_STYLE.format(points)))


LAYER_LIST, LAYER_CONTROLS = "layer list", "layer controls"
"""Names of napari's docks."""
LIST_LINES, CONTROLS_LINES = 2.0, 18.0
"""Least heights of napari's list of layers and of its controls: with more, no window is lower than 561 pixels."""
LEFT_LINES = 4.0
"""What the list keeps beyond its least height when the controls take of it."""


def give_way(window: QMainWindow) -> None:
    """Let napari's own docks become low, so that the window fits a screen of 540 pixels with a layer chosen."""
    for name, kind, lines in (
        (LAYER_LIST, QAbstractItemView, LIST_LINES),
        (LAYER_CONTROLS, QStackedWidget, CONTROLS_LINES),
    ):
        for dock in window.findChildren(QDockWidget, name):
            inside = dock.widget()
            # What it once had to have as a window of its own is kept for ever.
            dock.setMinimumHeight(0)
            # One of them is what the dock holds, the other is inside of it.
            for part in [] if inside is None else [inside, *inside.findChildren(kind)]:
                if isinstance(part, kind):
                    part.setMinimumHeight(round(lines * part.fontMetrics().lineSpacing()))
                    if isinstance(part, QStackedWidget) and window.findChild(RoomOfControls) is None:
                        RoomOfControls(window, part)


class RoomOfControls(QObject):
    """Gives the controls of the chosen layer the height that they need, of what the list of layers has to spare.

    Those of labels, as while a mask is painted, need more than those of images, and are else drawn over each other.

    Parameters
    ----------
    window
        Owns it.
    controls
        Napari's, in the dock.
    """

    def __init__(self, window: QMainWindow, controls: QStackedWidget) -> None:
        super().__init__(window)
        # Those of a new layer learn only now how high they are.
        self._soon = QTimer(self, interval=0, singleShot=True)
        self._soon.timeout.connect(self._take)
        controls.currentChanged.connect(self._begin)

    def _begin(self, _index: int) -> None:
        self._soon.start()

    def _take(self) -> None:
        window = self.parent()
        above, below = (window.findChild(QDockWidget, name) for name in (LAYER_CONTROLS, LAYER_LIST))
        controls = None if above is None else above.findChild(QStackedWidget)
        chosen = None if controls is None else controls.currentWidget()
        if not isinstance(window, QMainWindow) or above is None or below is None or controls is None or chosen is None:
            return
        if any(not dock.isVisible() or dock.isFloating() for dock in (above, below)):
            return
        kept = below.minimumSizeHint().height() + round(LEFT_LINES * below.fontMetrics().lineSpacing())
        given = min(chosen.sizeHint().height() - controls.height(), below.height() - kept)
        if given > 0:
            heights = [above.height() + given, below.height() - given]
            window.resizeDocks([above, below], heights, Qt.Orientation.Vertical)


def room_of(window: QWidget) -> int:
    """Pixels that a window may be high on its screen."""
    return window.screen().availableGeometry().height()


@contextlib.contextmanager
def kept_on_screen(viewer: napari.components.ViewerModel) -> Iterator[None]:
    """Docks that are made meanwhile, and that the screen has no room for, are tabs beside napari's layer controls.

    Where a window needs more than its screen has, what is at its lower edge cannot be reached.

    Parameters
    ----------
    viewer
        With a window.
    """
    window = main_window_of(viewer)
    assert isinstance(window, QMainWindow)
    size, before = window.size(), window.findChildren(QDockWidget)
    yield
    made = [dock for dock in window.findChildren(QDockWidget) if dock not in before]
    for dock in made:
        # Qt would show it later, and until then the window does not know what it needs.
        dock.show()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest.value)
    controls = window.findChild(QDockWidget, LAYER_CONTROLS)
    if controls is None or window.minimumSizeHint().height() <= room_of(window):
        return
    for dock in made:
        window.tabifyDockWidget(controls, dock)
        dock.raise_()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest.value)
    window.resize(size)


class FolderDrops(QObject):
    """Opens what of ours is dropped on napari's canvas, of which napari would ask which reader to take.

    Of a folder every reader is offered, and its own, which is preselected, fails.

    Parameters
    ----------
    window
        napari's main window.
    opens
        Says whether a path is for us, and not for napari's readers.
    open_paths
        Opens what was dropped at once, or says why not.
    faults
        Take what goes wrong.
    """

    def __init__(
        self,
        window: QMainWindow,
        opens: Callable[[Path], bool],
        open_paths: Callable[[list[Path]], object],
        faults: Faults,
    ) -> None:
        super().__init__(window)
        self._opens, self._open, self.faults = opens, open_paths, faults
        centre = window.centralWidget()
        for widget in [] if centre is None else [centre, *centre.findChildren(QWidget)]:
            if widget.acceptDrops():
                widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Take a drop of nothing but what can be opened; all others are napari's."""
        if not isinstance(event, QDropEvent) or event.type() != QEvent.Type.Drop:
            return False
        data = event.mimeData()
        urls = [] if data is None else data.urls()
        paths = [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]
        if not paths or len(paths) < len(urls) or not all(map(self._opens, paths)):
            return False
        event.acceptProposedAction()
        with self.faults:
            self._open(paths)
        return True


class CanvasUpkeep:
    """Does for napari's canvas what napari leaves out; plain napari ends, and grows, without it.

    - What the graphics card holds of layers that are gone is deleted in whatever graphics context is current, mostly
      Qt's own: with the layer, or whenever a list of layers was cleared, be it empty. Mesa's software renderer then
      takes the shader away that the canvas draws with, and does not see that it has to be set again: the next picture
      that is drawn with the same shader ends the process. So a canvas asks the card for nothing outside its context.
    - Whenever the shape of napari's grid changes it makes a new one, and the old one stays in the canvas for ever,
      with a camera and a view of every tile.
    - A tile of its grid may be left without a pixel, on a small canvas and also in a grid that is turned off, whose
      distances stay as they were. In two dimensions vispy then fails with every picture; in three the tile's camera
      shows nothing (a scale of 0), napari's zoom is infinite, and whatever is drawn, sized or put aside fails. So a
      tile has a pixel at least, and cameras and zoom that show nothing are put right before each picture.

    Parameters
    ----------
    viewer
        With a window.
    faults
        Take what goes wrong.
    """

    def __init__(self, viewer: napari.viewer.Viewer, faults: Faults) -> None:
        self._viewer, self.faults = viewer, faults
        self._zoom = 1.0
        for backend in self._backends:
            for event in (backend._vispy_canvas.events.draw, backend._vispy_canvas.events.resize):
                event.connect(self._put_cameras_right)
            shared = backend._vispy_canvas.context.shared
            shared.parser = _OwnContext(shared.parser, backend)
            holder = backend._vispy_canvas.central_widget
            holder.add_grid = partial(_grid_of_tiles, holder.add_grid)
        for event in (viewer.layers.events.inserted, viewer.layers.events.removed, viewer.canvas.grid.events.enabled):
            event.connect(self._drop_old_grids)

    @cached_property
    def _backends(self) -> list[Any]:
        # Looked for once: a window keeps the canvas that it was made with, and a look at all its parts takes 12 ms,
        # with every layer that comes or goes.
        widgets = main_window_of(self._viewer).findChildren(QWidget)
        return [widget for widget in widgets if isinstance(widget, BaseCanvasBackend)]

    @guarded
    def _drop_old_grids(self) -> None:
        self._put_cameras_right()
        for backend in self._backends:
            holder = backend._vispy_canvas.central_widget
            for grid in [each for each in holder._widgets if each.parent is None and not _is_used(each)]:
                holder.remove_widget(grid)

    @guarded
    def _put_cameras_right(self, _event: object = None) -> None:
        camera = self._viewer.scene.camera
        if _can_be_shown(camera.zoom):
            self._zoom = camera.zoom
        for view in self._views():
            seen = view.camera
            # None until three dimensions are seen for the first time.
            shows = seen.scale_factor if isinstance(seen, PerspectiveCamera) else None
            if shows is not None and not _can_be_shown(shows):
                # As napari's zoom has it, or its tiles would zoom each other on and on.
                seen.scale_factor = (min(view.size) or 1.0) / self._zoom
        if not _can_be_shown(camera.zoom):
            camera.zoom = self._zoom

    def _views(self) -> Iterator[ViewBox]:
        for backend in self._backends:
            for widget in backend._vispy_canvas.central_widget._widgets:
                tiles = widget.children if isinstance(widget, Grid) else [widget]
                yield from (tile for tile in tiles if isinstance(tile, ViewBox))


class _Tile(ViewBox):
    """A view of napari's grid that has a pixel at least, however small the canvas is and far apart tiles are."""

    @property
    def rect(self) -> Rect:
        return super().rect

    @rect.setter
    def rect(self, rect: Rect) -> None:
        ViewBox.rect.fset(self, Rect(rect.pos, np.maximum(rect.size, 1.0)))


def _grid_of_tiles(make: Callable[..., Grid], **style: Any) -> Grid:
    grid = make(**style)
    grid._default_class = _Tile
    return grid


class _OwnContext(BaseGlirParser):
    """Does what vispy asks of the graphics card for a canvas in the context of that canvas.

    Parameters
    ----------
    parser
        Does it.
    backend
        The canvas's widget.
    """

    def __init__(self, parser: BaseGlirParser, backend: Any) -> None:
        self._parser, self._backend = parser, backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)

    def is_remote(self) -> bool:
        return self._parser.is_remote()

    @property
    def shader_compatibility(self) -> Any:
        return self._parser.shader_compatibility

    def parse(self, commands: list[tuple[Any, ...]]) -> None:
        # While it is drawn its context is current, and with it a target that `makeCurrent` would exchange.
        if QOpenGLContext.currentContext() != self._backend.context():
            self._backend.makeCurrent()
        self._parser.parse(commands)


LEAST_SHOWN, MOST_SHOWN = 1e-30, 1e30
"""Of the world in a view, and of its zoom: what numbers of 32 bits, those of a graphics card, can be divided by."""


def _can_be_shown(length: float) -> bool:
    return LEAST_SHOWN <= length <= MOST_SHOWN


def free_pictures(widget: QWidget) -> None:
    """Give back what the canvases in a widget hold of the graphics card; they draw no more after that.

    A canvas that ends leaves its programs and textures behind, a megabyte each where no graphics card draws: Qt has
    all canvases share them, so that they stay as long as any canvas does.

    Parameters
    ----------
    widget
        That is about to go.
    """
    for backend in widget.findChildren(QWidget):
        canvas = getattr(backend, "_vispy_canvas", None)
        if isinstance(backend, BaseCanvasBackend) and canvas is not None and backend.context() is not None:
            backend.makeCurrent()
            parser = canvas.context.shared.parser
            parser.parse([("DELETE", number) for number in list(parser._objects)])
            backend.doneCurrent()


def _is_used(grid: Node) -> bool:
    """Whether anything but a camera is in a grid's views; a layer that the new grid leaves out stays in the old one."""
    return any(
        len(view.children) > 1 or any(not isinstance(node, BaseCamera) for node in view.scene.children)
        for view in grid.children
    )


def sliders_of(main: QWidget | None) -> list[QWidget]:
    """Napari's sliders, with the button that plays each."""
    middle = main.centralWidget() if isinstance(main, QMainWindow) else None
    return [] if middle is None else [each for each in middle.findChildren(QWidget) if hasattr(each, "is_playing")]


@contextlib.contextmanager
def sliders_only_told(viewer: napari.components.ViewerModel) -> Iterator[None]:
    """The viewer's sliders may be told where they are, and tell nobody.

    Napari has one of rows and one of columns as well, which nobody sees. When these have other ends they set the
    viewer to the next whole step, and napari cuts the present frame out of all layers anew, for each of them.

    Parameters
    ----------
    viewer
        Whose axes change; one without a window has no sliders.
    """
    main = main_window_of(viewer) if getattr(viewer, "window", None) is not None else None
    found = [bar for dims in sliders_of(main) for bar in dims.findChildren(QScrollBar)]
    # Lists of choices beside them have such bars as well.
    bars: list[Any] = [bar for bar in found if getattr(bar.parent(), "slider", None) is bar]
    before = [bar.blockSignals(True) for bar in bars]
    try:
        yield
    finally:
        for bar, was_quiet in zip(bars, before, strict=True):
            bar.blockSignals(was_quiet)


ROLE_KEY = "vidrecon_role"
TIME = -3
"""Time is the third axis from the end: rows and columns come last, and layers of more axes put theirs before."""


def _clock(viewer: napari.components.ViewerModel) -> tuple[float, float, int]:
    """Time of a frame, time of the first one, and number of frames, of a movie of ours; else as the slider says."""
    for layer in viewer.layers:
        if isinstance(layer, Image) and ROLE_KEY in layer.metadata and layer.ndim == -TIME:
            # Where all layers agree on what is measured, the slider has the smallest unit of any.
            slider = viewer.layers.extent.units
            unit = 1.0 if slider is None else _times(layer.units[TIME], slider[TIME])
            return unit * float(layer.scale[TIME]), unit * float(layer.translate[TIME]), int(layer.data.shape[0])
    low, _, step = viewer.dims.range[TIME]
    return float(step) or 1.0, float(low), int(viewer.dims.nsteps[TIME])


def _times(unit: pint.Unit, other: pint.Unit) -> float:
    """How many of another unit one unit is."""
    return 1.0 if unit == other else float((1 * unit).to(other).magnitude)


def present_frame(viewer: napari.components.ViewerModel) -> int:
    """The frame on display, from 0."""
    if viewer.dims.ndim < -TIME:
        return 0
    frame_s, first_s, frames = _clock(viewer)
    return min(max(round((viewer.dims.point[TIME] - first_s) / frame_s), 0), max(frames - 1, 0))


def frame_count(viewer: napari.components.ViewerModel) -> int:
    """How many frames there are; 0 without a slider."""
    return 0 if viewer.dims.ndim < -TIME else _clock(viewer)[2]


def go_to_frame(viewer: napari.components.ViewerModel, frame: int) -> None:
    """Show a frame; nothing happens without a slider."""
    if viewer.dims.ndim >= -TIME:
        frame_s, first_s, frames = _clock(viewer)
        place = min(max(frame, 0), max(frames - 1, 0)) * frame_s + first_s
        viewer.dims.set_point(viewer.dims.ndim + TIME, place)
