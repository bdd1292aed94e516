"""What a study found, on disk: tables, statistics, figures, movies, and one page with all of it."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from napari_vidrecon.analysis.statistics import TestResult
from napari_vidrecon.errors import StorageError
from napari_vidrecon.storage import open_regular, replacing_file, replacing_folder, safe_cell
from napari_vidrecon.studies.pages.page import HEAD, study_page
from napari_vidrecon.studies.runs.run_spec import RunSpec
from napari_vidrecon.studies.runs.store import RUNS_FOLDER
from napari_vidrecon.studies.study import Outcome, Plan, Study
from napari_vidrecon.version import __version__

TESTS_TABLE, FINDINGS_TABLE = "statistics", "findings"
PAGE, PROVENANCE, CONTENTS = "index.html", "provenance.json", "contents.json"


def write_outcome(study: Study, plan: Plan, runs: Mapping[str, RunSpec], outcome: Outcome, folder: Path) -> Path:
    """Write everything a study found: all of it appears at once, or nothing does.

    What else lies in the folder, a user's notes for example, stays there.

    Parameters
    ----------
    study, plan
        What was studied, and on whom.
    runs
        Runs by key.
    outcome
        What it found.
    folder
        Of this study; runs lie beside it.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    StorageError
        The disk is full, or writing is not permitted.
    """
    with replacing_folder(folder, lambda there: _files_only_in(there, written)) as written:
        _write(study, plan, runs, outcome, written)
    return folder / PAGE


def _files_only_in(there: Path, written: Path) -> list[str]:
    found = [each for each in there.rglob("*") if each.is_symlink() or not each.is_dir()]
    names = [each.relative_to(there).as_posix() for each in found]
    return [name for name in names if not os.path.lexists(written / name)]


def _write(study: Study, plan: Plan, runs: Mapping[str, RunSpec], outcome: Outcome, folder: Path) -> None:
    import pandas as pd

    tables = dict(outcome.tables)
    tables[TESTS_TABLE] = pd.DataFrame(
        [test.row() for test in outcome.tests], columns=[each.name for each in fields(TestResult)]
    )
    tables[FINDINGS_TABLE] = pd.DataFrame(
        [asdict(finding) for finding in outcome.findings], columns=["statement", "shows", "numbers"]
    )
    for name, table in tables.items():
        _write_table(table, folder / "tables" / name)
    figures, movies = folder / "figures", folder / "movies"
    if outcome.drawings:
        from napari_vidrecon.figures.frame import save_figure

        for drawing in outcome.drawings:
            with _plain_names(plan):
                figure = drawing.draw()
            for suffix in (".svg", ".png"):
                save_figure(figure, figures / f"{drawing.name}{suffix}")
    if outcome.movies:
        from napari_vidrecon.figures.movie import write_mp4

        for movie in outcome.movies:
            write_mp4(movies / f"{movie.name}.mp4", movie.frames(), movie.fps)
    provenance = _provenance(plan, runs)
    write_page(folder / PROVENANCE, json.dumps(provenance, indent=1, default=str))
    write_page(folder / CONTENTS, json.dumps(_contents(study, plan, outcome), indent=1, ensure_ascii=False))
    write_page(folder / PAGE, study_page(study, plan, outcome, tables, provenance))


def write_page(file: Path, text: str) -> None:
    """Write a text that people read, whole or not at all; names of files that are no text are shown as they can be.

    Parameters
    ----------
    file
        Its place.
    text
        What it says.
    """
    with replacing_file(file) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def require_own_page(page: Path) -> None:
    """Refuse to replace a page that this program did not write.

    Parameters
    ----------
    page
        Where one is to be written.

    Raises
    ------
    StorageError
        Something else has the name.
    """
    if not os.path.lexists(page):
        return
    with open_regular(page, "a free name, or a page of an earlier study") as file:
        if file.read(len(HEAD)) != HEAD.encode():
            raise StorageError(
                f"{page}: expected a free name, or a page of an earlier study, found another file; "
                "choose another folder with --out"
            )


@contextlib.contextmanager
def _plain_names(plan: Plan) -> Iterator[None]:
    """A dollar sign in a mouse's name is no formula."""
    import matplotlib as mpl

    formulas = not any("$" in mouse.name for mouse in plan.mice)
    with mpl.rc_context({"text.parse_math": formulas}):
        yield


def _write_table(table: Any, stem: Path) -> None:
    texts = table.select_dtypes(exclude=["number", "bool"])
    with replacing_file(stem.with_suffix(".csv")) as temporary:
        table.assign(**{str(name): texts[name].map(safe_cell) for name in texts}).to_csv(temporary, index=False)
    with replacing_file(stem.with_suffix(".parquet")) as temporary:
        table.to_parquet(temporary, index=False)


def _provenance(plan: Plan, runs: Mapping[str, RunSpec]) -> dict[str, Any]:
    return {
        "written": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "versions": _versions(),
        "system": platform.platform(),
        "simulated": plan.simulated,
        "scale": asdict(plan.scale),
        "config": plan.scale.config().model_dump(mode="json"),
        "mice": [mouse.provenance() for mouse in plan.mice],
        "runs": {f"{RUNS_FOLDER}/{key}": spec.label for key, spec in runs.items()},
    }


def _contents(study: Study, plan: Plan, outcome: Outcome) -> dict[str, Any]:
    """What the page shows, for programs: which file stands for which panel of the paper."""
    return {
        "study": study.name,
        "title": study.title,
        "panels": study.panels,
        "simulated": plan.simulated,
        "scale": plan.scale.name,
        "figures": [
            {"file": f"figures/{each.name}.svg", "panel": each.panel, "caption": each.caption}
            for each in outcome.drawings
        ],
        "movies": [
            {"file": f"movies/{each.name}.mp4", "panel": each.panel, "caption": each.caption} for each in outcome.movies
        ],
        "findings": [asdict(finding) for finding in outcome.findings],
        "notes": list(outcome.notes),
    }


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    names = ("torch", "numpy", "scipy", "pandas", "pingouin", "statsmodels", "dask", "matplotlib")
    return {
        "napari_vidrecon": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }
