"""Every parameter of the optimisation as a form, made from the settings' own description."""

from __future__ import annotations

import typing
from collections.abc import Callable
from functools import partial
from typing import Any

from magicgui.widgets import create_widget
from pydantic.fields import FieldInfo
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QLabel, QWidget

from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.viewer.panels.controls import LETTERS_OF_A_CHOICE, form

SHOWN_ELSEWHERE = ("preset_name", "steps")
LARGEST_NUMBER = 100_000.0
LARGEST_WHOLE_NUMBER = 1_000_000
SMALLEST_STEP = 1e-9
MOST_DECIMALS = 10
FINER_DIGITS = 2


class AdvancedForm(QWidget):
    """One control a setting, with its range and its explanation.

    Parameters
    ----------
    changed
        Called with the name and the value of a setting that a person changed.
    """

    def __init__(self, changed: Callable[[str, Any], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._changed = changed
        self._showing = False
        self._controls: dict[str, Any] = {}
        layout = form()
        layout.setRowWrapPolicy(layout.RowWrapPolicy.WrapLongRows)
        self.setLayout(layout)
        for name, field in ReconstructionConfig.model_fields.items():
            if name in SHOWN_ELSEWHERE:
                continue
            control = create_widget(field.default, annotation=field.annotation, name=name, options=_options(field))
            control.changed.connect(partial(self._tell, name))
            tooltip = f"<qt>{field.description or name.replace('_', ' ')}</qt>"
            label = QLabel(name.replace("_", " "))
            for widget in (label, control.native):
                widget.setToolTip(tooltip)
            if isinstance(control.native, QCheckBox):
                # The label stands beside it already.
                control.native.setText("")
            if isinstance(control.native, QDoubleSpinBox):
                control.native.setDecimals(_decimals(field.default))
            if isinstance(control.native, QComboBox):
                control.native.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
                control.native.setMinimumContentsLength(LETTERS_OF_A_CHOICE)
            control.native.setObjectName(f"config.{name}")
            layout.addRow(label, control.native)
            self._controls[name] = control

    def show_config(self, config: ReconstructionConfig) -> None:
        """Show all values, without telling anybody."""
        self._showing = True
        try:
            for name, control in self._controls.items():
                value = getattr(config, name)
                if control.value != value:
                    control.value = value
        finally:
            self._showing = False

    def _tell(self, name: str, value: Any) -> None:
        if not self._showing:
            self._changed(name, value)


def _options(field: FieldInfo) -> dict[str, Any]:
    """Range and choices of a setting."""
    if typing.get_origin(field.annotation) is typing.Literal:
        return {"widget_type": "ComboBox", "choices": list(typing.get_args(field.annotation))}
    if field.annotation is bool:
        return {}
    whole = field.annotation is int
    options: dict[str, Any] = {"min": 0, "max": LARGEST_WHOLE_NUMBER if whole else LARGEST_NUMBER}
    for limit in field.metadata:
        for sign, key in (("ge", "min"), ("gt", "min"), ("le", "max"), ("lt", "max")):
            if hasattr(limit, sign):
                options[key] = getattr(limit, sign)
    if not whole:
        options["widget_type"] = "FloatSpinBox"
        options["step"] = _step(field.default)
    return options


def _decimals(default: float) -> int:
    """Enough to change the default's last digit, and what is a hundred times finer."""
    digits = f"{default:.{MOST_DECIMALS}f}".rstrip("0").partition(".")[2]
    return min(len(digits) + FINER_DIGITS, MOST_DECIMALS)


def _step(default: float) -> float:
    """A tenth of the default's first digit; tiny values need tiny steps."""
    if default == 0:
        return 0.1
    exponent = len(str(int(abs(default)))) - 2 if abs(default) >= 1 else None
    if exponent is not None:
        return 10.0**exponent
    step = 1.0
    while step > abs(default) / 5 and step > SMALLEST_STEP:
        step /= 10
    return step
