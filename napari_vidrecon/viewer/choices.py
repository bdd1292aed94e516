"""What a person chooses to see, and for the next run: encoders, mask, neurons and settings, which can be undone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from psygnal import Signal

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.decoder import Decoder
from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD, TRAINING_THRESHOLD, AlphaMask
from napari_vidrecon.reconstruction.recipe import MouseRecipe
from napari_vidrecon.reconstruction.run import Ensemble
from napari_vidrecon.reconstruction.several_mice import union_mask
from napari_vidrecon.reconstruction.targets import Ablation, NeuronSet


class RunState(StrEnum):
    """Where the optimisation is."""

    IDLE = "idle"
    LOADING = "loading"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"


class Layout(StrEnum):
    """What the canvas is for."""

    WATCH = "watch"
    EXPLAIN = "explain"
    COMPARE = "compare"
    PAPER = "paper"


class ErrorMode(StrEnum):
    """What the error layer shows."""

    STIMULUS = "reconstruction - stimulus"
    PREDICTED = "from recorded - from predicted activity"
    COMPARISON = "shown run - compared run"
    LOST = "what is lost, and where, against the compared run"
    UNCERTAINTY = "uncertainty: how far draws or encoders differ"
    ADDED = "what the brain adds"
    NONE = "none"


class ActivityMode(StrEnum):
    """What the predicted-activity tile shows."""

    FROM_STIMULUS = "predicted from the stimulus"
    FROM_RECONSTRUCTION = "predicted from the reconstruction"
    DIFFERENCE = "difference"


class RasterOrder(StrEnum):
    """How the neurons of the rasters are sorted."""

    RECORDED = "as recorded"
    SIMILARITY = "by similarity"
    PREDICTION = "by prediction correlation"
    EXPLAINED = "by how well explained"
    FIELD = "by receptive field"
    POSITION = "by position"
    DEPTH = "by depth"


@dataclass(frozen=True, eq=False)
class Edit:
    """What can be undone.

    Parameters
    ----------
    mask
        Transparency mask.
    training_threshold
        Least alpha of pixels that are reconstructed.
    evaluation_threshold
        Least alpha of pixels that are measured.
    neurons
        Who takes part.
    settings
        Those of the model that can be undone, by name; "config" is the configuration.
    """

    mask: AlphaMask
    training_threshold: float
    evaluation_threshold: float
    neurons: NeuronSet
    settings: Mapping[str, Any] = field(default_factory=dict)

    def same_as(self, other: Edit) -> bool:
        """Whether nothing differs."""
        return not self.changes_to(other)

    def changes_to(self, other: Edit) -> list[str]:
        """What another one has changed, in words, the most telling first."""
        told = []
        for name in ("training", "evaluation"):
            here, there = (getattr(each, f"{name}_threshold") for each in (self, other))
            if here != there:
                told.append(f"{name} threshold {here:.2f} → {there:.2f}")
        if not np.array_equal(self.neurons.keep, other.neurons.keep):
            told.append(other.neurons.reason if other.neurons.count < len(other.neurons.keep) else "all neurons")
        if not np.array_equal(self.mask.alpha, other.mask.alpha):
            told.append(f"mask {Path(other.mask.source).name or 'unnamed'}")
        for name in self.settings.keys() | other.settings.keys():
            here, there = self.settings.get(name), other.settings.get(name)
            if here != there:
                told.append(_changed_setting(name, here, there))
        return told


def _changed_setting(name: str, here: Any, there: Any) -> str:
    if name != "config" or here is None or there is None:
        return name if not isinstance(there, str) else f"{name} {there}"
    if here.preset_name != there.preset_name:
        return f"preset {there.preset_name}"
    changed = here.differences(there)
    first, (before, after) = next(iter(changed.items()), ("settings", ("", "")))
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    return f"{first.replace('_', ' ')} {before} → {after}{more}"


MOST_NAMED = 2


class EditStack:
    """A line of edits with a place in it."""

    def __init__(self, first: Edit, most: int = 100) -> None:
        self._edits, self._place, self._most = [first], 0, most

    @property
    def present(self) -> Edit:
        """The edit in force."""
        return self._edits[self._place]

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit before."""
        return self._place > 0

    @property
    def can_redo(self) -> bool:
        """Whether an edit was undone."""
        return self._place < len(self._edits) - 1

    @property
    def undo_name(self) -> str:
        """What undo would take back; empty if nothing."""
        return self._name(self._place - 1, self._place)

    @property
    def redo_name(self) -> str:
        """What redo would do again; empty if nothing."""
        return self._name(self._place, self._place + 1)

    def _name(self, before: int, after: int) -> str:
        if before < 0 or after >= len(self._edits):
            return ""
        return ", ".join(self._edits[before].changes_to(self._edits[after])[:MOST_NAMED])

    def push(self, edit: Edit) -> None:
        """Put a new edit in force; what was undone is forgotten."""
        if edit.same_as(self.present):
            return
        self._edits = [*self._edits[: self._place + 1], edit][-self._most :]
        self._place = len(self._edits) - 1

    def undo(self) -> Edit:
        """Go one edit back."""
        self._place = max(self._place - 1, 0)
        return self.present

    def redo(self) -> Edit:
        """Go one edit forward."""
        self._place = min(self._place + 1, len(self._edits) - 1)
        return self.present


