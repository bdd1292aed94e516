"""File > Open Sample > Simulated mouse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_vidrecon.errors import VidreconError
from napari_vidrecon.viewer.contributions.arrivals import SAMPLE, put_on_board_soon, told_in_window
from napari_vidrecon.viewer.contributions.reader import NOTHING, movie_layer

if TYPE_CHECKING:
    from napari_vidrecon.viewer.contributions.reader import LayerTuple


def simulated_mouse() -> list[LayerTuple]:
    """A clip the simulated mouse watched; a window then shows the whole board.

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
