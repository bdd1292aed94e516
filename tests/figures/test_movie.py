from __future__ import annotations

import sys
from pathlib import Path

import imageio.v3 as iio
import imageio_ffmpeg
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_vidrecon.errors import StorageError
from napari_vidrecon.figures import movie

FRAMES, HEIGHT, WIDTH, SCALE = 12, 18, 32, 4


@pytest.fixture(scope="module")
def clip() -> dict[str, np.ndarray]:
    ramp = np.linspace(0, 255, WIDTH)
    truth = np.stack([np.tile(np.roll(ramp, frame), (HEIGHT, 1)) for frame in range(FRAMES)])
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return {
        "truth": truth,
        "reconstruction": 60 + 0.5 * truth,
        "mask": np.hypot(rows - 9, columns - 16) < 5,
        "training_mask": np.hypot(rows - 9, columns - 16) < 8,
    }


def composed(*movies: np.ndarray, **how) -> np.ndarray:
    """All frames at once."""
    return np.stack(list(movie.side_by_side_frames(*movies, **how)))


@pytest.fixture(scope="module")
def frames(clip: dict[str, np.ndarray]) -> np.ndarray:
    return composed(**clip, scale=SCALE)


def test_frames_are_even_8_bit_colour_pictures_of_two_panels(frames: np.ndarray) -> None:
    assert frames.dtype == np.uint8
    assert frames.shape[0] == FRAMES
    assert frames.shape[3] == 3
    assert frames.shape[1] % 2 == 0
    assert frames.shape[2] % 2 == 0
    assert frames.shape[1] >= HEIGHT * SCALE
    assert frames.shape[2] >= 2 * WIDTH * SCALE


def test_every_pixel_of_the_movie_becomes_a_block_of_its_grey_level(clip: dict[str, np.ndarray]) -> None:
    frame = composed(clip["truth"], clip["reconstruction"], scale=SCALE)[3]
    strip = (frame.shape[0] - HEIGHT * SCALE) // 2
    gap = (frame.shape[1] - 2 * WIDTH * SCALE) // 3
    panel = frame[strip : strip + HEIGHT * SCALE, gap : gap + WIDTH * SCALE]
    expected = np.round(clip["truth"][3]).astype(np.uint8).repeat(SCALE, axis=0).repeat(SCALE, axis=1)
    np.testing.assert_array_equal(panel, np.repeat(expected[..., None], 3, axis=-1))


def test_the_outline_is_coloured_and_the_rest_of_the_movie_is_grey(
    frames: np.ndarray, clip: dict[str, np.ndarray]
) -> None:
    outlined = (frames[0] == movie.OUTLINE_COLOUR).all(axis=-1)
    dashes = composed(**{**clip, "mask": None}, scale=SCALE)[0]
    dashed = (dashes == movie.OUTLINE_COLOUR).all(axis=-1)
    whole = {**clip, "mask": clip["training_mask"], "training_mask": None}
    solid = (composed(**whole, scale=SCALE)[0] == movie.OUTLINE_COLOUR).all(axis=-1)
    assert outlined.sum() > dashed.sum() > 0
    assert 0.35 < dashed.sum() / solid.sum() < 0.65


def test_the_error_is_a_third_panel_in_colour(clip: dict[str, np.ndarray]) -> None:
    error = np.zeros_like(clip["truth"])
    error[:, 9, 16], error[:, 9, 18] = 50, -50
    shown = composed(clip["truth"], clip["reconstruction"], error=error, error_limit=50, scale=1)
    colours = {tuple(colour) for colour in shown[0].reshape(-1, 3).tolist()}
    assert (213, 94, 0) in colours
    assert (0, 114, 178) in colours


