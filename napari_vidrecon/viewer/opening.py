"""Opening what a person gives the window: a session, a run, the sample, an encoder, a decoder, a mask."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_vidrecon.encoders import ENCODER_SUFFIXES
from napari_vidrecon.errors import RunError, SessionError, VidreconError, number_of
from napari_vidrecon.reconstruction.decoder import Decoder, is_decoder
from napari_vidrecon.reconstruction.masks import FEWEST_PIXELS, AlphaMask
from napari_vidrecon.reconstruction.provenance import check_complete
from napari_vidrecon.reconstruction.recipe import Recipe
from napari_vidrecon.reconstruction.results import Reconstruction
from napari_vidrecon.reconstruction.targets import NeuronSet
from napari_vidrecon.sessions.sample import SAMPLE_TEST_TIER, find_sample
from napari_vidrecon.sessions.session import Session, open_session
from napari_vidrecon.sessions.stimuli.stimulus import STIMULUS_TRIAL, GivenMovie, stimulus_trial
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.storage import reading
from napari_vidrecon.viewer.faults import Faults
from napari_vidrecon.viewer.folders import find_companions, remember_folder
from napari_vidrecon.viewer.model import ReconstructionModel, RunRecord

OPENED = (
    "the folder of a session, of a run or of a recording (suite2p, a project), an NWB file, an encoder "
    f"({', '.join(ENCODER_SUFFIXES)}), a decoder or a mask (.npy)"
)
"""What can be chosen, or dropped on the window."""
ARCHIVE_SUFFIX = ".zip"
"""Of a session that only has to be unpacked, as is told where it is opened."""
MOST_TOLD_APART = 3
"""Of files that nothing here opens; of more one line tells."""
SAMPLE_FRAMES = 64
"""So much of the sample's clips is taken at first: enough to see, and done in well under a minute."""


def open_path(model: ReconstructionModel, path: Path) -> None:
    """Open a session folder, a run folder, an encoder file, a decoder file or a mask file.

    Raises
    ------
    VidreconError
        It is none of them, or cannot be read; one line that says what to do.
    """
    if is_decoder(path):
        load_decoder(model, path)
    elif path.suffix in ENCODER_SUFFIXES:
        _need_session(model, path)
        model.set_encoders([*model.encoder_paths, path] if path not in model.encoder_paths else model.encoder_paths)
    elif path.suffix == ".npy":
        _need_session(model, path)
        load_mask(model, path)
    elif is_run(path):
        open_run(model, path)
    elif _is_foreign(path):
        raise SessionError(f"{path.name}: expected {OPENED}; found another file")
    else:
        open_session_folder(model, path)


def _is_foreign(path: Path) -> bool:
    """Whether it is a file that nothing here opens."""
    known = path.suffix in (*ENCODER_SUFFIXES, ".npy", ARCHIVE_SUFFIX) or is_decoder(path)
    return not known and os.path.isfile(path)  # noqa: PTH113  # has an answer for every path there is


def open_together(
    model: ReconstructionModel,
    paths: Sequence[Path],
    open_one: Callable[[Path], bool],
    kind_of: Callable[[Path], str],
) -> None:
    """Open what a person gave at once: the first session or run stays on the board, and nothing is lost.

    Runs are opened from the last to the first; those of other sessions stay in the list, to compare. Of sessions the
    first that can be opened is, and of recordings the first; a line says where the others are, or that they have to
    come again. Encoders, decoders and masks come last, as they belong to a session.

    Parameters
    ----------
    model
        The state of the window.
    paths
        In the order in which they were given.
    open_one
        Opens one of them, or tells why not; says whether it was opened.
    kind_of
        "session", "run" or "recording"; empty for anything else.
    """
    kinds = {path: kind_of(path) for path in paths}
    sessions, runs, recordings, files = (
        [path for path in paths if kinds[path] == kind] for kind in ("session", "run", "recording", "")
    )
    for path in reversed(runs):
        open_one(path)
    _open_one_session(model, sessions, runs, open_one)
    foreign = [path for path in files if _is_foreign(path)]
    if len(foreign) > MOST_TOLD_APART:
        told = f"{len(foreign)} files, {foreign[0].name} to {foreign[-1].name}: expected {OPENED}; found other files"
        model.message.emit(told, True)
        files = [path for path in files if path not in foreign]
    for path in (*recordings[:1], *files):
        open_one(path)
    here = "" if model.session is None else _same_folder(model.session.path)
    waiting = [path.name for path in sessions if _same_folder(path) != here]
    if model.session is not None and waiting:
        model.message.emit(f"{model.session.name} is shown; open {', '.join(waiting)} with What, Recent.", False)
    if recordings[1:]:
        others = ", ".join(path.name for path in recordings[1:])
        model.message.emit(f"Recordings are imported one by one: give {others} again after this one.", False)


