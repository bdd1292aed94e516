"""What bounds a window on a CPU, part by part of every block: arithmetic, memory, or neither.

    OMP_NUM_THREADS=1 python -m benchmarks.speed.roofline [--size small|published] [--repeats 5]

One window forwards and backwards through the folded DwiseNeuro on one thread. Every part is timed on its own; its
operations and the numbers it reads and writes once are counted from its shapes and held against what this machine does
at most: a matrix product that fits its cache, and a copy that does not. A share of memory above 100 % means that a tile
was still in the cache. "Elementwise" is what is left of a block: SiLUs and their gradients, the sums of the gate,
the shortcut, and the first block's expansion.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.speed.stand_ins import BEHAVIOR, PUBLISHED, SMALL, random_encoder
from napari_vidrecon.encoders.architectures.dwiseneuro import DwiseNeuro
from napari_vidrecon.encoders.frozen.backend import matrix_product_for
from napari_vidrecon.encoders.frozen.folded_block import FoldedBlock
from napari_vidrecon.encoders.frozen.folded_dwiseneuro import FoldedDwiseNeuro

BYTES = 4
PEAK_ROWS, PEAK_CHANNELS, PEAK_REPEATS = 4096, 512, 20
COPIED_FLOATS, COPIES = 1 << 26, 5
ELEMENTWISE = "elementwise"
EXPANDED_PASSES, SHRUNK_PASSES = 5, 11
"""How often SiLUs, their gradients and sums read or write a number before and after the stride; see `folded_block`."""


@dataclass
class Part:
    """What a part of a block took, and did.

    Parameters
    ----------
    seconds
        Of all calls, without what they call that is a part of its own.
    operations
        Multiplications and additions.
    moved
        Bytes read and written once.
    """

    seconds: float = 0.0
    operations: float = 0.0
    moved: float = 0.0


class Clock:
    """Times parts that call each other, each without the others."""

    def __init__(self) -> None:
        self.parts: dict[str, Part] = defaultdict(Part)
        self._open: list[float] = []

    @contextmanager
    def part(self, name: str) -> Iterator[Part]:
        """Time one call."""
        began = time.perf_counter()
        self._open.append(0.0)
        yield self.parts[name]
        taken = time.perf_counter() - began
        self.parts[name].seconds += taken - self._open.pop()
        if self._open:
            self._open[-1] += taken


def watch(block: FoldedBlock, clock: Clock) -> None:
    """Have a block's parts timed and counted from now on."""
    back: set[int] = {block.expand_back.data_ptr()}

    def product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        name = "expand" if weight is block.expand else "expand, back" if weight.data_ptr() in back else "contract"
        if name == "contract" and weight.shape[0] == len(block.space_weight):
            name = "contract, back"
        with clock.part(name) as part:
            y = plain(x, weight, bias)
            part.operations += 2.0 * x.numel() * len(weight)
            part.moved += BYTES * (x.numel() + y.numel())
        return y

    def depthwise(name: str, call: Callable[..., torch.Tensor], taps: int) -> Callable[..., torch.Tensor]:
        def timed(x: torch.Tensor, *others: Any) -> torch.Tensor:
            with clock.part(name) as part:
                y = call(x, *others)
                # Of a transposed convolution every number that goes in is used once a tap.
                used = x.numel() if "back" in name else y.numel()
                part.operations += 2.0 * taps * used
                part.moved += BYTES * (x.numel() + y.numel())
            return y

        return timed

    plain, watched = block.product, dict[str, Any](product=product)
    space, over_time = block.space_weight.shape[-1] ** 2, block.time_weight.shape[2]
    for name, taps in (("space", space), ("time", over_time), ("space_back", space), ("time_back", over_time)):
        watched[name] = depthwise(name.replace("_", ", "), getattr(block, name), taps)
    for name in ("forward", "backward"):
        watched[name] = _whole(getattr(block, name), clock)
    for name, call in watched.items():
        setattr(block, name, call)


def _whole(call: Callable[..., Any], clock: Clock) -> Callable[..., Any]:
    def timed(*given: Any, **named: Any) -> Any:
        with clock.part(ELEMENTWISE):
            return call(*given, **named)

    return timed


