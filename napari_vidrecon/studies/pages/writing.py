"""What a study found, on disk: tables, statistics, figures, movies, and one page with all of it."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from napari_vidrecon import __version__
from napari_vidrecon.analysis.statistics import TestResult
from napari_vidrecon.storage import replacing_file
from napari_vidrecon.studies.pages.page import study_page
from napari_vidrecon.studies.runs.run_spec import RunSpec
from napari_vidrecon.studies.runs.store import RUNS_FOLDER
from napari_vidrecon.studies.study import Outcome, Plan, Study

TESTS_TABLE, FINDINGS_TABLE = "statistics", "findings"
PAGE, PROVENANCE, CONTENTS = "index.html", "provenance.json", "contents.json"


def write_outcome(study: Study, plan: Plan, runs: Mapping[str, RunSpec], outcome: Outcome, folder: Path) -> Path:
    """Write everything a study found; each file appears whole or not at all.

    Parameters
    ----------
    runs : runs by key.
    folder : of this study; runs lie beside it.

    Returns
    -------
    The page.

    Raises
    ------
    StorageError : the disk is full, or writing is not permitted.
    """
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
        from napari_vidrecon.figures.montage import save_figure

        for drawing in outcome.drawings:
            figure = drawing.draw()
            for suffix in (".svg", ".png"):
                save_figure(figure, figures / f"{drawing.name}{suffix}")
    if outcome.movies:
        from napari_vidrecon.figures.movie import write_mp4

        for movie in outcome.movies:
            write_mp4(movies / f"{movie.name}.mp4", movie.frames(), movie.fps)
    provenance = _provenance(plan, runs)
    with replacing_file(folder / PROVENANCE) as temporary:
        temporary.write_text(json.dumps(provenance, indent=1, default=str))
    with replacing_file(folder / CONTENTS) as temporary:
        temporary.write_text(
            json.dumps(_contents(study, plan, outcome), indent=1, ensure_ascii=False), encoding="utf-8"
        )
    with replacing_file(folder / PAGE) as temporary:
        temporary.write_text(study_page(study, plan, outcome, tables, provenance), encoding="utf-8")
    return folder / PAGE


def _write_table(table: Any, stem: Path) -> None:
    with replacing_file(stem.with_suffix(".csv")) as temporary:
        table.to_csv(temporary, index=False)
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
