"""Playing the clip in real time, leaving frames out rather than slowing down; and the movies alone, full screen."""

from __future__ import annotations

import contextlib
import math
import time
import weakref
from collections.abc import Callable

import napari
from napari.layers import Image
from napari.utils.notifications import show_warning
from psygnal import Signal
from qtpy.QtCore import QCoreApplication, QEvent, QObject, QRectF, Qt, QTimer
from qtpy.QtGui import QColor, QFontMetrics, QGuiApplication, QKeyEvent, QPainter, QPaintEvent, QScreen
from qtpy.QtWidgets import QApplication, QMainWindow, QWidget

from napari_vidrecon.viewer.background import subscribe
from napari_vidrecon.viewer.board import Board, captions
from napari_vidrecon.viewer.board.layers import Role
from napari_vidrecon.viewer.faults import Faults, guarded
from napari_vidrecon.viewer.live_picture import WidgetPictures, coloured
from napari_vidrecon.viewer.main_window import frame_count, go_to_frame, present_frame, sliders_of
from napari_vidrecon.viewer.played_pictures import (
    FAST_S,
    RESTS,
    PlayedPictures,
    Scrubbing,
    others_follow,
)

SCREEN_RATE_HZ = 30.0
TICKS_PER_FRAME = 2
"""The clock is looked at more often than frames change, or a late tick would cost a frame."""
WINDOW_REST_S, SLIDER_S = 10.0, 0.3
"""How long the window may rest while nobody touches it, and how often its slider goes along meanwhile."""
TOUCHED_S = 1.0
"""How long after a hand left the mouse or the keyboard the window is drawn as ever."""
TOUCHES = frozenset(
    (
        QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonRelease, QEvent.Type.MouseButtonDblClick,
        QEvent.Type.MouseMove, QEvent.Type.HoverMove, QEvent.Type.Wheel, QEvent.Type.KeyPress, QEvent.Type.KeyRelease,
        QEvent.Type.ShortcutOverride, QEvent.Type.DragEnter, QEvent.Type.DragMove,
    )
)  # fmt: skip
WAKES = frozenset(
    (
        QEvent.Type.Show, QEvent.Type.Hide, QEvent.Type.Move, QEvent.Type.Resize, QEvent.Type.LayoutRequest,
        QEvent.Type.EnabledChange, QEvent.Type.StyleChange, QEvent.Type.PaletteChange, QEvent.Type.FontChange,
    )
)  # fmt: skip
"""What comes of a widget that has something new to show: a dock, a notification, another text, another theme."""


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
    scrubbing: Scrubbing | None = None
    """Draws the frames that a person goes to; while it does, the clock waits."""
    rest: Rest | None = None
    """Lets the main window rest while nobody touches it."""

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
        self._rests_until = self._slider_follows_at = 0.0
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
            self._tell_clock()
            if self.rest is not None:
                self.rest.watch()
            self.playing_changed.emit(True)

    def stop(self) -> None:
        """Hold at the present frame."""
        if self.playing:
            self._timer.stop()
            self._tell_clock()
            if self.rest is not None:
                self.rest.close()
            if self.pictures is not None:
                if self._placed != self._shown and self._present() == self._placed:
                    self._go_to(self._shown)
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
        if self.scrubbing is not None and self.scrubbing.active:
            self._drawing_since = None
            self._restart_clock()
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
            if self.pictures is not None and now < self._until() and self.pictures.show(frame):
                self.frame_shown.emit(frame)
                self._take_slider_along(now, frame)
                return
            if self.rest is not None:
                self.rest.end()
            self._drawing_since = now
            if self.pictures is not None:
                # Where they lie over the canvas, they are what is seen of it.
                self.pictures.show(frame, at_once=True)
            self._go_to(frame)
            self._placed = frame

    def _until(self) -> float:
        """When the canvas is drawn again; sooner where the window was woken."""
        return self._rests_until if self.rest is None or not self.rest.woken else 0.0

    def _take_slider_along(self, now: float, frame: int) -> None:
        if self.rest is not None and self.rest.active and now >= self._slider_follows_at:
            self._go_to(frame)
            self._placed = frame
            self.rest.follow()
            self._slider_follows_at = now + SLIDER_S

    def _take_cost(self, now: float) -> None:
        """The canvas is drawn: how long that took says when it is drawn again."""
        assert self._drawing_since is not None
        took_s, self._drawing_since = now - self._drawing_since, None
        if self.pictures is not None and took_s > FAST_S:
            self.pictures.prepare()
            rests = bool(self.pictures.windows) and self.rest is not None and self.rest.begin()
            self._rests_until = now + (WINDOW_REST_S if rests else RESTS * took_s)
        elif self.pictures is not None:
            self._close_pictures()

    def _close_pictures(self) -> None:
        if self.scrubbing is not None and self.scrubbing.active:
            return
        if self.pictures is not None and (not self.playing or self._drawing_since is None):
            self.pictures.close()

    def _go_to(self, frame: int) -> None:
        if self.scrubbing is not None:
            self.scrubbing.clock_moves = True
        try:
            go_to_frame(self.viewer, frame)
        finally:
            if self.scrubbing is not None:
                self.scrubbing.clock_moves = False

    def _tell_clock(self) -> None:
        if self.scrubbing is not None:
            self.scrubbing.clock_runs = self.playing

    def _frames(self) -> int:
        return frame_count(self.viewer)

    def _present(self) -> int:
        return present_frame(self.viewer)

    def _restart_clock(self) -> None:
        self._first_frame = self._shown = self._placed = self._present()
        self._started = time.perf_counter()


