"""Training an encoder: a step, its state, and a loop that can be killed and resumed to the same bits."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from napari_vidrecon.encoders.checkpoints import save_encoder
from napari_vidrecon.encoders.compact import Compact, CompactConfig
from napari_vidrecon.encoders.encoder import Canvas, EncoderSpec
from napari_vidrecon.encoders.training.recipe import TrainingRecipe
from napari_vidrecon.encoders.training.samples import SessionSamples
from napari_vidrecon.encoders.window_encoder import WindowEncoder
from napari_vidrecon.encoders.windows import FrameWindows
from napari_vidrecon.errors import EncoderError, SessionError
from napari_vidrecon.storage import replacing_file

if TYPE_CHECKING:
    from napari_vidrecon.sessions.session import Session

POISSON_EPSILON = 1e-8
TRAINING_TIER = "train"
VALIDATION_TIER = "oracle"
SKIPPED_FRAMES = 50
"""The competition's score leaves out the first frames of every clip (Sensorium 2023)."""


@dataclass(frozen=True)
class TrainingProgress:
    """Where a training run is: step (done), steps, loss of the last step, validation correlation or NaN."""

    step: int
    steps: int
    loss: float
    correlation: float
    seconds: float

    @property
    def seconds_left(self) -> float:
        """Estimated from the mean time a step."""
        return self.seconds / max(self.step, 1) * (self.steps - self.step)


