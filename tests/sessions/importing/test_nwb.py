"""NWB files: series are found by kind and name, never guessed between several, and a missing extra is one line."""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
import pynwb
import pytest
from pynwb.base import ImageReferences, Images
from pynwb.core import VectorData
from pynwb.epoch import TimeIntervals
from pynwb.image import GrayscaleImage, ImageSeries, IndexSeries
from raw_recordings import RawMouse

from napari_vidrecon.errors import SessionError, VidreconError
from napari_vidrecon.sessions.importing.importer import import_recording
from napari_vidrecon.sessions.importing.nwb import NwbFile
from napari_vidrecon.sessions.importing.recording_reader import ImportSettings
from napari_vidrecon.sessions.importing.trials import cut_trials
from napari_vidrecon.sessions.session import open_session

SERIES = "processing/ophys/Deconvolved/Deconvolved"


@pytest.fixture
def file(raw_mouse: RawMouse, tmp_path: Path) -> Path:
    return raw_mouse.write_nwb(tmp_path / "mouse.nwb")


def test_every_series_is_listed_with_its_use(file: Path) -> None:
    with NwbFile(file) as source:
        columns = {column.name.rpartition("/")[2]: column for column in source.columns()}
    uses = {name: column.use for name, column in columns.items()}
    assert uses == {
        "Deconvolved": "activity",
        "movies": "stimulus",
        "running_speed": "running",
        "pupil_size": "pupil size",
        "pupil_center": "pupil centre",
    }
    assert columns["Deconvolved"].shape == (384, 9)
    assert columns["Deconvolved"].rate_hz == pytest.approx(8)


def test_a_missing_extra_is_one_line_that_says_how_to_install_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynwb", None)
    with pytest.raises(SessionError, match=r"pip install 'napari-vidrecon\[nwb\]'"), NwbFile(file):
        pass


def add_series(file: Path, names: tuple[str, ...]) -> None:
    """More series of the same cells, so that the one to take is not clear."""
    with pynwb.NWBHDF5IO(str(file), "a") as io:
        book = io.read()
        fluorescence = book.processing["ophys"]["Deconvolved"]
        first = fluorescence["Deconvolved"]
        for number, name in enumerate(names):
            fluorescence.create_roi_response_series(
                name=name, data=first.data[:] + number + 1, unit="a.u.", rois=first.rois, timestamps=first.timestamps[:]
            )
        io.write(book)


def test_between_several_series_the_person_chooses(file: Path, raw_mouse: RawMouse) -> None:
    add_series(file, ("Other0", "Other1"))
    with NwbFile(file) as source, pytest.raises(SessionError, match=r"Other0.*Other1.*--activity"):
        source.recording()
    with NwbFile(file) as source:
        (choice,) = (column for column in source.columns() if column.name == "choice")
        assert "--activity" in choice.use
        assert "ophys/Deconvolved/Other1" in [column.name for column in source.columns()]
    with NwbFile(file, activity="Other1") as source:
        np.testing.assert_allclose(source.recording().activity.values, raw_mouse.activity + 2, rtol=1e-6)
    with NwbFile(file, activity="Nobody") as source, pytest.raises(SessionError, match="'Nobody'"):
        source.recording()


def test_without_a_table_of_trials_pauses_divide_the_stimulus(file: Path, out: Path) -> None:
    with h5py.File(file, "a") as book:
        del book["intervals"]
    with NwbFile(file) as source:
        recording = source.recording()
        assert len(recording.presentations) == 12
        assert recording.tiers is None
        assert import_recording(recording, out).totals["trials"] == 12


def test_a_stream_that_is_not_there_is_neutral(file: Path, out: Path) -> None:
    with h5py.File(file, "a") as book:
        del book["processing/behavior"]
    with NwbFile(file) as source:
        report = import_recording(source.recording(), out)
    assert len(report.of_kind("filled")) == 3


def no_stimulus(book: h5py.File) -> None:
    del book["stimulus/presentation/movies"]


def short_times(book: h5py.File) -> None:
    times = book[f"{SERIES}/timestamps"]
    values, attributes = times[:-4], dict(times.attrs)
    del book[f"{SERIES}/timestamps"]
    book[f"{SERIES}/timestamps"] = values
    book[f"{SERIES}/timestamps"].attrs.update(attributes)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("damage", "words"), [(no_stimulus, "image series or index series"), (short_times, "384 samples.*--trim")]
)
def test_a_file_that_lacks_something_is_refused(damage, words: str, file: Path) -> None:
    with h5py.File(file, "a") as book:
        damage(book)
    with NwbFile(file) as source, pytest.raises(SessionError, match=words):
        source.recording()
    if damage is short_times:
        with NwbFile(file, settings=ImportSettings(trim=True)) as source:
            assert source.recording().activity.values.shape == (9, 380)


