"""Receptive fields in the window: the maps, who maps them in a thread, whose are looked at, and their picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Layer, Shapes
from psygnal import Signal
from qtpy.QtCore import QObject

from napari_vidrecon.analysis.receptive_field_mapping import MappingRecipe, map_receptive_fields
from napari_vidrecon.analysis.receptive_fields import ReceptiveFieldMaps
from napari_vidrecon.errors import StorageError
from napari_vidrecon.sessions.session import Session
from napari_vidrecon.viewer.background import Background, Counted
from napari_vidrecon.viewer.board.board import Board
from napari_vidrecon.viewer.board.colormaps import signed_error
from napari_vidrecon.viewer.board.explained import named
from napari_vidrecon.viewer.board.layers import ROLE_KEY, Role
from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.runs.jobs import Job
from napari_vidrecon.viewer.runs.run_job import EncoderShelf

if TYPE_CHECKING:
    from napari_vidrecon.viewer.board.pointing import Pointing


PERCENT = 100


class ReceptiveFieldChoice:
    """Maps of the open session and the neurons whose field is shown; without Qt.

    Signals carry no data: listeners read it. Another session takes the maps away.

    Parameters
    ----------
    model
        Of the same window.
    """

    maps_changed = Signal()
    neurons_changed = Signal()

    def __init__(self, model: ReconstructionModel) -> None:
        self.model = model
        self.maps: ReceptiveFieldMaps | None = None
        self.neurons = np.empty(0, np.intp)
        model.session_changed.connect(self._forget)

    def take(self, maps: ReceptiveFieldMaps, source: str = "receptive fields") -> None:
        """Show these maps from now on.

        Parameters
        ----------
        maps
            Of as many neurons as the session has.
        source
            File they come from, for messages.

        Raises
        ------
        StorageError
            No session is open, or it has another number of neurons.
        """
        session = self.model.session
        if session is None:
            raise StorageError(f"{source}: open a session first; receptive fields belong to one")
        if len(maps) != session.n_neurons:
            raise StorageError(
                f"{source}: expected receptive fields of {session.n_neurons} neurons, as {session.name} has, "
                f"found {len(maps)}; map them anew, or open their session"
            )
        self.maps = maps
        self.maps_changed.emit()
        self.choose(self.neurons)

    def load(self, path: Path) -> None:
        """Take the maps of a file.

        Raises
        ------
        StorageError
            It cannot be read, or belongs to another session.
        """
        session = self.model.session
        self.take(ReceptiveFieldMaps.load(path, None if session is None else session.screen), str(path))

    def choose(self, neurons: Iterable[int]) -> None:
        """Look at these neurons; none hides the field."""
        chosen = np.fromiter(neurons, np.intp)
        self.neurons = chosen[(chosen >= 0) & (chosen < len(self.maps or ()))]
        self.neurons_changed.emit()

    def neurons_at(self, row: int, column: int) -> np.ndarray:
        """(n,) neurons whose fitted field holds a pixel of the screen; none where no fields were mapped."""
        return np.empty(0, np.intp) if self.maps is None else self.maps.fits.at(row, column)

    def field(self) -> np.ndarray | None:
        """(36, 64) on minus off of the chosen neurons, -1..1, their mean; None if none is chosen."""
        if self.maps is None or not len(self.neurons):
            return None
        return self.maps.difference(self.neurons).mean(axis=0).astype(np.float32)

    def outlines(self) -> list[np.ndarray]:
        """Fitted ellipses of the chosen neurons, each (points, 2) as row and column, px."""
        if self.maps is None:
            return []
        return [self.maps.fits.outline(int(neuron)) for neuron in self.neurons if self._fitted(int(neuron))]

    def _fitted(self, neuron: int) -> bool:
        return self.maps is not None and bool(np.isfinite(self.maps.fits.row[neuron]))

    def summary(self) -> str:
        """What the maps say of the population, in a line or two."""
        maps = self.maps
        if maps is None:
            return "Not mapped yet."
        known = maps.responsive & np.isfinite(maps.fits.row)
        if not known.any():
            return f"None of {len(maps)} neurons responds to a patch."
        order = maps.retinotopy
        return (
            f"{int(maps.responsive.sum())} of {len(maps)} neurons respond; median size "
            f"{np.median(maps.diameter_px[known]):.1f} px or {np.median(maps.diameter_deg[known]):.0f}°."
            + ("" if order is None else f" Neighbours in cortex tell {max(order.explained, 0):.0%} of where they look.")
        )

    def chosen_in_words(self) -> str:
        """What the maps say of the chosen neurons."""
        maps = self.maps
        if maps is None:
            return ""
        if not len(self.neurons):
            return "Click a row of a raster, or a cell, to see its receptive field on the stimulus."
        if len(self.neurons) > 1:
            return f"{len(self.neurons)} neurons share this row; their mean is shown."
        neuron = int(self.neurons[0])
        if not maps.responsive[neuron] or not self._fitted(neuron):
            return f"Neuron {neuron} does not respond to a patch."
        on, off = (PERCENT * float(each[neuron].max()) for each in (maps.on, maps.off))
        colours = maps.screen.colours
        seen = f" in {colours[int(maps.screen.colour_at(maps.fits.row[neuron]))]}" if colours else ""
        return (
            f"Neuron {neuron}: {maps.diameter_px[neuron]:.1f} px or {maps.diameter_deg[neuron]:.0f}° wide, "
            f"{maps.eccentricity_deg[neuron]:.0f}° from the middle{seen}; bright patches raise its activity by up to "
            f"{on:.0f} %, dark ones by {off:.0f} %."
        )

    def _forget(self) -> None:
        self.maps = None
        self.maps_changed.emit()
        self.choose(())


class FieldMappingController(Background):
    """Start and stop the mapping of receptive fields; `counted` says how far it is, in clips.

    Parameters
    ----------
    fields
        Takes the maps.
    parent
        Qt owner.
    """

    def __init__(self, fields: ReceptiveFieldChoice, parent: QObject | None = None) -> None:
        super().__init__(fields.model.message.emit, parent)
        self.fields = fields
        self._session: Session | None = None

    def start(self, recipe: MappingRecipe | None = None) -> None:
        """Map with all chosen encoders.

        Parameters
        ----------
        recipe
            Default: the quick mapping.
        """
        model = self.fields.model
        if not self.free:
            return
        if model.session is None or not model.encoder_paths:
            model.message.emit("Open a session and choose an encoder first, under What.", True)
            return
        recipe, self._session = recipe or MappingRecipe(), model.session
        work = partial(map_fields, model.session, tuple(model.encoder_paths), model.mouse, model.device, recipe)
        patches = recipe.patches_on(model.session.screen, model.session.frame_rate_hz)
        clips = 2 * len(patches) * len(model.encoder_paths)
        self.begin(Job(work, "vidrecon-receptive-fields"), Counted(0, clips))

    def on_news(self, job: Job, maps: ReceptiveFieldMaps) -> None:
        """All clips were answered to."""
        model = self.fields.model
        if model.session is self._session:
            self.fields.take(maps)
            model.message.emit("The receptive fields were mapped: click a raster row or a cell.", False)


def map_fields(
    session: Session, encoder_paths: Sequence[Path], mouse: int | None, device: str, recipe: MappingRecipe, job: Job
) -> None:
    """In the thread: tells `Counted` after every batch and a `ReceptiveFieldMaps` at the end.

    Parameters
    ----------
    session
        The mouse.
    encoder_paths
        Encoder files.
    mouse
        Index of their readout; None where the number of neurons chooses it.
    device
        "auto", "cpu", "cuda", ...
    recipe
        Settings of the mapping.
    job
        Takes the news, and says when to stop.
    """
    encoders = EncoderShelf().get(encoder_paths, mouse, device, session.n_neurons)
    maps = map_receptive_fields(session, encoders, recipe, on_progress=job.count)
    if maps is not None:
        # Fitted here, because the window would stand still for it.
        _ = maps.fits, maps.responsive, maps.retinotopy
        job.tell(maps)


OUTLINE_COLOUR = "white"
OUTLINE_PX = 0.4
NO_FIELDS = "To see where on the screen it looks, map its receptive field under Receptive fields."
MOST_OUTLINES = 8
"""More ellipses than this, of a row that many neurons share, hide the stimulus."""


class ReceptiveFieldTile:
    """Keeps two layers over the stimulus: the field, and the fitted ellipses at half height.

    Parameters
    ----------
    board
        Whose stimulus it lies over, and whose cells are clicked.
    pointing
        Tells which row of a raster was clicked.
    fields
        The maps and the chosen neurons.
    """

    def __init__(self, board: Board, pointing: Pointing, fields: ReceptiveFieldChoice) -> None:
        self._board, self._fields = board, fields
        self._clicked = np.empty(0, np.intp)
        self._slots = (
            (fields.neurons_changed, self.draw),
            (fields.model.trial_changed, self.draw),
            (fields.model.view_changed, self.draw),
            (pointing.row_clicked, self._on_row),
            (pointing.row_pointed, self._on_pointed),
            (board.cells.cell_clicked, self._on_cell),
        )
        for signal, slot in self._slots:
            signal.connect(slot)

    def close(self) -> None:
        """Listen to nothing any more; the layers stay."""
        for signal, slot in self._slots:
            signal.disconnect(slot)

    def draw(self) -> None:
        """Draw the chosen neurons, or take the layers away; napari's grid has no place for them."""
        field, layers = self._fields.field(), self._board.layers
        if field is None or self._board.model.grid or layers.find(Role.STIMULUS) is None:
            layers.remove(Role.RECEPTIVE_FIELD)
            layers.remove(Role.RECEPTIVE_FIELD_OUTLINE)
            return
        style = {"colormap": signed_error(), "contrast_limits": (-1.0, 1.0), "interpolation2d": "linear"}
        layers.picture(Role.RECEPTIVE_FIELD, "receptive field", field, self._board.layout.movie(0), **style)
        with layers.selection_kept():
            self._draw_outlines()

    def _draw_outlines(self) -> None:
        board = self._board
        lines = self._fields.outlines()
        shown = lines if len(lines) <= MOST_OUTLINES else []
        layer: Layer | None = board.layers.adopt(Role.RECEPTIVE_FIELD_OUTLINE, Shapes)
        if layer is None:
            layer = board.layers.viewer.add_shapes(
                None,
                ndim=2,
                name="receptive field outline",
                units=board.layers.units[-2:],
                metadata={ROLE_KEY: str(Role.RECEPTIVE_FIELD_OUTLINE)},
            )
        layer.selected_data = set()
        layer.data = []
        if shown:
            layer.add_paths(shown, edge_color=OUTLINE_COLOUR, edge_width=OUTLINE_PX)
        # Coordinates are pixels of the movie.
        board.layers.place(layer, board.layout.movie(0), (board.layout.rows, board.layout.cols))

    def _on_row(self, neurons: np.ndarray) -> None:
        self._clicked = neurons if len(self._board.activity.explained.chosen) else np.empty(0, np.intp)
        if self._fields.maps is not None:
            self._fields.choose(self._clicked)
        elif len(self._clicked):
            self._fields.model.message.emit(f"{self._told(neurons)} {NO_FIELDS}", False)

    def _on_pointed(self, neurons: np.ndarray) -> None:
        """While the mouse is on a row its field is shown, then that of the row clicked last."""
        if self._fields.maps is not None:
            self._fields.choose(neurons if len(neurons) else self._clicked)

    def _told(self, neurons: np.ndarray) -> str:
        """Which neurons, and how well they are explained."""
        activity = self._board.activity
        r = activity.explained.told_correlation(neurons, activity.predicted)
        where = "above the rasters" if self._board.layout.has_rasters else "in Explain"
        without = "it" if len(neurons) == 1 else "them"
        return f"{named(neurons).capitalize()}{r}: curves {where}. Shift+W: what the movie loses without {without}."

    def _on_cell(self, cell: np.ndarray) -> None:
        if self._fields.maps is None:
            self._board.activity.choose(cell)
            self._fields.model.message.emit(f"{self._told(cell)} {NO_FIELDS}", False)
        else:
            self._board.activity.choose(cell)
            self._fields.choose(cell)
