"""What is public and where: the Sensorium 2023 mice, and the weights, masks and stimuli of Bauer et al.

The addresses are those that the publications' own code uses. They were written down without a connection, so none of
them has been fetched, and no checksum is known: the first download records one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from napari_vidrecon.errors import ConfigError, one_line
from napari_vidrecon.sessions.sample import SAMPLE_PLACE, sample_checksums, sample_place

Kind = Literal["mouse", "weights", "mask", "stimulus", "sample"]

HOST = "https://gin.g-node.org"
NEW_MICE_REPOSITORY = "pollytur/sensorium_2023_dataset"
OLD_MICE_REPOSITORY = "pollytur/Sensorium2023Data"
PAPER_REPOSITORY = "Joel-Bauer/Movie_reconstruction"
NEW_MICE = {
    "dynamic29515-10-12": 7863,
    "dynamic29623-4-9": 7908,
    "dynamic29647-19-8": 8202,
    "dynamic29712-5-9": 7939,
    "dynamic29755-2-8": 8122,
}
OLD_MICE = {
    "dynamic29156-11-10": 7440,
    "dynamic29228-2-10": 7928,
    "dynamic29234-6-9": 8285,
    "dynamic29513-3-5": 7671,
    "dynamic29514-2-9": 7495,
}
NEW_MICE_STEM, OLD_MICE_STEM = "Video-9b4f6a1a067fe51e15306b9628efea20", "Video-8744edeac3b4d1ce16b680916b5267ce"
WEIGHTS = ("0.292118", "0.291708", "0.290428", "0.291853", "0.291103", "0.291734", "0.291974")
MASKED_MICE = 5
STIMULI = {
    "gaussian-noise": ("gaussian_noise_movies.npz", "Gaussian noise of the paper's Fig. 4"),
    "gratings": ("grating_movies.npz", "drifting gratings of Fig. 4-S1; holds pickled names, which are never opened"),
}
MOST_BYTES: dict[Kind, int] = {
    "mouse": 64 << 30,
    "weights": 4 << 30,
    "mask": 1 << 20,
    "stimulus": 16 << 30,
    "sample": 16 << 20,
}
"""Far above what anything of its kind has; a server that never ends is told by it."""
SENSORIUM_CITATION = "Turishcheva et al. 2023, arXiv:2305.19654; 2024, arXiv:2407.09100"
PAPER_CITATION = "Bauer, Margrie & Clopath 2026, doi:10.7554/eLife.105081"
LICENCE_FILES = ("LICENSE", "LICENSE.md", "LICENSE.txt", "README.md")
LICENCE_NOTE = (
    "its licence could not be checked when this program was written; read what its authors say before using or "
    "sharing the data"
)

MICE_LICENCE = "CC BY-NC-ND 4.0"
MICE_TERMS = (
    "as their data page and the retrospective (arXiv:2407.09100) say: cite, no commercial use, no sharing of what was "
    "changed; get in touch with the makers before use, and ask them before publishing a new analysis"
)


@dataclass(frozen=True)
class PublicFile:
    """One thing to download.

    Parameters
    ----------
    name
        What to ask for.
    kind
        What it is.
    repository
        Owner and name of the repository that holds it.
    path
        Where it lies there.
    about
        One line for people, with its size as far as it is known.
    citation
        What to cite.
    sha256
        Its checksum, hexadecimal; empty where none is known.
    host
        Address of the server.
    address
        Of the file itself, where it does not lie at its usual place on the server.
    """

    name: str
    kind: Kind
    repository: str
    path: str
    about: str
    citation: str
    sha256: str = ""
    host: str = HOST
    address: str = ""

    @property
    def terms(self) -> str:
        """How it may be used, as far as that was known when this program was written."""
        return f"{MICE_LICENCE}, {MICE_TERMS}" if self.kind == "mouse" else ""

    @property
    def url(self) -> str:
        """Address of its bytes."""
        if self.address:
            return self.address
        return f"{self.host}/{self.repository}/raw/master/{quote(self.path)}"

    @property
    def licence_urls(self) -> list[str]:
        """Addresses at which its repository may say how the data may be used."""
        return [f"{self.host}/{self.repository}/raw/master/{name}" for name in LICENCE_FILES]

    @property
    def most_bytes(self) -> int:
        """More than it has, however it is packed."""
        return MOST_BYTES[self.kind]

    @property
    def file_name(self) -> str:
        """Its file name, without folders."""
        return self.path.rpartition("/")[2]

    @property
    def goes_to(self) -> str:
        """Where it goes below the folder of downloads; a mouse becomes a session folder."""
        folder = {"mouse": "sessions", "weights": "encoders", "mask": "masks", "stimulus": "stimuli"}[self.kind]
        name = self.file_name.removesuffix(".zip") if self.kind == "mouse" else self.file_name
        # Every fold's file would be called model-017.
        prefix = f"{self.name.removeprefix('weights-')}-" if self.kind == "weights" else ""
        return f"{folder}/{prefix}{name}"


def terms_of(session: str) -> dict[str, str]:
    """How a session of a public mouse may be used, told by its name.

    Parameters
    ----------
    session
        Name of its folder.

    Returns
    -------
    dict[str, str]
        "licence", "terms" and "citation"; empty for any other name.
    """
    if session.partition("-Video")[0] not in (*NEW_MICE, *OLD_MICE):
        return {}
    return {"licence": MICE_LICENCE, "terms": MICE_TERMS, "citation": SENSORIUM_CITATION}


def catalogue(host: str = HOST) -> dict[str, PublicFile]:
    """Everything that can be downloaded, by name.

    Parameters
    ----------
    host
        Address of the server; another one for a copy of the data in one's own house.

    Returns
    -------
    dict[str, PublicFile]
        {name: file}.
    """
    found = [
        PublicFile(
            f"{name}",
            "mouse",
            repository,
            f"{name}-{stem}.zip",
            f"mouse {index}, {neurons} neurons; about 15 GB unpacked, as much again while unpacking",
            SENSORIUM_CITATION,
            host=host,
        )
        for mice, stem, repository, first in (
            (NEW_MICE, NEW_MICE_STEM, NEW_MICE_REPOSITORY, 0),
            (OLD_MICE, OLD_MICE_STEM, OLD_MICE_REPOSITORY, len(NEW_MICE)),
        )
        for index, (name, neurons) in enumerate(mice.items(), start=first)
    ]
    found += [
        PublicFile(
            f"weights-fold{fold}",
            "weights",
            PAPER_REPOSITORY,
            f"data/experiments/true_batch_002/fold_{fold}/model-017-{score}.pth",
            f"published encoder {fold} of 7, fold 0 held out; about 683 MB",
            PAPER_CITATION,
            host=host,
        )
        for fold, score in enumerate(WEIGHTS)
    ]
    found += [
        PublicFile(
            f"mask-m{mouse}",
            "mask",
            PAPER_REPOSITORY,
            f"reconstructions/masks/mask_m{mouse}.npy",
            f"transparency mask of mouse {mouse}, 64 x 64; some kB",
            PAPER_CITATION,
            host=host,
        )
        for mouse in range(MASKED_MICE)
    ]
    found += [
        PublicFile(name, "stimulus", PAPER_REPOSITORY, f"utils_reconstruction/{file}", about, PAPER_CITATION, host=host)
        for name, (file, about) in STIMULI.items()
    ]
    return {each.name: each for each in found}


GROUPS: dict[str, Kind] = {"weights": "weights", "masks": "mask", "stimuli": "stimulus"}


def chosen_files(names: Sequence[str], host: str = HOST) -> list[PublicFile]:
    """The files of some names; "weights", "masks" and "stimuli" are all of their kind, hf:owner/name lies on the hub.

    Returns
    -------
    list[PublicFile]
        Each once, in the order given.

    Raises
    ------
    ConfigError
        No such name.
    """
    known = catalogue(host)
    chosen: dict[str, PublicFile] = {}
    for name in names:
        if name.startswith(HUB_PREFIX):
            chosen[name] = hub_file(name, HUB if host == HOST else host)
        elif name in GROUPS:
            chosen |= {each.name: each for each in known.values() if each.kind == GROUPS[name]}
        elif name in known:
            chosen[name] = known[name]
        else:
            close = difflib.get_close_matches(name, [*known, *GROUPS], n=3)
            hint = f"did you mean {' or '.join(close)}?" if close else "see --list"
            raise ConfigError(f"{name}: expected the name of something public, found none of that name; {hint}")
    return list(chosen.values())


@dataclass(frozen=True)
class HubFile(PublicFile):
    """An encoder that somebody shares on the Hugging Face hub.

    Parameters
    ----------
    revision
        Branch, tag or commit there.
    """

    revision: str = "main"

    @property
    def url(self) -> str:
        """Address of its bytes."""
        return self.address or f"{self.host}/{self.repository}/resolve/{quote(self.revision)}/{quote(self.path)}"

    @property
    def licence_urls(self) -> list[str]:
        """Its card says how it may be used."""
        return [f"{self.host}/{self.repository}/raw/{quote(self.revision)}/{name}" for name in reversed(LICENCE_FILES)]

    @property
    def goes_to(self) -> str:
        """Where it goes below the folder of downloads: two owners may give one name, two revisions differ."""
        revision = "" if self.revision == "main" else f"@{self.revision}"
        return f"encoders/{self.repository.replace('/', '--')}{revision}-{self.file_name}"


HUB, HUB_PREFIX = "https://huggingface.co", "hf:"
HUB_NAME = re.compile(
    r"hf:([A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(?:@([\w.-]{1,96}))?(?::([\w./-]+\.safetensors))?"
)


def hub_file(name: str, host: str = HUB) -> HubFile:
    """An encoder on the Hugging Face hub.

    Parameters
    ----------
    name
        "hf:owner/name", "hf:owner/name@revision", "hf:owner/name:folder/file.safetensors".
    host
        Address of the hub, or of a server with a copy.

    Returns
    -------
    HubFile
        Of the file that `vidrecon push` writes, where none is named.

    Raises
    ------
    ConfigError
        It is no such name.
    """
    found = HUB_NAME.fullmatch(name)
    parts = () if found is None else (*(found[3] or "").split("/"), found[2] or "")
    if found is None or ".." in parts or "." in parts:
        raise ConfigError(
            f"{one_line(name, 200)}: expected hf:owner/name, hf:owner/name@revision or hf:owner/name:file.safetensors"
        )
    about = "an encoder that somebody shares; read its card"
    return HubFile(
        name, "weights", found[1], found[3] or SHARED_ENCODER, about, "see its card", "", host, "", found[2] or "main"
    )


SHARED_ENCODER = "encoder.safetensors"
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
