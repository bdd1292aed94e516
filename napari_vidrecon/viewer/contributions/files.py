"""Files as napari opens and saves them: session folders, run folders and the sample.

A reader and a sample can only return layers. Once those have arrived in a window, they are replaced by the board
of the folder they came from. Where there is no window, as in a script, they stay as they are. File > Save writes the
run on the board as a run folder.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from npe2 import PluginManager
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_vidrecon.errors import RunError, SessionError, VidreconError
from napari_vidrecon.reconstruction.provenance import check_complete
from napari_vidrecon.sessions.trial import seconds_a_frame
from napari_vidrecon.storage import read_json, reading

if TYPE_CHECKING:
    from napari_vidrecon.reconstruction.results import Reconstruction


PATH_KEY = "vidrecon_path"
SAMPLE = Path("simulated_mouse")
"""Stands for the sample, wherever it lies."""
LayerTuple = tuple[np.ndarray, dict[str, Any], str]
GREY_LIMITS = (0.0, 255.0)
GAP_PX = 4
OPENING_MILLISECONDS = 50
NOTHING: tuple[LayerTuple, ...] = ((None,),)  # type: ignore[assignment]
"""What a reader answers that could read nothing, and has told so."""


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[LayerTuple]] | None:
    """Say whether a folder is a session or a run, without reading it.

    Parameters
    ----------
    path
        The folder; a list is accepted if it holds one.

    Returns
    -------
    Callable[[str | list[str]], list[LayerTuple]] | None
        A function that reads it into layers; None if it is neither.
    """
    folder = _only(path)
    if folder is None or not os.path.isdir(folder):  # noqa: PTH112
        return None
    if os.path.isdir(folder / "meta") and os.path.isdir(folder / "data" / "videos"):  # noqa: PTH112
        return read_session
    return read_run if _is_run(folder) else None


def is_ours(path: Path) -> bool:
    """Whether a folder is a session or a saved run."""
    return get_reader(str(path)) is not None


def is_recording(path: Path) -> bool:
    """Whether something is a recording that has to be imported first, and neither a session nor a run."""
    from napari_vidrecon.sessions.importing import sources

    return not is_ours(path) and sources.is_recording(path)


def kind_of(path: Path) -> str:
    """Whether something is a "session", a "run" or a "recording"; empty for anything else."""
    reader = get_reader(str(path))
    if reader is not None:
        return "session" if reader is read_session else "run"
    return "recording" if is_recording(path) else ""


def can_be_opened(path: Path) -> bool:
    """Whether it is a session, a saved run, or a recording to import."""
    return is_ours(path) or is_recording(path)


def is_taken_when_dropped(path: Path) -> bool:
    """Whether it is ours to open, or a file that no reader would take, of which we say what can be dropped."""
    readers = PluginManager.instance().iter_compatible_readers([str(path)])
    return can_be_opened(path) or (os.path.isfile(path) and next(iter(readers), None) is None)  # noqa: PTH113


def simulated_mouse() -> list[LayerTuple]:
    """A clip the simulated mouse watched; a window then shows the whole board.

    Returns
    -------
    list[LayerTuple]
        No data where the window has told of a fault.

    Raises
    ------
    SessionError
        The sample was left out of this installation.
    """
    from napari_vidrecon.sessions.sample import SAMPLE_TEST_TIER, find_sample
    from napari_vidrecon.sessions.session import open_session
    from napari_vidrecon.viewer.opening import SAMPLE_FRAMES

    try:
        session = open_session(find_sample().session)
        trial = session.trial(session.trials_in_tier(SAMPLE_TEST_TIER)[0])
    except VidreconError as error:
        if told_in_window(error):
            return list(NOTHING)
        raise
    trial = trial.part(0, min(SAMPLE_FRAMES, trial.frames))
    put_on_board_soon(SAMPLE)
    return [movie_layer(trial.video, "stimulus, simulated mouse", SAMPLE, trial.frame_rate_hz)]


def read_session(path: str | list[str]) -> list[LayerTuple]:
    """The movie of a session's first clip; a window then takes it over and shows the whole board.

    Returns
    -------
    list[LayerTuple]
        No data where the window has told of a fault.

    Raises
    ------
    SessionError
        The session or the trial cannot be read; in a window that is a line, and nothing is read.
    """
    from napari_vidrecon.sessions.session import open_session
    from napari_vidrecon.viewer.opening import first_trial

    folder = _only(path)
    assert folder is not None
    try:
        with reading(folder, SessionError, "a session folder"):
            session = open_session(folder)
            trial = session.trial(first_trial(session))
    except SessionError as error:
        if told_in_window(error):
            return list(NOTHING)
        raise
    put_on_board_soon(folder)
    return [movie_layer(trial.video, f"stimulus, {trial.name}", folder, trial.frame_rate_hz)]


def read_run(path: str | list[str]) -> list[LayerTuple]:
    """Stimulus and reconstruction of a run beside each other; a window then shows the whole board.

    Returns
    -------
    list[LayerTuple]
        No data where the window has told of a fault.

    Raises
    ------
    RunError
        It is damaged; in a window that is a line, and nothing is read.
    """
    from napari_vidrecon.reconstruction.results import Reconstruction

    folder = _only(path)
    assert folder is not None
    try:
        with reading(folder, RunError, "a run folder"):
            result = Reconstruction.load(folder)
            check_complete(result.provenance, folder)
    except RunError as error:
        if told_in_window(error):
            return list(NOTHING)
        raise
    rate_hz = float(result.provenance.get("frame_rate_hz", 30.0))
    name = result.provenance.get("session", folder.stem)
    put_on_board_soon(folder)
    return [
        movie_layer(result.stimulus, f"stimulus, {name}", folder, rate_hz),
        movie_layer(result.video, f"reconstruction, {name}", folder, rate_hz, result.video.shape[2] + GAP_PX),
    ]


def movie_layer(video: np.ndarray, name: str, path: Path, rate_hz: float, left_px: float = 0.0) -> LayerTuple:
    """A movie as an image layer in seconds and pixels that knows where it came from.

    Parameters
    ----------
    video
        (T, H, W), grey levels 0..255.
    name
        Of the layer.
    path
        Its file.
    rate_hz
        Frames a second.
    left_px
        Place of its left edge, pixels.

    Returns
    -------
    LayerTuple
        Data, what napari is told of it, and "image".
    """
    metadata = {
        "name": name,
        "scale": (seconds_a_frame(rate_hz, len(video)), 1.0, 1.0),
        "translate": (0.0, 0.0, left_px),
        "axis_labels": ("time", "y", "x"),
        "units": ("s", "pixel", "pixel"),
        "contrast_limits": GREY_LIMITS,
        "metadata": {PATH_KEY: str(path)},
    }
    return video, metadata, "image"


def _only(path: str | list[str]) -> Path | None:
    if isinstance(path, list):
        return Path(path[0]) if len(path) == 1 else None
    return Path(path)


def _is_run(folder: Path) -> bool:
    from napari_vidrecon.reconstruction.run_folder import FORMAT

    if not os.path.isfile(folder / "zarr.json"):  # noqa: PTH113  # has an answer for every path there is
        return False
    try:
        return bool(read_json(folder / "zarr.json")["attributes"]["format"] == FORMAT)
    except (VidreconError, KeyError, TypeError, IndexError):
        return False


def put_on_board_soon(path: Path) -> None:
    """Open a folder on the board of the window its layers arrive in, as soon as they are there.

    Parameters
    ----------
    path
        A session or run folder, or `SAMPLE`; the layers carry it in their metadata.
    """
    if QApplication.instance() is not None:
        QTimer.singleShot(0, lambda: _put_on_board(path))


def _put_on_board(path: Path) -> None:
    import napari

    if _napari_opens():
        QTimer.singleShot(OPENING_MILLISECONDS, lambda: _put_on_board(path))
        return
    viewer = napari.current_viewer()
    arrived = [layer for layer in viewer.layers if PATH_KEY in layer.metadata] if viewer else []
    paths = list(dict.fromkeys(Path(layer.metadata[PATH_KEY]) for layer in arrived))
    # A window that was closed, or layers that a script opened in another one, or that came with others: nothing to do.
    if path not in paths:
        return
    from napari_vidrecon.viewer import opening
    from napari_vidrecon.viewer.contributions import commands
    from napari_vidrecon.viewer.registry import workspace_of

    workspace = workspace_of(viewer)
    with workspace.faults:
        for layer in arrived:
            viewer.layers.remove(layer)
        if SAMPLE in paths:
            commands.open_simulated_mouse(viewer)
        others = [each for each in paths if each != SAMPLE]
        opening.open_together(workspace.model, others, partial(commands.open_folder, viewer), kind_of)


def _napari_opens() -> bool:
    """Whether napari is in the midst of opening: of several files its bar of progress lets timers in between two."""
    from napari.components import ViewerModel

    return any(frame.f_code is ViewerModel.open.__code__ for frame, _ in traceback.walk_stack(None))


def told_in_window(error: Exception) -> bool:
    """Tell an error in the present window, which napari would make a dialog with a traceback of.

    Parameters
    ----------
    error
        Why something could not be read or written.

    Returns
    -------
    bool
        False where there is no window: a script wants the error itself.
    """
    import napari

    viewer = napari.current_viewer() if QApplication.instance() is not None else None
    if viewer is None or getattr(viewer, "window", None) is None:
        return False
    from napari_vidrecon.viewer.registry import workspace_of

    workspace_of(viewer).faults.take(error)
    return True


ROLE_KEY, RECONSTRUCTION_ROLE = "vidrecon_role", "reconstruction"


def write_run(path: str, layers: list[tuple[Any, dict[str, Any], str]]) -> list[str]:
    """Save the run that the given layers show: everything of it, not only what is seen.

    In a window, what goes wrong is a line there, and nothing is written.

    Parameters
    ----------
    path
        The run folder, ending in .zarr.
    layers
        (data, attributes, type) of each layer; one of them is a reconstruction.

    Returns
    -------
    list[str]
        the folder.

    Raises
    ------
    RunError
        No layer is a reconstruction of this plugin, or its run still goes on.
    StorageError
        It cannot be written.
    """
    try:
        return _write(path, layers)
    except VidreconError as error:
        if told_in_window(error):
            return []
        raise


def _write(path: str, layers: list[tuple[Any, dict[str, Any], str]]) -> list[str]:
    for data, attributes, _ in layers:
        metadata = attributes.get("metadata", {})
        result = None
        if metadata.get(ROLE_KEY) == RECONSTRUCTION_ROLE:
            result = _on_board(data)
        elif PATH_KEY in metadata:
            result = _on_disk(Path(metadata[PATH_KEY]))
        if result is not None:
            result.save(path)
            return [path]
    raise RunError(f"{path}: expected the reconstruction of a run to save, found none; wait for its end, or press Stop")


def _on_board(data: np.ndarray) -> Reconstruction | None:
    """The shown run of the present window, if its movie is in the layer."""
    import napari

    from napari_vidrecon.viewer.registry import find_workspace

    viewer = napari.current_viewer()
    workspace = find_workspace(viewer) if viewer is not None else None
    shown = workspace.model.shown if workspace is not None else None
    if shown is None or shown.result.video.shape != np.shape(data):
        return None
    return shown.result if np.allclose(data, shown.result.video, atol=1e-3) else None


def _on_disk(folder: Path) -> Reconstruction | None:
    from napari_vidrecon.reconstruction.results import Reconstruction

    return Reconstruction.load(folder) if (folder / "zarr.json").is_file() else None
