"""How it is reconstructed: preset and target; every other setting, by the parts it is composed of; how the run goes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from pydantic import BaseModel
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.composition import OutsidePrior, Spectral
from napari_vidrecon.reconstruction.config import PRESETS, ReconstructionConfig
from napari_vidrecon.reconstruction.priors import prior_named, prior_names
from napari_vidrecon.viewer.background import subscribe
from napari_vidrecon.viewer.fits import GazeFitController
from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.opening import try_to
from napari_vidrecon.viewer.panels.controls import (
    JobBar,
    button,
    choice,
    choose,
    form,
    in_one_place,
    narrow,
    put,
    row,
    set_options,
    stack,
    tick,
    whole_number,
)
from napari_vidrecon.viewer.panels.settings_form import SettingsForm, Shown, fields_of
from napari_vidrecon.viewer.plots import ProgressPlot
from napari_vidrecon.viewer.record import Stage
from napari_vidrecon.viewer.tooltips import TOOLTIPS, explain

SHOWN_ELSEWHERE = ("preset_name", "steps", "colour_levels", "power_ratios", "unread")


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


MOST_STEPS = 100_000
PRESET_ORDER = ("best", "fast", "paper")
TARGET_LABELS = {"recorded": "recorded", "predicted": "predicted", "permuted": "permuted"}
ENSEMBLE_LABELS = {"average their movies": "videos", "average their gradients": "gradients"}


class RunPanel(QWidget):
    """Preset and target; `more` has every other setting, and `plot` the live curves.

    Parameters
    ----------
    model
        The state of the window.
    gaze_fit
        Finds what the pupil tells of the gaze.
    parent
        The widget that owns it.
    """

    more_asked = Signal()

    def __init__(self, model: ReconstructionModel, gaze_fit: GazeFitController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model, self._gaze_fit = model, gaze_fit
        self.preset = choice("preset", {name: name for name in _presets()}, self._take_preset)
        self.steps = whole_number("steps", 1, MOST_STEPS, self._take_steps, 10, after=" steps")
        narrow(self.steps)
        self.target = choice("target", TARGET_LABELS, partial(self._take, "target"))
        self.gaze = tick("gaze", "infer_gaze", self._take_gaze)
        self.gain = tick("gain", "infer_gain", self._take_gain)
        self.gaze_bar = JobBar(
            gaze_fit, ("gaze_progress", "stop_gaze"), "Stop", "learning from the pupil:", parent=self
        )
        self.inferred = QWidget()
        self.ensemble = choice("ensemble", ENSEMBLE_LABELS, partial(self._take, "ensemble"))
        self.device = choice("device", {"auto": "auto", "cpu": "cpu"}, partial(self._take, "device"))
        self.apply_live = tick("Apply while running", "apply_live", self._take_live)
        self.advanced = AdvancedForm(self._take_parameter)
        self.reset_button = button("Back to the preset", "reset_settings", self._reset)
        self.plot = explain(ProgressPlot(), "plot")
        self.more_button = button("Advanced…", "advanced", self.more_asked.emit)
        self.more = self._more()
        self._lay_out()
        for signal in (model.settings_changed, model.encoders_changed):
            subscribe(self, signal, self._show_settings)
        subscribe(self, model.snapshot_arrived, self._show_history)
        subscribe(self, model.looked_back_changed, self._mark_step)
        gaze_fit.changed.connect(self._show_settings)
        self.plot.step_asked_for.connect(model.look_back)
        for signal in (
            model.shown_changed,
            model.trial_changed,
            model.stimulus_prediction_changed,
            model.state_changed,
        ):
            subscribe(self, signal, self._show_history)
        self._show_settings()
        self._show_history()

    def add_setting(self, label: str, control: QWidget) -> None:
        """Put a control of another panel among the advanced settings."""
        self.more_fields.addRow(label, control)

    def offer_devices(self) -> None:
        """List the devices of this machine; asks torch, so it is done when the list is first needed."""
        options = {"auto": "auto", "cpu": "cpu"}
        if torch.cuda.is_available():
            for index in range(torch.cuda.device_count()):
                options[f"cuda:{index} ({torch.cuda.get_device_name(index)})"] = f"cuda:{index}"
        if torch.backends.mps.is_available():
            options["mps (Apple)"] = "mps"
        set_options(self.device, options)
        choose(self.device, self._model.device)

    # From the controls to the model

    def _take(self, name: str, value: Any) -> None:
        if getattr(self._model, name) != value:
            self._model.set_settings(**{name: value})

    def _take_live(self, live: bool) -> None:
        self._take("apply_live", live)

    def _take_gaze(self, wanted: bool) -> None:
        if wanted:
            self._gaze_fit.start()
            self._show_settings()
        else:
            self._take_parameter("gaze", "still")

    def _take_gain(self, wanted: bool) -> None:
        self._take_parameter("gain", "inferred" if wanted else "constant")

    def _take_preset(self, name: str) -> None:
        self._take("config", ReconstructionConfig.preset(name))

    def _take_steps(self) -> None:
        self._take_parameter("steps", self.steps.value())

    def _take_parameter(self, name: str, value: Any) -> None:
        if not try_to(self._model, lambda: self._take("config", self._model.config.changed(**{name: value}))):
            self._show_settings()

    def _reset(self) -> None:
        self._take_preset(self._model.config.preset_name)

    # From the model to the controls

    def _show_settings(self) -> None:
        model = self._model
        choose(self.preset, model.config.preset_name)
        put(self.steps, model.config.steps)
        choose(self.target, model.target)
        choose(self.ensemble, model.ensemble)
        self.ensemble.setEnabled(len(model.encoder_paths) > 1)
        choose(self.device, model.device)
        put(self.apply_live, model.apply_live)
        put(self.gaze, model.config.gaze == "inferred" or self._gaze_fit.busy)
        put(self.gain, model.config.gain == "inferred")
        for inferred in (self.gaze, self.gain):
            inferred.setEnabled(isinstance(model.config.update, Spectral))
            # The bar takes their place, so that nothing below moves.
            inferred.setVisible(not self._gaze_fit.busy)
        self.advanced.show_config(model.config)
        changed = set(model.config.differences(ReconstructionConfig.preset(model.config.preset_name))) - {"steps"}
        self.more_button.setText(f"Advanced ({len(changed)})…" if changed else "Advanced…")
        told = f"<p>{len(changed)} differ from the preset.</p>" if changed else ""
        self.more_button.setToolTip(f"<qt>{TOOLTIPS['advanced']}{told}</qt>")
        self.reset_button.setEnabled(bool(changed))

    def _mark_step(self, stage: Stage | None) -> None:
        self.plot.mark_step(None if stage is None else float(stage.step))

    def _show_history(self, _snapshot: object = None) -> None:
        model = self._model
        levels = dict(model.stimulus_levels)
        if "loss" in levels:
            # The curve is the loss of the optimisation, so its level must be the true movie's loss for that target.
            levels["response_loss"] = levels["loss"]
        shown, compared = (None if each is None else each.history for each in (model.shown, model.compared))
        if model.run_recipe is None:
            history, ghost = shown, compared
        else:
            history, ghost = None if model.snapshot is None else model.snapshot.history, shown
        self.plot.show_run(history, levels=levels, ghost=ghost)

    def _more(self) -> QWidget:
        fields = self.more_fields = form()
        fields.addRow("Ensemble", self.ensemble)
        fields.addRow("Device", self.device)
        content = QWidget()
        stack(content, fields, self.advanced, self.reset_button)
        return content

    def _lay_out(self) -> None:
        self.offer_devices()
        fields = form()
        fields.addRow("Preset", row(self.preset, self.steps, stretch=0))
        fields.addRow("Target", row(self.target, self.more_button, stretch=0))
        self.inferred.setLayout(in_one_place(row(self.gaze, self.gain), self.gaze_bar))
        fields.addRow("Infer, too", self.inferred)
        self.fields = fields
        stack(self, fields)


def _presets() -> list[str]:
    others = [name for name in PRESETS if name not in PRESET_ORDER]
    return [*(name for name in PRESET_ORDER if name in PRESETS), *others]