def _open_one_session(
    model: ReconstructionModel, sessions: Sequence[Path], runs: Sequence[Path], open_one: Callable[[Path], bool]
) -> None:
    """The first of them that can be opened, with a run of it on the board if one came along."""
    for path in reversed(sessions[1:]):
        remember_folder(path)
    came_along = {_same_folder(path) for path in runs}

    def of_session() -> list[RunRecord]:
        return [run for run in model.runs if run.path is not None and _same_folder(run.path) in came_along]

    here = "" if model.session is None else _same_folder(model.session.path)
    if here in map(_same_folder, sessions) and of_session():
        # It is open already, with everything that its run was made with.
        return
    if any(open_one(path) for path in sessions) and of_session():
        show_run(model, of_session()[-1])


def is_run(path: Path) -> bool:
    """Whether a folder looks like a saved run."""
    # Unlike Path.is_file this has an answer for every path there is.
    return os.path.isfile(path / "zarr.json")  # noqa: PTH113


def _need_session(model: ReconstructionModel, path: Path) -> None:
    if model.session is None:
        raise RunError(f"{path.name}: open a session first; encoders, decoders and masks belong to one")


def open_session_folder(model: ReconstructionModel, path: Path) -> None:
    """Open a session with the encoders and the mask that lie beside it, and its first clip to reconstruct.

    What lies beside it and is damaged is passed over, with one line.

    Raises
    ------
    SessionError
        One line.
    """
    session = open_session(path)
    found = find_companions(session.path)
    _take_session(model, session, found.encoders)
    if found.mask is not None:
        take_mask(model, found.mask, found.mask_path)
    model.begin_edits()
    if found.passed_over:
        more = f" ({len(found.passed_over) - 1} more were passed over as well)" if len(found.passed_over) > 1 else ""
        model.message.emit(f"Passed over: {found.passed_over[0]}{more}", True)
    model.set_trial(first_trial(session))


def open_sample(model: ReconstructionModel, trial_id: int | None = None, frames: int = SAMPLE_FRAMES) -> None:
    """Open the simulated mouse that comes with the program.

    Parameters
    ----------
    model
        The state of the window.
    trial_id
        Default: the first clip that no encoder was trained on.
    frames
        How much of the clip to take.

    Raises
    ------
    SessionError
        It was left out of this installation.
    """
    sample = find_sample()
    session = open_session(sample.session)
    _take_session(model, session, sample.encoders)
    if sample.mask.exists():
        load_mask(model, sample.mask)
    model.begin_edits()
    held_out = session.trials_in_tier(SAMPLE_TEST_TIER)
    chosen = trial_id if trial_id is not None else (held_out[0] if held_out else first_trial(session))
    model.set_trial(chosen, 0, min(frames, session.clip_frames(chosen)))


def _take_session(model: ReconstructionModel, session: Session, encoders: Sequence[Path]) -> None:
    model.set_session(session)
    model.offer_encoders(list(encoders))
    model.set_encoders(list(encoders[:1]))


def load_decoder(model: ReconstructionModel, path: Path) -> None:
    """Let runs start from the decoder of a file; if it was fitted for a mouse of another name, that is said.

    Raises
    ------
    VidreconError
        No session is open, or it is no decoder of so many neurons.
    """
    _need_session(model, path)
    assert model.session is not None
    chosen = _load_decoder(path, model.session)
    model.set_settings(decoder=chosen)
    if chosen.mouse not in ("", model.session.name):
        text = f"{path.name} was fitted for {chosen.mouse}; it is taken, because the number of neurons is equal."
        model.message.emit(text, False)


