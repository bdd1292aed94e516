"""A learned prior of movies: a small network that says what is missing in the most probable smooth movie."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from napari_vidrecon.errors import StorageError
from napari_vidrecon.reconstruction.composition import NaturalPrior
from napari_vidrecon.reconstruction.priors import CorrectedPrior, Prior
from napari_vidrecon.reconstruction.spectral_prior import NaturalSpectrum, SpectralPrior
from napari_vidrecon.sessions.screen import USUAL_SCREEN
from napari_vidrecon.settings import Settings, first_fault
from napari_vidrecon.storage import read_description, reading, replacing_file, stored_format, user_path

FORMAT = "napari_vidrecon movie denoiser 1"
DENOISER_SUFFIX = ".safetensors"
EXPECTED = "a denoiser of movies"
TOLD = 3
"""What the network is told beside the movie: log of the noise, whether it is not known, and how dark black is."""
LARGEST_WIDTH = 256
SHIPPED = Path(__file__).with_name("denoiser.safetensors")
"""What `vidrecon prior train` makes without any setting."""
NOISE_STREAM = 6
"""Of chance, apart from those of `update.py`."""
BLURS_FRAMES, BLURS_PX = (1.5, 4.0, 10.0, 25.0, math.inf), (2.0, 6.0)
"""SDs between bands; pixels are those of a screen of 36 rows, frames of the rate that was learned from.
The last band in time is the mean over the clip."""
POOL_FRAMES, POOL_PX = 12.0, 5.0
"""SDs of the neighbourhood in which the strength of a band is measured."""
EVERY = (4, 4, 4)
"""Frames, rows and columns between places at which gains are found."""
LEAST_STRENGTH = 1e-4


class DenoiserDescription(BaseModel):
    """The description in the metadata of a denoiser's file; frozen and validated.

    Parameters
    ----------
    format
        Of the file.
    width
        See `DenoisingNetwork`.
    frame_rate_hz
        Of the movies that it learned from.
    provenance
        How it was trained.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    format: str
    width: int = Field(ge=1, le=LARGEST_WIDTH)
    frame_rate_hz: float = Field(gt=0, le=1000)
    provenance: dict[str, Any]


class DenoisingNetwork(nn.Module):
    """Weighs bands of a movie, from slow to fast and from coarse to fine, by how strong each is around a place.

    A movie is taken apart into bands by blurs in time and in space. What each counts, more or less than it does in the
    given movie, is told by a small network that sees the local strength of all bands: where little but the slowest
    band stands out, the picture stands still, and what seems to move is noise. Works on movies of any size.

    Parameters
    ----------
    width
        Of its two hidden layers.
    """

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.width = width
        bands = (len(BLURS_FRAMES) + 1) * (len(BLURS_PX) + 1)
        self.seen, self.between = nn.Linear(bands + TOLD, width), nn.Linear(width, width)
        self.gains = nn.Linear(width, bands)
        # What it adds is nothing to begin with.
        with torch.no_grad():
            self.gains.weight.zero_()
            self.gains.bias.zero_()

    def forward(self, movies: torch.Tensor, told: torch.Tensor, rate: float = 1.0) -> torch.Tensor:
        """What has to be added.

        Parameters
        ----------
        movies
            (B, T, rows, columns) in units of the movies' deviation about their level.
        told
            (B, 3), see `TOLD`.
        rate
            How many of their frames last as long as one of the movies that it learned from.

        Returns
        -------
        torch.Tensor
            As `movies`.
        """
        bands, shape = self.bands(movies, rate), movies.shape[1:]
        gains = self.weighed(self.strengths(bands, told, rate)).movedim(-1, 1)
        for axis, (length, every) in enumerate(zip(shape, EVERY, strict=True), start=2):
            gains = _along(gains, axis, _back(length, every, movies))
        return (gains * bands).sum(dim=1)

    def bands(self, movies: torch.Tensor, rate: float = 1.0) -> torch.Tensor:
        """(B, bands, T, rows, columns) that add up to the movies."""
        return _bands_in_space(_bands_in_time(movies, rate), movies.shape[2] / USUAL_SCREEN.rows)

    def strengths(self, bands: torch.Tensor, told: torch.Tensor, rate: float = 1.0) -> torch.Tensor:
        """What the small network sees at each place.

        Parameters
        ----------
        bands
            What `bands` gave.
        told, rate
            As for `forward`.

        Returns
        -------
        torch.Tensor
            (B, a few of the T, rows, columns, bands + told).
        """
        shape, strength = bands.shape[2:], bands**2
        scale = shape[1] / USUAL_SCREEN.rows
        sizes = (POOL_FRAMES * rate, POOL_PX * scale, POOL_PX * scale)
        for axis, (length, sigma, every) in enumerate(zip(shape, sizes, EVERY, strict=True), start=2):
            strength = _along(strength, axis, _blur(length, sigma, every, bands))
        seen = torch.log(strength.movedim(1, -1) + LEAST_STRENGTH)
        return torch.cat([seen, told[:, None, None, None, :].expand(*seen.shape[:-1], TOLD)], dim=-1)

    def weighed(self, strengths: torch.Tensor) -> torch.Tensor:
        """(..., bands) how much more than it does each band should count at a place."""
        return self.gains(F.silu(self.between(F.silu(self.seen(strengths)))))


