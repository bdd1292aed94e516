"""The simulated session on disk: the same files from the same seed, in the format of a recorded one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.sessions.session import open_session
from napari_vidrecon.sessions.simulation.mouse import simulate_session, simulate_trial
from napari_vidrecon.sessions.simulation.visual_cortex import VisualCortex

SIZE = {"neurons": 12, "train_trials": 2, "validation_trials": 1, "test_trials": 1, "frames": 40}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate_session(tmp_path_factory.mktemp("simulated") / "mouse", seed=7, **SIZE)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_seed_writes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    assert contents(simulate_session(tmp_path / "again", seed=7, **SIZE)) == contents(folder)


def test_two_processes_write_the_same_bytes_as_one(folder: Path, tmp_path: Path) -> None:
    assert contents(simulate_session(tmp_path / "two", seed=7, workers=2, **SIZE)) == contents(folder)


def test_the_session_opens_and_every_tier_has_responses(folder: Path) -> None:
    session = open_session(folder)
    assert session.simulated
    assert list(session.tiers.values()) == ["live_test_main", "oracle", "train", "train"]
    for trial_id in session.trial_ids:
        trial = session.trial(trial_id)
        assert trial.video.shape == (40, 36, 64)
        assert trial.responses.shape == (12, 40)
        assert trial.responses.max() > 0


def test_one_trial_can_be_simulated_again_alone(folder: Path) -> None:
    stored = open_session(folder).trial(2)
    again = simulate_trial(VisualCortex(12, 7), 2, frames=40)
    np.testing.assert_array_equal(again.video, stored.video)
    np.testing.assert_array_equal(again.responses, stored.responses)
    np.testing.assert_array_equal(again.behavior, stored.behavior)
    np.testing.assert_array_equal(again.pupil_center, stored.pupil_center)


def test_more_training_leaves_the_held_out_trials_as_they_are(folder: Path, tmp_path: Path) -> None:
    larger = simulate_session(tmp_path / "larger", seed=7, **{**SIZE, "train_trials": 3})
    for stream in ("videos", "responses", "behavior", "pupil_center"):
        for trial in (0, 1):
            name = f"data/{stream}/{trial}.npy"
            assert (larger / name).read_bytes() == (folder / name).read_bytes()


def test_the_notes_say_that_it_is_simulated_and_where_each_neuron_looks(folder: Path) -> None:
    notes = json.loads((folder / "simulation.json").read_text())
    assert notes["simulated"] is True
    assert notes["seed"] == 7
    assert notes["trials"] == {"live_test_main": 1, "oracle": 1, "train": 2}
    cortex = VisualCortex(12, 7)
    np.testing.assert_allclose(notes["per_neuron"]["row_px"], cortex.fields.row, atol=1e-3)
    np.testing.assert_allclose(notes["per_neuron"]["column_px"], cortex.fields.column, atol=1e-3)
    assert {len(values) for values in notes["per_neuron"].values()} == {12}


def test_progress_counts_up_to_the_number_of_trials(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    simulate_session(tmp_path / "mouse", seed=7, on_progress=lambda *done: seen.append(done), **SIZE)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_stopping_half_way_leaves_nothing_behind(tmp_path: Path) -> None:
    def stop(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_session(tmp_path / "mouse", seed=7, on_progress=stop, **SIZE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("setting", "value"),
    [("seed", -1), ("neurons", 0), ("frames", 0), ("frames", 325), ("train_trials", -1)],
)
def test_a_number_out_of_range_is_named(tmp_path: Path, setting: str, value: int) -> None:
    with pytest.raises(ConfigError, match=setting.split("_")[0]):
        simulate_session(tmp_path / "mouse", **{"seed": 7, **SIZE, setting: value})