def load_mask(model: ReconstructionModel, path: Path) -> None:
    """Take the mask of a file, as `take_mask` does.

    Raises
    ------
    MaskError
        It cannot be read.
    """
    take_mask(model, AlphaMask.load(path), path)


def take_mask(model: ReconstructionModel, mask: AlphaMask, path: Path | None = None) -> None:
    """Take another mask; thresholds that no pixel of it would reach are lowered.

    Parameters
    ----------
    model
        The state of the window.
    mask
        The new one.
    path
        Its file; None for one that has none.
    """
    if model.session is not None:
        mask = mask.for_screen(*model.session.screen.size_px)
    highest = float(mask.screen.max())
    if model.evaluation_threshold > highest or model.training_threshold > highest:
        model.set_thresholds(
            min(model.training_threshold, highest), min(model.evaluation_threshold, highest), undoable=False
        )
    model.set_mask(mask, path)
    measured = int(mask.binary(model.evaluation_threshold).sum())
    if 0 < measured < FEWEST_PIXELS:
        name = "The mask" if path is None else path.name
        text = (
            f"{name} has only {number_of(measured, 'pixel')} to measure in, and correlations over so "
            "few say little: lower the evaluation threshold, or fit another mask."
        )
        model.message.emit(text, False)


def first_trial(session: Session) -> int:
    """The first clip of the oracle tier, else the first whose responses are known, else the first."""
    for trials in (session.trials_in_tier("oracle"), session.labelled, session.trial_ids):
        if trials:
            return trials[0]
    return session.trial_ids[0]


def open_run(model: ReconstructionModel, path: Path) -> RunRecord:
    """Open a saved run and bring back everything it was made with.

    Returns
    -------
    RunRecord
        Among the model's runs.

    Raises
    ------
    VidreconError
        It is no run, or its session is not where it was.
    """
    # The program may go to another folder, and a run that is kept stays where it is.
    path = Path(os.path.abspath(path))  # noqa: PTH100  # a link keeps its name
    record = _kept_of(model, path)
    if record is not None:
        show_run(model, record)
    else:
        result = Reconstruction.load(path)
        check_complete(result.provenance, path)
        with reading(path, RunError, "a complete run"):
            record = _open_loaded(model, result, path)
    if model.going_on:
        model.message.emit(f"{record.name} is open under Results; the movies are those of the run that goes on.", False)
    return record


def _kept_of(model: ReconstructionModel, path: Path) -> RunRecord | None:
    """The run of a folder, by whatever path, where it is one of the session's already."""
    here = _same_folder(path)
    return next((each for each in model.runs if each.path is not None and _same_folder(each.path) == here), None)


def _same_folder(path: Path) -> str:
    # Of a link that ends nowhere it has an answer, too.
    return os.path.realpath(path)


def _open_loaded(model: ReconstructionModel, result: Reconstruction, path: Path) -> RunRecord:
    recipe = Recipe.of(result)
    start = _open_session_of(model, recipe, result, path)
    assert model.session is not None
    with model.one_edit():
        take_over_recipe(model, recipe, result)
    if start is None:
        _show_stimulus(model, recipe.stimulus, result)
    else:
        _set_clip(model, recipe.trial, start, result.video.shape[0])
        model.set_repeats(tuple(each for each in recipe.repeats if each in model.session.tiers))
        if len(result.mice) == len(recipe.mice) + 1:
            model.set_mice(recipe.mice, tuple(result.mice[1:]))
    found = model.recipe()
    # The same files and frames may have another name here.
    place = {name: getattr(found, name) for name in ("session", "frames")}
    files = {"encoders": found.encoders} if _has_encoders(model, recipe, result) else {}
    # With the session it may have come back.
    record = _kept_of(model, path)
    if record is None:
        record = RunRecord(path.stem, result, recipe.changed(**place, **files), path=path)
        model.add_run(record)
    else:
        model.show_run(record)
    if recipe.target == "predicted" and recipe.target_encoders:
        text = (
            f"The run's target was predicted by {len(recipe.target_encoders)} encoders; "
            "Rerun takes those that are ticked under What."
        )
        model.message.emit(text, False)
    return record