def peak_operations() -> float:
    """Operations a second of a matrix product that fits the cache."""
    x, weight = torch.randn(PEAK_ROWS, PEAK_CHANNELS), torch.randn(PEAK_CHANNELS, PEAK_CHANNELS)
    product = matrix_product_for(x.device, x.dtype)
    return 2.0 * x.numel() * PEAK_CHANNELS / min(_taken(lambda: product(x, weight)) for _ in range(PEAK_REPEATS))


def bandwidth() -> float:
    """Bytes a second that a copy of more than any cache reads and writes."""
    source, target = torch.ones(COPIED_FLOATS), torch.ones(COPIED_FLOATS)
    return 2.0 * BYTES * COPIED_FLOATS / min(_taken(lambda: target.copy_(source)) for _ in range(COPIES))


def _taken(task: Callable[[], object]) -> float:
    began = time.perf_counter()
    task()
    return time.perf_counter() - began


def measure(size: str, repeats: int) -> tuple[list[tuple[str, dict[str, Part]]], float]:
    """Parts of every block of one window, forwards and backwards, and seconds of the whole; the best of some calls.

    Returns
    -------
    list of (name, parts)
        A block each.
    float
        Seconds of the whole window, readout included.
    """
    encoder = random_encoder(SMALL if size == "small" else PUBLISHED)
    assert isinstance(encoder.module, DwiseNeuro)
    folded = FoldedDwiseNeuro.of(encoder.module)
    frames, canvas = encoder.spec.windows.size, encoder.spec.canvas
    windows = 255.0 * torch.rand(1, 1 + len(BEHAVIOR), frames, canvas.rows, canvas.columns)
    windows[0, 1:] = torch.tensor(BEHAVIOR)[:, None, None, None]
    windows.requires_grad_(True)

    def once() -> None:
        folded(windows).sum().backward()

    once()
    clocks = [Clock() for _ in folded.blocks]
    for block, clock in zip(folded.blocks, clocks, strict=True):
        watch(block, clock)
    best, fewest = [], math.inf
    for _ in range(repeats):
        for clock in clocks:
            clock.parts.clear()
        if (taken := _taken(once)) < fewest:
            fewest, best = taken, [dict(clock.parts) for clock in clocks]
    pixels = frames * canvas.rows * canvas.columns
    rows = []
    for number, (block, parts) in enumerate(zip(folded.blocks, best, strict=True), start=1):
        shrunk, channels = pixels // block.stride**2, len(block.space_weight)
        parts[ELEMENTWISE].moved = BYTES * channels * (EXPANDED_PASSES * pixels + SHRUNK_PASSES * shrunk)
        rows.append((f"{number} ({channels} channels)", parts))
        pixels = shrunk
    return rows, fewest


def table(rows: list[tuple[str, dict[str, Part]]], whole_s: float, peak: float, copied: float) -> Iterator[str]:
    """A line of Markdown a part."""
    machine = f"at most {peak / 1e9:.0f} GFLOP/s, {copied / 1e9:.1f} GB/s copied"
    yield f"One thread: {machine}. A window: {1e3 * whole_s:.0f} ms."
    yield ""
    yield "| block | part | ms | of the window | GFLOP/s (of most) | GB/s (of most) |"
    yield "|---|---|---|---|---|---|"
    total: dict[str, Part] = defaultdict(Part)
    for _, parts in rows:
        for part, each in parts.items():
            total[part].seconds += each.seconds
            total[part].operations += each.operations
            total[part].moved += each.moved
    bound = 0.0
    for name, parts in [*rows, ("all", total)]:
        for part, each in parts.items():
            if name != "all":
                bound += max(each.operations / peak, each.moved / copied)
            rate, speed = each.operations / each.seconds, each.moved / each.seconds
            arithmetic = f"{rate / 1e9:.0f} ({rate / peak:.0%})" if rate else "–"
            yield (
                f"| {name} | {part} | {1e3 * each.seconds:.1f} | {each.seconds / whole_s:.0%} | {arithmetic} "
                f"| {speed / 1e9:.1f} ({speed / copied:.0%}) |"
            )
    yield ""
    yield f"Sum of the larger of both bounds, part by part: {1e3 * bound:.0f} ms, {bound / whole_s:.0%} of the window."


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("small", "published"), default="small")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    peak, copied = peak_operations(), bandwidth()
    print("\n".join(table(*measure(arguments.size, arguments.repeats), peak, copied)))


if __name__ == "__main__":
    main()
