"""A saved reconstruction as a movie and as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_vidrecon.cli.scores import evaluation_mask, measured_frames, scores, training_mask
from napari_vidrecon.errors import StorageError, one_line

if TYPE_CHECKING:
    from napari_vidrecon.reconstruction.results import Reconstruction

MOVIE_SUFFIXES = (".mp4", ".gif", ".tif", ".tiff")
FIGURE_SUFFIXES = (".png", ".svg", ".pdf")


def name_of(result: Reconstruction) -> str:
    """What was reconstructed, for titles."""
    session, trial = one_line(result.provenance.get("session") or " "), result.provenance.get("trial", "?")
    return session if f"trial {trial}" in session else f"{session} trial {trial}".strip()


def frame_rate_hz(result: Reconstruction) -> float:
    """Frames a second of the clip."""
    from napari_vidrecon.sessions.trial import FRAME_RATE_HZ

    return float(result.provenance.get("frame_rate_hz", FRAME_RATE_HZ))


def write_movie(
    result: Reconstruction, path: Path, *, error: bool = False, match_contrast: bool = False, speed: float = 1.0
) -> Path:
    """Stimulus and reconstruction side by side as MP4 or GIF; as TIFF the reconstruction's own grey levels.

    Parameters
    ----------
    path
        Ends in .mp4, .gif, .tif or .tiff.
    error
        A third panel with the error over the stimulus.
    match_contrast
        Show the reconstruction with the stimulus's luminance and contrast.
    speed
        1 is as the mouse saw it.

    Raises
    ------
    StorageError
        Another ending, or it cannot be written.
    """
    from napari_vidrecon.analysis.postprocess import match_luminance_contrast
    from napari_vidrecon.figures.movie import side_by_side_frames, write_gif, write_mp4, write_tiff

    suffix = path.suffix.lower()
    rate = frame_rate_hz(result)
    if suffix not in MOVIE_SUFFIXES:
        raise StorageError(f"{path}: expected a movie's name ending in {', '.join(MOVIE_SUFFIXES)}, found '{suffix}'")
    mask, inside = evaluation_mask(result), training_mask(result)
    shown = match_luminance_contrast(result.video, result.stimulus, inside) if match_contrast else result.video
    if suffix in (".tif", ".tiff"):
        return write_tiff(path, shown, fps=rate * speed)
    correlation = scores(result)["video_correlation"]
    frames = side_by_side_frames(
        result.stimulus,
        shown,
        mask,
        _error(result.stimulus, result.video, inside) if error else None,
        training_mask=inside,
        frame_rate_hz=rate,
        start_s=_start_s(result),
        caption=f"trial {result.provenance.get('trial', '?')}, r = {correlation:.2f}",
        simulated=bool(result.provenance.get("simulated")),
    )
    return (write_gif if suffix == ".gif" else write_mp4)(path, frames, rate * speed)


def write_figure(result: Reconstruction, path: Path, *, error: bool = False, match_contrast: bool = False) -> Path:
    """Frames of the stimulus above those of the reconstruction, masks outlined, correlation frame by frame.

    Parameters
    ----------
    path
        Ends in .png, .svg or .pdf.
    error, match_contrast
        As for `write_movie`.

    Raises
    ------
    StorageError
        Another ending, or it cannot be written.
    """
    from napari_vidrecon.figures.frame import save_figure
    from napari_vidrecon.figures.montage import reconstruction_figure

    if path.suffix.lower() not in FIGURE_SUFFIXES:
        raise StorageError(
            f"{path}: expected a figure's name ending in {', '.join(FIGURE_SUFFIXES)}, found '{path.suffix}'"
        )
    frames, rate = measured_frames(result), frame_rate_hz(result)
    truth, video = result.stimulus[frames], result.video[frames]
    told = result.provenance
    steps, correlation = result.history.tracked("video_correlation")
    figure = reconstruction_figure(
        truth,
        video,
        evaluation_mask(result),
        training_mask=training_mask(result),
        error=_error(truth, video, training_mask(result)) if error else None,
        optimisation=(steps, correlation) if len(steps) > 1 else None,
        match_contrast=match_contrast,
        frame_rate_hz=rate,
        start_s=_start_s(result) + frames.start / rate,
        title=f"trial {told.get('trial', '?')}" if told.get("simulated") else name_of(result),
        simulated=bool(told.get("simulated")),
    )
    return save_figure(figure, path)


def _error(truth: Any, video: Any, mask: Any) -> Any:
    """Reconstruction minus stimulus where there is a reconstruction; nothing is tinted elsewhere."""
    return (video - truth) * mask


def _start_s(result: Reconstruction) -> float:
    clip = (result.provenance.get("inputs") or {}).get("frames") or [0, None]
    return float(clip[0]) / frame_rate_hz(result)
