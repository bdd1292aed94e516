"""Every parameter of the optimisation as a form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtWidgets import QWidget

from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.viewer.panels.settings_form import SettingsForm

SHOWN_ELSEWHERE = ("preset_name", "steps")


class AdvancedForm(SettingsForm):
    """One control a setting of the optimisation.

    Parameters
    ----------
    changed
        Called with the name and the value of a setting that a person changed.
    """

    def __init__(self, changed: Callable[[str, Any], None], parent: QWidget | None = None) -> None:
        super().__init__(ReconstructionConfig, changed, "config", SHOWN_ELSEWHERE, parent)

    def show_config(self, config: ReconstructionConfig) -> None:
        """Show all values, without telling anybody."""
        self.show_values({name: getattr(config, name) for name in self.controls})
