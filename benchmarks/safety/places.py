"""Surroundings of a command: where it writes, what the system grants it, what its streams and its variables are."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

KIB, MIB = 1 << 10, 1 << 20
LONGEST_NAME = 255
LITTLE_ROOM = "64k"


class CannotBeMade(Exception):
    """This machine does not let anybody make these surroundings; says why."""


@dataclass(frozen=True)
class Surrounding:
    """What is odd around a command.

    Parameters
    ----------
    name
        For people.
    whole_process
        It needs an interpreter that starts in it; else a fork of a warm one will do.
    variables
        Environment variables that are set, or with None taken away.
    out
        Given the working folder and the usual name of what is written: the name that is written to.
    before
        Called in the process before the command.
    around
        Entered around the command, with its working folder.
    signal
        Number of a signal and the seconds after which it comes.
    other_sums
        Sums may be taken in another order, so that the last bits of a result differ.
    """

    name: str
    whole_process: bool = False
    variables: Mapping[str, str | None] = field(default_factory=dict)
    out: Callable[[Path, str], str] | None = None
    before: Callable[[], None] | None = None
    around: Callable[[Path], contextlib.AbstractContextManager[None]] | None = None
    signal: tuple[int, float] | None = None
    other_sums: bool = False


def _variables(name: str, **values: str | None) -> Surrounding:
    return Surrounding(name, whole_process=True, variables=values)


def _streams(name: str, before: Callable[[], None]) -> Surrounding:
    return Surrounding(name, whole_process=True, before=before)


def _limit(kind: int, most: int) -> Callable[[], None]:
    def before() -> None:
        resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))

    return before


def _more_memory(most: int) -> Callable[[], None]:
    """A limit above what the process has already."""

    def before() -> None:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + most
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    return before


def _to(path: str, number: int) -> Callable[[], None]:
    def before() -> None:
        os.dup2(os.open(path, os.O_RDWR), number)

    return before


def _unread(number: int) -> Callable[[], None]:
    def before() -> None:
        reading, writing = os.pipe()
        os.dup2(writing, number)
        os.close(writing)
        os.close(reading)

    return before


def _closed(*numbers: int) -> Callable[[], None]:
    def before() -> None:
        for number in numbers:
            os.close(number)

    return before


def _gone() -> None:
    here = os.getcwd()  # noqa: PTH109
    os.rmdir(here)  # noqa: PTH106


@contextlib.contextmanager
def _mounted(place: Path, options: str, *, read_only: bool = False) -> Iterator[None]:
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    try:
        subprocess.run(words, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotBeMade(f"mounting is not permitted here ({error})") from None
    try:
        if read_only:
            subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True, capture_output=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)


def _full(place: Path) -> contextlib.AbstractContextManager[None]:
    return _mounted(place, f"size={LITTLE_ROOM}")


def _no_more_files(place: Path) -> contextlib.AbstractContextManager[None]:
    return _mounted(place, "nr_inodes=3")


def _read_only(place: Path) -> contextlib.AbstractContextManager[None]:
    return _mounted(place, "size=1m", read_only=True)


def _with(make: Callable[[Path], object]) -> Callable[[Path], contextlib.AbstractContextManager[None]]:
    @contextlib.contextmanager
    def around(place: Path) -> Iterator[None]:
        make(place)
        yield

    return around


def _named(name: str, folder: str = "") -> Callable[[Path, str], str]:
    """A name with the usual suffix; braces stand for the usual name."""

    def out(_: Path, usual: str) -> str:
        return folder + name.replace("{}", usual)

    return out


def _long(characters: int) -> Callable[[Path, str], str]:
    def out(_: Path, usual: str) -> str:
        return "a" * (characters - len(usual)) + usual

    return out


def _deep(_: Path, usual: str) -> str:
    return "/".join([*["a" * 200] * 22, usual])


def _link(target: str) -> Callable[[Path], object]:
    def make(place: Path) -> None:
        (place / "elsewhere").mkdir()
        (place / "link").symlink_to(target)

    return make


PATHS: tuple[Surrounding, ...] = (
    Surrounding("a name with spaces", out=_named(" a  b {}")),
    Surrounding("a name with quotes", out=_named('it\'s "so" `x` $HOME {}')),
    Surrounding("a name with a line break", out=_named("a\nb {}")),
    Surrounding("a name of other scripts", out=_named("Mäuse 鼠 🐭 {}")),
    Surrounding("a name with control characters", out=_named("a\x1b[31m\x07{}")),
    Surrounding("a name that is no UTF-8", out=_named("a\udcff{}")),
    Surrounding("a name that begins with a dash", out=_named("-x{}")),
    Surrounding("a name that ends in a dot", out=_named("{}.")),
    Surrounding("a name that ends in a slash", out=_named("{}/")),
    Surrounding("a name of a dot", out=_named(".")),
    Surrounding("a name of two dots", out=_named("..")),
    Surrounding("no name", out=_named("")),
    Surrounding("the root", out=_named("/")),
    Surrounding("a tilde", out=_named("~/{}")),
    Surrounding("a name of 250 characters", out=_long(250)),
    Surrounding("a name of 300 characters", out=_long(300)),
    Surrounding("a path of 4,400 characters", out=_deep),
    Surrounding("a path with dots", out=_named("a/../{}")),
    Surrounding("a relative path", out=_named("./././{}")),
    Surrounding("an absolute path", out=lambda place, usual: str(place / usual)),
    Surrounding("folders that are not there", out=_named("a/b/c/{}")),
    Surrounding("a part of the path is a file", out=_named("file/{}"), around=_with(lambda p: (p / "file").touch())),
    Surrounding("through a link to a folder", out=_named("link/{}"), around=_with(_link("elsewhere"))),
    Surrounding("through a link to nothing", out=_named("link/{}"), around=_with(_link("nowhere"))),
    Surrounding("through a link to itself", out=_named("link/{}"), around=_with(_link("link"))),
    Surrounding("in the place of a pipe", out=_named("pipe"), around=_with(lambda p: os.mkfifo(p / "pipe"))),
    Surrounding(
        "in the place of a folder", out=_named("folder"), around=_with(lambda p: (p / "folder/x").mkdir(parents=True))
    ),
    Surrounding("in the place of a file", out=_named("file"), around=_with(lambda p: (p / "file").write_text("mine"))),
    Surrounding("/dev/null", out=_named("/dev/null")),
    Surrounding("/dev/full", out=_named("/dev/full")),
    Surrounding("in /proc", out=_named("{}", "/proc/")),
    Surrounding("in /sys", out=_named("{}", "/sys/")),
    Surrounding("in the place of its input", out=_named("{input}")),
    Surrounding("inside of its input", out=_named("{input}/{}")),
    Surrounding(
        "a name that differs in its case", out=_named("FILE.{}"), around=_with(lambda p: (p / "file.x").touch())
    ),
)
GRANTS: tuple[Surrounding, ...] = (
    Surrounding("a disk that is full", around=_full),
    Surrounding("a disk without room for a file more", around=_no_more_files),
    Surrounding("a disk that is read-only", around=_read_only),
    Surrounding("files of at most 0 bytes", before=_limit(resource.RLIMIT_FSIZE, 0)),
    Surrounding("files of at most 4 KiB", before=_limit(resource.RLIMIT_FSIZE, 4 * KIB)),
    Surrounding("files of at most 100 KiB", before=_limit(resource.RLIMIT_FSIZE, 100 * KIB)),
    Surrounding("12 open files", before=_limit(resource.RLIMIT_NOFILE, 12)),
    Surrounding("24 open files", before=_limit(resource.RLIMIT_NOFILE, 24)),
    Surrounding("64 open files", before=_limit(resource.RLIMIT_NOFILE, 64)),
    Surrounding("128 MiB more of memory", before=_more_memory(128 * MIB)),
    Surrounding("256 MiB more of memory", before=_more_memory(256 * MIB)),
    Surrounding("no permission to read what is written", before=lambda: os.umask(0o777) and None),
    Surrounding("an interpreter with 24 open files", True, before=_limit(resource.RLIMIT_NOFILE, 24)),
    Surrounding("an interpreter with 6 GiB", True, before=_limit(resource.RLIMIT_AS, 6 << 30)),
    Surrounding("a working folder that is gone", True, before=_gone),
    Surrounding("a working folder in /proc", True, before=lambda: os.chdir("/proc/self")),
)
STREAMS: tuple[Surrounding, ...] = (
    _streams("stdout closed", _closed(1)),
    _streams("stderr closed", _closed(2)),
    _streams("stdin closed", _closed(0)),
    _streams("all streams closed", _closed(0, 1, 2)),
    _streams("stdout full", _to("/dev/full", 1)),
    _streams("stderr full", _to("/dev/full", 2)),
    _streams("nobody reads stdout", _unread(1)),
    _streams("nobody reads stderr", _unread(2)),
)
VARIABLES: tuple[Surrounding, ...] = (
    _variables("no variables for a home", HOME=None, XDG_CACHE_HOME=None, XDG_STATE_HOME=None, XDG_CONFIG_HOME=None),
    _variables("a home that is not there", HOME="/nonexistent", XDG_CACHE_HOME=None, XDG_STATE_HOME=None),
    _variables("a home that is read-only", HOME="/proc", XDG_CACHE_HOME=None, XDG_STATE_HOME=None),
    _variables("a home that is a file", HOME="/etc/hostname", XDG_CACHE_HOME=None, XDG_STATE_HOME=None),
    _variables("a home of no name", HOME="", XDG_CACHE_HOME="", XDG_STATE_HOME="", XDG_CONFIG_HOME=""),
    _variables("no variable for temporary files", TMPDIR=None, TEMP=None, TMP=None),
    _variables("temporary files go nowhere", TMPDIR="/nonexistent"),
    _variables("temporary files go to a file", TMPDIR="/etc/hostname"),
    _variables("logs go nowhere", VIDRECON_LOGS="/proc/x", VIDRECON_STATE="/proc/x", MPLCONFIGDIR="/proc/x"),
    _variables("LANG=C", LANG="C", LC_ALL=None),
    _variables("LC_ALL=POSIX", LC_ALL="POSIX"),
    _variables("a locale in ASCII", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"),
    _variables("a locale that is unknown", LC_ALL="xx_YY.nothing"),
    _variables("no locale", LANG=None, LC_ALL=None, LC_CTYPE=None),
    _variables("streams in ASCII", PYTHONIOENCODING="ascii"),
    _variables("a terminal of one column", COLUMNS="1", LINES="1"),
    _variables("a terminal of no columns", COLUMNS="0", TERM="xterm"),
    _variables("a dumb terminal", TERM="dumb"),
    _variables("no terminal", TERM=None),
    _variables("colours at any price", FORCE_COLOR="1", TTY_COMPATIBLE="1"),
    _variables("0 threads", OMP_NUM_THREADS="0", MKL_NUM_THREADS="0"),
    Surrounding("-1 threads", whole_process=True, variables={"OMP_NUM_THREADS": "-1"}, other_sums=True),
    _variables("threads that are a word", OMP_NUM_THREADS="many", MKL_NUM_THREADS="many", OPENBLAS_NUM_THREADS="x"),
    Surrounding("64 threads", whole_process=True, variables={"OMP_NUM_THREADS": "64"}, other_sums=True),
    _variables("no search path", PATH=None),
    _variables("no variables at all", **dict.fromkeys(("PATH", "HOME", "LANG", "TERM", "TMPDIR", "USER", "LOGNAME"))),
    _variables("a time zone that is unknown", TZ="Nowhere/At/All"),
    _variables("a proxy that is none", HTTP_PROXY="::", http_proxy="::", ALL_PROXY="::"),
)
SIGNALS: tuple[Surrounding, ...] = tuple(
    Surrounding(f"{name} after {after:g} s", True, signal=(getattr(signal, name), after))
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    for after in (0.3, 0.8, 1.5, 2.5)
)
SURROUNDINGS = PATHS + GRANTS + STREAMS + VARIABLES + SIGNALS
