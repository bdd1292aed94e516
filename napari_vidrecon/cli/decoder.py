"""`vidrecon decoder`: a linear decoder of a mouse, from which reconstructions may start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_vidrecon.cli.options import Json, Overwrite, SessionFolder, Set

SCORED_TIER = "oracle"


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
    from napari_vidrecon.cli import inputs, report
    from napari_vidrecon.cli.options import checked, parse_settings
    from napari_vidrecon.cli.progress import Progress, StopRequest
    from napari_vidrecon.encoders.encoder import Canvas
    from napari_vidrecon.errors import StorageError
    from napari_vidrecon.reconstruction.decoder import DECODER_SUFFIX
    from napari_vidrecon.reconstruction.decoder_fitting import DecoderRecipe, fit_decoder, held_out_correlation
    from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD
    from napari_vidrecon.sessions.session import open_session

    if out.suffix != DECODER_SUFFIX:
        raise StorageError(f"{out}: expected a decoder's name ending in {DECODER_SUFFIX}, found '{out.suffix}'")
    inputs.require_free(out, overwrite, "the decoder")
    settings = parse_settings("--set", set_ or [], DecoderRecipe) | ({"causal": True} if causal else {})
    recipe = checked(DecoderRecipe, settings)
    recording = open_session(session)
    learned = inputs.choose_trials(recording, [], trials)
    alpha = inputs.open_mask(mask, recording)
    alpha.on(Canvas.of_screen(*recording.screen.size_px), EVALUATION_THRESHOLD)
    pixels = alpha.binary(EVALUATION_THRESHOLD)
    scored = [each for each in recording.trials_in_tier(SCORED_TIER) if each not in learned]
    for trial_id in scored:
        # A damaged one is found before the fit, not after it.
        recording.trial(trial_id).require_responses()
    with Progress("decoder", len(learned), "trials") as progress, StopRequest() as stop:

        def on_progress(done: int, total: int) -> None:
            progress.update(done)
            if stop.asked and done < total:
                raise stop.stopped(
                    f"stopped after {done} of {total} trials; nothing was written to {out}; a fit always starts anew"
                )

        fitted = fit_decoder(recording, recipe, trial_ids=learned, on_progress=on_progress)

        def on_scored() -> None:
            if stop.asked:
                fitted.save(out)
                raise stop.stopped(f"stopped after {out} was written; how well it does was not measured to the end")

        correlation = held_out_correlation(fitted, recording, scored, pixels, on_scored)
        # Last, so that a clip that cannot be measured on leaves nothing behind.
        fitted.save(out)
    size_bytes = out.stat().st_size
    values = {
        "out": out,
        "simulated": recording.simulated,
        "neurons": fitted.neurons,
        "trials": len(learned),
        "lags_frames": fitted.lags_frames,
        "causal": fitted.causal,
        "coefficients": len(fitted.frequencies),
        "bytes": size_bytes,
        "video_correlation": correlation,
        "scored_trials": scored,
        "scored_pixels": int(pixels.sum()),
    }
    clips = f"{len(scored)} held-out clip{'s' * (len(scored) != 1)}"
    where = "on the whole screen" if mask == inputs.NO_MASK else f"inside alpha >= {EVALUATION_THRESHOLD:g}"
    report.answer(
        json,
        values,
        f"decoder of {report.mouse_name(recording)} -> {out}",
        [
            ("neurons", fitted.neurons),
            ("learned from", f"{len(learned)} trials ({trials})"),
            ("lags", f"{', '.join(map(str, fitted.lags_frames))} frames{' (causal)' if fitted.causal else ''}"),
            ("coefficients", f"{len(fitted.frequencies)} of a frame"),
            ("file", f"{size_bytes / 1e6:.1f} MB"),
            (
                "video correlation",
                f"{report.number(correlation)} {where} (mean of {clips}, tier {SCORED_TIER})"
                if scored
                else f"not measured: no clip of the tier {SCORED_TIER} was held out",
            ),
        ],
    )
