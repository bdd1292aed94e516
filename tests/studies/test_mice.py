"""The mice of a study: from files, from a list, or the sample; and which of their clips are used."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_vidrecon.errors import ConfigError, EncoderError, MaskError, SessionError, VidreconError
from napari_vidrecon.studies.conducting import conduct
from napari_vidrecon.studies.mice import PUBLISHED_CLIPS, held_out, one_mouse, read_mice, sample_mouse
from napari_vidrecon.studies.study import Plan


def listed(folder: Path, *entries: object) -> Path:
    file = folder / "mice.json"
    file.write_text(json.dumps(list(entries)))
    return file


GOOD = {"session": "a", "encoders": ["a.safetensors"], "mask": "a.npy"}


def test_paths_of_a_list_are_relative_to_the_file(tmp_path) -> None:
    (mouse,) = read_mice(listed(tmp_path, {**GOOD, "readout": 2, "trials": [4, 3]}))
    assert (mouse.session, mouse.encoders, mouse.mask) == (
        tmp_path / "a",
        (tmp_path / "a.safetensors",),
        tmp_path / "a.npy",
    )
    assert (mouse.name, mouse.readout, mouse.trials) == ("a", "2", (4, 3))


BAD_LISTS = {
    "no list": ({"session": "a"}, "a list of mice"),
    "empty": ([], "a list of mice"),
    "no object": (["a"], "a list of mice"),
    "nothing in it": ([{}], "no encoders, mask, session"),
    "unknown field": ([{**GOOD, "colour": "grey"}], "colour too"),
    "encoders are no list": ([{**GOOD, "encoders": "a.safetensors"}], "as lists"),
    "no encoder": ([{**GOOD, "encoders": []}], "at least one encoder"),
    "trials are no list": ([{**GOOD, "trials": 4}], "as lists"),
    "trials are words": ([{**GOOD, "trials": [1, "two"]}], '[1, "two"]'),
    "twice the same": ([GOOD, GOOD], "a name of its own"),
    "a null character": ([{**GOOD, "session": "a\0b"}], "session as text"),
    "no path": ([{**GOOD, "mask": None}], "mask as text, found null"),
    "a path of nothing": ([{**GOOD, "mask": ""}], "mask as text"),
    "a path that is a list": ([{**GOOD, "encoders": [["a"]]}], "encoders as text"),
    "a path in surrogates": ([{**GOOD, "encoders": ["\udcff"]}], "encoders as text"),
    "a name that moves the cursor": ([{**GOOD, "name": "\x1b[2J"}], "name as text"),
    "a name that is an object": ([{**GOOD, "name": {"a": 1}}], "name as text"),
    "a folder that cannot be shown": ([{**GOOD, "session": "a\nb"}], "none that can be shown"),
    "a readout that is true": ([{**GOOD, "readout": True}], "index or name"),
    "a readout below 0": ([{**GOOD, "readout": -1}], "index or name"),
    "trials below 0": ([{**GOOD, "trials": [-1]}], "trials as whole numbers"),
    "a trial beyond all": ([{**GOOD, "trials": [10**30]}], "trials as whole numbers"),
    "true is no trial": ([{**GOOD, "trials": [True]}], "trials as whole numbers"),
}


@pytest.mark.parametrize("case", BAD_LISTS)
def test_a_bad_list_is_one_clear_error_that_names_the_file(tmp_path, case: str) -> None:
    content, named = BAD_LISTS[case]
    file = tmp_path / "mice.json"
    file.write_text(json.dumps(content))
    with pytest.raises(ConfigError) as error:
        read_mice(file)
    assert str(file) in str(error.value)
    assert named in str(error.value)


def test_a_file_that_is_missing_or_no_json_is_named(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json: expected a list of mice"):
        read_mice(tmp_path / "none.json")
    (tmp_path / "mice.json").write_bytes(b"\xff[")
    with pytest.raises(ConfigError, match=r"mice\.json: expected a list of mice, found text that is not JSON"):
        read_mice(tmp_path / "mice.json")


@pytest.mark.parametrize("content", ["[" * 100_000, '[{"session": ' + "9" * 5000 + "}]", "[" * 200 + "]" * 200])
def test_a_list_that_python_cannot_follow_is_one_clear_error(tmp_path, content: str) -> None:
    file = tmp_path / "mice.json"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"mice\.json: expected a list of mice"):
        read_mice(file)


def test_a_list_that_is_no_file_is_one_clear_error(tmp_path) -> None:
    with pytest.raises(ConfigError, match="found a folder"):
        read_mice(tmp_path)
    with pytest.raises(ConfigError, match="longer than the system takes"):
        read_mice(tmp_path / ("a" * 300))


def test_a_readout_of_many_digits_is_a_name(tiny_mouse) -> None:
    with pytest.raises(EncoderError):
        replace(tiny_mouse, readout="9" * 5000).load_encoder(0, "cpu")


def test_the_sample_is_a_simulated_mouse_whose_test_clips_are_used() -> None:
    mouse = sample_mouse()
    session = mouse.open_session()
    assert session.simulated
    assert set(mouse.clips()) <= set(session.trials_in_tier("live_test_main"))
    mouse.require_readable()


def test_the_papers_mice_use_the_papers_clips() -> None:
    class Published:
        name = "dynamic29515-10-12-Video-9b4f6a1a067fe51e15306b9628efea20"
        labelled = ()

        def trials_in_fold(self, fold: int) -> list[int]:
            return [100 + position for position in range(20)]

    expected = [100 + position for position in PUBLISHED_CLIPS["dynamic29515-10-12"]]
    assert list(held_out(Published())) == expected  # type: ignore[arg-type]
    assert all(len(positions) == len(set(positions)) == 10 for positions in PUBLISHED_CLIPS.values())


def test_trials_that_do_not_exist_are_named(tiny_mouse) -> None:
    with pytest.raises(SessionError, match="found 99"):
        replace(tiny_mouse, trials=(0, 99)).clips()


def test_relative_paths_become_absolute(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    mouse = one_mouse(Path("a"), [Path("b")], Path("c"))
    assert (mouse.session, mouse.encoders, mouse.mask) == (tmp_path / "a", (tmp_path / "b",), tmp_path / "c")


def test_a_fault_in_any_file_is_told_before_a_run_is_started(tiny_mouse, tmp_path) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"nothing")
    for mouse in (
        replace(tiny_mouse, encoders=(*tiny_mouse.encoders, damaged)),
        replace(tiny_mouse, mask=tmp_path / "none.npy"),
        replace(tiny_mouse, session=tmp_path / "none"),
    ):
        with pytest.raises(VidreconError, match=r"damaged\.safetensors|none"):
            mouse.require_readable()


def test_that_an_encoder_is_of_another_mouse_is_told(
    small_session_folder, small_encoder_file, tiny_mask_file, tmp_path, caplog
) -> None:
    folder = shutil.copytree(small_session_folder, tmp_path / "quite_another_mouse")
    one_mouse(folder, [small_encoder_file], tiny_mask_file).load_encoder(0, "cpu")
    assert f"was trained on {small_session_folder.name}, not on quite_another_mouse" in caplog.text


def test_a_mask_that_selects_nothing_is_told_before_a_run_is_started(tiny_mouse, tmp_path) -> None:
    import numpy as np

    np.save(tmp_path / "low.npy", np.full((36, 64), 0.7, np.float32))
    with pytest.raises(MaskError, match="no pixel reaches alpha 1"):
        replace(tiny_mouse, mask=tmp_path / "low.npy").require_readable()


def test_the_list_in_the_documentation_can_be_read_and_its_scripts_compile(tmp_path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "studies.md").read_text()
    blocks = re.findall(r"```(json|python)\n(.*?)```", page, re.DOTALL)
    (entries,) = [text for kind, text in blocks if kind == "json"]
    (tmp_path / "mice.json").write_text(entries)
    first, second = read_mice(tmp_path / "mice.json")
    assert (first.name, second.readout, second.trials) == ("mouse A", "1", (12, 40, 7))
    for kind, text in blocks:
        if kind == "python":
            compile(text, "studies.md", "exec")


def test_mice_of_other_screens_are_told_before_a_run_is_started(tiny_mouse, tiny_scale, tmp_path) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny_mouse.session, other)
    (other / "config.json").write_text('{"screen": {"rows": 18, "cols": 16}}')
    mice = (tiny_mouse, replace(tiny_mouse, session=other, name="other"))
    told = r"other: expected movies of 36x64 pixels, .*found 18x16 pixels; .*--out"
    with pytest.raises(SessionError, match=told):
        Plan.at_their_rate(mice, tiny_scale)
    with pytest.raises(SessionError, match=told):
        conduct([], Plan(mice, tiny_scale), tmp_path / "studies")
    assert not (tmp_path / "studies").exists()


def test_a_mouse_without_held_out_clips_is_told_how_to_name_its_trials(copy_of_small_session) -> None:
    tiers = copy_of_small_session / "meta" / "trials" / "tiers.npy"
    np.save(tiers, np.full(len(np.load(tiers)), "oracle"))
    mouse = one_mouse(copy_of_small_session, [Path("a")], Path("b"))
    with pytest.raises(SessionError, match=r"expected held-out clips .*tier live_test_main or fold 0.*\(--mice"):
        mouse.clips()
