"""The page "bring your own encoder" runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
LONGEST_EXAMPLE_LINES = 40


def test_the_example_of_the_page_runs_and_keeps_its_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "own_encoder.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert len([line for line in example.splitlines() if line]) <= LONGEST_EXAMPLE_LINES
    monkeypatch.chdir(ROOT)
    torch.manual_seed(0)
    names: dict = {}
    exec(compile(example, "own_encoder.md", "exec"), names)
    result = names["result"]
    assert result.video.shape == (48, 36, 64)
    assert result.history["step"][-1] == 3
    assert result.video.std() > 0
