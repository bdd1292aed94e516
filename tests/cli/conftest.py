"""The command as a function, and the small session with a mask that goes with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_vidrecon.cli import main

SHORT_CLIP = "0:48"
FEW_STEPS = "4"


@dataclass(frozen=True)
class Answer:
    """What a command left: exit code, and the text of both streams."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Stdout as one JSON object."""
        return json.loads(self.out)


Command = Callable[..., Answer]


@pytest.fixture
def vidrecon(capsys: pytest.CaptureFixture[str]) -> Command:
    """`vidrecon` with some words, in this process."""

    def run(*words: object) -> Answer:
        capsys.readouterr()
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return run


@pytest.fixture
def start_process() -> Callable[..., subprocess.Popen[str]]:
    """`vidrecon` with some words, in a process of its own, on one core."""

    def start(*words: object, **options: Any) -> subprocess.Popen[str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", "napari_vidrecon.cli", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            **options,
        )

    return start


@pytest.fixture(scope="session")
def mask_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Alpha falls from 1.2 in the middle of the screen to 0 at a radius of 17 pixels."""
    rows, columns = np.mgrid[:36, :64]
    file = tmp_path_factory.mktemp("masks") / "mask.npy"
    np.save(file, np.clip(1.2 * (1 - np.hypot(rows - 18, columns - 30) / 17), 0, None).astype(np.float32))
    return file


@pytest.fixture
def reconstruct_words(small_session_folder: Path, small_encoder_file: Path, mask_file: Path, tmp_path: Path) -> list:
    """Words of a reconstruction of the small session that takes less than a second; add a trial."""
    return words_for(small_session_folder, small_encoder_file, mask_file, tmp_path / "runs")


def words_for(session: Path, encoder: Path, mask: Path, out: Path) -> list:
    """A short reconstruction of a session into a folder; add a trial."""
    return [
        *("reconstruct", session, "--encoder", encoder, "--mask", mask),
        *("--evaluation-threshold", "0.6", "--frames", SHORT_CLIP, "--steps", FEW_STEPS, "--device", "cpu"),
        *("--set", "track_every=2", "--set", "track_skip_frames=8", "--out", out),
    ]


@pytest.fixture(scope="session")
def finished_run(
    small_session_folder: Path, small_encoder_file: Path, mask_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished run of trial 0; shared, so never write into it."""
    out = tmp_path_factory.mktemp("finished")
    words = words_for(small_session_folder, small_encoder_file, mask_file, out)
    assert main([str(word) for word in (*words, "--trial", 0)]) == 0
    return next(out.iterdir())


@pytest.fixture
def one_run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, where `reconstruct_words` would put it."""
    return Path(shutil.copytree(finished_run, tmp_path / "runs" / finished_run.name))
