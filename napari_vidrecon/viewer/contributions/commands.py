"""What can be asked of the window from napari's command palette, its Layers menu and the keyboard, and its keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import napari
import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QDockWidget,
    QFileDialog,
    QGridLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from napari_vidrecon.reconstruction.targets import NeuronSet
from napari_vidrecon.viewer import opening
from napari_vidrecon.viewer.board.explained import named
from napari_vidrecon.viewer.choices import Layout
from napari_vidrecon.viewer.exports import shown_movie
from napari_vidrecon.viewer.folders import PLUGIN_NAME, home, recent_folders, remember_folder
from napari_vidrecon.viewer.main_window import (
    MAIN_DOCK_NAME,
    go_to_frame,
    kept_on_screen,
    main_window_of,
    present_frame,
)
from napari_vidrecon.viewer.model import NO_MOVIE_YET, NO_RUN_YET, ErrorMode, RunState
from napari_vidrecon.viewer.panels.sections import Column, Pages
from napari_vidrecon.viewer.playing import KEY as SECOND_SCREEN_KEY
from napari_vidrecon.viewer.registry import workspace_of
from napari_vidrecon.viewer.view_controls import LAYOUT_KEYS

if TYPE_CHECKING:
    from napari_vidrecon.viewer.importing.form import ImportForm
    from napari_vidrecon.viewer.panels.export_panel import ExportPanel

MAIN_TITLE, TRACES_TITLE, STUDIES_TITLE, BEHAVIOUR_TITLE = "Movie reconstruction", "Curves", "Studies", "Behaviour"
LONG_JUMP_FRAMES = 10

Docked = TypeVar("Docked", bound=QWidget)


def show_board(viewer: napari.viewer.Viewer) -> QWidget:
    """Open the dock, or bring it to the front."""
    docked = main_window_of(viewer).findChild(QWidget, MAIN_DOCK_NAME)
    if docked is not None:
        return _raised(docked)
    # Napari makes it as from its Plugins menu: the dock has buttons that call what is below, so nothing here names it.
    return viewer.window.add_plugin_dock_widget(PLUGIN_NAME, MAIN_TITLE)[1]


def show_traces(viewer: napari.viewer.Viewer) -> QWidget:
    """Open the curves over time below the board, or bring them to the front."""
    from napari_vidrecon.viewer.traces import Traces

    return _docked(viewer, Traces, TRACES_TITLE, "bottom")


def show_behaviour(viewer: napari.viewer.Viewer) -> QWidget:
    """Open the mouse's pupil and running beside the board, or bring them to the front."""
    from napari_vidrecon.viewer.behaviour import Behaviour

    return _docked(viewer, Behaviour, BEHAVIOUR_TITLE, "left")


def show_import(viewer: napari.viewer.Viewer) -> ImportForm:
    """Open the form that turns a recording into a session, or bring it to the front."""
    from napari_vidrecon.viewer.importing.form import ImportForm

    window = main_window_of(viewer)
    form = window.findChild(ImportForm) or ImportForm(partial(open_folder, viewer), window)
    form.show()
    form.raise_()
    return form


def import_recording(viewer: napari.viewer.Viewer, path: Path) -> None:
    """Open the form with a recording in it."""
    show_import(viewer).choose(path)


def show_page(viewer: napari.viewer.Viewer, title: str) -> None:
    """Open the dock at one of its pages."""
    pages = show_board(viewer).findChild(Pages)
    assert pages is not None
    pages.open_page(title)


def begin_tour(viewer: napari.viewer.Viewer) -> None:
    """Start the tour of three steps on the simulated mouse."""
    show_board(viewer)
    tour = workspace_of(viewer).tour
    assert tour is not None
    tour.begin()


def show_studies(viewer: napari.viewer.Viewer) -> QWidget:
    """Open the paper's experiments in a dock beside the others, or bring it to the front."""
    from napari_vidrecon.viewer.studies.studies_widget import Studies

    return _docked(viewer, Studies, STUDIES_TITLE, "right", tabify=True)


