"""What it costs to come close to the true movie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import napari_vidrecon as vr
from benchmarks.speed.quality import Approach, approach_truth, compare_costs, step_windows

FRAMES = 48


@pytest.fixture
def trial(small_session_folder: Path) -> vr.Trial:
    return vr.open_session(small_session_folder).trial(0).part(0, FRAMES)


@pytest.fixture
def encoder(small_encoder_file: Path):
    return vr.load_encoder(small_encoder_file, device="cpu")


@pytest.mark.parametrize("preset", ["paper", "fast"])
def test_the_windows_counted_are_the_windows_evaluated(preset: str, trial, encoder, monkeypatch) -> None:
    config = vr.ReconstructionConfig.preset(preset, steps=3)
    evaluated = []
    responses = type(encoder).responses

    def counting(self, windows: torch.Tensor, *rest, **more) -> torch.Tensor:
        evaluated.append(len(windows))
        return responses(self, windows, *rest, **more)

    monkeypatch.setattr(type(encoder), "responses", counting)
    approach = approach_truth(trial, [encoder], vr.AlphaMask.full(), {"only": config})["only"]
    assert approach.windows == np.cumsum([step_windows(config, [encoder], FRAMES, step) for step in range(3)]).tolist()
    assert approach.windows[-1] == sum(evaluated)


def test_variants_take_turns_step_by_step(trial, encoder) -> None:
    turns = []
    variants = {"long": 3, "short": 2}
    approach_truth(
        trial,
        [encoder],
        vr.AlphaMask.full(),
        {name: vr.ReconstructionConfig.preset("paper", steps=steps) for name, steps in variants.items()},
        on_step=lambda name, step: turns.append((name, step)),
    )
    assert turns == [("long", 1), ("short", 1), ("long", 2), ("short", 2), ("long", 3)]


def test_a_level_is_reached_at_the_first_step_that_has_it() -> None:
    approach = Approach()
    for windows, seconds, correlation in [(10, 1.0, float("nan")), (4, 0.5, 0.3), (4, 0.5, 0.6), (4, 0.5, 0.5)]:
        approach.add(windows, seconds, correlation, correlation / 2)
    assert approach.best == 0.6
    assert approach.cost(0.5) == {"steps": 3, "windows": 18, "seconds": 2.0}
    assert approach.cost(0.5, "unsmoothed") is None


def test_a_clip_on_which_the_level_is_never_reached_counts_as_no_gain() -> None:
    slow = Approach([10, 20, 30], [1.0, 2.0, 3.0], [0.1, 0.2, 1.0], [0.1, 0.2, 1.0])
    quick = Approach([5, 10], [0.5, 1.0], [0.2, 0.96], [0.2, 0.96])
    never = Approach([5, 10], [0.5, 1.0], [0.2, 0.9], [0.2, 0.9])
    row = compare_costs([{"slow": slow, "fast": quick}, {"slow": slow, "fast": never}], "slow")["fast"]
    assert (row["reached"], row["clips"], row["windows"]) == (1, 2, 10.0)
    assert row["windows_ratio"] == pytest.approx((30 / 10 + 0) / 2)
    assert row["seconds_ratio_least"] == 0.0
