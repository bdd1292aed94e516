"""`Study`: one experiment of the paper as a plain description, and what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_vidrecon.analysis.postprocess import ensemble_mean, smooth
from napari_vidrecon.analysis.statistics import TestResult
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.studies.mice import Mouse, require_one_screen
from napari_vidrecon.studies.runs.run_spec import RunSpec, RunStore
from napari_vidrecon.studies.scale import Scale

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


EXAMPLE_POSITIONS = ((0, 6), (3, 3), (4, 2))
"""Mouse and clip of the published code's three examples; the first is the paper's mouse 1 trial 7 (Fig. 6)."""


@dataclass(frozen=True)
class Clip:
    """A clip of a study: whose, and which trial."""

    mouse: Mouse
    trial: int

    @property
    def name(self) -> str:
        """For titles."""
        return f"{self.mouse.name}, trial {self.trial}"


@dataclass(frozen=True)
class Plan:
    """What every study of one command shares: the mice, the scale, and runs that several studies use.

    Parameters
    ----------
    mice
        One or more.
    scale
        Size of the grids.
    """

    mice: tuple[Mouse, ...]
    scale: Scale

    def label(self, clip: Clip) -> str:
        """What to call a clip where there is little room: its mouse is only named where there are several."""
        return clip.name if len(self.mice) > 1 else f"trial {clip.trial}"

    @classmethod
    def at_their_rate(cls, mice: Sequence[Mouse], scale: Scale) -> Plan:
        """A plan whose clips last as long as the scale says, whatever the frame rate of the mice and as far as they go.

        Parameters
        ----------
        mice
            One or more; of several rates the highest counts.
        scale
            In frames at 30 Hz.

        Returns
        -------
        Plan
            Of the scale in frames of the mice.

        Raises
        ------
        SessionError
            The mice saw other screens, or their clips cannot be read.
        """
        require_one_screen(mice)
        plan = cls(tuple(mice), scale.at_rate(max(mouse.open_session().frame_rate_hz for mouse in mice)))
        if not all(mouse.has_clips for mouse in mice):
            # Told where runs are planned, which needs clips; until then there is nothing to fit the scale to.
            return plan
        lengths = [clip.mouse.open_session().clip_frames(clip.trial) for clip in (*plan.clips, *plan.many_clips)]
        return replace(plan, scale=plan.scale.within(min(lengths)))

    @cached_property
    def frame_rate_hz(self) -> float:
        """Of the movies, frames a second; of several mice the highest."""
        return max(mouse.open_session().frame_rate_hz for mouse in self.mice)

    @cached_property
    def degrees_per_pixel(self) -> float:
        """Of the first mouse's screen, next to straight ahead."""
        return self.mice[0].open_session().screen.degrees_per_pixel

    @cached_property
    def clips(self) -> tuple[Clip, ...]:
        """The natural clips, mouse by mouse."""
        return self._first_clips(self.scale.clips)

    @cached_property
    def many_clips(self) -> tuple[Clip, ...]:
        """More natural clips, for studies that show a distribution over clips or every clip."""
        return self._first_clips(self.scale.many_clips)

    @cached_property
    def examples(self) -> tuple[Clip, ...]:
        """Up to three clips of up to three mice, shown at length; chosen by position, never by their quality."""
        chosen = []
        for mouse_position, clip_position in EXAMPLE_POSITIONS:
            position = mouse_position % len(self.mice)
            mouse, trials = self.mice[position], self._trials[position][: self.scale.many_clips]
            chosen.append(Clip(mouse, trials[clip_position % len(trials)]))
        return tuple(dict.fromkeys(chosen))

    def _first_clips(self, count: int) -> tuple[Clip, ...]:
        return tuple(
            Clip(mouse, trial)
            for mouse, trials in zip(self.mice, self._trials, strict=True)
            for trial in trials[:count]
        )

    @cached_property
    def _trials(self) -> tuple[tuple[int, ...], ...]:
        # Of each mouse. A study asks for them some thousand times, and each time the session would be opened.
        return tuple(mouse.clips() for mouse in self.mice)

    def seed(self, clip: Clip) -> int:
        """The published seed of what is drawn for a clip, the same for all its encoders; 1 and above."""
        position = self.mice.index(clip.mouse)
        return (self._trials[position].index(clip.trial) + 1) * (position + 1)

    @property
    def simulated(self) -> bool:
        """Whether any mouse is a simulation."""
        return any(mouse.open_session().simulated for mouse in self.mice)

    def encoders(self, mouse: Mouse) -> tuple[int, ...]:
        """The encoders that are averaged, at this scale."""
        return tuple(range(len(mouse.encoders)))[: self.scale.encoders]

    def standard(self, clip: Clip, **changes: Any) -> list[RunSpec]:
        """The standard reconstruction of a clip, or a variant of it: one run an encoder.

        Parameters
        ----------
        changes
            Fields of `RunSpec`. A predicted target is the mean over all the mouse's encoders.

        Returns
        -------
        list[RunSpec]
            In the order of the encoders.
        """
        encoders = changes.pop("encoders", self.encoders(clip.mouse))
        if changes.get("target") == "predicted":
            changes.setdefault("target_encoders", tuple(range(len(clip.mouse.encoders))))
        base = RunSpec(clip.mouse, self.scale.config(), trial=clip.trial, frames=self.scale.frames)
        return [replace(base, encoders=(index,), **changes) for index in encoders]

    def trial(self, clip: Clip, **changes: Any) -> Trial:
        """The clip with everything recorded during it, cut as it is reconstructed.

        Parameters
        ----------
        changes
            Fields of `RunSpec`, e.g. `frames=plan.scale.example_frames`.

        Returns
        -------
        Trial
            Of the scale's frames.
        """
        return self.standard(clip, **changes)[0].open_trial(clip.mouse.open_session())

    def measured(self, frames: int) -> slice:
        """Frames of a natural reconstruction that are measured."""
        return slice(self.scale.skip_first, frames - self.scale.skip_last)