def places(shape: tuple[int, ...]) -> list[np.ndarray]:
    """Indices of the frames, rows and columns at which gains are found."""
    return [np.minimum(np.arange(0, n, every) + every // 2, n - 1) for n, every in zip(shape, EVERY, strict=True)]


def _bands_in_time(movies: torch.Tensor, rate: float) -> torch.Tensor:
    """(B, bands, T, rows, columns) that add up to the movies, the fastest first, the mean over time last."""
    length, left, bands = movies.shape[1], movies, []
    for sigma in BLURS_FRAMES:
        slower = (
            movies.mean(dim=1, keepdim=True).expand_as(movies)
            if math.isinf(sigma)
            else _along(movies, 1, _blur(length, sigma * rate, 1, movies))
        )
        bands.append(left - slower)
        left = slower
    return torch.stack([*bands, left], dim=1)


def _bands_in_space(movies: torch.Tensor, scale: float) -> torch.Tensor:
    """(B, bands, T, rows, columns), each of the bands in time taken apart again."""
    left, bands = movies, []
    for sigma in BLURS_PX:
        coarser = movies
        for axis in (3, 4):
            coarser = _along(coarser, axis, _blur(movies.shape[axis], sigma * scale, 1, movies))
        bands.append(left - coarser)
        left = coarser
    return torch.cat([*bands, left], dim=1)


def _along(values: torch.Tensor, axis: int, matrix: torch.Tensor) -> torch.Tensor:
    return (values.movedim(axis, -1) @ matrix.T).movedim(-1, axis)


def _blur(length: int, sigma: float, every: int, like: torch.Tensor) -> torch.Tensor:
    """(length / every, length) means with Gaussian weights of what is there."""
    return _gaussian(_places(length, every, like), torch.arange(length).to(like), sigma)


def _back(length: int, every: int, like: torch.Tensor) -> torch.Tensor:
    """(length, length / every) from every so manyth place to all."""
    return _gaussian(torch.arange(length).to(like), _places(length, every, like), every / 2)


def _places(length: int, every: int, like: torch.Tensor) -> torch.Tensor:
    return torch.arange(0, length, every).to(like) + (every - 1) / 2


def _gaussian(rows: torch.Tensor, columns: torch.Tensor, sigma: float) -> torch.Tensor:
    return torch.softmax(-((rows[:, None] - columns[None, :]) ** 2) / (2 * sigma**2), dim=1)


def told_of(sigma: float | None, level: float, sd: float) -> list[float]:
    """What the network is told.

    Parameters
    ----------
    sigma
        SD of white noise that was taken off, grey levels; None: of whatever a reconstruction leaves open.
    level, sd
        Mean and standard deviation of movies like this, grey levels.

    Returns
    -------
    list[float]
        `TOLD` numbers.
    """
    return [0.0 if sigma is None else math.log(sigma / sd), float(sigma is None), -level / sd]


@dataclass(frozen=True, eq=False)
class Denoiser:
    """What natural movies look like beyond their spectrum, learned from other movies.

    It is given the most probable movie under the spectral prior (a Wiener filter where the noise is white) and adds
    what that lacks: edges, contrast where there is some, what stays and what moves.

    Parameters
    ----------
    network
        Its weights.
    frame_rate_hz
        Of the movies that it learned from.
    provenance
        How it was trained; plain values.
    path
        The file it was read from; empty if it was not.
    """

    network: DenoisingNetwork
    frame_rate_hz: float = 30.0
    provenance: dict[str, Any] = field(default_factory=dict)
    path: str = ""

    @functools.cached_property
    def sha256(self) -> str:
        """Hash of its weights as they are stored."""
        digest = hashlib.sha256(repr(self.network.width).encode())
        for name, value in sorted(self.network.state_dict().items()):
            digest.update(name.encode() + value.half().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @torch.no_grad()
    def missing(
        self, movie: torch.Tensor, sigma: float | None, level: float, sd: float, frame_rate_hz: float | None = None
    ) -> torch.Tensor:
        """What a movie lacks.

        Parameters
        ----------
        movie
            (T, rows, columns) grey levels, smooth.
        sigma, level, sd
            As for `told_of`.
        frame_rate_hz
            Of the movie; None: that of the movies it learned from.

        Returns
        -------
        torch.Tensor
            (T, rows, columns) grey levels, to be added.
        """
        rate = 1.0 if frame_rate_hz is None else frame_rate_hz / self.frame_rate_hz
        like = next(self.network.parameters())
        told = torch.tensor([told_of(sigma, level, sd)]).to(like)
        return (sd * self.network(((movie - level) / sd)[None].to(like), told, rate)[0]).to(movie)

    def save(self, path: Path | str) -> None:
        """Write one safetensors file of half precision, replaced only once the new one is complete."""
        described = {
            "format": FORMAT,
            "width": self.network.width,
            "frame_rate_hz": self.frame_rate_hz,
            "provenance": self.provenance,
        }
        tensors = {name: value.detach().half().cpu().contiguous() for name, value in self.network.state_dict().items()}
        with replacing_file(path) as temporary:
            save_file(tensors, str(temporary), metadata={"vidrecon": json.dumps(described)})

    @classmethod
    def load(cls, path: Path | str) -> Denoiser:
        """Read one.

        Parameters
        ----------
        path
            The `.safetensors` file.

        Returns
        -------
        Denoiser
            Frozen, on the CPU; its `path` is absolute.

        Raises
        ------
        StorageError
            Missing, damaged, or no denoiser.
        """
        path = user_path(path)
        described = read_description(path, StorageError, EXPECTED)
        if described.get("format") != FORMAT:
            raise StorageError(f"{path}: expected {EXPECTED}, found other tensors; make one with: vidrecon prior")
        try:
            told = DenoiserDescription(**described)
        except ValidationError as raised:
            raise StorageError(f"{path}: {first_fault(raised)}") from None
        network = DenoisingNetwork(told.width)
        with reading(path, StorageError, EXPECTED), safe_open(str(path), framework="pt") as file:
            network.load_state_dict({name: file.get_tensor(name).float() for name in file.keys()})  # noqa: SIM118
        if not all(bool(value.isfinite().all()) for value in network.state_dict().values()):
            raise StorageError(f"{path}: expected finite weights, found others; make it anew")
        network.eval().requires_grad_(False)
        return cls(network, told.frame_rate_hz, told.provenance, str(path.absolute()))


def is_denoiser(path: Path) -> bool:
    """Whether a file says that it is a denoiser; it may be damaged nevertheless."""
    return path.suffix == DENOISER_SUFFIX and stored_format(path) == FORMAT


class DenoiserSettings(Settings):
    """The spectrum of `natural`, and what is learned beyond it."""

    file: str = Field(
        "",
        max_length=4096,
        description="made by `vidrecon prior train` (.safetensors); empty: the one that comes along",
    )
    scheme: Literal["finish", "red", "both"] = Field(
        "red",
        description="finish: once, added to the most probable movie under the spectrum; red: a pull at every step, "
        "at less and less noise (regularisation by denoising); or both",
    )
    weight: float = Field(1.0, ge=0, le=4, description="what it counts where it finishes; 0: nothing")
    pull: float = Field(0.25, ge=0, le=4, description="what it counts at every step (red)")
    most_noise: float = Field(240.0, gt=0, le=2000, description="noise at the first step (red), SD in grey levels")
    least_noise: float = Field(60.0, gt=0, le=2000, description="and at the last one")
    sd: float = Field(60.0, title="SD", gt=0, le=128, description="SD of a pixel of natural movies, grey levels")
    spatial_exponent: float = Field(2.5, ge=0, le=8, description="how steeply power falls over spatial frequency")


class DenoiserPrior(Prior):
    """The spectral prior, and what a denoiser learned of movies beyond their spectrum."""

    settings_class = DenoiserSettings
    of_movies: ClassVar[dict[str, str]] = {"sd": "sd", "spatial_exponent": "spatial_exponent"}

    @property
    def _file(self) -> Path:
        return user_path(self.settings.file) if self.settings.file else SHIPPED

    @property
    def content(self) -> str:
        return Denoiser.load(self._file).sha256

    def content_at(self, frame_rate_hz: float) -> str:
        denoiser = Denoiser.load(self._file)
        # At other rates earlier versions took bands of other seconds: their runs are not gone on with.
        return denoiser.sha256 if frame_rate_hz == denoiser.frame_rate_hz else f"{denoiser.sha256}, bands in seconds"

    def build(self, shape: tuple[int, int, int], frame_rate_hz: float, like: torch.Tensor) -> LearnedSpectrum:
        denoiser = Denoiser.load(self._file)
        denoiser.network.to(like)
        return LearnedSpectrum(self.settings, denoiser, shape, frame_rate_hz, like)


class LearnedSpectrum(SpectralPrior, CorrectedPrior):
    """A `SpectralPrior` that a denoiser corrects.

    Where the density of movies is smoothed by white noise of SD sigma, its logarithm rises towards what a denoiser
    makes of a noisy movie (Tweedie; Romano, Elad & Milanfar 2017). Of that the spectrum gives the Wiener filter's part;
    the network's is added to the slope, at a noise that falls over the run.

    Parameters
    ----------
    settings
        Of the prior.
    denoiser
        On the device of `like`.
    shape, frame_rate_hz, like
        As for `SpectralPrior`.
    """

    def __init__(
        self,
        settings: DenoiserSettings,
        denoiser: Denoiser,
        shape: tuple[int, int, int],
        frame_rate_hz: float,
        like: torch.Tensor,
    ) -> None:
        spectrum = NaturalSpectrum.of(NaturalPrior(sd=settings.sd, spatial_exponent=settings.spatial_exponent))
        super().__init__(spectrum, shape, frame_rate_hz, like)
        self.settings, self.denoiser, self.frame_rate_hz = settings, denoiser, frame_rate_hz

    def correction(self, coefficients: torch.Tensor, level: float, done: float, seed: int) -> torch.Tensor | None:
        settings = self.settings
        if settings.scheme == "finish" or not settings.pull:
            return None
        sigma = settings.most_noise ** (1 - done) * settings.least_noise**done
        # Drawn on the CPU, so that it is the same on every machine.
        chance = np.random.default_rng([seed, round(done * 1e6), NOISE_STREAM])
        noise = torch.as_tensor(chance.standard_normal(coefficients.shape, dtype=np.float32)).to(coefficients)
        power = self.deviations**2
        kept = power / (power + sigma**2)
        # Noise is white over the cosine coefficients as it is over pixels.
        smooth = self.synthesis(kept * (coefficients + sigma * noise / self.deviations))
        missing = self.denoiser.missing(level + smooth, sigma, level, settings.sd, self.frame_rate_hz)
        return self.adjoint(missing) * (-settings.pull / sigma**2)

    def finished(self, movie: torch.Tensor, level: float) -> torch.Tensor:
        settings = self.settings
        if settings.scheme == "red" or not settings.weight:
            return movie
        return movie + settings.weight * self.denoiser.missing(movie, None, level, settings.sd, self.frame_rate_hz)
