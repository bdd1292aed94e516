"""The cells in the cortex: a three-dimensional view of its own beside the board, with a lasso."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

import napari
import numpy as np
from napari.components import ViewerModel
from napari.layers import Points, Shapes
from napari.utils.colormaps import ensure_colormap
from napari.utils.colormaps.standardize_color import transform_color
from psygnal import Signal
from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget
from skimage.measure import points_in_poly

from napari_vidrecon.viewer.board.explained import ExplainedView
from napari_vidrecon.viewer.board.layers import ROLE_KEY, Role
from napari_vidrecon.viewer.main_window import free_pictures, kept_on_screen, letter_scale
from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.plots import theme_colours

DOCK_NAME = "Cells"
CELL_SIZE_UM = 9.0
KEPT_COLOUR = "#56B4E9"
EXPLAINED_COLOURS = "viridis"
"""Of how well a cell is explained: r from 0 to 1; cells below 0, or without, have the lowest."""
EXPLAINED_TOLD = (0.0, 0.5, 1.0)
BY_EXPLAINED, BY_COLUMN, BY_ROW = "how well explained", "where it looks, across", "up and down"
"""What the cells' colours may show; the latter two, the order of the screen in cortex, once fields are mapped."""
AXES = {BY_ROW: 0, BY_COLUMN: 1}
USUAL_PERCENT = (2.0, 98.0)
"""Of the places that cells look at, those whose colours are the first and the last."""
ABLATED_COLOUR = "#5A5A5A"
SELECTED_COLOUR, CHOSEN_COLOUR = "#F0E442", "#E8308C"
LASSO_WIDTH_UM = 4.0
FEWEST_CORNERS = 3
VIEW_ANGLES = (0.0, 20.0, 70.0)
CLICK_SLOP_PX = 3.0
HINT = ("drag: turn", "Shift-drag: lasso", "click: curves, field")
SELECTION_SECONDS = 0.1
"""Between two looks which cells a lasso holds; the line itself follows at once."""
DOCK_LETTERS, DOCK_LINES, FEWEST_LINES = 60, 16, 8
"""Of text: as wide and high as the dock would be, and as high as the cells are at least."""
WORDS_POINTS = 8
NO_CELLS = "Where the cells lie is not known of this session."


