"""The slider of time in frames of the board's own layers, whatever other layers a person has open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image

if TYPE_CHECKING:
    import napari
    import pint

ROLE_KEY = "vidrecon_role"
TIME = -3
"""Time is the third axis from the end: rows and columns come last, and layers of more axes put theirs before."""


def _clock(viewer: napari.components.ViewerModel) -> tuple[float, float, int]:
    """Time of a frame, time of the first one, and number of frames, of a movie of ours; else as the slider says."""
    for layer in viewer.layers:
        if isinstance(layer, Image) and ROLE_KEY in layer.metadata and layer.ndim == -TIME:
            # Where all layers agree on what is measured, the slider has the smallest unit of any.
            slider = viewer.layers.extent.units
            unit = 1.0 if slider is None else _times(layer.units[TIME], slider[TIME])
            return unit * float(layer.scale[TIME]), unit * float(layer.translate[TIME]), int(layer.data.shape[0])
    low, _, step = viewer.dims.range[TIME]
    return float(step) or 1.0, float(low), int(viewer.dims.nsteps[TIME])


def _times(unit: pint.Unit, other: pint.Unit) -> float:
    """How many of another unit one unit is."""
    return 1.0 if unit == other else float((1 * unit).to(other).magnitude)


def present_frame(viewer: napari.components.ViewerModel) -> int:
    """The frame on display, from 0."""
    if viewer.dims.ndim < -TIME:
        return 0
    frame_s, first_s, frames = _clock(viewer)
    return min(max(round((viewer.dims.point[TIME] - first_s) / frame_s), 0), max(frames - 1, 0))


def frame_count(viewer: napari.components.ViewerModel) -> int:
    """How many frames there are; 0 without a slider."""
    return 0 if viewer.dims.ndim < -TIME else _clock(viewer)[2]


def go_to_frame(viewer: napari.components.ViewerModel, frame: int) -> None:
    """Show a frame; nothing happens without a slider."""
    if viewer.dims.ndim >= -TIME:
        frame_s, first_s, frames = _clock(viewer)
        place = min(max(frame, 0), max(frames - 1, 0)) * frame_s + first_s
        viewer.dims.set_point(viewer.dims.ndim + TIME, place)
