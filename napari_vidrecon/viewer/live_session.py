"""Pictures while activity comes in: a live session in a thread of its own, whose newest picture the window shows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_vidrecon.reconstruction.decoder import Decoder
from napari_vidrecon.reconstruction.decoder_fitting import DecoderRecipe, fit_decoder
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.run_folder import at_work_on
from napari_vidrecon.sessions.session import Session
from napari_vidrecon.sessions.stimuli.stimulus import STIMULUS_TRIAL
from napari_vidrecon.storage import fitting_name
from napari_vidrecon.viewer.background import Background, Counted
from napari_vidrecon.viewer.faults import guarded
from napari_vidrecon.viewer.folders import new_run_folder
from napari_vidrecon.viewer.model import ReconstructionModel, RunState
from napari_vidrecon.viewer.opening import open_run
from napari_vidrecon.viewer.runs.jobs import Job
from napari_vidrecon.viewer.training import LEARNED_FROM

if TYPE_CHECKING:
    from napari_vidrecon.reconstruction.live import LivePicture

PICTURE_MILLISECONDS = 16
SILENT_S = 1.0
"""Without a frame for so long, it is told."""
DECODERS_FOLDER = "decoders"
REFINED_BEHIND_S = 8.0
"""How far behind the newest picture the refined ones are shown: as long as a window and its optimisation take."""
LEAST_TRIALS = 2
NO_DECODER = "A decoder makes the pictures: choose one under What, or press Fit causal."


@dataclass(frozen=True, eq=False)
class LiveView:
    """What is to be seen of a live session now.

    Parameters
    ----------
    newest
        The newest picture; None where nothing came but messages that are no frames.
    earlier
        (rows, columns) that of some seconds ago, as it is now; None before there is one.
    refined
        Whether the optimisation has refined it.
    told
        Counts and latencies.
    silent_s
        Since the last frame came, seconds.
    refused
        What was wrong with the last message that was no frame; empty without one.
    doubt
        Why frames may not be what they are taken for; empty where nothing says so.
    """

    newest: LivePicture | None
    earlier: np.ndarray | None
    refined: bool
    told: dict[str, Any]
    silent_s: float = 0.0
    refused: str = ""
    doubt: str = ""


@dataclass(frozen=True)
class CausalFitted:
    """News of a causal decoder that was fitted.

    Parameters
    ----------
    decoder
        As its file holds it.
    trials
        Learned from.
    """

    decoder: Decoder
    trials: int


@dataclass(frozen=True)
class LiveEnded:
    """News of a live session that came to its end.

    Parameters
    ----------
    frames
        That were seen.
    path
        Run folder that holds them.
    """

    frames: int
    path: Path


@dataclass(frozen=True)
class LivePlan:
    """Everything a live session of the window begins with.

    Parameters
    ----------
    session
        The mouse.
    decoder
        Makes the pictures.
    encoders
        Files of those that refine them.
    mask
        Pixels that are refined.
    trials
        To replay; empty where a stream is listened to.
    address
        Of the stream.
    mouse
        Readout of the encoders; None: by the number of neurons.
    device
        Of the encoders.
    path
        Run folder that is written.
    """

    session: Session
    decoder: Decoder
    encoders: tuple[Path, ...]
    mask: AlphaMask
    trials: tuple[int, ...]
    address: str
    mouse: int | None
    device: str
    path: Path


@dataclass
class LiveChoices:
    """What a person chooses.

    Parameters
    ----------
    source
        "trial", "session" or "stream".
    address
        Of the stream.
    refine
        Whether the ticked encoders refine the pictures.
    """

    source: str = "trial"
    address: str = "tcp://127.0.0.1:5555"
    refine: bool = True


class LiveController(Background):
    """Starts and stops live sessions of the open session; `view` is what is to be seen.

    Parameters
    ----------
    model
        Of the same window.
    runs_folder
        Tells where runs are kept.
    parent
        Qt owner.

    Attributes
    ----------
    choices
        What a person has chosen.
    view
        The newest; None before there is one.
    """

    seen = Signal(object)
    """A `LiveView`, as often as the window can."""

    def __init__(
        self, model: ReconstructionModel, runs_folder: Callable[[], Path], parent: QObject | None = None
    ) -> None:
        super().__init__(model.message.emit, parent)
        self.model, self.choices = model, LiveChoices()
        self.view: LiveView | None = None
        self._runs_folder = runs_folder
        self._looked_at: LiveView | None = None
        self._pictures = QTimer(self, interval=PICTURE_MILLISECONDS)
        self._pictures.timeout.connect(self._look)

    def start(self) -> None:
        """Begin; what cannot be is told in one line."""
        if not self.free:
            return
        with self.faults:
            plan = self._plan()
            if isinstance(plan, str):
                self.model.message.emit(plan, True)
                return
            self.view = None
            self._pictures.start()
            self.begin(Job(lambda job: _live(plan, job, self._see), "vidrecon-live"))

    def fit(self) -> None:
        """Fit a causal decoder in a few seconds, and choose it.

        It learns from the tier train; where there is none, from all other trials than the chosen one.
        """
        model = self.model
        if not self.free or model.session is None:
            return
        session, chosen = model.session, None if model.trial is None else model.trial.id
        trials = session.trials_in_tier(LEARNED_FROM)
        trials = trials if len(trials) > 1 else [each for each in session.labelled if each != chosen]
        if len(trials) < LEAST_TRIALS:
            text = f"{session.name}: a decoder learns from at least {LEAST_TRIALS} trials, and {len(trials)} are there."
            model.message.emit(text, True)
            return
        self.view = None
        path = self._runs_folder() / DECODERS_FOLDER / fitting_name(session.name, "_causal.safetensors")
        self.begin(Job(lambda job: _fit(session, trials, path, job), "vidrecon-causal"), Counted(0, len(trials)))

    def _plan(self) -> LivePlan | str:
        model, choices = self.model, self.choices
        session = model.session
        if session is None:
            return "Open a session first, under What."
        if model.decoder is None:
            return NO_DECODER
        trials: tuple[int, ...] = ()
        if choices.source == "session":
            trials = session.labelled
        elif choices.source == "trial":
            if model.trial is None or model.trial.id == STIMULUS_TRIAL:
                return "Choose a trial first, under What: a stimulus of your own has no activity to replay."
            trials = (model.trial.id,)
        return LivePlan(
            session,
            model.decoder,
            tuple(model.encoder_paths) if choices.refine else (),
            model.mask,
            trials,
            choices.address,
            model.mouse,
            model.device,
            new_run_folder(self._runs_folder(), session.name, STIMULUS_TRIAL),
        )

    def _see(self, view: LiveView) -> None:
        # From the thread: one name, of which the newest counts.
        self.view = view

    @guarded
    def _look(self) -> None:
        view = self.view
        if view is not None and view is not self._looked_at:
            self._looked_at = view
            self.seen.emit(view)

    def on_end(self, job: Job) -> None:
        """The last picture stays in the dock."""
        self._look()
        self._pictures.stop()

    def on_news(self, job: Job, news: LiveEnded | CausalFitted) -> None:
        """It is over: what was seen comes on the board; or a decoder is there, and chosen."""
        if isinstance(news, CausalFitted):
            if self.model.session is not None and self.model.session.name == news.decoder.mouse:
                self.model.set_settings(decoder=news.decoder)
            told = f"A causal decoder was fitted on {news.trials} trials, saved as {news.decoder.path}, and chosen."
            self.model.message.emit(told, False)
            return
        if not news.frames:
            self.model.message.emit("The live session ended before a frame came; nothing was written.", False)
            return
        self.model.message.emit(f"The live session of {news.frames:,} frames is kept in {news.path}.", False)
        if self.model.state not in (RunState.RUNNING, RunState.PAUSED):
            open_run(self.model, news.path)


def _fit(session: Session, trials: list[int], path: Path, job: Job) -> None:
    """In the thread: tells `Counted` after every trial, and `CausalFitted`.

    Parameters
    ----------
    session
        The mouse.
    trials
        To learn from.
    path
        The file to write.
    job
        Takes the news; stopped, it ends with the trials read so far.
    """

    def told(done: int, count: int) -> bool:
        job.tell(Counted(done, count))
        return not job.cancelled.is_set()

    fitted = fit_decoder(session, DecoderRecipe(causal=True), trial_ids=trials, on_progress=told)
    path.parent.mkdir(parents=True, exist_ok=True)
    fitted.save(path)
    job.tell(CausalFitted(Decoder.load(path), int(fitted.provenance["trials"])))


def _live(plan: LivePlan, job: Job, show: Callable[[LiveView], None]) -> None:
    """In the thread: shows views, and tells `LiveEnded`.

    Parameters
    ----------
    plan
        What it begins with.
    job
        Says when to stop.
    show
        Takes what is to be seen.
    """
    from napari_vidrecon.encoders.checkpoints import load_encoder
    from napari_vidrecon.reconstruction.live_run import LiveInputs, begin_live, drive_live
    from napari_vidrecon.sessions.activity_stream import ActivitySource, Replay, ZeroMQStream

    session, neurons = plan.session, plan.session.n_neurons
    encoders = [load_encoder(each, plan.mouse, plan.device, neurons=neurons) for each in plan.encoders]
    for encoder in encoders:
        encoder.require_neurons(neurons, session.name)
    job.leave_if_cancelled()
    source: ActivitySource = (
        Replay(session, plan.trials) if plan.trials else ZeroMQStream(plan.address, neurons, session.frame_rate_hz)
    )
    try:
        with at_work_on(plan.path):
            live = begin_live(LiveInputs(session, plan.decoder, encoders, plan.mask, source=source.name), plan.path)
            behind = round(REFINED_BEHIND_S * session.frame_rate_hz)

            newest: LivePicture | None = None
            last_s = told_s = time.monotonic()

            def look(picture: LivePicture | None, came: bool) -> bool:
                nonlocal newest, last_s, told_s
                now_s, newest = time.monotonic(), picture or newest
                last_s = now_s if came else last_s
                fault = source.fault if source.refused else ""
                silent = now_s - max(last_s, told_s) > SILENT_S
                if picture is not None or (silent and (newest is not None or fault)):
                    told_s = now_s
                    earlier, refined = live.earlier(behind) or (None, False)
                    show(LiveView(newest, earlier, refined, live.told(), now_s - last_s, fault, source.doubt))
                return not job.cancelled.is_set()

            drive_live(live, source, look)
    finally:
        source.close()
    job.tell(LiveEnded(live.frames, plan.path))
