"""Session folders from elsewhere: links out, devices, loops, lying shapes, odd numbers, pointers instead of arrays."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions.session import Session, open_session
from napari_vidrecon.sessions.trial_files import LONGEST_CLIP_FRAMES
from napari_vidrecon.sessions.validation import MOST_NAMED, session_summary, validate_session

VIDEO = "data/videos/0.npy"
TIERS, IDS, COORDINATES = (
    "meta/trials/tiers.npy",
    "meta/neurons/unit_ids.npy",
    "meta/neurons/cell_motor_coordinates.npy",
)
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n"
ANNEX_POINTER = b"/annex/objects/MD5E-s5529728--0123456789abcdef.npy\n"


def used(folder: Path) -> Session:
    """Open a session and ask it for all that it can be asked for."""
    session = open_session(folder)
    session_summary(session)
    for trial_id in session.trial_ids:
        session.trial(trial_id)
    session.average_behavior()
    session.folds()
    session.fingerprint()
    return session


def refusal_of(folder: Path) -> str:
    with pytest.raises(SessionError) as caught:
        used(folder)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def move_out(file: Path, outside: Path) -> None:
    outside.mkdir(exist_ok=True)
    file.rename(outside / file.name)
    file.symlink_to(outside / file.name)


@pytest.mark.parametrize("name", [VIDEO, TIERS, IDS, COORDINATES, "simulation.json", "data", "data/responses"])
def test_no_link_leaves_the_session(name: str, copy_of_small_session: Path, tmp_path: Path) -> None:
    (copy_of_small_session / "simulation.json").write_text("{}")
    move_out(copy_of_small_session / name, tmp_path / "elsewhere")
    assert "a link that leaves it" in refusal_of(copy_of_small_session)
    assert any("leaves it" in str(fault) for fault in validate_session(copy_of_small_session))


def test_a_link_to_a_session_is_a_session(copy_of_small_session: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(copy_of_small_session)
    assert used(tmp_path / "linked").name == "linked"
    assert validate_session(tmp_path / "linked") == []


def test_files_in_an_annex_count_as_inside(copy_of_small_session: Path, tmp_path: Path) -> None:
    file = copy_of_small_session / VIDEO
    store = tmp_path / ".git/annex/objects/xx/yy"
    store.mkdir(parents=True)
    file.rename(store / "MD5E-s5529728--0123.npy")
    file.symlink_to("../../../.git/annex/objects/xx/yy/MD5E-s5529728--0123.npy")
    used(copy_of_small_session)


def annex_link(file: Path) -> None:
    file.unlink()
    file.symlink_to("../../.git/annex/objects/xx/yy/MD5E-s5529728--0123/MD5E-s5529728--0123.npy")


@pytest.mark.parametrize(
    ("replace", "remedy"),
    [
        (lambda file: file.write_bytes(LFS_POINTER), "git lfs pull"),
        (lambda file: file.write_bytes(ANNEX_POINTER), "git annex get"),
        (lambda file: file.write_bytes(b"../../.git/annex/objects/xx/MD5E-s1--0.npy"), "git annex get"),
        (annex_link, "git annex get"),
        (lambda file: file.write_bytes(b"<!DOCTYPE html><html>"), "behind a sign-in"),
    ],
)
def test_a_pointer_in_place_of_an_array_is_named_with_the_way_to_the_array(
    replace: Callable[[Path], object], remedy: str, copy_of_small_session: Path
) -> None:
    replace(copy_of_small_session / VIDEO)
    message = refusal_of(copy_of_small_session)
    assert message.startswith(str(copy_of_small_session / VIDEO))
    assert remedy in message
    (fault,) = validate_session(copy_of_small_session)
    assert remedy in fault.remedy + fault.found
    assert "copy or download" not in fault.remedy


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def endless(file: Path) -> None:
    file.unlink()
    file.symlink_to("/dev/zero")


def folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def itself(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.name)


@pytest.mark.timing
@pytest.mark.parametrize("replace", [pipe, endless, folder, itself])
@pytest.mark.parametrize("name", [VIDEO, "data/behavior/1.npy", TIERS, COORDINATES, "simulation.json"])
def test_what_is_no_file_is_refused_at_once(
    replace: Callable[[Path], None], name: str, copy_of_small_session: Path
) -> None:
    (copy_of_small_session / "simulation.json").write_text("{}")
    began = time.monotonic()
    replace(copy_of_small_session / name)
    assert str(copy_of_small_session / name) in refusal_of(copy_of_small_session)
    assert str(copy_of_small_session / name) in "".join(map(str, validate_session(copy_of_small_session)))
    assert time.monotonic() - began < 5


@pytest.mark.timing
def test_the_fingerprint_survives_links_that_lead_in_circles_out_or_to_no_file(copy_of_small_session: Path) -> None:
    session = open_session(copy_of_small_session)
    for name in "ab":
        (copy_of_small_session / name).symlink_to(".")
    (copy_of_small_session / "zero").symlink_to("/dev/zero")
    (copy_of_small_session / "nowhere").symlink_to("not there")
    os.mkfifo(copy_of_small_session / "pipe")
    deep = copy_of_small_session
    for _ in range(600):
        deep = deep / "d"
        deep.mkdir()
    began = time.monotonic()
    assert session.fingerprint() != ""
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("name", "array", "expected"),
    [
        (TIERS, np.zeros(200_000, "S1"), "at most 100000 trials"),
        (TIERS, np.array(["x" * 5000] * 4), "at most 200 characters"),
        (TIERS, np.array([0xD800, 1, 2, 3], "<u4").view("<U1"), "characters that do not exist"),
        (TIERS, np.array([0x110005, 1, 2, 3], "<u4").view("<U1"), "characters that do not exist"),
        (TIERS, np.array(["train", "oracle"]).reshape(2, 1), "one tier name a trial"),
        (TIERS, np.array([b"\xff"] * 4), "no text"),
        (IDS, np.zeros(0, int), "one integer a neuron"),
        (IDS, np.arange(20.0), "one integer a neuron"),
        (IDS, np.array(5), "one integer a neuron"),
        (COORDINATES, np.zeros((3, 20)), "20 neurons"),
        (COORDINATES, np.array([["a"] * 3] * 20), "20 neurons"),
        ("data/behavior/0.npy", np.zeros((2, LONGEST_CLIP_FRAMES + 1), np.float16), "at most 36000 frames"),
        ("data/behavior/0.npy", np.zeros((2, 0)), "0 frames"),
        ("data/behavior/0.npy", np.float64(1), "shape ()"),
    ],
)
def test_arrays_of_odd_shape_kind_or_length_are_one_line(
    name: str, array: np.ndarray, expected: str, copy_of_small_session: Path
) -> None:
    np.save(copy_of_small_session / name, array)
    message = refusal_of(copy_of_small_session)
    assert message.startswith(str(copy_of_small_session / name))
    assert expected in message
    assert validate_session(copy_of_small_session)


def test_a_shape_that_no_array_has_is_one_line_even_if_it_holds_nothing(copy_of_small_session: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 10000000000000000000000), }"
    file = copy_of_small_session / "data/behavior/0.npy"
    file.write_bytes(b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(SessionError, match=r"behavior/0\.npy"):
        open_session(copy_of_small_session).clip_frames(0)


def test_a_tier_of_several_lines_stays_one_line_in_a_message(copy_of_small_session: Path) -> None:
    np.save(copy_of_small_session / TIERS, np.array(["train", "oracle", "train", "live\n\x1b[2Jtest"]))
    with pytest.raises(SessionError) as caught:
        open_session(copy_of_small_session).trial(3).require_responses()
    assert str(caught.value).isprintable()


@pytest.mark.filterwarnings("error")
def test_numbers_that_no_picture_has_do_not_stop_a_look_for_folds(copy_of_small_session: Path) -> None:
    for trial, value in enumerate((np.inf, 1e300, -1e300)):
        video = np.load(copy_of_small_session / f"data/videos/{trial}.npy").astype(float)
        video[..., :60] = value
        np.save(copy_of_small_session / f"data/videos/{trial}.npy", video)
    session = open_session(copy_of_small_session)
    assert list(session.folds()) == [0, 1, 2]
    with pytest.raises(SessionError, match="infinite"):
        session.trial(1)


@pytest.mark.parametrize(
    ("mean", "expected"),
    [
        (np.zeros(0), "found shape (0,)"),
        (np.zeros((2, 0)), "found shape (2, 0)"),
        (np.full((2, 3), np.inf), "infinite"),
        (np.full((2, 3), 1e300), "infinite"),
        (np.array(["a", "b"]), "expected numbers"),
    ],
)
def test_odd_statistics_are_one_line(mean: np.ndarray, expected: str, copy_of_small_session: Path) -> None:
    statistics = copy_of_small_session / "meta/statistics/behavior/all"
    statistics.mkdir(parents=True)
    np.save(statistics / "mean.npy", mean)
    np.save(statistics / "..npy", mean)
    assert expected in refusal_of(copy_of_small_session)
    validate_session(copy_of_small_session)


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        ("[" * 100_000, "nested too deep"),
        ('{"seed": ' + "1" * 10_000 + "}", "cannot be read"),
        ('{"simulated": "yes"}', "expected simulated to be a valid boolean"),
        ('{"per_neuron": {"row_px": 5}}', "expected per_neuron.row_px to be a valid list"),
        ("null", "found NoneType"),
    ],
)
def test_notes_that_are_none_are_one_line(notes: str, expected: str, copy_of_small_session: Path) -> None:
    (copy_of_small_session / "simulation.json").write_text(notes)
    assert expected in refusal_of(copy_of_small_session)
    assert len(validate_session(copy_of_small_session)) == 1


def test_notes_may_hold_more_than_is_read(copy_of_small_session: Path) -> None:
    notes = {"simulated": True, "per_neuron": {"row_px": [1.0, 2.0]}, "weather": {"rain": [None]}}
    (copy_of_small_session / "simulation.json").write_text(json.dumps(notes))
    assert used(copy_of_small_session).simulation == notes


def test_a_trial_number_of_thousands_of_digits_is_refused_in_a_short_line(small_session_folder: Path) -> None:
    with pytest.raises(SessionError) as caught:
        open_session(small_session_folder).trial(10**5000)
    assert len(str(caught.value)) < 500


def test_what_systems_hide_in_folders_is_passed_over(copy_of_small_session: Path) -> None:
    for name in ("data/videos/._0.npy", "data/.DS_Store", "meta/._neurons", "data/responses/.nfs0001"):
        (copy_of_small_session / name).write_bytes(b"\x00\x05\x16\x07")
    used(copy_of_small_session)
    assert validate_session(copy_of_small_session) == []


@pytest.mark.timing
def test_thousands_of_missing_and_of_strange_files_are_told_without_a_line_for_each(
    copy_of_small_session: Path,
) -> None:
    np.save(copy_of_small_session / TIERS, np.array(["train"] * 50_000))
    for number in range(MOST_NAMED + 5):
        (copy_of_small_session / f"data/videos/{'9' * 30}{number}.npy").touch()
    (copy_of_small_session / "data/videos/a\nb\x1b[2J.npy").touch()
    began = time.monotonic()
    faults = [str(fault) for fault in validate_session(copy_of_small_session)]
    assert time.monotonic() - began < 10
    # Trial 3 has none of the responses that the tier train promises, and its movie ends before their zeros do.
    assert len(faults) == MOST_NAMED + 1 + 4 + 2
    assert sum("49996 missing, the first 4.npy" in fault for fault in faults) == 4
    assert all(fault.isprintable() for fault in faults)


def test_numbers_in_names_do_not_matter_where_the_tiers_are_gone(copy_of_small_session: Path) -> None:
    (copy_of_small_session / TIERS).unlink()
    for stem in ("9" * 200, "٣", "-1", "x"):
        (copy_of_small_session / f"data/videos/{stem}.npy").touch()
    files = {fault.file.name for fault in validate_session(copy_of_small_session)}
    assert {"tiers.npy", "-1.npy", "x.npy"} <= files
