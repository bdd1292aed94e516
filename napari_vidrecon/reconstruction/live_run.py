"""A live session with all that goes with it: its run folder, and the optimisation behind it in a thread of its own."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_vidrecon.encoders.answers import check_session_fits
from napari_vidrecon.encoders.encoder import Canvas, Encoder
from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.decoder import Decoder
from napari_vidrecon.reconstruction.live import LivePicture, LiveSession, Stretch, times_longer
from napari_vidrecon.reconstruction.live_record import LiveRecord
from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD, TRAINING_THRESHOLD, AlphaMask
from napari_vidrecon.reconstruction.recipe import content_hash, fingerprint
from napari_vidrecon.reconstruction.targets import build_target
from napari_vidrecon.sessions.session_statistics import MovieStatistics
from napari_vidrecon.sessions.stimuli.stimulus import STIMULUS_TRIAL
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.sessions.trial_files import MINIMUM_FRAMES

if TYPE_CHECKING:
    from napari_vidrecon.sessions.activity_stream import ActivitySource
    from napari_vidrecon.sessions.session import Session

WINDOW_FRAMES, MARGIN_FRAMES = 96, 16
"""At 30 Hz; of faster movies more, as an encoder takes more of them at once."""
LONGEST_WAIT_S = 0.02
"""For the next frame; then somebody may ask to stop."""
BACKGROUND_NICENESS = 10
"""How far the thread stands back where something is to be shown now."""


class WindowOptimisation:
    """Refines windows of a live session by the optimisation, from the decoder's pictures on.

    Parameters
    ----------
    encoders
        Of this mouse, gradients averaged.
    mask
        Pixels inside it are refined; the others stay the decoder's.
    decoder
        Where each window starts from.
    frame_rate_hz
        Of the frames.
    config
        None: the preset `fast`.
    movies
        Tells what the movies of the session are like; None: nothing does.
    window_frames
        At once, at least 32; None: 96, and as long in seconds where the rate is higher than 30 Hz.
    mask_threshold
        Alpha of the pixels that are refined.

    Raises
    ------
    ConfigError
        A window that is too short.
    """

    def __init__(
        self,
        encoders: Sequence[Encoder],
        mask: AlphaMask,
        decoder: Decoder,
        *,
        frame_rate_hz: float = 30.0,
        config: ReconstructionConfig | None = None,
        movies: Callable[[], MovieStatistics | None] | None = None,
        window_frames: int | None = None,
        mask_threshold: float = TRAINING_THRESHOLD,
    ) -> None:
        longer = times_longer(frame_rate_hz)
        self.margin_frames = round(MARGIN_FRAMES * longer)
        window_frames = round(WINDOW_FRAMES * longer) if window_frames is None else window_frames
        if window_frames < max(MINIMUM_FRAMES, 2 * self.margin_frames + 1):
            least = max(MINIMUM_FRAMES, 2 * self.margin_frames) + 1
            raise ConfigError(f"window: expected at least {least} frames, found {window_frames}")
        mask.on(
            encoders[0].spec.canvas, EVALUATION_THRESHOLD if mask_threshold > EVALUATION_THRESHOLD else mask_threshold
        )
        self.window_frames, self.config = window_frames, config or ReconstructionConfig.preset("fast")
        self._encoders, self._mask, self._decoder = encoders, mask, decoder
        self._frame_rate_hz, self._movies, self._mask_threshold = frame_rate_hz, movies, mask_threshold
        self._inside = mask.binary(mask_threshold)
        self._lock, self._news, self._rest = threading.Lock(), threading.Event(), threading.Event()
        self._rest.set()
        self._wanted: Stretch | None = None
        self._done: tuple[int, np.ndarray] | None = None
        self._fault: Exception | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="live refinement", daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether it would take another window now."""
        return self._rest.is_set() and self._done is None and not self._closed

    def refine(self, stretch: Stretch) -> None:
        """Begin with a window."""
        self._rest.clear()
        self._wanted = stretch
        self._news.set()

    def take(self) -> tuple[int, np.ndarray] | None:
        """Start and movie of the window that it is done with, once; raises what ended it."""
        if self._fault is not None:
            raise self._fault
        with self._lock:
            done, self._done = self._done, None
        return done

    def wait(self, seconds: float) -> None:
        """Until it is done with what it has begun, at most so long."""
        self._rest.wait(seconds)

    def close(self) -> None:
        """Refine no more; what goes on ends after its step."""
        self._closed = True
        self._news.set()
        self._thread.join()

    def _work(self) -> None:
        with contextlib.suppress(AttributeError, OSError):
            # On Linux threads have their own.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BACKGROUND_NICENESS)
        while True:
            self._news.wait()
            self._news.clear()
            if self._closed:
                return
            stretch, self._wanted = self._wanted, None
            if stretch is None:
                continue
            try:
                movie = self._refined(stretch)
            except Exception as error:  # noqa: BLE001  # raised where its result is taken
                self._fault = error
                self._rest.set()
                return
            if movie is not None:
                with self._lock:
                    self._done = stretch.start, movie
            self._rest.set()

    def _refined(self, stretch: Stretch) -> np.ndarray | None:
        # Torch is loaded by who brings encoders; without any, a live session starts in a second.
        from napari_vidrecon.reconstruction.reconstructor import Reconstructor
        from napari_vidrecon.reconstruction.spectral_prior import about_movies

        trial = Trial(
            id=STIMULUS_TRIAL,
            tier="live",
            video=stretch.truth,
            behavior=stretch.behavior,
            pupil_center=stretch.pupil_center,
            recorded_responses=stretch.activity,
            frame_rate_hz=self._frame_rate_hz,
            name=f"frames from {stretch.start} on",
            movies=self._movies,
            colours=self._encoders[0].spec.canvas.colours,
        )
        stated, _ = about_movies(self.config, trial, self._encoders)
        target = build_target("recorded", trial, self._encoders, None, "drop", stated.seed)
        shared = (trial, self._encoders, self._mask, target, stated, self._mask_threshold)
        run = Reconstructor(*shared, decoder=self._decoder)
        while not run.finished:
            if self._closed:
                return None
            run.step()
        return np.where(self._inside, np.clip(run.video, 0.0, 255.0), stretch.pictures).astype(np.float32)


