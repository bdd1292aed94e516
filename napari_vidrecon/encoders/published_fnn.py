"""The foundation model of the MICrONS mouse (package `fnn`, which somebody has installed) as an encoder.

What is used of it: `network(stimulus, perspective, modulation)` answers one frame, `network.reset()` begins anew, and
what its modules remember stands in their `past`. Weights come from the package's own loader.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from napari_vidrecon.encoders.chunks import State
from napari_vidrecon.encoders.encoder import Canvas, EncoderSpec
from napari_vidrecon.encoders.window_encoder import LARGEST_GREY_LEVEL, WindowEncoder
from napari_vidrecon.encoders.windows import FrameWindows
from napari_vidrecon.errors import EncoderError, one_line

SCREEN = (144, 256)
BURN_IN_FRAMES = 10
"""What the released predictions leave out at the beginning of a clip."""
FRAME_RATE_HZ = 30.0
MADE_OF = {
    "licence": "MIT (fnn); the weights have terms of their own",
    "citation": "Wang et al. 2025, Foundation model of neural activity predicts response to new stimulus types, "
    "doi 10.1038/s41586-025-08829-y",
}
STATE = object()
"""Stands for what changes from frame to frame in a network's memory; the rest of it is constant."""


class FnnModule(nn.Module):
    """A network of the package: (B, 5, F, rows, columns) to (B, N, F), and on from a state.

    Parameters
    ----------
    network
        As `fnn.microns.scan` gives it.
    warm_up
        Frames for which a clip's first frame is held.
    behavior_mean, behavior_sd
        (4,) of pupil size, running, pupil x and y in the recording; the network wants them standardised.
    """

    floats_per_pixel = 600
    preferred_cpu_chunk = 1
    behavior_mean: torch.Tensor
    behavior_sd: torch.Tensor

    def __init__(self, network: nn.Module, warm_up: int, behavior_mean: np.ndarray, behavior_sd: np.ndarray) -> None:
        super().__init__()
        self.network, self.warm_up = network, warm_up
        for name, value in (("behavior_mean", behavior_mean), ("behavior_sd", behavior_sd)):
            self.register_buffer(name, torch.as_tensor(np.asarray(value, dtype=np.float32)))
        self._memory: tuple[Any, list[Any]] | None = None

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return self.continued(windows)[0]

    def continued(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """Activity (B, N, F) of the frames that follow, and the state after them."""
        grey = x[:, :1] / LARGEST_GREY_LEVEL
        planes = x[:, 1:, :, 0, 0].transpose(1, 2)
        behavior = (planes - self.behavior_mean) / self.behavior_sd
        memory = self._template(x)
        self.network.reset()  # type: ignore[operator]
        try:
            if state is None:
                for _ in range(self.warm_up):
                    self._answer(grey[:, :, 0], behavior[:, 0])
            else:
                given = iter(state)
                for past, kept in zip(self._pasts(), memory, strict=True):
                    parts = iter([next(given) if part is STATE else part for part in _parts(kept)])
                    _put(past, _filled(kept, parts))
            answers = [self._answer(grey[:, :, frame], behavior[:, frame]) for frame in range(x.shape[2])]
            pairs = zip(memory, self._pasts(), strict=True)
            places = [place for kept, past in pairs for place in zip(_parts(kept), _parts(past), strict=True)]
        finally:
            self.network.reset()  # type: ignore[operator]
        return torch.stack(answers, dim=2), tuple(now for kept, now in places if kept is STATE)

    def _answer(self, grey: torch.Tensor, behavior: torch.Tensor) -> torch.Tensor:
        # Pupil size and running modulate, gaze turns the eye.
        return self.network(grey, behavior[:, 2:], behavior[:, :2])

    def _pasts(self) -> list[Any]:
        found = (getattr(module, "past", None) for module in self.network.modules())
        return [past for past in found if isinstance(past, dict | deque)]

    @torch.no_grad()
    def _template(self, x: torch.Tensor) -> list[Any]:
        """What the modules remember, with `STATE` for what another frame changes; the weights among it stay."""
        if self._memory is None or self._memory[0] != (x.dtype, x.device):
            frame, behavior = torch.zeros_like(x[:1, :1, 0]), torch.zeros_like(x[:1, 1:, 0, 0, 0])
            self.network.reset()  # type: ignore[operator]
            self._answer(frame, behavior)
            before = [list(_parts(past)) for past in self._pasts()]
            # As many frames as the longest memory holds, so that none of its first ones is left.
            for _ in range(1 + max((_longest(past) for past in self._pasts()), default=0)):
                self._answer(frame, behavior)
            memory = []
            for was, past in zip(before, self._pasts(), strict=True):
                pairs = zip(was, _parts(past), strict=True)
                kept = iter([now if now is then else STATE for then, now in pairs])
                memory.append(_filled(past, kept))
            self.network.reset()  # type: ignore[operator]
            self._memory = (x.dtype, x.device), memory
        return self._memory[1]


def fnn_encoder(
    network: nn.Module,
    name: str = "fnn",
    *,
    screen: tuple[int, int] = SCREEN,
    warm_up: int = BURN_IN_FRAMES,
    behavior_mean: np.ndarray | None = None,
    behavior_sd: np.ndarray | None = None,
    device: torch.device | str = "cpu",
) -> WindowEncoder:
    """A network of the package `fnn` as an encoder with a state.

    Parameters
    ----------
    network
        As `fnn.microns.scan(session, scan_idx)` gives it, the first of the pair.
    name
        For people, e.g. "fnn 8-5".
    screen
        Rows and columns of the movies.
    warm_up
        Frames for which a clip's first frame is held; 10 is the published burn-in.
    behavior_mean, behavior_sd
        (4,) of pupil size, running, pupil x and y over the recording; None: they are standardised already.
    device
        Where it runs.

    Returns
    -------
    WindowEncoder
        Its `continued` goes on from a state.

    Raises
    ------
    EncoderError
        It is no such network, or does not answer for such a frame.
    """
    if not isinstance(network, nn.Module) or not callable(getattr(network, "reset", None)):
        raise EncoderError(f"{name}: expected a network of the package fnn, found {type(network).__name__}")
    mean = np.zeros(4) if behavior_mean is None else np.asarray(behavior_mean, dtype=float)
    module = FnnModule(network, warm_up, mean, np.ones(4) if behavior_sd is None else behavior_sd).to(device).eval()
    try:
        with torch.no_grad():
            neurons = module(torch.zeros(1, 5, 1, *screen, device=device)).shape[1]
    except Exception as error:  # noqa: BLE001 (whatever another version of the package raises)
        raise EncoderError(
            f"{name}: expected an answer for a frame of {screen[0]}x{screen[1]} pixels, found {one_line(error)}; "
            "does fnn have another version?"
        ) from None
    spec = EncoderSpec(
        name,
        "fnn",
        neurons,
        canvas=Canvas.of_screen(*screen),
        windows=FrameWindows(16, 1),
        frame_rate_hz=FRAME_RATE_HZ,
        causal=True,
        provenance=dict(MADE_OF),
    )
    return WindowEncoder(module, spec, device, neutral_behavior=mean)


def _filled(value: Any, parts: Iterator[Any]) -> Any:
    """A memory of the same form that holds other tensors; its dictionaries and deques are new ones."""
    if isinstance(value, dict):
        return {name: _filled(part, parts) for name, part in value.items()}
    if isinstance(value, deque):
        return deque((_filled(part, parts) for part in value), value.maxlen)
    return next(parts) if isinstance(value, torch.Tensor) or value is STATE else value


def _parts(value: Any) -> Iterator[Any]:
    """The tensors of a memory, and what stands for them, in order."""
    if isinstance(value, dict | deque):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _parts(part)
    elif isinstance(value, torch.Tensor) or value is STATE:
        yield value


def _longest(value: Any) -> int:
    """Frames that the longest deque of a memory holds."""
    if isinstance(value, deque):
        return value.maxlen or len(value)
    return max(map(_longest, value.values()), default=0) if isinstance(value, dict) else 0


def _put(past: Any, value: Any) -> None:
    if isinstance(past, dict):
        past.update(value)
    else:
        past.extend(value)
