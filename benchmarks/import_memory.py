"""Peak memory of importing a long recording with full-HD films.

Makes a recording (noise for activity, films of test patterns: nothing measured), imports it in another process and
prints the peak of that process: `python benchmarks/import_memory.py [--neurons 8000] [--minutes 60] [--films 9]`.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import imageio_ffmpeg
import numpy as np

RATE_HZ, FRAME_RATE_HZ, CLIP_S = 8.0, 30.0, 10.0
SIZE_PX = (1920, 1080)
LIMIT_GIB = 2.0


def film(path: Path, number: int) -> None:
    """A full-HD film of a drifting pattern, ten seconds."""
    width, height = SIZE_PX
    source = (
        f"testsrc2=size=64x36:rate={FRAME_RATE_HZ:g}:duration={CLIP_S:g},hue=h={40 * number},negate=enable={number % 2}"
    )
    flip = ("null", "hflip", "vflip", "hflip,vflip")[number // 2 % 4]
    words = ["-y", "-loglevel", "error", "-f", "lavfi", "-i", source, "-vf", f"{flip},scale={width}:{height}"]
    words += ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", str(path)]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), *words], check=True)


def record(folder: Path, neurons: int, minutes: float, films: int) -> None:
    """Write a recording: films shown one after the other until the time is over."""
    (folder / "stimulus").mkdir(parents=True)
    for number in range(films):
        film(folder / "stimulus" / f"clip{number}.mp4", number)
    shown = int(minutes * 60 / (CLIP_S + 0.5))
    np.save(folder / "stimulus_order.npy", np.arange(shown) % films)
    np.save(folder / "stimulus_onsets.npy", 1.0 + np.arange(shown) * (CLIP_S + 0.5))
    samples = int((minutes * 60 + 2) * RATE_HZ)
    np.save(folder / "activity_times.npy", np.arange(samples) / RATE_HZ)
    draw = np.random.default_rng(0)
    activity = np.lib.format.open_memmap(folder / "activity.npy", "w+", np.float32, (neurons, samples))
    for row in activity:
        row[:] = np.maximum(draw.standard_normal(samples), 0)
        # As the public mice have them.
        row[0] = -1e-4
    activity.flush()


def imported(folder: Path, out: Path) -> None:
    """Import it; the peak of this process in MiB is printed."""
    from napari_vidrecon.sessions.importing.arrays import ArrayFolder
    from napari_vidrecon.sessions.importing.importer import import_recording

    report = import_recording(ArrayFolder(folder).recording(), out)
    print(report.totals)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)


def main() -> None:
    """Make, import and measure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--neurons", type=int, default=8000)
    options.add_argument("--minutes", type=float, default=60.0)
    options.add_argument("--films", type=int, default=9)
    options.add_argument("--folder", type=Path, help="Where to work; default: a temporary folder.")
    options.add_argument("--import-only", nargs=2, type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.import_only:
        imported(*chosen.import_only)
        return
    with tempfile.TemporaryDirectory(dir=chosen.folder) as place:
        record(Path(place) / "raw", chosen.neurons, chosen.minutes, chosen.films)
        words = [sys.executable, __file__, "--import-only", f"{place}/raw", f"{place}/session"]
        told = subprocess.run(words, check=True, capture_output=True, text=True, env=os.environ).stdout.splitlines()
    peak_gib = int(told[-1]) / 1024
    print(told[0])
    print(f"peak {peak_gib:.2f} GiB, limit {LIMIT_GIB:g} GiB: {'within' if peak_gib <= LIMIT_GIB else 'ABOVE'}")
    sys.exit(peak_gib > LIMIT_GIB)


if __name__ == "__main__":
    main()