class Rest(QObject):
    """Keeps the main window from being composed anew while a movie plays and nobody touches anything.

    Without a graphics card that takes 60 ms and more, in which the movie stands still. The slider and the line of the
    status are drawn over themselves. A hand on the mouse or the keyboard ends it at once, and so does whatever else in
    the window has something new to show.

    Parameters
    ----------
    main_window
        Napari's.
    busy
        Whether something goes on that a person may want to follow in the window.
    """

    def __init__(self, main_window: QMainWindow, busy: Callable[[], bool]) -> None:
        # Not a child of the window: what holds its own window for ever is never let go.
        super().__init__()
        self._window_of, self._busy = weakref.ref(main_window), busy
        self._beside = WidgetPictures(main_window)
        self._sliders: list[QWidget] = []
        self._touched_s = -math.inf
        self.active = self.woken = False
        """Whether the window rests; whether it did, and something ended that since."""

    def watch(self) -> None:
        """From now on hands are heard."""
        application = QApplication.instance()
        if application is not None:
            application.installEventFilter(self)

    def close(self) -> None:
        """Hear of nothing any more."""
        application = QApplication.instance()
        if application is not None:
            application.removeEventFilter(self)
        self.end()

    def begin(self) -> bool:
        """Let the window rest, if nobody misses anything by it.

        Returns
        -------
        bool
            Whether it rests.
        """
        main, self.woken = self._window_of(), False
        if main is None or time.perf_counter() - self._touched_s < TOUCHED_S or others_follow(main) or self._busy():
            return False
        self._sliders = self._sliders or sliders_of(main)
        self.active = True
        return True

    def follow(self) -> None:
        """The slider has moved: draw it, and what the status says of the frame."""
        main = self._window_of()
        if main is None or self._busy():
            self.end()
            return
        for each in self._drawn_beside(main):
            self._beside.show(each)

    def end(self) -> None:
        """Have the window drawn."""
        if not self.active:
            return
        self.active, self.woken = False, True
        self._beside.close()
        main = self._window_of()
        if main is not None:
            # What was kept back. Of a window that was closed meanwhile Python's half may be the last that is left.
            with contextlib.suppress(RuntimeError):
                QCoreApplication.postEvent(main, QEvent(QEvent.Type.UpdateRequest))

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Keep back Qt's requests for a picture of the window while it rests, and hear of hands."""
        kind = None if event is None else event.type()
        if kind == QEvent.Type.UpdateRequest:
            return self.active and watched is self._window_of()
        touched = kind in TOUCHES or (kind in WAKES and self._is_seen(watched, kind == QEvent.Type.Hide))
        if touched:
            self._touched_s = time.perf_counter()
        if touched and self.active:
            # Not at once: the event may be for one of the windows that go then.
            QTimer.singleShot(0, self.end)
        return False

    def _drawn_beside(self, main: QMainWindow) -> list[QWidget]:
        """What goes along while the window rests."""
        return [each for each in (*self._sliders, main.statusBar()) if each is not None]

    def _is_seen(self, watched: QObject | None, was_seen: bool) -> bool:
        """Whether it is, or was until now, to be seen in the window, and is not drawn beside it."""
        main = self._window_of()
        if main is None or not isinstance(watched, QWidget) or not (was_seen or watched.isVisible()):
            return False
        if watched.window() is not main:
            return False
        return not any(each is watched or each.isAncestorOf(watched) for each in self._drawn_beside(main))


KEY, TITLE = "F9", "Movies alone"
SHOWN = (Role.STIMULUS, Role.RECONSTRUCTION, Role.COMPARISON)
EMPTY = "Open a session in the other window, and its movies appear here.   Escape: leave"
BACKGROUND, WORDS = QColor(0, 0, 0), QColor(190, 190, 190)
WORDS_SHARE, LEAST_WORDS_PX = 0.018, 11
GAP_SHARE = 0.02
"""Of the window's height, between movies and around them."""


