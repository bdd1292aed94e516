"""What napari's canvas needs is done for it."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from OpenGL import GL
from qtpy.QtCore import QSize
from qtpy.QtGui import QOpenGLContext
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QDockWidget, QStackedWidget
from vispy.scene import ViewBox

from napari_vidrecon.viewer import main_window
from napari_vidrecon.viewer.board.cells import DOCK_NAME
from napari_vidrecon.viewer.contributions import commands
from napari_vidrecon.viewer.main_window import main_window_of
from napari_vidrecon.viewer.registry import workspace_of

pytestmark = pytest.mark.window
SHORT_MS = 100


@pytest.fixture
def viewer(make_napari_viewer_proxy, qtbot):
    made = make_napari_viewer_proxy(show=True)
    workspace_of(made)
    qtbot.wait(SHORT_MS)
    return made


@pytest.fixture
def canvas(viewer):
    return main_window_of(viewer).findChild(QOpenGLWidget)


@pytest.fixture
def deletions(canvas, monkeypatch):
    """For each time that napari had deleted what layers held of the graphics card: was it in the canvas's context?"""
    context, seen = canvas._vispy_canvas.context, []
    finish = context.finish

    def delete() -> None:
        finish()
        seen.append(QOpenGLContext.currentContext() == canvas.context())

    monkeypatch.setattr(context, "finish", delete)
    return seen


def test_a_layer_goes_in_the_graphics_context_of_the_canvas(viewer, canvas, qtbot, deletions):
    layer = viewer.add_labels(np.zeros((9, 7), np.uint8))
    qtbot.wait(SHORT_MS)
    canvas.doneCurrent()
    assert QOpenGLContext.currentContext() is None
    viewer.layers.remove(layer)
    assert deletions == [True]


def test_layers_that_go_together_go_in_the_graphics_context_of_the_canvas(viewer, canvas, qtbot, deletions):
    for _ in range(2):
        viewer.add_image(np.zeros((9, 7), np.float32))
    qtbot.wait(SHORT_MS)
    # As a canvas of its own does that goes with a layer.
    viewer.layers.events.removed.connect(lambda: canvas.doneCurrent())
    viewer.layers.select_all()
    viewer.layers.remove_selected()
    canvas.doneCurrent()
    # No layer goes now, and what is left of those before does.
    viewer.layers.clear()
    assert deletions == [True, True]


def test_what_deleting_a_layer_takes_along_is_drawn_without_anew(viewer, qtbot):
    for shown in (2, 3):
        image = viewer.add_image(np.zeros((9, 36, 64), np.float32))
        viewer.add_labels(np.zeros((9, 7), np.uint8))
        viewer.dims.ndisplay = shown
        qtbot.wait(SHORT_MS)
        viewer.layers.remove(image)
        # Without the context of the canvas the process ended here, with Mesa's software renderer.
        qtbot.wait(SHORT_MS)
        viewer.layers.clear()


def test_grids_of_other_shapes_leave_the_canvas(viewer, canvas):
    held = canvas._vispy_canvas.central_widget._widgets
    viewer.add_image(np.zeros((9, 7), np.float32))
    viewer.canvas.grid.enabled = True
    before = len(held)
    for _ in range(6):
        viewer.add_image(np.zeros((9, 7), np.float32))
    assert len(held) <= before + 1
    viewer.canvas.grid.enabled = False
    assert len(held) <= before + 1


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore:Grid spacing:UserWarning")
@pytest.mark.long
def test_in_three_dimensions_a_small_grid_leaves_every_camera_with_something_to_show(viewer, canvas, qtbot):
    for _ in range(14):
        viewer.add_image(np.zeros((5, 9, 7), np.float32))
    viewer.dims.ndisplay, viewer.canvas.grid.enabled, viewer.canvas.grid.spacing = 3, True, 0.06
    qtbot.wait(SHORT_MS)
    for size in ((40, 40), (5, 400), (1, 1), (600, 400)):
        # Vispy refuses a scale of 0 with every picture that follows.
        canvas.resize(*size)
        viewer.reset_view()
        qtbot.wait(SHORT_MS)
        assert 0 < viewer.scene.camera.zoom < np.inf


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore:Grid spacing:UserWarning")
@pytest.mark.parametrize("dimensions", [2, pytest.param(3, marks=pytest.mark.long)])
def test_a_tile_of_the_grid_has_a_pixel_on_any_canvas_also_once_the_grid_is_off(viewer, canvas, qtbot, dimensions):
    for _ in range(11):
        viewer.add_image(np.zeros((5, 9, 7), np.float32))
    viewer.dims.ndisplay, viewer.canvas.grid.enabled, viewer.canvas.grid.spacing = dimensions, True, 0.3
    qtbot.wait(SHORT_MS)
    grid = canvas._vispy_canvas.central_widget._widgets[-1]
    for enabled in (True, False):
        viewer.canvas.grid.enabled = enabled
        for size in ((600, 400), (230, 400), (40, 40), (1, 1)):
            canvas.resize(*size)
            # With a tile that has none an exception comes of every picture.
            qtbot.wait(SHORT_MS)
            tiles = [tile for tile in grid.children if isinstance(tile, ViewBox)]
            assert min(min(tile.size) for tile in tiles) >= 1


