"""What a monkey does with the window: presses, drags, deletes, opens good and damaged things, all by a seed."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from napari._qt.dialogs.qt_notification import NapariQtNotification
from napari.layers import Layer
from qtpy.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent, QMouseEvent
from qtpy.QtWidgets import (
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QLineEdit,
    QListWidget,
    QPushButton,
    QSpinBox,
    QTreeWidget,
    QWidget,
)

from benchmarks.safety.monkey_answers import damaged_things
from benchmarks.safety.monkey_layers import LayerMoves
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.viewer.background import Background
from napari_vidrecon.viewer.contributions import commands
from napari_vidrecon.viewer.contributions.commands import SHORTCUTS
from napari_vidrecon.viewer.contributions.files import get_reader
from napari_vidrecon.viewer.main_widget import ReconstructionWidget
from napari_vidrecon.viewer.main_window import main_window_of
from napari_vidrecon.viewer.model import VIEW
from napari_vidrecon.viewer.registry import workspace_of

MOST_RUNS = 4
CANVAS = "CanvasBackendDesktop"
"""Vispy's widget."""
MOST_STEPS, MOST_LAYERS = 12, 40
REST_SECONDS = 60.0
LEFT_ALONE = {"study_start", "study_estimate", "study_page"}
"""Studies start processes of their own for minutes; they have tests of their own."""
SMALL = {"steps": MOST_STEPS, "track_every": 2, "track_skip_frames": 8}


