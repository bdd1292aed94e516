"""All studies by name, in the order of the paper's importance to a reader."""

from __future__ import annotations

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.studies.experiments.ablation import ABLATION
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
    GAUSSIAN_NOISE,
    GRATINGS,
    RECEPTIVE_FIELDS,
    DUPLICATES,
)
ALL = "all"


def studies_named(name: str) -> tuple[Study, ...]:
    """One study by name, or all of them.

    Raises
    ------
    ConfigError
        There is none of that name.
    """
    if name == ALL:
        return STUDIES
    found = tuple(study for study in STUDIES if study.name == name)
    if not found:
        raise ConfigError(f"study {name!r}: expected one of {', '.join(study.name for study in STUDIES)}, or {ALL}")
    return found
