"""Writing: whole or not at all, and what a user put somewhere stays there."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import filelock
import numpy as np
import pytest

from napari_vidrecon.errors import StorageError
from napari_vidrecon.storage import (
    claimed,
    disk_errors,
    fitting_name,
    recover_folder,
    replacing_file,
    replacing_files,
    replacing_folder,
    safe_cell,
    sweep,
    write_tables,
)
from napari_vidrecon.storage.writing import sweep_claims


def killed(code: str, folder: Path) -> None:
    """Run some lines in a process of their own, which kills itself in the middle."""
    start = "import os, signal\nfrom pathlib import Path\nfrom napari_vidrecon.storage import *\nhere = Path({!r})\n"
    ended = subprocess.run([sys.executable, "-c", start.format(str(folder)) + textwrap.dedent(code)], check=False)
    assert ended.returncode == -signal.SIGKILL


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


@pytest.mark.parametrize("name", ["a" * 250, "长" * 82, "🐭" * 61])
def test_a_file_called_after_something_with_a_long_name_can_be_written_and_its_name_is_its_own(
    name: str, tmp_path: Path
) -> None:
    fitted = fitting_name(name, "_trial1_20260131-170501-000.zarr", "run_")
    assert fitted.startswith("run_" + name[:20])
    assert fitted.endswith("_trial1_20260131-170501-000.zarr")
    (tmp_path / (fitted + ".part")).mkdir()
    assert fitted == fitting_name(name, "_trial1_20260131-170501-000.zarr", "run_")
    assert fitted != fitting_name(name[:-1] + "b", "_trial1_20260131-170501-000.zarr", "run_")
    assert fitting_name("mouse", ".zarr", "run_") == "run_mouse.zarr"


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
@pytest.mark.skipif(os.name == "nt", reason="files have no such permissions there")
def test_who_may_read_a_file_does_not_depend_on_the_library_that_wrote_it(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    with replacing_file(tmp_path / "file") as draft:
        draft.chmod(0o600)
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "usual").stat().st_mode


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


def test_only_a_folder_of_its_own_name_comes_back(tmp_path: Path) -> None:
    for inside, kind in (("run.zarr", Path.touch), ("other", Path.mkdir)):
        shutil.rmtree(tmp_path)
        (tmp_path / ".run.zarr-old-abcd1234").mkdir(parents=True)
        kind(tmp_path / ".run.zarr-old-abcd1234" / inside)
        (tmp_path / ".other-old-abcd1234" / "run.zarr").mkdir(parents=True)
        recover_folder(tmp_path / "run.zarr")
        assert names(tmp_path) == [".other-old-abcd1234", ".run.zarr-old-abcd1234"]


def dead_draft(parent: Path, size_bytes: int = 0, **changes: object) -> Path:
    """As a killed process leaves it, with what it had moved aside; the note as long as asked for."""
    draft = parent / (PREFIX + "dead")
    (draft / "old").mkdir(parents=True)
    (draft / "old" / "a.txt").write_text("old")
    note = {"format": "napari-vidrecon draft 1", "target": "a.txt", "keep": [], "done": False, **changes}
    (draft / "draft.json").write_text(json.dumps(note).ljust(size_bytes))
    return draft


@pytest.mark.parametrize(
    ("size_bytes", "changes"),
    [
        ((4 << 20) + 1, {}),
        (0, {"format": "another 1"}),
        (0, {"format": "zarr 1"}),
        (0, {"target": "../a.txt"}),
        (0, {"target": "b/a.txt"}),
        (0, {"target": ""}),
        (0, {"target": 1}),
        (0, {"keep": "a"}),
        (0, {"keep": [1]}),
        (0, {"keep": ["../b"]}),
        (0, {"keep": ["/b"]}),
    ],
)
def test_a_draft_whose_note_is_none_of_ours_is_left_alone(
    size_bytes: int, changes: dict[str, object], tmp_path: Path
) -> None:
    draft = dead_draft(tmp_path / "its", size_bytes, **changes)
    assert sweep(tmp_path / "its") == []
    assert (draft / "old" / "a.txt").read_text() == "old"
    assert names(tmp_path / "its") == [draft.name]


@pytest.mark.parametrize("size_bytes", [0, 4 << 20])
def test_what_a_dead_draft_moved_aside_comes_back(size_bytes: int, tmp_path: Path) -> None:
    draft = dead_draft(tmp_path, size_bytes)
    assert sweep(tmp_path) == [draft]
    assert (names(tmp_path), (tmp_path / "a.txt").read_text()) == (["a.txt"], "old")


def test_where_a_folder_finds_room_and_no_file_in_it_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def acquire(*_args: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    with pytest.raises(StorageError, match="the disk is full"), replacing_file(tmp_path / "result.npy"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_empty_draft_goes_and_one_that_holds_a_note_alone_and_more_stays(tmp_path: Path) -> None:
    empty, fresh, foreign = (tmp_path / (PREFIX + name) for name in ("empty", "fresh", "foreign"))
    for folder in (empty, fresh, foreign):
        folder.mkdir()
    for name in ("owner.lock", "draft.json.new"):
        (fresh / name).touch()
        (foreign / name).touch()
    (foreign / "data").touch()
    lockless = tmp_path / (PREFIX + "lockless")
    lockless.mkdir()
    (lockless / "draft.json.new").touch()
    assert sorted(sweep(tmp_path)) == [empty, fresh]
    assert names(tmp_path) == [foreign.name, lockless.name]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "full"), "the disk is full"),
        (RuntimeError("I/O error: File too large (os error 27)"), "of this size"),
        (OSError("1000 requested and 20 written"), "the disk is full"),
        (ValueError("embedded null byte"), "no system takes"),
        (UnicodeEncodeError("ascii", "é", 0, 1, "no"), "cannot write"),
    ],
)
def test_what_the_disk_does_not_take_is_told_whoever_says_it(error: Exception, words: str) -> None:
    with pytest.raises(StorageError, match=words), disk_errors("a.txt"):
        raise error
    with pytest.raises(RuntimeError, match="something else"), disk_errors("a.txt"):
        raise RuntimeError("something else")


def test_a_place_that_takes_no_folder_is_told_and_a_missing_source_is_not_taken_for_it(tmp_path: Path) -> None:
    out = tmp_path / "out" / "session"
    for missing in (out.parent, out.parent / "draft", out / "draft"):
        told = pytest.raises(StorageError, match=r"session: could not be written: no folder .*choose another place")
        with told, disk_errors(out):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(missing))
    with pytest.raises(FileNotFoundError), disk_errors(out):
        (tmp_path / "recording" / "spks.npy").read_bytes()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that takes no files")
def test_a_place_that_takes_no_lock_is_not_said_to_be_in_use() -> None:
    told, path = pytest.raises(StorageError, match="no folder can be made there"), "/proc/mask.npy"
    with told, disk_errors(path), claimed(path, "mask"):
        pass


def test_work_whose_folder_is_taken_away_ends_as_it_ends_and_not_with_its_lock(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    with claimed(folder / "one", "run"):
        folder.rename(tmp_path / "elsewhere")
        folder.write_text("a file by now")
    folder.unlink()

    def work() -> None:
        with claimed(folder / "one", "run"):
            folder.rename(tmp_path / "gone")
            raise StorageError("no room")

    with pytest.raises(StorageError, match="no room"):
        work()
    with claimed(folder / "one", "run"):
        assert folder.is_dir()


def test_locks_of_dead_processes_go_and_what_only_looks_like_one_stays(tmp_path: Path) -> None:
    first_line = "napari-vidrecon lock 1"
    contents = {
        "empty": "",
        "ours": first_line,
        "full": first_line.ljust(4096),
        "long": first_line.ljust(4097),
        "x": "x",
    }
    for name, content in contents.items():
        (tmp_path / f".vidrecon-lock-{name}").write_text(content)
    sweep_claims(tmp_path)
    assert names(tmp_path) == [".vidrecon-lock-long", ".vidrecon-lock-x"]


def test_a_table_comes_back_number_by_number_and_nan_is_an_empty_cell(tmp_path: Path) -> None:
    columns = {"=a": np.array([0.1, np.nan]), "n": np.array([1, 2])}
    write_tables({tmp_path / "a.csv": columns})
    assert (tmp_path / "a.csv").read_text().splitlines() == ["'=a,n", "0.1,1", ",2"]


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
