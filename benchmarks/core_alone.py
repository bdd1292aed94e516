"""An encoder file cut down to its core: one neuron stays, as a file of an encoder has a readout.

    python -m benchmarks.core_alone core_of_three.safetensors sample_data/core.safetensors

What `vidrecon train --core` and `PretrainedCore` take of a file is the same before and after. How the core of the
sample was made stands in sample_data/README.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from napari_vidrecon.encoders.architecture import build_module
from napari_vidrecon.encoders.checkpoints import read_encoder_file, save_encoder
from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.encoders.stored_encoder import READOUTS
from napari_vidrecon.encoders.windows import FrameWindows
from napari_vidrecon.storage import file_hash

OF_ALL_MICE = ("begun_with", "licence", "movies", "simulated", "steps_done", "training")
"""What an encoder's file says of its training; the rest is of the mice whose readouts go."""


def main() -> None:
    """Read, cut, write, and look whether it opens."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("source", type=Path)
    words.add_argument("destination", type=Path)
    asked = words.parse_args()
    stored = read_encoder_file(asked.source)
    config = {**stored.config, "readout_outputs": (1,), "behavior_of_mice": ()}
    with torch.device("meta"):
        module = build_module(asked.source, stored.architecture, config)
    state = {name: stored.tensor(name) for name in module.state_dict() if not name.startswith(READOUTS)}
    state |= {
        name: stored.tensor(name)[:1] if stored.shapes[name] != tuple(value.shape) else stored.tensor(name)
        for name, value in module.state_dict().items()
        if name.startswith(READOUTS)
    }
    told = {name: stored.provenance[name] for name in OF_ALL_MICE if name in stored.provenance}
    save_encoder(
        asked.destination,
        module,
        architecture=stored.architecture,
        mice=[", ".join(stored.mice)],
        canvas=Canvas(**stored.canvas),
        windows=FrameWindows(**stored.windows),
        frame_rate_hz=stored.frame_rate_hz,
        provenance={**told, "core_of_sha256": file_hash(asked.source)},
        state=state,
        check=True,
    )
    print(f"{asked.destination}: {asked.destination.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
