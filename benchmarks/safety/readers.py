"""Every door through which a file from elsewhere comes in, as one call a door."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import napari_vidrecon as vr
from benchmarks.safety.kit import REPLAYED, half_prior
from napari_vidrecon.cli import main
from napari_vidrecon.sessions.activity_stream import LONGEST_HEADER_BYTES, read_message
from napari_vidrecon.sessions.importing.matlab_files import matlab_arrays
from napari_vidrecon.sessions.importing.text_tables import TextTable
from napari_vidrecon.storage import read_bytes

Kit = dict[str, Path]


@dataclass(frozen=True)
class Reader:
    """One door.

    Parameters
    ----------
    kind
        What of the kit is damaged before.
    name
        What is called.
    call
        Given the kit with its damaged piece; an exit code, 0 or 2, or 1 for faults found.
    """

    kind: str
    name: str
    call: Callable[[Kit], int]


def words(*parts: str) -> Callable[[Kit], int]:
    """A command whose words in braces are places in the kit."""

    def call(kit: Kit) -> int:
        return main([part.format(**{name: str(path) for name, path in kit.items()}) for part in parts])

    return call


def python(function: Callable[[Kit], object]) -> Callable[[Kit], int]:
    """A call in Python; only errors of this package may come out of it."""

    def call(kit: Kit) -> int:
        try:
            function(kit)
        except vr.VidreconError as error:
            if len(str(error).splitlines()) > 1:
                raise AssertionError(f"more than one line: {error}") from error
            print(error)
            return 2
        return 0

    return call


def _session(kit: Kit) -> None:
    session = vr.open_session(kit["session"])
    for trial in session.trial_ids[:3]:
        clip = session.trial(trial)
        _ = (clip.video, clip.responses, clip.behavior, clip.pupil_center)


def _unpack(kit: Kit) -> None:
    from napari_vidrecon.sessions.downloading.archives import unpack_session

    unpack_session(kit["archive"], Path("unpacked"))


def _ledger(kit: Kit) -> None:
    from napari_vidrecon.sessions.downloading.download import Ledger

    ledger = Ledger(kit["ledger"].parent)
    ledger.known_sha256("https://example.org/mask_m0.npy")
    ledger.record("https://example.org/other.npy", "1" * 64, 3, {})


def _half_prior(kit: Kit) -> None:
    training = half_prior()
    training.go_on_from(kit["half_prior"])
    training.advance()


def _table(kit: Kit) -> None:
    table = TextTable(kit["table"])
    for column in ("t", "v", "date", "word"):
        table.array(column)


def _message(kit: Kit) -> None:
    content = read_bytes(kit["message"], most=LONGEST_HEADER_BYTES)
    # A message that is none is a ValueError, which the stream counts.
    with contextlib.suppress(ValueError):
        read_message([content, bytes(96)], 24, 0.0)


def _movie(name: str) -> Callable[[Kit], object]:
    def read(kit: Kit) -> object:
        from napari_vidrecon.sessions.stimuli.stimulus import MovieFile

        return MovieFile(kit[name]).video()

    return read


RECONSTRUCT = ("reconstruct", "{session}", "--encoder", "{encoder}", "--mask", "{mask}", "--trial", "0")
ONE_STEP = ("--steps", "1", "--set", "track_skip_frames=8", "--device", "cpu", "--out", "r")
PRIOR = ("--set", "prior=denoiser", "--set", "prior.file={prior}")
TRAIN = ("train", "{session}", "--recipe", "features=8", "--steps", "3", "--device", "cpu", "--out")

READERS: tuple[Reader, ...] = (
    Reader("session", "info", words("info", "{session}")),
    Reader("session", "validate", words("validate", "{session}")),
    Reader("session", "vr.open_session", python(_session)),
    Reader(
        "session", "predict", words("predict", "{session}", "--encoder", "{encoder}", "--trial", "0", "--out", "p.npy")
    ),
    Reader("session", "reconstruct", words(*RECONSTRUCT, *ONE_STEP)),
    Reader("session", "decoder", words("decoder", "{session}", "--out", "d.safetensors", "--mask", "{mask}")),
    Reader("session", "train", words(*TRAIN, "t.safetensors")),
    Reader("encoder", "info", words("info", "{encoder}")),
    Reader("encoder", "info --check", words("info", "{encoder}", "--check")),
    Reader("encoder", "validate", words("validate", "{encoder}")),
    Reader("encoder", "vr.load_encoder", python(lambda kit: vr.load_encoder(kit["encoder"], device="cpu"))),
    Reader(
        "encoder", "predict", words("predict", "{session}", "--encoder", "{encoder}", "--trial", "0", "--out", "p.npy")
    ),
    Reader("encoder", "reconstruct", words(*RECONSTRUCT, *ONE_STEP)),
    Reader("checkpoint", "validate", words("validate", "{checkpoint}")),
    Reader("checkpoint", "convert", words("convert", "{checkpoint}", "--out", "k.safetensors")),
    Reader("checkpoint", "vr.load_encoder", python(lambda kit: vr.load_encoder(kit["checkpoint"], 0, device="cpu"))),
    Reader("training", "train", words(*TRAIN, "half.safetensors")),
    Reader("decoder", "info", words("info", "{decoder}")),
    Reader("decoder", "validate", words("validate", "{decoder}")),
    Reader("decoder", "reconstruct", words(*RECONSTRUCT, "--decoder", "{decoder}", *ONE_STEP)),
    Reader("prior", "info", words("info", "{prior}")),
    Reader("prior", "validate", words("validate", "{prior}")),
    Reader("prior", "reconstruct", words(*RECONSTRUCT, *PRIOR, *ONE_STEP)),
    Reader("mask", "info", words("info", "{mask}")),
    Reader("mask", "AlphaMask.load", python(lambda kit: vr.AlphaMask.load(kit["mask"]))),
    Reader("mask", "reconstruct", words(*RECONSTRUCT, *ONE_STEP)),
    Reader("run", "info", words("info", "{run}")),
    Reader("run", "validate", words("validate", "{run}")),
    Reader("run", "Reconstruction.load", python(lambda kit: vr.Reconstruction.load(kit["run"]))),
    Reader("run", "export --table", words("export", "{run}", "--table", "t.csv", "--script", "s.py")),
    Reader("run", "export --figure", words("export", "{run}", "--figure", "f.png")),
    Reader("part", "info", words("info", "{part}")),
    Reader(
        "part",
        "reconstruct",
        words(
            *RECONSTRUCT,
            *ONE_STEP[2:-2],
            "--steps",
            "4",
            "--set",
            "track_every=2",
            "--preset",
            "paper",
            "--out",
            "part",
        ),
    ),
    Reader("published", "info", words("info", "{published}")),
    Reader("published", "convert", words("convert", "{published}", "--out", "p.zarr")),
    Reader("fields", "info", words("info", "{fields}")),
    Reader("arrays", "import --preview", words("import", "arrays", "{arrays}", "--preview")),
    Reader("arrays", "import", words("import", "arrays", "{arrays}", "--out", "my")),
    Reader("suite2p", "import --preview", words("import", "suite2p", "{suite2p}", "--preview")),
    Reader("suite2p", "import", words("import", "suite2p", "{suite2p}", "--out", "my")),
    Reader("nwb", "import --preview", words("import", "nwb", "{nwb}", "--preview")),
    Reader("nwb", "import", words("import", "nwb", "{nwb}", "--out", "my")),
    Reader("mp4", "movie", python(_movie("mp4"))),
    Reader("avi", "movie", python(_movie("avi"))),
    Reader("gif", "movie", python(_movie("gif"))),
    Reader("tif", "movie", python(_movie("tif"))),
    Reader(
        "movie",
        "predict --movie",
        words("predict", "{session}", "--encoder", "{encoder}", "--movie", "{movie}", "--out", "p.npy"),
    ),
    Reader("activity", "reconstruct --target", words(*RECONSTRUCT, "--target", "{activity}", *ONE_STEP)),
    Reader("neurons", "reconstruct --neurons", words(*RECONSTRUCT, "--neurons", "{neurons}", *ONE_STEP)),
    Reader("mice", "study --dry-run", words("study", "ablation", "--mice", "{mice}", "--dry-run")),
    Reader("archive", "unpack", python(_unpack)),
    Reader("ledger", "downloads.json", python(_ledger)),
    Reader("live", "info", words("info", "{live}")),
    Reader("live", "live", words("live", "{session}", "--decoder", "{decoder}", *REPLAYED, "--out", "{live}")),
    Reader("calibration", "Calibration.load", python(lambda kit: vr.Calibration.load(kit["calibration"]))),
    Reader("half_prior", "go_on_from", python(_half_prior)),
    Reader("table", "TextTable", python(_table)),
    Reader("matlab", "matlab_arrays", python(lambda kit: matlab_arrays(kit["matlab"]))),
    Reader("message", "read_message", python(_message)),
)
