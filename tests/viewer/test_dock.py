"""The dock: everything is there, named, reachable by keys, and fits the smallest window."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from napari.settings import get_settings
from napari.utils.theme import get_theme
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, QRect, Qt
from qtpy.QtGui import QColor, QImage, QPalette
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QLabel,
    QLineEdit,
    QPushButton,
    QStyle,
    QStyleOptionComboBox,
    QTreeWidget,
    QWidget,
)

import napari_vidrecon as vr
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.targets import NeuronSet
from napari_vidrecon.sessions.session import Session
from napari_vidrecon.viewer.main_widget import ADVANCED, FIELDS, MORE, NEURONS, PROGRESS, VIEW, ReconstructionWidget
from napari_vidrecon.viewer.main_window import main_window_of
from napari_vidrecon.viewer.model import ReconstructionModel, RunRecord
from napari_vidrecon.viewer.panels.controls import EMPHASIS_STYLE, FewLines, JobBar
from napari_vidrecon.viewer.panels.run_bar import UndoBar
from napari_vidrecon.viewer.panels.sections import Column, Pages
from napari_vidrecon.viewer.plots import COLOURS_ON_DARK, COLOURS_ON_LIGHT, SteadyText
from napari_vidrecon.viewer.registry import workspace_of
from napari_vidrecon.viewer.view_controls import CHECKED_STYLE

EARLIER_CONTROLS = [
    "ablate_cells",
    "ablate_region",
    "ablate_rows",
    "ablation",
    "activity_mode",
    "add_encoder",
    "advanced",
    "all_frames",
    "all_neurons",
    "apply_live",
    "back_to_trial",
    "cancel_export",
    "choose_decoder",
    "compare",
    "compare_mode",
    "copy_command",
    "copy_python",
    "decoder",
    "delete_run",
    "device",
    "draw_region",
    "encoders",
    "enlargement",
    "ensemble",
    "error_mode",
    "error_over",
    "error_signed",
    "evaluation_size",
    "export_progress",
    "export_status",
    "field_neuron",
    "field_preset",
    "field_summary",
    "field_told",
    "figure",
    "first_frame",
    "fit_mask",
    "fit_progress",
    "fraction",
    "frame",
    "frame_correlation",
    "grating_cycles_px",
    "grating_cycles_s",
    "grating_direction",
    "grating_phase",
    "grid",
    "hide_field",
    "import_recording",
    "keep_only",
    "kept_runs",
    "last_frame",
    "load_fields",
    "load_mask",
    "map_fields",
    "mapping_progress",
    "message",
    "mouse",
    "movie",
    "movie_file",
    "movie_frames",
    "neuron_count",
    "noise_inverted",
    "noise_seed",
    "noise_spatial",
    "noise_temporal",
    "open_run",
    "open_session",
    "paint",
    "patch_after",
    "patch_before",
    "patch_column",
    "patch_level",
    "patch_row",
    "patch_shown",
    "patch_side",
    "play",
    "plot",
    "preset",
    "progress",
    "raster_order",
    "recent",
    "redo",
    "remove_decoder",
    "rerun",
    "reset_settings",
    "reset_view",
    "resume",
    "runs",
    "sample",
    "save_fields",
    "save_mask",
    "save_run",
    "seed",
    "session_name",
    "show_cells",
    "show_shortcuts",
    "show_stimulus",
    "show_studies",
    "show_traces",
    "speed",
    "start",
    "steps",
    "stimulus_frames",
    "stimulus_kind",
    "stop",
    "stop_fit",
    "stop_mapping",
    "tables",
    "take_settings",
    "target",
    "thresholds",
    "tier",
    "training_size",
    "trial",
    "undo",
    "video_correlation",
]
"""Of the dock of ten folding sections: whatever could be done there can be done here."""
CONTROLS = (QAbstractButton, QAbstractSlider, QAbstractSpinBox, QComboBox, QTreeWidget)
LEAST_MOVIES_PX = 250


def controls_of(widget: QWidget) -> Iterator[QWidget]:
    """All that a person can press, choose or type into; parts of others count as those."""
    for control in widget.findChildren(QWidget):
        inside = isinstance(control.parentWidget(), (QAbstractSpinBox, QComboBox))
        if isinstance(control, (*CONTROLS, QLineEdit)) and not inside and not is_scroll_bar(control):
            yield control


def is_scroll_bar(control: QWidget) -> bool:
    above = control.parentWidget()
    return "ScrollBar" in type(control).__name__ or (above is not None and "scroll" in above.objectName().lower())


def test_nothing_that_could_be_done_before_is_lost_and_all_has_a_name_for_a_screen_reader(docked):
    widget = docked()
    names = {control.objectName() for control in widget.findChildren(QWidget)}
    # Shown under another name while nothing is held.
    assert set(EARLIER_CONTROLS) - {"resume"} <= names
    assert names & {"pause", "resume"}
    silent = [
        (type(control).__name__, control.objectName())
        for control in controls_of(widget)
        if not control.accessibleName() and not getattr(control, "text", str)()
    ]
    assert silent == []


SETTLING_LOOKS = 50
TEXT_EDGE_PX = 8
"""Which a line of text keeps free at its ends."""
SIZES_PX = ((1366, 768), (1024, 576), (960, 540))


def test_every_page_fits_every_window_and_no_news_moves_the_buttons(
    qtbot: QtBot, docked: Callable[..., ReconstructionWidget]
) -> None:
    widget = docked()
    window = main_window_of(widget.board.viewer)
    window.show()
    qtbot.waitExposed(window)
    widget.model.set_mask(AlphaMask(with_every_fault()))
    for size in SIZES_PX:
        assert_every_page_fits(widget, window, size)
        if size == SIZES_PX[0]:
            roomy = places_on_pages(widget)
    # Forms of parts come and go with what is chosen, in a low window, too.
    config = widget.model.config
    for chosen in (ReconstructionConfig.preset("paper"), config):
        widget.model.set_settings(config=chosen)
        QTest.qWait(20)
    window.resize(*SIZES_PX[0])
    # What a low window puts behind a click stands where it stood.
    assert places_on_pages(widget) == roomy
    # A run brings curves below the page: they give way to a page that needs the room.
    widget.controller.start()
    qtbot.waitUntil(lambda: widget.model.shown is not None and not widget.controller.busy, timeout=60_000)
    window.resize(1366, 768)
    for title in (FIELDS, VIEW, *widget.pages.titles):
        (widget.pages.open_page if title in widget.pages.titles else widget.pages.open_detail)(title)
        assert settled(widget.pages).verticalScrollBar().maximum() == 0, title
    bar, before = widget.run_bar, widget.pages.geometry()
    bar.show_message("a very long line of news that needs more room than there is " * 10, True)
    QTest.qWait(20)
    assert widget.pages.geometry() == before
    assert "a very long line" in bar.message.toolTip()
    assert bar.news.currentWidget() is bar.message
    QTest.mouseClick(bar, Qt.MouseButton.LeftButton, pos=bar.news.geometry().center())
    assert bar.news.currentWidget() is bar.hint
    # Nor does the dock fail at its own end.
    with qtbot.waitSignal(widget.destroyed):
        widget.deleteLater()


def places_on_pages(widget: ReconstructionWidget) -> dict[str, tuple[int, int]]:
    """Row by row, whatever the page."""
    places: dict[str, tuple[int, int]] = {}
    for title in widget.pages.titles:
        widget.pages.open_page(title)
        inside = settled(widget.pages).widget()
        named = [each for each in controls_of(inside) if each.isVisible() and each.objectName()]
        places |= {
            each.objectName(): (each.mapTo(inside, QPoint(0, 0)).x(), each.mapTo(inside, QPoint(0, 0)).y())
            for each in named
        }
    return places


def test_nothing_that_is_told_on_a_page_moves_anything_on_it(
    qtbot: QtBot, docked: Callable[..., ReconstructionWidget], small_result: vr.Reconstruction, tmp_path: Path
) -> None:
    widget = docked()
    window, model, panel = main_window_of(widget.board.viewer), widget.model, widget.export_panel
    window.show()
    qtbot.waitExposed(window)
    long_name = "a run with a name that is longer than its line " * 3
    model.add_run(RunRecord(long_name, small_result, model.recipe(), path=tmp_path / "run.zarr"))

    def fit_ended() -> bool:
        return not widget.mask_panel._fitting.busy

    news: dict[str, list[tuple[Callable[[], object], Callable[[], bool]]]] = {
        "Results": [
            (panel.copy_command, lambda: True),
            (panel.copy_python, lambda: True),
            (lambda: panel._show_failed("nothing was written, for many reasons, " * 9), lambda: True),
            (lambda: panel.export_movie(tmp_path / f"{'long' * 30}.mp4"), lambda: "Saved" in panel.status.text()),
        ],
        "How": [
            (lambda: model.set_thresholds(training=0.01, evaluation=1.39), lambda: True),
            (lambda: model.set_neurons(NeuronSet.without(20, np.arange(9), "long reasons " * 9)), lambda: True),
            (widget.mask_panel.fit_button.click, fit_ended),
        ],
        "What": [(lambda: model.message.emit("much news " * 30, True), lambda: True)],
    }
    window.resize(*SIZES_PX[1])
    for title, page_news in news.items():
        widget.pages.open_page(title)
        settled(widget.pages)
        before = lying(widget)
        for tell, is_over in page_news:
            tell()
            QTest.qWait(50)
            assert_lies_as(widget, before)
            qtbot.waitUntil(is_over, timeout=60_000)
            QTest.qWait(50)
            assert_lies_as(widget, before)
    assert panel.folder_button.isEnabled()
    # A bar that says how far something is.
    for title in (*widget.pages.titles, *widget.pages.details):
        (widget.pages.open_page if title in widget.pages.titles else widget.pages.open_detail)(title)
        before = lying(settled(widget.pages))
        for bar in widget.pages.shown.findChildren(JobBar):
            bar.show()
            QTest.qWait(20)
            assert_lies_as(widget.pages.shown, before)
            bar.hide()


def lying(widget: QWidget) -> dict[str, int]:
    """How far down the middle of everything named lies; the frame of a lit button is a pixel smaller."""
    controls = [each for each in controls_of(widget) if each.isVisible() and each.objectName()]
    return {each.objectName(): each.mapTo(widget, each.rect().center()).y() for each in controls}


def assert_lies_as(widget: QWidget, before: dict[str, int]) -> None:
    """Whatever is still in sight is where it was."""
    now = lying(widget)
    moved = {name: (before[name], now[name]) for name in before.keys() & now.keys() if before[name] != now[name]}
    assert moved == {}


@pytest.mark.parametrize("theme", [pytest.param("dark", marks=pytest.mark.long), "light"])
def test_a_page_that_changed_out_of_sight_lies_right_at_once_and_its_encoders_buttons_are_in_view_at_1024_pixels(
    qtbot: QtBot,
    docked: Callable[..., ReconstructionWidget],
    small_encoder_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    theme: str,
) -> None:
    # Of which the page has one thing more to say.
    monkeypatch.setattr(Session, "simulated", True)
    widget = docked()
    window, panel = main_window_of(widget.board.viewer), widget.session_panel
    widget.board.viewer.theme = theme
    window.resize(1024, 576)
    window.show()
    qtbot.waitExposed(window)
    widget.pages.open_page("What")
    QTest.qWait(300)
    names = [f"encoder_with_a_name_that_is_longer_than_its_list_{number}.safetensors" for number in range(5)]
    files = [Path(shutil.copy(small_encoder_file, tmp_path / name)) for name in names]
    widget.model.set_encoders(files)
    widget.pages.open_page("Results")
    QTest.qWait(100)
    widget.pages.open_page("What")
    # Before anything is painted.
    assert panel.encoders.geometry().bottom() < panel.add_button.geometry().top()
    assert not panel.encoders.horizontalScrollBar().isVisible()
    column = settled(widget.pages)
    for control in (panel.mouse, panel.add_button, panel.train_button):
        bottom = control.mapTo(column.viewport(), control.rect().bottomLeft()).y()
        assert bottom < column.viewport().height(), control.objectName()
    assert column.verticalScrollBar().maximum() == 0
    words = panel.mouse.fontMetrics().horizontalAdvance(panel.mouse.text())
    assert words < panel.mouse.lineEdit().width() - TEXT_EDGE_PX


def with_every_fault() -> np.ndarray:
    """(36, 64) alpha of which as much is wrong at either threshold as can be at once."""
    alpha = np.full((36, 64), 0.5)
    alpha[:, 12::13] = 0.0
    alpha[::6, ::13] = alpha[3::6, 3::13] = 0.0
    alpha[4:32, 20:44][alpha[4:32, 20:44] > 0] = 1.2
    alpha[8:16, 28:36] = 0.5
    return alpha


def settled(pages: Pages) -> Column:
    """What is in sight, once it lies as it will lie: a busy machine takes its time over it."""
    for _ in range(SETTLING_LOOKS):
        QTest.qWait(20)
        column = pages.shown
        if column.widget().minimumSizeHint().width() <= column.viewport().width():
            break
    QTest.qWait(20)
    return column


def assert_every_page_fits(widget: ReconstructionWidget, window: QWidget, size: tuple[int, int]) -> None:
    """Whatever page or detail is open: nothing is cut off, Start is in sight, and the movies keep their room."""
    # The dock of a window that was never shown is laid out only when the size changes.
    window.resize(size[0] + 40, size[1] + 40)
    QTest.qWait(300)
    window.resize(*size)
    pages = widget.pages
    for title in [*pages.titles, *pages.details]:
        (pages.open_page if title in pages.titles else pages.open_detail)(title)
        column = settled(pages)
        inside = column.widget()
        assert inside.minimumSizeHint().width() <= column.viewport().width(), title
        for control in controls_of(inside):
            if control.isVisible():
                right = control.mapTo(inside, control.rect().topRight()).x()
                assert right <= inside.width(), (title, control.objectName())
        places = {
            control: QRect(control.mapTo(inside, QPoint(0, 0)), control.size())
            for control in controls_of(inside)
            if control.isVisible()
        }
        for one, other in itertools.combinations(places, 2):
            if not (one.isAncestorOf(other) or other.isAncestorOf(one)):
                assert not places[one].intersects(places[other]), (title, one.objectName(), other.objectName())
        for slider in inside.findChildren(QAbstractSlider):
            # Squeezed to a line it has no handles to take.
            assert not slider.isVisible() or slider.height() >= slider.minimumSizeHint().height() - 1, title
        for text in filter(QWidget.isVisible, widget.findChildren(FewLines)):
            # To the lowest pixel of a p.
            assert QLabel.heightForWidth(text, text.width()) <= text.height(), (title, text.text())
        for text in filter(QWidget.isVisible, widget.findChildren(SteadyText)):
            assert text.label.wordWrap() or text.label.sizeHint().height() <= text.height(), (title, text.text())
        assert "…" not in widget.mask_panel.verdict.text()
        assert widget.run_bar.isVisible()
        bottom = widget.run_bar.start_button.mapTo(widget, widget.run_bar.start_button.rect().bottomLeft()).y()
        assert bottom < widget.height()
        # The bar of an area that has no use for one has nothing to move.
        if title != ADVANCED:
            assert column.verticalScrollBar().maximum() == 0, (size, title)
    low = size != (1366, 768)
    assert widget.more_button.isVisibleTo(widget.more_button.parentWidget()) == low
    # What the page What tells gives way on the smallest screen only.
    assert widget.run_bar.what.isVisible() == (size != (960, 540))
    for title, name in ((MORE, "decoder"), (NEURONS, "ablate_cells"), (ADVANCED, "infer_gaze")):
        assert (title in pages.details) == (low or title == ADVANCED)
        pages.open_detail(title)
        assert (settled(pages).widget().findChild(QWidget, name) is not None) == low
        pages.close_detail()
    assert widget.board.viewer.layers.selection.active is not None
    assert (window.width(), window.height()) == size
    assert widget.minimumSizeHint().height() <= size[1] * 2 // 3
    assert widget.mapTo(window, widget.rect().topRight()).x() < size[0]
    assert widget.board.viewer.canvas.size[1] >= LEAST_MOVIES_PX


def brightness(colour: str) -> float:
    """Relative luminance as of WCAG."""
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(text: str, ground: str) -> float:
    low, high = sorted((brightness(text), brightness(ground)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("theme", "colours"), [("dark", COLOURS_ON_DARK), ("light", COLOURS_ON_LIGHT)])
def test_all_words_have_contrast_enough_to_be_read(theme: str, colours: dict[str, str]) -> None:
    found = get_theme(theme)
    ground, text, canvas = (getattr(found, name).as_hex("long") for name in ("background", "text", "canvas"))
    assert {
        name: round(contrast(each, ground), 1) for name, each in colours.items() if contrast(each, ground) < 4.5
    } == {}
    # Words on the board, on napari's buttons, and on ours that are lit.
    assert contrast(text, canvas) >= 4.5
    assert contrast(text, found.foreground.as_hex("long")) >= 4.5
    for style in (EMPHASIS_STYLE, CHECKED_STYLE):
        assert contrast("#ffffff", style.split("background-color: ")[1][:7]) >= 4.5


def test_words_of_a_colour_follow_the_theme_and_keep_their_height(qtbot: QtBot) -> None:
    words = FewLines(2)
    qtbot.addWidget(words)
    words.resize(300, words.height())
    words.write("Good to measure in", "green")
    for colours, lightness in ((COLOURS_ON_DARK, 30), (COLOURS_ON_LIGHT, 230)):
        palette = words.palette()
        palette.setColor(QPalette.ColorRole.Window, QColor(lightness, lightness, lightness))
        words.setPalette(palette)
        assert colours["green"] in words.text()
    # Or a page would take the height that it does not ask for from the slider above.
    assert words.sizeHint().height() == words.minimumSizeHint().height() == words.height()
    # As much as fits is seen, to the last word of the last line, also in a font that comes later.
    for size in (8, 14):
        words.setStyleSheet(f"font-size: {size}pt;")
        words.ensurePolished()
        words.resize(300, words.minimumHeight())
        words.write(f"{size} to begin with, and then " + "many more words " * 20, "green")
        seen = words.text().split(">", 1)[1].split("<")[0]
        assert seen.endswith("…")
        assert len(seen) > (50 if size == 8 else 25)
        assert QLabel.heightForWidth(words, 300) <= words.height()
        assert words.contentsRect().height() >= 2 * words.fontMetrics().lineSpacing()


def test_a_long_name_or_path_takes_no_room_from_what_is_said_of_it(qtbot: QtBot) -> None:
    words = FewLines(2)
    qtbot.addWidget(words)
    words.resize(320, words.height())
    path = "/data/experiments_of_2026/dynamic29515-10-12-Video-9b4f6a1a067fe51e1530/trained_in_may.safetensors"
    text = f"Error: {path}: predicts 40 neurons, but the session has 1000"
    words.write(text, "rose")
    seen = words.text().split(">", 1)[1].split("<")[0]
    assert "predicts 40 neurons" in seen
    assert ".safetensors:" in seen
    assert words.told == text
    assert path in words.toolTip()


def test_details_are_one_click_behind_their_page_and_control_z_takes_back_a_slider_drag_at_once(qtbot, docked):
    widget = docked()
    assert not widget.run_panel.plot.isVisibleTo(widget)
    assert not widget.progress_button.isEnabled()
    widget.pages.open_detail(PROGRESS)
    assert widget.run_panel.plot.isVisibleTo(widget)

    window = main_window_of(widget.board.viewer)
    window.show()
    window.activateWindow()
    qtbot.waitActive(window)
    widget.pages.open_page("How")
    QTest.mouseClick(widget.run_panel.more_button, Qt.MouseButton.LeftButton)
    assert widget.pages.detail == ADVANCED
    QTest.keyClick(widget.pages.back_button, Qt.Key.Key_Escape)
    assert (widget.pages.page, widget.pages.detail) == ("How", "")

    thresholds = widget.mask_panel.thresholds
    for low in (0.35, 0.3, 0.25):
        thresholds.setValue((low, 0.8))
    widget.mask_panel.paint_button.setFocus()
    qtbot.waitUntil(widget.mask_panel.paint_button.hasFocus)
    QTest.keyClick(widget.mask_panel.paint_button, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: (widget.model.training_threshold, widget.model.evaluation_threshold) == (0.4, 0.6))


def test_undo_names_what_it_undoes_of_whatever_kind(qtbot, small_model: ReconstructionModel) -> None:
    small_model.begin_edits()
    dock = QWidget()
    bar = UndoBar(small_model, dock, parent=dock)
    qtbot.addWidget(dock)
    assert (bar.undo_button.text(), bar.undo_button.isEnabled()) == ("Undo", False)
    small_model.set_thresholds(training=0.3)
    assert bar.undo_button.text() == "Undo: training threshold 0.40 → 0.30"
    small_model.set_neurons(NeuronSet.without(20, np.array([1, 2]), "2 cells ablated"))
    assert bar.undo_button.text() == "Undo: 2 cells ablated"
    small_model.set_settings(config=small_model.config.changed(steps=9))
    assert bar.undo_button.text() == "Undo: steps 6 → 9"
    # A slider on its way is no step yet; when it rests, it is.
    small_model.set_thresholds(training=0.2, undoable=False)
    small_model.settle_edits()
    assert bar.undo_button.text() == "Undo: training threshold 0.30 → 0.20"
    assert bar.redo_button.text() == "Redo"
    small_model.undo()
    small_model.undo()
    small_model.undo()
    assert (small_model.config.steps, small_model.neurons.count) == (6, 20)
    assert "2 cells ablated" in bar.redo_button.toolTip()


@pytest.mark.window
@pytest.mark.parametrize("theme", [pytest.param("dark", marks=pytest.mark.long), "light"])
def test_the_tab_key_goes_down_the_page_and_where_it_is_can_be_seen_in_either_theme(
    qtbot: QtBot, docked: Callable[..., ReconstructionWidget], theme: str
) -> None:
    widget = docked()
    window = main_window_of(widget.board.viewer)
    window.resize(1366, 768)
    window.show()
    window.activateWindow()
    qtbot.waitActive(window)
    widget.board.viewer.theme = theme
    for title in widget.pages.titles:
        widget.pages.open_page(title)
        QTest.qWait(100)
        passed = tabbed_through(widget, window)
        on_page = [each for each in passed if widget.pages.shown.isAncestorOf(each)]
        tops = [each.mapTo(widget, QPoint(0, 0)).y() for each in on_page]
        # In one row a box to tick is a little lower than a button.
        assert all(later > earlier - ROW_PX for earlier, later in itertools.pairwise(tops)), (title, tops)
        enabled = [each for each in controls_of(widget.pages.shown) if each.isVisible() and each.isEnabled()]
        takes = [each for each in enabled if each.focusPolicy() & Qt.FocusPolicy.TabFocus]
        assert {each.objectName() for each in takes} <= {each.objectName() for each in passed}, title
        # Where the keyboard is can be seen in the active window alone; on a busy machine another may be that meanwhile.
        qtbot.waitUntil(partial(made_active, window))
        unseen = [each.objectName() for each in passed if not isinstance(each, QLabel) and not shows_focus(each)]
        assert unseen == [], title


ROW_PX, SEEN_PX, SEEN_LEVELS = 20, 20, 25
"""So much do two controls of a row lie apart; so many pixels have to change by so many levels to be noticed."""


def made_active(window: QWidget) -> bool:
    """Whether the keyboard is the window's, which is asked for until it is."""
    if not window.isActiveWindow():
        window.activateWindow()
    return window.isActiveWindow()


