"""What a study leaves on disk: tables in two formats, figures, movies, one page that holds all and hides nothing."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from napari_vidrecon.analysis import statistics
from napari_vidrecon.errors import StorageError
from napari_vidrecon.studies.mice import sample_mouse
from napari_vidrecon.studies.page import gallery_page, write_outcome
from napari_vidrecon.studies.runs.run_spec import without_repeats
from napari_vidrecon.studies.study import Drawing, Finding, Movie, Outcome, Plan, Study

TRAP = '<script>alert("1")</script>'


def figure() -> Figure:
    drawn = Figure(figsize=(2, 2))
    drawn.add_subplot().plot([0, 1])
    return drawn


@pytest.fixture
def study() -> Study:
    return Study("trap", f"Title {TRAP}", "Fig. 0", lambda plan: plan.standard(plan.clips[0]), lambda *_: Outcome())


@pytest.fixture
def outcome() -> Outcome:
    """One of everything, with text that would break a page that does not escape it."""
    return Outcome(
        tables={"values": pd.DataFrame({"mouse": [TRAP, "b"], "r": [0.123456789, float("nan")]})},
        tests=[statistics.paired_t([1.0, 2.0, 4.0], [0.0, 0.5, 1.0], f"a against {TRAP}", mice=3)],
        findings=[
            Finding("rises", True, "r = 0.5"),
            Finding("falls", False, TRAP),
            Finding("stays", None, "needs two mice"),
        ],
        drawings=[Drawing("lines", f"Caption {TRAP}", "Fig. 5", figure)],
        movies=[Movie("clip", "A movie", "Video 1", lambda: iter(np.zeros((3, 20, 20, 3), np.uint8)))],
        notes=[f"Note {TRAP}"],
    )


@pytest.fixture
def written(study, outcome, tiny_plan, shared_store, tmp_path):
    """Its folder and page."""
    runs = without_repeats(study.runs(tiny_plan), shared_store.keys)
    page = write_outcome(study, tiny_plan, runs, outcome, tmp_path / "trap")
    return page.parent, page.read_text()


def test_tables_are_the_same_as_csv_and_parquet(written, outcome) -> None:
    folder, _ = written
    for name in ("values", "statistics", "findings"):
        from_csv = pd.read_csv(folder / "tables" / f"{name}.csv")
        from_parquet = pd.read_parquet(folder / "tables" / f"{name}.parquet")
        assert list(from_csv.columns) == list(from_parquet.columns)
        assert len(from_csv) == len(from_parquet) > 0
    np.testing.assert_array_equal(
        pd.read_parquet(folder / "tables" / "values.parquet")["r"], outcome.tables["values"]["r"]
    )
    tests = pd.read_csv(folder / "tables" / "statistics.csv")
    assert tests["p"][0] == outcome.tests[0].p


def test_figures_and_movies_lie_where_the_page_looks_for_them(written) -> None:
    folder, page = written
    links = set(re.findall(r'(?:src|href)="([^"]+)"', page))
    assert {"figures/lines.png", "figures/lines.svg", "movies/clip.mp4", "tables/values.csv"} <= links
    assert all((folder / link).is_file() for link in links)


def test_nothing_on_the_page_can_run(written) -> None:
    _, page = written
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 6


def test_every_finding_says_whether_it_shows_or_cannot_be_told(written) -> None:
    _, page = written
    assert '<span class="yes">shows:</span> rises' in page
    assert '<span class="no">does not show:</span> falls' in page
    assert '<span class="unknown">cannot be told:</span> stays' in page


def test_the_page_says_the_panel_the_size_and_the_statistics(written) -> None:
    _, page = written
    for text in (
        "[Fig. 5]",
        "Bauer et al. 2026: Fig. 0",
        "1 mouse, 2 natural clips",
        "“tiny”",
        "paired t-test",
        "Cohen",
    ):
        assert text in page


def test_the_contents_name_every_file_with_the_panel_it_stands_for(written) -> None:
    folder, _ = written
    contents = json.loads((folder / "contents.json").read_text(encoding="utf-8"))
    for each in (*contents["figures"], *contents["movies"]):
        assert (folder / each["file"]).exists()
        assert each["panel"]
        assert each["caption"]
    assert contents["figures"]
    assert {finding["shows"] for finding in contents["findings"]} == {True, False, None}


def test_provenance_names_every_run_file_and_version(written, tiny_plan, study, shared_store) -> None:
    folder, page = written
    provenance = json.loads((folder / "provenance.json").read_text())
    keys = {f"runs/{shared_store.keys.of(spec)}" for spec in study.runs(tiny_plan)}
    assert set(provenance["runs"]) == keys
    mouse = provenance["mice"][0]
    assert set(mouse["encoders"]) == {"tiny_0.safetensors", "tiny_1.safetensors"}
    assert mouse["clips"] == [0, 1]
    assert provenance["config"]["steps"] == 3
    assert {"torch", "pingouin", "statsmodels", "scipy"} <= set(provenance["versions"])
    assert next(iter(keys)) in page


def test_a_simulated_mouse_is_called_simulated(written, study, outcome, tiny_plan, tmp_path) -> None:
    folder, page = written
    assert "Simulated mouse" not in page
    assert json.loads((folder / "provenance.json").read_text())["simulated"] is False
    plan = Plan((sample_mouse(),), tiny_plan.scale)
    page = write_outcome(study, plan, {}, replace(outcome, movies=[], drawings=[]), tmp_path / "sample").read_text()
    assert "Simulated mouse.</b> No animal and no recording" in page
    assert "Simulated mouse" in gallery_page("Studies", [], simulated=True)


def test_a_study_without_results_still_has_a_page_and_tables_with_columns(study, tiny_plan, tmp_path) -> None:
    page = write_outcome(study, tiny_plan, {}, Outcome(), tmp_path / "none")
    assert page.is_file()
    assert "p" in pd.read_csv(page.parent / "tables" / "statistics.csv").columns
    assert "shows" in pd.read_csv(page.parent / "tables" / "findings.csv").columns


def test_writing_again_replaces_and_leaves_no_drafts(written, study, tiny_plan, outcome) -> None:
    folder, _ = written
    before = {file.relative_to(folder) for file in folder.rglob("*")}
    write_outcome(study, tiny_plan, {}, outcome, folder)
    assert {file.relative_to(folder) for file in folder.rglob("*")} == before


def test_what_fails_on_the_way_leaves_the_earlier_results_and_a_users_notes(
    written, study, tiny_plan, outcome, monkeypatch
) -> None:
    folder, _ = written
    (folder / "notes.txt").write_text("mine")
    (folder / "tables" / "notes.txt").write_text("mine too")
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}

    def broken() -> Figure:
        raise StorageError("the disk is full")

    with pytest.raises(StorageError):
        write_outcome(study, tiny_plan, {}, Outcome(drawings=[Drawing("x", "x", "Fig. 0", broken)]), folder)
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before
    assert [each.name for each in folder.parent.iterdir()] == [folder.name]
    write_outcome(study, tiny_plan, {}, outcome, folder)
    assert (folder / "tables" / "notes.txt").read_text() == "mine too"
    assert {file for file in folder.rglob("*") if file.is_file()} == set(before)


def test_texts_in_tables_are_no_formulas_of_a_spreadsheet(study, tiny_plan, tmp_path) -> None:
    table = pd.DataFrame({"mouse": ["=1+1", "b"], "r": [-0.5, 1.0], "shows": [True, False]})
    write_outcome(study, tiny_plan, {}, Outcome(tables={"values": table}), tmp_path / "trap")
    lines = (tmp_path / "trap" / "tables" / "values.csv").read_text(encoding="utf-8").splitlines()
    assert lines == ["mouse,r,shows", "'=1+1,-0.5,True", "b,1.0,False"]


def test_a_name_with_dollar_signs_is_no_formula(study, tiny_plan, tmp_path) -> None:
    def titled() -> Figure:
        drawn = figure()
        drawn.axes[0].set_title(r"a$\nothing$b")
        return drawn

    plan = Plan((replace(tiny_plan.mice[0], name=r"a$\nothing$b"),), tiny_plan.scale)
    write_outcome(study, plan, {}, Outcome(drawings=[Drawing("x", "x", "Fig. 0", titled)]), tmp_path / "trap")
    assert (tmp_path / "trap" / "figures" / "x.png").is_file()


def test_names_that_are_no_text_are_shown_as_they_can_be(study, tiny_plan, tmp_path) -> None:
    write_outcome(study, tiny_plan, {}, Outcome(notes=["a \udcff b"]), tmp_path / "trap")
    assert "a \\udcff b" in (tmp_path / "trap" / "index.html").read_text(encoding="utf-8")


def test_a_place_that_cannot_be_written_is_one_clear_error(study, tiny_plan, outcome, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        write_outcome(study, tiny_plan, {}, outcome, tmp_path / "file" / "trap")


def test_the_gallery_links_every_study_and_escapes_its_text() -> None:
    page = gallery_page("All", [("a/index.html", TRAP, "Fig. 1", ["a/figures/x.png"])], simulated=False)
    assert 'href="a/index.html"' in page
    assert 'src="a/figures/x.png"' in page
    assert "<script" not in page