@dataclass(frozen=True)
class LiveInputs:
    """What decides a live session besides what comes in.

    Parameters
    ----------
    session
        Of the mouse: its neurons, its usual behaviour, what its movies are like.
    decoder
        Shows the pictures.
    encoders
        Refine them; none: nobody does.
    mask
        Pixels that are refined.
    config
        Of the refinement; None: the preset `fast`.
    source
        Where activity comes from, for people.
    """

    session: Session
    decoder: Decoder
    encoders: Sequence[Encoder] = ()
    mask: AlphaMask | None = None
    config: ReconstructionConfig | None = None
    source: str = ""

    @property
    def chosen_mask(self) -> AlphaMask:
        """The mask, or the whole screen."""
        return self.mask or AlphaMask.full(Canvas.of_screen(*self.session.screen.size_px))

    def attributes(self) -> dict[str, Any]:
        """Of the run, as a run's folder keeps them."""
        config = self.config or ReconstructionConfig.preset("fast")
        session, decoder, mask = self.session, self.decoder, self.chosen_mask
        started = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        name = f"live {started[:16].replace('T', ' ')}"
        names = [each.spec.name for each in self.encoders]
        decisive: dict[str, Any] = {
            "live_session": session.name,
            "decoder": decoder.sha256,
            "encoders": [each.spec.sha256 or each.spec.name for each in self.encoders],
            "mask": content_hash(mask.alpha),
            "mask_threshold": TRAINING_THRESHOLD,
            "evaluation_threshold": EVALUATION_THRESHOLD,
            "config": config.decisive,
        }
        inputs = {
            "session": str(session.path),
            "trial": STIMULUS_TRIAL,
            "frames": None,
            "stimulus": name,
            "encoders": [each.spec.path for each in self.encoders],
            "target_encoders": [],
            "decoder": decoder.path or None,
        }
        provenance = {
            **{key: each for key, each in decisive.items() if key not in ("config", "live_session")},
            "session": f"{session.name}, {name}",
            "trial": STIMULUS_TRIAL,
            "target": {"kind": "recorded"},
            "ensemble": "gradients" if len(names) > 1 else "single",
            "fingerprint": fingerprint(decisive),
            "inputs": inputs,
            "encoder_names": names,
            "mask_source": mask.source,
            "neuron_reason": "all neurons",
            "simulated": session.simulated,
            "frame_rate_hz": session.frame_rate_hz,
            **({"colours": list(session.screen.colours)} if session.screen.colours else {}),
            "devices": [str(each.device) for each in self.encoders] or ["cpu"],
            "source": self.source,
            "started": started,
            "live": {},
        }
        # What nobody refines is done in one step.
        steps = config.steps if self.encoders else 1
        history = {"step": list(range(1, steps + 1)), **{name: [None] * steps for name in ("loss", "seconds")}}
        return {
            "config": config.changed(steps=steps).model_dump(),
            "provenance": provenance,
            "history": history,
            "levels": {},
        }


