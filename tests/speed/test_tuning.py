"""The script that tunes the fused kernels, on a CPU: what needs no GPU runs, what does is told of."""

from __future__ import annotations

import importlib.util

import pytest

from benchmarks.speed.stand_ins import random_encoder
from benchmarks.speed.tuning import TINY, Tuning, Variant, table, variants
from napari_vidrecon.encoders.frozen.fused_block import Tiling


def test_plain_passes_are_timed_with_the_error_of_their_gradient() -> None:
    tuning = Tuning(random_encoder(TINY), step_windows=4)
    row = tuning.measure(Variant("plain", chunk=2))
    assert row["error"] == 0.0
    assert row["step (ms)"] > 0
    told = {
        "device": "CPU",
        "torch": "2",
        "bandwidth (GB/s)": 1.0,
        "frames": 33,
        "naive step (ms)": 5.0,
        "seconds": 1.0,
    }
    text = table({**told, "variants": [row, {"name": "x", "chunk": 1, "failed": "why"}], "not reached": ["y"]})
    assert "| plain | 2 |" in text
    assert "failed: why" in text
    assert "not reached in 1 s: y" in text


@pytest.mark.skipif(importlib.util.find_spec("triton") is not None, reason="Triton is installed")
def test_a_variant_that_cannot_be_compiled_is_a_row_that_says_why() -> None:
    tuning = Tuning(random_encoder(TINY), step_windows=4)
    assert "triton" in tuning.measure(Variant("fused", tiling=Tiling()))["failed"]


def test_every_variant_has_a_name_of_its_own() -> None:
    names = [each.name for each in variants()]
    assert len(set(names)) == len(names) > 20
