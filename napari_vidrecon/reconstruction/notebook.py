"""A result as a notebook shows it: a strip of frames, and how good they are."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Mapping

import numpy as np

from napari_vidrecon.reconstruction.history import with_unit

FRAMES_SHOWN = 8
ENLARGEMENT, GAP_PX = 2, 4
WHITE_LEVEL = 255


def strip(stimulus: np.ndarray, video: np.ndarray) -> np.ndarray:
    """(height, width) uint8: frames of the stimulus above those of the reconstruction, equally spaced in time."""
    rows = []
    for movie in (stimulus, video):
        indices = np.linspace(0, len(movie) - 1, min(FRAMES_SHOWN, len(movie))).round().astype(int)
        levels = np.clip(np.rint(movie[indices]), 0, WHITE_LEVEL).astype(np.uint8)
        large = levels.repeat(ENLARGEMENT, axis=1).repeat(ENLARGEMENT, axis=2)
        framed = np.pad(large, ((0, 0), (0, GAP_PX), (0, GAP_PX)), constant_values=WHITE_LEVEL)
        rows.append(np.concatenate(list(framed), axis=1))
    return np.concatenate(rows)


def page(heading: str, stimulus: np.ndarray, video: np.ndarray, scores: Mapping[str, float]) -> str:
    """HTML: a heading, the strip as a PNG inside the text, and a table of scores.

    Parameters
    ----------
    heading
        Any text; nothing of it runs.
    stimulus, video
        (T, H, W), grey levels 0..255.
    scores
        Name to value; those that are not finite are left out.

    Returns
    -------
    str
        One element, with nothing to fetch.
    """
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(strip(stimulus, video)).save(file, format="PNG")
    picture = base64.b64encode(file.getvalue()).decode("ascii")
    named = {with_unit(name).replace("_", " "): value for name, value in scores.items() if math.isfinite(value)}
    names = "".join(f"<th>{html.escape(name)}</th>" for name in named)
    values = "".join(f"<td>{value:.3f}</td>" for value in named.values())
    return (
        f"<div><b>{html.escape(heading)}</b><br>"
        f'<img alt="stimulus above reconstruction" src="data:image/png;base64,{picture}">'
        f"<table><tr>{names}</tr><tr>{values}</tr></table></div>"
    )
