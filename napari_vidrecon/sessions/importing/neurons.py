"""Which neurons of a recording can be used: dead ones and broken ones are dropped or refused, and always said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions.importing.recording import Recording
from napari_vidrecon.sessions.importing.recording_reader import ImportSettings
from napari_vidrecon.sessions.importing.trials import TrialCut, samples_of
from napari_vidrecon.sessions.trial_files import NEGATIVE_RESPONSE_TOLERANCE

PLAUSIBLE_MEAN = (0.01, 1000.0)
"""Mean activity, in the units of the recording, outside of which training is likely to fail; public mice: 2 to 5."""
NAMED_NEURONS = 5


def usable_neurons(recording: Recording, cuts: list[TrialCut], settings: ImportSettings) -> Recording:
    """The same recording with only those neurons that are finite and change during the trials, and none below zero.

    Parameters
    ----------
    recording
        Its report takes notes.
    cuts
        The trials.
    settings
        What becomes of bad neurons and of negative activity.

    Returns
    -------
    Recording
        Of the neurons that are left.

    Raises
    ------
    SessionError
        Bad neurons or negative activity are to be refused, or no neuron is left.
    """
    neurons = len(recording.activity.values)
    broken = np.zeros(neurons, dtype=bool)
    lowest, highest = np.full(neurons, np.inf), np.full(neurons, -np.inf)
    total, count = 0.0, 0
    for cut in cuts:
        samples = samples_of(recording, cut)
        broken |= ~np.isfinite(samples).all(axis=1)
        lowest = np.fmin(lowest, samples.min(axis=1))
        highest = np.fmax(highest, samples.max(axis=1))
        total, count = total + float(np.nansum(samples[~broken])), count + int((~broken).sum()) * samples.shape[1]
    dead = ~broken & (lowest == highest)
    for kind, which in (("NaN or infinite in a trial", broken), ("the same in every sample", dead)):
        if which.any():
            _drop_or_refuse(recording, which, kind, settings)
    keep = ~(broken | dead)
    if not keep.any():
        raise SessionError(
            f"{recording.activity.source}: expected neurons whose activity is finite and changes, "
            f"found none among {neurons}; choose another array"
        )
    lowest_kept, highest_kept = float(lowest[keep].min()), float(highest[keep].max())
    values = _kept(recording, keep, lowest_kept, highest_kept, settings)
    mean = max(total / max(count, 1), 0.0)
    if not PLAUSIBLE_MEAN[0] <= mean <= PLAUSIBLE_MEAN[1]:
        text = f"its mean is {mean:.3g}; the public mice have 2 to 5, and training may need a scale nearer to theirs"
        recording.report.add("warning", "activity", text)
    return replace(
        recording,
        activity=recording.activity.chosen(keep, values),
        coordinates=None if recording.coordinates is None else recording.coordinates[keep],
        neuron_ids=(np.arange(1, neurons + 1) if recording.neuron_ids is None else recording.neuron_ids)[keep],
    )


def _drop_or_refuse(recording: Recording, which: np.ndarray, kind: str, settings: ImportSettings) -> None:
    places = np.flatnonzero(which)
    named = ", ".join(map(str, places[:NAMED_NEURONS])) + (" ..." if len(places) > NAMED_NEURONS else "")
    if settings.bad_neurons == "refuse":
        raise SessionError(
            f"{recording.activity.source}: expected activity that is finite and changes, "
            f"found {len(places)} neurons that are {kind} (rows {named}); drop them (--bad-neurons drop) or mend them"
        )
    recording.report.add("dropped", "activity", f"{len(places)} neurons that are {kind} (rows {named})")


def _kept(
    recording: Recording, keep: np.ndarray, lowest: float, highest: float, settings: ImportSettings
) -> np.ndarray:
    """Activity of the neurons that are kept, none below 0; copied once at most, as it may fill half of the memory."""
    values = recording.activity.values
    if lowest >= 0:
        return values if keep.all() else values[keep]
    if lowest < -NEGATIVE_RESPONSE_TOLERANCE * max(highest, 1.0) and settings.negative == "refuse":
        raise SessionError(
            f"{recording.activity.source}: expected activity of at least 0, found values down to {lowest:.4g}; "
            "use deconvolved activity, or set what is below 0 to 0 with --negative clip"
        )
    kept = np.empty((int(keep.sum()), values.shape[1]), values.dtype)
    below = 0
    for row, place in enumerate(np.flatnonzero(keep)):
        below += int((values[place] < 0).sum())
        np.maximum(values[place], 0, out=kept[row])
    text = f"{below / kept.size:.2%} of the samples were below 0, down to {lowest:.4g}; they are set to 0"
    recording.report.add("repaired", "activity", text)
    return kept
