"""Raw recordings of the simulated mouse, with what suite2p itself leaves besides: a pickled `stat.npy`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_vidrecon.sessions.simulation import raw_mouse


class RawMouse(raw_mouse.RawMouse):
    """The package's raw mouse; its suite2p folder holds a pickled file as well."""

    def write_suite2p(self, folder: Path) -> Path:
        """As suite2p leaves it."""
        super().write_suite2p(folder)
        positions = np.load(folder / "coordinates.npy")
        stat = np.array([{"med": [y, x]} for x, y, _ in positions], dtype=object)
        np.save(folder / "suite2p" / "plane0" / "stat.npy", stat, allow_pickle=True)
        return folder
