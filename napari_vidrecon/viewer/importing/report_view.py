"""What an import did, for reading: totals, warnings first, then everything that was changed on the way."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QTextBrowser, QWidget

from napari_vidrecon.viewer.importing.wording import KINDS, in_words_of_the_form
from napari_vidrecon.viewer.tooltips import explain

if TYPE_CHECKING:
    from napari_vidrecon.viewer.importing.import_job import Imported

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
