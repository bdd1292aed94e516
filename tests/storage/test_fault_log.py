import os
import subprocess
import sys
import tempfile

import pytest

from napari_vidrecon.storage import fault_log
from napari_vidrecon.storage.fault_log import MOST_KEPT, CrashLog, crashes, write_fault_log


@pytest.fixture
def logs(tmp_path, monkeypatch):
    folder = tmp_path / "state" / "logs"
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
    logs.mkdir(parents=True)
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


@pytest.mark.skipif(sys.platform == "win32", reason="there the log of another living program cannot be renamed")
def test_of_another_living_program_nothing_is_told_and_empty_logs_of_dead_ones_go(logs, monkeypatch):
    logs.mkdir(parents=True)
    living, strange, dead, empty = (logs / f"crash-{process}-20260101-000000.txt" for process in (11, 12, 13, 14))
    for file in (living, strange, dead):
        file.write_text("Segmentation fault")
    empty.touch()

    def kill(process, signal):
        assert signal == 0
        if process in (13, 14):
            raise ProcessLookupError
        if process == 12:
            raise PermissionError

    monkeypatch.setattr(fault_log.os, "kill", kill)
    assert crashes() == [logs / f"told-{dead.name}"]
    assert sorted(logs.iterdir()) == sorted([living, strange, logs / f"told-{dead.name}"])


def test_a_fault_of_a_megabyte_is_cut_there_and_its_name_is_taken_by_one_file(logs, monkeypatch):
    monkeypatch.setattr(fault_log.time, "time", lambda: 1.5e9 + 0.25)
    first, second = write_fault_log(raised("a" * (2 << 20))), write_fault_log(raised())
    assert first.stat().st_size == 1 << 20
    assert f"-250-{os.getpid()}.txt" in first.name
    assert second.name == first.name.replace(".txt", "-1.txt")
