"""A linear decoder: a movie straight from activity, learned from the training trials' pairs of both."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import safe_open
from safetensors.numpy import save_file
from scipy.fft import idctn

from napari_vidrecon.errors import ConfigError, StorageError
from napari_vidrecon.reconstruction.config import GREY_LEVEL
from napari_vidrecon.sessions.screen import USUAL_SCREEN, ColourNames, ScreenPixels, check_colours
from napari_vidrecon.settings import brief, first_fault
from napari_vidrecon.storage import read_description, reading, replacing_file, stored_format, user_path

FORMAT = "napari_vidrecon decoder 1"
DECODER_SUFFIX = ".safetensors"
EXPECTED = "a decoder file"
LARGEST_LAG_FRAMES = 10_000
SAME_RATE = 0.01
KINDS = {"weights": "f", "mean": "f", "frequencies": "iu"}
"""Kinds of numbers in a file."""


class DecoderDescription(BaseModel):
    """The description in the metadata of a decoder file; frozen and validated.

    Parameters
    ----------
    format
        Of the file.
    lags_frames
        How many frames after the movie's the activity is taken.
    mouse
        Whose.
    provenance
        How it was fitted.
    level
        Grey level of its movies; files of earlier versions do not tell.
    rows, columns
        Pixels of its movies; files of earlier versions do not tell.
    colours, levels
        Names of their colours, which stand one below the other, and the grey level of each; empty for grey levels.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    format: str
    lags_frames: list[Annotated[int, Field(ge=-LARGEST_LAG_FRAMES, le=LARGEST_LAG_FRAMES)]] = Field(min_length=1)
    mouse: str
    provenance: dict[str, Any]
    level: float = Field(GREY_LEVEL, ge=0, le=255)
    rows: ScreenPixels = USUAL_SCREEN.rows
    columns: ScreenPixels = USUAL_SCREEN.cols
    colours: ColourNames = ()
    levels: list[Annotated[float, Field(ge=0, le=255)]] = []

    @model_validator(mode="after")
    def _has_a_level_for_each_colour(self) -> Self:
        check_colours(self.colours, self.rows)
        if len(self.levels) != len(self.colours):
            raise ValueError(f"expected a level for each of {len(self.colours)} colours, found {len(self.levels)}")
        return self


def _checked(path: Path, described: dict[str, Any]) -> DecoderDescription:
    try:
        return DecoderDescription(**described)
    except ValidationError as raised:
        raise StorageError(f"{path}: {first_fault(raised)}") from None


