"""`vidrecon reconstruct`: one or many trials and encoders, to run folders; `vidrecon predict`: the way back."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_vidrecon.cli import inputs, options, report
from napari_vidrecon.cli.options import (
    Device,
    EncoderFiles,
    ForceMouse,
    Frames,
    Json,
    MaskFile,
    MemoryLimit,
    Mouse,
    Overwrite,
    Precision,
    Preset,
    SaveEvery,
    SessionFolder,
    Set,
    TrialNumbers,
    parse_settings,
    read_movie,
)
from napari_vidrecon.cli.report import tell
from napari_vidrecon.errors import ConfigError, RunError, StorageError, VidreconError, number_of

if TYPE_CHECKING:
    import numpy as np

    from napari_vidrecon.cli.driven_run import DrivenRun
    from napari_vidrecon.cli.inputs import OpenedMouse
    from napari_vidrecon.reconstruction.run import Run
    from napari_vidrecon.sessions.session import Session
    from napari_vidrecon.sessions.trial import Trial


MEASURED_TARGETS = ("recorded", "permuted", "averaged")
LONGEST_LIST = 40
"""Letters of trial numbers in a folder's name."""


def reconstruct(
    session: SessionFolder,
    encoder: EncoderFiles,
    mask: MaskFile,
    trial: TrialNumbers = None,
    trials: Annotated[
        str | None,
        typer.Option(metavar="TIER", help='All trials of a tier, "all-test", or "fold:0" as in the paper.'),
    ] = None,
    repeats: Annotated[
        str | None,
        typer.Option(
            metavar="WHICH",
            help='Fit one movie to several presentations of the clip: "all" (found by content) or trials, as 3,7,9.',
        ),
    ] = None,
    with_mouse: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="SESSION",
            help="Fit the movie to this mouse's activity as well: it saw the same clip (found by content). May be "
            "repeated.",
        ),
    ] = None,
    with_encoder: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Encoder of that mouse. Of several mice: in their order, as many for each of them."
        ),
    ] = None,
    with_mask: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help='Mask of that mouse (.npy), or "none"; one for each mouse, in their order.'),
    ] = None,
    with_trial: Annotated[
        list[int] | None,
        typer.Option(metavar="N", help="Trial of that mouse; default: the first that shows the clip."),
    ] = None,
    stimulus: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Show this movie (.npy) instead of a trial; takes a predicted target."),
    ] = None,
    stimulus_name: Annotated[str | None, typer.Option(metavar="NAME", help="Of it; default: the file's.")] = None,
    mouse: Mouse = None,
    decoder: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Start from what this decoder (.safetensors) sees, and stay near it."),
    ] = None,
    preset: Preset = "best",
    steps: Annotated[int | None, typer.Option(help="Optimisation steps; default: the preset's.")] = None,
    stop_after: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="End after N of the steps; without it the same command goes on."),
    ] = None,
    set_: Set = None,
    target: Annotated[
        str, typer.Option(metavar="WHAT", help="recorded, predicted, permuted, averaged (with --repeats), or a file.")
    ] = "recorded",
    target_encoder: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Predicts the target and measures the result; default: the same encoders."),
    ] = None,
    ablate: Annotated[
        float, typer.Option(metavar="FRACTION", help="Leave a random fraction of the neurons out.")
    ] = 0.0,
    ablation_seed: Annotated[int, typer.Option(help="Of the random choice.")] = 0,
    ablation: Annotated[str, typer.Option(help="What becomes of ablated neurons: drop or silence.")] = "drop",
    neurons: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Neurons that take part (.npy): booleans or indices.")
    ] = None,
    mask_threshold: Annotated[float, typer.Option(help="Pixels with alpha from here on are reconstructed.")] = 0.5,
    evaluation_threshold: Annotated[float, typer.Option(help="Pixels with alpha from here on are measured.")] = 1.0,
    ensemble: Annotated[str, typer.Option(help="Several encoders: average their videos or gradients.")] = "videos",
    frames: Frames = None,
    device: Device = "auto",
    precision: Precision = "float32",
    memory: MemoryLimit = None,
    at_once: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Trials at once; for short clips, and to keep a GPU busy."),
    ] = 1,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the run folders go.")] = Path("runs"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace other runs of the same name.")] = False,
    force_mouse: ForceMouse = False,
    save_every: SaveEvery = 30.0,
    json: Json = False,
) -> None:
    """Reconstruct the movies of trials from activity.

    Each trial becomes a run folder (.zarr). A run that was stopped or killed goes on where it was and ends with
    the same result; one that is complete is left alone. All trials are read before the first run begins; should
    one fail nevertheless, those before it that are complete stay.
    """
    from napari_vidrecon.reconstruction.config import ReconstructionConfig
    from napari_vidrecon.reconstruction.flat_names import moved
    from napari_vidrecon.sessions.session import open_session

    changes = parse_settings("--set", set_ or [], ReconstructionConfig, steps=steps)
    config = ReconstructionConfig.preset(preset, **changes)
    if renamed := ", ".join(f"{now} ({name})" for name, now in moved(changes).items()):
        tell(f"--set: now called {renamed}; the old names still work")
    recording = open_session(session)
    if stimulus is not None and (trial or trials or frames or repeats or with_mouse):
        raise ConfigError(
            "--stimulus: expected neither --trial nor --trials nor --repeats nor --frames nor --with-mouse beside it; "
            "leave them out"
        )
    shown = None if stimulus is None else inputs.open_stimulus(recording, stimulus, stimulus_name)
    chosen = inputs.choose_trials(recording, trial or [], trials) if shown is None else [shown.id]
    shared = {} if repeats is None else inputs.choose_repeats(recording, chosen, repeats)
    if repeats is not None:
        chosen = list(shared)
    alpha = inputs.open_mask(mask, recording)
    inputs.warn_of_mask(alpha, evaluation_threshold)
    settings: Any = {"precision": precision, "memory_gib": memory}
    encoders = inputs.open_encoders(encoder, recording, mouse, device, force_mouse, **settings)
    if shown is None and target != "predicted":
        remedy = (
            "scores of clips that it is new to are lower; such are those of its held-out fold, or of tiers but train"
        )
        inputs.warn_of_known_clips(encoders, recording, chosen, remedy)
    measuring = inputs.open_encoders(target_encoder or [], recording, mouse, device, force_mouse, **settings)
    told = None if decoder is None else inputs.open_decoder(decoder, recording, force_mouse=force_mouse)
    companions = inputs.open_mice(
        with_mouse or [], with_encoder or [], with_mask or [], with_trial or [], device, force_mouse, **settings
    )
    kept = options.choose_neurons(recording.n_neurons, ablate, ablation_seed, neurons)
    target_name = Path(target).stem if target.endswith(".npy") else target
    if at_once > 1 and stop_after is not None:
        raise ConfigError("--stop-after: expected one trial at a time, found --at-once; leave one of them out")
    runs = _Runs(
        recording=recording,
        shown=shown,
        shown_name=None if stimulus is None else stimulus_name or stimulus.stem,
        frames=frames,
        repeats=shared,
        companions=companions,
        target=target,
        common={
            "encoders": encoders,
            "mask": alpha,
            "config": config,
            "target_encoders": measuring or None,
            "neurons": kept,
            "ablation": ablation,
            "mask_threshold": mask_threshold,
            "evaluation_threshold": evaluation_threshold,
            "ensemble": ensemble,
            "decoder": told,
        },
        out=out,
        variant=run_variant(frames, target_name, ablate, ablation_seed, ablation, neurons),
        driving={"overwrite": overwrite, "save_every": save_every},
        stop_after=stop_after,
        told=not json,
    )
    # A damaged one is found before the first run, not after many.
    runs.check(chosen[at_once:])
    for first in range(0, len(chosen), at_once):
        runs.drive(chosen[first : first + at_once])
    if json:
        report.print_json({"session": str(recording.path), "simulated": recording.simulated, "runs": runs.finished})


