"""An encoder that answers NaN, infinity or another size is refused wherever it is asked; an input that is, as well."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from napari_vidrecon.analysis.receptive_field_mapping import MappingRecipe, map_receptive_fields
from napari_vidrecon.encoders.answers import UnusableAnswer, predicted
from napari_vidrecon.encoders.checkpoints import load_encoder
from napari_vidrecon.encoders.conformance import check_encoder
from napari_vidrecon.encoders.training.training_run import single_trial_correlation
from napari_vidrecon.encoders.window_encoder import WindowEncoder
from napari_vidrecon.errors import ConfigError, EncoderError, SessionError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.mask_fitting import MaskRecipe, fit_mask
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.neuron_weights import weighed_by_prediction
from napari_vidrecon.reconstruction.runner import reconstruct
from napari_vidrecon.reconstruction.targets import predicted_activity
from napari_vidrecon.sessions.session import open_session


class OwnEncoder:
    """Somebody's own: answers as a good one does, then changes the answer."""

    def __init__(self, good: WindowEncoder, change) -> None:
        self._good, self._change = good, change

    def __getattr__(self, name: str):
        return getattr(self._good, name)

    def responses(self, windows: torch.Tensor, neurons: torch.Tensor | None = None) -> torch.Tensor:
        return self._change(self._good.responses(windows, neurons))

    def predict(self, video, behavior=None, pupil_center=None, *, chunk=None) -> np.ndarray:
        return self._change(torch.as_tensor(self._good.predict(video, behavior, pupil_center))).numpy()


def with_nan(activity: torch.Tensor) -> torch.Tensor:
    """Neuron 3 answers NaN in frame 7 of a clip, or of every window."""
    hole = torch.zeros_like(activity)
    hole[..., 3, 7] = torch.nan
    return activity + hole


@pytest.fixture(scope="module")
def session(small_session_folder):
    return open_session(small_session_folder)


@pytest.fixture(scope="module")
def good(small_encoder_file):
    return load_encoder(small_encoder_file, device="cpu")


@pytest.fixture(scope="module")
def damaged(small_encoder_file: Path, tmp_path_factory: pytest.TempPathFactory):
    """A file of our own whose weights are finite, and whose activity is not."""
    file = tmp_path_factory.mktemp("damaged") / "damaged.safetensors"
    weights = load_file(small_encoder_file)
    weights |= {name: value * np.float32(1e30) for name, value in weights.items() if value.dtype.kind == "f"}
    with safe_open(small_encoder_file, "np") as stored:
        save_file(weights, file, stored.metadata())
    return load_encoder(file, device="cpu")


@pytest.fixture(scope="module", params=["own", "file"])
def broken(request, good, damaged):
    return OwnEncoder(good, with_nan) if request.param == "own" else damaged


USES = {
    "a prediction": lambda session, encoder: predicted(
        encoder, *(getattr(session.trial(1), name) for name in ("video", "behavior", "pupil_center")), clip="trial 1"
    ),
    "a predicted target": lambda session, encoder: predicted_activity([encoder], session.trial(1)),
    "weights of neurons": lambda session, encoder: weighed_by_prediction(session, encoder, [0, 1]),
    "a mask": lambda session, encoder: fit_mask(session, encoder, MaskRecipe(steps=2, skip_frames=0), trial_ids=[0, 1]),
    "receptive fields": lambda session, encoder: map_receptive_fields(session, [encoder], MappingRecipe(patch_px=12)),
    "a reconstruction": lambda session, encoder: reconstruct(
        session.trial(1).part(0, 40), [encoder], AlphaMask.full(), ReconstructionConfig.preset("fast", steps=2)
    ),
    "a score of a training": lambda session, encoder: single_trial_correlation(
        encoder, session, [1], every_window=False
    ),
}


@pytest.mark.parametrize("use", USES.values(), ids=list(USES))
def test_an_answer_that_is_not_finite_is_refused_for(use, session, broken) -> None:
    with pytest.raises(UnusableAnswer, match=r"expected finite activity for .*NaN or infinity in .* of") as refused:
        use(session, broken)
    told = str(refused.value)
    assert broken.spec.name in told
    assert "neuron" in told
    assert "train it again" in told
    assert "\n" not in told


def test_an_encoder_that_only_measures_is_asked_before_the_run(session, good) -> None:
    steps: list[int] = []
    with pytest.raises(UnusableAnswer, match="trial 1"):
        reconstruct(
            session.trial(1).part(0, 40),
            [good],
            AlphaMask.full(),
            ReconstructionConfig.preset("fast", steps=2),
            target_encoders=[OwnEncoder(good, with_nan)],
            on_step=lambda info: steps.append(info.step),
        )
    assert steps == []


