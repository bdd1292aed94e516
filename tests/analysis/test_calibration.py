"""How large an uncertainty map is shown: found on clips whose movie is known."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from napari_vidrecon.analysis import ensembles
from napari_vidrecon.analysis.ensembles import Calibration, calibrate_uncertainty, uncertainty_map
from napari_vidrecon.errors import ConfigError, SessionError, StorageError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.sessions.session import open_session

CONFIG = ReconstructionConfig.preset("fast", steps=2, draws=2)


@pytest.fixture
def small_session(small_session_folder):
    return open_session(small_session_folder)


@pytest.fixture
def off_by_seven(monkeypatch):
    """Reconstructions whose movies differ by noise of SD 10, and whose mean is off by noise of SD 7."""

    class Result:
        def __init__(self, truth, seed):
            rng = np.random.default_rng(seed)
            self.video = truth + rng.normal(0, 7, truth.shape)
            self.videos = [self.video + rng.normal(0, 10, truth.shape) for _ in range(8)]

    asked = []

    def reconstruct(trial, encoders, mask, config):
        asked.append((trial, config))
        return Result(trial.video, len(asked))

    monkeypatch.setattr(ensembles, "reconstruct", reconstruct)
    return asked


def test_the_scale_makes_the_map_as_large_as_the_error_and_intervals_hold(small_session, off_by_seven):
    found = calibrate_uncertainty(small_session, [object()], AlphaMask.full(), CONFIG, [0, 1])
    assert found.scale == pytest.approx(0.7, rel=0.03)
    # Of normal errors of SD 0.7, in units of the spread.
    assert found.half_widths[0.5] == pytest.approx(0.7 * 0.674, rel=0.05)
    assert found.half_widths[0.9] == pytest.approx(0.7 * 1.645, rel=0.05)
    assert found.trials == [0, 1]
    truth, rng = np.full((40, 6, 6), 128.0), np.random.default_rng(9)
    low, high = found.interval(truth + rng.normal(0, 7, truth.shape), np.full(truth.shape, 10.0), 0.9)
    assert np.mean((low <= truth) & (truth <= high)) == pytest.approx(0.9, abs=0.03)


def test_a_scale_of_before_is_left_out_and_the_first_frames_are_not_measured(small_session, off_by_seven):
    calibrate_uncertainty(
        small_session, [object()], AlphaMask.full(), CONFIG.changed(uncertainty_scale=3.0), [0], frames=40
    )
    ((part, config),) = off_by_seven
    assert part.frames == 40
    assert config.uncertainty_scale == 1.0


def test_a_map_is_multiplied_by_the_scale():
    videos = list(np.random.default_rng(0).normal(0, 10, (3, 5, 6, 6)))
    np.testing.assert_allclose(uncertainty_map(videos, 0.5), 0.5 * uncertainty_map(videos), rtol=1e-6)


def test_it_is_read_as_it_was_written_and_anything_else_is_one_line(tmp_path):
    known = Calibration(scale=0.8, half_widths={0.9: 1.4}, trials=[3], frames=64, preset="best", draws=8, encoders=1)
    known.save(tmp_path / "c.json")
    assert Calibration.load(tmp_path / "c.json") == known
    (tmp_path / "other.json").write_text('{"scale": -1}')
    with pytest.raises(StorageError, match=r"other\.json: expected a calibration, .* expected scale"):
        Calibration.load(tmp_path / "other.json")
    with pytest.raises(StorageError, match="found nothing there"):
        Calibration.load(tmp_path / "none.json")
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(StorageError, match="found a pipe"):
        Calibration.load(tmp_path / "pipe.json")
    (tmp_path / "other.json").write_text(json.dumps({**known.model_dump(), "\x1b[2J": 1}))
    with pytest.raises(StorageError, match="unknown to this version") as told:
        Calibration.load(tmp_path / "other.json")
    assert "\x1b" not in str(told.value)


def test_one_movie_no_clip_and_another_confidence_are_refused(small_session):
    with pytest.raises(ConfigError, match="draws 1: expected at least 2"):
        calibrate_uncertainty(small_session, [object()], AlphaMask.full(), CONFIG.changed(draws=1), [0])
    with pytest.raises(SessionError, match="to calibrate on, found none"):
        calibrate_uncertainty(small_session, [object()], AlphaMask.full(), CONFIG, [])
    known = Calibration(scale=0.8, half_widths={0.9: 1.4}, trials=[3], frames=64, preset="best", draws=8, encoders=1)
    with pytest.raises(ConfigError, match=r"expected one of 0\.9"):
        known.interval(np.zeros(1), np.ones(1), 0.3)
