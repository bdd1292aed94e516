"""`Reader`: opens raw files of one kind; the built-in ones and those of other packages keep the same promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions.importing.array_folder import require_folder
from napari_vidrecon.sessions.importing.columns import Column
from napari_vidrecon.sessions.importing.recording import LONGEST_STILL_S, Recording
from napari_vidrecon.sessions.importing.resampling import ScreenFit
from napari_vidrecon.sessions.metadata import HIGHEST_FRAME_RATE_HZ, LOWEST_FRAME_RATE_HZ
from napari_vidrecon.sessions.screen import USUAL_SCREEN, ScreenGeometry
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ
from napari_vidrecon.sessions.trial_files import MINIMUM_FRAMES
from napari_vidrecon.settings import Settings
from napari_vidrecon.storage import reading


class ImportSettings(BaseModel):
    """The choices of an import.

    Parameters
    ----------
    trial_frames
        Frames of a trial at 30 Hz; longer presentations are cut into several.
    fit
        How movies of other proportions meet the screen: "pad" with mid grey, "crop" or "stretch".
    bad_neurons
        Neurons that are NaN or never change: "drop" them and say so, or "refuse" the recording.
    negative
        Activity below zero: "refuse" the recording, set it to zero ("clip"), or raise each neuron until its lowest
        value is zero ("lift"); it is said.
    test_share, validation_share
        Share of the trials held out in the tiers live_test_main and oracle.
    within_movie
        Hold out parts of movies whose other parts are trained on; only if there is one movie.
    trim
        Of two arrays that should be equally long, cut the longer one at its end instead of refusing.
    clock_tolerance_s
        How far two clocks may run apart over the recording, s.
    levels
        Values of the movies that were shown as black and as white; None to tell them by the kind of numbers.
    stills_s
        Plain arrays: pictures, each shown for so many seconds from its time on, with grey between; None for movies.
    axes
        Order of the axes of the movies, e.g. "twh" where they are stored (frame, x, y): n clips, t frames, h rows,
        w columns, c colours; None for the usual order.
    screen
        What the movies were shown on: its pixels are those of the session.
    frame_rate_hz
        Of the session: everything comes onto this clock.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trial_frames: int = Field(default=300, ge=MINIMUM_FRAMES)
    fit: ScreenFit = "pad"
    bad_neurons: Literal["drop", "refuse"] = "drop"
    negative: Literal["refuse", "clip", "lift"] = "refuse"
    test_share: float = Field(default=0.1, ge=0.0, lt=0.5)
    validation_share: float = Field(default=0.1, gt=0.0, lt=0.5)
    within_movie: bool = False
    trim: bool = False
    clock_tolerance_s: float = Field(default=0.05, gt=0.0)
    levels: tuple[float, float] | None = None
    axes: str | None = Field(default=None, pattern="^[nthwc]{3,5}$")
    stills_s: float | None = Field(default=None, gt=0, le=LONGEST_STILL_S)
    screen: ScreenGeometry = USUAL_SCREEN
    frame_rate_hz: float = Field(default=FRAME_RATE_HZ, ge=LOWEST_FRAME_RATE_HZ, le=HIGHEST_FRAME_RATE_HZ)

    @property
    def longest_trial_frames(self) -> int:
        """Frames of a trial at the session's rate."""
        return max(MINIMUM_FRAMES, round(self.trial_frames * self.frame_rate_hz / FRAME_RATE_HZ))


class NoOptions(Settings):
    """For a kind of files that can be read in one way only."""


class Reader(ABC):
    """Raw files of one kind; to be entered before it is asked, so that it may hold files open meanwhile.

    Parameters
    ----------
    path
        The file or the folder.
    settings
        Choices of the import that concern reading.
    options
        Fields of `options_class`, by name.

    Attributes
    ----------
    title
        What such files are called in a list: "NWB file".
    suffixes
        Endings of such files, lower case with their dot; empty for folders.
    options_class
        The choices of how to read them. Options of the command and controls of the window are made from its fields:
        the title of a field is its label, its description explains it. What `json_schema_extra` may say besides is
        in docs/own_parts.md.
    """

    title: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]] = ()
    options_class: ClassVar[type[Settings]] = NoOptions

    def __init__(self, path: Path, settings: ImportSettings | None = None, **options: Any) -> None:
        self.path, self.settings = path, settings or ImportSettings()
        self.options: Any = self.options_class(**options)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether files seem to be of this kind; by their names, as it is asked of everything that is chosen."""
        return path.suffix.lower() in cls.suffixes

    @abstractmethod
    def columns(self) -> list[Column]:
        """Every array found, and what it would be used for.

        Raises
        ------
        VidreconError
            Nothing can be read at all.
        """

    @abstractmethod
    def recording(self) -> Recording:
        """The recording; its movies may stay in the files as long as the reader is entered.

        Raises
        ------
        VidreconError
            Something is missing, damaged, or does not fit the rest.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(  # noqa: B027  # most hold nothing open
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what was opened."""


class ActivityReader(Reader):
    """Activity in files of one kind, beside which stimulus, clocks and behaviour lie as arrays.

    Attributes
    ----------
    what
        Such a file or folder, with its article, for messages.
    """

    what: ClassVar[str] = "a recording"

    def columns(self) -> list[Column]:
        """The activity and every file beside it, with what each would be used for.

        Returns
        -------
        list[Column]
            Those that are missing or damaged, too.

        Raises
        ------
        StorageError
            No such file or folder, a damaged file, or times that cannot be read.
        """
        self._require()
        with reading(self.path, SessionError, self.what):
            return self._columns()

    def recording(self) -> Recording:
        """The recording, with the activity in memory, the movies mapped, and the arrays beside.

        Returns
        -------
        Recording
            As it was recorded; trials are cut, and spikes counted in their frames, later.

        Raises
        ------
        SessionError
            Arrays are missing or do not fit each other.
        StorageError
            A file is damaged or unsafe.
        """
        self._require()
        with reading(self.path, SessionError, self.what):
            return self._recording()

    @abstractmethod
    def _columns(self) -> list[Column]: ...

    @abstractmethod
    def _recording(self) -> Recording: ...

    def _require(self) -> None:
        if not self.suffixes:
            require_folder(self.path)

    def _beside(self) -> Path:
        """Where the arrays lie."""
        chosen = getattr(self.options, "beside", None)
        folder = chosen or (self.path.parent if self.suffixes else self.path)
        if folder != self.path:
            require_folder(folder)
        return folder
