"""Encoder files: what is read, what is refused, what is kept."""

from __future__ import annotations

import pickle
import zipfile

import numpy as np
import pytest
import torch

from napari_vidrecon.encoders.checkpoints import convert_checkpoint, load_encoder
from napari_vidrecon.errors import EncoderError
from napari_vidrecon.sessions.session import open_session


def test_a_converted_checkpoint_predicts_the_same_bits(golden_checkpoints, golden_session_folder, tmp_path):
    converted = tmp_path / "encoder.safetensors"
    convert_checkpoint(golden_checkpoints[3], converted)
    trial = open_session(golden_session_folder).trial(10)
    for mouse in (0, 1):
        before = load_encoder(golden_checkpoints[3], mouse=mouse, device="cpu")
        after = load_encoder(converted, mouse=mouse, device="cpu")
        arguments = (trial.video, trial.behavior, trial.pupil_center)
        assert np.array_equal(before.predict(*arguments), after.predict(*arguments))
    assert [file.name for file in tmp_path.iterdir()] == ["encoder.safetensors"]


def test_the_neuron_count_chooses_the_readout(golden_checkpoints):
    assert load_encoder(golden_checkpoints[0], neurons=40, device="cpu").spec.neurons == 40
    with pytest.raises(EncoderError, match=r"exactly one readout of 39 neurons.*0: 37 neurons, 1: 40 neurons"):
        load_encoder(golden_checkpoints[0], neurons=39, device="cpu")
    with pytest.raises(EncoderError, match="mouse index 5"):
        load_encoder(golden_checkpoints[0], mouse=5, device="cpu")


