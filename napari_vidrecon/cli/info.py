"""`vidrecon info`: what a session, encoder, decoder, mask or run is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_vidrecon.cli import report
from napari_vidrecon.cli.inputs import LONGEST_WORD, MOST_DIGITS, readout_of
from napari_vidrecon.cli.options import Json, Mouse
from napari_vidrecon.cli.report import Progress
from napari_vidrecon.encoders import ENCODER_SUFFIXES
from napari_vidrecon.errors import ConfigError, EncoderError, StorageError, VidreconError, number_of, one_line

if TYPE_CHECKING:
    from napari_vidrecon.reconstruction.results import Reconstruction
    from napari_vidrecon.sessions.session import Session

LONGEST_TEXT = 10_000


def info(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="Session folder, encoder, decoder, mask (.npy) or run (.zarr).")
    ],
    check: Annotated[
        bool,
        typer.Option("--check", help="Try an encoder on noise (shapes, gradient, windows ...); exit code 1 if bad."),
    ] = False,
    mouse: Mouse = None,
    duplicates: Annotated[
        str | None,
        typer.Option(
            metavar="fold0|tiers",
            help="Session: look for held-out clips that are nearly the same as training clips; held out is "
            "a fold (fold0, as published), or every tier but train (tiers).",
        ),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="SESSION", help="Other mice the encoder was trained on; may be repeated."),
    ] = None,
    json: Json = False,
) -> None:
    """Say what a session, encoder, decoder, mask or run is."""
    if duplicates is not None:
        _say_duplicates(path, duplicates, against or [], json)
        return
    findings = check_file(path, mouse) if check else []
    title, values = described(path)
    if check:
        values = {**values, "findings": findings}
    if json:
        report.print_json(values)
    else:
        activity = values.get("activity")
        if isinstance(activity, dict):
            del values["activity"]
            values |= {f"activity, {name}": text for name, text in activity["told"].items()}
            values["activity, unusual"] = activity["unusual"] or "nothing"
        if check:
            values["findings"] = findings or "none: it keeps what an encoder promises"
        report.print_table(title, ((name.replace("_", " "), _text(value)) for name, value in values.items()))
    if findings:
        raise typer.Exit(1)


def check_file(path: Path, mouse: str | None) -> list[str]:
    """What is wrong with an encoder file's answers, one line each.

    Returns
    -------
    list[str]
        Empty where everything is as promised.

    Raises
    ------
    EncoderError
        Not an encoder that can be opened, or without that readout.
    """
    from napari_vidrecon.encoders.checkpoints import load_encoder
    from napari_vidrecon.encoders.conformance import check_encoder

    if path.suffix not in ENCODER_SUFFIXES:
        raise EncoderError(
            f"{path}: expected an encoder ({', '.join(ENCODER_SUFFIXES)}) for --check, found another file"
        )
    readout = readout_of(mouse)
    encoder = load_encoder(path, 0 if readout is None else readout, "cpu")
    return [f"{finding.check}: {finding.message}" for finding in check_encoder(encoder)]


def _say_duplicates(path: Path, split: str, against: list[Path], json: bool) -> None:
    import functools

    from napari_vidrecon.analysis.duplicates import find_duplicates, split_by_fold, split_by_tier
    from napari_vidrecon.sessions.session import open_session

    word, number = split[: len("fold")], split[len("fold") :]
    if split != "tiers" and not (word == "fold" and number.isdecimal() and len(number) <= MOST_DIGITS):
        raise ConfigError(
            f"--duplicates {one_line(split, LONGEST_WORD)}: expected tiers, or fold and its number, e.g. fold0"
        )
    divide = split_by_tier if split == "tiers" else functools.partial(split_by_fold, fold=int(number))
    session = open_session(path)
    held_out, training = divide(session)
    others = [open_session(other) for other in against]
    with Progress("comparing", 0, "clips") as progress:
        clips = {session: training, **{other: divide(other)[1] for other in others}}
        found = find_duplicates(session, held_out, clips, on_progress=progress.follow)
    if json:
        report.print_json({"kind": "duplicates", "split": split, **found.as_values()})
        return
    rows: list[tuple[str, object]] = []
    for each in found.nearest:
        numbers = f"first frame {each.first_frame_correlation:.3f}, clip {each.clip_correlation:.3f}"
        verdict = "DUPLICATE" if each.duplicate else "clean"
        which = each.confirmed_by if each.duplicate else each.match
        place = f"{which[0]}, trial {which[1]}"
        rows.append((f"trial {each.trial}", f"{verdict}: {numbers}, hash {each.hash_distance} bits, {place}"))
    rows.append(("clean clips", ", ".join(map(str, found.clean)) or "none"))
    report.print_table(f"{session.name}: {len(held_out)} held-out against {found.training_clips} training clips", rows)


def require_there(path: Path) -> None:
    """Refuse a path at which there is nothing."""
    # Not Path.exists, which raises for a name longer than the system takes.
    if not os.path.exists(path):  # noqa: PTH110
        raise StorageError(
            f"{path}: expected a session, encoder, decoder, mask or run, found nothing there; check the path"
        )


def described(path: Path) -> tuple[str, dict[str, Any]]:
    """A title and plain values for whatever is at a path.

    Returns
    -------
    tuple[str, dict[str, Any]]
        Title, and {name: value}.

    Raises
    ------
    VidreconError
        Nothing there, or nothing this program knows.
    """
    from napari_vidrecon.reconstruction.decoder import is_decoder
    from napari_vidrecon.reconstruction.denoiser import is_denoiser

    require_there(path)
    if path.is_dir():
        return (
            _run(path)
            if holds_runs(path) or (path / "zarr.json").exists() or path.suffix == ".zarr"
            else _session(path)
        )
    if is_decoder(path):
        return _decoder(path)
    if is_denoiser(path):
        return _denoiser(path)
    if path.suffix in ENCODER_SUFFIXES:
        return _encoder(path)
    if path.suffix == ".npy":
        return _array(path)
    if path.suffix == ".json":
        return _calibration(path)
    raise StorageError(
        f"{path}: expected a session folder, an encoder ({', '.join(ENCODER_SUFFIXES)}), a decoder, a prior of "
        f"movies, a mask (.npy), a calibration (.json) or a run (.zarr), found a file ending in '{path.suffix}'"
        + ("; unpack it and give the folder in it" if path.suffix.lower() in PACKED else "")
    )


def holds_runs(folder: Path) -> bool:
    """Whether runs lie in a folder, or in its `runs`, as those of studies do, and no sessions."""
    found = any(any(folder.glob(pattern)) for pattern in ("*.zarr", "runs/*.zarr"))
    return found and not (folder / "data").is_dir() and not any(folder.glob("*/meta"))


PACKED = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")


def _session(path: Path) -> tuple[str, dict[str, Any]]:
    from napari_vidrecon.sessions.session import open_session
    from napari_vidrecon.sessions.validation import session_summary

    session = open_session(path)
    summary = session_summary(session)
    semi_real = summary.simulated and (session.simulation or {}).get("semi_real") is True
    kind = "session" + (f" of a {'semi-real' if semi_real else 'simulated'} mouse" if summary.simulated else "")
    return f"{summary.name}: {kind}", {
        "kind": "session",
        "name": summary.name,
        "simulated": summary.simulated,
        **({"semi_real": True} if semi_real else {}),
        "neurons": summary.neurons,
        "cortical_positions": summary.coordinates,
        "trials_by_tier": summary.trials_by_tier,
        "labelled_trials": summary.labelled_trials,
        "clips_by_frames": summary.clips_by_frames,
        "frame_rate_hz": summary.frame_rate_hz,
        "screen_deg": [round(size, 1) for size in summary.screen_deg],
        **({"colours": list(session.screen.colours)} if session.screen.colours else {}),
        **({} if session.recorded_behavior is None else {"behaviour": list(session.recorded_behavior) or "none"}),
        "video_dtype": summary.video_dtype,
        **_terms(session),
        **_activity(session),
    }


def _terms(session: Session) -> dict[str, Any]:
    """Licence, terms and citation: as written down at the download, or told by the name of a public mouse."""
    from napari_vidrecon.sessions.downloading.catalogue import terms_of
    from napari_vidrecon.sessions.metadata import read_terms

    try:
        told = read_terms(session.path)
    except VidreconError as error:
        told = {"licence": f"not read: {error}"}
    told = {**terms_of(session.name), **told}
    return {name: told[name] for name in ("licence", "terms", "citation", "source") if told.get(name)}


def _activity(session: Session) -> dict[str, Any]:
    """What the activity is like beside the public mice; the rest is described where arrays cannot be read."""
    from napari_vidrecon.sessions.activity_figures import activity_figures

    try:
        figures = activity_figures(session)
    except VidreconError as error:
        return {"activity": f"not read: {error}"}
    return {} if figures is None else {"activity": figures.values()}


def _encoder(path: Path) -> tuple[str, dict[str, Any]]:
    from napari_vidrecon.encoders.checkpoints import file_hash, read_encoder_file

    stored = read_encoder_file(path)
    told: dict[str, Any] = {
        name: stored.provenance[name]
        for name in ("simulated", "semi_real", "additions", "licence", "citation")
        if name in stored.provenance
    }
    score = stored.provenance.get("validation_correlation")
    others = [each for each in stored.learned_from if each not in stored.mice]
    return f"{path.name}: encoder", {
        "kind": "encoder",
        "architecture": stored.architecture,
        "readouts": {
            f"{index} ({name})" if name else str(index): number_of(count, "neuron")
            for index, (name, count) in enumerate(zip(stored.mice, stored.neurons, strict=True))
        },
        "input_pixels": [stored.canvas["rows"], stored.canvas["columns"]],
        **({"colours": list(stored.canvas["colours"])} if stored.canvas.get("colours") else {}),
        "window_frames": stored.windows["size"],
        "frame_step": stored.windows["step"],
        "frame_rate_hz": stored.frame_rate_hz,
        **({} if score is None else {"validation_correlation": round(float(score), 4)}),
        **({"its_core_or_a_teacher_learned_from": others} if others else {}),
        **told,
        "sha256": file_hash(path),
    }


def _denoiser(path: Path) -> tuple[str, dict[str, Any]]:
    from napari_vidrecon.reconstruction.denoiser import Denoiser

    denoiser = Denoiser.load(path)
    return f"{path.name}: learned prior of movies", {
        "kind": "denoiser",
        "frame_rate_hz": denoiser.frame_rate_hz,
        "weights": sum(each.numel() for each in denoiser.network.parameters()),
        "use_it_with": f"--set prior=denoiser --set prior.file={path}",
        "sha256": denoiser.sha256,
    }


def _calibration(path: Path) -> tuple[str, dict[str, Any]]:
    from napari_vidrecon.analysis.ensembles import Calibration

    found = Calibration.load(path)
    return f"{path.name}: calibration of the uncertainty", {
        "kind": "calibration",
        **found.model_dump(mode="json"),
        "use_it_with": f"--set uncertainty_scale={found.scale:.3g}",
    }


def _decoder(path: Path) -> tuple[str, dict[str, Any]]:
    from napari_vidrecon.reconstruction.decoder import Decoder

    decoder = Decoder.load(path)
    simulated = bool(decoder.provenance.get("simulated"))
    return f"{path.name}: decoder{' of a simulated mouse' if simulated else ''}", {
        "kind": "decoder",
        "mouse": decoder.mouse,
        "simulated": simulated,
        "neurons": decoder.neurons,
        "trials": decoder.provenance.get("trials"),
        **(
            {"colours": list(decoder.colours), "levels": [round(each, 1) for each in decoder.levels]}
            if decoder.colours
            else {}
        ),
        "lags_frames": list(decoder.lags_frames),
        "causal": decoder.causal,
        "coefficients": len(decoder.frequencies),
        "sha256": decoder.sha256,
    }


def _array(path: Path) -> tuple[str, dict[str, Any]]:
    from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD, TRAINING_THRESHOLD, AlphaMask
    from napari_vidrecon.reconstruction.published import is_published, read_published
    from napari_vidrecon.sessions.screen import USUAL_SCREEN

    if is_published(path):
        return _described_run(path, read_published(path))
    mask = AlphaMask.load(path)
    values = {"kind": "mask", "pixels": list(mask.alpha.shape), "lowest_alpha": round(float(mask.screen.min()), 3)}
    values["highest_alpha"] = round(float(mask.screen.max()), 3)
    for name, threshold in (("training", TRAINING_THRESHOLD), ("evaluation", EVALUATION_THRESHOLD)):
        values[f"{name}_mask_pixels"] = int(mask.binary(threshold).sum())
        values[f"{name}_mask_diameter_deg"] = round(mask.diameter_deg(threshold), 1)
    # A mask's file says of no screen: for a session of another one, `vidrecon mask` told the sizes.
    rows, columns = mask.screen.shape
    cut = (
        f", cut out of {' x '.join(map(str, mask.alpha.shape))} as published"
        if mask.alpha.shape != (rows, columns)
        else ""
    )
    screen = USUAL_SCREEN
    values["read_as"] = (
        f"{rows} x {columns} pixels of grey levels{cut}, on {screen.width_cm:g} x {screen.height_cm:g} cm at "
        f"{screen.distance_cm:g} cm"
    )
    return f"{path.name}: transparency mask", values


def _run(path: Path) -> tuple[str, dict[str, Any]]:
    from napari_vidrecon.reconstruction.results import Reconstruction

    return _described_run(path, Reconstruction.load(path))


def _described_run(path: Path, result: Reconstruction) -> tuple[str, dict[str, Any]]:
    from napari_vidrecon.reconstruction.history import UNCHECKED

    told = result.provenance
    repeats, movies = told.get("repeats") or [], told.get("movies")
    whose = movies.get("source") if isinstance(movies, dict) else None
    kind = "published run" if told.get("published") else "run"
    mouse = " of a simulated mouse" if result.simulated else ""
    return f"{path.name}: {kind}{mouse}", {
        "kind": kind,
        "of": result.name,
        "simulated": result.simulated,
        "finished": result.finished,
        "steps_done": int(max(result.history["step"], default=0)),
        "steps": result.config.steps,
        "preset": result.config.preset_name,
        **({"prior": f"as {whose}"} if whose else {}),
        **({"draws": result.config.update.draws} if result.config.update.draws > 1 else {}),
        **({"presentations": [told["trial"], *(each["trial"] for each in repeats)]} if repeats else {}),
        "frames": len(result.video),
        "frame_rate_hz": result.frame_rate_hz,
        "encoders": told.get("encoder_names", []),
        **({"decoder": _decoder_of(told)} if "decoder" in told else {}),
        "ensemble": told.get("ensemble", "single"),
        **({} if result.has_movie else {"movie": UNCHECKED}),
        "target": told["target"]["kind"] if isinstance(told.get("target"), dict) else told.get("target", "recorded"),
        "neurons": f"{int(result.keep.sum())} of {len(result.keep)}",
        "wall_seconds": told.get("wall_seconds"),
        "device": ", ".join(told.get("devices", [])),
        **{name: round(value, 4) for name, value in result.scores().items()},
        "response_predicted_from": result.config.predicted_from,
        **result.inferred(),
        **({"mice": _rounded(result.scores_by_mouse())} if result.mice else {}),
        **({"colours": _rounded(result.scores_by_colour())} if result.colours else {}),
    }


def _rounded(scores: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Scores of each of several mice or colours."""
    return {name: {score: round(value, 4) for score, value in told.items()} for name, told in scores.items()}


def _decoder_of(told: dict[str, Any]) -> str:
    """Name of the file of a run's decoder; its hash where the run does not say."""
    file = (told.get("inputs") or {}).get("decoder")
    return Path(file).name if file else f"sha256 {told['decoder']}"


def _scores(told: dict[str, Any]) -> str:
    """Of one of several mice or colours, in words."""
    return "; ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in told.items())


def _text(value: object) -> str:
    # Names and notes come from files: a terminal must only show them.
    if isinstance(value, dict):
        parts = ((name, _scores(part) if isinstance(part, dict) else part) for name, part in value.items())
        return one_line(", ".join(f"{name}: {part}" for name, part in parts), LONGEST_TEXT)
    if isinstance(value, list):
        return one_line(", ".join(str(part) for part in value) or "-", LONGEST_TEXT)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else one_line(value, LONGEST_TEXT)
