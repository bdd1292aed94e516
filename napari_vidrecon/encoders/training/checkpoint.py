"""Everything a later process needs to go on with a training, in one safetensors file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from napari_vidrecon.errors import EncoderError
from napari_vidrecon.storage import replacing_file


@dataclass(frozen=True)
class TrainingCheckpoint:
    """State of a training between two steps.

    Parameters
    ----------
    identity : plain values that say which training it is: recipe, sizes, mice, trials, teachers.
    step : steps done.
    tensors : {group: {name: tensor}}.
    scaler : state of the gradient scaler, empty without one.
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
    def read(cls, path: Path | str, identity: dict[str, Any]) -> TrainingCheckpoint:
        """The checkpoint of a training, its tensors in main memory.

        Raises
        ------
        EncoderError : damaged, or of another training than `identity` says.
        """
        try:
            file = safe_open(str(path), framework="pt")
            described = json.loads((file.metadata() or {}).get("vidrecon", "null"))
            flat = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        except (SafetensorError, json.JSONDecodeError, OSError) as error:
            raise EncoderError(f"{path}: expected a training checkpoint, found a damaged file ({error})") from None
        found = described.get("identity") if isinstance(described, dict) else None
        mine = json.loads(json.dumps(identity))
        if not isinstance(found, dict) or found != mine:
            other = [name for name in mine if not isinstance(found, dict) or found.get(name) != mine[name]]
            raise EncoderError(
                f"{path}: is a checkpoint of other settings or another session ({', '.join(other)} differ); "
                "remove it to start again, or repeat the settings it was made with"
            )
        tensors: dict[str, dict[str, torch.Tensor]] = {}
        for name, value in flat.items():
            group, rest = name.split(".", 1)
            tensors.setdefault(group, {})[rest] = value
        return cls(found, int(described["step"]), tensors, described["scaler"])


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
