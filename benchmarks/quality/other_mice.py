"""Mice of other simulations than the package's own: other movies, other neurons, other noise, other fields.

    python benchmarks/quality/other_mice.py --folder scratch/arena                     # sessions, encoders, masks
    python benchmarks/quality/other_mice.py --folder scratch/arena --only leaves

Nothing here is shared with `napari_vidrecon.sessions.simulation`, on purpose. Simulated: no animal, no recording.

* `leaves`: 800 Gabor cells, simple and complex, that normalise each other, in a tilted ellipse; events of
  random size at 7.5 Hz, brought to 30 Hz by straight lines; movies of dead leaves (discs that occlude each other).
* `clouds`: 700 centre-surround cells with an exponential output in a disc at the side of the screen; Poisson spikes
  through a slow indicator, taken apart again by differences; movies of 1/f surfaces that a camera turns over and zooms.

Both see movies of mean grey 80, as the public mice did.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage, signal

from napari_vidrecon.sessions.metadata import SIMULATION_FILE
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.sessions.writer import write_session

ROWS, COLUMNS, FRAME_RATE_HZ, FRAMES = 36, 64, 30.0, 300
MEAN_GREY, SD_GREY = 80.0, 58.0
TIERS = ["live_test_main"] * 10 + ["oracle"] * 12 + ["train"] * 200
CALIBRATION_CLIPS = 4


@dataclass(frozen=True)
class Field:
    """An ellipse on the screen in which the receptive-field centres lie evenly.

    Parameters
    ----------
    row, column : its middle, px.
    long, short : half axes, px.
    tilt_rad : of the long axis from the horizontal.
    """

    row: float
    column: float
    long: float
    short: float
    tilt_rad: float

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """(count, 2) row and column of centres."""
        angle, reach = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.random(count))
        along, across = self.long * reach * np.cos(angle), self.short * reach * np.sin(angle)
        cosine, sine = np.cos(self.tilt_rad), np.sin(self.tilt_rad)
        return np.stack([self.row + sine * along + cosine * across, self.column + cosine * along - sine * across], 1)

    def pixels(self) -> np.ndarray:
        """(36, 64) bool: pixels inside."""
        row, column = np.mgrid[:ROWS, :COLUMNS]
        down, right = row - self.row, column - self.column
        cosine, sine = np.cos(self.tilt_rad), np.sin(self.tilt_rad)
        along, across = cosine * right + sine * down, cosine * down - sine * right
        return (along / self.long) ** 2 + (across / self.short) ** 2 <= 1


class OtherMouse(ABC):
    """A mouse that answers movies of its own kind.

    Parameters
    ----------
    seed : of neurons, movies and noise.
    """

    name: str
    neurons: int
    field: Field

    def __init__(self, seed: int) -> None:
        self.seed = seed
        rng = np.random.default_rng([seed, 0])
        self.centres = self.field.draw(rng, self.neurons)
        self.prepare(rng)

    @abstractmethod
    def prepare(self, rng: np.random.Generator) -> None:
        """Draw the neurons."""

    @abstractmethod
    def raw_movie(self, rng: np.random.Generator) -> np.ndarray:
        """(frames, 36, 64) of any level and contrast."""

    @abstractmethod
    def activity(self, movie: np.ndarray, running: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(neurons, frames) of a movie of contrast -1.4 .. 3, and running speed in 0..1."""

    def movie(self, clip: int) -> np.ndarray:
        """(frames, 36, 64) grey levels of a clip."""
        raw = self.raw_movie(np.random.default_rng([self.seed, 1, clip]))
        return np.clip(np.round(MEAN_GREY + SD_GREY * (raw - raw.mean()) / raw.std()), 0, 255).astype(np.float32)

    def trial(self, clip: int) -> Trial:
        """One clip with behaviour and responses."""
        rng, movie = np.random.default_rng([self.seed, 2, clip]), self.movie(clip)
        behavior, gaze, running = self.behaviour(rng)
        answers = self.activity((movie - MEAN_GREY) / SD_GREY, running, rng).astype(np.float32)
        return Trial(clip, TIERS[clip], movie, behavior, gaze, answers, name=f"{self.name} {clip}", simulated=True)

    @staticmethod
    def behaviour(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pupil size and running (2, frames), eye position (2, frames), and running in 0..1, of one trial."""
        slow = ndimage.gaussian_filter1d(rng.standard_normal((4, FRAMES)), 25, axis=1, mode="reflect")
        slow /= slow.std(axis=1, keepdims=True) + 1e-9
        running = np.clip(slow[0] + rng.normal(0, 0.7), 0, 2) / 2
        behavior = np.stack([40 + 12 * running + 4 * slow[1], 20 * running]).astype(np.float32)
        gaze = np.stack([150 + 5 * slow[2], 145 + 5 * slow[3]]).astype(np.float32)
        return behavior, gaze, running

    def write(self, folder: Path) -> None:
        """Write its session."""
        note = {
            "simulated": True,
            "vidrecon_note": f"Mouse '{self.name}' of benchmarks/quality/other_mice.py: no animal, no recording.",
        }
        positions = np.column_stack([self.centres[:, ::-1] * 20, np.full(self.neurons, 200)]).astype(int)
        said = {SIMULATION_FILE: json.dumps(note)}
        write_session(folder, self._trials(), coordinates=positions, video_dtype="uint8", extra_files=said)

    def _trials(self) -> Iterator[Trial]:
        return (self.trial(clip) for clip in range(len(TIERS)))


def filtered_in_time(drive: np.ndarray, fast_s: float, slow_s: float, share: float) -> np.ndarray:
    """(neurons, frames) through a difference of two exponentials: sustained with share 0, transient with 1."""
    parts = []
    for seconds in (fast_s, slow_s):
        decay = np.exp(-1 / (seconds * FRAME_RATE_HZ))
        parts.append(signal.lfilter([0, 1 - decay], [1, -decay], drive, axis=-1))
    return parts[0] - share * parts[1]


def cuts(rng: np.random.Generator) -> list[int]:
    """Lengths of the shots of a clip, frames."""
    lengths = []
    while sum(lengths) < FRAMES:
        lengths.append(int(rng.integers(45, 200)))
    lengths[-1] -= sum(lengths) - FRAMES
    return [length for length in lengths if length > 0]


class Leaves(OtherMouse):
    """Gabor cells that normalise each other, and dead leaves."""

    name, neurons, field = "leaves", 800, Field(row=19.0, column=24.0, long=15.0, short=8.5, tilt_rad=0.4)
    samples_every = 4
    """Frames: 7.5 Hz."""

    def prepare(self, rng: np.random.Generator) -> None:
        """Gabor pairs, and what scales the answers."""
        row, column = np.mgrid[:ROWS, :COLUMNS].reshape(2, -1)
        width = rng.uniform(1.6, 3.4, self.neurons)
        angle, phase = rng.uniform(0, np.pi, self.neurons), rng.uniform(0, 2 * np.pi, self.neurons)
        period = width * rng.uniform(2.2, 5.0, self.neurons)
        down, right = row - self.centres[:, :1], column - self.centres[:, 1:]
        carrier = 2 * np.pi / period[:, None] * (np.cos(angle)[:, None] * right + np.sin(angle)[:, None] * down)
        envelope = np.exp(-(right**2 + down**2) / (2 * width[:, None] ** 2))
        self.pair = np.stack([envelope * np.cos(carrier + phase[:, None]), envelope * np.sin(carrier + phase[:, None])])
        self.pair = (self.pair / np.linalg.norm(self.pair, axis=2, keepdims=True)).astype(np.float32)
        self.complex_share = np.where(rng.random(self.neurons) < 0.35, 1.0, 0.0)[:, None]
        self.transience = rng.uniform(0, 0.9, (self.neurons, 1))
        self.rate = rng.lognormal(0.0, 0.8, (self.neurons, 1))
        self.size = rng.lognormal(2.6, 0.5, (self.neurons, 1))
        self.moved_by_running = rng.normal(0.4, 0.4, (self.neurons, 1))

    def raw_movie(self, rng: np.random.Generator) -> np.ndarray:
        """Discs with a power law of radii fall on each other; the heap drifts past."""
        shots = []
        for length in cuts(rng):
            rows, columns = 2 * ROWS + 40, 2 * COLUMNS + 80
            heap = np.full((rows, columns), rng.random())
            down, right = np.mgrid[:rows, :columns]
            for _ in range(500):
                radius = 4.0 / np.sqrt(rng.random() + 0.004)
                place = rng.uniform(0, rows), rng.uniform(0, columns)
                near = (
                    slice(max(int(place[0] - radius), 0), int(place[0] + radius) + 2),
                    slice(max(int(place[1] - radius), 0), int(place[1] + radius) + 2),
                )
                inside = (down[near] - place[0]) ** 2 + (right[near] - place[1]) ** 2 <= radius**2
                heap[near][inside] = rng.random() ** 1.5
            heap = ndimage.gaussian_filter(heap, 1.0)
            speed = rng.normal(0, 9.0, 2) / FRAME_RATE_HZ
            way = np.cumsum(speed[:, None] + 0.5 * rng.standard_normal((2, length)) * 0.4, axis=1)
            way = np.clip(way, -18, 18) + np.array([[20], [40]])
            y, x = np.mgrid[:ROWS, :COLUMNS] * 2.0
            shots.append(
                np.stack(
                    [
                        ndimage.map_coordinates(heap, [y + step[0], x + step[1]], order=1, mode="reflect")
                        for step in way.T
                    ]
                )
            )
        return np.concatenate(shots)

    def activity(self, movie: np.ndarray, running: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Energy or half-rectified drive over what all cells drive together; events of random size."""
        pixels = movie.reshape(len(movie), -1).T
        even, odd = (filtered_in_time(part @ pixels, 0.06, 0.16, self.transience) for part in self.pair)
        simple = np.maximum(even - 0.3, 0) ** 1.6
        drive = np.where(self.complex_share > 0, 0.5 * np.hypot(even, odd) ** 1.6, simple)
        normalised = drive / (1.0 + drive.mean(axis=0, keepdims=True))
        rate = self.rate * normalised * np.maximum(1 + self.moved_by_running * running, 0.1)
        rate *= np.exp(0.25 * ndimage.gaussian_filter1d(rng.standard_normal(FRAMES), 20) * 8)[None]
        expected = rate[:, : FRAMES // self.samples_every * self.samples_every]
        expected = expected.reshape(self.neurons, -1, self.samples_every).mean(axis=2)
        events = rng.poisson(0.8 * expected)
        amounts = self.size * rng.gamma(np.maximum(1.5 * events, 1e-9), 1 / 1.5) * (events > 0)
        times = np.arange(amounts.shape[1]) * self.samples_every + self.samples_every / 2
        return np.stack([np.interp(np.arange(FRAMES), times, each) for each in amounts])


class Clouds(OtherMouse):
    """Centre-surround cells with an exponential output, and surfaces under a camera."""

    name, neurons, field = "clouds", 700, Field(row=15.0, column=42.0, long=10.0, short=10.0, tilt_rad=0.0)

    def prepare(self, rng: np.random.Generator) -> None:
        """Differences of two Gaussians, on or off, in a chain of noise and indicator."""
        row, column = np.mgrid[:ROWS, :COLUMNS].reshape(2, -1)
        width = rng.uniform(1.3, 2.8, (self.neurons, 1))
        distance = (row - self.centres[:, :1]) ** 2 + (column - self.centres[:, 1:]) ** 2
        centre, surround = (np.exp(-distance / (2 * (k * width) ** 2)) / (k * width) ** 2 for k in (1.0, 2.2))
        spots = (centre - rng.uniform(0.3, 0.9, (self.neurons, 1)) * surround) * rng.choice([-1, 1], (self.neurons, 1))
        self.spots = (spots / np.linalg.norm(spots, axis=1, keepdims=True)).astype(np.float32)
        self.transience = rng.uniform(0.1, 1.0, (self.neurons, 1))
        self.steepness = rng.uniform(0.5, 0.9, (self.neurons, 1))
        self.rate_hz = rng.lognormal(0.2, 0.7, (self.neurons, 1))
        self.size = rng.lognormal(2.3, 0.4, (self.neurons, 1))

    def raw_movie(self, rng: np.random.Generator) -> np.ndarray:
        """A camera turns over a surface with a falling spectrum and zooms."""
        shots, size = [], 256
        frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))
        frequency[0, 0] = 1 / size
        for length in cuts(rng):
            noise = np.fft.fft2(rng.standard_normal((size, size)))
            surface = np.exp(0.9 * _standard(np.fft.ifft2(noise * frequency**-1.45).real))
            y, x = np.mgrid[:ROWS, :COLUMNS] - np.array([ROWS, COLUMNS])[:, None, None] / 2
            start, turning = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.15) / FRAME_RATE_HZ
            turn = start + np.cumsum(turning + 0.004 * rng.standard_normal(length))
            zoom = rng.uniform(0.6, 1.6) * np.exp(rng.normal(0, 0.15) * np.arange(length) / FRAME_RATE_HZ)
            moves = rng.normal(0, 7.0, 2)[:, None] / FRAME_RATE_HZ + 0.25 * rng.standard_normal((2, length))
            way = np.cumsum(moves, axis=1) + size / 2
            frames = []
            for angle, scale, place in zip(turn, zoom, way.T, strict=True):
                cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
                at = [place[0] + cosine * y - sine * x, place[1] + sine * y + cosine * x]
                frames.append(ndimage.map_coordinates(surface, at, order=1, mode="grid-wrap"))
            shots.append(_standard(np.stack(frames)) + rng.normal(0, 0.3))
        return np.concatenate(shots)

    def activity(self, movie: np.ndarray, running: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Poisson spikes, a slow indicator with noise, and its differences above zero."""
        drive = filtered_in_time(self.spots @ movie.reshape(len(movie), -1).T, 0.05, 0.2, self.transience)
        common = ndimage.gaussian_filter1d(rng.standard_normal((2, FRAMES)), 15, axis=1) * 4
        rate = self.rate_hz * np.exp(np.minimum(self.steepness * drive, 3.5) + 0.2 * common[:1] + 0.3 * running)
        decay = np.exp(-1 / (0.4 * FRAME_RATE_HZ))
        light = signal.lfilter([1], [1, -decay], rng.poisson(rate / FRAME_RATE_HZ), axis=1)
        light = light + 0.35 * rng.standard_normal(rate.shape)
        light = ndimage.uniform_filter1d(light, 4, axis=1)
        change = light - decay * np.pad(light, ((0, 0), (1, 0)))[:, :-1]
        return self.size * np.maximum(change - 0.12, 0) * FRAME_RATE_HZ / 10


def _standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


MICE = {mouse.name: mouse for mouse in (Leaves, Clouds)}
"""Every kind, by name."""


def main() -> None:
    """Make what is missing: session, encoder, mask, decoder, as a user would."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--only", choices=MICE)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name in [arguments.only] if arguments.only else MICE:
        session = arguments.folder / name
        if not session.exists():
            MICE[name](seed=5).write(session)
        encoder, mask, decoder = (
            arguments.folder / f"{name}_{end}" for end in ("0.safetensors", "mask.npy", "decoder.safetensors")
        )
        for made, words in (
            (encoder, ["train", session, "--out", encoder]),
            (mask, ["mask", session, "--encoder", encoder, "--out", mask]),
            (decoder, ["decoder", session, "--out", decoder]),
        ):
            if not made.exists():
                subprocess.run([sys.executable, "-m", "napari_vidrecon.cli", *map(str, words)], check=True)


if __name__ == "__main__":
    main()
