"""`vidrecon mask`: the transparency mask of a mouse."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from napari_vidrecon.cli.options import Device, EncoderFile, ForceMouse, Json, Mouse, Overwrite, SessionFolder, Set


def mask(
    session: SessionFolder,
    encoder: EncoderFile,
    out: Annotated[Path, typer.Option(metavar="FILE.npy", help="Mask to write.")],
    rule: Annotated[
        str, typer.Option(help="resolved, decayed, or published (to the letter; for large encoders).")
    ] = "resolved",
    steps: Annotated[
        int | None, typer.Option(help="Steps of the fit; default: 96 (resolved), 350 (decayed), 1000 (published).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the start and of what is drawn.")] = 0,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Picture of the mask; default: the mask's name with _alpha.png.")
    ] = None,
    set_: Set = None,
    mouse: Mouse = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    force_mouse: ForceMouse = False,
    json: Json = False,
) -> None:
    """Fit the transparency mask of a mouse.

    It tells which part of the screen the population can say something about.
    It is fitted on the oracle tier, which the encoder must not have been trained on.
    """
    from napari_vidrecon.cli import inputs, report
    from napari_vidrecon.cli.options import checked, parse_settings
    from napari_vidrecon.cli.progress import Progress, StopRequest
    from napari_vidrecon.figures.frame import save_figure
    from napari_vidrecon.figures.matrix_figure import mask_figure
    from napari_vidrecon.reconstruction.mask_fitting import MaskProgress, MaskRecipe, fit_mask
    from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD, TRAINING_THRESHOLD, mask_faults
    from napari_vidrecon.sessions.session import open_session
    from napari_vidrecon.storage import replacing_files

    drawn = picture or out.with_name(f"{out.stem}_alpha.png")
    inputs.require_free(out, overwrite, "the mask")
    inputs.require_free(drawn, overwrite, "the picture of the mask")
    usual = MaskRecipe.published().model_dump() if rule == "published" else {}
    fields = {**usual, "rule": rule, "seed": seed, **parse_settings("--set", set_ or [], MaskRecipe)}
    recipe = checked(MaskRecipe, fields if steps is None else {**fields, "steps": steps})
    recording = open_session(session)
    bound = inputs.open_encoders([encoder], recording, mouse, device, force_mouse)[0]
    done = 0
    with Progress("mask", recipe.steps) as progress, StopRequest() as stop:

        def on_progress(now: MaskProgress) -> bool:
            nonlocal done
            done = now.step
            progress.update(now.step, f"{int((now.alpha >= TRAINING_THRESHOLD).sum())} pixels")
            return not stop.asked

        fitted = fit_mask(recording, bound, recipe, on_progress=on_progress)
    if stop.asked and done < recipe.steps:
        partial = out.with_name(f"{out.stem}.partial.npy")
        fitted.save(partial)
        raise stop.stopped(
            f"stopped after step {done} of {recipe.steps}; the mask so far is kept in {partial}; "
            "a fit always starts anew"
        )
    sizes = {
        f"{name}_{unit}": value
        for name, threshold in (("training", TRAINING_THRESHOLD), ("evaluation", EVALUATION_THRESHOLD))
        for unit, value in (
            ("threshold", threshold),
            ("pixels", int(fitted.binary(threshold).sum())),
            ("diameter_deg", fitted.diameter_deg(threshold, recording.screen)),
            ("height_deg", fitted.extent_deg(threshold, recording.screen)[0]),
            ("width_deg", fitted.extent_deg(threshold, recording.screen)[1]),
            ("eccentricity_deg", fitted.eccentricity_deg(threshold, recording.screen)),
        )
    }
    faults = mask_faults(fitted)
    # Last, so that whatever else goes wrong leaves nothing behind.
    with replacing_files(drawn, out) as (picture_file, mask_file):
        save_figure(mask_figure(fitted, report.mouse_name(recording), recording.screen), picture_file)
        fitted.save(mask_file)
    report.answer(
        json,
        {
            "out": out,
            "picture": drawn,
            "rule": recipe.rule,
            "steps": recipe.steps,
            "simulated": recording.simulated,
            **sizes,
            "faults": faults,
        },
        f"mask of {report.mouse_name(recording)} -> {out}",
        [
            (
                f"alpha >= {sizes[f'{name}_threshold']:g} ({name})",
                f"{sizes[f'{name}_diameter_deg']:.1f} degrees across by area, {sizes[f'{name}_pixels']} pixels; "
                f"{sizes[f'{name}_height_deg']:.1f} high, {sizes[f'{name}_width_deg']:.1f} wide, "
                f"up to {sizes[f'{name}_eccentricity_deg']:.1f} from the middle"
                if sizes[f"{name}_pixels"]
                else "no pixel: the fit needs more steps, or the encoder more training",
            )
            for name in ("training", "evaluation")
        ]
        + [("rule", fitted.source.partition(", ")[2]), ("picture", str(drawn))],
    )
    for fault in faults:
        print(f"take care: {fault}", file=sys.stderr)
