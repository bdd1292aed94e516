"""The duplicates study: held-out clips against training clips, or against one another where there are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_vidrecon.studies.experiments.duplicates import DUPLICATES
from napari_vidrecon.studies.mice import Mouse, sample_mouse
from napari_vidrecon.studies.study import Plan


@pytest.fixture
def mouse_with_a_duplicate(tiny_mouse: Mouse, copy_of_small_session: Path) -> Mouse:
    """Its held-out trial 1 shows trial 2 again, a little brighter; trial 0 is new."""
    videos = copy_of_small_session / "data" / "videos"
    np.save(videos / "1.npy", np.load(videos / "2.npy") * np.float32(0.9) + np.float32(20))
    return replace(tiny_mouse, session=copy_of_small_session)


def test_a_near_duplicate_is_found_framed_and_left_out(mouse_with_a_duplicate, tiny_scale, outcome_of) -> None:
    outcome = outcome_of(DUPLICATES, Plan((mouse_with_a_duplicate,), tiny_scale))
    table = outcome.tables["duplicates"].set_index("trial")
    assert table["excluded"].to_dict() == {0: False, 1: True}
    assert table.loc[1, "match"].endswith(", trial 2")
    assert outcome.tables["clean_clips"]["trial"].tolist() == [0]
    assert outcome.findings[0].shows is True
    assert outcome.findings[0].numbers.startswith("1 of 2 held-out clips")
    example, pairs = (drawing.draw() for drawing in outcome.drawings)
    assert example.axes[0].get_title(loc="left") == "held-out trial 1 (excluded)"
    framed = [any(spine.get_visible() for spine in axes.spines.values()) for axes in pairs.axes]
    assert framed == [False, False, True, True]


def test_clips_that_are_nowhere_else_are_all_clean(tiny_plan, outcome_of) -> None:
    outcome = outcome_of(DUPLICATES, tiny_plan)
    assert outcome.tables["clean_clips"]["trial"].tolist() == [0, 1]
    assert outcome.findings[0].shows is False


def test_training_clips_of_every_mouse_count(two_mice_plan, outcome_of) -> None:
    table = outcome_of(DUPLICATES, two_mice_plan).tables["duplicates"]
    assert set(table["mouse"]) == {"tiny", "other"}
    assert len({match.partition(",")[0] for match in table["match"]}) == 2


def test_candidates_are_taken_until_enough_are_clean(mouse_with_a_duplicate, tiny_scale, outcome_of) -> None:
    mouse = replace(mouse_with_a_duplicate, trials=(1, 0))
    few = outcome_of(DUPLICATES, Plan((mouse,), replace(tiny_scale, many_clips=1)))
    assert few.tables["duplicates"]["considered"].tolist() == [True, True]
    fewer = outcome_of(DUPLICATES, Plan((replace(mouse, trials=(0, 1)),), replace(tiny_scale, many_clips=1)))
    assert fewer.tables["duplicates"]["considered"].tolist() == [True, False]


def test_the_sample_says_that_its_training_clips_are_not_there(tiny_scale, outcome_of) -> None:
    mouse = replace(sample_mouse(), trials=(0, 1, 2))
    outcome = outcome_of(DUPLICATES, Plan((mouse,), tiny_scale))
    assert outcome.findings[0].shows is None
    assert any("hold no clips that encoders were trained on" in note for note in outcome.notes)
    assert not outcome.tables["duplicates"]["excluded"].any()
    assert "simulated mouse" in "".join(text.get_text() for text in outcome.drawings[1].draw().texts)
