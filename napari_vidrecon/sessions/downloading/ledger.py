"""`Ledger`: what came from where, with its checksum; a file that changes after its first download is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from napari_vidrecon.errors import StorageError, one_line
from napari_vidrecon.storage import claimed, disk_errors, read_json, replacing_file

LEDGER_FILE = "downloads.json"
PATIENCE_S = 30.0
"""How long to wait for another process that records something."""


class Entry(BaseModel):
    """What is known of one address.

    Parameters
    ----------
    sha256
        Checksum of the file that came first, hexadecimal.
    bytes
        Its length.
    first_fetched
        When, as ISO 8601.
    licence
        Where its repository says how it may be used, and the checksum of what it says.
    """

    # What a later version adds stays.
    model_config = ConfigDict(strict=True, extra="allow")

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)
    first_fetched: str = Field(max_length=100)
    licence: dict[str, str] = {}


class Entries(RootModel[dict[str, Entry]]):
    """The whole record: an entry for each address."""


class Ledger:
    """The record of a folder of downloads.

    Parameters
    ----------
    folder
        The folder of downloads.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / LEDGER_FILE

    def entries(self) -> dict[str, Entry]:
        """What is known of each address.

        Returns
        -------
        dict[str, Entry]
            {address: entry}; empty where nothing was fetched yet.

        Raises
        ------
        StorageError
            The record is damaged. It is left as it is: without it a changed file would be taken for the first one.
        """
        if not self.file.exists() and not self.file.is_symlink():
            return {}
        told = read_json(self.file, expected="the record of downloads")
        try:
            return Entries.model_validate(told).root
        except ValidationError as error:
            first = error.errors()[0]
            where = one_line(": ".join(str(each) for each in first["loc"]) or "its top", 200)
            expected, found = one_line(first["msg"], 80), one_line(repr(first["input"]), 80)
            raise StorageError(
                f"{self.file}: {where}: expected {expected}, found {found}; "
                "mend it, or move it away: then the next download of each file counts as its first"
            ) from None

    def known_sha256(self, url: str) -> str:
        """The checksum that was recorded when the address was first fetched, or empty."""
        known = self.entries().get(url)
        return known.sha256 if known is not None else ""

    def record(self, url: str, sha256: str, size: int, licence: dict[str, str]) -> None:
        """Keep the checksum of a first download, beside what other processes record meanwhile.

        Parameters
        ----------
        url
            Its address.
        sha256
            Its checksum; one that is known already is left as it is.
        size
            Its length in bytes.
        licence
            What its repository said when it was fetched.

        Raises
        ------
        StorageError
            The record is damaged, or cannot be written.
        """
        with disk_errors(self.file), claimed(self.file, "record of downloads", PATIENCE_S):
            entries = self.entries()
            if url in entries and entries[url].sha256 == sha256:
                return
            now = datetime.now(UTC).isoformat(timespec="seconds")
            entries[url] = Entry(sha256=sha256, bytes=size, first_fetched=now, licence=licence)
            told = Entries(entries).model_dump(mode="json")
            with replacing_file(self.file) as temporary:
                temporary.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
