"""Published results go through the same measurements, figures and pages as runs of one's own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_vidrecon import metrics
from napari_vidrecon.analysis.postprocess import smooth
from napari_vidrecon.cli import main
from napari_vidrecon.errors import RunError
from napari_vidrecon.reconstruction.published import read_published
from napari_vidrecon.studies.conducting import conduct_published
from napari_vidrecon.studies.experiments.ensembling import ENSEMBLING
from napari_vidrecon.studies.experiments.natural import NATURAL
from napari_vidrecon.studies.runs.published_results import open_published

SKIPPED = 30


@pytest.fixture(scope="module")
def result_file(golden_folder: Path) -> Path:
    """The result file that the published code wrote for one clip."""
    return golden_folder / "reconstruction_summary_standard.npy"


@pytest.fixture
def results(result_file: Path, tmp_path: Path):
    """A function that writes copies of the result with some entries changed, as other encoders or clips would."""
    count = iter(range(100))

    def write(folder: str = "modelfold[0]_datafold_0_pop100", **changes: object) -> Path:
        stored = np.load(result_file, allow_pickle=True).item()  # the test's own file, not a stranger's
        file = tmp_path / folder / f"reconstruction_summary_m1_t{next(count)}.npy"
        file.parent.mkdir(exist_ok=True)
        np.save(file, np.array({**stored, **changes}, dtype=object), allow_pickle=True)
        return file

    return write


def test_a_published_file_is_measured_and_drawn_like_a_run(result_file, tmp_path) -> None:
    written = conduct_published(NATURAL, [result_file], tmp_path)
    result = read_published(result_file)
    pixels = (result.alpha >= 1)[14:50]
    video = smooth(np.clip(result.video, 0, 255))
    row = written.outcome.tables["clips"].iloc[0]
    assert (row["mouse"], row["clip"]) == ("mouse 2", 0)
    expected = metrics.video_correlation(result.stimulus[SKIPPED:], video[SKIPPED:], pixels)
    assert row["video_correlation"] == pytest.approx(expected, rel=1e-10)
    steps = written.outcome.tables["steps"]
    tracked = result.history.tracked("response_loss")
    np.testing.assert_allclose(steps["loss"], tracked[1][-len(steps) :])
    names = {drawing.name for drawing in written.outcome.drawings}
    folder = written.page.parent
    assert (
        {file.stem for file in (folder / "figures").glob("*.svg")}
        == names
        == {"optimisation", "examples", "correlations"}
    )
    assert (folder / "movies" / "natural.mp4").stat().st_size > 0


def test_the_page_says_that_nothing_was_reconstructed_and_names_the_files(result_file, tmp_path) -> None:
    page = conduct_published(NATURAL, [result_file], tmp_path).page
    assert "Published results: nothing was reconstructed here" in page.read_text()
    provenance = json.loads((page.parent / "provenance.json").read_text())
    assert provenance["runs"] == {}
    assert str(result_file) in provenance["mice"][0]["published"]
    assert provenance["config"]["steps"] == 41


def test_files_of_one_clip_are_its_encoders_and_are_averaged(results, result_file, tmp_path) -> None:
    original = read_published(result_file)
    results(video_pred=original.video + 10)
    results(video_pred=original.video[::-1].copy())
    results(trial=3, video_gt=original.stimulus[::-1].copy())
    results(trial=3, video_gt=original.stimulus[::-1].copy())
    plan, store = open_published([tmp_path], tmp_path / "out")
    assert [(clip.mouse.name, clip.trial) for clip in plan.clips] == [("mouse 2", 0), ("mouse 2", 3)]
    assert [len(mouse.encoders) for mouse in plan.mice] == [2]
    first, second = (store.load(spec).video for spec in plan.standard(plan.clips[0]))
    np.testing.assert_array_equal(first, original.video + 10)
    np.testing.assert_array_equal(second, original.video[::-1])
    table = conduct_published(ENSEMBLING, [tmp_path], tmp_path / "out").outcome.tables["ensembling"]
    assert sorted(set(table["encoders"])) == [1, 2]


def test_a_study_of_other_runs_is_refused_with_one_line(result_file, tmp_path, capsys) -> None:
    for name, told in (
        ("ablation", "only studies of the standard reconstructions"),
        ("correlates", "expected encoders"),
    ):
        assert main(["study", name, "--published", str(result_file), "--out", str(tmp_path)]) == 2
        error = capsys.readouterr().err
        assert told in error
        assert len(error.splitlines()) == 1
    assert not any(tmp_path.iterdir())


def test_variants_and_strangers_are_refused_and_named(results, tmp_path) -> None:
    cases = {
        "variant of the method (fit_to_predicted)": results("round7_fit_to_predicted"),
        "another training mask": results(mask_update_th=1),
        "fewer neurons": results(population_mask=np.arange(40)[:, None] > 20),
    }
    for told, file in cases.items():
        with pytest.raises(RunError) as error:
            open_published([file], tmp_path)
        assert told in str(error.value)
        assert str(file) in str(error.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match=r"reconstruction_summary_\*\.npy, found none"):
        open_published([tmp_path / "empty"], tmp_path)


def test_files_that_do_not_belong_together_are_refused(results, result_file, tmp_path) -> None:
    original = read_published(result_file)
    first = results()
    other_clip = results(video_gt=original.stimulus[::-1].copy())
    with pytest.raises(RunError, match="expected the same clip"):
        open_published([first, other_clip], tmp_path)
    with pytest.raises(RunError, match="settings of the other files"):
        open_published([first, results(lr=500)], tmp_path)
    with pytest.raises(RunError, match="as many results for each clip, found from 1 to 2"):
        open_published([first, results(), results(trial=3)], tmp_path)


def test_the_command_reads_a_folder_and_answers_as_json(result_file, tmp_path, capsys) -> None:
    folder = tmp_path / "published"
    folder.mkdir()
    shutil.copy(result_file, folder)
    assert main(["study", "natural", "--published", str(folder), "--out", str(tmp_path / "out"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["studies"]["natural"]["runs_computed"] == 0
    assert len(pd.read_csv(tmp_path / "out" / "natural" / "tables" / "clips.csv")) == 1


def test_published_files_beside_a_session_are_refused(result_file, tmp_path, capsys) -> None:
    words = ["study", "natural", "--published", result_file, "--session", tmp_path]
    assert main([str(word) for word in words]) == 2
    assert "--published: expected one study and nothing to run it on" in capsys.readouterr().err
