"""`vidrecon train`: an encoder, or an ensemble of them, for one's own mice."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from napari_vidrecon.cli import inputs, report
from napari_vidrecon.cli.options import Device, Json, Overwrite, SaveEvery, checked, parse_settings
from napari_vidrecon.cli.report import Progress, StopRequest, duration_text, tell
from napari_vidrecon.errors import ConfigError, EncoderError, VidreconError, number_of

MOST_PROCESSES = 64
STEPS_TO_JUDGE, LONG_LEFT_S = 3, 1800.0
"""A training that will take longer, as its first steps tell, says so, and what to do."""
LONG_TRAINING_S = 10.0
"""A training that took longer says what else of it takes a while: readouts that begin anew, and its end."""
LONG_FITTING_S = 5.0

if TYPE_CHECKING:
    from napari_vidrecon.encoders.training.core import PretrainedCore
    from napari_vidrecon.encoders.training.instances import Instance
    from napari_vidrecon.encoders.training.processes import Processes
    from napari_vidrecon.encoders.training.training_run import TrainingProgress
    from napari_vidrecon.encoders.training_recipe import TrainingRecipe
    from napari_vidrecon.sessions.session import Session


def train(
    session: Annotated[list[Path], typer.Argument(metavar="SESSION...", help="Session folders; one readout each.")],
    out: Annotated[
        Path, typer.Option(metavar="FILE.safetensors", help="Encoder to write; for several instances also a folder.")
    ],
    architecture: Annotated[
        str | None,
        typer.Option(
            help="compact (default), dwiseneuro, factorised, recurrent, viv1t, neuralpredictors or openretina."
        ),
    ] = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="A setting of the training, or a named recipe (small_session, true_batch_001, true_batch_002, "
            "distillation_001); may be repeated.",
        ),
    ] = None,
    instances: Annotated[int, typer.Option(metavar="K", min=1, help="Encoders of an ensemble; seeds follow on.")] = 1,
    held_out_fold: Annotated[
        str | None,
        typer.Option(
            metavar="FOLD",
            help="Learn from all folds (by perceptual hash) but this one, 0 to 6, and score on it; "
            "'each' holds out fold k for instance k. Default: the tiers train and oracle.",
        ),
    ] = None,
    teacher: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Encoder to learn from as well (distillation); may be repeated."),
    ] = None,
    core: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Encoder of other mice: its core is kept as it is, and only new readouts learn."
        ),
    ] = None,
    thaw: Annotated[
        float,
        typer.Option(metavar="SHARE", help="With --core: share of the steps, the last ones, in which it learns too."),
    ] = 0.0,
    seed: Annotated[int | None, typer.Option(help="Instances of one ensemble differ in their seed.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps (compact, factorised: for each mouse).")] = None,
    device: Device = "auto",
    processes: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            max=MOST_PROCESSES,
            help="Share every batch among N processes here, each with a GPU "
            "of its own where there are some. On several machines start the command with torchrun instead.",
        ),
    ] = 1,
    save_every: SaveEvery = 30.0,
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Also log loss and scores for TensorBoard there.")
    ] = None,
    finish: Annotated[
        bool, typer.Option("--finish", help="Do not go on with a stopped training, but write what it has learned.")
    ] = False,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Train an encoder for one or more mice.

    It learns from the train tier and is scored on the oracle tier, or on a held-out fold.
    A training that was stopped or killed goes on where it was and ends with the same weights.
    Its learning curve is written beside it.
    """
    from napari_vidrecon.encoders.checkpoints import choose_device
    from napari_vidrecon.encoders.training.core import chosen_core
    from napari_vidrecon.encoders.training.instances import instance_paths, plan_instances
    from napari_vidrecon.encoders.training.processes import Processes
    from napari_vidrecon.sessions.session import open_session

    together = Processes.of_environment()
    if processes > 1 and together.count == 1:
        _train_in_processes(processes)
    if thaw and core is None:
        raise ConfigError("--thaw: expected --core FILE beside it, found none; leave it out, or give a core")
    given = chosen_core(core, thaw)
    settings = chosen_recipe(architecture, recipe or [], seed=seed, steps=steps, core=given)
    instance_paths(out, instances)
    recordings = [open_session(folder) for folder in session]
    planned = plan_instances(
        recordings,
        settings,
        out,
        instances=instances,
        held_out_fold=held_out_fold,
        teachers=teacher or [],
        core=given,
    )
    names = [recording.name for recording in recordings]
    to_train = [each for each in planned if overwrite or not (instances > 1 and each.is_trained(names))]
    require_free_files(to_train, overwrite)
    chosen = choose_device(device)
    for instance in to_train[:1] if together.is_first else []:
        for each in zip(recordings, instance.training_trials, instance.validation_trials, strict=True):
            inputs.warn_of_clips_in_both(*each, "the validation correlation")
    answers = []
    with StopRequest() as stop:
        for number, instance in enumerate(planned, start=1):
            label = f"training {number} of {instances}" if instances > 1 else "training"
            if instance not in to_train:
                tell(f"{instance.path}: is trained already")
                continue
            answers.append(
                train_instance(
                    instance,
                    recordings,
                    stop,
                    label=label,
                    device=chosen,
                    save_every=save_every,
                    finish=finish,
                    processes=together,
                    board=tensorboard_writer(tensorboard, instance.path.stem) if together.is_first else None,
                )
            )
    if not together.is_first:
        return
    simulated = any(recording.simulated for recording in recordings)
    if json:
        report.print_json({**(answers[0] if instances == 1 else {"instances": answers}), "simulated": simulated})
        return
    title = "encoder of a simulated mouse" if simulated else "encoder"
    for answer in answers:
        report.print_table(title, _in_words(answer, names, given))


