"""Training learns, repeats, and resumes to the same bits."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_vidrecon.encoders.architectures.compact import CompactRecipe
from napari_vidrecon.encoders.architectures.dwiseneuro import DwiseNeuroRecipe
from napari_vidrecon.encoders.architectures.factorised import FactorisedRecipe
from napari_vidrecon.encoders.architectures.recurrent import RecurrentRecipe
from napari_vidrecon.encoders.architectures.viv1t import ViV1TRecipe
from napari_vidrecon.encoders.checkpoints import load_encoder, save_encoder
from napari_vidrecon.encoders.training.samples import SampleStatistics, SessionSamples
from napari_vidrecon.encoders.training.trainer import Trainer
from napari_vidrecon.encoders.training.training_run import train_encoder
from napari_vidrecon.encoders.windows import FrameWindows
from napari_vidrecon.errors import EncoderError, SessionError
from napari_vidrecon.reconstruction.decoder_fitting import DecoderRecipe, fit_decoder
from napari_vidrecon.sessions.session import open_session

RECIPE = CompactRecipe(features=8, temporal_kernels=(3,), steps=6, batch_size=3, warmup_steps=2)


@pytest.fixture(scope="module")
def session(small_session_folder):
    return open_session(small_session_folder)


def _weights(path) -> dict[str, torch.Tensor]:
    return load_encoder(path, device="cpu").module.state_dict()


def test_the_learning_rate_warms_up_and_falls_along_a_cosine():
    recipe = CompactRecipe(steps=100, warmup_steps=10, learning_rate=1.0, final_learning_rate_ratio=0.01)
    rates = [recipe.schedule().rate_at(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == pytest.approx(1.0)
    assert rates[55] == pytest.approx(0.505)
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates[10:]))


def test_a_batch_is_a_function_of_seed_and_step(session):
    samples = SessionSamples(session, [0, 2], FrameWindows())
    first, again, other = (samples.draw(4, 7, step) for step in (3, 3, 4))
    assert np.array_equal(first.video, again.video)
    assert np.array_equal(first.responses, again.responses)
    assert not np.array_equal(first.video, other.video)
    assert first.video.shape == (4, 16, 36, 64)
    assert first.responses.shape == (4, 20, 16)


def test_clips_that_are_shorter_than_what_an_encoder_sees_are_refused_before_anything_is_learned(session, monkeypatch):
    lengths = {0: 40, 2: 30}
    monkeypatch.setattr(type(session), "clip_frames", lambda _self, trial_id: lengths[trial_id])
    with pytest.raises(SessionError, match=r"trial 2 has 30 frames, expected at least 31, .*; give it the tier none$"):
        SessionSamples(session, [0, 2], FrameWindows(16, 2))
    with pytest.raises(SessionError, match=r"trial 0 has 40 frames, expected at least 61, .* window_size=8$"):
        SessionSamples(session, [0, 2], FrameWindows(16, 4))
    assert FrameWindows(8, 4).span <= 30


LEARNING = {
    "compact": RECIPE.model_copy(update={"steps": 40, "drop_rate": 0.0}),
    "factorised": FactorisedRecipe(
        channels=(8,), spatial_kernels=(7,), temporal_kernels=(3,), spatial_strides=(4,), steps=40, batch_size=4
    ),
    "dwiseneuro": DwiseNeuroRecipe(
        core_features=(8, 16),
        spatial_strides=(4, 2),
        expansion_ratio=2,
        se_reduce_ratio=4,
        cortex_features=(32,),
        batch_size=4,
        base_learning_rate=3e-3,
        cutmix_probability=0.0,
        steps=40,
    ),
}


@pytest.mark.parametrize(
    "architecture",
    [name if name != "dwiseneuro" else pytest.param(name, marks=pytest.mark.long) for name in LEARNING],
)
def test_training_lowers_the_loss_on_what_it_sees(architecture, session):
    trainer = Trainer([session], LEARNING[architecture])
    losses = [trainer.step() for _ in range(40)]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


@pytest.mark.parametrize("architecture", list(LEARNING))
def test_a_silent_neuron_and_behaviour_that_never_changes_spoil_nothing(architecture, copy_of_small_session, tmp_path):
    for trial in (0, 1, 2):
        responses = np.load(copy_of_small_session / f"data/responses/{trial}.npy")
        responses[4, np.isfinite(responses[4])] = 0.0
        np.save(copy_of_small_session / f"data/responses/{trial}.npy", responses)
        behavior = np.load(copy_of_small_session / f"data/behavior/{trial}.npy")
        behavior[1, np.isfinite(behavior[1])] = 0.0
        np.save(copy_of_small_session / f"data/behavior/{trial}.npy", behavior)
    silent = open_session(copy_of_small_session)
    path = tmp_path / "encoder.safetensors"
    score = train_encoder([silent], LEARNING[architecture].model_copy(update={"steps": 4}), path)
    assert np.isfinite(score)
    trial = silent.trial(1)
    activity = load_encoder(path, device="cpu").predict(trial.video, trial.behavior, trial.pupil_center)
    assert np.isfinite(activity).all()


def test_the_same_seed_trains_the_same_bits_and_another_seed_others(session, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train_encoder([session], RECIPE.model_copy(update={"seed": seed}), tmp_path / f"{name}.safetensors")
    a, b, c = (_weights(tmp_path / f"{name}.safetensors") for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["stem.weight"], c["stem.weight"])


def test_stopping_early_keeps_what_is_learned_and_leaves_no_checkpoint(session, tmp_path):
    train_encoder([session], RECIPE, tmp_path / "a.safetensors", on_progress=lambda p: p.step < 3)
    assert load_encoder(tmp_path / "a.safetensors", device="cpu").spec.provenance["steps_done"] == 3
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.curve.csv", "a.safetensors"]


def test_an_interrupted_training_resumes_to_the_same_bits(session, tmp_path):
    def interrupt(progress):
        if progress.step == 3:
            raise KeyboardInterrupt

    train_encoder([session], RECIPE, tmp_path / "whole.safetensors")
    with pytest.raises(KeyboardInterrupt):
        train_encoder([session], RECIPE, tmp_path / "broken.safetensors", on_progress=interrupt)
    assert (tmp_path / "broken.training.safetensors").exists()
    train_encoder([session], RECIPE, tmp_path / "broken.safetensors")
    whole, resumed = _weights(tmp_path / "whole.safetensors"), _weights(tmp_path / "broken.safetensors")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """With other threads than the process that is killed, sums would be rounded otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_a_killed_training_resumes_to_the_same_bits(session, small_session_folder, tmp_path, one_thread):
    killed = tmp_path / "killed.safetensors"
    checkpoint = tmp_path / "killed.training.safetensors"
    program = (
        "import sys, torch; torch.set_num_threads(1)\n"
        "from napari_vidrecon.sessions.session import open_session\n"
        "from napari_vidrecon.encoders.architectures.compact import CompactRecipe\n"
        "from napari_vidrecon.encoders.training.training_run import train_encoder\n"
        "recipe = CompactRecipe.model_validate_json(sys.argv[3])\n"
        "train_encoder([open_session(sys.argv[1])], recipe, sys.argv[2], checkpoint_seconds=0.0)\n"
    )
    recipe = RECIPE.model_copy(update={"steps": 40})
    arguments = [sys.executable, "-c", program, str(small_session_folder)]
    process = subprocess.Popen([*arguments, str(killed), recipe.model_dump_json()])
    deadline = time.monotonic() + 60
    while not checkpoint.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert checkpoint.exists()
    assert not killed.exists()
    train_encoder([session], recipe, killed)
    train_encoder([session], recipe, tmp_path / "whole.safetensors")
    whole, resumed = _weights(tmp_path / "whole.safetensors"), _weights(killed)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_checkpoint_of_other_settings_is_refused(session, tmp_path):
    trainer = Trainer([session], RECIPE)
    trainer.step()
    trainer.save_checkpoint(tmp_path / "c.safetensors")
    other = Trainer([session], RECIPE.model_copy(update={"learning_rate": 1e-3}))
    with pytest.raises(EncoderError, match="other settings"):
        other.load_checkpoint(tmp_path / "c.safetensors")


