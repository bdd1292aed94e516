"""Files that came instead of the one that was wanted: pointers, web pages, nothing at all."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import BinaryIO

from napari_vidrecon.errors import VidreconError

HEAD_BYTES = 512
POINTER = b"version https://git-lfs.github.com/spec/"
ANNEX_POINTER = re.compile(rb"/annex/objects/|(\.\./)*\.git/annex/objects/")
APPLE_DOUBLE = b"\x00\x05\x16\x07"
PAGES = (b"<!doctype html", b"<html", b"<?xml", b"<head", b"<body")


FORMATS = {
    b"\x93NUMPY": "an array (.npy), as masks and movies are",
    b"\x89PNG": "a picture (.png)",
    b"\xff\xd8\xff": "a picture (.jpg)",
    b"\x89HDF": "an HDF5 file",
    b"PK\x03\x04": "a zip archive, or a checkpoint of torch",
    b"%PDF": "a PDF",
}
"""Of files that are taken for another by mistake, by how they begin."""
COMPANIONS = ("thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx")


def is_companion(path: Path) -> bool:
    """Whether a file is hidden, or what a system lays beside one's own: `._x`, `.DS_Store`, `Thumbs.db`."""
    return path.name.startswith((".", "~$")) or path.name.lower() in COMPANIONS


def decoded(content: bytes) -> str:
    """Text as editors and MATLAB write it: UTF-8 with a byte order mark or without, or UTF-16.

    Parameters
    ----------
    content
        The whole file.

    Returns
    -------
    str
        Without the mark.

    Raises
    ------
    UnicodeDecodeError
        Neither.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    if len(content) > 1 and len(content) % 2 == 0 and b"\0" in content[:2]:
        return content.decode("utf-16-be" if content[0] == 0 else "utf-16-le")
    return content.decode("utf-8-sig")


def recognised(head: bytes) -> str:
    """What the first bytes of a file give away, with a remedy; empty if nothing.

    Parameters
    ----------
    head
        The first `HEAD_BYTES` of it.

    Returns
    -------
    str
        A part of a sentence.
    """
    if not head:
        return "an empty file; fetch it again"
    if head.startswith(APPLE_DOUBLE):
        return "a hidden companion file of a Mac; take the file itself, whose name does not begin with ._"
    if head.startswith(POINTER):
        return "a Git LFS pointer; fetch the file itself (git lfs pull)"
    if ANNEX_POINTER.match(head):
        return "a git-annex pointer; fetch the file itself (git annex get, or datalad get)"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(PAGES):
        return "a web page, as a download behind a sign-in leaves; fetch the file itself"
    return ""


def format_of(head: bytes) -> str:
    """The format that the first bytes of a file show, with its article; empty if none that is known.

    Parameters
    ----------
    head
        The first bytes of it, nine or more.

    Returns
    -------
    str
        A part of a sentence.
    """
    if head[8:9] == b"{" and not any(head[5:8]):
        return "tensors (.safetensors), as encoders and decoders are"
    return next((name for start, name in FORMATS.items() if head.startswith(start)), "")


def check_genuine(path: Path | str, file: BinaryIO, expected: str, error: type[VidreconError]) -> None:
    """Refuse a file that is known to be something else.

    Parameters
    ----------
    path
        Its name.
    file
        Open at its start, where it stands afterwards too.
    expected
        What it should be, with its article.
    error
        The kind of error to raise.

    Raises
    ------
    VidreconError
        Of the kind asked for.
    """
    found = recognised(file.read(HEAD_BYTES))
    file.seek(0)
    if found:
        raise error(f"{path}: expected {expected}, found {found}")
