"""Training an encoder, and fitting and choosing a decoder: on what, how long, into which file, and how good it is."""

from __future__ import annotations

import math
from collections import Counter
from functools import partial
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFileDialog, QLabel, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_vidrecon.errors import number_of
from napari_vidrecon.reconstruction.decoder import DECODER_SUFFIX
from napari_vidrecon.viewer.background import subscribe
from napari_vidrecon.viewer.fits import DecoderFitController
from napari_vidrecon.viewer.folders import last_folder, remember_last_folder
from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.opening import load_decoder, try_to
from napari_vidrecon.viewer.panels.controls import (
    FewLines,
    JobBar,
    button,
    in_one_place,
    put,
    row,
    stack,
    whole_number,
)
from napari_vidrecon.viewer.plots import theme_colours
from napari_vidrecon.viewer.tooltips import TOOLTIPS, explain
from napari_vidrecon.viewer.training import (
    ARCHITECTURE,
    ENCODER_SUFFIX,
    LEARNED_FROM,
    SCORED_ON,
    TrainingController,
)

MOST_STEPS = 1_000_000
STEPS_OF_AN_ARROW = 100
PLAIN = ""
"""The theme's own colour of text."""
TOLD_LINES, VERDICT_LINES = 2, 8
"""The verdict stands where it was said what it is about, and has as many lines."""


