"""An encoder with a state: time, memory and error of gradients through time, exact, truncated, and window by window.

    python -m benchmarks.encoder_with_state --out large.json        # 144x256 pixels, 64 frames, random weights
    python -m benchmarks.encoder_with_state --session mouse --encoder recurrent.safetensors --out trained.json

Every setting in a process of its own, on one core. The bar: 64 frames of 144x256 pixels by `fast` within 8 GiB. Error:
the cosine of the gradient at the grey first movie with the exact one, and how far the final movie is from that of exact
gradients (RMS, grey levels). Everything is simulated.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import napari_vidrecon as vr
from napari_vidrecon.encoders.architectures.recurrent import Recurrent, RecurrentConfig, RecurrentRecipe
from napari_vidrecon.encoders.encoder import Canvas, Encoder, EncoderSpec
from napari_vidrecon.encoders.window_encoder import WindowEncoder
from napari_vidrecon.encoders.windows import FrameWindows
from napari_vidrecon.reconstruction.gradients import average_over_overlaps, sub_batch_gradients
from napari_vidrecon.reconstruction.schedule import SlidingSchedule

NEURONS = 300
SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"gradient_frames": 16},
    {"gradient_frames": 8},
    {"gradient_frames": 4},
    {"memory": "windows"},
)


def clip_and_encoder(asked: argparse.Namespace) -> tuple[vr.Trial, Encoder]:
    """Those of a mouse, or moving noise and an encoder with random weights."""
    if asked.encoder:
        session, encoder = vr.open_session(asked.session), vr.load_encoder(asked.encoder, device="cpu")
        return session.trial(session.trials_in_tier("oracle")[0]).part(40, 40 + asked.frames), encoder
    torch.manual_seed(0)
    rows, columns = asked.screen
    canvas = Canvas.of_screen(rows, columns)
    sizes = RecurrentConfig((NEURONS,), **RecurrentRecipe().sizes_on(canvas))
    windows = FrameWindows(16, 1)
    spec = EncoderSpec("random", "recurrent", NEURONS, canvas=canvas, windows=windows, causal=True)
    encoder = WindowEncoder(Recurrent(sizes), spec, neutral_behavior=np.array([40.0, 0.5, 150.0, 150.0]))
    noise = torch.rand(1, 1, asked.frames // 4, rows // 8, columns // 8, generator=torch.Generator().manual_seed(0))
    video = (
        255.0 * torch.nn.functional.interpolate(noise, (asked.frames, rows, columns), mode="trilinear")[0, 0].numpy()
    )
    behavior, gaze = np.ones((2, asked.frames), np.float32), np.full((2, asked.frames), 150.0, np.float32)
    trial = vr.Trial(
        id=0, tier="", video=video, behavior=behavior, pupil_center=gaze, recorded_responses=None, simulated=True
    )
    return trial, encoder


def measured(asked: argparse.Namespace, settings: dict[str, Any]) -> dict[str, Any]:
    """One reconstruction, and the gradient of its first step."""
    torch.set_num_threads(1)
    clip, encoder = clip_and_encoder(asked)
    canvas = encoder.spec.canvas
    config = vr.ReconstructionConfig.preset("fast", **settings)
    begun = time.process_time()
    mask = vr.AlphaMask(np.ones((canvas.screen_rows, canvas.screen_columns), np.float32))
    found = vr.reconstruct(clip, [encoder], mask, config, target="predicted")
    told = {"seconds": time.process_time() - begun, "scores": found.scores(), "movie": found.video}
    told["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
    wanted = torch.as_tensor(encoder.predict(clip.video, clip.behavior, clip.pupil_center))
    inputs = encoder.pack(np.full_like(clip.video, 127.5), clip.behavior, clip.pupil_center)
    length = encoder.spec.windows.sub_batch_frames
    parts = SlidingSchedule(clip.frames, length, length, False).at(0)
    gradients = sub_batch_gradients(encoder, inputs, wanted, None, parts.starts, config)
    return {**told, "gradient": average_over_overlaps(gradients.video, parts, clip.frames).numpy()}


def main() -> None:
    """Measure every setting and compare it with the first."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--out", type=Path, required=True)
    words.add_argument("--screen", type=lambda text: tuple(map(int, text.split("x"))), default=(144, 256))
    words.add_argument("--frames", type=int, default=64)
    words.add_argument("--session", type=Path)
    words.add_argument("--encoder", type=Path)
    words.add_argument(
        "--settings", type=int, default=len(SETTINGS), help="the first so many of exact, 16, 8, 4, windows"
    )
    asked = words.parse_args()
    rows: list[dict[str, Any]] = []
    exact: dict[str, Any] = {}
    for settings in SETTINGS[: asked.settings]:
        with multiprocessing.get_context("spawn").Pool(1) as process:
            found = process.apply(measured, (asked, settings))
        exact = exact or found
        slope, best = (each["gradient"].ravel() for each in (found, exact))
        row = {
            "settings": settings,
            "seconds": found["seconds"],
            "peak_gib": found["peak_gib"],
            "gradient_cosine": float(slope @ best / np.linalg.norm(slope) / np.linalg.norm(best)),
            "movie_rms": float(np.sqrt(np.mean((found["movie"] - exact["movie"]) ** 2))),
            "scores": found["scores"],
        }
        rows.append(row)
        print(json.dumps(row), flush=True)
        asked.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