@dataclass(kw_only=True)
class _Runs:
    """The runs of one command, and what became of those that were driven."""

    recording: Session
    shown: Trial | None
    """A stimulus instead of trials."""
    shown_name: str | None
    frames: str | None
    repeats: Mapping[int, Sequence[int]]
    companions: Sequence[OpenedMouse]
    target: str
    common: dict[str, Any]
    """Of `RunInputs`, those that all runs share."""
    out: Path
    variant: str
    driving: dict[str, Any]
    stop_after: int | None
    told: bool
    finished: list[dict[str, Any]] = field(default_factory=list)

    def check(self, trial_ids: Sequence[int]) -> None:
        """Read what the runs of these trials need; raises where something is damaged."""
        for trial_id in trial_ids:
            clip = self._clip(trial_id)
            for each in self.companions:
                each.that_saw(clip, self.recording)
            if self.target in MEASURED_TARGETS:
                clip.require_responses()

    def drive(self, trial_ids: list[int]) -> None:
        """Drive the runs of these trials together, and tell what became of them."""
        try:
            driven = self._driven(trial_ids)
        except VidreconError as error:
            if not self.finished:
                raise
            one = f"the run of {self._name(self.finished[0]['trial'])} is"
            whole = one if len(self.finished) == 1 else f"{len(self.finished)} runs are"
            raise RunError(f"{error}; {whole} complete and kept in {self.out}") from error
        for trial_id, each in zip(trial_ids, driven, strict=True):
            named = {} if self.shown is None else {"stimulus": self.shown_name}
            self.finished.append({"trial": trial_id, **named, **each.summary()})
            if self.told:
                report.say(each.line(self._name(trial_id)))

    def _driven(self, trial_ids: list[int]) -> list[DrivenRun]:
        from napari_vidrecon.cli.driven_run import drive_run, drive_together

        planned = [self._plan(trial_id) for trial_id in trial_ids]
        if len(planned) > 1:
            return drive_together(dict(planned), label=f"trials {', '.join(map(str, trial_ids))}", **self.driving)
        ((path, run),) = planned
        return [drive_run(run, path, label=self._name(trial_ids[0]), stop_after=self.stop_after, **self.driving)]

    def _plan(self, trial_id: int) -> tuple[Path, Run]:
        from napari_vidrecon.reconstruction.inputs import RunInputs
        from napari_vidrecon.reconstruction.run import Run
        from napari_vidrecon.sessions.repeats import repeats_of
        from napari_vidrecon.storage import fitting_name

        clip = self._clip(trial_id)
        others = repeats_of(self.recording, clip, self.repeats[trial_id]) if trial_id in self.repeats else []
        mice = [each.that_saw(clip, self.recording) for each in self.companions]
        target: str | np.ndarray = self.target
        if self.target.endswith(".npy"):
            target = options.read_activity(Path(self.target), self.recording.n_neurons, clip.frames)
        run = Run.plan(RunInputs(clip, target=target, repeats=others, with_mice=mice, **self.common))
        name = f"trial{trial_id}" if self.shown is None else inputs.file_word(self._name(trial_id))
        beside = together_with(others) + beside_mice([each.session.name for each in self.companions])
        return self.out / fitting_name(self.recording.name, f"_{name}{beside}{self.variant}.zarr"), run

    def _clip(self, trial_id: int) -> Trial:
        return inputs.open_trial(self.recording, trial_id, self.frames) if self.shown is None else self.shown

    def _name(self, trial_id: int) -> str:
        return self.shown_name or f"trial {trial_id}"


