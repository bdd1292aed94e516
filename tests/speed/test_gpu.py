"""The figures of a GPU, made on the CPU: the code is the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.speed.gpu import least_bytes, measure_gpu
from benchmarks.speed.stand_ins import PUBLISHED, SMALL
from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.encoders.windows import FrameWindows

TINY = replace(
    SMALL, readout_outputs=(6,), core_features=(8, 8), spatial_strides=(4, 2), expansion_ratio=2, se_reduce_ratio=4
)


def test_a_window_of_the_published_size_moves_at_least_some_three_gigabytes() -> None:
    in_float32 = least_bytes(PUBLISHED, 4, Canvas(), FrameWindows())
    assert in_float32 == pytest.approx(3.4e9, rel=0.05)
    assert least_bytes(PUBLISHED, 2, Canvas(), FrameWindows()) == in_float32 / 2


@pytest.fixture(scope="module")
def rows():
    return measure_gpu(TINY, 33, repeats=1, device="cpu", copied_bytes=1 << 20)


def test_both_precisions_are_measured_and_each_beside_the_naive_loop(rows) -> None:
    assert [row["precision"] for row in rows] == ["float32", "bfloat16"]
    assert rows[0]["beside_seconds"] == rows[1]["beside_seconds"]


def test_the_share_of_the_limit_is_the_least_time_over_the_time_taken(rows) -> None:
    for row in rows:
        assert row["windows"] == 4
        assert row["share_of_limit"] == pytest.approx(row["bandwidth_limit_seconds"] / row["seconds"][0])
        assert 0 < row["share_of_limit"] < 1
    assert rows[1]["bandwidth_limit_seconds"] == pytest.approx(rows[0]["bandwidth_limit_seconds"] / 2)
