"""`vidrecon mask`, `decoder`, `gaze` and `rf`: what is fitted to a mouse: mask, decoder, pupil, receptive fields."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_vidrecon.cli import inputs, report
from napari_vidrecon.cli.options import (
    Device,
    EncoderFile,
    EncoderFiles,
    ForceMouse,
    Json,
    Mouse,
    Overwrite,
    SessionFolder,
    Set,
    checked,
    parse_settings,
)
from napari_vidrecon.cli.report import Progress, StopRequest, number, tell
from napari_vidrecon.errors import SessionError, StorageError, number_of

if TYPE_CHECKING:
    from napari_vidrecon.analysis.receptive_fields import ReceptiveFieldMaps
    from napari_vidrecon.reconstruction.masks import AlphaMask
    from napari_vidrecon.sessions.screen import ScreenGeometry


def mask(
    session: SessionFolder,
    encoder: EncoderFile,
    out: Annotated[Path, typer.Option(metavar="FILE.npy", help="Mask to write.")],
    rule: Annotated[
        str | None,
        typer.Option(help="resolved (default), decayed, or published (to the letter; for large encoders)."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Steps of the fit; default: 96 (resolved), 350 (decayed), 1000 (published).")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the start and of what is drawn; default: 0.")] = None,
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
    from napari_vidrecon.figures.export import FIGURE_ENDINGS, check_path
    from napari_vidrecon.figures.frame import save_figure
    from napari_vidrecon.figures.matrix_figure import mask_figure
    from napari_vidrecon.reconstruction.mask_fitting import MaskProgress, MaskRecipe, fit_mask
    from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD, TRAINING_THRESHOLD, mask_faults
    from napari_vidrecon.reconstruction.run_folder import at_work_on
    from napari_vidrecon.sessions.session import open_session
    from napari_vidrecon.storage import replacing_files

    inputs.require_free(out, overwrite, "the mask", ".npy")
    drawn = picture or out.with_name(f"{out.stem}_alpha.png")
    check_path(drawn, "a picture", FIGURE_ENDINGS)
    inputs.require_free(drawn, overwrite, "the picture of the mask")
    fields = parse_settings("--set", set_ or [], MaskRecipe, rule=rule, steps=steps, seed=seed)
    usual = MaskRecipe.published().model_dump() if fields.get("rule") == "published" else {}
    recipe = checked(MaskRecipe, {**usual, **fields})
    recipe.require_used(fields)
    recording = open_session(session)
    bound = inputs.open_encoders([encoder], recording, mouse, device, force_mouse)[0]
    remedy = (
        "the mask comes out larger than what it can tell of new clips; fit it with one that is new to the tier oracle"
    )
    inputs.warn_of_known_clips([bound], recording, recording.trials_in_tier(SCORED_TIER), remedy)
    done = 0
    with at_work_on(out, what="mask"), Progress("mask", recipe.steps) as progress, StopRequest() as stop:

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
        "training": _mask_sizes(fitted, TRAINING_THRESHOLD, recording.screen),
        "evaluation": _mask_sizes(fitted, EVALUATION_THRESHOLD, recording.screen),
    }
    faults = mask_faults(fitted, colours=recording.screen.planes)
    # Last, so that whatever else goes wrong leaves nothing behind.
    with replacing_files(drawn, out) as (picture_file, mask_file):
        save_figure(mask_figure(fitted, report.mouse_name(recording), recording.screen), picture_file)
        fitted.save(mask_file)
    values = {
        "out": out,
        "picture": drawn,
        "rule": recipe.rule,
        "steps": recipe.steps,
        "simulated": recording.simulated,
        **{f"{name}_{unit}": value for name, size in sizes.items() for unit, value in size.items()},
        "faults": faults,
    }
    rows = [(f"alpha >= {size['threshold']:g} ({name})", _size_in_words(**size)) for name, size in sizes.items()]
    rows += [("rule", fitted.source.partition(", ")[2]), ("picture", str(drawn))]
    report.answer(json, values, f"mask of {report.mouse_name(recording)} -> {out}", rows)
    for fault in faults:
        tell(f"take care: {fault}")
    inputs.warn_of_blind_encoders([bound])


def _mask_sizes(mask: AlphaMask, threshold: float, screen: ScreenGeometry) -> dict[str, Any]:
    height_deg, width_deg = mask.extent_deg(threshold, screen)
    return {
        "threshold": threshold,
        "pixels": int(mask.binary(threshold).sum()),
        "diameter_deg": mask.diameter_deg(threshold, screen),
        "height_deg": height_deg,
        "width_deg": width_deg,
        "eccentricity_deg": mask.eccentricity_deg(threshold, screen),
    }


def _size_in_words(
    pixels: int, diameter_deg: float, height_deg: float, width_deg: float, eccentricity_deg: float, **_: Any
) -> str:
    if not pixels:
        return "no pixel: the fit needs more steps, or the encoder more training"
    return (
        f"{diameter_deg:.1f} degrees across by area, {pixels} pixels; "
        f"{height_deg:.1f} high, {width_deg:.1f} wide, up to {eccentricity_deg:.1f} from the middle"
    )


SCORED_TIER = "oracle"
GAZE = "gaze"
"""Among the names of recorded behaviour."""


def decoder(
    session: SessionFolder,
    out: Annotated[Path, typer.Option(metavar="FILE.safetensors", help="Decoder to write.")],
    trials: Annotated[
        str, typer.Option(metavar="TIER", help='Trials to learn from: a tier, or "fold:1" for a fold.')
    ] = "train",
    mask: Annotated[
        str, typer.Option(metavar="FILE", help='Measure inside this mask (.npy), alpha >= 1; "none": the whole screen.')
    ] = "none",
    causal: Annotated[
        bool,
        typer.Option("--causal", help="Take past and present activity only, as `vidrecon live` shows at once."),
    ] = False,
    set_: Set = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Fit a linear decoder of a mouse.

    It makes a movie straight from activity. It learns from the train tier and is measured on those clips of the
    oracle tier that it did not learn from. A reconstruction with --decoder starts from its movie and stays near it
    where the neurons say nothing else.
    """
    from napari_vidrecon.encoders.encoder import Canvas
    from napari_vidrecon.reconstruction.decoder import DECODER_SUFFIX
    from napari_vidrecon.reconstruction.decoder_fitting import DecoderRecipe, fit_decoder, held_out_correlation
    from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD
    from napari_vidrecon.reconstruction.run_folder import at_work_on
    from napari_vidrecon.sessions.session import open_session

    inputs.require_free(out, overwrite, "the decoder", DECODER_SUFFIX)
    recipe = checked(DecoderRecipe, parse_settings("--set", set_ or [], DecoderRecipe, causal=causal or None))
    recording = open_session(session)
    learned = inputs.choose_trials(recording, [], trials)
    alpha = inputs.open_mask(mask, recording)
    alpha.on(Canvas.of_screen(*recording.screen.size_px), EVALUATION_THRESHOLD)
    pixels = alpha.binary(EVALUATION_THRESHOLD)
    scored = [each for each in recording.trials_in_tier(SCORED_TIER) if each not in learned]
    inputs.warn_of_clips_in_both(recording, learned, scored, "its quality")
    for trial_id in scored:
        # A damaged one is found before the fit, not after it.
        recording.trial(trial_id).require_responses()
    alone = at_work_on(out, what="decoder")
    with alone, Progress("decoder", len(learned), "trials") as progress, StopRequest() as stop:
        on_progress = stop.after_each(progress, f"nothing was written to {out}; a fit always starts anew")
        fitted = fit_decoder(recording, recipe, trial_ids=learned, on_progress=on_progress)

        def on_scored() -> None:
            if stop.asked:
                fitted.save(out)
                raise stop.stopped(f"stopped after {out} was written; how well it does was not measured to the end")

        correlation = held_out_correlation(fitted, recording, scored, pixels, on_scored)
        # Last, so that a clip that cannot be measured on leaves nothing behind.
        fitted.save(out)
    values: dict[str, Any] = {
        "out": out,
        "simulated": recording.simulated,
        "neurons": fitted.neurons,
        "trials": len(learned),
        "lags_frames": fitted.lags_frames,
        "causal": fitted.causal,
        "coefficients": len(fitted.frequencies),
        "bytes": out.stat().st_size,
        "video_correlation": correlation,
        "scored_trials": scored,
        "scored_pixels": int(pixels.sum()),
    }
    quality = f"not measured: no clip of the tier {SCORED_TIER} was held out"
    if scored:
        clips = number_of(len(scored), "held-out clip")
        where = "on the whole screen" if mask == inputs.NO_MASK else f"inside alpha >= {EVALUATION_THRESHOLD:g}"
        quality = f"{number(correlation)} {where} (mean of {clips}, tier {SCORED_TIER})"
    rows = [
        ("neurons", fitted.neurons),
        ("learned from", f"{number_of(len(learned), 'trial')} ({trials})"),
        ("lags", f"{', '.join(map(str, fitted.lags_frames))} frames{' (causal)' if fitted.causal else ''}"),
        ("coefficients", f"{len(fitted.frequencies)} of a frame"),
        ("file", f"{values['bytes'] / 1e6:.1f} MB"),
        ("video correlation", quality),
    ]
    report.answer(json, values, f"decoder of {report.mouse_name(recording)} -> {out}", rows)


