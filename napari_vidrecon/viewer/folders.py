"""What outlasts a window: preferences, folders used lately and of runs, and what lies beside a session."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from napari_vidrecon.encoders import ENCODER_SUFFIXES
from napari_vidrecon.errors import StorageError, VidreconError
from napari_vidrecon.reconstruction.decoder import is_decoder
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.results import SUFFIX
from napari_vidrecon.sessions.stimuli.stimulus import STIMULUS_TRIAL
from napari_vidrecon.storage import fitting_name, read_json, replacing_file
from napari_vidrecon.viewer.choices import DEFAULT_PRESET

PLUGIN_NAME = "napari-vidrecon"


@dataclass(frozen=True)
class Preferences:
    """Settings of the plugin, as napari keeps them.

    Parameters
    ----------
    preset
        The preset a new window starts with.
    device
        The device it starts with: "auto", "cpu", "cuda", ...
    runs_folder
        Where runs are kept, or None for the user's data folder.
    movie_enlargement
        Screen pixels for one pixel of an exported movie.
    """

    preset: str = DEFAULT_PRESET
    device: str = "auto"
    runs_folder: Path | None = None
    movie_enlargement: int = 8


def preferences() -> Preferences:
    """The settings now; the defaults where the plugin is not registered with napari."""
    from napari.settings import get_plugin_settings

    try:
        stored = get_plugin_settings(PLUGIN_NAME)
    except KeyError:
        return Preferences()
    folder = stored.runs.folder.strip()
    return Preferences(
        preset=stored.runs.preset,
        device=stored.runs.device.strip() or "auto",
        runs_folder=Path(folder).expanduser() if folder else None,
        movie_enlargement=stored.export.movie_enlargement,
    )


STATE_FOLDER_VARIABLE = "VIDRECON_STATE"
FILE_NAME = "recent.json"
MOST_KEPT = 10
OPENED, EXPORT, VIEW, TOUR = "opened", "export", "view", "tour"


def recent_folders() -> list[Path]:
    """Session and run folders opened lately that are still there, the newest first."""
    return _there(OPENED)


def remember_folder(path: Path) -> None:
    """Put a session or run folder at the head of the recent ones."""
    _remember(OPENED, path)


def last_folder() -> Path:
    """Where something was exported last; the user's home before that."""
    kept = _there(EXPORT)
    return kept[0] if kept else home()


def remember_last_folder(path: Path) -> None:
    """Offer this folder for the next export."""
    _remember(EXPORT, path)


def last_view() -> dict[str, str]:
    """How the canvas was last looked at: names of choices, as `remember_view` was given them."""
    kept = _read().get(VIEW, {})
    return {str(name): str(value) for name, value in kept.items()} if isinstance(kept, dict) else {}


def remember_view(choices: dict[str, str]) -> None:
    """Look at the next window in the same way."""
    if last_view() != choices:
        _write({**_read(), VIEW: choices})


def tour_was_seen() -> bool:
    """Whether a person has finished or skipped the tour."""
    return _read().get(TOUR) == "seen"


def remember_tour() -> None:
    """Offer the tour no more."""
    if not tour_was_seen():
        _write({**_read(), TOUR: "seen"})


def home() -> Path:
    """The user's home; the folder for temporary files for a process that has none."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(tempfile.gettempdir())


def _there(kind: str) -> list[Path]:
    # Unlike Path.is_dir this has an answer for every path, however long or forbidden.
    return [Path(name) for name in _stored(kind) if os.path.isdir(name)]  # noqa: PTH112


def _file() -> Path:
    chosen = os.environ.get(STATE_FOLDER_VARIABLE)
    folder = Path(chosen).expanduser() if chosen else platformdirs.user_state_path("napari-vidrecon")
    return folder / FILE_NAME


def _read() -> dict[str, Any]:
    try:
        stored = read_json(_file())
    except StorageError:
        return {}
    return stored if isinstance(stored, dict) else {}


def _stored(kind: str) -> list[str]:
    kept = _read().get(kind, [])
    return [name for name in kept if isinstance(name, str)] if isinstance(kept, list) else []


def _remember(kind: str, path: Path) -> None:
    newest = os.path.abspath(path)  # noqa: PTH100  # also of a path that is none
    kept = [newest, *(name for name in _stored(kind) if name != newest)][:MOST_KEPT]
    _write({**_read(), kind: kept})


def _write(state: dict[str, Any]) -> None:
    # A state folder that cannot be written must not get in the way of what the user really does.
    with contextlib.suppress(StorageError, OSError), replacing_file(_file()) as temporary:
        temporary.write_text(json.dumps(state, indent=1), encoding="utf-8")


UNFINISHED_ENCODER_MARK = ".training."
"""Part of the name of files that a training leaves beside its encoder."""
HIDDEN_MARK = "."
"""Begins the names of drafts and locks, and of whatever else is nobody's encoder."""
ENCODERS_FOLDER, MASK_NAME = "encoders", "mask.npy"


