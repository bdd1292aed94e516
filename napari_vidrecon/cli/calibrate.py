"""`vidrecon calibrate`: how large the uncertainty of a mouse's reconstructions has to be shown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_vidrecon.cli.options import Device, EncoderFiles, ForceMouse, Json, Mouse, Overwrite, SessionFolder, Set

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
    from napari_vidrecon.cli.progress import Progress, StopRequest
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
