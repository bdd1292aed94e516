"""The page "bring your own encoder" runs as it stands."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import napari_vidrecon as vr
from napari_vidrecon.encoders.conformance import check_encoder

ROOT = Path(__file__).resolve().parents[2]
LONGEST_EXAMPLE_LINES = 40


def test_the_example_of_the_page_runs_and_keeps_its_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "own_encoder.md").read_text(encoding="utf-8")
    example, *_ = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert len([line for line in example.splitlines() if line]) <= LONGEST_EXAMPLE_LINES
    monkeypatch.chdir(ROOT)
    torch.manual_seed(0)
    names: dict = {}
    exec(compile(example, "own_encoder.md", "exec"), names)
    result = names["result"]
    assert result.video.shape == (48, 36, 64)
    assert result.history["step"][-1] == 3
    assert result.video.std() > 0


def test_the_package_of_the_page_makes_a_file_that_opens_and_keeps_its_promises(
    install_package: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "own_encoder.md").read_text(encoding="utf-8")
    _, package, file = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    (entry,) = re.findall(r'^spots = "(.+)"$', page, flags=re.MULTILINE)
    install_package("lab_spots", package, {"encoders": f"spots = {entry}"})
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    few = file.replace("readout_outputs=(1000,)", "readout_outputs=(6,)")
    exec(compile(f"from lab_spots import SpotsConfig, SpotsOfMice\n{few}", "own_encoder.md", "exec"), {})
    assert check_encoder(vr.load_encoder("spots.safetensors", device="cpu")) == []
