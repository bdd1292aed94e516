"""A slow shift of the picture and a common gain, inferred with the movie."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import napari_vidrecon as vr
from napari_vidrecon.encoders.answers import predicted
from napari_vidrecon.reconstruction.composition import InferredGaze
from napari_vidrecon.reconstruction.gaze import moved_array, slow_curves
from napari_vidrecon.reconstruction.gaze_fitting import PupilGaze
from napari_vidrecon.sessions.simulation.behavior import EYE_CENTRE_PX, SCREEN_PX_PER_CAMERA_PX, as_seen


def quick(**changes):
    return vr.ReconstructionConfig.preset("fast", steps=3, track_skip_frames=8, **changes)


def test_it_is_off_unless_asked_for_and_needs_a_prior():
    for preset in ("paper", "fast", "best"):
        config = vr.ReconstructionConfig.preset(preset)
        assert (config.gaze, config.gain) == ("still", "constant")
        # As in earlier versions: their runs keep their fingerprints, and open ours.
        assert not {"gaze", "gain"} & {*config.decisive, *config.model_dump()}
    with pytest.raises(vr.ConfigError, match="gaze: inferred needs the update spectral"):
        vr.ReconstructionConfig.preset("paper", gaze="inferred")
    with pytest.raises(vr.ConfigError, match=r"gaze\.sd_px"):
        vr.ReconstructionConfig.preset("fast", gaze="inferred", **{"gaze.sd_px": -1})


def test_a_shift_moves_the_picture_as_the_simulated_mouse_sees_it():
    movie = np.random.default_rng(0).uniform(0, 255, (3, 36, 64)).astype(np.float32)
    shift = np.array([[0.0, 2.0, -3.0], [0.0, -1.0, 4.0]])
    eye = np.array(EYE_CENTRE_PX)[:, None] + shift / SCREEN_PX_PER_CAMERA_PX
    seen = moved_array(movie, shift)
    # By whole pixels; between them the two interpolate with another curve.
    np.testing.assert_allclose(seen, as_seen(movie, eye), atol=0.05)
    two = moved_array(np.concatenate([movie, movie[:, ::-1]], axis=1), shift, 2)
    np.testing.assert_allclose(two[:, :36], seen, atol=1e-3)


def test_slow_curves_have_the_deviation_and_the_slowness_asked_for():
    curves = slow_curves(300, 30.0, 1.0)
    alike = curves @ curves.T
    assert np.diag(alike) == pytest.approx(1.0, abs=0.1)
    assert alike[100, 130] == pytest.approx(np.exp(-0.5), abs=0.05)


def test_its_steps_follow_the_slope_of_the_loss(trial, encoder, disc_mask):
    config = quick(gaze="inferred", gain="inferred", input_noise=0.0)
    run = vr.plan_run(trial.part(0, 32), [encoder], disc_mask, config).steppable
    run._video = torch.nn.functional.avg_pool2d(torch.as_tensor(trial.video[:32]), 5, 1, 2)
    (drift,) = run.drifts
    run.gradient()
    (slopes,) = drift._slopes
    wanted, weights = run.matched[0].T, run.weights[0].T

    def loss(name, by):
        before = drift.state
        drift.state = {**before, f"{name}_weights": before[f"{name}_weights"] + by}
        activity = next(run.parts()).activity[0]
        drift.state = before
        return float(((activity - wanted * torch.log(activity + 1e-8)) * weights).double().mean())

    for name, slope in slopes.items():
        numeric = (loss(name, 0.02) - loss(name, -0.02)) / 0.04
        assert float(slope.sum()) == pytest.approx(numeric, rel=0.06, abs=1e-5), name


def test_a_run_keeps_what_it_inferred_and_goes_on_with_it(trial, encoder, disc_mask, tmp_path):
    config = quick(gaze="inferred", gain="inferred", **{"gaze.alone": True})
    whole = vr.reconstruct(trial, [encoder], disc_mask, config)
    folder = tmp_path / "run.zarr"
    vr.reconstruct(trial, [encoder], disc_mask, config, on_step=lambda info: info.step < 1, save_to=folder)
    vr.reconstruct(trial, [encoder], disc_mask, config, save_to=folder)
    saved = vr.Reconstruction.load(folder)
    assert (saved.gaze_px.shape, saved.gain.shape) == ((1, 2, 44), (1, 44))
    assert np.abs(saved.gaze_px).max() > 0.01
    for name in ("video", "gaze_px", "gain", "predicted_activity"):
        np.testing.assert_array_equal(getattr(saved, name), getattr(whole, name), err_msg=name)
    assert saved.inferred()["gaze"].startswith("inferred: up to ")
    assert set(saved.to_xarray().gaze_px.dims) == {"presentation", "direction", "time"}
    assert {"gaze_columns_px", "gaze_rows_px", "gain"} == set(saved.inferred_columns())


def test_one_presentation_without_the_pupil_shifts_nothing(trial, encoder, disc_mask):
    inferred = vr.reconstruct(trial, [encoder], disc_mask, quick(gaze="inferred"))
    np.testing.assert_allclose(inferred.video, vr.reconstruct(trial, [encoder], disc_mask, quick()).video, atol=0.1)
    assert inferred.inferred()["gaze"].startswith("not inferred: one presentation")
    several = vr.plan_run(trial, [encoder], disc_mask, quick(gaze="inferred"), repeats=[replace(trial, id=9)])
    several.step()
    several.step()
    assert all(each.gaze_px.any() for each in several.steppable.inferred)


def test_the_recorded_pupil_is_where_the_shift_starts(trial, encoder, disc_mask):
    rest = {"gaze.rest_x": 150.0, "gaze.rest_y": 150.0, "gaze.columns_per_x": 0.5, "gaze.rows_per_y": -0.2}
    config = quick(gaze="inferred", **rest)
    (inferred,) = vr.plan_run(trial, [encoder], disc_mask, config).steppable.inferred
    np.testing.assert_allclose(inferred.gaze_px, (trial.pupil_center - 150) * np.array([[0.5], [-0.2]]), atol=1e-3)


class Known:
    """A session of trials with their numbers."""

    path = "known"

    def __init__(self, trials):
        self._trials = dict(enumerate(trials))
        self.trial = self._trials.__getitem__

    def has_movie(self, number):
        return True

    def trials_in_tier(self, tier):
        return [*self._trials] if tier == "train" else []


def test_a_pupil_that_tells_nothing_is_not_taken(trial, encoder):
    still = replace(trial, pupil_center=np.full_like(trial.pupil_center, 150.0))
    found = vr.fit_gaze(Known([still, still]), encoder, on_progress=lambda done, steps: done < 2)
    assert (found.trials, found.shift_px, found.helps, found.settings) == (1, (0.0, 0.0), False, {})
    with pytest.raises(vr.SessionError, match="32 frames or more whose movie is known"):
        vr.fit_gaze(Known([trial.part(0, 20)]), encoder)


@pytest.mark.parametrize(
    ("losses", "helps"),
    [
        (((1.0, 0.9), (1.0, 0.8)), True),
        (((1.0, 0.9), (1.0, 0.9), (1.0, 1.05)), False),
        (((1.0, 0.9), (1.0, 0.9), (1.0, 0.92), (1.0, 1.0001)), True),
        (((1.0, 0.999), (1.0, 0.9)), False),
        (((1.0, 0.5),), False),
        (((1.0, 1.0), (1.0, 1.0)), False),
    ],
)
def test_a_shift_is_taken_only_where_it_explains_more_than_clips_differ(losses, helps):
    found = PupilGaze(InferredGaze(sd_px=0.0, columns_per_x=0.4), (2.0, 0.1), losses, 4)
    assert found.helps is helps
    assert bool(found.settings) is helps
    mostly = 2 * found.better > len(losses)
    assert found.checked_in_words.endswith("may be chance") is (mostly and not helps)


def test_a_shift_is_never_checked_on_what_it_was_found_on(trial, encoder):
    class Oracle(Known):
        def trials_in_tier(self, tier):
            return [*self._trials] if tier == "oracle" else []

    session = Oracle([trial] * 5)
    few = {"on_progress": lambda done, steps: done < 2}
    found = vr.fit_gaze(session, encoder, [0, 1], **few)
    assert (found.trials, len(found.losses)) == (2, 3)
    found = vr.fit_gaze(session, encoder, [0, 1, 2, 3, 4], **few)
    assert (found.trials, len(found.losses)) == (3, 2)
    with pytest.raises(vr.ConfigError, match="found 1 among both"):
        vr.fit_gaze(session, encoder, [0, 1], [1, 2])


@pytest.mark.long
def test_the_shift_of_the_pupil_is_found_on_clips_whose_movie_is_known():
    sample = vr.find_sample()
    session, encoder = vr.open_session(sample.session), vr.load_encoder(sample.encoders[0], device="cpu")
    curves = slow_curves(64, 30.0, 1.0)

    def looking_elsewhere(number):
        clip = session.trial(number).part(0, 64)
        pupil = 5 * (curves @ np.random.default_rng(number).standard_normal((curves.shape[1], 2))).T
        pupil += 150 - pupil.mean(axis=1, keepdims=True)
        shift = (pupil - 150) * np.array([[0.4], [-0.3]])
        activity = predicted(encoder, moved_array(clip.video, shift), clip.behavior, pupil, clip="moved")
        return replace(clip, pupil_center=pupil.astype(np.float32), recorded_responses=activity)

    found = vr.fit_gaze(Known([looking_elsewhere(number) for number in range(5)]), encoder)
    matrix = [found.gaze.columns_per_x, found.gaze.rows_per_x, found.gaze.columns_per_y, found.gaze.rows_per_y]
    assert found.helps
    # The encoder makes something of the pupil by itself.
    np.testing.assert_allclose(matrix, [0.4, 0.0, 0.0, -0.3], atol=0.12)
    config = vr.ReconstructionConfig.preset("fast", **found.settings)
    assert config.gaze == found.gaze
