"""Killed at a random moment and started again, a command ends with the same bits and leaves no litter.

A short part of `benchmarks/safety/kills.py`, in a process of its own that forks before it computes anything.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).parents[2] / "benchmarks" / "safety" / "kills.py"


@pytest.mark.parametrize("kills", [2, pytest.param(12, marks=pytest.mark.long)])
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_command_that_is_started_again_ends_with_the_same_bits_and_no_litter(
    kills: int, small_session_folder: Path, small_encoder_file: Path, tmp_path: Path
) -> None:
    kit = (f"session={small_session_folder}", f"encoder={small_encoder_file}")
    words = ("--kills", kills, "--seed", 3, "--verbs", "predict", "download", "--work", tmp_path, "--kit", *kit)
    ended = subprocess.run(
        [sys.executable, HARNESS, *map(str, words)], capture_output=True, text=True, check=False, timeout=300
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{kills} kills, 0 ended badly" in ended.stdout