def begin_live(inputs: LiveInputs, path: Path | None, *, replace: bool = False) -> LiveSession:
    """A live session that waits for its first frame.

    Parameters
    ----------
    inputs
        What decides it.
    path
        Run folder that grows with it; one of the same session is gone on with. None: nothing is kept.
    replace
        Replace another run that stands there.

    Returns
    -------
    LiveSession
        `end_live` ends it.

    Raises
    ------
    ConfigError
        The decoder is of another mouse or screen.
    EncoderError
        An encoder is of another screen or frame rate.
    MaskError
        No pixel would be refined.
    RunError
        Another run is at `path`.
    StorageError
        Something else is there, or nothing can be written.
    """
    session, decoder = inputs.session, inputs.decoder
    decoder.require_neurons(session.n_neurons, session.name)
    screen, rate_hz = session.screen, session.frame_rate_hz
    decoder.require_screen(screen.size_px, screen.colours, session.name, frame_rate_hz=rate_hz)
    behavior, pupil_center = session.average_behavior()
    mask = inputs.chosen_mask
    for encoder in inputs.encoders:
        check_session_fits(encoder, session)
    refiner = None
    if inputs.encoders:
        about = {"frame_rate_hz": session.frame_rate_hz, "config": inputs.config, "movies": session.movie_statistics}
        refiner = WindowOptimisation(inputs.encoders, mask, decoder, **about)  # type: ignore[arg-type]
    record = None
    if path is not None:
        record = LiveRecord(path, inputs.attributes(), mask.alpha, session.n_neurons, decoder.size_px, replace=replace)
    return LiveSession(
        decoder, behavior, pupil_center, frame_rate_hz=session.frame_rate_hz, record=record, refiner=refiner
    )


def drive_live(live: LiveSession, source: ActivitySource, on_look: Callable[[LivePicture | None, bool], bool]) -> None:
    """Take what comes until the source ends, and end the session: what was seen is on disk afterwards.

    Parameters
    ----------
    live
        Takes the frames.
    source
        Gives them.
    on_look
        Called many times a second with the newest picture, None where there is no newer one, and whether anything
        came; returns whether to go on.
    """
    try:
        going_on, refused = True, live.counts.refused
        while going_on and not source.ended:
            frames = source.take(LONGEST_WAIT_S)
            live.counts.refused = refused + source.refused
            going_on = on_look(live.take(frames), bool(frames))
            if frames:
                live.prepare()
        live.finish()
    finally:
        end_live(live)


def end_live(live: LiveSession) -> None:
    """Let go of the threads of a live session; what was seen is on disk afterwards."""
    if isinstance(live.refiner, WindowOptimisation):
        live.refiner.close()
    if live.record is not None:
        live.record.close()
