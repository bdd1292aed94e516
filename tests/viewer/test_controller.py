from __future__ import annotations

import gc
import shutil
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

import napari_vidrecon as vr
from napari_vidrecon.errors import StorageError
from napari_vidrecon.reconstruction.results import Reconstruction
from napari_vidrecon.reconstruction.targets import NeuronSet
from napari_vidrecon.viewer.background import Counted
from napari_vidrecon.viewer.controller import LONGEST_REST_SECONDS, RedrawBudget, RunController
from napari_vidrecon.viewer.fits import GazeFitController, MaskFitController
from napari_vidrecon.viewer.model import ErrorMode, ReconstructionModel, RunState
from napari_vidrecon.viewer.opening import open_run, show_run
from napari_vidrecon.viewer.runs import run_job

LONG_RUN = 100_000
PATIENCE_MS = 30_000


@pytest.fixture
def controller(small_model: ReconstructionModel, qtbot: QtBot) -> RunController:
    made = RunController(small_model)
    yield made
    made.stop()
    made.wait()


def until(qtbot: QtBot, condition: Callable[[], bool]) -> None:
    qtbot.waitUntil(condition, timeout=PATIENCE_MS)


def finish(qtbot: QtBot, controller: RunController) -> None:
    controller.start()
    until(qtbot, lambda: not controller.busy)


def endless(model: ReconstructionModel) -> None:
    model.set_settings(config=model.config.changed(steps=LONG_RUN))


def our_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("vidrecon")]


def test_the_window_gives_the_same_bits_as_python(qtbot, controller, small_model, small_encoder_file):
    model = small_model
    model.set_neurons(NeuronSet.random(20, 0.25, seed=3))
    finish(qtbot, controller)
    encoder = vr.load_encoder(small_encoder_file, neurons=20, device="cpu")
    expected = vr.reconstruct(
        model.trial,
        [encoder],
        model.mask,
        model.config,
        neurons=model.neurons,
        mask_threshold=model.training_threshold,
        evaluation_threshold=model.evaluation_threshold,
    )
    shown = model.shown.result
    assert np.array_equal(shown.video, expected.video)
    assert np.array_equal(shown.predicted_activity, expected.predicted_activity)
    assert shown.provenance["fingerprint"] == expected.provenance["fingerprint"]
    assert shown.history["loss"].tolist() == expected.history["loss"].tolist()


def test_without_a_chosen_encoder_none_is_kept_in_memory(qtbot, controller, small_model):
    finish(qtbot, controller)
    (encoder,) = controller._shelf._shelf.values()
    held = weakref.ref(encoder)
    del encoder
    small_model.set_session(small_model.session)
    until(qtbot, lambda: gc.collect() >= 0 and held() is None)


def test_the_stimulus_prediction_equals_the_encoders_own(qtbot, controller, small_model, small_encoder_file):
    controller.predict_stimulus()
    until(qtbot, lambda: small_model.stimulus_prediction is not None)
    trial = small_model.trial
    encoder = vr.load_encoder(small_encoder_file, neurons=20, device="cpu")
    expected = encoder.predict(trial.video, trial.behavior, trial.pupil_center)
    assert np.array_equal(small_model.stimulus_prediction, expected)
    assert set(small_model.stimulus_levels) == {"loss", "response_loss", "response_correlation"}


def test_a_run_passes_through_its_states_and_shows_pictures(qtbot, controller, small_model):
    states, steps = [], []
    small_model.state_changed.connect(lambda: states.append(small_model.state))
    small_model.snapshot_arrived.connect(lambda snapshot: steps.append(snapshot.info.step))
    finish(qtbot, controller)
    assert states == [RunState.LOADING, RunState.RUNNING, RunState.DONE]
    assert steps == sorted(steps)
    assert small_model.video is small_model.shown.result.video
    assert small_model.shown.path.is_dir()


