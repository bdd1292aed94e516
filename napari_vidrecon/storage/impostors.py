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
