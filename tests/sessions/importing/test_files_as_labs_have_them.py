"""MATLAB's habits and files, text of other systems, hidden companions, tables in any order: the same values come in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import tifffile
from raw_recordings import RawMouse

from napari_vidrecon.errors import SessionError, StorageError, VidreconError
from napari_vidrecon.sessions.importing.array_folder import movies_at
from napari_vidrecon.sessions.importing.arrays import ArrayFolder
from napari_vidrecon.sessions.importing.columns import READ_WHOLE_BYTES, Column
from napari_vidrecon.sessions.importing.importer import import_recording
from napari_vidrecon.sessions.importing.matlab_files import matlab_arrays, read_matlab
from napari_vidrecon.sessions.importing.recording import Recording
from napari_vidrecon.sessions.importing.recording_reader import ImportSettings
from napari_vidrecon.sessions.importing.suite2p import Suite2pFolder
from napari_vidrecon.sessions.importing.tables import positions_table
from napari_vidrecon.sessions.screen import ScreenGeometry
from napari_vidrecon.sessions.session import open_session

VECTORS = ("activity_times", "running", "running_times", "pupil_size", "pupil_size_times", "pupil_center_times")


@pytest.fixture
def folder(raw_mouse: RawMouse, tmp_path: Path) -> Path:
    return raw_mouse.write_arrays(tmp_path / "raw")


@pytest.fixture
def expected(raw_mouse: RawMouse, tmp_path: Path) -> Recording:
    return ArrayFolder(raw_mouse.write_arrays(tmp_path / "expected")).recording()


def assert_same(found: Recording, expected: Recording) -> None:
    for name in ("activity", "running", "pupil_size", "pupil_center"):
        one, other = getattr(found, name), getattr(expected, name)
        assert one.values.tobytes() == other.values.tobytes()
        assert one.times.tobytes() == other.times.tobytes()
    assert found.coordinates.tobytes() == expected.coordinates.tobytes()
    assert found.tiers == expected.tiers
    assert len(found.presentations) == len(expected.presentations)
    for one, other in zip(found.presentations, expected.presentations, strict=True):
        assert one.movie == other.movie
        assert one.times.tobytes() == other.times.tobytes()
    for one, other in zip(found.movies, expected.movies, strict=True):
        np.testing.assert_array_equal(one.grey(0, len(one)), other.grey(0, len(other)))


def as_matlab_keeps_them(folder: Path) -> dict[str, Any]:
    """Every array with two axes at least, doubles, columns first; (time, channels), and a count from 1."""
    found: dict[str, Any] = {}
    for file in folder.glob("*.npy"):
        array = np.load(file)
        if file.stem in VECTORS:
            array = array.reshape(-1, 1)
        elif file.stem in ("stimulus_times", "pupil_center", "activity"):
            array = array.T
        if array.dtype.kind == "f":
            array = array.astype(float)
        found[file.stem] = np.asfortranarray(array) if array.dtype.kind != "U" else array.astype(object)[:, None]
    found["stimulus_order"] = np.arange(1.0, 13.0)[:, None]
    return found


def test_matlabs_habits_give_the_same_bits(folder: Path, expected: Recording) -> None:
    for name, array in as_matlab_keeps_them(folder).items():
        if name != "tiers":
            np.save(folder / f"{name}.npy", array)
    found = ArrayFolder(folder).recording()
    assert_same(found, expected)
    assert "counts from 1" in found.report.as_text()
    assert "turned" in found.report.as_text()


def write_hdf5(file: Path, variables: dict[str, Any]) -> None:
    """As MATLAB's -v7.3 does: HDF5 behind a head of its own, axes the other way round, text as numbers."""
    h5py = pytest.importorskip("h5py")

    def put(group: Any, name: str, value: Any) -> None:
        if isinstance(value, dict):
            inner = group.create_group(name)
            inner.attrs["MATLAB_class"] = np.bytes_("struct")
            for field, each in value.items():
                put(inner, field, each)
        elif value.dtype == object:
            cells = group.require_group("#refs#") if group.name == "/" else group.file.require_group("#refs#")
            references = []
            for word in value.ravel():
                each = cells.create_dataset(f"r{len(cells)}", data=np.array([list(map(ord, word))], "u2").T)
                each.attrs["MATLAB_class"] = np.bytes_("char")
                references.append(each.ref)
            group.create_dataset(name, data=np.array(references, dtype=h5py.ref_dtype)[None])
        else:
            group.create_dataset(name, data=value.T).attrs["MATLAB_class"] = np.bytes_("double")

    with h5py.File(file, "w", userblock_size=512) as opened:
        for name, value in variables.items():
            put(opened, name, value)
    with file.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")


