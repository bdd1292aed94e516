import os
import subprocess
import sys
import tempfile

import pytest

from napari_vidrecon.storage import fault_log
from napari_vidrecon.storage.fault_log import MOST_KEPT, CrashLog, crashes, write_fault_log


@pytest.fixture
def logs(tmp_path, monkeypatch):
    folder = tmp_path / "logs"
    monkeypatch.setenv(fault_log.FOLDER_VARIABLE, str(folder))
    return folder


def raised(message="a \udcff b"):
    try:
        raise ValueError(message)
    except ValueError as error:
        error.add_note("while reading x")
        return error


def test_a_fault_is_written_with_its_traceback_and_its_notes(logs):
    file = write_fault_log(raised())
    assert file.parent == logs
    text = file.read_text("utf-8")
    assert "Traceback" in text
    assert "ValueError" in text
    assert "while reading x" in text


def test_only_the_newest_faults_are_kept_and_nothing_of_others_is_removed(logs):
    logs.mkdir()
    (logs / "fault-20000101-000000-000-1.txt").write_text("a user's own")
    (logs / "notes.txt").write_text("a user's own")
    written = [write_fault_log(raised()) for _ in range(MOST_KEPT + 5)]
    assert len(set(written)) == len(written)
    ours = [file for file in written if file.exists()]
    assert len(ours) == MOST_KEPT
    assert (logs / "fault-20000101-000000-000-1.txt").read_text() == "a user's own"
    assert (logs / "notes.txt").exists()


def test_a_fault_goes_to_the_temporary_folder_where_the_other_cannot_be_written(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv(fault_log.FOLDER_VARIABLE, str(blocked / "logs"))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    file = write_fault_log(raised())
    assert file.is_relative_to(tmp_path / "temporary")


def test_nothing_is_raised_where_nothing_can_be_written(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv(fault_log.FOLDER_VARIABLE, str(blocked) + os.sep + "logs")
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(blocked))
    assert write_fault_log(raised()) is None


def test_an_error_that_cannot_say_what_it_is_does_not_hide_itself(logs):
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError("no words")

    assert "Mute" in write_fault_log(Mute()).read_text("utf-8")


def test_a_program_that_dies_leaves_what_its_threads_did_and_the_next_one_is_told_once(logs):
    code = (
        "from napari_vidrecon.storage.fault_log import CrashLog\n"
        "import os, signal\nlog = CrashLog()\nos.kill(os.getpid(), signal.SIGSEGV)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    (log,) = crashes()
    assert "Segmentation fault" in log.read_text()
    assert crashes() == []
    assert log.exists()


def test_a_program_that_ends_well_leaves_no_crash_log(logs, monkeypatch):
    monkeypatch.setattr(fault_log.faulthandler, "is_enabled", lambda: False)
    monkeypatch.setattr(fault_log.faulthandler, "enable", lambda file: None)
    monkeypatch.setattr(fault_log.faulthandler, "disable", lambda: None)
    log = CrashLog()
    assert log.file.parent == logs
    # Of a program that is still there, nothing is told.
    assert crashes() == []
    assert log.file.exists()
    log.close()
    log.close()
    assert list(logs.iterdir()) == []
