"""The protocol of every stimulus, a movie that is given, and the trial that shows one to a mouse."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions.trial import ClipSource, Trial

if TYPE_CHECKING:
    from napari_vidrecon.sessions.session import Session


STIMULUS_TRIAL = -1
"""Number of a trial that shows a stimulus: no recorded trial has it."""
STIMULUS_TIER = "stimulus"


class Stimulus(Protocol):
    """A movie that is made, not recorded: a frozen dataclass whose fields decide every pixel."""

    @property
    def name(self) -> str:
        """What to call it in titles and file names."""

    def video(self) -> np.ndarray:
        """The movie: (T, rows, columns) float32, grey levels 0..255; the same at every call."""


def shown_on(session: Session, stimulus: Stimulus) -> Stimulus:
    """The same stimulus for the screen and rate of a session, where it is one that can be made for any."""
    if not dataclasses.is_dataclass(stimulus):
        return stimulus
    told = {"screen": session.screen, "frame_rate_hz": session.frame_rate_hz}
    usual = {each.name: each.default for each in dataclasses.fields(stimulus) if each.name in told}
    changed = {name: told[name] for name, value in usual.items() if getattr(stimulus, name) == value != told[name]}
    return dataclasses.replace(stimulus, **changed) if changed else stimulus


def stimulus_trial(stimulus: Stimulus, session: Session) -> Trial:
    """Show a stimulus to a mouse that behaves the same all the time.

    Parameters
    ----------
    stimulus
        What is shown.
    session
        Whose average behaviour is repeated in every frame.

    Returns
    -------
    Trial
        A trial without recorded responses: only predicted activity can be its target.

    Raises
    ------
    SessionError
        The session's statistics cannot be read, or the movie is of another size than its screen.

    References
    ----------
    Bauer et al. 2026, Fig. 4 (in-silico stimuli with constant behaviour).

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> sample = vr.find_sample()
    >>> session = vr.open_session(sample.session)
    >>> import numpy as np
    >>> shown = vr.stimulus_trial(vr.GivenMovie("grey", np.full((40, 36, 64), 127.5)), session)
    >>> shown.frames, shown.labelled
    (40, False)
    """
    video, size_px = shown_on(session, stimulus).video(), session.screen.size_px
    if video.ndim != 3 or video.shape[1:] != size_px:
        raise SessionError(
            f"{stimulus.name}: expected a movie of (frames, {size_px[0]}, {size_px[1]}), as the screen of "
            f"{session.name} has, found shape {video.shape}"
        )
    behavior, pupil_center = session.average_behavior()
    return Trial(
        id=STIMULUS_TRIAL,
        tier=STIMULUS_TIER,
        video=video,
        behavior=np.repeat(behavior[:, np.newaxis], len(video), axis=1),
        pupil_center=np.repeat(pupil_center[:, np.newaxis], len(video), axis=1),
        frame_rate_hz=session.frame_rate_hz,
        name=f"{session.name}, {stimulus.name}",
        simulated=session.simulated,
        source=ClipSource(str(session.path), stimulus=stimulus.name),
    )


@dataclass(frozen=True, eq=False)
class GivenMovie:
    """A movie as it is.

    Parameters
    ----------
    name
        For titles and file names.
    pixels
        (T, rows, columns) float32, grey levels 0..255.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_vidrecon as vr
    >>> vr.GivenMovie("grey", np.full((40, 36, 64), 127.5)).video().dtype
    dtype('float32')
    """

    name: str
    pixels: np.ndarray

    def video(self) -> np.ndarray:
        """(T, rows, columns) float32, 0..255."""
        return np.asarray(self.pixels, dtype=np.float32)
