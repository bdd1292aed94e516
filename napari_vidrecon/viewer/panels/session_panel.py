"""What is reconstructed: the session, the trial, how much of it, the encoders, and a decoder."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from qtpy.QtCore import QModelIndex, QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QEnterEvent, QShowEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_vidrecon.encoders import ENCODER_SUFFIXES
from napari_vidrecon.errors import number_of
from napari_vidrecon.sessions.repeats import trials_showing
from napari_vidrecon.viewer.background import subscribe
from napari_vidrecon.viewer.contributions.files import is_recording
from napari_vidrecon.viewer.folders import (
    home,
    recent_folders,
    remember_folder,
)
from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.opening import is_run, open_path, open_sample, try_to
from napari_vidrecon.viewer.panels.controls import (
    busily,
    button,
    choice,
    choose,
    emphasise,
    form,
    menu_button,
    narrow,
    put,
    row,
    set_options,
    take_out_rows,
    tick,
    whole_number,
    words,
)
from napari_vidrecon.viewer.panels.mice_choice import MiceChoice
from napari_vidrecon.viewer.panels.training_panel import DecoderChoice
from napari_vidrecon.viewer.tooltips import TOOLTIPS, explain

EVERY_TIER = "every tier"
LETTERS_OF_A_TRIAL = 3
"""Capitals, besides those of its number: as much room as the word takes, less what Qt adds for an icon."""
LEAST_FRAMES = 32
FRAME_STEP = 8
MOST_ENCODERS_SEEN = 4
MOST_MICE = 99
REPEATS_ASKED = "fit together"


class SessionPanel(QWidget):
    """Opens data and chooses what to reconstruct from.

    Parameters
    ----------
    model
        The state of the window.
    """

    import_asked = Signal()
    training_asked = Signal()
    recording_found = Signal(Path)
    """What was opened has to be imported first."""
    run_opened = Signal()

    def __init__(self, model: ReconstructionModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self.sample_button = button("Simulated mouse", "sample", self.open_sample)
        self.open_button = button("Open…", "open_session", self._ask_session)
        self.recent_button = menu_button("Recent", "recent", self._fill_recent)
        self._show_recent()
        self.import_button = button("Import…", "import_recording", self.import_asked.emit)
        self.session_name = explain(QElidingLabel(), "session_name")
        self.session_name.setElideMode(Qt.TextElideMode.ElideMiddle)
        font = self.session_name.font()
        font.setBold(True)
        self.session_name.setFont(font)
        self.session_facts = words()
        self.tier = choice("tier", {}, self._take_tier)
        self.trial = choice("trial", {}, self._take_trial)
        # Never less than its number, or trial 512 is read as 5: the names of tiers beside it give way.
        self.trial.setMinimumWidth(0)
        self.trial.setMinimumContentsLength(LETTERS_OF_A_TRIAL)
        self.repeats = tick(REPEATS_ASKED, "repeats", self._take_repeats)
        self.first_frame = whole_number("first_frame", 0, 0, self._take_frames, FRAME_STEP)
        self.last_frame = whole_number("last_frame", 0, 0, self._take_frames, FRAME_STEP, before="to ")
        narrow(self.first_frame, self.last_frame)
        self.all_button = button("All", "all_frames", self._take_all_frames)
        self.encoders = explain(QListWidget(), "encoders")
        self.encoders.setItemDelegate(_NeverWider(self.encoders))
        self.encoders.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.encoders.itemChanged.connect(lambda _item: self._take_encoders())
        self.add_button = button("Add…", "add_encoder", self._ask_encoder)
        self.train_button = button("Train…", "train_encoder", self.training_asked.emit)
        self.mouse = whole_number("mouse", -1, MOST_MICE, self._take_mouse)
        self.mouse.setSpecialValueText("auto")
        narrow(self.mouse)
        self.decoder = DecoderChoice(model)
        self.mice = MiceChoice(model)
        self.fields = form()
        self._lay_out()
        subscribe(self, model.session_changed, self._show_session)
        subscribe(self, model.trial_changed, self._show_trial)
        subscribe(self, model.settings_changed, self._show_repeats)
        subscribe(self, model.encoders_changed, self._show_encoders)
        self._show_session()
        self._show_trial()
        self._show_encoders()

    # What a person asks for

    def open_sample(self) -> None:
        """Open the simulated mouse."""
        self._busily(partial(open_sample, self._model))

    def open(self, path: Path) -> bool:
        """Open a session, a run, an encoder, a decoder or a mask; a raw recording asks to be imported.

        Returns
        -------
        bool
            Whether it was opened; if not, one line says why.
        """
        opened = self._busily(partial(self._open, path))
        if opened and path.is_dir():
            remember_folder(path)
            self._show_recent()
            if is_run(path):
                self.run_opened.emit()
        return opened

    def _open(self, path: Path) -> None:
        if is_recording(path):
            self.recording_found.emit(path)
        else:
            open_path(self._model, path)

    def _busily(self, action: Callable[[], object]) -> bool:
        with busily():
            return try_to(self._model, action)

    def _ask_session(self) -> None:
        recent = recent_folders()
        start = str(recent[0].parent if recent else home())
        name = QFileDialog.getExistingDirectory(self, "Open a session or a saved run", start)
        if name:
            self.open(Path(name))

    def _fill_recent(self, menu: QMenu) -> None:
        for path in recent_folders():
            menu.addAction(path.name, partial(self.open, path)).setToolTip(str(path))

    def showEvent(self, event: QShowEvent) -> None:
        """What was opened elsewhere may be opened here again."""
        super().showEvent(event)
        self._show_recent()

    def enterEvent(self, event: QEnterEvent) -> None:
        """The same, for a page that was in sight all the time."""
        super().enterEvent(event)
        self._show_recent()

    def _show_recent(self) -> None:
        self.recent_button.setEnabled(bool(recent_folders()))

    def _ask_encoder(self) -> None:
        endings = " ".join(f"*{suffix}" for suffix in ENCODER_SUFFIXES)
        files = self._model.encoder_files
        start = str(files[0].parent if files else home())
        names, _ = QFileDialog.getOpenFileNames(self, "Add encoders", start, f"Encoders ({endings})")
        for name in names:
            self.open(Path(name))

    # From the controls to the model

    def _take_tier(self, tier: str) -> None:
        self._fill_trials(tier)
        if self.trial.count():
            self._take_trial(self.trial.itemData(0))

    def _take_trial(self, trial_id: int | str) -> None:
        if isinstance(trial_id, str):
            return
        session, (start, stop) = self._model.session, self._model.clip
        assert session is not None

        def take() -> None:
            if not session.has_movie(trial_id):
                told = f"No movie says what was shown in trial {trial_id}: its reconstruction cannot be checked."
                self._model.message.emit(f"{told} “vidrecon evidence” says whether there is anything to see.", False)
            fits = start + LEAST_FRAMES <= session.clip_frames(trial_id)
            self._model.set_trial(trial_id, *((start, stop) if fits else (0, None)))

        if not self._busily(take):
            self._show_trial()

    def _take_repeats(self, wanted: bool) -> None:
        model = self._model
        if model.session is None or model.trial is None:
            return
        session, trial_id = model.session, model.trial.id

        def take() -> None:
            others = [each for each in trials_showing(session, trial_id) if each != trial_id] if wanted else []
            model.set_repeats(tuple(others))
            if wanted and not others:
                model.message.emit(f"The clip of trial {trial_id} was shown once, so there is nothing to add.", False)

        self._busily(take)
        self._show_repeats()

    def _take_frames(self) -> None:
        trial = self._model.trial
        if trial is None:
            return
        start, stop = self.first_frame.value(), self.last_frame.value()
        if (start, stop) != (self._model.clip[0], self._model.clip[0] + trial.frames):
            start = min(start, self._frames_in_trial - LEAST_FRAMES)
            stop = max(stop, start + LEAST_FRAMES)
            self._busily(partial(self._model.set_trial, trial.id, start, stop))

    def _take_all_frames(self) -> None:
        if self._model.trial is not None and self._model.clip != (0, None):
            self._busily(partial(self._model.set_trial, self._model.trial.id))

    def _take_encoders(self) -> None:
        items = [self.encoders.item(index) for index in range(self.encoders.count())]
        ticked = [item.data(Qt.ItemDataRole.UserRole) for item in items if item.checkState() == Qt.CheckState.Checked]
        # Where there is no encoder, a line says so instead.
        self._model.set_encoders([path for path in ticked if path is not None])

    def _take_mouse(self) -> None:
        self._model.set_settings(mouse=None if self.mouse.value() < 0 else self.mouse.value())

    # From the model to the controls

    @property
    def _frames_in_trial(self) -> int:
        model = self._model
        if model.session is None or model.trial is None:
            return 0
        return model.trial.frames if model.stimulus is not None else model.session.clip_frames(model.trial.id)

    def _show_session(self) -> None:
        session = self._model.session
        for control in (
            self.tier, self.trial, self.first_frame, self.last_frame, self.all_button, self.add_button, self.mouse,
            self.encoders, self.train_button,
        ):  # fmt: skip
            control.setEnabled(session is not None)
        emphasise(self.sample_button, session is None)
        if session is None:
            self.session_name.setText("No session is open")
            self.session_facts.setText("Start with the simulated mouse, or open a session folder.")
            return
        self.session_name.setText(session.name)
        facts = [number_of(session.n_neurons, "neuron"), number_of(len(session.trial_ids), "trial")]
        if session.simulated:
            # One line at 1024 pixels, or the encoders' buttons stand below the edge of the page.
            facts.insert(0, "<b>simulated</b>")
        self.session_facts.setText(" · ".join(facts))
        tiers = dict.fromkeys(session.tiers.values())
        # How many trials each has is in its tooltip: beside a public name there is no room for it.
        counts = {tier: len(session.trials_in_tier(tier)) for tier in tiers}
        if len(tiers) > 1:
            counts[EVERY_TIER] = len(session.trial_ids)
        options = {tier: tier for tier in counts}
        set_options(self.tier, options)
        for index, (tier, count) in enumerate(counts.items()):
            self.tier.setItemData(index, f"{tier}: {number_of(count, 'trial')}", Qt.ItemDataRole.ToolTipRole)
        self._fill_trials(next(iter(options.values())))

    def _fill_trials(self, tier: str) -> None:
        session = self._model.session
        assert session is not None
        trials = session.trial_ids if tier == EVERY_TIER else session.trials_in_tier(tier)
        every = tier == EVERY_TIER
        set_options(
            self.trial, {f"{trial} · {session.tiers[trial]}" if every else f"trial {trial}": trial for trial in trials}
        )
        self.trial.setMinimumContentsLength(LETTERS_OF_A_TRIAL + len(str(max(trials, default=0))))

    def _show_trial(self) -> None:
        trial = self._model.trial
        if trial is None:
            return
        stimulus = self._model.stimulus
        if stimulus is not None:
            self._show_stimulus(stimulus.name)
        elif (
            self.tier.currentData() not in (trial.tier, EVERY_TIER)
            or self.trial.findData(trial.id) < 0
            or isinstance(self.trial.itemData(0), str)
        ):
            choose(self.tier, trial.tier)
            self._fill_trials(trial.tier)
        choose(self.trial, trial.id)
        frames, start = self._frames_in_trial, self._model.clip[0]
        with QSignalBlocker(self.first_frame), QSignalBlocker(self.last_frame):
            self.first_frame.setRange(0, max(frames - LEAST_FRAMES, 0))
            self.last_frame.setRange(min(LEAST_FRAMES, frames), frames)
            self.first_frame.setValue(start)
            self.last_frame.setValue(start + trial.frames)
            self.all_button.setToolTip(f"<qt>{TOOLTIPS['all_frames']} It has {frames} frames.</qt>")
        self.all_button.setEnabled(trial.frames < frames)
        for control in (self.first_frame, self.last_frame):
            control.setEnabled(stimulus is None)
        self._show_repeats()

    def _show_repeats(self) -> None:
        model = self._model
        others = model.repeats
        self.repeats.setEnabled(model.trial is not None and model.trial.labelled and model.stimulus is None)
        put(self.repeats, bool(others))
        self.repeats.setText(f"fit together ({len(others)} more)" if others else REPEATS_ASKED)
        which = f" Now also trials {', '.join(map(str, others))}." if others else ""
        self.repeats.setToolTip(f"<qt>{TOOLTIPS['repeats']}{which}</qt>")

    def _show_stimulus(self, name: str) -> None:
        """Show what is on the board as an entry of its own, which goes when a trial is chosen."""
        first = self.trial.itemData(0)
        if not isinstance(first, str):
            with QSignalBlocker(self.trial):
                self.trial.insertItem(0, name, name)
        self.trial.setItemText(0, name)
        self.trial.setItemData(0, name)
        choose(self.trial, name)

    def _show_encoders(self) -> None:
        files = self._model.encoder_files
        with QSignalBlocker(self.encoders):
            take_out_rows(self.encoders)
            for path in files:
                item = QListWidgetItem(path.stem)
                item.setToolTip(str(path))
                item.setData(Qt.ItemDataRole.UserRole, path)
                chosen = path in self._model.encoder_paths
                item.setCheckState(Qt.CheckState.Checked if chosen else Qt.CheckState.Unchecked)
                self.encoders.addItem(item)
            if not files:
                self.encoders.addItem("No encoder yet: add or train one.")
                self.encoders.item(0).setFlags(Qt.ItemFlag.NoItemFlags)
        emphasise(self.train_button, self._model.session is not None and not files)
        seen = min(max(len(files), 1), MOST_ENCODERS_SEEN)
        line = max(self.encoders.sizeHintForRow(0), self.fontMetrics().height() * 5 // 4)
        self.encoders.setFixedHeight(line * seen + line // 2)
        put(self.mouse, -1 if self._model.mouse is None else self._model.mouse)

    def _frames_row(self) -> QHBoxLayout:
        layout = QHBoxLayout()
        for widget, stretch in (
            (self.first_frame, 3),
            # "to 300" is three letters longer.
            (self.last_frame, 4),
            (self.all_button, 0),
        ):
            layout.addWidget(widget, stretch)
        return layout

    def _lay_out(self) -> None:
        fields = self.fields
        fields.addRow("Trial", row(self.tier, self.trial, stretch=0))
        fields.addRow("Repeats", self.repeats)
        fields.addRow("Frames", self._frames_row())
        fields.addRow("Encoders", self.encoders)
        fields.addRow("of mouse", row(self.mouse, self.add_button, self.train_button, stretch=0))
        fields.addRow("Decoder", self.decoder)
        # A longer label would widen the whole page.
        fields.addRow("+ mice", self.mice)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row(self.sample_button, self.open_button, self.recent_button))
        layout.addWidget(self.session_name)
        layout.addWidget(self.session_facts)
        layout.addLayout(fields)


class _NeverWider(QStyledItemDelegate):
    """Cuts a long name, with dots: a bar to scroll sideways with would lie over the only row of a list."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        """As high as its letters, and as wide as the list."""
        return QSize(1, super().sizeHint(option, index).height())
