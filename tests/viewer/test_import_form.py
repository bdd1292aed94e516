"""The form that turns a recording into a session: what is found is shown, and nothing is ever half written."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from outside_packages import BOXES, write_box
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QCoreApplication, QEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QTreeWidget, QWidget
from raw_recordings import RawMouse

from napari_vidrecon.sessions.importing import importer
from napari_vidrecon.sessions.importing.recording_reader import ImportSettings
from napari_vidrecon.sessions.importing.sources import kind_of
from napari_vidrecon.sessions.screen import ScreenGeometry
from napari_vidrecon.sessions.session import Session, open_session
from napari_vidrecon.viewer.importing.controller import CONTROLS, in_words_of_the_form
from napari_vidrecon.viewer.importing.form import ImportForm

WRITERS: dict[str, Callable[[RawMouse, Path], Path]] = {
    "suite2p": lambda raw, place: raw.write_suite2p(place),
    "nwb": lambda raw, place: raw.write_nwb(place.with_suffix(".nwb")),
    "arrays": lambda raw, place: raw.write_arrays(place),
}


ARROW_PX = 30
"""Of a list, with what is free at its edges."""


@pytest.fixture(scope="module")
def mouse(recorded_mouse_folder: Path) -> Session:
    return open_session(recorded_mouse_folder)


@pytest.fixture
def raw(mouse: Session) -> RawMouse:
    return RawMouse.of(mouse)


@pytest.fixture
def opened() -> list[Path]:
    """Sessions that the form asked to be opened."""
    return []


@pytest.fixture
def form(qtbot: QtBot, opened: list[Path]) -> ImportForm:
    made = ImportForm(opened.append)
    qtbot.addWidget(made)
    made.show()
    return made


def kinds_of(form: ImportForm) -> list[str]:
    """Those whose files can be read in more than one way, each with its page."""
    kinds = [form.kind.itemData(index) for index in range(form.kind.count())]
    for kind in kinds:
        form.reading.show_kind(kind)
    return [kind for kind in kinds if kind in form.reading.pages]


def shown_uses(form: ImportForm) -> dict[str, str]:
    rows = [form.table.topLevelItem(index) for index in range(form.table.topLevelItemCount())]
    return {row.text(0): row.text(1) for row in rows}


def chosen(form: ImportForm, path: Path) -> None:
    form.choose(path)
    assert form.controller.wait()


@pytest.mark.parametrize("kind", list(WRITERS))
def test_every_array_is_shown_with_its_use_then_the_session_is_written_and_opened(
    kind: str, form: ImportForm, raw: RawMouse, mouse: Session, opened: list[Path], tmp_path: Path
) -> None:
    source = WRITERS[kind](raw, tmp_path / "raw")
    chosen(form, source)
    assert form.kind.currentData() == kind == kind_of(source)
    uses = shown_uses(form)
    assert {"activity", "stimulus", "running", "pupil size", "pupil centre"} <= set(uses.values())
    if kind != "nwb":
        assert {file.name for file in source.iterdir() if file.is_file()} <= set(uses)
    assert "activity, stimulus" in form.summary.text()
    assert not form.message.isVisible()
    assert form.import_button.isEnabled()
    assert sorted(tmp_path.iterdir()) == [source]

    form.import_button.click()
    assert form.controller.wait()
    out = tmp_path / "raw_session"
    assert (form.out.text(), form.report.isVisible()) == (str(out), True)
    report = form.report.toPlainText()
    assert "12 trials" in report
    assert "8 Hz to the video clock" in report
    np.testing.assert_allclose(open_session(out).trial(3).responses, mouse.trial(3).responses, atol=0.01)
    form.open_button.click()
    assert opened == [out]
    assert not form.isVisible()


def test_the_form_lies_on_its_screen_wherever_its_window_is(qtbot: QtBot) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    form = ImportForm(lambda _folder: None, window)
    window.move(form.screen().availableGeometry().bottomRight())
    window.show()
    form.show()
    qtbot.waitUntil(form.isVisible)
    assert form.screen().availableGeometry().contains(form.geometry())


def test_the_forms_settings_are_the_cores_own_and_each_of_them_can_be_changed(form: ImportForm) -> None:
    options, screen = form.settings, form.settings.screen
    assert options.settings() == ImportSettings()
    for box, value in (
        (options.trial_frames, 90), (options.test_share, 0.2), (options.validation_share, 0.02),
        (options.clock_tolerance, 80), (options.white, 4095), (screen.rows, 18), (screen.columns, 16),
        (screen.rate, 60), (screen.width_cm, 40), (screen.height_cm, 30), (screen.distance_cm, 20),
        (options.stills, 0.5),
    ):  # fmt: skip
        box.setValue(value)
    for ticked in (options.trim, options.within_movie, options.tell_levels):
        ticked.setChecked(True)
    for choice, value in (
        (options.fit, "crop"), (options.negative, "clip"), (options.bad_neurons, "refuse"), (options.axes, "twh"),
    ):  # fmt: skip
        choice.setCurrentIndex(choice.findData(value))
    screen.colours.setText("green, uv")
    shown_on = ScreenGeometry(40, 30, 20, rows=36, cols=16, colours=("green", "uv"))
    changed = {
        "trial_frames": 90, "test_share": 0.2, "validation_share": 0.02, "clock_tolerance_s": 0.08,
        "levels": (0.0, 4095.0), "frame_rate_hz": 60.0, "trim": True, "within_movie": True, "fit": "crop",
        "negative": "clip", "bad_neurons": "refuse", "axes": "twh", "screen": shown_on,
        "stills_s": 0.5,
    }  # fmt: skip
    assert set(changed) == set(ImportSettings.model_fields)
    assert options.settings() == ImportSettings(**changed)
    assert "90° × 74°" in screen.told.text()
    options.axes.setEditText("tchw")
    assert options.settings().axes == "tchw"


def test_colours_and_axes_that_were_mistyped_are_said_at_once_and_not_imported(
    form: ImportForm, raw: RawMouse, tmp_path: Path
) -> None:
    chosen(form, raw.write_arrays(tmp_path / "raw"))
    for field, wrong in ((form.settings.screen.colours, "uv"), (form.settings.axes.lineEdit(), "xyt")):
        assert field is not None
        right = field.text()
        field.setText(wrong)
        form.look()
        assert f"found “{wrong}”" in form.message.text()
        assert not form.import_button.isEnabled()
        field.setText(right)
        form.look()
        assert form.controller.wait()
        assert form.import_button.isEnabled()


def test_what_is_missing_is_said_before_anything_is_imported_and_stays_one_message(
    form: ImportForm, raw: RawMouse, tmp_path: Path
) -> None:
    source = raw.write_arrays(tmp_path / "raw")
    (source / "stimulus.npy").unlink()
    chosen(form, source)
    assert "expected the movies that were shown" in form.message.text()
    assert "activity.npy" in shown_uses(form)
    form.start()
    assert form.controller.wait()
    assert "expected the movies that were shown" in form.message.text()
    assert sorted(tmp_path.iterdir()) == [source]


def test_a_folder_in_which_nothing_can_be_used_cannot_be_imported(form: ImportForm, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    chosen(form, empty)
    assert "found nothing that can be used" in form.summary.text()
    assert "expected the movies that were shown" in form.message.text()
    assert not form.import_button.isEnabled()


def test_negative_activity_is_refused_in_words_of_the_form(form: ImportForm, raw: RawMouse, tmp_path: Path) -> None:
    raw.activity[2, 5] = -1
    chosen(form, raw.write_arrays(tmp_path / "raw"))
    form.start()
    assert form.controller.wait()
    assert "Activity below 0" in form.message.text()
    assert "--" not in form.message.text()
    form.settings.negative.setCurrentIndex(form.settings.negative.findData("clip"))
    form.start()
    assert form.controller.wait()
    assert form.controller.imported is not None


def test_messages_of_the_core_never_name_an_option_in_the_form() -> None:
    for option, control in CONTROLS.items():
        assert in_words_of_the_form(f"expected this, found that; {option}") == f"expected this, found that; {control}"
    assert "--" not in in_words_of_the_form("found several; name one with --pupil-center")


def test_a_stopped_import_leaves_nothing_and_the_form_can_be_used_again(
    form: ImportForm, raw: RawMouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = importer.on_video_clock

    def stopped_meanwhile(*arguments: object) -> np.ndarray:
        form.controller.stop()
        return once(*arguments)

    source = raw.write_arrays(tmp_path / "raw")
    chosen(form, source)
    monkeypatch.setattr(importer, "on_video_clock", stopped_meanwhile)
    form.import_button.click()
    assert form.bar.stop_button.isVisible()
    assert not form.import_button.isEnabled()
    assert form.controller.wait()
    assert "nothing was written" in form.message.text()
    assert sorted(tmp_path.iterdir()) == [source]
    monkeypatch.undo()
    form.import_button.click()
    assert form.controller.wait()
    assert form.controller.imported is not None


def test_a_window_that_is_closed_ends_the_import_and_leaves_nothing(
    qtbot: QtBot, raw: RawMouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once, reached, closed = importer.on_video_clock, threading.Event(), threading.Event()

    def waiting(*arguments: object) -> np.ndarray:
        reached.set()
        closed.wait(10)
        return once(*arguments)

    window = QWidget()
    form = ImportForm(lambda _path: None, window)
    source = raw.write_arrays(tmp_path / "raw")
    chosen(form, source)
    monkeypatch.setattr(importer, "on_video_clock", waiting)
    form.start()
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "vidrecon-import"]
    assert reached.wait(10)
    del form
    window.deleteLater()
    QCoreApplication.sendPostedEvents(window, QEvent.Type.DeferredDelete)
    closed.set()
    thread.join(10)
    assert not thread.is_alive()
    assert sorted(tmp_path.iterdir()) == [source]


def test_a_session_is_replaced_only_if_asked_and_other_folders_never(
    form: ImportForm, raw: RawMouse, tmp_path: Path
) -> None:
    source = raw.write_arrays(tmp_path / "raw")
    chosen(form, source)
    for _ in range(2):
        form.start()
        assert form.controller.wait()
    assert "Replace a session" in form.message.text()
    form.replace.setChecked(True)
    form.start()
    assert form.controller.wait()
    assert form.controller.imported is not None
    form.out.setText(str(source))
    form.start()
    assert form.controller.wait()
    assert "found other files" in form.message.text()
    assert (source / "activity.npy").is_file()


def test_files_that_cannot_be_read_become_one_message(form: ImportForm, tmp_path: Path) -> None:
    file = tmp_path / "broken.nwb"
    file.write_bytes(b"no NWB")
    chosen(form, file)
    assert "expected an NWB file" in form.message.text()
    assert not form.import_button.isEnabled()
    assert form.table.topLevelItemCount() == 0


def test_what_keeps_files_from_being_imported_is_said_with_the_name_of_the_file(
    form: ImportForm, raw: RawMouse, tmp_path: Path
) -> None:
    source = raw.write_arrays(tmp_path / "raw")
    (source / "activity_times.npy").unlink()
    chosen(form, source)
    assert "activity_times.npy: clock of the activity: nothing there" in form.message.text()
    raw.write_arrays(source)
    (source / "stimulus.npy").write_bytes((source / "stimulus.npy").read_bytes()[:5000])
    chosen(form, source)
    assert "stimulus.npy: expected" in form.message.text()
    assert "the file is truncated" in form.message.text()


def test_a_place_that_takes_no_session_is_told_with_what_to_do_and_a_disk_itself_may_be_chosen(
    form: ImportForm, raw: RawMouse, tmp_path: Path
) -> None:
    chosen(form, raw.write_arrays(tmp_path / "raw"))
    form.out.setText(str(tmp_path / ("a" * 300)))
    form.start()
    assert form.controller.wait()
    assert "the name is longer than the system takes; choose a shorter one" in form.message.text()
    chosen(form, Path(tmp_path.anchor))
    assert form.out.text() == str(Path(tmp_path.anchor) / "recording_session")


def test_where_several_series_could_be_meant_one_is_chosen_from_those_found(
    form: ImportForm, raw: RawMouse, tmp_path: Path
) -> None:
    import pynwb

    file = raw.write_nwb(tmp_path / "raw.nwb")
    with pynwb.NWBHDF5IO(str(file), "a") as io:
        book = io.read()
        speed = book.processing["behavior"]["BehavioralTimeSeries"]
        speed.create_timeseries("wheel_speed", raw.behavior["running"], "cm/s", timestamps=raw.behavior_times)
        io.write(book)
    chosen(form, file)
    assert "choose one under “Series”" in form.message.text()
    control = form.reading.pages["nwb"].controls["running"]
    control.value = next(name for name in control.choices if name.endswith("wheel_speed"))
    form.look()
    assert form.controller.wait()
    assert not form.message.isVisible()
    (name,) = [name for name, use in shown_uses(form).items() if use == "running"]
    assert name == control.value
    assert name.endswith("wheel_speed")
    several = form.reading.pages["nwb"].controls["activity"]
    first, second = [one for one in several.choices if one][:2]
    several.value = first
    form.look()
    assert form.controller.wait()
    assert f"{first},{second}" in several.choices


def test_a_kind_that_is_chosen_later_offers_what_was_found_and_keeps_what_was_chosen(
    form: ImportForm, raw: RawMouse, tmp_path: Path
) -> None:
    chosen(form, raw.write_arrays(tmp_path / "raw"))
    first = form.kind.currentData()
    assert "nwb" not in form.reading.pages
    found = [column.name for column in form.controller.columns]
    form.reading.show_kind("nwb")
    assert set(found) <= set(form.reading.pages["nwb"].controls["activity"].choices)
    form.reading.pages["nwb"].controls["activity"].value = found[0]
    form.reading.show_kind(first)
    assert not form.reading.pages["nwb"].isVisible()
    form.reading.show_kind("nwb")
    assert form.reading.pages["nwb"].controls["activity"].value == found[0]


def test_a_reader_of_another_package_is_in_the_list_with_a_form_of_its_options(
    install_package: Callable[..., Path], qtbot: QtBot, raw: RawMouse, mouse: Session, tmp_path: Path
) -> None:
    install_package("lab_boxes", BOXES, {"readers": "box = lab_boxes:BoxReader"})
    form = ImportForm(lambda _path: None)
    qtbot.addWidget(form)
    form.show()
    chosen(form, write_box(raw, tmp_path / "mouse.box"))
    assert form.kind.currentText() == "lab box"
    page = form.reading.pages["box"]
    assert page.isVisible()
    page.controls["gain"].value = 2.0
    form.start()
    assert form.controller.wait()
    expected = 2 * mouse.trial(3).responses
    np.testing.assert_allclose(open_session(tmp_path / "mouse_session").trial(3).responses, expected, atol=0.02)


def test_no_entry_of_a_readers_lists_is_cut(form: ImportForm) -> None:
    cut = {}
    for kind in kinds_of(form):
        form.kind.setCurrentIndex(form.kind.findData(kind))
        form.reading.show_kind(kind)
        QTest.qWait(50)
        page = form.reading.pages[kind]
        for name, control in page.controls.items():
            if isinstance(control.native, QComboBox):
                letters = control.native.fontMetrics()
                labels = [control.native.itemText(index) for index in range(control.native.count())]
                widest = max(map(letters.horizontalAdvance, labels))
                if widest + ARROW_PX > control.native.width():
                    cut[kind, name] = control.native.width()
    assert cut == {}


def test_every_control_of_the_form_says_what_it_does(form: ImportForm) -> None:
    kinds = (QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QTreeWidget)
    silent = []
    assert len(kinds_of(form)) > 2
    for control in [control for kind in kinds for control in form.findChildren(kind)]:
        above = control
        while not above.toolTip() and above is not form:
            above = above.parentWidget()
        if not above.toolTip() and control not in (form.fold.heading, form.screen_fold.heading):
            silent.append(control.objectName() or type(control).__name__)
    assert silent == []
