"""Runs are told apart by their labels: in progress bars, on the page of a study, and in the window."""

from __future__ import annotations

import pytest

from napari_vidrecon.studies.catalogue import STUDIES
from napari_vidrecon.studies.runs.run_spec import RunSpec, without_repeats
from napari_vidrecon.studies.study import Study


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_different_runs_of_a_study_have_different_labels(study: Study, tiny_plan, shared_store) -> None:
    runs = without_repeats(study.runs(tiny_plan), shared_store.keys)
    assert len({spec.label for spec in runs.values()}) == len(runs)


def test_the_standard_run_has_nothing_special_and_a_variant_says_what_is(tiny_plan) -> None:
    standard: RunSpec = tiny_plan.standard(tiny_plan.clips[0])[0]
    assert standard.label == "tiny, trial 0, encoder 0, frames 0 to 40"
    ablated = standard.changed(ablated_fraction=0.875, ablation="silence")
    assert ablated.label == "tiny, trial 0, encoder 0, frames 0 to 40, 87.5 % of the neurons held at 0"
    both = standard.changed(encoders=(0, 1), ensemble="gradients", target="predicted")
    assert both.label == "tiny, trial 0, encoders 0, 1, frames 0 to 40, from predicted activity, gradients averaged"
    told = both.changed(encoders=(0,), target_encoders=(0, 1))
    assert told.label == "tiny, trial 0, encoder 0, frames 0 to 40, from activity predicted by encoders 0, 1"
    faster = standard.changed(config=standard.config.changed(learning_rate=500.0), mask_threshold=0.3)
    assert faster.label == "tiny, trial 0, encoder 0, frames 0 to 40, mask threshold 0.3, learning rate 500.0"
