"""Encoder files from anyone: every key of the description is checked, and sizes before anything is allocated."""

from __future__ import annotations

import json
import os
import resource
import struct

import pytest
import torch

from napari_vidrecon.cli import main
from napari_vidrecon.encoders.checkpoints import convert_checkpoint, load_encoder, read_encoder_file
from napari_vidrecon.errors import EncoderError

MOST_BYTES = 256 << 20
ODD = [-1, 0, 10**30, 1e308, float("nan"), float("inf"), True, "3", "", None, [], {}, [[1]], ["\u0000"], [10**30]]
KEYS = (
    *(("architecture",), ("config",), ("mice",), ("canvas",), ("windows",), ("frame_rate_hz",), ("provenance",)),
    *(("config", name) for name in ("readout_outputs", "features", "temporal_kernels", "stem_stride", "rows")),
    *(("config", name) for name in ("softplus_beta", "drop_rate", "behavior_sd", "frames", "se_reduce_ratio")),
    *(("canvas", name) for name in ("rows", "screen_columns")),
    *(("windows", "size"), ("windows", "step"), ("provenance", "neutral_behavior")),
)
SOUND = {
    ("mice",): [["\u0000"]],
    ("provenance",): [{}],
    ("config", "drop_rate"): [0],
    ("provenance", "neutral_behavior"): [None],
}


def changed(source, target, edit):
    content = source.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    described = json.loads(header["__metadata__"]["vidrecon"])
    edit(described)
    header["__metadata__"]["vidrecon"] = json.dumps(described)
    new = json.dumps(header).encode()
    target.write_bytes(struct.pack("<Q", len(new)) + new + content[8 + length :])
    return target


def put(keys, value):
    def edit(described):
        for key in keys[:-1]:
            described = described[key]
        described[keys[-1]] = value

    return edit


@pytest.mark.parametrize("keys", KEYS, ids=".".join)
def test_a_value_of_another_kind_is_one_line_that_names_the_file(keys, small_encoder_file, tmp_path):
    for value in ODD:
        if value in SOUND.get(keys, []) and value is not True:
            continue
        file = changed(small_encoder_file, tmp_path / "encoder.safetensors", put(keys, value))
        with pytest.raises(EncoderError) as caught:
            load_encoder(file, 0, "cpu")
        assert str(file) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keys", [("newer",), ("config", "newer"), ("canvas", "newer"), ("windows", "newer")])
def test_an_unknown_key_asks_whether_the_file_is_newer(keys, small_encoder_file, tmp_path):
    file = changed(small_encoder_file, tmp_path / "encoder.safetensors", put(keys, 1))
    with pytest.raises(EncoderError, match=r"newer is unknown to this version; was the file made by a newer one\?"):
        load_encoder(file, 0, "cpu")


def test_layers_larger_than_the_file_are_never_allocated(small_encoder_file, tmp_path):
    file = changed(small_encoder_file, tmp_path / "encoder.safetensors", put(("config", "features"), 30_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    with pytest.raises(EncoderError, match="do not fit its own description"):
        load_encoder(file, 0, "cpu")
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - before < MOST_BYTES


def test_each_readout_has_a_mouse(small_encoder_file, tmp_path):
    file = changed(small_encoder_file, tmp_path / "encoder.safetensors", put(("mice",), ["a", "b", "c"]))
    with pytest.raises(EncoderError, match="expected a mouse for each of"):
        read_encoder_file(file)


def test_a_canvas_without_its_size_has_the_usual_one(small_encoder_file, tmp_path):
    def edit(described):
        described["canvas"].pop("screen_rows")

    stored = read_encoder_file(changed(small_encoder_file, tmp_path / "encoder.safetensors", edit))
    assert stored.canvas == read_encoder_file(small_encoder_file).canvas


@pytest.fixture
def checkpoint(golden_checkpoints):
    return torch.load(golden_checkpoints[0], weights_only=True)


def write(stored, path, packed=True):
    torch.save(stored, path, _use_new_zipfile_serialization=packed)
    return path


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("name", ["readout_outputs", "core_features", "expansion_ratio", "groups", "newer_key"])
def test_a_checkpoint_with_other_sizes_is_refused_and_converts_to_nothing(name, value, checkpoint, tmp_path):
    checkpoint["params"]["nn_module"][1][name] = value
    with pytest.raises(EncoderError, match=r"model\.pth"):
        convert_checkpoint(write(checkpoint, tmp_path / "model.pth"), tmp_path / "model.safetensors")
    assert [file.name for file in tmp_path.iterdir()] == ["model.pth"]


def test_weights_that_do_not_fit_are_refused_before_anything_is_written(checkpoint, tmp_path):
    key = "cortex.layers.0.conv.weight"
    for weights in (torch.zeros(3), None, torch.zeros(1).expand(checkpoint["nn_state_dict"][key].shape)):
        checkpoint["nn_state_dict"][key] = weights
        with pytest.raises(EncoderError):
            convert_checkpoint(write(checkpoint, tmp_path / "model.pth"), tmp_path / "model.safetensors")
        assert not (tmp_path / "model.safetensors").exists()


def test_a_checkpoint_in_the_older_format_predicts_the_same(checkpoint, golden_checkpoints, tmp_path):
    older = load_encoder(write(checkpoint, tmp_path / "model.pth", packed=False), 0, "cpu")
    expected = load_encoder(golden_checkpoints[0], 0, "cpu").module.state_dict()
    found = older.module.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_pipes_devices_and_names_that_cannot_be_are_one_line(suffix, tmp_path, capsys):
    os.mkfifo(tmp_path / f"pipe{suffix}")
    (tmp_path / f"device{suffix}").symlink_to("/dev/zero")
    for name in (f"pipe{suffix}", f"device{suffix}", "a" * 300 + suffix):
        with pytest.raises(EncoderError):
            load_encoder(tmp_path / name, 0, "cpu")
        assert main(["info", str(tmp_path / name)]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_a_name_from_a_file_cannot_steer_the_terminal(small_encoder_file, tmp_path, capsys):
    file = changed(small_encoder_file, tmp_path / "encoder.safetensors", put(("mice",), ["\x1b[2J\r\nmouse"]))
    assert main(["info", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "mouse" in shown
