"""Builds, checks and times every way to compute a step on a GPU; one command, at most nine minutes.

    python -m benchmarks.speed.tuning --out tuning.json
    python -m benchmarks.speed.tuning --encoder mine.safetensors --out tuning.json    # bfloat16 on trained weights

Of each variant (plain passes or fused kernels; products in IEEE float32, TF32 or bfloat16; tiles; with and without a
CUDA graph): whether it compiles, the error and the cosine of its gradient beside the plain form in float32, the time of
a step of 70 windows (300 frames) forwards and backwards, its share of what memory bandwidth allows, and the memory it
took; beside the naive loop's step in the same process. Weights are random unless a file is given. Variants that are not
reached in time are named. The best tiles go into `Tiling` in `encoders/frozen/fused_block.py`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed.gpu import least_bytes, measured_bandwidth
from benchmarks.speed.naive import NaiveLoop
from benchmarks.speed.stand_ins import PUBLISHED, SMALL, random_clip, random_encoder
from benchmarks.speed.timing import interleaved, timed
from napari_vidrecon.encoders.answers import movie_gradients
from napari_vidrecon.encoders.architectures.dwiseneuro import DwiseNeuro
from napari_vidrecon.encoders.checkpoints import load_encoder
from napari_vidrecon.encoders.frozen.folded_dwiseneuro import FoldedDwiseNeuro
from napari_vidrecon.encoders.frozen.fused_block import FusedPasses, Tiling
from napari_vidrecon.encoders.window_encoder import WindowEncoder
from napari_vidrecon.reconstruction.masks import AlphaMask

MOST_SECONDS = 9 * 60.0
FRAMES, STEP_WINDOWS = 300, 70
CHUNKS = (14, 35)
CHECKED_WINDOWS = 2
REPEATS = 5
TINY = replace(
    SMALL, readout_outputs=(6,), core_features=(8, 8), spatial_strides=(4, 2), expansion_ratio=2, se_reduce_ratio=4
)


@dataclass(frozen=True)
class Variant:
    """One way to compute.

    Parameters
    ----------
    name : what it is called in the table.
    precision : of what is stored; None for float32.
    tiling : of the fused kernels; None for the plain passes.
    graphed : whether forward and backward pass are replayed as one CUDA graph.
    chunk : windows at once.
    """

    name: str
    precision: torch.dtype | None = None
    tiling: Tiling | None = None
    graphed: bool = False
    chunk: int = CHUNKS[0]

    def form(self, module: DwiseNeuro) -> FoldedDwiseNeuro:
        """The encoder, computed in this way."""
        form = FoldedDwiseNeuro.of(module, precision=self.precision)
        if self.tiling is not None:
            FusedPasses(self.tiling).take_over(form.blocks)
        return form


def variants() -> Iterator[Variant]:
    """The likely best first, then tiles around them."""
    usual = Tiling()
    yield Variant("plain, float32")
    yield Variant("fused, TF32", tiling=usual)
    yield Variant("fused, IEEE", tiling=replace(usual, products="ieee"))
    yield Variant("fused, bfloat16", torch.bfloat16, usual)
    yield Variant("plain, bfloat16", torch.bfloat16)
    yield Variant("fused, TF32, graph", tiling=usual, graphed=True)
    yield Variant("fused, bfloat16, graph", torch.bfloat16, usual, graphed=True)
    for chunk in CHUNKS[1:]:
        yield Variant(f"fused, TF32, {chunk} windows", tiling=usual, chunk=chunk)
        yield Variant(f"fused, bfloat16, {chunk} windows", torch.bfloat16, usual, chunk=chunk)
    for matrix_pixels, stencil_pixels, middle, warps in (
        (128, 32, 64, 4), (128, 64, 64, 8), (64, 16, 64, 4), (64, 32, 128, 8), (32, 32, 64, 4), (64, 32, 32, 4),
        (64, 8, 128, 4), (128, 16, 128, 8), (64, 64, 64, 4),
    ):  # fmt: skip
        tiling = Tiling(matrix_pixels, stencil_pixels, middle, warps)
        name = f"{matrix_pixels}, {stencil_pixels}, {middle}, {warps} warps"
        yield Variant(f"fused, TF32, {name}", tiling=tiling)
        yield Variant(f"fused, bfloat16, {name}", torch.bfloat16, tiling)


def pass_of(form: FoldedDwiseNeuro, windows: torch.Tensor, *, graphed: bool) -> Callable[[], torch.Tensor]:
    """Forward and backward pass of some windows, whose gradient it returns."""
    leaf = windows.detach().clone().requires_grad_(True)

    def both() -> torch.Tensor:
        return torch.autograd.grad(form(leaf).square().mean(), leaf)[0]

    if not graphed:
        return both
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(3):
            both()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        gradient = both()

    def replay() -> torch.Tensor:
        graph.replay()
        return gradient

    return replay


class Tuning:
    """Measures variants one after the other.

    Parameters
    ----------
    encoder : whose module is computed.
    step_windows : windows of a step.
    """

    def __init__(self, encoder: WindowEncoder, step_windows: int = STEP_WINDOWS) -> None:
        assert isinstance(encoder.module, DwiseNeuro)
        self.module, self.step_windows, self.device = encoder.module, step_windows, encoder.device
        canvas, spec = encoder.spec.canvas, encoder.spec.windows
        noise = torch.rand(max(CHUNKS) * spec.size, canvas.rows, canvas.columns)
        inputs = encoder.pack(255.0 * noise)
        self.windows = inputs.unflatten(1, (max(CHUNKS), spec.size)).transpose(0, 1).contiguous()
        self.plain = FoldedDwiseNeuro.of(self.module)
        copied = 1 << (30 if self.device.type == "cuda" else 20)
        self.bandwidth = measured_bandwidth(self.device.type, copied)
        self.least = {
            bytes_: step_windows * least_bytes(self.module.config, bytes_, canvas, spec) / self.bandwidth
            for bytes_ in (4, 2)
        }

    def measure(self, variant: Variant) -> dict[str, Any]:
        """Its errors and times; `failed` in place of them where it does not run."""
        told: dict[str, Any] = {
            "name": variant.name,
            "chunk": variant.chunk,
            "tiling": variant.tiling and asdict(variant.tiling),
        }
        try:
            began = time.perf_counter()
            form = variant.form(self.module)
            expected, found = movie_gradients([self.plain, form], self.windows[:CHECKED_WINDOWS])
            told["compiled and checked (s)"] = time.perf_counter() - began
            told["error"] = float((found - expected).norm() / expected.norm())
            told["cosine"] = float(torch.nn.functional.cosine_similarity(expected, found, dim=0))
            once = pass_of(form, self.windows[: variant.chunk], graphed=variant.graphed)
            if self.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            once()
            seconds = sorted(timed(once) for _ in range(REPEATS))[REPEATS // 2] * self.step_windows / variant.chunk
            told["step (ms)"] = 1e3 * seconds
            told["share of bandwidth"] = self.least[2 if variant.precision is torch.bfloat16 else 4] / seconds
            if self.device.type == "cuda":
                told["memory (GiB)"] = torch.cuda.max_memory_allocated() / 2**30
        except Exception as error:  # noqa: BLE001 - a variant that does not compile is a result
            told["failed"] = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"
        return told


def table(told: dict[str, Any]) -> str:
    """For people."""
    naive = told["naive step (ms)"]
    copies = f"copies move {told['bandwidth (GB/s)']:.0f} GB/s"
    lines = [
        f"{told['device']}, torch {told['torch']}; {copies}; naive loop {naive:.0f} ms for {told['frames']} frames",
        "| variant | windows at once | ms a step | beside naive | share of bandwidth | error | cosine | GiB |",
        "|---" * 8 + "|",
    ]
    for row in told["variants"]:
        if "failed" in row:
            lines.append(f"| {row['name']} | {row['chunk']} | failed: {row['failed']} |||||| ")
            continue
        lines.append(
            f"| {row['name']} | {row['chunk']} | {row['step (ms)']:.1f} | "
            f"{naive / row['step (ms)']:.2f} | {row['share of bandwidth']:.2f} | {row['error']:.1e} | "
            f"{row['cosine']:.6f} | {row.get('memory (GiB)', 0.0):.1f} |"
        )
    if told["not reached"]:
        lines.append(f"not reached in {told['seconds']:.0f} s: {'; '.join(told['not reached'])}")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--encoder", type=Path, help="trained weights of a DwiseNeuro")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--seconds", type=float, default=MOST_SECONDS)
    arguments = parser.parse_args()
    began = time.monotonic()
    config = TINY if arguments.tiny else PUBLISHED
    if arguments.encoder:
        encoder = load_encoder(arguments.encoder, device=arguments.device)
    else:
        encoder = random_encoder(config, device=arguments.device)
    frames = 33 if arguments.tiny else FRAMES
    naive = NaiveLoop(random_clip(frames, encoder.spec.neurons), encoder, AlphaMask.full())
    tuning = Tuning(encoder)
    told: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if tuning.device.type == "cuda" else "CPU",
        "torch": torch.__version__,
        "cudnn": torch.backends.cudnn.version(),
        "bandwidth (GB/s)": tuning.bandwidth / 1e9,
        "frames": frames,
        "naive step (ms)": 1e3 * interleaved({"naive": naive.step}, 1 if arguments.tiny else 3)["naive"].median,
        "variants": [],
        "not reached": [],
    }
    for variant in variants():
        told["seconds"] = time.monotonic() - began
        if told["seconds"] > 0.9 * arguments.seconds:
            told["not reached"].append(variant.name)
            continue
        told["variants"].append(tuning.measure(variant))
        # Written after each: a run that is cut off keeps what it has.
        arguments.out.write_text(json.dumps(told, indent=1) + "\n")
    arguments.out.write_text(json.dumps(told, indent=1) + "\n")
    print(table(told))


if __name__ == "__main__":
    main()
