"""The options of an import: how files of each kind are read, and what becomes of the recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QLabel, QLayout, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_vidrecon.viewer.panels.controls import button, choice, form, number, row, set_options, tick, whole_number
from napari_vidrecon.viewer.recent_folders import home

if TYPE_CHECKING:
    from napari_vidrecon.sessions.importing.columns import Column
    from napari_vidrecon.sessions.importing.settings import ImportSettings
    from napari_vidrecon.sessions.importing.sources import ImportSource, SourceKind

SAME_FOLDER = "the same folder"
BY_NAME = "told by its name"
SERIES = ("activity", "stimulus", "running", "pupil_size", "pupil_center")
SERIES_TITLES = ("Activity", "Stimulus", "Running", "Pupil size", "Pupil centre")
SHORTEST_TRIAL, LONGEST_TRIAL = 32, 3000
LARGEST_SHARE, SHARE_STEP = 0.45, 0.05
LARGEST_LEVEL = 1e6
MILLISECONDS = 1000


class ReadingOptions(QWidget):
    """How files of the chosen kind are read.

    Parameters
    ----------
    changed
        Called when something else would be read.
    """

    def __init__(self, changed: Callable[[], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._changed = changed
        self.beside: Path | None = None
        self.signal = choice("import_signal", {"deconvolved (spks)": "spks", "dF/F": "dff"}, lambda _: changed())
        self.all_regions = tick("All regions, not only cells", "import_all_regions", lambda _: changed())
        self.beside_name = QElidingLabel(SAME_FOLDER)
        self.beside_name.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.beside_button = button("Choose…", "import_beside", self._ask_beside)
        self.series = {name: self._series_choice(name) for name in SERIES}
        times = {"when each sample starts": "start", "the middle of each sample": "middle"}
        self.sample_time = choice("import_sample_time", times, lambda _: None)
        self._pages: dict[SourceKind, QWidget] = {"suite2p": self._suite2p_page(), "nwb": self._nwb_page()}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for page in self._pages.values():
            layout.addWidget(page)

    def show_kind(self, kind: SourceKind) -> None:
        """Show the options of a kind; plain arrays have none."""
        for name, page in self._pages.items():
            page.setVisible(name == kind)

    def offer_series(self, columns: Sequence[Column]) -> None:
        """List the series of an NWB file to choose from; those chosen stay chosen."""
        names = [column.name for column in columns if not column.fault]
        for control in self.series.values():
            chosen = control.currentData() or ""
            options = {BY_NAME: "", **{name: name for name in dict.fromkeys([*names, chosen]) if name}}
            set_options(control, options)
            control.setCurrentIndex(max(control.findData(chosen), 0))

    def forget(self) -> None:
        """For other files: take nothing by hand any more."""
        self.take_beside(None)
        for control in self.series.values():
            set_options(control, {BY_NAME: ""})

    def take_beside(self, folder: Path | None) -> None:
        """Where the other arrays of a suite2p folder lie; None for the same folder."""
        self.beside = folder
        self.beside_name.setText(SAME_FOLDER if folder is None else str(folder))

    def source(self, kind: SourceKind, path: Path) -> ImportSource:
        """What is to be imported, as the core wants it."""
        from napari_vidrecon.sessions.importing.nwb import NwbNames
        from napari_vidrecon.sessions.importing.sources import ImportSource

        return ImportSource(
            kind,
            path,
            beside=self.beside,
            signal=self.signal.currentData(),
            all_regions=self.all_regions.isChecked(),
            names=NwbNames(**{name: control.currentData() or "" for name, control in self.series.items()}),
            sample_time=self.sample_time.currentData(),
        )

    def _series_choice(self, name: str) -> QComboBox:
        return choice(f"import_{name}", {BY_NAME: ""}, lambda _: self._changed())

    def _ask_beside(self) -> None:
        start = str(self.beside or home())
        name = QFileDialog.getExistingDirectory(self, "Where stimulus, clocks and behaviour lie", start)
        if name:
            self.take_beside(Path(name))
            self._changed()

    def _suite2p_page(self) -> QWidget:
        fields = form()
        fields.addRow("Activity", self.signal)
        fields.addRow("", self.all_regions)
        fields.addRow("Other arrays", row(self.beside_name, self.beside_button, stretch=0))
        return _page(fields)

    def _nwb_page(self) -> QWidget:
        fields = form()
        for title, control in zip(SERIES_TITLES, self.series.values(), strict=True):
            fields.addRow(f"Series: {title.lower()}", control)
        fields.addRow("Times of the activity", self.sample_time)
        return _page(fields)


class SettingsOptions(QWidget):
    """What becomes of the recording; every control stands at the value that changes least."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        fits = {"pad with grey": "pad", "crop": "crop", "stretch": "stretch"}
        self.trial_frames = whole_number("import_trial_frames", SHORTEST_TRIAL, LONGEST_TRIAL, _nothing, 30)
        self.trial_frames.setSuffix(" frames")
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
        from napari_vidrecon.sessions.importing.settings import ImportSettings

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
        )

    def _show_defaults(self) -> None:
        from napari_vidrecon.sessions.importing.settings import ImportSettings

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


def _page(fields: QLayout) -> QWidget:
    page = QWidget()
    page.setLayout(fields)
    return page


def _nothing() -> None:
    """A setting acts when the import begins."""
