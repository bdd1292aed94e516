"""Targets and neuron sets."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon.errors import ConfigError, SessionError
from napari_vidrecon.reconstruction.targets import NeuronSet, Target, build_target
from napari_vidrecon.sessions.session import open_session


def test_random_ablation_repeats_with_its_seed_and_is_nested():
    half, quarter = NeuronSet.random(1000, 0.5, seed=3), NeuronSet.random(1000, 0.75, seed=3)
    assert np.array_equal(half.keep, NeuronSet.random(1000, 0.5, seed=3).keep)
    assert not (quarter.keep & ~half.keep).any()
    assert 430 < half.count < 570
    assert "50 % ablated" in half.reason


def test_no_neuron_left_is_refused():
    with pytest.raises(ConfigError, match="keep at least one"):
        NeuronSet.without(3, np.arange(3))
    with pytest.raises(ConfigError, match="found 1"):
        NeuronSet.random(10, 1.0)


def test_weights_that_cannot_be_used_are_refused():
    for weights in ([1.0, 2.0], [1.0, -1.0, 1.0], [1.0, np.nan, 1.0], [1.0, np.inf, 1.0], [[1.0, 1.0, 1.0]]):
        with pytest.raises(ConfigError, match="expected 3 finite numbers >= 0"):
            NeuronSet(np.ones(3, dtype=bool), weights=np.array(weights))
    with pytest.raises(ConfigError, match="no neuron that takes part would count"):
        NeuronSet(np.array([True, False, True]), weights=np.array([0.0, 1.0, 0.0]))


def test_a_choice_among_another_number_of_neurons_is_told_of_the_neurons_and_not_of_the_target(trial, encoder):
    for chosen in (np.ones(3, dtype=bool), NeuronSet.all(3)):
        with pytest.raises(ConfigError, match=rf"neurons: .* each of {len(trial.responses)} neurons, found 3"):
            build_target("recorded", trial, [encoder], chosen, "drop", 0)


def test_dropped_neurons_leave_the_loss_and_silenced_ones_stay_at_zero():
    activity = np.arange(6, dtype=np.float32).reshape(3, 2) + 1
    neurons = NeuronSet(np.array([True, False, True]))
    drop, silence = Target("given", activity, neurons), Target("given", activity, neurons, "silence")
    assert drop.matched.tolist() == [[1, 2], [5, 6]]
    assert silence.matched.tolist() == [[1, 2], [0, 0], [5, 6]]
    assert drop.measured(activity).shape == (2, 2)
    assert silence.measured(activity)[1].tolist() == [0, 0]


def test_each_named_target_is_what_it_says(trial, encoder):
    recorded = build_target("recorded", trial, [encoder], None, "drop", 0)
    predicted = build_target("predicted", trial, [encoder], None, "drop", 0)
    permuted = build_target("permuted", trial, [encoder], None, "drop", 4)
    assert np.array_equal(recorded.activity, trial.responses)
    expected = encoder.predict(trial.video, trial.behavior, trial.pupil_center)
    assert np.array_equal(predicted.activity, expected)
    assert not np.array_equal(permuted.activity, trial.responses)
    assert np.array_equal(np.sort(permuted.activity[:, 0]), np.sort(trial.responses[:, 0]))


def test_a_target_that_does_not_fit_names_both_sizes(trial, encoder):
    with pytest.raises(ConfigError, match=r"20 neurons x 44 frames.*found 3 x 44"):
        build_target(np.ones((3, 44)), trial, [encoder], None, "drop", 0)
    with pytest.raises(ConfigError, match="negative"):
        build_target(-np.ones((20, 44)), trial, [encoder], None, "drop", 0)
    with pytest.raises(ConfigError, match="expected recorded, predicted, permuted"):
        build_target("recoded", trial, [encoder], None, "drop", 0)


def test_a_trial_without_labels_cannot_be_matched_as_recorded(small_session_folder, encoder):
    unlabelled = open_session(small_session_folder).trial(3)
    with pytest.raises(SessionError, match="3"):
        build_target("recorded", unlabelled, [encoder], None, "drop", 0)
    assert build_target("predicted", unlabelled, [encoder], None, "drop", 0).activity.shape == (20, 60)
