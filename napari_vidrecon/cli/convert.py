"""`vidrecon convert`: reference checkpoints and published results to safe formats."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from napari_vidrecon.cli.options import Json, Overwrite


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Reference checkpoint (.pth, .pt, .ckpt), or published result (reconstruction_summary_*.npy).",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="PATH", help="FILE.safetensors for a checkpoint, RUN.zarr for a result.")
    ],
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Turn published files into safe formats.

    A reference checkpoint becomes a safetensors file, a published reconstruction a run folder.
    Nothing in the source is ever run: files that hold more than data are refused.
    """
    from napari_vidrecon.cli import report
    from napari_vidrecon.cli.info import described
    from napari_vidrecon.errors import StorageError

    wanted = {**dict.fromkeys((".pth", ".pt", ".ckpt"), ".safetensors"), ".npy": ".zarr"}.get(source.suffix)
    # Not Path.exists, which raises for a name longer than the system takes.
    if not os.path.exists(source):  # noqa: PTH110
        raise StorageError(f"{source}: expected a checkpoint or a published result, found nothing there")
    if wanted is None:
        raise StorageError(
            f"{source}: expected a .pth, .pt, .ckpt or .npy file to convert, found a file ending in '{source.suffix}'"
        )
    if out.suffix != wanted:
        raise StorageError(f"{out}: expected a name ending in {wanted} for what {source.name} becomes")
    _require_replaceable(out, overwrite)
    if wanted == ".zarr":
        from napari_vidrecon.reconstruction.published import read_published

        read_published(source).save(out)
    else:
        from napari_vidrecon.encoders.checkpoints import convert_checkpoint

        convert_checkpoint(source, out)
    title, values = described(out)
    rows = [("is", title), ("see", f"vidrecon info {out}")]
    report.answer(json, {"out": out, **values}, f"{source.name} -> {out}", rows)


def _require_replaceable(out: Path, overwrite: bool) -> None:
    from napari_vidrecon.errors import StorageError, one_line
    from napari_vidrecon.storage import recover_folder

    try:
        str(out).encode("utf-8")
    except UnicodeEncodeError:
        # What it becomes is read again at once, by libraries that take text only.
        raise StorageError(f"{one_line(out)}: expected a name that is text, found another; choose one") from None
    recover_folder(out)
    if not out.exists():
        return
    is_run = out.is_dir() and (out / "zarr.json").is_file()
    if out.is_dir() and not is_run:
        raise StorageError(f"{out}: expected a free name, found a folder that is no run; choose another name")
    if not overwrite:
        raise StorageError(f"{out}: expected a free name, found it taken; give --overwrite to replace it")
