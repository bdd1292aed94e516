"""Sessions of other screens and frame rates go all the way, by the commands of the README."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

import napari_vidrecon as vr
from napari_vidrecon.sessions.simulation.camera import area_average, seen_by_neurons
from napari_vidrecon.sessions.stimuli.synthetic import DriftingGrating
from napari_vidrecon.sessions.validation import validate_session
from napari_vidrecon.studies.mice import one_mouse

TINY = ("--recipe", "features=4", "--recipe", "temporal_kernels=3,3", "--recipe", "batch_size=2", "--steps", 2)
CLIPS, NEURONS = 9, 6


def write_recording(folder: Path, rows: int, columns: int, rate_hz: float, frames: int, colours: int) -> None:
    """Plain arrays, without behaviour: noise that is coarse enough to be told apart."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (CLIPS, frames, rows // 2, columns // 2, colours), dtype=np.uint8)
    onsets = 1.0 + np.arange(CLIPS) * (frames / rate_hz + 1.0)
    folder.mkdir()
    movies = coarse.repeat(2, axis=2).repeat(2, axis=3)
    np.save(folder / "stimulus.npy", movies if colours > 1 else movies[..., 0])
    np.save(folder / "stimulus_times.npy", onsets[:, None] + np.arange(frames) / rate_hz)
    times = np.arange(0.0, onsets[-1] + frames / rate_hz + 2.0, 0.1)
    np.save(folder / "activity.npy", random.gamma(0.5, 6.0, (NEURONS, times.size)).astype(np.float32))
    np.save(folder / "activity_times.npy", times)


@pytest.mark.parametrize(
    ("rows", "columns", "rate_hz", "frames", "colours"),
    [(72, 128, 60.0, 70, ()), (18, 16, 30.0, 40, ("green", "uv"))],
)
def test_a_recording_becomes_a_figure_on_any_screen(
    rows: int, columns: int, rate_hz: float, frames: int, colours: tuple[str, ...], vidrecon, tmp_path: Path, caplog
) -> None:
    planes = len(colours) or 1
    write_recording(tmp_path / "raw", rows, columns, rate_hz, frames, planes)
    mouse, encoder, mask = tmp_path / "mouse", tmp_path / "encoder.safetensors", tmp_path / "mask.npy"
    screen = ("--screen", f"{rows}x{columns}", "--rate", rate_hz, "--screen-cm", "40,22,20")
    if colours:
        answer = vidrecon("import", "arrays", tmp_path / "raw", "--out", mouse, *screen)
        assert "found 2 colours; name them, --colours green,uv" in answer.err
        assert "expected 2 to 4 names" in vidrecon("simulate", "--out", mouse, "--colours", "green").err
        screen = (*screen, "--colours", ",".join(colours))
    figure = tmp_path / "figure.png"
    for words in (
        ("import", "arrays", tmp_path / "raw", "--out", mouse, *screen, "--validation-share", 0.3),
        ("train", mouse, "--out", encoder, *TINY),
        ("mask", mouse, "--encoder", encoder, "--out", mask, "--steps", 2),
    ):
        assert vidrecon(*words).err.count("vidrecon:") == 0, words
    session = vr.open_session(mouse)
    trial_id = session.trials_in_tier("oracle")[0]
    run = tmp_path / "runs" / f"mouse_trial{trial_id}.zarr"
    words = ("--trial", trial_id, "--encoder", encoder, "--mask", mask, "--out", tmp_path / "runs", "--steps", 2)
    assert vidrecon("reconstruct", mouse, *words, "--evaluation-threshold", 0.1).code == 0
    assert vidrecon("export", run, "--figure", figure).code == 0
    size_px = planes * rows, columns
    assert (session.frame_rate_hz, session.screen.size_px, session.screen.distance_cm) == (rate_hz, size_px, 20)
    assert validate_session(mouse) == []
    assert session.recorded_behavior == session.trial(trial_id).recorded_behavior == ()
    assert vr.load_encoder(encoder, device="cpu").spec.provenance["behavior"] == []
    result = vr.Reconstruction.load(run)
    assert result.video.shape == (frames, *size_px)
    assert tuple(result.scores_by_colour()) == result.colours == session.trial(trial_id).colours == colours
    assert result.frame_rate_hz == rate_hz
    # Windows last as long at every rate, and the stem's map is about as large on every screen.
    spec = vr.load_encoder(encoder).spec
    assert spec.windows.step == round(2 * rate_hz / 30)
    assert spec.frame_rate_hz == rate_hz
    assert figure.stat().st_size > 1000
    if colours:
        shown = vr.stimulus_trial(DriftingGrating(0.1, 2.0), session).video
        assert np.array_equal(shown[:, :rows], shown[:, rows:])
        block = np.zeros(size_px, np.float32)
        block[[4, 22], 5:12] = 1.5
        trained, fast = vr.load_encoder(encoder, device="cpu"), vr.ReconstructionConfig.preset("fast", steps=1)
        begun = vr.reconstruct(session.trial(trial_id), [trained], vr.AlphaMask(block), fast)
        expected = np.repeat(np.float32(session.movie_statistics().colour_levels), rows)
        assert_allclose(begun.video[0, :, 0], expected)
        assert np.array_equal(begun.video[0, :, 15], begun.video[0, :, 0])
        grey = replace(session.trial(trial_id), colours=())
        with pytest.raises(vr.EncoderError, match="expected movies in green and uv, as it was trained on, found grey"):
            vr.reconstruct(grey, [vr.load_encoder(encoder, device="cpu")], vr.AlphaMask.load(mask))
        ids = mouse / "meta" / "neurons" / "unit_ids.npy"
        np.save(ids, np.load(ids)[::-1])
        words = ("predict", mouse, "--trial", trial_id, "--encoder", encoder, "--out", tmp_path / "activity.npy")
        refused, forced = vidrecon(*words), vidrecon(*words, "--force-mouse")
        assert "expected an encoder of the neurons of mouse in their order" in refused.err
        assert forced.code == 0
        assert "trained on other neurons than those of mouse, or on the same in another order" in caplog.text


