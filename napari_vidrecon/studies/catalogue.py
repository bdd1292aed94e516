"""All studies by name, in the order of the paper's importance to a reader; then those of other packages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from napari_vidrecon.doors import Door
from napari_vidrecon.errors import ConfigError
from napari_vidrecon.studies.experiments.ablation import ABLATION
from napari_vidrecon.studies.experiments.brain_adds import BRAIN_ADDS
from napari_vidrecon.studies.experiments.controls import CONTROLS_STUDY
from napari_vidrecon.studies.experiments.correlates import CORRELATES
from napari_vidrecon.studies.experiments.duplicates import DUPLICATES
from napari_vidrecon.studies.experiments.ensembling import ENSEMBLING
from napari_vidrecon.studies.experiments.error_maps import ERROR_MAPS
from napari_vidrecon.studies.experiments.ethogram import ETHOGRAM
from napari_vidrecon.studies.experiments.gaussian_noise import GAUSSIAN_NOISE
from napari_vidrecon.studies.experiments.gratings import GRATINGS
from napari_vidrecon.studies.experiments.natural import NATURAL
from napari_vidrecon.studies.experiments.receptive_fields import RECEPTIVE_FIELDS
from napari_vidrecon.studies.experiments.variations import VARIATIONS
from napari_vidrecon.studies.study import Study

STUDIES: tuple[Study, ...] = (
    NATURAL,
    ETHOGRAM,
    CORRELATES,
    ENSEMBLING,
    ABLATION,
    VARIATIONS,
    CONTROLS_STUDY,
    ERROR_MAPS,
    BRAIN_ADDS,
    GAUSSIAN_NOISE,
    GRATINGS,
    RECEPTIVE_FIELDS,
    DUPLICATES,
)
"""Those of this package."""
ALL = "all"
WORDS = (ALL, "list")
"""Of the command; no study is called so."""


def _is_study(found: Any) -> bool:
    return isinstance(found, Study) and all(map(callable, (found.runs, found.evaluate, found.clips)))


DOOR: Door[Study] = Door("napari_vidrecon.studies", "study", ConfigError, "a Study", _is_study)


def all_studies() -> tuple[Study, ...]:
    """Every study: the paper's, then those of other packages; a line says which packages are broken."""
    taken = [*(study.name for study in STUDIES), *WORDS]
    return (*STUDIES, *(_of_others(name, study) for name, study in DOOR.usable(taken).items()))


def studies_named(name: str) -> tuple[Study, ...]:
    """One study by name, or all of them.

    Returns
    -------
    tuple[Study, ...]
        In the order of the paper.

    Raises
    ------
    ConfigError
        There is none of that name, or the package that brings it is broken; the message names it.
    """
    if name == ALL:
        return all_studies()
    found = tuple(study for study in STUDIES if study.name == name)
    if found:
        return found
    study = None if name in WORDS else DOOR.part(name)
    if study is None:
        known = [*(study.name for study in STUDIES), *DOOR.names]
        raise ConfigError(f"study {name!r}: expected one of {', '.join(dict.fromkeys(known))}, or {ALL}")
    return (_of_others(name, study),)


def _of_others(name: str, study: Study) -> Study:
    """A study under the name of its entry point; what it raises is one line that names its package."""

    def blamed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            with DOOR.blaming(name):
                return function(*given)

        return call

    return replace(
        study, name=name, runs=blamed(study.runs), evaluate=blamed(study.evaluate), clips=blamed(study.clips)
    )
