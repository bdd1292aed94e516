"""Where the run is, and what has to be done before one can start, in one line that a stranger understands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from napari_vidrecon.errors import number_of
from napari_vidrecon.reconstruction.recipe import ARROW, OF_NEURONS, most_telling
from napari_vidrecon.viewer.model import ErrorMode, ReconstructionModel, RunRecord, RunState

SECONDS_TOLD_EXACTLY = 90
NAME_LETTERS, TAIL_SHARE = 20, 0.6
NEURONS_TOO = ("neurons_of", "neuron_details", "neuron_weights", "ablation")


class Mood(StrEnum):
    """How a status is to look."""

    CALM = "calm"
    BUSY = "busy"
    GOOD = "good"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Status:
    """What to tell.

    Parameters
    ----------
    text
        One line.
    hint
        A second line, or empty: what was changed and what to press.
    mood
        How it looks.
    done
        Part of the steps that is done, 0..1, or None where there is nothing to show.
    """

    text: str
    hint: str = ""
    mood: Mood = Mood.CALM
    done: float | None = None


def missing(model: ReconstructionModel) -> str:
    """The first thing that has to be done, and where; empty if nothing."""
    if model.session is None:
        return "Open a session first: press “Simulated mouse” or “Open” under What."
    if model.trial is None:
        return "Choose a trial first, under What."
    if not model.encoder_paths:
        return "Choose an encoder first, under What: tick one of the list, add a file, or train one."
    if model.stimulus is not None and model.target != "predicted":
        return (
            "No activity was recorded for a stimulus: choose the target “predicted activity” under How, "
            "or a trial under What."
        )
    if not model.trial.labelled and model.target != "predicted":
        return (
            f"The responses to trial {model.trial.id} are withheld (tier {model.trial.tier}): "
            "choose another trial under What, or the target “predicted activity” under How."
        )
    return ""


def status(model: ReconstructionModel, missing: str = "") -> Status:
    """Describe a model's run.

    Parameters
    ----------
    missing
        What has to be done before a run can start, or empty.

    Returns
    -------
    Status
        Text, detail and mood.
    """
    state, stale = model.state, _stale(model)
    if state == RunState.LOADING:
        return Status(f"{model.loading or 'Preparing'}…", mood=Mood.BUSY)
    if state in (RunState.RUNNING, RunState.PAUSED):
        return _going_on(model, stale)
    if state == RunState.FAILED:
        return Status("The run ended with an error", "See the message; then press Start again.", Mood.ERROR)
    if model.shown is not None:
        return _at_rest(model, stale)
    if missing:
        return Status("Not ready to start", missing)
    return Status(f"{model.loading}…" if model.loading else "Ready: press Start")


def _going_on(model: ReconstructionModel, stale: str) -> Status:
    hint = f"Settings changed since Start: {stale}. Press Rerun." if stale else ""
    if stale and _could_be_applied(model):
        hint = f"Changed since Start: {stale}. Press Rerun, or tick “Apply while running”."
    if model.run_is_counterpart:
        other = "recorded" if model.target == "predicted" else "predicted"
        hint = f"For the error map, from {other} activity. {hint}".strip()
    snapshot = model.newest
    if snapshot is None:
        return Status("First step…", hint, Mood.BUSY, 0.0)
    step, steps = snapshot.info.step, snapshot.info.steps
    done = step / steps
    if model.stopping:
        return Status(f"Stopping after step {step} of {steps}…", hint, Mood.BUSY, done)
    if model.state == RunState.PAUSED:
        return Status(f"Paused at step {step} of {steps}: press Resume", hint, Mood.WARNING, done)
    known = np.isfinite(snapshot.steps_per_second) and snapshot.steps_per_second > 0
    speed = (
        f" · {speed_in_words(snapshot.steps_per_second)} · {time_in_words(snapshot.seconds_left)} left" if known else ""
    )
    return Status(f"Step {step} of {steps}{speed}", hint, Mood.BUSY, done)


def _at_rest(model: ReconstructionModel, stale: str) -> Status:
    assert model.shown is not None
    result = model.shown.result
    step, steps = len(result.history), result.config.steps
    took = time_in_words(model.shown.seconds)
    # Of a long one as much as leaves room for what became of it.
    name = f"{without_middle(model.shown.name, NAME_LETTERS)}: " if len(model.runs) > 1 else ""
    if stale:
        return Status(
            f"{name}{step} of {steps} steps in {took}",
            f"Settings changed since this run: {stale}. Press Rerun.",
            Mood.WARNING,
            step / steps,
        )
    if result.finished:
        by_colour = f"video r by colour: {model.shown.by_colour}" if model.shown.by_colour else ""
        hint = _lost(model, model.shown) or by_colour
        word = f"{name}finished" if name else "Finished"
        return Status(f"{word}, {number_of(steps, 'step')} in {took}", hint, Mood.GOOD, 1.0)
    hint = "Resume goes on from there." if result.state is not None and not result.provenance.get("changes") else ""
    word = f"{name}stopped" if name else "Stopped"
    return Status(f"{word} at step {step} of {steps}", hint, Mood.WARNING, step / steps)


def _lost(model: ReconstructionModel, shown: RunRecord) -> str:
    """What the movie lost with its neurons, where that is looked at, and what else was changed."""
    fuller = model.fuller
    if model.error_mode is not ErrorMode.LOST or fuller is None:
        return ""
    # Of the runs without the difference in neurons.
    alike = {name: getattr(fuller.recipe, name) for name in (*OF_NEURONS, *NEURONS_TOO)}
    others = fuller.recipe.differences(shown.recipe.changed(**alike))
    also = f"; not of neurons alone: {most_telling(others)}" if others else ""
    return f"{fuller.name} {ARROW} {shown.name}: video r {fuller.correlation:.3f} {ARROW} {shown.correlation:.3f}{also}"


def _could_be_applied(model: ReconstructionModel) -> bool:
    """Whether what was changed is what a run can take while it goes on."""
    made_with = model.recipe_of_board
    if made_with is None:
        return False
    before, after = made_with.compared(), model.recipe().compared()
    return any(before[name] != after[name] for name in ("mask_threshold", "mask_content", *OF_NEURONS))


def _stale(model: ReconstructionModel) -> str:
    made_with = model.recipe_of_board
    if made_with is None or not model.stale:
        return ""
    # The evaluation mask says how a run is looked at; moving it never asks for another run.
    present = model.recipe().changed(evaluation_threshold=made_with.evaluation_threshold)
    return most_telling(made_with.differences(present))


def speed_in_words(steps_per_second: float) -> str:
    """Speed of a run: "3.2 steps/s", or "4.1 s/step" where that is slower than one a second."""
    if not np.isfinite(steps_per_second) or steps_per_second <= 0:
        return "– steps/s"
    return f"{steps_per_second:.1f} steps/s" if steps_per_second >= 1 else f"{1 / steps_per_second:.1f} s/step"


def time_in_words(seconds: float) -> str:
    """Time for people: "21 s", "3 min", "1 h 20 min"."""
    if not np.isfinite(seconds):
        return "– s"
    if seconds < SECONDS_TOLD_EXACTLY:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def without_middle(name: str, most: int) -> str:
    """A long name in at most so many letters: "dynamic…trial2_2026"; its two ends tell more than its middle."""
    tail = round(TAIL_SHARE * (most - 1))
    return name if len(name) <= most else f"{name[: most - 1 - tail]}…{name[-tail:]}"