@pytest.mark.parametrize("damage", [Path.unlink, lambda f: f.write_bytes(b"no"), lambda f: truncate(f)])
def test_a_file_that_is_no_nwb_file_is_one_line(damage, file: Path) -> None:
    damage(file)
    with pytest.raises(VidreconError, match=r"mouse.nwb: expected an NWB file, found") as caught, NwbFile(file):
        pass
    assert "\n" not in str(caught.value)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:5000])


def test_an_index_into_pictures_shows_them(raw_mouse: RawMouse, tmp_path: Path, out: Path) -> None:
    file = raw_mouse.write_nwb(tmp_path / "mouse.nwb")
    with h5py.File(file, "a") as book:
        no_stimulus(book)
        del book["intervals"]
    pictures = raw_mouse.movies[:, 30]
    with pynwb.NWBHDF5IO(str(file), "a") as io:
        book = io.read()
        images = [GrayscaleImage(name=f"picture{number}", data=each) for number, each in enumerate(pictures)]
        order = ImageReferences(name="order_of_images", data=images)
        template = Images(name="pictures", images=images, order_of_images=order)
        book.add_stimulus_template(template)
        frames = np.repeat(np.arange(12)[::-1], raw_mouse.movies.shape[1]).astype(np.uint32)
        times = raw_mouse.frame_times.ravel()
        book.add_stimulus(IndexSeries(name="shown", data=frames, indexed_images=template, unit="N/A", timestamps=times))
        io.write(book)
    with NwbFile(file) as source:
        assert import_recording(source.recording(), out).totals["trials"] == 12
    for number in range(12):
        video = open_session(out).trial(number).video
        np.testing.assert_array_equal(video, np.repeat(pictures[11 - number][None], len(video), axis=0))


@pytest.mark.parametrize("kind", ["", "_image_stack"])
def test_a_table_of_intervals_tells_when_each_frame_of_a_template_was_shown(
    kind: str, raw_mouse: RawMouse, tmp_path: Path
) -> None:
    file = raw_mouse.write_nwb(tmp_path / "mouse.nwb")
    with h5py.File(file, "a") as book:
        no_stimulus(book)
        del book["intervals"]
    frames = raw_mouse.movies.reshape(-1, *raw_mouse.movies.shape[2:])
    times = raw_mouse.frame_times.ravel()
    with pynwb.NWBHDF5IO(str(file), "a") as io:
        book = io.read()
        for name, shown in (("film_one", frames), ("film_other", frames[:60])):
            template = ImageSeries(name=f"{name}{kind}", data=shown, unit="N/A", format="raw", rate=30.0)
            book.add_stimulus_template(template)
        grey = times[-1] + 1.0
        number = VectorData(name="frame", description="of the film", data=np.append(np.arange(len(frames)), np.nan))
        start = VectorData(name="start_time", description="s", data=np.append(times, grey))
        stop = VectorData(name="stop_time", description="s", data=np.append(times, grey) + 1 / 30)
        book.add_time_intervals(
            TimeIntervals(name="film_one_presentations", description="rows", columns=[start, stop, number])
        )
        io.write(book)
    with NwbFile(file) as source:
        found = source.recording()
        uses = {column.name: column.use for column in source.columns()}
        assert (uses[f"film_one{kind}"], uses[f"film_other{kind}"]) == ("stimulus", "not used")
        shown = np.concatenate([each.frames for each in found.presentations])
        np.testing.assert_array_equal(shown, np.arange(len(frames)))
        np.testing.assert_array_equal(np.concatenate([each.times for each in found.presentations]), times)
        np.testing.assert_array_equal(found.movies[0].grey(70, 72), frames[70:72].astype(np.float32))
        assert "1 rows of film_one_presentations without a frame" in found.report.as_text()


def test_a_movie_played_again_and_again_is_shown_so_often_and_stills_in_any_order_are_no_movie(
    file: Path, raw_mouse: RawMouse
) -> None:
    frames = np.concatenate([np.tile(np.arange(40), 3), [7, 3, 30, 9]])
    times = 1.0 + np.arange(frames.size) / 30
    with h5py.File(file, "a") as book:
        no_stimulus(book)
        del book["intervals"]
    with pynwb.NWBHDF5IO(str(file), "a") as io:
        book = io.read()
        stack = ImageSeries(name="film_image_stack", data=raw_mouse.movies[0][:40], unit="N/A", format="raw", rate=30.0)
        book.add_stimulus_template(stack)
        columns = {"start_time": times, "stop_time": times + 1 / 30, "frame": frames.astype(float)}
        made = [VectorData(name=name, description="of a row", data=values) for name, values in columns.items()]
        book.add_time_intervals(TimeIntervals(name="film_presentations", description="rows", columns=made))
        other = TimeIntervals(name="gratings_presentations", description="rows", columns=made)
        book.add_time_intervals(other)
        io.write(book)
    with NwbFile(file) as source:
        found = source.recording()
    assert [shown.frames.tolist() for shown in found.presentations] == [list(range(40))] * 3
    np.testing.assert_allclose([shown.times[0] for shown in found.presentations], 1.0 + np.arange(3) * 40 / 30)
    text = found.report.as_text()
    assert "4 showings of a single frame" in text
    assert "gratings_presentations names frames of a template, but none is called so" in text