@pytest.mark.parametrize("kind", ["v7", "v6", "v7.3"])
@pytest.mark.parametrize("in_struct", [False, True])
def test_a_mat_file_with_everything_gives_the_same_bits(
    kind: str, in_struct: bool, folder: Path, expected: Recording
) -> None:
    variables = as_matlab_keeps_them(folder)
    for file in folder.glob("*.npy"):
        file.unlink()
    if in_struct:
        variables = {"exp": variables, "info": {"rig": np.ones((1, 1))}}
    if kind == "v7.3":
        write_hdf5(folder / "mouse.mat", variables)
    else:
        scipy.io.savemat(folder / "mouse.mat", variables, do_compression=kind == "v7")
    assert_same(ArrayFolder(folder).recording(), expected)
    prefix = "exp." if in_struct else ""
    columns = {column.name: column for column in ArrayFolder(folder).columns()}
    assert columns[f"mouse.mat:{prefix}activity"].use == "activity"
    assert columns[f"mouse.mat:{prefix}activity"].rate_hz == pytest.approx(8)
    assert not any(column.fault for column in columns.values())


def test_a_description_names_variables_of_mat_files(folder: Path, expected: Recording) -> None:
    scipy.io.savemat(folder / "a.mat", {"rec": {"ca": np.load(folder / "activity.npy"), "other": np.ones(3)}})
    scipy.io.savemat(folder / "t.mat", {"t": np.load(folder / "activity_times.npy")})
    (folder / "recording.toml").write_text(
        '[activity]\nfile = "a.mat:rec.ca"\ntimes = "t.mat"\n[stimulus]\nfile = "stimulus.npy"\n'
        'times = "stimulus_times.npy"\n'
    )
    found = ArrayFolder(folder).recording()
    assert found.activity.values.tobytes() == expected.activity.values.tobytes()
    (folder / "recording.toml").write_text((folder / "recording.toml").read_text().replace("rec.ca", "rec.cb"))
    with pytest.raises(StorageError, match=r"a.mat: expected a variable rec.cb, found rec.ca, rec.other"):
        ArrayFolder(folder).recording()


def test_struct_arrays_sparse_matrices_text_and_logicals_are_read_plainly(tmp_path: Path) -> None:
    cells = np.array([(1.5, 2.0), (3.0, 4.0)], dtype=[("x", float), ("y", float)])
    sparse = scipy.sparse.csc_matrix(np.array([[0, 2.0, 0], [1.0, 0, 0]]))
    stored = {
        "cells": cells,
        "sparse": sparse,
        "word": "größe",
        "mask": np.array([[True, False]]),
        "c": {"d": {"e": 7}},
    }
    scipy.io.savemat(tmp_path / "m.mat", {**stored, "handle": np.array([1 + 2j]), "big": np.arange(3, dtype=">u2")})
    found = matlab_arrays(tmp_path / "m.mat")
    assert found["cells.x"].tolist() == [1.5, 3.0]
    assert found["sparse"].tolist() == [[0, 2, 0], [1, 0, 0]]
    assert found["word"].tolist() == ["größe"]
    assert (found["mask"].dtype, found["big"].dtype) == (bool, np.uint16)
    assert found["c.d.e"] == 7
    assert "handle" not in found


