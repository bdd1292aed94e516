"""Whatever comes out of a verb is an exit code and at most one line, in any surroundings."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import napari_vidrecon as vr
from napari_vidrecon.cli import app, main
from napari_vidrecon.cli.inputs import warn_of_mask
from napari_vidrecon.errors import EncoderError

CLI = Path(app.__file__).parent
COMMAND = (sys.executable, "-m", "napari_vidrecon.cli")
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells and signals")


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where tracebacks go."""
    monkeypatch.setenv("VIDRECON_LOGS", str(tmp_path / "logs"))
    return tmp_path / "logs"


@pytest.fixture
def verb_that(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Let every verb do something else."""

    def do(something: Callable[[], object]) -> None:
        def run(words: list[str]) -> int:
            something()
            return 0

        monkeypatch.setattr(app, "run_command", run)

    return do


def raising(error: BaseException) -> Callable[[], object]:
    """Something that ends with this error."""

    def something() -> object:
        raise error

    return something


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (EncoderError("a\x1b[31m\nb"), 2, "vidrecon: a [31m b"),
        (MemoryError(), 2, "more memory"),
        (RuntimeError("can't start new thread"), 2, "more memory"),
        (RuntimeError("could not create a primitive"), 2, "more memory"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "a" * 400), 2, "longer than the system takes"),
        (OSError(errno.EMFILE, "Too many open files", "x"), 2, "ulimit -n"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), 2, "x: the system said: Permission denied"),
        (ImportError("libx.so: no such file", name="torch"), 2, "the library torch cannot be loaded"),
        (KeyboardInterrupt(), 130, "stopped"),
        (SystemExit("a library had enough"), 2, "a library had enough"),
        (SystemExit(3), 3, ""),
        (SystemExit(), 0, ""),
        (RecursionError("maximum depth"), 70, "fault of the program itself (RecursionError"),
        (ValueError("a\nb \x1b]0;title\x07"), 70, "(ValueError: a b ]0;title)"),
    ],
)
def test_every_error_is_one_printable_line(error: BaseException, code: int, words: str, verb_that, vidrecon) -> None:
    verb_that(raising(error))
    answer = vidrecon("info", "x")
    assert answer.code == code
    assert words in answer.err
    assert len(answer.err.splitlines()) == bool(words)
    assert answer.err.strip().isprintable()
    assert "Traceback" not in answer.err


def test_a_run_that_ends_for_want_of_memory_says_where_it_is_kept(
    reconstruct_words, vidrecon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from napari_vidrecon.reconstruction.run import Run

    step = Run.step

    def third(run: Run):
        if run.steppable.step_index == 2:
            raise MemoryError
        return step(run)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "step", third)
        answer = vidrecon(*reconstruct_words, "--trial", 0)
    (kept,) = (tmp_path / "runs").iterdir()
    assert answer.code == 2
    assert f"what is done is kept in {kept}, and the same command goes on from there" in answer.err
    assert vidrecon(*reconstruct_words, "--trial", 0, "--json").json["runs"][0]["state"] == "continued"


def test_a_fault_names_the_file_that_was_read_where_that_is_known(verb_that, vidrecon) -> None:
    inner = EncoderError("inner")
    inner.add_note("while reading /data/damaged.npy")
    fault = ZeroDivisionError("division by zero")
    fault.__cause__ = inner
    verb_that(raising(fault))
    assert vidrecon("info", "x").err.startswith("vidrecon: /data/damaged.npy: a fault of the program itself")


def test_a_fault_without_a_place_for_its_log_says_so(verb_that, vidrecon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_vidrecon.storage.fault_log.write_fault_log", lambda error: None)
    verb_that(raising(ValueError("x")))
    answer = vidrecon("info", "x")
    assert "no log could be written; VIDRECON_TRACEBACK=1 shows the details" in answer.err
    assert "Traceback" not in answer.err
    monkeypatch.setenv("VIDRECON_TRACEBACK", "1")
    assert "Traceback" in vidrecon("info", "x").err


def test_what_goes_wrong_in_a_thread_goes_to_a_log_and_not_to_the_terminal(verb_that, vidrecon, logs: Path) -> None:
    def start() -> None:
        thread = threading.Thread(target=raising(ValueError("in a thread")))
        thread.start()
        thread.join()

    hooks = threading.excepthook, sys.unraisablehook
    verb_that(start)
    assert vidrecon("info", "x").err == ""
    (log,) = logs.iterdir()
    assert "in a thread" in log.read_text(encoding="utf-8")
    assert (threading.excepthook, sys.unraisablehook) == hooks


def test_warnings_and_what_goes_wrong_at_the_end_of_the_process_are_not_shown(logs: Path) -> None:
    code = """
import sys, warnings
from napari_vidrecon.cli import app, main
class Broken:
    def __del__(self):
        raise ValueError("too late")
kept = []
def run(words):
    warnings.warn("for programmers")
    kept.append(Broken())
    return 0
app.run_command = run
sys.argv = ["vidrecon"]
sys.exit(main())
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


@posix_only
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_command_in_order(name: str, verb_that, vidrecon) -> None:
    number = getattr(signal, name)
    before = signal.getsignal(number)
    ended = []

    def work() -> None:
        try:
            signal.raise_signal(number)
        finally:
            ended.append("cleared up")

    verb_that(work)
    answer = vidrecon("info", "x")
    assert answer.code == 128 + number
    assert answer.err == f"vidrecon: stopped by {name}; nothing is half written\n"
    assert ended == ["cleared up"]
    assert signal.getsignal(number) == before


@posix_only
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_inside_of_exec_has_its_exit_code(name: str) -> None:
    code = f"""
import signal, sys
from napari_vidrecon.cli import app, main
app.run_command = lambda words: exec("signal.raise_signal(signal.{name})")
sys.argv = ["vidrecon"]
sys.exit(main())
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.returncode == 128 + getattr(signal, name)
    assert len(answer.stderr.splitlines()) == 1


def test_a_signal_that_a_library_turns_into_its_own_error_still_stops(verb_that, vidrecon) -> None:
    def load() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("cannot initialise", name="torch") from None

    verb_that(load)
    assert vidrecon("info", "x").code == 130


def test_a_null_character_is_one_line(vidrecon) -> None:
    answer = vidrecon("info", "a\0b")
    assert answer.code == 2
    assert "null" in answer.err


def in_shell(redirections: str, *words: object, **options: object) -> subprocess.CompletedProcess[str]:
    """The command in a shell, with its streams redirected."""
    line = f'"$@" {redirections}'
    return subprocess.run(
        ["sh", "-c", line, "sh", *COMMAND, *map(str, words)], capture_output=True, text=True, check=False, **options
    )


@posix_only
@pytest.mark.parametrize(
    ("redirections", "code", "said"),
    [
        (">&-", 0, ""),
        ("<&- >&- 2>&-", 0, ""),
        ("2>&-", 0, ""),
        pytest.param(
            "> /dev/full",
            2,
            "vidrecon: output: the disk is full",
            marks=pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full"),  # noqa: PTH110
        ),
    ],
)
def test_streams_that_are_closed_or_full(redirections: str, code: int, said: str) -> None:
    answer = in_shell(redirections, "--version")
    assert answer.returncode == code
    assert answer.stderr.startswith(said)
    assert len(answer.stderr.splitlines()) == bool(said)


@posix_only
def test_a_file_that_is_written_while_stdout_is_closed_holds_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import os, sys; from napari_vidrecon.cli.report import open_closed_streams; open_closed_streams();"
        f"file = os.open({str(tmp_path / 'x')!r}, os.O_CREAT | os.O_WRONLY); print('answer', flush=True)"
    )
    subprocess.run(["sh", "-c", '"$@" >&- <&-', "sh", sys.executable, "-c", code], check=True)
    assert (tmp_path / "x").read_bytes() == b""


@posix_only
def test_a_folder_that_is_gone_is_one_line(tmp_path: Path) -> None:
    answer = in_shell("", "--version", cwd=tmp_path, preexec_fn=tmp_path.rmdir)
    assert answer.returncode == 2
    assert answer.stderr.splitlines()[-1] == (
        "vidrecon: the folder that the command was started in is gone; change to another"
    )


def test_the_preset_cannot_be_renamed_by_a_setting(reconstruct_words, vidrecon) -> None:
    answer = vidrecon(*reconstruct_words, "--trial", 0, "--set", "preset_name=x")
    assert answer.code == 2
    assert "preset_name: expected to be set by choosing the preset" in answer.err


def test_a_name_longer_than_the_system_takes_is_one_line(vidrecon, small_session_folder, small_encoder_file) -> None:
    long = "a" * 300
    words = ("predict", small_session_folder, "--encoder", small_encoder_file, "--trial", 0, "--device", "cpu")
    for line in (("info", long), ("validate", long), ("export", "--table", "x.csv", long), (*words, "--out", long)):
        answer = vidrecon(*line)
        assert answer.code == 2
        assert len(answer.err.splitlines()) == 1
        assert "fault of the program" not in answer.err


def test_control_characters_of_names_do_not_reach_the_terminal(vidrecon, tmp_path: Path, mask_file: Path) -> None:
    strange = tmp_path / "a\x1b]0;b\x9b\u202ec.npy"
    strange.write_bytes(mask_file.read_bytes())
    for words in (("info", strange), ("info", strange, "--json")):
        answer = vidrecon(*words)
        assert answer.code == 0
        assert answer.out.replace("\n", "").isprintable()


def test_words_that_mean_nothing_are_one_line(vidrecon) -> None:
    for words in (["frobnicate"], ["info"], ["info", "--nothing"], ["demo", "--frames", "\udcff"]):
        answer = vidrecon(*words)
        assert answer.code == 2
        assert len(answer.err.splitlines()) == 1


def test_main_takes_words_of_any_kind(tmp_path: Path) -> None:
    assert main(["info", str(tmp_path / "x")]) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take text only")
def test_a_name_that_is_no_text_is_refused_before_anything_is_converted(
    vidrecon, golden_checkpoints: list[Path], tmp_path: Path
) -> None:
    answer = vidrecon("convert", golden_checkpoints[0], "--out", tmp_path / "a\udcff.safetensors")
    assert answer.code == 2
    assert "expected a name that is text" in answer.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")  # noqa: PTH110
def test_words_that_find_no_room_on_stderr_end_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w", buffering=1) as full:  # noqa: PTH123
        monkeypatch.setattr(sys, "stderr", full)
        warn_of_mask(vr.AlphaMask(np.eye(3, dtype=np.float32)), 0.5)


def test_no_verb_writes_to_stderr_past_what_keeps_control_characters_and_full_disks_away() -> None:
    beside = {file.name for file in CLI.glob("*.py") if "file=sys.stderr" in file.read_text(encoding="utf-8")}
    assert beside == {"report.py", "guarding.py", "live.py"}