def test_pictures_flashed_in_any_order_are_shown_for_as_long_as_is_said_with_grey_between(
    file: Path, raw_mouse: RawMouse, out: Path
) -> None:
    pictures = raw_mouse.movies[0][::3]
    order = np.random.default_rng(3).integers(0, len(pictures), 56).astype(np.uint32)
    times = 1.0 + 0.75 * np.arange(order.size)
    with h5py.File(file, "a") as book:
        no_stimulus(book)
        del book["intervals"]
    with pynwb.NWBHDF5IO(str(file), "a") as io:
        book = io.read()
        images = Images(
            name="scenes", images=[GrayscaleImage(name=f"{n:02}", data=one) for n, one in enumerate(pictures)]
        )
        book.add_stimulus_template(images)
        shown = IndexSeries(name="flashes", data=order, indexed_images=images, unit="N/A", timestamps=times)
        book.add_stimulus(shown)
        io.write(book)
    with NwbFile(file) as source, pytest.raises(SessionError, match=r"stills, .*how long each stayed \(--stills 0.5"):
        import_recording(source.recording(), out)
    settings = ImportSettings(stills_s=0.5, trial_frames=90)
    with NwbFile(file, settings) as source:
        import_recording(source.recording(), out, settings)
    found = open_session(out)
    assert len(found.trial_ids) == 14
    for number, place in enumerate(range(0, 56, 4)):
        expected = np.full((90, *pictures.shape[1:]), 127.0)
        for still in range(4):
            start = round(22.5 * still)
            expected[start : start + 15] = pictures[order[place + still]]
        video = found.trial(number).video
        sure = np.r_[0:14, 16:21, 24:36, 39:44, 46:59, 61:66, 69:81, 84:90]
        np.testing.assert_array_equal(video[sure], expected[: len(video)][sure])


def test_of_a_speed_and_what_it_was_made_of_the_speed_is_taken(file: Path) -> None:
    with h5py.File(file, "a") as book:
        holder = book["processing/behavior/BehavioralTimeSeries"]
        values = holder["running_speed"]["data"][:]
        for name in ("speed_unfiltered", "dx"):
            book.copy(holder["running_speed"], holder, name=name)
            holder[name]["data"][:] = values + 5
            holder[name].attrs["object_id"] = f"00000000-0000-4000-8000-{len(name):012d}"
    with NwbFile(file) as source:
        running = source.recording().running
    assert running is not None
    np.testing.assert_allclose(running.values[0], values.ravel(), rtol=1e-6)


SPEEDS = [("m/s", 100.0), ("mm/s", 0.1), ("cm/s", 1.0), ("a.u.", 1.0), ("rad/s", 1.0)]


@pytest.mark.parametrize(("unit", "factor"), SPEEDS)
def test_a_running_speed_comes_in_cm_a_second_whatever_its_unit(
    unit: str, factor: float, file: Path, raw_mouse: RawMouse
) -> None:
    with h5py.File(file, "a") as book:
        place = "processing/behavior/BehavioralTimeSeries/running_speed/data"
        book[place].attrs["unit"] = unit
    with NwbFile(file) as source:
        found = source.recording()
    np.testing.assert_allclose(found.running.values[0], raw_mouse.behavior["running"] * factor, rtol=1e-5)
    assert ("rad/s, where cm/s are expected" in found.report.as_text()) == (unit == "rad/s")


def test_a_pause_within_a_trial_of_the_table_drops_it_as_nobody_knows_what_was_shown(file: Path) -> None:
    with NwbFile(file) as source:
        whole = cut_trials(source.recording(), 300)
    with h5py.File(file, "a") as book:
        series = next(iter(book["stimulus/presentation"].values()))
        times = series["timestamps"][:]
        late = (np.arange(75) > 40) * 0.6
        times[-75:] += late
        series["timestamps"][:] = times
        book["intervals/trials/stop_time"][-1] += 0.6
    with NwbFile(file) as source:
        recording = source.recording()
        assert recording.presentations[-1].gaps.sum() == 1
        left = cut_trials(recording, 300)
    assert len(left) == len(whole) - 1
    assert "trials touch gaps in the clock of the stimulus" in recording.report.as_text()
