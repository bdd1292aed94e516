"""The run at a glance: its state, how far and how good it is, and the buttons that drive it; undo and redo."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtGui import QHideEvent, QKeySequence, QMouseEvent, QPalette, QResizeEvent
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPushButton,
    QShortcut,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_vidrecon.sessions.session import Session
from napari_vidrecon.viewer.background import subscribe
from napari_vidrecon.viewer.controller import RunController
from napari_vidrecon.viewer.evaluation import Evaluator
from napari_vidrecon.viewer.live_picture import WidgetPictures
from napari_vidrecon.viewer.model import NO_MOVIE_YET, NO_RUN_YET, ReconstructionModel, RunState
from napari_vidrecon.viewer.panels.controls import FewLines, advance, button, emphasise, progress, row
from napari_vidrecon.viewer.plots import COLOURS_ON_DARK, COLOURS_ON_LIGHT, DARK_BELOW_LIGHTNESS, SteadyText
from napari_vidrecon.viewer.runs.status import Mood, status
from napari_vidrecon.viewer.tooltips import TOOLTIPS, explain

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
        self.parts = row(self.undo_button, self.redo_button, stretch=0)
        self.parts.setContentsMargins(0, 0, 0, 0)
        self.setLayout(self.parts)
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
            model.session_changed, model.encoders_changed, model.trial_changed, model.edits_settled,
        ):  # fmt: skip
            subscribe(self, signal, self._show)
        self._show()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """As much of a name as there is room for."""
        super().resizeEvent(event)
        self._show()

    def _show(self) -> None:
        model = self._model
        for made, word, name, can in (
            (self.undo_button, "Undo", model.undo_name, model.can_undo),
            (self.redo_button, "Redo", model.redo_name, model.can_redo),
        ):
            made.setEnabled(can)
            room = max(made.width() - LEAST_LETTERS * made.fontMetrics().averageCharWidth() // 2, 0)
            text = made.fontMetrics().elidedText(f"{word}: {name}", Qt.TextElideMode.ElideRight, room)
            _label(made, text if name and word == "Undo" and len(text) > len(word) else word)
            told = f"<p>{word}: {name}</p>" if name else ""
            made.setToolTip(f"<qt>{TOOLTIPS[word.lower()]}{told}</qt>")


def _label(made: QPushButton, text: str) -> None:
    if made.text() != text:
        made.setText(text)


BIG_NUMBER_SCALE = 1.4
NEWS_LINES, NEWS_LINES_LOWEST = 2, 1
BOLD_SCALE = 1.15
SCORE_HZ = 4.0
STEP_TOLD_MILLISECONDS = 2000
"""Between two tellings of the step: where it cannot be drawn over itself, the whole window is composed for each."""
PROGRESS_PARTS = 1000
MOOD_COLOURS = {Mood.BUSY: "blue", Mood.GOOD: "green", Mood.WARNING: "orange", Mood.ERROR: "rose"}
NO_NUMBER = "–"


class RunBar(QWidget):
    """Always in sight above the panels.

    Parameters
    ----------
    model
        The state of the window.
    controller
        Drives runs.
    parent
        The widget that owns it.
    """

    def __init__(self, model: ReconstructionModel, controller: RunController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model, self._controller = model, controller
        self._evaluator = Evaluator(model)
        self._tells_fault = False
        self._told_in: Session | None = None
        self.what = explain(QElidingLabel(), "subject")
        self.what.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.state = SteadyText(one_line=True)
        self.state.label.setTextFormat(Qt.TextFormat.PlainText)
        self.news = QStackedWidget()
        self.hint, self.message = FewLines(NEWS_LINES), explain(FewLines(NEWS_LINES), "message")
        self.progress = progress("progress")
        advance(self.progress, 0, PROGRESS_PARTS)
        self.progress.setTextVisible(False)
        self.progress.setMaximumHeight(max(self.fontMetrics().height() // 2, 4))
        self.start_button = button("Start", "start", controller.start)
        self.pause_button = button("Pause", "pause", self._pause_or_resume)
        self.stop_button = button("Stop", "stop", controller.stop)
        self.rerun_button = button("Rerun", "rerun", controller.rerun)
        self.video_correlation = self._big_number("video_correlation")
        self.frame_correlation = self._big_number("frame_correlation")
        self._score_pause = QTimer(self, interval=round(1000 / SCORE_HZ), singleShot=True)
        self._step_pause = QTimer(self, interval=STEP_TOLD_MILLISECONDS, singleShot=True)
        self.over: WidgetPictures | None = None
        """Draws step and progress of a run over themselves, where the window's own picture costs the run time."""
        self._lay_out()
        for signal in (
            model.state_changed, model.settings_changed, model.progress_changed, model.encoders_changed,
            model.mask_changed, model.thresholds_changed, model.neurons_changed, model.session_changed,
            model.trial_changed, model.shown_changed, model.runs_changed, model.snapshot_arrived,
        ):  # fmt: skip
            subscribe(self, signal, self._show_state)
        for signal in (model.thresholds_changed, model.mask_changed, model.shown_changed, model.trial_changed):
            subscribe(self, signal, self._show_scores)
        subscribe(self, model.snapshot_arrived, self._score_in_time)
        subscribe(self, model.view_changed, self._show_progress)
        subscribe(self, model.picture_arrived, self._tell_step)
        subscribe(self, model.message, self.show_message)
        subscribe(self, model.session_changed, self._forget_other_session)
        subscribe(self, model.state_changed, self._forget_old_news)
        subscribe(self, model.neurons_changed, self._forget_fault)
        for signal in (model.snapshot_arrived, model.shown_changed):
            subscribe(self, signal, self._forget_what_came)
        self._show_state()
        self._show_scores()

    def set_lowest(self, is_lowest: bool) -> None:
        """Take as little room as can be: news in one line, and what is reconstructed is told by the page for it."""
        for lines in (self.hint, self.message):
            lines.set_lines(NEWS_LINES_LOWEST if is_lowest else NEWS_LINES)
        self.what.setVisible(not is_lowest)

    def show_message(self, text: str, is_error: bool) -> None:
        """Show news until the next ones come, or a click hides them."""
        mark = "Error: " if is_error else ""
        self._tells_fault, self._told_in = is_error, self._model.session
        self.message.write(mark + text, "rose" if is_error else "blue")
        self.news.setCurrentWidget(self.message)

    def hide_message(self) -> None:
        """Hide the news."""
        self._told_in = None
        self.news.setCurrentWidget(self.hint)

    def _forget_other_session(self) -> None:
        """What another session led to stays: that its run was stopped, and is kept."""
        if self._told_in is not self._model.session:
            self.hide_message()

    def _forget_old_news(self) -> None:
        """What was said of the last run says nothing of one that begins."""
        if self._model.state == RunState.LOADING:
            self.hide_message()

    def _forget_what_came(self, _snapshot: object = None) -> None:
        """That there is nothing yet is not true any more when something is."""
        if self._model.video is not None and self.message.told.startswith((NO_MOVIE_YET, NO_RUN_YET)):
            self.hide_message()

    def _forget_fault(self) -> None:
        """Neurons are chosen: what was wrong before that would hide that a run is due."""
        if self._tells_fault:
            self.hide_message()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click on the news hides them."""
        if self.news.geometry().contains(event.pos()):
            self.hide_message()
        super().mousePressEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "state"):
            self._show_state()

    def leave_to_window(self, _event: object = None) -> None:
        """Draw nothing over it any more, as what lies below may be somewhere else now."""
        if self.over is not None:
            self.over.close()

    def hideEvent(self, event: QHideEvent) -> None:
        """Its pictures go with it."""
        super().hideEvent(event)
        self.leave_to_window()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """They are of another size."""
        super().resizeEvent(event)
        self.leave_to_window()

    @property
    def _colours(self) -> dict[str, str]:
        lightness = self.palette().color(QPalette.ColorRole.Window).lightness()
        return COLOURS_ON_DARK if lightness < DARK_BELOW_LIGHTNESS else COLOURS_ON_LIGHT

    def _pause_or_resume(self) -> None:
        if self._model.state == RunState.RUNNING:
            self._controller.pause()
        else:
            self._controller.resume()

    def _show_state(self, _snapshot: object = None) -> None:
        model, controller = self._model, self._controller
        self._tell_progress()
        self.what.setText(self._subject())
        self._colour_progress()
        running, paused = model.state == RunState.RUNNING, model.state == RunState.PAUSED
        going_on = controller.busy and not model.stopping
        self.start_button.setEnabled(not controller.busy and not controller.missing)
        self.pause_button.setText("Pause" if running or not (paused or controller.can_continue) else "Resume")
        explain(self.pause_button, "pause" if running else "resume")
        self.pause_button.setEnabled((going_on and (running or paused)) or controller.can_continue)
        self.stop_button.setEnabled(going_on)
        self.rerun_button.setEnabled(not controller.missing and (model.shown is not None or controller.busy))
        emphasise(self.rerun_button, bool(model.stale))
        emphasise(self.start_button, model.shown is None and not controller.busy)
        emphasise(self.pause_button, paused)

    def _tell_step(self, _snapshot: object) -> None:
        if not self._step_pause.isActive():
            self._tell_progress()
            self._step_pause.start()

    def _tell_progress(self) -> None:
        if self.over is not None and self._model.state == RunState.RUNNING:
            self.over.change((self.state.label, self.progress), self._show_progress)
        else:
            self.leave_to_window()
            self._show_progress()

    def _show_progress(self) -> None:
        """What is going on, and how far it is: oftener than anything else here changes."""
        now = status(self._model, self._controller.missing)
        self._dress(MOOD_COLOURS.get(now.mood))
        self.state.setText(now.text)
        self.hint.write(now.hint, "green" if now.mood == Mood.GOOD else "orange")
        if now.done is None and now.mood == Mood.BUSY:
            advance(self.progress, 0, 0)
        else:
            advance(self.progress, round(PROGRESS_PARTS * (now.done or 0.0)), PROGRESS_PARTS)

    def _dress(self, colour: str | None) -> None:
        """Colour the state by a style: Qt composes the window twice for every text that has its colour in it."""
        style = f"font-weight: bold; color: {self._colours[colour]};" if colour else "font-weight: normal;"
        if self.state.label.styleSheet() != style:
            self.state.label.setStyleSheet(style)

    def _colour_progress(self) -> None:
        style = f"QProgressBar::chunk {{ background-color: {self._colours['blue']}; }}"
        if self.progress.styleSheet() != style:
            self.progress.setStyleSheet(style)

    def _subject(self) -> str:
        session, trial = self._model.session, self._model.trial
        if session is None or trial is None:
            return ""
        mouse = "Simulated mouse" if session.simulated else session.name
        first, seconds = self._model.clip[0], trial.frames / trial.frame_rate_hz
        return f"{mouse} · {self._model.clip_name} · frames {first}–{first + trial.frames} ({seconds:.1f} s)"

    def _score_in_time(self, _snapshot: object) -> None:
        """Score at once if the last time is long ago: it then shares the window's next picture."""
        if not self._score_pause.isActive():
            self._show_scores()
            self._score_pause.start()

    def _show_scores(self) -> None:
        scores = self._evaluator.board()
        for label, value in (
            (self.video_correlation, scores.video_correlation),
            (self.frame_correlation, scores.frame_correlation),
        ):
            label.setText(f"{value:.3f}" if np.isfinite(value) else NO_NUMBER)

    def _big_number(self, name: str) -> SteadyText:
        text = explain(SteadyText(NO_NUMBER), name)
        points = text.font().pointSizeF() * BIG_NUMBER_SCALE
        # Napari's style sheet overrules a font, but not another style sheet.
        text.label.setStyleSheet(f"font-size: {points:.0f}pt; font-weight: bold;")
        letters = text.fontMetrics().horizontalAdvance("-0.000 ")
        text.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        text.setFixedWidth(round(BOLD_SCALE * BIG_NUMBER_SCALE * letters))
        return text

    def _lay_out(self) -> None:
        scores = QHBoxLayout()
        for number, text in ((self.video_correlation, "video r"), (self.frame_correlation, "frame r")):
            caption = explain(QLabel(text), number.objectName())
            caption.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
            scores.addWidget(caption)
            scores.addWidget(number)
            scores.addStretch(1)
        for lines in (self.hint, self.message):
            self.news.addWidget(lines)
        self.news.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(self.fontMetrics().averageCharWidth() // 2)
        layout.addWidget(self.what)
        layout.addWidget(self.state)
        layout.addWidget(self.progress)
        layout.addLayout(row(self.start_button, self.pause_button, self.stop_button, self.rerun_button))
        layout.addLayout(scores)
        layout.addWidget(self.news)
