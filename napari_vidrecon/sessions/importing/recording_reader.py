"""`Reader`: opens raw files of one kind; the built-in ones and those of other packages keep the same promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from napari_vidrecon.sessions.importing.columns import Column
from napari_vidrecon.sessions.importing.recording import Recording
from napari_vidrecon.sessions.importing.settings import ImportSettings
from napari_vidrecon.settings import Settings


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
