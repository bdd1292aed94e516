"""Live: where activity comes from, the pictures while it comes in, and how late they are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QImage, QPainter, QPaintEvent, QResizeEvent
from qtpy.QtWidgets import QLineEdit, QSizePolicy, QVBoxLayout, QWidget

from napari_vidrecon.reconstruction.live import LivePicture
from napari_vidrecon.sessions.screen import USUAL_SCREEN
from napari_vidrecon.viewer.background import subscribe
from napari_vidrecon.viewer.live_session import NO_DECODER, REFINED_BEHIND_S, SILENT_S, LiveController, LiveView
from napari_vidrecon.viewer.panels.controls import FewLines, button, choice, form, in_one_place, row, tick
from napari_vidrecon.viewer.plots import theme_colours
from napari_vidrecon.viewer.tooltips import explain

SOURCES = {"this trial, as it was recorded": "trial", "all trials of the session": "session", "a stream": "stream"}
PLAIN = ""
ABOUT_LINES, TOLD_LINES = 3, 3
TILES, ROOMY_COLUMNS = 3, 2
"""Pictures there can be, and how many stand beside each other where there is room for larger ones."""


class LivePanel(QWidget):
    """Starts and stops a live session, and shows its pictures.

    Parameters
    ----------
    live
        Does it in the background.
    parent
        The widget that owns it.
    """

    def __init__(self, live: LiveController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._live, self._model = live, live.model
        self.about = explain(FewLines(ABOUT_LINES), "live_about")
        self.source = choice("live_source", SOURCES, self._take_source)
        self.address = explain(QLineEdit(live.choices.address), "live_address")
        self.address.editingFinished.connect(self._take_address)
        self.refine = tick("Refine with the ticked encoders", "live_refine", self._take_refine)
        self.refine.setChecked(live.choices.refine)
        self.fit_button = button("Fit causal", "live_fit", live.fit)
        self.start_button = button("Start", "live_start", self._start)
        self.stop_button = button("Stop", "live_stop", live.stop)
        self.pictures = explain(LivePictures(), "live_pictures")
        self.told = explain(FewLines(TOLD_LINES), "live_told")
        self._shown: LiveView | None = None
        self._lay_out()
        for signal in (self._model.session_changed, self._model.settings_changed, self._model.encoders_changed):
            subscribe(self, signal, self._show)
        live.changed.connect(self._show)
        live.seen.connect(self._show_newest)
        self._show()

    def set_low(self, is_low: bool) -> None:
        """Put the pictures into one row, where there is no room for two."""
        self.pictures.set_columns(TILES if is_low else ROOMY_COLUMNS)

    def _take_source(self, source: str) -> None:
        self._live.choices.source = source
        self._show()

    def _take_address(self) -> None:
        self._live.choices.address = self.address.text().strip()

    def _take_refine(self, wanted: bool) -> None:
        self._live.choices.refine = wanted

    def _start(self) -> None:
        self._take_address()
        self._live.start()

    def _show(self) -> None:
        model, live = self._model, self._live
        busy, stream = live.busy, live.choices.source == "stream"
        for control in (self.source, self.refine):
            control.setEnabled(not busy)
        self.address.setEnabled(stream and not busy)
        self.start_button.setEnabled(not busy and model.session is not None and model.decoder is not None)
        lacks = model.decoder is None or not model.decoder.causal
        self.fit_button.setEnabled(not busy and model.session is not None and lacks)
        self.stop_button.setEnabled(busy and not live.stopping)
        self.about.write(self._in_words(), PLAIN)
        self._show_newest()

    def _in_words(self) -> str:
        model = self._model
        if model.session is None:
            return "Open a session first, under What."
        if model.decoder is None:
            return NO_DECODER
        delay_s = model.decoder.delay_frames / model.session.frame_rate_hz
        waits = (
            "It is causal: each picture comes with its frame."
            if not delay_s
            else f"It is not causal: pictures come {delay_s:.2f} s after their frames. "
            "Those of a causal one come at once."
        )
        return f"A picture for every frame of activity as it comes in, by the chosen decoder. {waits}"

    def _show_newest(self, _view: LiveView | None = None) -> None:
        view = self._live.view
        if view is not None and view is not self._shown:
            self._shown = view
            if view.newest is not None:
                self.pictures.show_view(view.newest, view)
            self.told.write(in_words(view), PLAIN if view.newest is not None else theme_colours(self)["orange"])
        elif view is None:
            counted = self._live.counted
            fitting = "" if counted is None else f"Fitting: {counted.done} of {counted.total} trials were read …"
            waiting = (fitting or "Waiting for the first frame …") if self._live.busy else ""
            self.told.write(waiting, theme_colours(self)["orange"])
        # What it would do stands there until it does.
        tells = bool(self.told.told) and self._model.decoder is not None
        self.told.setVisible(tells)
        self.about.setVisible(not tells)

    def _lay_out(self) -> None:
        fields = form()
        fields.addRow("Activity", self.source)
        fields.addRow("Address", self.address)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(in_one_place(self.about, self.told))
        layout.addLayout(fields)
        layout.addWidget(self.refine)
        layout.addLayout(row(self.fit_button, self.start_button, self.stop_button))
        layout.addWidget(self.pictures)
        layout.addStretch()


def in_words(view: LiveView) -> str:
    """Counts and latencies of a live session for people."""
    told = view.told
    parts = [f"{told['frames']:,} frames"] if view.newest is not None else ["Waiting for the first frame"]
    parts += [f"{told[name]:,} {name}" for name in ("late", "lost", "twice", "refused") if told[name]]
    parts += [f"{told['refined']:,} refined"] if told["refined"] else []
    middle, slowest = told.get("latency_p50_s"), told.get("latency_p99_s")
    sentences = [" · ".join(parts)]
    if middle is not None and slowest is not None:
        sentences.append(f"Picture {1000 * middle:.0f} ms after its frame (99%: {1000 * slowest:.0f} ms)")
    if view.silent_s > SILENT_S:
        sentences.append(f"No frame for {view.silent_s:.0f} s")
    if view.refused:
        sentences.append(f"Refused: {view.refused}")
    if view.doubt:
        sentences.append(f"Take care: {view.doubt}")
    if told.get("fault"):
        sentences.append(f"Not refined any more: {told['fault']}")
    return ". ".join(sentences) + "."


class LivePictures(QWidget):
    """What was shown and what is seen beside each other, then what was refined meanwhile."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tiles: Sequence[tuple[str, np.ndarray]] = ()
        self._size_px: tuple[int, ...] = USUAL_SCREEN.size_px
        self._columns = ROOMY_COLUMNS
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)

    def show_view(self, newest: LivePicture, view: LiveView) -> None:
        """Show the pictures of now.

        Parameters
        ----------
        newest
            The newest picture, that of the view.
        view
            Knows the earlier one.
        """
        tiles = [] if newest.truth is None else [("shown", newest.truth)]
        tiles.append(("seen now", newest.picture))
        if view.earlier is not None:
            state = "refined" if view.refined else "not refined"
            tiles.append((f"{REFINED_BEHIND_S:.0f} s ago, {state}", view.earlier))
        size_px = newest.picture.shape
        if size_px != self._size_px:
            self._size_px = size_px
            self._take_height()
        self._tiles = tiles
        self.update()

    def set_columns(self, columns: int) -> None:
        """How many stand beside each other."""
        self._columns = columns
        self._take_height()
        self.update()

    @property
    def captions(self) -> list[str]:
        """Above the pictures."""
        return [caption for caption, _ in self._tiles]

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Pictures keep their shape."""
        super().resizeEvent(event)
        self._take_height()

    def _take_height(self) -> None:
        rows, columns = self._size_px
        each = self.width() // self._columns * rows // columns + self.fontMetrics().lineSpacing()
        self.setFixedHeight(math.ceil(TILES / self._columns) * each)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Enlarged as on the board: pixels stay squares."""
        painter = QPainter(self)
        line, gap = self.fontMetrics().lineSpacing(), self.fontMetrics().averageCharWidth() // 2
        width = (self.width() - (self._columns - 1) * gap) / self._columns
        height = width * self._size_px[0] / self._size_px[1]
        for number, (caption, levels) in enumerate(self._tiles):
            left, top = (number % self._columns) * (width + gap), number // self._columns * (height + line)
            painter.setPen(self.palette().text().color())
            if self.fontMetrics().horizontalAdvance(caption) > width:
                caption = caption.rpartition(", ")[2]
            painter.drawText(QRectF(left, top, width, line), Qt.AlignmentFlag.AlignLeft, caption)
            painter.drawImage(QRectF(left, top + line, width, height), _image(levels))
        painter.end()


def _image(levels: np.ndarray) -> QImage:
    """(rows, columns) grey levels as a picture that owns its pixels."""
    grey = np.ascontiguousarray(np.clip(np.rint(levels), 0, 255), np.uint8)
    return QImage(grey.data, grey.shape[1], grey.shape[0], grey.shape[1], QImage.Format.Format_Grayscale8).copy()
