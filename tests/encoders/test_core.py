"""A core of other mice: kept to the bit while it is frozen, thawed when asked for, gone on with after a stop."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_vidrecon.encoders.answers import predicted
from napari_vidrecon.encoders.architectures.compact import CompactRecipe
from napari_vidrecon.encoders.architectures.factorised import FactorisedRecipe
from napari_vidrecon.encoders.architectures.recurrent import RecurrentRecipe
from napari_vidrecon.encoders.architectures.viv1t import ViV1TRecipe
from napari_vidrecon.encoders.checkpoints import load_encoder, read_encoder_file
from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.encoders.training import core as core_module
from napari_vidrecon.encoders.training import readout_fit
from napari_vidrecon.encoders.training.core import PretrainedCore, core_for_few_frames
from napari_vidrecon.encoders.training.readout_fit import first_places, fit_readouts
from napari_vidrecon.encoders.training.trainer import Trainer
from napari_vidrecon.encoders.training.training_run import single_trial_correlation, train_encoder
from napari_vidrecon.errors import ConfigError, EncoderError
from napari_vidrecon.sessions.sample import whole_sample
from napari_vidrecon.sessions.session import open_session


@pytest.fixture(scope="module")
def new_mouse(golden_session_folder):
    return open_session(golden_session_folder)


def trainer(session, core: PretrainedCore, **settings) -> Trainer:
    recipe = CompactRecipe(**{**core.recipe_fields(), "steps": 4, "batch_size": 4, **settings})
    return Trainer([session], recipe, [[0, 1, 2]], core=core)


def test_a_frozen_core_stays_as_it_was_and_readouts_learn(new_mouse, small_encoder_file, tmp_path):
    core, path = PretrainedCore(small_encoder_file), tmp_path / "encoder.safetensors"
    recipe = CompactRecipe(**{**core.recipe_fields(), "steps": 3, "batch_size": 4})
    told = {"training_trials": [[0, 1, 2]], "validation_trials": [[]], "core": small_encoder_file}
    train_encoder([new_mouse], recipe, path, **told)
    before, after = load_file(small_encoder_file), load_file(path)
    shared = [name for name in before if not name.startswith(("readouts.", "behavior_"))]
    assert len(shared) > 10
    assert all(torch.equal(before[name], after[name]) for name in shared)
    assert load_encoder(path).spec.neurons == new_mouse.n_neurons
    stored = read_encoder_file(path).provenance["core"]
    assert (stored["sha256"], stored["thaw"], stored["file"]) == (core.sha256, 0.0, small_encoder_file.name)
    untrained = trainer(new_mouse, core).module.state_dict()
    assert not torch.equal(untrained["readouts.0.features"], after["readouts.0.features"])


def test_a_core_thaws_for_the_last_steps_and_the_training_goes_on_to_the_same_bits(
    new_mouse, small_encoder_file, tmp_path
):
    core = PretrainedCore(small_encoder_file, thaw=0.5)
    whole, first, resumed = (trainer(new_mouse, core) for _ in range(3))
    stem = whole.module.stem.weight.detach().clone()
    losses = [whole.step(), whole.step()]
    assert torch.equal(whole.module.stem.weight, stem)
    losses += [whole.step(), whole.step()]
    assert not torch.equal(whole.module.stem.weight, stem)
    for steps in (1, 3):
        while first.step_index < steps:
            first.step()
        first.save_checkpoint(tmp_path / f"{steps}.safetensors")
        resumed.load_checkpoint(tmp_path / f"{steps}.safetensors")
    assert resumed.step() == losses[3]
    assert all(torch.equal(whole.averaged[name], value) for name, value in resumed.averaged.items())
    with pytest.raises(EncoderError, match="core differ"):
        trainer(new_mouse, PretrainedCore(small_encoder_file)).load_checkpoint(tmp_path / "1.safetensors")


def test_a_core_that_was_trained_without_gaze_serves_a_mouse_whose_gaze_is_learned(
    new_mouse, small_session_folder, tmp_path
):
    recipe = CompactRecipe(features=8, temporal_kernels=(5,), steps=1, batch_size=4, shifter=False)
    train_encoder([open_session(small_session_folder)], recipe, tmp_path / "before.safetensors")
    training = trainer(new_mouse, PretrainedCore(tmp_path / "before.safetensors"))
    training.step()
    training.step()
    assert bool((training.module.readouts[0].shifter != 0).any())


def test_of_mice_in_one_batch_each_window_is_moved_by_the_gaze_of_its_own(new_mouse, small_session_folder):
    sessions = [new_mouse, open_session(small_session_folder)]
    recipe = CompactRecipe(features=8, temporal_kernels=(5,), batch_size=8, mixing="within_batch", samples_per_mouse=50)
    training = Trainer(sessions, recipe, [[0, 1, 2], [0, 1]])
    module = training.module
    for number, readout in enumerate(module.readouts):
        readout.shifter.data.fill_(0.5 + number)
    batch = training.batches.draw(0)
    seen = training.seen(batch)
    assert len(batch.rows) == 2
    for mouse, rows in batch.rows.items():
        assert torch.equal(seen[rows], module.seen(batch.inputs[rows], mouse))
        assert not torch.equal(seen[rows], module.seen(batch.inputs[rows], 1 - mouse))


def usual_trainer(session, **settings) -> Trainer:
    return Trainer([session], CompactRecipe(steps=3, batch_size=2, **settings), [session.trials_in_tier("train")])


def test_a_training_begins_with_the_core_of_the_simulated_mouse_that_comes_along_and_all_of_it_learns(
    new_mouse, tmp_path
):
    sample = whole_sample()
    encoders = sample.encoders
    for seed, core in enumerate((sample.core, encoders[1])):
        training = usual_trainer(new_mouse, seed=seed)
        theirs = load_file(core)
        shared = [name for name in theirs if not name.startswith(("readouts.", "behavior_"))]
        assert all(torch.equal(training.averaged[name], theirs[name]) for name in shared)
    features = training.module.readouts[0].features.detach().clone()
    training.step()
    training.step()
    assert not torch.equal(training.module.stem.weight, theirs["stem.weight"])
    assert not torch.equal(training.module.readouts[0].features, features)
    training.save_encoder(tmp_path / "encoder.safetensors", {})
    told = read_encoder_file(tmp_path / "encoder.safetensors").provenance["begun_with"]
    assert (told["file"], told["sha256"]) == ("encoder_1.safetensors", PretrainedCore(encoders[1]).sha256)


def test_a_sample_of_before_has_the_cores_of_its_encoders_alone(new_mouse, monkeypatch):
    sample = whole_sample()
    monkeypatch.setattr(core_module, "find_sample", lambda: replace(sample, core=None))
    assert core_module.first_core(CompactRecipe(), new_mouse).path == sample.encoders[0]


def test_of_few_frames_that_core_learns_nothing_and_readouts_alone_do_in_few_steps(new_mouse, monkeypatch):
    trials = [new_mouse.trials_in_tier("train")]
    core, recipe = core_for_few_frames([new_mouse], trials, CompactRecipe(seed=1))
    usual = core.recipe_fields()
    assert (core.thaw, core.path) == (0.0, whole_sample().encoders[1])
    assert (recipe.steps, recipe.learning_rate) == (usual["steps"], usual["learning_rate"])
    assert recipe.steps < CompactRecipe().steps
    assert core_for_few_frames([new_mouse], trials, CompactRecipe(steps=7))[1].steps == 7
    for other in (CompactRecipe(pretrained=False), CompactRecipe(features=12)):
        assert core_for_few_frames([new_mouse], trials, other) == (None, other)
    monkeypatch.setattr(core_module, "FEW_FRAMES", 10)
    assert core_for_few_frames([new_mouse], trials, CompactRecipe()) == (None, CompactRecipe())


@pytest.mark.parametrize("trials", [1, 4])
def test_of_fewer_trials_than_a_regression_needs_that_core_learns_nothing_either(new_mouse, tmp_path, trials):
    few = [new_mouse.trials_in_tier("train")[:trials]]
    core, recipe = core_for_few_frames([new_mouse], few, CompactRecipe(steps=2, batch_size=2))
    train_encoder([new_mouse], recipe, tmp_path / "encoder.safetensors", training_trials=few)
    theirs, written = load_file(core.path), load_file(tmp_path / "encoder.safetensors")
    assert torch.equal(written["stem.weight"], theirs["stem.weight"])


def test_what_there_is_to_learn_from_is_counted_clip_by_clip_and_not_by_the_first_one(new_mouse, monkeypatch):
    trials = new_mouse.trials_in_tier("train")
    lengths = dict.fromkeys(trials, core_module.FEW_FRAMES) | {trials[0]: 40}
    monkeypatch.setattr(type(new_mouse), "clip_frames", lambda _, trial: lengths[trial])
    assert core_for_few_frames([new_mouse], [trials], CompactRecipe()) == (None, CompactRecipe())


def test_it_begins_by_chance_where_that_is_wanted_and_where_sizes_or_windows_are_others(new_mouse):
    for settings in ({"pretrained": False}, {"features": 12}, {"window_step": 1}, {"expansion_ratio": 3}):
        assert usual_trainer(new_mouse, **settings).begun_with is None
    assert usual_trainer(new_mouse, drop_rate=0.3, shifter=False).begun_with is not None


def test_a_stopped_training_that_began_with_a_core_goes_on_to_the_same_bits(new_mouse, tmp_path):
    whole, first, resumed = (usual_trainer(new_mouse) for _ in range(3))
    losses = [whole.step(), whole.step(), whole.step()]
    assert [first.step(), first.step()] == losses[:2]
    first.save_checkpoint(tmp_path / "2.safetensors")
    resumed.load_checkpoint(tmp_path / "2.safetensors")
    assert resumed.step() == losses[2]
    assert all(torch.equal(whole.averaged[name], value) for name, value in resumed.averaged.items())


def test_what_does_not_fit_a_core_is_one_clear_line(new_mouse, small_encoder_file, copy_of_small_session):
    core = PretrainedCore(small_encoder_file)
    with pytest.raises(EncoderError, match="expected features of 8, as its core has, found 12"):
        trainer(new_mouse, core, features=12)
    (copy_of_small_session / "config.json").write_text(json.dumps({"frame_rate_hz": 15}))
    with pytest.raises(EncoderError, match=r"expected movies of 36x64 pixels at 30 Hz.*found 36x64 pixels at 15 Hz"):
        trainer(open_session(copy_of_small_session), core)
    two_colours = Canvas(36, 64, colours=("green", "uv"))
    with pytest.raises(EncoderError, match=r"found 18x64 pixels in green and uv at 30 Hz in mouse"):
        core.require_screen(two_colours, 30.0, "mouse")
    with pytest.raises(ConfigError, match="thaw: expected a share"):
        PretrainedCore(small_encoder_file, thaw=1.5)


def test_the_command_takes_sizes_from_the_core(capsys, small_session_folder, small_encoder_file, tmp_path: Path):
    from napari_vidrecon.cli import main

    words = ["train", str(small_session_folder), "--core", str(small_encoder_file), "--recipe", "batch_size=2"]
    out = str(tmp_path / "encoder.safetensors")
    assert main([*words, "--out", out, "--steps", "2", "--thaw", "0.5"]) == 0
    assert "small.safetensors, learns too in the last 50 % of the steps" in capsys.readouterr().out
    assert main([*words, "--out", out, "--overwrite", "--recipe", "features=12"]) == 2
    assert "expected features of 8" in capsys.readouterr().err
    assert main([*words[:2], "--out", out, "--overwrite", "--thaw", "0.5"]) == 2
    assert "expected --core FILE beside it" in capsys.readouterr().err


@pytest.fixture(scope="module")
def planted_mouse(golden_session_folder, small_encoder_file, tmp_path_factory):
    """The new mouse with neurons that see a few places of the core's map each; and nothing else."""
    folder = tmp_path_factory.mktemp("planted") / golden_session_folder.name
    shutil.copytree(golden_session_folder, folder)
    mouse = open_session(folder)
    planted, chance = trainer(mouse, PretrainedCore(small_encoder_file)), torch.Generator().manual_seed(4)
    readout = planted.module.readouts[0]
    places = torch.randint(readout.space.shape[1], (mouse.n_neurons,), generator=chance)
    space = torch.nn.functional.one_hot(places, readout.space.shape[1]).float()
    planted.averaged["readouts.0.space"].copy_(space)
    encoder = planted.encoder()
    for trial_id in mouse.trials_in_tier("train"):
        trial = mouse.trial(trial_id)
        answers = predicted(encoder, trial.video, trial.behavior, trial.pupil_center, clip=trial.name)
        np.save(folder / "data" / "responses" / f"{trial_id}.npy", answers)
    return open_session(folder)