def _show_stimulus(model: ReconstructionModel, name: str, result: Reconstruction) -> None:
    """Show what a run was of, where that was no trial; of a live session it may not be known."""
    assert model.session is not None
    stimulus = GivenMovie(name, result.stimulus)
    model.set_stimulus(stimulus, replace(stimulus_trial(stimulus, model.session), has_movie=result.has_movie))


def show_run(model: ReconstructionModel, record: RunRecord) -> None:
    """Put a kept run on the board, with its own clip."""
    if record not in model.runs_here and record.recipe.stimulus:
        _show_stimulus(model, record.recipe.stimulus, record.result)
    elif record not in model.runs_here:
        model.set_trial(record.recipe.trial, *record.recipe.frames)
    model.show_run(record)


def take_over_settings(model: ReconstructionModel, record: RunRecord) -> None:
    """Set mask, neurons and every setting as they were for a run; one step of undo."""
    with model.one_edit():
        take_over_recipe(model, record.recipe, record.result)


def take_over_recipe(model: ReconstructionModel, recipe: Recipe, result: Reconstruction) -> None:
    """Set mask, neurons, files and every setting as they were for a run.

    Parameters
    ----------
    model
        The state of the window.
    recipe
        Of the run.
    result
        Holds the arrays that the recipe speaks of.
    """
    model.set_settings(
        config=recipe.config,
        target=recipe.target if recipe.target in ("recorded", "predicted", "permuted") else "recorded",
        ensemble=recipe.ensemble if recipe.ensemble in ("videos", "gradients") else model.ensemble,
        ablation=recipe.ablation,
    )
    if not np.array_equal(model.mask.alpha, result.own_alpha):
        source = Path(recipe.mask)
        model.set_mask(
            AlphaMask(result.own_alpha, recipe.mask).for_screen(*result.video.shape[1:]),
            source if source.is_file() else None,
        )
    model.set_thresholds(recipe.mask_threshold, recipe.evaluation_threshold)
    model.set_neurons(NeuronSet(result.keep, recipe.neurons, recipe.neuron_details))
    _choose_encoders(model, recipe, result)
    _choose_decoder(model, recipe)


def _open_session_of(model: ReconstructionModel, recipe: Recipe, result: Reconstruction, path: Path) -> int | None:
    """Have the session of a run open, and find where its clip begins; a run that is refused changes nothing.

    Another folder may have the name of the run's session: the one on the board is taken if it fits, else that which the
    run tells of.

    Returns
    -------
    int | None
        As `_start_of_clip`.
    """
    told = str(result.provenance.get("session", ""))
    name = told.rpartition(", trial ")[0] or told.partition(", ")[0]
    opened = model.session if model.session is not None and model.session.name == name else None
    found = recipe.session and Path(recipe.session).is_dir()
    if opened is not None:
        try:
            return _start_of_clip(opened, recipe, result, path)
        except VidreconError:
            if not found or _same_folder(Path(recipe.session)) == _same_folder(opened.path):
                raise
    if not found:
        raise RunError(f"{path.name}: was made from session {name}; open that session first, then the run")
    start = _start_of_clip(open_session(Path(recipe.session)), recipe, result, path)
    open_session_folder(model, Path(recipe.session))
    return start


def _encoders_here(model: ReconstructionModel, recipe: Recipe, result: Reconstruction) -> tuple[list[Path], list[str]]:
    """The files of a run's encoders, or those of their names among the listed ones; and the names not found."""
    files = [Path(path) for path in recipe.encoders]
    if files and all(path.exists() for path in files):
        return files, []
    known = {path.name: path for path in model.encoder_files}
    names = result.provenance.get("encoder_names", [])
    return [known[name] for name in names if name in known], [name for name in names if name not in known]


def _has_encoders(model: ReconstructionModel, recipe: Recipe, result: Reconstruction) -> bool:
    files, missing = _encoders_here(model, recipe, result)
    return not missing and files == model.encoder_paths


