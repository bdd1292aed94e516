"""The sample that comes with the program: a simulated mouse, trained encoders, a fitted mask.

The repository holds the whole of it; an installation has two clips and three encoders, and the rest can be fetched.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from napari_vidrecon.errors import SessionError, one_line

SAMPLE_TEST_TIER = "live_test_main"
SAMPLE_PLACE = "VIDRECON_SAMPLE"
"""Environment variable: the folder `sample_data` of a checkout, or an address at which its files can be fetched."""
CHECKSUMS = "SHA256SUMS"
PACKAGE = Path(__file__).resolve().parents[1]
HOW_TO_GET_THE_REST = (
    "fetch the rest with `vidrecon download sample`, "
    f"or set {SAMPLE_PLACE} to the folder sample_data of a checkout of the repository"
)


@dataclass(frozen=True)
class Sample:
    """Where the parts of the sample lie.

    Parameters
    ----------
    session
        Session folder.
    encoders
        Encoder files, ascending.
    mask
        Mask file.
    whole
        All clips and encoders of the repository are there.
    core
        The core that encoders of new mice begin with: of three other simulated mice. None in samples of before.
    """

    session: Path
    encoders: tuple[Path, ...]
    mask: Path
    whole: bool = True
    core: Path | None = None


def find_sample() -> Sample:
    """The sample as far as it is here: of a checkout, fetched, or the part that is installed with the package.

    Returns
    -------
    Sample
        Paths; the files are not opened.

    Raises
    ------
    SessionError
        It was left out of this installation.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> vr.find_sample().session.name
    'simulated_mouse'
    """
    for folder in _folders():
        if (folder / "simulated_mouse" / "meta").is_dir():
            encoders = tuple(sorted((folder / "encoders").glob("*.safetensors")))
            core = folder / "core.safetensors"
            return Sample(
                folder / "simulated_mouse",
                encoders,
                folder / "mask.npy",
                _is_whole(folder),
                core if core.is_file() else None,
            )
    raise SessionError(
        f"{PACKAGE / 'sample_data'}: expected the simulated mouse, found nothing there; "
        "install the package again, or make one with `vidrecon simulate`"
    )


def whole_sample() -> Sample:
    """The sample with all its clips and encoders.

    Returns
    -------
    Sample
        Its `whole` is True.

    Raises
    ------
    SessionError
        Only a part of it is here.
    """
    sample = find_sample()
    if not sample.whole:
        raise SessionError(
            f"{sample.session.parent}: expected the whole sample, found the part that is installed with the package; "
            f"{HOW_TO_GET_THE_REST}"
        )
    return sample


def sample_place() -> str:
    """What `VIDRECON_SAMPLE` says: a folder, an address, or nothing."""
    return os.environ.get(SAMPLE_PLACE, "")


def fetched_sample() -> Path:
    """Where the sample goes when it is fetched."""
    return platformdirs.user_data_path("napari-vidrecon") / "sample_data"


def sample_checksums() -> dict[str, str]:
    """SHA-256 of every file of the whole sample, hexadecimal, by its path below `sample_data`."""
    for folder in (PACKAGE / "sample_data", PACKAGE.parent / "sample_data"):
        if (folder / CHECKSUMS).is_file():
            lines = (folder / CHECKSUMS).read_text(encoding="utf-8").splitlines()
            return {name: sha256 for sha256, _, name in (line.partition("  ") for line in lines)}
    return {}


def _folders() -> Iterator[Path]:
    """Where the sample may lie, the best place first.

    Yields
    ------
    Path
        A folder `sample_data`, there or not.

    Raises
    ------
    SessionError
        The place that a person chose holds none.
    """
    chosen = sample_place()
    if chosen and "://" not in chosen:
        folder = Path(chosen).expanduser()
        yield folder
        raise SessionError(
            f"{one_line(folder)}: expected the folder sample_data of the repository, as {SAMPLE_PLACE} says, "
            "found no simulated_mouse in it"
        )
    yield PACKAGE.parent / "sample_data"
    # What is still being fetched is not taken.
    if _is_whole(fetched_sample()):
        yield fetched_sample()
    yield PACKAGE / "sample_data"


def _is_whole(folder: Path) -> bool:
    return folder.is_dir() and all((folder / name).is_file() for name in sample_checksums())
