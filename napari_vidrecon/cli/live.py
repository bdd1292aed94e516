"""`vidrecon live`: a picture for every frame of activity that comes in, written as a run."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_vidrecon.cli import inputs, report
from napari_vidrecon.cli.options import Device, ForceMouse, Json, Mouse, Overwrite, SessionFolder
from napari_vidrecon.cli.report import StopRequest, tell
from napari_vidrecon.errors import ConfigError, StorageError, number_of, one_line

if TYPE_CHECKING:
    from napari_vidrecon.reconstruction.live import LivePicture, LiveSession
    from napari_vidrecon.sessions.activity_stream import ActivitySource
    from napari_vidrecon.sessions.session import Session

REPLAY = "replay"
Look = Callable[["LivePicture | None", bool], bool]
SECONDS_BETWEEN_LINES, SECONDS_BETWEEN_LOOKS = 5.0, 0.5


def live(
    session: SessionFolder,
    decoder: Annotated[
        Path, typer.Option(metavar="FILE", help="Shows the pictures; `vidrecon decoder --causal` fits one.")
    ],
    encoder: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Refines them a few seconds later, with the preset fast; may be repeated."),
    ] = None,
    mask: Annotated[
        str, typer.Option(metavar="FILE", help='Pixels that are refined (.npy); "none": the whole screen.')
    ] = "none",
    source: Annotated[
        str, typer.Option(metavar="WHERE", help="replay, or tcp://HOST:PORT of a ZeroMQ sender (docs/live.md).")
    ] = REPLAY,
    trial: Annotated[
        list[int] | None,
        typer.Option(metavar="N", help="Trial to replay; may be repeated; default: all with responses."),
    ] = None,
    speed: Annotated[float, typer.Option(metavar="TIMES", help="Of a replay; 1: as it was recorded.")] = 1.0,
    seconds: Annotated[
        float | None,
        typer.Option("--for", metavar="SECONDS", min=0.0, help="End after so long; default: with the source."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="RUN.zarr", help="Run that grows; default: a new one in runs/. One of before goes on."),
    ] = None,
    mouse: Mouse = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    force_mouse: ForceMouse = False,
    json: Json = False,
) -> None:
    """Reconstruct while activity comes in.

    A decoder shows a picture for every frame, and with --encoder the optimisation refines those of the last seconds.
    What was seen is a run (.zarr) at every moment, however this command ends. Ctrl-C ends it in order.
    """
    from napari_vidrecon.reconstruction.live_run import LiveInputs, begin_live, drive_live
    from napari_vidrecon.reconstruction.results import SUFFIX
    from napari_vidrecon.reconstruction.run_folder import at_work_on
    from napari_vidrecon.sessions.session import open_session
    from napari_vidrecon.storage import fitting_name

    if out is not None and out.suffix != SUFFIX:
        raise StorageError(f"{out}: expected a run's name ending in {SUFFIX}, found '{out.suffix}'")
    recording = open_session(session)
    path = out or Path("runs") / fitting_name(recording.name, f"_live_{time.strftime('%Y%m%d_%H%M%S')}{SUFFIX}")
    shows = inputs.open_decoder(decoder, recording, force_mouse=force_mouse)
    # Torch takes seconds to load, and shows no picture.
    encoders = inputs.open_encoders(encoder, recording, mouse, device, force_mouse) if encoder else []
    described = LiveInputs(recording, shows, encoders, inputs.open_mask(mask, recording), source=source)
    told_delay(shows.delay_frames / recording.frame_rate_hz)
    stream = open_source(source, recording, trial or [], speed)
    try:
        with at_work_on(path), StopRequest("what came") as stop:
            going_on = begin_live(described, path, replace=overwrite)
            before = going_on.frames
            drive_live(going_on, stream, teller(going_on, stream, stop, seconds))
            if stop.asked:
                raise stop.stopped(_ended(going_on, path))
    finally:
        stream.close()
    if stream.refused:
        what = f"{number_of(stream.refused, 'message')} refused, the last because: {stream.fault}"
        if not going_on.frames:
            raise ConfigError(f"{stream.name}: expected frames of this mouse, found none; {what}")
        tell(f"take care: {what}")
    elif source != REPLAY and going_on.frames == before:
        raise ConfigError(
            f"{stream.name}: expected frames of this mouse, found none; is its sender running, and at this address?"
        )
    told = going_on.told()
    values = {"run": path if going_on.frames else None, "simulated": recording.simulated, **told}
    if json:
        report.print_json(values)
    else:
        report.say(f"{report.mouse_name(recording)}: {line(told)} -> {path if going_on.frames else 'nothing written'}")


def _ended(live: LiveSession, path: Path) -> str:
    if not live.frames:
        return "stopped before the first frame came; nothing was written"
    return f"stopped after {line(live.told())}; what was seen is kept in {path}"


def told_delay(seconds: float) -> None:
    """Say on stderr that a decoder is not causal, where it is not."""
    if seconds > 0:
        tell(
            f"this decoder waits for {seconds:.2f} s of later activity before it shows a picture; "
            "fit one that does not with: vidrecon decoder --causal"
        )


def open_source(source: str, session: Session, trials: list[int], speed: float) -> ActivitySource:
    """The source that a person names.

    Parameters
    ----------
    source
        "replay", or an address.
    session
        The mouse.
    trials
        To replay; empty: all with responses.
    speed
        Of a replay.

    Returns
    -------
    ActivitySource
        Open.

    Raises
    ------
    ConfigError
        No such source, or something that does not go with it.
    SessionError
        A trial cannot be replayed.
    """
    from napari_vidrecon.sessions.activity_stream import Replay, ZeroMQStream

    if source == REPLAY:
        chosen = inputs.choose_trials(session, trials, None) if trials else list(session.labelled)
        return Replay(session, chosen, speed)
    if "://" not in source:
        raise ConfigError(
            f"--source {one_line(source, 80)}: expected replay or an address such as tcp://127.0.0.1:5555"
        )
    if trials or speed != 1.0:
        raise ConfigError("--trial, --speed: expected only with --source replay; leave them out")
    return ZeroMQStream(source, session.n_neurons, session.frame_rate_hz)


def teller(live: LiveSession, source: ActivitySource, stop: StopRequest, seconds: float | None) -> Look:
    """Tells how a live session goes, on stderr, and when to stop.

    Parameters
    ----------
    live
        The session.
    source
        Where its frames come from.
    stop
        Asked by a person.
    seconds
        At most so long; None: without end.

    Returns
    -------
    Look
        For `drive_live`.
    """
    at_terminal = sys.stderr is not None and sys.stderr.isatty()
    doubt = ""
    began = told = last = time.monotonic()
    every = SECONDS_BETWEEN_LOOKS if at_terminal else SECONDS_BETWEEN_LINES

    def look(_picture: LivePicture | None, came: bool) -> bool:
        nonlocal told, last, doubt
        if source.doubt not in ("", doubt):
            doubt = source.doubt
            tell(f"take care: {doubt}")
        now = time.monotonic()
        last = now if came else last
        goes_on = not stop.asked and (seconds is None or now - began < seconds)
        if now - told >= every and goes_on:
            told = now
            waiting = f", no frame for {now - last:.0f} s" if now - last > 1 else ""
            fault = f" ({source.fault})" if source.refused and waiting else ""
            text = f"live: {line(live.told())}{waiting}{fault}"
            if at_terminal:
                print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
            else:
                tell(text)
        if at_terminal and not goes_on:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        return goes_on

    return look


def line(told: dict[str, Any]) -> str:
    """Counts and latencies of a live session for people."""
    parts = [f"{told['frames']:,} frames"]
    parts += [f"{told[name]:,} {name}" for name in ("late", "lost", "twice", "refused") if told[name]]
    parts += [f"{told['refined']:,} refined"] if told["refined"] else []
    middle, slowest = (told.get(f"latency_{name}_s", math.nan) for name in ("p50", "p99"))
    if not math.isnan(middle):
        parts.append(f"picture after {1000 * middle:.1f} ms (99%: {1000 * slowest:.1f} ms)")
    if told.get("fault"):
        parts.append(f"not refined any more ({told['fault']})")
    return ", ".join(parts)
