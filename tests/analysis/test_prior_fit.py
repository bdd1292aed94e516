"""The prior as fast as a clip: the corner whose movie predicts left-out neurons best."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import napari_vidrecon as vr
from napari_vidrecon.analysis import prior_fit
from napari_vidrecon.analysis.prior_fit import CORNERS_HZ, fit_prior


def test_the_corner_that_predicts_left_out_neurons_best_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def plan_run(trial, encoders, mask, config, **inputs):
        asked.append((config, inputs))
        losses = iter([3.0, abs(config.update.prior.temporal_corner - 0.25), 2.0])
        run = SimpleNamespace(left=3)
        run.step = lambda: setattr(run, "left", run.left - 1) or SimpleNamespace(loss=next(losses))
        return _Until(run)

    monkeypatch.setattr(prior_fit, "plan_run", plan_run)
    usual = vr.ReconstructionConfig.preset("best", draws=4)
    found = fit_prior(None, [], None, usual, target="predicted")
    assert found == usual.changed(**{"prior.temporal_corner": 0.25})
    assert [config.update.prior.temporal_corner for config, _ in asked] == list(CORNERS_HZ)
    for config, inputs in asked:
        # Judged by neurons that are left out, by one movie each.
        assert (config.stopping.kind, config.update.draws, inputs) == ("held_out", 1, {"target": "predicted"})


class _Until:
    """A run of three steps."""

    def __init__(self, run: SimpleNamespace) -> None:
        self._run = run

    @property
    def finished(self) -> bool:
        return self._run.left == 0

    def step(self) -> SimpleNamespace:
        return self._run.step()


def test_settings_without_that_prior_and_no_corner_are_refused() -> None:
    with pytest.raises(
        vr.ConfigError, match="expected settings with the natural prior, such as those of best, found paper"
    ):
        fit_prior(None, [], None, vr.ReconstructionConfig.preset("paper"))
    with pytest.raises(vr.ConfigError, match="expected at least one temporal corner in Hz, found none"):
        fit_prior(None, [], None, corners_hz=())


def test_a_real_clip_gets_one_of_the_corners(small_session_folder, small_encoder_file) -> None:
    trial = vr.open_session(small_session_folder).trial(0).part(0, 32)
    encoder = vr.load_encoder(small_encoder_file, device="cpu")
    found = fit_prior(trial, [encoder], vr.AlphaMask.full(), corners_hz=(0.2, 1.0))
    assert found.update.prior.temporal_corner in (0.2, 1.0)
    assert found.preset_name == "best"
