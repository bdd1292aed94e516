"""Neurons: who takes part in the reconstruction, and their receptive fields: mapped, kept, looked at one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_vidrecon.analysis.receptive_field_mapping import MappingRecipe
from napari_vidrecon.reconstruction.targets import NeuronSet
from napari_vidrecon.sessions.session import Session
from napari_vidrecon.viewer.background import subscribe
from napari_vidrecon.viewer.board import Board
from napari_vidrecon.viewer.board.cells import with_position
from napari_vidrecon.viewer.folders import last_folder, remember_last_folder
from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.opening import try_to
from napari_vidrecon.viewer.panels.controls import (
    FewLines,
    JobBar,
    button,
    choice,
    choose,
    form,
    in_one_place,
    narrow,
    put,
    row,
    stack,
    tick,
    whole_number,
    words,
)
from napari_vidrecon.viewer.receptive_fields import FieldMappingController, ReceptiveFieldChoice
from napari_vidrecon.viewer.tooltips import explain

MOST_ABLATED_PERCENT = 99
PERCENT_STEP = 5
MOST_SEED = 9999
ABLATION_LABELS = {"drop: leave them out": "drop", "silence: ask them to be silent": "silence"}
UNKNOWN_FIELDS = (
    "Needs to know where the neurons' receptive fields lie: a simulated mouse says so, this session does not."
)


class NeuronPanel(QWidget):
    """Ablates neurons at random, by rows, by cells, by region; `ablation` is among the advanced settings.

    In a low window `choosing` stands elsewhere, and a button asks for it.

    Parameters
    ----------
    model
        The state of the window.
    board
        Knows what is selected.
    parent
        The widget that owns it.
    """

    choosing_asked = Signal()

    def __init__(self, model: ReconstructionModel, board: Board, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model, self._board = model, board
        self.count = explain(FewLines(1), "neuron_count")
        self.percent = whole_number("fraction", 0, MOST_ABLATED_PERCENT, self.ablate_random, PERCENT_STEP, after=" %")
        self.seed = whole_number("seed", 0, MOST_SEED, self._reseed, before="seed ")
        narrow(self.percent, self.seed)
        self.rows_button = button("Ablate rows", "ablate_rows", self.ablate_rows)
        self.cells_button = button("Ablate cells", "ablate_cells", self.ablate_cells)
        self.region_button = button("Ablate region", "ablate_region", self.ablate_region)
        self.show_cells_button = button("Show cells", "show_cells", board.show_cells)
        self.draw_region_button = button("Draw region", "draw_region", board.draw_region)
        self.keep_only = tick("Keep only these", "keep_only")
        self.all_button = button("All neurons", "all_neurons", self.take_all)
        self.choose_button = button("Choose…", "choose_neurons", self.choosing_asked.emit)
        self.choose_button.hide()
        self.choosing = QWidget()
        self.ablation = choice("ablation", ABLATION_LABELS, lambda value: model.set_settings(ablation=value))
        self._region_tooltip = self.region_button.toolTip()
        self._lay_out()
        for signal in (model.neurons_changed, model.mask_changed, model.thresholds_changed, model.settings_changed):
            subscribe(self, signal, self._show_neurons)
        subscribe(self, model.session_changed, self._show_session)
        self._show_session()

    # What a person asks for

    def ablate_random(self) -> None:
        """Ablate the random fraction that is set; 0 lets all take part."""
        if self._model.neurons is not None:
            neurons = len(self._model.neurons.keep)
            try_to(self._model, self._take_random, neurons, self.percent.value() / 100, self.seed.value())

    def ablate_rows(self) -> None:
        """Ablate the neurons whose raster rows are marked."""
        self._ablate(self._board.selected_neurons(), "marked rows", "Mark rows in a raster first (Shift-drag).")

    def ablate_cells(self) -> None:
        """Ablate the neurons selected among the points of their positions."""
        layer = self._board.cells_layer()
        chosen = [] if layer is None else sorted(layer.selected_data)
        before = self._model.neurons
        todo = "Press “Show cells” first, then Shift-drag a lasso around cells in that view."
        self._ablate(np.asarray(chosen, dtype=np.int64), "selected cells", todo)
        if layer is not None and self._model.neurons is not before:
            # Marked as selected, they could not be seen to be ablated.
            layer.selected_data = set()

    def ablate_region(self) -> None:
        """Ablate the neurons that look at the drawn region."""
        session, region = self._model.session, self._board.region_mask()
        centres = None if session is None else receptive_field_centres(session)
        if centres is None or region is None:
            self._model.message.emit("Press “Draw region” first, and draw a shape on the stimulus tile.", True)
            return
        self._ablate(in_region(centres, region), "drawn region", "No receptive field has its centre in that region.")

    def take_all(self) -> None:
        """Let every neuron take part."""
        if self._model.neurons is not None:
            self._model.set_neurons(NeuronSet.all(len(self._model.neurons.keep)))

    def _take_random(self, neurons: int, fraction: float, seed: int) -> None:
        self._model.set_neurons(NeuronSet.random(neurons, fraction, seed))

    def _reseed(self) -> None:
        if self.percent.value() > 0:
            self.ablate_random()

    def _ablate(self, indices: np.ndarray, what: str, todo: str) -> None:
        present = self._model.neurons
        if present is None or len(indices) == 0:
            self._model.message.emit(todo, True)
            return
        keep_only = self.keep_only.isChecked()
        try_to(self._model, lambda: self._model.set_neurons(ablated(present, indices, what, keep_only=keep_only)))

    # From the model to the controls

    def _show_session(self) -> None:
        session = self._model.session
        has_cells = session is not None and bool(with_position(session.coordinates).any())
        has_fields = session is not None and receptive_field_centres(session) is not None
        for control in (self.percent, self.seed, self.rows_button, self.all_button):
            control.setEnabled(session is not None)
        for control in (self.cells_button, self.show_cells_button):
            control.setEnabled(has_cells)
        for control in (self.region_button, self.draw_region_button):
            control.setEnabled(has_fields)
        self.region_button.setToolTip(self._region_tooltip if has_fields else f"<qt>{UNKNOWN_FIELDS}</qt>")
        self._show_neurons()

    def _show_neurons(self) -> None:
        model, neurons = self._model, self._model.neurons
        choose(self.ablation, model.ablation)
        if neurons is None:
            self.count.write("", "")
            return
        total = len(neurons.keep)
        reason = "" if neurons.count == total else f": {neurons.reason}"
        self.count.write(f"{neurons.count} of {total} neurons take part{reason}", "")
        at_random = neurons.details.get("kind") == "random"
        put(self.percent, round(100 * neurons.details["ablated_fraction"]) if at_random else 0)
        if at_random:
            put(self.seed, neurons.details["seed"])

    def _lay_out(self) -> None:
        fields = form()
        fields.addRow("At random", row(self.percent, self.seed))
        rows = (
            row(self.show_cells_button, self.draw_region_button, self.all_button),
            row(self.cells_button, self.region_button, self.rows_button),
        )
        stack(self.choosing, fields, *rows, close=True)
        self.parts = stack(self, row(self.count, self.choose_button, stretch=0), self.choosing, close=True)


def receptive_field_centres(session: Session) -> np.ndarray | None:
    """Row and column of every neuron's receptive field.

    Returns
    -------
    np.ndarray | None
        (N, 2) pixels, in the order of the neurons; None where nothing knows them.
    """
    notes = (session.simulation or {}).get("per_neuron", {})
    if not isinstance(notes, dict) or not {"row_px", "column_px"} <= notes.keys():
        return None
    try:
        centres = np.stack([np.asarray(notes[name], dtype=np.float64) for name in ("row_px", "column_px")], axis=1)
    except (TypeError, ValueError):
        return None
    return centres if centres.shape == (session.n_neurons, 2) else None


def in_region(centres: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Indices of the neurons whose centre lies in a region.

    Parameters
    ----------
    centres
        (N, 2) row and column, pixels; NaN where unknown.
    region
        (36, 64) bool.

    Returns
    -------
    np.ndarray
        Ascending.
    """
    known = np.isfinite(centres).all(axis=1)
    places = np.round(np.where(known[:, np.newaxis], centres, -1)).astype(np.int64)
    on_screen = known & (places >= 0).all(axis=1) & (places < region.shape).all(axis=1)
    chosen = np.zeros(len(centres), dtype=bool)
    chosen[on_screen] = region[places[on_screen, 0], places[on_screen, 1]]
    return np.flatnonzero(chosen)