def test_a_held_run_makes_no_step_until_it_goes_on(qtbot, controller, small_model):
    endless(small_model)
    controller.start()
    until(qtbot, lambda: small_model.snapshot is not None and small_model.snapshot.info.step > 2)
    controller.pause()
    runner = controller.runner
    until(qtbot, lambda: any(controller.runs_folder.glob("*.zarr")))
    held_at = runner.run.steppable.step_index
    controller.poll()
    assert small_model.state == RunState.PAUSED
    assert runner.run.steppable.step_index == held_at
    controller.resume()
    until(qtbot, lambda: runner.run.steppable.step_index > held_at)
    controller.stop()
    until(qtbot, lambda: small_model.state == RunState.DONE)


def test_a_stopped_run_keeps_its_steps_and_can_go_on_to_the_same_bits(qtbot, controller, small_model):
    model = small_model
    model.set_settings(config=model.config.changed(steps=20))
    finish(qtbot, controller)
    uninterrupted = model.shown.result.video
    controller.start()
    until(qtbot, lambda: controller.runner is not None)
    controller.pause()
    controller.stop()
    until(qtbot, lambda: not controller.busy)
    record, done = model.shown, len(model.shown.result.history)
    assert done < 20
    assert controller.can_continue
    controller.resume()
    until(qtbot, lambda: not controller.busy)
    assert model.shown is record
    assert len(record.result.history) == 20
    assert np.array_equal(record.result.video, uninterrupted)


def test_rerun_keeps_the_old_run_and_says_what_changed(qtbot, controller, small_model):
    finish(qtbot, controller)
    small_model.set_thresholds(training=0.2)
    assert small_model.stale == ["mask_threshold"]
    controller.rerun()
    until(qtbot, lambda: len(small_model.runs) == 2 and not controller.busy)
    assert small_model.runs[1].changed_from_before == "mask 0.4 → 0.2"
    assert small_model.stale == []


def test_rerun_in_the_middle_of_a_run_stops_it_first(qtbot, controller, small_model):
    endless(small_model)
    controller.start()
    until(qtbot, lambda: small_model.snapshot is not None)
    small_model.set_settings(config=small_model.config.changed(steps=4))
    controller.rerun()
    until(qtbot, lambda: len(small_model.runs) == 2 and not controller.busy)
    first, second = small_model.runs
    assert not first.result.finished
    assert second.result.finished
    assert len(second.result.history) == 4


def test_a_change_reaches_the_running_optimisation_if_wanted(qtbot, controller, small_model):
    endless(small_model)
    small_model.set_settings(apply_live=True)
    controller.start()
    until(qtbot, lambda: small_model.snapshot is not None)
    small_model.set_thresholds(training=0.1)
    small_model.set_neurons(NeuronSet.random(20, 0.5))
    runner = controller.runner
    until(qtbot, lambda: len(runner.run.provenance.get("changes", [])) == 2)
    assert small_model.stale == []
    assert runner.run.steppable.training_threshold == 0.1
    assert runner.run.target.neurons.count == small_model.neurons.count
    controller.stop()
    until(qtbot, lambda: not controller.busy)
    assert small_model.shown.recipe.mask_threshold == 0.1
    assert not controller.can_continue


def test_without_that_wish_a_change_only_makes_the_run_stale(qtbot, controller, small_model):
    endless(small_model)
    controller.start()
    until(qtbot, lambda: small_model.snapshot is not None)
    small_model.set_thresholds(training=0.1)
    assert small_model.stale == ["mask_threshold"]
    controller.stop()
    until(qtbot, lambda: not controller.busy)
    assert small_model.shown.recipe.mask_threshold == 0.4
    assert "changes" not in small_model.shown.result.provenance


def test_stopping_while_loading_takes_effect_at_once(controller, small_model):
    controller.start()
    assert small_model.state == RunState.LOADING
    controller.stop()
    assert small_model.state == RunState.IDLE
    assert not controller.busy


def test_choosing_another_trial_stops_the_run_and_keeps_it(qtbot, controller, small_model):
    endless(small_model)
    controller.start()
    until(qtbot, lambda: small_model.snapshot is not None)
    small_model.set_trial(1, 0, 48)
    assert small_model.shown is None
    until(qtbot, lambda: len(small_model.runs) == 1)
    assert small_model.shown is None
    show_run(small_model, small_model.runs[0])
    assert small_model.trial.id == 0
    assert small_model.shown is small_model.runs[0]


