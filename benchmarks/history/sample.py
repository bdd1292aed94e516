"""The parts of a reconstruction of the sample that a person waits for, one thread each, timed by asv.

Times are the processor's, which other programs change little. `time_yardstick` is nothing of the package: how fast the
machine is shows in it.
"""

from __future__ import annotations

import subprocess
import sys
import time

import torch

import napari_vidrecon as vr
from napari_vidrecon import metrics

FRAMES, FIRST_FRAME = 64, 30
YARDSTICK_SIZE, YARDSTICK_TIMES = 384, 60


class _Clip:
    """The simulated mouse, its first encoder and one clip."""

    rounds, number, repeat, warmup_time = 1, 1, (5, 20, 5.0), 0.1
    timer = time.process_time

    def setup(self, *_: str) -> None:
        torch.set_num_threads(1)
        self.files = vr.find_sample()
        self.session = vr.open_session(self.files.session)
        self.encoder = vr.load_encoder(self.files.encoders[0], device="cpu", neurons=self.session.n_neurons)
        self.mask = vr.AlphaMask.load(self.files.mask)
        self.clip = self.session.trial(0).part(FIRST_FRAME, FIRST_FRAME + FRAMES)


class Sample(_Clip):
    """What a step is not."""

    def time_yardstick(self) -> None:
        matrix = product = torch.full((YARDSTICK_SIZE, YARDSTICK_SIZE), 1.0 / YARDSTICK_SIZE)
        for _ in range(YARDSTICK_TIMES):
            product = torch.nn.functional.silu(product @ matrix)

    def time_open_session_and_clip(self) -> None:
        session = vr.open_session(self.files.session)
        session.trial(0).part(FIRST_FRAME, FIRST_FRAME + FRAMES)

    def time_load_encoder(self) -> None:
        vr.load_encoder(self.files.encoders[0], device="cpu", neurons=self.session.n_neurons)

    def time_prediction(self) -> None:
        self.encoder.predict(self.clip.video, self.clip.behavior, self.clip.pupil_center)

    def time_metrics(self) -> None:
        truth, movie, inside = self.clip.video, self.clip.video[::-1], self.mask.binary()
        metrics.video_correlation(truth, movie, inside)
        metrics.mean_frame_correlation(truth, movie, inside)
        metrics.ssim(truth, movie)
        metrics.motion_energy(movie, inside)


class Step(_Clip):
    """A step of the optimisation, without tracking."""

    params, param_names = ["paper", "fast"], ["preset"]

    def setup(self, preset: str) -> None:
        super().setup()
        config = vr.ReconstructionConfig.preset(preset, steps=10_000)
        self.run = vr.plan_run(self.clip, [self.encoder], self.mask, config)
        self.run.steppable.tracker = None
        self.run.step()  # Tables and buffers are made in the first.

    def time_step(self, preset: str) -> None:
        self.run.step()


def track_import_package() -> float:
    """A process of its own that begins as a script does."""
    code = "import time, napari_vidrecon; napari_vidrecon.ReconstructionConfig; print(time.process_time())"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout)


track_import_package.unit = "s"
