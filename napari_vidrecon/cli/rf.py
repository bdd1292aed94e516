"""`vidrecon rf`: the receptive fields of a mouse's neurons."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_vidrecon.cli.options import Device, EncoderFiles, ForceMouse, Json, Mouse, Overwrite, SessionFolder, Set

if TYPE_CHECKING:
    from napari_vidrecon.analysis.receptive_fields import ReceptiveFieldMaps
    from napari_vidrecon.reconstruction.masks import AlphaMask


def rf(
    session: SessionFolder,
    encoder: EncoderFiles,
    out: Annotated[Path, typer.Option(metavar="FILE.npz", help="Maps, centres and fits to write.")],
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Picture to write as well (.png, .svg or .pdf).")
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(metavar="FILE.npy", help="Mask to compare the population's field with.")
    ] = None,
    preset: Annotated[
        str, typer.Option(help="quick, or published: every single pixel and every window, 20 times the work.")
    ] = "quick",
    set_: Set = None,
    mouse: Mouse = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    force_mouse: ForceMouse = False,
    json: Json = False,
) -> None:
    """Map the receptive fields of all neurons.

    Bright and dark patches are shown to the encoders, and what they predict is compared with grey.
    The predictions of several encoders are averaged.
    """
    from napari_vidrecon.analysis.receptive_field_mapping import MappingRecipe, map_receptive_fields
    from napari_vidrecon.cli import inputs, report
    from napari_vidrecon.cli.options import checked, parse_settings
    from napari_vidrecon.cli.progress import Progress, StopRequest
    from napari_vidrecon.errors import StorageError
    from napari_vidrecon.figures.export import FIGURE_ENDINGS, check_path
    from napari_vidrecon.sessions.session import open_session
    from napari_vidrecon.storage import replacing_files

    if out.suffix.lower() != ".npz":
        raise StorageError(f"{out}: expected a name ending in .npz, found '{out.suffix}'")
    inputs.require_free(out, overwrite, "the receptive fields")
    if figure is not None:
        check_path(figure, "a figure", FIGURE_ENDINGS)
        inputs.require_free(figure, overwrite, "the figure")
    fields = {**MappingRecipe.preset(preset).model_dump(), **parse_settings("--set", set_ or [], MappingRecipe)}
    recipe = checked(MappingRecipe, fields)
    recording = open_session(session)
    alpha = None if mask is None else inputs.open_mask(str(mask), recording)
    bound = inputs.open_encoders(encoder, recording, mouse, device, force_mouse)
    patches = recipe.patches_on(recording.screen, recording.frame_rate_hz)
    clips = 2 * len(patches) * len(bound)
    with Progress("receptive fields", clips, unit="clips") as progress, StopRequest("these clips") as stop:

        def on_progress(done: int, total: int) -> bool:
            progress.update(done)
            return not stop.asked

        maps = map_receptive_fields(recording, bound, recipe, on_progress=on_progress)
    if maps is None:
        raise stop.stopped("stopped; nothing was written, and a mapping always starts anew")
    told = summary(maps, alpha)
    if figure is None:
        maps.save(out)
    else:
        from napari_vidrecon.figures.frame import save_figure
        from napari_vidrecon.figures.receptive_field_figure import receptive_field_figure

        with replacing_files(figure, out) as (drawn, kept):
            save_figure(receptive_field_figure(maps, alpha), drawn)
            maps.save(kept)
    title = f"receptive fields of {report.mouse_name(recording)} -> {out}"
    report.answer(json, {"out": out, "figure": figure, **told}, title, table(told))


def summary(maps: ReceptiveFieldMaps, mask: AlphaMask | None) -> dict[str, Any]:
    """The numbers of a mapping; NaN where no neuron responds."""
    import numpy as np

    from napari_vidrecon.reconstruction.masks import TRAINING_THRESHOLD

    fitted = maps.responsive & np.isfinite(maps.fits.row)

    def median(values: np.ndarray) -> float:
        return float(np.median(values[fitted])) if fitted.any() else float("nan")

    field = maps.population_field
    told: dict[str, Any] = {
        "neurons": len(maps),
        "responsive": int(maps.responsive.sum()),
        "fitted": int(fitted.sum()),
        "diameter_px": median(maps.diameter_px),
        "diameter_deg": median(maps.diameter_deg),
        "eccentricity_deg": median(maps.eccentricity_deg),
        "fit_r_squared": median(maps.fits.r_squared),
        "population_pixels": int(field.sum()),
        "population_diameter_deg": maps.screen.mask_diameter_deg(field),
        "simulated": maps.simulated,
    }
    if mask is not None:
        inside = mask.binary(TRAINING_THRESHOLD)
        told["mask_pixels"] = int(inside.sum())
        told["mask_overlap"] = float((inside & field).sum() / max((inside | field).sum(), 1))
        rows, columns = (
            np.clip(np.rint(axis[fitted]), 0, length - 1).astype(int)
            for axis, length in zip((maps.fits.row, maps.fits.column), inside.shape, strict=True)
        )
        told["centres_in_mask"] = float(inside[rows, columns].mean()) if fitted.any() else float("nan")
    return told


def table(told: dict[str, Any]) -> list[tuple[str, str]]:
    """The same numbers in words."""
    from napari_vidrecon.cli.report import number

    rows = [
        ("responsive", f"{told['responsive']} of {told['neurons']} neurons, {told['fitted']} fitted"),
        ("median size", f"{number(told['diameter_px'], 1)} px, {number(told['diameter_deg'], 1)} degrees across"),
        ("median eccentricity", f"{number(told['eccentricity_deg'], 1)} degrees"),
        ("fits explain", f"{number(told['fit_r_squared'])} of the variance (median)"),
        (
            "population's field",
            f"{told['population_pixels']} pixels, {number(told['population_diameter_deg'], 1)} degrees across",
        ),
    ]
    if "mask_pixels" in told:
        rows += [
            ("mask, alpha >= 0.5", f"{told['mask_pixels']} pixels, {number(told['mask_overlap'], 2)} overlap (IoU)"),
            ("centres in the mask", f"{number(100 * told['centres_in_mask'], 0)} %"),
        ]
    return rows
