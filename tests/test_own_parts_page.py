"""The examples of docs/own_parts.md, put together as one package, are what the page says they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

pytest.importorskip("pandas")

from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.update import build_update
from napari_vidrecon.sessions.importing.sources import all_readers, kind_of
from napari_vidrecon.studies.catalogue import studies_named

PAGE = Path(__file__).parents[1] / "docs" / "own_parts.md"


def test_the_examples_of_the_page_are_found_and_used(install_package, tmp_path):
    page = PAGE.read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL))
    (told,) = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    named = re.findall(r'"napari_vidrecon\.(\w+)"\]\n(\w+) = "([\w:]+)"', told)
    entries = {kind: f"{name} = {value}" for kind, name, value in named if kind != "encoders"}
    assert list(entries) == ["readers", "studies", "priors"]
    install_package("lab_parts", code, entries)
    assert all_readers()["box"].title == "lab box"
    assert kind_of(tmp_path / "mouse.box") == "box"
    assert studies_named("bright")[0].title == "How bright the clips are"
    config = ReconstructionConfig.preset("best", prior="white", prior_settings={"sd": 30})
    video = torch.full((8, 36, 64), 127.5)
    build_update(config, video, (slice(None), slice(None)), 30.0)
