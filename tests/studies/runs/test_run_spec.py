"""A run's key is decided by the content of its files and by every setting, and by nothing else."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_vidrecon.errors import SessionError, StorageError
from napari_vidrecon.reconstruction.results import Reconstruction
from napari_vidrecon.sessions.stimuli.synthetic import DriftingGrating
from napari_vidrecon.studies.catalogue import STUDIES
from napari_vidrecon.studies.mice import Mouse
from napari_vidrecon.studies.runs.run_spec import Keys, RunSpec, without_repeats
from napari_vidrecon.studies.study import Study

CHANGES = {
    "encoders": {"encoders": (1,)},
    "several encoders": {"encoders": (0, 1), "ensemble": "gradients"},
    "trial": {"trial": 1},
    "frames": {"frames": (0, 41)},
    "target": {"target": "permuted"},
    "predicted target": {"target": "predicted"},
    "who predicts": {"target": "predicted", "target_encoders": (1,)},
    "other clip": {"target": "other clip", "other_trial": 1},
    "fewer neurons": {"ablated_fraction": 0.5},
    "other neurons": {"ablated_fraction": 0.5, "ablation_seed": 3},
    "silent neurons": {"ablated_fraction": 0.5, "ablation": "silence"},
    "training mask": {"mask_threshold": 0.6},
    "evaluation mask": {"evaluation_threshold": 0.9},
}
SETTINGS = {"steps": 4, "learning_rate": 0.3, "seed": 1, "surround": "grey", "track_every": 2, "prior_sd": 50.0}


@pytest.fixture
def spec(tiny_plan) -> RunSpec:
    """The standard run of the first clip by the first encoder."""
    return tiny_plan.standard(tiny_plan.clips[0])[0]


def key(spec: RunSpec) -> str:
    return Keys().of(spec)


def with_config(spec: RunSpec, **changes: object) -> RunSpec:
    return spec.changed(config=spec.config.changed(**changes))


def copied(mouse: Mouse, folder: Path) -> Mouse:
    """The same files elsewhere, under other names."""
    session = Path(shutil.copytree(mouse.session, folder / "renamed"))
    encoders = tuple(Path(shutil.copy(file, folder / f"e{n}.safetensors")) for n, file in enumerate(mouse.encoders))
    mask = Path(shutil.copy(mouse.mask, folder / "m.npy"))
    return dataclasses.replace(mouse, session=session, encoders=encoders, mask=mask, name="renamed", trials=())


def test_the_same_files_elsewhere_have_the_same_key(spec, tmp_path) -> None:
    assert key(spec.changed(mouse=copied(spec.mouse, tmp_path))) == key(spec)


def test_every_changed_field_gives_another_key(spec) -> None:
    changed = [spec.changed(**fields) for fields in CHANGES.values()]
    changed += [with_config(spec, **{name: value}) for name, value in SETTINGS.items()]
    changed.append(spec.changed(mouse=dataclasses.replace(spec.mouse, readout="0")))
    keys = [key(each) for each in (spec, *changed)]
    assert len(set(keys)) == len(keys)


def test_no_field_of_a_run_is_left_out_of_its_key() -> None:
    covered = {name for fields in CHANGES.values() for name in fields}
    elsewhere = {"mouse", "config", "stimulus"}
    assert {each.name for each in dataclasses.fields(RunSpec)} == covered | elsewhere


@pytest.mark.parametrize("stream", ["videos", "responses", "behavior", "pupil_center"])
def test_one_changed_number_in_the_clip_gives_another_key(spec, tmp_path, stream: str) -> None:
    mouse = copied(spec.mouse, tmp_path)
    file = mouse.session / "data" / stream / "0.npy"
    array = np.load(file)
    array.flat[0] += 1
    np.save(file, array)
    assert key(spec.changed(mouse=mouse)) != key(spec)


def test_a_changed_mask_gives_another_key(spec, tmp_path) -> None:
    mouse = copied(spec.mouse, tmp_path)
    np.save(mouse.mask, np.load(mouse.mask) * 0.99)
    assert key(spec.changed(mouse=mouse)) != key(spec)


def test_what_a_run_does_not_read_does_not_change_its_key(spec, tmp_path) -> None:
    mouse = copied(spec.mouse, tmp_path)
    shutil.rmtree(mouse.session / "data" / "videos")
    shutil.copytree(spec.mouse.session / "data" / "videos", mouse.session / "data" / "videos")
    (mouse.session / "data" / "videos" / "1.npy").write_bytes(b"not read")
    mouse.encoders[1].write_bytes(b"not read")
    assert key(spec.changed(mouse=mouse, ablation_seed=7, ablation="silence")) == key(spec)


def test_a_stimulus_is_told_apart_by_its_fields_and_the_average_behaviour(spec) -> None:
    shown = spec.changed(trial=None, frames=None, target="predicted")
    gratings = [
        DriftingGrating(0.0625, 3.75),
        DriftingGrating(0.0625, 7.5, 0.0),
        DriftingGrating(0.125, 3.75, 0.0),
    ]
    keys = {key(shown.changed(stimulus=grating)) for grating in gratings}
    assert len(keys) == len(gratings)
    assert key(shown.changed(stimulus=DriftingGrating(0.0625, 3.75))) in keys


def test_a_missing_file_is_named(spec, tmp_path) -> None:
    mouse = dataclasses.replace(spec.mouse, mask=tmp_path / "no_mask.npy")
    with pytest.raises(StorageError, match=r"no_mask\.npy: expected a file to read"):
        key(spec.changed(mouse=mouse))


def test_a_run_is_asked_for_once_however_many_studies_need_it(spec) -> None:
    assert list(without_repeats([spec, spec.changed(trial=1), spec], Keys()).values()) == [spec, spec.changed(trial=1)]


def test_a_run_without_clip_and_stimulus_or_without_the_other_clip_is_refused(spec) -> None:
    with pytest.raises(SessionError, match="a trial or a stimulus"):
        spec.changed(trial=None).plan("cpu")
    with pytest.raises(SessionError, match="the other clip's trial"):
        spec.changed(target="other clip").plan("cpu")


def test_a_run_equals_the_same_run_by_hand(spec, tmp_path) -> None:
    from napari_vidrecon.reconstruction.runner import reconstruct

    spec.compute(tmp_path / "run.zarr", "cpu")
    mouse, session = spec.mouse, spec.mouse.open_session()
    by_hand = reconstruct(
        session.trial(0).part(*spec.frames), [mouse.load_encoder(0, "cpu")], mouse.load_mask(), spec.config
    )
    np.testing.assert_array_equal(Reconstruction.load(tmp_path / "run.zarr").video, by_hand.video)


def test_a_partial_run_goes_on_to_the_same_result(spec, tmp_path) -> None:
    whole, resumed = tmp_path / "whole.zarr", tmp_path / "resumed.zarr"
    spec.compute(whole, "cpu")
    run = spec.plan("cpu")
    run.step()
    run.result(with_activity=False).save(resumed)
    spec.compute(resumed, "cpu")
    first, second = Reconstruction.load(whole), Reconstruction.load(resumed)
    np.testing.assert_array_equal(first.video, second.video)
    assert second.finished
    assert second.history["seconds"][0] == run.history["seconds"][0]  # the first step was not done again


@pytest.mark.parametrize("content", ["nothing", "damaged", "of other settings"])
def test_what_cannot_be_continued_is_replaced(spec, tmp_path, content: str) -> None:
    folder = tmp_path / "run.zarr"
    if content == "of other settings":
        with_config(spec, learning_rate=0.5).compute(folder, "cpu")
    else:
        folder.mkdir()
        if content == "damaged":
            (folder / "zarr.json").write_text("{")
    spec.compute(folder, "cpu")
    assert Reconstruction.load(folder).config == spec.config


def test_the_other_clips_activity_is_the_target(spec) -> None:
    run = spec.changed(target="other clip", other_trial=1).plan("cpu")
    there = spec.mouse.open_session().trial(1).part(*spec.frames)
    np.testing.assert_array_equal(run.target.activity, there.responses)


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_different_runs_of_a_study_have_different_labels(study: Study, tiny_plan, shared_store) -> None:
    runs = without_repeats(study.runs(tiny_plan), shared_store.keys)
    assert len({spec.label for spec in runs.values()}) == len(runs)


def test_the_standard_run_has_nothing_special_and_a_variant_says_what_is(tiny_plan) -> None:
    standard: RunSpec = tiny_plan.standard(tiny_plan.clips[0])[0]
    assert standard.label == "tiny, trial 0, encoder 0, frames 0 to 40"
    ablated = standard.changed(ablated_fraction=0.875, ablation="silence")
    assert ablated.label == "tiny, trial 0, encoder 0, frames 0 to 40, 87.5 % of the neurons held at 0"
    both = standard.changed(encoders=(0, 1), ensemble="gradients", target="predicted")
    assert both.label == "tiny, trial 0, encoders 0, 1, frames 0 to 40, from predicted activity, gradients averaged"
    told = both.changed(encoders=(0,), target_encoders=(0, 1))
    assert told.label == "tiny, trial 0, encoder 0, frames 0 to 40, from activity predicted by encoders 0, 1"
    faster = standard.changed(config=standard.config.changed(learning_rate=500.0), mask_threshold=0.3)
    assert faster.label == "tiny, trial 0, encoder 0, frames 0 to 40, mask threshold 0.3, learning rate 500.0"
