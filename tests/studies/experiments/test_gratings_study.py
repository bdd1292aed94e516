"""The gratings study: every frequency and direction, and the artefact of encoders that skip frames."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import napari_vidrecon as vr
from napari_vidrecon.sessions.stimuli.stimulus import stimulus_video
from napari_vidrecon.sessions.stimuli.synthetic import DriftingGrating, GaussianNoise
from napari_vidrecon.studies.experiments import gratings
from napari_vidrecon.studies.experiments.gaussian_noise import noise_columns
from napari_vidrecon.studies.experiments.gratings import GRATINGS, runs
from napari_vidrecon.studies.runs import stimulus_runs
from napari_vidrecon.studies.scale import scale_named
from napari_vidrecon.studies.study import Plan


@pytest.fixture
def outcome(outcome_of, tiny_plan):
    return outcome_of(GRATINGS, tiny_plan)


def test_at_the_papers_size_it_is_the_published_grid(tiny_mouse) -> None:
    shown = {spec.stimulus for spec in runs(Plan((tiny_mouse,), scale_named("paper")))}
    assert len(shown) == 4 * 7 * 4
    assert {each.direction for each in shown} == {"right", "up", "down", "left"}


def test_every_grating_is_one_row_with_its_frequencies_in_pixels_degrees_and_hertz(outcome) -> None:
    table = outcome.tables["gratings"]
    assert len(table) == 4
    assert set(table["hertz"]) == {0, 3.75}
    np.testing.assert_allclose(table["cycles_px"] / table["cycles_degree"], 3.37, atol=0.01)


def test_coarse_gratings_stand_on_top_and_fast_ones_on_the_left(outcome) -> None:
    axes = {drawing.name: drawing.draw() for drawing in outcome.drawings}["correlation"].axes[0]
    assert [label.get_text()[:6] for label in axes.get_yticklabels()] == ["0.125\n", "0.0625"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["3.75", "0"]
    assert axes.get_xlabel() == "temporal frequency (Hz)"
    table = outcome.tables["gratings"].set_index(["cycles_px", "hertz"])["video_correlation"]
    first = next(text.get_text() for text in axes.texts if text.get_position() == (0, 0))
    assert float(first.replace("−", "-")) == pytest.approx(table[0.125, 3.75], abs=0.005)


def test_pictures_and_movie_can_be_drawn(outcome) -> None:
    figure = outcome.drawings[0].draw()
    assert len([axes for axes in figure.axes if axes.images]) == 2 * 4
    frames = list(outcome.movies[0].frames())
    assert len(frames) == 40


def test_gratings_and_noise_are_measured_as_they_were_shown_on_another_screen(monkeypatch, tmp_path) -> None:
    sizes = {"neurons": 3, "train_trials": 1, "validation_trials": 0, "test_trials": 0, "frames": 64}
    screen = vr.ScreenGeometry(rows=36, cols=16, colours=("green", "uv"))
    session = vr.open_session(vr.simulate_session(tmp_path / "mouse", seed=1, **sizes, screen=screen))
    monkeypatch.setattr(stimulus_runs, "stimulus_specs", lambda *_: [])
    mouse = SimpleNamespace(open_session=lambda: session)
    plan = SimpleNamespace(scale=SimpleNamespace(stimulus_skip=8))
    pixels = np.ones((36, 16), bool)
    for shown in (DriftingGrating(0.0625, 3.75), GaussianNoise(4.0, 8.0)):
        store = SimpleNamespace(videos=lambda _specs, shown=shown: [stimulus_video(shown, session)])
        result = stimulus_runs.StimulusResult.load(plan, store, mouse, shown, pixels)
        assert result.truth.shape == (60, 36, 16)
        assert np.array_equal(result.truth[:, :18], result.truth[:, 18:])
        assert result.correlations()["video_correlation"] == pytest.approx(1.0)
    assert pixels[:, noise_columns(session)].all()


def artefact(plan: Plan, step: int, monkeypatch, fast: float, slower: float):
    class Encoder:
        class spec:
            class windows:
                pass

    Encoder.spec.windows.step = step
    monkeypatch.setattr("napari_vidrecon.studies.mice.Mouse.load_encoder", lambda *_: Encoder)
    plan = replace(plan, scale=replace(plan.scale, grating_hz=(15, 7.5, 0)))
    return gratings.artefact(plan, np.array([[fast, slower, 0.9]] * 2))


def test_an_encoder_that_takes_every_second_frame_shows_the_artefact_or_not(tiny_plan, monkeypatch) -> None:
    assert artefact(tiny_plan, 2, monkeypatch, 0.8, 0.1).shows is True
    found = artefact(tiny_plan, 2, monkeypatch, 0.1, 0.8)
    assert found.shows is False
    assert "0.10 and 0.80" in found.numbers


def test_an_encoder_that_takes_every_frame_says_nothing_about_it(tiny_plan, monkeypatch) -> None:
    found = artefact(tiny_plan, 1, monkeypatch, 0.8, 0.1)
    assert found.shows is None
    assert "every single frame" in found.numbers


def test_without_both_frequencies_it_cannot_be_told(outcome) -> None:
    assert outcome.findings[0].shows is None


def test_targets_of_all_encoders_lead_to_other_reconstructions_and_are_said(outcome, outcome_of, tiny_plan) -> None:
    together = outcome_of(GRATINGS, replace(tiny_plan, scale=tiny_plan.scale.with_stimulus_target("ensemble")))
    assert (together.tables["gratings"]["video_correlation"] != outcome.tables["gratings"]["video_correlation"]).all()
    assert any("mean prediction of all encoders" in note for note in together.notes)
