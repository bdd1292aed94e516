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
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QLabel,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_vidrecon.viewer.panels.controls import LETTERS_OF_A_CHOICE, form, write_plainly

LARGEST_NUMBER = 100_000.0
LARGEST_WHOLE_NUMBER = 1_000_000
SMALLEST_STEP = 1e-9
MOST_DECIMALS = 10
FINER_DIGITS = 2
BY_NAME = "told by its name"
PART_INDENT_PX = 16
KIND = "kind"
"""The field by which parts are told apart."""


Shown = tuple[type[BaseModel], Mapping[str, Any]]
"""Which fields a part of the settings shows, and their values."""


def fields_of(part: BaseModel) -> Shown | None:
    """What a part shows unless somebody knows better: its own fields."""
    return type(part), {name: getattr(part, name) for name in type(part).model_fields}


class SettingsForm(QWidget):
    """One control a setting, with its range and its explanation.

    A setting that is one of several parts, told apart by their `kind`, is a choice; the chosen part's own settings
    stand below it, and what a person changes there is told as "setting.field".

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
        Fields, of parts too, that are shown elsewhere.
    choices
        What fields of text may be, by name; those of parts as "setting.field".
    content
        What a part shows; None for nothing.
    parent
        The widget that owns it.

    Attributes
    ----------
    controls
        By the names of the fields.
    parts
        The forms of the chosen parts, by the fields they stand below.
    """

    def __init__(
        self,
        model: type[BaseModel],
        changed: Callable[[str, Any], None],
        name: str,
        without: Collection[str] = (),
        choices: Mapping[str, Sequence[str]] | None = None,
        content: Callable[[BaseModel], Shown | None] = fields_of,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._name, self._choices, self._content, self._without = name, choices or {}, content, tuple(without)
        self.parts: dict[str, SettingsForm] = {}
        self._places: dict[str, QVBoxLayout] = {}
        self._chosen: dict[str, str] = {}
        self._changed = changed
        self._showing = False
        self.controls: dict[str, Any] = {}
        self._fields = {field: told for field, told in model.model_fields.items() if field not in without}
        self._layout = form()
        self._layout.setRowWrapPolicy(self._layout.RowWrapPolicy.WrapLongRows)
        self.setLayout(self._layout)
        for field, told in self._fields.items():
            among = self._choices.get(field, kinds_of(told))
            options = _options(told) if among is None else {"widget_type": "ComboBox", "choices": list(among)}
            self._add(field, told, name, options)
            if isinstance(told.default, BaseModel):
                below = QWidget()
                self._places[field] = QVBoxLayout(below)
                self._places[field].setContentsMargins(PART_INDENT_PX, 0, 0, 0)
                self._layout.addRow(below)
                self._show_part(field, told.default)

    def _add(self, name: str, field: FieldInfo, prefix: str, options: dict[str, Any]) -> None:
        value, annotation = field.default, _annotation(field)
        if isinstance(value, BaseModel):
            value, annotation = str(value), str
        control = create_widget(value, annotation=annotation, name=name, options=options)
        control.changed.connect(partial(self._tell, name))
        title = field.title or name.replace("_", " ")
        label = QLabel(title)
        for widget in (label, control.native):
            widget.setToolTip(f"<qt>{field.description or title}</qt>")
        control.native.setAccessibleName(title)
        if isinstance(control.native, QCheckBox):
            # The label stands beside it already.
            control.native.setText("")
        if isinstance(control.native, QAbstractSpinBox):
            write_plainly(control.native)
        if isinstance(control.native, QDoubleSpinBox):
            control.native.setDecimals(_decimals(field.default))
        if isinstance(control.native, QComboBox):
            control.native.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            control.native.setMinimumContentsLength(LETTERS_OF_A_CHOICE)
            control.native.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        control.native.setObjectName(f"{prefix}.{name}")
        self._layout.addRow(label, control.native)
        self.controls[name] = control

    def show_values(self, values: Mapping[str, Any]) -> None:
        """Show all values, without telling anybody; fields that are not among them stay."""
        self._showing = True
        try:
            for name, control in self.controls.items():
                value = values.get(name, control.value)
                if isinstance(value, BaseModel):
                    if str(value) not in control.choices:
                        # Of settings that were made elsewhere.
                        self.add_choice(name, str(value))
                    self._show_part(name, value)
                    value = str(value)
                if control.value != value:
                    control.value = value
        finally:
            self._showing = False

    def _show_part(self, name: str, part: BaseModel) -> None:
        """The settings of the chosen part in place of the last one's."""
        shown = self._content(part)
        if self._chosen.get(name) != str(part):
            self._chosen[name] = str(part)
            if name in self.parts:
                gone = self.parts.pop(name)
                self._places[name].removeWidget(gone)
                gone.setParent(None)
                gone.deleteLater()
            if shown is not None and set(shown[0].model_fields) - {KIND}:
                inner = {each.removeprefix(f"{name}."): among for each, among in self._choices.items()}
                told, place, without = partial(self._tell_inner, name), f"{self._name}.{name}", (KIND, *self._without)
                self.parts[name] = SettingsForm(shown[0], told, place, without, inner, self._content)
                self._places[name].addWidget(self.parts[name])
        self._places[name].parentWidget().setVisible(name in self.parts)
        if shown is not None and name in self.parts:
            self.parts[name].show_values(shown[1])

    def _tell_inner(self, name: str, inner: str, value: Any) -> None:
        self._tell(f"{name}.{inner}", value)

    def every_control(self) -> dict[str, Any]:
        """Controls by name, those of parts as "setting.field"."""
        inner = {
            f"{name}.{each}": control
            for name, form_of in self.parts.items()
            for each, control in form_of.every_control().items()
        }
        return {**self.controls, **inner}

    def values(self) -> dict[str, Any]:
        """What differs from the fields' own values, by name."""
        shown = {name: control.value for name, control in self.controls.items()}
        return {name: value for name, value in shown.items() if value != self._fields[name].default}

    def reset(self) -> None:
        """Show the fields' own values, without telling anybody; nothing is offered any more."""
        self.show_values({name: field.default for name, field in self._fields.items()})
        self.offer(())

    def offer(self, names: Sequence[str]) -> None:
        """List what was found in files, to choose from, without telling anybody; what is chosen stays chosen.

        Where a field takes several, each other name is offered once more, together with what is chosen.
        """
        self._showing = True
        try:
            for name, field in self._fields.items():
                if _extra(field).get("of") == "columns":
                    control = self.controls[name]
                    kept = control.value
                    offered = [one for one in dict.fromkeys([*names, kept]) if one]
                    more = [one for one in names if one not in kept.split(",")] if _extra(field).get("several") else []
                    together = [(f"… and {one}", f"{kept},{one}") for one in more if kept]
                    control.choices = [(BY_NAME, ""), *((one, one) for one in offered), *together]
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


def kinds_of(field: FieldInfo) -> list[str] | None:
    """What the parts are called that a field may hold; None where it holds none."""
    if not isinstance(field.default, BaseModel):
        return None
    models = [typing.get_args(each)[0] for each in typing.get_args(field.annotation)]
    return [kind for model in models for kind in typing.get_args(model.model_fields[KIND].annotation)]


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
