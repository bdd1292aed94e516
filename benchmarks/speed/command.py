"""`vidrecon bench`, or `python -m benchmarks.speed`: speed beside the published loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_vidrecon.cli.app import SETTINGS, run_app
from napari_vidrecon.cli.options import Json, Overwrite
from napari_vidrecon.errors import ConfigError

if TYPE_CHECKING:
    from benchmarks.speed.cases import Case

CASES = (
    *("gradients", "step-small", "step-large", "step-sample", "prediction-small", "prediction-large"),
    *("clip-sample", "quality", "ensembles", "clips", "growth", "gpu"),
)
"""Named here too, as the help is not to load torch."""


def bench(
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes, one call of each: does everything work?")
    ] = False,
    cases: Annotated[
        str | None, typer.Option(metavar="NAMES", help=f"Only these, separated by commas: {', '.join(CASES)}.")
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(min=1, help="Timed calls of each side; default 5, with --quick 1."),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of torch; default: its own choice.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="Where all measured times go.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE.md", help="Where a page for people goes.")] = None,
    from_: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            metavar="FILE.json",
            help="Earlier results: shown, or made into their page; with --cases, those are measured anew and the "
            "others kept. May be repeated, the later one counts.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Measure speed beside the published loop.

    Both run in turn in one process, so that their ratio holds on a busy machine. The whole takes about half an
    hour on two cores; Ctrl-C keeps the cases that are done, and --from with --cases adds to them.
    """
    from benchmarks.speed.cases import choose_cases
    from benchmarks.speed.lines import machine_line, short_lines
    from benchmarks.speed.scales import QUICK, WHOLE
    from napari_vidrecon.cli import inputs, report

    names = [name.strip() for name in (cases or "").split(",") if name.strip()]
    if cases is not None and not names:
        raise ConfigError("--cases: expected names of cases, found none; leave it out to measure them all")
    scale = QUICK if quick else WHOLE
    chosen = choose_cases(
        scale if repeats is None else scale.with_repeats(repeats),
        names,
    )
    for path, what in ((out, "the measured times"), (markdown, "the page")):
        if path is not None:
            inputs.require_free(path, overwrite, what)
    results = _read_all(from_ or [])
    if results is None or cases:
        results = _measure(chosen, quick, threads, out, markdown, results)
    else:
        _write(results, out, markdown)
    if json:
        report.print_json(results)
    else:
        report.print_table(machine_line(results["machine"]), short_lines(results))


def run(words: Sequence[str]) -> int:
    """Run it with these words; returns the exit code. Errors of the input are raised."""
    app = typer.Typer(**SETTINGS)
    app.command()(bench)
    return run_app(app, "vidrecon bench", words)


def _measure(
    cases: Sequence[Case],
    quick: bool,
    threads: int | None,
    out: Path | None,
    markdown: Path | None,
    earlier: dict[str, Any] | None,
) -> dict[str, Any]:
    """All cases, in place of the same ones of `earlier` results; the files are written anew after each.

    Raises
    ------
    ConfigError
        The earlier ones are of another machine, or of other sizes.
    """
    import torch

    from benchmarks.speed.cases import joined, with_case
    from benchmarks.speed.earlier import FORMAT
    from benchmarks.speed.machine import describe_machine, require_same_machine
    from napari_vidrecon.cli.report import Progress, StopRequest

    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads or threads_before)
    results: dict[str, Any] = {"format": FORMAT, "quick": quick, "machine": describe_machine()}
    done = 0
    try:
        if earlier is not None:
            require_same_machine(earlier, results)
            results = joined(earlier, results)
        with (
            Progress("bench", sum(case.calls for case in cases), "calls") as progress,
            StopRequest("this call") as stop,
        ):
            for case in cases:

                def on_call(what: str, name: str = case.name) -> None:
                    nonlocal done
                    done += 1
                    progress.update(done, f"{name}: {what}")
                    stop.check()

                results = with_case(results, case, case.measure(on_call))
                _write(results, out, markdown)
    except KeyboardInterrupt:
        measured = results.keys() - {"format", "quick", "machine"}
        kept = [str(path) for path in (out, markdown) if path is not None and measured]
        raise stop.stopped(
            f"stopped; the cases that are done are in {', '.join(kept)}" if kept else "stopped"
        ) from None
    finally:
        torch.set_num_threads(threads_before)
    return results


def _read_all(files: Sequence[Path]) -> dict[str, Any] | None:
    """Results that were measured before, put together; None for no file.

    Raises
    ------
    StorageError
        A file is missing, or something else.
    ConfigError
        They are of different machines, or of different sizes.
    """
    from benchmarks.speed.cases import joined
    from benchmarks.speed.earlier import read_results
    from benchmarks.speed.machine import require_same_machine

    together: dict[str, Any] | None = None
    for results in map(read_results, files):
        if together is not None:
            require_same_machine(together, results)
        together = results if together is None else joined(together, results)
    return together


def _write(results: Mapping[str, Any], out: Path | None, page: Path | None) -> None:
    """Write what has been measured so far."""
    import json

    from benchmarks.speed.page import markdown
    from napari_vidrecon.cli.report import plain
    from napari_vidrecon.storage import replacing_file

    if out is not None:
        with replacing_file(out) as temporary:
            temporary.write_text(json.dumps(plain(results), indent=1) + "\n", encoding="utf-8")
    if page is not None:
        with replacing_file(page) as temporary:
            temporary.write_text(markdown(results), encoding="utf-8")