def test_a_readout_begins_with_a_regression_on_the_core_and_predicts_before_its_first_step(
    planted_mouse, small_encoder_file
):
    core, trials = PretrainedCore(small_encoder_file), planted_mouse.trials_in_tier("train")
    recipe = CompactRecipe(**core.recipe_fields())
    assert recipe.steps < CompactRecipe().steps / 3
    *seen, held_out = trials[:9]

    def correlation(trials: list[int]) -> float:
        begun = Trainer([planted_mouse], recipe, [trials], core=core)
        return float(np.median(single_trial_correlation(begun.encoder(), planted_mouse, [held_out])))

    # Of two trials none can be left out to judge a fit on: that readout begins by chance.
    fitted, by_chance = correlation(seen), correlation(seen[:2])
    assert 1 - fitted**2 < 0.75 * (1 - by_chance**2)
    assert correlation(seen) == fitted


def test_the_core_of_an_encoder_written_before_its_sizes_had_a_name_is_taken(new_mouse, small_encoder_file, tmp_path):
    core = PretrainedCore(small_encoder_file)
    del core.stored.config["colours"]
    placed = trainer(new_mouse, core).module
    assert torch.equal(placed.stem.weight, load_file(small_encoder_file)["stem.weight"])
    core.stored.config["colours"] = 2
    with pytest.raises(EncoderError, match="expected colours of 2, as its core has, found 1"):
        trainer(new_mouse, core)


