"""Where a window keeps its one model, its board, its player and its run controller: in the window itself.

Nothing here is global. The `Workspace` is a Qt child of napari's main window, which is reached through the
window's public menu bar, so it is found by every widget of that window, outlives a closed dock and goes with
the window.
"""

from __future__ import annotations

import atexit
from typing import Any, get_args

import napari
from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import QObject, Qt, QTimer
from qtpy.QtWidgets import QMainWindow, QWidget

from napari_vidrecon.analysis.postprocess import Outside, Presentation, ShowAs
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.storage.fault_log import CrashLog, crashes
from napari_vidrecon.viewer.background import Background, Collector
from napari_vidrecon.viewer.board import Board
from napari_vidrecon.viewer.board.pointing import Pointing
from napari_vidrecon.viewer.choices import Layout
from napari_vidrecon.viewer.controller import RunController
from napari_vidrecon.viewer.evaluation import AddedController
from napari_vidrecon.viewer.exports import Exporter
from napari_vidrecon.viewer.faults import FaultHook, Faults
from napari_vidrecon.viewer.fits import DecoderFitController, GazeFitController, MaskFitController
from napari_vidrecon.viewer.folders import last_view, preferences, remember_view
from napari_vidrecon.viewer.live_picture import LivePicture, PicturesOfNow
from napari_vidrecon.viewer.live_session import LiveController, LiveView
from napari_vidrecon.viewer.main_window import CanvasUpkeep, give_way, main_window_of
from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.played_pictures import PlayedPictures, Scrubbing
from napari_vidrecon.viewer.playing import MoviesAlone, Player, Rest
from napari_vidrecon.viewer.pulls import PixelPulls
from napari_vidrecon.viewer.receptive_fields import FieldMappingController, ReceptiveFieldChoice, ReceptiveFieldTile
from napari_vidrecon.viewer.runs.jobs import share_memory_among_threads
from napari_vidrecon.viewer.studies.study_job import StudyController
from napari_vidrecon.viewer.tour import TourBar
from napari_vidrecon.viewer.training import TrainingController
from napari_vidrecon.viewer.under_mouse import Magnifier, Readout
from napari_vidrecon.viewer.view_controls import StageBar

WORKSPACE_NAME = "vidrecon_workspace"