@pytest.mark.parametrize("compressed", [False, True])
def test_a_damaged_mat_file_is_one_line(compressed: bool, tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "m.mat", {"a": {"b": np.arange(50.0)}, "s": "text"}, do_compression=compressed)
    whole = (tmp_path / "m.mat").read_bytes()
    draw = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(whole[: draw.integers(1, len(whole) + 1)])
        for place in draw.integers(0, len(damaged), 4):
            damaged[place] = draw.integers(256)
        (tmp_path / "m.mat").write_bytes(damaged)
        said = ""
        try:
            read_matlab(tmp_path / "m.mat", "a.b")
        except VidreconError as error:
            said = str(error)
        assert "\n" not in said


def test_hidden_companions_are_passed_over(folder: Path, expected: Recording, raw_mouse: RawMouse) -> None:
    (folder / "stimulus.npy").unlink()
    (folder / "stimulus").mkdir()
    companion = b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(4000)
    for number, movie in enumerate(raw_mouse.movies):
        tifffile.imwrite(folder / "stimulus" / f"clip{number}.tif", movie)
        (folder / "stimulus" / f"._clip{number}.tif").write_bytes(companion)
    for name in (".DS_Store", "Thumbs.db", "._running.npy", "._mouse.mat", "stimulus/.DS_Store"):
        (folder / name).write_bytes(companion)
    assert_same(ArrayFolder(folder).recording(), expected)
    names = [column.name for column in ArrayFolder(folder).columns()]
    assert not any("._" in name or "DS_Store" in name or "Thumbs" in name for name in names)


def test_a_preview_survives_one_bad_film_and_says_so(folder: Path, raw_mouse: RawMouse) -> None:
    (folder / "stimulus.npy").unlink()
    (folder / "stimulus").mkdir()
    for number, movie in enumerate(raw_mouse.movies):
        tifffile.imwrite(folder / "stimulus" / f"clip{number}.tif", movie)
    (folder / "stimulus" / "clip3.tif").write_bytes(b"<!DOCTYPE html><title>Sign in</title>")
    columns = {column.name: column for column in ArrayFolder(folder).columns()}
    assert columns["stimulus: clip4.tif"].shape == (75, 36, 64)
    assert columns["stimulus: clip3.tif"].fault
    assert "a web page, as a download behind a sign-in leaves" in columns["stimulus: clip3.tif"].use


TOML = (
    'coordinates = "cells.csv"\ntiers = "tiers.txt"\n[activity]\nfile = "activity.npy"\ntimes = "activity_times.npy"\n'
    '[stimulus]\nfile = "stimulus.npy"\ntimes = "stimulus_times.npy"\n'
)


@pytest.mark.parametrize(
    ("coding", "end"), [("utf-8-sig", "\r\n"), ("utf-16", "\r\n"), ("utf-16-be", "\n"), ("utf-8", "\r")]
)
def test_text_of_any_system_says_the_same(coding: str, end: str, folder: Path, expected: Recording) -> None:
    table = "\n".join(",".join(repr(float(value)) for value in row) for row in expected.coordinates)
    for name, text in (("recording.toml", TOML), ("cells.csv", table), ("tiers.txt", "\n".join(expected.tiers))):
        (folder / name).write_bytes(text.replace("\n", end).encode(coding))
    found = ArrayFolder(folder).recording()
    assert found.coordinates.tobytes() == expected.coordinates.tobytes()
    assert found.tiers == expected.tiers


