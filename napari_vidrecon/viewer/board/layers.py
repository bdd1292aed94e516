"""The board's layers, found by their role whatever a person did to them; errors are computed when looked at."""

from __future__ import annotations

import contextlib
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from functools import partial
from types import EllipsisType
from typing import TYPE_CHECKING, Any, TypeVar

import napari
import numpy as np
import pint
from napari.layers import Image, Layer

from napari_vidrecon.analysis.postprocess import GREY_LEVEL, Presentation
from napari_vidrecon.viewer.board.tiles import Box
from napari_vidrecon.viewer.main_window import ROLE_KEY, present_frame, sliders_only_told

if TYPE_CHECKING:
    from napari.utils.events import Event, EventEmitter


AnyLayer = TypeVar("AnyLayer", bound=Layer)
RESTS_AS_KEY = "vidrecon_rests_as"
STYLES = ("name", "colormap", "opacity", "gamma", "interpolation2d", "blending")
"""What a person may have changed of a layer that comes back."""


class Role(StrEnum):
    """What a layer is on the board; kept in `layer.metadata["vidrecon_role"]`."""

    STIMULUS = "stimulus"
    RECONSTRUCTION = "reconstruction"
    COMPARISON = "comparison"
    ERROR_BASE = "error_base"
    ERROR_MAP = "error_map"
    MASK = "mask"
    RECORDED = "recorded_activity"
    PREDICTED = "predicted_activity"
    DIFFERENCE = "activity_difference"
    NOW = "now"
    BARS = "neuron_correlation"
    CURVES = "activity_curves"
    MARKED = "marked_neurons"
    CAPTIONS = "captions"
    STRIP = "correlation_strip"
    LEGEND = "legend"
    OTHERS = "other_movies"
    DIFFERENCES = "other_differences"
    PAINTING = "mask_painting"
    ALPHA = "alpha"
    REGION = "region"
    CELLS = "cells"
    RECEPTIVE_FIELD = "receptive_field"
    RECEPTIVE_FIELD_OUTLINE = "receptive_field_outline"
    GRID_COPY = "grid_copy"
    RESTING = "resting"
    """Nothing that is seen: see `RoleLayers.rest`."""