def test_a_name_longer_than_its_picture_stays_above_it(clip: dict[str, np.ndarray]) -> None:
    truth = clip["truth"][:, :, :16]
    for name in ("Reconstruction, smoothed", "Reconstruction, smoothed and matched, outside hidden, and so on"):
        long, short = (
            next(movie.side_by_side_frames(truth, truth, scale=4, labels=(label, "Error"))) for label in (name, "")
        )
        changed = np.flatnonzero((long != short).any(axis=(0, 2)))
        assert 0 < changed.size <= 16 * 4
        assert changed.max() < long.shape[1] // 2


def test_the_time_runs_and_the_labels_stay(frames: np.ndarray) -> None:
    strip = (frames.shape[1] - HEIGHT * SCALE) // 2
    assert (frames[:, :strip] == frames[:1, :strip]).all()
    assert (frames[0, -strip:] != frames[6, -strip:]).any()


def test_a_simulated_mouse_is_named_in_the_picture(frames: np.ndarray, clip: dict[str, np.ndarray]) -> None:
    named = composed(**clip, scale=SCALE, simulated=True)
    strip = (frames.shape[1] - HEIGHT * SCALE) // 2
    right = slice(frames.shape[2] // 2, None)
    assert (named[0, -strip:, right] != frames[0, -strip:, right]).any()


def test_frames_can_be_made_one_at_a_time(frames: np.ndarray, clip: dict[str, np.ndarray]) -> None:
    lazily = movie.side_by_side_frames(**clip, scale=SCALE)
    np.testing.assert_array_equal(next(lazily), frames[0])
    assert len(list(lazily)) == FRAMES - 1


def test_movies_that_do_not_fit_together_are_refused(clip: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="movies have shapes"):
        movie.side_by_side_frames(clip["truth"], clip["reconstruction"][:5])
    with pytest.raises(ValueError, match=r"\(64, 64\)"):
        movie.side_by_side_frames(clip["truth"], clip["reconstruction"], np.ones((64, 64)))
    with pytest.raises(ValueError, match="no frame"):
        movie.side_by_side_frames(clip["truth"][:0], clip["reconstruction"][:0])
    with pytest.raises(ValueError, match="scale"):
        movie.side_by_side_frames(clip["truth"], clip["reconstruction"], scale=0)


def test_an_mp4_plays_back_with_its_frames_size_and_grey_levels(frames: np.ndarray, tmp_path: Path) -> None:
    path = movie.write_mp4(tmp_path / "clip.mp4", iter(frames), fps=15)
    decoded = iio.imread(path)
    assert decoded.shape == frames.shape
    assert np.abs(decoded.astype(int) - frames).mean() < 4
    reader = imageio_ffmpeg.read_frames(str(path))
    properties = next(reader)
    reader.close()
    assert properties["codec"] == "h264"
    assert properties["pix_fmt"].startswith("yuv420p")
    assert properties["fps"] == 15
    assert [file.name for file in tmp_path.iterdir()] == ["clip.mp4"]


def test_odd_frames_are_padded_for_an_mp4(tmp_path: Path) -> None:
    path = movie.write_mp4(tmp_path / "odd.mp4", np.full((3, 33, 51, 3), 90, dtype=np.uint8))
    assert iio.imread(path).shape == (3, 34, 52, 3)


def test_a_name_without_ending_is_still_an_mp4(tmp_path: Path) -> None:
    path = movie.write_mp4(tmp_path / "clip", np.full((2, 16, 16, 3), 90, dtype=np.uint8))
    assert path.read_bytes()[4:8] == b"ftyp"


def test_a_movie_that_breaks_off_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"the old movie")
    uneven = [np.zeros((16, 16, 3), np.uint8), np.zeros((16, 18, 3), np.uint8)]
    with pytest.raises(ValueError, match=r"\(16, 18, 3\)"):
        movie.write_mp4(path, uneven)
    assert path.read_bytes() == b"the old movie"
    assert [file.name for file in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are a POSIX feature")
def test_a_disk_without_room_is_reported_and_leaves_nothing(tmp_path: Path) -> None:
    import resource

    noise = np.random.default_rng(0).integers(0, 256, (40, 96, 96, 3), dtype=np.uint8)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"clip\.mp4.*disk is full"):
            movie.write_mp4(tmp_path / "clip.mp4", noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def test_a_gif_has_its_frames_and_keeps_its_length(frames: np.ndarray, tmp_path: Path) -> None:
    path = movie.write_gif(tmp_path / "clip.gif", frames, fps=30)
    with Image.open(path) as image:
        assert image.n_frames == FRAMES
        assert image.size == (frames.shape[2], frames.shape[1])
        durations = []
        for index in range(FRAMES):
            image.seek(index)
            durations.append(image.info["duration"])
    assert sum(durations) == pytest.approx(1000 * FRAMES / 30, abs=10)
    assert image.info["loop"] == 0


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64])
def test_a_tiff_keeps_its_values_axes_and_frame_rate(kind: type, tmp_path: Path) -> None:
    video = np.random.default_rng(5).uniform(0, 255, (4, 6, 8)).astype(kind)
    path = movie.write_tiff(tmp_path / "clip.tif", video, fps=30)
    with tifffile.TiffFile(path) as file:
        np.testing.assert_array_equal(file.asarray(), video.astype(np.float32 if kind is np.float64 else kind))
        assert file.series[0].axes == "TYX"
        assert file.imagej_metadata is not None
        assert float(file.imagej_metadata["fps"]) == 30


