"""The dock "Movie reconstruction": the run at a glance, and what, how and results behind three tabs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import napari
from qtpy.QtCore import QEvent, QMimeData, QSize, Qt, QTimer
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QResizeEvent
from qtpy.QtWidgets import QBoxLayout, QDockWidget, QLayout, QMainWindow, QVBoxLayout, QWidget

from napari_vidrecon.viewer.background import subscribe
from napari_vidrecon.viewer.contributions.commands import (
    bind_shortcuts,
    import_recording,
    open_folder,
    show_behaviour,
    show_import,
    show_shortcuts,
    show_studies,
    show_traces,
)
from napari_vidrecon.viewer.contributions.files import is_recording, is_taken_when_dropped, kind_of
from napari_vidrecon.viewer.live_picture import WidgetPictures
from napari_vidrecon.viewer.main_window import MAIN_DOCK_NAME, FolderDrops, Letters, main_window_of
from napari_vidrecon.viewer.model import RunState
from napari_vidrecon.viewer.opening import open_together
from napari_vidrecon.viewer.panels.controls import button, form, line, row, stack
from napari_vidrecon.viewer.panels.export_panel import ExportPanel
from napari_vidrecon.viewer.panels.live_panel import LivePanel
from napari_vidrecon.viewer.panels.mask_panel import MaskPanel
from napari_vidrecon.viewer.panels.neuron_panel import NeuronPanel, ReceptiveFieldPanel
from napari_vidrecon.viewer.panels.run_bar import RunBar, UndoBar
from napari_vidrecon.viewer.panels.run_panel import RunPanel
from napari_vidrecon.viewer.panels.runs_panel import RunsPanel
from napari_vidrecon.viewer.panels.sections import Fold, Pages
from napari_vidrecon.viewer.panels.session_panel import SessionPanel
from napari_vidrecon.viewer.panels.stimulus_panel import StimulusPanel
from napari_vidrecon.viewer.panels.training_panel import DecoderFitPanel, TrainingPanel
from napari_vidrecon.viewer.registry import Workspace, workspace_of
from napari_vidrecon.viewer.view_controls import ViewPanel

WIDTH_IN_LETTERS, HEIGHT_IN_LINES = 52, 40
WHAT, HOW, RESULTS = "What", "How", "Results"
STIMULUS, ADVANCED, FIELDS, VIEW, PROGRESS, TRAINING, DECODER, LIVE = (
    "Your own stimulus", "Advanced settings", "Receptive fields", "View", "How the optimisation goes",
    "Train an encoder", "Fit a decoder", "Live",
)  # fmt: skip
MORE, NEURONS = "Repeats, decoder, more mice", "Choose neurons"
"""Details of a low window."""
PAGES_TOLD = {
    WHAT: "What is reconstructed: session, trial, frames, encoders, stimulus.",
    HOW: "How it is reconstructed: preset, mask, neurons.",
    RESULTS: "What came of it: runs, comparing, export.",
}
LOW_LINES = 45
"""A dock of fewer lines has no room for its whole pages."""
LOWEST_LINES = 33
"""A dock of fewer lines, as on a screen of 1920 x 1080 at 200 %, has none for anything that is told elsewhere, too."""
CURVES_LINES, ROOM_TO_SPARE = 9, 12
"""Where there is less room below a page than so many lines, the curves are a click away."""
FOCUS_STYLE = """
QPushButton:focus, QComboBox:focus, QCheckBox:focus, QSpinBox:focus, QDoubleSpinBox:focus,
QListWidget:focus, QTreeWidget:focus, QSlider:focus { border: 1px solid #0080C0; }
QTabBar::tab:selected:focus { border: 2px solid #ffb000; }
"""
"""Napari's style shows of few controls that the keyboard is there; a contrast of 3 to the grounds of both themes."""
ANY_HEIGHT_PX = 16_777_215  # Qt's own word for no limit
SETTLED_MS = 100


class ReconstructionWidget(QWidget):
    """Everything to reconstruct a movie with, in one dock: what, how, results, and the run always in view.

    It holds no state: closed and opened again, it shows what the window knows; a run goes on meanwhile.

    Parameters
    ----------
    napari_viewer
        The viewer of the window that the dock is in.

    Attributes
    ----------
    model, controller, board, player
        Of the window, shared by all its widgets.
    pages
        What, How and Results, and the details behind them.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.setObjectName(MAIN_DOCK_NAME)
        Letters(self, FOCUS_STYLE)
        self._placing = QTimer(self, interval=0, singleShot=True)
        # All inside have their new letters by then.
        self._giving_back = QTimer(self, interval=SETTLED_MS, singleShot=True)
        self._giving_back.timeout.connect(self._give_back)
        self._wished_px = 0
        self._workspace: Workspace = workspace_of(napari_viewer)
        self.model, self.controller = self._workspace.model, self._workspace.controller
        self.board, self.player = self._workspace.board, self._workspace.player
        self.run_bar = RunBar(self.model, self.controller)
        self.session_panel = SessionPanel(self.model)
        self.session_panel.import_asked.connect(partial(show_import, napari_viewer))
        self.session_panel.recording_found.connect(partial(import_recording, napari_viewer))
        self.stimulus_panel = StimulusPanel(self.model)
        self.training_panel = TrainingPanel(self._workspace.training)
        self.decoder_panel = DecoderFitPanel(self._workspace.decoder_fit)
        self.live_panel = LivePanel(self._workspace.live)
        self.run_panel = RunPanel(self.model, self._workspace.gaze_fit)
        self.mask_panel = MaskPanel(self.model, self.board, self._workspace.mask_fit)
        self.neuron_panel = NeuronPanel(self.model, self.board)
        self.run_panel.add_setting("Ablated neurons", self.neuron_panel.ablation)
        self.undo_bar = UndoBar(self.model, self)
        self.field_panel = ReceptiveFieldPanel(self._workspace.fields, self._workspace.field_mapping)
        shown = self.model, self.controller, self.player, self.board.reset_view
        self.view_panel = ViewPanel(*shown, added=self._workspace.added)
        self.runs_panel = RunsPanel(self.model, self.controller.runs_folder)
        self.export_panel = ExportPanel(
            self.model, napari_viewer, self.controller.runs_folder, self._workspace.exporter
        )
        self.pages = Pages()
        self.session_panel.training_asked.connect(partial(self.pages.open_detail, TRAINING))
        self.session_panel.decoder.fit_asked.connect(partial(self.pages.open_detail, DECODER))
        # An old run is opened for what came of it, and to be repeated.
        self.session_panel.run_opened.connect(partial(self.pages.open_page, RESULTS))
        self.training_panel.mask_asked.connect(partial(self.pages.open_page, HOW))
        self.run_panel.more_asked.connect(partial(self.pages.open_detail, ADVANCED))
        self.stimulus_button = button("Your own stimulus…", "own_stimulus", partial(self.pages.open_detail, STIMULUS))
        self.more_button = button("More…", "more_of_what", partial(self.pages.open_detail, MORE))
        self.more_button.hide()
        self.neuron_panel.choosing_asked.connect(partial(self.pages.open_detail, NEURONS))
        self.live_button = button("Live…", "live_page", partial(self.pages.open_detail, LIVE))
        self.fields_button = button("Fields…", "field_page", partial(self.pages.open_detail, FIELDS))
        self.progress_button = button("Progress…", "progress_page", partial(self.pages.open_detail, PROGRESS))
        self.studies_button = button("Studies…", "show_studies", partial(show_studies, napari_viewer))
        self.view_button = button("View…", "view_page", partial(self.pages.open_detail, VIEW))
        self.traces_button = button("Curves", "show_traces", partial(show_traces, napari_viewer))
        self.behaviour_button = button("Behaviour", "show_behaviour", partial(show_behaviour, napari_viewer))
        self.shortcuts_button = button("Keys", "show_shortcuts", partial(show_shortcuts, napari_viewer))
        bind_shortcuts(napari_viewer)
        window = main_window_of(napari_viewer)
        if isinstance(window, QMainWindow) and window.findChild(FolderDrops) is None:
            FolderDrops(window, is_taken_when_dropped, partial(_open_dropped, napari_viewer), self._workspace.faults)
        if isinstance(window, QMainWindow):
            self.run_bar.over = WidgetPictures(window)
            # The dock goes elsewhere with it.
            subscribe(self.run_bar, napari_viewer.canvas.events.size, self.run_bar.leave_to_window)
        self.setAcceptDrops(True)
        self._lay_out()
        self._placing.timeout.connect(self._use_room)
        self.pages.changed.connect(self._place_curves)
        for signal in (self.model.state_changed, self.model.shown_changed, self.model.session_changed):
            subscribe(self, signal, self._place_curves)
        self._place_curves()

    def open(self, path: Path | str) -> None:
        """Open a session folder, a run folder, an encoder, decoder or mask file, or a recording to import."""
        self.session_panel.open(Path(path))

    def open_sample(self) -> None:
        """Open the simulated mouse."""
        self.session_panel.open_sample()

    def sizeHint(self) -> QSize:
        """So many letters wide and lines high."""
        # Of words: what has none does not follow the size in napari's settings.
        metrics = self.pages.tabs.fontMetrics()
        return QSize(WIDTH_IN_LETTERS * metrics.averageCharWidth(), HEIGHT_IN_LINES * metrics.height())

    def minimumSizeHint(self) -> QSize:
        """Without the curves below the page, which give way when the window becomes lower."""
        hint, curves = super().minimumSizeHint(), self.run_panel.plot
        if self._below.indexOf(curves) >= 0 and not curves.isHidden():
            hint.setHeight(hint.height() - curves.minimumSizeHint().height() - self.layout().spacing())
        return hint

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Anything that lies on this machine may be tried."""
        if _dropped(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Open what is dropped."""
        open_together(self.model, _dropped(event.mimeData()), self.session_panel.open, kind_of)
        event.acceptProposedAction()

    def event(self, event: QEvent) -> bool:
        """Tell the frame when less room is needed: Qt's own would stay as large as it ever had to be."""
        handled = super().event(event)
        # After the event that deletes it there is nothing left to ask.
        if event.type() == QEvent.Type.LayoutRequest:
            # A page that is shown for the first time learns only now how high it is.
            self._placing.start()
            if isinstance(frame := self.parentWidget(), QDockWidget):
                before_px = max(self._wished_px, frame.minimumWidth())
                frame.setMinimumSize(self.minimumSizeHint().width(), 0)
                if self.sizeHint().width() < self._wished_px and frame.width() <= before_px:
                    self._giving_back.start()
                self._wished_px = self.sizeHint().width()
        return handled

    def _give_back(self) -> None:
        """Take no more room than smaller letters need; a dock that a person made wider is left alone."""
        frame = self.parentWidget()
        window = frame.parentWidget() if isinstance(frame, QDockWidget) else None
        if isinstance(frame, QDockWidget) and isinstance(window, QMainWindow):
            window.resizeDocks([frame], [max(self._wished_px, frame.minimumWidth())], Qt.Orientation.Horizontal)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Curves stand below the page where there is room; pages fold where there is little."""
        super().resizeEvent(event)
        self._use_room()

    def _use_room(self) -> None:
        line = self.pages.tabs.fontMetrics().lineSpacing()
        is_low = self.height() < LOW_LINES * line
        self.run_bar.set_lowest(self.height() < LOWEST_LINES * line)
        if is_low != self.pages.is_low:
            self._set_low(is_low)
        self._place_curves()

    def _set_low(self, is_low: bool) -> None:
        """What is needed less often moves behind a click, and rows close up, or back."""
        self._fold.move(is_low)
        self.pages.set_low(is_low)
        self.runs_panel.set_low(is_low)
        self.live_panel.set_low(is_low)
        for asking in (self.more_button, self.neuron_panel.choose_button):
            asking.setVisible(is_low)

    def _place_curves(self) -> None:
        """Put the curves where there is room: below the page, or else into a detail of their own."""
        model, plot = self.model, self.run_panel.plot
        has_curves = model.shown is not None or model.state in (RunState.RUNNING, RunState.PAUSED)
        self.progress_button.setEnabled(has_curves)
        spacing = self.layout().spacing()
        others = (self.run_bar, self._feet)
        taken = self.pages.wished_height + sum(each.sizeHint().height() + spacing for each in others) + 2 * spacing
        needed = max(plot.minimumSizeHint().height(), CURVES_LINES * self.pages.tabs.fontMetrics().lineSpacing())
        room = self.height() - taken - ROOM_TO_SPARE * spacing
        in_detail = self.pages.detail == PROGRESS
        if in_detail and self._curves_alone.indexOf(plot) < 0:
            self._curves_alone.addWidget(plot)
        elif not in_detail and self._below.indexOf(plot) < 0:
            self._below.addWidget(plot)
        # No more than is left, or the page would scroll for the sake of higher curves.
        plot.setMaximumHeight(ANY_HEIGHT_PX if in_detail else max(room, needed))
        plot.setVisible(in_detail or (has_curves and room >= needed))

    def _lay_out(self) -> None:
        alone = QWidget()
        self._curves_alone = QVBoxLayout(alone)
        self._curves_alone.setContentsMargins(0, 0, 0, 0)
        buttons = self.stimulus_button, self.live_button, self.session_panel.import_button, self.more_button
        what = _page(self.session_panel, row(*buttons))
        ticks = row(self.neuron_panel.keep_only, self.run_panel.apply_live)
        how = _page(
            self.run_panel, line(), self.mask_panel, line(), self.neuron_panel, ticks, self.undo_bar,
        )  # fmt: skip
        behind = row(self.progress_button, self.fields_button, self.studies_button)
        results = _page(
            self.runs_panel, line(), self.export_panel,
            behind,
        )  # fmt: skip
        for title, page in ((WHAT, what), (HOW, how), (RESULTS, results)):
            self.pages.add_page(title, page, PAGES_TOLD[title])
        for title, panel in (
            (STIMULUS, self.stimulus_panel), (ADVANCED, self.run_panel.more), (FIELDS, self.field_panel),
            (VIEW, self.view_panel), (PROGRESS, alone), (TRAINING, self.training_panel),
            (DECODER, self.decoder_panel), (LIVE, self.live_panel),
        ):  # fmt: skip
            self.pages.add_detail(title, panel)
        self._lay_out_fold(ticks, behind)
        self._feet = QWidget()
        feet = row(self.view_button, self.traces_button, self.behaviour_button, self.shortcuts_button)
        feet.setContentsMargins(0, 0, 0, 0)
        self._feet.setLayout(feet)
        self._below = QVBoxLayout()
        layout = QVBoxLayout(self)
        margin = self.fontMetrics().averageCharWidth()
        layout.setContentsMargins(margin, margin // 2, margin, margin // 2)
        layout.setSpacing(margin // 2)
        layout.addWidget(self.run_bar)
        layout.addWidget(self.pages, 1)
        layout.addLayout(self._below)
        layout.addWidget(self._feet)

    def _lay_out_fold(self, ticks: QBoxLayout, behind: QBoxLayout) -> None:
        self._fold = Fold()
        session, neurons, run, runs = self.session_panel, self.neuron_panel, self.run_panel, self.runs_panel
        more, chosen = QWidget(), QWidget()
        more_fields, choosing = form(), stack(chosen)
        stack(more, more_fields)
        for part in (session.repeats, session.decoder, session.mice):
            self._fold.add(part, session.fields, more_fields)
        self._fold.add(neurons.choosing, neurons.parts, choosing)
        self._fold.add(neurons.keep_only, ticks, choosing)
        self._fold.add(run.apply_live, ticks, self.undo_bar.parts)
        self._fold.add(run.inferred, run.fields, run.more_fields)
        # One row less.
        self._fold.add(runs.open_button, runs.of_files, runs.of_run)
        self._fold.add(runs.kept_button, runs.of_files, behind)
        self.pages.add_detail(MORE, more, only_low=True)
        self.pages.add_detail(NEURONS, chosen, only_low=True)


def _page(*parts: QWidget | QLayout) -> QWidget:
    page = QWidget()
    stack(page, *parts, close=True)
    return page


def _open_dropped(viewer: napari.viewer.Viewer, paths: list[Path]) -> None:
    # Of the window, not of a dock, which may be closed by then.
    def open_one(path: Path) -> bool:
        if is_recording(path):
            import_recording(viewer, path)
            return True
        return open_folder(viewer, path)

    open_together(workspace_of(viewer).model, paths, open_one, kind_of)


def _dropped(data: QMimeData | None) -> list[Path]:
    urls = [] if data is None else data.urls()
    return [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]
