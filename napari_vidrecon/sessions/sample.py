"""The sample that comes with the package: a simulated mouse, trained encoders, a fitted mask."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_vidrecon.errors import SessionError

SAMPLE_TEST_TIER = "live_test_main"


@dataclass(frozen=True)
class Sample:
    """Where the parts of the sample lie: session folder, encoder files (ascending), mask file."""

    session: Path
    encoders: tuple[Path, ...]
    mask: Path


def find_sample() -> Sample:
    """The sample of this installation: beside the package in a wheel, at the root of a checkout.

    Raises
    ------
    SessionError
        It was left out of this installation.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "sample_data", package.parent / "sample_data"):
        if (folder / "simulated_mouse" / "meta").is_dir():
            encoders = tuple(sorted((folder / "encoders").glob("*.safetensors")))
            return Sample(folder / "simulated_mouse", encoders, folder / "mask.npy")
    raise SessionError(
        f"{package / 'sample_data'}: expected the simulated mouse, found nothing there; "
        "install the package again, or make one with `vidrecon simulate`"
    )