def gaze(
    session: SessionFolder,
    encoder: EncoderFile,
    trials: Annotated[
        str, typer.Option(metavar="TIER", help='Trials to find it on: a tier, or "fold:1" for a fold.')
    ] = "train",
    mouse: Mouse = None,
    device: Device = "auto",
    force_mouse: ForceMouse = False,
    json: Json = False,
) -> None:
    """Find how the recorded pupil shifts the picture on the retina.

    On clips whose movie is known, as far as the encoder does not make it of the pupil by itself; it is checked on
    other clips. Prints what --set has to say so that a reconstruction takes it.
    """
    from napari_vidrecon.reconstruction.gaze_fitting import fit_gaze
    from napari_vidrecon.sessions.session import open_session

    recording = open_session(session)
    if recording.recorded_behavior is not None and GAZE not in recording.recorded_behavior:
        raise SessionError(
            f"{recording.path}: expected a recorded {GAZE}, found none among the behaviour that config.json names; "
            "without it there is no shift to find"
        )
    chosen = None if trials == "train" else inputs.choose_trials(recording, [], trials)
    (bound,) = inputs.open_encoders([encoder], recording, mouse, device, force_mouse)
    with Progress("gaze", 0, "steps") as progress, StopRequest() as stop:
        found = fit_gaze(recording, bound, chosen, on_progress=stop.after_each(progress, "a fit always starts anew"))
    flags = " ".join(f"--set {name}={value}" for name, value in found.settings.items())
    columns, rows = found.shift_px
    how = found.gaze
    report.answer(
        json,
        {
            "simulated": recording.simulated,
            "trials": found.trials,
            "shift_px": found.shift_px,
            "losses": found.losses,
            "better": found.better,
            "settings": found.settings,
        },
        f"gaze of {report.mouse_name(recording)}",
        [
            ("shift", f"{columns:.2f} columns, {rows:.2f} rows (SD, px; {number_of(found.trials, 'trial')})"),
            ("per unit of x", f"{how.columns_per_x:+.3f} columns, {how.rows_per_x:+.3f} rows"),
            ("per unit of y", f"{how.columns_per_y:+.3f} columns, {how.rows_per_y:+.3f} rows"),
            ("checked", found.checked_in_words),
            ("use it with", flags or "nothing: the clips it was checked on are not explained better beyond chance"),
        ],
    )


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
    told = _field_summary(maps, alpha)
    if figure is None:
        maps.save(out)
    else:
        from napari_vidrecon.figures.frame import save_figure
        from napari_vidrecon.figures.receptive_field_figure import receptive_field_figure

        with replacing_files(figure, out) as (drawn, kept):
            save_figure(receptive_field_figure(maps, alpha), drawn)
            maps.save(kept)
    title = f"receptive fields of {report.mouse_name(recording)} -> {out}"
    report.answer(json, {"out": out, "figure": figure, **told}, title, _field_table(told))
    inputs.warn_of_blind_encoders(bound)


