"""The mask: which pixels are reconstructed, which are measured, and whether that is a good place to do it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget
from superqt import QElidingLabel, QLabeledDoubleRangeSlider

from napari_vidrecon.reconstruction.masks import mask_faults
from napari_vidrecon.viewer.background import subscribe
from napari_vidrecon.viewer.board import Board
from napari_vidrecon.viewer.board.colormaps import EVALUATION_COLOUR, TRAINING_COLOUR
from napari_vidrecon.viewer.faults import Faults, guarded
from napari_vidrecon.viewer.fits import MaskFitController
from napari_vidrecon.viewer.folders import last_folder, remember_last_folder
from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.opening import load_mask, try_to
from napari_vidrecon.viewer.panels.controls import FewLines, JobBar, button, in_one_place, put, row, words
from napari_vidrecon.viewer.plots import theme_colours
from napari_vidrecon.viewer.tooltips import explain

NO_MASK = "No mask yet: press Fit, or load one."
GOOD_MASK = "Good to measure in: one piece, no holes."
VERDICT_LINES = 2
THRESHOLD_STEP, DECIMALS = 0.01, 2
SETTLED_MILLISECONDS = 400
"""A threshold that rested for so long is worth a step of Undo."""
MASK_FILTER = "Masks (*.npy)"


class MaskPanel(QWidget):
    """Thresholds, loading, fitting, painting.

    Parameters
    ----------
    model
        The state of the window.
    board
        Draws the outlines, and lends the brush.
    fitting
        Fits masks in the background.
    parent
        The widget that owns it.
    """

    def __init__(
        self, model: ReconstructionModel, board: Board, fitting: MaskFitController, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._model, self._board, self._fitting = model, board, fitting
        self.faults = Faults(model.message.emit)
        self.source = QElidingLabel()
        self.source.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.thresholds = explain(QLabeledDoubleRangeSlider(Qt.Orientation.Horizontal), "thresholds")
        self._fit_letters()
        for part in self.thresholds.findChildren(QWidget):
            part.setAccessibleName(self.thresholds.accessibleName())
        self.thresholds.setSingleStep(THRESHOLD_STEP)
        self.thresholds.valueChanged.connect(self._take_thresholds)
        self.training_size = words(name="training_size")
        self.evaluation_size = words(name="evaluation_size")
        for size in (self.training_size, self.evaluation_size):
            size.setWordWrap(False)
        self.load_button = button("Load…", "load_mask", self._ask_load)
        self.save_button = button("Save…", "save_mask", self._ask_save)
        self.fit_button = button("Fit", "fit_mask", fitting.start)
        self.paint_button = button("Paint", "paint", self._paint, checkable=True)
        self.verdict = explain(FewLines(VERDICT_LINES), "mask_verdict")
        self.fit_bar = JobBar(fitting, ("fit_progress", "stop_fit"), "Stop fit", "fitting: step", parent=self)
        self._settled = QTimer(self, interval=SETTLED_MILLISECONDS, singleShot=True)
        self._settled.timeout.connect(self._settle)
        self._letters = QTimer(self, interval=0, singleShot=True)
        self._letters.timeout.connect(self._fit_letters)
        self._lay_out()
        for signal in (model.mask_changed, model.thresholds_changed, model.neurons_changed, model.session_changed):
            subscribe(self, signal, self._show_mask)
        fitting.changed.connect(self._show_ready)
        subscribe(self, model.trial_changed, self._end_painting)
        # A person may delete the brush's layer as any other.
        for event in (board.viewer.layers.events.inserted, board.viewer.layers.events.removed):
            subscribe(self, event, self._show_painting)
        self._show_mask()
        self._show_painting()

    def changeEvent(self, event: QEvent) -> None:
        """Follow the size of letters, as all inside have it a moment later."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.FontChange) and hasattr(self, "_letters"):
            self._letters.start()

    def _fit_letters(self) -> None:
        # Its labels take their size with their decimals, and its least height comes with them: too late for the layout.
        self.thresholds.setDecimals(DECIMALS)
        self.thresholds.setMinimumHeight(self.thresholds.minimumSizeHint().height())

    def save(self, path: Path) -> None:
        """Write the mask as `.npy`."""
        if try_to(self._model, self._model.mask.save, path):
            remember_last_folder(path.parent)
            self._model.message.emit(f"The mask was saved as {path}.", False)

    def load(self, path: Path) -> None:
        """Take the mask of a file."""
        try_to(self._model, load_mask, self._model, path)

    def _ask_load(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Load a mask", str(last_folder()), MASK_FILTER)
        if name:
            self.load(Path(name))

    def _ask_save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save the mask", str(last_folder() / "mask.npy"), MASK_FILTER)
        if name:
            self.save(Path(name).with_suffix(".npy"))

    def _take_thresholds(self, values: tuple[float, float]) -> None:
        training, evaluation = values
        self._model.set_thresholds(training, evaluation, undoable=False)
        self._settled.start()

    @guarded
    def _settle(self) -> None:
        self._model.settle_edits()
        self._show_mask()

    def _paint(self) -> None:
        if self.paint_button.isChecked():
            self._board.begin_painting()
            self._show_painting()
        else:
            self._end_painting()

    def _end_painting(self) -> None:
        self._board.end_painting()
        self._show_painting()

    def _show_painting(self, _event: object = None) -> None:
        """The button says whether the brush is there, whoever took it away."""
        painting = self._board.painting.layer is not None
        self.paint_button.setText("Done" if painting else "Paint")
        put(self.paint_button, painting)

    def _show_mask(self) -> None:
        model = self._model
        name = Path(model.mask.source).name if model.mask.source else "unnamed"
        self.source.setText(f"Mask: {name}")
        self.source.setToolTip(model.mask.source)
        highest = max(float(model.mask.screen.max()), 0.0)
        low, high = model.training_threshold, model.evaluation_threshold
        self.thresholds.blockSignals(True)
        self.thresholds.setRange(0.0, max(highest, low, high, THRESHOLD_STEP))
        if not np.allclose(self.thresholds.value(), (low, high)):
            self.thresholds.setValue((min(low, high), max(low, high)))
        self.thresholds.blockSignals(False)
        self.training_size.setText(self._size("╍", TRAINING_COLOUR, "Reconstructed", low))
        self.evaluation_size.setText(self._size("━", EVALUATION_COLOUR, "Measured", high))
        self._show_verdict()
        opened = model.session is not None
        for control in (self.thresholds, self.load_button, self.save_button, self.paint_button):
            control.setEnabled(opened)
        self._show_ready()

    def _show_verdict(self) -> None:
        """Whether it is too small, too large, in pieces or full of holes, as it is dragged or painted."""
        model = self._model
        theme_colours(self)
        if model.session is None:
            self.verdict.write("", "green")
            return
        if model.mask.alpha.all() and np.ptp(model.mask.alpha) == 0:
            self.verdict.write(NO_MASK, "orange")
            return
        text = self._faults(short=False)
        self.verdict.write(text or GOOD_MASK, "orange" if text else "green", self._faults(short=True))

    def _faults(self, *, short: bool) -> str:
        model = self._model
        assert model.session is not None
        thresholds, planes = (model.training_threshold, model.evaluation_threshold), model.session.screen.planes
        faults = mask_faults(model.mask, *thresholds, planes, short=short)
        return ". ".join(fault[0].upper() + fault[1:] for fault in faults)

    def _show_ready(self) -> None:
        self.fit_button.setEnabled(self._model.session is not None and not self._fitting.busy)
        # The bar of a fit takes the place of the verdict on the mask it replaces, so that nothing moves.
        self.verdict.setVisible(not self._fitting.busy)

    def _size(self, line: str, colour: tuple[int, int, int], what: str, threshold: float) -> str:
        session = self._model.session
        pixels = int(self._model.mask.binary(threshold).sum())
        diameter = self._model.mask.diameter_deg(threshold, None if session is None else session.screen)
        mark = f'<b><span style="color:rgb{colour}">{line}{line}</span></b>'
        return f"{mark} {what} (α ≥ {threshold:.2f}): {pixels} px, {diameter:.0f}°"

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(self.fontMetrics().averageCharWidth() // 2)
        layout.addWidget(self.source)
        layout.addWidget(self.thresholds)
        layout.addWidget(self.training_size)
        layout.addWidget(self.evaluation_size)
        layout.addLayout(in_one_place(self.verdict, self.fit_bar))
        layout.addLayout(row(self.paint_button, self.fit_button, self.load_button, self.save_button))