def test_two_mice_share_one_encoder_and_keep_their_own_readouts(session, golden_session_folder, tmp_path):
    other = open_session(golden_session_folder)
    train_encoder(
        [session, other],
        RECIPE,
        tmp_path / "two.safetensors",
        training_trials=[[0, 2], [0, 1, 2]],
        validation_trials=[[1], []],
    )
    first = load_encoder(tmp_path / "two.safetensors", mouse=session.name, device="cpu")
    second = load_encoder(tmp_path / "two.safetensors", neurons=40, device="cpu")
    assert (first.spec.neurons, second.spec.neurons) == (20, 40)
    assert second.spec.mouse == other.name
    assert torch.equal(first.module.stem.weight, second.module.stem.weight)


@pytest.mark.parametrize(
    "recipe",
    [
        CompactRecipe(features=8, temporal_kernels=(5,)),
        RecurrentRecipe(first_channels=4, hidden_channels=4, warm_up=2, window_size=12),
        FactorisedRecipe(channels=(4, 4, 4)),
        ViV1TRecipe(emb_dim=8, heads=2, head_dim=4, ff_dim=8, spatial_depth=1, temporal_depth=1),
    ],
    ids=lambda recipe: recipe.architecture,
)
def test_mice_whose_pupils_were_filmed_by_other_cameras_answer_each_on_its_own_scale(session, recipe, tmp_path):
    # In one mean of both every pupil would lie far beyond the four deviations that are told apart.
    shift, scale = np.array([300.0, 0.0, 500.0, -80.0]), np.array([0.1, 1.0, 7.0, 0.02])
    trainer = Trainer([session, session], recipe.model_copy(update={"batch_size": 2}), [[0, 2], [0, 2]])
    one = trainer.samples[0].statistics()
    other = replace(one, behavior_mean=one.behavior_mean * scale + shift, behavior_sd=one.behavior_sd * scale)
    torch.manual_seed(0)
    module = trainer.architecture.build((4, 4), trainer.canvas, [first_neurons(one), first_neurons(other)]).eval()
    if isinstance(recipe, CompactRecipe):
        torch.nn.init.normal_(module.readouts[0].shifter)
    module.readouts[1].load_state_dict(module.readouts[0].state_dict())
    mine = trainer.batches.draw(0).inputs[:1]
    theirs = mine.clone()
    numbers = torch.tensor(np.stack([scale, shift]), dtype=mine.dtype)[:, None, :, None, None, None]
    theirs[:, 1:] = mine[:, 1:] * numbers[0] + numbers[1]
    with torch.no_grad():
        expected = module(mine, 0)
        torch.testing.assert_close(module(theirs, 1), expected, rtol=1e-3, atol=1e-4)
    path = tmp_path / "two.safetensors"
    neutral = [each.behavior_mean.tolist() for each in (one, other)]
    save_encoder(
        path, module, architecture=recipe.architecture, mice=["one", "other"], canvas=trainer.canvas,
        windows=trainer.windows, frame_rate_hz=30.0,
        provenance={"neutral_behavior": np.mean(neutral, axis=0).tolist(), "neutral_behaviors": neutral},
    )  # fmt: skip
    loaded = [load_encoder(path, mouse=name, device="cpu") for name in ("one", "other")]
    for encoder, windows, mean in zip(loaded, (mine, theirs), neutral, strict=True):
        torch.testing.assert_close(encoder.responses(windows), expected, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(encoder.neutral_behavior, mean)
    still = np.full((40, 36, 64), 90.0)
    np.testing.assert_allclose(loaded[0].predict(still), loaded[1].predict(still), rtol=1e-3, atol=1e-4)


def first_neurons(statistics: SampleStatistics) -> SampleStatistics:
    """Of four neurons alone."""
    return replace(statistics, response_mean=statistics.response_mean[:4], response_sd=statistics.response_sd[:4])


def test_a_session_without_trials_to_learn_from_is_told_its_tiers(copy_of_small_session, tmp_path):
    tiers = copy_of_small_session / "meta" / "trials" / "tiers.npy"
    np.save(tiers, np.full(len(np.load(tiers)), "oracle"))
    with pytest.raises(SessionError, match=r"to train on, found none.*its tiers are oracle: .*meta/trials/tiers\.npy"):
        train_encoder([open_session(copy_of_small_session)], CompactRecipe(steps=1), tmp_path / "encoder.safetensors")


def test_a_recording_in_which_nobody_is_active_is_nothing_to_learn_from(copy_of_small_session, tmp_path):
    for file in (copy_of_small_session / "data" / "responses").glob("*.npy"):
        responses = np.load(file)
        np.save(file, np.where(np.isnan(responses), responses, 0.0))
    silent = open_session(copy_of_small_session)
    with pytest.raises(SessionError, match=r"expected activity to learn from, found 0 of all neurons in all of its"):
        train_encoder([silent], CompactRecipe(steps=1), tmp_path / "encoder.safetensors")
    with pytest.raises(SessionError, match=r"expected activity to fit a decoder on, found 0 of all neurons"):
        fit_decoder(silent, DecoderRecipe(lags_frames=(0, 2), finest_cycles_per_px=0.1))