def open_simulated_mouse(viewer: napari.viewer.Viewer) -> None:
    """Open the sample on the board."""
    show_board(viewer)
    model = workspace_of(viewer).model
    opening.try_to(model, opening.open_sample, model)


def open_folder(viewer: napari.viewer.Viewer, path: Path) -> bool:
    """Open a session or a saved run on the board; or a file that belongs to what is there.

    Returns
    -------
    bool
        Whether it was opened; if not, one line says why.
    """
    show_board(viewer)
    model = workspace_of(viewer).model
    opened = opening.try_to(model, opening.open_path, model, path)
    if opened and path.is_dir():
        remember_folder(path)
        if opening.is_run(path):
            show_page(viewer, "Results")
    return opened


def ask_for_folder(viewer: napari.viewer.Viewer) -> None:
    """Ask for a session or a saved run, and open it on the board."""
    recent = recent_folders()
    start_in = str(recent[0].parent if recent else home())
    name = QFileDialog.getExistingDirectory(main_window_of(viewer), "Open a session or a saved run", start_in)
    if name:
        open_folder(viewer, Path(name))


def start(viewer: napari.viewer.Viewer) -> None:
    """Begin a run."""
    show_board(viewer)
    workspace_of(viewer).controller.start()


def pause_or_resume(viewer: napari.viewer.Viewer) -> None:
    """Hold the run, or let it go on."""
    workspace = workspace_of(viewer)
    running = workspace.model.state == RunState.RUNNING
    (workspace.controller.pause if running else workspace.controller.resume)()


def stop(viewer: napari.viewer.Viewer) -> None:
    """End the run and keep what it has made."""
    workspace_of(viewer).controller.stop()


def rerun(viewer: napari.viewer.Viewer) -> None:
    """Run again with the present settings."""
    show_board(viewer)
    workspace_of(viewer).controller.rerun()


def play_or_pause(viewer: napari.viewer.Viewer) -> None:
    """Play in real time, or stop playing."""
    workspace_of(viewer).player.toggle()


def jump_back(viewer: napari.viewer.Viewer) -> None:
    """Go ten frames back."""
    go_to_frame(viewer, present_frame(viewer) - LONG_JUMP_FRAMES)


def jump_forward(viewer: napari.viewer.Viewer) -> None:
    """Go ten frames forward."""
    go_to_frame(viewer, present_frame(viewer) + LONG_JUMP_FRAMES)


def go_to_worst_frame(viewer: napari.viewer.Viewer) -> None:
    """Go to the frame where the reconstruction is least like the stimulus."""
    model = workspace_of(viewer).model
    if model.video is None:
        model.message.emit(f"{NO_MOVIE_YET}, so no frame is worse than another. Press Start.", False)
        return
    shown = shown_movie(model)
    correlation = shown.columns["frame_correlation_reconstruction"].copy()
    correlation[: shown.measured.start] = np.nan
    if np.isfinite(correlation).any():
        go_to_frame(viewer, int(np.nanargmin(correlation)))
    else:
        model.message.emit("No frame of the reconstruction has a correlation yet: it is still grey.", False)


def show_movies_alone(viewer: napari.viewer.Viewer) -> None:
    """Fill a screen with the movies alone, or leave it."""
    alone = workspace_of(viewer).movies_alone
    assert alone is not None
    alone.toggle()


def next_error_mode(viewer: napari.viewer.Viewer) -> None:
    """Show the next kind of error, of those there is something to show for: none is one of them."""
    model = workspace_of(viewer).model
    there = {
        ErrorMode.STIMULUS: True,
        ErrorMode.PREDICTED: model.expected is not None,
        ErrorMode.COMPARISON: model.compared is not None,
        ErrorMode.LOST: model.fuller is not None,
        ErrorMode.UNCERTAINTY: model.shown is not None and model.shown.uncertainty is not None,
        ErrorMode.ADDED: model.shown is not None and model.shown.added is not None,
        ErrorMode.NONE: True,
    }
    modes = [mode for mode in ErrorMode if there[mode] or mode == model.error_mode]
    model.set_view(error_mode=modes[(modes.index(model.error_mode) + 1) % len(modes)])


