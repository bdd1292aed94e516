"""`Ledger`: what came from where, with its checksum; a file that changes after its first download is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from napari_vidrecon.errors import StorageError
from napari_vidrecon.storage import replacing_file

LEDGER_FILE = "downloads.json"
LARGEST_LEDGER_BYTES = 10_000_000


class Ledger:
    """The record of a folder of downloads.

    Parameters
    ----------
    folder : the folder of downloads.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / LEDGER_FILE

    def entries(self) -> dict[str, dict[str, Any]]:
        """What is known of each address.

        Raises
        ------
        StorageError : the record is damaged.
        """
        try:
            if self.file.stat().st_size > LARGEST_LEDGER_BYTES:
                raise ValueError("too large")
            found = json.loads(self.file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise StorageError(
                f"{self.file}: expected the record of downloads, found a file that cannot be read ({error}); "
                "mend or remove it"
            ) from None
        if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
            raise StorageError(f"{self.file}: expected an entry for each address, found something else; remove it")
        return found

    def known_sha256(self, url: str) -> str:
        """The checksum that was recorded when the address was first fetched, or empty."""
        return str(self.entries().get(url, {}).get("sha256", ""))

    def record(self, url: str, sha256: str, size: int, licence: dict[str, str]) -> None:
        """Keep the checksum of a first download; a known one is left as it is."""
        entries = self.entries()
        if url in entries and entries[url].get("sha256") == sha256:
            return
        now = datetime.now(UTC).isoformat(timespec="seconds")
        entries[url] = {"sha256": sha256, "bytes": size, "first_fetched": now, "licence": licence}
        with replacing_file(self.file) as temporary:
            temporary.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
