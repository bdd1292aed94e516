"""What differs between two runs' settings, in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

MOST_NAMED = 4
ARROW = "→"


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Short phrases such as "mask 0.5 → 0.7", the most telling first; empty if nothing differs.

    Parameters
    ----------
    before, after
        Settings of two runs, as `ReconstructionModel.settings` gives them.
    """
    changed = {name for name in after if before.get(name, after[name]) != after[name]}
    phrases = []
    if "none" in (before.get("ablation"), after.get("ablation")):
        # How ablated neurons are treated says nothing where there are none.
        changed.discard("ablation")
    if "stimulus" in changed or "stimulus_values" in changed:
        changed.discard("trial")
        phrases.append(f"stimulus: {after['stimulus'] or 'trial {}'.format(after['trial'])}")
    for name, label in PLAIN.items():
        if name in changed:
            phrases.append(f"{label} {plain(before[name])} {ARROW} {plain(after[name])}")
    if {"mask", "mask_values"} & changed:
        phrases.append(f"mask: {_file_name(after['mask']) or 'another'}" if "mask" in changed else "mask painted")
    if {"neurons", "neurons_kept", "neuron_values"} & changed:
        phrases.append(f"{after['neurons_kept']} neurons ({after['neurons']})")
    if "encoders" in changed or "mouse" in changed:
        phrases.append(_encoders(before["encoders"], after["encoders"]))
    if {"decoder", "decoder_values"} & changed:
        name = _file_name(after["decoder"])
        phrases.append(f"decoder {name}" if name else "without the decoder")
    if "config.preset_name" in changed:
        phrases.append(f"preset {before['config.preset_name']} {ARROW} {after['config.preset_name']}")
        steps = f"steps {before['config.steps']} {ARROW} {after['config.steps']}"
        return [*phrases, steps] if "config.steps" in changed else phrases
    for name in sorted(changed):
        if name.startswith("config."):
            label = name.removeprefix("config.").replace("_", " ")
            phrases.append(f"{label} {plain(before[name])} {ARROW} {plain(after[name])}")
    return phrases


PLAIN = {
    "trial": "trial",
    "clip": "frames",
    "target": "target",
    "training_threshold": "mask",
    "evaluation_threshold": "evaluation mask",
    "ablation": "ablated neurons:",
    "ensemble": "ensemble",
}
"""Settings that are told as they are, and what to call them."""


def in_words(phrases: list[str]) -> str:
    """One line; what is beyond the most telling few is counted."""
    if len(phrases) <= MOST_NAMED:
        return ", ".join(phrases)
    return ", ".join(phrases[:MOST_NAMED]) + f" and {len(phrases) - MOST_NAMED} more"


def plain(value: Any) -> str:
    """A setting's value for people."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list) and len(value) == 2:
        return f"{value[0]}–{'end' if value[1] is None else value[1]}"
    return str(value).replace("_", " ")


def _encoders(before: list[str], after: list[str]) -> str:
    if len(before) != len(after):
        return f"encoders {len(before)} {ARROW} {len(after)}"
    return "encoder " + ", ".join(_file_name(path) for path in after)


def _file_name(path: str) -> str:
    return Path(path).name