class RoleLayers:
    """Finds, makes and places layers by role.

    `unit` of the screen and `frame_s`, the time of a frame in seconds, are those of the trial on the board.

    Parameters
    ----------
    viewer
        The one viewer they live in.
    """

    def __init__(self, viewer: napari.components.ViewerModel) -> None:
        self.viewer = viewer
        self.waiting: weakref.WeakSet[Layer] = weakref.WeakSet()
        """Hidden only for as long as the viewer shows three dimensions."""
        self._styles: dict[Role, dict[str, Any]] = {}
        self.unit = "pixel"
        self.frame_s = 1.0
        for event, slot in (
            (viewer.layers.events.inserted, self._on_inserted),
            (viewer.layers.events.removed, self.agree_on_units),
        ):
            # As soon as the list itself knows of the layer: napari then draws at once, and looks at the units.
            event.connect(slot, position="first", after=list(event.callbacks[:1]))
        self._changing = False
        self._put_off: dict[Callable[[], object], None] = {}
        for event, slot in self._changes:
            event.connect(slot)

    @property
    def _changes(self) -> tuple[tuple[EventEmitter, Callable[[], None]], ...]:
        events = self.viewer.layers.events
        begins, ends = (events.inserting, events.removing), (events.inserted, events.removed)
        return (*((event, self._on_change) for event in begins), *((event, self._on_settled) for event in ends))

    def when_settled(self, action: Callable[[], object]) -> None:
        """Do what may make or remove a layer, but not while napari takes another in or lets it go.

        Its camera may move just then, and its canvas, as by the slider of a fourth axis. Of a layer that is made
        meanwhile napari's list has two rows from then on; of one that is removed it paints a row that is not there.

        Parameters
        ----------
        action
            Done at once, or at the end of the change; once, however often it was asked for.
        """
        if self._changing:
            self._put_off[action] = None
        else:
            action()

    def _on_change(self) -> None:
        self._changing = True

    def _on_settled(self) -> None:
        self._changing = False
        put_off, self._put_off = self._put_off, {}
        for action in put_off:
            action()

    def close(self) -> None:
        """Follow the viewer no longer."""
        for event, slot in self._changes:
            event.disconnect(slot)
        self.viewer.layers.events.inserted.disconnect(self._on_inserted)
        self.viewer.layers.events.removed.disconnect(self.agree_on_units)

    @property
    def units(self) -> tuple[str, str, str]:
        """Of time, rows and columns: seconds and the screen's, or those of a person's layers that measure others.

        Napari draws nothing by its units as soon as two layers do not measure the same along an axis, and says so at
        every change. A person's layers are theirs, so ours give way.
        """
        found = ["second", self.unit, self.unit]
        for axis in (-3, -2, -1):
            theirs = [layer.units[axis] for layer in self.viewer.layers if _has_axis(layer, axis)]
            others = [unit for unit in theirs if unit.dimensionality != _unit(found[axis]).dimensionality]
            if others:
                found[axis] = str(min(others, key=lambda unit: (1 * unit).to_base_units().magnitude))
        return found[0], found[1], found[2]

    def agree_on_units(self) -> None:
        """Bring what a person opened or closed, and our layers, together."""
        units = self.units
        for layer in self.ours():
            wanted = units[-layer.ndim :]
            if layer.ndim <= len(units) and tuple(str(unit) for unit in layer.units) != wanted:
                layer.units = wanted

    def _on_inserted(self, event: Event) -> None:
        if ROLE_KEY not in event.value.metadata:
            event.value.events.units.connect(self.agree_on_units)
        self.agree_on_units()

    @property
    def frame(self) -> int:
        """The frame on display."""
        return present_frame(self.viewer)

    def find(self, role: Role | str) -> Layer | None:
        """The first layer of a role, or None."""
        for layer in self.viewer.layers:
            if layer.metadata.get(ROLE_KEY) == role:
                return layer
        return None

    def all_of(self, role: Role | str) -> list[Layer]:
        """Every layer of a role."""
        return [layer for layer in self.viewer.layers if layer.metadata.get(ROLE_KEY) == role]

    def adopt(self, role: Role | str, kind: type[AnyLayer]) -> AnyLayer | None:
        """The layer of a role if it is of the kind the board needs."""
        layer = self.find(role)
        return layer if isinstance(layer, kind) else None

    def image(self, role: Role, name: str, data: np.ndarray | ComputedFrames, at: Box, **style: Any) -> Image:
        """Adopt the image of a role, or add it, and put it in its place.

        Parameters
        ----------
        role
            What it is.
        name
            For a new layer; one that is there keeps the name a person gave it.
        data
            (T, rows, columns) or (rows, columns), with colours last if `rgb`; shown as it is, not copied.
        at
            Where its rows and columns lie.
        style
            For a new layer, as for `viewer.add_image`.

        Returns
        -------
        Image
            In the viewer.
        """
        layer = self.adopt(role, Image) or self._awoken(role)
        if layer is None or layer.ndim != data.ndim - (1 if style.get("rgb") else 0):
            if layer is not None:
                self.viewer.layers.remove(layer)
            spatial = data.ndim - 1 if style.get("rgb") else data.ndim
            units = self.units[-spatial:]
            labels = ("time", "y", "x")[-spatial:]
            scale, translate = self._geometry(at, data.shape[:spatial])
            known = {"units": units, "axis_labels": labels, "scale": scale, "translate": translate}
            return self.viewer.add_image(data, name=name, metadata={ROLE_KEY: str(role)}, **known, **style)
        if layer.data is not data:
            layer.data = data
        self.place(layer, at)
        return layer

    def picture(self, role: Role, name: str, picture: np.ndarray, at: Box, **style: Any) -> Image:
        """Draw into the image of a role, or add it; what a person had selected stays selected.

        Parameters
        ----------
        role
            What it is.
        name
            For a new layer.
        picture
            (rows, columns), with colours last if `rgb`; a new layer shows it as it is, not copied.
        at
            Where it lies.
        style
            For a new layer, as for `viewer.add_image`.

        Returns
        -------
        Image
            In the viewer.
        """
        layer = self.adopt(role, Image)
        if layer is not None and layer.data.shape == picture.shape:
            np.copyto(layer.data, picture)
            self.place(layer, at)
            repaint(layer)
            return layer
        with self.selection_kept():
            return self.image(role, name, picture, at, **style)

    @contextlib.contextmanager
    def selection_kept(self) -> Iterator[None]:
        """Layers may be added: a new one becomes the selected one, and what a person had selected is again."""
        layers = self.viewer.layers
        active = layers.selection.active
        yield
        if active is None or active in layers:
            layers.selection.active = active

    @contextlib.contextmanager
    def axes_told_once(self) -> Iterator[None]:
        """Layers may be moved: what becomes of the viewer's axes by that is told at the end.

        At every single move napari would cut the present frame out of all layers anew.
        """
        dims = self.viewer.dims
        before = {name: getattr(dims, name) for name in dims.events.emitters if hasattr(dims, name)}
        try:
            with dims.events.blocker_all():
                yield
        finally:
            changed = [name for name, value in before.items() if getattr(dims, name) != value]
            with sliders_only_told(self.viewer):
                for name in changed:
                    dims.events[name](value=getattr(dims, name))

    def place(self, layer: Layer, at: Box, rows_columns: tuple[int, int] | None = None) -> None:
        """Move a layer into a box; nothing happens where it already is.

        Parameters
        ----------
        layer
            To move.
        at
            The box, world units.
        rows_columns
            Size of what fills the box, where the layer is no image.
        """
        shape = layer.data.shape[: layer.ndim] if rows_columns is None else rows_columns
        scale, translate = self._geometry(at, shape)
        units = self.units[-layer.ndim :]
        if tuple(str(unit) for unit in layer.units) != units:
            layer.units = units
        # Each of these makes napari look at all layers again, so what stays is left alone, and of two it hears once.
        moved = not np.array_equal(layer.translate, translate)
        if not np.array_equal(layer.scale, scale):
            with layer.events.blocker_all() if moved else contextlib.nullcontext():
                layer.scale = scale
        if moved:
            layer.translate = translate

    def _geometry(self, at: Box, shape: tuple[int, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        rows, columns = shape[-2:]
        scale, translate = (self.frame_s, *at.scale(rows, columns)), (0.0, *at.translate(rows, columns))
        return scale[-len(shape) :], translate[-len(shape) :]

    def show(self, layer: Layer | None, visible: bool) -> None:
        """Show or hide a layer that may have been deleted; in three dimensions what is to be shown waits."""
        if layer is None:
            return
        self.waiting.discard(layer)
        if visible and not self.flat:
            self.waiting.add(layer)
            visible = False
        if layer.visible != visible:
            layer.visible = visible

    @property
    def flat(self) -> bool:
        """Whether the viewer shows rows and columns, the only two dimensions that the board has."""
        dims = self.viewer.dims
        return dims.ndisplay == 2 and tuple(dims.displayed) == (dims.ndim - 2, dims.ndim - 1)

    def remove(self, role: Role | str) -> None:
        """Take away every layer of a role, once napari is done with another."""
        for layer in self.all_of(role):
            self.when_settled(partial(self._remove, layer))

    def _remove(self, layer: Layer) -> None:
        if layer in self.viewer.layers:
            self.viewer.layers.remove(layer)

    def put_away(self, role: Role) -> None:
        """Take a layer away, and remember how a person styled it."""
        layer = self.adopt(role, Image)
        if layer is not None and not layer.rgb:
            self._styles[role] = {name: getattr(layer, name) for name in STYLES}
        self.remove(role)

    def rest(self, role: Role, shown: np.ndarray | ComputedFrames) -> None:
        """Hide the image of a role until there is to be one again: to make one, and to end it, takes napari so long.

        Parameters
        ----------
        role
            Whose layer it is no more.
        shown
            What it holds meanwhile, which is there anyway: it must not keep what nobody has any more.
        """
        layer = self.adopt(role, Image)
        if layer is not None:
            self.remove(Role.RESTING)
            layer.metadata.update({ROLE_KEY: str(Role.RESTING), RESTS_AS_KEY: str(role)})
            self.show(layer, False)
        layer = self.adopt(Role.RESTING, Image)
        if layer is not None and layer.data is not shown:
            layer.data = shown

    def _awoken(self, role: Role) -> Image | None:
        layer = self.adopt(Role.RESTING, Image)
        if layer is None or layer.metadata.get(RESTS_AS_KEY) != role:
            return None
        layer.metadata[ROLE_KEY] = layer.metadata.pop(RESTS_AS_KEY)
        return layer

    def style_again(self) -> None:
        """Give what came back the style it had."""
        for role in [role for role in self._styles if self.find(role) is not None]:
            layer, style = self.find(role), self._styles.pop(role)
            for name, value in style.items():
                if getattr(layer, name) != value:
                    setattr(layer, name, value)

    def sort(self, order: Iterable[Role]) -> None:
        """What must lie above something else comes after it; a layer that was deleted came back on top of all."""
        layers = self.viewer.layers
        present = [layer for layer in map(self.find, order) if layer is not None]
        places = sorted(layers.index(layer) for layer in present)
        for target, layer in zip(places, present, strict=True):
            if layers.index(layer) != target:
                layers.move(layers.index(layer), target)

    def ours(self) -> list[Layer]:
        """Every layer with a role."""
        return [layer for layer in self.viewer.layers if ROLE_KEY in layer.metadata]

    def nothing_beside(self, place: Box) -> bool:
        """Whether all that a person shows of their own lies within a place."""
        seen = [each for each in self.viewer.layers if each.visible and ROLE_KEY not in each.metadata]
        # Of a layer without data the ends are no numbers, and lie nowhere.
        return not any(
            (low[-2:] < (place.top, place.left)).any() or (high[-2:] > (place.bottom, place.right)).any()
            for low, high in (each.extent.world for each in seen)
        )


def _unit(name: str) -> pint.Unit:
    return pint.get_application_registry().Unit(name)


def _has_axis(layer: Layer, axis: int) -> bool:
    """Whether a layer is a person's, and has that axis, counted from the end."""
    return ROLE_KEY not in layer.metadata and layer.ndim >= -axis


def redraw(layer: Layer) -> None:
    """Show data that changed in place; thumbnails wait, for they cost more than the picture."""
    layer.refresh(thumbnail=False, highlight=False, extent=False)


def repaint(layer: Layer) -> None:
    """Show a picture that changed in place, where nothing else did; a third of the work of `redraw`.

    The slice that napari shows of an array is a view of it, so it holds the news already and need only reach the
    screen; a whole `redraw` takes the slice anew and works out again where it lies.
    """
    if layer.visible:
        layer.events.set_data()


class ComputedFrames(ABC):
    """A movie of which a frame is computed when it is looked at.

    Napari shows, reads and saves it like any array; `numpy.asarray` computes all of it. The frame that was read last
    stays up to date: it is computed again, in place, by `_renew`.

    Parameters
    ----------
    shape
        (T, rows, columns).
    """

    dtype = np.dtype(np.float32)

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = tuple(shape)
        self._read: tuple[Any, np.ndarray] | None = None

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, place: Any) -> np.ndarray:
        found = self._computed(place)
        if found.size == int(np.prod(self.shape[1:])):
            self._read = (place, found)
        return found

    def frame(self, number: int) -> np.ndarray:
        """(rows, columns) of one frame, of which nothing is remembered."""
        return self._computed(number)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[...], dtype=dtype)

    def _renew(self) -> None:
        """Bring the frame that was read last up to date."""
        if self._read is not None:
            place, frame = self._read
            np.copyto(frame, self._computed(place))

    @abstractmethod
    def _computed(self, place: Any) -> np.ndarray:
        """What lies there, computed now."""


