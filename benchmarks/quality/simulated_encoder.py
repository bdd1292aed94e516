"""A simulated mouse as its own encoder: what a perfect one would predict, differentiable."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from mice import ArenaMouse
from scipy import ndimage

from napari_vidrecon.encoders.encoder import SCREEN_COLUMNS, SCREEN_ROWS
from napari_vidrecon.sessions.simulation import signals, visual_cortex
from napari_vidrecon.sessions.simulation.behavior import EYE_CENTRE_PX, as_seen
from napari_vidrecon.sessions.simulation.receptive_fields import COMPLEX
from napari_vidrecon.sessions.simulation.visual_cortex import VisualCortex
from napari_vidrecon.sessions.trial import Trial

TRUNCATE_SD = 2.5
"""Of the surround's blur, as in the simulation."""
SMALLEST = 1e-9


def tensor(values: object) -> torch.Tensor:
    """float32."""
    return torch.tensor(np.asarray(values, dtype=np.float32))


class SimulatedEncoder:
    """`VisualCortex.rates` in torch: the same numbers, with a gradient with respect to the movie.

    Parameters
    ----------
    mouse : of the arena.
    """

    def __init__(self, mouse: ArenaMouse) -> None:
        self.cortex = VisualCortex(
            mouse.neurons, mouse.seed, radius_px=mouse.radius_px, centre=mouse.centre_px, gain=mouse.gain
        )
        fields = self.cortex.fields
        self._spatial, self._temporal = tensor(fields.spatial_filters()), tensor(fields.temporal_filters())
        self._complex = torch.as_tensor(fields.kind == COMPLEX)[:, None]
        self._direction = tensor(fields.direction)[:, None]
        self._blurs = [_blur_matrix(length) for length in (SCREEN_ROWS, SCREEN_COLUMNS)]

    def rates(self, video: torch.Tensor, trial: Trial) -> torch.Tensor:
        """(N, T) expected activity of a movie (T, 36, 64) under a trial's behaviour."""
        rates = self._tuned(self._drive(_seen(video, trial.pupil_center))) * tensor(self.cortex.rate_scale)
        spontaneous = visual_cortex.SPONTANEOUS_SHARE * self.cortex.preferred_rate_hz
        rates = rates + tensor(spontaneous + visual_cortex.SPONTANEOUS_HZ * self.cortex.gain)[:, None]
        rates = rates * tensor(self.cortex.behavioural_gain(trial.behavior))
        counts = rates @ tensor(signals.bin_average(len(video))) / signals.SCAN_RATE_HZ
        spread = counts @ tensor(signals.residual(np.eye(counts.shape[1])))
        return (spread * tensor(self.cortex.event_size)[:, None]) @ tensor(signals.interpolation(len(video)))

    def _drive(self, video: torch.Tensor) -> torch.Tensor:
        rows, columns = self._blurs
        contrast = (video - visual_cortex.GREY_LEVEL) / visual_cortex.GREY_LEVEL
        mean, power = (rows @ each @ columns.T for each in (contrast, contrast**2))
        variance = (power - mean**2).clamp(min=0)
        contrast = contrast / torch.sqrt(visual_cortex.HALF_SATURATION_CONTRAST**2 + variance)
        even, odd = (self._convolved(traces) for traces in self._spatial @ contrast.flatten(1).T)
        one, two = even[0] - self._direction * odd[1], odd[0] + self._direction * even[1]
        drive = torch.where(self._complex, torch.sqrt(one**2 + two**2 + SMALLEST**2), one)
        return drive / tensor(self.cortex.drive_scale)

    def _convolved(self, traces: torch.Tensor) -> torch.Tensor:
        frames, filtered = traces.shape[1], torch.zeros(2, *traces.shape)
        for lag in range(min(self._temporal.shape[2], frames)):
            filtered = filtered + self._temporal[:, :, lag : lag + 1] * F.pad(traces, (lag, 0))[:, :frames]
        return filtered

    def _tuned(self, drive: torch.Tensor) -> torch.Tensor:
        softness = visual_cortex.THRESHOLD_SOFTNESS
        above = softness * F.softplus((drive - tensor(self.cortex.threshold)[:, None]) / softness)
        response = above.clamp(min=SMALLEST) ** visual_cortex.EXPONENT
        return response / (1.0 + response / visual_cortex.SATURATION)


def _blur_matrix(length: int) -> torch.Tensor:
    sigma = visual_cortex.POOL_SIGMA_PX
    return tensor(ndimage.gaussian_filter1d(np.eye(length), sigma, axis=0, mode="nearest", truncate=TRUNCATE_SD))


def _seen(video: torch.Tensor, pupil_center: np.ndarray) -> torch.Tensor:
    """The movie moved against the gaze: one matrix a frame for the rows, one for the columns."""
    matrices = []
    for axis, length in ((0, SCREEN_ROWS), (1, SCREEN_COLUMNS)):
        gaze = np.array(pupil_center, dtype=float)
        gaze[axis] = EYE_CENTRE_PX[axis]
        matrices.append(tensor(as_seen(np.repeat(np.eye(length)[None], len(video), axis=0), gaze)))
    return matrices[0] @ video @ matrices[1]