class Trainer:
    """One training run of a compact encoder on one or more sessions.

    Parameters
    ----------
    sessions : each gets a readout of its own; steps go round them in turn.
    recipe : every setting.
    training_trials : for each session the trials to learn from; default: its training tier.
    """

    def __init__(
        self,
        sessions: list[Session],
        recipe: TrainingRecipe,
        training_trials: list[list[int]] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        if recipe.architecture != "compact":
            raise EncoderError(f"architecture {recipe.architecture!r}: only 'compact' can be trained")
        self.sessions, self.recipe, self.device = sessions, recipe, torch.device(device)
        self.windows = FrameWindows()
        trials = training_trials or [trials_of_tier(session, TRAINING_TIER) for session in sessions]
        self.samples = [
            SessionSamples(session, ids, self.windows) for session, ids in zip(sessions, trials, strict=True)
        ]
        statistics = [samples.statistics() for samples in self.samples]
        rows, columns = self.samples[0].arrays(self.samples[0].trial_ids[0]).video.shape[1:]
        self.config = CompactConfig(
            readout_outputs=tuple(session.n_neurons for session in sessions),
            rows=rows,
            columns=columns,
            frames=self.windows.size,
            features=recipe.features,
            temporal_kernels=recipe.temporal_kernels,
            expansion_ratio=recipe.expansion_ratio,
            drop_rate=recipe.drop_rate,
            behavior_mean=tuple(float(x) for x in np.mean([s.behavior_mean for s in statistics], axis=0)),
            behavior_sd=tuple(float(x) for x in np.mean([s.behavior_sd for s in statistics], axis=0)),
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.module = Compact(self.config)
        self.module.start_from_means([torch.as_tensor(each.response_mean) for each in statistics])
        self.module.to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.module.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.averaged = {name: value.clone() for name, value in self.module.state_dict().items()}
        self.step_index = 0
        self.half_way = False

    def step(self) -> float:
        """One optimiser step; returns its Poisson loss (mean over windows, neurons and frames)."""
        self.half_way = True
        recipe = self.recipe
        mouse = self.step_index % len(self.samples)
        batch = self.samples[mouse].draw(recipe.batch_size, recipe.seed, self.step_index)
        video = torch.as_tensor(batch.video, device=self.device)
        behavior = torch.as_tensor(batch.behavior, device=self.device)
        target = torch.as_tensor(batch.responses, device=self.device)
        planes = behavior[..., None, None].expand(-1, -1, -1, *video.shape[-2:])
        self.module.train()
        with torch.random.fork_rng(devices=[]):
            # Dropout is a function of seed and step alone, so that a resumed run repeats it.
            torch.manual_seed(recipe.seed * 1_000_003 + self.step_index)
            prediction = self.module(torch.cat([video[:, None], planes], dim=1), mouse)
        loss = (prediction - target * torch.log(prediction + POISSON_EPSILON)).mean()
        penalty = recipe.smoothness * self.module.stem_roughness()
        self.optimizer.param_groups[0]["lr"] = recipe.rate_at(self.step_index)
        self.optimizer.zero_grad(set_to_none=True)
        (loss + penalty).backward()
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), recipe.gradient_norm_limit)
        self.optimizer.step()
        self._average()
        self.step_index += 1
        self.half_way = False
        value = float(loss.detach())
        if not np.isfinite(value):
            raise EncoderError(
                f"training step {self.step_index}: the loss is {value}; lower the learning rate "
                f"({recipe.learning_rate})"
            )
        return value

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.recipe.ema_decay, (1 + self.step_index) / (10 + self.step_index))
        for name, value in self.module.state_dict().items():
            if value.is_floating_point():
                self.averaged[name].lerp_(value, 1.0 - decay)
            else:
                self.averaged[name].copy_(value)

    def encoder(self, mouse: int = 0) -> WindowEncoder:
        """The encoder with averaged weights, bound to one of the sessions."""
        module = Compact(self.config)
        module.load_state_dict(self.averaged)
        module.readouts = torch.nn.ModuleList([module.readouts[mouse]])
        spec = EncoderSpec(
            name="encoder in training",
            architecture="compact",
            neurons=self.sessions[mouse].n_neurons,
            mouse=self.sessions[mouse].name,
            canvas=self._canvas(),
            windows=self.windows,
        )
        return WindowEncoder(module, spec, self.device)

    def _canvas(self) -> Canvas:
        rows, columns = self.config.rows, self.config.columns
        return Canvas(rows, columns, rows, columns)

    def save_encoder(self, path: Path | str, provenance: dict[str, Any]) -> None:
        """Write the averaged weights as an encoder file."""
        save_encoder(
            path,
            self.module,
            architecture="compact",
            mice=[session.name for session in self.sessions],
            canvas=self._canvas(),
            windows=self.windows,
            frame_rate_hz=self.sessions[0].frame_rate_hz,
            state=self.averaged,
            provenance={
                "training": self.recipe.model_dump(),
                "steps_done": self.step_index,
                "simulated": any(session.simulated for session in self.sessions),
                "neutral_behavior": list(self.config.behavior_mean),
                **provenance,
            },
        )

    def save_checkpoint(self, path: Path | str) -> None:
        """Write everything a later process needs to go on to the same bits."""
        tensors = {f"module.{name}": value for name, value in self.module.state_dict().items()}
        tensors |= {f"averaged.{name}": value for name, value in self.averaged.items()}
        for index, entry in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in entry.items()}
        described = {"recipe": self.recipe.model_dump(), "step": self.step_index, "config": self.config.as_dict()}
        with replacing_file(path) as temporary:
            contiguous = {name: value.cpu().contiguous().clone() for name, value in tensors.items()}
            save_file(contiguous, str(temporary), metadata={"vidrecon": json.dumps(described)})

    def load_checkpoint(self, path: Path | str) -> None:
        """Go on where `save_checkpoint` was.

        Raises
        ------
        EncoderError : damaged, or of another recipe or session.
        """
        try:
            file = safe_open(str(path), framework="pt", device=str(self.device))
            described = json.loads((file.metadata() or {}).get("vidrecon", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        except (SafetensorError, json.JSONDecodeError, OSError) as error:
            raise EncoderError(f"{path}: expected a training checkpoint, found a damaged file ({error})") from None
        mine = json.loads(json.dumps({"recipe": self.recipe.model_dump(), "config": self.config.as_dict()}))
        theirs = {name: described.get(name) for name in mine} if isinstance(described, dict) else None
        if theirs != mine:
            raise EncoderError(
                f"{path}: is a checkpoint of other settings or another session; remove it to start again, "
                "or repeat the settings it was made with"
            )
        self.module.load_state_dict(_under(tensors, "module."))
        self.averaged = _under(tensors, "averaged.")
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in _under(tensors, "optimizer.").items():
            index, key = name.split(".", 1)
            state.setdefault(int(index), {})[key] = value.cpu() if key == "step" else value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.step_index = described["step"]


def _under(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def trials_of_tier(session: Session, tier: str) -> list[int]:
    """Ids of a session's trials of one tier, ascending."""
    return [trial_id for trial_id in session.trial_ids if session.tiers[trial_id] == tier]


def single_trial_correlation(
    encoder: WindowEncoder, session: Session, trial_ids: list[int], *, every_window: bool = True
) -> np.ndarray:
    """Correlation of each neuron's predicted with its recorded single-trial activity, (N,).

    Trials are joined after leaving out their first 50 frames (the Sensorium 2023 score, without its
    normalisation). Neurons that never vary give 0.

    Parameters
    ----------
    every_window : slide over all windows; otherwise take windows that do not overlap and score every second
        frame, as in the training of the published encoders, which is 30 times faster.
    """
    recorded, predicted = [], []
    for trial_id in trial_ids:
        trial = session.trial(trial_id)
        frames = np.arange(trial.video.shape[0])
        if every_window:
            activity = encoder.predict(trial.video, trial.behavior, trial.pupil_center)
        else:
            windows = encoder.spec.windows
            indices = windows.indices(np.arange(0, len(frames) - windows.span + 1, windows.span))
            inputs = encoder.pack(trial.video, trial.behavior, trial.pupil_center)
            with torch.no_grad():
                parts = encoder.responses(inputs[:, torch.as_tensor(indices)].transpose(0, 1))
            frames = indices.ravel()
            activity = parts.transpose(0, 1).flatten(1).cpu().numpy()
        kept = frames >= (SKIPPED_FRAMES if trial.video.shape[0] > 2 * SKIPPED_FRAMES else 0)
        recorded.append(trial.responses[:, frames[kept]])
        predicted.append(activity[:, kept])
    if not recorded:
        raise SessionError(f"{session.path}: expected trials to score the encoder on, found none")
    a, b = np.concatenate(recorded, axis=1), np.concatenate(predicted, axis=1)
    a = (a - a.mean(1, keepdims=True)) / (a.std(1, keepdims=True) + POISSON_EPSILON)
    b = (b - b.mean(1, keepdims=True)) / (b.std(1, keepdims=True) + POISSON_EPSILON)
    return (a * b).mean(axis=1)


def train_encoder(
    sessions: list[Session],
    recipe: TrainingRecipe,
    path: Path | str,
    *,
    training_trials: list[list[int]] | None = None,
    validation_trials: list[list[int]] | None = None,
    validate_every: int = 300,
    checkpoint_seconds: float = 30.0,
    on_progress: Callable[[TrainingProgress], bool | None] | None = None,
) -> float:
    """Train an encoder and write it; a killed run goes on from its checkpoint beside `path`.

    Parameters
    ----------
    sessions : one readout each.
    recipe : every setting.
    path : the `.safetensors` file to write.
    training_trials, validation_trials : for each session; default: its train and oracle tiers.
    validate_every : steps between two scores on the validation trials.
    checkpoint_seconds : at most this much work is lost when the process is killed.
    on_progress : called after every step; return False to stop early and keep what is learned.

    Returns
    -------
    Mean single-trial correlation over the validation trials and sessions; NaN without any.
    """
    path = Path(path)
    checkpoint = path.with_name(path.stem + ".training.safetensors")
    trainer = Trainer(sessions, recipe, training_trials)
    validation = validation_trials or [trials_of_tier(session, VALIDATION_TIER) for session in sessions]
    if checkpoint.exists():
        trainer.load_checkpoint(checkpoint)
    begun, first, saved = time.monotonic(), trainer.step_index, time.monotonic()
    correlation = float("nan")

    def score(every_window: bool) -> float:
        scores = [
            single_trial_correlation(trainer.encoder(mouse), session, ids, every_window=every_window).mean()
            for mouse, (session, ids) in enumerate(zip(sessions, validation, strict=True))
            if ids
        ]
        return float(np.mean(scores)) if scores else float("nan")

    try:
        while trainer.step_index < recipe.steps:
            loss = trainer.step()
            done = trainer.step_index
            if done % validate_every == 0 and done < recipe.steps:
                correlation = score(every_window=False)
            if time.monotonic() - saved > checkpoint_seconds:
                trainer.save_checkpoint(checkpoint)
                saved = time.monotonic()
            seconds = (time.monotonic() - begun) * done / max(done - first, 1)
            progress = TrainingProgress(done, recipe.steps, loss, correlation, seconds)
            if on_progress is not None and on_progress(progress) is False:
                break
    except KeyboardInterrupt:
        # Weights of a half-done step would not lead to the same bits; the last checkpoint does.
        if not trainer.half_way:
            trainer.save_checkpoint(checkpoint)
        raise
    correlation = score(every_window=True)
    trainer.save_encoder(path, {"validation_correlation": correlation})
    checkpoint.unlink(missing_ok=True)
    return correlation
