"""Arrays that a command is given as files: a choice of neurons, activity, a movie."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_vidrecon.errors import ConfigError, StorageError

if TYPE_CHECKING:
    import numpy as np

    from napari_vidrecon.reconstruction.neurons import NeuronSet
    from napari_vidrecon.sessions.screen import ScreenGeometry


def _are_flags(listed: np.ndarray) -> bool:
    """Whether an array of one value a neuron says yes and no: booleans, or 0 and 1 or 0 and 255 as they are saved."""
    import numpy as np

    if listed.dtype == np.bool_:
        return True
    # Two neurons could be meant by 0 and 1, too; in bytes nobody writes indices.
    told = listed.dtype.kind in "iuf" and (listed.size > 2 or listed.dtype.itemsize == 1)
    return told and any(bool(np.isin(listed, (0, yes)).all()) for yes in (1, 255))


def choose_neurons(neurons: int, ablate: float, seed: int, file: Path | None) -> NeuronSet | None:
    """Who takes part: all but a random fraction, or those listed in a file; None for everyone.

    Parameters
    ----------
    neurons
        Neurons of the session.
    ablate
        Fraction ablated at random, 0 to below 1.
    seed
        Of the draw.
    file
        `.npy` with a boolean for each neuron, or the indices of those that take part.

    Returns
    -------
    NeuronSet | None
        Of as many neurons as the session has.

    Raises
    ------
    ConfigError
        Both were given, or the file does not fit the session.
    """
    import numpy as np

    from napari_vidrecon.reconstruction.neurons import NeuronSet
    from napari_vidrecon.storage import read_array

    if file is None:
        return NeuronSet.random(neurons, ablate, seed) if ablate else None
    if ablate:
        raise ConfigError(f"--neurons {file}: expected either --neurons or --ablate, found both")
    listed = read_array(file)
    listed = listed.ravel() if listed.size == max(listed.shape, default=0) else listed
    if listed.shape == (neurons,) and _are_flags(listed):
        listed = listed > 0
        return NeuronSet(listed, f"listed in {file.name}", {"kind": "list"})
    if listed.dtype.kind in "iu" and listed.ndim == 1 and ((listed >= 0) & (listed < neurons)).all():
        if np.unique(listed).size != listed.size:
            raise ConfigError(
                f"{file}: expected each neuron once, found indices that repeat; for yes and no, one a neuron, "
                f"give {neurons} of 0 and 1"
            )
        keep = np.zeros(neurons, dtype=bool)
        keep[listed] = True
        return NeuronSet(keep, f"listed in {file.name}", {"kind": "list"})
    raise ConfigError(
        f"{file}: expected a boolean for each of {neurons} neurons, or indices below {neurons}, "
        f"found {listed.dtype} of shape {listed.shape}"
    )


def read_activity(file: Path, neurons: int, frames: int) -> np.ndarray:
    """Activity to match.

    Parameters
    ----------
    file
        A `.npy` of numbers.
    neurons, frames
        Size that it must have.

    Returns
    -------
    np.ndarray
        (N, T).

    Raises
    ------
    StorageError
        Missing, damaged or unsafe.
    ConfigError
        Of another size.
    """
    from napari_vidrecon.storage import read_array

    activity = read_array(file)
    if activity.shape != (neurons, frames) or activity.dtype.kind not in "fiu":
        raise ConfigError(
            f"{file}: expected activity of {neurons} neurons x {frames} frames, "
            f"found {activity.dtype} of shape {activity.shape}"
        )
    return activity


def read_movie(file: Path, screen: ScreenGeometry | None = None) -> np.ndarray:
    """A movie from a file.

    Parameters
    ----------
    file
        A `.npy` of grey levels.
    screen
        What it is shown on; None: that of the public recordings.

    Returns
    -------
    np.ndarray
        (T, rows, columns) float32, grey levels 0..255.

    Raises
    ------
    StorageError
        Missing, damaged, unsafe, of another size, too short, or not of grey levels.
    """
    import numpy as np

    from napari_vidrecon.sessions.screen import USUAL_SCREEN
    from napari_vidrecon.sessions.trial_files import LONGEST_CLIP_FRAMES, MINIMUM_FRAMES
    from napari_vidrecon.storage import read_array

    movie = read_array(file, memory_map=True)
    rows, columns = (screen or USUAL_SCREEN).size_px
    expected = f"{file}: expected a movie of (frames, {rows}, {columns}), "
    if movie.ndim != 3 or movie.shape[1:] != (rows, columns) or movie.dtype.kind not in "fiu":
        raise StorageError(f"{expected}found {movie.dtype} of shape {movie.shape}")
    if not MINIMUM_FRAMES <= len(movie) <= LONGEST_CLIP_FRAMES:
        wanted = (
            f"at least {MINIMUM_FRAMES} of them" if len(movie) < MINIMUM_FRAMES else f"at most {LONGEST_CLIP_FRAMES}"
        )
        raise StorageError(f"{expected}{wanted}, found {len(movie)}")
    if not np.isfinite(movie).all() or movie.min() < 0 or movie.max() > 255:
        raise StorageError(f"{expected}grey levels from 0 to 255, found others, or NaN; rescale it")
    return movie.astype(np.float32)