def tabbed_through(widget: ReconstructionWidget, window: QWidget) -> list[QWidget]:
    """Every control of the dock that the Tab key comes to, in order."""
    widget.run_bar.start_button.setFocus()
    passed: list[QWidget] = []
    while (there := window.focusWidget()) is not None and there not in passed and widget.isAncestorOf(there):
        passed.append(there)
        QTest.keyClick(there, Qt.Key.Key_Tab)
    return passed


def shows_focus(control: QWidget) -> bool:
    """Whether it looks otherwise while the keyboard is there."""
    control.setFocus(Qt.FocusReason.TabFocusReason)
    lit = pixels_of(control)
    control.clearFocus()
    return int((np.abs(lit - pixels_of(control)).max(axis=2) >= SEEN_LEVELS).sum()) >= SEEN_PX


def pixels_of(control: QWidget) -> np.ndarray:
    """(height, width, 4) levels as they are painted."""
    picture = control.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    held = picture.constBits()
    if hasattr(held, "setsize"):
        # PyQt's does not know its size, PySide's does.
        held.setsize(picture.sizeInBytes())
    return np.frombuffer(held, np.uint8).reshape(picture.height(), picture.width(), 4).astype(int)


@pytest.mark.window
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_what_is_written_on_every_page_is_painted_with_contrast_enough(
    docked: Callable[..., ReconstructionWidget], theme: str
) -> None:
    widget = docked()
    window = main_window_of(widget.board.viewer)
    window.resize(1024, 576)
    window.show()
    widget.board.viewer.theme = theme
    widget.export_panel._show_finished("/somewhere/movie.mp4")
    widget.run_bar.show_message("some news", False)
    pages = widget.pages
    for title in [*pages.titles, *pages.details]:
        (pages.open_page if title in pages.titles else pages.open_detail)(title)
        settled(pages)
        kinds = (QLabel, QPushButton, QCheckBox)
        written = [each for kind in kinds for each in widget.findChildren(kind) if each.text()]
        faint = {
            (title, each.text(), round(painted_contrast(each), 1))
            for each in written
            if each.isVisible() and each.isEnabled() and painted_contrast(each) < 4.5
        }
        assert faint == set()


