"""From a recording to a session folder, with a report of everything done on the way."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions.activity_figures import (
    MOST_CLIPS_COMPARED,
    MOST_TRIALS,
    ActivityMeter,
    spread_over,
)
from napari_vidrecon.sessions.importing.mouse import behavior_of, prepared_behavior, recorded_streams, usable_neurons
from napari_vidrecon.sessions.importing.recording import ImportReport, Recording
from napari_vidrecon.sessions.importing.recording_reader import ImportSettings
from napari_vidrecon.sessions.importing.resampling import ScreenFit, on_video_clock
from napari_vidrecon.sessions.importing.spikes import UNIT_NOTE, Spikes
from napari_vidrecon.sessions.importing.stimuli import FilmPixels, StimulusMovie
from napari_vidrecon.sessions.importing.tiers import (
    TRAINING_TIER,
    VALIDATION_TIER,
    ClipLook,
    chosen_tiers,
    movie_groups,
    movies_in_several_folds,
    require_known,
    require_no_leak,
)
from napari_vidrecon.sessions.importing.trials import TrialCut, cut_trials
from napari_vidrecon.sessions.metadata import SIMULATION_FILE
from napari_vidrecon.sessions.screen import USUAL_SCREEN, ScreenGeometry
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.sessions.writer import (
    PADDED_FRAMES,
    REPORT_FILE,
    REPORT_TEXT_FILE,
    require_session_or_nothing,
    write_session,
)
from napari_vidrecon.storage import disk_errors, user_path

FEW_TRIALS = 60
"""With fewer trials than this an encoder learns little."""

DARKEST_LIKELY = 32.0
"""Movies that never get brighter were most likely stored with other values of black and white."""
STRETCHED_BY = 0.1
"""Pixels that are higher or wider by this share are told: the size of a screen may be that of another one."""
TALL = 1.1
"""No screen before a mouse is so many times as high as wide: rows and columns may have changed places."""

USUAL_PROPORTIONS, SAME_PROPORTIONS = (9 / 16, 10 / 16, 3 / 4), 0.01
"""Of screens: rows over columns."""

OnProgress = Callable[[str, int, int], None]


def import_recording(
    recording: Recording,
    folder: Path | str,
    settings: ImportSettings | None = None,
    on_progress: OnProgress | None = None,
) -> ImportReport:
    """Write the session folder of a recording: resampled, cut into trials, split into tiers.

    Parameters
    ----------
    recording
        What a reader found.
    folder
        Where the session goes; it appears whole or not at all. `import.json` and `import.txt` in it repeat the report.
        Of an earlier session there, what a person had put into it stays where it was.
    settings
        The choices; see there for the defaults.
    on_progress
        Called with what is being done, the trials done and the trials in all.

    Returns
    -------
    ImportReport
        The report: the reader's notes and everything that was resampled, filled, dropped or repaired here.

    Raises
    ------
    SessionError
        The recording cannot be used; nothing is written then.
    StorageError
        The folder cannot be written.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> report = vr.import_recording(recording, "my_mouse")  # doctest: +SKIP
    """
    folder = user_path(folder)
    require_session_or_nothing(folder)
    settings = settings or ImportSettings()
    report = replace(recording.report, notes=list(recording.report.notes))
    recording = replace(recording, report=report)
    cuts = cut_trials(recording, settings.longest_trial_frames, settings.frame_rate_hz)
    recording = prepared_behavior(usable_neurons(recording, cuts, settings), cuts)
    _note_resampling(recording, cuts, settings)
    clips = ClipStore(recording, settings.fit, folder.absolute().parent, settings.screen)
    try:
        return _written(recording, folder, cuts, clips, settings, on_progress)
    finally:
        clips.close()


def _written(
    recording: Recording,
    folder: Path | str,
    cuts: list[TrialCut],
    clips: ClipStore,
    settings: ImportSettings,
    on_progress: OnProgress | None,
) -> ImportReport:
    report = recording.report
    tiers = _tiers(recording, cuts, clips, settings, on_progress)
    _note_activity(recording, cuts)
    _note_totals(recording, cuts, tiers)

    def on_trial(done: int) -> None:
        if on_progress is not None:
            on_progress("writing", done, len(cuts))

    extra = {
        REPORT_FILE: json.dumps({"settings": settings.model_dump(), **report.as_values()}, indent=1) + "\n",
        REPORT_TEXT_FILE: report.as_text(),
    }
    if recording.simulated:
        told = {"simulated": True, "vidrecon_note": "Imported from a recording that says it is a simulation."}
        extra[SIMULATION_FILE] = json.dumps(told) + "\n"
    write_session(
        folder,
        _trials(recording, cuts, tiers, clips, settings.frame_rate_hz),
        coordinates=recording.coordinates,
        unit_ids=recording.neuron_ids,
        padded_frames=max(PADDED_FRAMES, *(cut.frames for cut in cuts)),
        screen=settings.screen,
        extra_files=extra,
        on_trial=on_trial,
    )
    return report


class ClipStore:
    """Clips of films as the screen showed them, made once: decoding takes long. They wait in a file without a name.

    Parameters
    ----------
    recording
        Whose movies they are.
    fit
        How movies of other proportions meet the screen.
    place
        A folder on the disk that takes the session.
    screen
        Its pixels.
    """

    def __init__(
        self, recording: Recording, fit: ScreenFit, place: Path, screen: ScreenGeometry = USUAL_SCREEN
    ) -> None:
        self._recording, self._fit, self.screen = recording, fit, screen
        existing = next((each for each in (place, *place.parents) if each.is_dir()), None)
        with disk_errors(place):
            self._file = tempfile.TemporaryFile(dir=existing)  # noqa: SIM115  # closed by whoever made this
        self._at: dict[object, tuple[int, tuple[int, ...]]] = {}

    def clip(self, cut: TrialCut) -> np.ndarray:
        """What the screen showed in a trial: (T, rows, columns) float32, grey levels 0..255."""
        movie = self._recording.movies[self._recording.presentations[cut.presentation].movie]
        if not isinstance(movie.pixels, FilmPixels):
            return cut.video(self._recording, self._fit, self.screen)
        key = cut.clip_key(self._recording)
        if key in self._at:
            start, shape = self._at[key]
            self._file.seek(start)
            return np.frombuffer(self._file.read(4 * math.prod(shape)), np.float32).reshape(shape).copy()
        found = cut.video(self._recording, self._fit, self.screen)
        start = self._file.seek(0, os.SEEK_END)
        with disk_errors(self._recording.name):
            self._file.write(found.tobytes())
        self._at[key] = start, found.shape
        return found

    def close(self) -> None:
        """Remove it."""
        self._file.close()


def _trials(
    recording: Recording, cuts: list[TrialCut], tiers: list[str], clips: ClipStore, rate_hz: float
) -> Iterator[Trial]:
    for number, (cut, tier) in enumerate(zip(cuts, tiers, strict=True)):
        behavior, pupil_center = behavior_of(recording, cut)
        yield Trial(
            id=number,
            tier=tier,
            video=clips.clip(cut),
            behavior=behavior,
            pupil_center=pupil_center,
            recorded_responses=_activity(recording, cut),
            frame_rate_hz=rate_hz,
            name=f"{recording.name}, trial {number}",
            simulated=recording.simulated,
            colours=clips.screen.colours,
            recorded_behavior=recorded_streams(recording),
        )


def _activity(recording: Recording, cut: TrialCut) -> np.ndarray:
    return np.maximum(on_video_clock(recording.activity, cut.edges_s), 0.0)


def _note_activity(recording: Recording, cuts: list[TrialCut]) -> None:
    """Say what the activity is like beside the public mice, and what its units may be."""
    meter = ActivityMeter()
    for place in spread_over(len(cuts), MOST_TRIALS):
        meter.add(_activity(recording, cuts[int(place)]))
    clips: dict[object, list[TrialCut]] = defaultdict(list)
    for cut in cuts:
        clips[cut.clip_key(recording)].append(cut)
    left = MOST_CLIPS_COMPARED
    for same in clips.values():
        if 1 < len(same) <= left:
            left -= len(same)
            meter.add_repeats(_activity(recording, cut) for cut in same)
    figures = meter.figures()
    if figures is None:
        return
    told = ", ".join(f"{name} {text}" for name, text in figures.rows().items())
    recording.report.add("read", "activity", f"{told}; docs/units.md")
    for text in figures.unusual():
        recording.report.add("warning", "activity", text)


def _tiers(
    recording: Recording,
    cuts: list[TrialCut],
    clips: ClipStore,
    settings: ImportSettings,
    on_progress: OnProgress | None,
) -> list[str]:
    known: dict[object, ClipLook] = {}
    looks, brightest = [], 0.0
    for done, cut in enumerate(cuts, start=1):
        key = cut.clip_key(recording)
        if key not in known:
            clip = clips.clip(cut)
            known[key], brightest = ClipLook.of(clip), max(brightest, float(clip.max()))
        looks.append(known[key])
        if on_progress is not None:
            on_progress("hashing", done, len(cuts))
    if not any(look.thumbnail.any() for look in known.values()):
        raise SessionError(
            f"{recording.name}: expected movies, found nothing but even grey in every one; choose other files"
        )
    _require_bright(brightest, recording)
    sources: list[object] = [cut.clip_key(recording) for cut in cuts]
    if not settings.within_movie:
        sources = [_source(recording, cut) for cut in cuts]
    groups = movie_groups(looks, sources)
    hashes = [look.hash for look in looks]
    astray = movies_in_several_folds(groups, hashes)
    if astray:
        text = f"{astray} movies have showings in several folds; hold out tiers, or see vidrecon info --duplicates"
        recording.report.add("warning", "folds", text)
    if recording.tiers is not None:
        tiers = [cut.tier for cut in cuts]
        require_known(tiers, recording.name)
        require_no_leak(tiers, groups, recording.name)
        for tier in (TRAINING_TIER, VALIDATION_TIER):
            if tier not in tiers:
                text = f"no trial is of the tier {tier}, which training needs"
                recording.report.add("warning", "trials", text)
        return tiers
    if settings.within_movie:
        text = "parts of one movie may be both trained on and held out (--within-movie): scores may be too good"
        recording.report.add("warning", "trials", text)
    shares = settings.test_share, settings.validation_share
    return chosen_tiers(groups, hashes, *shares, recording.report, within_movie=settings.within_movie)


def _require_bright(brightest: float, recording: Recording) -> None:
    """Refuse movies of 0 and 1 that were taken for grey levels up to 255, and warn of others that are nearly black."""
    if brightest > DARKEST_LIKELY:
        return
    found = f"{recording.name}: expected movies of grey levels 0 to 255, found none above {brightest:.3g}"
    if brightest <= 1.0:
        raise SessionError(f"{found}; if 1 was shown as white, say so: levels = [0, 1], or --levels 0:1")
    text = f"no grey level is above {brightest:.3g} of 255: if that was shown as white, say so (--levels)"
    recording.report.add("warning", "stimulus", text)


def _source(recording: Recording, cut: TrialCut) -> tuple[int, int]:
    """What may not be split: the frames of a movie that were shown without a pause."""
    shown = recording.presentations[cut.presentation]
    return shown.movie, int(shown.frames[0])


def _note_resampling(recording: Recording, cuts: list[TrialCut], settings: ImportSettings) -> None:
    report, screen = recording.report, settings.screen
    rate = recording.activity.rate_hz
    how = "averaged over each frame" if rate > 1.5 * settings.frame_rate_hz else "interpolated linearly"
    text = UNIT_NOTE if isinstance(recording.activity, Spikes) else f"{rate:.4g} Hz to the video clock, {how}"
    report.add("resampled", "activity", text)
    if abs(screen.pixel_height_over_width - 1.0) > STRETCHED_BY:
        text = (
            f"{screen.rows_a_colour} x {screen.cols} pixels on {screen.width_cm:g} x {screen.height_cm:g} cm are "
            f"{screen.pixel_height_over_width:.2g} times as high as wide, which angles follow; if they were not "
            "stretched so, give the size of what they fill, --screen-cm WIDTH,HEIGHT,DISTANCE"
        )
        report.add("warning", "screen", text)
    for movie in {recording.presentations[cut.presentation].movie for cut in cuts}:
        shown = recording.movies[movie]
        height, width = shown.size_px
        rows = screen.rows_a_colour
        same = height * screen.cols == width * rows
        if height > TALL * width and not same and settings.axes is None:
            # The axes of a film are its own.
            film = isinstance(shown.pixels, FilmPixels)
            stored = "if they are stored (frame, x, y), give --axes twh"
            turned = "was it shown so? else turn the film" if film else stored
            text = f"{height} x {width} pixels are taller than wide: {turned}"
            report.add("warning", "stimulus", text)
        if settings.axes is None and _frames_last(shown, (rows, screen.cols)):
            text = (
                f"{len(shown)} frames of {height} x {width} pixels: if these are {width} frames of {len(shown)} x "
                f"{height} pixels, say so (--axes nhwt, or hwt where it is one clip)"
            )
            report.add("warning", "stimulus", text)
        if (height, width) != (rows, screen.cols):
            fit = "same proportions" if same else {"pad": "padded with mid grey", "crop": "cropped"}.get(settings.fit)
            text = f"{height} x {width} pixels averaged over area to {rows} x {screen.cols}, {fit or 'stretched'}"
            report.add("resampled", "stimulus", text)
        if screen.colours:
            report.add("resampled", "stimulus", f"colours kept apart, one below the other: {', '.join(screen.colours)}")
        elif shown.coloured:
            report.add("resampled", "stimulus", "colour to grey: 0.299 red + 0.587 green + 0.114 blue")
        if shown.levels != (0.0, 255.0):
            text = f"{shown.pixels.dtype} values {shown.levels[0]:g} to {shown.levels[1]:g} to grey levels 0 to 255"
            report.add("resampled", "stimulus", text)
    if report.mentions("resampled", "stimulus"):
        report.add("resampled", "stimulus", "grey levels rounded to whole ones")


def _frames_last(movie: StimulusMovie, screen_px: tuple[int, int]) -> bool:
    """Whether an array's frames and rows have the proportions of a screen, and its rows and columns have not."""
    if movie.coloured or not isinstance(movie.pixels, np.ndarray):
        return False
    usual = *USUAL_PROPORTIONS, screen_px[0] / screen_px[1]
    height, width = movie.size_px
    like = [
        any(abs(ratio / each - 1) < SAME_PROPORTIONS for each in usual)
        for ratio in (len(movie) / height, height / width)
    ]
    return like == [True, False]


def _note_totals(recording: Recording, cuts: list[TrialCut], tiers: list[str]) -> None:
    report = recording.report
    if len(cuts) < FEW_TRIALS:
        text = f"{len(cuts)} trials are few; an encoder learns from about {FEW_TRIALS} on"
        report.add("warning", "trials", text)
    if recording.coordinates is None:
        report.add("warning", "coordinates", "none given; everything but plots of cortex works without")
    report.totals = {
        "neurons": len(recording.activity.values),
        "trials": len(cuts),
        "trials_by_tier": dict(Counter(tiers).most_common()),
        "frames": sum(cut.frames for cut in cuts),
        "minutes": round(sum(float(cut.edges_s[-1] - cut.edges_s[0]) for cut in cuts) / 60, 2),
    }
