"""A process that is killed before any one of its changes to the disk leaves the old or the new, and no litter."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from benchmarks.safety.changes import Changes
from napari_vidrecon.storage import recover_folder, replacing_folder

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
MORE_THAN_THERE_ARE = 60


def replace_with_new(target: Path) -> None:
    with replacing_folder(target, lambda _: ["notes.txt"]) as draft:
        (draft / "data").write_text("new")


def killed_before(change: int, target: Path) -> bool:
    """Whether the process was killed; it was not if it makes fewer changes."""
    child = os.fork()
    if child == 0:
        try:
            sys.addaudithook(Changes(change))
            replace_with_new(target)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_a_folder_that_is_replaced_is_the_old_or_the_new_one_whenever_the_process_is_killed(tmp_path: Path) -> None:
    target, found = tmp_path / "mouse", []
    for change in range(1, MORE_THAN_THERE_ARE):
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        (target / "data").write_text("old")
        (target / "notes.txt").write_text("mine")
        was_killed = killed_before(change, target)
        recover_folder(target)
        assert [each.name for each in tmp_path.iterdir()] == ["mouse"], change
        assert (target / "notes.txt").read_text() == "mine"
        found.append((target / "data").read_text())
        if not was_killed:
            break
    assert not was_killed
    assert found == sorted(found, reverse=True)
    assert set(found) == {"old", "new"}


def test_what_a_user_deleted_meanwhile_does_not_come_back_half(tmp_path: Path) -> None:
    target = tmp_path / "mouse"
    for change in range(1, MORE_THAN_THERE_ARE):
        target.mkdir()
        (target / "data").write_text("old")
        was_killed = killed_before(change, target)
        new = target.exists() and (target / "data").read_text() == "new"
        shutil.rmtree(target, ignore_errors=True)
        recover_folder(target)
        if new:
            assert not target.exists() or (target / "data").read_text() == "old"
        shutil.rmtree(target, ignore_errors=True)
        if not was_killed:
            break
    assert not was_killed


def test_a_draft_goes_even_where_hardly_a_file_more_can_be_opened(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with replacing_folder(tmp_path / "mouse") as draft:
                (draft / "a/b/c/d/e/f/g/h").mkdir(parents=True)
            with replacing_folder(tmp_path / "mouse"):
                used = os.open(os.devnull, os.O_RDONLY)
                os.close(used)
                resource.setrlimit(resource.RLIMIT_NOFILE, (used + 2, used + 2))
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert [each.name for each in tmp_path.iterdir()] == ["mouse"]
