"""One HTML page a study with all that it found, and the tables, figures and movies beside it."""

from __future__ import annotations

import contextlib
import html
import json
import math
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_vidrecon.analysis.statistics import TestResult
from napari_vidrecon.errors import StorageError
from napari_vidrecon.storage import open_regular, replacing_file, replacing_folder, safe_cell
from napari_vidrecon.studies.runs.run_spec import RUNS_FOLDER, RunSpec
from napari_vidrecon.studies.study import Outcome, Plan, Study
from napari_vidrecon.version import __version__

if TYPE_CHECKING:
    import pandas as pd


HEAD = '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
"""How every page begins; by it a page of an earlier study is known."""
ROWS_SHOWN = 40
STYLE = """
body { font-family: system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a;
       line-height: 1.45 }
h1 { margin-bottom: 0 } h2 { margin-top: 2.2rem; border-bottom: 1px solid #ccc }
.simulated { background: #fff3cd; border: 1px solid #e0c36a; padding: .5rem .8rem; border-radius: .3rem }
figure { margin: 1.2rem 0 } figure img, video { max-width: 100%; background: #16161a }
figcaption { color: #444; font-size: .92rem }
table { border-collapse: collapse; font-size: .85rem; display: block; overflow-x: auto }
th, td { border: 1px solid #ddd; padding: .2rem .5rem; text-align: left } th { background: #f3f3f3 }
pre { background: #f6f6f6; padding: .8rem; overflow-x: auto; font-size: .8rem }
.yes { color: #00694d; font-weight: 600 } .no { color: #a83e00; font-weight: 600 } .unknown { color: #555 }
"""
VERDICTS = {True: ("yes", "shows"), False: ("no", "does not show"), None: ("unknown", "cannot be told")}
TEST_COLUMNS = (
    *("test", "compared", "statistic", "degrees", "p", "corrected_p", "correction", "effect", "effect_name"),
    *("estimate", "low", "high", "mice", "clips", "unit", "note"),
)


def study_page(
    study: Study,
    plan: Plan,
    outcome: Outcome,
    tables: Mapping[str, pd.DataFrame],
    provenance: Mapping[str, Any],
) -> str:
    """The page as HTML; pictures and movies lie beside it in `figures` and `movies`.

    Parameters
    ----------
    study
        Its title and panels.
    plan
        Mice and scale.
    outcome
        Findings, figures and movies.
    tables
        By name; the page shows their sizes and links to them.
    provenance
        Plain values: what went in.

    Returns
    -------
    str
        HTML.
    """
    parts = [f"<h1>{_text(study.title)}</h1>", f"<p>Bauer et al. 2026: {_text(study.panels)}. {_size(study, plan)}</p>"]
    if plan.simulated:
        parts.append(
            '<p class="simulated"><b>Simulated mouse.</b> No animal and no recording: what is shown here says whether '
            "the program works as it should, not how a mouse sees.</p>"
        )
    if outcome.findings:
        parts += ["<h2>Findings of the paper</h2>", _findings(outcome)]
    parts += [f"<p>{_text(note)}</p>" for note in outcome.notes]
    if outcome.drawings:
        parts.append("<h2>Figures</h2>")
        parts += [
            f'<figure><a href="figures/{_text(each.name)}.svg"><img src="figures/{_text(each.name)}.png" '
            f'alt="{_text(each.caption)}"></a><figcaption>{_text(_panel(each.panel))} {_text(each.caption)} '
            f'<a href="figures/{_text(each.name)}.svg">SVG</a></figcaption></figure>'
            for each in outcome.drawings
        ]
    if outcome.movies:
        parts.append("<h2>Movies</h2>")
        parts += [
            f'<figure><video controls loop muted src="movies/{_text(each.name)}.mp4"></video>'
            f"<figcaption>{_text(_panel(each.panel))} {_text(each.caption)}</figcaption></figure>"
            for each in outcome.movies
        ]
    if outcome.tests:
        rows = [test.row() for test in outcome.tests]
        parts += ["<h2>Statistics</h2>", _table(TEST_COLUMNS, [[row[name] for name in TEST_COLUMNS] for row in rows])]
    parts.append("<h2>Tables</h2>")
    for name, table in tables.items():
        parts.append(
            f'<h3>{_text(name)}</h3><p><a href="tables/{_text(name)}.csv">CSV</a>, '
            f'<a href="tables/{_text(name)}.parquet">Parquet</a>, {len(table)} rows</p>'
        )
        if name in outcome.tables:
            parts.append(_table(list(table.columns), table.head(ROWS_SHOWN).to_numpy().tolist()))
    parts += ["<h2>Configuration and provenance</h2>", f"<pre>{_text(_json(provenance))}</pre>"]
    return document(study.title, parts)


def gallery_page(title: str, entries: Sequence[tuple[str, str, str, Sequence[str]]], *, simulated: bool) -> str:
    """A page that leads to several studies.

    Parameters
    ----------
    title
        Of the page.
    entries
        Link, title, panels and pictures of each.
    simulated
        Say that the mouse is simulated.

    Returns
    -------
    str
        HTML.
    """
    parts = [f"<h1>{_text(title)}</h1>"]
    if simulated:
        parts.append('<p class="simulated"><b>Simulated mouse.</b> No animal and no recording.</p>')
    for link, name, panels, pictures in entries:
        parts.append(f'<h2><a href="{_text(link)}">{_text(name)}</a></h2><p>{_text(panels)}</p>')
        parts += [
            f'<a href="{_text(link)}"><img src="{_text(each)}" style="max-height: 14rem"></a>' for each in pictures
        ]
    return document(title, parts)


def document(title: str, parts: Sequence[str]) -> str:
    """A whole HTML document."""
    head = f"<title>{_text(title)}</title><style>{STYLE}</style>"
    return f"{HEAD}{head}</head><body>\n" + "\n".join(parts) + "\n</body></html>\n"


def _findings(outcome: Outcome) -> str:
    items = []
    for finding in outcome.findings:
        kind, verdict = VERDICTS[finding.shows]
        items.append(
            f'<li><span class="{kind}">{verdict}:</span> {_text(finding.statement)}. {_text(finding.numbers)}</li>'
        )
    return "<ul>" + "".join(items) + "</ul>"


def _size(study: Study, plan: Plan) -> str:
    mice, clips = len(plan.mice), len(study.clips(plan))
    parts = [f"{mice} {'mouse' if mice == 1 else 'mice'}"]
    if clips:
        parts.append(f"{clips} natural {'clip' if clips == 1 else 'clips'}")
    return f"{', '.join(parts)}, scale “{_text(plan.scale.name)}”."


def _panel(panel: str) -> str:
    return f"[{panel}]"


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    head = "".join(f"<th>{_text(name.replace('_', ' '))}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{_text(_cell(value))}</td>" for value in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}"
    return str(value)


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=1, default=str)


def _text(value: object) -> str:
    return html.escape(str(value))


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
            write_mp4(movies / f"{movie.name}.mp4", movie.frames(), movie.fps or plan.frame_rate_hz)
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
    names = ("torch", "numpy", "scipy", "pandas", "pingouin", "statsmodels", "dask", "matplotlib")
    return {
        "napari_vidrecon": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }
