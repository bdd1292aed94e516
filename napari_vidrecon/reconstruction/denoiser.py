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

from napari_vidrecon.errors import ConfigError, StorageError
from napari_vidrecon.reconstruction.composition import NaturalPrior
from napari_vidrecon.reconstruction.priors import CorrectedPrior, Prior
from napari_vidrecon.reconstruction.spectral_prior import NaturalSpectrum, SpectralPrior
from napari_vidrecon.settings import Settings, first_fault
from napari_vidrecon.storage import read_description, reading, replacing_file, stored_format

FORMAT = "napari_vidrecon movie denoiser 1"
DENOISER_SUFFIX = ".safetensors"
EXPECTED = "a denoiser of movies"
TOLD = 3
"""What the network is told beside the movie: log of the noise, whether it is not known, and how dark black is."""
LARGEST_WIDTH = 256
NOISE_STREAM = 6
"""Of chance, apart from those of `update.py`."""
VOXEL = (2, 4, 4)
"""Frames, rows and columns that the network takes together."""


class DenoiserDescription(BaseModel):
    """The description in the metadata of a denoiser's file; frozen and validated.

    Parameters
    ----------
    format
        Of the file.
    widths
        Channels of the network, see `DenoisingNetwork`.
    frame_rate_hz
        Of the movies that it learned from.
    provenance
        How it was trained.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    format: str
    widths: list[int] = Field(min_length=2, max_length=2)
    frame_rate_hz: float = Field(gt=0, le=1000)
    provenance: dict[str, Any]


def _zero(values: torch.Tensor | None) -> None:
    if values is not None:
        nn.init.zeros_(values)


class _Block(nn.Module):
    """Two convolutions beside a shortcut, between them what the network is told."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv3d(width, width, 3, padding=1) for _ in range(2))
        self.told = nn.Linear(TOLD, 2 * width)
        _zero(self.told.weight)
        _zero(self.told.bias)
        _zero(self.second.bias)
        with torch.no_grad():
            self.second.weight.mul_(0.3)

    def forward(self, seen: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        scale, shift = self.told(told)[..., None, None, None].chunk(2, dim=1)
        return seen + self.second(F.silu(self.first(seen) * (1 + scale) + shift))


class DenoisingNetwork(nn.Module):
    """A U of two levels on a coarse grid, as what neurons leave open is coarse; works on movies of any size.

    Parameters
    ----------
    widths
        Channels at two frames and four pixels a voxel, and at twice as many.
    """

    def __init__(self, widths: tuple[int, int] = (40, 96)) -> None:
        super().__init__()
        self.widths = widths
        fine, coarse = widths
        self.enter = nn.Conv3d(1, fine, VOXEL, stride=VOXEL)
        self.down = nn.Conv3d(fine, coarse, 2, stride=2)
        self.up = nn.ConvTranspose3d(coarse, fine, 2, stride=2)
        self.before, self.after = _Block(fine), _Block(fine)
        self.coarse = nn.ModuleList(_Block(coarse) for _ in range(2))
        self.smooth = nn.Conv3d(fine, fine, 3, padding=1)
        self.leave = nn.ConvTranspose3d(fine, 1, VOXEL, stride=VOXEL)
        # What it adds is nothing to begin with.
        _zero(self.leave.weight)
        _zero(self.leave.bias)

    def forward(self, movies: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        """What has to be added.

        Parameters
        ----------
        movies
            (B, T, rows, columns) in units of the movies' deviation about their level.
        told
            (B, 3), see `TOLD`.

        Returns
        -------
        torch.Tensor
            As `movies`.
        """
        frames, rows, columns = movies.shape[1:]
        wanted = [2 * extent for extent in reversed(VOXEL)]
        missing = [-extent % whole for extent, whole in zip((columns, rows, frames), wanted, strict=True)]
        padding = [each for extent in missing for each in (0, extent)]
        seen = F.pad(movies[:, None], padding, mode="replicate")
        fine = self.before(self.enter(seen), told)
        coarse = self.down(F.silu(fine))
        for block in self.coarse:
            coarse = block(coarse, told)
        fine = self.after(fine + self.up(F.silu(coarse)), told)
        added = self.leave(F.silu(self.smooth(F.silu(fine))))
        return added[:, 0, :frames, :rows, :columns]


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
        digest = hashlib.sha256(repr(self.network.widths).encode())
        for name, value in sorted(self.network.state_dict().items()):
            digest.update(name.encode() + value.half().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @torch.no_grad()
    def missing(self, movie: torch.Tensor, sigma: float | None, level: float, sd: float) -> torch.Tensor:
        """What a movie lacks.

        Parameters
        ----------
        movie
            (T, rows, columns) grey levels, smooth.
        sigma, level, sd
            As for `told_of`.

        Returns
        -------
        torch.Tensor
            (T, rows, columns) grey levels, to be added.
        """
        like = next(self.network.parameters())
        told = torch.tensor([told_of(sigma, level, sd)]).to(like)
        return (sd * self.network(((movie - level) / sd)[None].to(like), told)[0]).to(movie)

    def save(self, path: Path | str) -> None:
        """Write one safetensors file of half precision, replaced only once the new one is complete."""
        described = {
            "format": FORMAT,
            "widths": list(self.network.widths),
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
        path = Path(path)
        described = read_description(path, StorageError, EXPECTED)
        if described.get("format") != FORMAT:
            raise StorageError(f"{path}: expected {EXPECTED}, found other tensors; make one with: vidrecon prior")
        try:
            told = DenoiserDescription(**described)
        except ValidationError as raised:
            raise StorageError(f"{path}: {first_fault(raised)}") from None
        if not all(0 < width <= LARGEST_WIDTH for width in told.widths):
            raise StorageError(f"{path}: widths: expected 1 to {LARGEST_WIDTH} channels, found {told.widths}")
        fine, coarse = told.widths
        network = DenoisingNetwork((fine, coarse))
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

    file: str = Field("", max_length=4096, description="a denoiser that `vidrecon prior train` made (.safetensors)")
    scheme: Literal["finish", "red", "both"] = Field(
        "finish",
        description="finish: once, added to the most probable movie under the spectrum; red: a pull at every step, "
        "at less and less noise (regularisation by denoising); or both",
    )
    weight: float = Field(1.0, ge=0, le=4, description="what it counts where it finishes; 0: nothing")
    pull: float = Field(0.5, ge=0, le=4, description="what it counts at every step (red)")
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
        if not self.settings.file:
            raise ConfigError(
                "prior.file: expected a denoiser, found none; make one with: vidrecon prior train --out FILE"
            )
        return Path(self.settings.file)

    @property
    def content(self) -> str:
        return Denoiser.load(self._file).sha256

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
        self.settings, self.denoiser = settings, denoiser

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
        missing = self.denoiser.missing(level + smooth, sigma, level, settings.sd)
        return self.adjoint(missing) * (-settings.pull / sigma**2)

    def finished(self, movie: torch.Tensor, level: float) -> torch.Tensor:
        settings = self.settings
        if settings.scheme == "red" or not settings.weight:
            return movie
        return movie + settings.weight * self.denoiser.missing(movie, None, level, settings.sd)
