"""Plain arrays, by name or by description: other axes, clocks, kinds of movies and tables."""

from __future__ import annotations

import json
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
from raw_recordings import RawMouse

from napari_vidrecon.errors import VidreconError
from napari_vidrecon.sessions.importing.array_folder import movies_at
from napari_vidrecon.sessions.importing.arrays import ArrayFolder
from napari_vidrecon.sessions.importing.importer import import_recording
from napari_vidrecon.sessions.importing.recording import Recording
from napari_vidrecon.sessions.importing.recording_reader import ImportSettings
from napari_vidrecon.sessions.session import Session, open_session


@pytest.fixture
def folder(raw_mouse: RawMouse, tmp_path: Path) -> Path:
    return raw_mouse.write_arrays(tmp_path / "raw")


@pytest.fixture
def expected(folder: Path) -> Recording:
    return ArrayFolder(folder).recording()


def test_a_description_says_the_same_with_other_names_axes_and_clocks(
    folder: Path, expected: Recording, raw_mouse: RawMouse
) -> None:
    for file in folder.iterdir():
        file.rename(file.with_name(f"my_{file.name}"))
    np.save(folder / "my_activity.npy", raw_mouse.activity.T)
    np.save(folder / "onsets.npy", raw_mouse.onsets)
    np.savetxt(folder / "cells.csv", raw_mouse.coordinates / 0.5, delimiter=",", header="x,y,z", comments="")
    (folder / "tiers.txt").write_text("\n".join(raw_mouse.tiers))
    description = {
        "name": "mouse 7",
        "simulated": True,
        "activity": {"file": "my_activity.npy", "rate_hz": 8, "axes": "time,neurons"},
        "stimulus": {"file": "my_stimulus.npy", "onsets": "onsets.npy", "rate_hz": 30},
        "running": {"file": "my_running.npy", "rate_hz": 30, "start_s": raw_mouse.behavior_times[0]},
        "coordinates": "cells.csv",
        "coordinate_scale_um": 0.5,
        "tiers": "tiers.txt",
    }
    (folder / "recording.json").write_text(json.dumps(description))
    found = ArrayFolder(folder).recording()
    assert (found.name, found.simulated, found.tiers) == ("mouse 7", True, expected.tiers)
    np.testing.assert_allclose(found.activity.values, expected.activity.values)
    np.testing.assert_allclose(found.activity.times, expected.activity.times)
    np.testing.assert_allclose(found.running.times, expected.running.times)
    np.testing.assert_allclose(found.coordinates, expected.coordinates, rtol=1e-6)
    for one, other in zip(found.presentations, expected.presentations, strict=True):
        np.testing.assert_allclose(one.times, other.times)
    assert found.pupil_size is None


def test_an_example_of_the_documentation_can_be_read(folder: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "import.md").read_text()
    toml = text.split("```toml\n")[1].split("```")[0]
    (folder / "recording.toml").write_text(toml)
    with pytest.raises(VidreconError, match=r"deconvolved\.npy: expected an array file, found nothing there"):
        ArrayFolder(folder).recording()


def test_times_may_say_the_middle_of_a_sample(folder: Path, expected: Recording) -> None:
    (folder / "recording.toml").write_text(
        '[activity]\nfile = "activity.npy"\ntimes = "activity_times.npy"\nsample_time = "middle"\n'
        '[stimulus]\nfile = "stimulus.npy"\ntimes = "stimulus_times.npy"\n'
    )
    np.testing.assert_allclose(ArrayFolder(folder).recording().activity.times, expected.activity.times - 1 / 16)


@pytest.mark.parametrize("kind", ["npy", "tif"])
def test_a_folder_of_movies_is_read_in_the_order_of_their_numbers(kind: str, folder: Path, raw_mouse: RawMouse) -> None:
    (folder / "stimulus.npy").unlink()
    (folder / "stimulus").mkdir()
    for number, movie in enumerate(raw_mouse.movies):
        if kind == "npy":
            np.save(folder / "stimulus" / f"clip{number}.npy", movie)
        else:
            tifffile.imwrite(folder / "stimulus" / f"clip{number}.tif", movie)
    found = ArrayFolder(folder).recording()
    for movie, expected in zip(found.movies, raw_mouse.movies, strict=True):
        np.testing.assert_array_equal(movie.grey(0, len(movie)), expected)
    listed = [column.name for column in ArrayFolder(folder).columns() if column.use == "stimulus"]
    assert len(listed) == 12


