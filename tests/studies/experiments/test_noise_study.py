"""The noise study: every grain and phase, held against the truth, its inverse, and other noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_vidrecon import metrics
from napari_vidrecon.errors import ConfigError
from napari_vidrecon.sessions.stimuli.synthetic import GaussianNoise
from napari_vidrecon.studies.experiments.gaussian_noise import GAUSSIAN_NOISE, runs
from napari_vidrecon.studies.runs.stimulus_runs import StimulusResult
from napari_vidrecon.studies.scale import scale_named
from napari_vidrecon.studies.study import Plan

CELLS = 4


@pytest.fixture
def outcome(outcome_of, tiny_plan):
    return outcome_of(GAUSSIAN_NOISE, tiny_plan)


def test_every_length_constant_repetition_and_phase_is_run_by_every_encoder(tiny_plan) -> None:
    specs = runs(tiny_plan)
    shown = {spec.stimulus for spec in specs}
    assert len(specs) == 2 * len(shown) == 2 * 2 * CELLS
    assert {(each.spatial_px, each.temporal_frames) for each in shown} == {(0, 0), (0, 4), (4, 0), (4, 4)}
    assert {each.inverted for each in shown} == {False, True}
    assert {spec.target for spec in specs} == {"predicted"}
    assert all(spec.target_encoders == () for spec in specs)


def test_at_the_papers_size_it_is_the_published_grid(tiny_mouse) -> None:
    plan = Plan((tiny_mouse,), scale_named("paper"))
    shown = {spec.stimulus for spec in runs(plan)}
    assert len(shown) == 49 * 5 * 2
    assert {each.frames for each in shown} == {60}


def test_all_encoders_predict_the_targets_where_that_is_asked_for(tiny_plan, shared_store) -> None:
    together = replace(tiny_plan, scale=tiny_plan.scale.with_stimulus_target("ensemble"))
    assert {spec.target_encoders for spec in runs(together)} == {(0, 1)}
    keys = [{shared_store.keys.of(spec) for spec in runs(plan)} for plan in (tiny_plan, together)]
    assert not keys[0] & keys[1]


def test_another_word_for_the_target_is_refused(tiny_scale) -> None:
    with pytest.raises(ConfigError, match="--stimulus-target both: expected self or ensemble"):
        tiny_scale.with_stimulus_target("both")


def test_a_row_holds_what_the_runs_say(outcome, tiny_plan, shared_store) -> None:
    table = outcome.tables["gaussian_noise"]
    assert len(table) == 2 * CELLS
    row = table[(table["spatial_px"] == 4) & (table["temporal_frames"] == 4) & table["inverted"]].iloc[0]
    mouse = tiny_plan.mice[0]
    pixels = mouse.evaluation_mask()
    noise = GaussianNoise(4, 4, 0, True, 40)
    result = StimulusResult.load(tiny_plan, shared_store, mouse, noise, pixels)
    truth, video = noise.video()[4:], result.singles.mean(axis=0)[4:]
    assert row["video_correlation"] == pytest.approx(metrics.video_correlation(truth, video, pixels))
    alone = [metrics.video_correlation(truth, single[4:], pixels) for single in result.singles]
    assert row["ensembling_effect"] == pytest.approx(row["video_correlation"] - np.mean(alone))
    others = [GaussianNoise(4, 4, seed, True, 40).video()[4:] for seed in range(1, 5)]
    control = np.mean([metrics.video_correlation(other, video, pixels) for other in others])
    assert row["random_control"] == pytest.approx(control)
    assert row["motion_truth"] == pytest.approx(metrics.motion_energy(truth, pixels).mean())


def test_both_phases_share_the_correlation_between_their_reconstructions(outcome) -> None:
    pairs = outcome.tables["gaussian_noise"].groupby(["spatial_px", "temporal_frames"])["opposite_phase_correlation"]
    assert (pairs.nunique() == 1).all()


def test_its_figures_name_lengths_in_pixels_degrees_frames_and_seconds(outcome) -> None:
    by_name = {drawing.name: drawing.draw() for drawing in outcome.drawings}
    assert set(by_name) == {"stimuli", "correlation", "entropy-motion", "ensembling-control"}
    axes = by_name["correlation"].axes[0]
    assert axes.get_ylabel() == "spatial length constant, px (°)"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0\n(0°)", "4\n(13°)"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0\n(0 s)", "4\n(0.13 s)"]
    pictures = [each for each in by_name["stimuli"].axes if each.images]
    assert len(pictures) == 2 * CELLS


def test_the_movie_shows_both_phases_one_after_the_other(outcome) -> None:
    frames = list(outcome.movies[0].frames())
    assert len(frames) == 2 * 40
    assert frames[0].shape == frames[-1].shape
    assert (frames[0] != frames[40]).any()


def test_the_notes_say_whose_targets_they_are_and_what_differs_from_the_paper(outcome) -> None:
    told = " ".join(outcome.notes)
    for words in ("predicts itself, as published", "its own mask", "random control", "tiny"):
        assert words in told


def test_the_published_control_says_nothing_beyond_the_correlation(tiny_mouse) -> None:
    pixels = tiny_mouse.evaluation_mask()
    shown = {(seed, phase): GaussianNoise(2, 2, seed, phase, 8).video() for seed in range(5) for phase in (False, True)}
    video = 0.5 * shown[0, False] + 30 * np.random.default_rng(0).standard_normal((8, 36, 64))
    correlations = {key: metrics.video_correlation(truth, video, pixels) for key, truth in shown.items()}
    own = correlations.pop((0, False))
    assert np.mean(list(correlations.values())) == pytest.approx(-own / 9)