@dataclass(frozen=True, eq=False)
class Decoder:
    """Turns activity into a movie by one linear map: for each frame, from what follows it.

    The square root of the activity, less its mean, at a few lags predicts the cosine coefficients of a frame. A neuron
    that is left out says what it says on average, nothing. With all activity at its mean the movie is of one grey
    level (one of each colour), not the mean of all movies: what is seen comes from the neurons.

    Parameters
    ----------
    weights
        (lags, N, coefficients) float32 of half precision, grey levels per unit of the square root.
    mean
        (N,) mean square root of each neuron's activity in training.
    lags_frames
        (lags,) how many frames after the movie's the activity is taken.
    frequencies
        (coefficients, 2) row and column index of each cosine coefficient; those of further colours, which are
        transformed each for itself, follow below.
    mouse
        Whose.
    provenance
        How it was fitted; plain values.
    path
        The file it was read from; empty if it was not.
    level
        That grey level, 0..255: the mean of the training movies.
    size_px
        Rows and columns of its movies, all colours together.
    colours
        Names of these, from top to bottom; empty for grey levels.
    levels
        The grey level of each colour; their mean is `level`.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_vidrecon as vr
    >>> weights = np.ones((1, 3, 1), np.float32)
    >>> decoder = vr.Decoder(weights, np.zeros(3, np.float32), (0,), np.array([[0, 0]]))
    >>> decoder.movie(np.zeros((3, 5))).shape
    (5, 36, 64)
    """

    weights: np.ndarray
    mean: np.ndarray
    lags_frames: tuple[int, ...]
    frequencies: np.ndarray
    mouse: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)
    path: str = ""
    level: float = GREY_LEVEL
    size_px: tuple[int, int] = USUAL_SCREEN.size_px
    colours: tuple[str, ...] = ()
    levels: tuple[float, ...] = ()

    __repr__ = brief

    @property
    def neurons(self) -> int:
        """Neurons it was fitted for."""
        return len(self.mean)

    @property
    def delay_frames(self) -> int:
        """Frames after the movie's that have to be there before its picture can be had; 0 for a causal decoder."""
        return max(0, *self.lags_frames)

    @property
    def causal(self) -> bool:
        """Whether it takes past and present activity only."""
        return self.delay_frames == 0

    @functools.cached_property
    def sha256(self) -> str:
        """Hash of what decides its movies."""
        digest = hashlib.sha256(repr(self.lags_frames).encode())
        for array in (self.weights, self.mean, self.frequencies):
            digest.update(np.ascontiguousarray(array).tobytes())
        if self.level != GREY_LEVEL:
            # Hashes of earlier versions' decoders stay.
            digest.update(repr(self.level).encode())
        if self.size_px != USUAL_SCREEN.size_px:
            digest.update(repr(self.size_px).encode())
        if self.colours:
            digest.update(repr((self.colours, self.levels)).encode())
        return digest.hexdigest()

    @functools.cached_property
    def blank(self) -> np.ndarray:
        """(rows, columns) float32, what it shows while the neurons say nothing."""
        parts = np.repeat(self.levels or (self.level,), self.size_px[0] // max(1, len(self.colours)))
        return np.repeat(parts[:, None], self.size_px[1], axis=1).astype(np.float32)

    def pictures(self, coefficients: np.ndarray) -> np.ndarray:
        """The movie of coefficients; each colour is transformed for itself.

        Parameters
        ----------
        coefficients
            (T, coefficients) grey levels, in the order of `frequencies`.

        Returns
        -------
        np.ndarray
            (T, rows, columns) float32 grey levels; may leave 0..255.
        """
        rows, columns = self.size_px
        spectrum = np.zeros((len(coefficients), rows, columns), np.float32)
        spectrum[:, self.frequencies[:, 0], self.frequencies[:, 1]] = coefficients
        parts = spectrum.reshape(len(spectrum), max(1, len(self.colours)), -1, columns)
        movie = idctn(parts, axes=(2, 3), norm="ortho").reshape(spectrum.shape)
        return (self.blank + movie).astype(np.float32)

    def require_neurons(self, neurons: int, of: str, name: str = "decoder") -> None:
        """Refuse a recording of another number of neurons.

        Parameters
        ----------
        neurons
            Of the recording.
        of, name
            What the recording and the decoder are called in the message.

        Raises
        ------
        ConfigError
            It was fitted for another number.
        """
        if self.neurons != neurons:
            raise ConfigError(
                f"{name}: expected a decoder for the {neurons} neurons of {of}, found one for {self.neurons}; "
                "fit one for this session with: vidrecon decoder"
            )

    def require_screen(
        self,
        size_px: tuple[int, ...],
        colours: tuple[str, ...],
        of: str,
        name: str = "decoder",
        *,
        frame_rate_hz: float | None = None,
    ) -> None:
        """Refuse movies of another size, other colours or another frame rate.

        Parameters
        ----------
        size_px, colours
            Of the movies, all colours together.
        of, name
            What the recording and the decoder are called in the message.
        frame_rate_hz
            Of the movies; None, or a decoder that does not tell its own: not compared.

        Raises
        ------
        ConfigError
            It was fitted for others.
        """
        own_hz = self.provenance.get("frame_rate_hz")
        if frame_rate_hz is not None and isinstance(own_hz, float) and abs(own_hz - frame_rate_hz) > SAME_RATE * own_hz:
            raise ConfigError(
                f"{name}: expected a decoder of {frame_rate_hz:g} frames a second, as {of} has, found one of "
                f"{own_hz:g}; fit one for this session with: vidrecon decoder"
            )
        if (self.size_px, self.colours) != (tuple(size_px), colours):
            mine, theirs = (
                f"{rows}x{columns} pixels" + (f" in {' above '.join(named)}" if named else "")
                for (rows, columns), named in ((self.size_px, self.colours), (size_px, colours))
            )
            raise ConfigError(
                f"{name}: expected a decoder of movies of {theirs}, as {of} has, found one of {mine}; fit one for this "
                "session with: vidrecon decoder"
            )

    def movie(self, activity: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """The movie that activity stands for.

        Parameters
        ----------
        activity
            (N, T) >= 0.
        keep
            (N,) bool, the neurons that are listened to; None: all.

        Returns
        -------
        np.ndarray
            (T, rows, columns) float32 grey levels; may leave 0..255.

        Raises
        ------
        ConfigError
            Activity of another number of neurons.
        """
        given = _array(activity)
        if given.ndim != 2 or given.dtype.kind not in "fiu" or not given.size:
            found = f"{given.dtype} of shape {given.shape}"
            raise ConfigError(f"activity: expected numbers of neurons x frames, found {found}")
        if keep is not None and _array(keep).shape != (self.neurons,):
            raise ConfigError(
                f"keep: expected a boolean for each of {self.neurons} neurons, found {_array(keep).shape}"
            )
        activity, keep = given, None if keep is None else _array(keep)
        if len(activity) != self.neurons:
            raise ConfigError(
                f"decoder: expected activity of {self.neurons} neurons, as it was fitted for, found {len(activity)}; "
                "fit one for this session"
            )
        root = rooted(activity) - self.mean[:, None]
        if keep is not None:
            root = root * keep[:, None]
        coefficients = sum(
            lagged(root, lag).T @ weights for lag, weights in zip(self.lags_frames, self.weights, strict=True)
        )
        return self.pictures(coefficients)

    def save(self, path: Path | str) -> None:
        """Write one safetensors file.

        Parameters
        ----------
        path
            The `.safetensors` file; replaced only once the new one is complete.
        """
        described: dict[str, Any] = {
            "format": FORMAT,
            "lags_frames": list(self.lags_frames),
            "mouse": self.mouse,
            "provenance": self.provenance,
            "level": self.level,
        }
        if self.size_px != USUAL_SCREEN.size_px:
            described["rows"], described["columns"] = self.size_px
        if self.colours:
            described |= {"colours": list(self.colours), "levels": list(self.levels)}
        tensors = {
            "weights": np.ascontiguousarray(self.weights, np.float16),
            "mean": np.ascontiguousarray(self.mean),
            "frequencies": np.ascontiguousarray(self.frequencies, np.int64),
        }
        with replacing_file(path) as temporary:
            save_file(tensors, str(temporary), metadata={"vidrecon": json.dumps(described)})

    @classmethod
    def load(cls, path: Path | str) -> Decoder:
        """Read one.

        Parameters
        ----------
        path
            The `.safetensors` file.

        Returns
        -------
        Decoder
            Its `path` is absolute.

        Raises
        ------
        StorageError
            Missing, damaged, or no decoder.
        """
        path = user_path(path)
        described = read_description(path, StorageError, EXPECTED)
        if described.get("format") != FORMAT:
            raise StorageError(f"{path}: expected a decoder of this program, found other tensors")
        told = _checked(path, described)
        quiet = np.errstate(over="ignore")
        with quiet, reading(path, StorageError, EXPECTED), safe_open(str(path), framework="np") as file:
            tensors = {name: file.get_tensor(name) for name in ("weights", "mean", "frequencies")}
            if any(tensors[name].dtype.kind not in kinds for name, kinds in KINDS.items()):
                raise ValueError("numbers of another type")
            found = cls(
                tensors["weights"].astype(np.float32),
                tensors["mean"].astype(np.float32),
                tuple(told.lags_frames),
                tensors["frequencies"].astype(np.int64),
                told.mouse,
                told.provenance,
                str(path.absolute()),
                told.level,
                (told.rows, told.columns),
                told.colours,
                tuple(told.levels),
            )
        if not found._fits_together():
            raise StorageError(f"{path}: expected finite weights for each lag, neuron and coefficient, found others")
        return found

    def _fits_together(self) -> bool:
        pairs = self.mean.ndim == 1 and self.frequencies.ndim == 2 and self.frequencies.shape[1] == 2
        if not pairs or self.weights.shape != (len(self.lags_frames), len(self.mean), len(self.frequencies)):
            return False
        inside = (self.frequencies >= 0).all() and (self.frequencies < self.size_px).all()
        return bool(inside and np.isfinite(self.weights).all() and np.isfinite(self.mean).all())


def is_decoder(path: Path) -> bool:
    """Whether a file says that it is a decoder; it may be damaged nevertheless."""
    return path.suffix == DECODER_SUFFIX and stored_format(path) == FORMAT


def _array(values: Any) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError:
        raise ConfigError("activity: expected an array of numbers, found rows of different lengths") from None


def rooted(activity: np.ndarray) -> np.ndarray:
    """Square root of activity >= 0, which makes the noise of large and small values alike."""
    return np.sqrt(np.maximum(np.asarray(activity, np.float32), 0.0))


def lagged(traces: np.ndarray, lag: int) -> np.ndarray:
    """(N, T) traces, each frame showing what follows `lag` frames later; the ends are repeated."""
    frames = np.clip(np.arange(traces.shape[1]) + lag, 0, traces.shape[1] - 1)
    return traces[:, frames]