def ablated(present: NeuronSet, indices: np.ndarray, what: str, *, keep_only: bool = False) -> NeuronSet:
    """The present choice without some more neurons, or with nothing but those.

    Parameters
    ----------
    present
        The choice so far.
    indices
        Neurons a person selected.
    what
        How they were selected, for the reason: "marked rows", "selected cells", "drawn region".
    keep_only
        Ablate all others instead.

    Returns
    -------
    NeuronSet
        For the model.

    Raises
    ------
    ConfigError
        None would be left.
    """
    chosen = np.zeros(len(present.keep), dtype=bool)
    chosen[indices] = True
    keep = present.keep & (chosen if keep_only else ~chosen)
    reason = f"only {what} ({int(keep.sum())})" if keep_only else f"{what} ablated ({int((~keep).sum())} in all)"
    return NeuronSet(keep, reason, {"kind": "list"})


PRESETS = {"quick: patches of 2 × 2 pixels": "quick", "published: every single pixel": "published"}
FILE_FILTER = "Receptive fields (*.npz)"


class ReceptiveFieldPanel(QWidget):
    """Starts mappings, loads and saves maps, chooses a neuron.

    Parameters
    ----------
    fields
        The maps and the chosen neurons.
    mapping
        Maps in the background.
    parent
        The widget that owns it.
    """

    def __init__(
        self, fields: ReceptiveFieldChoice, mapping: FieldMappingController, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._fields, self._mapping, self._model = fields, mapping, fields.model
        self.summary = words(name="field_summary")
        self.preset = choice("field_preset", PRESETS)
        self.map_button = button("Map", "map_fields", self.start)
        names = ("mapping_progress", "stop_mapping")
        self.mapping_bar = JobBar(mapping, names, "Stop mapping", "mapping: clip", parent=self)
        self.load_button = button("Load…", "load_fields", self._ask_load)
        self.save_button = button("Save…", "save_fields", self._ask_save)
        self.neuron = whole_number("field_neuron", 0, 0, self._choose, before="neuron ")
        self.hide_button = button("Hide", "hide_field", lambda: fields.choose(()))
        self.told = words(name="field_told")
        self._lay_out()
        for signal, slot in (
            (fields.maps_changed, self._show_maps),
            (fields.neurons_changed, self._show_neuron),
            (self._model.encoders_changed, self._show_ready),
        ):
            subscribe(self, signal, slot)
        mapping.changed.connect(self._show_ready)
        self._show_maps()

    def start(self) -> None:
        """Map with the chosen preset."""
        self._mapping.start(MappingRecipe.preset(self.preset.currentData()))

    def load(self, path: Path) -> None:
        """Take the maps of a file."""
        try_to(self._model, self._fields.load, path)

    def save(self, path: Path) -> None:
        """Write the maps as `.npz`."""
        if self._fields.maps is not None and try_to(self._model, self._fields.maps.save, path):
            remember_last_folder(path.parent)
            self._model.message.emit(f"The receptive fields were saved as {path}.", False)

    def _ask_load(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Load receptive fields", str(last_folder()), FILE_FILTER)
        if name:
            self.load(Path(name))

    def _ask_save(self) -> None:
        offered = str(last_folder() / "receptive_fields.npz")
        name, _ = QFileDialog.getSaveFileName(self, "Save the receptive fields", offered, FILE_FILTER)
        if name:
            self.save(Path(name).with_suffix(".npz"))

    def _choose(self) -> None:
        self._fields.choose((self.neuron.value(),))

    def _show_maps(self) -> None:
        maps = self._fields.maps
        self.summary.setText(self._fields.summary())
        for control in (self.save_button, self.neuron):
            control.setEnabled(maps is not None)
        self.neuron.blockSignals(True)
        self.neuron.setMaximum(max(len(maps) - 1, 0) if maps is not None else 0)
        self.neuron.blockSignals(False)
        self.load_button.setEnabled(self._model.session is not None)
        self._show_neuron()
        self._show_ready()

    def _show_neuron(self) -> None:
        chosen = self._fields.neurons
        if len(chosen):
            put(self.neuron, int(chosen[0]))
        self.hide_button.setEnabled(len(chosen) > 0)
        self.told.setText(self._fields.chosen_in_words())

    def _show_ready(self) -> None:
        self.map_button.setEnabled(not self._mapping.busy and bool(self._model.encoder_paths))
        for control in (self.preset, self.map_button):
            control.setVisible(not self._mapping.busy)

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.summary)
        layout.addLayout(in_one_place(row(self.preset, self.map_button, stretch=0), self.mapping_bar))
        layout.addLayout(row(self.neuron, self.hide_button, self.load_button, self.save_button, stretch=0))
        layout.addWidget(self.told)
