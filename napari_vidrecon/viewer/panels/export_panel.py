"""Export: movies, pictures and tables of what the board shows, and the run as text that repeats it."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import napari
from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QDesktopServices, QGuiApplication
from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_vidrecon.errors import RunError, VidreconError
from napari_vidrecon.figures import export
from napari_vidrecon.reconstruction import script_texts, scripts
from napari_vidrecon.viewer.background import subscribe
from napari_vidrecon.viewer.exports import Exporter, shown_movie
from napari_vidrecon.viewer.folders import (
    default_runs_folder,
    last_folder,
    new_run_folder,
    preferences,
    remember_last_folder,
)
from napari_vidrecon.viewer.main_window import present_frame
from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.panels.controls import JobBar, button, choice, in_one_place, row
from napari_vidrecon.viewer.tooltips import TOOLTIPS, explain

SPEEDS = {"speed 1": 1.0, "speed ½": 0.5, "speed ¼": 0.25}
ENLARGEMENTS = (2, 4, 6, 8, 12, 16)
AT_REST = "To repeat the shown run elsewhere:"
MOVIE_FILTER = "MP4 movie (*.mp4);;GIF (*.gif);;TIFF stack, reconstruction only (*.tif)"
FRAME_FILTER = "PNG picture (*.png)"
FIGURE_FILTER = "PNG picture (*.png);;SVG drawing (*.svg);;PDF (*.pdf)"
TABLE_FILTER = "CSV (*.csv);;Parquet (*.parquet)"


class ExportPanel(QWidget):
    """Buttons for every export.

    Parameters
    ----------
    model
        The state of the window.
    viewer
        Its slider says which frame is the present one.
    runs_folder
        Where a mask and neurons are kept that no run was made with yet; default: where runs are kept.
    exporter
        Writes; outlives the panel where it is the window's. Default: one of its own.
    parent
        The widget that owns it.
    """

    def __init__(
        self,
        model: ReconstructionModel,
        viewer: napari.components.ViewerModel,
        runs_folder: Path | None = None,
        exporter: Exporter | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._model, self._viewer = model, viewer
        self._runs_folder = runs_folder or default_runs_folder()
        self.exporter = exporter or Exporter(self)
        self.movie_button = button("Movie…", "movie", self.ask_movie)
        self.frame_button = button("This frame…", "frame", self.ask_frame)
        self.figure_button = button("Figure…", "figure", self.ask_figure)
        self.tables_button = button("Tables…", "tables", self.ask_tables)
        self.python_button = button("Copy as Python", "copy_python", self.copy_python)
        self.command_button = button("Copy as command", "copy_command", self.copy_command)
        names = ("export_progress", "cancel_export")
        self.bar = JobBar(self.exporter, names, "Cancel", "writing: frame", parent=self)
        self.speed = choice("speed", SPEEDS)
        sizes = {f"{factor} ×": factor for factor in ENLARGEMENTS}
        self.enlargement = choice("enlargement", sizes)
        wanted = preferences().movie_enlargement
        self.enlargement.setCurrentIndex(min(range(len(ENLARGEMENTS)), key=lambda i: abs(ENLARGEMENTS[i] - wanted)))
        self.status = explain(QElidingLabel(AT_REST), "export_status")
        self.status.setElideMode(Qt.TextElideMode.ElideMiddle)
        self._written = Path()
        self.folder_button = button("Show", "export_folder", self._open_folder)
        self.folder_button.hide()
        self._lay_out()

        self.exporter.changed.connect(self._show_bar)
        self.exporter.finished.connect(self._show_finished)
        self.exporter.failed.connect(self._show_failed)
        self.exporter.stopped.connect(self._show_stopped)
        for signal in (model.shown_changed, model.snapshot_arrived, model.state_changed, model.trial_changed):
            subscribe(self, signal, self._refresh)
        self._refresh()
        self._show_bar()

    # What a person asks for

    def export_movie(self, path: Path) -> None:
        """Start writing the movie; its ending says the format."""
        how = {"speed": self.speed.currentData(), "enlargement": self.enlargement.currentData()}
        self._start(path, lambda shown, report: export.write_movie(shown, path, **how, on_progress=report))

    def export_frame(self, path: Path) -> None:
        """Start writing the present frame."""
        frame = present_frame(self._viewer)
        self._start(path, lambda shown, report: export.write_frame(shown, min(frame, len(shown.video) - 1), path))

    def export_figure(self, path: Path) -> None:
        """Start writing the figure."""
        self._start(path, lambda shown, report: export.write_figure(shown, path))

    def export_tables(self, path: Path) -> None:
        """Start writing the tables."""
        self._start(path, lambda shown, report: export.write_tables(shown, path))

    def ask_movie(self) -> None:
        """Ask for a file name, then write the movie."""
        self._ask("Export movie", MOVIE_FILTER, self.export_movie)

    def ask_frame(self) -> None:
        """Ask for a file name, then write the present frame."""
        self._ask("Export this frame", FRAME_FILTER, self.export_frame)

    def ask_figure(self) -> None:
        """Ask for a file name, then write the figure."""
        self._ask("Export figure", FIGURE_FILTER, self.export_figure)

    def ask_tables(self) -> None:
        """Ask for a file name, then write the tables."""
        self._ask("Export tables", TABLE_FILTER, self.export_tables)

    def copy_python(self) -> None:
        """Put a script that repeats the shown run into the clipboard."""
        self._copy(script_texts.python_text, "Python script")

    def copy_command(self) -> None:
        """Put a command line that repeats the shown run into the clipboard."""
        self._copy(script_texts.command_text, "Command")

    # Writing

    def _ask(self, title: str, filters: str, write: Callable[[Path], None]) -> None:
        suggested = last_folder() / self._file_stem()
        name, chosen = QFileDialog.getSaveFileName(self, title, str(suggested), filters)
        if name:
            ending = chosen.rpartition("*")[2].rstrip(")")
            known = any(name.lower().endswith(part.rpartition("*")[2].rstrip(")")) for part in filters.split(";;"))
            write(Path(name if known else name + ending))

    def _file_stem(self) -> str:
        session, clip = self._model.session, self._model.clip_name
        # Names of stimuli hold spaces, commas and slashes.
        words = re.findall(r"[\w.-]+", clip if self._model.stimulus is not None else clip.replace(" ", ""))
        return f"{session.name}_{'_'.join(words)}" if session is not None and clip else "reconstruction"

    def _start(self, path: Path, work: Callable[[export.ShownMovie, export.Progress], object]) -> None:
        try:
            shown = shown_movie(self._model)
        except VidreconError as error:
            self._show_failed(str(error))
            return
        remember_last_folder(path.parent)
        self._tell(f"Writing {path.name} …")
        self.exporter.write(partial(work, shown), path)
        self._refresh()

    def _copy(self, text_of: Callable[[scripts.Script], str], what: str) -> None:
        try:
            text = text_of(self._script())
        except VidreconError as error:
            self._show_failed(str(error))
            return
        QGuiApplication.clipboard().setText(text)
        shown = self._model.shown
        self._tell(
            f"{what} copied. "
            + ("It does what Start would do now." if shown is None else f"It repeats “{shown.name}”.")
        )

    def _script(self) -> scripts.Script:
        model, shown = self._model, self._model.shown
        if shown is not None:
            kept = shown.path or self._runs_folder / shown.name.replace("/", "-")
            return scripts.script_of_run(shown.result, shown.recipe, shown.name, kept.with_suffix(""))
        if model.session is None or model.trial is None or model.neurons is None or not model.encoder_paths:
            raise RunError("copy: expected a session, a trial and an encoder, found none; choose them under What")
        beside = new_run_folder(self._runs_folder, model.session.name, model.trial.id).with_suffix("")
        return scripts.script_of_plan(model.recipe(), model.mask, model.neurons, model.trial, beside)

    # What is shown

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row(self.movie_button, self.speed, self.enlargement))
        layout.addLayout(row(self.frame_button, self.figure_button, self.tables_button))
        layout.addLayout(in_one_place(row(self.status, self.folder_button, stretch=0), self.bar))
        layout.addLayout(row(self.python_button, self.command_button))

    def _show_bar(self) -> None:
        writes = not self.bar.isHidden()
        self.status.setVisible(not writes)
        self.folder_button.setVisible(not writes and self._written != Path())

    def _tell(self, text: str, written: Path | None = None) -> None:
        """One line; the tooltip has all of a longer one. What was written can be shown in its folder."""
        self._written = written or Path()
        self.status.setText(text)
        self.status.setToolTip(f"<qt>{TOOLTIPS['export_status']}<p>{html.escape(text)}</p></qt>")
        self._show_bar()

    def _refresh(self, _snapshot: object = None) -> None:
        busy, ready = self.exporter.busy, self._model.video is not None
        for made in (self.movie_button, self.frame_button, self.figure_button, self.tables_button):
            made.setEnabled(ready and not busy)
        for made in (self.python_button, self.command_button):
            made.setEnabled(self._model.trial is not None)

    def _show_finished(self, path: str) -> None:
        self._tell(f"Saved {Path(path).name}", Path(path))
        self._refresh()

    def _show_failed(self, message: str) -> None:
        self._model.message.emit(message, True)
        self._tell(message)
        self._refresh()

    def _show_stopped(self) -> None:
        self._tell("Export cancelled; nothing was written.")
        self._refresh()

    def _open_folder(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._written.parent)))
