"""What natural movies look like before any neuron has spoken: smooth in space and in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.fft import dct

from napari_vidrecon.encoders.encoder import Encoder, Traits
from napari_vidrecon.reconstruction.composition import NaturalPrior, Spectral
from napari_vidrecon.reconstruction.priors import CorrectedPrior, MoviePrior, prior_named
from napari_vidrecon.sessions.session_statistics import PUBLIC_MOVIES, RATIO_HZ, RATIO_PER_PX, MovieStatistics
from napari_vidrecon.settings import Chosen

if TYPE_CHECKING:
    from napari_vidrecon.reconstruction.config import ReconstructionConfig
    from napari_vidrecon.sessions.session import Trial


TRUST_IN_RATIOS = 0.7
"""Clips are unlike: a few hold most of the power of a session. With the mean of all as it is, reconstructions of clips
that are unlike it got worse; with so much of it, in logarithms, the error fell on six of seven mice, and correlation
changed by -0.006 to +0.027 (docs/quality.md)."""
FORMULA = ("spatial_corner", "spatial_exponent", "temporal_corner", "temporal_exponent")
"""Who states one of these states the spectrum: ratios are told beside those that movies were measured with."""


@dataclass(frozen=True)
class NaturalSpectrum:
    """Power of natural movies over frequency: a falloff over space times a falloff over time.

    Parameters
    ----------
    sd
        Standard deviation of a pixel, grey levels.
    spatial_corner, spatial_exponent
        Power is flat below the corner (cycles per pixel), then falls so steeply.
    temporal_corner, temporal_exponent
        Likewise, Hz.
    power_ratios
        (8, 9) what the power of movies is of that, at `RATIO_HZ` and `RATIO_PER_PX`; empty: as it is.

    References
    ----------
    Field 1987 (space), Dong & Atick 1995 (time); not part of the published method.
    """

    sd: float
    spatial_corner: float
    spatial_exponent: float
    temporal_corner: float
    temporal_exponent: float
    power_ratios: Sequence[Sequence[float]] = ()

    @classmethod
    def of(cls, prior: NaturalPrior) -> NaturalSpectrum:
        """The one that settings describe."""
        return cls(
            prior.sd,
            prior.spatial_corner,
            prior.spatial_exponent,
            prior.temporal_corner,
            prior.temporal_exponent,
            prior.power_ratios,
        )

    @classmethod
    def about_decoded(cls, prior: NaturalPrior) -> NaturalSpectrum:
        """Of what a decoder's movie lacks: less of it, and less of the lowest frequencies, which decoders know best."""
        corner = prior.decoded_spatial_corner
        return replace(cls.of(prior), sd=prior.decoded_sd, spatial_corner=corner, power_ratios=())

    def deviations(
        self, frames: int, rows: int, columns: int, frame_rate_hz: float, trust: float = TRUST_IN_RATIOS
    ) -> np.ndarray:
        """Standard deviation of every coefficient of a movie's cosine transform.

        Parameters
        ----------
        frames
            Length of the movie.
        rows, columns
            Its size, pixels.
        frame_rate_hz
            Frames a second.
        trust
            Power that the ratios are raised to; 1: just as the movies, 0: as the formula.

        Returns
        -------
        np.ndarray
            (frames, rows, columns) grey levels.
        """
        # Coefficient k of a cosine transform of n samples oscillates k / 2n times a sample.
        time, row, column = (np.arange(length) / (2 * length) for length in (frames, rows, columns))
        spatial = row[:, None] ** 2 + column[None, :] ** 2
        temporal = (time * frame_rate_hz) ** 2 + self.temporal_corner**2
        falls = (spatial + self.spatial_corner**2) ** (-self.spatial_exponent / 2)
        power = temporal[:, None, None] ** (-self.temporal_exponent / 2) * falls
        if self.power_ratios:
            logs = trust * np.log(self.power_ratios)
            in_time, in_space = _near(RATIO_HZ, time * frame_rate_hz), _near(RATIO_PER_PX, np.sqrt(spatial.ravel()))
            power = power * np.exp(in_time @ logs @ in_space.T).reshape(power.shape)
        return np.sqrt(power * (self.sd**2 / power.mean()))


def _near(middles: Sequence[float], frequencies: np.ndarray) -> np.ndarray:
    """(frequencies, middles) how near each is to each, to interpolate between: linear in octaves, flat at the ends."""
    lowest = middles[0] or middles[1] / 2
    octaves, places = (np.log2(np.maximum(each, lowest)) for each in (middles, frequencies))
    return np.stack([np.interp(places, octaves, each) for each in np.eye(len(middles))], axis=1)


def about_movies(
    config: ReconstructionConfig, trial: Trial, encoders: Sequence[Encoder]
) -> tuple[ReconstructionConfig, MovieStatistics | None]:
    """Settings whose prior has the level, contrast and spectrum of the session's movies, where they ask for it.

    Parameters
    ----------
    config
        As chosen; what differs in it from the usual level and spectrum was chosen, and stays.
    trial
        The clip; knows the training movies of its session.
    encoders
        May know the movies that they were trained on.

    Returns
    -------
    tuple[ReconstructionConfig, MovieStatistics | None]
        Settings that state every number, and the movies these are of; None where the settings stated them already.
    """
    rule = config.update
    if not isinstance(rule, Spectral) or rule.prior_from == "stated":
        return config, None
    movies = movies_of(trial, encoders)
    if rule.prior_from == "session":
        movies = movies.model_copy(update={"power_ratios": ()})
    return stated(config, movies), movies


