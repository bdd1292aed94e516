"""How a denoiser of movies learns: movies made or given, what noise and neurons leave of them, and what is missing."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from safetensors import safe_open
from safetensors.torch import save_file
from scipy.fft import dctn, idctn
from scipy.ndimage import gaussian_filter1d

from napari_vidrecon.errors import ConfigError, StorageError
from napari_vidrecon.reconstruction.composition import NaturalPrior
from napari_vidrecon.reconstruction.denoiser import Denoiser, DenoisingNetwork, places, told_of
from napari_vidrecon.reconstruction.spectral_prior import NaturalSpectrum
from napari_vidrecon.sessions.simulation.practice_movies import practice_movie
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ
from napari_vidrecon.settings import MOST_STEPS, Settings
from napari_vidrecon.storage import read_description, reading, replacing_file

EXPECTED = "a checkpoint of a denoiser"
LEVELS, SD = (70.0, 130.0), 55.0
"""Mean grey level of the movies of a session, and what a pixel deviates from it."""
SIGMAS = (40.0, 400.0)
"""White noise, grey levels."""
OPEN = (0.1, 0.8)
"""Share of the movies' variance that neurons leave open where they see best."""
FIELD_PX, FIELD_S = (1.0, 3.5), (0.02, 0.15)
"""Widths of receptive fields, pixels of a screen of 36 rows, and seconds."""
WEIGHTS = (0.3, 1.5)
"""What activity counts in a reconstruction beside what it should."""
SOLVER_STEPS = 12
OWN_FILMS_SHARE = 0.7
AVERAGED_STEPS = 200.0
MARGIN_FRAMES = 16
"""Frames that a made movie has more than a piece of it."""
LEAST_ERROR = 0.003
OUTSIDE_WEIGHT = 0.1


class DenoiserRecipe(Settings):
    """Settings of a training; frozen and validated."""

    steps: int = Field(3000, ge=1, le=MOST_STEPS, description="optimiser steps")
    batch: int = Field(8, ge=1, le=256, description="pairs a step")
    frames: int = Field(64, ge=8, le=1024, description="of each")
    rows: int = Field(36, ge=8, le=1024, description="pixels of a movie from top to bottom")
    columns: int = Field(64, ge=8, le=1024, description="and from left to right")
    frame_rate_hz: float = Field(FRAME_RATE_HZ, gt=0, le=1000, description="frames a second")
    movies: int = Field(200, ge=1, le=100_000, description="made; pieces of each are seen many times")
    pairs: int = Field(400, ge=1, le=100_000, description="of a piece and what noise or neurons left of it")
    learning_rate: float = Field(3e-3, gt=0, le=1, description="of Adam at its highest")
    seed: int = Field(1000, ge=0, description="of movies and weights; no simulated mouse should have the same")


@dataclass(frozen=True)
class Spoiled:
    """A movie, and the most probable smooth movie of what noise or neurons left of it.

    Parameters
    ----------
    smooth, true
        (frames, rows, columns) in units of the movies' deviation about their level.
    counts
        Of the same shape or fewer axes: what each pixel counts.
    told
        What the network is told.
    """

    smooth: np.ndarray
    true: np.ndarray
    counts: np.ndarray
    told: list[float]


