"""What the plugin gives to napari: readers, writer, sample, commands, keys, settings, panels' text."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from npe2 import PluginManager, PluginManifest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QWidget
from raw_recordings import RawMouse

import napari_vidrecon as vr
from napari_vidrecon.errors import RunError, SessionError
from napari_vidrecon.reconstruction.config import PRESETS
from napari_vidrecon.sessions.session import open_session
from napari_vidrecon.viewer.contributions import commands
from napari_vidrecon.viewer.contributions.files import PATH_KEY, get_reader, is_ours, kind_of, read_session, write_run
from napari_vidrecon.viewer.faults import Faults
from napari_vidrecon.viewer.folders import PLUGIN_NAME, Preferences, recent_folders, remember_folder
from napari_vidrecon.viewer.importing.form import ImportForm
from napari_vidrecon.viewer.main_window import FolderDrops, main_window_of
from napari_vidrecon.viewer.model import ErrorMode, ReconstructionModel, RunRecord
from napari_vidrecon.viewer.opening import open_together

MANIFEST = Path(vr.__file__).parent / "napari.yaml"


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    """The plugin's manifest."""
    return PluginManifest.from_file(MANIFEST)


def test_the_manifest_is_valid_and_every_command_can_be_imported(manifest: PluginManifest) -> None:
    manifest.validate_imports()
    assert manifest.name == PLUGIN_NAME
    titles = {widget.display_name for widget in manifest.contributions.widgets or []}
    assert titles == {"Behaviour", "Movie reconstruction", "Curves", "Studies"}


def test_every_command_of_the_palette_says_what_it_belongs_to(manifest: PluginManifest) -> None:
    files = {"get_reader", "write_run", "simulated_mouse"}
    for command in manifest.contributions.commands or []:
        if command.id.partition(".")[2] not in files:
            assert command.title.startswith("Movie reconstruction: "), command.id


def test_the_settings_start_at_the_programs_defaults(manifest: PluginManifest) -> None:
    configurations = manifest.contributions.configurations
    assert configurations is not None
    runs, export = configurations["runs"].properties, configurations["export"].properties
    defaults = Preferences()
    assert runs["preset"].default == defaults.preset
    assert set(runs["preset"].enum or []) == set(PRESETS)
    assert runs["device"].default == defaults.device
    assert runs["folder"].default == ""
    assert export["movie_enlargement"].default == defaults.movie_enlargement


def test_what_the_user_set_is_what_a_new_window_starts_with(plugin_settings: object, npe2pm: object) -> None:
    from napari.settings import get_plugin_settings

    from napari_vidrecon.viewer.folders import preferences

    assert preferences() == Preferences()
    npe2pm.register(PluginManifest.from_file(MANIFEST))  # type: ignore[attr-defined]
    stored = get_plugin_settings(PLUGIN_NAME)
    stored.runs.preset, stored.runs.folder, stored.export.movie_enlargement = "fast", " /data/runs ", 4
    assert preferences() == Preferences("fast", "auto", Path("/data/runs"), 4)


def test_the_reader_takes_sessions_and_runs_and_nothing_else(
    small_session_folder: Path, small_run_folder: Path, tmp_path: Path
) -> None:
    assert get_reader(str(small_session_folder)) is read_session
    assert get_reader(str(small_run_folder)) is not None
    (tmp_path / "zarr.json").write_text('{"attributes": {"format": "another program"}}')
    for other in (tmp_path, small_session_folder.parent, MANIFEST, tmp_path / "missing"):
        assert get_reader(str(other)) is None
    assert get_reader([str(small_session_folder), str(small_run_folder)]) is None


def test_a_session_is_read_as_its_first_clip_in_seconds(small_session_folder: Path) -> None:
    ((video, attributes, kind),) = read_session(str(small_session_folder))
    assert kind == "image"
    assert video.shape == (60, 36, 64)
    assert attributes["scale"][0] == pytest.approx(1 / 30)
    assert attributes["metadata"][PATH_KEY] == str(small_session_folder)


def test_a_damaged_session_is_told_in_one_line(copy_of_small_session: Path) -> None:
    (copy_of_small_session / "meta" / "trials" / "tiers.npy").write_bytes(b"no array")
    with pytest.raises(SessionError, match=r"tiers\.npy"):
        read_session(str(copy_of_small_session))


