"""A package of somebody else: its encoder and its prior make a run in the window, its study can be asked for."""

from __future__ import annotations

import numpy as np
from outside_packages import EVERYTHING, PARTS, write_spots

import napari_vidrecon as vr
from napari_vidrecon.viewer.controller import RunController
from napari_vidrecon.viewer.studies.study_job import StudyRequest

PATIENCE_MS = 30_000


def test_its_encoder_and_its_prior_are_used_in_the_window(qtbot, make_model, install_package, tmp_path):
    install_package("lab_parts", EVERYTHING, PARTS)
    model = make_model()
    encoder = write_spots(tmp_path / "spots.safetensors", {model.session.name: model.session.n_neurons})
    model.set_encoders([encoder])
    config = model.config.changed(prior="white", prior_settings={"sd": 20.0})
    model.set_settings(config=config)
    controller = RunController(model)
    controller.start()
    qtbot.waitUntil(lambda: not controller.busy, timeout=PATIENCE_MS)
    shown = model.shown.result
    expected = vr.reconstruct(
        model.trial,
        [vr.load_encoder(encoder, device="cpu")],
        model.mask,
        config,
        mask_threshold=model.training_threshold,
        evaluation_threshold=model.evaluation_threshold,
    )
    assert np.array_equal(shown.video, expected.video)
    assert shown.provenance["fingerprint"] == expected.provenance["fingerprint"]


def test_its_study_can_be_asked_for(install_package, tmp_path):
    install_package("lab_parts", EVERYTHING, PARTS)
    asked = StudyRequest(("bright",), mice=tmp_path / "mice.json", scale="quick", out=tmp_path).ask(tmp_path)
    (study,) = asked.studies()
    assert study.title == "How bright the clips are"
