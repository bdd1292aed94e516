"""The simulated mice of the quality arena: unlike in noise, in number of neurons, in size and place of the field.

    python benchmarks/quality/mice.py --folder scratch/arena                  # all mice, one encoder each
    python benchmarks/quality/mice.py --folder scratch/arena --encoders 5     # five each, for ensembles

Runs `vidrecon simulate`, `train`, `mask` and `decoder`, as a user would; what is there already is not made again.
About eight minutes a mouse on one core, and three for each further encoder: those are trained for half as long.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import napari_vidrecon as vr
from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.reconstruction.decoder import Decoder
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.sessions.session import Session

FURTHER_STEPS = 450
"""Training steps of every encoder but the first, which gets as many as `vidrecon train` gives by itself."""


@dataclass(frozen=True)
class ArenaMouse:
    """One simulated mouse.

    Parameters
    ----------
    seed, neurons, gain : of the simulation; the lower the gain, the noisier.
    radius_px, centre_px : of the disc the receptive fields lie in.
    """

    seed: int
    neurons: int
    gain: float = 0.33
    radius_px: float = 11.0
    centre_px: tuple[float, float] = (18.0, 30.0)

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"seed{self.seed}"

    def commands(self, folder: Path, encoders: int) -> list[tuple[Path, list[str]]]:
        """Each file and the `vidrecon` command that makes it."""
        session, mask = folder / self.name, folder / f"{self.name}_mask.npy"
        simulate = ["simulate", "--seed", self.seed, "--neurons", self.neurons, "--gain", self.gain]
        simulate += ["--field-radius", self.radius_px, "--field-centre", *self.centre_px, "--out", session]
        made: list[tuple[Path, list]] = [(session, simulate)]
        for index in range(encoders):
            encoder = self.encoder_file(folder, index)
            shorter = ["--steps", FURTHER_STEPS] if index else []
            made.append((encoder, ["train", session, "--seed", index, *shorter, "--out", encoder]))
        made.insert(2, (mask, ["mask", session, "--encoder", self.encoder_file(folder, 0), "--out", mask]))
        made.append((self.decoder_file(folder), ["decoder", session, "--out", self.decoder_file(folder)]))
        return [(path, [str(word) for word in words]) for path, words in made]

    def encoder_file(self, folder: Path, index: int) -> Path:
        """Where an encoder lies."""
        return folder / f"{self.name}_{index}.safetensors"

    def decoder_file(self, folder: Path) -> Path:
        """Where its decoder lies."""
        return folder / f"{self.name}_decoder.safetensors"

    def open(self, folder: Path, device: str = "cpu") -> tuple[Session, list[Encoder], AlphaMask, Decoder]:
        """Its session, all encoders that were trained, its mask and its decoder."""
        files = sorted(folder.glob(f"{self.name}_[0-9].safetensors"))
        encoders = [vr.load_encoder(file, device=device) for file in files]
        mask = vr.AlphaMask.load(folder / f"{self.name}_mask.npy")
        return vr.open_session(folder / self.name), encoders, mask, Decoder.load(self.decoder_file(folder))


MICE = (
    ArenaMouse(seed=7, neurons=1000),
    ArenaMouse(seed=11, neurons=800),
    ArenaMouse(seed=21, neurons=600, gain=0.5, radius_px=8.0, centre_px=(16.0, 36.0)),
    ArenaMouse(seed=31, neurons=1500, gain=0.25, radius_px=14.0, centre_px=(18.0, 32.0)),
)


def main() -> None:
    """Make what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--encoders", type=int, default=1)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    # An encoder more for all mice before the next, so that a stopped run is balanced.
    for encoders in range(1, arguments.encoders + 1):
        for path, words in [each for mouse in MICE for each in mouse.commands(arguments.folder, encoders)]:
            if not path.exists():
                subprocess.run([sys.executable, "-m", "napari_vidrecon.cli", *words], check=True)


if __name__ == "__main__":
    main()