def test_a_run_is_read_as_stimulus_and_reconstruction_side_by_side(small_run_folder: Path) -> None:
    read = get_reader(str(small_run_folder))
    assert read is not None
    stimulus, reconstruction = read(str(small_run_folder))
    np.testing.assert_array_equal(reconstruction[0], vr.Reconstruction.load(small_run_folder).video)
    assert reconstruction[1]["translate"][2] > 64 > stimulus[1]["translate"][2]


def test_layers_of_a_run_on_disk_are_saved_with_all_of_it(small_run_folder: Path, tmp_path: Path) -> None:
    read = get_reader(str(small_run_folder))
    assert read is not None
    assert write_run(str(tmp_path / "copy.zarr"), read(str(small_run_folder))) == [str(tmp_path / "copy.zarr")]
    copy, kept = vr.Reconstruction.load(tmp_path / "copy.zarr"), vr.Reconstruction.load(small_run_folder)
    np.testing.assert_array_equal(copy.video, kept.video)
    assert copy.provenance == kept.provenance


def test_layers_without_a_run_are_not_saved(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="expected the reconstruction of a run"):
        write_run(str(tmp_path / "a.zarr"), [(np.zeros((2, 36, 64)), {"metadata": {}}, "image")])
    assert not (tmp_path / "a.zarr").exists()


