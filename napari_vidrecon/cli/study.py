"""`vidrecon study`: the paper's experiments, on the sample or on one's own mice."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_vidrecon.cli import report
from napari_vidrecon.cli.options import Device, Json
from napari_vidrecon.cli.report import Progress, StopRequest, duration_text
from napari_vidrecon.errors import ConfigError, number_of, one_line

LONGEST_TEXT = 2000

if TYPE_CHECKING:
    from napari_vidrecon.studies.conducting import Shard, Written
    from napari_vidrecon.studies.mice import Mouse
    from napari_vidrecon.studies.runs.running import Progress as Runs
    from napari_vidrecon.studies.study import Plan, Study


def study(
    name: Annotated[str, typer.Argument(metavar="STUDY", help='Which one; "list" tells them, "all" runs them all.')],
    session: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Session of one mouse of your own.")] = None,
    encoder: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Its encoders; repeat the option for each.")
    ] = None,
    mask: Annotated[Path | None, typer.Option(metavar="FILE", help="Its transparency mask (.npy).")] = None,
    readout: Annotated[str | None, typer.Option(metavar="INDEX", help="Readout of the encoders.")] = None,
    mice: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="Several mice: a list of objects with session, encoders and mask."),
    ] = None,
    published: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Published results (reconstruction_summary_*.npy) or a folder of them, instead of runs.",
        ),
    ] = None,
    scale: Annotated[str, typer.Option(help="quick (minutes) or paper (the published size).")] = "quick",
    stimulus_target: Annotated[
        str,
        typer.Option(
            help="Who predicts the activity that noise and gratings are reconstructed from: the encoder itself (self), "
            "or all of them (ensemble)."
        ),
    ] = "self",
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where runs and results go.")] = Path("studies"),
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler, e.g. tcp://node1:8786; default: here.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes on this machine; default: one a GPU, or one a core.")
    ] = None,
    device: Device = "auto",
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="K/N",
            help="Only compute the K-th of N equal parts of the runs, and measure nothing: one part a job of an array. "
            "Without the option the same command then measures and writes.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell how many runs, how long, how much disk.")
    ] = False,
    json: Json = False,
) -> None:
    """Run an experiment of the paper.

    Each writes figures, tables, statistics, movies and a page that shows them all.
    Without files it takes the simulated mouse that comes with the package. Stopped or killed, the same command
    goes on where it was; what another study ran already is not run again.
    """
    from napari_vidrecon.studies.catalogue import all_studies, studies_named
    from napari_vidrecon.studies.conducting import Shard, require_libraries
    from napari_vidrecon.studies.runs.running import usual_workers
    from napari_vidrecon.studies.scale import scale_named
    from napari_vidrecon.studies.study import Plan

    if name == "list":
        known = all_studies()
        values = {each.name: {"title": each.title, "panels": each.panels} for each in known}
        report.answer(json, values, "Studies", ((each.name, f"{each.title} ({each.panels})") for each in known))
        return
    chosen, part = studies_named(name), None if shard is None else Shard.read(shard)
    if part is not None and scheduler is not None:
        raise ConfigError("--shard: expected parts that run by themselves, found a --scheduler, which shares them out")
    if published:
        if len(chosen) > 1 or dry_run or any((session, encoder, mask, mice, scheduler, shard)):
            raise ConfigError("--published: expected one study and nothing to run it on, found more")
        _conduct_published(chosen[0], published, out, json=json)
        return
    size = scale_named(scale).with_stimulus_target(stimulus_target)
    plan = Plan.at_their_rate(_chosen_mice(session, encoder or [], mask, readout, mice), size)
    require_libraries()
    if dry_run:
        _tell_cost(chosen, plan, out, f"{name}, scale {scale}", workers or usual_workers(), json=json)
    elif part is not None:
        _compute_part(chosen, plan, out, part, workers=workers, device=device, json=json)
    else:
        _conduct(chosen, plan, out, scheduler=scheduler, workers=workers, device=device, json=json)


def _tell_cost(chosen: tuple[Study, ...], plan: Plan, out: Path, title: str, workers: int, *, json: bool) -> None:
    from napari_vidrecon.studies.conducting import cost

    needed = cost(chosen, plan, out)
    seconds = needed.worker_seconds / workers
    rows = [
        ("runs", f"{needed.runs}, of which {needed.missing} are still to do"),
        ("time", f"about {duration_text(seconds)} with {number_of(workers, 'worker')}, plus figures and movies"),
        ("disk", f"about {needed.disk_bytes / 1e6:.0f} MB of results still to come, before compression"),
    ]
    costs = {**vars(needed), "workers": workers, "seconds": seconds}
    report.answer(json, costs, f"{title}: nothing was run", rows)


def _compute_part(
    chosen: tuple[Study, ...],
    plan: Plan,
    out: Path,
    shard: Shard,
    *,
    workers: int | None,
    device: str,
    json: bool,
) -> None:
    from napari_vidrecon.studies.conducting import compute_shard

    with _progress_of(f"part {shard.number} of {shard.of}", out) as on_progress:
        done = compute_shard(chosen, plan, out, shard, workers=workers, device=device, on_progress=on_progress)
    values = {"simulated": plan.simulated, "shard": f"{shard.number}/{shard.of}", **vars(done)}
    left = done.total - done.finished
    rows = [
        ("computed", number_of(done.computed, "run")),
        ("there", f"{done.finished} of {done.total} runs"),
        (
            "next",
            f"{number_of(left, 'run')} of other parts"
            if left
            else "the same command without --shard measures and writes",
        ),
    ]
    report.answer(json, values, f"Part {shard.number} of {shard.of} in {one_line(out)}", rows)


@contextlib.contextmanager
def _progress_of(label: str, out: Path) -> Iterator[Callable[[Runs], None]]:
    """A bar of the runs; Ctrl-C ends them in order."""
    kept = f"stopped; finished runs are kept in {out}, and the same command goes on from there"
    with Progress(label, 0, "runs") as progress, StopRequest("the bookkeeping", kept) as stop:

        def on_progress(runs: Runs) -> None:
            progress.total = runs.total
            progress.update(runs.done, runs.label)
            stop.check()

        yield on_progress


def _conduct(
    chosen: tuple[Study, ...],
    plan: Plan,
    out: Path,
    *,
    scheduler: str | None,
    workers: int | None,
    device: str,
    json: bool,
) -> None:
    from napari_vidrecon.studies.conducting import conduct

    label = chosen[0].name if len(chosen) == 1 else "studies"
    with _progress_of(label, out) as on_progress:
        written = conduct(
            chosen,
            plan,
            out,
            scheduler=scheduler,
            workers=workers,
            device=device,
            on_progress=on_progress,
            on_written=None if json else _tell,
        )
    if json:
        report.print_json({"simulated": plan.simulated, "studies": _as_json(written)})


def _conduct_published(study: Study, places: list[Path], out: Path, *, json: bool) -> None:
    from napari_vidrecon.studies.conducting import conduct_published

    written = conduct_published(study, places, out)
    if json:
        report.print_json({"simulated": False, "studies": _as_json([written])})
    else:
        _tell(written)


def _tell(written: Written) -> None:
    report.say(f"{written.name}: {one_line(written.page, LONGEST_TEXT)}")
    for finding in written.outcome.findings:
        verdict = {True: "shows", False: "does not show", None: "cannot be told"}[finding.shows]
        report.say(f"  {verdict}: {one_line(f'{finding.statement}; {finding.numbers}', LONGEST_TEXT)}")


def _as_json(written: Sequence[Written]) -> dict[str, Any]:
    return {
        each.name: {
            "page": each.page,
            "runs_computed": each.computed,
            "findings": [vars(finding) for finding in each.outcome.findings],
        }
        for each in written
    }


def _chosen_mice(
    session: Path | None, encoders: list[Path], mask: Path | None, readout: str | None, mice: Path | None
) -> tuple[Mouse, ...]:
    from napari_vidrecon.studies.mice import one_mouse, read_mice, sample_mouse

    given = session is not None or encoders or mask is not None or readout is not None
    if mice is not None:
        if given:
            raise ConfigError(
                f"--mice {mice}: expected either a list of mice, with their readouts, or one session and "
                "its --readout, found both"
            )
        return read_mice(mice)
    if not given:
        return (sample_mouse(),)
    if session is None or not encoders or mask is None:
        raise ConfigError("study: expected --session, --encoder and --mask together, found only some of them")
    return (one_mouse(session, encoders, mask, readout),)
