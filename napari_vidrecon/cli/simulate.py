"""`vidrecon simulate`: a simulated mouse, in the format of a recorded one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from napari_vidrecon.cli.options import Json, Overwrite


def simulate(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Session folder to write.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same mouse.")] = 0,
    neurons: Annotated[int, typer.Option(help="Size of the population.")] = 1000,
    trials: Annotated[int, typer.Option(help="Clips to train on (tier train).")] = 240,
    validation_trials: Annotated[int, typer.Option(help="Held-out clips of the tier oracle.")] = 12,
    test_trials: Annotated[int, typer.Option(help="Held-out clips of the tier live_test_main.")] = 10,
    frames: Annotated[int, typer.Option(help="Length of a clip at 30 Hz, up to 324.")] = 300,
    dtype: Annotated[
        str, typer.Option(help="How videos are stored: uint8, or float32 as in public sessions.")
    ] = "uint8",
    small: Annotated[
        bool, typer.Option("--small", help="Half-precision responses, few statistics: for shipping.")
    ] = False,
    gain: Annotated[float, typer.Option(help="Events at an unchanged mean response: the lower, the noisier.")] = 0.33,
    field_radius: Annotated[
        float, typer.Option(metavar="PX", help="Receptive fields lie in a disc of this radius.")
    ] = 11.0,
    field_centre: Annotated[
        tuple[float, float], typer.Option(metavar="ROW COLUMN", help="Middle of that disc, px.")
    ] = (18.0, 30.0),
    workers: Annotated[int, typer.Option(min=1, help="Processes; the files do not depend on it.")] = 1,
    raw: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help="Raw files of the same mouse as well, to import: arrays, suite2p or nwb, beside FOLDER; "
            "may be repeated.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Make a simulated mouse: a session folder.

    Movies, behaviour and neurons are functions of the seed.
    """
    from napari_vidrecon.cli import report
    from napari_vidrecon.cli.progress import Progress, StopRequest
    from napari_vidrecon.errors import ConfigError
    from napari_vidrecon.sessions.session import open_session
    from napari_vidrecon.sessions.simulation.mouse import simulate_session
    from napari_vidrecon.sessions.simulation.raw_mouse import RawMouse, left_of_raw, raw_place, require_whole_scans
    from napari_vidrecon.sessions.writer import SESSION

    if dtype not in ("uint8", "float32"):
        raise ConfigError(f"--dtype: expected uint8 or float32, found {dtype!r}")
    _require_replaceable(out, overwrite)
    raw_files = {kind: raw_place(out, kind) for kind in raw or []}
    if raw_files:
        require_whole_scans(frames)
    for place in raw_files.values():
        _require_raw_replaceable(place, overwrite)
    with Progress("simulating", trials + validation_trials + test_trials, "trials") as progress, StopRequest() as stop:

        def on_progress(done: int, total: int) -> None:
            progress.update(done)
            stop.check()

        try:
            simulate_session(
                out,
                seed=seed,
                neurons=neurons,
                train_trials=trials,
                validation_trials=validation_trials,
                test_trials=test_trials,
                frames=frames,
                video_dtype=dtype,  # type: ignore[arg-type]  # checked above
                small=small,
                gain=gain,
                field_radius_px=field_radius,
                field_centre_px=field_centre,
                workers=workers,
                on_progress=on_progress,
            )
        except KeyboardInterrupt:
            raise stop.stopped(
                f"stopped; nothing was written to {out}: a session appears whole or not at all"
            ) from None
    report.tell_left(SESSION.belongings(out))
    if raw_files:
        mouse = RawMouse.of(open_session(out))
        for kind, place in raw_files.items():
            mouse.write(kind, place)
            if place.is_dir():
                report.tell_left(left_of_raw(place), str(place))
    values = {"out": out, "simulated": True, "seed": seed, "neurons": neurons, "frames": frames}
    values |= {"train_trials": trials, "validation_trials": validation_trials, "test_trials": test_trials}
    values |= {f"raw_{kind}": place for kind, place in raw_files.items()}
    shown = {name: value for name, value in values.items() if name != "out"}
    report.answer(json, values, f"simulated mouse -> {out}", report.in_words(shown))


def _require_replaceable(out: Path, overwrite: bool) -> None:
    """Only a simulated session may be replaced; clears up there after processes that were killed.

    Raises
    ------
    StorageError
        Something else is there, or it is not to be replaced.
    """
    from napari_vidrecon.errors import StorageError
    from napari_vidrecon.sessions.metadata import SIMULATION_FILE
    from napari_vidrecon.sessions.writer import require_session_or_nothing
    from napari_vidrecon.storage import recover_folder

    recover_folder(out)
    require_session_or_nothing(out)
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / SIMULATION_FILE).is_file():
        raise StorageError(f"{out}: expected a free name for the session, found other files; choose another name")
    if not overwrite:
        raise StorageError(
            f"{out}: expected a free name for the session, found a simulated mouse; "
            "give --overwrite to replace it, or another name"
        )


def _require_raw_replaceable(place: Path, overwrite: bool) -> None:
    """Raw files take the place of earlier ones of a simulated mouse only.

    Raises
    ------
    StorageError
        Something else is there, or it is not to be replaced.
    """
    from napari_vidrecon.errors import StorageError
    from napari_vidrecon.sessions.simulation.raw_mouse import is_raw
    from napari_vidrecon.storage import recover_folder

    recover_folder(place)
    if not os.path.lexists(place) or (overwrite and is_raw(place)):
        return
    remedy = "move it away" if overwrite else "give --overwrite to replace raw files of a simulated mouse"
    raise StorageError(f"{place}: expected a free name for the raw files, found something there; {remedy}")
