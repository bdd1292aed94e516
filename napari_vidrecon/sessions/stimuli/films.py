"""Frames of films, by ffmpeg in a process of its own that reads this one file; of GIF, stills and TIFF, in this one."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from napari_vidrecon.errors import StorageError
from napari_vidrecon.storage import check_regular, open_regular

LARGEST_PICTURE_PX = 4096 * 2304
"""Somewhat more than a screen of 4K has."""
CONTAINERS = (
    "3dostr,asf,avi,av1,dv,flv,gif,gxf,h261,h263,h264,hevc,ivf,m4v,matroska,mjpeg,mov,mpeg,mpegts,mpegvideo,mxf,"
    "nut,obu,ogg,rm,vc1,vvc,webm,wtv,yuv4mpegpipe"
)
"""Kinds of films whose frames lie in the one file; lists of other files, addresses and devices are none of them."""
PATIENCE_S = 8.0
LOOKS_AGAIN_S = 0.2
LARGEST_PROCESS_BYTES = 2 << 30
LARGEST_BLOCK_BYTES = 512 << 20
COLOURS = 3
LONGEST_HEADER_LINE, LONGEST_CLOCK_LINE = 64, 400


def film_frames(path: Path, frames: int, *, each_once: bool = False) -> Generator[np.ndarray, None, None]:
    """Frames of a film one by one.

    Parameters
    ----------
    path
        The film.
    frames
        How many at most.
    each_once
        Give each frame that is stored once; else those of a variable rate are repeated to a steady one.

    Yields
    ------
    np.ndarray
        (height, width, 3) uint8.

    Raises
    ------
    StorageError
        Ffmpeg is not there, or gave no frame in time.
    """
    some = ("-frames:v", str(frames), "-threads", "1", "-pix_fmt", "rgb24", "-c:v", "ppm", "-f", "image2pipe", "-")
    process = _started(path, (*OF_THE_FILM, *ONCE, *some) if each_once else (*OF_THE_FILM, *some))
    assert process.stdout is not None
    patience = Patience(process)
    try:
        for number in range(frames):
            with patience:
                frame = _next_frame(process.stdout)
            if frame is None:
                if patience.lost:
                    raise StorageError(
                        f"{path}: expected a movie, found one of which no frame came in {PATIENCE_S:g} s"
                    )
                if number == 0:
                    raise StorageError(f"{path}: expected a movie, found a file that cannot be read as one")
                return
            yield frame
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
        patience.end()


class Patience:
    """Kills a process that lets its reader wait too long; enter it for each thing that is waited for."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.lost = False
        self._process = process
        self._since: float | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def __enter__(self) -> None:
        self._since = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._since = None

    def _watch(self) -> None:
        while not self._ended.wait(LOOKS_AGAIN_S):
            since = self._since
            if since is not None and time.monotonic() - since > PATIENCE_S:
                self.lost = True
                self._process.kill()
                return

    def end(self) -> None:
        """Watch no longer."""
        self._ended.set()
        self._thread.join()


OF_THE_FILM, ONCE = ("-map", "0:v:0"), ("-fps_mode", "passthrough")
MOST_CLOCK_LINES = 20_000_000


def film_clock(path: Path) -> tuple[np.ndarray, tuple[int, int]]:
    """When each frame of a film appears in it, and their size; all are decoded, none is kept.

    Parameters
    ----------
    path
        The film.

    Returns
    -------
    tuple[np.ndarray, tuple[int, int]]
        (frames,) s, and height and width in pixels.

    Raises
    ------
    StorageError
        Ffmpeg is not there, or finds no film.
    """
    # Frames go on as they are in memory, so that only their times are written.
    process = _started(path, (*OF_THE_FILM, *ONCE, "-c:v", "wrapped_avframe", "-f", "framecrc", "-"))
    assert process.stdout is not None
    patience = Patience(process)
    base, size, ticks = 0.0, (0, 0), []
    try:
        for _ in range(MOST_CLOCK_LINES):
            with patience:
                line = process.stdout.readline(LONGEST_CLOCK_LINE).decode("ascii", errors="replace")
            if not line:
                break
            key, _, value = line.partition(": ")
            if key == "#tb 0":
                above, _, below = value.partition("/")
                base = int(above) / int(below)
            elif key == "#dimensions 0":
                width, _, height = value.partition("x")
                size = (int(height), int(width))
            elif not line.startswith("#"):
                ticks.append(int(line.split(",")[2]))
    except (ValueError, IndexError, ZeroDivisionError):
        ticks = []
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
        patience.end()
    if patience.lost:
        raise StorageError(f"{path}: expected a movie, found one of which no frame came in {PATIENCE_S:g} s")
    if not ticks or not 0 < size[0] * size[1] <= LARGEST_PICTURE_PX:
        raise StorageError(f"{path}: expected a movie, found a file that cannot be read as one")
    return np.array(ticks, dtype=float) * base, size


