"""Writing: whole or not at all, and what a user put somewhere stays there."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from napari_vidrecon.errors import StorageError
from napari_vidrecon.storage import (
    claimed,
    recover_folder,
    replacing_file,
    replacing_files,
    replacing_folder,
    safe_cell,
    sweep,
)


def killed(code: str, folder: Path) -> None:
    """Run some lines in a process of their own, which kills itself in the middle."""
    start = "import os, signal\nfrom pathlib import Path\nfrom napari_vidrecon.storage import *\nhere = Path({!r})\n"
    ended = subprocess.run([sys.executable, "-c", start.format(str(folder)) + textwrap.dedent(code)], check=False)
    assert ended.returncode == -signal.SIGKILL


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with contextlib.suppress(KeyboardInterrupt), replacing_file(target) as draft:
        draft.write_text("half")
        assert draft.name == "a.txt"
        raise KeyboardInterrupt
    assert (names(tmp_path), target.read_text()) == (["a.txt"], "old")
    with replacing_file(target) as draft:
        draft.write_text("new")
    assert (names(tmp_path), target.read_text()) == (["a.txt"], "new")


@pytest.mark.skipif(sys.platform == "win32", reason="needs kill signals")
def test_the_draft_of_a_killed_process_goes_at_the_next_start_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    killed("with replacing_file(here / 'a.txt') as draft: os.kill(os.getpid(), signal.SIGKILL)", tmp_path)
    assert len(names(tmp_path)) == 2
    with replacing_file(tmp_path / "b.txt") as draft:
        draft.write_text("living")
        assert sweep(tmp_path) == []
    assert names(tmp_path) == ["a.txt", "b.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs kill signals")
@pytest.mark.parametrize("moves", [1, 2, 3])
def test_a_folder_killed_between_any_two_moves_loses_nothing(tmp_path: Path, moves: int) -> None:
    target = tmp_path / "mouse"
    target.mkdir()
    (target / "data").write_text("old")
    (target / "notes.txt").write_text("mine")
    killed(
        f"""
        moved, real = [], Path.replace
        def replace(self, place):
            if "{PREFIX}" in str(self) + str(place) and Path(place).name != "draft.json":
                if len(moved) == {moves} - 1: os.kill(os.getpid(), signal.SIGKILL)
                moved.append(self)
            return real(self, place)
        Path.replace = replace
        with replacing_folder(here / "mouse", lambda folder: ["notes.txt"]) as draft:
            (draft / "data").write_text("new")
        """,
        tmp_path,
    )
    recover_folder(target)
    assert names(tmp_path) == ["mouse"]
    assert (target / "notes.txt").read_text() == "mine"
    assert (target / "data").read_text() == ("old" if moves < 3 else "new")


PREFIX = ".vidrecon-draft-"


def test_what_looks_like_a_draft_but_is_none_of_ours_stays(tmp_path: Path) -> None:
    for name in (".run.zarr-backup", PREFIX + "mine", ".run.zarr-abcd1234"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").write_text("precious")
    recover_folder(tmp_path / "run.zarr")
    with replacing_folder(tmp_path / "run.zarr") as draft:
        (draft / "x").touch()
    assert names(tmp_path) == sorted([".run.zarr-backup", PREFIX + "mine", ".run.zarr-abcd1234", "run.zarr"])


def test_a_folder_that_an_earlier_version_moved_aside_comes_back(tmp_path: Path) -> None:
    aside = tmp_path / ".run.zarr-old-abcd1234" / "run.zarr"
    aside.mkdir(parents=True)
    (aside / "x").touch()
    recover_folder(tmp_path / "run.zarr")
    assert (names(tmp_path), names(tmp_path / "run.zarr")) == (["run.zarr"], ["x"])


def test_a_second_process_is_told_who_is_at_work(tmp_path: Path) -> None:
    with claimed(tmp_path / "run.zarr", "run"):
        code = "from napari_vidrecon.storage import claimed\nwith claimed({!r}): pass"
        second = subprocess.run(
            [sys.executable, "-c", code.format(str(tmp_path / "run.zarr"))], capture_output=True, text=True, check=False
        )
        assert "another process is at work on this run (process " + str(os.getpid()) in second.stderr
    assert names(tmp_path) == []
    with claimed(tmp_path / "run.zarr"):
        pass


@pytest.mark.parametrize("name", ["a" * 300, "a\0b"], ids=["too long", "null"])
def test_a_name_that_no_system_takes_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(StorageError, match="could not be written: the name"), replacing_file(tmp_path / name):
        pass
    assert names(tmp_path) == []


@pytest.mark.parametrize(("text", "cell"), [("=1+1", "'=1+1"), (" @x", "' @x"), ("a\tb\nc", "a b c"), (-1.5, -1.5)])
def test_no_cell_of_a_table_is_a_formula(text: object, cell: object) -> None:
    assert safe_cell(text) == cell


def test_of_several_files_none_is_replaced_when_the_last_cannot_be(tmp_path: Path) -> None:
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    first.write_text("before")
    second.mkdir()
    with pytest.raises(StorageError, match=r"b\.csv.*a folder stands there"), replacing_files(first, second) as files:
        _ = [file.write_text("after") for file in files]
    assert first.read_text() == "before"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.csv", "b.csv"]


def test_of_several_files_none_is_left_when_writing_fails(tmp_path: Path) -> None:
    with pytest.raises(StorageError), replacing_files(tmp_path / "a.csv", tmp_path / "b.csv") as files:
        (files[0] / "no folder").write_text("after")
    assert not list(tmp_path.iterdir())


def test_several_files_replace_what_stood_there(tmp_path: Path) -> None:
    places = tmp_path / "a.csv", tmp_path / "b.csv"
    places[1].write_text("before")
    with replacing_files(*places) as files:
        for file in files:
            file.write_text(f"after {file.name}")
    assert [place.read_text() for place in places] == ["after a.csv", "after b.csv"]
    assert len(list(tmp_path.iterdir())) == 2
