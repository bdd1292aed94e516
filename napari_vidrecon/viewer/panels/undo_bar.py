"""Undo and redo, saying what they would change."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QPushButton, QShortcut, QSizePolicy, QWidget

from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.panels.controls import button, row
from napari_vidrecon.viewer.subscriptions import subscribe
from napari_vidrecon.viewer.tooltips import TOOLTIPS

LEAST_LETTERS = 8


class UndoBar(QWidget):
    """Two buttons for every change by hand, of whatever page; Ctrl+Z works wherever the keyboard is in the dock.

    Parameters
    ----------
    model
        The state of the window.
    dock
        In which the keys work.
    parent
        The widget that owns it.
    """

    def __init__(self, model: ReconstructionModel, dock: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self.undo_button = button("Undo", "undo", model.undo)
        self.redo_button = button("Redo", "redo", model.redo)
        layout = row(self.undo_button, self.redo_button, stretch=0)
        layout.setContentsMargins(0, 0, 0, 0)
        self.setLayout(layout)
        for made in (self.undo_button, self.redo_button):
            made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            made.setMinimumWidth(LEAST_LETTERS * self.fontMetrics().averageCharWidth())
        self.redo_button.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        for keys, action in ((QKeySequence.StandardKey.Undo, model.undo), (QKeySequence.StandardKey.Redo, model.redo)):
            shortcut = QShortcut(QKeySequence(keys), dock)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(action)
        for signal in (
            model.mask_changed, model.thresholds_changed, model.neurons_changed, model.settings_changed,
            model.session_changed, model.encoders_changed,
        ):  # fmt: skip
            subscribe(self, signal, self._show)
        self._show()

    def _show(self) -> None:
        model = self._model
        for made, word, name, can in (
            (self.undo_button, "Undo", model.undo_name, model.can_undo),
            (self.redo_button, "Redo", model.redo_name, model.can_redo),
        ):
            made.setEnabled(can)
            _label(made, f"{word}: {name}" if name and word == "Undo" else word)
            told = f"<p>{word}: {name}</p>" if name else ""
            made.setToolTip(f"<qt>{TOOLTIPS[word.lower()]}{told}</qt>")


def _label(made: QPushButton, text: str) -> None:
    if made.text() != text:
        made.setText(text)
