"""Receptive fields: map them, keep them, look at them one by one."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_vidrecon.viewer.opening import try_to
from napari_vidrecon.viewer.panels.controls import JobBar, button, choice, put, row, whole_number, words
from napari_vidrecon.viewer.preferences import last_folder, remember_last_folder
from napari_vidrecon.viewer.receptive_fields import FieldMappingController, ReceptiveFieldChoice
from napari_vidrecon.viewer.subscriptions import subscribe

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
        self.preset = choice("field_preset", PRESETS, lambda _preset: None)
        self.map_button = button("Map", "map_fields", self.start)
        names = ("mapping_progress", "stop_mapping")
        self.mapping_bar = JobBar(mapping, names, "Stop mapping", "mapping: clip", parent=self)
        self.load_button = button("Load…", "load_fields", self._ask_load)
        self.save_button = button("Save…", "save_fields", self._ask_save)
        self.neuron = whole_number("field_neuron", 0, 0, self._choose)
        self.neuron.setPrefix("neuron ")
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
        from napari_vidrecon.analysis.receptive_field_mapping import MappingRecipe

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

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.summary)
        layout.addLayout(row(self.preset, self.map_button, stretch=0))
        layout.addWidget(self.mapping_bar)
        layout.addLayout(row(self.neuron, self.hide_button, self.load_button, self.save_button, stretch=0))
        layout.addWidget(self.told)