@dataclass(frozen=True, eq=False)
class Companions:
    """What was found in the session folder or beside it.

    Parameters
    ----------
    encoders
        Files that say that they are encoders, by name.
    mask
        The mask, if there is one.
    passed_over
        One line each for what has the name of an encoder or mask, and is none.
    """

    encoders: tuple[Path, ...] = ()
    mask: AlphaMask | None = None
    passed_over: tuple[str, ...] = ()

    @property
    def mask_path(self) -> Path | None:
        """Where the mask lies."""
        return None if self.mask is None else Path(self.mask.source)


def find_companions(session_folder: Path) -> Companions:
    """Encoder files in a folder `encoders`, and a file `mask.npy`, in the session folder or beside it.

    Only sound ones: a damaged file, or one that is no regular file, is passed over, and said to be.

    Parameters
    ----------
    session_folder
        The session.

    Returns
    -------
    Companions
        Files, and the names of what was passed over.
    """
    encoders: list[Path] = []
    passed_over: list[str] = []
    mask = None
    for folder in (session_folder, session_folder.parent):
        if not encoders:
            encoders, damaged = _encoders_in(folder / ENCODERS_FOLDER)
            passed_over += damaged
        if mask is None and os.path.lexists(folder / MASK_NAME):
            try:
                mask = AlphaMask.load(folder / MASK_NAME)
            except VidreconError as error:
                passed_over.append(str(error))
    return Companions(tuple(encoders), mask, tuple(passed_over))


def _encoders_in(folder: Path) -> tuple[list[Path], list[str]]:
    from napari_vidrecon.encoders.checkpoints import read_encoder_file

    sound, damaged = [], []
    for path in _candidates(folder):
        try:
            if not is_decoder(path):
                read_encoder_file(path)
                sound.append(path)
        except VidreconError as error:
            damaged.append(str(error))
    return sound, damaged


def _candidates(folder: Path) -> list[Path]:
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:
        return []
    return [
        folder / name
        for name in names
        if Path(name).suffix in ENCODER_SUFFIXES
        and not name.startswith(HIDDEN_MARK)
        and UNFINISHED_ENCODER_MARK not in name
    ]


RUNS_FOLDER_VARIABLE = "VIDRECON_RUNS"
NAME_PATTERN = re.compile(
    r"(?P<session>.+)_(?P<clip>trial\d+|stimulus)_(?P<when>\d{8}-\d{6})-\d{3}" + re.escape(SUFFIX)
)


def default_runs_folder() -> Path:
    """The folder that $VIDRECON_RUNS names, else one in the user's data folder."""
    chosen = os.environ.get(RUNS_FOLDER_VARIABLE)
    return Path(chosen).expanduser() if chosen else platformdirs.user_data_path("napari-vidrecon") / "runs"


@dataclass(frozen=True)
class KeptRun:
    """A run that lies in a runs folder.

    Parameters
    ----------
    path
        Its folder.
    session, clip
        Taken from the folder's name; the clip is "trial 22" or "stimulus".
    when
        "2026-01-31 17:05".
    """

    path: Path
    session: str
    clip: str
    when: str


def new_run_folder(runs_folder: Path, session: str, trial: int) -> Path:
    """A folder name for a run that starts now, down to the millisecond; nothing is made.

    Parameters
    ----------
    runs_folder
        Where runs are kept.
    session
        Name of the session.
    trial
        Its id.

    Returns
    -------
    Path
        Not there yet.
    """
    now = time.time()
    when = f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}-{int(1000 * (now % 1)):03d}"
    clip = "stimulus" if trial == STIMULUS_TRIAL else f"trial{trial}"
    return runs_folder / fitting_name(session, f"_{clip}_{when}{SUFFIX}")


def _is_of(session: str, match: re.Match[str]) -> bool:
    """Whether a run's folder is called after a session, whose name may have been cut in it."""
    return match["session"] == session or match.string == fitting_name(session, match.string[match.end("session") :])


def kept_runs(runs_folder: Path, session: str) -> list[KeptRun]:
    """Runs of one session, newest first, told by the names of their folders alone."""
    found = []
    for path in runs_folder.glob(f"*{SUFFIX}") if runs_folder.is_dir() else []:
        match = NAME_PATTERN.fullmatch(path.name)
        if match is not None and _is_of(session, match):
            # A folder that a person named so may tell a time that never was.
            with contextlib.suppress(ValueError):
                when = time.strftime("%Y-%m-%d %H:%M:%S", time.strptime(match["when"], "%Y%m%d-%H%M%S"))
                found.append(KeptRun(path, session, match["clip"].replace("trial", "trial "), when))
    return sorted(found, key=lambda run: run.path.name, reverse=True)