def test_a_colour_tiff_keeps_its_frames(frames: np.ndarray, tmp_path: Path) -> None:
    path = movie.write_tiff(tmp_path / "clip.tif", frames)
    np.testing.assert_array_equal(tifffile.imread(path), frames)


def test_what_is_no_movie_is_refused(frames: np.ndarray, tmp_path: Path) -> None:
    for write in (movie.write_mp4, movie.write_gif):
        with pytest.raises(ValueError, match="no frame"):
            write(tmp_path / "clip", [])
        with pytest.raises(ValueError, match="8-bit"):
            write(tmp_path / "clip", frames.astype(float))
        with pytest.raises(ValueError, match="fps"):
            write(tmp_path / "clip", frames, fps=0)
    with pytest.raises(ValueError, match="fps"):
        movie.write_gif(tmp_path / "clip.gif", frames, fps=60)
    with pytest.raises(ValueError, match=r"\(6, 8\)"):
        movie.write_tiff(tmp_path / "clip.tif", np.zeros((6, 8)))
    assert not list(tmp_path.iterdir())


def test_activity_runs_below_the_panels_with_a_line_at_the_frame(clip: dict[str, np.ndarray]) -> None:
    rows = np.zeros((4, FRAMES))
    rows[1, 3] = 2.0
    activity = movie.MovieRaster("Recorded activity", rows, 2.0)
    plain = composed(clip["truth"], clip["reconstruction"], scale=SCALE)
    frames = composed(clip["truth"], clip["reconstruction"], scale=SCALE, rasters=(activity,))
    assert frames.shape[2] == plain.shape[2]
    below = frames[:, HEIGHT * SCALE + 30 :]
    line = (below == movie.CURSOR_COLOUR).all(axis=-1).any(axis=1)
    places = [np.flatnonzero(each).mean() for each in line]
    assert np.diff(places) == pytest.approx(WIDTH * SCALE / FRAMES, abs=1)
    # The one active moment is where the line is at its frame, a quarter of the way down.
    white = (below[0] == 255).all(axis=-1)
    assert np.flatnonzero(white.any(axis=0)).mean() == pytest.approx(places[3], abs=1)
    one = next(
        movie.side_by_side_frames(
            clip["truth"][3:4], clip["reconstruction"][3:4], scale=SCALE, rasters=(activity,), first_frame=3
        )
    )
    assert (one == movie.CURSOR_COLOUR).all(axis=-1).any(axis=0).nonzero()[0].mean() == places[3]
    with pytest.raises(ValueError, match="3 rasters below 2 panels"):
        composed(clip["truth"], clip["reconstruction"], rasters=(activity,) * 3)