class _Attack:
    """Pickles to a call that would leave a trace."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (open, (str(self.trace), "w"))


def test_a_checkpoint_that_hides_code_is_refused_and_does_not_run_it(tmp_path):
    trace, file = tmp_path / "trace", tmp_path / "model.pth"
    torch.save({"params": _Attack(trace), "nn_state_dict": {}}, file)
    with pytest.raises(EncoderError, match="objects that could run code"):
        load_encoder(file, device="cpu")
    file.write_bytes(pickle.dumps({"params": _Attack(trace), "nn_state_dict": {}}))
    with pytest.raises(EncoderError, match=r"model\.pth"):
        load_encoder(file, device="cpu")
    assert not trace.exists()


@pytest.mark.parametrize("name", ["model.pth", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04N.", b"PK\x03\x04 broken", bytes(4096)])
def test_a_file_that_is_no_encoder_is_one_clear_error(tmp_path, name, content):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(EncoderError, match=name):
        load_encoder(file, device="cpu")


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_a_truncated_encoder_is_one_clear_error(golden_checkpoints, small_encoder_file, tmp_path, kept):
    for source in (golden_checkpoints[0], small_encoder_file):
        content = source.read_bytes()
        file = tmp_path / source.name
        file.write_bytes(content[: int(kept * len(content))])
        with pytest.raises(EncoderError, match=source.stem.split("-")[0]):
            load_encoder(file, device="cpu", neurons=40)


def test_damaged_bytes_never_give_anything_but_an_encoder_or_a_clear_error(small_encoder_file, tmp_path):
    content = bytearray(small_encoder_file.read_bytes())
    generator = np.random.default_rng(3)
    outcomes = set()
    for attempt in range(60):
        damaged = bytearray(content)
        for place in generator.integers(0, min(len(content), 3000), size=4):
            damaged[place] ^= 1 << int(generator.integers(8))
        file = tmp_path / f"{attempt}.safetensors"
        file.write_bytes(bytes(damaged))
        try:
            load_encoder(file, device="cpu")
            outcomes.add("opened")
        except EncoderError:
            outcomes.add("refused")
    assert "refused" in outcomes


def test_other_tensors_and_unknown_devices_are_named(golden_checkpoints, tmp_path):
    from safetensors.torch import save_file

    file = tmp_path / "tensors.safetensors"
    save_file({"a": torch.zeros(2)}, str(file))
    with pytest.raises(EncoderError, match="found other tensors"):
        load_encoder(file, device="cpu")
    with pytest.raises(EncoderError, match="not there on this machine"):
        load_encoder(golden_checkpoints[0], mouse=0, device="warp9")
    with pytest.raises(EncoderError, match="nothing there"):
        load_encoder(tmp_path / "missing.pth", device="cpu")


def test_weights_that_are_not_finite_are_refused(golden_checkpoints, tmp_path):
    stored = torch.load(golden_checkpoints[0], weights_only=True)
    stored["nn_state_dict"]["cortex.layers.0.conv.weight"][0, 0] = float("nan")
    file = tmp_path / "model.pth"
    torch.save(stored, file)
    assert zipfile.is_zipfile(file)
    with pytest.raises(EncoderError, match="found NaN or Inf"):
        load_encoder(file, mouse=0, device="cpu")


def test_an_encoder_refuses_another_number_of_neurons(golden_checkpoints):
    encoder = load_encoder(golden_checkpoints[0], mouse=0, device="cpu")
    with pytest.raises(EncoderError, match=r"predicts 37 neurons.*has 40"):
        encoder.require_neurons(40, "mouse B")


WRAPPED = {
    "DataParallel": lambda state: {f"module.{name}": each for name, each in state.items()},
    "torch.compile": lambda state: {f"_orig_mod.{name}": each for name, each in state.items()},
    "both": lambda state: {f"module._orig_mod.{name}": each for name, each in state.items()},
    "a compiled core": lambda state: {name.replace("core.", "core._orig_mod."): each for name, each in state.items()},
}


def _weights(path):
    return load_encoder(path, mouse=1, device="cpu").spec.weights


@pytest.mark.parametrize("kind", WRAPPED)
def test_weights_saved_under_a_wrapper_are_the_same_weights(kind, golden_checkpoints, tmp_path):
    stored = torch.load(golden_checkpoints[0], weights_only=True)
    stored["nn_state_dict"] = WRAPPED[kind](stored["nn_state_dict"])
    torch.save(stored, tmp_path / "wrapped.pth")
    convert_checkpoint(tmp_path / "wrapped.pth", tmp_path / "encoder.safetensors")
    assert _weights(golden_checkpoints[0]) == _weights(tmp_path / "encoder.safetensors")


def test_a_weight_too_many_is_said_to_be_one(small_encoder_file, tmp_path):
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    file = tmp_path / "more.safetensors"
    with safe_open(str(small_encoder_file), "pt") as opened:
        described = opened.metadata()
    save_file({**load_file(small_encoder_file), "whatever": torch.zeros(3)}, str(file), metadata=described)
    with pytest.raises(EncoderError, match="whatever is of 3 values, and nothing asks for it"):
        load_encoder(file, device="cpu")


def test_lightnings_layout_is_read_where_it_tells_the_sizes(golden_checkpoints, tmp_path):
    stored = torch.load(golden_checkpoints[0], weights_only=True)
    state = {f"model.{name}": each for name, each in stored["nn_state_dict"].items()}
    layout = {"state_dict": {**state, "loss.weight": torch.ones(2)}, "hyper_parameters": {"params": stored["params"]}}
    torch.save({**layout, "epoch": np.int64(3), "score": np.float64(0.29)}, tmp_path / "last.ckpt")
    assert _weights(golden_checkpoints[0]) == _weights(tmp_path / "last.ckpt")
    torch.save({**layout, "hyper_parameters": {}}, tmp_path / "last.ckpt")
    with pytest.raises(EncoderError, match="found weights alone, which do not tell the sizes"):
        load_encoder(tmp_path / "last.ckpt", device="cpu")


def test_what_convert_writes_is_loaded_before_it_is_done(golden_checkpoints, tmp_path, monkeypatch):
    def fails(*_):
        raise EncoderError("it does not load")

    monkeypatch.setattr("napari_vidrecon.encoders.checkpoints._read_safetensors", fails)
    with pytest.raises(EncoderError, match="does not load"):
        convert_checkpoint(golden_checkpoints[0], tmp_path / "encoder.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("told_as", [np.array, torch.tensor])
def test_sizes_that_are_arrays_are_the_same_sizes(told_as, golden_checkpoints, tmp_path):
    stored = torch.load(golden_checkpoints[0], weights_only=True)
    kind, config = stored["params"]["nn_module"]
    told = {**config, "readout_outputs": told_as(config["readout_outputs"])}
    torch.save({**stored, "params": {**stored["params"], "nn_module": (kind, told)}}, tmp_path / "arrays.pth")
    assert _weights(golden_checkpoints[0]) == _weights(tmp_path / "arrays.pth")


def test_what_is_wrong_with_a_checkpoint_is_told_with_what_to_do(golden_checkpoints, small_encoder_file, tmp_path):
    whole = golden_checkpoints[0].read_bytes()
    (tmp_path / "begun.pth").write_bytes(whole[: len(whole) // 2])
    with zipfile.ZipFile(tmp_path / "within.pth", "w") as packed:
        packed.write(golden_checkpoints[0], "models/model.pth")
    (tmp_path / "renamed.pth").write_bytes(small_encoder_file.read_bytes())
    torch.save({"params": {"seen": {1, 2}}, "nn_state_dict": {}}, tmp_path / "code.pth")
    for name, told in {
        "begun.pth": "without its end: it was not copied or fetched whole; fetch it again",
        "within.pth": r"another zip archive, without a data\.pkl; unpack it",
        "renamed.pth": r"found tensors \(\.safetensors\).*; give it that ending",
        "code.pth": r"could run code \(.*\); it was not opened: .*torch\.save",
    }.items():
        with pytest.raises(EncoderError, match=rf"{name}: expected .*{told}"):
            load_encoder(tmp_path / name, device="cpu")
