"""Films and TIFF files: each frame once, with its own time; no more of a movie in memory than a piece."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import tifffile
from raw_recordings import RawMouse

from napari_vidrecon.errors import SessionError, VidreconError
from napari_vidrecon.sessions.importing.array_folder import movies_at
from napari_vidrecon.sessions.importing.arrays import ArrayFolder
from napari_vidrecon.sessions.importing.importer import import_recording
from napari_vidrecon.sessions.importing.recording_reader import ImportSettings
from napari_vidrecon.sessions.importing.stimuli import FilmPixels, TiffPixels, open_pixels
from napari_vidrecon.sessions.session import open_session

HIGH, WIDE = 72, 128


def film(clip: np.ndarray, path: Path, *words: str, size: tuple[int, int] = (WIDE, HIGH), select: str = "") -> None:
    """A film of a clip (T, H, W), 30 Hz before frames are left out."""
    height, width = clip.shape[1:]
    scale = f"{select}scale={size[0]}:{size[1]}:flags=neighbor"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "gray"]
    command += ["-s", f"{width}x{height}", "-r", "30", "-i", "-", "-vf", scale, *words, str(path)]
    subprocess.run(command, input=np.rint(clip).astype(np.uint8).tobytes(), check=True)


H264 = ("-c:v", "libx264", "-crf", "1", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


def variable(clip: np.ndarray, path: Path) -> np.ndarray:
    """A film without every third frame, whose times are kept; the frames that are left."""
    film(clip, path, "-fps_mode", "vfr", *H264, select="select='mod(n,3)',")
    return np.flatnonzero(np.arange(len(clip)) % 3)


@pytest.fixture
def folder(raw_mouse: RawMouse, tmp_path: Path) -> Path:
    """A recording whose movies are to be put into a folder."""
    folder = raw_mouse.write_arrays(tmp_path / "raw")
    (folder / "stimulus.npy").unlink()
    (folder / "stimulus").mkdir()
    return folder


def test_a_film_of_variable_rate_gives_each_frame_once_with_its_own_time(raw_mouse: RawMouse, tmp_path: Path) -> None:
    clip = raw_mouse.movies[0]
    kept = variable(clip, tmp_path / "film.mp4")
    (movie,) = movies_at(tmp_path / "film.mp4")
    pixels = movie.pixels
    assert isinstance(pixels, FilmPixels)
    assert not pixels.steady
    assert len(movie) == len(kept)
    np.testing.assert_allclose(pixels.times_s - pixels.times_s[0], (kept - kept[0]) / 30, atol=1e-3)
    np.testing.assert_allclose(movie.grey(0, len(movie))[:, ::2, ::2], clip[kept], atol=6)


@pytest.mark.parametrize("told", ["times", "onsets"])
def test_films_of_variable_rate_are_imported_at_their_own_times(
    told: str, folder: Path, raw_mouse: RawMouse, out: Path
) -> None:
    for number, clip in enumerate(raw_mouse.movies):
        kept = variable(clip, folder / "stimulus" / f"clip{number}.mp4")
    if told == "times":
        np.save(folder / "stimulus_times.npy", np.load(folder / "stimulus_times.npy")[:, kept])
    else:
        (folder / "stimulus_times.npy").unlink()
        np.save(folder / "stimulus_onsets.npy", raw_mouse.onsets + kept[0] / 30)
    found = ArrayFolder(folder).recording()
    np.testing.assert_allclose(found.presentations[3].times, raw_mouse.onsets[3] + kept / 30, atol=2e-3)
    report = import_recording(found, out)
    assert report.totals["trials"] == 12
    assert ("its rate varies" in report.as_text()) == (told == "onsets")


@pytest.mark.parametrize(
    ("name", "words", "size"),
    [
        ("odd.mp4", ("-c:v", "libx264", "-crf", "1", "-pix_fmt", "yuv444p"), (127, 71)),
        ("deep.mkv", ("-c:v", "ffv1", "-pix_fmt", "gray16le"), (WIDE, HIGH)),
        ("twelve.mkv", ("-c:v", "ffv1", "-pix_fmt", "gray12le"), (WIDE, HIGH)),
        ("jpeg.avi", ("-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj420p"), (WIDE, HIGH)),
    ],
)
def test_films_of_odd_sizes_and_depths_show_the_same(
    name: str, words: tuple[str, ...], size: tuple[int, int], raw_mouse: RawMouse, tmp_path: Path
) -> None:
    clip = raw_mouse.movies[1]
    film(clip, tmp_path / name, *words, size=size)
    (movie,) = movies_at(tmp_path / name)
    assert movie.size_px == size[::-1]
    assert len(movie) == len(clip)
    means = movie.grey(0, len(movie)).mean(axis=(1, 2))
    np.testing.assert_allclose(means, clip.mean(axis=(1, 2)), atol=4)


def test_pieces_of_a_film_in_any_order_are_the_pieces_of_the_whole(raw_mouse: RawMouse, tmp_path: Path) -> None:
    film(raw_mouse.movies[0], tmp_path / "film.mp4", *H264)
    whole = FilmPixels(tmp_path / "film.mp4")[:]
    pixels = FilmPixels(tmp_path / "film.mp4")
    for start, stop in ((10, 20), (20, 21), (40, 75), (0, 5), (74, 75)):
        np.testing.assert_array_equal(pixels[start:stop], whole[start:stop])


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_colour_tiff_files_in_planes_or_pixels_are_read_in_pieces(
    planar: bool, compression: str | None, raw_mouse: RawMouse, tmp_path: Path
) -> None:
    clip = np.rint(raw_mouse.movies[0]).astype(np.uint8)
    colours = np.stack([clip, clip // 2, clip // 4], axis=1 if planar else -1)
    config = "separate" if planar else "contig"
    tifffile.imwrite(tmp_path / "a.tif", colours, photometric="rgb", planarconfig=config, compression=compression)
    pixels = open_pixels(tmp_path / "a.tif")
    assert isinstance(pixels, (np.memmap, TiffPixels))
    assert pixels.shape == (75, 36, 64, 3)
    np.testing.assert_array_equal(pixels[7:9], np.stack([clip, clip // 2, clip // 4], axis=-1)[7:9])


def test_a_tiff_file_of_12_bits_asks_for_its_levels_and_then_shows_the_same(
    raw_mouse: RawMouse, tmp_path: Path
) -> None:
    clip = np.rint(raw_mouse.movies[0])
    tifffile.imwrite(tmp_path / "a.tif", (clip * 16).astype(np.uint16), photometric="minisblack")
    with pytest.raises(SessionError, match=r"levels = \[0, 4095\]"):
        movies_at(tmp_path / "a.tif")
    (movie,) = movies_at(tmp_path / "a.tif", levels=(0, 255 * 16))
    np.testing.assert_allclose(movie.grey(0, 75), clip, atol=1e-3)


def test_a_film_that_breaks_off_is_one_line(raw_mouse: RawMouse, tmp_path: Path) -> None:
    film(raw_mouse.movies[0], tmp_path / "film.mp4", *H264)
    whole = (tmp_path / "film.mp4").read_bytes()
    (tmp_path / "film.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VidreconError, match=r"film\.mp4: expected a movie"):
        movies_at(tmp_path / "film.mp4")


MEASURED = """
import resource, sys
from napari_vidrecon.sessions.importing.arrays import ArrayFolder
from napari_vidrecon.sessions.importing.importer import import_recording
from pathlib import Path
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
import_recording(ArrayFolder(Path(sys.argv[1])).recording(), Path(sys.argv[2]))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux counts it")
@pytest.mark.long
def test_large_films_never_fill_the_memory(folder: Path, raw_mouse: RawMouse, tmp_path: Path) -> None:
    """Three films of 200 MB each at full size, shown four times."""
    (folder / "tiers.npy").unlink()
    np.save(folder / "stimulus_order.npy", np.arange(12) % 3)
    for number, clip in enumerate(raw_mouse.movies[:3]):
        film(clip, folder / "stimulus" / f"clip{number}.mp4", *H264, size=(1280, 720))
    run = [sys.executable, "-c", MEASURED, str(folder), str(tmp_path / "session")]
    taken_mb = int(subprocess.run(run, capture_output=True, check=True, text=True).stdout)
    assert taken_mb < 150
    assert len(open_session(tmp_path / "session").trial_ids) == 12


