"""A session that takes the place of another: what a person put there stays, what the program wrote goes."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.safety.changes import Changes
from napari_vidrecon.errors import StorageError
from napari_vidrecon.sessions.session import open_session
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.sessions.writer import SESSION, write_session
from napari_vidrecon.storage import recover_folder

NEURONS, FRAMES = 3, 32
COORDINATES = np.zeros((NEURONS, 3))
TRIED_OF_WRITING, TRIED_OF_SWAPPING = 11, 2
"""Every how many changes to the disk the process is killed, before and after the first of the last forty."""
LAST = 40
THEIRS = ("encoders/", "mask.npy", "notes.txt", "data/videos/why.txt", "data/own/", "meta/neurons/labels.npy")


def written(folder: Path, trials: int, level: float = 0.0) -> Path:
    numbers = np.zeros((2, FRAMES), np.float32)
    clip = Trial(
        0, "train", np.full((FRAMES, 36, 64), level, np.float32), numbers, numbers, numbers[:1].repeat(NEURONS, 0)
    )
    return write_session(folder, [clip] * trials, coordinates=COORDINATES, small=True)


def add_theirs(folder: Path) -> None:
    for name in THEIRS:
        file = folder / name / "deep/own.txt" if name.endswith("/") else folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"mine: {name}")


def theirs_are_whole(folder: Path) -> bool:
    files = {name: folder / name / "deep/own.txt" if name.endswith("/") else folder / name for name in THEIRS}
    return all(file.is_file() and file.read_text() == f"mine: {name}" for name, file in files.items())


def test_what_a_person_put_into_a_session_stays_and_its_old_trials_go(tmp_path: Path) -> None:
    folder = written(tmp_path / "mouse", 3)
    add_theirs(folder)
    written(folder, 2, 200.0)
    assert theirs_are_whole(folder)
    assert SESSION.belongings(folder) == sorted(THEIRS)
    assert sorted(file.name for file in (folder / "data/videos").iterdir()) == ["0.npy", "1.npy", "why.txt"]
    assert open_session(folder).trial(1).video.max() == 200
    assert [each.name for each in tmp_path.iterdir()] == ["mouse"]


def test_a_session_knows_every_file_that_it_writes_as_its_own(tmp_path: Path) -> None:
    assert SESSION.belongings(written(tmp_path / "mouse", 1)) == []


@pytest.mark.parametrize("inside", ["thesis.docx", "import.json", "data/videos/0.npy", "meta/trials/tiers.npy"])
def test_a_folder_that_is_no_session_is_never_written_to(inside: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / inside).parent.mkdir(parents=True)
    (home / inside).write_text("mine")
    with pytest.raises(StorageError, match="home: expected a free name for the session, found other files"):
        written(home, 1)
    assert (home / inside).read_text() == "mine"
    assert [each.name for each in tmp_path.iterdir()] == ["home"]


def test_where_something_of_theirs_stands_in_the_way_nothing_is_touched(tmp_path: Path) -> None:
    folder = written(tmp_path / "mouse", 1)
    (tmp_path / "big_disk").mkdir()
    (folder / "data").rename(tmp_path / "big_disk/data")
    (folder / "data").symlink_to(tmp_path / "big_disk/data")
    with pytest.raises(StorageError, match=r"mouse/data: .*move it away first"):
        written(folder, 2)
    assert (tmp_path / "big_disk/data/videos/0.npy").is_file()
    assert not (tmp_path / "big_disk/data/videos/1.npy").exists()


def test_a_link_to_a_session_stays_a_link(tmp_path: Path) -> None:
    folder = written(tmp_path / "disk/mouse", 1)
    add_theirs(folder)
    (tmp_path / "mouse").symlink_to(folder)
    written(tmp_path / "mouse", 2)
    assert (tmp_path / "mouse").is_symlink()
    assert theirs_are_whole(folder)
    assert len(open_session(folder).trial_ids) == 2


def replaced_in_a_child(folder: Path, last: int | None = None) -> int:
    """Changes that replacing a session makes; 0 if the process was killed before one of them."""
    add_theirs(written(folder, 1))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        changes = Changes(last)
        sys.addaudithook(changes)
        written(folder, 2)
        os.write(writing, str(changes.count).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as told:
        return int(told.read() or 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_whenever_a_process_is_killed_one_whole_session_is_there_with_all_that_is_theirs(tmp_path: Path) -> None:
    folder, found = tmp_path / "mouse", []
    there_are = replaced_in_a_child(folder)
    assert there_are > LAST
    for change in (
        *range(1, there_are - LAST, TRIED_OF_WRITING),
        *range(there_are - LAST, there_are, TRIED_OF_SWAPPING),
    ):
        shutil.rmtree(folder)
        assert replaced_in_a_child(folder, change) == 0
        recover_folder(folder)
        assert [each.name for each in tmp_path.iterdir()] == ["mouse"], change
        assert theirs_are_whole(folder), change
        session = open_session(folder)
        found.append(len(session.trial_ids))
        session.trial(found[-1] - 1)
    assert found == sorted(found)
    assert set(found) == {1, 2}
