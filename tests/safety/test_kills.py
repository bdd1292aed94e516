"""Killed at a random moment and started again, a command ends with the same bits and leaves no litter.

A short part of `benchmarks/safety/kills.py`: verbs that need no gradients, which do not work in a fork of a process
that has used them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.safety.kills import mirror, run_kills
from benchmarks.safety.verbs import VERBS, Verb

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
KILLS = 6
SEED = 3
SMALL = ("--neurons", "8", "--trials", "2", "--validation-trials", "1", "--test-trials", "1", "--frames", "40")
SIMULATE = Verb("simulate", ("simulate", *SMALL, "--seed", "3", "--out", "made"), "made")
QUICK = ("predict", "download")


@pytest.fixture
def kit(small_session_folder: Path, small_encoder_file: Path, tmp_path: Path) -> Iterator[dict[str, Path | str]]:
    """A session, an encoder, and a server of this machine."""
    with mirror(tmp_path / "server") as address:
        yield {"session": small_session_folder, "encoder": small_encoder_file, "mirror": address}


def test_a_killed_command_that_is_started_again_ends_with_the_same_bits_and_no_litter(
    kit: dict[str, Path | str], tmp_path: Path
) -> None:
    faults: list[str] = []
    verbs = [SIMULATE, *(verb for verb in VERBS if verb.name in QUICK)]
    found = run_kills(verbs, kit, tmp_path, KILLS, SEED, faults.append)
    assert faults == []
    assert sum(tried for tried, _ in found.values()) == KILLS
