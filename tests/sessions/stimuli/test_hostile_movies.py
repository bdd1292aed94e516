"""Movie files from elsewhere: absurd sizes, loops, lists of other files, endless films; one line, and nothing stays."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import psutil
import pytest
import tifffile

from napari_vidrecon.errors import ConfigError, StorageError
from napari_vidrecon.sessions.stimuli import films, stimulus
from napari_vidrecon.sessions.stimuli.stimulus import MovieFile

FRAMES = np.random.default_rng(0).integers(0, 256, (40, 36, 64)).astype(np.uint8)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("films") / "film.mp4"
    levels = np.linspace(20, 230, 40).astype(np.uint8)
    imageio.imwrite(path, np.broadcast_to(levels[:, None, None, None], (40, 72, 128, 3)), fps=30)
    return path


def gif(width: int, height: int, frames: int) -> bytes:
    """A GIF of 15 bytes a frame, whatever its size."""
    start = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(3) + b"\xff" * 3
    return start + frames * (b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00") + b";"


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


def tiff(width: int, height: int, pages: int = 1, *, loop: bool = False) -> bytes:
    """Pages that all show the same bytes; the last leads back to the first, or ends."""
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, height)]
    tags.append((279, width * height % 2**32))
    length = 2 + 12 * len(tags) + 4
    content = b"II*\0" + struct.pack("<I", 8)
    for page in range(pages):
        after = 8 + (page + 1) * length if page + 1 < pages else 8 * loop
        content += struct.pack("<H", len(tags)) + b"".join(
            struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags
        )
        content += struct.pack("<I", after)
    return content + bytes(3000)


def npy(array: np.ndarray) -> bytes:
    import io

    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.timing
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("huge.gif", gif(65535, 65535, 3)),
        ("large.gif", gif(20000, 1000, 3)),
        ("huge.png", png(100_000, 100_000)),
        ("cut.png", png(2000, 2000)),
        ("huge.tif", tiff(100_000, 100_000)),
        ("cut.tif", tiff(2000, 2000)),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:1,\nFILM\n#EXT-X-ENDLIST\n"),
        ("list.mp4", b"#EXTM3U\n#EXTINF:1,\nFILM\n#EXT-X-ENDLIST\n"),
        ("list.txt", b"ffconcat version 1.0\nfile 'FILM'\n"),
        ("address.sdp", b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n"),
        ("pointer.mp4", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n"),
        ("page.avi", b"<!DOCTYPE html><html>"),
        ("nothing.mp4", b""),
        ("text.mp4", b"no movie"),
        ("million.npy", npy(np.zeros((100_000, 1, 1), np.uint8))),
        ("lines.npy", npy(np.zeros((1, 1, 10_000_000), np.uint8))),
        ("scalar.npy", npy(np.array(3))),
        ("five.npy", npy(np.zeros((2, 2, 2, 2, 2)))),
        ("nine_colours.npy", npy(np.zeros((40, 36, 64, 9)))),
        ("dates.npy", npy(np.zeros((40, 36, 64), "M8[s]"))),
        ("complex.npy", npy(np.zeros((40, 36, 64), complex))),
        ("nan.npy", npy(np.full((40, 36, 64), np.nan))),
        ("vast.npy", npy(np.full((40, 36, 64, 3), 1e300))),
        ("no_rows.npy", npy(np.zeros((40, 0, 64)))),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_is_no_movie_for_a_screen_is_one_line_in_no_time(
    name: str, content: bytes, film: Path, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content.replace(b"FILM", str(film).encode()))
    began = time.monotonic()
    with pytest.raises(StorageError) as caught:
        MovieFile(tmp_path / name).video()
    assert time.monotonic() - began < 10
    assert str(tmp_path / name) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("content", [gif(2000, 1000, 5000), tiff(60, 40, 5000, loop=True), gif(10, 10, 5000)])
def test_many_frames_in_few_bytes_end_where_reason_does(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stimulus, "STACK_SURPLUS_BYTES", 1 << 20)
    monkeypatch.setattr(stimulus, "UNPACKED_RATIO", 10)
    monkeypatch.setattr(stimulus, "LONGEST_CLIP_FRAMES", 1000)
    (tmp_path / "bomb.gif").write_bytes(content)
    with pytest.raises(StorageError, match=r"expected a movie of its size|expected at most 1000 frames"):
        MovieFile(tmp_path / "bomb.gif").video()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipes_devices_and_folders_are_no_movies(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gif")
    (tmp_path / "zero.mp4").symlink_to("/dev/zero")
    (tmp_path / "folder.tif").mkdir()
    for name, found in (("pipe.gif", "a pipe"), ("zero.mp4", "a device"), ("folder.tif", "a folder")):
        for ask in (MovieFile.video, MovieFile.content.fget):
            with pytest.raises(StorageError, match=f"found {found}"):
                ask(MovieFile(tmp_path / name))  # type: ignore[misc]


@pytest.mark.parametrize("name", ["concat:a|b.mp4", "-i.mp4", "%03d.mp4", "https:x.mp4"])
def test_a_name_is_only_a_name(name: str, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(film, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(MovieFile(Path(name)).video(), MovieFile(film).video())


def test_only_the_frames_asked_for_are_read_and_ffmpeg_is_gone_afterwards(film: Path) -> None:
    assert MovieFile(film, 5).video().shape == (5, 36, 64)
    assert not [child for child in psutil.Process().children() if "ffmpeg" in child.name()]


def test_ffmpeg_is_gone_even_while_somebody_keeps_the_error(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stimulus, "FILM_SURPLUS_BYTES", 0)
    monkeypatch.setattr(stimulus, "UNPACKED_RATIO", 1)
    with pytest.raises(StorageError, match="expected a movie of its size") as kept:
        MovieFile(film).video()
    assert not [child for child in psutil.Process().children() if "ffmpeg" in child.name()]
    assert kept.value.__traceback__ is not None


@pytest.mark.skipif(sys.platform == "win32", reason="a script stands in for ffmpeg")
@pytest.mark.parametrize("sends", ["", "printf 'P6\\n1 1\\n255\\nabc'", "printf 'P6\\n9 9\\n255\\nabc'"])
def test_an_ffmpeg_that_never_ends_is_ended(
    sends: str, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "slow"
    slow.write_text(f"#!/bin/sh\n{sends}\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(slow))
    monkeypatch.setattr(films, "PATIENCE_S", 0.5)
    before = subprocess.Popen(["sleep", "0"])
    before.wait()
    with pytest.raises(StorageError, match=r"no frame came in 0\.5 s"):
        MovieFile(film).video()
    assert not [child for child in psutil.Process().children() if child.name() in ("slow", "sh", "sleep")]


def test_pages_of_a_tiff_are_frames(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", FRAMES)
    np.testing.assert_array_equal(MovieFile(tmp_path / "stack.tif").video(), FRAMES)
    coloured = np.repeat(FRAMES[..., None], 3, axis=-1)
    tifffile.imwrite(tmp_path / "rgb.tif", coloured, photometric="rgb")
    tifffile.imwrite(tmp_path / "planes.tif", np.moveaxis(coloured, -1, 1), photometric="rgb", planarconfig="separate")
    for name in ("rgb.tif", "planes.tif"):
        np.testing.assert_allclose(MovieFile(tmp_path / name).video(), FRAMES, rtol=1e-6)


def test_opacity_is_not_shown(tmp_path: Path) -> None:
    np.save(tmp_path / "two.npy", np.stack([FRAMES, 0 * FRAMES], axis=-1))
    np.testing.assert_array_equal(MovieFile(tmp_path / "two.npy").video(), FRAMES)


@pytest.mark.parametrize("frames", [0, -1, 10**9])
def test_a_number_of_frames_that_cannot_be_is_refused(frames: int, film: Path) -> None:
    with pytest.raises(ConfigError, match="frames to show"):
        MovieFile(film, frames).video()
