"""What a study is run on: the mice, the scale, the folder, the workers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QFileDialog, QLineEdit, QVBoxLayout, QWidget

from napari_vidrecon.viewer.panels.controls import button, choice, choose, form, row, whole_number
from napari_vidrecon.viewer.preferences import last_folder
from napari_vidrecon.viewer.runs.folders import default_runs_folder
from napari_vidrecon.viewer.studies.study_job import BoardMouse, StudyRequest
from napari_vidrecon.viewer.subscriptions import subscribe
from napari_vidrecon.viewer.tooltips import explain

if TYPE_CHECKING:
    from napari_vidrecon.viewer.model import ReconstructionModel

SAMPLE, BOARD, LIST = "sample", "board", "list"
SAMPLE_TEXT, BOARD_TEXT, LIST_TEXT = "simulated mouse of the program", "mouse on the board", "mice of a list…"
MOST_WORKERS = 64
STUDIES_FOLDER = "studies"


def default_studies_folder() -> Path:
    """Beside the folder of runs."""
    return default_runs_folder().with_name(STUDIES_FOLDER)


class StudyForm(QWidget):
    """The choices of a study.

    Parameters
    ----------
    model
        Its session, encoders and mask are the mouse on the board.
    changed
        Called when results of another folder are to be shown, or another estimate is due.
    parent
        The widget that owns it.
    """

    def __init__(self, model: ReconstructionModel, changed: Callable[[], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        from napari_vidrecon.studies.scale import SCALES

        self._model, self._changed = model, changed
        self._list: Path | None = None
        places = {SAMPLE_TEXT: SAMPLE, BOARD_TEXT: BOARD, LIST_TEXT: LIST}
        self.mice = choice("study_mice", places, self._take_mice)
        self.scale = choice("study_scale", {name: name for name in SCALES}, lambda _: changed())
        self.out = explain(QLineEdit(str(default_studies_folder())), "study_out")
        self.out.editingFinished.connect(changed)
        self.out_button = button("Choose…", "study_choose_out", self._ask_out)
        self.workers = whole_number("study_workers", 0, MOST_WORKERS, changed)
        self.workers.setSpecialValueText("automatic")
        fields = form()
        fields.addRow("Mice", self.mice)
        fields.addRow("Scale", self.scale)
        fields.addRow("Results in", row(self.out, self.out_button, stretch=0))
        fields.addRow("Workers", self.workers)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(fields)
        subscribe(self, model.session_changed, self._show_board_mouse)
        self._show_board_mouse()

    @property
    def folder(self) -> Path:
        """The folder of runs and results."""
        return Path(self.out.text().strip() or str(default_studies_folder())).expanduser().absolute()

    def request(self, names: tuple[str, ...]) -> StudyRequest:
        """The request for some studies.

        Returns
        -------
        StudyRequest
            As the form stands now.

        Raises
        ------
        ConfigError
            The mouse on the board is not complete.
        """
        where = self.mice.currentData()
        return StudyRequest(
            names=names,
            mice=BoardMouse.of(self._model) if where == BOARD else self._list if where == LIST else None,
            scale=self.scale.currentData(),
            out=self.folder,
            workers=self.workers.value() or None,
            device=self._model.device,
        )

    def take_list(self, file: Path) -> None:
        """Take the mice that a JSON file lists."""
        self._list = file
        index = self.mice.findData(LIST)
        self.mice.setItemText(index, f"mice of {file.name}")
        with QSignalBlocker(self.mice):
            self.mice.setCurrentIndex(index)
        self._changed()

    def take_folder(self, folder: Path) -> None:
        """Take another folder of runs and results."""
        self.out.setText(str(folder))
        self._changed()

    def _take_mice(self, where: str) -> None:
        if where == LIST:
            name, _ = QFileDialog.getOpenFileName(self, "A list of mice", str(last_folder()), "Lists of mice (*.json)")
            if name:
                self.take_list(Path(name))
                return
            if self._list is None:
                choose(self.mice, SAMPLE)
        self._changed()

    def _ask_out(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Folder for runs and results", str(self.folder))
        if name:
            self.take_folder(Path(name))

    def _show_board_mouse(self) -> None:
        session = self._model.session
        text = BOARD_TEXT if session is None else f"{BOARD_TEXT}: {session.name}"
        self.mice.setItemText(self.mice.findData(BOARD), text)