class CellsView:
    """Points at the cells' cortical positions in a dock with its own canvas.

    The board's axes are time and screen, so cells, whose axes are micrometres, cannot share its canvas.

    Parameters
    ----------
    viewer
        The board's viewer; its window takes the dock.
    model
        Knows the positions, and which cells take part.
    """

    cell_clicked = Signal(object)
    """The cell that was clicked, (1,)."""

    def __init__(self, viewer: napari.components.ViewerModel, model: ReconstructionModel) -> None:
        self._viewer, self._model = viewer, model
        self.explained: ExplainedView | None = None
        self.predicted: Callable[[], np.ndarray | None] = lambda: None
        self.looks_at: Callable[[], np.ndarray | None] = lambda: None
        """(N, 2) row and column of each cell's receptive field, px; None while fields are not mapped."""
        self.coloured_by = BY_EXPLAINED
        self.scene: ViewerModel | None = None
        self.words = ""
        self._widget: _CellsWidget | None = None

    @property
    def layer(self) -> Points | None:
        """The cells, or None while they are not shown."""
        if self.scene is None:
            return None
        found = [layer for layer in self.scene.layers if layer.metadata.get(ROLE_KEY) == Role.CELLS]
        return found[0] if found and isinstance(found[0], Points) else None

    def follow_letters(self) -> None:
        """Write as large as napari's settings say."""
        if self._widget is not None:
            self._widget.tell(self.words)

    def show(self) -> Points | None:
        """Show the cells of the session; None where their positions are not known."""
        layer = self._placed()
        if layer is not None:
            self._dock()
        return layer

    def _placed(self) -> Points | None:
        """The cells of the session, whether or not a dock shows them."""
        session = self._model.session
        coordinates = None if session is None else session.coordinates
        known = with_position(coordinates)
        if coordinates is None or not known.any():
            return None
        if self.scene is None:
            self.scene = ViewerModel(ndisplay=3, title=DOCK_NAME)
            self.scene.mouse_drag_callbacks.append(self.on_press)
            self.scene.bind_key("Control-Z", lambda _scene: self._model.undo())
            self.scene.bind_key("Control-Shift-Z", lambda _scene: self._model.redo())
            self.scene.canvas.overlays.scale_bar.visible = True
            self.scene.scene.overlays.axes.visible = True
            self.scene.canvas.events.size.connect(self._fit)
        depth_first = np.array(coordinates, dtype=np.float32)[:, ::-1]
        # Napari does not survive points that lie nowhere; every neuron keeps its number.
        depth_first[~known] = depth_first[known].mean(axis=0)
        layer = self.layer
        if layer is not None and not np.array_equal(layer.data, depth_first):
            self.scene.layers.clear()
            layer = None
        if layer is None:
            layer = self.scene.add_points(
                depth_first,
                name="cells",
                size=CELL_SIZE_UM,
                shown=known,
                border_width=0,
                units=("micrometer",) * depth_first.shape[1],
                axis_labels=("depth", "y", "x")[-depth_first.shape[1] :],
                metadata={ROLE_KEY: str(Role.CELLS)},
            )
            layer.selected_data.events.items_changed.connect(self.update_neurons)
            # There from the beginning: the first line of a lasso is not to wait until its layer is made.
            self.scene.add_shapes(
                None, ndim=3, edge_color=SELECTED_COLOUR, edge_width=LASSO_WIDTH_UM, name="lasso", units=layer.units
            )
            self.scene.layers.selection.active = layer
            self.scene.reset_view()
            self.scene.scene.camera.angles = VIEW_ANGLES
        self.update_neurons()
        return layer

    def update_neurons(self) -> None:
        """Cells that take part show how well they are explained; ablated ones are grey, selected ones yellow."""
        layer, neurons = self.layer, self._model.neurons
        if layer is None or neurons is None or len(layer.data) != len(neurons.keep):
            return
        explained, looks_at = self.explained, self._places(len(layer.data))
        words, told, values = self._shown(looks_at)
        if values is None:
            colours = np.tile(transform_color(KEPT_COLOUR), (len(neurons.keep), 1))
        else:
            share = (np.nan_to_num(values, nan=told[0]) - told[0]) / max(told[-1] - told[0], 1e-6)
            colours = ensure_colormap(EXPLAINED_COLOURS).map(np.clip(share, 0.0, 1.0))
        colours[~neurons.keep] = transform_color(ABLATED_COLOUR)
        if explained is not None:
            colours[explained.chosen] = transform_color(CHOSEN_COLOUR)
        colours[list(layer.selected_data)] = transform_color(SELECTED_COLOUR)
        layer.face_color = colours
        unplaced = int((~layer.shown).sum())
        missing = (f"{unplaced} of {len(layer.data)} without a position",) if unplaced else ()
        lines = [_listed((*HINT, *missing)), legend() if values is None else legend(words, told)]
        lines += [] if looks_at is None else [self._choices()]
        self._tell("<br>".join(lines))

    def _places(self, cells: int) -> np.ndarray | None:
        """(N, 2) where each cell looks, once fields of this session's cells are mapped."""
        places = self.looks_at()
        return places if places is not None and len(places) == cells and np.isfinite(places).any() else None

    def _shown(self, looks_at: np.ndarray | None) -> tuple[str, np.ndarray, np.ndarray | None]:
        """What colours tell, values of the first, the middle and the last of them, and of each cell, if known."""
        axis = AXES.get(self.coloured_by)
        if looks_at is None or axis is None:
            known = None if self.explained is None else self.explained.correlation(self.predicted())
            return "r with the prediction", np.array(EXPLAINED_TOLD), known
        low, high = np.nanpercentile(looks_at[:, axis], USUAL_PERCENT)
        return f"looks at {'row' if axis == 0 else 'column'}", np.linspace(low, high, 3), looks_at[:, axis]

    def _choices(self) -> str:
        """What colours may show, each but the present one a link."""
        names = (BY_EXPLAINED, BY_COLUMN, BY_ROW)
        parts = [f"<b>{each}</b>" if each == self.coloured_by else f'<a href="{each}">{each}</a>' for each in names]
        return _listed(("colours: " + parts[0], *parts[1:]))

    def colour_by(self, name: str) -> None:
        """Show something else by the colours, one of `BY_EXPLAINED`, `BY_COLUMN` and `BY_ROW`."""
        self.coloured_by = name
        self.update_neurons()

    def update_session(self) -> None:
        """Another session has other cells."""
        if self.layer is not None and self._placed() is None and self.scene is not None:
            self.scene.layers.clear()
            self._tell(NO_CELLS)

    def on_press(self, viewer: Any, event: Any) -> Generator[None, None, None]:
        """Select the cells inside a line drawn with Shift held down; with Control, add them to those selected.

        A click without a key tells which cell it hit.
        """
        layer, camera = self.layer, viewer.scene.camera
        if layer is None:
            return
        if "Shift" not in event.modifiers:
            yield from self._click(layer, event)
            return
        before = set(layer.selected_data) if "Control" in event.modifiers else set()
        camera.mouse_pan = False
        corners, looked_s = [np.asarray(event.position, dtype=np.float64)], time.monotonic()
        try:
            yield
            while event.type == "mouse_move":
                corners.append(np.asarray(event.position, dtype=np.float64))
                self._draw_lasso(np.array(corners))
                if time.monotonic() - looked_s >= SELECTION_SECONDS:
                    self._select(layer, corners, before)
                    looked_s = time.monotonic()
                yield
            self._select(layer, corners, before)
        finally:
            camera.mouse_pan = True
            self._draw_lasso(None)
            viewer.layers.selection.active = layer

    def _select(self, layer: Points, corners: list[np.ndarray], before: set[int]) -> None:
        if len(corners) >= FEWEST_CORNERS and self.scene is not None:
            camera = self.scene.scene.camera
            inside = cells_inside(np.asarray(layer.data), np.array(corners), camera.view_direction, camera.up_direction)
            layer.selected_data = before | set(np.flatnonzero(inside & layer.shown).tolist())

    def _click(self, layer: Points, event: Any) -> Generator[None, None, None]:
        pressed = np.asarray(event.pos)
        yield
        while event.type == "mouse_move":
            yield
        if event.modifiers or np.abs(np.asarray(event.pos) - pressed).max() > CLICK_SLOP_PX:
            return
        if not layer.loaded:
            # Napari slices in a thread of its own where a person has it so, and has no answer before that.
            return
        cell = layer.get_value(
            event.position, view_direction=event.view_direction, dims_displayed=event.dims_displayed, world=True
        )
        if cell is not None:
            self.cell_clicked.emit(np.array([cell], np.intp))

    def close(self) -> None:
        """Take the view away."""
        window = getattr(self._viewer, "window", None)
        if window is not None and DOCK_NAME in window.dock_widgets:
            window.remove_dock_widget(self._widget)
        self._widget = None
        self.scene = None

    def _tell(self, words: str) -> None:
        self.words = words
        self.follow_letters()

    def _fit(self) -> None:
        if self.scene is not None:
            self.scene.fit_to_view()

    def _draw_lasso(self, corners: np.ndarray | None) -> None:
        assert self.scene is not None
        lasso = next((layer for layer in self.scene.layers if isinstance(layer, Shapes)), None)
        if lasso is None:
            return
        if corners is not None and lasso.nshapes:
            lasso.data = [corners]
        elif corners is not None:
            lasso.add_paths([corners], edge_color=SELECTED_COLOUR, edge_width=LASSO_WIDTH_UM)
        else:
            lasso.selected_data = set()
            lasso.data = []

    def _dock(self) -> None:
        window = getattr(self._viewer, "window", None)
        if window is None:
            return
        if DOCK_NAME in window.dock_widgets and self._widget is not None:
            # It may have been hidden.
            self._widget.parentWidget().show()
            self._widget.parentWidget().raise_()
            return
        self._widget = _CellsWidget(self.scene)
        self._widget.words.linkActivated.connect(self.colour_by)
        self._widget.tell(self.words)
        with kept_on_screen(self._viewer):
            window.add_dock_widget(self._widget, name=DOCK_NAME, area="bottom", add_vertical_stretch=False)


