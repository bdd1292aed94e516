"""The study of what the brain adds: error maps of clips and their presentations, tested against chance."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_vidrecon.analysis.excess import USUAL_Q, Added, beyond_chance
from napari_vidrecon.studies.experiments import brain_adds
from napari_vidrecon.studies.experiments.brain_adds import BRAIN_ADDS
from napari_vidrecon.studies.study import Plan


class ImaginedRuns:
    """Movies as finished runs would give: the clip, with noise where activity was recorded."""

    def videos(self, specs: Any) -> list[np.ndarray]:
        (first, *_), noise = specs, 0.0
        clip = first.open_trial(first.mouse.open_session()).video
        if first.target == "recorded":
            rng = np.random.default_rng(first.trial)
            noise = 10 * gaussian_filter(rng.standard_normal(clip.shape), (2, 1, 1))
        return [np.clip(clip + noise, 0, 255) for _ in specs]


@pytest.fixture(scope="module")
def plan(tiny_mouse, tiny_scale, tmp_path_factory) -> Plan:
    """A clip of a mouse that was shown three times; one of them is named as if it were a clip of its own."""
    folder = tmp_path_factory.mktemp("sessions") / "repeated"
    shutil.copytree(tiny_mouse.session, folder)
    for again in (1, 2):
        shutil.copyfile(folder / "data/videos/0.npy", folder / f"data/videos/{again}.npy")
    return Plan((replace(tiny_mouse, session=folder, trials=(0, 2)),), tiny_scale)


def test_every_presentation_is_reconstructed_once_from_each_activity_by_each_encoder(plan) -> None:
    specs = [(spec.trial, spec.target, spec.encoders) for spec in BRAIN_ADDS.runs(plan)]
    assert sorted(specs) == sorted(product(range(3), ("predicted", "recorded"), ((0,), (1,))))


def test_its_tables_tests_figures_and_movie_are_of_all_presentations(plan) -> None:
    outcome = BRAIN_ADDS.evaluate(plan, ImaginedRuns())
    clips, presentations = outcome.tables["clips"], outcome.tables["presentations"]
    assert list(clips["presentations"]) == [3]
    assert list(presentations["trial"]) == [0, 1, 2]
    assert (clips["share_exceeding"] <= USUAL_Q).all()
    assert "false discovery rate 0.1 over all of them" in outcome.notes[0]
    assert outcome.tables["eccentricity"]["pixels"].sum() == len(outcome.tables["pixels"])
    assert [test.unit for test in outcome.tests] == ["presentation", "presentation", "clip", "clip"]
    assert all(drawing.draw().axes for drawing in outcome.drawings)
    assert next(outcome.movies[0].frames()).dtype == np.uint8


def test_colours_are_smoothed_each_for_itself(plan, tmp_path, monkeypatch) -> None:
    (mouse,) = plan.mice
    folder = tmp_path / "coloured"
    shutil.copytree(mouse.session, folder)
    screen = {"rows": 36, "cols": 64, "colours": ["green", "uv"]}
    (folder / "config.json").write_text(json.dumps({"screen": screen}))
    asked = []

    def noted(*given: Any, colours: int = 1, **more: Any) -> list[Added]:
        asked.append(colours)
        return beyond_chance(*given, colours=colours, **more)

    monkeypatch.setattr(brain_adds, "beyond_chance", noted)
    BRAIN_ADDS.evaluate(replace(plan, mice=(replace(mouse, session=folder),)), ImaginedRuns())
    assert asked == [2]


def test_a_mouse_with_too_few_clips_is_not_tested_and_a_note_says_so(tiny_plan) -> None:
    outcome = BRAIN_ADDS.evaluate(tiny_plan, ImaginedRuns())
    assert not outcome.tables
    assert "needs more than 3 clips" in outcome.notes[0]
