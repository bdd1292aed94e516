"""Clips are predicted in chunks; where memory runs out, chunks get smaller and nothing is lost."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_vidrecon.encoders.encoder import Canvas, EncoderSpec
from napari_vidrecon.encoders.window_encoder import predict_clip
from napari_vidrecon.errors import EncoderError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.gradients import sub_batch_gradients

FRAMES = 60


class CrampedEncoder:
    """Three neurons that see brightness; has memory for only so many windows at once."""

    device = torch.device("cpu")
    dtype = torch.float64
    floats_per_pixel = 1
    preferred_cpu_chunk = 16
    spec = EncoderSpec("cramped", "cramped", 3, canvas=Canvas(4, 6, 4, 6))

    def __init__(self, room: int) -> None:
        self.room = room
        self.seen: list[int] = []

    def responses(self, windows: torch.Tensor, neurons: torch.Tensor | None = None) -> torch.Tensor:
        if len(windows) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.seen.append(len(windows))
        # The position in the window matters, so that a sum at a wrong place would show.
        position = torch.arange(1.0, 17.0, dtype=windows.dtype)
        activity = windows[:, 0].mean(dim=(2, 3))[:, None] * torch.tensor([[1.0], [2.0], [3.0]]) * position + 0.1
        return activity if neurons is None else activity[:, neurons]


def drawn_inputs() -> torch.Tensor:
    return torch.rand(5, FRAMES, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_a_clip_is_the_mean_over_all_windows_whatever_the_chunk():
    encoder, inputs = CrampedEncoder(room=99), drawn_inputs()
    total, count = np.zeros((3, FRAMES)), np.zeros(FRAMES)
    for start in encoder.spec.windows.starts(FRAMES):
        frames = encoder.spec.windows.indices(np.array([start]))[0]
        total[:, frames] += encoder.responses(inputs[None, :, frames])[0].numpy()
        count[frames] += 1
    for chunk in (1, 7, 30, 99):
        np.testing.assert_allclose(predict_clip(encoder, inputs, chunk), total / count, rtol=1e-12)


@pytest.mark.parametrize("room", [1, 3, 14])
def test_a_prediction_that_runs_out_of_memory_goes_on_with_half_the_windows(room, caplog):
    inputs = drawn_inputs()
    cramped = CrampedEncoder(room)
    found = predict_clip(cramped, inputs, 16)
    torch.testing.assert_close(found, predict_clip(CrampedEncoder(99), inputs, 16), rtol=1e-12, atol=0.0)
    assert sum(cramped.seen) == 30
    assert max(cramped.seen) <= room
    assert "out of memory" in caplog.text


@pytest.mark.parametrize("room", [1, 2, 5])
def test_gradients_that_run_out_of_memory_are_the_same(room):
    starts, config = np.array([0, 8, 16, 28]), ReconstructionConfig()
    target = torch.rand(3, FRAMES, dtype=torch.float64)
    roomy, cramped = (
        sub_batch_gradients(CrampedEncoder(limit), drawn_inputs(), target, None, starts, config, 8)
        for limit in (99, room)
    )
    for name in ("losses", "norms", "video", "activity"):
        torch.testing.assert_close(getattr(cramped, name), getattr(roomy, name), rtol=1e-12, atol=0.0)


def test_no_memory_for_one_window_is_said():
    with pytest.raises(EncoderError, match="cramped: expected memory for one window on cpu"):
        predict_clip(CrampedEncoder(0), drawn_inputs())


def test_another_error_is_not_taken_for_a_lack_of_memory():
    class Broken(CrampedEncoder):
        def responses(self, windows: torch.Tensor, neurons: torch.Tensor | None = None) -> torch.Tensor:
            raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        predict_clip(Broken(99), drawn_inputs())
