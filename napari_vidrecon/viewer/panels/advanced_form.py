"""Every parameter of the optimisation as a form; those of a prior that a package brings stand below."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtWidgets import QWidget

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.priors import NATURAL, prior_named, prior_names
from napari_vidrecon.viewer.panels.settings_form import SettingsForm

SHOWN_ELSEWHERE = ("preset_name", "steps", "prior_settings")


class AdvancedForm(SettingsForm):
    """One control a setting of the optimisation.

    Parameters
    ----------
    changed
        Called with the name and the value of a setting that a person changed.

    Attributes
    ----------
    of_prior
        The settings of the chosen prior; None for the natural one, whose settings are the configuration's own.
    """

    def __init__(self, changed: Callable[[str, Any], None], parent: QWidget | None = None) -> None:
        choices = {"prior": prior_names()}
        super().__init__(ReconstructionConfig, changed, "config", SHOWN_ELSEWHERE, choices, parent)
        self.of_prior: SettingsForm | None = None
        self._prior = NATURAL
        self._prior_settings: dict[str, Any] = {}

    def show_config(self, config: ReconstructionConfig) -> None:
        """Show all values, without telling anybody."""
        known = self.controls["prior"]
        if config.prior not in known.choices:
            # Of a run whose package is missing here.
            self.add_choice("prior", config.prior)
        self.show_values({name: getattr(config, name) for name in self.controls})
        self._prior_settings = config.prior_settings
        if config.prior != self._prior:
            self._prior = config.prior
            self._show_prior()
        if self.of_prior is not None:
            self.of_prior.show_values(config.prior_settings)

    def _show_prior(self) -> None:
        """Controls of the chosen prior in place of the last one's."""
        if self.of_prior is not None:
            self._layout.removeRow(self.of_prior)
            self.of_prior = None
        if self._prior == NATURAL:
            return
        try:
            settings = prior_named(self._prior).settings_class
        except ConfigError:
            # A run says so when it is started.
            return
        self.of_prior = SettingsForm(settings, self._tell_prior, f"prior.{self._prior}")
        self._layout.addRow(self.of_prior)

    def _tell_prior(self, name: str, value: Any) -> None:
        self._changed("prior_settings", {**self._prior_settings, name: value})
