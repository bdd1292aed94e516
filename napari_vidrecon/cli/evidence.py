"""`vidrecon evidence`: whether there is a movie in activity, with or without one to check against."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_vidrecon.cli.options import Device, EncoderFiles, ForceMouse, Frames, Json, Mouse, SessionFolder


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