class MoviesAlone(QWidget):
    """Stimulus, reconstruction, and the compared run, as large as the screen has room for; they follow the board.

    Parameters
    ----------
    board
        Whose movies are shown: its frame, its colours, and as what they are shown.
    player
        Space plays.
    window
        napari's main window, which owns this one.
    """

    def __init__(self, board: Board, player: Player, window: QMainWindow) -> None:
        super().__init__(window, Qt.WindowType.Window)
        self.setWindowTitle(f"{TITLE} - Movie reconstruction")
        self.setAccessibleName("the movies alone, full screen")
        self._board, self._player = board, player
        self.faults = board.faults
        model = board.model
        for signal in (
            model.trial_changed, model.shown_changed, model.view_changed, model.snapshot_arrived, model.mask_changed,
            model.looked_back_changed, model.state_changed, board.viewer.dims.events.current_step, player.frame_shown,
        ):  # fmt: skip
            subscribe(self, signal, self._follow)

    def toggle(self) -> None:
        """Fill a screen, another one than the main window's where there is one; or go away."""
        if self.isVisible():
            self.close()
            return
        screen = other_screen(self.parentWidget().screen(), QGuiApplication.screens())
        self.setGeometry(screen.geometry())
        self.showFullScreen()
        self.activateWindow()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape leaves; Space plays; the arrows go from frame to frame."""
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        key = Qt.Key(event.key())
        if key in (Qt.Key.Key_Escape, Qt.Key.Key_F9):
            self.close()
        elif key == Qt.Key.Key_Space:
            self._player.toggle()
        elif key in steps:
            go_to_frame(self._board.viewer, self._board.layers.frame + steps[key])
        else:
            super().keyPressEvent(event)

    def _follow(self, *_news: object) -> None:
        if self.isVisible():
            self.update()

    @guarded
    def paintEvent(self, _event: QPaintEvent) -> None:
        """The frame on display of every movie."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), BACKGROUND)
        painter.setPen(WORDS)
        shown = shown_movies(self._board) if self._board.model.trial is not None else []
        font = painter.font()
        font.setPixelSize(max(round(WORDS_SHARE * self.height()), LEAST_WORDS_PX))
        painter.setFont(font)
        line = 2 * QFontMetrics(font).height()
        if not shown:
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, EMPTY)
        smooth = self._board.model.smooth_pixels
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
        gap = GAP_SHARE * self.height()
        whole = QRectF(gap, gap, self.width() - 2 * gap, self.height() - 2 * gap - line)
        rows, columns = (self._board.layout.rows, self._board.layout.cols)
        for (layer, title), place in zip(shown, places(whole, len(shown), rows / columns, line, gap), strict=True):
            levels = layer.data[min(self._player.frame, len(layer.data) - 1)]
            painter.drawImage(place, coloured(layer, levels))
            words = QRectF(place.left(), place.bottom(), place.width(), line)
            painter.drawText(words, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, title)
        if shown:
            foot = QRectF(gap, self.height() - line, self.width() - 2 * gap, line)
            told = f"{captions.heading(self._board.model)}   ·   Space: play   ·   Escape: leave"
            painter.drawText(foot, Qt.AlignmentFlag.AlignCenter, told)
        painter.end()


def shown_movies(board: Board) -> list[tuple[Image, str]]:
    """The layers of the movies on the board, and their titles."""
    words = captions.titles(board.model, board.movies.has_error)
    layers = ((board.layers.adopt(role, Image), words[role]) for role in SHOWN)
    return [(layer, title) for layer, title in layers if layer is not None]


def other_screen(own: QScreen, screens: list[QScreen]) -> QScreen:
    """Another screen than the main window's; that one where there is no other."""
    return next((screen for screen in screens if screen is not own), own)


def places(whole: QRectF, movies: int, aspect: float, line: float, gap: float) -> list[QRectF]:
    """Where so many movies are largest, in columns and rows.

    Parameters
    ----------
    whole
        The room there is.
    movies
        How many.
    aspect
        Height by width of a movie.
    line
        Room below every movie for its title, pixels.
    gap
        Between movies, pixels.

    Returns
    -------
    list[QRectF]
        One a movie, in the middle of the room.
    """

    def width(columns: int) -> float:
        lines = math.ceil(movies / columns)
        by_width = (whole.width() - (columns - 1) * gap) / columns
        return min(by_width, ((whole.height() - (lines - 1) * gap) / lines - line) / aspect)

    if not movies:
        return []
    columns = max(range(1, movies + 1), key=width)
    wide, lines = width(columns), math.ceil(movies / columns)
    high = wide * aspect
    left = whole.left() + (whole.width() - columns * wide - (columns - 1) * gap) / 2
    top = whole.top() + (whole.height() - lines * (high + line) - (lines - 1) * gap) / 2
    numbers = (divmod(number, columns) for number in range(movies))
    return [
        QRectF(left + column * (wide + gap), top + row * (high + line + gap), wide, high) for row, column in numbers
    ]
