"""The files of the sample that an installation lacks: known by name and checksum, at an address that is given."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.sessions.downloading.catalogue import PublicFile
from napari_vidrecon.sessions.sample import SAMPLE_PLACE, sample_checksums, sample_place

SAMPLE_NAME = "sample"
SAMPLE_LICENCE = "MIT, as this program; see README.md beside the files"


@dataclass(frozen=True)
class SampleFile(PublicFile):
    """A file of the sample, at the same place below its address as below `sample_data` in the repository."""

    @property
    def url(self) -> str:
        """Address of its bytes."""
        return f"{self.host}/{quote(self.path)}"

    @property
    def goes_to(self) -> str:
        """Where it goes below the folder of the sample."""
        return self.path


def sample_files(address: str | None = None) -> list[PublicFile]:
    """Every file of the whole sample, with its checksum.

    Parameters
    ----------
    address
        Of the folder `sample_data` on a server; default: what `VIDRECON_SAMPLE` says.

    Returns
    -------
    list[PublicFile]
        One a file.

    Raises
    ------
    ConfigError
        None is given, and none is published yet.
    """
    host = (address or sample_place()).rstrip("/")
    if "://" not in host:
        raise ConfigError(
            f"download {SAMPLE_NAME}: expected an address of its files, found none: none is published yet; they lie in "
            f"the folder sample_data of the repository: set {SAMPLE_PLACE} to that folder, or give --mirror URL of it"
        )
    return [
        SampleFile(name, "sample", "", name, "part of the sample, a simulated mouse", "this program", sha256, host)
        for name, sha256 in sample_checksums().items()
    ]
