"""The simulated microscope: bins, residual kernel and the way back to the video's clock."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon.sessions.simulation import signals


@pytest.mark.parametrize("frames", [1, 3, 32, 60, 300, 301])
def test_bins_and_interpolation_keep_a_steady_trace(frames: int) -> None:
    steady = np.full((2, frames), 3.0, dtype=np.float32)
    scan = steady @ signals.bin_average(frames)
    assert scan.shape == (2, signals.scan_bins(frames))
    np.testing.assert_allclose(signals.to_video_clock(scan, frames), steady, rtol=1e-5)


def test_ten_seconds_are_eighty_bins() -> None:
    assert signals.scan_bins(300) == 80


def test_a_slow_wave_survives_binning_and_interpolation() -> None:
    wave = np.sin(2 * np.pi * 0.5 * np.arange(300) / 30)[None]
    back = signals.to_video_clock(wave @ signals.bin_average(300), 300)
    assert np.abs(back - wave)[0, 2:-2].max() < 0.08


def test_an_event_shows_mostly_in_its_own_bin_and_a_little_around_it() -> None:
    events = np.zeros((1, 10), dtype=np.float32)
    events[0, 4] = 2.0
    np.testing.assert_allclose(signals.residual(events)[0, 2:8], [0, 0.24, 2.0, 0.76, 0.24, 0], atol=1e-6)


def test_drawn_events_have_the_expected_mean_and_poisson_like_spread() -> None:
    counts = np.full((50, 400), 0.3)
    drawn = signals.draw_events(np.random.default_rng(0), counts)
    assert abs(drawn.mean() - 0.3) < 0.02
    fano = drawn.var() / drawn.mean()
    assert abs(fano - (1 + signals.EVENT_SIZE_CV**2)) < 0.08
    assert (drawn == 0).mean() > 0.7