def test_the_message_names_clip_neuron_and_frame(session, good) -> None:
    trial = session.trial(1)
    with pytest.raises(UnusableAnswer, match=rf"{trial.name}, found .* 1 of 1200 values, first of neuron 3 in frame 7"):
        predicted_activity([OwnEncoder(good, with_nan)], trial)


def test_an_answer_of_another_size_is_refused(session, good) -> None:
    short = OwnEncoder(good, lambda activity: activity[..., :-1])
    with pytest.raises(UnusableAnswer, match=r"expected activity of 20 x 60 \(neurons x frames\).*found 20 x 59"):
        predicted_activity([short], session.trial(1))
    with pytest.raises(UnusableAnswer, match=r"x 20 x 16 \(windows x neurons x frames\), found .* x 20 x 15"):
        USES["a reconstruction"](session, short)
    with pytest.raises(UnusableAnswer, match="found NoneType"):
        predicted_activity([OwnEncoder(good, lambda activity: Nothing())], session.trial(1))


class Nothing:
    """In the place of a tensor."""

    def numpy(self) -> None:
        """No array."""


def test_an_encoder_that_answers_below_zero_is_named(session, good) -> None:
    with pytest.raises(ConfigError, match=r"small.safetensors answers -.*at least 0"):
        USES["a reconstruction"](session, OwnEncoder(good, lambda activity: activity - 50.0))


def test_the_check_says_it_once_and_then_nothing_that_follows_from_it(damaged) -> None:
    findings = check_encoder(damaged)
    assert {finding.check for finding in findings} == {"finite"}
    assert [finding.message.partition(", found")[0] for finding in findings] == [
        *(f"expected finite activity for a movie of {name}" for name in ("noise", "black", "white")),
        "expected finite activity for windows of noise",
    ]


def test_the_check_finds_a_gradient_that_is_not_finite(good) -> None:
    def steep(activity: torch.Tensor) -> torch.Tensor:
        # Its value is finite at 0, and its slope is not.
        return activity + (activity - activity.detach()).sqrt()

    messages = [finding.message for finding in check_encoder(OwnEncoder(good, steep)) if finding.check == "finite"]
    assert messages == ["expected a finite gradient for windows of noise, found NaN or infinity"]


@pytest.mark.parametrize("stream", ["video", "behavior", "pupil_center"])
@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda array: np.where(np.arange(array.size).reshape(array.shape) == 3, np.nan, array), "finite numbers in"),
        (lambda array: array.astype(np.float64) * 1e300, "finite numbers in"),
        (lambda array: array[..., :-1] if array.ndim == 2 else array[0], "expected"),
        (lambda array: array.astype(complex), "complex"),
        (lambda array: array.astype(str), "as an array of numbers"),
        (lambda array: [[1], [1, 2]], "as an array of numbers"),
    ],
    ids=["NaN", "too large", "another shape", "complex", "text", "ragged"],
)
def test_an_input_that_an_encoder_cannot_answer_for_is_named(session, good, stream, change, named) -> None:
    trial = session.trial(1)
    arrays = {name: getattr(trial, name) for name in ("video", "behavior", "pupil_center")}
    arrays[stream] = change(arrays[stream])
    with pytest.raises(EncoderError, match=f"({named}.*{stream}|{stream}.*{named}|{named}.*a video)"):
        good.predict(*arrays.values())


def test_a_clip_shorter_than_an_encoder_sees_at_once_is_not_called_silent(session, good) -> None:
    """As one of 40 frames is at 60 Hz, where the same seconds are 61 frames."""
    clip = session.trial(1).part(0, 40)
    streams = clip.video[:30], clip.behavior[:, :30], clip.pupil_center[:, :30]
    with pytest.raises(EncoderError, match=r"trial 1: expected at least 31 frames, .* found 30; choose a longer clip"):
        predicted(good, *streams, clip="trial 1")


def test_trials_shorter_than_an_encoder_sees_at_once_count_neither_in_a_score_nor_in_weights(
    session, good, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = type(session).trial
    usual = single_trial_correlation(good, session, [0], every_window=True)
    weights = weighed_by_prediction(session, good, [0, 2]).weights
    span = good.spec.windows.span

    def shortened(self, number: int):
        trial = opened(self, number)
        if number != 1:
            return trial
        cut = {
            name: getattr(trial, name)[..., : span - 1] for name in ("behavior", "pupil_center", "recorded_responses")
        }
        return SimpleNamespace(frames=span - 1, video=trial.video[: span - 1], name=trial.name, **cut)

    monkeypatch.setattr(type(session), "trial", shortened)
    np.testing.assert_array_equal(single_trial_correlation(good, session, [0, 1], every_window=True), usual)
    np.testing.assert_array_equal(weighed_by_prediction(session, good, [0, 1, 2]).weights, weights)
    with pytest.raises(SessionError, match="of at least 31 frames, found none"):
        single_trial_correlation(good, session, [1], every_window=True)
