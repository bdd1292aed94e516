"""A panel under a heading that folds it away."""

from __future__ import annotations

from qtpy.QtWidgets import QWidget
from superqt import QCollapsible

OPEN_MARK, FOLDED_MARK = "▾", "▸"


def section(title: str, content: QWidget, *, open_at_first: bool = True) -> QCollapsible:
    """Put a widget under a heading; a click on the heading folds it away or back."""
    made = QCollapsible(title, expandedIcon=OPEN_MARK, collapsedIcon=FOLDED_MARK)
    made.setDuration(0)
    made.addWidget(content)
    if open_at_first:
        made.expand(animate=False)
    else:
        made.collapse(animate=False)
    return made