def painted_contrast(control: QWidget) -> float:
    """Of the pixel that differs most from the ground, which most pixels have."""
    colours, counts = np.unique(pixels_of(control)[..., 2::-1].reshape(-1, 3), axis=0, return_counts=True)
    names = [QColor(*map(int, colour)).name() for colour in colours]
    ground = names[int(counts.argmax())]
    return max(contrast(name, ground) for name in names)


@pytest.mark.window
@pytest.mark.long
def test_the_number_of_a_trial_is_seen_in_whole_in_letters_of_any_size(
    qtbot: QtBot, docked: Callable[..., ReconstructionWidget], monkeypatch: pytest.MonkeyPatch
) -> None:
    widget = docked()
    window, panel = main_window_of(widget.board.viewer), widget.session_panel
    window.resize(1024, 576)
    window.show()
    qtbot.waitExposed(window)
    # As many as a public mouse has.
    monkeypatch.setattr(Session, "trials_in_tier", lambda _session, _tier: [7, 512])
    panel._fill_trials("train")
    panel.trial.setCurrentIndex(1)
    for points in (9, 12, 16):
        monkeypatch.setattr(get_settings().appearance, "font_size", points)
        settled(widget.pages)
        told = QStyleOptionComboBox()
        panel.trial.initStyleOption(told)
        part = QStyle.SubControl.SC_ComboBoxEditField
        room = panel.trial.style().subControlRect(QStyle.ComplexControl.CC_ComboBox, told, part, panel.trial)
        needed = panel.trial.fontMetrics().horizontalAdvance("trial 512")
        assert panel.trial.currentText() == "trial 512"
        assert needed <= room.width(), points


