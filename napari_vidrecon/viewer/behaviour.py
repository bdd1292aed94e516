"""What the mouse did: its pupil and gaze as a drawn eye, how it ran, and the video of it where the session has one."""

from __future__ import annotations

import napari
import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_vidrecon.errors import VidreconError
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.viewer.background import subscribe
from napari_vidrecon.viewer.faults import guarded
from napari_vidrecon.viewer.main_window import go_to_frame, present_frame
from napari_vidrecon.viewer.plots import theme_colours
from napari_vidrecon.viewer.registry import workspace_of

NOTHING = "Pupil and running of the open clip appear here."
PUPIL, GAZE, RUNNING = "pupil size", "gaze", "running"
"""What a session calls them that tells what was recorded."""
NO_PUPIL, NO_GAZE, NO_RUNNING = "no pupil recorded", "no gaze recorded", "no running recorded"
TOLD = (
    "Pupil, and gaze away from its mean, in pixels of the eye's camera, and running speed as recorded. A click on the "
    "curve goes to that time."
)
WIDTH_IN_LETTERS, HEIGHT_IN_LINES, WORDS_LINES = 30, 6, 3
EYE_SHARE, EYE_SHARE_BESIDE_VIDEO = 0.42, 0.3
"""Of the width."""
EYE_MARGIN = 1.7
"""Half the side of the eye's picture, in the largest pupil's radii beyond where gaze goes."""


