"""The simulated mouse: a session folder made of a seed, in the format of a recorded one."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.sessions.metadata import SIMULATION_FILE
from napari_vidrecon.sessions.screen import USUAL_SCREEN, ScreenGeometry
from napari_vidrecon.sessions.simulation import signals
from napari_vidrecon.sessions.simulation.behavior import SCREEN_PX_PER_CAMERA_PX, simulate_behavior
from napari_vidrecon.sessions.simulation.camera import (
    HEIGHT,
    WIDTH,
    at_rate,
    require_screen,
    seen_by_neurons,
    usual_frames,
)
from napari_vidrecon.sessions.simulation.movies import PHOTOGRAPHS, movie
from napari_vidrecon.sessions.simulation.public_mice import PublicCortex
from napari_vidrecon.sessions.simulation.receptive_fields import KIND_NAMES
from napari_vidrecon.sessions.simulation.visual_cortex import USUAL_CENTRE_PX, USUAL_GAIN, USUAL_RADIUS_PX, VisualCortex
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ, Trial
from napari_vidrecon.sessions.writer import PADDED_FRAMES, VideoDtype, write_session
from napari_vidrecon.settings import shown

TEST_TIER, VALIDATION_TIER, TRAINING_TIER = "live_test_main", "oracle", "train"
NOTE = (
    "Simulated mouse made by napari-vidrecon: no animal, no recording. Movies, behaviour and neurons are functions "
    "of the seed. Every clip is shown once; all tiers have responses; the train tier is the only one to learn from."
)

CLIPS_OF_A_COLOUR = 1_000_000
"""Further colours show in part what clips of numbers beyond all others show."""
SHARED_BY_COLOURS = 0.5

Likeness = Literal["usual", "public"]
LIKE: dict[str, type[VisualCortex]] = {"usual": VisualCortex, "public": PublicCortex}
"""Whose statistics a simulated mouse has: its own, on which sample and arena stand, or those of the public mice."""


class MakeTrial(Protocol):
    """Makes a mouse's trial by its number."""

    def __call__(self, trial: int, *, frames: int, tier: str) -> Trial: ...


def simulate_trial(
    cortex: VisualCortex,
    trial: int,
    *,
    frames: int = 300,
    tier: str = TRAINING_TIER,
    screen: ScreenGeometry = USUAL_SCREEN,
    frame_rate_hz: float = FRAME_RATE_HZ,
) -> Trial:
    """Simulate one trial of a mouse, alone: a pure function of the mouse and the trial's number.

    Parameters
    ----------
    cortex
        The mouse's neurons; its seed is the mouse's.
    trial
        Number of the trial and of the clip it shows, >= 0.
    frames
        Length of the clip, >= 1.
    tier
        Label of the trial.
    screen, frame_rate_hz
        What the movie is shown on; where it has colours, neurons see them in turn.

    Returns
    -------
    Trial
        The trial, responses included.
    """
    drawn = usual_frames(frames, frame_rate_hz)
    size_px = screen.rows_a_colour, screen.cols
    video = movie(cortex.seed, trial, drawn, cortex.grading, size_px)
    behavior, pupil_center = simulate_behavior(cortex.seed, trial, drawn)
    planes, answers = [video], []
    for colour in range(1, screen.planes):
        # Colours of one scene are alike, but not the same.
        other = movie(cortex.seed, trial + colour * CLIPS_OF_A_COLOUR, drawn, cortex.grading, size_px)
        planes.append(SHARED_BY_COLOURS * video + (1.0 - SHARED_BY_COLOURS) * other)
    for place, plane in enumerate(planes):
        seen = plane
        if (screen.size_px, frame_rate_hz) != (USUAL_SCREEN.size_px, FRAME_RATE_HZ):
            moved = at_rate(np.moveaxis(plane, 0, -1), frames, frame_rate_hz)
            planes[place] = np.rint(np.ascontiguousarray(np.moveaxis(moved, -1, 0)))
            seen = seen_by_neurons(planes[place], frame_rate_hz)
        answers.append(cortex.responses(seen, behavior, pupil_center, trial=trial))
    video, activity = np.concatenate(planes, axis=1), answers[0]
    for place, answer in enumerate(answers):
        # Neurons see the colours in turn.
        activity[place :: screen.planes] = answer[place :: screen.planes]
    if frame_rate_hz != FRAME_RATE_HZ:
        behavior, pupil_center, activity = (
            at_rate(traces, frames, frame_rate_hz) for traces in (behavior, pupil_center, activity)
        )
    return Trial(
        id=trial,
        tier=tier,
        video=video,
        behavior=behavior,
        pupil_center=pupil_center,
        recorded_responses=activity,
        frame_rate_hz=frame_rate_hz,
        name=f"simulated mouse {cortex.seed}, trial {trial}",
        simulated=True,
        colours=screen.colours,
    )