@pytest.mark.window
def test_every_page_fits_letters_that_are_twice_as_large(
    qtbot: QtBot, docked: Callable[..., ReconstructionWidget], monkeypatch: pytest.MonkeyPatch
) -> None:
    widget = docked()
    window = main_window_of(widget.board.viewer)
    window.show()
    qtbot.waitExposed(window)
    window.resize(*SIZES_PX[0])
    assert not widget.pages.is_low
    monkeypatch.setattr(get_settings().appearance, "font_size", 16)
    qtbot.waitUntil(lambda: widget.pages.is_low)
    for title in [*widget.pages.titles, *widget.pages.details]:
        (widget.pages.open_page if title in widget.pages.titles else widget.pages.open_detail)(title)
        column = settled(widget.pages)
        assert column.widget().minimumSizeHint().width() <= column.viewport().width(), title
        assert column.verticalScrollBar().maximum() == 0 or title == ADVANCED, title
    assert widget.run_bar.isVisible()


@pytest.mark.window
@pytest.mark.long
def test_the_dock_takes_back_no_more_room_than_smaller_letters_need_unless_it_was_made_wider(
    qtbot: QtBot, docked: Callable[..., ReconstructionWidget], monkeypatch: pytest.MonkeyPatch
) -> None:
    widget = docked()
    window, frame = main_window_of(widget.board.viewer), widget.parentWidget()
    window.show()
    qtbot.waitExposed(window)
    window.resize(*SIZES_PX[0])
    settled(widget.pages)
    usual = frame.width()

    def with_letters(points: int) -> int:
        monkeypatch.setattr(get_settings().appearance, "font_size", points)
        settled(widget.pages)
        return frame.width()

    assert with_letters(16) > 1.2 * usual
    with_letters(9)
    qtbot.waitUntil(lambda: frame.width() <= usual, timeout=3000)
    window.resizeDocks([frame], [2 * usual], Qt.Orientation.Horizontal)
    settled(widget.pages)
    made_wider = frame.width()
    assert made_wider > 1.5 * usual
    with_letters(12)
    with_letters(9)
    qtbot.wait(300)
    assert frame.width() == made_wider