def _started(path: Path, wanted: tuple[str, ...]) -> subprocess.Popen[bytes]:
    import imageio_ffmpeg

    words = ["-nostdin", "-v", "quiet", "-max_alloc", str(LARGEST_BLOCK_BYTES), "-threads", "2"]
    words += ["-max_pixels", str(LARGEST_PICTURE_PX), "-protocol_whitelist", "file", "-format_whitelist", CONTAINERS]
    # With its whole path no name is taken for an address, a list or an option.
    words += ["-i", os.path.abspath(path), *wanted]  # noqa: PTH100
    try:
        process = subprocess.Popen(
            [imageio_ffmpeg.get_ffmpeg_exe(), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except (OSError, RuntimeError) as error:
        raise StorageError(
            f"{path}: expected ffmpeg to read it, found none that starts; see vidrecon doctor"
        ) from error
    _limit_memory(process.pid)
    return process


def _limit_memory(process: int) -> None:
    if sys.platform == "linux":
        import resource

        try:
            resource.prlimit(process, resource.RLIMIT_AS, (LARGEST_PROCESS_BYTES, LARGEST_PROCESS_BYTES))
        except (OSError, ValueError):
            # It has ended already, or this account has a lower limit.
            return


def _next_frame(stream: IO[bytes]) -> np.ndarray | None:
    """One picture in the format PPM; None where there is no whole one."""
    lines = [stream.readline(LONGEST_HEADER_LINE) for _ in range(3)]
    if lines[0] != b"P6\n" or lines[2] != b"255\n":
        return None
    width, height = (int(number) for number in lines[1].split())
    content = stream.read(width * height * COLOURS)
    if len(content) < width * height * COLOURS:
        return None
    return np.frombuffer(content, np.uint8).reshape(height, width, COLOURS)


TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PICTURE_MAGICS = (b"GIF87a", b"GIF89a", b"\x89PNG", b"\xff\xd8\xff", b"BM")
PICTURES = ("GIF", "PNG", "JPEG", "BMP")
AS_THEY_ARE = ("L", "I", "F", "I;16", "I;16B", "I;16L")
"""Pillow's names for pictures without colour; of all others the colours are taken."""
MOST_COLOURS = 4


def require_picture(path: Path, width: int, height: int) -> None:
    """Refuse a picture that is larger than any screen.

    Parameters
    ----------
    path
        Its file, for the message.
    width, height
        Pixels.

    Raises
    ------
    StorageError
        It is, or it is empty.
    """
    if not 0 < width * height <= LARGEST_PICTURE_PX:
        raise StorageError(
            f"{path}: expected pictures of 1 to {LARGEST_PICTURE_PX:,} pixels, found {height} x {width}; "
            "make them smaller"
        )


def picture_frames(path: Path) -> Generator[np.ndarray, None, None]:
    """Frames of a GIF, or the one of a still picture: (height, width), or (height, width, 3) uint8."""
    from PIL import Image

    with open_regular(path, "a movie") as file, Image.open(file, formats=PICTURES) as image:
        number = 0
        while True:
            require_picture(path, *image.size)
            yield np.asarray(image if image.mode in AS_THEY_ARE else image.convert("RGB"))
            number += 1
            try:
                image.seek(number)
            except EOFError:
                return


def tiff_frames(path: Path) -> Generator[np.ndarray, None, None]:
    """Pages of a TIFF file: (height, width), or (height, width, colours)."""
    import tifffile

    check_regular(path, "a movie")
    with quiet("tifffile"), tifffile.TiffFile(path) as opened:
        for page in opened.pages:
            shape = tuple(int(length) for length in page.shape)
            rows, columns = shape[1:3] if page.axes == "SYX" else (*shape, 0, 0)[:2]
            require_picture(path, columns, rows)
            if len(shape) > 3 or math.prod(shape) > MOST_COLOURS * LARGEST_PICTURE_PX:
                raise StorageError(f"{path}: expected pictures, found a page of shape {shape}")
            pixels = page.asarray()
            yield np.moveaxis(pixels, 0, -1) if page.axes == "SYX" else pixels


@contextlib.contextmanager
def quiet(library: str) -> Iterator[None]:
    """Silence a library's log: what it says of a damaged file is for programmers; a person gets one line."""
    logger = logging.getLogger(library)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
