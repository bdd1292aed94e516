"""What the brain adds: error maps of every clip, coloured only where they exceed noise and faults of the encoder.

Source: Bauer et al. 2026, Fig. 6 D-E and Video 4, made into a test; the paper tests none of its error maps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from napari_vidrecon.analysis import statistics
from napari_vidrecon.analysis.error_maps import LIMIT_PERCENTILE, overlay
from napari_vidrecon.analysis.excess import (
    FEWEST_NULLS,
    USUAL_Q,
    Added,
    Against,
    Presented,
    beyond_chance,
    smoothing_on,
)
from napari_vidrecon.analysis.postprocess import apply_mask
from napari_vidrecon.errors import number_of
from napari_vidrecon.figures.curves import ScatterPanel
from napari_vidrecon.figures.frame import panels_figure
from napari_vidrecon.figures.frame_rows import FrameBlock, frame_rows_figure
from napari_vidrecon.figures.matrix_figure import ScreenMap, screen_maps_figure
from napari_vidrecon.sessions.repeats import trials_showing
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.studies.runs.measuring import (
    CLIP_UNIT,
    counts,
    evaluation_mask,
    mosaic_of_rows,
    row,
    spread_frames,
)
from napari_vidrecon.studies.runs.run_spec import RunSpec, RunStore
from napari_vidrecon.studies.study import Clip, Drawing, Outcome, Plan, Study, averaged

if TYPE_CHECKING:
    import pandas as pd

MOST_PRESENTATIONS = 8
TARGETS = ("predicted", "recorded")
RING_DEG = 10.0
FRAMES_SHOWN = 9
SLOWED = 2
STATES = {"running_speed": "running speed (as recorded)", "pupil_diameter": "pupil diameter (px)"}
SIZE, SIZE_LABEL = "rms_difference", "difference (RMS, grey levels)"


@lru_cache(maxsize=256)
def _presentations(clip: Clip, frames: int) -> tuple[int, ...]:
    """Trials that show a clip and are long enough, itself first."""
    session = clip.mouse.open_session()
    others = [
        trial
        for trial in trials_showing(session, clip.trial)
        if trial != clip.trial and session.clip_frames(trial) >= frames
    ]
    return (clip.trial, *others)[:MOST_PRESENTATIONS]


def _shown(plan: Plan) -> dict[Clip, tuple[int, ...]]:
    """The presentations of every clip; one that is itself a presentation of an earlier clip is left out."""
    found: dict[Clip, tuple[int, ...]] = {}
    known: set[tuple[object, int]] = set()
    for clip in plan.many_clips:
        if (clip.mouse, clip.trial) not in known:
            frames = plan.trial(clip).frames if plan.scale.frames is None else plan.scale.frames[1]
            found[clip] = _presentations(clip, frames)
            known |= {(clip.mouse, trial) for trial in found[clip]}
    return found


def _specs(plan: Plan, clip: Clip, trial: int, target: str) -> list[RunSpec]:
    frames = plan.scale.frames or (0, plan.trial(clip).frames)
    changes = {} if plan.scale.frames is not None or trial == clip.trial else {"frames": frames}
    return plan.standard(Clip(clip.mouse, trial), target=target, **changes)


def runs(plan: Plan) -> Sequence[RunSpec]:
    """Every presentation of every clip, from predicted and from recorded activity."""
    return [
        spec
        for clip, trials in _shown(plan).items()
        for trial in trials
        for target in TARGETS
        for spec in _specs(plan, clip, trial, target)
    ]


@dataclass(frozen=True, eq=False)
class _Found:
    """A clip, what was reconstructed from its presentations, and what exceeds chance; measured frames only."""

    clip: Clip
    truth: np.ndarray
    presented: Presented
    added: Added
    trials: Sequence[Trial]
    pixels: np.ndarray

    @property
    def unusual(self) -> np.ndarray:
        """(presentations, frames, pixels) grey levels."""
        return np.asarray((self.added.each - self.added.usual)[:, :, self.pixels])


def evaluate(plan: Plan, store: RunStore) -> Outcome:
    """What exceeds chance in every clip, by pixel, by eccentricity and by the behaviour of the mouse.

    The table `clips` has a row a clip: mouse, clip, presentations, rms_difference and rms_unusual (grey levels;
    experienced minus expected, and that minus what is usual of the encoder), share_exceeding (0..1). The table
    `presentations` has a row a presentation: mouse, clip, trial, running_speed, pupil_diameter (both as recorded),
    rms_difference. The tables `pixels` and `eccentricity` have a row a pixel, or a ring around straight ahead: mouse,
    row, column or from_deg, to_deg, then share_exceeding and rms_difference.

    Parameters
    ----------
    plan
        Mice, clips and scale.
    store
        Where the finished runs lie.

    Returns
    -------
    Outcome
        Tables, tests, figures and a movie.
    """
    import pandas as pd

    outcome = Outcome()
    found = [each for mouse in plan.mice for each in _of_mouse(plan, store, mouse, outcome)]
    if not found:
        return outcome
    clips, presentations = pd.DataFrame(map(_clip_row, found)), pd.DataFrame(_presentation_rows(found))
    pixels = pd.DataFrame(_pixel_rows(found))
    outcome.tables = {
        "clips": clips,
        "presentations": presentations,
        "pixels": pixels,
        "eccentricity": pd.DataFrame(_ring_rows(pixels)),
    }
    fits = {
        state: statistics.pearson_fit(
            presentations[state],
            presentations[SIZE],
            f"{SIZE_LABEL} over {label}",
            **counts(presentations, CLIP_UNIT) | {"unit": "presentation"},
        )
        for state, label in STATES.items()
    }
    outcome.tests += [test for test, _ in fits.values()] + list(_half_tests(presentations))
    lines = {state: line for state, (_, line) in fits.items()}
    outcome.drawings += _drawings(plan, outcome.tables, found, lines)
    limit = _limit(found)
    outcome.add_movie(
        "brain_adds",
        "The clips shown, in grey, tinted where what the mouse experienced is brighter (orange) or darker (blue) "
        "than expected by more than chance. Half speed.",
        "Video 4, tested",
        lambda: _movie(plan, found, limit),
        fps=plan.frame_rate_hz / SLOWED,
    )
    return outcome


def _of_mouse(plan: Plan, store: RunStore, mouse: Any, outcome: Outcome) -> list[_Found]:
    shown = {clip: trials for clip, trials in _shown(plan).items() if clip.mouse == mouse}
    against: Against = "encoder" if len(shown) > FEWEST_NULLS else "noise"
    if against == "noise" and min(map(len, shown.values())) < 2:
        outcome.notes.append(
            f"{mouse.name}: not tested, as it needs more than {FEWEST_NULLS} clips, or two presentations of each; "
            f"found {number_of(len(shown), 'clip')}."
        )
        return []
    pixels = evaluation_mask(next(iter(shown)))
    presented = [_reconstructed(plan, store, clip, trials) for clip, trials in shown.items()]
    session = mouse.open_session()
    added = beyond_chance(
        presented,
        pixels,
        against=against,
        sigma=smoothing_on(session.screen, session.frame_rate_hz),
        colours=session.screen.planes,
    )
    found = []
    for (clip, trials), each, mine in zip(shown.items(), presented, added, strict=True):
        opened = [_specs(plan, clip, trial, "recorded")[0].open_trial(mouse.open_session()) for trial in trials]
        truth = opened[0].video[plan.measured(opened[0].frames)]
        found.append(_Found(clip, truth, each, mine, opened, pixels))
    share = np.mean([each.share for each in added])
    least, most = (count([each.presentations for each in added]) for count in (min, max))
    times = number_of(most, "presentation") if least == most else f"{least} to {most} presentations"
    beyond = (
        "noise and faults of the encoder"
        if against == "encoder"
        else "noise alone, so faults of the encoder are coloured too"
    )
    outcome.notes.append(
        f"{mouse.name}: {100 * share:.1f} % of the picture exceeds {beyond} ("
        f"{number_of(len(added), 'clip')}, {times} each; "
        f"false discovery rate {USUAL_Q:g} over all of them, Benjamini-Hochberg)."
    )
    return found


def _reconstructed(plan: Plan, store: RunStore, clip: Clip, trials: Sequence[int]) -> Presented:
    def movies(target: str) -> np.ndarray:
        found = [averaged(store, _specs(plan, clip, trial, target), smoothed=False) for trial in trials]
        return np.stack(found)[:, plan.measured(len(found[0]))]

    expected, experienced = map(movies, TARGETS)
    return Presented(expected, experienced, clip.name, tuple(trials))


def _rms(values: np.ndarray, axis: int | tuple[int, ...] | None = None) -> Any:
    return np.sqrt(np.mean(np.square(values), axis=axis))


def _clip_row(found: _Found) -> dict[str, Any]:
    difference = found.added.difference[:, found.pixels]
    return row(
        found.clip,
        presentations=found.added.presentations,
        rms_difference=float(_rms(difference)),
        rms_unusual=float(_rms(difference - found.added.usual[:, found.pixels])),
        share_exceeding=found.added.share,
    )


def _presentation_rows(clips: Sequence[_Found]) -> Iterator[dict[str, Any]]:
    for found in clips:
        for trial, unusual in zip(found.trials, found.unusual, strict=True):
            pupil, running = trial.behavior.mean(axis=1)
            states = {"running_speed": float(running), "pupil_diameter": float(pupil)}
            yield row(found.clip, trial=trial.id, **states, rms_difference=float(_rms(unusual)))


def _pixel_rows(clips: Sequence[_Found]) -> Iterator[dict[str, Any]]:
    for mouse in dict.fromkeys(found.clip.mouse for found in clips):
        mine = [found for found in clips if found.clip.mouse == mouse]
        pixels = mine[0].pixels
        share = np.concatenate([found.added.exceeds for found in mine]).mean(axis=0)
        size = _rms(np.concatenate([found.added.difference - found.added.usual for found in mine]), axis=0)
        degrees = mouse.open_session().screen.eccentricities_deg()
        for at in map(tuple, np.argwhere(pixels)):
            place = {"row": int(at[0]), "column": int(at[1]), "eccentricity_deg": float(degrees[at])}
            yield {"mouse": mouse.name, **place, "share_exceeding": float(share[at]), SIZE: float(size[at])}


def _ring_rows(pixels: pd.DataFrame) -> Iterator[dict[str, Any]]:
    rings = (pixels["eccentricity_deg"] // RING_DEG).astype(int)
    for (mouse, ring), mine in pixels.groupby(["mouse", rings]):
        edges = {"from_deg": ring * RING_DEG, "to_deg": (ring + 1) * RING_DEG, "pixels": len(mine)}
        size = float(_rms(mine[SIZE].to_numpy()))
        yield {"mouse": mouse, **edges, "share_exceeding": float(mine["share_exceeding"].mean()), SIZE: size}


def _half_tests(presentations: pd.DataFrame) -> Iterator[statistics.TestResult]:
    """Within clips: the presentations with more of a state against those with less."""
    for state in STATES:
        halves = []
        for _, mine in presentations.groupby(list(CLIP_UNIT)):
            ordered = mine.sort_values(state)[SIZE].to_numpy()
            if half := len(ordered) // 2:
                halves.append((ordered[-half:].mean(), ordered[:half].mean()))
        if halves:
            more, less = np.array(halves).T
            compared = f"{SIZE_LABEL}: presentations with more {state.replace('_', ' ')} - with less, clip by clip"
            yield statistics.paired_t(more, less, compared, **counts(presentations, CLIP_UNIT))


def _limit(found: Sequence[_Found]) -> float:
    sizes = np.concatenate([np.abs(each.unusual.mean(axis=0)).ravel() for each in found])
    return max(float(np.percentile(sizes, LIMIT_PERCENTILE)), 1.0)


def _drawings(
    plan: Plan, tables: Mapping[str, pd.DataFrame], found: Sequence[_Found], lines: Mapping[str, tuple[float, float]]
) -> list[Drawing]:
    return [
        Drawing(
            "frames",
            "Reconstruction from predicted activity (expected), from recorded activity (experienced), both the mean "
            "over presentations; the movie shown, tinted by their difference, smoothed; and tinted only where it "
            "exceeds chance. Orange: brighter than expected, blue: darker. Yellow: evaluation mask.",
            "Fig. 6D, tested",
            lambda: _frames_figure(plan, found[0]),
        ),
        Drawing(
            "where",
            "Left: difference of experienced from expected, without what is usual of the encoder. Right: how often it "
            "exceeds chance. Rings: eccentricity.",
            "-",
            lambda: _where_figure(plan, tables["pixels"], found),
        ),
        Drawing(
            "states",
            "Difference of a presentation from what was expected of it, over running speed, pupil diameter and "
            "eccentricity. Dots: presentations, and rings of 10 degrees; a colour each mouse. Line: least squares.",
            "-",
            lambda: _states_figure(plan, tables, lines),
        ),
    ]


def _frames_figure(plan: Plan, found: _Found) -> Figure:
    chosen = spread_frames(len(found.truth), len(found.truth), FRAMES_SHOWN)
    limit = _limit([found])
    rows = [
        ("expected", apply_mask(found.presented.expected.mean(axis=0), found.pixels)[chosen]),
        ("experienced", apply_mask(found.presented.experienced.mean(axis=0), found.pixels)[chosen]),
        ("difference", overlay(found.truth, found.added.difference, limit)[chosen]),
        ("exceeds\nchance", overlay(found.truth, found.added.shown, limit)[chosen]),
    ]
    first = (plan.scale.frames or (0, 0))[0] + plan.scale.skip_first
    times = (first + chosen) / found.trials[0].frame_rate_hz
    block = FrameBlock(rows, times.tolist(), found.clip.name, [found.pixels], found.pixels)
    return frame_rows_figure([block], title="What the brain adds", simulated=plan.simulated, error_limit=limit)


def _where_figure(plan: Plan, pixels: pd.DataFrame, found: Sequence[_Found]) -> Figure:
    rows = []
    mice = list(dict.fromkeys(each.clip.mouse for each in found))
    most = float(pixels[SIZE].max())
    often = max(float(pixels["share_exceeding"].max()), USUAL_Q)
    for mouse in mice:
        mine = pixels[pixels["mouse"] == mouse.name]
        mask = next(each.pixels for each in found if each.clip.mouse == mouse)
        maps = []
        for column, title, limit, unit in (
            (SIZE, "difference", most, "RMS (grey levels)"),
            ("share_exceeding", "exceeds chance", often, "share of frames"),
        ):
            values = np.full(mask.shape, np.nan)
            values[mine["row"], mine["column"]] = mine[column]
            maps.append(ScreenMap(values, title, (0.0, max(limit, 1e-6)), bar_label=unit, outlines=(mask,)))
        rows.append(maps)
    screen = mice[0].open_session().screen
    names = [mouse.name for mouse in mice]
    return screen_maps_figure(rows, names, title="What the brain adds", screen=screen, simulated=plan.simulated)


def _states_figure(plan: Plan, tables: Mapping[str, pd.DataFrame], lines: Mapping[str, tuple[float, float]]) -> Figure:
    presentations, rings = tables["presentations"], tables["eccentricity"]
    panels = [
        ScatterPanel(
            *(presentations[state], presentations[SIZE], label, SIZE_LABEL, list(presentations["mouse"])), lines[state]
        )
        for state, label in STATES.items()
    ]
    middle = (rings["from_deg"] + rings["to_deg"]) / 2
    panels.append(ScatterPanel(middle, rings[SIZE], "eccentricity (degrees)", SIZE_LABEL, list(rings["mouse"])))
    return panels_figure(panels, title="What the brain adds", simulated=plan.simulated)


def _movie(plan: Plan, found: Sequence[_Found], limit: float) -> Iterator[np.ndarray]:
    tinted = {each.clip: overlay(each.truth, each.added.shown, limit) for each in found}
    return mosaic_of_rows(
        plan, tinted, f"half speed; coloured where it exceeds chance (false discovery rate {USUAL_Q:g})"
    )


BRAIN_ADDS = Study(
    name="brain-adds",
    title="What the brain adds, beyond chance",
    panels="Fig. 6D-E and Video 4, with a test",
    runs=runs,
    evaluate=evaluate,
    clips=attrgetter("many_clips"),
)
"""The error maps of the paper, coloured where repeats and other clips say that they exceed chance."""
