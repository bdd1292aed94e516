"""`vidrecon bench`: every case, quickly; what is stopped keeps what is done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.speed import cases as bench_cases
from benchmarks.speed.cases import build_cases
from benchmarks.speed.command import CASES
from benchmarks.speed.scales import QUICK, WHOLE

SECTIONS = {"gradients", "timings", "quality", "growth", "gpu"}
TIMED = {
    *("step-small", "step-large", "step-sample", "prediction-small", "prediction-large"),
    *("clip-sample", "ensemble-3", "clips-2"),
}


@pytest.mark.long
def test_the_quick_benchmark_measures_every_case(vidrecon, tmp_path: Path) -> None:
    out, page = tmp_path / "speed.json", tmp_path / "speed.md"
    answer = vidrecon("bench", "--quick", "--json", "--out", out, "--markdown", page)
    assert answer.code == 0
    assert answer.json == json.loads(out.read_text())
    assert answer.json.keys() >= SECTIONS
    assert {row["case"] for row in answer.json["timings"]} == TIMED
    assert [row["preset"] for row in answer.json["quality"]] == ["paper", "fast", "best"]
    for row in answer.json["gradients"]:
        assert row["gradient_error"] < (1e-12 if row["precision"] == "float64" else 1e-4)
    assert {row["axis"] for row in answer.json["growth"]} == {"frames", "neurons", "encoders", "steps"}
    assert all(f"| {row['what']} | {row['size']} |" in page.read_text() for row in answer.json["timings"])


@pytest.mark.long
def test_chosen_cases_only(vidrecon) -> None:
    answer = vidrecon("bench", "--quick", "--cases", "clips, step-sample", "--repeats", 2, "--threads", 1, "--json")
    assert [row["case"] for row in answer.json["timings"]] == ["step-sample", "clips-2"]
    assert {row["repeats"] for row in answer.json["timings"]} == {2}
    assert answer.json["machine"]["threads"] == 1
    assert answer.json.keys() & SECTIONS == {"timings"}


def test_the_table_says_what_each_figure_is_beside(vidrecon) -> None:
    answer = vidrecon("bench", "--quick", "--cases", "step-sample,gpu")
    assert "as fast as the naive loop" in answer.out
    assert answer.out.count("\n") == 3


def test_an_unknown_case_is_named_with_the_known_ones(vidrecon) -> None:
    answer = vidrecon("bench", "--quick", "--cases", "stepsmall")
    assert answer.code == 2
    assert answer.err.startswith("vidrecon: --cases stepsmall: expected one of gradients, step-small,")


@pytest.mark.parametrize("names", ["", " , "])
def test_no_case_among_those_named_is_not_all_of_them(vidrecon, names: str) -> None:
    answer = vidrecon("bench", "--quick", "--cases", names)
    assert answer.code == 2
    assert answer.err.startswith("vidrecon: --cases: expected names of cases, found none")


def test_an_earlier_result_is_not_replaced_unasked(vidrecon, tmp_path: Path) -> None:
    out = tmp_path / "speed.json"
    out.write_text("mine")
    answer = vidrecon("bench", "--quick", "--cases", "gpu", "--out", out)
    assert (answer.code, out.read_text()) == (2, "mine")
    assert vidrecon("bench", "--quick", "--cases", "gpu", "--out", out, "--overwrite").code == 0
    assert json.loads(out.read_text())["quick"] is True


def test_stopping_keeps_the_cases_that_are_done(vidrecon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bench_cases, "measure_growth", stopped)
    out = tmp_path / "speed.json"
    answer = vidrecon("bench", "--quick", "--cases", "step-sample,growth", "--out", out)
    assert answer.code == 130
    assert str(out) in answer.err
    assert json.loads(out.read_text()).keys() & SECTIONS == {"timings"}


def test_a_page_is_made_of_earlier_results_without_measuring(vidrecon, tmp_path: Path) -> None:
    out, first, second = (tmp_path / name for name in ("speed.json", "first.md", "second.md"))
    measured = vidrecon("bench", "--quick", "--cases", "step-sample", "--out", out, "--markdown", first)
    shown = vidrecon("bench", "--from", out, "--markdown", second)
    assert (shown.code, shown.out, second.read_text()) == (0, measured.out, first.read_text())


@pytest.mark.long
def test_chosen_cases_are_measured_anew_and_the_others_kept(vidrecon, tmp_path: Path) -> None:
    out = tmp_path / "speed.json"
    first = vidrecon("bench", "--quick", "--cases", "step-sample,gpu", "--threads", 1, "--out", out, "--json").json
    more = ("bench", "--quick", "--from", out, "--cases", "step-sample,clips", "--threads", 1, "--json")
    second = vidrecon(*more, "--out", out, "--overwrite").json
    assert [row["case"] for row in second["timings"]] == ["step-sample", "clips-2"]
    assert second["timings"][0]["seconds"] != first["timings"][0]["seconds"]
    assert second["gpu"] == first["gpu"]


def test_parts_measured_one_by_one_are_put_together(vidrecon, tmp_path: Path) -> None:
    parts = [tmp_path / f"{case}.json" for case in ("gpu", "step-sample")]
    for part in parts:
        assert vidrecon("bench", "--quick", "--cases", part.stem, "--threads", 1, "--out", part).code == 0
    whole = vidrecon("bench", "--from", parts[0], "--from", parts[1], "--json").json
    assert whole.keys() & SECTIONS == {"gpu", "timings"}
    assert whole["timings"] == json.loads(parts[1].read_text())["timings"]


def test_results_of_another_machine_are_not_mixed_in(vidrecon, tmp_path: Path) -> None:
    out = tmp_path / "speed.json"
    assert vidrecon("bench", "--quick", "--cases", "gpu", "--threads", 1, "--out", out).code == 0
    measured = json.loads(out.read_text())
    out.write_text(json.dumps({**measured, "machine": {**measured["machine"], "cpu": "another"}}))
    answer = vidrecon("bench", "--quick", "--from", out, "--cases", "gpu", "--threads", 1)
    assert answer.code == 2
    assert answer.err.startswith("vidrecon: --from: expected results of this machine, found cpu another instead of")


@pytest.mark.parametrize(
    ("content", "found"), [(None, "nothing there"), ("{", "text that is not JSON"), ('{"format": "other"}', "none")]
)
def test_earlier_results_that_are_none_are_refused_in_one_line(
    vidrecon, tmp_path: Path, content: str | None, found: str
) -> None:
    file = tmp_path / "speed.json"
    if content is not None:
        file.write_text(content)
    answer = vidrecon("bench", "--from", file)
    assert answer.code == 2
    assert answer.err.startswith(f"vidrecon: {file}: expected results of `vidrecon bench`, found {found}")


def test_the_verb_hands_on_the_help_and_the_usage_of_the_benchmark(vidrecon) -> None:
    assert "--quick" in vidrecon("bench", "--help").out
    answer = vidrecon("bench", "--quik")
    assert (answer.code, answer.err) == (
        2,
        "vidrecon: No such option: --quik (Possible options: --quick). See `vidrecon bench --help`.\n",
    )


def test_an_installation_without_the_repository_says_where_the_benchmark_is(
    vidrecon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_vidrecon.cli.doctor.CHECKOUT", tmp_path)
    answer = vidrecon("bench", "--quick")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "expected the benchmark, found nothing there" in answer.err
    assert "make bench" in answer.err


def test_the_help_names_every_case() -> None:
    assert tuple(case.name for case in build_cases(WHOLE)) == CASES


@pytest.mark.parametrize("scale", [QUICK, WHOLE])
def test_the_sizes_asked_for_are_the_ones_measured(scale) -> None:
    assert {case.section for case in build_cases(scale)} == SECTIONS
    whole = WHOLE
    assert whole.small.core_features == (16, 16, 32, 32)
    assert (whole.small.readout_outputs, whole.small_frames) == ((500,), 300)
    assert (whole.large.readout_outputs, whole.large_frames) == ((8000,), 36)
    assert whole.repeats >= 5
    assert whole.large_repeats >= 5
    assert set(whole.ensembles) >= {1, 3, 5, 7}
    assert set(whole.clips) >= {1, 2, 4}