class _CellsWidget(QWidget):
    """The cells' canvas, as small at first as leaves room for the board, below what its colours mean."""

    def __init__(self, scene: ViewerModel) -> None:
        super().__init__()
        from napari.qt import QtViewer

        # Beside the cells, never over them: a text on the canvas hides what it explains in a narrow dock.
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.words.setObjectName("cells_words")
        links = Qt.TextInteractionFlag.LinksAccessibleByMouse | Qt.TextInteractionFlag.LinksAccessibleByKeyboard
        self.words.setTextInteractionFlags(links)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.words)
        canvas = QtViewer(scene)
        canvas.setMinimumHeight(FEWEST_LINES * self.fontMetrics().lineSpacing())
        layout.addWidget(canvas, stretch=1)

    def event(self, event: QEvent) -> bool:
        """Before it leaves its dock, for good: what its canvas holds of the graphics card would stay there for ever."""
        if event.type() == QEvent.Type.ParentAboutToChange:
            free_pictures(self)
        return super().event(event)

    def tell(self, words: str) -> None:
        """Show a line or two of HTML, as large as napari's settings say."""
        self.words.setStyleSheet(f"font-size: {WORDS_POINTS * letter_scale():.1f}pt;")
        # Qt's own blue of links cannot be read on dark.
        self.words.setText(words.replace("<a ", f'<a style="color: {theme_colours(self)["blue"]}" '))

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        return QSize(DOCK_LETTERS * metrics.averageCharWidth(), DOCK_LINES * metrics.lineSpacing())