@pytest.mark.parametrize(
    "text",
    [
        "z,y,x\n3,2,1\n6,5,4\n",
        ",x,y,z\n0,1,2,3\n1,4,5,6\n",
        '"id";"pos_y (µm)";"pos_x (µm)";"pos_z (µm)"\n7;2,0;1,0;3,0\n8;5,0;4,0;6,0\n',
        "Z_um\tX_um\tY_um\n3\t1\t2\n6\t4\t5\n",
        "1 2 3\n4 5 6\n",
        "ml,ap,dv\n1,2,3\n4,5,6\n",
    ],
)
def test_columns_of_positions_are_told_by_their_names(text: str, tmp_path: Path) -> None:
    (tmp_path / "cells.csv").write_text(text, encoding="utf-8")
    assert positions_table(tmp_path, "cells.csv").tolist() == [[1, 2, 3], [4, 5, 6]]


COUNTED = ["1 9 2 3\n2 8 5 6\n3 7 8 9\n", "0,9,2,3\n1,8,5,6\n2,7,8,9\n", "# x y z\n9 2 3\n8 5 6\n7 8 9\n"]


@pytest.mark.parametrize("text", COUNTED)
def test_a_column_that_only_counts_the_neurons_is_no_place(text: str, tmp_path: Path) -> None:
    (tmp_path / "cells.csv").write_text(text)
    assert positions_table(tmp_path, "cells.csv").tolist() == [[9, 2, 3], [8, 5, 6], [7, 8, 9]]


@pytest.mark.parametrize("text", ["id,x,depth,area\n1,2,3,4\n", "x_mm,y_mm\n1,2\n", "a,b,c,d\n1,2,3,4\n"])
def test_columns_that_cannot_be_told_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "cells.csv").write_text(text)
    with pytest.raises(SessionError, match=r"cells.csv: expected .*name "):
        positions_table(tmp_path, "cells.csv")


def test_row_numbers_without_a_name_do_not_shift_the_positions_by_a_column(tmp_path: Path) -> None:
    (tmp_path / "cells.csv").write_text('"x","y"\n"1",2.5,4.5\n"2",6.5,3.5\n')
    with pytest.raises(SessionError, match=r"cells.csv: expected a name for each column, found 2 names above"):
        positions_table(tmp_path, "cells.csv")


def test_a_table_has_a_row_a_neuron_or_a_row_a_region(raw_mouse: RawMouse, tmp_path: Path) -> None:
    folder = raw_mouse.write_suite2p(tmp_path / "raw")
    positions = np.load(folder / "coordinates.npy")
    whole = Suite2pFolder(folder).recording().coordinates
    np.save(folder / "coordinates.npy", whole)
    np.testing.assert_array_equal(Suite2pFolder(folder).recording().coordinates, whole)
    np.save(folder / "coordinates.npy", np.concatenate([positions, positions]))
    with pytest.raises(SessionError, match="each of 9 neurons, or for each of 12 regions, found 24"):
        Suite2pFolder(folder).recording()


def test_a_movie_stored_frame_x_y_is_warned_of_and_mended_by_an_option(
    folder: Path, expected: Recording, tmp_path: Path
) -> None:
    np.save(folder / "stimulus.npy", np.load(folder / "stimulus.npy").transpose(0, 1, 3, 2))
    report = import_recording(ArrayFolder(folder).recording(), tmp_path / "sideways")
    assert "64 x 36 pixels are taller than wide: if they are stored (frame, x, y)" in report.as_text()
    found = ArrayFolder(folder, ImportSettings(axes="ntwh")).recording()
    for one, other in zip(found.movies, expected.movies, strict=True):
        np.testing.assert_array_equal(one.grey(0, len(one)), other.grey(0, len(other)))


def test_a_movie_whose_frames_come_last_is_named_with_the_remedy(folder: Path) -> None:
    np.save(folder / "stimulus.npy", np.moveaxis(np.load(folder / "stimulus.npy").reshape(-1, 36, 64), 0, 2))
    with pytest.raises(SessionError, match=r"found 900; if its last axes are frames, say axes = \"hwt\""):
        ArrayFolder(folder).recording()


