"""The decoder that a window's runs start from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_vidrecon.reconstruction.decoder import Decoder
from napari_vidrecon.sessions.session import Session


@dataclass(frozen=True, eq=False)
class ChosenDecoder:
    """A decoder with its file; equal only to itself.

    Parameters
    ----------
    decoder
        What it is.
    path
        Where it lies.
    sha256
        Of the decoder; taken once, because settings are compared often.
    """

    decoder: Decoder
    path: Path
    sha256: str


def load_chosen(path: Path, session: Session) -> ChosenDecoder:
    """The decoder of a file, if it fits the session.

    Raises
    ------
    StorageError
        It cannot be read, or is no decoder.
    ConfigError
        It was fitted for another number of neurons.
    """
    decoder = Decoder.load(path)
    decoder.require_neurons(session.n_neurons, session.name, path.name)
    return ChosenDecoder(decoder, path.absolute(), decoder.sha256)