class ShownFrames(ComputedFrames):
    """A reconstruction as it is shown, e.g. smoothed and matched.

    Parameters
    ----------
    truth
        (T, rows, columns), grey levels.
    colours
        That stand in it one below the other.
    """

    def __init__(self, truth: np.ndarray, colours: int = 1) -> None:
        super().__init__(truth.shape)
        self._truth, self._colours = truth, colours
        self._video: np.ndarray | None = None
        self._mask: np.ndarray = np.ones(truth.shape[1:], dtype=bool)
        self._presentation = Presentation()
        self._level = (1.0, 0.0)

    def show(
        self, video: np.ndarray | None, mask: np.ndarray, presentation: Presentation, *, same_level: bool = False
    ) -> None:
        """Show this movie from now on.

        Parameters
        ----------
        video
            (T, rows, columns) float32, or None for grey.
        mask
            (rows, columns) bool, where it is matched.
        presentation
            What is done to it.
        same_level
            Match it as the movie before, which it hardly differs from.
        """
        self._video, self._mask, self._presentation = video, mask, presentation
        if video is not None and not same_level:
            self._level = presentation.level(video, self._truth, mask, self._colours)
        self._renew()

    def _computed(self, place: Any) -> np.ndarray:
        if self._video is None:
            return np.full(np.broadcast_to(np.float32(0), self.shape)[place].shape, GREY_LEVEL, np.float32)
        frame, rest = (place[0], place[1:]) if isinstance(place, tuple) else (place, ())
        if isinstance(frame, int | np.integer):
            number = int(frame) % len(self)
            shown = self._video, self._truth, self._mask
            whole = self._presentation.frame(*shown, number, self._level, self._colours)
            return np.array(whole[rest], np.float32)
        movie = self._presentation.of(self._video, self._truth, self._mask, self._colours)
        return np.asarray(movie, np.float32)[place]


