"""The movie tiles: stimulus, reconstruction, the run to compare, and the error over one of them; how two take turns."""

from __future__ import annotations

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QTimer

from napari_vidrecon.analysis.error_maps import symmetric_limit
from napari_vidrecon.analysis.postprocess import smooth
from napari_vidrecon.reconstruction.config import GREY_LEVEL
from napari_vidrecon.viewer.board.colormaps import error_magnitude, signed_error
from napari_vidrecon.viewer.board.layers import ErrorFrames, Role, RoleLayers, repaint
from napari_vidrecon.viewer.board.tiles import BoardLayout
from napari_vidrecon.viewer.faults import Faults, guarded
from napari_vidrecon.viewer.model import ErrorMode, ReconstructionModel, RunState

GREY_LIMITS = (0.0, 255.0)
FIRST_ERROR_LIMIT = 64.0
"""Grey levels at which the error's colour is full, until a run has ended and says what is usual."""
BLINK_HZ = 2.0
"""Both movies are seen so many times a second."""


class MovieTiles:
    """Keeps the movie layers up to date.

    Parameters
    ----------
    layers
        Where they are found.
    model
        What they show.
    """

    def __init__(self, layers: RoleLayers, model: ReconstructionModel) -> None:
        self._layers, self._model = layers, model
        self._within: np.ndarray = np.ones((1, 1), np.float32)
        self._setting_limits = False
        self.error_limit = FIRST_ERROR_LIMIT

    def build(self, layout: BoardLayout) -> None:
        """Make or adopt the layers for the model's trial."""
        trial = self._model.trial
        assert trial is not None
        grey = {"contrast_limits": GREY_LIMITS, "colormap": "gray", "interpolation2d": "nearest"}
        self._layers.image(Role.STIMULUS, "stimulus", trial.video, layout.movie(0), **grey)
        blank = np.full(trial.video.shape, GREY_LEVEL, np.float32)
        self._layers.image(Role.RECONSTRUCTION, "reconstruction", blank, layout.movie(1), **grey)
        below = np.full(trial.video.shape[1:], GREY_LEVEL, np.float32)
        self._layers.image(Role.ERROR_BASE, "below the error", below, layout.movie(layout.columns - 1), **grey)
        limits = (-self.error_limit, self.error_limit)
        colours = {"contrast_limits": limits, "colormap": signed_error(), "interpolation2d": "nearest"}
        over = layout.movie(layout.columns - 1)
        error = self._layers.image(Role.ERROR_MAP, "error", ErrorFrames(blank.shape), over, **colours)
        error.events.contrast_limits.connect(self._keep_symmetric)

    def arrange(self, layout: BoardLayout) -> None:
        """Put every tile in its place."""
        last = layout.columns - 1
        columns = {Role.STIMULUS: 0, Role.RECONSTRUCTION: 1, Role.ERROR_BASE: last, Role.ERROR_MAP: last}
        columns[Role.COMPARISON] = 1 if self._model.blinking else 2
        for role, column in columns.items():
            layer = self._layers.find(role)
            if layer is not None:
                self._layers.place(layer, layout.movie(column))

    def update_mask(self) -> None:
        """The evaluation mask moved: the error is shown inside it."""
        inside = self._model.mask.binary(self._model.evaluation_threshold)
        self._within = inside.astype(np.float32)

    def draw_video(self) -> None:
        """The reconstruction as it is now."""
        layer = self._writable(Role.RECONSTRUCTION)
        if layer is None:
            return
        video = self._fitting(self._model.video, layer)
        if video is None:
            layer.data[...] = GREY_LEVEL
        else:
            np.copyto(layer.data, video)
        repaint(layer)
        if self._model.error_over == "reconstruction":
            self.draw_base()

    def draw_error(self) -> None:
        """The chosen difference, inside the evaluation mask."""
        layer = self._layers.adopt(Role.ERROR_MAP, Image)
        if layer is None or not isinstance(layer.data, ErrorFrames):
            return
        pair, error, signed = self._pair(), layer.data, self._model.error_has_sign
        if pair is None or any(movie is not None and self._fitting(movie, layer) is None for movie in pair):
            error.clear()
        elif self._model.error_mode == ErrorMode.PREDICTED and pair[1] is not None and not self._running:
            # As published, the difference is taken of smoothed movies; smoothing is linear, so once is enough.
            error.show(smooth(pair[0] - pair[1]), None, self._within, signed=signed)
        else:
            error.show(*pair, self._within, signed=signed)
        repaint(layer)

    def draw_base(self) -> None:
        """The present frame of the movie that the error lies over.

        The layer holds this frame only, and follows the slider here: one more movie would cost napari four times
        as much for every frame.
        """
        base = self._layers.adopt(Role.ERROR_BASE, Image)
        over = Role.RECONSTRUCTION if self._model.error_over == "reconstruction" else Role.STIMULUS
        movie = self._layers.adopt(over, Image)
        if base is not None and movie is not None and base.data.shape == movie.data.shape[1:]:
            np.copyto(base.data, movie.data[min(self._layers.frame, len(movie.data) - 1)])
            repaint(base)

    def draw_comparison(self, layout: BoardLayout) -> None:
        """The run to compare; while blinking without one, the stimulus."""
        partner = self.partner
        trial = self._model.trial
        if partner is None or trial is None or partner.shape != trial.video.shape:
            self._layers.remove(Role.COMPARISON)
            return
        grey = {"contrast_limits": GREY_LIMITS, "colormap": "gray", "interpolation2d": "nearest"}
        place = layout.movie(1 if self._model.blinking else 2)
        layer = self._layers.image(Role.COMPARISON, "compared run", partner, place, **grey)
        self._layers.show(layer, True)

    def style_error(self) -> None:
        """Colours for signed error or magnitude; shown or not."""
        layer = self._layers.adopt(Role.ERROR_MAP, Image)
        if layer is None:
            return
        colours = signed_error() if self._model.error_has_sign else error_magnitude()
        if layer.colormap.name != colours.name:
            layer.colormap = colours
        self._layers.show(layer, self._model.error_mode != ErrorMode.NONE)
        self._set_limit(layer, self.error_limit)

    def settle_limit(self) -> None:
        """Choose where the colours end; while a run goes on they stay, so that a colour means the same."""
        layer = self._layers.adopt(Role.ERROR_MAP, Image)
        if layer is None or self._running:
            return
        error = np.asarray(layer.data)
        if error.any():
            self._set_limit(layer, symmetric_limit(error, self._within > 0))

    def close(self) -> None:
        """Leave the colours to whoever takes the layers over."""
        layer = self._layers.adopt(Role.ERROR_MAP, Image)
        if layer is not None:
            layer.events.contrast_limits.disconnect(self._keep_symmetric)

    @property
    def partner(self) -> np.ndarray | None:
        """The movie beside, or blinking with, the reconstruction."""
        if self._model.compared is not None:
            return self._model.compared.result.video
        if self._model.blinking and self._model.trial is not None:
            return self._model.trial.video
        return None

    @property
    def has_error(self) -> bool:
        """Whether both movies of the chosen difference are there."""
        return self._pair() is not None

    @property
    def _running(self) -> bool:
        return self._model.state in (RunState.RUNNING, RunState.PAUSED)

    def _pair(self) -> tuple[np.ndarray, np.ndarray | None] | None:
        model, video, trial = self._model, self._model.video, self._model.trial
        if video is None or trial is None:
            return None
        if model.error_mode == ErrorMode.STIMULUS:
            return video, trial.video
        if model.error_mode == ErrorMode.PREDICTED and model.expected is not None:
            other = model.expected.result.video
            from_predicted = model.recipe_of_board is not None and model.recipe_of_board.target == "predicted"
            return (other, video) if from_predicted else (video, other)
        if model.error_mode == ErrorMode.COMPARISON and model.compared is not None:
            return video, model.compared.result.video
        if model.error_mode == ErrorMode.UNCERTAINTY and model.shown is not None and not self._running:
            return None if model.shown.uncertainty is None else (model.shown.uncertainty, None)
        return None

    def _writable(self, role: Role) -> Image | None:
        layer = self._layers.adopt(role, Image)
        return layer if layer is not None and isinstance(layer.data, np.ndarray) else None

    def _fitting(self, movie: np.ndarray | None, layer: Image) -> np.ndarray | None:
        return movie if movie is not None and movie.shape == layer.data.shape else None

    def _set_limit(self, layer: Image, limit: float) -> None:
        self.error_limit = limit
        wanted = [-limit if self._model.error_has_sign else 0.0, limit]
        if list(layer.contrast_limits) != wanted:
            self._setting_limits = True
            layer.contrast_limits = wanted
            self._setting_limits = False

    def _keep_symmetric(self) -> None:
        """A person moved one end of the colours: move the other, or zero would not be clear any more."""
        layer = self._layers.adopt(Role.ERROR_MAP, Image)
        if self._setting_limits or layer is None:
            return
        low, high = layer.contrast_limits
        moved_low = self._model.error_has_sign and abs(-low - self.error_limit) > abs(high - self.error_limit)
        self._set_limit(layer, max(-low if moved_low else high, 1.0))


class Blinking:
    """Shows and hides the compared run, which lies over the reconstruction.

    Parameters
    ----------
    layers
        The compared run is among them.
    faults
        Take what goes wrong.
    """

    def __init__(self, layers: RoleLayers, faults: Faults) -> None:
        self._layers, self.faults = layers, faults
        self._timer: QTimer | None = None

    def set_on(self, on: bool) -> None:
        """Blink, or hold."""
        if on and self._timer is None:
            self._timer = QTimer()
            self._timer.setInterval(round(1000 / BLINK_HZ / 2))
            self._timer.timeout.connect(self._turn)
            self._timer.start()
        elif not on and self._timer is not None:
            self._timer.stop()
            self._timer = None

    @guarded
    def _turn(self) -> None:
        layer = self._layers.find(Role.COMPARISON)
        if layer is not None and self._layers.flat:
            layer.visible = not layer.visible

    def close(self) -> None:
        """Hold."""
        self.set_on(False)