def test_a_film_file_is_read_and_its_colours_made_grey(tmp_path: Path) -> None:
    frames = np.repeat(np.linspace(0, 250, 40).astype(np.uint8)[:, None, None, None], 3, axis=3)
    frames = np.broadcast_to(frames, (40, 64, 96, 3))
    imageio.imwrite(tmp_path / "film.mp4", frames, plugin="FFMPEG", fps=30, codec="libx264")
    (movie,) = movies_at(tmp_path / "film.mp4")
    assert movie.size_px == (64, 96)
    np.testing.assert_allclose(movie.grey(0, 40)[:, 30, 40], frames[:, 30, 40, 0], atol=4)


@pytest.mark.parametrize(
    ("axes", "shape"),
    [("nthw", (2, 40, 36, 50)), ("hwt", (36, 50, 40)), ("thwc", (40, 36, 50, 3)), ("wht", (50, 36, 40))],
)
def test_any_order_of_axes_can_be_said(axes: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    np.save(tmp_path / "movie.npy", np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8))
    for movie in movies_at(tmp_path / "movie.npy", axes):
        assert movie.grey(0, 40).shape == (40, 36, 50)


@pytest.mark.parametrize(("axes", "words"), [("nthw", "axes"), ("tht", "axes")])
def test_axes_that_do_not_fit_are_refused(axes: str, words: str, tmp_path: Path) -> None:
    np.save(tmp_path / "movie.npy", np.zeros((40, 36, 64), np.uint8))
    with pytest.raises(VidreconError, match=words):
        movies_at(tmp_path / "movie.npy", axes)


def test_a_recording_of_other_rates_sizes_and_depths_becomes_the_same_mouse_within_noise(
    folder: Path, raw_mouse: RawMouse, simulated_mouse: Session, out: Path
) -> None:
    large = np.repeat(np.repeat(np.repeat(raw_mouse.movies, 2, axis=1), 3, axis=2), 3, axis=3)
    np.save(folder / "stimulus.npy", large.astype(np.uint16) * 16)
    np.save(folder / "stimulus_times.npy", raw_mouse.onsets[:, None] + np.arange(150) / 60)
    fast = np.arange(0, 48, 1e-2)
    np.save(folder / "running.npy", np.interp(fast, raw_mouse.behavior_times, raw_mouse.behavior["running"]))
    np.save(folder / "running_times.npy", fast)
    settings = ImportSettings(levels=(0, 255 * 16))
    report = import_recording(ArrayFolder(folder, settings).recording(), out, settings)
    told = report.as_text()
    for words in (
        "60 Hz to 30 Hz",
        "108 x 192 pixels",
        "uint16 values 0 to 4080",
        "100 Hz to the video clock, averaged",
    ):
        assert words in told
    running: list[list[float]] = [[], []]
    for number in simulated_mouse.trial_ids:
        found, expected = open_session(out).trial(number), simulated_mouse.trial(number)
        np.testing.assert_allclose(found.video, np.rint(expected.video), atol=0.51)
        np.testing.assert_allclose(found.responses, expected.responses, atol=1e-3)
        for speeds, trial in zip(running, (found, expected), strict=True):
            speeds.extend(trial.behavior[1])
    assert np.corrcoef(running)[0, 1] > 0.99


def test_a_preview_of_a_folder_that_cannot_be_imported_says_why_and_lists_it_all_the_same(folder: Path) -> None:
    (folder / "stimulus.npy").unlink()
    columns = {column.name: column for column in ArrayFolder(folder).columns()}
    assert columns["activity.npy"].shape == (9, 384)
    assert "stimulus.npy or a folder stimulus, found neither" in columns["description"].use


def test_a_preview_says_which_clock_is_missing(folder: Path) -> None:
    def faults() -> dict[str, str]:
        return {column.name: column.use for column in ArrayFolder(folder).columns() if column.fault}

    assert not faults()
    (folder / "activity_times.npy").unlink()
    assert list(faults()) == ["activity_times.npy"]
    assert "clock of the activity: nothing there" in faults()["activity_times.npy"]


def test_a_tier_that_nobody_knows_is_refused(folder: Path, out: Path) -> None:
    np.save(folder / "tiers.npy", np.array(["training"] * 12))
    with pytest.raises(VidreconError, match=r"expected tiers out of train, oracle.*'training'"):
        import_recording(ArrayFolder(folder).recording(), out)
