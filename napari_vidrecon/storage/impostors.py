"""Files that came instead of the one that was wanted: pointers, web pages, nothing at all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

from napari_vidrecon.errors import VidreconError

HEAD_BYTES = 512
POINTER = b"version https://git-lfs.github.com/spec/"
ANNEX_POINTER = re.compile(rb"/annex/objects/|(\.\./)*\.git/annex/objects/")
PAGES = (b"<!doctype html", b"<html", b"<?xml", b"<head", b"<body")


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