def test_an_encoder_from_nothing_fits_its_readouts_once_on_the_way_and_a_stop_before_or_after_changes_no_bit(
    planted_mouse, tmp_path
):
    trials = [planted_mouse.trials_in_tier("train")[:8]]

    def begun(fit_at: float) -> Trainer:
        return Trainer([planted_mouse], CompactRecipe(features=8, steps=6, batch_size=4, readout_fit_at=fit_at), trials)

    never, whole = begun(0.0), begun(0.5)
    for _ in range(3):
        assert never.step() == whole.step()
    assert whole.step() != never.step()
    whole.step()
    for steps in (2, 4):
        stopped, resumed = begun(0.5), begun(0.5)
        while stopped.step_index < steps:
            stopped.step()
        stopped.save_checkpoint(tmp_path / f"{steps}.safetensors")
        resumed.load_checkpoint(tmp_path / f"{steps}.safetensors")
        while resumed.step_index < whole.step_index:
            resumed.step()
        assert all(torch.equal(whole.averaged[name], value) for name, value in resumed.averaged.items())


def test_the_regression_of_readouts_is_the_same_in_pieces_and_can_be_stopped_between_any_two(
    planted_mouse, small_encoder_file, monkeypatch
):
    core = PretrainedCore(small_encoder_file)
    recipe = CompactRecipe(**core.recipe_fields())
    begun = Trainer([planted_mouse], recipe, [planted_mouse.trials_in_tier("train")[:8]], core=core)
    ((whole,), calls) = fit_readouts(begun.module, begun.batches), []
    monkeypatch.setattr(readout_fit, "FEATURES_AT_ONCE", 7)
    monkeypatch.setattr(readout_fit, "NEURONS_AT_ONCE", 3)
    (pieces,) = fit_readouts(begun.module, begun.batches, lambda: calls.append(None))
    for name in ("space", "features"):
        np.testing.assert_allclose(getattr(pieces, name), getattr(whole, name), rtol=1e-2, atol=1e-3)
    assert len(calls) > 100
    before = {name: value.clone() for name, value in begun.module.state_dict().items()}

    def stop() -> None:
        calls.pop()
        if len(calls) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_readouts(begun.module, begun.batches, stop)
    assert all(torch.equal(value, before[name]) for name, value in begun.module.state_dict().items())


