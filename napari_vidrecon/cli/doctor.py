"""`vidrecon doctor`: what this machine has, what is missing, what mends it, how fast it is; `vidrecon bench`."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import napari_vidrecon as vr
from napari_vidrecon.cli import report
from napari_vidrecon.cli.options import Json
from napari_vidrecon.errors import ConfigError, SessionError, one_line

if TYPE_CHECKING:
    from napari_vidrecon.reconstruction.reconstructor import StepInfo


MISSING_ESSENTIAL = 1
BYTES_A_GIB = 1 << 30
LOWEST_PYTHON = (3, 11)
OF_THE_WINDOW = ("napari", "pyqtgraph")
INSTALL_WINDOW = f"{sys.executable} -m pip install 'napari-vidrecon[gui]'"
CUDNN_WRONG, CUDNN_MENDED = (90800, 91300), 91500
"""As torch counts: whose bfloat16 3-D convolutions can be wrong, and from when on torch 2.9 uses them again."""
LINUX_LIBRARIES = {
    "GL": "libgl1",
    "EGL": "libegl1",
    "OpenGL": "libopengl0",
    "xkbcommon-x11": "libxkbcommon-x11-0",
    "xcb-cursor": "libxcb-cursor0",
    "xcb-icccm": "libxcb-icccm4",
    "xcb-image": "libxcb-image0",
    "xcb-keysyms": "libxcb-keysyms1",
    "xcb-randr": "libxcb-randr0",
    "xcb-render-util": "libxcb-render-util0",
    "xcb-shape": "libxcb-shape0",
    "xcb-xinerama": "libxcb-xinerama0",
    "dbus-1": "libdbus-1-3",
    "fontconfig": "libfontconfig1",
}


@dataclass(frozen=True)
class Finding:
    """One thing looked for.

    Parameters
    ----------
    name
        Of the thing.
    found
        What was found.
    sound
        It will do.
    essential
        Nothing works without it.
    remedy
        What to do if it will not do.
    """

    name: str
    found: str
    sound: bool = True
    essential: bool = False
    remedy: str = ""


def doctor(
    speed: Annotated[bool, typer.Option("--speed", help="Measure too how long a step takes; half a minute.")] = False,
    json: Json = False,
) -> None:
    """Say what this machine has and what is missing.

    The exit code is 1 if something essential is missing.
    """
    findings = list(examine({**LOOKS, "speed": _speed} if speed else LOOKS))
    missing = any(finding.essential and not finding.sound for finding in findings)
    values = {"sound": not missing, "findings": [vars(finding) for finding in findings]}
    report.answer(json, values, "this machine", (row for finding in findings for row in _rows(finding)))
    if missing:
        raise typer.Exit(MISSING_ESSENTIAL)


def _rows(finding: Finding) -> Iterator[tuple[str, str]]:
    word = "MISSING" if finding.essential else "missing, but only needed for the window or for some files"
    yield finding.name, finding.found if finding.sound else f"{finding.found} ({word})"
    if finding.remedy:
        yield "", f"mend it: {finding.remedy}"


def examine(looks: Mapping[str, Callable[[], Iterator[Finding]]]) -> Iterator[Finding]:
    """Look at everything, one after the other; what cannot even be looked at is a finding too."""
    for name, look in looks.items():
        try:
            yield from look()
        except Exception as error:  # noqa: BLE001  # this verb is for machines where something is wrong
            yield Finding(name, f"cannot be told ({one_line(error)})", False)


def _system() -> Iterator[Finding]:
    import platform

    version = platform.python_version()
    sound = sys.version_info >= LOWEST_PYTHON
    yield Finding("Python", version, sound, True, "" if sound else "install Python 3.11 or newer")
    yield Finding("system", f"{platform.platform()}, {os.cpu_count()} CPU cores")


def _packages() -> Iterator[Finding]:
    for name in ("napari-vidrecon", "numpy", "zarr", *OF_THE_WINDOW):
        try:
            yield Finding(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            remedy = INSTALL_WINDOW if name in OF_THE_WINDOW else f"{sys.executable} -m pip install {name}"
            yield Finding(name, "not installed", False, name in ("numpy", "zarr"), remedy)


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:
        remedy = f"{sys.executable} -m pip install torch"
        yield Finding("torch", f"cannot be imported ({_first_line(error)})", False, True, remedy)
        return
    yield Finding("torch", f"{torch.__version__}, {torch.get_num_threads()} CPU threads")
    devices = ["cpu"]
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        devices.append(f"cuda:{index} ({name}, {free / BYTES_A_GIB:.1f} of {total / BYTES_A_GIB:.1f} GiB free)")
    if torch.backends.mps.is_available():
        devices.append("mps")
    yield Finding("devices", ", ".join(devices))
    if torch.cuda.is_available():
        yield from cuda_findings(torch.__version__, torch.backends.cudnn.version())


def cuda_findings(torch_version: str, cudnn: int | None) -> Iterator[Finding]:
    """What of CUDA's libraries matters here, and versions known to be slow or wrong in three-dimensional convolutions.

    These are what encoders are trained with, in 16 bits. Reconstructions use two-dimensional ones.

    Parameters
    ----------
    torch_version
        As "2.9.0+cu128".
    cudnn
        As torch tells it, 91002 for 9.10.2; None where it has none.

    Yields
    ------
    Iterator[Finding]
        cuDNN, and Triton.

    References
    ----------
    pytorch/pytorch 163539, 166122, 166643.
    """
    from napari_vidrecon.encoders.frozen.fused_block import kernels_at_hand

    if cudnn is None:
        yield Finding(
            "cuDNN", "none, so convolutions on CUDA are slow", False, remedy="install torch's CUDA build anew"
        )
    else:
        words = f"{cudnn // 10000}.{cudnn // 100 % 100}.{cudnn % 100}"
        without = torch_version.startswith("2.9.") and cudnn < CUDNN_MENDED
        wrong = CUDNN_WRONG[0] <= cudnn < CUDNN_WRONG[1] and not torch_version.startswith("2.9.")
        faults = "; training with mixed precision takes many times the memory and time with this torch" * without
        faults += "; large bfloat16 convolutions may be wrong in training with mixed precision" * wrong
        remedy = f"{sys.executable} -m pip install --upgrade torch 'nvidia-cudnn-cu{_cuda_major()}>=9.15'"
        yield Finding("cuDNN", words + faults, remedy=remedy if faults else "")
    at_hand = "there, for `--precision tf32`" if kernels_at_hand() else "none: `--precision tf32` stays in float32"
    yield Finding("Triton", at_hand)


def _cuda_major() -> str:
    import torch

    return (torch.version.cuda or "12").partition(".")[0]


def _memory() -> Iterator[Finding]:
    import psutil

    memory = psutil.virtual_memory()
    yield Finding("free memory", f"{memory.available / BYTES_A_GIB:.1f} of {memory.total / BYTES_A_GIB:.1f} GiB")


def _disk() -> Iterator[Finding]:
    import shutil

    yield Finding("free disk here", f"{shutil.disk_usage(Path.cwd()).free / BYTES_A_GIB:.1f} GiB")


def _ffmpeg() -> Iterator[Finding]:
    remedy = f"{sys.executable} -m pip install imageio-ffmpeg"
    try:
        import imageio_ffmpeg

        yield Finding("ffmpeg", imageio_ffmpeg.get_ffmpeg_version())
    except (ImportError, RuntimeError, OSError) as error:
        yield Finding("ffmpeg", f"not found ({_first_line(error)})", False, True, remedy)


def _qt() -> Iterator[Finding]:
    remedy = INSTALL_WINDOW
    try:
        qtpy = importlib.import_module("qtpy")
        importlib.import_module("qtpy.QtWidgets")
    except (ImportError, RuntimeError) as error:
        if "cannot open shared object" in str(error):
            remedy = apt_line(_missing_libraries()) or remedy
        yield Finding("Qt", f"cannot be imported ({_first_line(error)})", False, False, remedy)
        return
    yield Finding("Qt", f"{qtpy.API_NAME}, Qt {qtpy.QT_VERSION}")


def has_display() -> bool:
    """Whether a window can be expected to open."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _graphics() -> Iterator[Finding]:
    remedy = "run on a machine with a screen, or with `xvfb-run -a vidrecon ...`; headless verbs need none"
    yield Finding("display", *(("found", True) if has_display() else ("none", False, False, remedy)))
    if sys.platform != "linux":
        return
    missing = _missing_libraries()
    found = "all libraries found" if not missing else f"without {', '.join(missing)}"
    yield Finding("OpenGL and X", found, not missing, False, apt_line(missing))


