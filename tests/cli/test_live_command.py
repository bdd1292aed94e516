"""`vidrecon live`: a replay and a stream become runs, and what was seen is on disk whoever is killed."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import napari_vidrecon as vr
from napari_vidrecon.sessions.activity_stream import ActivityFrame, end_message, frame_message


@pytest.fixture
def words(small_session_folder: Path, small_decoder_file: Path, tmp_path: Path) -> list:
    return ["live", small_session_folder, "--decoder", small_decoder_file, "--out", tmp_path / "seen.zarr"]


def test_a_replay_becomes_a_run_like_every_other(vidrecon, words, small_session_folder, small_decoder_file) -> None:
    answer = vidrecon(*words, "--trial", 0, "--trial", 1, "--speed", 1000, "--json")
    assert answer.code == 0, answer.err
    assert "this decoder waits for 0.07 s of later activity" in answer.err
    assert (answer.json["frames"], answer.json["lost"]) == (120, 0)
    run = vr.Reconstruction.load(words[-1])
    clip = vr.open_session(small_session_folder).trial(0)
    assert np.array_equal(run.stimulus[:60], clip.video)
    expected = vr.Decoder.load(small_decoder_file).movie(clip.responses).clip(0, 255)
    np.testing.assert_allclose(run.video[:56], expected[:56], atol=1e-3)
    told = vidrecon("info", words[-1], "--json").json
    assert (told["frames"], told["decoder"], told["target"]) == (120, "decoder.safetensors", "recorded")


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (("--source", "udp"), "expected replay or an address"),
        (("--source", "tcp://nowhere", "--trial", 0), "only with --source replay"),
        (("--source", "tcp://nowhere"), "expected an address such as tcp://127.0.0.1:5555"),
        (("--source", "tcp://127.0.0.1:99999"), "expected a port from 1 to 65535"),
        (("--trial", 77), "expected a trial from 0 to 3"),
        (("--trial", 3), "withheld"),
        (("--speed", 0), "above 0"),
        (("--out", "run.npy"), "ending in .zarr"),
        (("--decoder", "nowhere.safetensors"), "nothing there"),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_written(more, named: str, vidrecon, words, tmp_path: Path) -> None:
    answer = vidrecon(*words, *more)
    assert answer.code == 2
    assert named in answer.err
    assert not list(tmp_path.iterdir())


@pytest.fixture
def sent() -> Iterator[Callable[..., str]]:
    """Publishes messages again and again, and ends; gives the address."""
    zmq = pytest.importorskip("zmq")
    with zmq.Context() as context, context.socket(zmq.PUB) as sender:
        port = sender.bind_to_random_port("tcp://127.0.0.1")
        over = threading.Event()

        def publish(messages: Callable[[int], list[bytes]]) -> None:
            for number in itertools.count():
                sender.send_multipart(messages(number))
                if over.wait(0.002):
                    return

        def start(messages: Callable[[int], list[bytes]]) -> str:
            thread.append(threading.Thread(target=publish, args=(messages,)))
            thread[0].start()
            return f"tcp://127.0.0.1:{port}"

        thread: list[threading.Thread] = []
        yield start
        over.set()
        for each in thread:
            each.join()


def of_rate(hertz: float, kind: type = np.float32) -> Callable[[int], list[bytes]]:
    """Messages of a sender whose clock says so many frames a second, in numbers of a kind."""

    def message(number: int) -> list[bytes]:
        header, _ = frame_message(ActivityFrame(number, np.ones(20), number / hertz, 0.0))
        return [header, np.ones(20, kind).tobytes()]

    return message


def test_a_sender_of_whom_nothing_can_be_used_is_told_why(vidrecon, words, sent, tmp_path: Path) -> None:
    answer = vidrecon(*words, "--source", sent(of_rate(30, np.float64)), "--for", 1)
    assert answer.code == 2
    assert "expected frames of this mouse, found none" in answer.err
    assert "expected 20 numbers of 4 bytes, found 160 bytes" in answer.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("hertz", "told"), [(30, ""), (60, "found 60 by the sender's clock"), (0.03, "found 0.03")])
def test_frames_of_another_rate_are_told_as_such(hertz: float, told: str, vidrecon, words, sent) -> None:
    answer = vidrecon(*words, "--source", sent(of_rate(hertz)), "--for", 1.5)
    assert answer.code == 0
    assert told in answer.err
    assert ("expected 30 frames a second" in answer.err) == bool(told)


@pytest.mark.long
def test_what_a_killed_command_saw_is_on_disk(start_process, vidrecon, words, tmp_path: Path) -> None:
    zmq = pytest.importorskip("zmq")
    with zmq.Context() as context, context.socket(zmq.PUB) as sender:
        port = sender.bind_to_random_port("tcp://127.0.0.1")
        path, words = words[-1], [*words, "--source", f"tcp://127.0.0.1:{port}"]
        random, number = np.random.default_rng(0), 0

        def send_until(there) -> None:
            nonlocal number
            ends = time.monotonic() + 60
            while not there() and time.monotonic() < ends:
                sender.send_multipart([b"odd"])
                frame = ActivityFrame(number, random.gamma(0.5, 6.0, 20), time.time(), 0.0)
                sender.send_multipart(frame_message(frame))
                number += 1
                time.sleep(0.004)

        def seen() -> int:
            return len(vr.Reconstruction.load(path).video) if (path / "zarr.json").exists() else 0

        for kill, code in ((signal.SIGKILL, -9), (signal.SIGINT, 130)):
            before = seen()
            process = start_process(*words)
            send_until(lambda before=before: seen() > before + 40)
            process.send_signal(kill)
            _, err = process.communicate(timeout=60)
            assert process.returncode == code
            assert seen() >= before + 40
        assert "what was seen is kept in" in err
        assert "refused" in err
        for part in end_message(), [b"odd"]:
            sender.send_multipart(part)
    assert vidrecon("info", path, "--json").json["frames"] == seen()


def test_an_address_that_nobody_sends_from_is_told_and_ends_badly(vidrecon, words, tmp_path: Path) -> None:
    pytest.importorskip("zmq")
    answer = vidrecon(*words, "--source", "tcp://127.0.0.1:1", "--for", 0.3, "--json")
    assert answer.code == 2
    assert "tcp://127.0.0.1:1: expected frames of this mouse, found none; is its sender running" in answer.err
    assert not answer.out
    assert not list(tmp_path.iterdir())