def test_the_error_map_of_the_paper_gets_its_second_reconstruction(qtbot, controller, small_model):
    small_model.set_view(error_mode=ErrorMode.PREDICTED)
    finish(qtbot, controller)
    until(qtbot, lambda: len(small_model.runs) == 2 and not controller.busy)
    assert [run.recipe.target for run in small_model.runs] == ["recorded", "predicted"]
    assert small_model.shown is small_model.runs[0]
    assert small_model.expected is small_model.runs[1]


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda model: model.set_encoders([Path("gone.safetensors")]), "expected an encoder file"),
        (lambda model: model.set_encoders([]), "Choose an encoder first"),
        (lambda model: model.set_thresholds(evaluation=9.0), "no pixel reaches alpha"),
    ],
)
def test_what_is_missing_becomes_a_message_and_the_window_stays_usable(
    qtbot, controller, small_model, small_encoder_file, spoil, expected
):
    messages = []
    small_model.message.connect(lambda text, is_error: messages.append((text, is_error)))
    spoil(small_model)
    controller.start()
    until(qtbot, lambda: any(expected in text and is_error for text, is_error in messages))
    until(qtbot, lambda: not controller.busy)
    small_model.set_encoders([small_encoder_file])
    small_model.set_thresholds(evaluation=0.6)
    finish(qtbot, controller)
    assert small_model.state == RunState.DONE


def test_an_encoder_of_another_mouse_is_named_with_both_counts(
    qtbot, controller, small_model, golden_checkpoints: list[Path]
):
    messages = []
    small_model.message.connect(lambda text, is_error: messages.append(text))
    small_model.set_encoders(golden_checkpoints[:1])
    controller.start()
    until(qtbot, lambda: small_model.state == RunState.FAILED)
    assert "20 neurons" in messages[-1]
    assert "37" in messages[-1]


def test_running_out_of_memory_says_what_to_do(qtbot, controller, small_model, monkeypatch):
    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(run_job, "plan_recipe", explode)
    messages = []
    small_model.message.connect(lambda text, is_error: messages.append(text))
    controller.start()
    until(qtbot, lambda: small_model.state == RunState.FAILED)
    assert messages[-1].startswith("Out of memory. Choose fewer frames")
    monkeypatch.undo()
    finish(qtbot, controller)
    assert small_model.state == RunState.DONE


def test_a_run_asked_for_while_a_failed_ones_thread_ends_begins_after_it(qtbot, controller, small_model, monkeypatch):
    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")

    def start_again() -> None:
        if small_model.state == RunState.FAILED:
            monkeypatch.undo()
            controller.start()

    monkeypatch.setattr(run_job, "plan_recipe", explode)
    small_model.state_changed.connect(start_again)
    controller.start()
    until(qtbot, lambda: small_model.state == RunState.DONE and not controller.busy)


@pytest.mark.parametrize("when", ["at its end", "on its way"])
def test_a_run_that_could_not_be_saved_is_told_of_in_one_line_and_stays_in_the_window(
    qtbot, controller, small_model, monkeypatch, tmp_path, when
):
    messages: list[tuple[str, bool]] = []
    small_model.message.connect(lambda text, is_error: messages.append((text, is_error)))
    with monkeypatch.context() as full_disk:
        full_disk.setattr(Reconstruction, "save", _no_room)
        full_disk.setattr(run_job.Run, "save_partial", _no_room)
        if when == "on its way":
            endless(small_model)
        controller.start()
        if when == "on its way":
            until(qtbot, lambda: small_model.snapshot is not None)
            controller.pause()
        until(qtbot, lambda: not controller.busy)
    ((text, is_error),) = messages
    assert is_error
    assert text.startswith("Run 1 is not on disk")
    assert "Save…" in text
    assert "No space left" in text
    assert "\n" not in text
    record = small_model.shown
    assert small_model.state == RunState.DONE
    assert (record.name, record.path, len(record.result.history) > 0) == ("Run 1", None, True)
    if when == "at its end":
        assert record.result.finished
        assert record.result.predicted_activity is not None
    else:
        assert controller.can_continue
    record.result.save(tmp_path / "elsewhere.zarr")
    again = open_run(ReconstructionModel(), tmp_path / "elsewhere.zarr").result
    assert np.array_equal(again.video, record.result.video)