def test_clips_too_short_for_a_mask_are_left_out_and_said(folder: Path, raw_mouse: RawMouse, out: Path) -> None:
    movies = np.concatenate([raw_mouse.movies, raw_mouse.movies[:, ::-1], raw_mouse.movies[:, :, ::-1]], axis=1)
    np.save(folder / "stimulus.npy", movies)
    (folder / "stimulus").rmdir()
    np.save(folder / "stimulus_times.npy", raw_mouse.onsets[:, None] + np.arange(225) / 90)
    (folder / "stimulus_times.npy").unlink()
    np.save(folder / "stimulus_onsets.npy", np.arange(12) * 8.0 + 1)
    samples = 8 * 100
    np.save(folder / "activity.npy", np.resize(raw_mouse.activity.T, (samples, 9)).T)
    (folder / "recording.toml").write_text(
        '[activity]\nfile = "activity.npy"\nrate_hz = 8\n'
        '[stimulus]\nfile = "stimulus.npy"\nonsets = "stimulus_onsets.npy"\nrate_hz = 30\n'
    )
    settings = ImportSettings(trial_frames=180)
    report = import_recording(ArrayFolder(folder, settings).recording(), out, settings)
    assert report.totals["trials"] == 12
    assert "dropped: trials: 12 of 24 that are shorter than 82 frames" in report.as_text()
    assert "; --trial-frames 225 would keep 100% of what was shown, not 80%" in report.as_text()
    assert {open_session(out).trial(number).frames for number in open_session(out).trial_ids} == {180}


