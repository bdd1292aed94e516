"""The keys of the window, and a popup that lists them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, update_wrapper
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_vidrecon.viewer.contributions import commands
from napari_vidrecon.viewer.main_window import main_window_of
from napari_vidrecon.viewer.playing import KEY as SECOND_SCREEN_KEY
from napari_vidrecon.viewer.view_controls import LAYOUT_KEYS

if TYPE_CHECKING:
    import napari

PAGE_KEYS = {"What": "F2", "How": "F3", "Results": "F4"}
NATIVE_KEYS = (
    ("Left / Right", "one frame back or forward (click on the canvas first)"),
    ("Space, held", "move the board with the mouse while painting"),
    ("Ctrl+Shift+P", "napari's command palette: type “movie”"),
)


@dataclass(frozen=True)
class Shortcut:
    """A key.

    Parameters
    ----------
    key
        As napari writes it, e.g. "Shift-Space".
    what
        What it does, for people.
    command
        Called with the viewer.
    """

    key: str
    what: str
    command: Callable[[napari.viewer.Viewer], object]


def show_shortcuts(viewer: napari.viewer.Viewer) -> None:
    """List the keys."""
    ShortcutsDialog(main_window_of(viewer)).show()


# Letters that no layer of napari uses, because a layer's keys win over a window's.
SHORTCUTS = (
    *(
        Shortcut(key, f"layout of the canvas: {layout.value}", partial(commands.show_layout, layout=layout))
        for layout, key in LAYOUT_KEYS.items()
    ),
    *(
        Shortcut(key, f"page of the dock: {title}", partial(commands.show_page, title=title))
        for title, key in PAGE_KEYS.items()
    ),
    Shortcut("Shift-Space", "play in real time, or stop playing", commands.play_or_pause),
    Shortcut("J", "ten frames back", commands.jump_back),
    Shortcut("K", "ten frames forward", commands.jump_forward),
    Shortcut("G", "go to the worst frame: least like the stimulus", commands.go_to_worst_frame),
    Shortcut("H", "next kind of error, or none", commands.next_error_mode),
    Shortcut("W", "blink between reconstruction and compared run or stimulus", commands.blink),
    Shortcut("U", "run again with the present settings", commands.rerun),
    Shortcut("Shift-U", "pause the run, or resume it", commands.pause_or_resume),
    Shortcut("Q", "tiles in napari's grid, or on the board", commands.toggle_grid),
    Shortcut("N", "curves over time", commands.show_traces),
    Shortcut("Shift-W", "run without the clicked neurons, and show what is lost", commands.run_without_chosen),
    Shortcut("Shift-M", "the magnifier: what is under the mouse in every movie", commands.magnify),
    Shortcut("Shift-N", "pupil, gaze and running", commands.show_behaviour),
    Shortcut(
        SECOND_SCREEN_KEY,
        "the movies alone, full screen, on a second screen if there is one",
        commands.show_movies_alone,
    ),
    Shortcut("F1", "these shortcuts", show_shortcuts),
    Shortcut("Shift-F1", "the tour: three steps on the simulated mouse", commands.begin_tour),
)


def bind_shortcuts(viewer: napari.viewer.Viewer) -> None:
    """Bind every key; binding them again, for a dock that was opened anew, changes nothing."""
    for shortcut in SHORTCUTS:
        if isinstance(shortcut.command, partial):
            # Napari asks a bound function for its name whenever any key is pressed.
            update_wrapper(shortcut.command, shortcut.command.func)
        viewer.bind_key(shortcut.key, shortcut.command, overwrite=True)


class ShortcutsDialog(QDialog):
    """Lists the keys.

    Parameters
    ----------
    parent
        The window it belongs to.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Shortcuts of Movie reconstruction")
        grid = QGridLayout()
        grid.setHorizontalSpacing(2 * self.fontMetrics().averageCharWidth())
        rows = [(key_text(shortcut.key), shortcut.what) for shortcut in SHORTCUTS]
        for line, (key, what) in enumerate([*rows, *NATIVE_KEYS]):
            grid.addWidget(QLabel(f"<b>{key}</b>"), line, 0)
            grid.addWidget(QLabel(what), line, 1)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.close)
        layout = QVBoxLayout(self)
        layout.addLayout(grid)
        layout.addWidget(buttons)


def key_text(key: str) -> str:
    """A key as this system writes it."""
    return QKeySequence(key.replace("-", "+")).toString(QKeySequence.SequenceFormat.NativeText)
