"""A study from beginning to end, and several with one gallery; what is there is not computed again."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from napari_vidrecon.errors import ConfigError, MaskError, RunError, StorageError
from napari_vidrecon.storage import claimed
from napari_vidrecon.storage.writing import InUseError
from napari_vidrecon.studies import conducting
from napari_vidrecon.studies.conducting import Shard, compute_shard, conduct, grid
from napari_vidrecon.studies.experiments.ablation import ABLATION
from napari_vidrecon.studies.runs.run_spec import RunStore
from napari_vidrecon.studies.study import Outcome, Plan, Study


@pytest.fixture(scope="module")
def standard() -> Study:
    """The standard reconstructions alone, without any result."""
    runs = lambda plan: [spec for clip in plan.clips for spec in plan.standard(clip)]  # noqa: E731
    return Study("standard", "Standard runs", "no panel", runs, lambda *_: Outcome())


def test_studies_that_were_computed_before_are_only_measured_and_written(
    tiny_plan, outcome_of, shared_store, standard, monkeypatch
) -> None:
    outcome_of(ABLATION, tiny_plan)
    told = []
    written = conduct([ABLATION, standard], tiny_plan, shared_store.out, on_written=told.append)
    assert written == told
    assert [each.computed for each in written] == [0, 0]
    assert [each.page.relative_to(shared_store.out).as_posix() for each in written] == [
        "ablation/index.html",
        "standard/index.html",
    ]
    gallery = (shared_store.out / "index.html").read_text()
    assert 'src="ablation/figures/ablation.png"' in gallery
    provenance = json.loads((shared_store.out / "standard" / "provenance.json").read_text())
    assert len(provenance["runs"]) == 4


@pytest.mark.parametrize(
    ("fault", "raised", "told"),
    [
        (ConfigError("expected a clip"), RunError, "1 study could not be measured.*odd: expected a clip"),
        (KeyError("mouse"), KeyError, "mouse"),
    ],
)
def test_a_study_that_cannot_be_measured_keeps_none_of_the_others_from_being_written(
    fault, raised, told, tiny_plan, outcome_of, shared_store, standard
) -> None:
    outcome_of(ABLATION, tiny_plan)

    def evaluate(*_: object) -> Outcome:
        raise fault

    odd, written = replace(standard, name="odd", evaluate=evaluate), []
    with pytest.raises(raised, match=told):
        conduct([odd, ABLATION, standard], tiny_plan, shared_store.out, on_written=written.append)
    assert [each.name for each in written] == ["ablation", "standard"]
    assert 'src="ablation/figures/ablation.png"' in (shared_store.out / "index.html").read_text()


def test_runs_that_two_studies_need_are_in_the_grid_once(tiny_plan, shared_store, standard) -> None:
    both, one = (grid(studies, tiny_plan, shared_store) for studies in ([ABLATION, standard], [ABLATION]))
    assert both == one


@pytest.mark.parametrize("parts", [1, 3, 4, 9])
def test_every_run_belongs_to_one_part_and_parts_differ_by_one_run_at_most(tiny_plan, shared_store, parts) -> None:
    runs = grid([ABLATION], tiny_plan, shared_store)
    shares = [Shard(number, parts).of_runs(runs) for number in range(1, parts + 1)]
    assert sorted(folder for share in shares for folder in share) == sorted(runs)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_part_computes_its_runs_and_measures_nothing(tiny_plan, standard, tmp_path, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(conducting, "run_all", lambda runs, **how: asked.append(list(runs)) or len(runs))
    done = [compute_shard([standard], tiny_plan, tmp_path, Shard(number, 3)) for number in (1, 2, 3)]
    assert sorted(folder for share in asked for folder in share) == sorted(
        grid([standard], tiny_plan, RunStore(tmp_path))
    )
    assert [(each.computed, each.finished, each.total) for each in done] == [(2, 0, 4), (1, 0, 4), (1, 0, 4)]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "1/x", "-1/4", "1/4/4", "1/" + "9" * 5000])
def test_a_part_that_there_is_not_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--shard: expected a part and how many there are, such as 2/8, found"):
        Shard.read(text)


def test_the_same_mouse_under_another_name_finds_its_runs_again(tiny_plan, shared_store, standard) -> None:
    renamed = Plan((replace(tiny_plan.mice[0], name="somebody"),), tiny_plan.scale)
    assert list(grid([standard], renamed, shared_store)) == list(grid([standard], tiny_plan, shared_store))


def test_a_fault_in_the_files_is_told_before_any_run(tiny_plan, standard, tmp_path) -> None:
    mouse = replace(tiny_plan.mice[0], mask=tiny_plan.mice[0].encoders[0])
    with pytest.raises(MaskError, match=r"tiny_0\.safetensors"):
        conduct([standard], Plan((mouse,), tiny_plan.scale), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_study_that_another_process_is_at_work_on_says_so(tiny_plan, standard, tmp_path) -> None:
    with claimed(tmp_path / "standard", "study"), pytest.raises(InUseError, match="another process is at work on this"):
        conduct([standard], tiny_plan, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_somebody_else_wrote_is_named_before_any_run_and_stays(tiny_plan, standard, tmp_path) -> None:
    page = tmp_path / "standard" / "index.html"
    page.parent.mkdir()
    page.write_text("<html>my own</html>")
    with pytest.raises(
        StorageError, match=r"standard/index\.html: expected a free name, or a page of an earlier study"
    ):
        conduct([standard], tiny_plan, tmp_path)
    assert page.read_text() == "<html>my own</html>"
    assert list(tmp_path.iterdir()) == [page.parent]


def test_what_a_killed_process_left_is_gone_and_a_users_notes_stay(
    tiny_plan, outcome_of, shared_store, standard
) -> None:
    outcome_of(ABLATION, tiny_plan)
    out = shared_store.out
    notes = out / "standard" / "notes.txt"
    notes.parent.mkdir(exist_ok=True)
    notes.write_text("mine")
    for folder in (out, out / "runs"):
        killed = folder / ".vidrecon-draft-killed"
        killed.mkdir()
        (killed / "owner.lock").touch()
    conduct([standard], tiny_plan, out)
    assert notes.read_text() == "mine"
    assert list(out.rglob(".vidrecon-*")) == []


def test_a_store_elsewhere_is_empty(tiny_plan, standard, tmp_path) -> None:
    store = RunStore(tmp_path)
    assert not any(store.has(folder.stem) for folder in grid([standard], tiny_plan, store))
