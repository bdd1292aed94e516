"""What an import did to the data, item by item: nothing is changed without being said."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Kind = Literal["read", "resampled", "filled", "dropped", "repaired", "assumed", "warning"]


@dataclass(frozen=True)
class Note:
    """One thing that was done, or that the reader of the session should know.

    Parameters
    ----------
    kind
        What sort of thing.
    about
        The stream: "activity", "stimulus", "running", "pupil size", "pupil centre", "trials" ...
    text
        A sentence with numbers.
    """

    kind: Kind
    about: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.about}: {self.text}"


@dataclass
class ImportReport:
    """Notes in the order in which things were done, and the totals at the end.

    Parameters
    ----------
    notes
        The notes.
    totals
        Numbers of the finished session, by name.
    """

    notes: list[Note] = field(default_factory=list)
    totals: dict[str, Any] = field(default_factory=dict)

    def add(self, kind: Kind, about: str, text: str) -> None:
        """Add a note; the same one is kept once.

        Parameters
        ----------
        kind
            What happened: "read", "resampled", "filled", "dropped", "repaired", "assumed" or "warning".
        about
            Which part of the recording.
        text
            One line for people.
        """
        note = Note(kind, about, text)
        if note not in self.notes:
            self.notes.append(note)

    def of_kind(self, kind: Kind) -> list[Note]:
        """The notes of one kind."""
        return [note for note in self.notes if note.kind == kind]

    def mentions(self, kind: Kind, about: str) -> bool:
        """Whether there is a note of this kind about a stream."""
        return any(note.about == about for note in self.of_kind(kind))

    def as_values(self) -> dict[str, Any]:
        """The same as plain values, ready for JSON."""
        return {"totals": self.totals, "notes": [asdict(note) for note in self.notes]}

    def as_text(self) -> str:
        """The same for people: one line a note."""
        totals = [f"{name.replace('_', ' ')}: {value}" for name, value in self.totals.items()]
        return "\n".join([*totals, "", *map(str, self.notes), ""])
