"""Live in the window: pictures come with their frames, and what was seen comes on the board."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_vidrecon.reconstruction.decoder import Decoder
from napari_vidrecon.sessions.session import open_session
from napari_vidrecon.viewer import live_picture
from napari_vidrecon.viewer.live_session import NO_DECODER, LiveController
from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.panels.live_panel import LivePanel
from napari_vidrecon.viewer.registry import workspace_of


@pytest.fixture
def panel(qtbot: QtBot, small_session_folder: Path, tmp_path: Path) -> LivePanel:
    model = ReconstructionModel()
    model.set_settings(device="cpu")
    live = LiveController(model, lambda: tmp_path / "runs")
    made = LivePanel(live)
    live.setParent(made)
    qtbot.addWidget(made)
    made.model, made.live, made.news = model, live, []
    model.message.connect(lambda text, is_error: made.news.append((text, is_error)))
    return made


def press(control) -> None:
    QTest.mouseClick(control, Qt.MouseButton.LeftButton)


def test_pictures_come_with_their_frames_and_what_was_seen_is_opened(
    qtbot, panel, small_session_folder, small_decoder_file, tmp_path
):
    model, live = panel.model, panel.live
    assert "Open a session first" in panel.about.toolTip()
    model.set_session(open_session(small_session_folder))
    model.set_trial(0)
    assert panel.about.toolTip() == f"<qt>{NO_DECODER}</qt>"
    assert not panel.start_button.isEnabled()
    press(panel.fit_button)
    qtbot.waitUntil(lambda: not live.busy, timeout=30_000)
    assert model.decoder.causal
    assert Path(model.decoder.path).parent == tmp_path / "runs" / "decoders"
    assert not panel.fit_button.isEnabled()
    assert "each picture comes with its frame" in panel.about.toolTip()
    model.set_settings(decoder=Decoder.load(small_decoder_file))
    assert "pictures come 0.07 s after their frames" in panel.about.toolTip()
    press(panel.start_button)
    qtbot.waitUntil(lambda: live.view is not None and live.view.told["frames"] > 10, timeout=30_000)
    qtbot.waitUntil(lambda: panel.pictures.captions == ["shown", "seen now"], timeout=5_000)
    assert "after its frame" in panel.told.toolTip()
    assert not panel.start_button.isEnabled()
    press(panel.stop_button)
    qtbot.waitUntil(lambda: not live.busy, timeout=30_000)
    (record,) = model.runs
    assert record.path.parent == tmp_path / "runs"
    assert len(record.result.video) == live.view.told["frames"]
    assert model.shown is record
    assert f"is kept in {record.path}" in panel.news[-1][0]


def test_an_address_that_cannot_be_and_a_stimulus_without_activity_are_told(
    qtbot, panel, small_session_folder, small_decoder_file, tmp_path
):
    model, live = panel.model, panel.live
    model.set_session(open_session(small_session_folder))
    model.set_settings(decoder=Decoder.load(small_decoder_file))
    press(panel.start_button)
    assert "Choose a trial first" in panel.news[-1][0]
    panel.source.setCurrentIndex(panel.source.findData("stream"))
    panel.source.activated.emit(panel.source.currentIndex())
    assert panel.address.isEnabled()
    panel.address.setText("nowhere")
    press(panel.start_button)
    qtbot.waitUntil(lambda: not live.busy, timeout=30_000)
    assert "expected an address such as tcp://127.0.0.1:5555" in panel.news[-1][0]
    assert not (tmp_path / "runs").exists()


def test_why_a_sender_of_whom_nothing_can_be_used_is_refused_is_told_before_any_frame_was(
    qtbot, panel, small_session_folder, small_decoder_file, tmp_path
):
    zmq = pytest.importorskip("zmq")
    model, live = panel.model, panel.live
    model.set_session(open_session(small_session_folder))
    model.set_settings(decoder=Decoder.load(small_decoder_file))
    with zmq.Context() as context, context.socket(zmq.PUB) as sender:
        port = sender.bind_to_random_port("tcp://127.0.0.1")
        live.choices.source, live.choices.address = "stream", f"tcp://127.0.0.1:{port}"
        panel.address.setText(live.choices.address)
        live.start()

        def told() -> bool:
            sender.send_multipart([b"odd"])
            return "Refused: " in panel.told.toolTip()

        qtbot.waitUntil(told, timeout=30_000)
    assert "Waiting for the first frame" in panel.told.toolTip()
    assert "Refused: expected" in panel.told.toolTip()
    assert panel.pictures.captions == []
    live.stop()
    qtbot.waitUntil(lambda: not live.busy, timeout=30_000)
    assert "ended before a frame came" in panel.news[-1][0]
    assert not (tmp_path / "runs").exists()


@pytest.mark.long
@pytest.mark.window
def test_pictures_lie_over_the_board_while_a_session_goes_on(
    qtbot, make_napari_viewer_proxy, make_model, small_decoder_file, monkeypatch
):
    workspace = workspace_of(make_napari_viewer_proxy(show=True))
    model, live, over = make_model(workspace.model), workspace.live, workspace.pictures_of_now
    monkeypatch.setattr(live_picture, "PLATFORM", live_picture.QGuiApplication.platformName())
    model.set_settings(decoder=Decoder.load(small_decoder_file))
    live.choices.source, live.choices.refine = "session", False
    live.start()
    qtbot.waitUntil(lambda: len(over.windows) == 2, timeout=30_000)
    assert all(each.isVisible() for each in over.windows)
    assert over.windows[0].position() != over.windows[1].position()
    live.stop()
    qtbot.waitUntil(lambda: not live.busy, timeout=30_000)
    assert over.windows == []
    assert model.shown is not None
