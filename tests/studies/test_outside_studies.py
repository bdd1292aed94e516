"""Studies of other packages: listed, conducted, and where they are broken one line that names them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pandas")
pytest.importorskip("distributed")

from outside_packages import BRIGHTNESS

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.studies import catalogue, conducting
from napari_vidrecon.studies.catalogue import STUDIES, all_studies, studies_named
from napari_vidrecon.studies.conducting import conduct
from napari_vidrecon.studies.mice import read_mice
from napari_vidrecon.studies.scale import Scale
from napari_vidrecon.studies.study import Plan

LETTERS_OF_THE_LIST = 43
"""As many as the list of the window is wide at 1366 x 768."""
SCALE = Scale("tiny", 1, (4, 40), 1, "fast", {"steps": 2, "track_skip_frames": 8}, skip_first=4)


@pytest.fixture
def plan(small_session_folder, small_encoder_file, tmp_path: Path) -> Plan:
    """The small mouse, with one clip."""
    np.save(tmp_path / "mask.npy", np.ones((36, 64), np.float32))
    mouse = {"session": str(small_session_folder), "encoders": [str(small_encoder_file)], "mask": "mask.npy"}
    (tmp_path / "mice.json").write_text(json.dumps([{**mouse, "name": "small", "trials": [0]}]))
    return Plan(read_mice(tmp_path / "mice.json"), SCALE)


def test_a_study_of_another_package_is_listed_last_and_conducted(install_package, plan, tmp_path, monkeypatch):
    install_package("lab_studies", BRIGHTNESS, {"studies": "bright = lab_studies:STUDY"})
    assert [study.name for study in all_studies()] == [*(study.name for study in STUDIES), "bright"]
    assert studies_named("all")[-1].title == "How bright the clips are"
    (study,) = studies_named("bright")

    def run_here(runs, **_ignored):
        for folder, spec in runs.items():
            spec.compute(folder, "cpu")
        return len(runs)

    monkeypatch.setattr(conducting, "run_all", run_here)
    (written,) = conduct([study], plan, tmp_path / "out")
    assert written.page.parent == tmp_path / "out" / "bright"
    assert (tmp_path / "out" / "bright" / "tables" / "brightness.csv").is_file()


def test_what_such_a_study_raises_is_one_line_that_names_its_package(install_package, plan):
    install_package("lab_studies", BRIGHTNESS, {"studies": "bright = lab_studies:STUDY"})
    (study,) = studies_named("bright")
    with pytest.raises(ConfigError, match=r"study 'bright': the package lab_studies 0\.1 .* failed"):
        study.evaluate(None, None)


@pytest.mark.parametrize("code", ["import nowhere_to_be_found", "STUDY = 3"])
def test_a_package_that_cannot_be_used_is_one_line_and_the_others_stay(code, install_package, caplog):
    install_package("lab_studies", code, {"studies": "bright = lab_studies:STUDY"})
    assert all_studies() == STUDIES
    assert "lab_studies 0.1" in caplog.text
    with pytest.raises(ConfigError, match=r"lab_studies 0\.1"):
        studies_named("bright")


@pytest.mark.parametrize("name", ["ablation", "all", "list"])
def test_nobody_takes_a_name_of_this_package(name, install_package):
    install_package("lab_studies", BRIGHTNESS, {"studies": f"{name} = lab_studies:STUDY"})
    assert all_studies() == catalogue.STUDIES


def test_no_title_of_a_study_is_cut():
    assert max(len(study.title) for study in STUDIES) <= LETTERS_OF_THE_LIST