class MosaicFrames(ComputedFrames):
    """Several movies in one, each in its place; what lies between them is NaN, and so is what is over.

    Parameters
    ----------
    shape
        (T, rows, columns) of the whole.
    parts
        Each a movie, (frames, rows, columns), and the row and column of its corner.
    """

    def __init__(self, shape: tuple[int, ...], parts: Sequence[tuple[np.ndarray | ComputedFrames, int, int]]) -> None:
        super().__init__(shape)
        self._parts = tuple(parts)

    def renew(self) -> None:
        """Show what changed in the movies."""
        self._renew()

    def _computed(self, place: Any) -> np.ndarray:
        frame, rest = (place[0], place[1:]) if isinstance(place, tuple) else (place, ())
        if isinstance(frame, int | np.integer):
            return self._frame(int(frame) % len(self))[rest]
        numbers = np.arange(len(self))[frame] if not isinstance(frame, EllipsisType) else np.arange(len(self))
        whole = np.stack([self._frame(int(number)) for number in np.atleast_1d(numbers)])
        return whole[(slice(None), *rest)]

    def _frame(self, number: int) -> np.ndarray:
        picture = np.full(self.shape[1:], np.nan, np.float32)
        for movie, top, left in self._parts:
            if number < len(movie):
                part = movie[number]
                picture[top : top + part.shape[0], left : left + part.shape[1]] = part
        return picture