class Workspace(QObject):
    """What one napari window holds of us.

    These are `model`, `faults`, `board`, `readout`, `pointing`, `player`, `controller`, `mask_fit`, `gaze_fit`,
    `training`, `decoder_fit`, `live`, `fields`, `field_mapping`, `studies`, `added`, `exporter`, `stage_bar`, `tour`
    and `movies_alone`.

    Parameters
    ----------
    viewer
        The viewer of the window.
    main_window
        napari's main window; owns the workspace.
    """

    def __init__(self, viewer: napari.viewer.Viewer, main_window: QWidget) -> None:
        super().__init__(main_window)
        self.setObjectName(WORKSPACE_NAME)
        chosen = preferences()
        self.model = ReconstructionModel()
        self.faults = Faults(self.tell)
        self._hook = FaultHook(self.faults)
        self._hook.install()
        # Napari puts its own there when its event loop begins.
        QTimer.singleShot(0, self._hook.install)
        self.destroyed.connect(self._hook.close)
        share_memory_among_threads()
        self._crash_log, self._collector = CrashLog(), Collector()
        self.destroyed.connect(self._crash_log.close)
        self.destroyed.connect(self._collector.close)
        self.model.session_changed.connect(self._collector.begin_anew)
        atexit.register(self._crash_log.close)
        # Once there is a dock to tell it in.
        QTimer.singleShot(0, self._tell_crashes)
        with self.faults:
            self.model.set_settings(config=ReconstructionConfig.preset(chosen.preset), device=chosen.device)
        self._upkeep = CanvasUpkeep(viewer, self.faults)
        self.board = Board(viewer, self.model)
        self.destroyed.connect(self.board.leave)
        self.readout, self.pointing = Readout(self.board), Pointing(self.board)
        self.readout.outline_at = self.pointing.outlines.at
        self.player = Player(viewer, parent=self, faults=self.faults)
        self.controller = RunController(self.model, self, runs_folder=chosen.runs_folder)
        self.mask_fit = MaskFitController(self.model, self)
        self.mask_fit.changed.connect(self._show_fit)
        self.gaze_fit = GazeFitController(self.model, self)
        self.training, self.decoder_fit = TrainingController(self.model, self), DecoderFitController(self.model, self)
        self.live = LiveController(self.model, lambda: self.controller.runs_folder, self)
        self.fields = ReceptiveFieldChoice(self.model)
        self.field_mapping = FieldMappingController(self.fields, self)
        self.field_tile = ReceptiveFieldTile(self.board, self.pointing, self.fields)
        self.fields.maps_changed.connect(self._take_fields)
        self.pointing.neurons_at = self.fields.neurons_at
        self.pulls = PixelPulls(self.model, self.board, self)
        self.pointing.pixel_clicked.connect(self.pulls.ask)
        self.studies, self.added = StudyController(self.model, self), AddedController(self.model, self)
        self.exporter = Exporter(self)
        self.model.trial_changed.connect(self._follow_frame_rate)
        with self.faults:
            take_last_view(self.model)
        self.model.view_changed.connect(self._remember_view)
        self.stage_bar: StageBar | None = None
        self.tour: TourBar | None = None
        self.movies_alone: MoviesAlone | None = None
        if isinstance(main_window, QMainWindow):
            self._lay_over(main_window)

    def _lay_over(self, main_window: QMainWindow) -> None:
        # What opens below the board must not push the controls of the dock out of sight.
        main_window.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
        give_way(main_window)
        self.stage_bar = StageBar(self.model, self.board, self.player, main_window)
        self.tour = TourBar(self.model, self.controller, main_window)
        self.movies_alone = MoviesAlone(self.board, self.player, main_window)
        self.stage_bar.alone_asked.connect(self.movies_alone.toggle)
        self.magnifier = Magnifier(self.pointing, main_window)
        self.live_picture = LivePicture(self.board, main_window)
        self.player.pictures = PlayedPictures(self.board, main_window)
        self.player.scrubbing = Scrubbing(self.board, self.player.pictures, main_window)
        self.player.rest = Rest(main_window, lambda: any(each.busy for each in self.findChildren(Background)))
        self.pictures_of_now = PicturesOfNow(self.live_picture)
        self.live.seen.connect(self._show_now)
        self.live.changed.connect(self._show_board_again)
        self.destroyed.connect(self.live_picture.close)
        self.destroyed.connect(self.pictures_of_now.close)
        self.destroyed.connect(self.player.scrubbing.close)
        self.destroyed.connect(self.player.rest.close)
        self.destroyed.connect(self.player.pictures.close)

    def tell(self, text: str, is_error: bool) -> None:
        """Tell a person one line: in the dock, or where there is none as a notification of napari's."""
        if len(self.model.message):
            self.model.message.emit(text, is_error)
        else:
            (show_warning if is_error else show_info)(text)

    def _tell_crashes(self) -> None:
        for log in crashes():
            self.tell(f"The last window ended with a crash; its runs are kept. For a report: {log}", True)

    def _show_now(self, view: LiveView) -> None:
        if self.live.busy and view.newest is not None:
            self.pictures_of_now.show(view.newest.truth, view.newest.picture)

    def _show_board_again(self) -> None:
        if not self.live.busy:
            self.pictures_of_now.close()

    def _show_fit(self) -> None:
        self.board.show_fitted_alpha(self.mask_fit.alpha)

    def _take_fields(self) -> None:
        self.board.activity.ordering.take_fields(self.fields.maps)
        self.board.cells.update_neurons()

    def _remember_view(self) -> None:
        remember_view(view_in_words(self.model))

    def _follow_frame_rate(self) -> None:
        if self.model.trial is not None:
            self.player.set_frame_rate(self.model.trial.frame_rate_hz)


def view_in_words(model: ReconstructionModel) -> dict[str, str]:
    """What of the view the next window begins with."""
    return {
        "layout": model.layout.value,
        "show_as": model.presentation.show_as,
        "outside": model.presentation.outside,
        "smooth_pixels": str(model.smooth_pixels),
        "error_apart": str(model.error_apart),
    }


def take_last_view(model: ReconstructionModel) -> None:
    """Look at the canvas as in the last window; what is kept and unknown is passed over."""
    kept = {**view_in_words(model), **last_view()}
    fields: dict[str, Any] = {name: kept[name] == str(True) for name in ("smooth_pixels", "error_apart")}
    if kept["layout"] in set(Layout):
        fields["layout"] = Layout(kept["layout"])
    if kept["show_as"] in get_args(ShowAs) and kept["outside"] in get_args(Outside):
        fields["presentation"] = Presentation(kept["show_as"], kept["outside"])  # type: ignore[arg-type]
    model.set_view(**fields)


def find_workspace(viewer: napari.viewer.Viewer) -> Workspace | None:
    """The workspace of a viewer's window, or None if nothing was opened there yet."""
    for child in main_window_of(viewer).children():
        if isinstance(child, Workspace):
            return child
    return None


def workspace_of(viewer: napari.viewer.Viewer) -> Workspace:
    """The workspace of a viewer's window; made on first use."""
    found = find_workspace(viewer)
    if found is None:
        # As napari hands a viewer to plugins, every look at one of its attributes makes a proxy, which takes 20 µs.
        found = Workspace(getattr(viewer, "__wrapped__", viewer), main_window_of(viewer))
    return found


def model_of(viewer: napari.viewer.Viewer) -> ReconstructionModel:
    """The model that all widgets of a viewer's window share."""
    return workspace_of(viewer).model