def test_recent_folders_are_newest_first_and_only_those_still_there(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder in folders:
        folder.mkdir()
        remember_folder(folder)
    remember_folder(folders[0])
    folders[1].rmdir()
    assert recent_folders() == [folders[0], folders[2]]


def test_a_damaged_list_of_recent_folders_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDRECON_STATE", str(tmp_path))
    (tmp_path / "recent.json").write_text("[1, 2")
    assert recent_folders() == []
    remember_folder(tmp_path)
    assert recent_folders() == [tmp_path]


def test_importing_the_viewer_loads_neither_qt_nor_torch() -> None:
    code = "import sys, napari_vidrecon.viewer; print(sorted({'qtpy', 'torch', 'napari'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_reader_is_asked_without_loading_torch(small_session_folder: Path) -> None:
    code = (
        "import sys; from napari_vidrecon.viewer.contributions.files import get_reader;"
        "print(get_reader(sys.argv[1]) is not None, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(small_session_folder)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "False"]


@pytest.mark.window
def test_a_folder_that_napari_opens_becomes_the_board_and_the_keys_work(
    make_napari_viewer: Callable,
    qtbot: QtBot,
    small_session_folder: Path,
    small_run_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from qtpy.QtWidgets import QLabel

    from napari_vidrecon.viewer.contributions.commands import SHORTCUTS, ShortcutsDialog, show_shortcuts
    from napari_vidrecon.viewer.main_widget import ReconstructionWidget
    from napari_vidrecon.viewer.registry import workspace_of

    viewer = make_napari_viewer()
    viewer.open(str(small_session_folder), plugin=PLUGIN_NAME)
    model = workspace_of(viewer).model
    qtbot.waitUntil(lambda: model.session is not None)
    assert [PATH_KEY in layer.metadata for layer in viewer.layers].count(True) == 0
    roles = {layer.metadata.get("vidrecon_role") for layer in viewer.layers}
    assert {"stimulus", "reconstruction", "error_map", "mask"} <= roles
    assert recent_folders() == [small_session_folder]
    docked = [w for w in viewer.window.dock_widgets.values() if isinstance(w, ReconstructionWidget)]
    assert len(docked) == 1
    assert commands.show_board(viewer) is docked[0]

    viewer.open(str(small_run_folder), plugin=PLUGIN_NAME)
    qtbot.waitUntil(lambda: model.shown is not None)
    assert model.trial is not None
    assert model.trial.frames == 48
    layers = [layer.as_layer_data_tuple() for layer in viewer.layers]
    write_run(str(tmp_path / "again.zarr"), layers)
    np.testing.assert_array_equal(vr.Reconstruction.load(tmp_path / "again.zarr").video, model.shown.result.video)

    keys = {str(key) for key in viewer.keymap}
    assert len(keys) >= len(SHORTCUTS)
    viewer.dims.set_current_step(0, 5)
    commands.jump_forward(viewer)
    assert viewer.dims.current_step[0] == 15
    commands.jump_back(viewer)
    commands.jump_back(viewer)
    assert viewer.dims.current_step[0] == 0
    commands.go_to_worst_frame(viewer)
    worst = viewer.dims.current_step[0]
    assert worst >= model.config.track_skip_frames
    seen = []
    for _ in range(2):
        commands.next_error_mode(viewer)
        seen.append(model.error_mode)
    # Neither a second run to compare nor the paper's pair is there, so only these two take turns.
    assert seen == [ErrorMode.NONE, ErrorMode.STIMULUS]

    # As on a low screen.
    monkeypatch.setattr(commands, "MOST_OF_SCREEN", 0.3)
    show_shortcuts(viewer)
    show_shortcuts(viewer)
    (dialog,) = commands.main_window_of(viewer).findChildren(ShortcutsDialog)
    assert dialog.height() <= 0.31 * dialog.screen().availableSize().height()
    keys = dialog.findChildren(QLabel)[::2]
    assert len(keys) >= len(SHORTCUTS)
    # Undo and redo stood there without a key.
    assert all(key.text().removeprefix("<b>").removesuffix("</b>").strip() for key in keys)
    dialog.close()
    qtbot.waitUntil(lambda: commands.main_window_of(viewer).findChild(ShortcutsDialog) is None)


@pytest.mark.window
def test_the_export_panel_writes_what_the_board_shows_and_copies_the_run(
    make_napari_viewer: Callable,
    qtbot: QtBot,
    small_model: ReconstructionModel,
    small_run_folder: Path,
    tmp_path: Path,
) -> None:
    from qtpy.QtGui import QGuiApplication
    from qtpy.QtWidgets import QAbstractButton, QComboBox

    from napari_vidrecon.viewer.panels.export_panel import ExportPanel

    viewer = make_napari_viewer()
    panel = ExportPanel(small_model, viewer, tmp_path / "runs")
    qtbot.addWidget(panel)
    for control in [*panel.findChildren(QAbstractButton), *panel.findChildren(QComboBox)]:
        assert control.toolTip(), control.objectName()
    assert not panel.movie_button.isEnabled()
    panel.export_movie(tmp_path / "a.mp4")
    assert "press Start" in panel.status.text()
    panel.copy_python()
    assert "Start would do" in panel.status.text()

    result = vr.Reconstruction.load(small_run_folder)
    small_model.add_run(RunRecord("run 1", result, small_model.recipe(), path=tmp_path / "run 1.zarr"))
    assert panel.movie_button.isEnabled()
    panel.enlargement.setCurrentIndex(0)
    with qtbot.waitSignal(panel.exporter.finished):
        panel.export_movie(tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").stat().st_size > 0
    assert "a.mp4" in panel.status.text()
    panel.copy_command()
    clipboard = QGuiApplication.clipboard()
    assert clipboard is not None
    assert clipboard.text().startswith("vidrecon reconstruct")
    assert "run 1" in panel.status.text()


@pytest.mark.window
def test_the_sample_opens_the_whole_board(make_napari_viewer: Callable, qtbot: QtBot) -> None:
    from napari_vidrecon.viewer.registry import workspace_of

    viewer = make_napari_viewer()
    viewer.open_sample(PLUGIN_NAME, "simulated_mouse")
    model = workspace_of(viewer).model
    qtbot.waitUntil(lambda: model.trial is not None)
    assert model.trial is not None
    assert model.trial.simulated
    assert model.encoder_paths


def drop(viewer, *paths: Path, onto: QWidget | None = None) -> None:  # type: ignore[no-untyped-def]
    """Drop files on the canvas as a file manager does."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    centre = main_window_of(viewer).centralWidget()
    target = onto or next(widget for widget in [centre, *centre.findChildren(QWidget)] if widget.acceptDrops())
    held = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(target, QDragEnterEvent(QPoint(5, 5), Qt.DropAction.CopyAction, data, *held))
    QApplication.sendEvent(target, QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, *held))


@pytest.mark.window
def test_a_run_dropped_on_the_canvas_is_opened_without_a_question(
    make_napari_viewer, small_run_folder: Path, small_session_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    viewer, opened, left = make_napari_viewer(), [], []
    monkeypatch.setattr(type(viewer.window._qt_viewer), "_qt_open", lambda _self, paths, **_: left.append(paths))
    drops = FolderDrops(main_window_of(viewer), is_ours, opened.extend, Faults(print))
    drop(viewer, small_run_folder)
    drop(viewer, small_session_folder)
    assert opened == [small_run_folder, small_session_folder]
    drop(viewer, small_run_folder.parent)
    assert len(opened) == 2
    assert len(left) == 1
    drops.deleteLater()


@pytest.mark.window
def test_a_suite2p_folder_dropped_on_the_canvas_beside_the_dock_is_in_the_form_of_the_import_without_a_question(
    make_napari_viewer, recorded_mouse_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    from napari_vidrecon.viewer.registry import workspace_of

    recording = RawMouse.of(open_session(recorded_mouse_folder)).write_suite2p(tmp_path / "mine")
    viewer, left = make_napari_viewer(), []
    commands.show_board(viewer)
    monkeypatch.setattr(type(viewer.window._qt_viewer), "_qt_open", lambda _self, paths, **_: left.append(paths))
    drop(viewer, recording)
    form = main_window_of(viewer).findChild(ImportForm)
    assert form.isVisible()
    assert form.source_name.text() == str(recording)
    drop(viewer, tmp_path)
    assert len(left) == 1
    assert form.controller.wait()
    for name in ("notes.txt", "movie.tif"):
        (tmp_path / name).write_text("no recording")
    told: list[str] = []
    workspace_of(viewer).model.message.connect(lambda text, _is_error: told.append(text))
    drop(viewer, tmp_path / "movie.tif")
    # What another reader takes is left to it; of what none would take we say what can be dropped.
    assert (len(left), told) == (2, [])
    drop(viewer, tmp_path / "notes.txt")
    assert len(left) == 2
    assert told[0].startswith("notes.txt: expected the folder of a session, of a run or of a recording")


@pytest.mark.window
@pytest.mark.parametrize(
    "onto",
    [
        "dock",
        *(pytest.param(place, marks=pytest.mark.long) for place in ("canvas", "canvas of a window without our dock")),
    ],
)
def test_of_what_is_dropped_at_once_the_first_is_shown_and_all_the_rest_is_a_click_away(
    make_napari_viewer,
    qtbot: QtBot,
    small_run_folder: Path,
    small_session_folder: Path,
    small_encoder_file: Path,
    tmp_path: Path,
    onto: str,
) -> None:  # type: ignore[no-untyped-def]
    from napari_vidrecon.viewer.registry import workspace_of

    another, third = (shutil.copytree(small_session_folder, tmp_path / name) for name in ("another", "third"))
    viewer = make_napari_viewer()
    has_dock = onto != "canvas of a window without our dock"
    dock = commands.show_board(viewer) if has_dock else None
    model = workspace_of(viewer).model
    told: list[str] = []
    model.message.connect(lambda text, _is_error: told.append(text))

    def given(*paths: Path) -> None:
        if has_dock:
            drop(viewer, *paths, onto=dock if onto == "dock" else None)
        else:
            viewer.open(list(map(str, paths)), plugin="napari-vidrecon")
        qtbot.waitUntil(lambda: model.session is not None, timeout=30_000)

    given(another, third)
    assert model.session.path == another
    assert recent_folders()[:2] == [another, third]
    assert told[-1] == f"{model.session.name} is shown; open third with What, Recent."
    if not has_dock:
        return
    # What belongs to a session comes after it, and its run is shown with it.
    given(small_encoder_file, small_session_folder, small_run_folder)
    assert model.session.path == small_session_folder
    assert [run.path for run in model.runs] == [small_run_folder]
    assert model.shown is model.runs[0]
    assert small_encoder_file in model.encoder_paths
    # Of a run and another session the run stays in the list.
    given(third, small_run_folder)
    assert model.session.path == third
    assert [run.path for run in (*model.runs, *model.elsewhere)] == [small_run_folder]


def test_of_many_files_that_nothing_here_opens_one_line_tells(
    small_model: ReconstructionModel, tmp_path: Path, small_session_folder: Path
) -> None:
    told: list[str] = []
    small_model.message.connect(lambda text, _is_error: told.append(text))
    files = [tmp_path / f"{number:02}.png" for number in range(40)]
    for file in files:
        file.write_bytes(b"")
    opened: list[Path] = []

    def take(path: Path) -> bool:
        opened.append(path)
        return True

    open_together(small_model, [*files, small_session_folder], take, kind_of)
    assert opened == [small_session_folder]
    assert [text.split(":")[0] for text in told] == ["40 files, 00.png to 39.png"]


def test_plain_pictures_are_not_claimed(manifest: PluginManifest, tmp_path: Path) -> None:
    manager = PluginManager()
    manager.register(manifest)
    for name in ("picture.png", "stack.tif", "array.npy", "table.csv", "file.nwb"):
        assert not list(manager.iter_compatible_readers([str(tmp_path / name)])), name