def together_with(repeats: Sequence[Trial]) -> str:
    """What tells a run of several presentations from that of one, as a part of its name."""
    return _listed("with", [str(each.id) for each in repeats], "others")


def beside_mice(names: Sequence[str]) -> str:
    """What tells a run of several mice from that of one, as a part of its name."""
    return _listed("and", names, "mice")


def _listed(word: str, names: Sequence[str], kind: str) -> str:
    told = "-".join(names)
    if len(told) > LONGEST_LIST:
        # Many names are no name of a folder; what they were stands in the run.
        told = f"{len(names)}{kind}{zlib.crc32(told.encode()):08x}"
    return f"_{word}{told}" if names else ""


def run_variant(frames: str | None, target: str, ablate: float, seed: int, ablation: str, neurons: Path | None) -> str:
    """What tells a run from the usual one of its trial, as a part of its name.

    Parameters
    ----------
    frames
        "START:STOP", or None for the whole trial.
    target
        Kind of target.
    ablate
        Share of the neurons left out, 0..1.
    seed
        Of that choice.
    ablation
        "drop" or "silence".
    neurons
        File of a choice of neurons, or None.

    Returns
    -------
    str
        Begins with "_", or is empty.
    """
    parts = []
    if frames is not None:
        parts.append("frames" + frames.replace(":", "-"))
    if target != "recorded":
        parts.append(target)
    if ablate:
        parts.append(f"ablated{100 * ablate:g}seed{seed}")
    if neurons is not None:
        parts.append(neurons.stem)
    if ablation != "drop" and (ablate or neurons is not None):
        parts.append(ablation)
    return "".join(f"_{part}" for part in parts)


