"""What the user set under File > Preferences > napari-vidrecon."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