class TrainingPanel(QWidget):
    """Starts and stops a training, and says what came of it.

    Parameters
    ----------
    training
        Trains in the background.
    parent
        The widget that owns it.
    """

    mask_asked = Signal()

    def __init__(self, training: TrainingController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._training, self._model = training, training.model
        self.about = explain(FewLines(VERDICT_LINES), "training_session")
        self.architecture = explain(QLabel(ARCHITECTURE), "training_architecture")
        self.steps = whole_number("training_steps", 1, MOST_STEPS, self._take_steps, STEPS_OF_AN_ARROW)
        self.file = explain(QElidingLabel(), "training_file")
        self.file.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.file_button = button("Choose…", "choose_training_file", self._ask_file)
        self.start_button = button("Start", "start_training", training.start)
        self.bar = JobBar(training, ("training_progress", "stop_training"), "Stop", "step", parent=self)
        self.told = explain(FewLines(TOLD_LINES), "training_told")
        self.verdict = explain(FewLines(VERDICT_LINES), "training_verdict")
        self.next_button = button("Next: fit the mask", "after_training", self.mask_asked.emit)
        self._lay_out()
        subscribe(self, self._model.session_changed, self._show)
        training.changed.connect(self._show)
        self._show()

    def _take_steps(self) -> None:
        self._training.set_steps(self.steps.value())

    def _ask_file(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self,
            "File of the encoder",
            str(self._training.path),
            f"Encoders (*{ENCODER_SUFFIX})",
            # A file that is there is not replaced, so there is nothing to confirm; a stopped training goes on.
            options=QFileDialog.Option.DontConfirmOverwrite,
        )
        if name:
            self._training.set_path(Path(name if name.endswith(ENCODER_SUFFIX) else name + ENCODER_SUFFIX))

    def _show(self) -> None:
        training = self._training
        busy = training.busy
        session = training.session if busy else self._model.session
        trials = Counter() if session is None else Counter(session.tiers.values())
        ready = bool(trials[LEARNED_FROM])
        if session is None:
            about = "Open a session first, under What."
        elif not ready:
            about = (
                f"{session.name} has no trials of the tier “{LEARNED_FROM}”, so that there is nothing to learn from."
            )
        else:
            simulated = " (simulated mouse)" if session.simulated else ""
            about = (
                f"Session {session.name}{simulated}: {session.n_neurons} neurons. "
                f"It learns from {trials[LEARNED_FROM]} trials (tier {LEARNED_FROM}) and is scored on "
                f"{trials[SCORED_ON]} (tier {SCORED_ON})."
            )
        self.about.write(about, PLAIN)
        if session is not None:
            put(self.steps, training.steps)
        path = training.path
        self.file.setText("" if path is None else path.name)
        self.file.setToolTip(f"<qt>{TOOLTIPS['training_file']}<p>{path or ''}</p></qt>")
        for control in (self.steps, self.file_button, self.start_button):
            control.setEnabled(ready and not busy)
        # The bar takes their place, so that nothing moves.
        for made in (self.start_button, self.next_button):
            made.setVisible(not busy)
        self.start_button.setText("Go on" if not busy and training.goes_on else "Start")
        self._show_progress()
        self.next_button.setEnabled(training.result is not None)

    def _show_progress(self) -> None:
        training, _colours = self._training, theme_colours(self)
        progress, result = training.progress, training.result
        told = "Loss and validation correlation appear here."
        if training.busy and progress is None:
            told = "Reading the trials …"
        elif progress is not None:
            score = progress.correlation if result is None else result.correlation
            scored = "not scored yet" if math.isnan(score) else f"{score:.3f}"
            told = f"Step {progress.step} of {progress.steps} · loss {progress.loss:.4f} · correlation {scored}"
        self.told.write(told, PLAIN)
        if result is not None:
            self.verdict.write(result.verdict, "green" if result.good else "orange")
        elif not training.busy and training.goes_on:
            kept = "A stopped training of this file is kept: Go on leads on from there, with the same number of steps."
            self.verdict.write(kept, "orange")
        else:
            self.verdict.write("", "green")
        take_turns(self.about, self.verdict)

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.steps.setSuffix(" steps")
        layout.addLayout(in_one_place(self.about, self.verdict))
        layout.addLayout(row(QLabel("Encoder:"), self.architecture, self.steps, stretch=2))
        layout.addLayout(row(QLabel("File:"), self.file, self.file_button, stretch=1))
        layout.addLayout(in_one_place(row(self.start_button, self.next_button), self.bar))
        layout.addWidget(self.told)


def take_turns(about: FewLines, verdict: FewLines) -> None:
    """What it is about stands there until it is known what came of it: a low window has no room for both."""
    verdict.setVisible(bool(verdict.told))
    about.setVisible(not verdict.told)


class DecoderFitPanel(QWidget):
    """Fits a decoder, and says what came of it.

    Parameters
    ----------
    fitting
        Fits in the background.
    parent
        The widget that owns it.
    """

    def __init__(self, fitting: DecoderFitController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._fitting, self._model = fitting, fitting.model
        self.about = explain(FewLines(VERDICT_LINES), "decoder_fit_session")
        self.start_button = button("Fit", "start_decoder_fit", fitting.start)
        self.bar = JobBar(fitting, ("decoder_fit_progress", "stop_decoder_fit"), "Stop", "trial", parent=self)
        self.verdict = explain(FewLines(VERDICT_LINES), "decoder_verdict")
        stack(self, in_one_place(self.about, self.verdict), in_one_place(self.start_button, self.bar))
        subscribe(self, self._model.session_changed, self._show)
        fitting.changed.connect(self._show)
        self._show()

    def _show(self) -> None:
        session, _colours, result = self._model.session, theme_colours(self), self._fitting.result
        trials = Counter() if session is None else Counter(session.tiers.values())
        ready = trials[LEARNED_FROM] > 1
        if session is None:
            about = "Open a session first, under What."
        elif not ready:
            there = number_of(trials[LEARNED_FROM], "trial")
            about = f"{session.name} has {there} of the tier “{LEARNED_FROM}”; two are needed."
        else:
            about = (
                "A decoder makes a movie straight from activity, by ridge regression. Runs that start from its movie, "
                f"and stay near it where the encoder has nothing to say, come out a little better. It learns from "
                f"{trials[LEARNED_FROM]} trials (tier {LEARNED_FROM}) and is measured on {trials[SCORED_ON]} (tier "
                f"{SCORED_ON}), inside the evaluation mask."
            )
        self.about.write(about, PLAIN)
        self.start_button.setEnabled(ready and not self._fitting.busy)
        self.start_button.setVisible(not self._fitting.busy)
        if result is None:
            self.verdict.write("", "green")
        else:
            learned = f" Learned from {number_of(result.trials, 'trial')}. Saved as {result.decoder.path}."
            self.verdict.write(result.verdict + learned, "green" if result.good else "orange")
        take_turns(self.about, self.verdict)


NO_DECODER = "none"
DECODER_FILTER = f"Decoders (*{DECODER_SUFFIX})"


class DecoderChoice(QWidget):
    """One row of a form.

    Parameters
    ----------
    model
        The state of the window.
    """

    fit_asked = Signal()

    def __init__(self, model: ReconstructionModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self.name = explain(QElidingLabel(), "decoder")
        self.name.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.choose_button = button("Choose…", "choose_decoder", self._ask)
        self.fit_button = button("Fit…", "fit_decoder", self.fit_asked.emit)
        self.remove_button = button("Remove", "remove_decoder", partial(model.set_settings, decoder=None))
        layout = row(self.name, self.choose_button, self.fit_button, self.remove_button, stretch=0)
        layout.setContentsMargins(0, 0, 0, 0)
        self.setLayout(layout)
        for signal in (model.session_changed, model.settings_changed):
            subscribe(self, signal, self._show)
        self._show()

    def load(self, path: Path) -> None:
        """Take the decoder of a file."""
        if try_to(self._model, load_decoder, self._model, path):
            remember_last_folder(path.parent)

    def _ask(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Choose a decoder", str(last_folder()), DECODER_FILTER)
        if name:
            self.load(Path(name))

    def _show(self) -> None:
        chosen = self._model.decoder
        self.name.setText(NO_DECODER if chosen is None else Path(chosen.path).stem)
        told = "" if chosen is None else f"<p>{chosen.path}</p>"
        self.name.setToolTip(f"<qt>{TOOLTIPS['decoder']}{told}</qt>")
        for control in (self.choose_button, self.fit_button):
            control.setEnabled(self._model.session is not None)
        self.remove_button.setEnabled(chosen is not None)
