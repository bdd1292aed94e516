"""What outlasts a window: what the user set under File > Preferences, and the folders used lately."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from napari_vidrecon.errors import StorageError
from napari_vidrecon.storage import read_json, replacing_file
from napari_vidrecon.viewer.model import DEFAULT_PRESET

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