def test_a_run_that_was_left_behind_and_could_not_be_saved_is_not_lost_with_its_trial_or_session(
    qtbot, controller, small_model, monkeypatch, small_session_folder, tmp_path
):
    messages: list[str] = []
    small_model.message.connect(lambda text, is_error: messages.append(text))
    monkeypatch.setattr(Reconstruction, "save", _no_room)
    endless(small_model)
    controller.start()
    until(qtbot, lambda: small_model.snapshot is not None)
    small_model.set_session(vr.open_session(shutil.copytree(small_session_folder, tmp_path / "another mouse")))
    until(qtbot, lambda: len(small_model.elsewhere) == 1)
    (record,) = small_model.elsewhere
    assert messages[-1].startswith(f"{record.name} of {small_session_folder.name} is not on disk")
    small_model.set_session(vr.open_session(small_session_folder))
    assert small_model.runs == [record]


def test_a_run_that_another_session_stopped_is_listed_beside_it_and_comes_back_with_its_own(
    qtbot, controller, small_model, small_session_folder, tmp_path
):
    messages: list[str] = []
    small_model.message.connect(lambda text, is_error: messages.append(text))
    endless(small_model)
    controller.start()
    until(qtbot, lambda: small_model.snapshot is not None)
    small_model.set_session(vr.open_session(shutil.copytree(small_session_folder, tmp_path / "another mouse")))
    assert messages == ["The run was stopped, because another session was opened; it is kept."]
    until(qtbot, lambda: len(small_model.elsewhere) == 1)
    (record,) = small_model.elsewhere
    until(qtbot, record.path.is_dir)
    small_model.set_session(vr.open_session(small_session_folder))
    small_model.set_trial(0, *small_model.clip)
    assert (small_model.runs, small_model.elsewhere) == ([record], [])


def _no_room(_self: object, path: object) -> None:
    raise StorageError(f"{path}: cannot be written: No space left on device")


def test_an_error_in_the_middle_of_a_run_keeps_what_was_done(qtbot, controller, small_model, expected_faults):
    endless(small_model)
    controller.start()
    until(qtbot, lambda: small_model.snapshot is not None)

    def explode(_run: object) -> None:
        raise RuntimeError("a cosmic ray")

    controller.runner.change(explode)
    until(qtbot, lambda: small_model.state == RunState.FAILED)
    assert len(small_model.shown.result.history) > 0
    assert small_model.shown.path.is_dir()
    assert "a cosmic ray" in expected_faults()[0].read_text()


def test_a_run_kept_on_disk_restores_everything_in_a_new_window(
    qtbot, controller, small_model, small_session_folder, small_encoder_file, tmp_path
):
    small_model.set_neurons(NeuronSet.random(20, 0.5, seed=2))
    small_model.set_settings(target="predicted", ablation="silence")
    finish(qtbot, controller)
    old = small_model
    new = ReconstructionModel()
    record = open_run(new, old.shown.path)
    assert new.session.path == small_session_folder
    assert new.trial.id == 0
    assert new.clip == old.clip
    assert new.encoder_paths == [small_encoder_file]
    assert np.array_equal(new.mask.alpha, old.mask.alpha)
    assert (new.training_threshold, new.evaluation_threshold) == (0.4, 0.6)
    assert new.neurons.reason == old.neurons.reason
    assert (new.target, new.ablation) == ("predicted", "silence")
    assert new.config == old.config
    assert new.shown is record
    assert new.stale == []
    assert np.array_equal(new.video, old.video)
    # Opened again from another session, it is the same run, and is not listed twice.
    new.set_session(vr.open_session(shutil.copytree(small_session_folder, tmp_path / "another mouse")))
    assert new.elsewhere == [record]
    assert open_run(new, old.shown.path) is record
    assert (new.runs, new.elsewhere, new.shown) == ([record], [], record)


