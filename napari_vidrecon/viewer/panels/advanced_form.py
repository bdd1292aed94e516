"""Every parameter of the optimisation as a form, made from the parts that a reconstruction is composed of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel
from qtpy.QtWidgets import QWidget

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.composition import OutsidePrior
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.priors import prior_named, prior_names
from napari_vidrecon.viewer.panels.settings_form import SettingsForm, Shown, fields_of

SHOWN_ELSEWHERE = ("preset_name", "steps", "unread")


class AdvancedForm(SettingsForm):
    """One control a setting of the optimisation.

    Parameters
    ----------
    changed
        Called with the name and the value of a setting that a person changed.
    """

    def __init__(self, changed: Callable[[str, Any], None], parent: QWidget | None = None) -> None:
        choices = {"update.prior": prior_names()}
        super().__init__(ReconstructionConfig, changed, "config", SHOWN_ELSEWHERE, choices, _content, parent)

    def show_config(self, config: ReconstructionConfig) -> None:
        """Show all values, without telling anybody."""
        self.show_values({name: getattr(config, name) for name in self.controls})


def _content(part: BaseModel) -> Shown | None:
    if not isinstance(part, OutsidePrior):
        return fields_of(part)
    try:
        return prior_named(part.kind).settings_class, part.settings
    except ConfigError:
        # A run says so when it is started.
        return None