def _choose_encoders(model: ReconstructionModel, recipe: Recipe, result: Reconstruction) -> None:
    files, missing = _encoders_here(model, recipe, result)
    if missing:
        told = ", ".join(missing)
        model.message.emit(f"The run's encoder {told} was not found; add it under What to run again.", False)
    if files:
        model.set_encoders(files)
    # Studies may name a readout; where only the name is known, the number of neurons tells which it is.
    mouse = recipe.mouse if isinstance(recipe.mouse, int) else None
    if recipe.encoders and mouse != model.mouse:
        model.set_settings(mouse=mouse)


def _choose_decoder(model: ReconstructionModel, recipe: Recipe) -> None:
    present = "" if model.decoder is None else model.decoder.sha256
    if recipe.decoder_content == present:
        return
    found = _decoder_again(model, recipe) if recipe.decoder_content and recipe.decoder else None
    if recipe.decoder_content and found is None:
        name = f" {Path(recipe.decoder).name}" if recipe.decoder else ""
        model.message.emit(f"The run's decoder{name} was not found; choose it under What to run again.", False)
    model.set_settings(decoder=found)


def _decoder_again(model: ReconstructionModel, recipe: Recipe) -> Decoder | None:
    """The decoder of a run's file if it is still the one of the run."""
    assert model.session is not None
    try:
        found = _load_decoder(Path(recipe.decoder), model.session)
    except VidreconError:
        return None
    return found if found.sha256 == recipe.decoder_content else None


def _load_decoder(path: Path, session: Session) -> Decoder:
    decoder = Decoder.load(path)
    decoder.require_neurons(session.n_neurons, session.name, path.name)
    screen, rate_hz = session.screen, session.frame_rate_hz
    decoder.require_screen(screen.size_px, screen.colours, session.name, path.name, frame_rate_hz=rate_hz)
    return decoder


def _start_of_clip(session: Session, recipe: Recipe, result: Reconstruction, path: Path) -> int | None:
    """The frame of its trial with which a run of this session begins; None if it is of a stimulus."""
    if result.keep.shape != (session.n_neurons,):
        told, there = result.keep.size, session.n_neurons
        raise RunError(f"{path.name}: was made from {told} neurons, but {session.name} has {there}")
    size = result.video.shape[1:]
    if size != session.screen.size_px:
        told_px, there_px = (" x ".join(map(str, each)) for each in (size, session.screen.size_px))
        raise RunError(
            f"{path.name}: was made from a screen of {told_px} pixels, but that of {session.path} has {there_px}; "
            "open the session that it was made from first"
        )
    if recipe.stimulus or recipe.trial == STIMULUS_TRIAL:
        return None
    if recipe.trial not in session.tiers:
        raise RunError(f"{path.name}: was made from trial {recipe.trial}, which {session.name} does not have")
    trial = session.trial(recipe.trial)
    # Runs of earlier versions may not say where in the trial they begin.
    for start in (recipe.frames[0], *range(trial.frames)):
        if _holds(trial, start, result.stimulus):
            return start
    raise RunError(f"{path.name}: was made from another movie than trial {recipe.trial} of {session.name}")


def _holds(trial: Trial, start: int, stimulus: np.ndarray) -> bool:
    part = trial.video[start : start + len(stimulus)]
    return part.shape == stimulus.shape and bool((part[0] == stimulus[0]).all()) and np.array_equal(part, stimulus)


def _set_clip(model: ReconstructionModel, trial_id: int, start: int, frames: int) -> None:
    assert model.session is not None
    whole = start == 0 and frames == model.session.clip_frames(trial_id)
    clip: tuple[int, int | None] = (0, None) if whole else (start, start + frames)
    if model.trial is None or model.trial.id != trial_id or model.clip != clip:
        model.set_trial(trial_id, *clip)


def try_to(model: ReconstructionModel, action: Callable[..., object], *arguments: object) -> bool:
    """Call something that may find fault with its input; the fault becomes a message.

    Parameters
    ----------
    model
        Takes the message.
    action
        What to call.
    arguments
        Given to it.

    Returns
    -------
    bool
        Whether it worked.
    """
    with Faults(model.message.emit):
        action(*arguments)
        return True
    return False
