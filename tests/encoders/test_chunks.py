"""Windows go through in chunks that fit, on a CPU in several threads; what comes out does not depend on it."""

from __future__ import annotations

import threading

import pytest
import torch

from napari_vidrecon.encoders import chunks
from napari_vidrecon.encoders.checkpoints import load_encoder
from napari_vidrecon.encoders.chunks import chunk_by_chunk, chunk_that_fits, window_threads
from napari_vidrecon.encoders.encoder import Canvas, EncoderSpec, Traits
from napari_vidrecon.encoders.window_encoder import predict_clip

WINDOWS = 10
GIB = 1 << 30


class Answering:
    """An encoder that only says how it wants to be asked."""

    device = torch.device("cpu")
    floats_per_pixel = 100
    preferred_cpu_chunk = 8
    answers_in_threads = True
    memory_limit: int | None = None
    spec = EncoderSpec("answering", "answering", 3, canvas=Canvas(64, 64))


@pytest.fixture
def threads():
    """Four threads, whatever this machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield 4
    torch.set_num_threads(before)


def drawn_indices() -> torch.Tensor:
    return torch.arange(WINDOWS)[:, None] + 2 * torch.arange(16)[None]


def test_threads_share_the_windows_out_and_answers_come_in_order(threads):
    seen = set()

    def compute(part):
        seen.add((threading.get_ident(), len(part)))
        assert torch.get_num_threads() == 1
        return part[:, 0].tolist()

    answers = list(chunk_by_chunk(Answering(), drawn_indices(), 8, compute))
    assert [window for _, answer in answers for window in answer] == list(range(WINDOWS))
    assert {size for _, size in seen} == {3, 1}
    assert threading.get_ident() not in {thread for thread, _ in seen}
    assert torch.get_num_threads() == threads


def test_an_encoder_that_does_not_say_so_is_asked_from_one_thread_only(threads):
    encoder = Answering()
    encoder.answers_in_threads = False
    assert window_threads(encoder) == (1, threads)
    asked = [threading.get_ident() for _ in chunk_by_chunk(encoder, drawn_indices(), 4, len)]
    assert set(asked) == {threading.get_ident()}


def test_chunks_are_of_one_size_so_that_shapes_come_again(threads):
    encoder = Answering()
    encoder.answers_in_threads = False
    sizes = [size for _, size in chunk_by_chunk(encoder, torch.zeros(70, 16, dtype=torch.long), 32, len)]
    assert sizes == [24, 24, 22]


def test_no_gradients_are_kept_in_threads_where_none_are_wanted(threads):
    with torch.no_grad():
        states = [
            answer
            for _, answer in chunk_by_chunk(Answering(), drawn_indices(), 2, lambda part: torch.is_grad_enabled())
        ]
    assert states == [False] * len(states)


def test_an_error_in_a_thread_is_raised_and_the_threads_given_back(threads):
    def broken(part):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        list(chunk_by_chunk(Answering(), drawn_indices(), 2, broken))
    assert torch.get_num_threads() == threads


def test_a_real_encoder_predicts_the_same_in_threads(small_encoder_file, threads):
    encoder = load_encoder(small_encoder_file, device="cpu").to(dtype=torch.float64)
    canvas = encoder.spec.canvas
    inputs = 255.0 * torch.rand(5, 40, canvas.rows, canvas.columns, dtype=torch.float64)
    in_threads = predict_clip(encoder, inputs)
    torch.set_num_threads(1)
    torch.testing.assert_close(in_threads, predict_clip(encoder, inputs), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("gradient", [True, False])
def test_a_memory_limit_bounds_the_chunk(gradient, monkeypatch):
    monkeypatch.setattr(chunks, "free_bytes", lambda device: 100 * GIB)
    monkeypatch.setattr(chunks, "window_threads", lambda encoder: (1, 1))
    encoder = Answering()
    assert chunk_that_fits(encoder, gradient=gradient) == encoder.preferred_cpu_chunk
    window = (
        64 * 64 * 16 * encoder.floats_per_pixel * chunks.BYTES_A_FLOAT * (chunks.GRADIENT_FACTOR if gradient else 1)
    )
    encoder.memory_limit = 3 * window
    assert chunk_that_fits(encoder, gradient=gradient) == 3
    encoder.memory_limit = 1
    assert chunk_that_fits(encoder, gradient=gradient) == 1


def test_where_memory_is_short_the_chunk_is_small(monkeypatch):
    monkeypatch.setattr(chunks, "free_bytes", lambda device: 0)
    assert chunk_that_fits(Answering(), gradient=True) == 1


def test_an_encoder_that_says_nothing_of_itself_has_the_usual_traits():
    class Quiet:
        precision = "bfloat16"

    assert Traits.of(Quiet()) == Traits(precision="bfloat16")
    assert Traits() == Traits(memory_limit=None, answers_in_threads=False, precision="float32", neutral_behavior=None)
