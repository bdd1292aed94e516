"""`vidrecon validate`: what is wrong with a session, encoder, decoder, mask or run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_vidrecon.cli.options import Json
from napari_vidrecon.errors import one_line

FAULTS_FOUND = 1
LONGEST_LINE = 2000


def validate(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="Session folder, encoder, decoder, mask (.npy) or run (.zarr).")
    ],
    quick: Annotated[
        bool, typer.Option("--quick", help="Look at headers and behaviour only, not at every number.")
    ] = False,
    json: Json = False,
) -> None:
    """Say what is wrong with it, item by item.

    The exit code is 1 if anything is.
    """
    from napari_vidrecon.cli import report

    faults = faults_of(path, quick=quick)
    if json:
        report.print_json({"path": path, "sound": not faults, "faults": faults})
    elif faults:
        for fault in faults:
            print(_line(fault))
        print(f"{len(faults)} {'fault' if len(faults) == 1 else 'faults'} in {path}")
    else:
        print(f"{path}: no fault found")
    if faults:
        raise typer.Exit(FAULTS_FOUND)


def faults_of(path: Path, *, quick: bool = False) -> list[dict[str, Any]]:
    """Every fault as plain values: file, expected, found, remedy.

    Returns
    -------
    list[dict[str, Any]]
        Empty where nothing is wrong.

    Raises
    ------
    StorageError
        There is nothing at the path.
    """
    from napari_vidrecon.cli.info import ENCODER_SUFFIXES, described
    from napari_vidrecon.cli.report import Progress
    from napari_vidrecon.errors import StorageError, VidreconError
    from napari_vidrecon.reconstruction.decoder import is_decoder
    from napari_vidrecon.sessions.validation import validate_session

    # Not Path.exists, which raises for a name longer than the system takes.
    if not os.path.exists(path):  # noqa: PTH110
        raise StorageError(
            f"{path}: expected a session, encoder, decoder, mask or run, found nothing there; check the path"
        )
    is_run = path.suffix == ".zarr" or (path / "zarr.json").exists()
    if path.is_dir() and not is_run:
        with Progress("checking", 0, "trials") as progress:

            def on_progress(done: int, total: int) -> None:
                progress.total = total
                progress.update(done)

            found = validate_session(path, full=not quick, on_progress=on_progress)
        return [
            {"file": fault.file, "expected": fault.expected, "found": fault.found, "remedy": fault.remedy}
            for fault in found
        ]
    try:
        described(path)
        if path.suffix in ENCODER_SUFFIXES and not is_decoder(path) and not quick:
            _bind_every_readout(path)
    except VidreconError as error:
        message = str(error).removeprefix(f"{path}: ")
        expected, _, rest = message.removeprefix("expected ").partition(", found ")
        return [{"file": path, "expected": expected, "found": rest, "remedy": ""}]
    return []


def _bind_every_readout(path: Path) -> None:
    from napari_vidrecon.encoders.checkpoints import load_encoder, read_encoder_file

    for index in range(len(read_encoder_file(path).neurons)):
        load_encoder(path, index, "cpu")


def _line(fault: dict[str, Any]) -> str:
    line = f"{fault['file']}: {fault['expected']}"
    if fault["found"]:
        line = f"{fault['file']}: expected {fault['expected']}, found {fault['found']}"
    # Names of files come from elsewhere: a terminal must only show them.
    return one_line(f"{line}; {fault['remedy']}" if fault["found"] and fault["remedy"] else line, LONGEST_LINE)