class Spoiler:
    """Makes pairs to learn from: a pure function of seed and number.

    Parameters
    ----------
    recipe
        Size and seed.
    films
        Of a user, each (frames, rows, columns) grey levels of at least the recipe's size; none: made ones alone.
    """

    def __init__(self, recipe: DenoiserRecipe, films: Sequence[np.ndarray] = ()) -> None:
        self.recipe, self._films = recipe, films
        self.shape = (recipe.frames, recipe.rows, recipe.columns)
        self._level = float(np.mean([film.mean() for film in films])) if len(films) else 0.0
        self._made: dict[int, tuple[np.ndarray, float]] = {}

    def movie(self, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """(frames, rows, columns) grey levels: made, or a piece of a user's film; and the level of such movies."""
        if len(self._films) and rng.random() < OWN_FILMS_SHARE:
            film, level = self._films[int(rng.integers(len(self._films)))], self._level
        else:
            film, level = self._made_movie(int(rng.integers(self.recipe.movies)))
        corner = [int(rng.integers(have - want + 1)) for have, want in zip(film.shape, self.shape, strict=True)]
        piece = film[tuple(slice(at, at + want) for at, want in zip(corner, self.shape, strict=True))]
        turned = piece[:: rng.choice([-1, 1]), :: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
        return np.asarray(turned, np.float32), level

    def _made_movie(self, number: int) -> tuple[np.ndarray, float]:
        if number not in self._made:
            rng = np.random.default_rng([self.recipe.seed, 4, number])
            level, shape = float(rng.uniform(*LEVELS)), (self.recipe.frames + MARGIN_FRAMES, *self.shape[1:])
            made = practice_movie(rng, shape, self.recipe.frame_rate_hz, level, SD)
            self._made[number] = np.rint(made).astype(np.uint8), level
        return self._made[number]

    def pair(self, number: int, *, neurons: bool | None = None, sigma: float | None = None) -> Spoiled:
        """One of them.

        Parameters
        ----------
        number
            Which.
        neurons
            Seen by neurons, else under white noise; None: every other one.
        sigma
            Of the white noise, grey levels; None: by chance.

        Returns
        -------
        Spoiled
            The same each time.
        """
        rng = np.random.default_rng([self.recipe.seed, 5, number])
        exponent = rng.uniform(2.2, 2.8)
        movie, level = self.movie(rng)
        true = (movie - level).astype(np.float32)
        prior = NaturalSpectrum.of(NaturalPrior(sd=SD, spatial_exponent=exponent))
        deviations = prior.deviations(*self.shape, self.recipe.frame_rate_hz).astype(np.float32)
        counts: np.ndarray = np.ones((1, 1, 1), np.float32)
        by_neurons = bool(number % 2) if neurons is None else neurons
        if by_neurons:
            smooth, counts = self._seen_by_neurons(rng, true, deviations)
            sigma = None
        else:
            sigma = float(np.exp(rng.uniform(*np.log(SIGMAS)))) if sigma is None else sigma
            noisy = true + sigma * rng.standard_normal(self.shape, dtype=np.float32)
            smooth = wiener(noisy, deviations, sigma)
        return Spoiled(smooth / SD, true / SD, counts, told_of(sigma, level, SD))

    def _seen_by_neurons(
        self, rng: np.random.Generator, true: np.ndarray, deviations: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Linear neurons that blur, more of them in one place than in others, and their most probable movie."""
        _, rows, columns = self.shape
        scale = rows / 36
        time, row, column = (np.arange(length) / (2 * length) for length in self.shape)
        width, lag = scale * rng.uniform(*FIELD_PX), rng.uniform(*FIELD_S) * self.recipe.frame_rate_hz
        spatial = np.exp(-2 * (np.pi * width) ** 2 * (row[:, None] ** 2 + column[None, :] ** 2))
        blur = (spatial[None] / np.sqrt(1 + (2 * np.pi * lag * time[:, None, None]) ** 2)).astype(np.float32)
        down, right = np.mgrid[:rows, :columns]
        middle, radii = rng.uniform(0.3, 0.7, 2) * (rows, columns), scale * rng.uniform(7, 22, 2)
        reach = np.hypot((down - middle[0]) / radii[0], (right - middle[1]) / radii[1])
        density = 1 / (1 + np.exp(6 * (reach - 1)))
        density = (density * np.exp(0.3 * rng.standard_normal((rows, columns))) + 1e-4).astype(np.float32)
        precision = density * precision_that_leaves(rng.uniform(*OPEN), deviations, blur)
        noise = rng.standard_normal(self.shape, dtype=np.float32)
        if rng.random() < 0.5:
            # Indicators are slow.
            noise = gaussian_filter1d(noise, 1.0, axis=0) * 1.5
        told = idctn(blur * dctn(true, norm="ortho"), norm="ortho") + noise / np.sqrt(precision)
        believed = precision * np.float32(np.exp(rng.uniform(*np.log(WEIGHTS))))
        counts = np.where(density > 0.3, 1.0, OUTSIDE_WEIGHT).astype(np.float32)
        return most_probable(told, believed, deviations, blur), counts[None]


def wiener(noisy: np.ndarray, deviations: np.ndarray, sigma: float) -> np.ndarray:
    """The most probable movie under a spectrum, of one with white noise.

    Parameters
    ----------
    noisy
        (frames, rows, columns).
    deviations
        Of the same shape: prior deviation of each cosine coefficient.
    sigma
        SD of the noise.

    Returns
    -------
    np.ndarray
        (frames, rows, columns).
    """
    kept = deviations**2 / (deviations**2 + np.float32(sigma) ** 2)
    return idctn(kept * dctn(noisy, norm="ortho"), norm="ortho")


def precision_that_leaves(share: float, deviations: np.ndarray, blur: np.ndarray) -> float:
    """How precisely neurons have to tell of a blurred movie to leave a share of the movie's variance open.

    Parameters
    ----------
    share
        0..1.
    deviations, blur
        (frames, rows, columns) prior deviation, and gain of the blur, of each cosine coefficient.

    Returns
    -------
    float
        One over the variance of the noise.
    """
    power = deviations[::2, ::2, ::2].astype(float) ** 2
    passed = power * blur[::2, ::2, ::2].astype(float) ** 2
    precisions = np.geomspace(1e-7, 1e2, 28)
    left = [float((power / (1 + each * passed)).sum() / power.sum()) for each in precisions]
    return float(np.exp(np.interp(share, left[::-1], np.log(precisions[::-1]))))


def most_probable(told: np.ndarray, precision: np.ndarray, deviations: np.ndarray, blur: np.ndarray) -> np.ndarray:
    """The movie that best weighs blurred and noisy views against a spectrum, by conjugate gradients.

    Parameters
    ----------
    told
        (frames, rows, columns) the views.
    precision
        (rows, columns) one over the variance of their noise.
    deviations, blur
        (frames, rows, columns) prior deviation, and gain of the views, of each cosine coefficient.

    Returns
    -------
    np.ndarray
        (frames, rows, columns).
    """
    gain = deviations * blur

    def weighed(coefficients: np.ndarray) -> np.ndarray:
        return gain * dctn(precision * idctn(gain * coefficients, norm="ortho"), norm="ortho")

    left = gain * dctn(precision * told, norm="ortho")
    found, direction, size = np.zeros_like(left), left, float((left**2).sum())
    for _ in range(SOLVER_STEPS):
        turned = direction + weighed(direction)
        step = size / max(float((direction * turned).sum()), 1e-30)
        found, left = found + step * direction, left - step * turned
        before, size = size, float((left**2).sum())
        direction = left + (size / max(before, 1e-30)) * direction
    return idctn(deviations * found, norm="ortho")


class DenoiserTraining:
    """A training that can be stopped, kept and gone on with to the same weights.

    Parameters
    ----------
    recipe
        Settings.
    films
        Of a user; see `Spoiler`.
    source
        What the films are, in words; a checkpoint of others is refused.
    """

    def __init__(self, recipe: DenoiserRecipe, films: Sequence[np.ndarray] = (), source: str = "") -> None:
        self.recipe, self.source, self.step = recipe, source, 0
        self.spoiler = Spoiler(recipe, films)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.network = DenoisingNetwork()
        self._kept: dict[int, tuple[torch.Tensor, ...]] = {}
        self.averaged = copy.deepcopy(self.network).requires_grad_(False)
        self._optimiser = torch.optim.Adam(self.network.parameters(), lr=recipe.learning_rate)

    @property
    def identity(self) -> dict[str, Any]:
        """Plain values that say which training it is."""
        return {"recipe": self.recipe.model_dump(), "films": self.source}

    def advance(self) -> float:
        """One step; returns the error left as a share of the Wiener filter's."""
        recipe, step = self.recipe, self.step
        warm, done = min(1.0, (step + 1) / 50), step / recipe.steps
        for group in self._optimiser.param_groups:
            group["lr"] = recipe.learning_rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        chance = np.random.default_rng([recipe.seed, 6, step])
        parts = [self._seen(int(number)) for number in chance.integers(recipe.pairs, size=recipe.batch)]
        strengths, bands, missing, counts = (torch.stack(each) for each in zip(*parts, strict=True))
        before = (counts * missing**2).mean(dim=1)
        left = missing - (self.network.weighed(strengths) * bands).sum(dim=-1)
        share = (counts * left**2).mean(dim=1) / (before + LEAST_ERROR)
        loss = share.mean()
        if not bool(loss.isfinite()):
            raise ConfigError(f"step {step + 1}: the error is not finite; try a smaller learning_rate")
        self._optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self._optimiser.step()
        self.step += 1
        keep = min(1 - 1 / AVERAGED_STEPS, self.step / (self.step + 10))
        with torch.no_grad():
            for mean, value in zip(self.averaged.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(value, 1 - keep)
        return float(loss.detach())

    @torch.no_grad()
    def _seen(self, number: int) -> tuple[torch.Tensor, ...]:
        """Of a pair, place by place: strengths, bands, what is missing, and what the place counts."""
        if number not in self._kept:
            pair = self.spoiler.pair(number)
            at = np.ix_(*places(pair.smooth.shape))
            bands = self.network.bands(torch.as_tensor(pair.smooth, dtype=torch.float32)[None])
            strengths = self.network.strengths(bands, torch.tensor([pair.told]))[0]
            missing, counts = (pair.true - pair.smooth)[at], np.broadcast_to(pair.counts, pair.smooth.shape)[at]
            chosen = bands[0].movedim(0, -1)[at]
            flat = (torch.as_tensor(np.ascontiguousarray(each, np.float32)).flatten() for each in (missing, counts))
            self._kept[number] = (strengths.flatten(0, 2), chosen.flatten(0, 2), *flat)
        return self._kept[number]

    def denoiser(self) -> Denoiser:
        """What it has learned."""
        network = copy.deepcopy(self.averaged).eval()
        return Denoiser(network, self.recipe.frame_rate_hz, {**self.identity, "steps_done": self.step})

    def keep(self, path: Path) -> None:
        """Write everything a later process needs to go on."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"averaged.{name}": value for name, value in self.averaged.state_dict().items()}
        for index, state in self._optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": value for name, value in state.items()}
        told = {"identity": self.identity, "step": self.step}
        with replacing_file(path) as temporary:
            save_file(
                {name: value.detach().contiguous().clone() for name, value in tensors.items()},
                str(temporary),
                metadata={"vidrecon": json.dumps(told)},
            )

    def go_on_from(self, path: Path) -> None:
        """Go on with a checkpoint.

        Parameters
        ----------
        path
            What `keep` wrote.

        Raises
        ------
        StorageError
            Damaged, or of another training.
        """
        told = read_description(path, StorageError, EXPECTED)
        if told.get("identity") != json.loads(json.dumps(self.identity)):
            raise StorageError(
                f"{path}: is a checkpoint of other settings or films; remove it to start again, or repeat the settings"
            )
        step = told.get("step")
        if type(step) is not int or not 1 <= step <= self.recipe.steps:
            raise StorageError(f"{path}: expected {EXPECTED}, found one without a step; remove it to start again")
        with reading(path, StorageError, EXPECTED), safe_open(str(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            groups: dict[str, dict[str, Any]] = {"network": {}, "averaged": {}, "optimiser": {}}
            for name, value in tensors.items():
                group, _, rest = name.partition(".")
                groups[group][rest] = value
            self.network.load_state_dict(groups["network"])
            self.averaged.load_state_dict(groups["averaged"])
            state: dict[int, dict[str, torch.Tensor]] = {}
            for name, value in groups["optimiser"].items():
                index, _, what = name.partition(".")
                state.setdefault(int(index), {})[what] = value
            shapes = {
                index: {"step": (), "exp_avg": weights.shape, "exp_avg_sq": weights.shape}
                for index, weights in enumerate(self.network.parameters())
            }
            if {index: {name: each.shape for name, each in kept.items()} for index, kept in state.items()} != shapes:
                raise ValueError("what the optimiser knew is of other weights")
            if not all(value.is_floating_point() and bool(value.isfinite().all()) for value in tensors.values()):
                raise ValueError("numbers that are not finite")
            self._optimiser.load_state_dict({**self._optimiser.state_dict(), "state": state})
            self.step = step


GAIN_SIGMAS = (30.0, 60.0, 120.0, 240.0)


def gains_db(denoiser: Denoiser, spoiler: Spoiler, count: int) -> dict[str, float]:
    """How much smaller the error is than that of the spectral filter, dB, on movies that were not learned from.

    Parameters
    ----------
    denoiser
        Any.
    spoiler
        Makes the movies; of another seed than those learned from.
    count
        Movies for each kind of noise.

    Returns
    -------
    dict[str, float]
        By the SD of white noise in grey levels, and "neurons".
    """
    found = {}
    for sigma in (*GAIN_SIGMAS, None):
        ratios = []
        for number in range(count):
            pair = spoiler.pair(number, neurons=sigma is None, sigma=sigma)
            told = torch.tensor([pair.told])
            with torch.no_grad():
                added = denoiser.network(torch.as_tensor(pair.smooth)[None], told)[0].numpy()
            before = (pair.counts * (pair.smooth - pair.true) ** 2).mean()
            after = (pair.counts * (pair.smooth + added - pair.true) ** 2).mean()
            ratios.append(float(before / after))
        found["neurons" if sigma is None else f"{sigma:g}"] = float(10 * np.log10(ratios).mean())
    return found
