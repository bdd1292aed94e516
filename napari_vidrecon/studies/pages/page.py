"""One HTML page a study: findings, figures, movies, statistics, tables, configuration and provenance."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from napari_vidrecon.studies.study import Outcome, Plan, Study

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
