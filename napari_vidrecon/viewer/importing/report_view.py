"""What an import did, for reading: totals, warnings first, then everything that was changed on the way."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QTextBrowser, QWidget

from napari_vidrecon.viewer.tooltips import explain

if TYPE_CHECKING:
    from napari_vidrecon.viewer.importing.import_job import Imported


import re

from napari_vidrecon.sessions.importing.recording import Kind

CONTROLS = {
    "give --overwrite": "tick “Replace a session imported before”",
    "give --all-regions": "tick “All regions, not only cells”",
    "take --signal dff": "take the activity “dF/F”",
    "--levels 0:4095": "tick “Black and white are”",
    "give --axes twh": "choose “Axes of movies: frame, x, y”",
    "(--axes hwt)": "(“Axes of movies: row, column, frame”)",
    "--axes twh": "“Axes of movies: frame, x, y”",
    "--axes thw": "“Axes of movies: frame, row, column”",
    "with --negative clip": "with “Activity below 0: set to 0”",
    "(--bad-neurons drop)": "(“Bad neurons: leave out”)",
    "(--within-movie)": "(“Hold out parts of movies”)",
    "(--trim)": "(“Cut the longer of two arrays”)",
    "with --trim": "with “Cut the longer of two arrays”",
    "(--clock-tolerance)": "(“Clocks may run apart by”)",
    "(--trial-frames)": "(“Longest trial”)",
    "see --preview": "see the table of arrays",
}
SERIES_OPTION = re.compile(r"name one with --(activity|stimulus|running|pupil-size|pupil-center)")
KINDS: dict[Kind, str] = {
    "read": "taken from",
    "resampled": "resampled",
    "filled": "filled in",
    "dropped": "left out",
    "repaired": "repaired",
    "assumed": "assumed",
    "warning": "warning",
}


def in_words_of_the_form(message: str) -> str:
    """A message of the core, with the controls of the form in place of options."""
    for option, control in CONTROLS.items():
        message = message.replace(option, control)
    return SERIES_OPTION.sub("choose one under “Series”", message)


LINES_SEEN = 9


class ReportView(QTextBrowser):
    """The report of an import."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        explain(self, "import_report")
        self.setOpenLinks(False)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setMinimumHeight(self.fontMetrics().lineSpacing() * LINES_SEEN)

    def show_report(self, imported: Imported) -> None:
        """Write it."""
        report = imported.report
        totals = ", ".join(f"{_text(value)} {name.replace('_', ' ')}" for name, value in _plain(report.totals).items())
        tiers = ", ".join(f"{count} {tier}" for tier, count in report.totals.get("trials_by_tier", {}).items())
        parts = [f"<p><b>{totals}</b><br>trials by tier: {_text(tiers)}</p>"]
        for kind, title in sorted(KINDS.items(), key=lambda pair: pair[0] != "warning"):
            notes = report.of_kind(kind)
            if notes:
                items = "".join(
                    f"<li>{_text(note.about)}: {_text(in_words_of_the_form(note.text))}</li>" for note in notes
                )
                parts.append(f"<p><b>{title.capitalize()}</b></p><ul style='margin-top: 0'>{items}</ul>")
        parts.append("<p>The same is kept in the session as import.txt.</p>")
        self.setHtml("".join(parts))


def _plain(totals: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in totals.items() if not isinstance(value, dict)}


def _text(value: object) -> str:
    return html.escape(str(value))
