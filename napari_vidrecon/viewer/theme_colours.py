"""Colours of words that can be read on the theme a widget has."""

from __future__ import annotations

from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QWidget

from napari_vidrecon.viewer.plots import COLOURS_ON_DARK, COLOURS_ON_LIGHT, DARK_BELOW_LIGHTNESS


def theme_colours(widget: QWidget) -> dict[str, str]:
    """Blue, orange, green and rose, by name, for the background of a widget."""
    lightness = widget.palette().color(QPalette.ColorRole.Window).lightness()
    return COLOURS_ON_DARK if lightness < DARK_BELOW_LIGHTNESS else COLOURS_ON_LIGHT
