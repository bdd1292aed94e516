"""What the movies of a session are like is measured from its training clips, and told where they are not there."""

from __future__ import annotations

import json

import numpy as np
import pytest

import napari_vidrecon as vr
from napari_vidrecon.errors import SessionError
from napari_vidrecon.reconstruction.spectral_prior import NaturalSpectrum
from napari_vidrecon.sessions.session_statistics import PUBLIC_MOVIES, MovieStatistics

FRAME_RATE_HZ = 30.0


def movies_with(exponent: float, level: float = 80.0, sd: float = 20.0, count: int = 10) -> list[np.ndarray]:
    """Movies drawn from a prior of known exponent."""
    from scipy.fft import idctn

    spectrum = NaturalSpectrum(sd, 0.035, exponent, 0.65, 2.0)
    deviations = spectrum.deviations(64, 36, 64, FRAME_RATE_HZ)
    rng = np.random.default_rng(0)
    return [level + idctn(deviations * rng.standard_normal(deviations.shape), norm="ortho") for _ in range(count)]


@pytest.mark.parametrize("exponent", [1.5, 2.5, 3.5])
def test_level_contrast_and_exponent_of_movies_that_were_drawn_with_them_come_back(exponent) -> None:
    found = MovieStatistics.of(movies_with(exponent), FRAME_RATE_HZ)
    assert found.spatial_exponent == pytest.approx(exponent, abs=0.15)
    assert found.level == pytest.approx(80.0, abs=6.0)
    assert found.sd == pytest.approx(20.0, rel=0.15)


def test_movies_that_hardly_vary_keep_the_spectrum_of_the_public_mice() -> None:
    found = MovieStatistics.of([np.full((300, 36, 64), 33.0)] * 4, FRAME_RATE_HZ)
    assert (found.level, found.spatial_exponent) == (33.0, PUBLIC_MOVIES.spatial_exponent)


def test_a_session_measures_its_training_clips_alone(copy_of_small_session) -> None:
    session = vr.open_session(copy_of_small_session)
    training = session.trials_in_tier("train")
    assert 0 < len(training) < len(session.trial_ids)
    level = np.mean([session.trial(each).video.mean() for each in training])
    assert session.movie_statistics().level == pytest.approx(level, rel=1e-4)
    assert session.trial(training[0]).movies() is session.movie_statistics()


def test_without_training_clips_a_simulation_tells(copy_of_small_session) -> None:
    tiers = copy_of_small_session / "meta/trials/tiers.npy"
    np.save(tiers, np.where(np.load(tiers) == "train", "oracle", np.load(tiers)))
    assert vr.open_session(copy_of_small_session).movie_statistics() is None
    movies = {"level": 90.0, "sd": 50.0, "spatial_exponent": 2.2}
    (copy_of_small_session / "simulation.json").write_text(json.dumps({"simulated": True, "movies": movies}))
    assert vr.open_session(copy_of_small_session).movie_statistics().level == 90.0
    (copy_of_small_session / "simulation.json").write_text(json.dumps({"movies": {**movies, "level": 900}}))
    with pytest.raises(SessionError, match=r"simulation\.json: .*movies\.level"):
        vr.open_session(copy_of_small_session)