def with_position(coordinates: np.ndarray | None) -> np.ndarray:
    """(N,) bool, which neurons have a position; none where positions are not known."""
    return np.zeros(0, bool) if coordinates is None else np.isfinite(np.asarray(coordinates, float)).all(axis=1)


def legend(words: str = "", told: Sequence[float] | np.ndarray = ()) -> str:
    """What the cells' colours mean.

    Parameters
    ----------
    words
        What they tell, rather than only which cells take part.
    told
        Values of the first colour, of those between, and of the last.

    Returns
    -------
    str
        One line of HTML, which may be broken between its parts.
    """
    if not words:
        kinds = [(KEPT_COLOUR, "takes part"), (ABLATED_COLOUR, "ablated"), (SELECTED_COLOUR, "in the lasso")]
        return _listed(f"{_spot(colour)}{word}" for colour, word in kinds)
    colours = ensure_colormap(EXPLAINED_COLOURS).map(np.linspace(0.0, 1.0, len(told)))
    spots = (_spot(QColor.fromRgbF(*map(float, colour)).name()) for colour in colours)
    values = " ".join(f"{each}{value:.3g}" for each, value in zip(spots, told, strict=True))
    rest = (_spot(ABLATED_COLOUR) + "ablated", _spot(CHOSEN_COLOUR) + "clicked", "blue ring: in the lasso")
    return _listed((f"{words}: {values}", *rest))


def _listed(parts: Iterable[str]) -> str:
    """Side by side, each of them on one line wherever the dock is narrow."""
    return " · ".join(f'<span style="white-space: nowrap">{each}</span>' for each in parts)


def _spot(colour: str) -> str:
    return f'<span style="color: {colour}">&#9679;</span>&nbsp;'


def cells_inside(cells: np.ndarray, corners: np.ndarray, view: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Which cells lie inside a closed line, as seen from where the line was drawn.

    Parameters
    ----------
    cells
        (N, 3) positions.
    corners
        (n, 3) points of the line, anywhere along the lines of sight through them.
    view, up
        (3,) directions of the camera.

    Returns
    -------
    np.ndarray
        (N,) bool.
    """
    direction = np.asarray(view, dtype=np.float64) / np.linalg.norm(view)
    upward = np.asarray(up, dtype=np.float64) - np.dot(up, direction) * direction
    upward /= np.linalg.norm(upward)
    plane = np.stack([upward, np.cross(direction, upward)], axis=1)
    return points_in_poly(np.asarray(cells, dtype=np.float64) @ plane, np.asarray(corners) @ plane)
