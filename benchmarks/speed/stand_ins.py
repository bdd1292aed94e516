"""Encoders with random weights and clips of noise, of any size.

Speed does not depend on what they hold, with one exception: far outside the range that batch norms keep activations
in, SiLU's gradient is a denormal number, and those take a processor twenty times as long. So the batch norms here
have the statistics of such a clip, as those of a trained encoder have the statistics of its movies.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from napari_vidrecon.encoders.architectures.dwiseneuro import DwiseNeuro, DwiseNeuroConfig
from napari_vidrecon.encoders.encoder import SCREEN_COLUMNS, SCREEN_ROWS, Canvas, EncoderSpec
from napari_vidrecon.encoders.window_encoder import WindowEncoder
from napari_vidrecon.encoders.windows import FrameWindows
from napari_vidrecon.sessions.trial import Trial

PUBLISHED_NEURONS = 8000
BEHAVIOR = (40.0, 0.5, 150.0, 150.0)
"""Pupil size, running, pupil x and y: usual values."""
SMALL = DwiseNeuroConfig(
    (500,), core_features=(16, 16, 32, 32), spatial_strides=(2, 1, 2, 1), expansion_ratio=3, cortex_features=(128, 256)
)
PUBLISHED = DwiseNeuroConfig((PUBLISHED_NEURONS,))


def random_encoder(
    config: DwiseNeuroConfig, seed: int = 0, *, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> WindowEncoder:
    """A DwiseNeuro with random weights; its batch norms have random scales and shifts, and statistics of noise."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = DwiseNeuro(config)
        for part in module.modules():
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm3d):
                nn.init.uniform_(part.weight, 0.8, 1.2)
                nn.init.normal_(part.bias, 0.0, 0.1)
        _settle(module)
    spec = EncoderSpec(
        name=f"random weights, seed {seed}", architecture="dwiseneuro", neurons=config.readout_outputs[0]
    )
    return WindowEncoder(module.to(dtype), spec, device)


@torch.no_grad()
def _settle(module: DwiseNeuro) -> None:
    """Give batch norms the statistics of one window of noise."""
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm1d | nn.BatchNorm3d)]
    canvas, size = Canvas(), FrameWindows().size
    window = 255.0 * torch.rand(1, 1 + len(BEHAVIOR), size, canvas.rows, canvas.columns)
    window[0, 1:] = torch.tensor(BEHAVIOR)[:, None, None, None]
    for norm in norms:
        # Then running statistics are plain means over what was seen.
        norm.momentum = None
        norm.reset_running_stats()
    module.train()
    module(window)
    module.eval()


def random_clip(frames: int, neurons: int, seed: int = 0) -> Trial:
    """A clip of noise with activity and behaviour of plausible sizes."""
    random = np.random.default_rng(seed)
    return Trial(
        id=seed,
        tier="train",
        video=random.uniform(0, 255, (frames, SCREEN_ROWS, SCREEN_COLUMNS)).astype(np.float32),
        behavior=np.stack([random.uniform(20, 60, frames), random.exponential(0.5, frames)]).astype(np.float32),
        pupil_center=random.normal(150, 5, (2, frames)).astype(np.float32),
        recorded_responses=random.gamma(0.5, 6.0, (neurons, frames)).astype(np.float32),
        name="noise",
    )


def describe(encoder: WindowEncoder) -> str:
    """Architecture and sizes in a few words."""
    module, neurons = encoder.module, f"{encoder.spec.neurons:,} neurons"
    if not isinstance(module, DwiseNeuro):
        return f"{encoder.spec.architecture} encoder, {neurons}"
    config = module.config
    if config.core_features == PUBLISHED.core_features and config.cortex_features == PUBLISHED.cortex_features:
        return f"DwiseNeuro of the published size, {neurons}"
    return f"DwiseNeuro {'-'.join(map(str, config.core_features))}, {neurons}"
