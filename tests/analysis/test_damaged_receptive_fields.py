"""Receptive fields from anyone: maps of the size they say, or one line that names the file."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_vidrecon.analysis.receptive_fields import FORMAT, ReceptiveFieldMaps
from napari_vidrecon.errors import StorageError

PATCHES = {"patch_px": 4, "before": 15, "shown": 15, "after": 15}
MAPS = np.zeros((3, 9, 16), np.float16)


def write(file, on=MAPS, off=MAPS, beside=None, **described):
    told = {"format": FORMAT, "patches": PATCHES, **described}
    np.savez(file, on=on, off=off, provenance=np.array(json.dumps(told)), **(beside or {}))
    return file


def test_whole_ones_open(tmp_path):
    assert len(ReceptiveFieldMaps.load(write(tmp_path / "rf.npz"))) == 3


@pytest.mark.parametrize(
    "patches",
    [
        *({**PATCHES, "patch_px": value} for value in (0, -1, 10**30, 1.5, "4", None, True, [4])),
        *({**PATCHES, "before": value} for value in (-1, 10**9, "x")),
        {**PATCHES, "newer": 1},
        [],
        None,
        "patches",
    ],
)
def test_a_stimulus_that_cannot_be_is_one_line(patches, tmp_path):
    file = write(tmp_path / "rf.npz", patches=patches)
    with pytest.raises(StorageError) as caught:
        ReceptiveFieldMaps.load(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "maps",
    [
        *(MAPS[0], MAPS[:, :2], MAPS.astype(complex), MAPS.astype(str), MAPS.astype(bool), np.array(1.0)),
        *(np.full(MAPS.shape, np.nan), np.full(MAPS.shape, 1e300)),
    ],
)
def test_maps_of_another_kind_are_one_line(maps, tmp_path):
    with pytest.raises(StorageError, match=r"rf\.npz: expected"):
        ReceptiveFieldMaps.load(write(tmp_path / "rf.npz", off=maps))


@pytest.mark.parametrize(
    "places", [np.zeros((2, 3)), np.zeros((3, 4)), np.zeros(3), np.zeros((3, 3), "U3"), np.zeros((3, 2), int)]
)
def test_places_of_another_kind_are_one_line(places, tmp_path):
    with pytest.raises(StorageError, match=r"rf\.npz: expected .*places of another kind"):
        ReceptiveFieldMaps.load(write(tmp_path / "rf.npz", beside={"places": places}))


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, 1e300])
def test_places_that_cannot_be_tell_no_order(value, tmp_path):
    file = write(tmp_path / "rf.npz", beside={"places": np.full((3, 3), value)})
    assert ReceptiveFieldMaps.load(file).retinotopy is None


def test_a_description_that_nests_without_end_is_one_line(tmp_path):
    np.savez(tmp_path / "rf.npz", on=MAPS, off=MAPS, provenance=np.array("[" * 100_000))
    with pytest.raises(StorageError, match="nested too deep"):
        ReceptiveFieldMaps.load(tmp_path / "rf.npz")