def _missing_libraries() -> list[str]:
    from ctypes.util import find_library

    return [package for library, package in LINUX_LIBRARIES.items() if find_library(library) is None]


def apt_line(packages: list[str]) -> str:
    """The command that installs Debian packages; empty for none."""
    return f"sudo apt-get update && sudo apt-get install -y {' '.join(packages)}" if packages else ""


def _sample() -> Iterator[Finding]:
    from napari_vidrecon.sessions.sample import HOW_TO_GET_THE_REST, find_sample

    remedy = f"{sys.executable} -m pip install --force-reinstall --no-deps napari-vidrecon"
    try:
        sample = find_sample()
    except SessionError as error:
        yield Finding("sample", _first_line(error), False, False, remedy)
        return
    sound = bool(sample.encoders) and sample.mask.is_file()
    mask = "with" if sample.mask.is_file() else "WITHOUT"
    rest = "" if sample.whole else f"; {HOW_TO_GET_THE_REST}"
    found = f"simulated mouse, {len(sample.encoders)} encoders, {mask} mask{rest}"
    yield Finding("sample", found, sound, False, "" if sound else remedy)


def _speed() -> Iterator[Finding]:
    for name, found in speed_lines():
        yield Finding(name, found)


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return one_line(lines[0] if lines else type(error).__name__)


