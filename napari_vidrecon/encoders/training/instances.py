"""The instances of an ensemble: the same training from other seeds, one fold held out for all or for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_vidrecon.encoders.checkpoints import file_hash, read_encoder_file
from napari_vidrecon.encoders.training.core import PretrainedCore, core_for_few_frames
from napari_vidrecon.encoders.training.trainer import TRAINING_TIER
from napari_vidrecon.encoders.training.training_run import VALIDATION_TIER
from napari_vidrecon.encoders.training_recipe import TrainingRecipe
from napari_vidrecon.errors import ConfigError, EncoderError, SessionError
from napari_vidrecon.sessions.trial import FOLDS
from napari_vidrecon.settings import shown, whole_number

if TYPE_CHECKING:
    from napari_vidrecon.sessions.session import Session

MOST_INSTANCES = 1000
EACH = "each"
"""Instance k holds out fold k, as in the published cross-validation (Baikulov 2023)."""


@dataclass(frozen=True)
class Instance:
    """One encoder to train.

    Parameters
    ----------
    path
        The file to write.
    recipe
        Every setting; instances differ in the seed.
    training_trials, validation_trials
        For each session.
    held_out_fold
        Fold of the validation trials, None where tiers decide.
    teachers
        Encoder files whose predictions it also learns from.
    core
        What other mice trained; None: it learns from nothing.
    """

    path: Path
    recipe: TrainingRecipe
    training_trials: list[list[int]]
    validation_trials: list[list[int]]
    held_out_fold: int | None
    teachers: tuple[Path, ...] = ()
    core: PretrainedCore | None = None

    def is_trained(self, mice: Sequence[str]) -> bool:
        """Whether its file is there, of this very training, and complete.

        Returns
        -------
        bool
            False, too, for a file that cannot be read.

        Raises
        ------
        EncoderError
            The file is there, but cannot be read.
        """
        if not self.path.exists():
            return False
        stored = read_encoder_file(self.path)
        told = stored.provenance
        return (
            stored.mice == list(mice)
            and told.get("training") == self.recipe.model_dump(mode="json")
            and told.get("teachers") == [file_hash(path) for path in self.teachers]
            and told.get("held_out_fold") == self.held_out_fold
            and told.get("core") == (None if self.core is None else self.core.told)
            and told.get("steps_done") == self.recipe.schedule(len(mice)).steps
        )


def instance_paths(out: Path, instances: int) -> list[Path]:
    """Files of an ensemble: `encoder_0.safetensors` ... for a folder, or for the name `encoder.safetensors`.

    Parameters
    ----------
    out
        An encoder file, which a single instance takes as it is; or, for several, a folder.

    Returns
    -------
    list[Path]
        One an instance.

    Raises
    ------
    ConfigError
        A number of instances that cannot be.
    EncoderError
        The name of a file of another kind, or a folder for a single instance.
    """
    whole_number(instances, "instances", 1, MOST_INSTANCES)
    if instances == 1 or out.suffix not in ("", ".safetensors"):
        if out.suffix != ".safetensors":
            raise EncoderError(f"{out}: expected a name ending in .safetensors, found '{out.suffix}'")
        return [out]
    if out.suffix:
        return [out.with_name(f"{out.stem}_{index}.safetensors") for index in range(instances)]
    return [out / f"encoder_{index}.safetensors" for index in range(instances)]


def plan_instances(
    sessions: Sequence[Session],
    recipe: TrainingRecipe,
    out: Path,
    *,
    instances: int = 1,
    held_out_fold: int | str | None = None,
    teachers: Sequence[Path] = (),
    core: PretrainedCore | None = None,
) -> list[Instance]:
    """What to train for an ensemble.

    Parameters
    ----------
    sessions
        One readout each.
    recipe
        Of the first instance; the others have the next seeds.
    out
        File, or for several instances also a folder.
    instances
        How many.
    held_out_fold
        Fold that nobody learns from (Bauer et al. 2026: 0 for all); "each" holds out fold k for instance k; None takes
        the tiers train and oracle as they are.
    teachers
        Encoder files whose predictions all of them also learn from.
    core
        What other mice trained, for all of them; None: what `core_for_few_frames` gives.

    Returns
    -------
    list[Instance]
        In the order of their files.

    Raises
    ------
    ConfigError
        No such fold.
    EncoderError
        A name that cannot be an encoder file.
    SessionError
        A session has no trials to learn from.
    """
    planned = []
    for index, path in enumerate(instance_paths(out, instances)):
        seeded = recipe.model_copy(update={"seed": recipe.seed + index})
        if held_out_fold is None:
            training = [session.trials_in_tier(TRAINING_TIER) for session in sessions]
            validation = [session.trials_in_tier(VALIDATION_TIER) for session in sessions]
            fold = None
        else:
            fold = index % FOLDS if held_out_fold == EACH else parse_fold(held_out_fold)
            training, validation = split_by_fold(sessions, fold)
        mine = core
        if core is None:
            mine, seeded = core_for_few_frames(sessions, training, seeded)
        planned.append(Instance(path, seeded, training, validation, fold, tuple(teachers), mine))
    return planned


def parse_fold(fold: int | str) -> int:
    """A fold by its number.

    Returns
    -------
    int
        0..6.

    Raises
    ------
    ConfigError
        Not a number of a fold.
    """
    # Looked up, not converted: Python reads no number of thousands of digits.
    known = {str(number): number for number in range(FOLDS)} | {number: number for number in range(FOLDS)}
    if isinstance(fold, bool) or fold not in known:
        raise ConfigError(f"held-out fold: expected a number from 0 to {FOLDS - 1}, or {EACH!r}, found {shown(fold)}")
    return known[fold]


def split_by_fold(sessions: Sequence[Session], fold: int) -> tuple[list[list[int]], list[list[int]]]:
    """Trials to learn from and to score on: all folds but one, and that one, by perceptual hash.

    Parameters
    ----------
    sessions
        The mice.
    fold
        The one held out, 0..6.

    Returns
    -------
    tuple[list[list[int]], list[list[int]]]
        Trial ids of each session.

    Raises
    ------
    SessionError
        No trials are left to learn from.
    """
    training, validation = [], []
    for session in sessions:
        folds = session.folds(FOLDS)
        training.append([trial_id for trial_id, its_fold in folds.items() if its_fold != fold])
        validation.append([trial_id for trial_id, its_fold in folds.items() if its_fold == fold])
        if not training[-1]:
            raise SessionError(f"{session.path}: expected trials outside fold {fold} to train on, found none")
    return training, validation