def _field_summary(maps: ReceptiveFieldMaps, mask: AlphaMask | None) -> dict[str, Any]:
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
    if maps.retinotopy is not None:
        order = maps.retinotopy
        told |= {
            "retinotopy_explained": order.explained,
            "retinotopy_scatter_px": order.scatter_px,
            "fit_error_px": order.noise_px,
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


def _field_table(told: dict[str, Any]) -> list[tuple[str, str]]:
    """The same numbers in words."""
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
    if "retinotopy_explained" in told:
        share = number(100 * max(told["retinotopy_explained"], 0), 0)
        scatter, error = number(told["retinotopy_scatter_px"], 1), "is off by what cannot be told from that scatter"
        if math.isfinite(told["fit_error_px"]):
            error = f"is off by {number(told['fit_error_px'], 1)} px (SD, median)"
        rows += [
            ("neighbours in cortex", f"tell {share} % of where neurons look; these scatter by {scatter} px (SD)"),
            ("a fit by itself", f"{error}; both together are in the file"),
        ]
    if "mask_pixels" in told:
        rows += [
            ("mask, alpha >= 0.5", f"{told['mask_pixels']} pixels, {number(told['mask_overlap'], 2)} overlap (IoU)"),
            ("centres in the mask", f"{number(100 * told['centres_in_mask'], 0)} %"),
        ]
    return rows
