"""`vidrecon simulate`: a simulated mouse, in the format of a recorded one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_vidrecon.cli import report
from napari_vidrecon.cli.inputs import readout_of, require_free
from napari_vidrecon.cli.options import Json, Mouse, Overwrite, parse_screen
from napari_vidrecon.cli.report import Progress, StopRequest
from napari_vidrecon.errors import ConfigError, StorageError, one_line

if TYPE_CHECKING:
    from napari_vidrecon.encoders.semi_real import SemiRealMouse
    from napari_vidrecon.sessions.session import Session


def simulate(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Session folder to write.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same mouse.")] = 0,
    neurons: Annotated[int, typer.Option(help="Size of the population.")] = 1000,
    trials: Annotated[int, typer.Option(help="Clips to train on (tier train).")] = 240,
    validation_trials: Annotated[int, typer.Option(help="Held-out clips of the tier oracle.")] = 12,
    test_trials: Annotated[int, typer.Option(help="Held-out clips of the tier live_test_main.")] = 10,
    frames: Annotated[int, typer.Option(help="Length of a clip, up to 324 at 30 Hz.")] = 300,
    dtype: Annotated[
        str, typer.Option(help="How videos are stored: uint8, or float32 as in public sessions.")
    ] = "uint8",
    small: Annotated[
        bool, typer.Option("--small", help="Half-precision responses, few statistics: for shipping.")
    ] = False,
    like: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="usual; public: brightness of the movies and statistics of the activity as in the public mice; "
            "sensorium2022: a semi-real mouse, neurons of a published encoder with simulated noise.",
        ),
    ] = "usual",
    encoder: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For sensorium2022: whose neurons, e.g. sensorium_sota_model.pth."),
    ] = None,
    mouse: Mouse = None,
    film: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="For sensorium2022: a film or a folder of them, instead of made movies."),
    ] = None,
    save_encoder: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For sensorium2022: the encoder of these neurons alone (.safetensors)."),
    ] = None,
    gain: Annotated[float, typer.Option(help="Events at an unchanged mean response: the lower, the noisier.")] = 0.33,
    field_radius: Annotated[
        float, typer.Option(metavar="PX", help="Receptive fields lie in a disc of this radius, in pixels of 36x64.")
    ] = 11.0,
    field_centre: Annotated[
        tuple[float, float], typer.Option(metavar="ROW COLUMN", help="Middle of that disc, in pixels of 36x64.")
    ] = (18.0, 30.0),
    screen: Annotated[str, typer.Option(metavar="ROWSxCOLUMNS", help="Pixels of the screen.")] = "36x64",
    colours: Annotated[
        str | None, typer.Option(metavar="NAME,NAME", help="Movies in colours, e.g. green,uv; default: grey.")
    ] = None,
    rate: Annotated[float, typer.Option(metavar="HZ", help="Frames a second.")] = 30.0,
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
    """Make a simulated mouse, or a semi-real one: a session folder.

    Movies, behaviour and neurons are functions of the seed; the neurons of a semi-real mouse are those of a published
    encoder.
    """
    from napari_vidrecon.encoders.semi_real import LIKENESS
    from napari_vidrecon.sessions.metadata import SIMULATION_FILE
    from napari_vidrecon.sessions.screen import USUAL_SCREEN
    from napari_vidrecon.sessions.session import open_session
    from napari_vidrecon.sessions.simulation.mouse import simulate_session, trial_tiers, write_mouse
    from napari_vidrecon.sessions.trial import FRAME_RATE_HZ
    from napari_vidrecon.sessions.writer import SESSION, require_replaceable, require_session_or_nothing

    if dtype not in ("uint8", "float32"):
        raise ConfigError(f"--dtype: expected uint8 or float32, found {dtype!r}")
    tiers = trial_tiers(train_trials=trials, validation_trials=validation_trials, test_trials=test_trials)
    shown_on = parse_screen(screen, colours=colours)
    if like == LIKENESS and (shown_on, rate) != (USUAL_SCREEN, FRAME_RATE_HZ):
        raise ConfigError(f"--screen and --rate: expected the usual ones for --like {LIKENESS}; leave them out")
    _require_model(like, encoder, {"--mouse": mouse, "--film": film, "--save-encoder": save_encoder})
    require_session_or_nothing(out)
    require_replaceable(out, overwrite, mark=SIMULATION_FILE, found="a simulated mouse")
    if save_encoder is not None:
        require_free(save_encoder, overwrite, "the encoder", ".safetensors")
    raw_files = _raw_places(out, raw, frames, rate, overwrite) if raw else {}
    semi_real = None if encoder is None else _semi_real(encoder, mouse, film, neurons, seed, frames, len(tiers))
    kept = f"stopped; nothing was written to {out}: a session appears whole or not at all"
    with Progress("simulating", len(tiers), "trials") as progress, StopRequest(kept=kept) as stop:

        def on_progress(done: int, total: int) -> None:
            progress.update(done)
            stop.check()

        how: dict[str, Any] = {"video_dtype": dtype, "small": small, "workers": workers, "on_progress": on_progress}
        if semi_real is not None:
            places, notes = semi_real.coordinates, semi_real.notes()
            write_mouse(out, semi_real.trial, tiers, frames=frames, coordinates=places, notes=notes, **how)
        else:
            simulate_session(
                out,
                seed=seed,
                neurons=neurons,
                train_trials=trials,
                validation_trials=validation_trials,
                test_trials=test_trials,
                frames=frames,
                gain=gain,
                field_radius_px=field_radius,
                field_centre_px=field_centre,
                screen=shown_on,
                frame_rate_hz=rate,
                like=like,  # type: ignore[arg-type]  # checked there
                **how,
            )
    report.tell_left(SESSION.belongings(out))
    if raw_files:
        _write_raw(open_session(out), raw_files)
    values = {"out": out, "simulated": True, "seed": seed, "neurons": neurons, "frames": frames}
    values |= {"train_trials": trials, "validation_trials": validation_trials, "test_trials": test_trials}
    values |= {f"raw_{kind}": place for kind, place in raw_files.items()}
    if (shown_on, rate) != (USUAL_SCREEN, FRAME_RATE_HZ):
        values |= {"screen": shown_on.in_words.replace(" pixels", ""), "rate_hz": rate}
    if like != "usual":
        values["like"] = like
    if semi_real is not None:
        values["semi_real"] = True
        if save_encoder is not None:
            semi_real.save_encoder(save_encoder, open_session(out).name)
            values["encoder"] = save_encoder
    kind = "simulated" if semi_real is None else "semi-real"
    told = report.in_words({name: value for name, value in values.items() if name != "out"})
    report.answer(json, values, f"{kind} mouse -> {out}", told)


def _require_model(like: str, encoder: Path | None, others: dict[str, object]) -> None:
    """Refuse a semi-real mouse without an encoder, and an encoder for another mouse.

    Raises
    ------
    ConfigError
        With what is to be given.
    """
    from napari_vidrecon.encoders.semi_real import LIKENESS
    from napari_vidrecon.sessions.simulation.mouse import LIKE

    if like not in (*LIKE, LIKENESS):
        raise ConfigError(f"--like: expected one of {', '.join((*LIKE, LIKENESS))}, found {one_line(like, 60)!r}")
    if like == LIKENESS and encoder is None:
        raise ConfigError(f"--like {LIKENESS}: expected --encoder FILE, found none; give a published encoder")
    for name, value in {"--encoder": encoder, **others}.items():
        if like != LIKENESS and value is not None:
            raise ConfigError(f"{name}: is for --like {LIKENESS}, found --like {like}")


def _semi_real(
    encoder: Path, mouse: str | None, film: Path | None, neurons: int, seed: int, frames: int, clips: int
) -> SemiRealMouse:
    from napari_vidrecon.encoders.semi_real import Films, SemiRealMouse
    from napari_vidrecon.sessions.simulation.mouse import require_sizes

    require_sizes(seed, neurons, frames)
    films = None if film is None else Films.read(film, frames, clips)
    return SemiRealMouse.of_file(encoder, neurons, seed, readout_of(mouse), films)


def _raw_places(out: Path, kinds: list[str], frames: int, rate: float, overwrite: bool) -> dict[str, Path]:
    """Where raw files of these kinds go; they take the place of earlier ones of a simulated mouse only."""
    from napari_vidrecon.sessions.simulation import raw_mouse
    from napari_vidrecon.storage import recover_folder

    places = {kind: raw_mouse.raw_place(out, kind) for kind in kinds}
    raw_mouse.require_whole_scans(frames, rate)
    for kind, place in places.items():
        raw_mouse.require_kind_of(kind)
        recover_folder(place)
        if os.path.lexists(place) and not (overwrite and raw_mouse.is_raw(place)):
            remedy = "move it away" if overwrite else "give --overwrite to replace raw files of a simulated mouse"
            raise StorageError(f"{place}: expected a free name for the raw files, found something there; {remedy}")
    return places


def _write_raw(session: Session, places: dict[str, Path]) -> None:
    from napari_vidrecon.sessions.simulation.raw_mouse import RawMouse, left_of_raw

    recorded = RawMouse.of(session)
    for kind, place in places.items():
        recorded.write(kind, place)
        if place.is_dir():
            report.tell_left(left_of_raw(place), str(place))