def blink(viewer: napari.viewer.Viewer) -> None:
    """Let the reconstruction and what it is compared with take turns, or end that."""
    model = workspace_of(viewer).model
    model.set_view(blinking=not model.blinking)


def magnify(viewer: napari.viewer.Viewer) -> None:
    """Magnify what is under the mouse in every movie, or no more."""
    model = workspace_of(viewer).model
    model.set_view(magnified=not model.magnified)


def run_without_chosen(viewer: napari.viewer.Viewer) -> None:
    """Run again without the neurons that were clicked last, and show what the movie loses, and where."""
    workspace = workspace_of(viewer)
    model, chosen = workspace.model, workspace.board.activity.explained.chosen
    if model.neurons is None or not len(chosen):
        model.message.emit("Click a row of a raster, a cell, or a pixel first: its neurons are then left out.", False)
        return
    if model.shown is None:
        model.message.emit(f"{NO_RUN_YET} to compare with: press Start first.", False)
        return
    kept = model.neurons.keep.copy()
    kept[chosen] = False
    if not kept.any():
        model.message.emit("No neuron would be left; click fewer.", True)
        return
    show_board(viewer)
    model.set_neurons(NeuronSet.without(len(kept), np.flatnonzero(~kept), f"without {named(chosen)}"))
    model.set_view(error_mode=ErrorMode.LOST)
    workspace.controller.rerun()


def undo(viewer: napari.viewer.Viewer) -> None:
    """Take back the last change by hand, wherever it was made."""
    workspace_of(viewer).model.undo()


def redo(viewer: napari.viewer.Viewer) -> None:
    """Make the change anew that was taken back last."""
    workspace_of(viewer).model.redo()


def show_layout(viewer: napari.viewer.Viewer, layout: Layout) -> None:
    """Lay the canvas out for another purpose."""
    workspace_of(viewer).model.set_view(layout=layout, grid=False)


def toggle_grid(viewer: napari.viewer.Viewer) -> None:
    """Lay the tiles out in napari's grid, or on the board again."""
    model = workspace_of(viewer).model
    model.set_view(grid=not model.grid)


def export_movie(viewer: napari.viewer.Viewer) -> None:
    """Ask for a file and write the movie."""
    _export_panel(viewer).ask_movie()


def export_figure(viewer: napari.viewer.Viewer) -> None:
    """Ask for a file and write the figure."""
    _export_panel(viewer).ask_figure()


def copy_as_python(viewer: napari.viewer.Viewer) -> None:
    """Put a script that repeats the shown run into the clipboard."""
    _export_panel(viewer).copy_python()


def copy_as_command(viewer: napari.viewer.Viewer) -> None:
    """Put a command line that repeats the shown run into the clipboard."""
    _export_panel(viewer).copy_command()


def _docked(viewer: napari.viewer.Viewer, kind: type[Docked], title: str, area: str, *, tabify: bool = False) -> Docked:
    for widget in viewer.window.dock_widgets.values():
        if isinstance(widget, kind):
            return _raised(widget)
    made = kind(viewer)
    # The name napari itself gives it, so that its Plugins menu finds the same dock.
    with kept_on_screen(viewer):
        viewer.window.add_dock_widget(made, name=f"{title} ({PLUGIN_NAME})", area=area, tabify=tabify)
    return made


def _raised(widget: Docked) -> Docked:
    dock = widget.parentWidget()
    if isinstance(dock, QDockWidget):
        dock.show()
        dock.raise_()
    return widget