def _train_in_processes(processes: int) -> NoReturn:
    """The same command in several processes, and its exit."""
    from napari_vidrecon.encoders.training.processes import start_together

    code, fault = start_together([sys.executable, "-m", "napari_vidrecon.cli", *sys.argv[1:]], processes)
    if fault:
        tell(f"vidrecon: {fault}")
    raise typer.Exit(code)


def _in_words(answer: dict[str, Any], names: Sequence[str], core: PretrainedCore | None) -> list[tuple[str, Any]]:
    correlation = report.number(answer["validation_correlation"])
    return [
        ("file", answer["out"]),
        ("learning curve", answer["learning_curve"]),
        ("mice", ", ".join(names)),
        *_core_in_words(answer, core),
        ("trials", f"{answer['training_trials']} to learn from, {answer['validation_trials']} to score on"),
        ("steps", f"{answer['steps']} in {answer['duration']}"),
        ("validation correlation", f"{correlation} (single trials, mean over neurons)"),
    ]


def _core_in_words(answer: dict[str, Any], given: PretrainedCore | None) -> list[tuple[str, str]]:
    if given is not None:
        learns = f"learns too in the last {100 * given.thaw:.0f} % of the steps" if given.thaw else "kept as it is"
        return [("core", f"of {given.path.name}, {learns}")]
    that = "that of simulated mice that comes along"
    by_chance = "(--recipe pretrained=false: by chance)"
    if answer["begun_with"]:
        return [("core", f"begun with {that}, and learned on {by_chance}")]
    if answer["core"]:
        return [("core", f"{that}, kept as it is, for there is little to learn from {by_chance}")]
    return []


def chosen_recipe(
    architecture: str | None,
    words: Sequence[str],
    *,
    seed: int | None,
    steps: int | None,
    core: PretrainedCore | None = None,
) -> TrainingRecipe:
    """The recipe that the options ask for.

    Parameters
    ----------
    architecture
        Its name, or None to let the recipe's name decide.
    words
        Names of recipes, and NAME=VALUE settings.
    seed
        Of everything drawn; None: as the recipe says.
    steps
        Of the training; None: as the recipe says.
    core
        Whose architecture and sizes are taken; None: the recipe's.

    Returns
    -------
    TrainingRecipe
        Of one architecture.

    Raises
    ------
    ConfigError
        An unknown architecture, name or setting, or a value that cannot be used.
    """
    from napari_vidrecon.encoders.training.architectures import named_recipe, recipe_of

    fields: dict[str, Any] = {}
    for name in [word for word in words if "=" not in word]:
        named, settings = named_recipe(name)
        if architecture not in (None, named):
            raise ConfigError(f"--recipe {name}: expected a recipe of {architecture}, found one of {named}")
        architecture, fields = named, fields | settings
    if core is not None:
        theirs = core.stored.architecture
        if architecture not in (None, theirs):
            raise ConfigError(f"--core {core.path}: expected a core of {architecture}, found one of {theirs}")
        architecture, fields = theirs, core.recipe_fields() | fields
    model = recipe_of(architecture or "compact")
    fields |= parse_settings("--recipe", [word for word in words if "=" in word], model, seed=seed, steps=steps)
    return checked(model, fields)


