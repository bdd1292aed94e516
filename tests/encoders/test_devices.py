"""The fastest device is taken, and a fall back to the CPU is said in one line."""

from __future__ import annotations

import pytest
import torch

from napari_vidrecon.encoders import checkpoints
from napari_vidrecon.encoders.checkpoints import choose_device, load_encoder
from napari_vidrecon.errors import EncoderError


@pytest.fixture(autouse=True)
def asked_anew(monkeypatch):
    """No answer from before, and no GPU unless the test says so."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    checkpoints.fastest_device.cache_clear()
    yield
    checkpoints.fastest_device.cache_clear()


def test_without_a_gpu_one_line_says_that_the_cpu_is_taken(caplog):
    assert [choose_device("auto").type for _ in range(3)] == ["cpu"] * 3
    assert caplog.messages == ["no GPU found; computing on the CPU"]


def test_a_gpu_that_does_not_work_is_not_taken(caplog, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    def broken(*arguments, **keywords):
        raise RuntimeError("CUDA error: no kernel image is available\nand more lines")

    monkeypatch.setattr(torch, "ones", broken)
    assert choose_device("auto").type == "cpu"
    assert caplog.messages == ["the GPU does not work (CUDA error: no kernel image is available); computing on the CPU"]


def test_a_device_asked_for_by_name_is_never_replaced():
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(EncoderError, match='device "nonsense": not there on this machine'):
        choose_device("nonsense")


def test_an_encoder_keeps_to_the_memory_it_was_given(small_encoder_file):
    assert load_encoder(small_encoder_file, device="cpu").memory_limit is None
    assert load_encoder(small_encoder_file, device="cpu", memory_gib=0.5).memory_limit == 1 << 29
    with pytest.raises(EncoderError, match="memory: expected more than 0 GiB, found -1"):
        load_encoder(small_encoder_file, device="cpu", memory_gib=-1)


def test_on_cuda_torch_itself_is_bound(monkeypatch):
    bounds = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (0, 1000))
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda *given: bounds.append(given))
    checkpoints.bound_memory(torch.device("cuda"), 250)
    checkpoints.bound_memory(torch.device("cpu"), 250)
    assert bounds == [(0.25, torch.device("cuda"))]


def test_a_precision_is_checked_and_said(golden_checkpoints, small_encoder_file):
    assert load_encoder(golden_checkpoints[0], mouse=1, device="cpu").precision == "float32"
    assert load_encoder(golden_checkpoints[0], mouse=1, device="cpu", precision="bfloat16").precision == "bfloat16"
    assert load_encoder(small_encoder_file, device="cpu", precision="bfloat16").precision == "float32"
    with pytest.raises(EncoderError, match="precision 'float16': expected float32, tf32 or bfloat16"):
        load_encoder(small_encoder_file, device="cpu", precision="float16")