class ErrorFrames(ComputedFrames):
    """First movie minus second, inside the evaluation mask; zero until there are two movies.

    A run brings a new movie many times a minute, of which one frame is on the screen.

    Parameters
    ----------
    shape
        (T, rows, columns) of the movies.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self._movies: tuple[np.ndarray, np.ndarray | None] | None = None
        self._within: np.ndarray = np.ones(self.shape[-2:], np.float32)
        self._signed = True

    def show(self, first: np.ndarray, second: np.ndarray | None, within: np.ndarray, *, signed: bool) -> None:
        """Take the difference of these from now on.

        Parameters
        ----------
        first
            (T, rows, columns) float32.
        second
            The same, or None for zero.
        within
            (rows, columns) float32, 1 inside the evaluation mask and 0 outside.
        signed
            Or only how large it is.
        """
        self._movies, self._within, self._signed = (first, second), within, signed
        self._renew()

    def clear(self) -> None:
        """Zero everywhere."""
        self._movies = None
        self._renew()

    def _computed(self, place: Any) -> np.ndarray:
        if self._movies is None:
            return np.array(np.broadcast_to(np.float32(0), self.shape)[place])
        first, second = self._movies
        error = first[place] if second is None else first[place] - second[place]
        error = error * np.broadcast_to(self._within, self.shape)[place]
        return error if self._signed else np.abs(error)