def _export_panel(viewer: napari.viewer.Viewer) -> ExportPanel:
    from napari_vidrecon.viewer.panels.export_panel import ExportPanel

    panel = show_board(viewer).findChild(ExportPanel)
    assert panel is not None
    return panel


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
    """List the keys, or bring the list to the front."""
    window = main_window_of(viewer)
    listed = window.findChild(ShortcutsDialog) or ShortcutsDialog(window)
    listed.show()
    listed.raise_()


# Letters that no layer of napari uses, because a layer's keys win over a window's.
SHORTCUTS = (
    *(
        Shortcut(key, f"layout of the canvas: {layout.value}", partial(show_layout, layout=layout))
        for layout, key in LAYOUT_KEYS.items()
    ),
    *(Shortcut(key, f"page of the dock: {title}", partial(show_page, title=title)) for title, key in PAGE_KEYS.items()),
    Shortcut("Control-Z", "undo: thresholds, mask, neurons, settings", undo),
    Shortcut("Control-Shift-Z", "redo", redo),
    Shortcut("Shift-Space", "play in real time, or stop playing", play_or_pause),
    Shortcut("J", "ten frames back", jump_back),
    Shortcut("K", "ten frames forward", jump_forward),
    Shortcut("G", "go to the worst frame: least like the stimulus", go_to_worst_frame),
    Shortcut("H", "next kind of error, or none", next_error_mode),
    Shortcut("W", "blink between reconstruction and compared run or stimulus", blink),
    Shortcut("U", "run again with the present settings", rerun),
    Shortcut("Shift-U", "pause the run, or resume it", pause_or_resume),
    Shortcut("Q", "tiles in napari's grid, or on the board", toggle_grid),
    Shortcut("N", "curves over time", show_traces),
    Shortcut("Shift-W", "run without the clicked neurons, and show what is lost", run_without_chosen),
    Shortcut("Shift-M", "the magnifier: what is under the mouse in every movie", magnify),
    Shortcut("Shift-N", "pupil, gaze and running", show_behaviour),
    Shortcut(
        SECOND_SCREEN_KEY,
        "the movies alone, full screen, on a second screen if there is one",
        show_movies_alone,
    ),
    Shortcut("F1", "these shortcuts", show_shortcuts),
    Shortcut("Shift-F1", "the tour: three steps on the simulated mouse", begin_tour),
)


def bind_shortcuts(viewer: napari.viewer.Viewer) -> None:
    """Bind every key; binding them again, for a dock that was opened anew, changes nothing."""
    for shortcut in SHORTCUTS:
        if isinstance(shortcut.command, partial):
            # Napari asks a bound function for its name whenever any key is pressed.
            update_wrapper(shortcut.command, shortcut.command.func)
        viewer.bind_key(shortcut.key, shortcut.command, overwrite=True)


MOST_OF_SCREEN = 0.9
"""What a list may take of a screen's height; its frame takes some more."""


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
        keys = QWidget()
        grid = QGridLayout(keys)
        grid.setHorizontalSpacing(2 * self.fontMetrics().averageCharWidth())
        rows = [(key_text(shortcut.key), shortcut.what) for shortcut in SHORTCUTS]
        for line, (key, what) in enumerate([*rows, *NATIVE_KEYS]):
            grid.addWidget(QLabel(f"<b>{key}</b>"), line, 0)
            grid.addWidget(QLabel(what), line, 1)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.close)
        listed = Column([keys])
        # It scrolls on a low screen, also without a mouse.
        listed.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        layout = QVBoxLayout(self)
        layout.addWidget(listed)
        layout.addWidget(buttons)
        wanted, room = self.sizeHint(), MOST_OF_SCREEN * self.screen().availableSize().height()
        self.resize(wanted.width(), min(wanted.height(), round(room)))


def key_text(key: str) -> str:
    """A key as this system writes it."""
    # Qt's names differ from napari's.
    names = key.replace("Control", "Ctrl").replace("-", "+")
    return QKeySequence(names).toString(QKeySequence.SequenceFormat.NativeText)
