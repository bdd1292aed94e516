"""`Prior`: what is known of a movie before any neuron has spoken; other packages may bring their own."""

from __future__ import annotations

import hashlib
import importlib
import inspect
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from napari_vidrecon.doors import Door
from napari_vidrecon.errors import ConfigError, one_line
from napari_vidrecon.settings import Settings, shown

if TYPE_CHECKING:
    import torch

NATURAL = "natural"
"""The usual prior, `spectral_prior.py`; its settings are `composition.NaturalPrior`."""
OWN = {"denoiser": ("napari_vidrecon.reconstruction.denoiser", "DenoiserPrior")}
"""Module and class of the others of this package, by name; they come in as those of other packages do."""


class MoviePrior(Protocol):
    """A Gaussian over movies of one size: a movie is `level + synthesis(z)`, z standard normal."""

    deviations: torch.Tensor
    """(frames, rows, columns) standard deviation of every coefficient; the coefficients have this shape."""

    def synthesis(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Movie (frames, rows, columns), grey levels about 0, of whitened coefficients."""

    def adjoint(self, gradient: torch.Tensor) -> torch.Tensor:
        """Gradient with respect to the coefficients of one with respect to the movie."""

    def analysis(self, movie: torch.Tensor) -> torch.Tensor:
        """Whitened coefficients of a movie (frames, rows, columns), grey levels about 0; undoes `synthesis`."""


class CorrectedPrior:
    """What a `MoviePrior` derives from, too, if there is more to it than a Gaussian."""

    def correction(self, coefficients: torch.Tensor, level: float, done: float, seed: int) -> torch.Tensor | None:
        """What is added to the slope of the Gaussian's negative logarithm at every step; None: nothing.

        Parameters
        ----------
        coefficients
            Whitened, of the present movie.
        level
            Grey level that movies lie about.
        done
            0 at the first step, 1 at the last.
        seed
            Of the run.

        Returns
        -------
        torch.Tensor | None
            As `coefficients`.
        """
        return None

    def finished(self, movie: torch.Tensor, level: float) -> torch.Tensor:
        """The movie that is shown after the last step.

        Parameters
        ----------
        movie
            (frames, rows, columns) grey levels, the most probable one under Gaussian and `correction`.
        level
            Grey level that movies lie about.

        Returns
        -------
        torch.Tensor
            As `movie`.
        """
        return movie


class NoSettings(Settings):
    """For a prior that has none."""


class Prior(ABC):
    """A kind of prior, with its settings.

    Parameters
    ----------
    settings
        Fields of `settings_class`, by name.

    Attributes
    ----------
    settings_class
        Numbers, texts, and yes or no. `--set prior.FIELD=VALUE` and the window's form are made from them.
    of_movies
        Settings that are those of the session's movies where they were not changed, each with the name of the field of
        `MovieStatistics` that it takes.
    """

    settings_class: ClassVar[type[Settings]] = NoSettings
    of_movies: ClassVar[dict[str, str]] = {}

    def __init__(self, **settings: Any) -> None:
        self.settings: Any = self.settings_class(**settings)

    @property
    def content(self) -> str:
        """Hash of what decides beside code and settings, such as a file; empty where nothing does."""
        return ""

    def content_at(self, frame_rate_hz: float) -> str:
        """`content`, and what else decides for movies of this rate.

        Parameters
        ----------
        frame_rate_hz
            Frames a second.

        Returns
        -------
        str
            Equal wherever equal settings give equal movies.
        """
        return self.content

    @abstractmethod
    def build(self, shape: tuple[int, int, int], frame_rate_hz: float, like: torch.Tensor) -> MoviePrior:
        """The prior of a movie.

        Parameters
        ----------
        shape
            (frames, rows, columns) of the movie.
        frame_rate_hz
            Frames a second.
        like
            A tensor of the wanted type on the wanted device.

        Returns
        -------
        MoviePrior
            Its tensors are of that type and on that device.
        """


def _is_prior(found: Any) -> bool:
    if not isinstance(found, type) or not issubclass(found, Prior) or found.__abstractmethods__:
        return False
    return isinstance(found.settings_class, type) and issubclass(found.settings_class, Settings)


DOOR: Door[type[Prior]] = Door(
    "napari_vidrecon.priors",
    "prior",
    ConfigError,
    "a class derived from Prior with a settings_class and build",
    _is_prior,
)


def prior_names() -> list[str]:
    """Every prior that can be used; a line says which packages are broken."""
    return [NATURAL, *OWN, *DOOR.usable([NATURAL, *OWN])]


def prior_named(name: str) -> type[Prior]:
    """A prior of another package, or one of ours that comes in by the same door.

    Parameters
    ----------
    name
        Of its entry point, or a key of `OWN`.

    Returns
    -------
    type[Prior]
        The class behind it.

    Raises
    ------
    ConfigError
        There is none, or the package that brings it is broken; the message names it.
    """
    if name in OWN:
        module, kind = OWN[name]
        return getattr(importlib.import_module(module), kind)
    found = DOOR.part(name)
    if found is None:
        known = ", ".join(dict.fromkeys([NATURAL, *OWN, *DOOR.names]))
        raise ConfigError(f"prior {shown(name)}: expected one of {known}; or is a package missing that brings it?")
    return found


def checked_settings(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """All settings of a prior, those that were not given too.

    Whatever is given for a prior that cannot be loaded here stays: its runs can still be looked at.

    Parameters
    ----------
    name
        Of the prior.
    given
        Settings by name; words where numbers are meant are fine.

    Returns
    -------
    dict[str, Any]
        Plain values by name.

    Raises
    ------
    ConfigError
        A setting is unknown, or has a value that cannot be used.
    """
    try:
        prior = prior_named(name)
    except ConfigError:
        return given
    try:
        with DOOR.blaming(name):
            return prior.settings_class(**given).model_dump(mode="json")
    except ConfigError as raised:
        raise ConfigError(str(raised)) from None


def build_prior(
    name: str, settings: dict[str, Any], shape: tuple[int, int, int], frame_rate_hz: float, like: torch.Tensor
) -> MoviePrior:
    """A prior of another package for a movie, tried once.

    Parameters
    ----------
    name, settings
        Which, and its settings.
    shape, frame_rate_hz, like
        As for `Prior.build`.

    Returns
    -------
    MoviePrior
        Of this size.

    Raises
    ------
    ConfigError
        It cannot be built, or does not do what it should; the message names the package.
    """
    with DOOR.blaming(name):
        prior = prior_named(name)(**settings).build(shape, frame_rate_hz, like)
        nothing = like.new_zeros(shape)
        for what, found in {
            "deviations": prior.deviations,
            "synthesis": prior.synthesis(nothing),
            "adjoint": prior.adjoint(nothing),
            "analysis": prior.analysis(nothing),
        }.items():
            if found.shape != nothing.shape or (found.dtype, found.device) != (like.dtype, like.device):
                expected, seen = (f"{tuple(each.shape)} {each.dtype} on {each.device}" for each in (nothing, found))
                raise TypeError(f"{what}: expected {expected}, found {seen}")
            if not found.isfinite().all():
                raise ValueError(f"{what}: expected finite numbers, found NaN or infinity")
    return prior


def prior_identity(name: str, settings: dict[str, Any], frame_rate_hz: float) -> dict[str, str]:
    """What tells versions of a prior apart: the package, a hash of the file that defines it, and what else decides.

    Parameters
    ----------
    name
        Of the prior.
    settings
        Its own.
    frame_rate_hz
        Of the movies that it weighs.

    Returns
    -------
    dict[str, str]
        Plain values, by name.
    """
    prior = prior_named(name)
    content = prior(**settings).content_at(frame_rate_hz)
    if name in OWN:
        return {"name": name, "content": content}
    file = inspect.getsourcefile(prior)
    code = Path(file).read_bytes() if file else b""
    told = {"name": name, "package": one_line(DOOR.package(name)), "sha256": hashlib.sha256(code).hexdigest()}
    return {**told, "content": content} if content else told
