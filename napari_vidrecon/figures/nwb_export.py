"""A run as an NWB file, for archives and other programs; and the run again from such a file."""

from __future__ import annotations

import json
import math
import re
import uuid
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from napari_vidrecon.analysis.ensembles import uncertainty_map
from napari_vidrecon.errors import RunError, StorageError, VidreconError, one_line, optional_module
from napari_vidrecon.figures.export import check_path
from napari_vidrecon.reconstruction.config import PREDICTED_FROM
from napari_vidrecon.reconstruction.history import History
from napari_vidrecon.reconstruction.results import Reconstruction
from napari_vidrecon.reconstruction.run_folder import checked_config
from napari_vidrecon.sessions.downloading.catalogue import terms_of
from napari_vidrecon.sessions.importing.hdf5_contents import require_self_contained, whole
from napari_vidrecon.sessions.writer import REPORT_FILE
from napari_vidrecon.storage import parse_json, read_json, reading, replacing_file, user_path
from napari_vidrecon.version import __version__

NWB_ENDINGS = (".nwb",)
MODULE = "vidrecon"
MOVIE, UNCERTAINTY, STIMULUS = "reconstruction", "uncertainty", "stimulus"
MEMBER = "reconstruction_{}"
INFERRED = {
    "gaze_px": ("px", "Columns and rows that receptive fields moved by, inferred: frame, column or row, presentation."),
    "gain": ("1", "Factor of all neurons, inferred: frame, presentation."),
}
NEURONS, MASK, TEXTS = "neurons", "mask", "configuration"
STARTED = "%Y-%m-%dT%H:%M:%S%z"
SIDE = "The axes are frame, x and y, as NWB's standard says; x from the left, y from the top of the screen."


def write_nwb(result: Reconstruction, path: Path) -> Path:
    """Write a run as an NWB file: its processing module holds movie, uncertainty, activity, mask and configuration.

    Parameters
    ----------
    result
        The run.
    path
        The file, ending in .nwb; a file there is replaced.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    ConfigError
        Pynwb is not installed.
    StorageError
        Another ending, or it cannot be written.
    """
    check_path(path, "an NWB file", NWB_ENDINGS)
    pynwb = optional_module("pynwb", "nwb", "NWB files")
    book = _book(result)
    with replacing_file(path) as draft, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pynwb.NWBHDF5IO(str(draft), "w") as io:
            io.write(book)
    return path


def _book(result: Reconstruction) -> Any:
    import pynwb
    from pynwb.base import Images
    from pynwb.file import Subject
    from pynwb.image import GrayscaleImage

    told = result.provenance
    book = pynwb.NWBFile(
        session_description=f"Movie reconstructed from the activity of {_mouse(result)}: {one_line(result.name)}",
        identifier=str(told.get("fingerprint") or uuid.uuid4()),
        session_start_time=_started(told),
        keywords=["reconstruction", *(["simulated"] if result.simulated else [])],
        experiment_description="A movie that the mouse's activity tells of, not a recording; napari-vidrecon.",
        notes=_source(told),
        source_script=f"napari-vidrecon {__version__}",
        source_script_file_name="vidrecon",
    )
    # A run does not know sex and age; "P0D/" says any age.
    book.subject = Subject(
        subject_id=_word(str(told.get("session") or "unknown")),
        description=f"{_mouse(result)}; sex and age are not told",
        species="Mus musculus",
        sex="U",
        age="P0D/",
    )
    book.add_stimulus(_movie(STIMULUS, result.stimulus, result, "What the mouse saw."))
    module = book.create_processing_module(MODULE, "A movie reconstructed from activity, and what it was made with")
    module.add(_movie(MOVIE, result.video, result, "The reconstruction, unmasked; the mean over encoders and draws."))
    if len(result.videos) > 1:
        spread = uncertainty_map(result.videos, result.config.uncertainty_scale, result.planes)
        module.add(_movie(UNCERTAINTY, spread, result, "Standard deviation over encoders and draws."))
    for number, video in enumerate(result.videos):
        module.add(_movie(MEMBER.format(number), video, result, f"The movie of encoder or draw {number} alone."))
    for each in INFERRED:
        if (series := _inferred(each, result)) is not None:
            module.add(series)
    module.add(_neurons(result))
    data, about = np.ascontiguousarray(result.alpha.T), f"Transparency. {SIDE}{_in_colours(result)}"
    alpha = GrayscaleImage(name="alpha", data=data, description=about)
    module.add(Images(name=MASK, images=[alpha], description="The mask: how much of each pixel the activity tells of."))
    module.add(_texts(result))
    return book


def _movie(name: str, movie: np.ndarray, result: Reconstruction, about: str) -> Any:
    from pynwb import H5DataIO
    from pynwb.image import ImageSeries

    return ImageSeries(
        name=name,
        description=f"{about} {SIDE}{_in_colours(result)}",
        data=H5DataIO(np.ascontiguousarray(movie.transpose(0, 2, 1)), compression="gzip"),
        unit="grey levels, 0..255",
        rate=result.frame_rate_hz,
        starting_time=result.start_s,
    )


def _in_colours(result: Reconstruction) -> str:
    return f" Colours stand one below the other: {', '.join(result.colours)}." if result.colours else ""


def _inferred(name: str, result: Reconstruction) -> Any:
    from pynwb import TimeSeries

    values: np.ndarray | None = getattr(result, name)
    if values is None:
        return None
    unit, about = INFERRED[name]
    # Time comes first in this format.
    data = np.ascontiguousarray(values.T)
    told = {"description": about, "unit": unit, "rate": result.frame_rate_hz, "starting_time": result.start_s}
    return TimeSeries(name=name, data=data, **told)


