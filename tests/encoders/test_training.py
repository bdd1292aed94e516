"""Training learns, repeats, and resumes to the same bits."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from napari_vidrecon.encoders.architectures.compact import CompactRecipe
from napari_vidrecon.encoders.architectures.dwiseneuro import DwiseNeuroRecipe
from napari_vidrecon.encoders.architectures.factorised import FactorisedRecipe
from napari_vidrecon.encoders.checkpoints import load_encoder
from napari_vidrecon.encoders.training.samples import SessionSamples
from napari_vidrecon.encoders.training.trainer import Trainer
from napari_vidrecon.encoders.training.training_run import train_encoder
from napari_vidrecon.encoders.windows import FrameWindows
from napari_vidrecon.errors import EncoderError
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
