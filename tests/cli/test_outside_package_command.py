"""A package of somebody else, with a part of each kind, is used by the command as it is: no file here knows of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from outside_packages import EVERYTHING, PARTS, write_box, write_spots
from raw_recordings import RawMouse

import napari_vidrecon as vr


@pytest.fixture
def command(install_package, monkeypatch: pytest.MonkeyPatch, start_process) -> Callable[..., dict]:
    """`vidrecon ... --json` in a process of its own, where the package is installed."""
    site = install_package("lab_parts", EVERYTHING, PARTS)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))

    def run(*words: object) -> dict:
        process = start_process(*words, "--json")
        out, err = process.communicate(timeout=200)
        assert process.returncode == 0, err
        return json.loads(out)

    return run


@pytest.fixture
def here(install_package, vidrecon) -> Callable[..., dict]:
    """The same in this process, which is quicker."""
    install_package("lab_parts", EVERYTHING, PARTS)

    def run(*words: object) -> dict:
        answer = vidrecon(*words, "--json")
        assert answer.code == 0, answer.err
        return answer.json

    return run


def test_its_encoder_and_its_prior_reconstruct_a_clip(
    command, small_session_folder: Path, mask_file: Path, tmp_path: Path
) -> None:
    session = vr.open_session(small_session_folder)
    encoder = write_spots(tmp_path / "spots.safetensors", {session.name: session.n_neurons})
    words = ["reconstruct", session.path, "--encoder", encoder, "--mask", mask_file, "--trial", 0, "--frames", "0:48"]
    words += ["--preset", "fast", "--steps", 3, "--device", "cpu", "--out", tmp_path / "runs"]
    words += ["--set", "prior=white", "--set", "prior_settings.sd=20", "--set", "track_skip_frames=8"]
    (told,) = command(*words)["runs"]
    result = vr.Reconstruction.load(told["run"])
    config = vr.ReconstructionConfig.preset(
        "fast", steps=3, track_skip_frames=8, prior="white", prior_settings={"sd": 20.0}
    )
    assert result.config == config
    mask = vr.AlphaMask.load(mask_file)
    expected = vr.reconstruct(session.trial(0).part(0, 48), [vr.load_encoder(encoder, device="cpu")], mask, config)
    np.testing.assert_array_equal(result.video, expected.video)
    assert result.provenance["prior"]["package"] == "lab_parts 0.1"


def test_its_reader_imports_a_recording(here, recorded_mouse_folder: Path, tmp_path: Path) -> None:
    out, mouse = tmp_path / "session", vr.open_session(recorded_mouse_folder)
    here("import", "box", write_box(RawMouse.of(mouse), tmp_path / "mouse.box"), "--gain", 2, "--out", out)
    np.testing.assert_allclose(vr.open_session(out).trial(3).responses, 2 * mouse.trial(3).responses, atol=0.02)


def test_its_study_is_listed_and_planned(here, tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("distributed")
    assert here("study", "list")["bright"]["title"] == "How bright the clips are"
    assert here("study", "bright", "--dry-run", "--out", tmp_path / "studies")["runs"] > 0
