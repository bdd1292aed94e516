"""Settings as a form, made from their own description: names, ranges, choices, explanations."""

from __future__ import annotations

import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from magicgui.widgets import create_widget
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QLabel, QWidget

from napari_vidrecon.viewer.panels.controls import LETTERS_OF_A_CHOICE, form

LARGEST_NUMBER = 100_000.0
LARGEST_WHOLE_NUMBER = 1_000_000
SMALLEST_STEP = 1e-9
MOST_DECIMALS = 10
FINER_DIGITS = 2
BY_NAME = "told by its name"


class SettingsForm(QWidget):
    """One control a setting, with its range and its explanation.

    Parameters
    ----------
    model
        Whose fields they are. In a field's `json_schema_extra`, "labels" maps its choices to what is shown for them,
        and "of": "columns" marks a text that is chosen from names found in files (`offer`).
    changed
        Called with the name and the value of a setting that a person changed.
    name
        Controls are called "name.field".
    without
        Fields that are shown elsewhere.
    choices
        What fields of text may be, by name.
    parent
        The widget that owns it.

    Attributes
    ----------
    controls
        By the names of the fields.
    """

    def __init__(
        self,
        model: type[BaseModel],
        changed: Callable[[str, Any], None],
        name: str,
        without: Collection[str] = (),
        choices: Mapping[str, Sequence[str]] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._changed = changed
        self._showing = False
        self.controls: dict[str, Any] = {}
        self._fields = {field: told for field, told in model.model_fields.items() if field not in without}
        self._layout = form()
        self._layout.setRowWrapPolicy(self._layout.RowWrapPolicy.WrapLongRows)
        self.setLayout(self._layout)
        for field, told in self._fields.items():
            among = (choices or {}).get(field)
            options = _options(told) if among is None else {"widget_type": "ComboBox", "choices": list(among)}
            self._add(field, told, name, options)

    def _add(self, name: str, field: FieldInfo, prefix: str, options: dict[str, Any]) -> None:
        control = create_widget(field.default, annotation=_annotation(field), name=name, options=options)
        control.changed.connect(partial(self._tell, name))
        title = field.title or name.replace("_", " ")
        label = QLabel(title)
        for widget in (label, control.native):
            widget.setToolTip(f"<qt>{field.description or title}</qt>")
        if isinstance(control.native, QCheckBox):
            # The label stands beside it already.
            control.native.setText("")
        if isinstance(control.native, QDoubleSpinBox):
            control.native.setDecimals(_decimals(field.default))
        if isinstance(control.native, QComboBox):
            control.native.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            control.native.setMinimumContentsLength(LETTERS_OF_A_CHOICE)
        control.native.setObjectName(f"{prefix}.{name}")
        self._layout.addRow(label, control.native)
        self.controls[name] = control

    def show_values(self, values: Mapping[str, Any]) -> None:
        """Show all values, without telling anybody; fields that are not among them stay."""
        self._showing = True
        try:
            for name, control in self.controls.items():
                if name in values and control.value != values[name]:
                    control.value = values[name]
        finally:
            self._showing = False

    def values(self) -> dict[str, Any]:
        """What differs from the fields' own values, by name."""
        shown = {name: control.value for name, control in self.controls.items()}
        return {name: value for name, value in shown.items() if value != self._fields[name].default}

    def reset(self) -> None:
        """Show the fields' own values, without telling anybody; nothing is offered any more."""
        self.show_values({name: field.default for name, field in self._fields.items()})
        self.offer(())

    def offer(self, names: Sequence[str]) -> None:
        """List what was found in files, to choose from, without telling anybody; what is chosen stays chosen."""
        self._showing = True
        try:
            for name, field in self._fields.items():
                if _extra(field).get("of") == "columns":
                    control = self.controls[name]
                    kept = control.value
                    offered = [one for one in dict.fromkeys([*names, kept]) if one]
                    control.choices = [(BY_NAME, ""), *((one, one) for one in offered)]
                    control.value = kept
        finally:
            self._showing = False

    def add_choice(self, name: str, choice: str) -> None:
        """One more thing that a field may be, without telling anybody."""
        self._showing = True
        try:
            self.controls[name].choices = [*self.controls[name].choices, choice]
        finally:
            self._showing = False

    def _tell(self, name: str, value: Any) -> None:
        if not self._showing:
            self._changed(name, value)


def _extra(field: FieldInfo) -> dict[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def _annotation(field: FieldInfo) -> Any:
    return Path if Path in typing.get_args(field.annotation) else field.annotation


def _options(field: FieldInfo) -> dict[str, Any]:
    """Range and choices of a setting."""
    if typing.get_origin(field.annotation) is typing.Literal:
        labels = _extra(field).get("labels", {})
        choices = [(labels.get(each, str(each)), each) for each in typing.get_args(field.annotation)]
        return {"widget_type": "ComboBox", "choices": choices}
    if _extra(field).get("of") == "columns":
        return {"widget_type": "ComboBox", "choices": [(BY_NAME, "")]}
    if _annotation(field) is Path:
        return {"widget_type": "FileEdit", "mode": "d", "nullable": True}
    if field.annotation not in (int, float):
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