def trial_tiers(*, train_trials: int, validation_trials: int, test_trials: int) -> list[str]:
    """Tier of every trial. Held-out trials come first, so that more training never changes them.

    Parameters
    ----------
    train_trials, validation_trials, test_trials
        How many of each.

    Returns
    -------
    list[str]
        One a trial.

    Raises
    ------
    ConfigError
        A number is below 0, or all are 0.
    """
    for name, count in {"train": train_trials, "validation": validation_trials, "test": test_trials}.items():
        _require(f"{name} trials", count, 0)
    _require("trials in all", train_trials + validation_trials + test_trials, 1)
    return [TEST_TIER] * test_trials + [VALIDATION_TIER] * validation_trials + [TRAINING_TIER] * train_trials


def simulate_session(
    folder: Path | str,
    *,
    seed: int,
    neurons: int = 1000,
    train_trials: int = 240,
    validation_trials: int = 12,
    test_trials: int = 10,
    frames: int = 300,
    video_dtype: VideoDtype = "uint8",
    small: bool = False,
    gain: float = USUAL_GAIN,
    field_radius_px: float = USUAL_RADIUS_PX,
    field_centre_px: tuple[float, float] = USUAL_CENTRE_PX,
    like: Likeness = "usual",
    screen: ScreenGeometry = USUAL_SCREEN,
    frame_rate_hz: float = FRAME_RATE_HZ,
    workers: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the session of a simulated mouse.

    Parameters
    ----------
    folder
        Where the session goes; what stood there is replaced when the new one is complete.
    seed
        >= 0; the same seed gives the same files on the same machine.
    neurons
        Size of the population, >= 1.
    train_trials, validation_trials, test_trials
        Number of clips in the tiers train, oracle, live_test_main; ids run through the test clips first, then
        validation, then training.
    frames
        Length of every clip, 1..324 at 30 Hz, and as long at other rates.
    video_dtype
        "uint8" (small) or "float32" (padded with NaN, as the public sessions are).
    small
        Store responses as float16 and only the statistics of behaviour; for shipping.
    gain
        Scales the event rate at an unchanged mean response, > 0: the lower, the noisier.
    field_radius_px
        receptive-field centres lie in a disc of this radius, px, > 0.
    field_centre_px
        (row, column) of the disc on the 36 x 64 screen.
    like
        "usual", or "public": brightness of the movies and statistics of the activity are those of the public mice, and
        `gain` has no effect.
    screen, frame_rate_hz
        What the movies are shown on. The neurons see it averaged to 36 x 64 pixels at 30 Hz.
    workers
        Processes that simulate; the files do not depend on it.
    on_progress
        Called with (trials done, trials in all).

    Returns
    -------
    Path
        The session folder.

    Raises
    ------
    ConfigError
        A number is out of range.
    StorageError
        The folder cannot be written.

    References
    ----------
    Not of the paper; responses and behaviour follow the statistics of the Sensorium 2023 mice.

    Examples
    --------
    >>> import tempfile
    >>> import napari_vidrecon as vr
    >>> sizes = {"train_trials": 1, "validation_trials": 1, "test_trials": 1, "frames": 40}
    >>> folder = vr.simulate_session(tempfile.mkdtemp() + "/mouse", seed=1, neurons=5, small=True, **sizes)
    >>> vr.open_session(folder).n_neurons
    5
    """
    require_screen(screen, frame_rate_hz)
    require_sizes(seed, neurons, usual_frames(frames, frame_rate_hz))
    tiers = trial_tiers(train_trials=train_trials, validation_trials=validation_trials, test_trials=test_trials)
    if like not in LIKE:
        raise ConfigError(f"simulated mouse: expected one of {', '.join(LIKE)} to be like, found {shown(like)}")
    for what, number in {"gain": gain, "field radius": field_radius_px}.items():
        if not number > 0:
            raise ConfigError(f"simulated mouse: expected {what} above 0, found {number}")
    row, column = field_centre_px
    if not (0 <= row < HEIGHT and 0 <= column < WIDTH):
        raise ConfigError(
            f"simulated mouse: expected the fields' centre on the {HEIGHT} x {WIDTH} screen, found {row:g}, "
            f"{column:g}; it is told in pixels of that screen, whatever the mouse's own"
        )
    cortex = LIKE[like](neurons, seed, radius_px=field_radius_px, centre=field_centre_px, gain=gain)
    notes = describe(cortex, tiers, frames)
    notes |= {"frame_rate_hz": frame_rate_hz, "screen_px": list(screen.size_px)}
    if screen.colours:
        notes["colours"] = list(screen.colours)
    if (screen, frame_rate_hz) != (USUAL_SCREEN, FRAME_RATE_HZ):
        notes["fields_on_px"] = list(USUAL_SCREEN.size_px)
    if like != "usual":
        notes["like"] = like
    return write_mouse(
        folder,
        partial(simulate_trial, cortex, screen=screen, frame_rate_hz=frame_rate_hz),
        tiers,
        frames=frames,
        coordinates=cortex.coordinates,
        notes=notes,
        video_dtype=video_dtype,
        small=small,
        screen=screen,
        workers=workers,
        on_progress=on_progress,
    )


def write_mouse(
    folder: Path | str,
    make_trial: MakeTrial,
    tiers: list[str],
    *,
    frames: int,
    coordinates: np.ndarray,
    notes: dict[str, Any],
    video_dtype: VideoDtype = "uint8",
    small: bool = False,
    screen: ScreenGeometry = USUAL_SCREEN,
    workers: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the session of any simulated mouse.

    Parameters
    ----------
    folder
        Where the session goes; what stood there is replaced when the new one is complete.
    make_trial
        Makes a trial by its number; can be pickled where several processes shall simulate.
    tiers
        Tier of every trial.
    frames
        Length of every clip.
    coordinates
        (N, 3) cortical positions, µm.
    notes
        What the mouse says of itself, ready for JSON.
    video_dtype
        "uint8" (small) or "float32" (padded with NaN, as the public sessions are).
    small
        Store responses as float16 and only the statistics of behaviour; for shipping.
    screen
        Its size and distance.
    workers
        Processes that simulate; the files do not depend on it.
    on_progress
        Called with (trials done, trials in all).

    Returns
    -------
    Path
        The session folder.

    Raises
    ------
    StorageError
        The folder cannot be written.
    """
    return write_session(
        folder,
        _trials(make_trial, tiers, frames, workers),
        coordinates=coordinates,
        video_dtype=video_dtype,
        small=small,
        padded_frames=max(PADDED_FRAMES, frames),
        screen=screen,
        extra_files={SIMULATION_FILE: json.dumps(notes, indent=1) + "\n"},
        on_trial=None if on_progress is None else lambda done: on_progress(done, len(tiers)),
    )


def describe(cortex: VisualCortex, tiers: list[str], frames: int) -> dict[str, object]:
    """Everything about a simulation that a reader of its files may want to check, ready for JSON.

    Parameters
    ----------
    cortex
        The neurons.
    tiers
        Tier of every trial.
    frames
        Length of every clip.

    Returns
    -------
    dict[str, object]
        Plain values.
    """
    fields = cortex.fields
    numbers = {
        "row_px": fields.row,
        "column_px": fields.column,
        "sigma_px": fields.sigma,
        "aspect": fields.aspect,
        "period_px": fields.period,
        "orientation_rad": fields.orientation,
        "phase_rad": fields.phase,
        "transience": fields.transience,
        "threshold": cortex.threshold,
        "mean_event_rate_hz": cortex.preferred_rate_hz,
        "event_size": cortex.event_size,
        "running_gain": cortex.running_gain,
        "pupil_gain": cortex.pupil_gain,
    }
    per_neuron: dict[str, list[float] | list[str]] = {
        name: np.round(values.astype(float), 4).tolist() for name, values in numbers.items()
    }
    per_neuron["kind"] = [KIND_NAMES[kind] for kind in fields.kind]
    per_neuron["direction"] = fields.direction.tolist()
    return {
        "simulated": True,
        "vidrecon_note": NOTE,
        "seed": cortex.seed,
        "neurons": len(cortex),
        "frames": frames,
        "trials": {tier: tiers.count(tier) for tier in dict.fromkeys(tiers)},
        "frame_rate_hz": FRAME_RATE_HZ,
        "scan_rate_hz": signals.SCAN_RATE_HZ,
        "screen_px": [HEIGHT, WIDTH],
        "field_radius_px": cortex.radius_px,
        "field_centre_px": list(cortex.centre),
        "mean_rate_hz": cortex.mean_rate,
        "gain": cortex.gain,
        "gaze_px_per_camera_px": SCREEN_PX_PER_CAMERA_PX,
        "photographs": PHOTOGRAPHS,
        "per_neuron": per_neuron,
    }


def require_sizes(seed: int, neurons: int, frames: int) -> None:
    """Refuse what no mouse can have.

    Parameters
    ----------
    seed
        At least 0.
    neurons
        At least 1.
    frames
        Of a clip, 1..324.

    Raises
    ------
    ConfigError
        A number is out of range.
    """
    _require("seed", seed, 0)
    _require("neurons", neurons, 1)
    _require("frames", frames, 1, PADDED_FRAMES)


def _require(name: str, value: int, lowest: int, highest: int | None = None) -> None:
    if value < lowest or (highest is not None and value > highest):
        expected = f"at least {lowest}" if highest is None else f"{lowest} to {highest}"
        raise ConfigError(f"simulated mouse: expected {name} of {expected}, found {value}")


def _trials(make: MakeTrial, tiers: list[str], frames: int, workers: int) -> Iterator[Trial]:
    tasks = (partial(make, trial, frames=frames, tier=tier) for trial, tier in enumerate(tiers))
    if workers <= 1:
        for task in tasks:
            yield task()
        return
    with ProcessPoolExecutor(workers) as pool:
        pending: deque[Future[Trial]] = deque()
        for task in tasks:
            pending.append(pool.submit(task))
            # Finished trials must not pile up in memory faster than they are written.
            if len(pending) > 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