class Monkey(LayerMoves):
    """Plays with one window.

    Parameters
    ----------
    viewer
        With a window.
    kit
        Sound inputs by kind, as `kit.make_kit` makes them: "session", "encoder", "decoder", "mask", "run", "part",
        "fields", "mp4".
    folder
        For damaged copies, and for what the monkey saves.
    seed
        Of everything it does.
    """

    def __init__(self, viewer: Any, kit: dict[str, Path], folder: Path, seed: int) -> None:
        super().__init__(viewer, seed)
        self.kit, self.folder = kit, folder
        damaged = damaged_things(kit, folder, self.random)
        self.answers = [*(path for path in kit.values() if path.exists()), *damaged]
        commands.show_board(viewer)
        self.workspace = workspace_of(viewer)
        self.model, self.controller = self.workspace.model, self.workspace.controller
        self.view = {name: getattr(self.model, name) for name in VIEW}
        self.size = main_window_of(viewer).width(), main_window_of(viewer).height()
        self.moves: list[tuple[int, Callable[[], None]]] = [
            (8, self.press),
            (10, self.change),
            (3, self.choose_row),
            (3, self.open),
            (2, self.drop),
            (2, self.open_by_napari),
            (5, self.drive),
            (2, self.fit_mask),
            (6, self.delete_layer),
            (1, self.delete_all_layers),
            (4, self.add_layer),
            (4, self.move_layer),
            (3, self.duplicate_layer),
            (6, self.restyle_layer),
            (4, self.turn_to_3d),
            (4, self.scrub),
            (2, self.roll),
            (2, self.resize),
            (2, self.toggle_grid),
            (3, self.key),
            (6, self.mouse),
            (3, self.undo),
            (1, self.close_dock),
            (2, self.show_dock),
            (1, self.theme),
            (2, self.mark),
            (1, self.rebuild),
        ]

    # One move

    def move(self) -> str:
        """Do one thing; returns its name."""
        weights, moves = zip(*self.moves, strict=True)
        chosen = self.random.choices(moves, weights)[0]
        self.done.append(chosen.__name__)
        chosen()
        self._stay_small()
        return self.done[-1]

    def _stay_small(self) -> None:
        """Runs stay short and few: what is looked for is what the window loses, not what a person keeps."""
        config = self.model.config
        if config.steps > MOST_STEPS or self.random.random() < 0.1:
            self.model.set_settings(config=ReconstructionConfig.preset("fast", **SMALL))
        while len(self.model.runs) > MOST_RUNS:
            self._panel().runs_panel.delete(self.model.runs[0])
        while len(self.viewer.layers) > MOST_LAYERS:
            self.viewer.layers.pop()

    def warm_up(self) -> None:
        """Do once what loads libraries for good, so that memory is looked at after that and not before."""
        # Torch loads its compiler where the first of its optimisers is made, wherever that is.
        importlib.import_module("torch._dynamo")
        # And the library of NWB files, some 20 MB of it, with the first of them that is opened.
        importlib.import_module("pynwb")
        self.settle()
        panel = self._panel()
        for job in (self.controller, self.workspace.mask_fit, self.workspace.field_mapping):
            job.start()
            job.wait(REST_SECONDS)
        panel.open(self.kit["run"])
        self.controller.wait(REST_SECONDS)
        for show in (commands.show_traces, commands.show_studies):
            show(self.viewer)
        # A window of its own, which stays as it was left for as long as the main window is there.
        commands.show_import(self.viewer).close()
        self.add_every_layer()
        for dimensions in (2, 3):
            self.viewer.dims.ndisplay = dimensions
            # A view of napari's grid takes two megabytes; Python keeps the places of what so many views were made of.
            for gridded in (True, False):
                self.viewer.canvas.grid.enabled = gridded
                QApplication.processEvents()
        self.settle()

    @property
    def at_work(self) -> list[Background]:
        """What goes on beside the window."""
        return [each for each in self.workspace.findChildren(Background) if each.busy]

    def settle(self) -> None:
        """End what goes on and put the window back to where it began, for measuring."""
        self.controller.stop()
        at_work = self.at_work
        for busy in at_work:
            busy.stop()
        for busy in at_work:
            busy.wait(REST_SECONDS)
        self.controller.wait(REST_SECONDS)
        self._panel().stimulus_panel.maker.wait(REST_SECONDS)
        self.workspace.player.stop()
        self.viewer.dims.ndisplay = 2
        # Ours as well: what it made because something was opened goes with it, and is no growth.
        for name in list(self.viewer.window.dock_widgets):
            self._remove_dock(self.viewer.window.dock_widgets[name])
        panel = self._panel()
        self.workspace.board.cells.close()
        for other in QApplication.topLevelWidgets():
            # A movie alone, a form, a list of keys: each has much to keep for as long as it is shown.
            if other.isVisible() and other is not main_window_of(self.viewer):
                other.close()
        for told in main_window_of(self.viewer).findChildren(NapariQtNotification):
            # They would go by themselves some seconds later.
            told.close()
        # One by one: `clear` takes an IndexError of anybody who listens for its end, and leaves the rest.
        while len(self.viewer.layers):
            self.viewer.layers.pop()
        # Napari keeps the views of its last grid, a megabyte each, until it makes another; without layers that has one.
        for enabled in (True, False):
            self.viewer.canvas.grid.enabled = enabled
        # A board that shows more has more to keep: the same is shown at every look, as large.
        main_window_of(self.viewer).resize(*self.size)
        self.model.set_view(**self.view)
        panel.open(self.kit["session"])
        self.model.set_settings(
            config=ReconstructionConfig.preset("fast", **SMALL), target="recorded", decoder=None, device="cpu"
        )
        self.controller.wait(REST_SECONDS)
        # Each holds its movies and activity for as long as it is listed.
        for record in [*self.model.elsewhere, *self.model.runs]:
            self.model.remove_run(record)
        self.viewer.reset_view()

    # Things to do

    def _panel(self) -> ReconstructionWidget:
        return commands.show_board(self.viewer)

    def _ours(self) -> list[QWidget]:
        docked = [each for each in self.viewer.window.dock_widgets.values() if isinstance(each, QWidget)]
        ours = [each for each in docked if type(each).__module__.startswith("napari_vidrecon")]
        return [child for each in ours for child in each.findChildren(QWidget) if child.isEnabled()]

    def _pick(self, kinds: type | tuple[type, ...]) -> Any:
        found = [each for each in self._ours() if isinstance(each, kinds) and each.objectName() not in LEFT_ALONE]
        if not found:
            return None
        chosen = self.random.choice(found)
        self._say(f"{type(chosen).__name__}:{chosen.objectName()}")
        return chosen

    def press(self) -> None:
        """Any button of ours; one with a menu opens it and takes an entry."""
        pressed = self._pick(QPushButton)
        if pressed is None:
            return
        if pressed.menu() is None:
            pressed.click()
            return
        menu = pressed.menu()
        menu.aboutToShow.emit()
        actions = [action for action in menu.actions() if action.isEnabled()]
        if actions:
            self.random.choice(actions).trigger()

    def change(self) -> None:
        """Any control of ours."""
        control = self._pick((QAbstractSpinBox, QComboBox, QAbstractSlider, QCheckBox, QLineEdit))
        if isinstance(control, QSpinBox):
            low, high = control.minimum(), control.maximum()
            control.setValue(self.random.choice([low, high, self.random.randint(low, high), low + 1]))
        elif isinstance(control, QDoubleSpinBox):
            low, high = control.minimum(), control.maximum()
            control.setValue(self.random.choice([low, high, self.random.uniform(low, high), low + 0.1]))
        elif isinstance(control, QComboBox) and control.count():
            index = self.random.randrange(control.count())
            control.setCurrentIndex(index)
            control.activated.emit(index)
        elif isinstance(control, QCheckBox):
            control.click()
        elif isinstance(control, QAbstractSlider):
            try:
                control.setValue(self.random.randint(int(control.minimum()), int(control.maximum())))
            except TypeError:
                # A slider with two handles.
                control.setValue(sorted(self.random.uniform(0.0, 1.3) for _ in range(2)))

    def choose_row(self) -> None:
        """A row of any list of ours: runs, encoders, studies."""
        listed = self._pick((QTreeWidget, QListWidget))
        if isinstance(listed, QTreeWidget) and listed.topLevelItemCount():
            item = listed.topLevelItem(self.random.randrange(listed.topLevelItemCount()))
            item.setSelected(not item.isSelected())
        elif isinstance(listed, QListWidget) and listed.count():
            item = listed.item(self.random.randrange(listed.count()))
            if not item.flags() & Qt.ItemFlag.ItemIsUserCheckable:
                return
            ticked = item.checkState() == Qt.CheckState.Checked
            item.setCheckState(Qt.CheckState.Unchecked if ticked else Qt.CheckState.Checked)

    def _any_path(self) -> Path:
        chosen = self.random.choice(self.answers)
        self._say(chosen.name)
        return chosen

    def open(self) -> None:
        """Something good or damaged."""
        self._panel().open(self._any_path())

    def drop(self) -> None:
        """Something good or damaged on the dock."""
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(self._any_path()))])
        button, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        self._panel().dropEvent(QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, button, keys))

    def open_by_napari(self) -> None:
        """As when a folder is dropped on the canvas."""
        path = self._any_path()
        read = get_reader(str(path))
        for layer_tuple in [] if read is None else read(str(path)):
            if layer_tuple[0] is not None:
                self.viewer.add_layer(Layer.create(*layer_tuple))

    def drive(self) -> None:
        """Start, pause, stop, rerun, the other half of the error map, or predict."""
        drives = [
            self.controller.start, self.controller.start, self.controller.pause, self.controller.resume,
            self.controller.stop, self.controller.rerun, self.controller.start_counterpart,
        ]  # fmt: skip
        chosen = self.random.choice(drives)
        self._say(chosen.__name__)
        chosen()

    def fit_mask(self) -> None:
        """Begin to fit a mask or to map receptive fields, or end it."""
        fitting = self.random.choice([self.workspace.mask_fit, self.workspace.field_mapping])
        if fitting.busy:
            fitting.stop()
        else:
            fitting.start()

    def turn_to_3d(self) -> None:
        """To three dimensions or back."""
        self.viewer.dims.ndisplay = 5 - self.viewer.dims.ndisplay
        if self.viewer.dims.ndisplay == 3 and self.random.random() < 0.5:
            self.viewer.scene.camera.angles = tuple(self.random.uniform(-90, 90) for _ in range(3))

    def scrub(self) -> None:
        """To another frame."""
        for axis in range(self.viewer.dims.ndim):
            self.viewer.dims.set_current_step(axis, self.random.randint(-3, 70))

    def roll(self) -> None:
        """Other axes on display, or the first view again."""
        self.random.choice([self.viewer.dims.roll, self.viewer.dims.transpose, self.viewer.reset_view])()

    def resize(self) -> None:
        """The window, or how near one looks."""
        if self.random.random() < 0.7:
            width, height = self.random.randint(300, 1500), self.random.randint(200, 950)
            main_window_of(self.viewer).resize(width, height)
        else:
            self.viewer.scene.camera.zoom = self.random.choice([1e-3, 0.5, 5, 1e3])

    def toggle_grid(self) -> None:
        """Napari's grid, by us or by napari."""
        if self.random.random() < 0.5:
            commands.toggle_grid(self.viewer)
        else:
            self.viewer.canvas.grid.enabled = not self.viewer.canvas.grid.enabled

    def key(self) -> None:
        """One of our keys; a list of keys is closed again."""
        shortcut = self.random.choice(SHORTCUTS)
        self._say(shortcut.key)
        shortcut.command(self.viewer)
        for dialog in QApplication.topLevelWidgets():
            if type(dialog).__name__ == "ShortcutsDialog":
                dialog.close()

    def mouse(self) -> None:
        """Press, drag and release on the canvas, with or without keys."""
        widgets = main_window_of(self.viewer).findChildren(QWidget)
        native = next(each for each in widgets if type(each).__name__ == CANVAS)
        if not native.width() or not native.height():
            # Squeezed to nothing by the docks: there is nowhere to press.
            return
        keys = self.random.choice(
            [Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier]
        )
        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton

        def place() -> QPoint:
            return QPoint(self.random.randrange(max(native.width(), 1)), self.random.randrange(max(native.height(), 1)))

        def send(kind: QEvent.Type, at: QPoint, button: Qt.MouseButton, held: Qt.MouseButton) -> None:
            local = QPointF(at)
            event = QMouseEvent(kind, local, QPointF(native.mapToGlobal(at)), button, held, keys)
            QApplication.sendEvent(native, event)

        at = place()
        send(QEvent.Type.MouseMove, at, none, none)
        send(QEvent.Type.MouseButtonPress, at, left, left)
        for _ in range(self.random.randrange(4)):
            at = place()
            send(QEvent.Type.MouseMove, at, none, left)
        send(QEvent.Type.MouseButtonRelease, at, left, none)

    def undo(self) -> None:
        """Undo and redo, often."""
        for _ in range(self.random.randint(1, 4)):
            self.random.choice([self.model.undo, self.model.undo, self.model.redo])()

    def close_dock(self) -> None:
        """Any of our docks."""
        docked = [each for each in self.viewer.window.dock_widgets.values() if isinstance(each, QWidget)]
        ours = [each for each in docked if type(each).__module__.startswith("napari_vidrecon")]
        if ours:
            self._remove_dock(self.random.choice(ours))

    def _remove_dock(self, widget: QWidget) -> None:
        self.viewer.window.remove_dock_widget(widget)
        widget.close()
        widget.deleteLater()

    def show_dock(self) -> None:
        """Curves, studies, the board's panels."""
        self.random.choice([commands.show_traces, commands.show_studies, commands.show_board])(self.viewer)

    def theme(self) -> None:
        """Dark or light."""
        self.viewer.theme = self.random.choice(["dark", "light"])

    def mark(self) -> None:
        """Rows of the rasters, or a region."""
        neurons = 0 if self.model.neurons is None else len(self.model.neurons.keep)
        if neurons:
            chosen = self.random.sample(range(neurons), self.random.randint(0, neurons))
            self.workspace.board.activity.mark(np.array(chosen, np.intp))

    def rebuild(self) -> None:
        """As when another trial is chosen."""
        if self.model.session is not None:
            with self.workspace.faults:
                self.model.set_trial(self.random.choice(self.model.session.trial_ids))
