"""A reconstruction keeps its promises: grey outside, same bits, resumable, changeable."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import napari_vidrecon as vr
from napari_vidrecon.errors import ConfigError, EncoderError, MaskError, RunError
from napari_vidrecon.reconstruction.run import plan_run
from napari_vidrecon.reconstruction.runner import Mailbox, Runner
from napari_vidrecon.reconstruction.targets import NeuronSet


def test_the_inputs_of_a_run_are_spelled_once_and_shown_wherever_they_are_taken():
    spelled = set(inspect.signature(vr.RunInputs).parameters)
    assert set(inspect.signature(vr.plan_run).parameters) == spelled
    assert set(inspect.signature(vr.reconstruct).parameters) == spelled | {"on_step", "save_to"}
    with pytest.raises(TypeError, match="masc"):
        vr.reconstruct(None, [], None, masc=0.5)


def test_pixels_outside_the_training_mask_stay_exactly_grey(trial, encoder, disc_mask, quick_config):
    result = vr.reconstruct(trial, [encoder], disc_mask, quick_config)
    outside = ~disc_mask.binary(0.5)
    assert set(np.unique(result.video[:, outside])) == {127.5}
    assert np.std(result.video[:, disc_mask.binary(0.5)]) > 0.1
    assert result.video.shape == (44, 36, 64)
    assert result.video.dtype == np.float32


def test_the_loss_falls(trial, encoder, disc_mask, quick_config):
    result = vr.reconstruct(trial, [encoder], disc_mask, quick_config.changed(steps=25))
    losses = result.history["loss"]
    fifths = losses.reshape(5, 5).mean(axis=1)
    assert (np.diff(fifths) < 0).all()


def test_the_same_run_gives_the_same_bits(trial, encoder, disc_mask, quick_config):
    first, second = (vr.reconstruct(trial, [encoder], disc_mask, quick_config) for _ in range(2))
    assert np.array_equal(first.video, second.video)
    assert first.provenance["fingerprint"] == second.provenance["fingerprint"]


def test_behaviour_that_the_encoder_had_and_the_session_lacks_is_named_once(
    trial, encoder, disc_mask, quick_config, caplog, monkeypatch
):
    trained = replace(encoder.spec, name="trained.safetensors", provenance={"behavior": ["running", "pupil size"]})
    monkeypatch.setattr(encoder, "spec", trained)
    config = quick_config.changed(steps=1)
    for recorded, lacking in ((None, None), (("pupil size", "licking"), ["running"]), (("pupil size",), ["running"])):
        clip = replace(trial, recorded_behavior=recorded)
        told = vr.reconstruct(clip, [encoder], disc_mask, config).provenance.get("lacking_behavior")
        assert told == (None if lacking is None else {"trained.safetensors": lacking})
    (line,) = [each.message for each in caplog.records if "trained with" in each.message]
    assert line.startswith("trained.safetensors: was trained with running, of which this session has no recording")


@pytest.mark.parametrize("chunk", [1, 3, 16])
def test_the_chunk_changes_nothing_but_rounding(trial, encoder, disc_mask, quick_config, chunk):
    whole = vr.reconstruct(trial, [encoder], disc_mask, quick_config, chunk=2)
    parts = vr.reconstruct(trial, [encoder], disc_mask, quick_config, chunk=chunk)
    assert np.abs(whole.video - parts.video).max() < 0.02


def test_dropping_neurons_equals_an_encoder_that_never_had_them(trial, encoder, disc_mask, quick_config):
    neurons = NeuronSet.without(20, np.arange(0, 20, 2))
    dropped = vr.reconstruct(trial, [encoder], disc_mask, quick_config, neurons=neurons)
    silenced = vr.reconstruct(trial, [encoder], disc_mask, quick_config, neurons=neurons, ablation="silence")
    full = vr.reconstruct(trial, [encoder], disc_mask, quick_config)
    assert np.abs(dropped.video - silenced.video).max() > 1e-3
    assert np.abs(dropped.video - full.video).max() > 1e-3
    scrambled = trial.responses.copy()
    scrambled[~neurons.keep] = 50.0
    same = vr.reconstruct(trial, [encoder], disc_mask, quick_config, neurons=neurons, target=scrambled)
    assert np.array_equal(dropped.video, same.video)


def test_a_neuron_of_weight_zero_has_no_say(trial, encoder, disc_mask, quick_config):
    keep = np.arange(20) % 2 == 1
    weighted = NeuronSet(np.ones(20, dtype=bool), weights=keep)
    dropped = vr.reconstruct(trial, [encoder], disc_mask, quick_config, neurons=keep)
    ignored = vr.reconstruct(trial, [encoder], disc_mask, quick_config, neurons=weighted)
    full = vr.reconstruct(trial, [encoder], disc_mask, quick_config)
    assert np.abs(ignored.video - dropped.video).max() < 0.1 < np.abs(ignored.video - full.video).max()
    scrambled = trial.responses.copy()
    scrambled[~keep] = 50.0
    same = vr.reconstruct(trial, [encoder], disc_mask, quick_config, neurons=weighted, target=scrambled)
    assert np.array_equal(ignored.video, same.video)


def test_a_run_is_identified_by_the_weights_of_its_neurons(trial, encoder, disc_mask, quick_config):
    everyone, weights = np.ones(20, dtype=bool), np.arange(20.0)
    sets = NeuronSet(everyone), NeuronSet(everyone, weights=weights), NeuronSet(everyone, weights=2 * weights)
    runs = [plan_run(trial, [encoder], disc_mask, quick_config, neurons=each) for each in sets]
    assert len({run.fingerprint for run in runs}) == 3
    assert "weights" not in runs[0].provenance["neurons"]
    assert runs[1].provenance["neurons"]["weights"] != runs[2].provenance["neurons"]["weights"]


def test_averaged_videos_are_the_mean_of_single_runs(trial, encoder, small_encoder_file, disc_mask, quick_config):
    other = vr.load_encoder(small_encoder_file, device="cpu")
    with torch.no_grad():
        other.module.readouts[0].space.mul_(-1.0)
    together = vr.reconstruct(trial, [encoder, other], disc_mask, quick_config)
    singles = [vr.reconstruct(trial, [e], disc_mask, quick_config).video for e in (encoder, other)]
    np.testing.assert_array_equal(together.video, np.mean(singles, axis=0))
    assert len(together.videos) == 2
    gradients = vr.reconstruct(trial, [encoder, other], disc_mask, quick_config, ensemble="gradients")
    assert np.abs(gradients.video - together.video).max() > 1e-4


def test_a_run_stopped_by_its_callback_keeps_what_is_done(trial, encoder, disc_mask, quick_config):
    seen = []
    result = vr.reconstruct(
        trial, [encoder], disc_mask, quick_config, on_step=lambda info: seen.append(info.step) or info.step < 3
    )
    assert seen == [1, 2, 3]
    assert not result.finished
    assert len(result.history) == 3


def test_a_run_continued_from_disk_ends_with_the_same_bits(trial, encoder, disc_mask, quick_config, tmp_path):
    whole = vr.reconstruct(trial, [encoder], disc_mask, quick_config)
    folder = tmp_path / "run.zarr"
    vr.reconstruct(trial, [encoder], disc_mask, quick_config, save_to=folder, on_step=lambda info: info.step < 3)
    assert not vr.Reconstruction.load(folder).finished
    resumed = vr.reconstruct(trial, [encoder], disc_mask, quick_config, save_to=folder)
    assert resumed.finished
    assert np.array_equal(whole.video, resumed.video)
    np.testing.assert_array_equal(whole.history["loss"], resumed.history["loss"])
    np.testing.assert_array_equal(whole.predicted_activity, resumed.predicted_activity)
    assert np.array_equal(vr.Reconstruction.load(folder).video, whole.video)
    assert [path.name for path in tmp_path.iterdir()] == ["run.zarr"]


def test_an_ensemble_continued_from_disk_ends_with_the_same_bits(trial, encoder, disc_mask, quick_config, tmp_path):
    whole = vr.reconstruct(trial, [encoder, encoder], disc_mask, quick_config)
    folder = tmp_path / "run.zarr"
    options = {"save_to": folder, "on_step": lambda info: info.step < 4}
    vr.reconstruct(trial, [encoder, encoder], disc_mask, quick_config, **options)
    resumed = vr.reconstruct(trial, [encoder, encoder], disc_mask, quick_config, save_to=folder)
    assert np.array_equal(whole.video, resumed.video)


def test_a_runner_replaces_another_run_only_where_it_is_told_to(trial, encoder, disc_mask, quick_config, tmp_path):
    folder = tmp_path / "run.zarr"
    other = vr.reconstruct(trial, [encoder], disc_mask, quick_config.changed(steps=1), save_to=folder)
    runner = Runner(plan_run(trial, [encoder], disc_mask, quick_config.changed(steps=2)), save_to=folder)
    with pytest.raises(RunError, match="other inputs or settings"):
        runner.resume_or_start()
    assert vr.Reconstruction.load(folder).config == other.config
    assert runner.resume_or_start(replace=True).finished
    assert vr.Reconstruction.load(folder).config.steps == 2


def test_a_run_that_is_saved_with_every_step_predicts_its_activity_once(
    trial, encoder, disc_mask, quick_config, tmp_path, monkeypatch
):
    run = plan_run(trial, [encoder], disc_mask, quick_config.changed(steps=3))
    result, kept = run.result, []
    monkeypatch.setattr(run, "result", lambda **how: kept.append(run.steppable.step_index) or result(**how))
    Runner(run, save_to=tmp_path / "run.zarr", save_every_seconds=0.0).drive()
    # Of a finished run it is predicted, which takes as long as some steps.
    assert kept == [1, 2, 3]


def test_a_saved_run_of_other_settings_is_not_overwritten(trial, encoder, disc_mask, quick_config, tmp_path):
    folder = tmp_path / "run.zarr"
    vr.reconstruct(trial, [encoder], disc_mask, quick_config, save_to=folder)
    with pytest.raises(RunError, match="other inputs or settings"):
        vr.reconstruct(trial, [encoder], disc_mask, quick_config.changed(steps=9), save_to=folder)
    assert vr.Reconstruction.load(folder).config == quick_config


def test_an_error_in_the_middle_saves_what_is_done(trial, encoder, disc_mask, quick_config, tmp_path):
    def fail(info):
        if info.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vr.reconstruct(trial, [encoder], disc_mask, quick_config, save_to=tmp_path / "run.zarr", on_step=fail)
    assert len(vr.Reconstruction.load(tmp_path / "run.zarr").history) == 3


@pytest.mark.parametrize(("target", "told"), [("recorded", True), ("permuted", True), ("predicted", False)])
def test_a_clip_whose_recorded_activity_is_all_zero_is_told_of(
    trial, encoder, disc_mask, quick_config, caplog, target, told
):
    silent = replace(trial, recorded_responses=np.zeros_like(trial.responses))
    run = vr.plan_run(silent, [encoder], disc_mask, quick_config, target=target)
    lines = [each.message for each in caplog.records if "all recorded activity is 0" in each.message]
    assert [line.startswith(f"{trial.name}: ") for line in lines] == [True] * told
    assert run.step().step == 1


@pytest.mark.parametrize(
    "given",
    [
        {"id": np.int64(7), "frame_rate_hz": np.float32(30), "simulated": np.bool_(False), "name": np.str_("a mouse")},
        {"video": lambda clip: clip.video.round().astype(np.uint8)},
        {"video": lambda clip: clip.video.astype(">f8"), "behavior": lambda clip: clip.behavior.astype(">f4")},
        {"behavior": lambda clip: clip.behavior[:, ::-1], "pupil_center": lambda clip: clip.pupil_center[::-1]},
        {"recorded_responses": lambda clip: pd.DataFrame(clip.responses)},
    ],
)
def test_a_run_of_a_clip_in_numbers_of_any_kind_can_be_opened_again(
    given, trial, encoder, disc_mask, quick_config, tmp_path
):
    clip = replace(trial, **{name: value(trial) if callable(value) else value for name, value in given.items()})
    result = vr.reconstruct(clip, [encoder], disc_mask, quick_config.changed(steps=1), save_to=tmp_path / "run.zarr")
    opened = vr.Reconstruction.load(tmp_path / "run.zarr")
    np.testing.assert_array_equal(opened.video, result.video)
    np.testing.assert_array_equal(opened.stimulus, np.asarray(clip.video, np.float32))
    if "behavior" not in given:
        usual = trial if "video" not in given else replace(trial, video=trial.video.round())
        alone = vr.reconstruct(usual, [encoder], disc_mask, quick_config.changed(steps=1))
        np.testing.assert_array_equal(opened.video, alone.video)


def test_neurons_drawn_by_numbers_of_numpy_are_saved_with_their_run(trial, encoder, disc_mask, quick_config, tmp_path):
    half = NeuronSet.random(np.int64(len(trial.responses)), np.float32(0.5), seed=np.int64(3))
    run = plan_run(trial, [encoder], disc_mask, quick_config.changed(steps=2), neurons=half)
    run.step()
    run.set_training_threshold(np.float32(0.6))
    run.step()
    run.result().save(tmp_path / "run.zarr")
    told = vr.Reconstruction.load(tmp_path / "run.zarr").provenance
    assert told["neuron_details"] == {"kind": "random", "ablated_fraction": 0.5, "seed": 3}
    assert told["changes"][0]["value"] == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": 20240131001}, "id: expected a whole number from -1 to 2147483647, found 20240131001"),
        ({"id": "7"}, "id: expected a whole number"),
        ({"name": "a mouse\0"}, "name: expected a text"),
        ({"frame_rate_hz": float("nan")}, "frame_rate_hz: expected a number"),
        ({"frame_rate_hz": 0}, "frame_rate_hz: expected a number above 0"),
        ({"source": "here"}, "expected source as a ClipSource"),
    ],
)
def test_a_clip_whose_run_could_not_be_opened_again_is_refused_before_it(change, said, trial):
    with pytest.raises(vr.SessionError, match=said):
        replace(trial, **change)


def test_what_a_run_s_folder_cannot_hold_is_refused_before_the_first_step(trial, encoder, disc_mask, quick_config):
    everyone = np.ones(len(trial.responses), bool)
    kept = NeuronSet(everyone, "by layer", {"layer": np.arange(3), "file": Path("layers.npy"), "share": np.float32(1)})
    assert kept.details == {"layer": [0, 1, 2], "file": "layers.npy", "share": 1.0}
    with pytest.raises(ConfigError, match="expected details as names with plain values"):
        NeuronSet(everyone, "by layer", {"layers": {1, 2}})
    with pytest.raises(ConfigError, match="expected a reason in words, found 5"):
        NeuronSet(everyone, 5)
    drawn = NeuronSet(everyone, "drawn elsewhere", {"kind": "random"})
    with pytest.raises(ConfigError, match=r"can be saved and opened again: .*without their share and seed"):
        plan_run(trial, [encoder], disc_mask, quick_config, neurons=drawn)
    with pytest.raises(ConfigError, match=r"can be saved and opened again: .*mask_source"):
        plan_run(trial, [encoder], vr.AlphaMask(disc_mask.alpha, "by hand\0"), quick_config)
    assert vr.AlphaMask(disc_mask.alpha, Path("mask.npy")).source == "mask.npy"


def test_the_mask_threshold_can_move_while_a_run_goes_on(trial, encoder, disc_mask, quick_config):
    run = plan_run(trial, [encoder], disc_mask, quick_config.changed(steps=8))
    for _ in range(4):
        run.step()
    run.steppable.set_training_threshold(0.9)
    assert set(np.unique(run.steppable.video[:, ~disc_mask.binary(0.9)])) == {127.5}
    for _ in range(4):
        run.step()
    assert set(np.unique(run.steppable.video[:, ~disc_mask.binary(0.9)])) == {127.5}
    with pytest.raises(MaskError, match="no pixel"):
        run.steppable.set_training_threshold(9.0)


def test_negative_alpha_joins_only_when_asked(trial, encoder, disc_mask, quick_config):
    strict = vr.reconstruct(trial, [encoder], disc_mask, quick_config, mask_threshold=0.0)
    outside = disc_mask.screen < 0
    assert set(np.unique(strict.video[:, outside])) == {127.5}
    config = quick_config.changed(include_negative_alpha=True)
    full = vr.reconstruct(trial, [encoder], disc_mask, config, mask_threshold=0.0)
    assert np.std(full.video[:, outside]) > 0


def test_padding_level_and_norm_are_choices_that_matter(golden, golden_checkpoints, golden_session_folder):
    trial = vr.open_session(golden_session_folder).trial(10).part(0, 40)
    encoder = vr.load_encoder(golden_checkpoints[0], mouse=1, device="cpu")
    mask = vr.AlphaMask(golden["alpha_m1"])
    config = vr.ReconstructionConfig.preset("paper", steps=4)
    paper = vr.reconstruct(trial, [encoder], mask, config).video
    for change in ({"padding_level": 0.0}, {"gradient_norm": "video"}, {"skip_first_update": False, "warmup_steps": 0}):
        other = vr.reconstruct(trial, [encoder], mask, config.changed(**change)).video
        assert np.abs(other - paper).max() > 1e-4, change


def test_what_does_not_fit_is_one_clear_error(trial, encoder, disc_mask, golden_checkpoints, quick_config):
    other = vr.load_encoder(golden_checkpoints[0], mouse=0, device="cpu")
    with pytest.raises(EncoderError, match=r"predicts 37 neurons.*has 20"):
        vr.reconstruct(trial, [other], disc_mask, quick_config)
    with pytest.raises(ConfigError, match="expected at least one"):
        vr.reconstruct(trial, [], disc_mask, quick_config)
    with pytest.raises(ConfigError, match="expected videos or gradients"):
        vr.reconstruct(trial, [encoder], disc_mask, quick_config, ensemble="mean")


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_movie(trial, encoder, disc_mask, quick_config):
    run = plan_run(trial, [encoder], disc_mask, quick_config)
    run.step()
    before = run.steppable.video
    run.steppable.matched[0][:] = float("nan")
    with pytest.raises(ConfigError, match="not finite"):
        run.step()
    assert np.array_equal(run.steppable.video, before)


def test_a_runner_pauses_resumes_and_publishes_the_newest(trial, encoder, disc_mask, quick_config):
    import threading
    import time

    run = plan_run(trial, [encoder], disc_mask, quick_config.changed(steps=400))
    mailbox = Mailbox()
    runner = Runner(run, mailbox, publish_activity=True)
    thread = threading.Thread(target=runner.drive, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    snapshot = None
    # The first pictures may come before any activity was predicted from them.
    while (snapshot is None or snapshot.predicted_activity is None) and time.monotonic() < deadline:
        snapshot = mailbox.take() or snapshot
        time.sleep(0.005)
    assert snapshot is not None
    assert snapshot.video.shape == trial.video.shape
    assert snapshot.predicted_activity.shape == trial.responses.shape
    runner.pause()
    while run.steppable.step_index < 400 and time.monotonic() < deadline:
        held = run.steppable.step_index
        time.sleep(0.3)
        if run.steppable.step_index == held:
            break
    assert run.steppable.step_index == held < 400
    changed = threading.Event()
    runner.change(lambda run: changed.set())
    runner.resume()
    assert changed.wait(10)
    runner.stop()
    thread.join(30)
    assert not thread.is_alive()
    assert held < len(runner.result.history) < 400


def test_an_empty_mailbox_gives_nothing_and_only_the_newest_is_kept():
    mailbox = Mailbox()
    assert mailbox.take() is None
    mailbox.put("old")
    mailbox.put("new")
    assert mailbox.take() == "new"
    assert mailbox.take() is None
