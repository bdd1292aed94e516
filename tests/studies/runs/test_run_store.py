"""Finished runs are found again; partial and damaged ones count as not there."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from napari_vidrecon.errors import RunError
from napari_vidrecon.storage.writing import InUseError
from napari_vidrecon.studies.conducting import cost, estimate, grid
from napari_vidrecon.studies.runs.run_spec import RunStore, is_finished
from napari_vidrecon.studies.study import Outcome, Plan, Study, averaged


@pytest.fixture
def spec(tiny_plan):
    """The standard run of the first clip by the first encoder."""
    return tiny_plan.standard(tiny_plan.clips[0])[0]


@pytest.fixture(scope="module")
def two_runs() -> Study:
    """A study of the first clip only: one run an encoder."""
    return Study("two", "Two runs", "no panel", lambda plan: plan.standard(plan.clips[0]), lambda *_: Outcome())


def test_a_finished_run_is_found_by_its_key(spec, tmp_path) -> None:
    store = RunStore(tmp_path)
    key = store.keys.of(spec)
    assert not store.has(key)
    spec.compute(store.folder(key), "cpu")
    assert store.has(key)
    assert RunStore(tmp_path).load(spec).finished
    assert store.folder(key).parent == tmp_path / "runs"


def test_a_partial_or_damaged_run_counts_as_not_there(spec, tmp_path) -> None:
    store = RunStore(tmp_path)
    folder = store.folder(store.keys.of(spec))
    run = spec.plan("cpu")
    run.step()
    run.result(with_activity=False).save(folder)
    assert not is_finished(folder)
    for read in (store.load, lambda each: store.videos([each])):
        with pytest.raises(RunError, match=r"one of 1 steps; run it again"):
            read(spec)
    (folder / "zarr.json").write_text("{")
    assert not is_finished(folder)


@pytest.mark.parametrize(
    "description", ["[" * 100_000, "[]", '{"attributes": []}', '{"attributes": {"finished": 1}}', "\x00", ""]
)
def test_whatever_a_description_says_a_run_is_finished_or_not(description: str, tmp_path) -> None:
    (tmp_path / "zarr.json").write_text(description)
    assert not is_finished(tmp_path)


def test_a_damaged_run_says_how_to_go_on(spec, tmp_path) -> None:
    store = RunStore(tmp_path)
    folder = store.folder(store.keys.of(spec))
    spec.compute(folder, "cpu")
    (folder / "video" / "zarr.json").write_text("{")
    for read in (store.load, lambda each: store.videos([each])):
        with pytest.raises(RunError, match="remove this folder, and the same command runs it again"):
            read(spec)


def test_movies_are_read_without_the_activity_beside_them(spec, tmp_path) -> None:
    store = RunStore(tmp_path)
    folder = store.folder(store.keys.of(spec))
    spec.compute(folder, "cpu")
    expected = np.clip(store.load(spec).video, 0.0, 255.0)
    shutil.rmtree(folder / "predicted_activity")
    (movie,) = store.videos([spec])
    assert np.array_equal(movie, expected)
    shutil.rmtree(folder / "video")
    with pytest.raises(RunError, match="expected a video"):
        store.videos([spec])


def test_a_run_that_another_process_computes_is_waited_for(spec, tmp_path, monkeypatch) -> None:
    from napari_vidrecon.studies.runs import running

    asked = []

    def busy(each, folder, device: str) -> None:
        asked.append(folder)
        if len(asked) == 1:
            raise InUseError("another process is at work on this run")
        folder.mkdir()
        (folder / "zarr.json").write_text('{"attributes": {"finished": true}}')

    monkeypatch.setattr(running, "WAIT_SECONDS", 0.0)
    monkeypatch.setattr(type(spec), "compute", busy)
    running.compute_run(spec, str(tmp_path / "run"), "cpu")
    assert len(asked) == 2


def test_a_run_that_was_never_started_is_named(spec, tmp_path) -> None:
    with pytest.raises(RunError, match="nothing there"):
        RunStore(tmp_path).load(spec)


def test_movies_are_clipped_before_they_are_averaged_and_smoothed_after(two_runs, tiny_plan, shared_store) -> None:
    from scipy.ndimage import gaussian_filter

    specs = list(two_runs.runs(tiny_plan))
    for folder, each in grid([two_runs], tiny_plan, shared_store).items():
        if not is_finished(folder):
            each.compute(folder, "cpu")
    mean = np.mean([np.clip(shared_store.load(each).video, 0, 255) for each in specs], axis=0)
    np.testing.assert_allclose(averaged(shared_store, specs, smoothed=False), mean, atol=1e-4)
    np.testing.assert_allclose(averaged(shared_store, specs), gaussian_filter(mean, 0.5), atol=1e-4)


def test_the_cost_counts_each_run_once_and_less_when_some_are_there(two_runs, tiny_plan, tmp_path) -> None:
    both = [two_runs, two_runs]
    before = cost(both, tiny_plan, tmp_path)
    assert (before.runs, before.missing) == (2, 2)
    assert before.worker_seconds > 0
    assert before.disk_bytes > 0
    assert not any(tmp_path.iterdir())  # nothing was run
    folder, spec = next(iter(grid(both, tiny_plan, RunStore(tmp_path)).items()))
    spec.compute(folder, "cpu")
    after = cost(both, tiny_plan, tmp_path)
    assert (after.runs, after.missing) == (2, 1)
    assert after.disk_bytes == before.disk_bytes / 2
    written = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    assert written < 1.5 * before.disk_bytes / 2


def test_with_nothing_to_do_a_study_costs_nothing(spec) -> None:
    assert estimate({}, {}).worker_seconds == 0


def test_more_steps_cost_more_time(tiny_plan: Plan, tmp_path) -> None:
    few = tiny_plan.standard(tiny_plan.clips[0])[0]
    many = few.changed(config=few.config.changed(steps=300))
    seconds = [estimate({tmp_path / "a": each}, {tmp_path / "a": each}).worker_seconds for each in (few, many)]
    assert seconds[1] > 10 * seconds[0]
