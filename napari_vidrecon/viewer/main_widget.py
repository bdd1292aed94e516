"""The dock "Movie reconstruction": the run at a glance, and all panels under headings that fold."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QMimeData, QSize
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_vidrecon.viewer.contributions.commands import show_import, show_studies, show_traces
from napari_vidrecon.viewer.contributions.shortcuts import bind_shortcuts, show_shortcuts
from napari_vidrecon.viewer.main_window import MAIN_DOCK_NAME
from napari_vidrecon.viewer.panels.controls import button, row
from napari_vidrecon.viewer.panels.export_panel import ExportPanel
from napari_vidrecon.viewer.panels.mask_panel import MaskPanel
from napari_vidrecon.viewer.panels.neuron_panel import NeuronPanel
from napari_vidrecon.viewer.panels.receptive_field_panel import ReceptiveFieldPanel
from napari_vidrecon.viewer.panels.run_bar import RunBar
from napari_vidrecon.viewer.panels.run_panel import RunPanel
from napari_vidrecon.viewer.panels.runs_panel import RunsPanel
from napari_vidrecon.viewer.panels.sections import Column, Section
from napari_vidrecon.viewer.panels.session_panel import SessionPanel
from napari_vidrecon.viewer.panels.view_panel import ViewPanel
from napari_vidrecon.viewer.registry import Workspace, workspace_of
from napari_vidrecon.viewer.stimuli.stimulus_panel import StimulusPanel

if TYPE_CHECKING:
    import napari

WIDTH_IN_LETTERS, HEIGHT_IN_LINES = 56, 40


class ReconstructionWidget(QWidget):
    """Everything to reconstruct a movie with, in one dock.

    It holds no state: closed and opened again, it shows what the window knows; a run goes on meanwhile.

    Parameters
    ----------
    napari_viewer
        The viewer of the window that the dock is in.

    Attributes
    ----------
    model, controller, board, player
        Of the window, shared by all its widgets.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.setObjectName(MAIN_DOCK_NAME)
        self._workspace: Workspace = workspace_of(napari_viewer)
        self.model, self.controller = self._workspace.model, self._workspace.controller
        self.board, self.player = self._workspace.board, self._workspace.player
        self.run_bar = RunBar(self.model, self.controller)
        self.session_panel = SessionPanel(self.model)
        self.session_panel.import_asked.connect(partial(show_import, napari_viewer))
        self.stimulus_panel = StimulusPanel(self.model)
        self.run_panel = RunPanel(self.model)
        self.mask_panel = MaskPanel(self.model, self.board, self._workspace.mask_fit)
        self.neuron_panel = NeuronPanel(self.model, self.board)
        self.field_panel = ReceptiveFieldPanel(self._workspace.fields, self._workspace.field_mapping)
        self.view_panel = ViewPanel(self.model, self.controller, self.player, self.board.reset_view)
        self.runs_panel = RunsPanel(self.model, self.controller.runs_folder)
        self.export_panel = ExportPanel(
            self.model, napari_viewer, self.controller.runs_folder, self._workspace.exporter
        )
        self.sections = {
            title: Section(title, panel, open_at_first=is_open)
            for title, panel, is_open in (
                ("Data", self.session_panel, True),
                ("Stimulus", self.stimulus_panel, False),
                ("Run", self.run_panel, True),
                ("Mask", self.mask_panel, False),
                ("Neurons", self.neuron_panel, False),
                ("Receptive fields", self.field_panel, False),
                ("View", self.view_panel, False),
                ("Runs", self.runs_panel, False),
                ("Export", self.export_panel, False),
            )
        }
        self.traces_button = button("Curves over time", "show_traces", partial(show_traces, napari_viewer))
        self.studies_button = button("Studies", "show_studies", partial(show_studies, napari_viewer))
        self.shortcuts_button = button("Shortcuts", "show_shortcuts", partial(show_shortcuts, napari_viewer))
        bind_shortcuts(napari_viewer)
        self.setAcceptDrops(True)
        self._lay_out()

    def open(self, path: Path | str) -> None:
        """Open a session folder, a run folder, an encoder file, a decoder file or a mask file."""
        self.session_panel.open(Path(path))

    def open_sample(self) -> None:
        """Open the simulated mouse."""
        self.session_panel.open_sample()

    def sizeHint(self) -> QSize:
        """So many letters wide and lines high."""
        metrics = self.fontMetrics()
        return QSize(WIDTH_IN_LETTERS * metrics.averageCharWidth(), HEIGHT_IN_LINES * metrics.height())

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Anything that lies on this machine may be tried."""
        if _dropped(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Open what is dropped."""
        for path in _dropped(event.mimeData()):
            self.open(path)
        event.acceptProposedAction()

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.addWidget(self.run_bar)
        layout.addWidget(Column(list(self.sections.values())), 1)
        layout.addLayout(row(self.traces_button, self.studies_button, self.shortcuts_button))


def _dropped(data: QMimeData | None) -> list[Path]:
    urls = [] if data is None else data.urls()
    return [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]