def require_free_files(planned: Sequence[Instance], overwrite: bool) -> None:
    """Refuse to replace encoders that are already there.

    Raises
    ------
    StorageError
        One is, and `overwrite` is not set.
    """
    for instance in planned:
        inputs.require_free(instance.path, overwrite, "the encoder")


class TrainingProgressBar:
    """What a person sees of a training: a bar of its steps, then one of its scoring, and what takes long.

    Parameters
    ----------
    label
        Beside the bar.
    instance
        What is trained.
    stop
        Asked after every step and every scored trial.
    board
        TensorBoard's writer, or None.
    first_process
        Whether this process is the one of several that tells.
    finish
        Whether a stopped training is only scored and written.

    Attributes
    ----------
    steps_done, seconds
        Of the training, as last heard.
    is_scoring
        Its scoring has begun.
    """

    def __init__(
        self, label: str, instance: Instance, stop: StopRequest, board: Any, *, first_process: bool, finish: bool
    ) -> None:
        self.label, self.instance, self.stop, self.board = label, instance, stop, board
        self.first_process, self.finish = first_process, finish
        self.steps_done, self.seconds, self.is_scoring = 0, 0.0, False
        self._bar: Progress | None = None
        self._begun, self._told_of_fitting = time.monotonic(), False

    def step(self, now: TrainingProgress) -> None:
        """Tell of a step; raises `KeyboardInterrupt` where a person wants to stop."""
        bar = self._bar
        if bar is None:
            bar = self._bar = Progress(self.label, now.steps, done=now.step - 1).__enter__()
        score = "" if math.isnan(now.correlation) else f", validation correlation {now.correlation:.3f}"
        bar.update(now.step, f"loss {now.loss:.4f}{score}")
        self.steps_done, self.seconds = now.step, now.seconds
        if self.board is not None:
            self.board.add_scalar("loss", now.loss, now.step)
            if not math.isnan(now.correlation):
                self.board.add_scalar("validation correlation", now.correlation, now.step)
        if now.step < now.steps:
            self.stop.check()
        if self.first_process:
            self._tell_what_takes_long(now, steps_here=now.step - bar.first)

    def _tell_what_takes_long(self, now: TrainingProgress, steps_here: int) -> None:
        if steps_here == STEPS_TO_JUDGE and now.seconds_left > LONG_LEFT_S:
            tell(
                f"about {duration_text(now.seconds_left)} at this pace; Ctrl-C keeps what is learned, and the same "
                f"command goes on; a GPU, or fewer --steps (of {now.steps}), take less"
            )
        if now.fits_readouts_next and now.seconds > LONG_TRAINING_S:
            tell(
                "the next step begins the readouts anew, with a regression on the core: it takes longer than the others"
            )

    def fitting(self) -> None:
        """Tell, once, why the first step takes so long; raises `KeyboardInterrupt` where a person wants to stop."""
        self.stop.check()
        waited = time.monotonic() - self._begun
        if self._bar is None and not self._told_of_fitting and waited > LONG_FITTING_S and self.first_process:
            self._told_of_fitting = True
            tell("readouts begin with a regression: before the first step that takes a while")

    def scoring(self, done: int, trials: int) -> None:
        """Tell of held-out trials that are scored; raises `KeyboardInterrupt` where a person wants to stop."""
        if done == 0:
            self.close()
            # Where all took no time, this does not either.
            if self.first_process and (self.finish or self.seconds > LONG_TRAINING_S):
                tell(f"scoring on {number_of(trials, 'held-out trial')}")
            self._bar = Progress("scoring", trials, "trials").__enter__()
        elif self._bar is not None:
            self._bar.update(done)
        if done < trials:
            self.is_scoring = True
            self.stop.check()

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.__exit__(None, None, None)