ANSWER_S = 0.1
"""How long after a picture the neurons of the screen recording answer it."""


def screen_recording(folder: Path) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Eight clips of which each frame stayed for 1/60 to 1/5 s, shown twice; brightness, ends of frames, and onsets."""
    rng = np.random.default_rng(5)
    brightness = rng.integers(20, 230, (8, 60)).astype(float)
    ends = [np.append(0.0, np.cumsum(rng.choice([1 / 60, 1 / 30, 1 / 10, 1 / 5], 60))) for _ in brightness]
    for each in ends:
        # How long the last frame stayed nobody can tell; the usual time is taken.
        each[-1] = each[-2] + np.median(np.diff(each[:-1]))
    onsets = 1.0 + 12.0 * np.arange(16)
    times = [onset + ends[shown % 8][:-1] for shown, onset in enumerate(onsets)]
    clock = np.arange(0, 12.0 * 17, 1 / 60)
    shown = np.full(clock.size, 0.0)
    for number, when in enumerate(times):
        until = onsets[number] + ends[number % 8][-1]
        inside = (clock - ANSWER_S >= when[0]) & (clock - ANSWER_S < until)
        shown[inside] = brightness[number % 8][np.searchsorted(when, clock[inside] - ANSWER_S, side="right") - 1]
    # The second time around, what measured the times jittered.
    for when in times[8:]:
        when[1:] += rng.uniform(-0.002, 0.002, when.size - 1)
    folder.mkdir()
    ramp = np.linspace(0.5, 1.0, 64, dtype=np.float32)
    np.save(folder / "stimulus.npy", np.rint(brightness[:, :, None, None] * np.ones((36, 1)) * ramp).astype(np.uint8))
    np.save(folder / "stimulus_order.npy", np.arange(16) % 8)
    np.save(folder / "stimulus_times.npy", np.concatenate(times))
    np.save(folder / "activity.npy", shown * np.array([[1.0], [0.5]]))
    np.save(folder / "activity_times.npy", clock - 1 / 120)
    np.save(folder / "running.npy", np.sin(clock))
    np.save(folder / "running_times.npy", clock)
    return brightness, ends, onsets


def test_a_screen_recording_of_no_one_rate_comes_onto_the_true_clock(tmp_path: Path, out: Path) -> None:
    brightness, ends, onsets = screen_recording(tmp_path / "raw")
    report = import_recording(ArrayFolder(tmp_path / "raw").recording(), out)
    assert (
        "16 of 16 showings, whose frames stayed for different times, onto the true clock at 30 Hz" in report.as_text()
    )
    assert "frames stayed on the screen for longer" not in report.as_text()
    session = open_session(out)
    for number in (0, 5, 13):
        trial, when = session.trial(number), ends[number % 8]
        assert trial.frames == int(when[-1] * 30 + 1e-6)
        moments = (np.arange(trial.frames * 200) + 0.5) / 6000
        seen = brightness[number % 8][np.searchsorted(when, moments, side="right") - 1].reshape(-1, 200).mean(axis=1)
        np.testing.assert_allclose(trial.video[:, 0, -1], seen, atol=1.0)
        late = [
            np.corrcoef(seen[6:-12], trial.responses[0, 6 + lag : trial.frames - 12 + lag])[0, 1]
            for lag in range(-6, 13)
        ]
        assert range(-6, 13)[int(np.argmax(late))] == ANSWER_S * 30
        assert max(late) > 0.95
        middles = onsets[number] + (np.arange(trial.frames) + 0.5) / 30
        np.testing.assert_allclose(trial.behavior[1], np.sin(middles), atol=1e-3)
        np.testing.assert_array_equal(session.trial(number % 8).video, session.trial(number % 8 + 8).video)


def test_films_shown_at_three_and_two_flips_a_frame_keep_their_time(
    folder: Path, raw_mouse: RawMouse, out: Path
) -> None:
    """24 frames a second on a screen of 60 Hz: no frame stays for long, and yet all of them together do."""
    flips = np.append(0, np.cumsum(np.resize([2, 3], 73)))
    np.save(folder / "stimulus.npy", raw_mouse.movies[:, :74])
    (folder / "stimulus").rmdir()
    np.save(folder / "stimulus_times.npy", 1.0 + 6.0 * np.arange(12)[:, None] + flips / 60)
    np.save(folder / "activity.npy", np.resize(raw_mouse.activity.T, (8 * 80, 9)).T)
    np.save(folder / "activity_times.npy", np.arange(8 * 80) / 8)
    for name in ("running", "pupil_size", "pupil_center"):
        (folder / f"{name}.npy").unlink()
        (folder / f"{name}_times.npy").unlink()
    report = import_recording(ArrayFolder(folder).recording(), out)
    assert "onto the true clock" in report.as_text()
    assert {open_session(out).trial(number).frames for number in range(12)} == {int(30 * (flips[-1] + 2) / 60)}


def test_a_still_in_a_film_and_a_slide_show_are_held_for_as_long_as_the_film_says(
    folder: Path, raw_mouse: RawMouse, out: Path
) -> None:
    for number, clip in enumerate(raw_mouse.movies):
        chosen = {4: "lt(n,20)+gte(n,50)", 7: "not(mod(n,25))"}.get(number, "1")
        film(
            clip, folder / "stimulus" / f"clip{number:02d}.mp4", "-fps_mode", "vfr", *H264, select=f"select='{chosen}',"
        )
    (folder / "stimulus_times.npy").unlink()
    np.save(folder / "stimulus_onsets.npy", raw_mouse.onsets)
    report = import_recording(ArrayFolder(folder).recording(), out)
    assert report.totals["trials"] == 12
    assert "1 frames that stayed for over 0.5 s, up to 1.03 s, are held" in report.as_text()
    session = open_session(out)
    held = {4: np.r_[:20, [19] * 30, 50:75], 7: np.repeat([0, 25, 50], 25)}
    for number, frames in held.items():
        np.testing.assert_allclose(session.trial(number).video, raw_mouse.movies[number][frames], atol=6)