class Behaviour(QWidget):
    """The eye at the present frame, drawn to scale in pixels of the eye's camera, and the running speed of the clip.

    Nothing is drawn of what was not recorded. Where the session does not tell, a pupil or a gaze that never changes in
    a clip was filled in; a mouse may well stand still.

    Parameters
    ----------
    napari_viewer
        Whose slider is followed, and moved by a click on the running speed.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        workspace = workspace_of(napari_viewer)
        self._model, self.faults = workspace.model, workspace.faults
        self._video: np.ndarray | None = None
        self.setAccessibleName("behaviour: pupil, gaze and running")
        self.setToolTip(f"<qt>{TOLD}</qt>")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        subscribe(self, self._model.trial_changed, self._take_trial)
        subscribe(self, napari_viewer.dims.events.current_step, self._follow)
        self._take_trial()

    def sizeHint(self) -> QSize:
        """So many letters wide and lines high."""
        metrics = self.fontMetrics()
        return QSize(WIDTH_IN_LETTERS * metrics.averageCharWidth(), HEIGHT_IN_LINES * metrics.lineSpacing())

    def minimumSizeHint(self) -> QSize:
        """Two thirds of that width."""
        return QSize(self.sizeHint().width() * 2 // 3, self.sizeHint().height())

    @property
    def frame(self) -> int:
        """The frame on display."""
        trial = self._model.trial
        return 0 if trial is None else min(present_frame(self._viewer), trial.frames - 1)

    @property
    def told(self) -> list[str]:
        """What is known of the mouse at the present frame, in words."""
        trial, frame = self._model.trial, self.frame
        if trial is None:
            return [NOTHING]
        (size, speed), (x, y) = trial.behavior[:, frame], trial.pupil_center[:, frame]
        mean_x, mean_y = trial.pupil_center.mean(axis=1)
        return [
            f"pupil {size:.1f} px" if _is_of(trial, PUPIL, trial.behavior[0]) else NO_PUPIL,
            f"gaze {x - mean_x:+.1f}, {y - mean_y:+.1f} px" if _is_of(trial, GAZE, trial.pupil_center) else NO_GAZE,
            self._told_running(trial, speed),
        ]

    def _told_running(self, trial: Trial, speed: float) -> str:
        if trial.recorded_behavior is not None and RUNNING not in trial.recorded_behavior:
            return NO_RUNNING
        return f"running {speed:.2f}" + ("" if varies(trial.behavior[1]) else " throughout")

    def _follow(self, *_event: object) -> None:
        self.update()

    @guarded
    def _take_trial(self) -> None:
        self._video = None
        session, trial = self._model.session, self._model.trial
        if session is not None and trial is not None and self._model.stimulus is None:
            start = self._model.clip[0]
            try:
                video = session.behavior_video(trial.id)
            except VidreconError as error:
                self._model.message.emit(str(error), True)
            else:
                self._video = None if video is None else video[..., start : start + trial.frames]
        self.update()

    def _places(self) -> tuple[QRectF, QRectF, QRectF, QRectF]:
        """Of the video, the eye, the running speed, and the words."""
        line, gap = self.fontMetrics().lineSpacing(), self.fontMetrics().averageCharWidth()
        room = QRectF(self.rect()).adjusted(gap, gap, -gap, -gap)
        side = min(room.height(), room.width() * (EYE_SHARE if self._video is None else EYE_SHARE_BESIDE_VIDEO))
        video = QRectF()
        if self._video is not None:
            rows, columns = self._video.shape[:2]
            wide = min(room.width() * EYE_SHARE_BESIDE_VIDEO, room.height() * columns / rows)
            video = QRectF(room.left(), room.top(), wide, wide * rows / columns)
            room.setLeft(video.right() + gap)
        eye = QRectF(room.left(), room.top(), side, side)
        left = eye.right() + gap
        words = QRectF(left, room.top(), room.right() - left, WORDS_LINES * line)
        speed = QRectF(left, words.bottom() + gap, words.width(), max(room.bottom() - words.bottom() - gap, 0.0))
        return video, eye, speed, words

    @guarded
    def paintEvent(self, _event: QPaintEvent) -> None:
        """All of it, at the present frame."""
        painter, colours, trial = QPainter(self), theme_colours(self), self._model.trial
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(self.palette().color(self.foregroundRole()))
        video, eye, speed, words = self._places()
        left_top = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop
        painter.drawText(words, left_top | Qt.TextFlag.TextWordWrap, "\n".join(self.told))
        if trial is not None:
            if self._video is not None:
                self._draw_video(painter, video)
            self._draw_eye(painter, eye, trial, self.palette().color(self.foregroundRole()))
            self._draw_speed(painter, speed, trial, colours)
        painter.end()

    def _draw_video(self, painter: QPainter, place: QRectF) -> None:
        assert self._video is not None
        picture = np.ascontiguousarray(self._video[..., min(self.frame, self._video.shape[-1] - 1)])
        rows, columns = picture.shape
        painter.drawImage(place, QImage(picture.data, columns, rows, columns, QImage.Format.Format_Grayscale8).copy())

    def _draw_eye(self, painter: QPainter, place: QRectF, trial: Trial, colour: QColor) -> None:
        """The pupil as a disc of its size, where it looks; the frame of the picture holds all of the clip."""
        painter.setPen(QPen(colour, 1.0))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawEllipse(place)
        if not _is_of(trial, PUPIL, trial.behavior[0]):
            return
        radius, away = trial.behavior[0] / 2, trial.pupil_center - trial.pupil_center.mean(axis=1, keepdims=True)
        reach = EYE_MARGIN * float(radius.max()) + float(np.hypot(*away).max())
        scale = place.width() / 2 / max(reach, 1e-6)
        x, y = (float(each) * scale for each in away[:, self.frame])
        painter.setBrush(colour)
        size = float(radius[self.frame]) * scale
        painter.drawEllipse(place.center() + QPointF(x, y), size, size)

    def _draw_speed(self, painter: QPainter, place: QRectF, trial: Trial, colours: dict[str, str]) -> None:
        speed = trial.behavior[1]
        if not varies(speed):
            return
        low, high = min(float(speed.min()), 0.0), float(speed.max())
        times = np.linspace(place.left(), place.right(), len(speed))
        heights = place.bottom() - (speed - low) / max(high - low, 1e-6) * place.height()
        painter.setPen(QPen(QColor(colours["green"]), 1.5))
        painter.drawPolyline([QPointF(float(x), float(y)) for x, y in zip(times, heights, strict=True)])
        painter.setPen(QPen(QColor(colours["now"]), 1.5))
        now = float(times[self.frame])
        painter.drawLine(QPointF(now, place.top()), QPointF(now, place.bottom()))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click on the running speed goes to its time."""
        self.mouseMoveEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """And with the mouse while it is held."""
        trial, speed = self._model.trial, self._places()[2]
        if trial is not None and speed.contains(event.position()):
            share = (event.position().x() - speed.left()) / max(speed.width(), 1.0)
            go_to_frame(self._viewer, round(share * (trial.frames - 1)))


def _is_of(trial: Trial, stream: str, values: np.ndarray) -> bool:
    """Whether a stream was recorded, as far as anything tells."""
    return varies(values) if trial.recorded_behavior is None else stream in trial.recorded_behavior


def varies(values: np.ndarray) -> bool:
    """Whether a quantity changes at all in a clip."""
    return bool(np.ptp(values, axis=-1).any())