def test_what_belongs_to_another_screen_is_refused_in_words(
    vidrecon, small_session_folder: Path, small_encoder_file: Path, copy_of_small_session: Path, tmp_path: Path
) -> None:
    config = copy_of_small_session / "config.json"
    mask = tmp_path / "mask.npy"
    np.save(mask, np.ones((72, 128), np.float32))
    words = ("--trial", 0, "--encoder", small_encoder_file, "--out", tmp_path / "runs", "--force-mouse")
    answer = vidrecon("reconstruct", small_session_folder, *words, "--mask", mask)
    assert answer.code == 2
    assert "expected 36x64 or 64x64 pixels, found 72x128" in answer.err
    config.write_text(json.dumps({"frame_rate_hz": 60}))
    given = (copy_of_small_session, "--encoder", small_encoder_file, "--force-mouse")
    for verb in (
        ("reconstruct", "--trial", 0, "--mask", "none"),
        ("predict", "--trial", 0, "--out", tmp_path / "activity.npy"),
        ("mask", "--out", tmp_path / "fitted.npy"),
        ("rf", "--out", tmp_path / "fields.npz"),
        ("gaze",),
        ("evidence", "--trial", 0, "--mask", "none"),
    ):
        answer = vidrecon(*verb, *given)
        assert answer.code == 2
        assert "expected clips of 30 frames a second, as it was trained on, found 60" in answer.err
    np.save(mask, np.ones((36, 64), np.float32))
    mouse = replace(one_mouse(copy_of_small_session, [small_encoder_file], mask), trials=(0,))
    with pytest.raises(vr.EncoderError, match="found 60 in"):
        mouse.require_readable()
    config.write_text(json.dumps({"screen": {"rows": 72, "cols": 128}}))
    with pytest.raises(vr.SessionError, match="72, 128, frames"):
        vr.open_session(copy_of_small_session).trial(0)
    for damaged in ("[", "[]", '{"frame_rate_hz": -1}', '{"screen": {"rows": 0}}', '{"screen": {"row": 36}}'):
        config.write_text(damaged)
        with pytest.raises(vr.SessionError, match=r"config\.json"):
            vr.open_session(copy_of_small_session)
        assert len(validate_session(copy_of_small_session, full=False)) == 1
    assert "expected ROWSxCOLUMNS" in vidrecon("simulate", "--out", tmp_path / "mouse", "--screen", "72").err


def test_a_simulated_mouse_sees_any_screen_as_its_own(tmp_path: Path) -> None:
    assert_allclose(area_average(7, 3).sum(axis=1), 1.0, rtol=1e-6)
    even = np.full((10, 72, 128), 80.0, np.float32)
    assert_allclose(seen_by_neurons(even, 60.0), np.full((5, 36, 64), 80.0), rtol=1e-5)
    sizes = {"neurons": 3, "train_trials": 1, "validation_trials": 0, "test_trials": 0, "frames": 64}
    shown = {"screen": vr.ScreenGeometry(rows=18, cols=16), "frame_rate_hz": 60.0}
    session = vr.open_session(vr.simulate_session(tmp_path / "mouse", seed=7, **sizes, **shown))
    trial = session.trial(0)
    assert trial.video.shape == (64, 18, 16)
    assert trial.responses.shape == (3, 64)
    assert trial.frame_rate_hz == 60.0
    assert session.simulation["screen_px"] == [18, 16]