def test_a_preview_tells_the_whole_range_or_says_that_it_does_not() -> None:
    array = np.zeros((1000, 50), np.float32)
    array[501, 3], array[733, 7] = -35, 254
    assert "-35 to 254: activity" in str(Column.of("a", array, "activity"))
    large = np.broadcast_to(array, (READ_WHOLE_BYTES // array.nbytes + 1, *array.shape))
    assert "in a sample of its rows" in str(Column.of("a", large, "activity"))


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_folders_of_pictures_are_movies_in_the_order_of_their_names(
    kind: str, folder: Path, expected: Recording
) -> None:
    from PIL import Image

    clips = np.load(folder / "stimulus.npy")
    (folder / "stimulus.npy").unlink()
    for clip, frames in enumerate(clips):
        place = folder / "stimulus" / f"clip_{clip + 1}"
        place.mkdir(parents=True)
        for number, frame in enumerate(frames):
            file = place / f"frame_{number + 1}.{kind}"
            Image.fromarray(frame).save(file) if kind == "png" else tifffile.imwrite(file, frame)
    (folder / "stimulus" / "clip_1" / "._frame_1.png").write_bytes(b"\0\5\26\7")
    assert_same(ArrayFolder(folder).recording(), expected)
    shown = [str(column) for column in ArrayFolder(folder).columns() if column.name.startswith("stimulus: ")]
    assert len(shown) == 12
    assert all(one.startswith("75 x 36 x 64 uint8") for one in shown)
    odd = folder / "stimulus" / "clip_2" / f"frame_3.{kind}"
    Image.fromarray(clips[0, 0, :9]).save(odd)
    movie = ArrayFolder(folder).recording().movies[1]
    with pytest.raises(SessionError, match=rf"frame_3.{kind}: expected a picture like frame_1.{kind}, uint8 of shape"):
        movie.grey(0, 5)


def test_channels_of_a_tiff_are_colours_of_each_frame(folder: Path, raw_mouse: RawMouse) -> None:
    clips = np.load(folder / "stimulus.npy")
    (folder / "stimulus.npy").unlink()
    (folder / "stimulus").mkdir()
    for clip, frames in enumerate(clips):
        two = np.stack([frames, 255 - frames], axis=1)
        tifffile.imwrite(folder / "stimulus" / f"c{clip}.tif", two, photometric="minisblack", metadata={"axes": "TCYX"})
    movies = ArrayFolder(folder).recording().movies
    assert len(movies) == 12
    assert movies[3].pixels.shape == (75, 36, 64, 2)
    np.testing.assert_array_equal(np.asarray(movies[3].pixels[2:4])[..., 1], 255 - clips[3, 2:4])


def test_a_movie_in_more_colours_than_are_named_is_refused_with_what_to_do(
    folder: Path, raw_mouse: RawMouse, out: Path
) -> None:
    clips = np.rint(raw_mouse.movies).astype(np.uint8)
    rgb = np.stack([np.zeros_like(clips), clips, 255 - clips], axis=-1)
    np.save(folder / "stimulus.npy", rgb)
    two = ImportSettings(screen=ScreenGeometry(rows=72, colours=("green", "uv")))
    with pytest.raises(
        SessionError,
        match=r"2 colours \(green, uv\).*found 3; name all 3 .* save the 2 .*\[1, 2\].*leave --colours out",
    ):
        import_recording(ArrayFolder(folder, two).recording(), out, two)
    three = ImportSettings(screen=ScreenGeometry(rows=108, colours=("red", "green", "uv")))
    import_recording(ArrayFolder(folder, three).recording(), out, three)
    shown = open_session(out).trial(2).video
    assert not shown[:, :36].any()
    np.save(folder / "stimulus.npy", rgb[..., [1, 2]])
    import_recording(ArrayFolder(folder, two).recording(), out, two)
    np.testing.assert_array_equal(open_session(out).trial(2).video, shown[:, 36:])
    np.save(folder / "stimulus.npy", clips)
    with pytest.raises(SessionError, match=r"found 1; give --axes, with c .* or leave --colours out for grey"):
        import_recording(ArrayFolder(folder, two).recording(), out, two)


def test_clips_along_another_axis_are_named_with_the_remedy(folder: Path, expected: Recording) -> None:
    np.save(folder / "stimulus.npy", np.load(folder / "stimulus.npy").transpose(2, 3, 1, 0))
    np.save(folder / "stimulus_onsets.npy", np.load(folder / "stimulus_times.npy")[:, 0])
    (folder / "recording.toml").write_text(
        '[activity]\ntimes = "activity_times.npy"\n[stimulus]\nfile = "stimulus.npy"\nonsets = "stimulus_onsets.npy"\n'
        "rate_hz = 30\n"
    )
    with pytest.raises(
        SessionError, match=r'expected 36 onsets.*found 12; if its axis of 12 .* axes = "hwtn" \(--axes'
    ):
        ArrayFolder(folder).recording()
    found = ArrayFolder(folder, ImportSettings(axes="hwtn")).recording()
    for one, other in zip(found.movies, expected.movies, strict=True):
        np.testing.assert_array_equal(one.grey(0, len(one)), other.grey(0, len(other)))


def test_each_flip_of_a_faster_screen_is_no_time_of_a_frame(folder: Path) -> None:
    times = np.load(folder / "stimulus_times.npy")
    np.save(folder / "stimulus_times.npy", np.sort(np.concatenate([times.ravel(), times.ravel() + 1 / 60])))
    with pytest.raises(SessionError, match=r"found 1800; that is 2 times as many: of several flips.*give the first"):
        ArrayFolder(folder).recording()


def test_a_description_need_not_name_what_has_its_usual_name(folder: Path, expected: Recording) -> None:
    (folder / "recording.toml").write_text(
        '[stimulus]\nfile = "stimulus.npy"\ntimes = "stimulus_times.npy"\n[activity]\ntimes = "activity_times.npy"\n'
    )
    assert ArrayFolder(folder).recording().activity.values.tobytes() == expected.activity.values.tobytes()
    (folder / "activity.npy").rename(folder / "deconvolved.npy")
    with pytest.raises(StorageError, match=r'activity.npy: expected the neurons.*say below \[activity\].*file = "NAME'):
        ArrayFolder(folder).recording()


def test_movies_in_files_of_other_kinds_are_named_with_the_remedy(folder: Path) -> None:
    (folder / "stimulus.npy").rename(folder / "stimulus.zip")
    with pytest.raises(SessionError, match=r"found stimulus.zip; save its frames as .npy"):
        ArrayFolder(folder).recording()
    (folder / "recording.toml").write_text(
        '[activity]\ntimes = "activity_times.npy"\n[stimulus]\nfile = "stimulus.pkl:movies"\nrate_hz = 30\n'
    )
    with pytest.raises(StorageError, match=r"found a file ending in '.pkl'; save its frames as .npy"):
        ArrayFolder(folder).recording()


def packed(file: Path, arrays: dict[str, np.ndarray]) -> Path:
    """Arrays in one file, compressed; text as h5py keeps it."""
    if file.suffix == ".npz":
        np.savez_compressed(file, **arrays)
        return file
    h5py = pytest.importorskip("h5py")
    with h5py.File(file, "w") as opened:
        for name, array in arrays.items():
            plain = array.dtype.kind != "U"
            opened.create_dataset(name, data=array if plain else array.tolist(), compression="gzip" if plain else None)
        opened["rate"] = 8.0
        opened.create_dataset("table", data=np.zeros(3, [("x", "f4"), ("y", "i4")]))
    return file


@pytest.mark.parametrize("name", ["mouse.npz", "mouse.h5", "mouse.HDF5"])
@pytest.mark.parametrize("group", ["", "exp/day 1/"])
def test_a_file_of_numpys_or_hdf5_with_everything_gives_the_same_bits(
    name: str, group: str, folder: Path, expected: Recording
) -> None:
    arrays = {f"{group}{file.stem}": np.load(file) for file in folder.glob("*.npy")}
    for file in folder.glob("*.npy"):
        file.unlink()
    packed(folder / name, arrays)
    assert_same(ArrayFolder(folder).recording(), expected)
    columns = {column.name: column for column in ArrayFolder(folder).columns()}
    assert columns[f"{name}:{group}activity"].use == "activity"
    assert columns[f"{name}:{group}activity"].rate_hz == pytest.approx(8)
    assert not any(column.fault for column in columns.values())


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_a_description_names_arrays_of_numpys_files_and_of_hdf5(suffix: str, folder: Path, expected: Recording) -> None:
    (folder / "deep").mkdir()
    activity, clips = np.load(folder / "activity.npy"), np.load(folder / "stimulus.npy")
    packed(folder / "deep" / f"a{suffix}", {"rec/ca": activity, "other": np.ones(3)})
    packed(folder / f"t{suffix}", {"t": np.load(folder / "activity_times.npy")})
    packed(folder / f"s{suffix}", {"shown/clips": clips, "shown/tiers": np.load(folder / "tiers.npy")})
    for name in ("activity", "activity_times", "stimulus", "tiers"):
        (folder / f"{name}.npy").unlink()
    beside = [(stem, f"{stem}.npy", f"{stem}_times.npy") for stem in ("running", "pupil_size", "pupil_center")]
    text = (
        f'coordinates = "coordinates.npy"\ntiers = "s{suffix}:shown/tiers"\n'
        f'[activity]\nfile = "deep/a{suffix}:rec/ca"\ntimes = "t{suffix}"\n'
        f'[stimulus]\nfile = "s{suffix}:/shown/clips"\ntimes = "stimulus_times.npy"\n'
    ) + "".join(f'[{stem}]\nfile = "{file}"\ntimes = "{times}"\n' for stem, file, times in beside)
    text = text if suffix == ".h5" else text.replace(":/", ":")
    (folder / "recording.toml").write_text(text)
    assert_same(ArrayFolder(folder).recording(), expected)
    columns = ArrayFolder(folder).columns()
    assert not any(column.fault for column in columns)
    stimulus = next(column for column in columns if column.use == "stimulus")
    assert stimulus.shape == clips.shape
    (folder / "recording.toml").write_text(text.replace("rec/ca", "rec/cb"))
    with pytest.raises(StorageError, match=rf'a{suffix}: expected an array rec/cb .*found .*rec/ca.*"a{suffix}:NAME"'):
        ArrayFolder(folder).recording()
    single = packed(folder / f"movie{suffix}", {"frames": clips[0], "other": np.ones(3)})
    pixels = movies_at(Path(f"{single}:frames"))[0].pixels
    assert isinstance(pixels, np.ndarray) == (suffix == ".npz")
    np.testing.assert_array_equal(pixels[3:5], clips[0, 3:5])


def test_nothing_in_numpys_files_or_hdf5_is_unpickled_or_leads_elsewhere(folder: Path, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    (folder / "activity.npy").rename(tmp_path / "secret.npy")

    def refused(name: str) -> str:
        (folder / "recording.toml").write_text(
            f'[activity]\nfile = "{name}"\ntimes = "activity_times.npy"\n[stimulus]\nfile = "stimulus.npy"\n'
            'times = "stimulus_times.npy"\n'
        )
        with pytest.raises(VidreconError) as raised:
            ArrayFolder(folder).recording()
        assert ArrayFolder(folder).columns()
        assert "\n" not in str(raised.value)
        return str(raised.value)

    np.savez(folder / "a.npz", objects=np.array([{}, 1], dtype=object), flat=np.ones(3))
    assert "found pickled objects, which are never opened" in refused("a.npz:objects")
    assert "each of the 3 samples" in refused("a.npz:flat")
    columns = {column.name: column for column in ArrayFolder(folder).columns()}
    assert columns["a.npz:flat"].shape == (3,)
    assert columns["a.npz:objects"].use.startswith("not used: ")
    (folder / "cut.npz").write_bytes((folder / "a.npz").read_bytes()[:90])
    assert "cut.npz: expected an .npz file" in refused("cut.npz:objects")
    with h5py.File(tmp_path / "out.h5", "w") as file:
        file["x"] = np.ones((3, 4))
    with h5py.File(folder / "links.h5", "w") as file:
        file["x"] = h5py.ExternalLink(str(tmp_path / "out.h5"), "x")
    assert "found a link to" in refused("links.h5:x")
    with h5py.File(folder / "b.h5", "w") as file:
        file.create_dataset("huge", (10**6, 10**6), "f4", chunks=(1000, 1000))
        file.create_dataset("table", data=np.zeros(3, [("x", "f4")]))
        file["loop"] = file["/"]
    assert "the file is truncated or damaged" in refused("b.h5:huge")
    assert "expected an array table of numbers or text in it, found huge" in refused("b.h5:table")
    (folder / "no.h5").write_bytes(b"not HDF5 at all")
    assert "no.h5: expected an HDF5 file" in refused("no.h5:x")
    assert "found a link that leaves it" in refused("../out.h5:x")


def test_tiers_that_are_not_there_are_named_with_the_remedy(folder: Path) -> None:
    (folder / "tiers.npy").unlink()
    (folder / "recording.toml").write_text(
        'tiers = "tiers.npy"\n[activity]\ntimes = "activity_times.npy"\n'
        '[stimulus]\nfile = "stimulus.npy"\ntimes = "stimulus_times.npy"\n'
    )
    with pytest.raises(StorageError, match=r"tiers.npy: expected a word for each.*take the line tiers out"):
        ArrayFolder(folder).recording()


def test_a_screen_that_is_itself_high_is_no_sign_of_turned_movies(raw_mouse: RawMouse, tmp_path: Path) -> None:
    raw_mouse.movies = raw_mouse.movies[:, :, :, :32]
    folder = raw_mouse.write_arrays(tmp_path / "high")
    screen = ScreenGeometry(rows=18, cols=16)
    report = import_recording(ArrayFolder(folder).recording(), tmp_path / "out", ImportSettings(screen=screen))
    assert "taller than wide" not in report.as_text()
    assert "36 x 32 pixels averaged over area to 18 x 16, same proportions" in report.as_text()


def test_df_f_is_lifted_neuron_by_neuron_and_nothing_of_it_is_lost(folder: Path, tmp_path: Path) -> None:
    activity = np.load(folder / "activity.npy")
    np.save(folder / "activity.npy", activity - np.arange(1, 10, dtype=np.float32)[:, None])
    recording = ArrayFolder(folder).recording()
    with pytest.raises(SessionError, match=r"--negative clip, or raise each neuron.*--negative lift"):
        import_recording(recording, tmp_path / "refused")
    report = import_recording(recording, tmp_path / "out", ImportSettings(negative="lift"))
    assert "values down to -9: each neuron is raised" in report.as_text()
    assert import_recording(ArrayFolder(folder).recording(), tmp_path / "clip", ImportSettings(negative="clip"))
    lifted = open_session(tmp_path / "out").trial(4).responses
    truth = activity - activity.min(axis=1, keepdims=True)
    np.save(folder / "activity.npy", truth)
    import_recording(ArrayFolder(folder).recording(), tmp_path / "truth")
    np.testing.assert_allclose(lifted, open_session(tmp_path / "truth").trial(4).responses, atol=1e-3)