def _neurons(result: Reconstruction) -> Any:
    from pynwb import H5DataIO
    from pynwb.core import DynamicTable, VectorData

    clock = f"a column a frame of the movie, at {result.frame_rate_hz:g} Hz"
    columns = [
        VectorData(name="kept", description="Whether the neuron took part.", data=result.keep),
        _activity("target", f"Activity that was matched, {clock}.", result.target, H5DataIO, VectorData),
    ]
    predicted = result.predicted_activity
    if predicted is not None and len(predicted) == len(result.keep):
        movie = PREDICTED_FROM[result.config.predicted_from]
        about = f"Activity that the encoders predict of the reconstruction: {movie}; {clock}."
        columns.append(_activity("predicted_activity", about, predicted, H5DataIO, VectorData))
    return DynamicTable(name=NEURONS, description="Activity of every neuron, as recorded.", columns=columns)


def _activity(name: str, about: str, values: np.ndarray, stored: Any, column: Any) -> Any:
    return column(name=name, description=about, data=stored(np.ascontiguousarray(values), compression="gzip"))


def _texts(result: Reconstruction) -> Any:
    from pynwb.core import DynamicTable, VectorData

    history = {name: [_plain(value) for value in values] for name, values in result.history.as_dict().items()}
    texts = {
        "config": result.config.model_dump(),
        "provenance": result.provenance,
        "levels": {name: _plain(value) for name, value in result.levels.items()},
        "history": history,
    }
    return DynamicTable(
        name=TEXTS,
        description="Settings, what went in, and what happened step by step, each as JSON.",
        columns=[
            VectorData(name="of", description="What the text tells of.", data=list(texts)),
            VectorData(name="json", description="JSON.", data=[json.dumps(text) for text in texts.values()]),
        ],
    )


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _mouse(result: Reconstruction) -> str:
    return "a simulated mouse" if result.simulated else "a mouse"


def _word(name: str) -> str:
    """A name without what archives do not take in the names of subjects."""
    return re.sub(r"[^\w.-]+", "-", one_line(name, 80).partition(",")[0]).strip("-") or "unknown"


def _started(told: dict[str, Any]) -> datetime:
    try:
        found = datetime.strptime(str(told.get("started")), STARTED)
    except ValueError:
        return datetime.now(UTC)
    return min(found, datetime.now(UTC))


def _source(told: dict[str, Any]) -> str:
    """What the run was made from: its session, and the recording that this was imported from, where they are known."""
    inputs = told.get("inputs") if isinstance(told.get("inputs"), dict) else {}
    session = str((inputs or {}).get("session") or "")
    parts = [f"Session: {one_line(Path(session).name if session else told.get('session') or 'not known')}."]
    if session:
        try:
            notes = read_json(Path(session) / REPORT_FILE).get("notes", [])
            parts += [
                f"Imported from: {one_line(note['text'])}."
                for note in notes
                if (note.get("kind"), note.get("about")) == ("read", "files")
            ]
        except (VidreconError, AttributeError, KeyError, TypeError):
            # Not imported, moved, or of somebody else.
            pass
    terms = terms_of(Path(session).name if session else str(told.get("session") or "").partition(",")[0])
    if terms:
        parts.append(f"The recording: {terms['licence']}, {terms['terms']}; cite {terms['citation']}.")
    return " ".join(parts)


def read_nwb(path: Path | str) -> Reconstruction:
    """Read a run from an NWB file that `write_nwb` wrote.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Reconstruction
        Equal to what was written, but for its state: it does not go on.

    Raises
    ------
    ConfigError
        Pynwb is not installed.
    RunError
        Another NWB file.
    StorageError
        Missing or damaged.
    """
    path = user_path(path)
    pynwb = optional_module("pynwb", "nwb", "NWB files")
    require_self_contained(path)
    with reading(path, StorageError, "an NWB file"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pynwb.NWBHDF5IO(str(path), "r") as io:
            book = io.read()
            if MODULE not in book.processing:
                raise RunError(
                    f"{path}: expected a reconstruction that vidrecon export --nwb wrote, found no module {MODULE}"
                )
            return _result(book, book.processing[MODULE], path)


def _result(book: Any, module: Any, path: Path) -> Reconstruction:
    def frames(series: Any) -> np.ndarray:
        return np.ascontiguousarray(whole(series.data, f"{path}: {series.name}").transpose(0, 2, 1))

    texts = module[TEXTS]
    told = {str(of): parse_json(str(text)) for of, text in zip(texts["of"][:], texts["json"][:], strict=True)}
    neurons, names = module[NEURONS], module.data_interfaces
    members = sum(1 for name in names if re.fullmatch(MEMBER.format(r"\d+"), name))
    predicted = "predicted_activity" in neurons.colnames
    inferred: dict[str, Any] = {
        each: np.ascontiguousarray(whole(module[each].data, f"{path}: {each}").T) for each in INFERRED if each in names
    }
    return Reconstruction(
        video=frames(module[MOVIE]),
        history=History.of_file(told["history"]),
        config=checked_config(told["config"]),
        provenance=told["provenance"],
        stimulus=frames(book.stimulus[STIMULUS]),
        target=whole(neurons["target"].data, f"{path}: target"),
        keep=whole(neurons["kept"].data, f"{path}: kept").astype(bool),
        alpha=np.ascontiguousarray(whole(module[MASK]["alpha"].data, f"{path}: alpha").T),
        videos=[frames(module[MEMBER.format(number)]) for number in range(members)],
        predicted_activity=whole(neurons["predicted_activity"].data, f"{path}: predicted") if predicted else None,
        levels={name: math.nan if value is None else value for name, value in told["levels"].items()},
        **inferred,
    )
