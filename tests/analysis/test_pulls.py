from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

import napari_vidrecon as vr
from napari_vidrecon.analysis.error_maps import pulls_on_pixel

PIXEL, FRAME = (18, 30), 20


@pytest.mark.parametrize("change", [60.0, -60.0])
def test_neurons_pull_a_pixel_to_where_it_was_when_they_answered(small_session_folder, small_encoder_file, change):
    """What the encoder says of a movie whose pixel is brighter, or darker, than in the one that is looked at."""
    trial = vr.open_session(small_session_folder).trial(0).part(0, 48)
    encoder = vr.load_encoder(small_encoder_file, device="cpu")
    shown = trial.video.copy()
    shown[FRAME - 2 : FRAME + 3, PIXEL[0] - 1 : PIXEL[0] + 2, PIXEL[1] - 1 : PIXEL[1] + 2] -= change
    target = encoder.predict(trial.video, trial.behavior, trial.pupil_center)
    pulls = pulls_on_pixel(encoder, trial, shown, target, FRAME, PIXEL)
    assert pulls.shape == (20,)
    assert np.sign(pulls.sum()) == np.sign(change)


@pytest.mark.parametrize(("frame", "pixel"), [(0, (0, 0)), (47, (35, 63))])
def test_the_first_and_the_last_pixel_have_pulls_too(small_session_folder, small_encoder_file, frame, pixel):
    trial = vr.open_session(small_session_folder).trial(0).part(0, 48)
    encoder = vr.load_encoder(small_encoder_file, device="cpu")
    assert np.isfinite(pulls_on_pixel(encoder, trial, trial.video, trial.responses, frame, pixel)).all()


def test_at_a_higher_rate_a_pixel_is_pulled_as_well(small_session_folder, small_encoder_file):
    """A window then spans more frames than the part of a clip that is looked at at 30 Hz."""
    short = vr.open_session(small_session_folder).trial(0)
    twice = {name: np.tile(getattr(short, name), 2) for name in ("behavior", "pupil_center", "recorded_responses")}
    trial = replace(short, video=np.concatenate([short.video, short.video]), **twice)
    encoder = copy.copy(vr.load_encoder(small_encoder_file, device="cpu"))
    windows = replace(encoder.spec.windows, step=4)
    encoder.spec = replace(encoder.spec, windows=windows)
    assert windows.span > 48
    pulls = pulls_on_pixel(encoder, trial, trial.video, trial.responses, 60, PIXEL)
    assert np.abs(pulls).max() > 0


def test_what_is_made_brighter_ends_where_its_colour_does(small_session_folder, small_encoder_file):
    trial = replace(vr.open_session(small_session_folder).trial(0).part(0, 48), colours=("green", "uv"))
    encoder = vr.load_encoder(small_encoder_file, device="cpu")
    seen: list[np.ndarray] = []

    class Watched:
        spec = encoder.spec

        def __getattr__(self, name):
            return getattr(encoder, name)

        def pack(self, video, *streams):
            seen.append(video)
            return encoder.pack(video, *streams)

    pulls_on_pixel(Watched(), trial, trial.video, trial.responses, FRAME, (17, 30))
    rows = np.flatnonzero((seen[0] != seen[1]).any(axis=(0, 2)))
    assert rows.tolist() == [16, 17]
