"""Movies and signals of any size and rate on the video clock: averages, not samples."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions.importing.recording import Signal
from napari_vidrecon.sessions.importing.resampling import ScreenResampler, on_video_clock, overlap, shown_clip
from napari_vidrecon.sessions.importing.stimuli import stimulus_movie

SCREEN = (36, 64)


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def clip_of(pixels: np.ndarray, edges: np.ndarray, fit: str = "pad", levels=None) -> np.ndarray:
    movie = stimulus_movie("movie", pixels, levels)
    return shown_clip(movie, np.arange(len(pixels)), edges, SCREEN, fit)


@settings(max_examples=30, deadline=None)
@given(cells=st.integers(1, 40), intervals=st.integers(1, 40))
def test_every_interval_is_shared_out_whole_and_every_cell_too(cells: int, intervals: int) -> None:
    edges = np.linspace(0, cells, intervals + 1)
    weights = overlap(edges, cells)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(weights.sum(axis=0) * cells / intervals, 1, rtol=1e-5)


def test_a_movie_of_the_screen_s_size_and_rate_is_left_as_it_is() -> None:
    pixels = noise((40, *SCREEN))
    np.testing.assert_array_equal(clip_of(pixels, np.arange(41.0)), pixels)


@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
def test_a_movie_of_twice_the_size_is_averaged_over_blocks(fit: str) -> None:
    pixels = noise((3, 72, 128))
    blocks = pixels.reshape(3, 36, 2, 64, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(clip_of(pixels, np.arange(4.0), fit), blocks, atol=1e-3)


def test_a_square_movie_is_padded_with_grey_cropped_or_stretched() -> None:
    pixels = np.full((1, 72, 72), 200, np.uint8)
    pixels[:, :36] = 40
    padded, cropped, stretched = (clip_of(pixels, np.arange(2.0), fit)[0] for fit in ("pad", "crop", "stretch"))
    np.testing.assert_allclose(padded[:, :14], 127.5, atol=1e-3)
    np.testing.assert_allclose(padded[:18, 14:50], 40, atol=1e-3)
    for filled in (cropped, stretched):
        np.testing.assert_allclose(filled[:18], 40, atol=1e-3)
        np.testing.assert_allclose(filled[18:], 200, atol=1e-3)


@settings(max_examples=20, deadline=None)
@given(height=st.integers(5, 90), width=st.integers(5, 90))
def test_even_grey_stays_even_where_a_movie_is_stretched(height: int, width: int) -> None:
    resampler = ScreenResampler((height, width), SCREEN, "stretch")
    np.testing.assert_allclose(resampler(np.full((2, height, width), 90, np.float32)), 90, rtol=1e-4)


def test_a_movie_at_60_hz_is_averaged_over_pairs_of_frames() -> None:
    pixels = noise((20, *SCREEN))
    pairs = pixels.reshape(10, 2, *SCREEN).mean(axis=1)
    np.testing.assert_allclose(clip_of(pixels, np.arange(0, 21, 2.0)), pairs, atol=1e-3)


def test_a_movie_at_15_hz_is_held() -> None:
    pixels = noise((5, *SCREEN))
    np.testing.assert_allclose(clip_of(pixels, np.arange(0, 5.1, 0.5)), np.repeat(pixels, 2, axis=0), atol=1e-3)


def test_a_part_of_a_movie_is_the_same_as_in_the_whole_of_it() -> None:
    pixels = noise((80, 40, 50))
    edges = np.arange(0, 80.01, 1.25)
    np.testing.assert_allclose(clip_of(pixels, edges[20:50]), clip_of(pixels, edges)[20:49], atol=1e-3)


@pytest.mark.parametrize(
    ("pixels", "levels"),
    [
        (noise((3, *SCREEN)).astype(np.uint16) * 257, None),
        (noise((3, *SCREEN)) / np.float32(255), None),
        (noise((3, *SCREEN)).astype(np.float64), None),
        (noise((3, *SCREEN)).astype(np.int16) - 100, (-100, 155)),
        (noise((3, *SCREEN)).astype(np.uint16), (0, 255)),
    ],
)
def test_every_kind_of_pixels_has_the_same_grey_levels(pixels: np.ndarray, levels) -> None:
    np.testing.assert_allclose(clip_of(pixels, np.arange(4.0), levels=levels), noise((3, *SCREEN)), atol=1e-2)


def test_colours_become_their_brightness() -> None:
    pixels = np.zeros((1, *SCREEN, 3), np.uint8)
    pixels[..., 1] = 100
    np.testing.assert_allclose(clip_of(pixels, np.arange(2.0)), 58.7, atol=1e-3)


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (noise((3, *SCREEN)).astype(np.uint16) * 16, "levels"),
        (noise((3, *SCREEN)).astype(np.int32) - 100, "levels"),
        (np.full((3, *SCREEN), 1000.0), "levels"),
        (noise((3, *SCREEN, 5)), "2 to 4 colours"),
        (noise((3, 40)), "frames, rows, columns"),
    ],
)
def test_pixels_whose_grey_levels_cannot_be_told_are_refused(pixels: np.ndarray, words: str) -> None:
    with pytest.raises(SessionError, match=words):
        stimulus_movie("movie.npy", pixels)


def test_nan_pixels_are_refused() -> None:
    pixels = noise((3, *SCREEN)).astype(np.float32)
    pixels[1, 4, 5] = np.nan
    with pytest.raises(SessionError, match="NaN"):
        clip_of(pixels, np.arange(4.0))


def test_a_slow_signal_is_a_straight_line_between_its_samples() -> None:
    times = np.arange(0, 10, 0.125)
    edges_s = 3 + np.arange(61) / 30
    found = on_video_clock(Signal(times[None] * 2 + 1, times, "signal"), edges_s)
    np.testing.assert_allclose(found[0], (edges_s[:-1] + edges_s[1:]) + 1, rtol=1e-6)


def test_a_fast_signal_is_averaged_so_that_nothing_folds_back() -> None:
    times = np.arange(0, 10, 1e-3)
    signal = Signal(np.stack([np.sin(2 * np.pi * 300 * times), times]), times, "signal")
    edges_s = 3 + np.arange(61) / 30
    found = on_video_clock(signal, edges_s)
    assert np.abs(found[0]).max() < 0.02
    np.testing.assert_allclose(found[1], (edges_s[:-1] + edges_s[1:]) / 2, rtol=1e-5)


def test_outside_a_signal_its_nearest_sample_holds() -> None:
    signal = Signal(np.array([[3.0, 4.0, 5.0]]), np.array([1.0, 1.1, 1.2]), "signal")
    found = on_video_clock(signal, 0.9 + np.arange(31) / 30)
    assert found[0, 0] == 3.0
    assert found[0, -1] == 5.0


def test_a_clip_of_hours_with_thousands_of_neurons_copies_no_more_than_it_needs() -> None:
    values = np.random.default_rng(0).random((400, 20_000), np.float32)
    times = np.arange(20_000) / 8
    signal = Signal(values, times, "planes", np.repeat([0.0, 1 / 16], 200))
    edges_s = 1000.0 + np.arange(301) / 30
    tracemalloc.start()
    found = on_video_clock(signal, edges_s)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < values.nbytes / 4
    middles = (edges_s[:-1] + edges_s[1:]) / 2
    np.testing.assert_allclose(found[7], np.interp(middles, times, values[7]), atol=1e-5)
    np.testing.assert_allclose(found[300], np.interp(middles - 1 / 16, times, values[300]), atol=1e-5)
