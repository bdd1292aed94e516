"""A clip that a tiny encoder can be asked about: shared by the tests of this room."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon.encoders.checkpoints import load_encoder
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.sessions.session import open_session


@pytest.fixture(scope="package")
def encoder(small_encoder_file):
    return load_encoder(small_encoder_file, device="cpu")


@pytest.fixture(scope="package")
def trial(small_session_folder):
    return open_session(small_session_folder).trial(1).part(0, 44)


@pytest.fixture(scope="package")
def disc_mask():
    """Alpha 1.2 in the middle of the screen, falling to below 0 at the corners."""
    rows, columns = np.mgrid[:36, :64]
    return AlphaMask((1.2 - np.hypot(rows - 18, columns - 30) / 20).astype(np.float32), "disc")


@pytest.fixture(scope="package")
def quick_config():
    return ReconstructionConfig.preset("paper", steps=6, track_every=2)
