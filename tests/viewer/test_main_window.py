"""What napari's canvas needs is done for it."""

from __future__ import annotations

import numpy as np
import pytest
from OpenGL import GL
from qtpy.QtGui import QOpenGLContext
from qtpy.QtOpenGLWidgets import QOpenGLWidget

from napari_vidrecon.viewer.board.cells import DOCK_NAME
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


def test_a_layer_goes_in_the_graphics_context_of_the_canvas(viewer, canvas, qtbot):
    layer, current = viewer.add_labels(np.zeros((9, 7), np.uint8)), []
    qtbot.wait(SHORT_MS)
    canvas.doneCurrent()
    assert QOpenGLContext.currentContext() is None
    viewer.layers.events.removed.connect(lambda: current.append(QOpenGLContext.currentContext() is not None))
    viewer.layers.remove(layer)
    assert current == [True]


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


MOST_PROGRAMS = 20_000


@pytest.mark.parametrize("closed_by_napari", [False, True])
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
