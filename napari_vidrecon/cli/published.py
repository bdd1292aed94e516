"""`vidrecon download`, `convert` and `push`: what is public, safe formats for it, and one's own encoders shared."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_vidrecon.cli import inputs, report
from napari_vidrecon.cli.info import described
from napari_vidrecon.cli.options import Json, Overwrite
from napari_vidrecon.cli.report import Progress, StopRequest, tell
from napari_vidrecon.errors import ConfigError, StorageError, one_line

if TYPE_CHECKING:
    from napari_vidrecon.sessions.downloading.catalogue import PublicFile
    from napari_vidrecon.sessions.downloading.download import Downloaded, Licence


LONGEST_LICENCE_LINE = 200
LICENCE_LINES = 12
DOWNLOADS = "vidrecon_data"


def download(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME...",
            help="What to fetch; see --list, or sample, or hf:owner/name, an encoder on the Hugging Face hub. "
            "weights, masks, stimuli: all of them.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help=f"Folder of downloads; default: {DOWNLOADS}; of the sample, where it is looked for."
        ),
    ] = None,
    list_names: Annotated[bool, typer.Option("--list", help="Only list what there is.")] = False,
    mirror: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="A server with a copy, in place of the public one; several in turn."),
    ] = None,
    url: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Address of the one file that is named; several are tried in turn."),
    ] = None,
    json: Json = False,
) -> None:
    """Fetch public mice, weights, masks and stimuli.

    What is interrupted goes on with the same command. Files are checked against their checksum; where none is
    known, that of the first download is recorded and holds from then on.
    """
    from napari_vidrecon.sessions.downloading.answers import check_address
    from napari_vidrecon.sessions.downloading.catalogue import HOST, SAMPLE_NAME, catalogue, chosen_files, sample_files
    from napari_vidrecon.sessions.sample import fetched_sample

    hosts = [host.rstrip("/") for host in mirror or [HOST]]
    for option, address in [*(("--mirror", host) for host in hosts), *(("--url", address) for address in url or [])]:
        check_address(address, ConfigError)
        if option == "--mirror" and ("?" in address or "#" in address):
            raise ConfigError(
                f"--mirror {address}: expected the address of a server or a folder on it, found a query in it"
            )
    if list_names:
        _list(list(catalogue(hosts[0]).values()), json)
        return
    if not names:
        raise ConfigError("download: expected names of what to fetch, found none; see --list")
    public = [name for name in names if name != SAMPLE_NAME]
    copies = [chosen_files(public, host) for host in hosts]
    if SAMPLE_NAME in names:
        places: list[str | None] = [*mirror] if mirror else [None]
        copies = [files + sample_files(place) for files, place in zip(copies, places, strict=True)]
    if url and len(copies[0]) != 1:
        raise ConfigError(f"--url: expected the name of one file with it, found {len(copies[0])} files")
    ways = [[replace(copies[0][0], address=address) for address in url]] if url else [*zip(*copies, strict=True)]
    fetching, done, files = _Fetching(), [], [way[0] for way in ways]
    for way in ways:
        folder = out or Path(DOWNLOADS)
        if way[0].kind == "sample":
            folder = fetched_sample() if out is None else out / fetched_sample().name
        done.append(fetching(way, folder))
    parts = [each for each, file in zip(done, files, strict=True) if file.kind == "sample"]
    rows = [(each.name, _told(each)) for each in done if each not in parts]
    if parts:
        rows.append((SAMPLE_NAME, f"{len(parts)} files, each with its checksum, below {folder}"))
    report.answer(json, {"downloads": [vars(each) for each in done]}, "downloads", rows)


class _Fetching:
    """Fetches one thing after another, each from the first address that gives it; a licence is shown once."""

    def __init__(self) -> None:
        self._licences: dict[tuple[str, str], Licence] = {}

    def __call__(self, way: Sequence[PublicFile], folder: Path) -> Downloaded:
        """The thing, from the first of its addresses that gives it; the last one's fault goes on."""
        for file in way[:-1]:
            try:
                return self._from(file, folder)
            except StorageError as error:
                tell(f"{error}; trying the next address")
        return self._from(way[-1], folder)

    def _from(self, file: PublicFile, folder: Path) -> Downloaded:
        from napari_vidrecon.sessions.downloading.catalogue import SAMPLE_LICENCE
        from napari_vidrecon.sessions.downloading.download import Licence, read_licence

        if (folder / file.goes_to).exists():
            return _fetch(file, folder, Licence("", ""))
        key = (file.host, file.repository)
        if key not in self._licences:
            self._licences[key] = read_licence(file) if file.repository else Licence("", SAMPLE_LICENCE)
            if file.repository:
                _show(file, self._licences[key])
        return _fetch(file, folder, self._licences[key])


