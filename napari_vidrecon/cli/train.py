"""`vidrecon train`: an encoder for one's own mice."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated

import typer

from napari_vidrecon.cli.options import Json, Overwrite


def train(
    session: Annotated[list[Path], typer.Argument(metavar="SESSION...", help="Session folders; one readout each.")],
    out: Annotated[Path, typer.Option(metavar="FILE.safetensors", help="Encoder to write.")],
    recipe: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A setting of the training; may be repeated."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Instances of one ensemble differ in their seed.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    save_every: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.0, help="At most this much work is lost if it is killed.")
    ] = 30.0,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Train an encoder for one or more mice.

    It learns from the train tier and is scored on the oracle tier.
    A training that was stopped or killed goes on where it was and ends with the same weights.
    """
    from napari_vidrecon.cli import inputs, report
    from napari_vidrecon.cli.progress import Progress, duration_text
    from napari_vidrecon.cli.settings import checked, parse_settings
    from napari_vidrecon.cli.stopping import StopRequest
    from napari_vidrecon.encoders.training.recipe import TrainingRecipe
    from napari_vidrecon.encoders.training.training_run import TrainingProgress, train_encoder
    from napari_vidrecon.errors import EncoderError
    from napari_vidrecon.sessions.session import open_session

    if out.suffix != ".safetensors":
        raise EncoderError(f"{out}: expected a name ending in .safetensors, found '{out.suffix}'")
    inputs.require_free(out, overwrite, "the encoder")
    fields = parse_settings("--recipe", recipe or [], TrainingRecipe)
    fields |= {name: value for name, value in (("seed", seed), ("steps", steps)) if value is not None}
    settings = checked(TrainingRecipe, fields)
    recordings = [open_session(folder) for folder in session]
    checkpoint = out.with_name(out.stem + ".training.safetensors")
    if checkpoint.exists():
        print(f"going on from {checkpoint}", file=sys.stderr)
    last = [0, 0.0]
    with StopRequest() as stop:
        progress: Progress | None = None

        def on_progress(now: TrainingProgress) -> None:
            nonlocal progress
            if progress is None:
                progress = Progress("training", now.steps, done=now.step - 1).__enter__()
            score = "" if math.isnan(now.correlation) else f", validation correlation {now.correlation:.3f}"
            progress.update(now.step, f"loss {now.loss:.4f}{score}")
            last[:] = [now.step, now.seconds]
            if now.step < now.steps:
                stop.check()

        try:
            correlation = train_encoder(
                recordings, settings, out, checkpoint_seconds=save_every, on_progress=on_progress
            )
        except KeyboardInterrupt:
            kept = f"what is learned is kept in {checkpoint}, and the same command goes on from there"
            raise stop.stopped(
                f"stopped after step {last[0]} of {settings.steps}; "
                + (kept if checkpoint.exists() else "nothing was written")
            ) from None
        finally:
            if progress is not None:
                progress.__exit__(None, None, None)
    simulated = any(recording.simulated for recording in recordings)
    if json:
        report.print_json(
            {
                "out": out,
                "steps": settings.steps,
                "seconds": last[1],
                "validation_correlation": correlation,
                "simulated": simulated,
            }
        )
        return
    report.print_table(
        "encoder of a simulated mouse" if simulated else "encoder",
        [
            ("file", out),
            ("mice", ", ".join(recording.name for recording in recordings)),
            ("steps", f"{settings.steps} in {duration_text(last[1])}"),
            ("validation correlation", f"{report.number(correlation)} (single trials, mean over neurons)"),
        ],
    )
