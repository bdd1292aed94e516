"""A torch module that somebody else wrote: what it does to its input and to torch stays its own, as do its faults."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from napari_vidrecon.encoders.answers import NoActivity
from napari_vidrecon.encoders.conformance import check_encoder
from napari_vidrecon.encoders.encoder import Canvas, EncoderSpec
from napari_vidrecon.encoders.window_encoder import WindowEncoder
from napari_vidrecon.encoders.windows import FrameWindows
from napari_vidrecon.errors import EncoderError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.runner import reconstruct
from napari_vidrecon.sessions.session import Session, open_session
from napari_vidrecon.sessions.trial import Trial

NEURONS = 20


class Patches(nn.Module):
    """Each neuron sums a random map of the screen."""

    def __init__(self) -> None:
        super().__init__()
        chance = torch.Generator().manual_seed(0)
        self.space = nn.Parameter(torch.randn(NEURONS, 36, 64, generator=chance) / 60)

    def activity(self, windows: torch.Tensor) -> torch.Tensor:
        movie = (windows[:, 0] - 127.5) / 60.0
        return nn.functional.softplus(torch.einsum("bthw,nhw->bnt", movie.to(self.space), self.space))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return self.activity(windows)


class ChangesItsInput(Patches):
    def forward(self, windows):
        windows[:, 0] -= 127.5
        windows[:, 0] /= 60.0
        return nn.functional.softplus(torch.einsum("bthw,nhw->bnt", windows[:, 0], self.space))


class ChangesTorch(Patches):
    def forward(self, windows):
        activity = self.activity(windows)
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        return activity


class WithoutWeights(nn.Module):
    def forward(self, windows):
        return windows[:, 0, :, 10, :NEURONS].transpose(1, 2) / 255.0


class CastsItself(Patches):
    """Works in single precision whatever it is moved to."""

    def forward(self, windows):
        movie = (windows[:, 0].float() - 127.5) / 60.0
        return nn.functional.softplus(torch.einsum("bthw,nhw->bnt", movie, self.space))


class ALastFrame(Patches):
    def forward(self, windows):
        return self.activity(windows)[..., -1:]


class ANeuronShort(Patches):
    def forward(self, windows):
        return self.activity(windows)[:, 1:]


class APair(Patches):
    def forward(self, windows):
        return self.activity(windows), None


class AnArray(Patches):
    def forward(self, windows):
        return self.activity(windows).detach().numpy()


class Complex(Patches):
    def forward(self, windows):
        return self.activity(windows).to(torch.complex64)


class CutOff(Patches):
    @torch.no_grad()
    def forward(self, windows):
        return self.activity(windows)


class Failing(Patches):
    def forward(self, windows):
        raise KeyError("no such\nlayer")


class KeepsItsAnswer(Patches):
    def forward(self, windows):
        self.last = self.activity(windows)
        return self.last


def bound(module: nn.Module) -> WindowEncoder:
    spec = EncoderSpec("own", "own", NEURONS, canvas=Canvas(36, 64), windows=FrameWindows())
    return WindowEncoder(module, spec, neutral_behavior=np.array([40.0, 0.5, 150.0, 150.0]))


@pytest.fixture(scope="module")
def session(small_session_folder: Path) -> Session:
    return open_session(small_session_folder)


@pytest.fixture
def trial(session: Session) -> Trial:
    return session.trial(session.trial_ids[0]).part(0, 40)


def predicted_by(module: nn.Module, trial: Trial) -> np.ndarray:
    return bound(module).predict(trial.video, trial.behavior, trial.pupil_center)


def reconstructed_by(module: nn.Module, trial: Trial) -> np.ndarray:
    config = ReconstructionConfig.preset("fast", steps=2)
    return reconstruct(trial, [bound(module)], AlphaMask.full(), config).video


@pytest.mark.parametrize("module", [ChangesItsInput, ChangesTorch])
def test_what_a_module_does_to_its_input_and_to_torch_changes_nothing_else(module, trial):
    assert np.allclose(predicted_by(module(), trial), predicted_by(Patches(), trial), rtol=1e-5)
    assert np.allclose(reconstructed_by(module(), trial), reconstructed_by(Patches(), trial), atol=1e-2)
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() == torch.float32
    assert check_encoder(bound(module())) == []


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_predictions_are_of_single_precision_at_least_whatever_the_module_computes_in(dtype, trial):
    found = predicted_by(Patches().to(dtype), trial)
    assert found.dtype == (np.float64 if dtype == torch.float64 else np.float32)
    assert np.allclose(found, predicted_by(Patches(), trial), atol=0.05 * found.max())
    assert np.isfinite(reconstructed_by(Patches().to(dtype), trial)).all()


@pytest.mark.parametrize("module", [WithoutWeights, CastsItself])
def test_a_module_without_weights_or_that_chooses_its_own_precision_is_sound(module):
    assert check_encoder(bound(module())) == []


@pytest.mark.parametrize(
    ("module", "found"),
    [
        (ALastFrame, "2 x 20 x 1"),
        (ANeuronShort, "2 x 19 x 16"),
        (APair, "tuple"),
        (AnArray, "ndarray"),
        (Complex, "complex"),
    ],
)
def test_an_answer_that_is_no_activity_is_refused_and_never_spread_over_the_frames(module, found, trial):
    for use in (predicted_by, reconstructed_by):
        with pytest.raises(
            NoActivity, match=rf"^own: expected activity of .* x 20 x 16 .*found {found}.*check_encoder"
        ):
            use(module(), trial)
    assert {finding.check for finding in check_encoder(bound(module()))} == {"shapes"}


def test_a_module_that_cuts_the_gradient_off_predicts_and_is_refused_for_a_reconstruction(trial):
    assert np.array_equal(predicted_by(CutOff(), trial), predicted_by(Patches(), trial))
    with pytest.raises(NoActivity, match="gradient that leads back to the movie, found none"):
        reconstructed_by(CutOff(), trial)


def test_a_module_that_fails_is_told_by_its_own_file_and_line(trial):
    for use in (predicted_by, reconstructed_by):
        with pytest.raises(EncoderError, match=r"its module failed in test_modules_of_others.py, line \d+") as told:
            use(Failing(), trial)
        assert isinstance(told.value.__cause__, KeyError)
        assert "\n" not in str(told.value)


def test_a_module_that_keeps_its_answer_is_told_what_keeps_it_from_being_copied():
    (found,) = check_encoder(bound(KeepsItsAnswer()))
    assert found.check == "gradient"
    assert "keeps its last answer" in found.message
