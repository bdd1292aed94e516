"""Several clips at once give what each gives alone; a step waits for the device once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import napari_vidrecon as vr
from napari_vidrecon.encoders.checkpoints import load_encoder
from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.run import plan_run
from napari_vidrecon.reconstruction.targets import NeuronSet
from napari_vidrecon.reconstruction.together import drive_together, step_together

LARGEST_DIFFERENCE = 0.02
"""Grey levels; the chunks are others, so sums round differently."""


@pytest.fixture
def clips(small_session_folder):
    """Of two lengths."""
    session = vr.open_session(small_session_folder)
    return [session.trial(0).part(0, 44), session.trial(1).part(0, 60)]


@pytest.fixture
def plan(encoder, disc_mask, quick_config):
    def planned(trial, encoders=None, **more):
        return plan_run(trial, encoders or [encoder], disc_mask, more.pop("config", quick_config), **more)

    return planned


def finish_together(runs):
    while going := [run for run in runs if not run.finished]:
        step_together(going)


@pytest.mark.parametrize("preset", ["paper", "fast"])
def test_clips_at_once_end_with_the_movies_of_single_runs(preset, clips, plan):
    config = vr.ReconstructionConfig.preset(preset, steps=5, track_skip_frames=8)
    alone, together = ([plan(clip, config=config) for clip in clips] for _ in range(2))
    for run in alone:
        while not run.finished:
            run.step()
    finish_together(together)
    for one, other in zip(alone, together, strict=True):
        assert np.ptp(one.steppable.video) > 1.0
        np.testing.assert_allclose(other.steppable.video, one.steppable.video, atol=LARGEST_DIFFERENCE)
        assert len(other.history) == len(one.history) == 5
        np.testing.assert_allclose(other.history["loss"], one.history["loss"], rtol=1e-4)
        assert other.fingerprint == one.fingerprint


@pytest.mark.parametrize("ensemble", ["videos", "gradients"])
def test_ensembles_go_together_too(ensemble, clips, plan, small_encoder_file, quick_config):
    config = quick_config.changed(steps=3)
    encoders = [load_encoder(small_encoder_file, device="cpu") for _ in range(2)]
    encoders[1].module.readouts[0].space.mul_(-1.0)
    alone, together = ([plan(clip, encoders, ensemble=ensemble, config=config) for clip in clips] for _ in range(2))
    for run in alone:
        while not run.finished:
            run.step()
    finish_together(together)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(other.steppable.video, one.steppable.video, atol=LARGEST_DIFFERENCE)
        assert other.history["video_correlation"] == pytest.approx(
            one.history["video_correlation"], abs=1e-3, nan_ok=True
        )


def test_a_run_further_on_joins_with_its_own_steps(clips, plan):
    config = vr.ReconstructionConfig.preset("fast", steps=4, track_skip_frames=8)
    ahead, alone, behind = (plan(clips[index], config=config) for index in (0, 0, 1))
    ahead.step()
    finish_together([ahead, behind])
    while not alone.finished:
        alone.step()
    np.testing.assert_allclose(ahead.steppable.video, alone.steppable.video, atol=LARGEST_DIFFERENCE)


def test_runs_that_do_not_go_together_are_refused(clips, plan, encoder, small_encoder_file, quick_config):
    first = plan(clips[0])
    others = {
        "encoders": plan(clips[1], [load_encoder(small_encoder_file, device="cpu")]),
        "settings": plan(clips[1], config=quick_config.changed(steps=9)),
        "neurons": plan(clips[1], neurons=NeuronSet.without(20, np.arange(5))),
    }
    for what, other in others.items():
        with pytest.raises(ConfigError, match=f"the same {what} for all"):
            step_together([first, other])


def test_a_step_that_fails_for_one_clip_leaves_all_as_they_were(clips, plan):
    runs = [plan(clip) for clip in clips]
    step_together(runs)
    before = [run.steppable.video for run in runs]
    runs[1].steppable.transforms = [lambda gradient, video, step: gradient * np.nan]
    with pytest.raises(ConfigError, match="not finite"):
        step_together(runs)
    for run, video in zip(runs, before, strict=True):
        assert run.steppable.step_index == 1
        assert np.array_equal(run.steppable.video, video)


class CountedWaits(TorchDispatchMode):
    """Counts what would make the host wait for a GPU: values of tensors asked for one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        self.waits += function in (
            torch.ops.aten._local_scalar_dense.default,
            torch.ops.aten.nonzero.default,
            torch.ops.aten.is_nonzero.default,
        )
        return function(*arguments, **(keywords or {}))


@pytest.mark.parametrize("preset", ["paper", "fast", "best"])
def test_gradients_wait_for_no_device(preset, clips, plan, small_encoder_file):
    encoders = [load_encoder(small_encoder_file, device="cpu") for _ in range(2)]
    config = vr.ReconstructionConfig.preset(preset, steps=5)
    run = plan(clips[1], encoders, config=config, ensemble="gradients")
    run.steppable.tracker = None
    run.step()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with CountedWaits() as counted:
            run.steppable.gradient()
    finally:
        torch.set_num_threads(threads)
    assert counted.waits == 0


def test_runs_of_other_neuron_weights_go_together(trial, plan):
    weights = np.arange(20.0)
    sets = [NeuronSet(np.ones(20, dtype=bool), weights=each) for each in (weights, weights[::-1], None)]
    alone, together = ([plan(trial, neurons=each) for each in sets] for _ in range(2))
    for run in alone:
        while not run.finished:
            run.step()
    finish_together(together)
    assert np.abs(alone[0].steppable.video - alone[1].steppable.video).max() > 10 * LARGEST_DIFFERENCE
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(other.steppable.video, one.steppable.video, atol=LARGEST_DIFFERENCE)


def test_clips_at_once_are_kept_in_their_folders_and_go_on_from_there(clips, plan, tmp_path):
    folders = [tmp_path / f"{number}.zarr" for number in range(2)]
    steps = []

    def stop_after_two() -> None:
        steps.append(1)
        if len(steps) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drive_together(dict(zip(folders, map(plan, clips), strict=True)), stop_after_two)
    runs = [plan(clip) for clip in clips]
    for folder, run in zip(folders, runs, strict=True):
        assert run.go_on_from(folder) is None
        assert run.steppable.step_index == 2
    results = drive_together(dict(zip(folders, runs, strict=True)))
    for folder, result in zip(folders, results, strict=True):
        assert result.finished
        assert np.array_equal(vr.Reconstruction.load(folder).video, result.video)
