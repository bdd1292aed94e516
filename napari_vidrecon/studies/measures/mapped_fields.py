"""Receptive fields of a mouse, mapped once and found again by what they are made from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from napari_vidrecon.analysis.receptive_field_mapping import MappingRecipe, map_receptive_fields
from napari_vidrecon.analysis.receptive_fields import ReceptiveFieldMaps
from napari_vidrecon.encoders.checkpoints import file_hash
from napari_vidrecon.errors import RunError, StorageError
from napari_vidrecon.studies.mice import Mouse
from napari_vidrecon.studies.runs.run_spec import KEY_LETTERS
from napari_vidrecon.studies.runs.store import RunStore
from napari_vidrecon.studies.study import Plan

MAPS_FOLDER = "maps"
KEY_FORMAT = 1


def mapped_fields(plan: Plan, store: RunStore, mouse: Mouse) -> ReceptiveFieldMaps:
    """Maps of all neurons, the mean over the mouse's encoders; read where an earlier call has written them.

    Parameters
    ----------
    plan
        Scale of the mapping.
    store
        Whose folder holds the maps.
    mouse
        To map.

    Returns
    -------
    ReceptiveFieldMaps
        In half precision, as the file holds them.

    Raises
    ------
    VidreconError
        An input cannot be read, or the maps cannot be written.
    """
    recipe = MappingRecipe.preset(plan.scale.mapping)
    encoders = plan.encoders(mouse)
    file = store.out / MAPS_FOLDER / f"{_key(mouse, encoders, recipe)}.npz"
    session = mouse.open_session()
    if not _readable(file):
        opened = [mouse.load_encoder(index) for index in encoders]
        found = map_receptive_fields(session, opened, recipe)
        if found is None:
            raise RunError(f"{mouse.session}: the mapping of receptive fields was stopped; start it again")
        found.save(file)
    # Read in any case: the file holds half precision, and the first and every later evaluation must agree.
    return ReceptiveFieldMaps.load(file, session.screen)


def _key(mouse: Mouse, encoders: tuple[int, ...], recipe: MappingRecipe) -> str:
    behavior, pupil_center = mouse.open_session().average_behavior()
    decisive = {
        "format": KEY_FORMAT,
        "session": mouse.open_session().fingerprint(),
        "behavior": [behavior.tolist(), pupil_center.tolist()],
        "encoders": [file_hash(mouse.encoders[index]) for index in encoders],
        "readout": mouse.readout,
        "recipe": recipe.model_dump(mode="json"),
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:KEY_LETTERS]


def _readable(file: Path) -> bool:
    """Whether the file is there and sound; a damaged one is mapped anew."""
    if not file.exists():
        return False
    try:
        ReceptiveFieldMaps.load(file)
    except StorageError:
        return False
    return True