@pytest.mark.parametrize("zoom", [0.0, 1e300, np.inf, np.nan])
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore:Grid spacing:UserWarning")
def test_a_zoom_that_cannot_be_drawn_goes_back_to_the_last_that_can(viewer, canvas, qtbot, zoom):
    viewer.add_image(np.zeros((5, 9, 7), np.float32))
    viewer.dims.ndisplay = 3
    qtbot.wait(SHORT_MS)
    before = viewer.scene.camera.zoom
    with contextlib.suppress(np.linalg.LinAlgError, AssertionError):
        viewer.scene.camera.zoom = zoom
    canvas.update()
    qtbot.waitUntil(lambda: viewer.scene.camera.zoom == pytest.approx(before, rel=0.1))


def test_controls_of_labels_take_the_height_they_need_of_the_list_below(viewer, qtbot):
    viewer.window.resize(1366, 768)
    viewer.add_image(np.zeros((9, 7), np.float32))
    qtbot.wait(SHORT_MS)
    viewer.add_labels(np.zeros((9, 7), np.uint8))
    stack = main_window_of(viewer).findChild(QDockWidget, "layer controls").findChild(QStackedWidget)
    qtbot.waitUntil(lambda: stack.height() >= stack.currentWidget().sizeHint().height())


@pytest.mark.parametrize(
    "show",
    [
        commands.show_traces,
        pytest.param(commands.show_behaviour, marks=pytest.mark.long),
        pytest.param(lambda viewer: None, marks=pytest.mark.long),
    ],
)
def test_a_dock_that_the_screen_has_no_room_for_is_a_tab_and_the_window_stays_as_it_was(
    viewer, make_model, qtbot, monkeypatch, show
):
    workspace, window = workspace_of(viewer), main_window_of(viewer)
    make_model(workspace.model)
    commands.show_board(viewer)
    window.resize(1024, 576)
    qtbot.wait(SHORT_MS)
    size, shown = window.size(), window.findChildren(QDockWidget)
    assert size == QSize(1024, 576)
    # As little as makes any dock below the board too much.
    monkeypatch.setattr(main_window, "room_of", lambda _window: 520)
    show(viewer) or workspace.board.cells.show()
    qtbot.waitUntil(lambda: len(window.findChildren(QDockWidget)) > len(shown))
    qtbot.wait(SHORT_MS)
    (dock,) = [each for each in window.findChildren(QDockWidget) if each not in shown]
    controls = window.findChild(QDockWidget, "layer controls")
    assert window.tabifiedDockWidgets(dock) == [controls]
    assert window.size() == size
    assert not dock.visibleRegion().isEmpty()
    if DOCK_NAME in viewer.window.dock_widgets:
        workspace.board.cells.close()
    else:
        viewer.window.remove_dock_widget(dock.widget())
    qtbot.wait(SHORT_MS)
    # Gone again, what it lay over is back.
    assert not controls.visibleRegion().isEmpty()


MOST_PROGRAMS = 20_000


@pytest.mark.parametrize("closed_by_napari", [False, pytest.param(True, marks=pytest.mark.long)])
def test_the_canvas_of_the_cells_leaves_nothing_of_itself_on_the_graphics_card(
    viewer, canvas, make_model, qtbot, closed_by_napari
):
    workspace = workspace_of(viewer)
    make_model(workspace.model)
    qtbot.wait(SHORT_MS)

    def programs() -> int:
        canvas.makeCurrent()
        return sum(bool(GL.glIsProgram(number)) for number in range(1, MOST_PROGRAMS))

    before = programs()
    assert 0 < before < MOST_PROGRAMS / 10
    workspace.board.cells.show()
    qtbot.waitUntil(lambda: programs() > before, timeout=10_000)
    if closed_by_napari:
        viewer.window.remove_dock_widget(viewer.window.dock_widgets[DOCK_NAME])
        assert programs() <= before
    workspace.board.cells.close()
    qtbot.wait(SHORT_MS)
    assert programs() <= before
