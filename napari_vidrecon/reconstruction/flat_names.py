"""Names of settings: within the parts of a reconstruction, and the flat ones from before they were nested."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.composition import (
    CHOICES,
    Composed,
    InferredGain,
    InferredGaze,
    Part,
    Spectral,
    choice,
    kind_of,
)
from napari_vidrecon.settings import shown

FLAT_NAMES = {
    "schedule": "schedule.kind",
    "sub_batch_stride": "schedule.stride",
    "duplicate_last_sub_batch": "schedule.duplicate_last",
    "update": "update.kind",
    "learning_rate": "update.learning_rate",
    "learning_rate_decay": "update.learning_rate_decay",
    "warmup_steps": "update.warmup_steps",
    "momentum": "update.momentum",
    "second_momentum": "update.second_momentum",
    "damping": "update.damping",
    "ramp": "update.ramp",
    "bias_corrections": "update.bias_corrections",
    "skip_first_update": "update.skip_first_update",
    "gradient_norm": "update.gradient_norm",
    "norm_epsilon": "update.norm_epsilon",
    "gradient_clip": "update.gradient_clip",
    "likelihood_weight": "update.likelihood_weight",
    "prior": "update.prior.kind",
    "prior_settings": "update.prior.settings",
    "prior_sd": "update.prior.sd",
    "prior_spatial_corner": "update.prior.spatial_corner",
    "prior_spatial_exponent": "update.prior.spatial_exponent",
    "prior_temporal_corner": "update.prior.temporal_corner",
    "prior_temporal_exponent": "update.prior.temporal_exponent",
    "prior_from": "update.prior_from",
    "decoded_sd": "update.prior.decoded_sd",
    "decoded_spatial_corner": "update.prior.decoded_spatial_corner",
    "prior_power_ratios": "update.prior.power_ratios",
    "draws": "update.draws",
    "surround": "update.surround",
    "outcome": "stopping.kind",
    "outcome_steps": "stopping.steps",
    "held_out_share": "stopping.neuron_share",
    "plateau_share": "stopping.loss_share",
    "gaze": "gaze.kind",
    **{f"gaze_{name}": f"gaze.{name}" for name in InferredGaze.model_fields if name != "kind"},
    "gain": "gain.kind",
    **{f"gain_{name}": f"gain.{name}" for name in InferredGain.model_fields if name != "kind"},
}
"""Where each setting of before lies now."""

PRIOR = "update.prior"
SETTINGS = f"{PRIOR}.settings"


def spoken(name: str) -> str:
    """The name that people are told for a flat one, or for a path: "prior.sd", "stopping"."""
    path = FLAT_NAMES.get(name, name).removesuffix(".kind")
    return path.removeprefix("update.") if path == PRIOR or path.startswith(f"{PRIOR}.") else path


def path_of(name: str) -> str:
    """Where a setting lies, of whatever form its name is."""
    outer, dot, inner = name.partition(".")
    if outer == "prior" or outer == "prior_settings":
        outer = FLAT_NAMES[outer].removesuffix(".kind")
    elif not dot:
        outer = FLAT_NAMES.get(outer, outer)
    path = f"{outer}{dot}{inner}"
    return f"{path}.kind" if path in CHOICES else path


def _default(path: str) -> Any:
    """What a setting was without being given: that of the published part, else of the first that has it."""
    place, _, leaf = path.rpartition(".")
    if leaf == "kind":
        return kind_of(CHOICES[place][0])
    return next(part.model_fields[leaf].default for part in CHOICES[place] if leaf in part.model_fields)


DEFAULTS = {path: _default(path) for path in FLAT_NAMES.values()}


def spoken_in(config: Composed, name: str) -> str:
    """The name for a flat one where a part of this configuration has the setting; else the flat one, as before."""
    place, _, leaf = FLAT_NAMES.get(name, "").rpartition(".")
    part = config.parts.get(place)
    return spoken(name) if part is not None and leaf in type(part).model_fields else name


def moved(names: Iterable[str]) -> dict[str, str]:
    """Of these names those from before settings were nested, and what each is called now."""
    told = {name: "prior" + name.removeprefix("prior_settings") for name in names if name.startswith("prior_settings.")}
    told |= {name: spoken(name) for name in names if name in FLAT_NAMES}
    return {name: now for name, now in told.items() if now != name}


def flat_values(config: Composed) -> dict[str, Any]:
    """Every setting by its flat name.

    Returns
    -------
    dict[str, Any]
        Those of parts that were not chosen, too: as they were given, else as they are without.
    """
    held: dict[str, Any] = {}
    for place, part in config.parts.items():
        own = {name: getattr(part, name) for name in type(part).model_fields}
        held |= {f"{place}.{name}": value for name, value in {**part.fixed, **own}.items()}
    flat = {name: held.get(path, config.unread.get(name, DEFAULTS[path])) for name, path in FLAT_NAMES.items()}
    nested = (*CHOICES, "unread")
    return flat | {name: getattr(config, name) for name in type(config).model_fields if name not in nested}


def composed(given: Mapping[str, Any], before: Composed | None = None) -> dict[str, Any]:
    """Fields of a configuration from settings by name.

    Parameters
    ----------
    given
        Settings by fields, by names with a dot, by flat names, or whole parts.
    before
        What fills in where nothing is given; None: the published ones.

    Returns
    -------
    dict[str, Any]
        With every part in its place.

    Raises
    ------
    ConfigError
        A setting of a part is unknown, or has a value that cannot be used.
    """
    return _Composing(given, before).fields()


class _Composing:
    """Sorts settings into parts.

    Parameters
    ----------
    given, before
        As for `composed`.
    """

    def __init__(self, given: Mapping[str, Any], before: Composed | None) -> None:
        unread = given.get("unread")
        if isinstance(unread, Mapping):
            given = {**unread, **{name: value for name, value in given.items() if name != "unread"}}
        self._fields: dict[str, Any] = {}
        self._kept, kept = dict(DEFAULTS), DEFAULTS
        if before is not None:
            values = flat_values(before)
            kept = {path: values.pop(name) for name, path in FLAT_NAMES.items()}
            self._fields, self._kept = values, kept
        self._told: dict[str, Any] = {}
        """By path; taken out as parts are built."""
        self._whole: dict[str, Any] = {}
        self._typed: dict[str, str] = {}
        self._fixed: dict[str, tuple[str, Any]] = {}
        for name, value in given.items():
            self._sort(name, path_of(name), value)

    def _sort(self, name: str, path: str, value: Any) -> None:
        place, _, leaf = path.rpartition(".")
        self._typed[path] = name
        if not place:
            self._fields[name] = value
        elif leaf == "kind" and place in CHOICES and isinstance(value, Part):
            self._whole[place] = value
        elif leaf == "kind" and place in CHOICES and isinstance(value, Mapping):
            if "kind" in value:
                self._whole[place] = value
            else:
                for inner, each in value.items():
                    self._sort(f"{place}.{inner}", path_of(f"{place}.{inner}"), each)
        else:
            self._told[path] = value

    def fields(self) -> dict[str, Any]:
        """All of them."""
        places = [place for place in CHOICES if "." not in place]
        parts = {place: self._built(place) for place in places}
        unread = self._unread(parts)
        return {**self._fields, **parts, "unread": unread}

    def _built(self, place: str) -> Part:
        whole = self._whole.get(place)
        base = {name: getattr(whole, name) for name in type(whole).model_fields} if isinstance(whole, Part) else whole
        usual = self._kept[f"{place}.kind"] if base is None else base["kind"]
        kind = self._told.pop(f"{place}.kind", usual)
        part = choice(place, kind)
        if part is None:
            known = " or ".join(repr(kind_of(each)) for each in CHOICES[place])
            raise ConfigError(f"{self._name(f'{place}.kind')}: input should be {known}, found {shown(kind)}")
        self._fixed |= {f"{place}.{name}": (str(kind), value) for name, value in part.fixed.items()}
        # What is no setting of this part goes along, so that it is refused.
        values = {} if base is None else {name: each for name, each in base.items() if name not in part.model_fields}
        for leaf in part.model_fields:
            path = f"{place}.{leaf}"
            if path in CHOICES:
                if base is not None:
                    self._whole.setdefault(path, base.get(leaf, part.model_fields[leaf].default))
                values[leaf] = self._built(path)
            elif path == SETTINGS:
                values[leaf] = self._of_prior(base, same=kind == self._kept[f"{PRIOR}.kind"])
            elif leaf != "kind" and path in self._told:
                values[leaf] = self._told.pop(path)
            elif base is not None and leaf in base:
                values[leaf] = base[leaf]
            elif base is None and path in self._kept:
                values[leaf] = self._kept[path]
        try:
            return part(**{**values, "kind": kind})
        except ConfigError as raised:
            leaf, _, rest = str(raised).partition(": ")
            raise ConfigError(f"{self._name(f'{place}.{leaf}')}: {rest}") from None

    def _of_prior(self, base: Mapping[str, Any] | None, *, same: bool) -> Any:
        """Settings of a prior of another package; those of one prior say nothing to another."""
        usual = base.get("settings", {}) if base is not None else self._kept[SETTINGS] if same else {}
        settings = self._told.pop(SETTINGS, usual)
        inner = [path for path in self._told if path.startswith(f"{PRIOR}.") and self._typed[path] not in FLAT_NAMES]
        if not inner:
            return settings
        return {**settings, **{path.split(".")[-1]: self._told.pop(path) for path in inner}}

    def _unread(self, parts: Mapping[str, Part]) -> dict[str, Any]:
        """What no chosen part has: kept where it was given by a flat name, as before."""
        read = {f"{place}.{name}" for place, part in parts.items() for name in type(part).model_fields}
        if isinstance(parts["update"], Spectral):
            read |= {f"{PRIOR}.{name}" for name in type(parts["update"].prior).model_fields}
        unread = {}
        for name, path in FLAT_NAMES.items():
            if path in read:
                continue
            found = self._kept[path]
            if path in self._told:
                found = self._alone(path)
                kind, fixed = self._fixed.get(path, ("", found))
                if found != fixed:
                    told = f"{fixed}" if fixed != {} else "none"
                    raise ConfigError(f"{self._name(path)}: with {kind} it must be {told}, found {shown(found)}")
            if path not in self._fixed and found != DEFAULTS[path]:
                unread[name] = found
        for path in self._told:
            place = path.rpartition(".")[0]
            raise ConfigError(
                f"{self._name(path)}: {shown(str(parts.get(place, parts['update'])))} has no such setting; "
                f"choose another {spoken(place)}, or leave it out"
            )
        return unread

    def _alone(self, path: str) -> Any:
        """A setting of a part that was not chosen, checked as if it were."""
        place, _, leaf = path.rpartition(".")
        value = self._told.pop(path) if self._typed[path] in FLAT_NAMES else self._told[path]
        if leaf == "kind" or path == SETTINGS:
            return value
        part = next(each for each in CHOICES[place] if leaf in each.model_fields)
        try:
            return getattr(part(**{leaf: value}), leaf)
        except ConfigError as raised:
            raise ConfigError(f"{self._name(path)}: {str(raised).partition(': ')[2]}") from None

    def _name(self, path: str) -> str:
        typed = self._typed.get(path, spoken(path))
        return typed if typed in FLAT_NAMES else spoken(path)
