"""What is silent, constant, huge or not a number: a run works where it can, or says which input is at fault."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_vidrecon.errors import ConfigError, MaskError, SessionError, VidreconError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.decoder_fitting import DecoderRecipe, fit_decoder
from napari_vidrecon.reconstruction.gradients import likelihood_scale
from napari_vidrecon.reconstruction.neuron_weights import noise_weights, weighed_by_prediction
from napari_vidrecon.reconstruction.outcome import NotFinite
from napari_vidrecon.reconstruction.reconstructor import Reconstructor
from napari_vidrecon.reconstruction.runner import reconstruct
from napari_vidrecon.reconstruction.targets import build_target
from napari_vidrecon.sessions.session import open_session

BEST = ReconstructionConfig.preset("best")


@pytest.fixture(scope="module")
def short(trial):
    return trial.part(0, 36)


def with_responses(trial, responses: np.ndarray):
    return replace(trial, recorded_responses=responses.astype(np.float32))


@pytest.mark.parametrize("preset", ["best", "fast", "paper"])
@pytest.mark.parametrize(
    "change",
    [
        lambda activity: np.zeros_like(activity),
        lambda activity: np.full_like(activity, 3.3),
        lambda activity: np.where(np.arange(len(activity))[:, None] == 2, 0.0, activity),
        lambda activity: np.where(np.arange(len(activity))[:, None] == 2, 7.7, activity),
        lambda activity: np.where(np.arange(len(activity))[:, None] == 2, activity, 0.0),
    ],
    ids=["all silent", "all constant", "one silent", "one constant", "all but one silent"],
)
def test_neurons_that_never_change_are_an_honest_case(preset, change, short, encoder, disc_mask) -> None:
    quiet = with_responses(short, change(short.responses))
    settings = ReconstructionConfig.preset(preset, steps=3, track_every=2)
    result = reconstruct(quiet, [encoder], disc_mask, settings)
    assert np.isfinite(result.video).all()
    assert result.finished
    assert np.isfinite(result.history["loss"]).all()


@pytest.mark.parametrize("level", [0.0, 1e-6, 5.0, 1e6])
def test_the_noise_of_constant_activity_is_that_of_sparse_one(level) -> None:
    matched = np.full((4, 50), level, np.float32)
    nearly = matched * (1 + 1e-7 * np.random.default_rng(0).standard_normal(matched.shape)).astype(np.float32)
    expected = BEST.update.likelihood_weight * 4 * 32 / (level or 1.0)
    for activity in (matched, nearly):
        assert likelihood_scale(BEST, activity, 32) == pytest.approx(expected, rel=1e-3)
        assert noise_weights(BEST, activity).tolist() == [1.0] * 4


def test_neurons_are_weighed_alike_where_nothing_tells_them_apart(small_session_folder, encoder) -> None:
    session = open_session(small_session_folder)

    class Silent:
        spec = encoder.spec

        def predict(self, video, behavior=None, pupil_center=None) -> np.ndarray:
            return np.zeros((encoder.spec.neurons, len(video)), np.float32)

        def require_neurons(self, neurons: int, of: str) -> None:
            """Fits."""

        def responses(self, windows) -> None:
            """Not asked."""

    assert weighed_by_prediction(session, Silent(), [0, 1]).weights.tolist() == [1.0] * 20


@pytest.mark.parametrize("array", ["video", "behavior", "pupil_center", "recorded_responses"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_clip_that_is_not_finite_names_array_and_frame(array, value, short, encoder, disc_mask) -> None:
    damaged = getattr(short, array).copy()
    damaged[(7, 3, 4) if array == "video" else (1, 7)] = value
    named = rf"{array.removeprefix('recorded_')}: expected finite numbers, found 1 of .*frame 7; interpolate"
    with pytest.raises(SessionError, match=named):
        reconstruct(replace(short, **{array: damaged}), [encoder], disc_mask, BEST)


def test_a_target_that_is_not_finite_names_neuron_and_frame(short, encoder) -> None:
    activity = short.responses.copy()
    activity[4, 9], activity[5, 2] = np.inf, -1.0
    with pytest.raises(ConfigError, match=r"target \(given\).*found 2 of 720 values.*neuron 4 in frame 9 \(inf\)"):
        build_target(activity, short, [encoder], None, "drop", 0)


@pytest.mark.parametrize("wrong", [[[1], [1, 2]], np.array([["a"]]), np.ones((20, 36), complex), 5, np.ones((36, 20))])
def test_a_target_that_is_no_activity_is_one_line(wrong, short, encoder) -> None:
    with pytest.raises(ConfigError, match=r"^target: expected"):
        build_target(wrong, short, [encoder], None, "drop", 0)


def test_a_learning_rate_that_is_too_large_is_named_and_nothing_is_kept(
    short, encoder, disc_mask, tmp_path: Path
) -> None:
    config = ReconstructionConfig.preset("fast", steps=3, learning_rate=1e12, prior_sd=128.0)
    object.__setattr__(config.update, "learning_rate", 1e38)
    with pytest.raises(NotFinite, match=r"the learning rate 1e\+38 is too large; lower learning_rate"):
        reconstruct(short, [encoder], disc_mask, config, save_to=tmp_path / "run.zarr")
    assert list(tmp_path.iterdir()) == []


def test_a_step_that_fails_leaves_movie_and_moments_as_they_were(short, encoder, disc_mask) -> None:
    target = build_target("recorded", short, [encoder], None, "drop", 0)
    run = Reconstructor(short, [encoder], disc_mask, target, ReconstructionConfig.preset("fast", steps=3))
    run.step()
    before = run.state
    gradient, loss = run.gradient()
    with pytest.raises(NotFinite, match=r"step 2: .*not finite"):
        run.advance(gradient * float("nan"), loss, 0.0)
    assert all(np.array_equal(before[name], value) for name, value in run.state.items())


@pytest.mark.parametrize("factor", [1e30, 1e-30])
def test_activity_that_nothing_can_be_fitted_to_is_refused_not_answered_with_grey(
    factor, short, encoder, disc_mask
) -> None:
    with pytest.raises(ConfigError, match=r"trial 1: target \(recorded\): expected activity whose largest.*rescale it"):
        reconstruct(with_responses(short, short.responses * factor), [encoder], disc_mask, BEST)


@pytest.mark.parametrize("preset", ["fast", "paper"])
def test_a_gradient_of_infinite_length_is_not_taken_for_none(preset, short, encoder, disc_mask) -> None:
    class Steep:
        """Its slope is so steep that the length of a gradient overflows."""

        def __getattr__(self, name: str):
            return getattr(encoder, name)

        def responses(self, windows, neurons=None):
            answer = encoder.responses(windows, neurons)
            return answer.detach() + (answer - answer.detach()) * 1e30

    with pytest.raises(NotFinite, match=r"the gradient of small.safetensors is not finite"):
        reconstruct(short, [Steep()], disc_mask, ReconstructionConfig.preset(preset, steps=2))


def test_a_decoder_that_cannot_be_fitted_says_why(small_session_folder) -> None:
    session = open_session(small_session_folder)

    class Huge:
        """Its responses are so large that their sums of products leave single precision."""

        def __getattr__(self, name: str):
            return getattr(session, name)

        def trial(self, trial_id: int):
            trial = session.trial(trial_id)
            return with_responses(trial, trial.responses / trial.responses.max() * 3e38)

    recipe = DecoderRecipe(lags_frames=(0,), finest_cycles_per_px=0.05)
    with pytest.raises(SessionError, match="rescale the responses, or take a larger ridge"):
        fit_decoder(Huge(), recipe)


@pytest.mark.parametrize(
    "arguments",
    [
        {"chunk": 0},
        {"chunk": True},
        {"mask_threshold": np.nan},
        {"evaluation_threshold": "high"},
        {"evaluation_threshold": -np.inf},
        {"ensemble": np.zeros(3)},
        {"ablation": np.zeros(3)},
        {"neurons": np.ones(7, bool)},
        {"neurons": [[True], [True, False]]},
        {"target_encoders": 5},
        {"target_encoders": ["encoder.safetensors"]},
        {"decoder": "decoder.safetensors"},
        {"target": "recoded\n" * 50},
    ],
    ids=str,
)
def test_an_argument_that_cannot_be_used_is_one_line(arguments, short, encoder, disc_mask) -> None:
    with pytest.raises(ConfigError) as refused:
        reconstruct(short, [encoder], disc_mask, BEST, **arguments)
    assert next(iter(arguments)).partition("_")[0] in str(refused.value)
    assert "\n" not in str(refused.value)


def test_things_of_another_kind_are_named(short, encoder, disc_mask) -> None:
    for error, words, given in (
        (SessionError, "trial: expected a Trial", (5, [encoder], disc_mask, BEST)),
        (ConfigError, "encoders: expected a list", (short, encoder, disc_mask, BEST)),
        (MaskError, "mask: expected an AlphaMask", (short, [encoder], disc_mask.alpha, BEST)),
        (ConfigError, "config: expected a ReconstructionConfig", (short, [encoder], disc_mask, {"steps": 2})),
    ):
        with pytest.raises(error, match=words):
            reconstruct(*given)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"step": 10**30}, "step from 0 to 3"),
        ({"step": True}, "step from 0 to 3"),
        ({"step": None}, "step from 0 to 3"),
        ({"video": None}, "a movie"),
        ({"video": np.zeros((2, 2))}, "expected a movie"),
        ({"momentum": np.zeros(3)}, "momentum"),
        ({"momentum": np.array("a")}, "numbers in momentum"),
        ({"outcome_best": np.zeros((2, 2))}, "outcome_best"),
        ({"other": np.zeros(3)}, "other"),
    ],
    ids=str,
)
@pytest.mark.parametrize("preset", ["fast", "paper"])
def test_a_damaged_state_is_refused_before_any_of_it_is_taken_over(
    preset, change, named, short, encoder, disc_mask
) -> None:
    target = build_target("recorded", short, [encoder], None, "drop", 0)
    config = ReconstructionConfig.preset(preset, steps=3)
    run = Reconstructor(short, [encoder], disc_mask, target, config)
    before = run.state
    with pytest.raises(VidreconError, match=named) as refused:
        run.load_state({**before, **change})
    assert "\n" not in str(refused.value)
    assert run.step_index == 0


def test_a_state_with_holes_is_refused(short, encoder, disc_mask) -> None:
    target = build_target("recorded", short, [encoder], None, "drop", 0)
    run = Reconstructor(short, [encoder], disc_mask, target, ReconstructionConfig.preset("fast", steps=3))
    state = run.state
    state["video"][3] = np.nan
    with pytest.raises(ConfigError, match="finite numbers in a movie"):
        run.load_state(state)
    del state["second_moment"]
    with pytest.raises(ConfigError, match=r"expected second_moment, found none|finite numbers in a movie"):
        run.load_state({**state, "video": np.zeros_like(state["video"])})