DEFAULT_PRESET = "best"
SETTINGS = ("config", "target", "ensemble", "ablation", "device", "mouse", "decoder", "apply_live")
UNDOABLE = ("config", "target", "ensemble", "ablation", "decoder")
"""Settings that are a part of what can be undone."""


class Choices:
    """How the clip that is open is to be reconstructed; every setter emits one signal, if something changed."""

    encoders_changed = Signal()
    mask_changed = Signal()
    thresholds_changed = Signal()
    neurons_changed = Signal()
    edits_settled = Signal()
    settings_changed = Signal()

    def __init__(self) -> None:
        self.repeats: tuple[int, ...] = ()
        """Further presentations of the clip that are fitted as well."""
        self.mice: tuple[MouseRecipe, ...] = ()
        """Further mice that saw the clip and are fitted as well."""
        self.mice_alphas: tuple[np.ndarray, ...] = ()
        """(36, 64) of each, its mask on this mouse's screen."""
        self._common: tuple[AlphaMask, tuple[np.ndarray, ...], AlphaMask] | None = None
        self.encoder_files: list[Path] = []
        self.encoder_paths: list[Path] = []
        self.mouse: int | None = None
        self.decoder: Decoder | None = None
        self.mask: AlphaMask = AlphaMask.full()
        self.mask_path: Path | None = None
        self.training_threshold = TRAINING_THRESHOLD
        self.evaluation_threshold = EVALUATION_THRESHOLD
        self.neurons: NeuronSet | None = None
        self.ablation: Ablation = "drop"
        self.config = ReconstructionConfig.preset(DEFAULT_PRESET)
        self.target = "recorded"
        self.ensemble: Ensemble = "videos"
        self.device = "auto"
        self.apply_live = False
        self.stimulus_prediction: np.ndarray | None = None
        self.stimulus_levels: dict[str, float] = {}
        self._edits: EditStack | None = None
        self._one_edit = False

    def set_repeats(self, trial_ids: tuple[int, ...]) -> None:
        """Fit these further presentations of the clip as well; none: the trial alone."""
        if trial_ids != self.repeats:
            self.repeats = trial_ids
            self.settings_changed.emit()

    def set_mice(self, mice: tuple[MouseRecipe, ...], alphas: tuple[np.ndarray, ...]) -> None:
        """Fit these further mice as well; none: this mouse alone.

        Parameters
        ----------
        mice
            That saw the present clip.
        alphas
            (36, 64) of each, its mask on this mouse's screen.
        """
        if mice != self.mice:
            self.mice, self.mice_alphas = mice, alphas
            self.settings_changed.emit()
            self.mask_changed.emit()

    @property
    def common_mask(self) -> AlphaMask:
        """Where any of the mice looks; the mask itself where there is one mouse."""
        if not self.mice_alphas:
            return self.mask
        if self._common is None or self._common[0] is not self.mask or self._common[1] is not self.mice_alphas:
            self._common = (self.mask, self.mice_alphas, union_mask(self.mask, self.mice_alphas))
        return self._common[2]

    @property
    def masks_of_mice(self) -> list[np.ndarray]:
        """(36, 64) bool of each of several mice, where it is measured, this session's first; empty for one mouse."""
        if not self.mice_alphas:
            return []
        return [alpha >= self.evaluation_threshold for alpha in (self.mask.screen, *self.mice_alphas)]

    def offer_encoders(self, files: list[Path]) -> None:
        """List encoder files to choose from; those chosen so far and still listed stay chosen."""
        self.encoder_files = list(dict.fromkeys(files))
        self.encoder_paths = [path for path in self.encoder_paths if path in self.encoder_files]
        self.encoders_changed.emit()

    def set_encoders(self, paths: list[Path]) -> None:
        """Choose the encoder files to reconstruct with."""
        if paths != self.encoder_paths:
            self.encoder_paths = list(paths)
            self.encoder_files = list(dict.fromkeys([*self.encoder_files, *paths]))
            self.stimulus_prediction, self.stimulus_levels = None, {}
            self.encoders_changed.emit()

    def set_mask(self, mask: AlphaMask, path: Path | None = None) -> None:
        """Take another mask, or a painted one.

        Parameters
        ----------
        mask
            The new one.
        path
            Its file; None for a painted one.
        """
        self.mask, self.mask_path = mask, path
        self._remember()
        self.mask_changed.emit()

    def set_thresholds(
        self, training: float | None = None, evaluation: float | None = None, *, undoable: bool = True
    ) -> None:
        """Move the training threshold, the evaluation threshold, or both.

        Parameters
        ----------
        training
            Least alpha of pixels that are reconstructed; None leaves it.
        evaluation
            Least alpha of pixels that are measured; None leaves it.
        undoable
            It can be taken back.

        Raises
        ------
        MaskError
            No pixel would be left.
        """
        training = self.training_threshold if training is None else float(training)
        evaluation = self.evaluation_threshold if evaluation is None else float(evaluation)
        if (training, evaluation) == (self.training_threshold, self.evaluation_threshold):
            return
        self.training_threshold, self.evaluation_threshold = training, evaluation
        self._remember(undoable)
        self.thresholds_changed.emit()

    def set_neurons(self, neurons: NeuronSet) -> None:
        """Choose which neurons take part."""
        if self.neurons is not None and np.array_equal(neurons.keep, self.neurons.keep):
            return
        self.neurons = neurons
        self._remember()
        self.neurons_changed.emit()

    def set_settings(self, **fields: Any) -> None:
        """Change `config`, `target`, `ensemble`, `ablation`, `device`, `mouse`, `decoder` or `apply_live`."""
        if self._take("settings", fields, SETTINGS):
            self._remember()
        self.settings_changed.emit()
        if "mouse" in fields:
            self.stimulus_prediction, self.stimulus_levels = None, {}
            self.encoders_changed.emit()

    def _take(self, what: str, fields: dict[str, Any], known: tuple[str, ...]) -> bool:
        """Set fields; returns whether any was another before."""
        changed = False
        for name, value in fields.items():
            if name not in known:
                raise ConfigError(f"{what}: expected one of {', '.join(known)}, found {name!r}")
            changed |= getattr(self, name) != value
            setattr(self, name, value)
        return changed

    # Undo and redo

    def _present_edit(self) -> Edit:
        assert self.neurons is not None
        settings = {name: getattr(self, name) for name in UNDOABLE}
        return Edit(self.mask, self.training_threshold, self.evaluation_threshold, self.neurons, settings)

    def _remember(self, undoable: bool = True) -> None:
        if undoable and self._edits is not None and not self._one_edit:
            self._edits.push(self._present_edit())

    @contextlib.contextmanager
    def one_edit(self) -> Iterator[None]:
        """Whatever is changed inside is one step of undo."""
        outer, self._one_edit = self._one_edit, True
        try:
            yield
        finally:
            self._one_edit = outer
            self._remember(self.neurons is not None)

    def begin_edits(self) -> None:
        """Forget what can be undone: the present mask and neurons are where undo ends."""
        self._edits = EditStack(self._present_edit())

    def settle_edits(self) -> None:
        """Make what was changed without a step of undo, such as a slider on its way, one step."""
        self._remember(self.neurons is not None)
        self.edits_settled.emit()

    @property
    def can_undo(self) -> bool:
        """Whether a change of mask or neurons can be undone."""
        return self._edits is not None and self._edits.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether one was undone."""
        return self._edits is not None and self._edits.can_redo

    @property
    def undo_name(self) -> str:
        """What undo would take back, in words."""
        return "" if self._edits is None else self._edits.undo_name

    @property
    def redo_name(self) -> str:
        """What redo would do again, in words."""
        return "" if self._edits is None else self._edits.redo_name

    def undo(self) -> None:
        """Take back the last change of mask, thresholds, neurons or settings; a slider on its way is one."""
        self.settle_edits()
        if self._edits is not None and self._edits.can_undo:
            self._apply(self._edits.undo())

    def redo(self) -> None:
        """Make it again."""
        if self._edits is not None and self._edits.can_redo:
            self._apply(self._edits.redo())

    def _apply(self, edit: Edit) -> None:
        self.mask, self.neurons = edit.mask, edit.neurons
        self.training_threshold, self.evaluation_threshold = edit.training_threshold, edit.evaluation_threshold
        for name, value in edit.settings.items():
            setattr(self, name, value)
        self.settings_changed.emit()
        self.mask_changed.emit()
        self.thresholds_changed.emit()
        self.neurons_changed.emit()
