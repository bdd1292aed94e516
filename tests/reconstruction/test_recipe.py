"""A run says itself what it was made from, and no run is taken for another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import napari_vidrecon as vr
from napari_vidrecon.encoders.encoder import Canvas, EncoderSpec
from napari_vidrecon.encoders.identity import identity, weights_hash
from napari_vidrecon.encoders.window_encoder import WindowEncoder
from napari_vidrecon.errors import RunError
from napari_vidrecon.reconstruction.recipe import Recipe
from napari_vidrecon.reconstruction.run import plan_run
from napari_vidrecon.sessions.trial import ClipSource


class Spots(nn.Module):
    """An encoder of one's own: as many places as neurons."""

    def __init__(self, neurons: int, gain: float = 1.0) -> None:
        super().__init__()
        self.space = nn.Parameter(torch.rand(neurons, 36, 64, generator=torch.Generator().manual_seed(1)) / 1000)
        self.gain = gain

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        drive = torch.einsum("bthw,nhw->bnt", (windows[:, 0] - 127.5) / 60.0, self.space)
        return nn.functional.softplus(self.gain * drive)


@pytest.fixture
def own(trial):
    """An encoder that lies in no file, under the name it will keep."""

    def make(gain: float = 1.0) -> WindowEncoder:
        neurons = trial.responses.shape[0]
        return WindowEncoder(Spots(neurons, gain), EncoderSpec("mine", "spots", neurons, canvas=Canvas(36, 64)))

    return make


def test_an_encoder_trained_anew_under_its_old_name_does_not_get_the_old_movie(
    trial, own, disc_mask, quick_config, tmp_path
):
    encoder, folder = own(), tmp_path / "run.zarr"
    first = vr.reconstruct(trial, [encoder], disc_mask, quick_config, save_to=folder)
    again = vr.reconstruct(trial, [own()], disc_mask, quick_config, save_to=folder)
    np.testing.assert_array_equal(again.video, first.video)
    with torch.no_grad():
        encoder.module.space.mul_(0.5)
    for other in (encoder, own(gain=2.0)):
        with pytest.raises(RunError, match="other inputs or settings"):
            vr.reconstruct(trial, [other], disc_mask, quick_config, save_to=folder)
    np.testing.assert_array_equal(vr.Reconstruction.load(folder).video, first.video)


def test_an_encoder_of_a_file_that_was_trained_further_is_another_and_names_no_file(trial, encoder, disc_mask):
    loaded = vr.load_encoder(encoder.spec.path, neurons=trial.responses.shape[0], device="cpu")
    assert identity(loaded) == loaded.spec.sha256
    first = plan_run(trial, [loaded], disc_mask)
    with torch.no_grad():
        next(loaded.module.parameters()).add_(0.01)
    second = plan_run(trial, [loaded], disc_mask)
    assert first.fingerprint != second.fingerprint
    assert first.provenance["inputs"]["encoders"] == [encoder.spec.path]
    assert second.provenance["inputs"]["encoders"] == []


def test_an_encoder_that_hides_what_it_computes_with_is_never_taken_for_another(encoder):
    class Hiding:
        spec = replace(encoder.spec, sha256="")

        def __init__(self):
            self.responses = lambda windows: encoder.responses(windows)

    hiding = Hiding()
    assert weights_hash(hiding) == ""
    assert identity(hiding) != identity(hiding)


def test_the_fingerprint_of_an_earlier_version_still_holds(trial, encoder, disc_mask, quick_config):
    assert plan_run(trial, [encoder], disc_mask, quick_config).provenance["encoders"] == [encoder.spec.sha256]


def test_a_run_made_in_python_says_where_its_inputs_lie(small_session_folder, encoder, disc_mask, quick_config):
    session = vr.open_session(small_session_folder)
    clip = session.trial(session.trial_ids[0]).part(4, 60).part(2, 44)
    assert clip.source == ClipSource(str(session.path), (6, 48))
    result = vr.reconstruct(clip, [encoder], disc_mask, quick_config, target="predicted")
    recipe = Recipe.of(result)
    assert recipe.session == str(session.path)
    assert (recipe.trial, recipe.frames, recipe.target) == (clip.id, (6, 48), "predicted")
    assert recipe.encoders == (encoder.spec.path,)
    assert recipe.config == quick_config
    assert recipe.differences(Recipe.of(result)) == []


def test_what_differs_between_two_runs_is_told_in_words(trial, encoder, disc_mask, quick_config):
    one = Recipe.of(vr.reconstruct(trial, [encoder], disc_mask, quick_config))
    other = one.changed(mask_threshold=0.7, config=quick_config.changed(learning_rate=12.0))
    assert one.differences(other) == [
        f"mask {one.mask_threshold:g} → 0.7",
        f"learning rate {quick_config.update.learning_rate:.4g} → 12",
    ]
    assert one.changed_in(other) == ["mask_threshold", "config.learning_rate"]
    assert one.changed_in(one.changed(evaluation_threshold=0.9, device="cuda")) == []


def test_the_counterpart_of_a_run_has_the_other_target(trial, encoder, disc_mask, quick_config):
    one = Recipe.of(vr.reconstruct(trial, [encoder], disc_mask, quick_config))
    assert one.for_counterpart().target == "predicted"
    assert one.for_counterpart().for_counterpart() == one


def test_a_run_of_an_earlier_version_has_a_recipe_too(trial, encoder, disc_mask, quick_config):
    result = vr.reconstruct(trial, [encoder], disc_mask, quick_config)
    del result.provenance["inputs"]
    recipe = Recipe.of(result)
    assert (recipe.session, recipe.encoders) == ("", ())
    assert (recipe.trial, recipe.neurons_kept) == (trial.id, int(result.keep.sum()))
