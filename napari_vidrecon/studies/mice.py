"""The mice of a study: where their sessions, encoders and masks lie, and which of their clips are used."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from napari_vidrecon.encoders.answers import check_session_fits
from napari_vidrecon.encoders.checkpoints import file_hash, load_encoder
from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.errors import ConfigError, MaskError, SessionError, one_line
from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD, FEWEST_PIXELS, AlphaMask
from napari_vidrecon.sessions.sample import SAMPLE_TEST_TIER, whole_sample
from napari_vidrecon.sessions.session import Session, open_session
from napari_vidrecon.storage import read_json

HELD_OUT_FOLD = 0
PUBLISHED_CLIPS = {
    "dynamic29515-10-12": (0, 1, 2, 10, 4, 5, 6, 7, 8, 11),
    "dynamic29623-4-9": (10, 1, 2, 3, 11, 5, 6, 7, 8, 9),
    "dynamic29647-19-8": (10, 1, 14, 3, 4, 5, 6, 15, 16, 9),
    "dynamic29712-5-9": (0, 1, 2, 3, 10, 5, 6, 7, 8, 9),
    "dynamic29755-2-8": (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
}
"""Positions in fold 0 of the paper's ten clips a mouse, after duplicates were replaced (Bauer et al. 2026)."""
MICE_FILE_FIELDS = ("session", "encoders", "mask", "name", "readout", "trials")
LONGEST_PATH, LONGEST_NAME = 4000, 200
MOST_MICE, MOST_ENCODERS, MOST_TRIALS = 1000, 100, 100_000
LONGEST_INDEX = 9
"""Digits of a readout's index; what is longer is a name."""


@dataclass(frozen=True)
class Mouse:
    """One mouse of a study: plain paths, so that a worker elsewhere can open the same files.

    Parameters
    ----------
    session
        Session folder.
    encoders
        Encoder files, trained without the clips that are reconstructed.
    mask
        Transparency mask (.npy).
    name
        For figures and tables.
    readout
        Of the encoders, by index or name; None chooses by the number of neurons.
    trials
        Trial ids in order; empty takes the paper's clips, or the held-out ones.
    """

    session: Path
    encoders: tuple[Path, ...]
    mask: Path
    name: str
    readout: str | None = None
    trials: tuple[int, ...] = field(default=())

    def open_session(self) -> Session:
        """The recording."""
        return open_session(self.session)

    def load_encoder(self, index: int, device: str = "auto") -> Encoder:
        """One of its encoders, bound to its neurons.

        Returns
        -------
        Encoder
            On the device.

        Raises
        ------
        EncoderError
            The file cannot be read, or does not fit the session.
        """
        session = self.open_session()
        readout: int | str | None = self.readout
        if self.readout is not None and self.readout.isdecimal() and len(self.readout) <= LONGEST_INDEX:
            readout = int(self.readout)
        encoder = load_encoder(self.encoders[index], readout, device, neurons=session.n_neurons)
        encoder.require_neurons(session.n_neurons, session.name)
        check_session_fits(encoder, session)
        return encoder

    def load_mask(self) -> AlphaMask:
        """Its transparency mask."""
        return AlphaMask.load(self.mask)

    def evaluation_mask(self) -> np.ndarray:
        """(rows, columns) bool: pixels that are measured."""
        return self.load_mask().binary(EVALUATION_THRESHOLD)

    @property
    def has_clips(self) -> bool:
        """Whether there is any trial that may be reconstructed."""
        return bool(self.trials or held_out(self.open_session()))

    def clips(self) -> tuple[int, ...]:
        """Trials that may be reconstructed, in order: those given, the paper's, or the held-out ones.

        Returns
        -------
        tuple[int, ...]
            Ids.

        Raises
        ------
        SessionError
            There is none, or not one of the given ones.
        """
        session = self.open_session()
        unknown = [trial for trial in self.trials if trial not in session.tiers]
        if unknown:
            raise SessionError(f"{self.session}: expected its own trials, found {unknown[0]} among those to use")
        chosen = self.trials or held_out(session)
        shown = tuple(trial for trial in chosen if session.has_movie(trial))
        if shown and self.trials and len(shown) < len(chosen):
            without = next(trial for trial in chosen if trial not in shown)
            raise SessionError(
                f"{self.session}: expected trials whose movie is known, found trial {without} without one, which "
                "nothing can be measured by; leave it out (`vidrecon evidence` tells whether there is a movie in it)"
            )
        # Of a mouse without any movie all are taken: what needs none is computed, and the rest is not defined.
        chosen = shown or chosen
        if not chosen:
            raise SessionError(
                f"{self.session}: expected held-out clips with responses to reconstruct (tier {SAMPLE_TEST_TIER} or "
                f'fold {HELD_OUT_FOLD}), found none; name its trials in a list of mice (--mice, "trials": [0, 1])'
            )
        # Once each: a clip that is named twice is no second one to any test.
        return tuple(dict.fromkeys(chosen))

    def require_readable(self) -> None:
        """Open all its files once, so that a fault is told before any run is started.

        Raises
        ------
        VidreconError
            A file cannot be read, or does not fit the others.
        """
        self.clips()
        mask = self.load_mask()
        measured = int(mask.binary(EVALUATION_THRESHOLD).sum())
        if 0 < measured < FEWEST_PIXELS:
            raise MaskError(
                f"{self.mask}: expected at least {FEWEST_PIXELS} pixels to measure in (alpha >= "
                f"{EVALUATION_THRESHOLD:g}), found {measured}; fit it anew with more steps, or with a better encoder"
            )
        for index in range(len(self.encoders)):
            canvas = self.load_encoder(index, "cpu").spec.canvas
            mask.on(canvas, EVALUATION_THRESHOLD)

    def provenance(self) -> dict[str, Any]:
        """Plain values that identify its files."""
        return {
            "name": self.name,
            "session": self.session.name,
            "session_fingerprint": self.open_session().fingerprint(),
            "encoders": {path.name: file_hash(path) for path in self.encoders},
            "mask": {self.mask.name: file_hash(self.mask)},
            "clips": list(self.clips()),
        }


