"""Every kind of training goes on to the same bits, with everything that has a state switched on."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from napari_vidrecon.encoders.architectures.compact import CompactRecipe
from napari_vidrecon.encoders.architectures.dwiseneuro import DwiseNeuroRecipe
from napari_vidrecon.encoders.architectures.factorised import FactorisedRecipe
from napari_vidrecon.encoders.architectures.viv1t import ViV1TRecipe
from napari_vidrecon.encoders.checkpoints import load_encoder
from napari_vidrecon.encoders.encoder import Canvas
from napari_vidrecon.encoders.training.batches import DrawingAhead
from napari_vidrecon.encoders.training.checkpoint import LearningCurve
from napari_vidrecon.encoders.training.core import on_another_canvas
from napari_vidrecon.encoders.training.samples import SessionSamples
from napari_vidrecon.encoders.training.trainer import MixedPrecision, Trainer
from napari_vidrecon.encoders.training.training_run import train_encoder
from napari_vidrecon.encoders.windows import FrameWindows
from napari_vidrecon.errors import EncoderError
from napari_vidrecon.sessions.session import open_session

COMPACT = CompactRecipe(features=8, temporal_kernels=(3,), steps=4, batch_size=4, warmup_steps=2)
DWISENEURO = DwiseNeuroRecipe(
    core_features=(4, 8),
    spatial_strides=(4, 4),
    expansion_ratio=2,
    se_reduce_ratio=4,
    cortex_features=(16,),
    batch_size=6,
    samples_per_mouse=9,
    steps=6,
)
FACTORISED = FactorisedRecipe(
    channels=(4,), spatial_kernels=(5,), temporal_kernels=(3,), spatial_strides=(4,), steps=3, batch_size=4
)
VIV1T = ViV1TRecipe(emb_dim=8, heads=2, head_dim=4, ff_dim=8, spatial_depth=1, temporal_depth=1, steps=3, batch_size=4)
RECIPES = {
    "compact, all switched on": COMPACT.model_copy(
        update={"cutmix_probability": 0.7, "mixing": "within_batch", "samples_per_mouse": 8, "patience": 3}
    ),
    "compact, in parts": COMPACT.model_copy(update={"mixing": "within_batch", "accumulated_parts": 2}),
    "published": DWISENEURO,
    "factorised": FACTORISED,
    "viv1t": VIV1T,
}
TRIALS = [[0, 2], [0, 1, 2]]


@pytest.fixture(scope="module")
def sessions(small_session_folder, golden_session_folder):
    return [open_session(small_session_folder), open_session(golden_session_folder)]


@pytest.fixture(scope="module")
def teacher(sessions, tmp_path_factory):
    path = tmp_path_factory.mktemp("teachers") / "teacher.safetensors"
    train_encoder(sessions, COMPACT, path, training_trials=TRIALS, validation_trials=[[], []])
    return path


@pytest.mark.parametrize("name", list(RECIPES))
def test_a_training_goes_on_to_the_same_bits(name, sessions, teacher, tmp_path):
    recipe = RECIPES[name]
    whole = Trainer(sessions, recipe, TRIALS, teachers=[teacher])
    losses = [whole.step() for _ in range(5)]
    first = Trainer(sessions, recipe, TRIALS, teachers=[teacher])
    for _ in range(2):
        first.step()
    first.save_checkpoint(tmp_path / "c.safetensors")
    resumed = Trainer(sessions, recipe, TRIALS, teachers=[teacher])
    resumed.load_checkpoint(tmp_path / "c.safetensors")
    assert [resumed.step() for _ in range(3)] == losses[2:]
    for state, expected in (
        (resumed.module.state_dict(), whole.module.state_dict()),
        (resumed.averaged, whole.averaged),
    ):
        assert all(torch.equal(state[key], expected[key]) for key in expected)
    assert resumed.curve.as_tensor().nan_to_num(-1).equal(whole.curve.as_tensor().nan_to_num(-1))


def test_a_teacher_changes_what_is_learned(sessions, teacher):
    alone = Trainer(sessions, COMPACT, TRIALS)
    taught = Trainer(sessions, COMPACT, TRIALS, teachers=[teacher])
    assert alone.step() != taught.step()
    silent = Trainer(sessions, COMPACT.model_copy(update={"distillation_ratio": 0.0}), TRIALS, teachers=[teacher])
    assert silent.step() == pytest.approx(Trainer(sessions, COMPACT, TRIALS).step())


def test_a_teacher_answers_only_for_mice_that_did_not_see_the_window(sessions, teacher, monkeypatch):
    from napari_vidrecon.encoders.training.core import Teacher

    asked = []
    answer = Teacher.activity

    def noted(self, inputs, canvas, mouse):
        asked.append((mouse, len(inputs)))
        return answer(self, inputs, canvas, mouse)

    monkeypatch.setattr(Teacher, "activity", noted)
    trainer = Trainer(sessions, COMPACT, TRIALS, teachers=[teacher])
    trainer.step()
    trainer.step()
    assert asked == [(1, 4), (0, 4)]


def test_a_teacher_of_another_mouse_with_as_many_neurons_is_refused(sessions, tmp_path):
    one, other = sessions[0], tmp_path / "other" / "another_mouse"
    shutil.copytree(one.path, other)
    teacher = tmp_path / "teacher.safetensors"
    train_encoder([open_session(other)], COMPACT.model_copy(update={"steps": 1}), teacher)
    recipe = COMPACT.model_copy(update={"distilled_pairs": "all"})
    with pytest.raises(EncoderError, match=f"readout of {one.name}, found one of another_mouse"):
        Trainer([one], recipe, TRIALS[:1], teachers=[teacher])


def test_a_teacher_without_a_readout_for_a_mouse_is_refused(sessions, small_encoder_file):
    with pytest.raises(EncoderError, match="readout of 40 neurons"):
        Trainer(sessions, COMPACT, TRIALS, teachers=[small_encoder_file])


def test_inputs_move_to_another_canvas_with_their_behaviour():
    inputs = torch.rand(2, 5, 3, 36, 64)
    moved = on_another_canvas(inputs, Canvas(36, 64), Canvas(64, 64))
    assert torch.equal(moved[..., 14:50, :], inputs)
    assert not moved[:, 0, :, :14].any()
    assert torch.equal(moved[:, 1:, :, 0], inputs[:, 1:, :, 0])
    assert torch.equal(on_another_canvas(moved, Canvas(64, 64), Canvas(36, 64)), inputs)


def test_the_behaviour_stands_in_the_canvas_as_published(sessions):
    trainer = Trainer(sessions, DWISENEURO.model_copy(update={"cutmix_probability": 0.0}), TRIALS)
    batch = trainer.batches.draw(0)
    assert batch.inputs.shape == (6, 5, 16, 64, 64)
    assert not batch.inputs[:, 0, :, :14].any()
    assert batch.inputs[:, 0, :, 14:50].any()
    assert torch.equal(batch.inputs[:, 1:, :, 0, 0], batch.inputs[:, 1:, :, 63, 63])
    assert sum(map(len, batch.rows.values())) == 6
    parts = list(batch.cut(2))
    assert sum(len(part.inputs) for part in parts) == 6
    for part in parts:
        assert {mouse: len(rows) for mouse, rows in part.rows.items()} == {
            mouse: len(target) for mouse, target in part.targets.items()
        }


def test_batches_drawn_ahead_are_the_same(sessions):
    plain, ahead = (Trainer(sessions, DWISENEURO, TRIALS) for _ in range(2))
    drawn = DrawingAhead(ahead.batches)
    for step in (0, 1, 2, 7, 8, 3):
        expected, found = plain.batches.draw(step), drawn.draw(step)
        assert torch.equal(found.inputs, expected.inputs)
        assert found.targets.keys() == expected.targets.keys()
    ahead.batches = drawn
    assert ahead.step() == plain.step()


def test_trials_beyond_the_memory_are_read_again(sessions):
    few, many = (SessionSamples(sessions[0], [0, 2], FrameWindows(), memory) for memory in (0, 1 << 30))
    assert np.array_equal(few.draw(4, 1, 2).video, many.draw(4, 1, 2).video)
    assert few.arrays(0) is not few.arrays(0)
    assert many.arrays(0) is many.arrays(0)


def test_the_gradient_scaler_skips_a_step_that_overflows_and_keeps_its_state():
    module = torch.nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(module.parameters())
    precision = MixedPrecision("cpu", wanted=True)
    assert not precision.enabled
    precision.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    before = module.weight.detach().clone()
    precision.backward(module(torch.tensor([[1.0, float("inf")]])).sum())
    precision.update(module, optimizer, norm_limit=0.0)
    assert torch.equal(module.weight, before)
    assert precision.state()["scale"] == 4.0
    later = MixedPrecision("cpu", wanted=True)
    later.scaler = torch.amp.GradScaler("cpu")
    later.load_state(precision.state())
    assert later.state() == precision.state()


def test_the_scaler_is_part_of_the_checkpoint(sessions, tmp_path):
    trainers = [Trainer(sessions, COMPACT, TRIALS) for _ in range(2)]
    for trainer, scale in zip(trainers, (8.0, 1024.0), strict=True):
        trainer.precision.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    trainers[0].step()
    trainers[0].save_checkpoint(tmp_path / "c.safetensors")
    trainers[1].load_checkpoint(tmp_path / "c.safetensors")
    assert trainers[1].precision.state()["scale"] == 8.0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_mixed_precision_goes_on_to_the_same_bits_on_a_gpu(sessions, tmp_path):
    whole, first, resumed = (Trainer(sessions, DWISENEURO, TRIALS, "cuda") for _ in range(3))
    assert whole.precision.enabled
    losses = [whole.step() for _ in range(4)]
    for _ in range(2):
        first.step()
    first.save_checkpoint(tmp_path / "c.safetensors")
    resumed.load_checkpoint(tmp_path / "c.safetensors")
    assert [resumed.step() for _ in range(2)] == losses[2:]
    assert all(torch.equal(resumed.averaged[name], value) for name, value in whole.averaged.items())


def test_a_training_stops_when_its_scores_no_longer_rise(sessions, tmp_path, monkeypatch):
    scores = iter([0.1, 0.3, 0.2, 0.1, 0.4, 0.5])
    monkeypatch.setattr(
        "napari_vidrecon.encoders.training.training_run.validation_correlation", lambda *_, **__: next(scores)
    )
    recipe = COMPACT.model_copy(update={"steps": 50, "validate_every": 2, "patience": 2})
    path = tmp_path / "encoder.safetensors"
    train_encoder(sessions[:1], recipe, path)
    assert load_encoder(path, device="cpu").spec.provenance["steps_done"] == 8


def test_a_curve_knows_how_long_ago_its_best_score_was():
    curve = LearningCurve()
    assert curve.scores_since_best() == 0
    for step, score in enumerate([0.1, 0.3, 0.2, 0.1], start=1):
        curve.add(step, 1.0, 0.01)
        curve.score(score)
    assert curve.scores_since_best() == 2
    assert np.array_equal(LearningCurve.from_tensor(curve.as_tensor()).rows, curve.rows)


def test_an_encoder_of_another_movie_size_is_trained_and_opened(tmp_path, small_session_folder):
    class SquareSession:
        """The small session with its movies cut to a square."""

        def __init__(self, session):
            self._session = session

        def __getattr__(self, name):
            return getattr(self._session, name)

        def trial(self, trial_id):
            from dataclasses import replace

            trial = self._session.trial(trial_id)
            return replace(trial, video=trial.video[:, :32, :32])

    square = SquareSession(open_session(small_session_folder))
    path = tmp_path / "square.safetensors"
    train_encoder([square], COMPACT, path)
    encoder = load_encoder(path, device="cpu")
    trial = square.trial(0)
    assert encoder.spec.canvas == Canvas(32, 32, 32, 32)
    assert encoder.predict(trial.video, trial.behavior, trial.pupil_center).shape == (20, 60)