def test_captions_lists_and_the_bar_above_the_canvas_follow_the_size_of_letters(
    qtbot: QtBot, docked: Callable[..., ReconstructionWidget], monkeypatch: pytest.MonkeyPatch
) -> None:
    widget = docked()
    board, window = widget.board, main_window_of(widget.board.viewer)
    window.show()
    qtbot.waitExposed(window)
    window.resize(*SIZES_PX[-1])
    widget.pages.open_page("Results")
    bar = workspace_of(board.viewer).stage_bar
    assert bar is not None
    parts = {
        "runs": widget.runs_panel.tree,
        "their headings": widget.runs_panel.tree.header(),
        "layouts": bar.widgetForAction(bar.play),
        "address": widget.live_panel.address,
    }
    usual = {name: part.fontMetrics().height() for name, part in parts.items()}
    heights = widget.runs_panel.tree.height()
    captions = board.layer("captions")
    points = captions.text.size
    for size in (16, 9):
        monkeypatch.setattr(get_settings().appearance, "font_size", size)
        qtbot.wait(50)
        for name, part in parts.items():
            assert part.fontMetrics().height() == pytest.approx(usual[name] * size / 9, rel=0.15), name
        assert widget.runs_panel.tree.height() == pytest.approx(heights * size / 9, rel=0.2)
        assert captions.text.size == pytest.approx(points * size / 9)
        assert board.layout.unit == pytest.approx(board.layout.pixel * size / 9)
        assert board.viewer.scene.camera.zoom == pytest.approx(1 / board.layout.pixel)
        assert board.layout.movie_share >= 0.45


@pytest.mark.long
def test_letters_made_much_smaller_leave_the_page_as_wide_as_it_needs_to_be(
    qtbot: QtBot, docked: Callable[..., ReconstructionWidget], monkeypatch: pytest.MonkeyPatch
) -> None:
    widget = docked()
    window = main_window_of(widget.board.viewer)
    window.show()
    qtbot.waitExposed(window)
    window.resize(1366, 768)
    widget.pages.open_page("What")
    for points in (14, 6):
        monkeypatch.setattr(get_settings().appearance, "font_size", points)
        qtbot.wait(400)
        assert widget.minimumSizeHint().width() >= widget.pages.shown.minimumSizeHint().width(), points
