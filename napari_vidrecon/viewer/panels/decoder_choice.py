"""Which decoder runs start from: its name, and buttons to choose one or none."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QWidget
from superqt import QElidingLabel

from napari_vidrecon.reconstruction.decoder import DECODER_SUFFIX
from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.opening import load_decoder, try_to
from napari_vidrecon.viewer.panels.controls import button, row
from napari_vidrecon.viewer.recent_folders import last_folder, remember_last_folder
from napari_vidrecon.viewer.subscriptions import subscribe
from napari_vidrecon.viewer.tooltips import TOOLTIPS, explain

NO_DECODER = "none: start from grey"
DECODER_FILTER = f"Decoders (*{DECODER_SUFFIX})"


class DecoderChoice(QWidget):
    """One row of a form.

    Parameters
    ----------
    model
        The state of the window.
    """

    def __init__(self, model: ReconstructionModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self.name = explain(QElidingLabel(), "decoder")
        self.name.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.choose_button = button("Choose…", "choose_decoder", self._ask)
        self.remove_button = button("Remove", "remove_decoder", partial(model.set_settings, decoder=None))
        layout = row(self.name, self.choose_button, self.remove_button, stretch=0)
        layout.setContentsMargins(0, 0, 0, 0)
        self.setLayout(layout)
        for signal in (model.session_changed, model.settings_changed):
            subscribe(self, signal, self._show)
        self._show()

    def load(self, path: Path) -> None:
        """Take the decoder of a file."""
        if try_to(self._model, load_decoder, self._model, path):
            remember_last_folder(path.parent)

    def _ask(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Choose a decoder", str(last_folder()), DECODER_FILTER)
        if name:
            self.load(Path(name))

    def _show(self) -> None:
        chosen = self._model.decoder
        self.name.setText(NO_DECODER if chosen is None else chosen.path.stem)
        told = "" if chosen is None else f"<p>{chosen.path}</p>"
        self.name.setToolTip(f"<qt>{TOOLTIPS['decoder']}{told}</qt>")
        self.choose_button.setEnabled(self._model.session is not None)
        self.remove_button.setEnabled(chosen is not None)
