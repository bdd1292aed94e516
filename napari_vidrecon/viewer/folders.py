"""Folders: where this window keeps its runs, what lies there from before, and what lies beside a session."""

from __future__ import annotations

import contextlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from napari_vidrecon.errors import VidreconError
from napari_vidrecon.reconstruction.decoder import is_decoder
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.results import SUFFIX
from napari_vidrecon.sessions.stimuli.stimulus import STIMULUS_TRIAL

ENCODER_SUFFIXES = (".safetensors", ".pth", ".pt")
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
    return runs_folder / f"{session}_{clip}_{when}{SUFFIX}"


def kept_runs(runs_folder: Path, session: str) -> list[KeptRun]:
    """Runs of one session, newest first, told by the names of their folders alone."""
    found = []
    for path in runs_folder.glob(f"*{SUFFIX}") if runs_folder.is_dir() else []:
        match = NAME_PATTERN.fullmatch(path.name)
        if match is not None and match["session"] == session:
            # A folder that a person named so may tell a time that never was.
            with contextlib.suppress(ValueError):
                when = time.strftime("%Y-%m-%d %H:%M:%S", time.strptime(match["when"], "%Y%m%d-%H%M%S"))
                found.append(KeptRun(path, session, match["clip"].replace("trial", "trial "), when))
    return sorted(found, key=lambda run: run.path.name, reverse=True)