def require_one_screen(mice: Sequence[Mouse]) -> None:
    """Refuse mice whose movies cannot be shown beside each other, before any run is started.

    Raises
    ------
    SessionError
        Their screens are of other pixels or colours.
    """
    first = mice[0].open_session()
    for mouse in mice[1:]:
        session = mouse.open_session()
        if session.screen.size_px != first.screen.size_px or session.screen.colours != first.screen.colours:
            raise SessionError(
                f"{mouse.session}: expected movies of {first.screen.in_words}, as those of {mice[0].name}, found "
                f"{session.screen.in_words}; a study compares mice of one screen: start one for the mice of each "
                "screen, with an --out of its own"
            )


def held_out(session: Session) -> tuple[int, ...]:
    """Clips that encoders have not seen: the paper's own, fold 0, or a simulated mouse's test tier."""
    positions = PUBLISHED_CLIPS.get(session.name.partition("-Video")[0])
    if positions is not None:
        fold = session.trials_in_fold(HELD_OUT_FOLD)
        return tuple(fold[position] for position in positions if position < len(fold))
    labelled = [trial for trial in session.trials_in_tier(SAMPLE_TEST_TIER) if trial in session.labelled]
    return tuple(labelled or session.trials_in_fold(HELD_OUT_FOLD))


def sample_mouse() -> Mouse:
    """The simulated mouse that comes with the package."""
    sample = whole_sample()
    return Mouse(sample.session, sample.encoders, sample.mask, sample.session.name)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("control characters")
    return text


def _path(text: str) -> str:
    if "\0" in text:
        raise ValueError("a null character")
    text.encode("utf-8")
    return text


PathText = Annotated[str, Field(min_length=1, max_length=LONGEST_PATH), AfterValidator(_path)]
Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME), AfterValidator(_printable)]
Index = Annotated[int, Field(ge=0, lt=10**LONGEST_INDEX)]


