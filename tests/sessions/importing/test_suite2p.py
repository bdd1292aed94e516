"""suite2p folders: planes, cells, signals, and pickled files that are never opened."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from raw_recordings import RawMouse

from napari_vidrecon.errors import VidreconError
from napari_vidrecon.sessions.importing.importer import import_recording
from napari_vidrecon.sessions.importing.settings import ImportSettings
from napari_vidrecon.sessions.importing.suite2p import Suite2pFolder

PLANE = "suite2p/plane0"


@pytest.fixture
def folder(raw_mouse: RawMouse, tmp_path: Path) -> Path:
    return raw_mouse.write_suite2p(tmp_path / "raw")


def test_every_file_is_listed_with_its_use_and_nothing_pickled_is_opened(folder: Path) -> None:
    columns = {column.name: column for column in Suite2pFolder(folder).columns()}
    spikes = columns["plane0/spks.npy"]
    assert (spikes.shape, spikes.use) == ((12, 384), "activity")
    assert columns["plane0/iscell.npy"].use == "which regions are cells"
    assert "never opened" in columns["plane0/stat.npy"].use
    assert columns["running.npy"].rate_hz == pytest.approx(30)
    assert columns["stimulus.npy"].use == "stimulus"


def test_only_cells_are_taken_and_keep_their_numbers(folder: Path, raw_mouse: RawMouse) -> None:
    recording = Suite2pFolder(folder).recording()
    np.testing.assert_array_equal(recording.activity.values, raw_mouse.activity)
    assert recording.neuron_ids.tolist() == [1, 2, 4, 5, 6, 8, 9, 11, 12]
    assert len(Suite2pFolder(folder, all_regions=True).recording().activity.values) == 12


def test_the_arrays_beside_may_lie_elsewhere(folder: Path, raw_mouse: RawMouse, tmp_path: Path, out: Path) -> None:
    elsewhere = tmp_path / "beside"
    elsewhere.mkdir()
    for file in folder.glob("*.npy"):
        file.rename(elsewhere / file.name)
    report = import_recording(Suite2pFolder(folder / PLANE, beside=elsewhere).recording(), out)
    assert report.totals["neurons"] == 9


def test_planes_are_put_together_and_must_be_equally_long(folder: Path, tmp_path: Path) -> None:
    second = shutil.copytree(folder / PLANE, folder / "suite2p/plane1")
    positions = np.load(folder / "coordinates.npy")
    np.save(folder / "coordinates.npy", np.concatenate([positions, positions]))
    both = Suite2pFolder(folder).recording()
    assert len(both.activity.values) == len(both.coordinates) == 18
    np.save(second / "spks.npy", np.load(second / "spks.npy")[:, :-2])
    with pytest.raises(VidreconError, match=r"plane0: 384, plane1: 382.*--trim"):
        Suite2pFolder(folder).recording()
    settings = ImportSettings(trim=True)
    assert Suite2pFolder(folder, settings=settings).recording().activity.values.shape == (18, 382)


def test_df_f_is_made_of_f_and_neuropil_and_said(folder: Path) -> None:
    recording = Suite2pFolder(folder, signal="dff").recording()
    bright = np.load(folder / PLANE / "F.npy")[0] - 0.7 * 20
    baseline = np.percentile(bright, 10)
    expected = np.maximum((bright - baseline) / baseline, 0)
    np.testing.assert_allclose(recording.activity.values[0], expected, rtol=1e-4)
    assert any("not deconvolved" in note.text for note in recording.report.of_kind("resampled"))


def test_positions_in_stat_are_never_unpickled_but_the_way_to_convert_them_is_said(folder: Path) -> None:
    (folder / "coordinates.npy").unlink()
    recording = Suite2pFolder(folder).recording()
    assert recording.coordinates is None
    assert any("np.save('coordinates.npy'" in note.text for note in recording.report.of_kind("dropped"))
    (folder / "recording.toml").write_text(
        'coordinates = "suite2p/plane0/stat.npy"\n[activity]\nfile = "spks.npy"\ntimes = "activity_times.npy"\n'
        '[stimulus]\nfile = "stimulus.npy"\ntimes = "stimulus_times.npy"\n'
    )
    with pytest.raises(VidreconError, match=r"stat.npy: expected positions as numbers.*pickled and never opened"):
        Suite2pFolder(folder).recording()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: (f / PLANE / "spks.npy").unlink(), "spks.npy.*deconvolution"),
        (lambda f: (f / PLANE / "iscell.npy").unlink(), "iscell.npy.*--all-regions"),
        (lambda f: np.save(f / PLANE / "iscell.npy", np.ones((5, 2))), "iscell.npy.*12 regions.*same run"),
        (lambda f: np.save(f / PLANE / "iscell.npy", np.zeros((12, 2))), "iscell.npy.*none"),
        (lambda f: np.save(f / PLANE / "spks.npy", np.ones(12)), "spks.npy.*regions, samples"),
        (shutil.rmtree, "nothing there"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused(damage, words: str, folder: Path) -> None:
    damage(folder)
    with pytest.raises(VidreconError, match=words):
        Suite2pFolder(folder).recording()
