"""One training run: a step, its state, and what it has learned so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import torch
from pydantic import ValidationError
from torch import nn

from napari_vidrecon.encoders.architecture import Architecture, ReadoutFit, config_values
from napari_vidrecon.encoders.checkpoints import save_encoder
from napari_vidrecon.encoders.encoder import EncoderSpec
from napari_vidrecon.encoders.stored_encoder import READOUTS, sizes_of_a_mouse
from napari_vidrecon.encoders.training.architectures import TrainableArchitecture, architecture_of
from napari_vidrecon.encoders.training.batches import (
    Answer,
    Batches,
    DrawingAhead,
    MixedBatch,
    distilled_weight,
    poisson_loss,
)
from napari_vidrecon.encoders.training.checkpoint import (
    LearningCurve,
    TrainingCheckpoint,
    load_optimizer,
    optimizer_tensors,
)
from napari_vidrecon.encoders.training.core import PretrainedCore, Teacher, first_core
from napari_vidrecon.encoders.training.processes import Processes
from napari_vidrecon.encoders.training.readout_fit import first_places, fit_readouts, start_readouts
from napari_vidrecon.encoders.training.samples import SampleStatistics, SessionSamples
from napari_vidrecon.encoders.training_recipe import TrainingRecipe
from napari_vidrecon.encoders.window_encoder import WindowEncoder
from napari_vidrecon.errors import ConfigError, EncoderError, SessionError, number_of
from napari_vidrecon.settings import first_fault
from napari_vidrecon.storage import reading

if TYPE_CHECKING:
    from napari_vidrecon.sessions.session import Session

TRAINING_TIER = "train"
PROCESS_APART = 2**40
"""Keeps the dropout of one process apart from another's."""
MEMORY_SHARE = 0.4
"""Of the memory that is free at the start; trials are kept in it, and read again beyond it."""


class AveragedWeights:
    """Exponential moving average of every entry of a module's state, batch norm's statistics included.

    Parameters
    ----------
    module
        Whose weights are averaged.
    decay
        Share of the old average that a step keeps.
    warmup
        Keep less of it during the first steps, when the weights still change fast.
    """

    def __init__(self, module: nn.Module, decay: float, *, warmup: bool) -> None:
        self.decay, self.warmup = decay, warmup
        self.state = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Take in the weights after a step, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step)) if self.warmup else self.decay
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value, 1.0 - decay)
            else:
                self.state[name].copy_(value)


class MixedPrecision:
    """Forward and backward of a step in one of two ways, chosen at the start.

    Parameters
    ----------
    device
        "cuda" or another kind of device.
    wanted
        Whether 16-bit floats were asked for; they are used on a CUDA device only.
    """

    def __init__(self, device: str, wanted: bool) -> None:
        self.device, self.enabled = device, wanted and device == "cuda"
        self.scaler = torch.amp.GradScaler(device, enabled=self.enabled)

    def forward(self) -> AbstractContextManager[Any]:
        """Within it, a forward pass uses 16-bit floats where they are safe."""
        return torch.autocast(self.device, dtype=torch.float16 if self.enabled else None, enabled=self.enabled)

    def backward(self, loss: torch.Tensor) -> None:
        """Add the loss's gradients, scaled."""
        self.scaler.scale(loss).backward()

    def update(self, module: nn.Module, optimizer: torch.optim.Optimizer, norm_limit: float) -> None:
        """One step of the optimiser; skipped, as published, where 16-bit gradients overflowed.

        Parameters
        ----------
        module
            Whose weights are changed.
        optimizer
            Of these weights.
        norm_limit
            Longest gradient, 0 for no limit.
        """
        if norm_limit:
            self.scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(module.parameters(), norm_limit)
        self.scaler.step(optimizer)
        self.scaler.update()

    def state(self) -> dict[str, Any]:
        """Plain values a later process needs to go on to the same bits."""
        return self.scaler.state_dict()

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        if state:
            self.scaler.load_state_dict(state)


