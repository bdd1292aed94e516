"""The options of an import: how files of each kind are read, and what becomes of the recording."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_vidrecon.viewer.panels.controls import choice, form, number, tick, whole_number
from napari_vidrecon.viewer.panels.settings_form import SettingsForm

if TYPE_CHECKING:
    from napari_vidrecon.sessions.importing.columns import Column
    from napari_vidrecon.sessions.importing.recording_reader import ImportSettings, Reader
    from napari_vidrecon.sessions.importing.sources import ImportSource

SHORTEST_TRIAL, LONGEST_TRIAL = 32, 3000
LARGEST_SHARE, SHARE_STEP = 0.45, 0.05
LARGEST_LEVEL = 1e6
MILLISECONDS = 1000


class ReadingOptions(QWidget):
    """How files of the chosen kind are read: a page of controls a reader.

    Parameters
    ----------
    readers
        By kind of files.
    changed
        Called when something else would be read.
    parent
        The widget that owns it.

    Attributes
    ----------
    pages
        By kind of files; readers without options have none.
    """

    def __init__(
        self, readers: Mapping[str, type[Reader]], changed: Callable[[], None], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.pages = {
            kind: SettingsForm(reader.options_class, lambda _name, _value: changed(), f"import.{kind}")
            for kind, reader in readers.items()
            if reader.options_class.model_fields
        }
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for page in self.pages.values():
            layout.addWidget(page)

    def show_kind(self, kind: str) -> None:
        """Show the options of a kind."""
        for name, page in self.pages.items():
            page.setVisible(name == kind)

    def offer_columns(self, columns: Sequence[Column]) -> None:
        """List what was found, where a name is to be chosen from it; those chosen stay chosen."""
        for page in self.pages.values():
            page.offer([column.name for column in columns if not column.fault])

    def forget(self) -> None:
        """For other files: take nothing by hand any more."""
        for page in self.pages.values():
            page.reset()

    def source(self, kind: str, path: Path) -> ImportSource:
        """What is to be imported, as the core wants it."""
        from napari_vidrecon.sessions.importing.sources import ImportSource

        return ImportSource(kind, path, self.pages[kind].values() if kind in self.pages else {})


class SettingsOptions(QWidget):
    """What becomes of the recording; every control stands at the value that changes least."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        fits = {"pad with grey": "pad", "crop": "crop", "stretch": "stretch"}
        self.trial_frames = whole_number("import_trial_frames", SHORTEST_TRIAL, LONGEST_TRIAL, _nothing, 30)
        self.trial_frames.setSuffix(" frames")
        axes = {
            "usual": None,
            "frame, x, y": "twh",
            "frame, row, column": "thw",
            "row, column, frame": "hwt",
            "clip, frame, x, y": "ntwh",
        }
        self.axes = choice("import_axes", axes, lambda _: None)
        self.fit = choice("import_fit", fits, lambda _: None)
        self.bad_neurons = choice(
            "import_bad_neurons", {"leave out": "drop", "refuse the recording": "refuse"}, lambda _: None
        )
        self.negative = choice(
            "import_negative", {"refuse the recording": "refuse", "set to 0": "clip"}, lambda _: None
        )
        self.test_share = number("import_test_share", 0.0, LARGEST_SHARE, _nothing, step=SHARE_STEP)
        self.validation_share = number("import_validation_share", SHARE_STEP, LARGEST_SHARE, _nothing, step=SHARE_STEP)
        self.within_movie = tick("Hold out parts of movies", "import_within_movie", lambda _: None)
        self.trim = tick("Cut the longer of two arrays", "import_trim", lambda _: None)
        self.clock_tolerance = whole_number("import_clock_tolerance", 1, 1000, _nothing, 10)
        self.clock_tolerance.setSuffix(" ms")
        self.tell_levels = tick("Black and white are", "import_levels", self._show_levels)
        self.black = number("import_black", -LARGEST_LEVEL, LARGEST_LEVEL, _nothing, decimals=1, step=1.0)
        self.white = number("import_white", -LARGEST_LEVEL, LARGEST_LEVEL, _nothing, decimals=1, step=1.0)
        self._show_defaults()
        self._lay_out()

    def settings(self) -> ImportSettings:
        """The choices, as the core wants them."""
        from napari_vidrecon.sessions.importing.recording_reader import ImportSettings

        levels = (self.black.value(), self.white.value()) if self.tell_levels.isChecked() else None
        return ImportSettings(
            trial_frames=self.trial_frames.value(),
            fit=self.fit.currentData(),
            bad_neurons=self.bad_neurons.currentData(),
            negative=self.negative.currentData(),
            test_share=self.test_share.value(),
            validation_share=self.validation_share.value(),
            within_movie=self.within_movie.isChecked(),
            trim=self.trim.isChecked(),
            clock_tolerance_s=self.clock_tolerance.value() / MILLISECONDS,
            levels=levels,
            axes=self.axes.currentData(),
        )

    def _show_defaults(self) -> None:
        from napari_vidrecon.sessions.importing.recording_reader import ImportSettings

        usual = ImportSettings()
        self.trial_frames.setValue(usual.trial_frames)
        self.test_share.setValue(usual.test_share)
        self.validation_share.setValue(usual.validation_share)
        self.clock_tolerance.setValue(round(usual.clock_tolerance_s * MILLISECONDS))
        self.white.setValue(255.0)
        self._show_levels(False)

    def _show_levels(self, told: bool) -> None:
        self.black.setEnabled(told)
        self.white.setEnabled(told)

    def _levels_row(self) -> QHBoxLayout:
        layout = QHBoxLayout()
        layout.addWidget(self.black, 1)
        layout.addWidget(QLabel("and"))
        layout.addWidget(self.white, 1)
        return layout

    def _lay_out(self) -> None:
        fields = form()
        fields.addRow("Longest trial", self.trial_frames)
        fields.addRow("Other proportions", self.fit)
        fields.addRow("Axes of movies", self.axes)
        fields.addRow("Bad neurons", self.bad_neurons)
        fields.addRow("Activity below 0", self.negative)
        fields.addRow("Held out to test", self.test_share)
        fields.addRow("… and to validate", self.validation_share)
        fields.addRow("Clocks may run apart by", self.clock_tolerance)
        fields.addRow("", self.within_movie)
        fields.addRow("", self.trim)
        fields.addRow(self.tell_levels, self._levels_row())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(fields)


def _nothing() -> None:
    """A setting acts when the import begins."""
