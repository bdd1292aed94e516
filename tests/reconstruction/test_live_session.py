"""A live session shows a picture for every frame, whatever comes late, twice, out of order or not at all."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

import napari_vidrecon as vr
from napari_vidrecon.errors import ConfigError, EncoderError, RunError, StorageError
from napari_vidrecon.reconstruction.decoder import Decoder
from napari_vidrecon.reconstruction.decoder_fitting import DecoderRecipe
from napari_vidrecon.reconstruction.live import LONGEST_GAP_FRAMES, RING_FRAMES, LiveSession
from napari_vidrecon.reconstruction.live_record import LATE, LOST, LiveRecord
from napari_vidrecon.reconstruction.live_run import LiveInputs, begin_live, end_live
from napari_vidrecon.reconstruction.run_folder import FORMAT
from napari_vidrecon.sessions.activity_stream import ActivityFrame, Replay, frame_message, read_message

NEURONS, FRAMES = 20, 120
STILL = np.ones(2, np.float32)


@pytest.fixture(scope="module")
def activity():
    return np.random.default_rng(1).gamma(0.5, 6.0, (NEURONS, FRAMES)).astype(np.float32)


def small_decoder(lags: tuple[int, ...], size_px: tuple[int, int] = (36, 64)) -> Decoder:
    random = np.random.default_rng(2)
    frequencies = np.array([[0, 0], [0, 1], [2, 3]])
    weights = random.normal(0, 20, (len(lags), NEURONS, 3)).astype(np.float32)
    return Decoder(weights, np.ones(NEURONS, np.float32), lags, frequencies, size_px=size_px)


@pytest.fixture(scope="module")
def causal():
    return small_decoder((-4, -2, 0))


def sent(activity, numbers, stream="a", first=0):
    """Frames of these numbers."""
    return [ActivityFrame(n + first, activity[:, n % FRAMES], n / 30, n / 30, stream=stream) for n in numbers]


def one_by_one(live: LiveSession, frames) -> list:
    pictures = []
    for each in frames:
        pictures.append(live.take([each]))
        live.prepare()
    return pictures


def live_of(decoder, record=None):
    return LiveSession(decoder, STILL, STILL, record=record, clock=lambda: 0.0)


def shown_by(live):
    return live.recent(RING_FRAMES).pictures


def expected(decoder, activity):
    return decoder.movie(activity).clip(0, 255)


@pytest.mark.parametrize("lags", [(-4, -2, 0), (-2, 0, 3)])
def test_its_pictures_are_those_of_the_whole_clip(lags, activity):
    decoder = small_decoder(lags)
    live = live_of(decoder)
    pictures = one_by_one(live, sent(activity, range(FRAMES)))
    # Whatever lies in the future is waited for, and no longer.
    assert [each is None for each in pictures] == [n < decoder.delay_frames for n in range(FRAMES)]
    live.finish()
    np.testing.assert_allclose(shown_by(live), expected(decoder, activity), atol=1e-3)


def test_colours_come_one_below_the_other_each_about_its_level(activity):
    grey = small_decoder((-4, -2, 0), (36, 16))
    frequencies = np.array([[0, 0], [3, 1], [20, 3]])
    decoder = replace(grey, frequencies=frequencies, colours=("green", "uv"), levels=(60.0, 140.0), level=100.0)
    live = live_of(decoder)
    one_by_one(live, sent(activity, range(FRAMES)))
    live.finish()
    np.testing.assert_allclose(shown_by(live), expected(decoder, activity), atol=1e-3)
    assert np.array_equal(np.unique(live.recent(1).truth[:, :18]), [60.0])
    assert np.array_equal(np.unique(live.recent(1).truth[:, 18:]), [140.0])


def test_frames_that_come_late_or_twice_change_nothing_in_the_end(causal, activity):
    order = [*range(40), 41, 43, 40, 40, 42, 39, *range(44, 90), *range(95, FRAMES), *range(90, 95)]
    live = live_of(causal)
    one_by_one(live, sent(activity, order))
    np.testing.assert_allclose(shown_by(live), expected(causal, activity), atol=1e-3)
    assert (live.counts.frames, live.counts.late, live.counts.twice, live.counts.lost) == (FRAMES, 7, 2, 0)


def test_a_missing_frame_is_filled_in_and_counted(causal, activity):
    live = live_of(causal)
    one_by_one(live, sent(activity, [n for n in range(FRAMES) if n not in (50, 51)]))
    filled = activity.copy()
    filled[:, 50], filled[:, 51] = (activity[:, 49] * a + activity[:, 52] * (1 - a) for a in (2 / 3, 1 / 3))
    np.testing.assert_allclose(shown_by(live), expected(causal, filled), atol=1e-3)
    assert (live.counts.frames, live.counts.lost, live.counts.late) == (FRAMES, 2, 0)


def test_a_sender_that_begins_anew_begins_a_part_and_so_does_a_long_gap(causal, activity):
    live = live_of(causal)
    one_by_one(live, sent(activity, range(30)))
    one_by_one(live, sent(activity, range(30), stream="b"))
    one_by_one(live, sent(activity, range(30), stream="b", first=30 + LONGEST_GAP_FRAMES + 1))
    live.take(sent(activity, [3], stream="b"))
    alone = expected(causal, activity[:, :30])
    np.testing.assert_allclose(shown_by(live), np.concatenate([alone, alone, alone]), atol=1e-3)
    assert (live.counts.parts, live.counts.frames, live.counts.lost) == (3, 90, LONGEST_GAP_FRAMES + 1)
    assert live.counts.twice == 1


def test_thousands_of_frames_at_once_and_odd_numbers_leave_memory_as_it_was(causal, activity):
    live = live_of(causal)
    random = np.random.default_rng(3)
    before = sum(each.nbytes for each in vars(live).values() if isinstance(each, np.ndarray))
    for _ in range(6):
        live.take(sent(activity, random.integers(0, 2000, 400).tolist()))
    assert sum(each.nbytes for each in vars(live).values() if isinstance(each, np.ndarray)) == before
    assert np.isfinite(shown_by(live)).all()


def test_latency_is_that_of_pictures_after_their_frames_whatever_clock_the_sender_has(causal, activity):
    now = [0.0]
    live = LiveSession(causal, STILL, STILL, clock=lambda: now[0])
    for n in range(100):
        arrived = 50 + n / 30 + (0.2 if n == 60 else 0.0)
        now[0] = arrived + 0.01
        live.take([ActivityFrame(n, activity[:, n], 1e9 + n / 30, arrived)])
    assert live.latencies.quantile(0.5) == pytest.approx(0.01, abs=1e-3)
    assert live.latencies.quantile(0.995) == pytest.approx(0.21, abs=1e-2)


def record_at(path, fingerprint="f", size_px=(36, 64), replace=False):
    provenance = {"fingerprint": fingerprint, "session": "small", "trial": -1, "mask_threshold": 0.5, "live": {}}
    provenance |= {"started": "now", "inputs": None, "evaluation_threshold": 1.0, "target": {"kind": "given"}}
    config = vr.ReconstructionConfig.preset("fast", steps=1).model_dump()
    attributes = {"config": config, "provenance": provenance, "history": {"step": [1]}, "levels": {}}
    return LiveRecord(path, attributes, np.ones(size_px, np.float32), NEURONS, size_px, replace=replace)


def test_what_was_seen_is_a_run_that_goes_on_after_every_end(causal, activity, tmp_path):
    path = tmp_path / "seen.zarr"
    order = [*range(12), *range(13, 20), 12, *range(20, 70), *range(72, FRAMES)]
    # Ends before, in and after the first chunk, and in the middle of others.
    for part in (order[:0], order[:20], order[20:31], order[31:]):
        record = record_at(path)
        live = live_of(causal, record)
        one_by_one(live, sent(activity, part))
        live.finish()
        record.close()
    assert (live.counts.frames, live.counts.late, live.counts.parts) == (FRAMES, 1, 3)
    run = vr.Reconstruction.load(path)
    assert run.provenance["movie"] is False
    assert run.provenance["live"]["frames"] == FRAMES
    target = np.concatenate([activity[:, :70], activity[:, 69:73], activity[:, 73:]], axis=1)[:, : len(run.video)]
    assert run.finished
    assert run.target.shape == (NEURONS, FRAMES)
    np.testing.assert_allclose(run.target[:, :70], activity[:, :70])
    np.testing.assert_allclose(run.target[:, 72:], activity[:, 72:])
    assert target.shape == run.target.shape
    kinds = np.fromfile(path / "live/kind/c/0", np.uint8)
    assert kinds[12] == LATE
    assert (np.fromfile(path / "live/kind/c/2", np.uint8)[6:8] == LOST).all()
    with pytest.raises(RunError, match="another run"):
        record_at(path, "other")


def test_another_run_is_replaced_where_that_is_asked_for_and_what_is_no_run_stays(causal, activity, tmp_path):
    path = tmp_path / "seen.zarr"
    record = record_at(path)
    live_of(causal, record).take(sent(activity, range(100)))
    record.close()
    shutil.copytree(path / "decoded", path / "predicted_activity")
    (path / "notes.txt").write_text("mine")
    (path / "live/zarr.json").write_text("damaged")
    record = record_at(path, "other", replace=True)
    live_of(causal, record).take(sent(activity, range(40)))
    record.close()
    assert len(vr.Reconstruction.load(path).video) == 40
    assert (path / "notes.txt").read_text() == "mine"
    damaged = {"zarr_format": 3, "node_type": "group", "attributes": {"format": FORMAT, "provenance": []}}
    (path / "zarr.json").write_text(json.dumps(damaged))
    with pytest.raises(RunError, match=r"seen\.zarr"):
        record_at(path, "other")


@pytest.mark.parametrize("described", [True, False])
@pytest.mark.parametrize("name", ["keep", "alpha", "video/c", "live/number/c/1", ".growing"])
def test_it_writes_through_no_link_and_waits_for_no_pipe(name, described, causal, activity, tmp_path):
    path, outside = tmp_path / "seen.zarr", tmp_path / "outside"
    record = record_at(path)
    live_of(causal, record).take(sent(activity, range(50)))
    record.close()
    if not described:
        (path / "zarr.json").unlink()
    outside.mkdir()
    if (path / name).is_dir():
        shutil.copytree(path / name, outside, dirs_exist_ok=True)
        shutil.rmtree(path / name)
        (path / name).symlink_to(outside)
    else:
        (path / name).unlink(missing_ok=True)
        os.mkfifo(path / name)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(StorageError, match=r"seen\.zarr"):
        record_at(path)
    assert before == {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}


@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_bytes(b"short")])
def test_it_goes_on_with_no_session_whose_last_frames_are_gone(damage, causal, activity, tmp_path):
    record = record_at(tmp_path / "seen.zarr")
    live_of(causal, record).take(sent(activity, range(50)))
    record.close()
    damage(tmp_path / "seen.zarr/target/c/0/1")
    with pytest.raises(StorageError, match=r"a part of a live session|is damaged"):
        record_at(tmp_path / "seen.zarr")


def test_a_kill_between_two_arrays_leaves_a_run_of_what_all_have(causal, activity, tmp_path):
    record = record_at(tmp_path / "seen.zarr")
    live = live_of(causal, record)
    live.take(sent(activity, range(FRAMES)))
    record.close()
    description = tmp_path / "seen.zarr/video/zarr.json"
    told = json.loads(description.read_text())
    told["shape"][0] = 90
    description.write_text(json.dumps(told))
    run = vr.Reconstruction.load(tmp_path / "seen.zarr")
    np.testing.assert_allclose(run.video, expected(causal, activity)[:90], atol=1e-3)
    assert record_at(tmp_path / "seen.zarr").first == 90


def test_a_screen_of_other_pixels_is_seen_as_well(activity, tmp_path):
    decoder = small_decoder((-2, 0), (18, 16))
    record = record_at(tmp_path / "seen.zarr", size_px=(18, 16))
    live = live_of(decoder, record)
    one_by_one(live, sent(activity, range(40)))
    record.close()
    np.testing.assert_allclose(shown_by(live), expected(decoder, activity[:, :40]), atol=1e-3)
    assert np.array_equal(vr.Reconstruction.load(tmp_path / "seen.zarr").video, shown_by(live))


def test_the_optimisation_refines_what_was_shown(
    small_session_folder, small_encoder_file, small_decoder_file, tmp_path
):
    session = vr.open_session(small_session_folder)
    config = vr.ReconstructionConfig.preset("fast", steps=2)
    encoders = [vr.load_encoder(small_encoder_file, device="cpu")]
    inputs = LiveInputs(session, Decoder.load(small_decoder_file), encoders, config=config)
    live = begin_live(inputs, tmp_path / "seen.zarr")
    replay = Replay(session, [0, 2], speed=1000.0)
    while not replay.ended:
        live.take(replay.take(0.01))
    live.finish()
    end_live(live)
    assert live.counts.frames == 120
    assert live.counts.refined >= 90
    run = vr.Reconstruction.load(tmp_path / "seen.zarr")
    assert np.array_equal(run.stimulus, np.concatenate([session.trial(0).video, session.trial(2).video]))
    decoded = np.fromfile(tmp_path / "seen.zarr/decoded/c/2/0/0", np.float32).reshape(-1, 36, 64)
    assert np.abs(run.video[64:96] - decoded).max() > 1.0


class Failing:
    """A refiner whose encoder answers NaN."""

    window_frames, margin_frames, idle = 40, 4, True

    def refine(self, stretch):
        pass

    def take(self):
        raise EncoderError("it answers NaN")

    def wait(self, seconds):
        pass


def test_an_optimisation_that_fails_ends_no_session(causal, activity):
    live = LiveSession(causal, STILL, STILL, refiner=Failing(), clock=lambda: 0.0)
    one_by_one(live, sent(activity, range(50)))
    live.finish()
    assert live.told()["fault"] == "it answers NaN"
    np.testing.assert_allclose(shown_by(live), expected(causal, activity[:, :50]), atol=1e-3)


def test_a_message_is_a_frame_or_one_line_that_says_why_not():
    frame = ActivityFrame(7, np.arange(NEURONS, dtype=np.float32), 1.5, 0.0, STILL, STILL, stream="a")
    parts = frame_message(frame)
    read = read_message(parts, NEURONS, 9.0)
    assert (read.number, read.time_s, read.arrived_s, read.stream) == (7, 1.5, 9.0, "a")
    assert np.array_equal(read.activity, frame.activity)
    assert read_message([b'{"vidrecon": 1, "end": true}'], NEURONS, 0.0) is None
    header = json.loads(parts[0])
    odd = [
        [],
        [b"not json", parts[1]],
        [b"[" * 4000, parts[1]],
        [b"{}", parts[1]],
        [parts[0], parts[1][:-4]],
        [parts[0], np.full(NEURONS, np.nan, "<f4").tobytes()],
        *(
            [json.dumps({**header, **wrong}).encode(), parts[1]]
            for wrong in (
                {"number": -1},
                {"number": 1.5},
                {"number": 2**70},
                {"time_s": "now"},
                {"stream": 3},
                {"behavior": [1]},
                {"time_s": float("nan")},
                {"pupil_center": [1, float("inf")]},
                {"behavior": [1, 10**400]},
            )
        ),
    ]
    for each in odd:
        with pytest.raises(ValueError, match="expected"):
            read_message(each, NEURONS, 0.0)


def test_a_causal_decoder_looks_at_no_future_and_says_so(small_session_folder, tmp_path):
    session = vr.open_session(small_session_folder)
    decoder = vr.fit_decoder(session, DecoderRecipe(causal=True, finest_cycles_per_px=0.05))
    assert decoder.causal
    assert max(decoder.lags_frames) == 0
    decoder.save(tmp_path / "causal.safetensors")
    assert vr.Decoder.load(tmp_path / "causal.safetensors").causal
    responses = session.trial(0).responses.copy()
    before = decoder.movie(responses)
    responses[:, 30:] = 0.0
    assert np.array_equal(decoder.movie(responses)[:30], before[:30])
    assert not vr.fit_decoder(session, DecoderRecipe(finest_cycles_per_px=0.05)).causal
    with pytest.raises(ConfigError, match="at most 0"):
        DecoderRecipe(causal=True, lags_frames=(0, 2))
    assert DecoderRecipe(causal=True).lags_for(20_000) == (0,)


def test_a_decoder_that_looks_too_far_back_is_refused():
    with pytest.raises(ConfigError, match="lags within 150 frames"):
        live_of(small_decoder((-200, 0)))


def test_a_faster_recording_is_held_as_long_in_seconds(causal, activity):
    for rate_hz, held in ((8.0, RING_FRAMES), (30.0, RING_FRAMES), (60.0, 2 * RING_FRAMES)):
        live = LiveSession(causal, STILL, STILL, frame_rate_hz=rate_hz, clock=lambda: 0.0)
        one_by_one(live, sent(np.tile(activity, 30), range(2 * RING_FRAMES + 40)))
        assert len(live.recent(10 * RING_FRAMES).pictures) == held
        assert (live.earlier(8 * 60) is None) is (held == RING_FRAMES)
