"""Playing the clip in real time: by the clock, leaving frames out rather than slowing down."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from napari.utils.notifications import show_warning
from psygnal import Signal
from qtpy.QtCore import QObject, Qt, QTimer

from napari_vidrecon.viewer.faults import Faults, guarded
from napari_vidrecon.viewer.main_window import frame_count, go_to_frame, present_frame

if TYPE_CHECKING:
    import napari

    from napari_vidrecon.viewer.played_pictures import PlayedPictures

SCREEN_RATE_HZ = 30.0
FAST_S, RESTS = 0.025, 4.0
"""What takes no longer than this is drawn as a whole with every frame; else it rests for as many times as long."""
TICKS_PER_FRAME = 2
"""The clock is looked at more often than frames change, or a late tick would cost a frame."""


class Player(QObject):
    """Moves the slider with the clock.

    Parameters
    ----------
    viewer
        Whose first dimension is time.
    frame_rate_hz
        Frames a second, > 0.
    parent
        Owner in Qt.
    faults
        Take what goes wrong.
    """

    playing_changed = Signal(bool)
    frame_shown = Signal(int)
    """A frame is seen that the slider does not go to."""
    pictures: PlayedPictures | None = None
    """Draw frames between two pictures of the canvas, where that is slow."""

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        frame_rate_hz: float = SCREEN_RATE_HZ,
        parent: QObject | None = None,
        faults: Faults | None = None,
    ) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.faults = faults or Faults(lambda text, _is_error: show_warning(text))
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self.tick)
        self._first_frame, self._shown, self._started = 0, 0, 0.0
        self._placed = 0
        self._drawing_since: float | None = None
        self._rests_until = 0.0
        self.set_frame_rate(frame_rate_hz)

    @property
    def playing(self) -> bool:
        """Whether it plays."""
        return self._timer.isActive()

    @property
    def frame(self) -> int:
        """The frame that is seen; while it plays the slider may be behind."""
        return self._shown if self.playing else self._present()

    @property
    def frame_rate_hz(self) -> float:
        """Frames a second."""
        return self._frame_rate_hz

    def set_frame_rate(self, frame_rate_hz: float) -> None:
        """Play faster or slower from the present frame on.

        Raises
        ------
        ValueError
            Not above 0.
        """
        if not frame_rate_hz > 0:
            raise ValueError(f"frame rate: expected a number above 0, found {frame_rate_hz}")
        self._frame_rate_hz = float(frame_rate_hz)
        self._timer.setInterval(max(1, round(1000 / (frame_rate_hz * TICKS_PER_FRAME))))
        self._restart_clock()

    def toggle(self) -> None:
        """Play, or hold."""
        if self.playing:
            self.stop()
        else:
            self.play()

    def play(self) -> None:
        """Play from the present frame on, over and over."""
        if self._frames() > 1 and not self.playing:
            self._restart_clock()
            self._timer.start()
            self.playing_changed.emit(True)

    def stop(self) -> None:
        """Hold at the present frame."""
        if self.playing:
            self._timer.stop()
            if self.pictures is not None:
                if self._placed != self._shown and self._present() == self._placed:
                    go_to_frame(self.viewer, self._shown)
                # The canvas has to be drawn first, or an older frame would flash up.
                QTimer.singleShot(0, self._close_pictures)
            self.playing_changed.emit(False)

    @guarded
    def tick(self) -> None:
        """Show the frame whose time it is."""
        frames = self._frames()
        if frames < 2:
            self.stop()
            return
        now = time.perf_counter()
        if self._drawing_since is not None:
            self._take_cost(now)
        # Someone dragged the slider, or clicked into a raster: go on from there.
        if self._present() != self._placed:
            self._restart_clock()
        frame = (self._first_frame + int((now - self._started) * self._frame_rate_hz)) % frames
        if frame != self._shown:
            self._shown = frame
            if now >= self._rests_until or self.pictures is None or not self.pictures.show(frame):
                self._drawing_since = now
                go_to_frame(self.viewer, frame)
                self._placed = frame
            else:
                self.frame_shown.emit(frame)

    def _take_cost(self, now: float) -> None:
        """The canvas is drawn: how long that took says when it is drawn again."""
        assert self._drawing_since is not None
        took_s, self._drawing_since = now - self._drawing_since, None
        if self.pictures is not None and took_s > FAST_S:
            self.pictures.prepare()
            self._rests_until = now + RESTS * took_s
        elif self.pictures is not None:
            self._close_pictures()

    def _close_pictures(self) -> None:
        if self.pictures is not None and (not self.playing or self._drawing_since is None):
            self.pictures.close()

    def _frames(self) -> int:
        return frame_count(self.viewer)

    def _present(self) -> int:
        return present_frame(self.viewer)

    def _restart_clock(self) -> None:
        self._first_frame = self._shown = self._placed = self._present()
        self._started = time.perf_counter()
