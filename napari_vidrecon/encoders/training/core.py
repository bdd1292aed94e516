"""What encoders of other mice give to a training: their core, for new readouts, and a teacher's answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

from napari_vidrecon.encoders.architecture import architecture_named, config_values
from napari_vidrecon.encoders.checkpoints import file_hash, read_encoder_file
from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.encoders.stored_encoder import READOUTS
from napari_vidrecon.encoders.training.architectures import recipe_of
from napari_vidrecon.encoders.training_recipe import TrainingRecipe
from napari_vidrecon.encoders.windows import FrameWindows
from napari_vidrecon.errors import ConfigError, EncoderError, SessionError, one_line
from napari_vidrecon.sessions.sample import find_sample
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ
from napari_vidrecon.settings import finite_number
from napari_vidrecon.storage import user_path

if TYPE_CHECKING:
    from napari_vidrecon.sessions.session import Session

STEPS_SHARE, FITTED_STEPS_SHARE = 3, 9
"""A readout alone learns in so many times fewer steps than an encoder: one from chance, one that was fitted first."""
FITTED_RATE = 0.4
"""Of the usual learning rate: what was fitted is not to be forgotten."""
OF_A_MOUSE = ("readout_outputs", "behavior_mean", "behavior_sd", "behavior_of_mice", "shifter")
"""Sizes that a core does not bring: they are of the mice it was trained on."""
OF_TRAINING = ("drop_rate", "drop_path_rate", "first_spread")
"""Sizes that change nothing of what a core computes."""
KEPT_OF_CORE = ("licence", "license", "citation")


class PretrainedCore:
    """The part of an encoder file that all mice share, to be put into an encoder of other mice.

    Parameters
    ----------
    path
        The encoder file.
    thaw
        Share of the steps, at the end of a training, in which the core learns too; 0: never, 1: from the beginning.

    Raises
    ------
    ConfigError
        No such share.
    EncoderError
        No encoder, or one whose architecture cannot be trained.
    """

    def __init__(self, path: Path | str, thaw: float = 0.0) -> None:
        self.path, self.thaw = user_path(path), finite_number(thaw, "thaw")
        if not 0 <= self.thaw <= 1:
            raise ConfigError(f"thaw: expected a share of the steps from 0 to 1, found {self.thaw:g}")
        self.stored = read_encoder_file(self.path)
        self.sha256 = file_hash(self.path)
        try:
            self.recipe_class: type[TrainingRecipe] = recipe_of(self.stored.architecture)
        except ConfigError as raised:
            raise EncoderError(f"{self.path}: {raised}; its core cannot be trained on here") from None

    @property
    def identity(self) -> dict[str, Any]:
        """Which core it is, and how it is used; plain values."""
        return {"sha256": self.sha256, "thaw": self.thaw}

    @property
    def told(self) -> dict[str, Any]:
        """What an encoder's file says of it."""
        kept = {name: self.stored.provenance[name] for name in KEPT_OF_CORE if name in self.stored.provenance}
        return {**self.identity, "file": self.path.name, "mice": self.stored.learned_from, **kept}

    @property
    def _sizes(self) -> dict[str, Any]:
        """Those that an encoder has to share to take its weights."""
        return {name: value for name, value in self.stored.config.items() if name not in (*OF_A_MOUSE, *OF_TRAINING)}

    @property
    def _fits_readouts(self) -> bool:
        kind = architecture_named(self.stored.architecture)
        return kind.map_of_features(kind.config_class(**self.stored.config)) is not None

    def recipe_fields(self) -> dict[str, Any]:
        """Settings of a recipe that make an encoder of the core's sizes, and steps for readouts alone.

        Returns
        -------
        dict[str, Any]
            By name; whatever else a recipe says may differ from that of the core's own training.
        """
        known = self.recipe_class.model_fields
        step = round(self.stored.windows["step"] * FRAME_RATE_HZ / self.stored.frame_rate_hz)
        sizes = self._sizes | {"window_size": self.stored.windows["size"], "window_step": max(1, step)}
        sizes |= {f"canvas_{side}": self.stored.canvas[side] for side in ("rows", "columns")}
        usual = known["steps"].default if "steps" in known else None
        if isinstance(usual, int) and not self.thaw:
            sizes["steps"] = max(1, usual // (FITTED_STEPS_SHARE if self._fits_readouts else STEPS_SHARE))
        if self._fits_readouts and not self.thaw:
            sizes["learning_rate"] = FITTED_RATE * known["learning_rate"].default
        return {name: value for name, value in sizes.items() if name in known}

    def require_screen(self, canvas: Canvas, frame_rate_hz: float, of: str) -> None:
        """Refuse mice that watched another screen than the core's.

        Parameters
        ----------
        canvas, frame_rate_hz
            Of the new encoder.
        of
            What its session is called.

        Raises
        ------
        EncoderError
            Size or rate differ.
        """
        mine, rate = Canvas(**self.stored.canvas), self.stored.frame_rate_hz
        if (mine, rate) != (canvas, frame_rate_hz):
            told = [
                f"{each.screen_rows // max(1, len(each.colours))}x{each.screen_columns} pixels"
                f"{' in ' * bool(each.colours)}"
                f"{' and '.join(each.colours)} at {hertz:g} Hz"
                for each, hertz in ((mine, rate), (canvas, frame_rate_hz))
            ]
            other = "" if told[0] != told[1] else f" on a canvas of {canvas.rows}x{canvas.columns}"
            raise EncoderError(
                f"{self.path}: expected movies of {told[0]}, as its core was trained on, found {told[1]}{other} in "
                f"{of}; import the recording for that screen and rate, or train without --core"
            )

    def place(self, module: nn.Module) -> None:
        """Put the core's weights into an encoder, whose readouts stay as they are.

        Raises
        ------
        EncoderError
            The encoder has other sizes than the core.
        """
        state = module.state_dict()
        with torch.no_grad():
            for name in self._shared_with(module):
                state[name].copy_(self.stored.tensor(name))

    def suits(self, recipe: TrainingRecipe, session: Session) -> bool:
        """Whether a recipe has the core's architecture and sizes, and a session its screen and rate.

        Parameters
        ----------
        recipe
            Of the encoder.
        session
            A mouse to learn from.

        Returns
        -------
        bool
            Then `place` does not refuse it.
        """
        if self.stored.architecture != recipe.architecture:
            return False
        mine = recipe.model_dump(mode="json")
        if any(mine[name] != json.loads(json.dumps(value)) for name, value in self._sizes.items() if name in mine):
            return False
        canvas = replace(recipe.canvas(session.screen.rows, session.screen.cols), colours=session.screen.colours)
        try:
            self.require_screen(canvas, session.frame_rate_hz, session.name)
        except EncoderError:
            return False
        return FrameWindows(**self.stored.windows) == recipe.windows(session.frame_rate_hz)

    def _shared_with(self, module: nn.Module) -> list[str]:
        """Names of the weights that it brings; refuses an encoder of other sizes."""
        # A file of an earlier version says nothing of a size that came later: then it has the usual one.
        stored = type(module.config)(**self.stored.config)
        mine, theirs = (json.loads(json.dumps(config_values(each))) for each in (stored, module.config))
        for name in sorted(mine.keys() | theirs.keys()):
            if name not in (*OF_A_MOUSE, *OF_TRAINING) and mine.get(name) != theirs.get(name):
                raise EncoderError(
                    f"{self.path}: expected {name} of {mine.get(name)}, as its core has, found {theirs.get(name)}; "
                    "leave it out of the recipe, or train without --core"
                )
        state = module.state_dict()
        shared = [name for name in state if not name.startswith(READOUTS) and name not in OF_A_MOUSE]
        missing = [name for name in shared if self.stored.shapes.get(name) != tuple(state[name].shape)]
        if missing:
            raise EncoderError(f"{self.path}: expected the core's weights {missing[0]}, found none of that size")
        return shared

    def is_frozen(self, step: int, steps: int) -> bool:
        """Whether the core stays as it is in a step, counted from 0."""
        return step < round(steps * (1.0 - self.thaw))

    def prepare(self, module: Any, step: int, steps: int) -> None:
        """Make ready for a step: a frozen core has no gradient, drops nothing out and keeps its statistics.

        Parameters
        ----------
        module
            The encoder, in training mode.
        step, steps
            The step, counted from 0, and the number of all.
        """
        frozen = self.is_frozen(step, steps)
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(not frozen or name.startswith(READOUTS))
        if frozen:
            module.eval()
            for readout in module.readouts:
                readout.train()


def chosen_core(core: Path | str | PretrainedCore | None, thaw: float = 0.0) -> PretrainedCore | None:
    """The core in a file, or the one given; None for none."""
    if core is None or isinstance(core, PretrainedCore):
        return core
    return PretrainedCore(core, thaw)


FIRST_CORES = 3
"""Of an ensemble's encoders so many begin with different ones; every installation has them."""
FEW_FRAMES = 30_000
"""Of so many or fewer, of all mice together, a core and many steps learn what holds for them alone."""


def first_core(recipe: TrainingRecipe, session: Session) -> PretrainedCore | None:
    """The core that a training may begin with: of simulated mice, and comes along.

    Parameters
    ----------
    recipe
        Whose seed says which, so that encoders of an ensemble begin with different ones: 0 takes that of three mice.
    session
        The first mouse.

    Returns
    -------
    PretrainedCore | None
        All of it learns; None where it is not wanted, does not suit, or was left out of the installation.
    """
    if not recipe.begins_trained:
        return None
    try:
        sample = find_sample()
    except SessionError:
        return None
    cores = list(sample.encoders[:FIRST_CORES])
    if sample.core is not None:
        cores[:1] = [sample.core]
    found = PretrainedCore(cores[recipe.seed % len(cores)], thaw=1.0) if cores else None
    return found if found is not None and found.suits(recipe, session) else None


def core_for_few_frames(
    sessions: Sequence[Session], trials: Sequence[Sequence[int]], recipe: TrainingRecipe
) -> tuple[PretrainedCore | None, TrainingRecipe]:
    """The same core, kept as it is, where there is too little to teach it, and a recipe for readouts alone.

    Parameters
    ----------
    sessions
        One readout each.
    trials
        For each the trials to learn from.
    recipe
        Whose steps and learning rate are those of readouts, where nobody chose them.

    Returns
    -------
    tuple[PretrainedCore | None, TrainingRecipe]
        None and the recipe as it is where there is enough to learn from, or nothing that suits.
    """
    found = first_core(recipe, sessions[0])
    if found is None:
        return None, recipe
    frames = sum(session.clip_frames(each) for session, ids in zip(sessions, trials, strict=True) for each in ids)
    if frames > FEW_FRAMES:
        return None, recipe
    kept = PretrainedCore(found.path)
    usual = {name: kept.recipe_fields()[name] for name in ("steps", "learning_rate")}
    unchosen = {name: value for name, value in usual.items() if name not in recipe.model_fields_set}
    return kept, recipe.model_copy(update=unchosen)


class Teacher:
    """A frozen encoder with a readout for every mouse.

    Parameters
    ----------
    path
        Encoder file.
    sessions
        The mice; a readout is found by its name, or where the file names none by its number of neurons.
    windows
        Of the encoder that learns.
    device
        Where it runs.

    Raises
    ------
    EncoderError
        It cannot be read, lacks a mouse, or sees other windows.
    """

    def __init__(
        self, path: Path | str, sessions: Sequence[Session], windows: FrameWindows, device: torch.device
    ) -> None:
        stored = read_encoder_file(path)
        if FrameWindows(**stored.windows) != windows:
            raise EncoderError(
                f"{path}: expected a teacher that sees {windows.size} frames, {windows.step} apart, "
                f"found {stored.windows['size']} frames, {stored.windows['step']} apart"
            )
        self.readouts = [
            stored.choose(session.name if session.name in stored.mice else None, session.n_neurons)
            for session in sessions
        ]
        for session, readout in zip(sessions, self.readouts, strict=True):
            if stored.neurons[readout] != session.n_neurons:
                raise EncoderError(
                    f"{path}: expected a teacher with a readout of {session.n_neurons} neurons for {session.name}, "
                    f"found {stored.neurons[readout]}"
                )
            if stored.mice[readout] not in ("", session.name):
                raise EncoderError(
                    f"{path}: expected a teacher with a readout of {session.name}, found one of "
                    f"{one_line(stored.mice[readout])}; what it teaches would be of other neurons"
                )
        self.module = stored.module().eval().requires_grad_(False).to(device)
        self.canvas = Canvas(**stored.canvas)
        self.sha256 = file_hash(user_path(path))
        self.mice = stored.learned_from

    @torch.no_grad()
    def activity(self, inputs: torch.Tensor, canvas: Canvas, mouse: int) -> torch.Tensor:
        """Activity of one mouse for inputs on the canvas of the encoder that learns.

        Parameters
        ----------
        inputs
            (B, 5, size, rows, columns).
        canvas
            Of the inputs.
        mouse
            Its index among the mice that are learned from.

        Returns
        -------
        torch.Tensor
            (B, N, size) >= 0.
        """
        return self.module(on_another_canvas(inputs, canvas, self.canvas), self.readouts[mouse])


def on_another_canvas(inputs: torch.Tensor, before: Canvas, after: Canvas) -> torch.Tensor:
    """Model input moved to another canvas: 0 around the movie, behaviour continued.

    Parameters
    ----------
    inputs
        (B, 5, T, rows, columns) on the canvas before.
    before, after
        The two canvases.

    Returns
    -------
    torch.Tensor
        (B, 5, T, rows, columns) on the canvas after.
    """
    if before == after:
        return inputs
    screen = inputs[(..., *before.screen)]
    rows, columns = after.screen
    around = (columns.start, after.columns - columns.stop, rows.start, after.rows - rows.stop)
    behavior = screen[:, 1:]
    continued = F.pad(behavior.flatten(1, 2), around, mode="replicate").unflatten(1, behavior.shape[1:3])
    return torch.cat([F.pad(screen[:, :1], around), continued], dim=1)