def _require_one_screen(sessions: Sequence[Session]) -> None:
    """Refuse mice that share no screen: one core sees all their movies."""
    first = sessions[0]
    for session in sessions[1:]:
        told = [f"{each.screen.in_words} at {each.frame_rate_hz:g} Hz" for each in (first, session)]
        if told[0] != told[1]:
            raise EncoderError(
                f"{session.path}: expected movies of {told[0]}, as those of {first.name}, found {told[1]}; "
                "train on mice of one screen at a time"
            )


class Trainer:
    """One training run of an encoder on one or more sessions; no files but its checkpoint, no loop.

    Parameters
    ----------
    sessions
        Each gets a readout of its own.
    recipe
        Every setting.
    training_trials
        For each session the trials to learn from; default: its training tier.
    device
        Where it runs.
    teachers
        Encoder files whose predictions it also learns from.
    architecture
        How the module is built and run; default: the recipe's.
    core
        What other mice trained, instead of one that learns from nothing.
    processes
        Those that share this training; default: this one alone.
    on_fitting
        Called about once a second while readouts begin by a regression; what it raises leaves everything as before.

    Attributes
    ----------
    module, averaged
        The weights that learn, and {name: tensor} their average, which is kept.
    step_index
        Steps done.
    half_way
        A step was interrupted, and the weights are of no use for going on.
    curve
        What every step said.
    begun_with
        The core that came along and was put into the module before the first step; None: chance.
    largest_mean
        Of all neurons the largest mean response, for messages.
    """

    def __init__(
        self,
        sessions: Sequence[Session],
        recipe: TrainingRecipe,
        training_trials: Sequence[list[int]] | None = None,
        device: torch.device | str = "cpu",
        *,
        teachers: Sequence[Path | str] = (),
        architecture: TrainableArchitecture | None = None,
        core: PretrainedCore | None = None,
        processes: Processes | None = None,
        on_fitting: Callable[[], None] | None = None,
    ) -> None:
        self.processes, self.on_fitting = processes or Processes(), on_fitting
        self.sessions, self.recipe = list(sessions), recipe
        self.device = self.processes.device(torch.device(device))
        self.processes.join(self.device)
        self.architecture = architecture or architecture_of(recipe)
        _require_one_screen(self.sessions)
        self.windows = recipe.windows(self.sessions[0].frame_rate_hz)
        trials = training_trials or [session.trials_in_tier(TRAINING_TIER) for session in sessions]
        memory = int(MEMORY_SHARE * psutil.virtual_memory().available / len(self.sessions) / self.processes.count)
        self.samples = [
            SessionSamples(session, ids, self.windows, memory) for session, ids in zip(sessions, trials, strict=True)
        ]
        self.schedule = recipe.schedule(len(self.sessions))
        self.teachers = [Teacher(path, self.sessions, self.windows, self.device) for path in teachers]
        if self.teachers and len(self.sessions) == 1 and recipe.distilled_pairs == "other_mice":
            raise EncoderError(
                "distillation: expected several mice, because a teacher answers for the mice that did not see a "
                "window, found one; give distilled_pairs=all to learn from it for the same mouse"
            )
        statistics = [samples.statistics() for samples in self.samples]
        for samples, each in zip(self.samples, statistics, strict=True):
            if not each.response_mean.any():
                raise SessionError(
                    f"{samples.session.path}: expected activity to learn from, found 0 of all neurons in all of its "
                    f"{number_of(len(samples.trial_ids), 'training trial')}, as where responses are withheld"
                )
        self.largest_mean = max(float(each.response_mean.max()) for each in statistics)
        self.neutral_behaviors = [each.behavior_mean for each in statistics]
        rows, columns = self.samples[0].arrays(self.samples[0].trial_ids[0]).video.shape[1:]
        canvas = self.architecture.canvas(rows, columns)
        self.canvas, self.core = replace(canvas, colours=self.sessions[0].screen.colours), core
        if core is not None:
            core.require_screen(self.canvas, self.sessions[0].frame_rate_hz, self.sessions[0].name)
        self.batches = Batches(self.samples, recipe, self.canvas, self.device)
        self.drawn = DrawingAhead(self.batches) if self.device.type == "cuda" else self.batches
        self.module = self._built(statistics)
        if core is not None:
            core.place(self.module)
            start_readouts(self.module, fit_readouts(self.module, self.batches, on_fitting))
        self.begun_with = self._begin_trained()
        self.optimizer = torch.optim.AdamW(
            self.module.parameters(),
            lr=self.schedule.peak,
            weight_decay=recipe.weight_decay,
            betas=recipe.betas,
        )
        self.precision = MixedPrecision(self.device.type, recipe.mixed_precision)
        self._averaged = AveragedWeights(self.module, recipe.ema_decay, warmup=recipe.ema_warmup)
        self.curve = LearningCurve()
        self.step_index = 0
        self.half_way = False

    def _built(self, statistics: Sequence[SampleStatistics]) -> nn.Module:
        neurons = [session.n_neurons for session in self.sessions]
        with self._chance(self.recipe.seed):
            try:
                module = self.architecture.build(neurons, self.canvas, statistics).to(self.device)
            except ValidationError as raised:
                raise ConfigError(first_fault(raised, "recipe")) from None
        # On a canvas of another shape, or of colours one below the other, the screen's places are not the map's.
        screen = (self.canvas.rows, self.canvas.columns) == (self.canvas.screen_rows, self.canvas.screen_columns)
        if isinstance(module, Architecture) and module.looks_at_points and screen and not self.canvas.colours:
            for mouse, samples in enumerate(self.samples):
                module.look_at(mouse, first_places(samples, self.on_fitting).to(self.device))
        return module

    def _begin_trained(self) -> PretrainedCore | None:
        """The core that comes along, put into the encoder; None where none is wanted, or none suits."""
        found = None if self.core is not None else first_core(self.recipe, self.sessions[0])
        if found is not None:
            found.place(self.module)
        return found

    def fits_readouts_before(self, step: int) -> bool:
        """Whether readouts begin (anew) with a regression on the core before this step, counted from 0."""
        if self.core is not None:
            return False
        if self.begun_with is not None:
            return step == 0
        return self.recipe.fits_readouts_before(step, self.schedule.steps)

    def read_trials(self) -> None:
        """Read every training trial once, into the memory that it is drawn from as far as there is room.

        Raises
        ------
        SessionError
            One cannot be read, or has no responses.
        """
        for samples in self.samples:
            for trial_id in samples.trial_ids:
                samples.arrays(trial_id)

    @property
    def averaged(self) -> dict[str, torch.Tensor]:
        """The averaged weights by name."""
        return self._averaged.state

    def step(self) -> float:
        """One optimiser step; returns its Poisson loss.

        Returns
        -------
        float
            Without the architecture's penalty.

        Raises
        ------
        EncoderError
            The loss is not finite.
        """
        recipe = self.recipe
        if self.fits_readouts_before(self.step_index):
            fits = fit_readouts(self.module, self.batches, self.on_fitting)
            self.half_way = True
            self._begin_readouts(fits)
        self.half_way = True
        rate = self.schedule.rate_at(self.step_index)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        # Drawn alike by all processes, each of which then takes its part.
        batch, share = self.processes.part_of(self.drawn.draw(self.step_index))
        value = 0.0
        self.module.train()
        if self.core is not None:
            self.core.prepare(self.module, self.step_index, self.schedule.steps)
        # Dropout is a function of seed and step alone, so that a resumed run repeats it.
        chance = recipe.seed * 1_000_003 + self.step_index + self.processes.rank * PROCESS_APART
        with self._chance(chance), self._repeatable():
            for part in batch.cut(recipe.accumulated_parts):
                with self.precision.forward():
                    loss = self._loss(part)
                    penalty = self.architecture.penalty(self.module)
                    total = loss if penalty is None else loss + penalty
                self.precision.backward(total * (share / recipe.accumulated_parts))
                value += float(loss.detach()) * share / recipe.accumulated_parts
            self.processes.add_up(self.module)
            value = self.processes.sum(value, self.device)
            self.precision.update(self.module, self.optimizer, recipe.gradient_norm_limit)
        self.update_average()
        self.step_index += 1
        if not np.isfinite(value):
            raise EncoderError(
                f"training step {self.step_index}: the loss is {value}; lower the learning rate "
                f"({self.schedule.peak:g}), or rescale the responses, whose mean reaches {self.largest_mean:.3g} "
                "(`vidrecon info` of the session names a factor where its units are unusual)"
            )
        self.curve.add(self.step_index, value, rate)
        self.half_way = False
        return value

    def _begin_readouts(self, fits: Sequence[ReadoutFit | None]) -> None:
        """Readouts begin anew, and with them what the optimiser and the average know of them."""
        if not start_readouts(self.module, fits):
            return
        for name, parameter in self.module.named_parameters():
            if name.startswith(READOUTS):
                self.averaged[name].copy_(parameter.detach())
                for value in self.optimizer.state.get(parameter, {}).values():
                    value.zero_()

    def _loss(self, batch: MixedBatch) -> torch.Tensor:
        recipe = self.recipe
        shared = self.architecture.shared(self.module, self.seen(batch))

        def activity(mouse: int, rows: torch.Tensor) -> torch.Tensor:
            everyone = len(rows) == len(batch.inputs)
            mine = shared if everyone else tuple(each[rows.to(self.device)] for each in shared)
            return self.architecture.activity(self.module, mine, mouse)

        answers = [Answer(activity(mouse, rows), batch.targets[mouse], 1.0) for mouse, rows in batch.rows.items()]
        if self.teachers:
            everyone = torch.arange(len(batch.inputs))
            pairs = []
            for mouse in range(len(self.sessions)):
                seen = torch.isin(everyone, batch.rows.get(mouse, everyone[:0]))
                rows = everyone if recipe.distilled_pairs == "all" else everyone[~seen]
                if len(rows):
                    pairs.append((mouse, rows))
            weight = distilled_weight(recipe.distillation_ratio, len(batch.inputs), sum(len(rows) for _, rows in pairs))
            for mouse, rows in pairs if weight else []:
                inputs = batch.inputs[rows.to(self.device)]
                taught = [teacher.activity(inputs, self.canvas, mouse) for teacher in self.teachers]
                answers.append(Answer(activity(mouse, rows), torch.stack(taught).mean(dim=0), weight))
        return poisson_loss(answers, epsilon=recipe.loss_epsilon, summed=recipe.loss_sum)

    def seen(self, batch: MixedBatch) -> torch.Tensor:
        """The inputs, each window as the mouse sees it whose activity goes with it."""
        if not isinstance(self.module, Architecture):
            return batch.inputs
        if len(batch.rows) == 1:
            return self.module.seen(batch.inputs, *batch.rows)
        parts = [self.module.seen(batch.inputs[rows.to(self.device)], mouse) for mouse, rows in batch.rows.items()]
        return torch.cat(parts)[torch.cat(list(batch.rows.values())).argsort().to(self.device)]

    def update_average(self) -> None:
        """Take the weights of this step into their running mean."""
        self._averaged.update(self.module, self.step_index)

    @contextmanager
    def _chance(self, seed: int) -> Iterator[None]:
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            yield

    @contextmanager
    def _repeatable(self) -> Iterator[None]:
        # The fastest convolutions of cuDNN add up in another order in every run.
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, benchmark=False, allow_tf32=False):
            yield

    def encoder(self, mouse: int = 0) -> WindowEncoder:
        """The encoder with averaged weights, bound to one of the sessions."""
        mine = f"readouts.{mouse}."
        state = {
            name.replace(mine, "readouts.0.", 1) if name.startswith(mine) else name: value
            for name, value in self.averaged.items()
            if name.startswith(mine) or not name.startswith("readouts.")
        }
        session = self.sessions[mouse]
        config = type(self.module.config)(**sizes_of_a_mouse(self._config(), mouse, session.n_neurons))
        module = type(self.module)(config)
        module.load_state_dict(state)
        spec = EncoderSpec(
            name="encoder in training",
            architecture=self.recipe.architecture,
            neurons=session.n_neurons,
            mouse=session.name,
            canvas=self.canvas,
            windows=self.windows,
            frame_rate_hz=session.frame_rate_hz,
        )
        return WindowEncoder(module, spec, self.device, self.neutral_behaviors[mouse])

    def _behavior(self) -> dict[str, list[str]]:
        """Names of the behaviour that all its mice have; nothing where one of them does not tell."""
        told = [session.recorded_behavior for session in self.sessions]
        if any(each is None for each in told):
            return {}
        return {"behavior": [name for name in told[0] or () if all(name in (each or ()) for each in told)]}

    def _neutral_behavior(self) -> dict[str, Any]:
        """What stands in for behaviour in a clip without it: the mean over mice, and that of each of several."""
        each = [[float(value) for value in mean] for mean in self.neutral_behaviors]
        told: dict[str, Any] = {"neutral_behavior": [float(value) for value in np.mean(each, axis=0)]}
        return told | ({"neutral_behaviors": each} if len(each) > 1 else {})

    def _config(self) -> dict[str, Any]:
        return config_values(self.module.config)

    def save_encoder(self, path: Path | str, provenance: dict[str, Any]) -> None:
        """Write the averaged weights as an encoder file.

        Raises
        ------
        EncoderError
            They are not finite.
        """
        bad = [name for name, value in self.averaged.items() if not bool(value.isfinite().all())]
        if bad:
            raise EncoderError(
                f"{path}: expected finite weights after {self.step_index} steps, found NaN or infinity in {bad[0]}; "
                f"nothing was written; lower the learning rate ({self.schedule.peak:g})"
            )
        save_encoder(
            path,
            self.module,
            architecture=self.recipe.architecture,
            mice=[session.name for session in self.sessions],
            canvas=self.canvas,
            windows=self.windows,
            frame_rate_hz=self.sessions[0].frame_rate_hz,
            state=self.averaged,
            provenance={
                "training": self.recipe.model_dump(),
                "training_trials": [len(samples.trial_ids) for samples in self.samples],
                "teachers": [teacher.sha256 for teacher in self.teachers],
                **(
                    {"teacher_mice": sorted({each for one in self.teachers for each in one.mice})}
                    if self.teachers
                    else {}
                ),
                "steps_done": self.step_index,
                "simulated": any(session.simulated for session in self.sessions),
                **self._neutral_behavior(),
                "movies": self._movies(),
                **({} if self.core is None else {"core": self.core.told}),
                **({} if self.begun_with is None else {"begun_with": self.begun_with.told}),
                "neurons": {session.name: session.neuron_keys for session in self.sessions},
                **self._behavior(),
                **getattr(self.module, "made_of", {}),
                **provenance,
            },
        )

    def _movies(self) -> dict[str, Any] | None:
        # Of the first mouse: those of one study see movies of one kind, and a session's own come before these.
        told = self.sessions[0].movie_statistics()
        return None if told is None else told.model_dump()

    def identity(self) -> dict[str, Any]:
        """Plain values that say which training this is; only the same one can go on from its checkpoint."""
        return {
            "recipe": self.recipe.model_dump(),
            "config": self._config(),
            "mice": [session.name for session in self.sessions],
            "trials": [samples.trial_ids for samples in self.samples],
            "teachers": [teacher.sha256 for teacher in self.teachers],
            "device": self.device.type,
            **({} if self.core is None else {"core": self.core.identity}),
            **({} if self.processes.count == 1 else {"processes": self.processes.count}),
        }

    def save_checkpoint(self, path: Path | str) -> None:
        """Write everything a later process needs to go on to the same bits."""
        tensors = {
            "module": self.module.state_dict(),
            "averaged": self.averaged,
            "optimizer": optimizer_tensors(self.optimizer),
            "curve": {"rows": self.curve.as_tensor()},
        }
        TrainingCheckpoint(self.identity(), self.step_index, tensors, self.precision.state()).write(path)

    def load_checkpoint(self, path: Path | str) -> None:
        """Go on where `save_checkpoint` was.

        Raises
        ------
        EncoderError
            Damaged, or of another recipe, session or kind of device.
        """
        stored = TrainingCheckpoint.read(path, self.identity(), self.recipe.before)
        stored.check_fit(path, self.module)
        with reading(path, EncoderError, "a training checkpoint"):
            curve = LearningCurve.from_tensor(stored.tensors["curve"]["rows"])
            self.module.load_state_dict(stored.tensors["module"])
            self._averaged.state = {name: value.to(self.device) for name, value in stored.tensors["averaged"].items()}
            load_optimizer(self.optimizer, stored.tensors.get("optimizer", {}))
            self.precision.load_state(stored.scaler)
        self.curve = curve
        self.step_index = stored.step