def test_two_windows_do_not_mix(qtbot, controller, small_model, make_model):
    other_model = make_model()
    other = RunController(other_model)
    other_model.set_trial(1, 0, 48)
    other_model.set_settings(config=other_model.config.changed(steps=3))
    controller.start()
    other.start()
    until(qtbot, lambda: not controller.busy and not other.busy)
    assert [len(run.result.history) for run in (*small_model.runs, *other_model.runs)] == [6, 3]
    assert [run.recipe.trial for run in (*small_model.runs, *other_model.runs)] == [0, 1]
    assert small_model.runs[0].path != other_model.runs[0].path


def test_many_starts_and_stops_leave_no_thread(qtbot, controller, small_model):
    endless(small_model)
    for _ in range(5):
        controller.start()
        until(qtbot, lambda: small_model.state == RunState.RUNNING)
        controller.stop()
        until(qtbot, lambda: not controller.busy)
    controller.wait()
    # The last one may still give memory back.
    until(qtbot, lambda: our_threads() == [])
    assert not controller.polling


def test_a_controller_that_is_deleted_stops_its_run_and_the_run_stays_on_disk(qtbot, small_model):
    controller = RunController(small_model)
    endless(small_model)
    controller.start()
    until(qtbot, lambda: small_model.snapshot is not None)
    folder = controller.runs_folder
    (thread,) = our_threads()
    controller.deleteLater()
    until(qtbot, lambda: not thread.is_alive())
    (kept,) = folder.glob("*.zarr")
    assert len(vr.Reconstruction.load(kept).history) > 0


def test_a_mask_is_fitted_in_the_background(qtbot, small_model, monkeypatch):
    from napari_vidrecon.reconstruction.mask_fitting import MaskRecipe

    fitting = MaskFitController(small_model)
    told, alphas = [], []
    fitting.changed.connect(lambda: (told.append(fitting.counted), alphas.append(fitting.alpha)))
    before = small_model.mask
    fitting.start(MaskRecipe(steps=3, skip_frames=4))
    until(qtbot, lambda: not fitting.busy)
    assert told[0] == Counted(0, 3)
    assert told[-1] is None
    assert alphas[-1] is None
    assert small_model.mask is not before
    small_model.undo()
    assert np.array_equal(small_model.mask.alpha, before.alpha)


def test_what_the_pupil_tells_of_the_gaze_is_found_once_and_taken_only_if_it_holds(qtbot, small_model, monkeypatch):
    from napari_vidrecon.reconstruction import gaze_fitting
    from napari_vidrecon.reconstruction.composition import InferredGaze

    asked, told = [], []
    gaze = InferredGaze(sd_px=0.0, columns_per_x=0.4, rest_x=3.0)
    found = gaze_fitting.PupilGaze(gaze, (2.0, 0.1), ((1.0, 0.9), (1.0, 0.8)), 4)

    def fit_gaze(_session, _encoder, known, checked, *, on_progress):
        asked.append((known, checked))
        on_progress(1, 2)
        return found

    monkeypatch.setattr(gaze_fitting, "fit_gaze", fit_gaze)
    small_model.message.connect(lambda text, _is_error: told.append(text))
    before, fitting = small_model.config, GazeFitController(small_model)
    fitting.start()
    until(qtbot, lambda: not fitting.busy)
    assert small_model.config.gaze == gaze
    assert "2.0 px across, 0.1 px up and down (SD); 2 of 2 other clips" in told[-1]
    small_model.undo()
    assert small_model.config == before
    fitting.start()
    assert small_model.config.gaze == gaze
    assert len(asked) == 1
    small_model.undo()
    found = replace(found, losses=((1.0, 1.1), (1.0, 1.2)))
    fitting = GazeFitController(small_model)
    fitting.start()
    until(qtbot, lambda: not fitting.busy)
    assert small_model.config == before
    assert told[-1].startswith("No gaze")


