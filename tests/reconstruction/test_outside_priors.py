"""Priors of other packages: settings checked, runs told apart, and where they are broken one line that names them."""

from __future__ import annotations

import hashlib
import json
import sys

import numpy as np
import pytest
import torch
from outside_packages import WHITE

import napari_vidrecon as vr
from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.priors import NATURAL, OWN, prior_names
from napari_vidrecon.reconstruction.recipe import Recipe
from napari_vidrecon.reconstruction.run import plan_run
from napari_vidrecon.reconstruction.script_texts import command_words, python_text
from napari_vidrecon.reconstruction.scripts import script_of_folder
from napari_vidrecon.reconstruction.update import build_update

BEFORE = {
    "paper": "93bb2e8448b6330b48c1fee560ce92aed398f2b583c12518dff92dd3b0e0ee24",
    "fast": "d192a0b25616d79f009c940f955d1efa8c6fc68241c913d6866be8b32264ac32",
    "best": "13853fc5bc25a0f356badfedaa0768d1b974f3cf1bbce4817d09ce193c12a98b",
}
"""Hashes of the presets from before there were other priors."""


@pytest.fixture
def white(install_package):
    return install_package("lab_priors", WHITE, {"priors": "white = lab_priors:WhitePrior"})


def fast(**changes):
    return ReconstructionConfig.preset("fast", steps=2, **changes)


@pytest.mark.parametrize("preset", BEFORE)
def test_fingerprints_from_before_there_were_other_priors_stay(preset):
    config = ReconstructionConfig.preset(preset, prior_from="stated", likelihood_weight=0.1)
    told = json.dumps(config.decisive, sort_keys=True)
    assert hashlib.sha256(told.encode()).hexdigest() == BEFORE[preset]


def test_its_settings_are_its_own_and_complete(white):
    assert prior_names() == [NATURAL, *OWN, "white"]
    config = fast(prior="white", prior_settings={"sd": "50"})
    assert config.update.prior.settings == {"sd": 50.0, "flipped": False}
    assert ReconstructionConfig.model_validate_json(config.model_dump_json()) == config
    assert hash(config) == hash(fast(prior="white", prior_settings={"sd": 50.0}))
    assert fast().differences(config) == {
        "prior": ("natural", "white"),
        "prior_settings": ({}, {"sd": 50.0, "flipped": False}),
    }
    assert config.changed(prior="natural") == fast()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"prior": "white", "prior_settings": {"sd": -1}}, r"prior\.sd: input should be greater than 0"),
        ({"prior": "white", "prior_settings": {"size": 1}}, r"prior\.size: extra inputs"),
        ({"prior": "pink"}, "prior 'pink': expected one of natural, denoiser, white; or is a package missing"),
        ({"prior_settings": {"sd": 1}}, "prior_settings: with natural it must be none"),
        ({"prior": "white", "update": "momentum", "surround": "grey"}, "prior: with momentum it must be natural"),
    ],
)
def test_what_cannot_be_used_is_one_line(changes, named, white):
    with pytest.raises(ConfigError, match=named) as caught:
        fast(**changes)
    assert "\n" not in str(caught.value)


def test_a_run_takes_it_and_is_told_apart_by_its_settings_and_its_code(
    white, trial, encoder, disc_mask, tmp_path, monkeypatch
):
    config = fast(prior="white")
    result = vr.reconstruct(trial, [encoder], disc_mask, config, save_to=tmp_path / "run")
    assert not np.array_equal(result.video, vr.reconstruct(trial, [encoder], disc_mask, fast()).video)
    assert vr.Reconstruction.load(tmp_path / "run").config == config
    first, second = (plan_run(trial, [encoder], disc_mask, each) for each in (config, fast(prior="white")))
    other = plan_run(trial, [encoder], disc_mask, config.changed(prior_settings={"sd": 20}))
    assert first.fingerprint == second.fingerprint != other.fingerprint
    recipe = Recipe.of(result)
    assert recipe.changed_in(recipe.changed(config=fast())) == ["config.prior", "config.prior_settings"]
    assert any("white" in words for words in recipe.differences(recipe.changed(config=fast())))
    (white / "lab_priors.py").write_text(WHITE + "\n# another version\n")
    assert plan_run(trial, [encoder], disc_mask, config).fingerprint != first.fingerprint


def test_its_run_is_repeated_by_a_script(white, trial, encoder, disc_mask, tmp_path):
    vr.reconstruct(trial, [encoder], disc_mask, fast(prior="white"), save_to=tmp_path / "run")
    script = script_of_folder(vr.Reconstruction.load(tmp_path / "run"), tmp_path / "run")
    text = python_text(script)
    assert "prior='white'" in text
    assert "prior_settings=dict([('sd', 40.0), ('flipped', False)])" in text
    words = command_words(script)
    assert {"prior=white", "prior.sd=40.0", "prior.flipped=false"} <= set(words)


def test_its_run_opens_where_the_package_is_missing_and_is_not_repeated_there(
    white, trial, encoder, disc_mask, tmp_path, monkeypatch
):
    vr.reconstruct(trial, [encoder], disc_mask, fast(prior="white"), save_to=tmp_path / "run")
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder != str(white)])
    opened = vr.Reconstruction.load(tmp_path / "run")
    assert (opened.config.outside_prior, opened.config.update.prior.settings["sd"]) == ("white", 40.0)
    with pytest.raises(ConfigError, match="prior 'white': expected one of natural"):
        plan_run(trial, [encoder], disc_mask, opened.config)


BROKEN = {
    "import nowhere_to_be_found": "cannot be loaded",
    "class WhitePrior: ...": "derived from Prior",
    WHITE.replace("like.new_full(shape", "like.new_full((1, 1, 1)"): r"failed \(TypeError: deviations: expected",
    WHITE.replace("self.settings.sd)", "0.0)"): r"failed \(ValueError: analysis: expected finite numbers",
    WHITE.replace("adjoint = synthesis", ""): r"failed \(AttributeError",
}


@pytest.mark.parametrize("code", BROKEN)
def test_a_package_that_cannot_be_used_is_one_line_and_the_natural_prior_stays(code, install_package):
    install_package("lab_priors", code, {"priors": "white = lab_priors:WhitePrior"})
    video = torch.full((8, 36, 64), 127.5)
    screen = (slice(None), slice(None))
    with pytest.raises(ConfigError, match=BROKEN[code]) as caught:
        build_update(ReconstructionConfig(**{**fast().values, "prior": "white"}), video, screen, 30.0)
    assert "lab_priors 0.1" in str(caught.value)
    assert "\n" not in str(caught.value)
    build_update(fast(), video, screen, 30.0)
