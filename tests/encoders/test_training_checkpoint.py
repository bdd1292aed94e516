"""A training goes on only from its own whole checkpoint; any other one is one clear line."""

from __future__ import annotations

import json
import struct
from dataclasses import replace

import pytest
import torch
from torch import nn

from napari_vidrecon.encoders.training.checkpoint import LearningCurve, TrainingCheckpoint
from napari_vidrecon.errors import EncoderError

IDENTITY = {"recipe": {"seed": 3}, "mice": ["a"]}


@pytest.fixture
def module():
    return nn.Linear(3, 2)


@pytest.fixture
def whole(module):
    state = dict(module.state_dict())
    optimizer = {"0.step": torch.tensor(5.0), "0.exp_avg": torch.zeros(2, 3), "0.exp_avg_sq": torch.zeros(2, 3)}
    tensors = {"module": state, "averaged": state, "optimizer": optimizer, "curve": {"rows": torch.zeros(5, 4)}}
    return TrainingCheckpoint(IDENTITY, 5, tensors, {})


def test_a_whole_one_fits(whole, module, tmp_path):
    whole.write(tmp_path / "checkpoint")
    found = TrainingCheckpoint.read(tmp_path / "checkpoint", IDENTITY)
    found.check_fit(tmp_path / "checkpoint", module)
    assert found.step == 5


def test_one_of_before_a_setting_came_goes_on_with_what_was_done_then_and_with_nothing_else(whole, tmp_path):
    file, before = tmp_path / "checkpoint", {"locality": 0.0}
    replace(whole, identity={"recipe": {"steps": 9}}).write(file)
    assert TrainingCheckpoint.read(file, {"recipe": {"steps": 9, "locality": 0.0}}, before).step == 5
    for recipe in ({"steps": 9, "locality": 0.1}, {"steps": 8, "locality": 0.0}):
        with pytest.raises(EncoderError, match="recipe differ"):
            TrainingCheckpoint.read(file, {"recipe": recipe}, before)


@pytest.mark.parametrize(
    ("key", "value"),
    [("step", "5"), ("step", -1), ("step", 10**30), ("step", None), ("scaler", []), ("identity", [1])],
)
def test_a_description_that_cannot_be_is_refused(key, value, whole, tmp_path):
    file = tmp_path / "checkpoint"
    whole.write(file)
    content = file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"]["vidrecon"] = json.dumps({**json.loads(header["__metadata__"]["vidrecon"]), key: value})
    new = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(new)) + new + content[8 + length :])
    with pytest.raises(EncoderError, match="checkpoint"):
        TrainingCheckpoint.read(file, IDENTITY)


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        ("module", "weight", torch.zeros(2, 4)),
        ("module", "other", torch.zeros(1)),
        ("averaged", "weight", torch.full((2, 3), float("nan"))),
        ("optimizer", "0.exp_avg", torch.zeros(9)),
        ("optimizer", "9.exp_avg", torch.zeros(2, 3)),
        ("optimizer", "1.step", torch.tensor(1.0)),
        ("optimizer", "x", torch.zeros(2, 3)),
    ],
)
def test_tensors_of_another_training_are_refused_before_they_are_taken_over(group, name, value, whole, module):
    whole.tensors[group] = {**whole.tensors[group], name: value}
    before = module.weight.clone()
    with pytest.raises(EncoderError, match="expected a training checkpoint"):
        whole.check_fit("checkpoint", module)
    assert torch.equal(module.weight, before)


@pytest.mark.parametrize("rows", [torch.zeros(3), torch.zeros(2, 3), torch.full((2, 4), float("nan"))])
def test_a_curve_of_another_shape_is_refused(rows):
    with pytest.raises(ValueError, match="learning curve"):
        LearningCurve.from_tensor(rows)


def test_a_cut_or_missing_one_is_one_line(whole, tmp_path):
    file = tmp_path / "checkpoint"
    with pytest.raises(EncoderError, match="nothing there"):
        TrainingCheckpoint.read(file, IDENTITY)
    whole.write(file)
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(EncoderError, match="damaged"):
        TrainingCheckpoint.read(file, IDENTITY)