def _fetch(file: PublicFile, out: Path, licence: Licence) -> Downloaded:
    from napari_vidrecon.encoders.checkpoints import read_encoder_file
    from napari_vidrecon.sessions.downloading.download import download as fetch

    kept = f"stopped; what came of {file.name} is kept in {out}, and the same command goes on from there"
    openers: dict[Any, Any] = {"weights": read_encoder_file, "mask": _open_public_mask}
    with Progress(file.name, 0, "MB") as progress, StopRequest("this block", kept) as stop:

        def on_progress(what: str, done: int, total: int) -> None:
            scale = 1_000_000 if what == "fetching" else 1
            progress.unit = "MB" if what == "fetching" else "files"
            progress.total = max(total, done) // scale
            progress.update(done // scale, what)
            stop.check()

        return fetch(file, out, licence, on_progress, openers=openers)


def _open_public_mask(path: Path) -> None:
    """Any screen may have a mask, but the public ones are of the public mice's."""
    from napari_vidrecon.reconstruction.masks import AlphaMask
    from napari_vidrecon.sessions.screen import USUAL_SCREEN

    AlphaMask.load(path).for_screen(USUAL_SCREEN.rows, USUAL_SCREEN.cols)


def _list(files: list[PublicFile], json: bool) -> None:
    from napari_vidrecon.sessions.downloading.catalogue import LICENCE_NOTE, MICE_LICENCE, MICE_TERMS

    if json:
        fields = ("name", "kind", "url", "goes_to", "about", "citation", "terms", "sha256")
        values: list[dict[str, Any]] = [{name: getattr(file, name) for name in fields} for file in files]
        report.print_json({"files": values, "licence": LICENCE_NOTE})
        return
    report.print_table("public files", ((file.name, f"{file.about}; {file.citation}") for file in files))
    print(f"Of all of them: {LICENCE_NOTE}.")
    print(f"The mice: {MICE_LICENCE}, {MICE_TERMS}.")
    print("sample: all clips and encoders of the simulated mouse, a part of this program; needs --mirror")


def _show(file: PublicFile, licence: Licence) -> None:
    """Say how the data may be used, before they are fetched."""
    tell(f"licence: {licence.url or f'{file.host}/{file.repository}: no licence found'}")
    lines = licence.text.splitlines()
    for each in filter(str.strip, lines[:LICENCE_LINES]):
        tell(f"| {each}", LONGEST_LICENCE_LINE)
    if len(lines) > LICENCE_LINES:
        tell(f"| ... {len(lines) - LICENCE_LINES} more lines at {licence.url}")
    if file.terms:
        tell(f"terms: {file.terms}")
    tell(f"cite: {file.citation}")


def _told(each: Downloaded) -> str:
    if each.was_there:
        return f"was there: {each.path}"
    return f"{each.path} (sha256 {each.sha256[:12]}..., {'as known' if each.checked else 'recorded'})"


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


def push(
    encoder: Annotated[Path, typer.Argument(metavar="FILE.safetensors", help="Encoder to share.")],
    to: Annotated[str, typer.Argument(metavar="hf:OWNER/NAME", help="Where on the Hugging Face hub.")],
    licence: Annotated[str, typer.Option(metavar="NAME", help="How others may use it, e.g. mit.")] = "",
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder to make; default: OWNER--NAME, here.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only make the folder; nothing leaves this machine.")
    ] = False,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Share an encoder on the Hugging Face hub, with a card.

    A folder is made that holds the encoder and a card: mice, scores, licence, and the terms of public recordings. Then
    it is uploaded, by the package huggingface_hub and with the token that it knows.
    """
    from napari_vidrecon.encoders.checkpoints import file_hash, read_encoder_file
    from napari_vidrecon.encoders.identity import CARD_FILE, WEIGHTS_FILE, model_card
    from napari_vidrecon.sessions.downloading.catalogue import HUB_PREFIX, hub_file, terms_of
    from napari_vidrecon.storage import replacing_files

    name = hub_file(to).repository
    if to != f"{HUB_PREFIX}{name}":
        raise StorageError(f"{to}: expected hf:owner/name alone, without a revision or a file")
    if encoder.suffix != ".safetensors":
        raise StorageError(f"{encoder}: expected a .safetensors file, found another; vidrecon convert makes one")
    stored = read_encoder_file(encoder)
    terms = [
        f"{told['licence']}, {told['terms']}; cite {told['citation']}"
        for told in map(terms_of, stored.learned_from)
        if told
    ]
    card = model_card(stored, name, licence, list(dict.fromkeys(terms)))
    folder = out or Path(name.replace("/", "--"))
    files = folder / WEIGHTS_FILE, folder / CARD_FILE
    # All of the folder is uploaded: nobody's other files may go along.
    if folder.exists() and (
        not folder.is_dir() or {each.name for each in folder.iterdir()} - {WEIGHTS_FILE, CARD_FILE}
    ):
        raise StorageError(f"{folder}: expected a folder for what is shared alone, found other things; choose another")
    is_ready = all(file.is_file() for file in files) and (
        (file_hash(files[0]), files[1].read_bytes()) == (file_hash(encoder), card.encode())
    )
    if not is_ready:
        for file in files:
            inputs.require_free(file, overwrite, "what is shared")
        folder.mkdir(parents=True, exist_ok=True)
        with replacing_files(*files) as (weights, text):
            shutil.copyfile(encoder, weights)
            text.write_bytes(card.encode())
    rows = [("card", files[1]), ("sha256", file_hash(files[0]))]
    if dry_run:
        rows.append(("next", "read the card, then the same command without --dry-run"))
    else:
        rows.append(("is at", _upload(folder, name)))
    report.answer(json, {"folder": folder, **dict(rows)}, f"{encoder.name} -> {to}", rows)


def _upload(folder: Path, name: str) -> str:
    try:
        hub: Any = importlib.import_module("huggingface_hub")
    except ImportError:
        raise StorageError(
            f"{folder} is ready, but to upload it huggingface_hub is needed, which is not installed: "
            f"pip install huggingface_hub, then hf upload {name} {folder}"
        ) from None
    try:
        hub.HfApi().create_repo(name, exist_ok=True)
        return str(hub.HfApi().upload_folder(repo_id=name, folder_path=str(folder)))
    except Exception as error:  # noqa: BLE001  # whatever a package, and the one that it reaches the network by, raises
        raise StorageError(
            f"{folder} is ready, but the hub did not take it ({one_line(error, 300)}); check name and token (hf auth "
            f"login), then hf upload {name} {folder}"
        ) from None
