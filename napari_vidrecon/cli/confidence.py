"""`vidrecon evidence` and `calibrate`: is there a movie in activity, and how large is its uncertainty."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_vidrecon.cli.options import (
    Device,
    EncoderFiles,
    ForceMouse,
    Frames,
    Json,
    Mouse,
    Overwrite,
    SessionFolder,
    Set,
)


def evidence(
    session: SessionFolder,
    encoder: EncoderFiles,
    mask: Annotated[
        str, typer.Option(metavar="FILE", help='Transparency mask (.npy), or "none" for the whole screen.')
    ],
    trial: Annotated[list[int] | None, typer.Option(metavar="N", help="Trial number; may be repeated.")] = None,
    trials: Annotated[
        str | None, typer.Option(metavar="TIER", help='All trials of a tier, e.g. "spontaneous"; or "all-test".')
    ] = None,
    mouse: Mouse = None,
    preset: Annotated[str, typer.Option(help="paper, fast or best.")] = "fast",
    controls: Annotated[int, typer.Option(min=19, max=10_000, help="Permutations of the neurons.")] = 199,
    seed: Annotated[int, typer.Option(min=0, help="Of the halves and the permutations.")] = 0,
    frames: Frames = None,
    device: Device = "auto",
    force_mouse: ForceMouse = False,
    json: Json = False,
) -> None:
    """Say whether there is a movie in activity.

    Half of the neurons give a movie; how well that explains the others is held against permuted neurons, activity
    shifted in time, and a grey screen. Needs no true movie, so it works for spontaneous activity.
    """
    from napari_vidrecon.cli import inputs, report
    from napari_vidrecon.reconstruction.config import ReconstructionConfig
    from napari_vidrecon.reconstruction.evidence import evidence_of_a_movie
    from napari_vidrecon.sessions.session import open_session

    config = ReconstructionConfig.preset(preset)
    recording = open_session(session)
    chosen = inputs.choose_trials(recording, trial or [], trials)
    alpha = inputs.open_mask(mask, recording)
    encoders = inputs.open_encoders(encoder, recording, mouse, device, force_mouse)
    told = []
    for trial_id in chosen:
        clip = inputs.open_trial(recording, trial_id, frames)
        found = evidence_of_a_movie(clip, encoders, alpha, config, controls=controls, seed=seed)
        told.append({"trial": trial_id, **found.as_values()})
        if not json:
            print(f"trial {trial_id}: {found.sentence}", flush=True)
    if json:
        report.print_json({"session": str(recording.path), "simulated": recording.simulated, "trials": told})


CALIBRATION_TIER = "oracle"
DRAWS = 8
"""Where nothing else is said: with fewer the spread itself is uncertain."""


def calibrate(
    session: SessionFolder,
    encoder: EncoderFiles,
    mask: Annotated[str, typer.Option(metavar="FILE", help="Mask (.npy); measured inside alpha >= 1.")],
    out: Annotated[Path, typer.Option(metavar="FILE.json", help="Calibration to write.")],
    preset: Annotated[str, typer.Option(help="best or fast: as the reconstructions will be made.")] = "best",
    trials: Annotated[
        str, typer.Option(metavar="TIER", help='Clips that the encoder is new to: a tier, or "fold:1" for a fold.')
    ] = CALIBRATION_TIER,
    clips: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many of them: the first N. Clips differ: more are better.")
    ] = 8,
    frames: Annotated[int, typer.Option(min=32, metavar="N", help="Of each clip, from its first.")] = 64,
    set_: Set = None,
    mouse: Mouse = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    force_mouse: ForceMouse = False,
    json: Json = False,
) -> None:
    """Find how large the uncertainty is beside the error.

    Clips whose movie is known are reconstructed with draws (8 where --set draws=N says nothing else); the ratio of
    error and spread is what other runs of this mouse take as --set uncertainty_scale=N.
    """
    from napari_vidrecon.analysis.ensembles import calibrate_uncertainty
    from napari_vidrecon.cli import inputs, report
    from napari_vidrecon.cli.options import parse_settings
    from napari_vidrecon.cli.report import Progress, StopRequest
    from napari_vidrecon.reconstruction.config import ReconstructionConfig
    from napari_vidrecon.sessions.session import open_session

    inputs.require_free(out, overwrite, "the calibration")
    changes = parse_settings("--set", set_ or [], ReconstructionConfig)
    several = {} if {"draws", "update.draws"} & changes.keys() or len(encoder) > 1 else {"draws": DRAWS}
    config = ReconstructionConfig.preset(preset, **several, **changes)
    recording = open_session(session)
    alpha = inputs.open_mask(mask, recording)
    bound = inputs.open_encoders(encoder, recording, mouse, device, force_mouse)
    chosen = inputs.choose_trials(recording, [], trials)[:clips]
    with Progress("calibrate", len(chosen), "clips") as progress, StopRequest("this clip") as stop:

        def on_trial(done: int, total: int) -> None:
            progress.update(done)
            if stop.asked and done < total:
                raise stop.stopped(f"stopped after {done} of {total} clips; nothing was written to {out}")

        found = calibrate_uncertainty(recording, bound, alpha, config, chosen, frames=frames, on_trial=on_trial)
    found.save(out)
    widths = {
        f"{100 * share:g} % interval": f"+-{width:.2f} times the spread" for share, width in found.half_widths.items()
    }
    report.answer(
        json,
        {"out": out, "simulated": recording.simulated, **found.model_dump(mode="json")},
        f"calibration of {report.mouse_name(recording)} -> {out}",
        [
            ("error over spread", f"{found.scale:.2f}"),
            ("measured on", f"{len(chosen)} clips ({trials}), {config.update.draws} draws"),
            *widths.items(),
            ("use it with", f"--set uncertainty_scale={found.scale:.3g}"),
        ],
    )
