"""`vidrecon validate`, `evidence`, `calibrate`: is a file sound, a movie in activity, the stated uncertainty true."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_vidrecon.cli import inputs, report
from napari_vidrecon.cli.info import described, require_there
from napari_vidrecon.cli.options import (
    Device,
    EncoderFiles,
    ForceMouse,
    Frames,
    Json,
    MaskFile,
    Mouse,
    Overwrite,
    Preset,
    SessionFolder,
    Set,
    TrialNumbers,
    parse_settings,
)
from napari_vidrecon.cli.report import Progress, StopRequest
from napari_vidrecon.encoders import ENCODER_SUFFIXES
from napari_vidrecon.errors import VidreconError, number_of, one_line

FAULTS_FOUND = 1
MASK_SUFFIX = ".npy"
LONGEST_LINE = 2000


def validate(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="Session folder, encoder, decoder, mask (.npy) or run (.zarr).")
    ],
    quick: Annotated[
        bool, typer.Option("--quick", help="Look at headers and behaviour only, not at every number.")
    ] = False,
    json: Json = False,
) -> None:
    """Say what is wrong with it, item by item.

    The exit code is 1 if anything is.
    """
    faults = faults_of(path, quick=quick)
    lacking = [] if faults else _later_needs_of(path)
    if json:
        report.print_json({"path": path, "sound": not faults, "faults": faults, "lacking": lacking})
    elif faults:
        for fault in faults:
            report.say(_line(fault))
        report.say(f"{len(faults)} {'fault' if len(faults) == 1 else 'faults'} in {path}")
    else:
        report.say(f"{path}: no fault found")
        for each in lacking:
            report.say(f"take care: {each}")
    if faults:
        raise typer.Exit(FAULTS_FOUND)


def _later_needs_of(path: Path) -> list[str]:
    """What a sound session lacks for training and masks, and where its behaviour has gaps; nothing of other files."""
    from napari_vidrecon.sessions import metadata
    from napari_vidrecon.sessions.session import open_session
    from napari_vidrecon.sessions.validation import behaviour_gaps, later_needs

    if not (path / metadata.TIERS_FILE).is_file():
        return []
    session = open_session(path)
    return [*later_needs(session.tiers), *behaviour_gaps(session)]


def faults_of(path: Path, *, quick: bool = False) -> list[dict[str, Any]]:
    """Every fault as plain values: file, expected, found, remedy.

    Returns
    -------
    list[dict[str, Any]]
        Empty where nothing is wrong.

    Raises
    ------
    StorageError
        There is nothing at the path.
    """
    from napari_vidrecon.reconstruction.decoder import is_decoder
    from napari_vidrecon.reconstruction.denoiser import is_denoiser
    from napari_vidrecon.reconstruction.masks import file_faults
    from napari_vidrecon.reconstruction.published import is_published
    from napari_vidrecon.sessions.validation import validate_session

    require_there(path)
    if any((path / part).is_dir() for part in ("data", "meta")):
        with Progress("checking", 0, "trials") as progress:
            found = validate_session(path, full=not quick, on_progress=progress.follow)
        return [
            {"file": fault.file, "expected": fault.expected, "found": fault.found, "remedy": fault.remedy}
            for fault in found
        ]
    try:
        described(path)
        if path.suffix in ENCODER_SUFFIXES and not is_decoder(path) and not is_denoiser(path) and not quick:
            _bind_every_readout(path)
        if path.suffix == MASK_SUFFIX and not is_published(path):
            return [{"file": path, "expected": fault, "found": "", "remedy": ""} for fault in file_faults(path)]
    except VidreconError as error:
        message = str(error).removeprefix(f"{path}: ")
        expected, _, rest = message.removeprefix("expected ").partition(", found ")
        return [{"file": path, "expected": expected, "found": rest, "remedy": ""}]
    return []


def _bind_every_readout(path: Path) -> None:
    from napari_vidrecon.encoders.checkpoints import load_encoder, read_encoder_file

    for index in range(len(read_encoder_file(path).neurons)):
        load_encoder(path, index, "cpu")


def _line(fault: dict[str, Any]) -> str:
    line = f"{fault['file']}: {fault['expected']}"
    if fault["found"]:
        line = f"{fault['file']}: expected {fault['expected']}, found {fault['found']}"
    # Names of files come from elsewhere: a terminal must only show them.
    return one_line(f"{line}; {fault['remedy']}" if fault["found"] and fault["remedy"] else line, LONGEST_LINE)


def evidence(
    session: SessionFolder,
    encoder: EncoderFiles,
    mask: MaskFile,
    trial: TrialNumbers = None,
    trials: Annotated[
        str | None, typer.Option(metavar="TIER", help='All trials of a tier, e.g. "spontaneous"; or "all-test".')
    ] = None,
    mouse: Mouse = None,
    preset: Preset = "fast",
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
    from napari_vidrecon.reconstruction.config import ReconstructionConfig
    from napari_vidrecon.reconstruction.evidence import TooLittleActivity, evidence_of_a_movie
    from napari_vidrecon.sessions.session import open_session

    config = ReconstructionConfig.preset(preset)
    recording = open_session(session)
    chosen = inputs.choose_trials(recording, trial or [], trials)
    alpha = inputs.open_mask(mask, recording)
    encoders = inputs.open_encoders(encoder, recording, mouse, device, force_mouse)
    told, left_out = [], []
    for trial_id in chosen:
        clip = inputs.open_trial(recording, trial_id, frames)
        try:
            found = evidence_of_a_movie(clip, encoders, alpha, config, controls=controls, seed=seed)
        except TooLittleActivity as error:
            if len(chosen) == 1:
                raise
            left_out.append({"trial": trial_id, "why": str(error)})
            report.tell(f"take care: left out: {error}")
            continue
        told.append({"trial": trial_id, **found.as_values()})
        if not json:
            report.say(f"trial {trial_id}: {found.sentence}")
    if not told:
        raise TooLittleActivity(
            f"{recording.path}: expected a trial that something can be said of, found none among {len(chosen)}; why is "
            "told of each above"
        )
    if json:
        values = {"session": str(recording.path), "simulated": recording.simulated, "trials": told}
        report.print_json({**values, "left_out": left_out})


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
    from napari_vidrecon.reconstruction.config import ReconstructionConfig
    from napari_vidrecon.reconstruction.run_folder import at_work_on
    from napari_vidrecon.sessions.session import open_session

    inputs.require_free(out, overwrite, "the calibration", ".json")
    changes = parse_settings("--set", set_ or [], ReconstructionConfig)
    several = {} if {"draws", "update.draws"} & changes.keys() or len(encoder) > 1 else {"draws": DRAWS}
    config = ReconstructionConfig.preset(preset, **several, **changes)
    recording = open_session(session)
    alpha = inputs.open_mask(mask, recording)
    bound = inputs.open_encoders(encoder, recording, mouse, device, force_mouse)
    chosen = inputs.choose_trials(recording, [], trials)[:clips]
    remedy = "uncertainty of clips that it is new to is larger; choose such clips with --trials, or another encoder"
    inputs.warn_of_known_clips(bound, recording, chosen, remedy)
    alone = at_work_on(out, what="calibration")
    with alone, Progress("calibrate", len(chosen), "clips") as progress, StopRequest("this clip") as stop:
        on_trial = stop.after_each(progress, f"nothing was written to {out}")
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
            ("measured on", f"{number_of(len(chosen), 'clip')} ({trials}), {number_of(config.update.draws, 'draw')}"),
            *widths.items(),
            ("use it with", f"--set uncertainty_scale={found.scale:.3g}"),
        ],
    )
