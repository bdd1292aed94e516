"""Where this window keeps its runs, and what lies there from before."""

from __future__ import annotations

import contextlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from napari_vidrecon.reconstruction.results import SUFFIX
from napari_vidrecon.sessions.stimuli.stimulus import STIMULUS_TRIAL

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
