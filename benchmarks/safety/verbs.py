"""Every verb that writes, on small inputs, as one command that ends within a second or two of a warm process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MOUSE = ("--neurons", "24", "--trials", "4", "--validation-trials", "2", "--test-trials", "1", "--frames", "45")
RECONSTRUCT = ("reconstruct", "{session}", "--encoder", "{encoder}", "--mask", "{mask}", "--device", "cpu")
TRAIN = ("train", "{session}", "--device", "cpu")
SAVED_OFTEN = ("--save-every", "0", "--set", "track_every=2", "--set", "track_skip_frames=8", "--out", "runs")
BOUND = ("{session}", "--encoder", "{encoder}", "--device", "cpu", "--out")


@dataclass(frozen=True)
class Verb:
    """One command.

    Parameters
    ----------
    name
        For the table.
    words
        Words after `vidrecon`; those in braces are places in the kit, and what it writes is relative.
    out
        What it writes, of which a harness may change the place.
    share
        How often it is taken beside the others.
    """

    name: str
    words: tuple[str, ...]
    out: str
    share: int = 1

    def command(self, kit: Mapping[str, Path | str]) -> list[str]:
        """Its words with the places of a kit.

        Parameters
        ----------
        kit
            Name of a piece and its place; see `kit.make_kit`.
        """
        places = {name: str(path) for name, path in kit.items()}
        return [word.format(**places) for word in self.words]


VERBS: tuple[Verb, ...] = (
    Verb("simulate", ("simulate", *MOUSE, "--seed", "3", "--out", "made"), "made"),
    Verb(
        "train",
        (*TRAIN, "--recipe", "features=8", "--steps", "4", "--save-every", "0", "--out", "e.safetensors"),
        "e.safetensors",
        share=2,
    ),
    Verb("mask", ("mask", *BOUND, "m.npy", "--steps", "3", "--set", "skip_frames=10"), "m.npy"),
    Verb("decoder", ("decoder", "{session}", "--mask", "{mask}", "--out", "d.safetensors"), "d.safetensors"),
    Verb(
        "rf", ("rf", *BOUND, "f.npz", "--figure", "f.png", "--set", "patch_px=12", "--set", "window_stride=99"), "f.npz"
    ),
    Verb("predict", ("predict", *BOUND, "p.npy", "--trial", "0"), "p.npy"),
    Verb("reconstruct one", (*RECONSTRUCT, "--trial", "0", "--steps", "4", *SAVED_OFTEN), "runs", share=3),
    Verb(
        "reconstruct many",
        (*RECONSTRUCT, "--trial", "0", "--trial", "1", "--steps", "3", *SAVED_OFTEN),
        "runs",
        share=2,
    ),
    Verb(
        "reconstruct paper",
        (*RECONSTRUCT, "--trial", "0", "--preset", "paper", "--steps", "3", *SAVED_OFTEN),
        "runs",
        share=2,
    ),
    Verb("export movie", ("export", "{run}", "--movie", "m.mp4"), "m.mp4"),
    Verb("export gif", ("export", "{run}", "--movie", "m.gif"), "m.gif"),
    Verb("export figure", ("export", "{run}", "--figure", "f.png"), "f.png"),
    Verb("export table", ("export", "{run}", "--table", "t.csv", "--script", "s.py"), "t.csv"),
    Verb("import arrays", ("import", "arrays", "{arrays}", "--out", "my"), "my"),
    Verb("import suite2p", ("import", "suite2p", "{suite2p}", "--out", "my"), "my"),
    Verb("import nwb", ("import", "nwb", "{nwb}", "--out", "my"), "my"),
    Verb("convert encoder", ("convert", "{checkpoint}", "--out", "k.safetensors"), "k.safetensors"),
    Verb("convert result", ("convert", "{published}", "--out", "p.zarr"), "p.zarr"),
    Verb("study of published", ("study", "natural", "--published", "{published}", "--out", "studies"), "studies"),
    Verb("download", ("download", "mask-m0", "--mirror", "{mirror}", "--out", "data"), "data"),
)
"""All but a study with runs of its own, which starts processes of Dask: `benchmarks/studies_killed.py` kills those."""
