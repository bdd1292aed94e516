"""Readers of other packages: found, asked, and where they are broken one line that names them."""

from __future__ import annotations

import importlib
import shutil

import numpy as np
import pytest
from outside_packages import BOXES, write_box

from napari_vidrecon import doors
from napari_vidrecon.errors import ConfigError, SessionError
from napari_vidrecon.sessions.importing.importer import import_recording
from napari_vidrecon.sessions.importing.recording_reader import ImportSettings
from napari_vidrecon.sessions.importing.sources import DOOR, READERS, ImportSource, all_readers, kind_of, reader_named
from napari_vidrecon.sessions.session import open_session

FAULTY = """
from napari_vidrecon.sessions.importing.recording_reader import Reader

class Faulty(Reader):
    title = "faulty"

    @classmethod
    def recognises(cls, path):
        return path / 0

    def columns(self):
        return None

    def recording(self):
        return []
"""


@pytest.fixture
def boxes(install_package):
    return install_package("lab_boxes", BOXES, {"readers": "box = lab_boxes:BoxReader"})


def test_a_reader_of_another_package_is_told_by_its_files_and_imports_them(
    boxes, raw_mouse, simulated_mouse, tmp_path, out
):
    file = write_box(raw_mouse, tmp_path / "mouse.box")
    assert list(all_readers()) == ["suite2p", "phy", "caiman", "nwb", "arrays", "box"]
    assert kind_of(file) == "box"
    with ImportSource("box", file, {"gain": "2"}).opened(ImportSettings()) as opened:
        assert {column.use for column in opened.columns()} == {"activity", "stimulus", "times"}
        import_recording(opened.recording(), out)
    expected = 2 * simulated_mouse.trial(3).responses
    np.testing.assert_allclose(open_session(out).trial(3).responses, expected, atol=0.02)


def test_its_options_are_checked(boxes, raw_mouse, tmp_path):
    source = ImportSource("box", write_box(raw_mouse, tmp_path / "mouse.box"), {"gain": -1})
    with pytest.raises(ConfigError, match="gain: input should be greater than 0"), source.opened(ImportSettings()):
        pass


def test_what_such_a_reader_raises_is_one_line_that_names_its_package(boxes, tmp_path):
    (tmp_path / "empty.box").write_bytes(b"")
    source = ImportSource("box", tmp_path / "empty.box")
    with (
        pytest.raises(SessionError, match=r"reader 'box': the package lab_boxes 0\.1 .* failed \(EOFError"),
        source.opened(ImportSettings()),
    ):
        pass


def test_a_reader_whose_package_is_removed_meanwhile_is_one_line(boxes, monkeypatch):
    found = list(doors.entry_points(group=DOOR.group, name="box"))
    shutil.rmtree(boxes)
    importlib.invalidate_caches()
    monkeypatch.setattr(doors, "entry_points", lambda **_: found)
    with pytest.raises(SessionError, match=r"reader 'box': the package lab_boxes.* cannot be loaded .*No module named"):
        reader_named("box")


def test_a_faulty_reader_hinders_no_other(install_package, tmp_path, caplog):
    install_package("lab_faulty", FAULTY, {"readers": "faulty = lab_faulty:Faulty"})
    assert kind_of(tmp_path) == "arrays"
    assert "lab_faulty 0.1" in caplog.text
    with ImportSource("faulty", tmp_path).opened(ImportSettings()) as opened:
        with pytest.raises(SessionError, match=r"lab_faulty 0\.1 .* not iterable"):
            opened.columns()
        with pytest.raises(SessionError, match=r"lab_faulty 0\.1 .* expected a Recording, found list"):
            opened.recording()


@pytest.mark.parametrize("code", ["import nowhere_to_be_found", "class Box: ...", FAULTY.replace("title", "name")])
def test_a_package_that_cannot_be_used_is_one_line_and_the_others_stay(code, install_package, tmp_path, caplog):
    install_package("lab_broken", code, {"readers": "box = lab_broken:" + ("Faulty" if "Faulty" in code else "Box")})
    assert all_readers() == READERS
    assert kind_of(tmp_path) == "arrays"
    assert "lab_broken 0.1" in caplog.text
    with pytest.raises(SessionError, match=r"lab_broken 0\.1"), ImportSource("box", tmp_path).opened(ImportSettings()):
        pass
