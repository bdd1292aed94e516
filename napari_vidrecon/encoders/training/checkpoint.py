"""What a training leaves behind as it goes: all that a later process needs to go on with it, and its learning curve."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from napari_vidrecon.errors import EncoderError
from napari_vidrecon.storage import read_description, reading, replacing_file

EXPECTED = "a training checkpoint"
MOST_STEPS = 1 << 40
OPTIMIZER_STATE = {"step", "exp_avg", "exp_avg_sq"}
"""What AdamW keeps for each parameter it has moved."""
CURVE_COLUMNS = ("step", "loss", "learning_rate", "validation_correlation")


@dataclass(frozen=True)
class TrainingCheckpoint:
    """State of a training between two steps.

    Parameters
    ----------
    identity
        Plain values that say which training it is: recipe, sizes, mice, trials, teachers.
    step
        Steps done.
    tensors
        {group: {name: tensor}}.
    scaler
        State of the gradient scaler, empty without one.
    """

    identity: dict[str, Any]
    step: int
    tensors: dict[str, dict[str, torch.Tensor]]
    scaler: dict[str, Any]

    def write(self, path: Path | str) -> None:
        """Write the file, replaced only once the new one is complete."""
        flat = {
            f"{group}.{name}": value.detach().cpu().contiguous().clone()
            for group, named in self.tensors.items()
            for name, value in named.items()
        }
        described = {"identity": self.identity, "step": self.step, "scaler": self.scaler}
        with replacing_file(path) as temporary:
            save_file(flat, str(temporary), metadata={"vidrecon": json.dumps(described)})

    @classmethod
    def read(
        cls, path: Path | str, identity: dict[str, Any], before: Mapping[str, Any] | None = None
    ) -> TrainingCheckpoint:
        """The checkpoint of a training, its tensors in main memory.

        Parameters
        ----------
        path
            The file.
        identity
            Of the training that goes on.
        before
            Settings of its recipe that earlier versions did not have, and what they trained with.

        Returns
        -------
        TrainingCheckpoint
            Of this training and no other.

        Raises
        ------
        EncoderError
            Damaged, or of another training than `identity` says.
        """
        described = read_description(path, EncoderError, EXPECTED)
        found = described.get("identity")
        if isinstance(found, dict) and isinstance(found.get("recipe"), dict):
            found = {**found, "recipe": {**(before or {}), **found["recipe"]}}
        mine = json.loads(json.dumps(identity))
        if not isinstance(found, dict) or found != mine:
            other = [name for name in mine if not isinstance(found, dict) or found.get(name) != mine[name]]
            raise EncoderError(
                f"{path}: is a checkpoint of other settings or another session ({', '.join(other)} differ); "
                "remove it to start again, or repeat the settings it was made with"
            )
        step, scaler = described.get("step"), described.get("scaler")
        if type(step) is not int or not 0 <= step <= MOST_STEPS or not isinstance(scaler, dict):
            raise EncoderError(f"{path}: expected {EXPECTED}, found one without a step; remove it to start again")
        tensors: dict[str, dict[str, torch.Tensor]] = {}
        with reading(path, EncoderError, EXPECTED), safe_open(str(path), framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 (not a dict)
                group, rest = name.split(".", 1)
                tensors.setdefault(group, {})[rest] = file.get_tensor(name)
        return cls(found, step, tensors, scaler)

    def check_fit(self, path: Path | str, module: nn.Module) -> None:
        """Refuse what does not belong to a module, before anything of it is taken over.

        Parameters
        ----------
        path
            Of the checkpoint, for messages.
        module
            That is trained.

        Raises
        ------
        EncoderError
            A weight is missing, unknown, of another size, or not finite; likewise of the optimiser's state.
        """
        expected = {name: value.shape for name, value in module.state_dict().items()}
        parameters = [value.shape for value in module.parameters()]
        with reading(path, EncoderError, EXPECTED):
            for group in ("module", "averaged"):
                weights = self.tensors.get(group, {})
                if {name: value.shape for name, value in weights.items()} != expected:
                    raise ValueError("weights of another encoder")
                if not all(bool(value.isfinite().all()) for value in weights.values()):
                    raise ValueError("weights that are not finite")
            named: dict[str, set[str]] = {}
            for name, value in self.tensors.get("optimizer", {}).items():
                index, key = name.split(".", 1)
                named.setdefault(index, set()).add(key)
                if value.shape not in ((), parameters[int(index)]) or (key != "step" and value.ndim == 0):
                    raise ValueError("an optimiser's state of another encoder")
            if any(names != OPTIMIZER_STATE for names in named.values()):
                raise ValueError("an optimiser's state with a part missing")


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """State of an optimiser by parameter and name, "3.exp_avg"."""
    return {
        f"{index}.{name}": torch.as_tensor(value)
        for index, entry in optimizer.state_dict()["state"].items()
        for name, value in entry.items()
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """Go on from `optimizer_tensors`."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value.cpu() if key == "step" else value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


class LearningCurve:
    """Loss and learning rate of every step, and the validation correlation where there was one.

    Attributes
    ----------
    rows
        [step, loss, learning rate, validation correlation or NaN], one list a step.
    """

    def __init__(self) -> None:
        self.rows: list[list[float]] = []

    def add(self, step: int, loss: float, learning_rate: float) -> None:
        """Take in a step.

        Parameters
        ----------
        step
            Its number, counted from 1.
        loss
            Of its batch.
        learning_rate
            At this step.
        """
        self.rows.append([float(step), loss, learning_rate, math.nan])

    def score(self, correlation: float) -> None:
        """The encoder after the last step was scored."""
        if self.rows:
            self.rows[-1][3] = correlation

    @property
    def scores(self) -> list[float]:
        """All validation correlations so far."""
        return [row[3] for row in self.rows if not math.isnan(row[3])]

    def scores_since_best(self) -> int:
        """Scores after the best one; 0 where the last is the best, or there is none."""
        scores = self.scores
        return len(scores) - 1 - scores.index(max(scores)) if scores else 0

    def as_tensor(self) -> torch.Tensor:
        """All rows, (steps, 4) float64."""
        return torch.tensor(self.rows, dtype=torch.float64).reshape(-1, len(CURVE_COLUMNS))

    @classmethod
    def from_tensor(cls, rows: torch.Tensor) -> LearningCurve:
        """The curve of `as_tensor`.

        Parameters
        ----------
        rows
            (steps, 4), from a file.

        Returns
        -------
        LearningCurve
            With all its rows.

        Raises
        ------
        ValueError
            It has other columns, or steps that are none.
        """
        if rows.ndim != 2 or rows.shape[1] != len(CURVE_COLUMNS) or not rows.is_floating_point():
            raise ValueError("a learning curve of other columns")
        if not bool(rows[:, 0].isfinite().all()):
            raise ValueError("a learning curve whose steps are no numbers")
        curve = cls()
        curve.rows = rows.cpu().tolist()
        return curve

    def write(self, path: Path | str) -> None:
        """Write a CSV table; steps without a score leave the last column empty."""
        with replacing_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(CURVE_COLUMNS)
            for step, loss, rate, score in self.rows:
                table.writerow([int(step), f"{loss:.8g}", f"{rate:.8g}", "" if math.isnan(score) else f"{score:.6f}"])


def curve_path(encoder: Path | str) -> Path:
    """Where the curve of an encoder file lies: encoder.curve.csv beside encoder.safetensors."""
    return Path(encoder).with_suffix(".curve.csv")