def predict(
    session: SessionFolder,
    encoder: EncoderFiles,
    out: Annotated[Path, typer.Option(metavar="FILE.npy", help="Activity to write, (neurons, frames) float32.")],
    trial: Annotated[int | None, typer.Option(metavar="N", help="Trial whose movie and behaviour are used.")] = None,
    movie: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npy",
            help="Another movie, (frames, 36, 64) grey levels 0..255 at 30 Hz; without --trial, the session's "
            "average behaviour goes with it.",
        ),
    ] = None,
    frames: Frames = None,
    mouse: Mouse = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    force_mouse: ForceMouse = False,
    json: Json = False,
) -> None:
    """Predict activity from a trial's or any movie.

    The predictions of several encoders are averaged.
    """
    import numpy as np

    from napari_vidrecon import metrics
    from napari_vidrecon.encoders.answers import predicted
    from napari_vidrecon.sessions.session import open_session
    from napari_vidrecon.storage import write_array

    if trial is None and movie is None:
        raise ConfigError("vidrecon predict: expected --trial, --movie or both, found neither")
    if trial is None and frames is not None:
        raise ConfigError(f"--frames {frames}: expected a --trial to take them from, found none")
    inputs.require_free(out, overwrite, "the activity", ".npy")
    recording = open_session(session)
    clip = None if trial is None else inputs.open_trial(recording, trial, frames)
    if clip is not None and movie is None and not clip.has_movie:
        raise ConfigError(
            f"{clip.name}: expected a movie to predict activity from, found a trial without one; give --movie"
        )
    video, behavior, pupil_center = _stimulus(recording, clip, movie)
    encoders = inputs.open_encoders(encoder, recording, mouse, device, force_mouse)
    shown = recording.name if trial is None else f"{recording.name}, trial {trial}"
    shown = shown if movie is None else f"{movie.name} shown to {shown}"
    answers = [predicted(each, video, behavior, pupil_center, clip=shown) for each in encoders]
    activity = np.mean(answers, axis=0).astype(np.float32)
    correlation = None
    if clip is not None and clip.labelled and movie is None:
        correlation = metrics.response_correlation(clip.responses, activity)
    write_array(out, activity)
    values = {
        "out": out,
        "neurons": activity.shape[0],
        "frames": activity.shape[1],
        "mean": float(activity.mean()),
        "simulated": recording.simulated,
        "response_correlation": correlation,
    }
    rows = [
        ("activity", f"{number_of(activity.shape[0], 'neuron')} x {number_of(activity.shape[1], 'frame')} -> {out}"),
        ("correlation with recorded", "no recorded activity" if correlation is None else report.number(correlation)),
    ]
    of = f"{report.mouse_name(recording)}, {'movie' if movie else f'trial {trial}'}"
    report.answer(json, values, f"{of}: predicted", rows)


def _stimulus(recording: Session, clip: Trial | None, movie: Path | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Movie, behaviour and eye position of equal length."""
    import numpy as np

    if movie is None:
        assert clip is not None
        return clip.video, clip.behavior, clip.pupil_center
    video = read_movie(movie, recording.screen)
    if clip is None:
        behavior, pupil_center = recording.average_behavior()
        return video, np.tile(behavior[:, None], len(video)), np.tile(pupil_center[:, None], len(video))
    if len(video) > clip.frames:
        raise StorageError(
            f"{movie}: expected at most {clip.frames} frames, as trial {clip.id} has behaviour for, found {len(video)}"
        )
    return video, clip.behavior[:, : len(video)], clip.pupil_center[:, : len(video)]