LOOKS: dict[str, Callable[[], Iterator[Finding]]] = {
    "system": _system,
    "packages": _packages,
    "torch": _torch,
    "free memory": _memory,
    "free disk here": _disk,
    "ffmpeg": _ffmpeg,
    "Qt": _qt,
    "display": _graphics,
    "sample": _sample,
}


FIRST_FRAME, END_FRAME = 30, 94
STEPS = 8
REFERENCE_SECONDS = 0.124
REFERENCE_MACHINE = "one core of an Intel Xeon of 2026"
"""The case `step-sample` of `docs/performance.json`."""
WHAT = "a step of `paper` on 64 frames of the sample, one encoder"


def step_seconds(device: str) -> float:
    """Median seconds that a step takes.

    Parameters
    ----------
    device
        Where: "cpu", "cuda:0", "mps".

    Returns
    -------
    float
        Seconds, > 0.
    """
    from napari_vidrecon.sessions.sample import find_sample

    sample = find_sample()
    session = vr.open_session(sample.session)
    encoder = vr.load_encoder(sample.encoders[0], device=device, neurons=session.n_neurons)
    config = vr.ReconstructionConfig.preset("paper", steps=STEPS)
    seconds: list[float] = []

    def note(step: StepInfo) -> None:
        # The first one, which sets things up, and the last are tracked, and that takes time too.
        if step.tracked is None:
            seconds.append(step.seconds)

    trial = session.trial(session.trial_ids[0]).part(FIRST_FRAME, END_FRAME)
    vr.reconstruct(trial, [encoder], vr.AlphaMask.load(sample.mask), config, on_step=note)
    return statistics.median(seconds)


def speed_lines() -> Iterator[tuple[str, str]]:
    """Name and words for every device of this machine, one after the other."""
    import torch

    devices = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    for device in [*devices, *["mps"] * torch.backends.mps.is_available()]:
        seconds = step_seconds(device)
        beside = f"{REFERENCE_SECONDS / seconds:.2g} times as fast as {REFERENCE_MACHINE} ({REFERENCE_SECONDS} s)"
        yield f"speed, {device}", f"{seconds:.3g} s {WHAT}; {beside}"


CHECKOUT = Path(__file__).resolve().parents[2]
COMMAND = Path("benchmarks", "speed", "command.py")
BENCH_CONTEXT = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "allow_interspersed_args": False,
    "help_option_names": [],
}
"""Every word is for the command in the repository, `--help` too."""
COMMAND_SETTINGS = {"bench": {"context_settings": BENCH_CONTEXT}}
"""What Typer has to know of a verb."""


def bench(context: typer.Context) -> None:
    """Measure speed beside the published loop (in a checkout)."""
    if not (CHECKOUT / COMMAND).is_file():
        raise ConfigError(
            f"{CHECKOUT / COMMAND}: expected the benchmark, found nothing there; it is not installed with the package: "
            "in a checkout of its repository type `make bench`, or here `vidrecon doctor --speed`"
        )
    if str(CHECKOUT) not in sys.path:
        sys.path.append(str(CHECKOUT))
    raise typer.Exit(importlib.import_module("benchmarks.speed.command").run(context.args))
