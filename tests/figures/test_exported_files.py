"""A result as movie, picture, figure and tables: whole or not there, and with the numbers of the metrics."""

from __future__ import annotations

import csv
from dataclasses import fields, replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import tifffile
from PIL import Image

import napari_vidrecon as vr
from napari_vidrecon import metrics
from napari_vidrecon.analysis.postprocess import Outside, Presentation, ShowAs
from napari_vidrecon.errors import ConfigError, StorageError
from napari_vidrecon.figures.export import ShownMovie, write_figure, write_frame, write_movie, write_tables
from napari_vidrecon.reconstruction.history import History

FRAMES, SKIPPED = 48, 10


@pytest.fixture(scope="module")
def result() -> vr.Reconstruction:
    """A result with a mask whose edge is not measured, of frames 15 to 63 of a trial."""
    random = np.random.default_rng(1)
    stimulus = random.uniform(0, 255, (FRAMES, 36, 64)).astype(np.float32)
    rows, columns = np.mgrid[:36, :64]
    columns_of_history = {"step": [1.0, 2.0], "loss": [3.0, 2.5], "seconds": [0.1, 0.1], "rmse": [float("nan"), 40.0]}
    return vr.Reconstruction(
        video=(0.5 * stimulus + 60).astype(np.float32),
        history=History({**dict.fromkeys(History().names, [float("nan")] * 2), **columns_of_history}),
        config=vr.ReconstructionConfig.preset("fast", steps=2, track_skip_frames=SKIPPED),
        provenance={"session": "mouse, trial 3", "trial": 3, "inputs": {"frames": [15, 63]}, "mask_threshold": 0.5},
        stimulus=stimulus,
        target=np.zeros((5, FRAMES), np.float32),
        keep=np.ones(5, dtype=bool),
        alpha=np.clip(1.5 - np.hypot(rows - 18, columns - 32) / 12, 0, 1).astype(np.float32),
    )


@pytest.fixture(scope="module")
def shown(result: vr.Reconstruction) -> ShownMovie:
    """How it is shown, with its error."""
    return ShownMovie.of(result, error=True)


def test_the_error_is_that_inside_the_evaluation_mask(shown: ShownMovie, result: vr.Reconstruction) -> None:
    assert shown.error is not None
    inside = result.evaluation_mask
    assert 0 < inside.sum() < result.training_mask.sum()
    assert (shown.error[:, ~inside] == 0).all()
    np.testing.assert_allclose(shown.error[:, inside], (result.video - result.stimulus)[:, inside], atol=1e-4)


def test_a_result_is_named_and_timed_as_its_trial(shown: ShownMovie) -> None:
    assert (shown.title, shown.name, shown.caption) == ("mouse, trial 3", "trial 3", "trial 3, r = 1.00")
    assert shown.times_s[0] == 0.5


def test_contrast_is_matched_in_what_is_shown_alone(shown: ShownMovie) -> None:
    matched, inside = shown.with_matched_contrast(), shown.training_mask
    assert matched.video[:, inside].std() == pytest.approx(shown.stimulus[:, inside].std(), rel=0.01)
    assert matched.columns == shown.columns
    assert matched.correlation == shown.correlation


@pytest.mark.parametrize("outside", get_args(Outside))
@pytest.mark.parametrize("show_as", get_args(ShowAs))
def test_pictures_are_drawn_as_asked_for_and_numbers_are_not(
    shown: ShownMovie, show_as: ShowAs, outside: Outside
) -> None:
    presentation = Presentation(show_as, outside)
    drawn = shown.with_presentation(presentation)
    expected = presentation.of(shown.video, shown.stimulus, shown.training_mask)
    np.testing.assert_array_equal(drawn.pictures, np.nan_to_num(expected, nan=0.0))
    assert presentation.words in drawn.panel_names[1]
    assert drawn.video is shown.video
    assert drawn.correlation == shown.correlation
    if outside == "hidden":
        assert not drawn.pictures[:, ~shown.training_mask].any()


@pytest.fixture
def unknown(result: vr.Reconstruction) -> ShownMovie:
    """The same, of a clip of which nothing says what was shown."""
    grey, told = np.full_like(result.stimulus, 127.5), {**result.provenance, "movie": False}
    return ShownMovie.of(replace(result, stimulus=grey, provenance=told), error=True)


def test_where_no_movie_says_what_was_shown_nothing_is_told_of_one(unknown: ShownMovie) -> None:
    assert unknown.panel_names[0] == "No movie"
    assert not [name for name in unknown.columns if "stimulus" in name or "correlation" in name]
    for shown_as in get_args(ShowAs):
        drawn = unknown.with_presentation(Presentation(shown_as))
        np.testing.assert_array_equal(drawn.pictures, unknown.video)
        assert drawn.panel_names[1] == "Reconstruction"
    assert unknown.with_matched_contrast() is unknown


def test_a_figure_of_such_a_clip_draws_no_stimulus(unknown: ShownMovie, tmp_path: Path) -> None:
    write_figure(unknown, tmp_path / "figure.svg", match_contrast=True)
    text = (tmp_path / "figure.svg").read_text("utf-8")
    assert "no movie says what was shown" in text
    assert "Stimulus" not in text


def test_a_tiff_holds_what_is_shown(shown: ShownMovie, tmp_path: Path) -> None:
    drawn = shown.with_presentation(Presentation("paper", "stimulus"))
    write_movie(drawn, tmp_path / "a.tif")
    assert not np.array_equal(tifffile.imread(tmp_path / "a.tif"), shown.video)