class _MouseEntry(BaseModel):
    """One mouse of a list, as a file from outside says it."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    session: PathText
    encoders: Annotated[list[PathText], Field(min_length=1, max_length=MOST_ENCODERS)]
    mask: PathText
    name: Name | Index | None = None
    readout: Name | Index | None = None
    trials: Annotated[list[Index], Field(max_length=MOST_TRIALS)] = []


def read_mice(file: Path) -> tuple[Mouse, ...]:
    """Mice listed in a JSON file: a list of objects with session, encoders, mask and optionally name, readout, trials.

    Paths are relative to the file.

    Parameters
    ----------
    file
        The list.

    Returns
    -------
    tuple[Mouse, ...]
        In the order of the file.

    Raises
    ------
    ConfigError
        Not such a file.
    """
    listed = read_json(file, expected="a list of mice", error=ConfigError)
    if not isinstance(listed, list) or not listed or not all(isinstance(entry, dict) for entry in listed):
        raise ConfigError(f"{file}: expected a list of mice, each with session, encoders and mask")
    if len(listed) > MOST_MICE:
        raise ConfigError(f"{file}: expected a list of mice, at most {MOST_MICE}, found {len(listed)}")
    mice = tuple(_mouse(file, entry) for entry in listed)
    names = [mouse.name for mouse in mice]
    if len(set(names)) < len(names):
        raise ConfigError(f"{file}: expected a name of its own for every mouse, found {one_line(', '.join(names))}")
    return mice


def _mouse(file: Path, entry: dict[str, Any]) -> Mouse:
    unknown = set(entry) - set(MICE_FILE_FIELDS)
    missing = {"session", "encoders", "mask"} - set(entry)
    if unknown or missing:
        raise ConfigError(
            f"{file}: expected each mouse to have session, encoders and mask (and name, readout, trials), found "
            + (f"no {', '.join(sorted(missing))}" if missing else f"{one_line(', '.join(sorted(unknown)))} too")
        )
    try:
        told = _MouseEntry.model_validate(entry)
    except ValidationError as raised:
        raise ConfigError(f"{file}: {_misfit(raised, entry)}") from None
    folder = file.absolute().parent
    session = folder / told.session
    name = session.name if told.name is None else str(told.name)
    if not name.isprintable():
        raise ConfigError(f"{file}: expected a name for the mouse of {one_line(session)}, found none that can be shown")
    return Mouse(
        session=session,
        encoders=tuple(folder / path for path in told.encoders),
        mask=folder / told.mask,
        name=name,
        readout=None if told.readout is None else str(told.readout),
        trials=tuple(told.trials),
    )


def _misfit(raised: ValidationError, entry: dict[str, Any]) -> str:
    first = raised.errors(include_url=False, include_context=False, include_input=False)[0]
    name, whole = str(first["loc"][0]), len(first["loc"]) == 1
    if name in ("encoders", "trials") and whole:
        return "expected encoders and trials as lists, with at least one encoder"
    wanted = {"trials": "trials as whole numbers", "readout": "a readout as its index or name"}
    expected = wanted.get(name, f"{name} as text")
    try:
        found = one_line(json.dumps(entry[name]), LONGEST_NAME)
    except ValueError:
        # Python writes no whole number of more than 4,300 digits.
        found = "a number of thousands of digits"
    return f"expected {expected}, found {found} ({one_line(first['msg'], LONGEST_NAME)})"


def one_mouse(session: Path, encoders: Sequence[Path], mask: Path, readout: str | None = None) -> Mouse:
    """A mouse named by its files.

    Parameters
    ----------
    session
        Session folder.
    encoders
        Encoder files.
    mask
        Mask file.
    readout
        Name or index of the encoders' readout; None where the number of neurons chooses it.

    Returns
    -------
    Mouse
        Named after its session; paths are absolute.
    """
    absolute = session.absolute()
    files = tuple(path.absolute() for path in encoders)
    return Mouse(absolute, files, mask.absolute(), one_line(absolute.name), readout)
