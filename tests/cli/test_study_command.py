"""`vidrecon study`: lists, counts before it runs, and refuses bad input with one clear line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("pandas")

from napari_vidrecon.studies.catalogue import STUDIES, studies_named


def assert_refused(answer, *named: str) -> None:
    """Exit code 2, one line on stderr that holds these words, no traceback, no answer."""
    assert answer.code == 2
    assert answer.out == ""
    assert len(answer.err.splitlines()) == 1, answer.err
    assert "Traceback" not in answer.err
    for word in named:
        assert word in answer.err


def test_the_list_names_every_study_with_its_panels(vidrecon) -> None:
    answer = vidrecon("study", "list")
    assert answer.code == 0
    for study in STUDIES:
        assert study.name in answer.out
        assert study.panels in answer.out
    assert set(vidrecon("study", "list", "--json").json) == {study.name for study in STUDIES}


def test_names_are_unique_and_none_is_a_word_of_the_command() -> None:
    names = [study.name for study in STUDIES]
    assert len(set(names)) == len(names)
    assert not {"list", "all"} & set(names)
    assert studies_named("all") == STUDIES


def test_a_dry_run_tells_runs_time_and_disk_and_leaves_nothing(vidrecon, tmp_path) -> None:
    out = tmp_path / "studies"
    answer = vidrecon("study", "ablation", "--dry-run", "--out", out)
    assert answer.code == 0
    assert re.search(r"runs +(\d+), of which \1 are still to do", answer.out)
    assert "nothing was run" in answer.out
    assert not out.exists()


def test_a_dry_run_as_json_has_seconds_of_one_worker_and_of_all(vidrecon, tmp_path) -> None:
    found = vidrecon("study", "ablation", "--dry-run", "--json", "--workers", 2, "--out", tmp_path).json
    assert found["runs"] == found["missing"] > 0
    assert found["workers"] == 2
    assert found["seconds"] == pytest.approx(found["worker_seconds"] / 2)
    assert found["disk_bytes"] > 0


def test_an_unknown_study_or_scale_is_refused(vidrecon) -> None:
    assert_refused(vidrecon("study", "ablations"), "'ablations'", "ablation", "all")
    assert_refused(vidrecon("study", "ablation", "--scale", "huge"), "huge", "quick", "paper")


def test_a_part_is_refused_where_there_is_none_and_where_a_scheduler_shares_out(vidrecon, tmp_path) -> None:
    assert_refused(vidrecon("study", "ablation", "--shard", "9/8", "--out", tmp_path), "--shard", "2/8", "'9/8'")
    answer = vidrecon("study", "ablation", "--shard", "1/8", "--scheduler", "tcp://a:1", "--out", tmp_path)
    assert_refused(answer, "--shard", "--scheduler")


def test_one_mouse_needs_all_its_files(vidrecon, small_session_folder) -> None:
    assert_refused(vidrecon("study", "ablation", "--session", small_session_folder), "--encoder", "--mask", "together")


def test_a_list_and_a_session_together_are_refused(vidrecon, small_session_folder, tmp_path) -> None:
    answer = vidrecon("study", "ablation", "--mice", tmp_path / "mice.json", "--session", small_session_folder)
    assert_refused(answer, "mice.json", "found both")
    answer = vidrecon("study", "ablation", "--mice", tmp_path / "mice.json", "--readout", "0")
    assert_refused(answer, "mice.json", "found both")


@pytest.mark.parametrize(
    ("content", "named"),
    [("{", "text that is not JSON"), ("[]", "list of mice"), ('[{"mask": 1}]', "no encoders, session")],
)
def test_a_bad_list_of_mice_is_refused(vidrecon, tmp_path, content: str, named: str) -> None:
    file = tmp_path / "mice.json"
    file.write_text(content)
    assert_refused(vidrecon("study", "ablation", "--mice", file), str(file), named)


def test_a_listed_file_that_is_missing_is_refused_before_anything_is_run(
    vidrecon, small_session_folder, small_encoder_file, mask_file, tmp_path
) -> None:
    files = {"session": str(small_session_folder), "encoders": [str(small_encoder_file)], "mask": str(mask_file)}
    good = {**files, "trials": [0]}
    file, out = tmp_path / "mice.json", tmp_path / "studies"
    for field, value in (("session", "no_session"), ("encoders", ["no_encoder.safetensors"]), ("mask", "no_mask.npy")):
        file.write_text(json.dumps([{**good, field: value}]))
        name = value[0] if isinstance(value, list) else value
        assert_refused(vidrecon("study", "ablation", "--mice", file, "--out", out), str(tmp_path / name))
    assert not out.exists()


@pytest.mark.parametrize("library", ["pandas", "pingouin", "distributed"])
def test_a_missing_library_is_named_with_how_to_get_it(vidrecon, monkeypatch, library: str) -> None:
    import importlib.util

    found = importlib.util.find_spec

    def without(name: str, *others: object) -> object:
        return None if name == library else found(name, *others)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    assert_refused(vidrecon("study", "ablation", "--dry-run"), library, "napari-vidrecon[studies]")


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "node1", "http://node1:8786", "node1:port"])
def test_a_scheduler_that_does_not_answer_is_one_clear_line(
    vidrecon, monkeypatch, tmp_path: Path, address: str
) -> None:
    from napari_vidrecon.studies.runs import running

    monkeypatch.setattr(running, "CONNECT_SECONDS", 0.5)
    answer = vidrecon("study", "ablation", "--scheduler", address, "--out", tmp_path)
    assert_refused(answer, address, "expected a Dask scheduler")
