"""The compact encoder: a mouse's movie moves on its retina with its pupil, and a neuron looks at one place."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

import napari_vidrecon as vr
from napari_vidrecon.encoders.architectures.compact import (
    MOST_SHIFT_SHARE,
    Compact,
    CompactConfig,
    CompactRecipe,
    moved,
)
from napari_vidrecon.encoders.checkpoints import read_encoder_file
from napari_vidrecon.encoders.training.trainer import Trainer
from napari_vidrecon.sessions.sample import whole_sample

PX_PER_DEVIATION = torch.tensor([[0.0, 2.0], [3.0, 0.0]])
"""(rows, columns) for pupil (x, y)."""


def module(neurons: tuple[int, ...] = (6,), **sizes: object) -> Compact:
    torch.manual_seed(4)
    found = Compact(CompactConfig(neurons, features=8, temporal_kernels=(5,), shifter=True, **sizes))
    for readout in found.readouts:
        readout.shifter.data.copy_(PX_PER_DEVIATION)
    return found.eval().requires_grad_(False)


def inputs(config: CompactConfig, x_deviations: float, y_deviations: float, seed: int = 5) -> torch.Tensor:
    """One window of a movie of chance; the eye is turned by so many deviations of either axis."""
    generator = torch.Generator().manual_seed(seed)
    x = 255.0 * torch.rand(1, 5, config.frames, config.rows, config.columns, generator=generator)
    behavior = torch.tensor(config.behavior_mean)
    behavior[2:] += torch.tensor([x_deviations, y_deviations]) * torch.tensor(config.behavior_sd)[2:]
    x[:, 1:] = behavior[:, None, None, None]
    return x


def test_a_frame_is_seen_as_it_is_a_whole_pixel_further_on_and_between_pixels_in_proportion():
    frame = torch.rand(1, 1, 7, 9, generator=torch.Generator().manual_seed(1))
    whole = moved(frame, torch.tensor([2.0]), torch.tensor([-1.0]))
    torch.testing.assert_close(whole[..., :5, 1:], frame[..., 2:, :-1])
    torch.testing.assert_close(whole[..., 5:, 1:], frame[..., 6:, :-1].expand(-1, -1, 2, -1))
    half = moved(frame, torch.tensor([0.5]), torch.tensor([0.0]))
    torch.testing.assert_close(half[..., :6, :], (frame[..., :6, :] + frame[..., 1:, :]) / 2)


def test_where_the_eye_looks_moves_the_movie_of_its_own_mouse_alone():
    encoder = module((6, 4))
    encoder.readouts[1].shifter.data.zero_()
    x = inputs(encoder.config, 1.0, -1.0)
    by_the_first, by_the_second = (encoder.seen(x, mouse)[0, 0] for mouse in (0, 1))
    torch.testing.assert_close(by_the_first[:, 2:, :-3], x[0, 0, :, :-2, 3:])
    torch.testing.assert_close(by_the_second, x[0, 0])
    torch.testing.assert_close(encoder.seen(x, 0)[:, 1:], x[:, 1:])


def test_a_pupil_lost_in_a_blink_does_not_move_the_movie_off_the_screen():
    encoder = module()
    encoder.readouts[0].shifter.data.mul_(100)
    x = inputs(encoder.config, 4.0, 0.0)
    x[:, 0] = torch.arange(64.0)
    torch.testing.assert_close(encoder.seen(x, 0)[0, 0, 0, 18, :50], torch.arange(50.0) + MOST_SHIFT_SHARE * 64)


def test_each_of_two_colours_is_moved_within_itself():
    encoder = module(rows=72, colours=2)
    x = inputs(encoder.config, 1.0, 0.0)
    x[:, 0, :, :36], x[:, 0, :, 36:] = 50.0, 200.0
    torch.testing.assert_close(encoder.seen(x, 0)[:, 0], x[:, 0])


def test_an_encoder_written_before_there_were_shifters_sees_movies_as_they_are():
    stored = read_encoder_file(whole_sample().encoders[0])
    assert "shifter" not in stored.config
    old = stored.module()
    assert not old.config.shifter
    x = inputs(old.config, 3.0, 3.0)
    assert old.seen(x, 0) is x


def test_the_loss_of_a_simulated_mouse_falls_towards_the_gaze_that_was_planted():
    """The simulation moves its movies by 0.12 pixels for each of the pupil's camera; nobody tells the encoder."""
    sample = whole_sample()
    stored, session = read_encoder_file(sample.encoders[0]), vr.open_session(sample.session)
    old = stored.module()
    encoder = Compact(dataclasses.replace(old.config, shifter=True))
    encoder.load_state_dict(old.state_dict(), strict=False)
    encoder.eval().requires_grad_(False)
    shifter = encoder.readouts[0].shifter.requires_grad_(True)
    windows, step = 8, stored.windows["step"]
    for trial in (session.trial(trial_id) for trial_id in session.trials_in_tier("live_test_main")[:8]):
        frames = np.arange(windows)[:, None] * 32 + np.arange(encoder.config.frames) * step
        behavior = np.concatenate([trial.behavior, trial.pupil_center])[:, frames].swapaxes(0, 1)
        x = torch.empty(windows, 5, encoder.config.frames, 36, 64)
        x[:, 0] = torch.as_tensor(trial.video[frames])
        x[:, 1:] = torch.as_tensor(behavior)[..., None, None]
        activity, recorded = encoder(x), torch.as_tensor(trial.responses[:, frames]).swapaxes(0, 1)
        (activity - recorded * torch.log(activity + 1e-8)).mean().backward()
    (_, rows_by_y), (columns_by_x, _) = shifter.grad.tolist()
    assert rows_by_y < 0
    assert columns_by_x < 0


def test_how_scattered_a_neuron_looks_counts_places_and_not_the_size_of_its_weights():
    (readout,) = module((4,)).readouts
    maps = readout.space.data.zero_().view(4, *readout.map_size)
    maps[0, 3, 5] = -7.0
    maps[1, 2, 4], maps[1, 2, 10] = 1.0, -1.0
    maps[2, 2, 4], maps[2, 6, 4] = 100.0, 100.0
    torch.testing.assert_close(readout.scatter(), torch.tensor([0.0, 9.0, 4.0, 0.0]))


def test_a_training_draws_each_neurons_map_together_of_all_mice_alike(small_session_folder):
    sessions = [vr.open_session(small_session_folder)] * 2

    def scatter(locality: float) -> torch.Tensor:
        recipe = CompactRecipe(steps=8, warmup_steps=1, features=8, batch_size=2, seed=1, locality=locality)
        trainer = Trainer(sessions, recipe)
        for _ in range(10):
            trainer.step()
        return torch.stack([readout.scatter().mean() for readout in trainer.module.readouts])

    free, drawn = scatter(0.0), scatter(5.0)
    assert (drawn < 0.9 * free).all()
    torch.testing.assert_close(*(drawn / free), rtol=0.1, atol=0.0)


def test_a_readout_begins_with_the_mean_of_responses_of_any_units():
    means = torch.tensor([0.5, 3.0, 2e3, 3e4, 1e7])
    readout = Compact(CompactConfig((len(means),), features=8, temporal_kernels=(5,))).readouts[0]
    begun = torch.nn.functional.softplus(readout.logits_of(means)) / readout.beta
    torch.testing.assert_close(begun.float(), means)