def stated(config: ReconstructionConfig, movies: MovieStatistics) -> ReconstructionConfig:
    """Settings with the level, contrast and spectrum of movies, where they ask for it."""
    rule = config.update
    if not isinstance(rule, Spectral) or rule.prior_from == "stated":
        return config
    prior = rule.prior
    if isinstance(prior, NaturalPrior):
        told = {name: getattr(movies, name) for name in ("sd", "spatial_exponent")}
        if all(getattr(prior, name) == NaturalPrior.model_fields[name].default for name in FORMULA):
            told["power_ratios"] = movies.power_ratios
        prior = _where_usual(prior, told)
    else:
        kind = prior_named(prior.kind)
        told = {name: getattr(movies, statistic) for name, statistic in kind.of_movies.items()}
        settings = _where_usual(kind.settings_class(**prior.settings), told)
        prior = prior.model_copy(update={"settings": settings.model_dump(mode="json")})
    levels = _where_usual(config, {"initial_level": movies.level, "padding_level": movies.level})
    if levels.initial_level == movies.level:
        levels = _where_usual(levels, {"colour_levels": movies.colour_levels})
    return levels.model_copy(update={"update": rule.model_copy(update={"prior_from": "stated", "prior": prior})})


def _where_usual(settings: Chosen, told: Mapping[str, Any]) -> Chosen:
    usual = type(settings).model_fields
    unchanged = {name: value for name, value in told.items() if getattr(settings, name) == usual[name].default}
    return settings.model_copy(update=unchanged)


def movies_of(trial: Trial, encoders: Sequence[Encoder]) -> MovieStatistics:
    """What the movies that a mouse saw are like: its session's, else its encoders', else those of the public mice."""
    known = None if trial.movies is None else trial.movies()
    for encoder in encoders:
        known = known or Traits.of(encoder).movies
    return known or PUBLIC_MOVIES


class SpectralPrior:
    """A Gaussian over movies, independent over the coefficients of their cosine transform.

    A movie is `level + synthesis(z)` with z standard normal: "whitened coefficients". The cosine transform is
    orthonormal and, unlike Fourier's, does not tie the last frame to the first or one edge to the other.

    Parameters
    ----------
    spectrum
        How power falls over frequency.
    shape
        (frames, rows, columns) of the movie.
    frame_rate_hz
        Frames a second.
    like
        A tensor of the wanted type on the wanted device.
    """

    def __init__(
        self, spectrum: NaturalSpectrum, shape: tuple[int, int, int], frame_rate_hz: float, like: torch.Tensor
    ) -> None:
        deviations = spectrum.deviations(*shape, frame_rate_hz)
        self.deviations = torch.as_tensor(deviations).to(like)
        self._bases = [torch.as_tensor(dct(np.eye(length), norm="ortho", axis=0)).to(like) for length in shape]

    def synthesis(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Movie (frames, rows, columns), grey levels about 0, of whitened coefficients of the same shape."""
        movie = coefficients * self.deviations
        for axis, basis in enumerate(self._bases):
            movie = (movie.movedim(axis, -1) @ basis).movedim(-1, axis)
        return movie

    def adjoint(self, gradient: torch.Tensor) -> torch.Tensor:
        """Gradient with respect to the coefficients of one with respect to the movie."""
        return self._transformed(gradient) * self.deviations

    def analysis(self, movie: torch.Tensor) -> torch.Tensor:
        """Whitened coefficients of a movie (frames, rows, columns), grey levels about 0; undoes `synthesis`."""
        return self._transformed(movie) / self.deviations

    def _transformed(self, movie: torch.Tensor) -> torch.Tensor:
        for axis, basis in enumerate(self._bases):
            movie = (movie.movedim(axis, -1) @ basis.T).movedim(-1, axis)
        return movie


class EachColour(CorrectedPrior):
    """One prior for every colour of a movie whose colours stand one below the other; no colour tells of another.

    Parameters
    ----------
    prior
        Of one colour's movie.
    colours
        How many.
    levels
        Grey level that each lies about; empty: the one that is told with the movie.
    """

    def __init__(self, prior: MoviePrior, colours: int, levels: Sequence[float] = ()) -> None:
        self._prior, self._colours, self._levels = prior, colours, levels
        self._corrected = prior if isinstance(prior, CorrectedPrior) else CorrectedPrior()
        self.deviations = prior.deviations.repeat(1, colours, 1)

    def synthesis(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Movie (frames, rows, columns), grey levels about 0, of whitened coefficients."""
        return self._together(self._prior.synthesis, coefficients)

    def adjoint(self, gradient: torch.Tensor) -> torch.Tensor:
        """Gradient with respect to the coefficients of one with respect to the movie."""
        return self._together(self._prior.adjoint, gradient)

    def analysis(self, movie: torch.Tensor) -> torch.Tensor:
        """Whitened coefficients of a movie; undoes `synthesis`."""
        return self._together(self._prior.analysis, movie)

    def correction(self, coefficients: torch.Tensor, level: float, done: float, seed: int) -> torch.Tensor | None:
        def of(part: torch.Tensor, own_level: float) -> torch.Tensor:
            found = self._corrected.correction(part, own_level, done, seed)
            return torch.zeros_like(part) if found is None else found

        return self._about(of, coefficients, level)

    def finished(self, movie: torch.Tensor, level: float) -> torch.Tensor:
        return self._about(self._corrected.finished, movie, level)

    def _together(self, change: Callable[[torch.Tensor], torch.Tensor], movie: torch.Tensor) -> torch.Tensor:
        return torch.cat([change(part) for part in movie.chunk(self._colours, dim=1)], dim=1)

    def _about(
        self, change: Callable[[torch.Tensor, float], torch.Tensor], movie: torch.Tensor, level: float
    ) -> torch.Tensor:
        parts = zip(movie.chunk(self._colours, dim=1), self._levels or [level] * self._colours, strict=True)
        return torch.cat([change(*each) for each in parts], dim=1)
