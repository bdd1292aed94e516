"""The card of an encoder that is shared: what it is, how good, from which mouse, under which licence."""

from __future__ import annotations

from collections.abc import Sequence

from napari_vidrecon.encoders.stored_encoder import StoredEncoder
from napari_vidrecon.errors import ConfigError, one_line

CARD_FILE, WEIGHTS_FILE = "README.md", "encoder.safetensors"
LONGEST_VALUE = 300
MOST_MICE = 12


def model_card(stored: StoredEncoder, name: str, licence: str, terms: Sequence[str] = ()) -> str:
    """The card of an encoder, in Markdown with the header that the hub reads.

    Parameters
    ----------
    stored
        The encoder.
    name
        "owner/name" on the hub.
    licence
        How others may use the weights, e.g. "mit"; empty: as the encoder itself says.
    terms
        Of the recordings that it was trained on, a line each.

    Returns
    -------
    str
        Text of the file README.md.

    Raises
    ------
    ConfigError
        Nobody says how it may be used.
    """
    licence = (licence or str(stored.provenance.get("licence", ""))).strip()
    if not licence:
        raise ConfigError(
            f"--licence: expected how others may use {stored.path.name}, e.g. mit or cc-by-nc-nd-4.0, found nothing; "
            "the encoder itself does not say"
        )
    mice = [f"{neurons} neurons" + (f" ({each})" if each else "") for neurons, each in _readouts(stored)]
    facts = {
        "architecture": stored.architecture,
        "mice": "; ".join(mice),
        "movie": f"{stored.canvas['rows']} x {stored.canvas['columns']} pixels of the encoder's own, "
        f"{stored.frame_rate_hz:g} Hz, {stored.windows['size']} frames at once",
        "correlation of single trials, held out": stored.provenance.get("validation_correlation", "not measured"),
        "steps of the training": stored.provenance.get("steps_done", "not told"),
        "licence of the weights": licence,
        "cite": stored.provenance.get("citation", "the authors of this page, and napari-vidrecon"),
        **{f"terms of the recordings, {number}": text for number, text in enumerate(terms, 1)},
    }
    rows = "\n".join(f"| {what} | {_cell(value)} |" for what, value in facts.items())
    return f"""---
license: {_header(licence)}
library_name: napari-vidrecon
tags:
- neuroscience
- visual-cortex
- neural-encoding-model
---

# {_cell(name)}

A dynamic neural encoding model: it predicts the activity of neurons of the visual cortex from a movie and behaviour.
With napari-vidrecon the movie is reconstructed from activity (Bauer, Margrie & Clopath, doi 10.7554/eLife.105081).

| | |
|---|---|
{rows}

```
vidrecon download hf:{name}
vidrecon info vidrecon_data/encoders/{file_name(name)}
```
"""


def file_name(name: str, file: str = WEIGHTS_FILE) -> str:
    """What the weights of "owner/name" are called where they are downloaded."""
    return f"{name.replace('/', '--')}-{file}"


def _readouts(stored: StoredEncoder) -> list[tuple[int, str]]:
    found = list(zip(stored.neurons, (one_line(mouse, 60) for mouse in stored.mice), strict=True))
    return found[:MOST_MICE]


def _cell(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else one_line(str(value), LONGEST_VALUE)
    # What comes from a file is text of a table, neither markup nor a link.
    return "".join(f"\\{letter}" if letter in r"\|`*_[]<>#!" else letter for letter in text)


def _header(licence: str) -> str:
    """The hub knows licences by short names; of any other it is told that there is one."""
    plain = licence.replace("-", "").replace(".", "")
    return licence.lower() if plain.isascii() and plain.isalnum() else "other"
