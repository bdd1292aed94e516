"""Whatever goes wrong in the window is one line there, and a traceback in a log."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import sys
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
from qtpy.QtWidgets import QPushButton

import napari_vidrecon as vr
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.targets import NeuronSet
from napari_vidrecon.viewer.contributions.files import get_reader, read_run
from napari_vidrecon.viewer.controller import RunController
from napari_vidrecon.viewer.faults import FaultHook, Faults, in_one_line
from napari_vidrecon.viewer.fits import MaskFitController
from napari_vidrecon.viewer.folders import find_companions, kept_runs, recent_folders
from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.opening import open_path, try_to
from napari_vidrecon.viewer.runs.active_run import Active, Plan
from napari_vidrecon.viewer.runs.jobs import Job
from napari_vidrecon.viewer.runs.run_job import RunRequest
from napari_vidrecon.viewer.studies.results_view import StudyResults


@pytest.fixture
def said(small_model: ReconstructionModel) -> list[str]:
    """What the small model tells."""
    lines: list[str] = []
    small_model.message.connect(lambda text, _is_error: lines.append(text))
    return lines


def logs() -> list[Path]:
    return sorted(Path(os.environ["VIDRECON_LOGS"]).glob("*.txt"))


def active(model: ReconstructionModel, seed: int, *, running: bool) -> Active:
    assert model.session is not None
    model.set_neurons(NeuronSet.random(model.session.n_neurons, 0.3, seed))
    job = MagicMock(running=running)
    job.fetch.return_value = []
    return Active(Plan(RunRequest.from_model(model)), job, MagicMock(), model.recipe())


def test_of_two_stopped_runs_the_later_may_end_first(qtbot, small_model):
    controller = RunController(small_model)
    first, second = active(small_model, 1, running=True), active(small_model, 2, running=False)
    for each in (first, second):
        controller.begin(each.job)
        controller._leave_behind(each)
    controller.poll()
    assert controller._left_behind == [first]


@pytest.mark.parametrize("noun", [AlphaMask.full(), NeuronSet.all(3)], ids=lambda noun: type(noun).__name__)
def test_nouns_that_hold_arrays_can_be_compared_looked_up_and_hashed(noun):
    other = dataclasses.replace(noun)
    assert noun != other
    assert [other, noun].index(noun) == 1
    assert len({noun, other}) == 2


def test_a_run_or_its_parts_can_be_compared(small_model, small_result):
    request, again = RunRequest.from_model(small_model), RunRequest.from_model(small_model)
    assert request != again
    assert small_model.trial != dataclasses.replace(small_model.trial)
    assert small_result != dataclasses.replace(small_result)


def test_polling_goes_on_when_what_it_leads_to_fails(qtbot, small_model, said, expected_faults):
    controller = MaskFitController(small_model)
    small_model.mask_changed.connect(lambda: 1 / 0)
    controller._session = small_model.session
    controller.begin(Job(lambda job: job.tell(AlphaMask.full()), "vidrecon-mask"))
    assert controller.wait(10)
    assert not controller.busy
    assert "ZeroDivisionError" in said[-1]
    assert "ZeroDivisionError" in expected_faults()[0].read_text()


def test_a_fault_is_one_line_and_a_log_however_often_it_happens(expected_faults):
    told: list[str] = []
    faults = Faults(lambda text, _is_error: told.append(text))
    for _ in range(50):
        with faults:
            raise RuntimeError("two\nlines \x1b[31m")
    assert len(set(told)) == 1
    assert "\n" not in told[0]
    assert "\x1b" not in told[0]
    (log,) = expected_faults()
    assert log.name in told[0]


def test_an_error_of_the_input_is_told_in_its_own_words_and_not_logged(small_model):
    small_model.mask_changed.connect(_refuse)
    with pytest.raises(Exception, match="mask") as raised:
        small_model.set_mask(AlphaMask.full())
    assert in_one_line(raised.value) == "mask.npy: expected a mask, found none"


def test_what_the_system_refused_is_told_with_what_to_do_and_not_logged():
    assert in_one_line(OSError(errno.ENOSPC, "No space left", "a.npy")) == (
        "a.npy: the disk is full; make room or choose another"
    )


def _refuse() -> None:
    raise vr.MaskError("mask.npy: expected a mask, found none")


def test_errors_of_this_package_reach_the_window_and_others_go_on(monkeypatch, expected_faults):
    passed_on, told = [], []
    monkeypatch.setattr(sys, "excepthook", lambda *error: passed_on.append(error))
    hook = FaultHook(Faults(lambda text, _is_error: told.append(text)))
    hook.install()
    hook.install()
    try:
        AlphaMask(None)  # type: ignore[arg-type]
    except Exception as error:  # noqa: BLE001
        sys.excepthook(type(error), error, error.__traceback__)
    assert (len(told), len(passed_on)) == (1, 0)
    elsewhere = ZeroDivisionError("elsewhere")
    sys.excepthook(ZeroDivisionError, elsewhere, None)
    assert (len(told), passed_on[0][1]) == (1, elsewhere)
    hook.close()
    sys.excepthook(ZeroDivisionError, elsewhere, None)
    assert len(passed_on) == 2


def test_hidden_files_drafts_and_damaged_files_are_no_companions(small_encoder_file, copy_of_small_session, disc_mask):
    folder = copy_of_small_session / "encoders"
    folder.mkdir()
    for name in (".a.safetensors", ".vidrecon-draft-x.safetensors", "b.training.safetensors", "z.safetensors"):
        shutil.copy(small_encoder_file, folder / name)
    (folder / "a.safetensors").write_bytes(b"\x10\0\0\0")
    (folder / "b.pth").write_bytes(b"nonsense")
    (folder / "c.pth").mkdir()
    os.mkfifo(folder / "d.pth")
    (copy_of_small_session / "mask.npy").write_bytes(b"nonsense")
    disc_mask.save(copy_of_small_session.parent / "mask.npy")
    found = find_companions(copy_of_small_session)
    assert [path.name for path in found.encoders] == ["z.safetensors"]
    assert found.mask_path == copy_of_small_session.parent / "mask.npy"
    assert len(found.passed_over) == 5

    model = ReconstructionModel()
    lines = []
    model.message.connect(lambda text, _is_error: lines.append(text))
    open_path(model, copy_of_small_session)
    assert model.encoder_paths == [folder / "z.safetensors"]
    assert model.trial is not None
    assert len(lines) == 1
    assert "a.safetensors" in lines[0]


DAMAGES = {
    "trial": ["0", None, 1e30, 10**30, -5, {}],
    "mask_threshold": ["x", None, float("nan"), [1]],
    "evaluation_threshold": [float("inf"), {}],
    "target": ["recorded", 3, {"kind": 5}],
    "ablation": ["burn", 1],
    "neuron_details": [[], {"kind": "random", "ablated_fraction": "x", "seed": 1}, {"seed": 10**30}],
    "neuron_reason": [5, {}],
    "mask_source": [5, "a\0b"],
    "encoder_names": ["x", [3], {"a": 1}],
    "inputs": [[], {"encoders": "x"}, {"mouse": 10**30}, {"frames": "x"}, {"session": "\0"}, {"decoder": 5}],
    "session": [5, None],
    "frame_rate_hz": [0, "x", -1],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in DAMAGES.items() for value in values])
def test_a_run_that_tells_nonsense_is_one_line(small_model, said, small_run_folder, tmp_path, key, value):
    copy = tmp_path / "copy.zarr"
    shutil.copytree(small_run_folder, copy)
    described = json.loads((copy / "zarr.json").read_text())
    described["attributes"]["provenance"][key] = value
    (copy / "zarr.json").write_text(json.dumps(described))
    before = small_model.recipe()
    assert not try_to(small_model, open_path, small_model, copy)
    assert len(said) == 1
    assert "copy.zarr" in said[0]
    assert small_model.recipe() == before
    with pytest.raises(vr.RunError, match="copy"):
        read_run(str(copy))


def test_seconds_that_are_none_do_not_spoil_the_list_of_runs(qtbot, small_model, said, small_run_folder, tmp_path):
    for index, value in enumerate(("x", None, 10**400, -1)):
        copy = tmp_path / f"copy{index}.zarr"
        shutil.copytree(small_run_folder, copy)
        described = json.loads((copy / "zarr.json").read_text())
        described["attributes"]["provenance"]["wall_seconds"] = value
        (copy / "zarr.json").write_text(json.dumps(described))
        if try_to(small_model, open_path, small_model, copy):
            assert np.isnan(small_model.shown.seconds)


def test_paths_that_cannot_be_are_one_line_each(small_model, said):
    for path in ("x" * 5000, "a\0b", "/dev/null", "/proc/self/mem", "\udcff"):
        assert not try_to(small_model, open_path, small_model, Path(path))
        assert get_reader(path) is None
    assert len(said) == 5
    assert logs() == []


def test_a_run_folder_that_tells_an_impossible_time_is_left_out(tmp_path):
    for when in ("20260131-170501", "99999999-999999"):
        (tmp_path / f"mouse_trial1_{when}-000.zarr").mkdir()
    assert [run.when for run in kept_runs(tmp_path, "mouse")] == ["2026-01-31 17:05:01"]


def test_recent_folders_that_cannot_be_are_left_out(tmp_path):
    state = Path(os.environ["VIDRECON_STATE"])
    state.mkdir(parents=True, exist_ok=True)
    names = [str(tmp_path), "x" * 5000, "a\0b", 5, None]
    (state / "recent.json").write_text(json.dumps({"opened": names}))
    assert recent_folders() == [tmp_path]
    (state / "recent.json").write_text("[" * 100_000)
    assert recent_folders() == []


def test_results_of_a_study_that_are_damaged_or_lead_elsewhere_are_none(tmp_path):
    folder = tmp_path / "ablation"
    (folder / "tables").mkdir(parents=True)
    told = {"written": "2026-01-31", "scale": {"name": "quick"}, "mice": [], "simulated": True, "runs": {}}
    for runs, sound in (({"a": "b"}, True), ({"../../a": "b"}, False), ({"/etc": "b"}, False), ([], False)):
        (folder / "provenance.json").write_text(json.dumps({**told, "runs": runs}))
        assert (StudyResults.read(tmp_path, "ablation") is not None) == sound
    (folder / "provenance.json").write_text(json.dumps(told))
    for table in (b"statement,shows\na,True\n", b"\xff\xff", b'statement,shows,numbers\n"' + b"a" * 200_000):
        (folder / "tables" / "findings.csv").write_bytes(table)
        assert StudyResults.read(tmp_path, "ablation") is None


@pytest.mark.window
def test_an_error_in_a_slot_and_a_damaged_run_that_napari_opens_are_one_line_each(
    qtbot, make_napari_viewer_proxy, small_run_folder, tmp_path, expected_faults
):
    from napari_vidrecon.viewer.main_widget import ReconstructionWidget
    from napari_vidrecon.viewer.panels.controls import button

    viewer = make_napari_viewer_proxy()
    widget = ReconstructionWidget(viewer)
    lines = []
    widget.model.message.connect(lambda text, _is_error: lines.append(text))
    pressed: QPushButton = button("x", "start", lambda: AlphaMask(None))  # type: ignore[arg-type]
    pressed.click()
    assert len(lines) == 1
    copy = tmp_path / "copy.zarr"
    shutil.copytree(small_run_folder, copy)
    shutil.rmtree(copy / "video")
    read = get_reader(str(copy))
    assert read is not None
    assert read(str(copy)) == [(None,)]
    assert "copy.zarr" in lines[1]
    expected_faults()
