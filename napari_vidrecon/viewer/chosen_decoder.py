"""The decoder that a window's runs start from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.decoder import DECODER_SUFFIX, FORMAT, Decoder
from napari_vidrecon.sessions.session import Session
from napari_vidrecon.storage import stored_format


@dataclass(frozen=True, eq=False)
class ChosenDecoder:
    """A decoder with its file; equal only to itself.

    Parameters
    ----------
    decoder : what it is.
    path : where it lies.
    sha256 : of the decoder; taken once, because settings are compared often.
    """

    decoder: Decoder
    path: Path
    sha256: str


def load_chosen(path: Path, session: Session) -> ChosenDecoder:
    """The decoder of a file, if it fits the session.

    Raises
    ------
    StorageError : it cannot be read, or is no decoder.
    ConfigError : it was fitted for another number of neurons.
    """
    decoder = Decoder.load(path)
    if decoder.neurons != session.n_neurons:
        raise ConfigError(
            f"{path.name}: expected a decoder for the {session.n_neurons} neurons of {session.name}, "
            f"found one for {decoder.neurons}; fit one for this session with “vidrecon decoder”"
        )
    return ChosenDecoder(decoder, path.absolute(), decoder.sha256)


def is_decoder(path: Path) -> bool:
    """Whether a file says that it is a decoder; it may be damaged nevertheless."""
    return path.suffix == DECODER_SUFFIX and stored_format(path) == FORMAT