def train_instance(
    instance: Instance,
    recordings: Sequence[Session],
    stop: StopRequest,
    *,
    label: str,
    device: Any,
    save_every: float,
    finish: bool,
    processes: Processes,
    board: Any = None,
) -> dict[str, Any]:
    """Train one encoder with a progress bar.

    Parameters
    ----------
    instance
        Recipe, trials and file.
    recordings
        The mice.
    stop
        Tells when a person wants to stop.
    label
        Beside the bar.
    device
        To train on.
    save_every
        Seconds between two checkpoints.
    finish
        Write what a stopped training has learned, instead of going on with it.
    processes
        Those that share the training.
    board
        TensorBoard's writer, or None.

    Returns
    -------
    dict[str, Any]
        What to tell about it.

    Raises
    ------
    Stopped
        A person stopped it; what is learned is kept in its checkpoint.
    """
    from napari_vidrecon.encoders.checkpoints import read_encoder_file
    from napari_vidrecon.encoders.training.checkpoint import curve_path
    from napari_vidrecon.encoders.training.training_run import checkpoint_path, train_encoder

    checkpoint, steps = checkpoint_path(instance.path), instance.recipe.schedule(len(recordings)).steps
    if checkpoint.exists() and not finish:
        tell(f"going on from {checkpoint}")
    told = TrainingProgressBar(label, instance, stop, board, first_process=processes.is_first, finish=finish)
    try:
        correlation = train_encoder(
            recordings,
            instance.recipe,
            instance.path,
            training_trials=instance.training_trials,
            validation_trials=instance.validation_trials,
            device=device,
            teachers=instance.teachers,
            core=instance.core,
            provenance={"held_out_fold": instance.held_out_fold},
            checkpoint_seconds=save_every,
            finish=finish,
            processes=processes,
            on_progress=told.step,
            on_scoring=told.scoring,
            on_fitting=told.fitting,
        )
    except VidreconError as error:
        if not told.steps_done or not checkpoint.exists():
            raise
        raise EncoderError(
            f"{error}; what was learned before is kept in {checkpoint}: --finish writes it, or remove it"
        ) from error
    except KeyboardInterrupt:
        kept = (
            f"what is learned is kept in {checkpoint}, and the same command goes on from there; "
            "with --finish it writes the encoder as it is"
        )
        where = "while it was scored" if told.is_scoring else f"after step {told.steps_done} of {steps}"
        raise stop.stopped(f"stopped {where}; " + (kept if checkpoint.exists() else "nothing was written")) from None
    finally:
        told.close()
        if board is not None:
            board.close()
    written = read_encoder_file(instance.path).provenance
    return {
        "out": instance.path,
        "learning_curve": curve_path(instance.path),
        "steps": written["steps_done"],
        "core": written.get("core"),
        "begun_with": written.get("begun_with"),
        "seconds": told.seconds,
        "duration": duration_text(told.seconds),
        "training_trials": sum(map(len, instance.training_trials)),
        "validation_trials": sum(map(len, instance.validation_trials)),
        "held_out_fold": instance.held_out_fold,
        "validation_correlation": correlation,
    }


def tensorboard_writer(folder: Path | None, name: str) -> Any:
    """A writer of TensorBoard's log, one run an encoder; None where none is wanted.

    Parameters
    ----------
    folder
        Of the log; None: no log.
    name
        Of the run in it.

    Returns
    -------
    Any
        With `add_scalar(tag, value, step)` and `close()`.

    Raises
    ------
    ConfigError
        TensorBoard is not installed.
    """
    if folder is None:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ConfigError(
            "--tensorboard: expected the package tensorboard, found none installed; pip install tensorboard, or read "
            "the learning curve beside the encoder"
        ) from None
    return SummaryWriter(str(folder / name))
