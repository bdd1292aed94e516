"""A result as a notebook shows it: a strip of frames, and how good they are."""

from __future__ import annotations

import base64
import html
import io
import math
from typing import TYPE_CHECKING

import numpy as np

from napari_vidrecon.reconstruction.history import with_unit

if TYPE_CHECKING:
    from napari_vidrecon.reconstruction.results import Reconstruction

FRAMES_SHOWN = 8
ENLARGEMENT, GAP_PX = 2, 4
WHITE_LEVEL = 255


def strip(result: Reconstruction) -> np.ndarray:
    """(height, width) uint8: frames of the stimulus above those of the reconstruction, equally spaced in time."""
    rows = []
    for movie in (result.stimulus, result.video):
        shown = movie[result.measured_frames]
        indices = np.linspace(0, len(shown) - 1, min(FRAMES_SHOWN, len(shown))).round().astype(int)
        levels = np.clip(np.rint(shown[indices]), 0, WHITE_LEVEL).astype(np.uint8)
        large = levels.repeat(ENLARGEMENT, axis=1).repeat(ENLARGEMENT, axis=2)
        framed = np.pad(large, ((0, 0), (0, GAP_PX), (0, GAP_PX)), constant_values=WHITE_LEVEL)
        rows.append(np.concatenate(list(framed), axis=1))
    return np.concatenate(rows)


def page(result: Reconstruction) -> str:
    """HTML: a heading, the strip as a PNG inside the text, and a table of scores."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(strip(result)).save(file, format="PNG")
    picture = base64.b64encode(file.getvalue()).decode("ascii")
    scores = result.scores().items()
    named = {with_unit(name).replace("_", " "): value for name, value in scores if math.isfinite(value)}
    names = "".join(f"<th>{html.escape(name)}</th>" for name in named)
    values = "".join(f"<td>{value:.3f}</td>" for value in named.values())
    return (
        f"<div><b>{html.escape(result.label)}</b><br>"
        f'<img alt="stimulus above reconstruction" src="data:image/png;base64,{picture}">'
        f"<table><tr>{names}</tr><tr>{values}</tr></table></div>"
    )