QUITS_IN_THE_MIDDLE = """
import sys
from pathlib import Path
from qtpy.QtCore import QCoreApplication
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.sessions.session import open_session
from napari_vidrecon.viewer.controller import RunController
from napari_vidrecon.viewer.model import ReconstructionModel

application = QCoreApplication(sys.argv)
model = ReconstructionModel()
model.set_session(open_session(sys.argv[1]))
model.set_encoders([Path(sys.argv[2])])
model.set_settings(config=ReconstructionConfig.preset("best", steps=100000), device="cpu")
model.set_trial(0, 0, 48)
controller = RunController(model)
model.snapshot_arrived.connect(lambda snapshot: application.quit())
controller.start()
application.exec()
"""


def test_quitting_the_program_in_the_middle_of_a_run_keeps_it(
    small_session_folder, small_encoder_file, tmp_path, monkeypatch
):
    monkeypatch.setenv("VIDRECON_RUNS", str(tmp_path))
    arguments = [sys.executable, "-c", QUITS_IN_THE_MIDDLE, str(small_session_folder), str(small_encoder_file)]
    subprocess.run(arguments, check=True, timeout=60)
    (kept,) = tmp_path.glob("*.zarr")
    assert vr.Reconstruction.load(kept).state is not None


def test_pictures_take_no_more_than_their_share_of_the_time():
    now = [0.0]
    budget = RedrawBudget(share=0.25, clock=lambda: now[0])
    assert budget.may_redraw()
    budget.begin()
    now[0] = 0.1
    assert not budget.may_redraw()
    budget.end()
    now[0] = 0.39
    assert not budget.may_redraw()
    now[0] = 0.41
    assert budget.may_redraw()


def test_the_first_picture_of_a_run_waits_until_there_is_something_to_see():
    now = [10.0]
    budget = RedrawBudget(clock=lambda: now[0])
    budget.rest(0.4)
    assert not budget.may_redraw()
    now[0] = 10.41
    assert budget.may_redraw()


def test_a_picture_that_took_very_long_is_not_the_last_for_minutes():
    now = [0.0]
    budget = RedrawBudget(share=0.01, clock=lambda: now[0])
    budget.begin()
    now[0] = 5.0
    budget.end()
    now[0] += LONGEST_REST_SECONDS
    assert budget.may_redraw()


@pytest.mark.parametrize("ensemble", ["gradients", pytest.param("videos", marks=pytest.mark.long)])
def test_several_encoders_give_the_same_bits_as_python_and_follow_changes(
    qtbot, controller, small_model, small_encoder_file, tmp_path, ensemble
):
    model = small_model
    second = tmp_path / "second.safetensors"
    second.write_bytes(small_encoder_file.read_bytes())
    model.set_encoders([small_encoder_file, second])
    model.set_settings(ensemble=ensemble, target="predicted")
    finish(qtbot, controller)
    encoders = [vr.load_encoder(path, neurons=20, device="cpu") for path in model.encoder_paths]
    options = {"mask_threshold": model.training_threshold, "evaluation_threshold": model.evaluation_threshold}
    expected = vr.reconstruct(
        model.trial, encoders, model.mask, model.config, target="predicted", ensemble=ensemble, **options
    )
    assert np.array_equal(model.shown.result.video, expected.video)

    endless(model)
    model.set_settings(apply_live=True)
    controller.start()
    until(qtbot, lambda: model.snapshot is not None)
    model.set_mask(type(model.mask)(model.mask.alpha[::-1].copy(), "upside down"))
    runner = controller.runner
    until(qtbot, lambda: len(runner.run.provenance.get("changes", [])) == 1)
    controller.stop()
    until(qtbot, lambda: not controller.busy)
    assert np.array_equal(model.shown.result.alpha, model.mask.alpha)
    assert model.stale == []


def test_all_presentations_of_a_clip_are_run_as_the_panel_asks(qtbot, controller, small_model, copy_of_small_session):
    videos = copy_of_small_session / "data" / "videos"
    (videos / "2.npy").write_bytes((videos / "0.npy").read_bytes())
    model, files, mask = small_model, small_model.encoder_files, small_model.mask
    model.set_session(vr.open_session(copy_of_small_session))
    model.set_encoders(files)
    model.set_mask(mask)
    model.set_trial(0, 0, 48)
    model.set_repeats((2,))
    finish(qtbot, controller)
    assert vr.Recipe.of(model.shown.result).repeats == (2,)
    assert not model.stale