def test_tables_hold_a_row_a_frame_and_a_row_a_step(shown: ShownMovie, tmp_path: Path) -> None:
    frames, history = write_tables(shown, tmp_path / "numbers.csv")
    assert history == tmp_path / "numbers_history.csv"
    with frames.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "frame",
        "time_s",
        "measured",
        "frame_correlation_reconstruction",
        "motion_energy_stimulus_grey_levels",
        "motion_energy_reconstruction_grey_levels",
    ]
    expected = metrics.frame_correlation(shown.stimulus, shown.video, shown.mask)
    assert [float(row["frame_correlation_reconstruction"]) for row in rows] == expected.tolist()
    assert [row["measured"] for row in rows] == ["0"] * SKIPPED + ["1"] * (FRAMES - SKIPPED)
    assert rows[0]["motion_energy_stimulus_grey_levels"] == ""
    with history.open(newline="") as file:
        steps = list(csv.DictReader(file))
    assert [(row["step"], row["rmse_grey_levels"]) for row in steps] == [("1", ""), ("2", "40.0")]


def test_of_two_tables_none_is_written_when_the_second_cannot_be(shown: ShownMovie, tmp_path: Path) -> None:
    (tmp_path / "numbers.csv").write_text("before")
    (tmp_path / "numbers_history.csv").mkdir()
    with pytest.raises(StorageError, match="numbers_history"):
        write_tables(shown, tmp_path / "numbers.csv")
    assert (tmp_path / "numbers.csv").read_text() == "before"


def test_an_mp4_holds_every_frame_at_an_even_size(shown: ShownMovie, tmp_path: Path) -> None:
    import imageio_ffmpeg

    counts = []
    write_movie(
        shown, tmp_path / "a.mp4", speed=0.5, enlargement=3, on_progress=lambda done, of: counts.append((done, of))
    )
    frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "a.mp4"))
    assert frames == len(shown.video) == 48
    assert seconds == pytest.approx(48 / 15, abs=0.1)
    assert counts[-1] == (48, 48)


def test_a_gif_holds_every_frame(shown: ShownMovie, tmp_path: Path) -> None:
    write_movie(shown, tmp_path / "a.gif", enlargement=2)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 48


def test_a_movie_of_more_pixels_is_as_wide_as_usual(shown: ShownMovie, tmp_path: Path) -> None:
    def width(movie: ShownMovie) -> int:
        path = write_movie(cut(movie), tmp_path / "a.gif")
        with Image.open(path) as gif:
            return gif.width

    def cut(movie: ShownMovie) -> ShownMovie:
        part = {field.name: getattr(movie, field.name) for field in fields(movie)}
        frames = len(movie.video)
        return replace(movie, **{name: each[:2] for name, each in part.items() if np.shape(each)[:1] == (frames,)})

    arrays = {field.name: getattr(shown, field.name) for field in fields(shown)}
    pixels = {name: each for name, each in arrays.items() if np.shape(each)[-2:] == (36, 64)}
    large = replace(shown, **{name: each.repeat(2, axis=-2).repeat(2, axis=-1) for name, each in pixels.items()})
    assert large.video.shape[1:] == (72, 128)
    assert width(large) == width(shown)


def test_a_gif_that_would_be_too_fast_is_refused(shown: ShownMovie, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"found 60; choose a speed of 1\.66 or lower, or an \.mp4"):
        write_movie(shown, tmp_path / "a.gif", speed=2, enlargement=2)
    assert not list(tmp_path.iterdir())


def test_a_tiff_is_the_bare_reconstruction(shown: ShownMovie, tmp_path: Path) -> None:
    write_movie(shown, tmp_path / "a.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), shown.video)


def test_an_export_that_is_broken_off_leaves_nothing(shown: ShownMovie, tmp_path: Path) -> None:
    def break_off(done: int, of: int) -> None:
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_movie(shown, tmp_path / "a.mp4", enlargement=2, on_progress=break_off)
    assert not list(tmp_path.iterdir())


def test_a_frame_is_the_one_asked_for(shown: ShownMovie, tmp_path: Path) -> None:
    write_frame(shown, 7, tmp_path / "f.png")
    with Image.open(tmp_path / "f.png") as picture:
        pixels = np.asarray(picture.convert("L"), dtype=float)
    # The stimulus fills a block of its own size, enlarged; find it by its values.
    enlargement = 16
    block = np.round(shown.stimulus[7]).repeat(enlargement, 0).repeat(enlargement, 1)
    places = [
        np.corrcoef(pixels[top : top + block.shape[0], 16 : 16 + block.shape[1]].ravel(), block.ravel())[0, 1]
        for top in range(20, min(120, pixels.shape[0] - block.shape[0]), 2)
    ]
    assert max(places) > 0.9


@pytest.mark.parametrize("ending", [".png", ".svg"])
def test_a_figure_is_written_in_each_format(shown: ShownMovie, tmp_path: Path, ending: str) -> None:
    write_figure(shown, tmp_path / f"figure{ending}")
    start = (tmp_path / f"figure{ending}").read_bytes()[:600]
    assert {".png": b"PNG", ".svg": b"<svg"}[ending] in start


def test_a_parquet_table_reads_back(shown: ShownMovie, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_tables(shown, tmp_path / "numbers.parquet")
    table = parquet.read_table(tmp_path / "numbers.parquet")
    np.testing.assert_array_equal(table["time_s"].to_numpy(), shown.times_s)


@pytest.mark.parametrize(("write", "name"), [(write_figure, "a.bmp"), (write_tables, "a.xlsx")])
def test_another_ending_is_refused_with_the_ones_there_are(
    shown: ShownMovie, tmp_path: Path, write: object, name: str
) -> None:
    with pytest.raises(StorageError, match=r"name ending in \."):
        write(shown, tmp_path / name)  # type: ignore[operator]
    assert not list(tmp_path.iterdir())
