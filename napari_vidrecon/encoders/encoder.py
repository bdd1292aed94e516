"""The protocol of every encoder, and what an encoder says of itself."""

from __future__ import annotations

import dataclasses
from dataclasses import field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from pydantic.dataclasses import dataclass

from napari_vidrecon.encoders.windows import CHECKED, FrameWindows, Pixels
from napari_vidrecon.sessions.screen import ColourNames, check_colours
from napari_vidrecon.sessions.session_statistics import MovieStatistics

if TYPE_CHECKING:
    import torch

SCREEN_ROWS = 36
SCREEN_COLUMNS = 64
BEHAVIOR_CHANNELS = 4
INPUT_CHANNELS = 1 + BEHAVIOR_CHANNELS


@dataclass(frozen=True, config=CHECKED)
class Canvas:
    """The pixel grid an encoder works on, and where the screen lies in it.

    Parameters
    ----------
    rows, columns
        Size of the encoder's input, pixels (DwiseNeuro: 64 x 64).
    screen_rows, screen_columns
        Size of the movie (36 x 64).
    colours
        Names of the movie's colours, which stand one below the other; empty for grey levels.
    """

    rows: Pixels = 64
    columns: Pixels = 64
    screen_rows: Pixels = SCREEN_ROWS
    screen_columns: Pixels = SCREEN_COLUMNS
    colours: ColourNames = ()

    def __post_init__(self) -> None:
        check_colours(self.colours, self.screen_rows)
        if self.screen_rows > self.rows or self.screen_columns > self.columns:
            raise ValueError(
                f"expected a screen within the canvas of {self.rows}x{self.columns} pixels, "
                f"found {self.screen_rows}x{self.screen_columns}"
            )

    @classmethod
    def of_screen(cls, rows: int, columns: int) -> Canvas:
        """The screen itself, with nothing around it."""
        return cls(rows, columns, rows, columns)

    @property
    def parts(self) -> list[int]:
        """Rows of each colour, from the top of the canvas to its bottom; all of them for grey levels."""
        count, (rows, _) = max(1, len(self.colours)), self.screen
        seams = [rows.start + place * self.screen_rows // count for place in range(1, count)]
        return np.diff([0, *seams, self.rows]).tolist()

    @property
    def stored(self) -> dict[str, Any]:
        """Its fields, as in a file; colours where there are some."""
        fields = dataclasses.asdict(self)
        return fields if self.colours else {name: value for name, value in fields.items() if name != "colours"}

    @property
    def screen(self) -> tuple[slice, slice]:
        """Where the movie stands in the canvas (DwiseNeuro: rows 14 to 49, all columns)."""
        top = (self.rows - self.screen_rows) // 2
        left = (self.columns - self.screen_columns) // 2
        return slice(top, top + self.screen_rows), slice(left, left + self.screen_columns)

    def embed(self, image: np.ndarray, outside: float) -> np.ndarray:
        """Put arrays of the screen's size onto the canvas.

        Parameters
        ----------
        image
            (..., screen rows, screen columns); one of the canvas's size passes through.
        outside
            What stands around the screen.

        Returns
        -------
        np.ndarray
            (..., rows, columns).
        """
        if image.shape[-2:] == (self.rows, self.columns):
            return image
        embedded = np.full((*image.shape[:-2], self.rows, self.columns), outside, dtype=image.dtype)
        embedded[(..., *self.screen)] = image
        return embedded


@dataclasses.dataclass(frozen=True)
class EncoderSpec:
    """What a caller needs to know of an encoder without looking inside.

    Parameters
    ----------
    name
        A name for people, usually the file's.
    architecture
        "dwiseneuro", "compact", ...
    neurons
        Number of neurons of the bound readout.
    mouse
        Name of the mouse the readout belongs to, where known.
    canvas, windows
        What the encoder takes at once.
    frame_rate_hz
        Rate of the movies it was trained on.
    causal
        A frame's activity does not depend on later frames of its window; False where that is not promised.
    sha256
        Hash of the file it was read from; empty if it was not.
    provenance
        How it was trained, licence, citation; plain JSON values.
    path
        The file it was read from; empty if it was not.
    readout
        Index or name of the readout that was asked for; None where the number of neurons chose it.
    weights
        Hash of the weights as they were read, so that later changes show; empty if they were not.
    """

    name: str
    architecture: str
    neurons: int
    mouse: str = ""
    canvas: Canvas = field(default_factory=Canvas)
    windows: FrameWindows = field(default_factory=FrameWindows)
    frame_rate_hz: float = 30.0
    causal: bool = False
    sha256: str = ""
    provenance: dict = field(default_factory=dict)
    path: str = ""
    readout: int | str | None = None
    weights: str = ""


@runtime_checkable
class Encoder(Protocol):
    """A dynamic neural encoding model bound to one mouse's readout: what it must have.

    What it may say of itself besides is `Traits`.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> encoder = vr.load_encoder(vr.find_sample().encoders[0], device="cpu")
    >>> isinstance(encoder, vr.Encoder)
    True
    """

    spec: EncoderSpec
    device: torch.device

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the weights."""

    @property
    def floats_per_pixel(self) -> int:
        """Floats alive per input pixel of a window in a forward pass; for choosing a chunk."""

    @property
    def preferred_cpu_chunk(self) -> int:
        """Windows at once that run fastest on a CPU."""

    def pack(
        self,
        video: np.ndarray | torch.Tensor,
        behavior: np.ndarray | None = None,
        pupil_center: np.ndarray | None = None,
        *,
        padding: float = 0.0,
    ) -> torch.Tensor:
        """Model input of a clip.

        Parameters
        ----------
        video
            (T, screen rows, screen columns) or (T, rows, columns) of the canvas, grey levels 0..255.
        behavior
            (2, T) pupil dilation and running speed, or None where there is none.
        pupil_center
            (2, T) horizontal and vertical eye position, or None where there is none.
        padding
            Grey level around the screen.

        Returns
        -------
        torch.Tensor
            (5, T, rows, columns), channels video, pupil dilation, running, pupil x, pupil y.
        """

    def responses(self, windows: torch.Tensor, neurons: torch.Tensor | None = None) -> torch.Tensor:
        """Activity for windows of model input, differentiable once.

        An encoder may leave the neurons that are not asked for uncomputed, and may keep what it prepared for a tensor
        of indices, so ask with the same tensor every time.

        Parameters
        ----------
        windows
            (B, 5, size, rows, columns), as `pack` makes them.
        neurons
            Indices of those wanted; None for all.

        Returns
        -------
        torch.Tensor
            (B, N, size), >= 0.
        """

    def predict(
        self,
        video: np.ndarray | torch.Tensor,
        behavior: np.ndarray | None = None,
        pupil_center: np.ndarray | None = None,
        *,
        chunk: int | None = None,
    ) -> np.ndarray:
        """Activity of a whole clip: mean over all sliding windows.

        Parameters
        ----------
        video
            (T, screen rows, screen columns), grey levels 0..255.
        behavior
            (2, T) pupil dilation and running speed, or None where there is none.
        pupil_center
            (2, T) horizontal and vertical eye position, or None where there is none.
        chunk
            Windows at once; None: by device and free memory.

        Returns
        -------
        np.ndarray
            (N, T), >= 0.
        """

    def require_neurons(self, neurons: int, of: str) -> None:
        """Refuse a recording of another number of neurons than the readout has.

        Parameters
        ----------
        neurons
            Of the recording.
        of
            What the recording is called in the message.

        Raises
        ------
        EncoderError
            The numbers differ.
        """


@runtime_checkable
class Movable(Protocol):
    """An encoder that can be moved to another device or floating-point type, in place."""

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Any:
        """Move; None leaves it where, or what, it is."""


@dataclasses.dataclass(frozen=True)
class Traits:
    """What an encoder may say of itself, as attributes of these names; one that says nothing has these values.

    Parameters
    ----------
    memory_limit
        Bytes that windows at once may take; None for a part of what is free.
    answers_in_threads
        Whether several threads may ask for responses at once.
    precision
        What it computes in: "float32", "bfloat16", ...
    neutral_behavior
        (4,) pupil size, running, pupil x, pupil y that it takes where a clip has no behaviour; None: it tells none.
    movies
        What the movies it was trained on are like; None: it does not tell.
    warm_up
        Frames after which its state hardly tells where a clip began; it then has `continued` (see `Stateful`), and
        runs through whole clips. None: it has no state.
    """

    memory_limit: int | None = None
    answers_in_threads: bool = False
    precision: str = "float32"
    neutral_behavior: np.ndarray | None = None
    movies: MovieStatistics | None = None
    warm_up: int | None = None

    @classmethod
    def of(cls, encoder: Encoder) -> Traits:
        """Those of an encoder; the one place that knows that any of them may be missing."""
        told = {
            each.name: getattr(encoder, each.name) for each in dataclasses.fields(cls) if hasattr(encoder, each.name)
        }
        return cls(**told)
