"""Damaged and hostile files of the formats that people hand each other: opened, or refused in one line.

A short part of `benchmarks/safety/damage.py`, with damage that hypothesis chooses and makes small again where it finds
a fault.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import napari_vidrecon as vr
from benchmarks.safety.damages import damaged
from benchmarks.safety.readers import READERS, Reader
from benchmarks.safety.watching import Watch

EXAMPLES = 12
KINDS = ("session", "encoder", "checkpoint", "decoder", "mask", "run", "published")
QUICK = ("info", "validate", "vr.open_session", "vr.load_encoder", "AlphaMask.load", "Reconstruction.load")
DOORS = [each for each in READERS if each.kind in KINDS and each.name in QUICK]


@pytest.fixture(scope="module")
def kit(
    small_session_folder: Path,
    small_encoder_file: Path,
    small_decoder_file: Path,
    golden_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """One sound piece of each kind."""
    folder = tmp_path_factory.mktemp("kit")
    np.save(folder / "mask.npy", np.full((36, 64), 1.2, dtype=np.float32))
    trial = vr.open_session(small_session_folder).trial(0)
    encoder = vr.load_encoder(small_encoder_file, device="cpu")
    config = vr.ReconstructionConfig.preset("paper", steps=1)
    vr.reconstruct(trial, [encoder], vr.AlphaMask.load(folder / "mask.npy"), config).save(folder / "run.zarr")
    return {
        "session": small_session_folder,
        "encoder": small_encoder_file,
        "checkpoint": golden_folder / "checkpoints" / "fold_0-model-017-0.292118.pth",
        "decoder": small_decoder_file,
        "mask": folder / "mask.npy",
        "run": folder / "run.zarr",
        "published": golden_folder / "reconstruction_summary_standard.npy",
    }


@pytest.mark.parametrize("door", DOORS, ids=lambda door: f"{door.kind} through {door.name}")
@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
@given(chance=st.randoms(use_true_random=False))
def test_whatever_is_damaged_is_opened_or_refused_in_one_line(
    door: Reader, chance: random.Random, kit: dict[str, Path], tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "case", ignore_errors=True)
    sound = kit[door.kind]
    copy = tmp_path / "case" / sound.name
    copy.parent.mkdir()
    shutil.copytree(sound, copy) if sound.is_dir() else shutil.copy(sound, copy)
    damaged(copy, chance)
    assert door.call({**kit, door.kind: copy}) in (0, 1, 2)


def test_the_watch_tells_of_what_is_written_elsewhere_and_of_programs_that_are_started(tmp_path: Path) -> None:
    watch = Watch([tmp_path / "own"])
    watch("open", (str(tmp_path / "own" / "a.txt"), "w", 0o1101))
    watch("open", ("/dev/null", "w", 0o1101))
    watch("open", (str(tmp_path / "other.txt"), "r", 0))
    assert watch.faults == []
    watch("open", (str(tmp_path / "other.txt"), "w", 0o1101))
    watch("os.system", (b"touch CANARY",))
    watch("subprocess.Popen", ("/bin/sh", ["sh"], None, None))
    assert len(watch.faults) == 3