@pytest.mark.parametrize("frames", [30, 90])
def test_the_regression_s_two_forms_give_one_answer(frames):
    draw = torch.Generator().manual_seed(1)
    features, responses = (torch.randn(frames, size, generator=draw, dtype=torch.float64) + 1 for size in (60, 5))
    sums = []
    for kind in (readout_fit.Moments, readout_fit.Frames):
        both = kind.of(features[:20], responses[:20])
        both.add(kind.of(features[20:], responses[20:]))
        centred, some = both.centred(), torch.tensor([True, False, True, True, False])
        weights = centred.ridge(3.0, some, lambda: None)
        agreement = centred.agreement(weights[:, 1:].T, slice(2, 4))
        sums.append([both.feature_mean, both.response_mean, both.response_sd, weights, *agreement])
        assert centred.variance == pytest.approx(float(features.var(0, correction=0).mean()))
    for found, expected in zip(*sums, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_with_fewer_frames_than_features_the_regression_holds_no_matrix_of_features_by_features(
    planted_mouse, small_encoder_file, monkeypatch
):
    core = PretrainedCore(small_encoder_file)
    recipe = CompactRecipe(**core.recipe_fields())
    begun = Trainer([planted_mouse], recipe, [planted_mouse.trials_in_tier("train")[:5]], core=core)
    with monkeypatch.context() as patched:
        patched.setattr(readout_fit, "Moments", None)
        (by_frames,) = fit_readouts(begun.module, begun.batches)
    monkeypatch.setattr(readout_fit, "Frames", readout_fit.Moments)
    (by_features,) = fit_readouts(begun.module, begun.batches)
    for name in ("space", "features"):
        np.testing.assert_allclose(getattr(by_frames, name), getattr(by_features, name), rtol=1e-2, atol=1e-3)


def test_a_core_of_which_nothing_finite_comes_is_one_clear_line_and_no_failed_regression(
    planted_mouse, small_encoder_file
):
    core = PretrainedCore(small_encoder_file)
    placed = core.place

    def place_damaged(module: torch.nn.Module) -> None:
        placed(module)
        module.stem.weight.data.fill_(float("nan"))

    core.place = place_damaged
    recipe = CompactRecipe(**core.recipe_fields())
    damaged = Trainer([planted_mouse], recipe, [planted_mouse.trials_in_tier("train")[:8]], core=core)
    with pytest.raises(EncoderError, match="the loss is nan"):
        damaged.step()


def samples_of(rate_hz: float, frames: int, rows: int, columns: int) -> tuple[Any, np.ndarray]:
    """Movies of squares that come and go, and neurons that answer to brightness, darkness or change of one of them."""
    random, delay = np.random.default_rng(3), max(1, round(0.1 * rate_hz))
    squares = random.integers(0, 256, (8, frames // 4, rows // 4, columns // 4)).repeat(4, 1)[:, :frames]
    videos = squares.repeat(4, 2).repeat(4, 3).astype(np.uint8)
    places = np.array([(1, 2), (1, columns // 4 - 2), (rows // 4 - 2, 4), (2, 3)])
    seen = squares[:, :, places[:, 0], places[:, 1]].transpose(0, 2, 1) / 255.0
    shown = seen[:, 2, ::4]
    change = np.abs(np.diff(shown, axis=1, prepend=shown[:, :1])).repeat(4, 1)
    answers = np.stack([seen[:, 0], 1.0 - seen[:, 1], change, np.zeros_like(change)], 1)
    answers = np.concatenate([answers[..., :1].repeat(delay, 2), answers], 2)[..., :frames].astype(np.float32)
    session = SimpleNamespace(frame_rate_hz=rate_hz, clip_frames=lambda trial: frames)
    arrays = [SimpleNamespace(video=video, responses=each) for video, each in zip(videos, answers, strict=True)]
    return SimpleNamespace(session=session, trial_ids=list(range(8)), arrays=arrays.__getitem__), places


@pytest.mark.parametrize(("rate_hz", "frames", "rows", "columns"), [(30.0, 400, 36, 64), (8.0, 400, 20, 20)])
def test_where_neurons_look_is_told_by_activity_and_movies(rate_hz, frames, rows, columns):
    samples, places = samples_of(rate_hz, frames, rows, columns)
    found = first_places(samples).numpy()
    middles_px = (places * 4 + 1.5)[:3]
    found_px = (found[:3] + 1) / 2 * (np.array([rows, columns]) - 4) + 1.5
    assert np.abs(found_px - middles_px).max() < 2.5
    # One that never answers is put among the others.
    assert (found[:3].min(0) <= found[3]).all()
    assert (found[3] <= found[:3].max(0)).all()


def test_of_movies_that_never_change_neurons_begin_in_the_middle():
    samples, _ = samples_of(30.0, 100, 36, 64)
    for trial in samples.trial_ids:
        samples.arrays(trial).video[:] = 127
    assert torch.equal(first_places(samples), torch.zeros(4, 2))


@pytest.mark.parametrize("recipe", [FactorisedRecipe, RecurrentRecipe, ViV1TRecipe])
def test_readouts_that_look_at_points_begin_where_activity_tells(new_mouse, recipe):
    training = Trainer([new_mouse], recipe(steps=2, batch_size=2), [new_mouse.trials_in_tier("train")])
    position = training.module.readouts[0].position.detach()
    expected = first_places(training.samples[0])
    torch.testing.assert_close(position, expected.flip(1) if recipe is ViV1TRecipe else expected)