@dataclass(frozen=True)
class Drawing:
    """One figure of a study.

    Parameters
    ----------
    name
        In files.
    caption
        What it shows.
    panel
        Of the paper, that it stands for.
    draw
        Makes it.
    """

    name: str
    caption: str
    panel: str
    draw: Callable[[], Figure]


@dataclass(frozen=True)
class Movie:
    """One movie of a study.

    Parameters
    ----------
    name
        In files.
    caption
        What it shows.
    panel
        Of the paper, that it stands for.
    frames
        Makes its frames, (height, width, 3) 8-bit RGB.
    fps
        Frames a second; None: those of the plan.
    """

    name: str
    caption: str
    panel: str
    frames: Callable[[], Iterator[np.ndarray]]
    fps: float | None = None


@dataclass(frozen=True)
class Finding:
    """A result of the paper, and whether these mice show it.

    Parameters
    ----------
    statement
        The result.
    shows
        True, False, or None where it cannot be told.
    numbers
        From which that was told, in words.
    """

    statement: str
    shows: bool | None
    numbers: str


@dataclass
class Outcome:
    """What a study found.

    Parameters
    ----------
    tables
        By name; each becomes CSV and Parquet.
    tests
        Statistics.
    findings
        Results of the paper, and whether they show here.
    drawings, movies
        Figures and movies, made when they are written.
    notes
        What a reader must know, e.g. what is missing.
    """

    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    tests: list[TestResult] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    drawings: list[Drawing] = field(default_factory=list)
    movies: list[Movie] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add_drawing(self, name: str, caption: str, panel: str, draw: Callable[[], Figure]) -> None:
        """Add a figure; what describes it is that of `Drawing`.

        Parameters
        ----------
        name, caption, panel, draw
            As there.
        """
        self.drawings.append(Drawing(name, caption, panel, draw))

    def add_movie(
        self, name: str, caption: str, panel: str, frames: Callable[[], Iterator[np.ndarray]], fps: float | None = None
    ) -> None:
        """Add a movie; what describes it is that of `Movie`.

        Parameters
        ----------
        name, caption, panel, frames, fps
            As there.
        """
        self.movies.append(Movie(name, caption, panel, frames, fps))


@dataclass(frozen=True)
class Study:
    """One experiment: the runs it needs, and what it makes of them.

    Another package brings one by an entry point of the group `napari_vidrecon.studies` (docs/own_parts.md).

    Parameters
    ----------
    name
        Of the command.
    title
        One line.
    panels
        What it stands for in the paper.
    runs
        The grid; runs that another study did are found again.
    evaluate
        Measurements, tables, statistics, figures and movies from finished runs.
    clips
        The natural clips it uses.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> from napari_vidrecon.studies.catalogue import studies_named
    >>> (study,) = studies_named("ablation")
    >>> isinstance(study, vr.Study), study.panels
    (True, 'Fig. 5')
    """

    name: str
    title: str
    panels: str
    runs: Callable[[Plan], Sequence[RunSpec]]
    evaluate: Callable[[Plan, RunStore], Outcome]
    clips: Callable[[Plan], Sequence[Clip]] = attrgetter("clips")


def averaged(store: RunStore, specs: Iterable[RunSpec], *, smoothed: bool = True) -> np.ndarray:
    """Mean over runs, then smoothed, ready to be measured.

    Parameters
    ----------
    store
        Where the runs lie.
    specs
        Which.
    smoothed
        Smooth it as the paper does.

    Returns
    -------
    np.ndarray
        (T, 36, 64), grey levels 0..255.
    """
    specs = list(specs)
    video = ensemble_mean(store.videos(specs))
    return smooth(video, colours=specs[0].mouse.open_session().screen.planes) if smoothed else video
