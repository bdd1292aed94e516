"""Architectures of other packages open, train and are checked like one's own; a broken one is one line."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
from outside_packages import SPOTS, write_spots
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import napari_vidrecon as vr
from napari_vidrecon.encoders import architectures
from napari_vidrecon.encoders.architecture import all_architectures, architecture_named, own_names
from napari_vidrecon.encoders.checkpoints import load_encoder, read_encoder_file
from napari_vidrecon.encoders.conformance import check_encoder
from napari_vidrecon.encoders.training.architectures import named_recipe, recipe_of
from napari_vidrecon.encoders.training.training_run import train_encoder
from napari_vidrecon.errors import ConfigError, EncoderError, VidreconError


@pytest.fixture
def install(install_package):
    """A package with one architecture."""
    return lambda package, code, entry: install_package(package, code, {"encoders": entry})


@pytest.fixture
def spots_file(install, tmp_path: Path) -> Path:
    install("lab_spots", SPOTS, "spots = lab_spots:Spots")
    return write_spots(tmp_path / "spots.safetensors", {"a": 4, "b": 6})


def test_an_encoder_of_another_package_opens_and_keeps_its_promises(spots_file):
    encoder = vr.load_encoder(spots_file, mouse="b", device="cpu")
    assert (encoder.spec.architecture, encoder.spec.neurons, encoder.spec.causal) == ("spots", 6, True)
    assert check_encoder(encoder) == []


def test_its_files_are_held_against_its_sizes(spots_file, tmp_path):
    with pytest.raises(EncoderError, match="do not fit its own description"):
        load_encoder(_rewritten(spots_file, tmp_path, '"features": 2', '"features": 3'), 0, "cpu")
    with pytest.raises(EncoderError, match=r"config\.features"):
        load_encoder(_rewritten(spots_file, tmp_path, '"features": 2', '"features": 0'), 0, "cpu")
    with pytest.raises(EncoderError, match=r"config\.readout_outputs"):
        load_encoder(_rewritten(spots_file, tmp_path, '"readout_outputs": [4, 6], ', ""), 0, "cpu")


def _rewritten(source: Path, folder: Path, old: str, new: str) -> Path:
    """The same tensors with another description."""
    with safe_open(str(source), framework="pt") as file:
        described = file.metadata()["vidrecon"]
    assert old in described
    path = folder / "rewritten.safetensors"
    save_file(load_file(source), str(path), metadata={"vidrecon": described.replace(old, new)})
    return path


def test_an_architecture_of_another_package_is_trained_by_its_recipe(install, small_session_folder, tmp_path):
    install("lab_spots", SPOTS, "spots = lab_spots:Spots")
    session = vr.open_session(small_session_folder)
    path = tmp_path / "trained.safetensors"
    train_encoder([session], recipe_of("spots")(features=2, batch_size=2), path)
    assert read_encoder_file(path).config == {"readout_outputs": (session.n_neurons,), "features": 2}
    assert load_encoder(path, device="cpu").spec.mouse == session.name


def test_a_file_of_a_package_that_is_missing_says_so(spots_file, monkeypatch):
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if "site_lab_spots" not in folder])
    importlib.invalidate_caches()
    with pytest.raises(EncoderError, match=r"'spots' is unknown to this version; .* or is a package missing"):
        load_encoder(spots_file, 0, "cpu")


BROKEN = {
    "that imports what is not there": ("import nowhere_to_be_found", "ModuleNotFoundError: No module named"),
    "that ends the program": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "without the class": ("", "AttributeError"),
    "of another kind": ("class Spots: ...", "derived from Architecture"),
    "without sizes": (
        "from napari_vidrecon.encoders.architecture import Architecture\nclass Spots(Architecture): ...",
        "with a config_class",
    ),
}


@pytest.mark.parametrize("kind", list(BROKEN))
def test_a_broken_package_is_one_line_that_names_it_and_nothing_else_suffers(
    kind, spots_file, install, small_encoder_file, tmp_path, monkeypatch, caplog
):
    code, fault = BROKEN[kind]
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if "site_lab_spots" not in folder])
    install("lab_broken", code, "spots = lab_broken:Spots")
    with pytest.raises(VidreconError) as caught:
        load_encoder(spots_file, 0, "cpu")
    told = str(caught.value)
    assert "\n" not in told
    assert told.startswith(f"{spots_file}: architecture 'spots'")
    assert "lab_broken 0.1" in told
    assert fault in told
    assert load_encoder(small_encoder_file, device="cpu").spec.architecture == "compact"
    assert named_recipe("true_batch_001")[0] == "dwiseneuro"
    assert list(all_architectures()) == own_names()
    assert "lab_broken 0.1" in caplog.text


def test_a_module_that_fails_to_build_is_one_line(spots_file, monkeypatch):
    def fail(self, config):
        raise RuntimeError("no such\nluck")

    monkeypatch.setattr(architecture_named("spots"), "__init__", fail)
    with pytest.raises(EncoderError, match="does not describe an encoder") as caught:
        load_encoder(spots_file, 0, "cpu")
    assert "\n" not in str(caught.value)


def test_two_packages_with_one_name_are_refused(spots_file, install):
    install("lab_dots", SPOTS, "spots = lab_dots:Spots")
    with pytest.raises(EncoderError, match=r"found lab_dots 0\.1 and lab_spots 0\.1; remove one"):
        load_encoder(spots_file, 0, "cpu")


def test_nobody_takes_the_name_of_an_architecture_of_this_package(install, small_encoder_file):
    install("lab_compact", "raise RuntimeError", "compact = lab_compact:Compact")
    assert load_encoder(small_encoder_file, device="cpu").module.__module__.endswith("architectures.compact")


def test_a_file_in_the_room_is_all_that_an_architecture_of_this_package_needs(tmp_path, monkeypatch):
    (tmp_path / "spots.py").write_text(SPOTS)
    monkeypatch.setattr(architectures, "__path__", [*architectures.__path__, str(tmp_path)])
    assert own_names() == [
        "compact",
        "dwiseneuro",
        "factorised",
        "neuralpredictors",
        "openretina",
        "recurrent",
        "sensorium2022",
        "spots",
        "viv1t",
    ]
    assert architecture_named("spots").__name__ == "Spots"
    assert recipe_of("spots")().architecture == "spots"
    del sys.modules[f"{architectures.__name__}.spots"]


def test_every_file_of_the_room_is_an_architecture_and_all_but_the_published_static_one_can_be_trained():
    assert own_names() == [
        "compact",
        "dwiseneuro",
        "factorised",
        "neuralpredictors",
        "openretina",
        "recurrent",
        "sensorium2022",
        "viv1t",
    ]
    with pytest.raises(ConfigError, match="sensorium2022"):
        recipe_of("sensorium2022")
    for name in ("compact", "dwiseneuro", "factorised"):
        assert recipe_of(name).model_fields["architecture"].default == name
    with pytest.raises(ConfigError, match="expected one of compact, dwiseneuro, factorised"):
        recipe_of("spots")
