"""A simulated mouse that went through raw files comes back as it was, whichever kind of files they were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from raw_recordings import RawMouse

from napari_vidrecon.sessions.importing.arrays import ArrayFolder
from napari_vidrecon.sessions.importing.importer import import_recording
from napari_vidrecon.sessions.importing.nwb import NwbFile
from napari_vidrecon.sessions.importing.suite2p import Suite2pFolder
from napari_vidrecon.sessions.session import Session, open_session
from napari_vidrecon.sessions.validation import validate_session

Import = Callable[[RawMouse, Path, Path], None]


def through_arrays(mouse: RawMouse, place: Path, out: Path) -> None:
    import_recording(ArrayFolder(mouse.write_arrays(place)).recording(), out)


def through_suite2p(mouse: RawMouse, place: Path, out: Path) -> None:
    import_recording(Suite2pFolder(mouse.write_suite2p(place)).recording(), out)


def through_nwb(mouse: RawMouse, place: Path, out: Path) -> None:
    with NwbFile(mouse.write_nwb(place.with_suffix(".nwb"))) as source:
        import_recording(source.recording(), out)


@pytest.fixture(params=[through_arrays, through_suite2p, through_nwb])
def imported(request: pytest.FixtureRequest) -> Import:
    return request.param


def test_every_array_comes_back(
    imported: Import, raw_mouse: RawMouse, simulated_mouse: Session, tmp_path: Path, out: Path
) -> None:
    imported(raw_mouse, tmp_path / "raw", out)
    session = open_session(out)
    assert session.tiers == simulated_mouse.tiers
    np.testing.assert_allclose(session.coordinates, simulated_mouse.coordinates, atol=1e-4)
    for number in simulated_mouse.trial_ids:
        found, expected = session.trial(number), simulated_mouse.trial(number)
        np.testing.assert_array_equal(found.video, np.rint(expected.video))
        np.testing.assert_allclose(found.responses, expected.responses, atol=1e-4 * expected.responses.max())
        np.testing.assert_allclose(found.behavior, expected.behavior, atol=1e-3)
        np.testing.assert_allclose(found.pupil_center, expected.pupil_center, atol=1e-3)
    assert session.folds() == simulated_mouse.folds()
    np.testing.assert_allclose(session.average_behavior()[0], simulated_mouse.average_behavior()[0], atol=1e-3)


def test_the_imported_session_has_no_fault(imported: Import, raw_mouse: RawMouse, tmp_path: Path, out: Path) -> None:
    imported(raw_mouse, tmp_path / "raw", out)
    assert validate_session(out) == []


def test_a_clock_that_starts_elsewhere_and_trembles_changes_little(
    imported: Import, raw_mouse: RawMouse, simulated_mouse: Session, tmp_path: Path, out: Path
) -> None:
    random = np.random.default_rng(1)
    for name in ("activity_times", "behavior_times", "onsets"):
        times = getattr(raw_mouse, name) + 1234.5
        setattr(raw_mouse, name, times + random.uniform(-0.002, 0.002, times.shape))
    imported(raw_mouse, tmp_path / "raw", out)
    for number in simulated_mouse.trial_ids:
        found, expected = open_session(out).trial(number), simulated_mouse.trial(number)
        np.testing.assert_array_equal(found.video, np.rint(expected.video))
        assert np.corrcoef(found.responses.ravel(), expected.responses.ravel())[0, 1] > 0.999


def test_only_nwb_files_and_descriptions_can_say_that_a_mouse_is_simulated(
    raw_mouse: RawMouse, tmp_path: Path, out: Path
) -> None:
    through_nwb(raw_mouse, tmp_path / "raw", out)
    assert open_session(out).simulated
    through_arrays(raw_mouse, tmp_path / "arrays", out)
    assert not open_session(out).simulated
