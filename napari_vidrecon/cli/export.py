"""`vidrecon export`: a run as a movie, a figure, tables, an NWB file, or a script that repeats it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from napari_vidrecon.cli import report
from napari_vidrecon.cli.options import Json, VerbCommand
from napari_vidrecon.errors import ConfigError

if TYPE_CHECKING:
    from napari_vidrecon.figures.export import ShownMovie


COMMAND_SETTINGS = {"export": {"cls": VerbCommand, "context_settings": {"allow_extra_args": True}}}
"""What Typer has to know of a verb: what a shell makes of *.zarr is told of in words of this program."""


def export(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(metavar="RUN.zarr", help="Run folder.")],
    movie: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Side by side as .mp4 or .gif; .tif: the reconstruction alone.")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Frames and correlation as .png, .svg, .pdf.")
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Frame by frame as .csv or .parquet; FILE_history beside it: step by step."),
    ] = None,
    nwb: Annotated[
        Path | None,
        typer.Option(metavar="FILE.nwb", help="NWB file: movie, uncertainty, activity, mask and configuration."),
    ] = None,
    script: Annotated[Path | None, typer.Option(metavar="FILE.py", help="Python script that repeats the run.")] = None,
    error: Annotated[
        bool, typer.Option("--error", help="Show the error in the evaluation mask over the stimulus, too.")
    ] = False,
    match_contrast: Annotated[
        bool, typer.Option("--match-contrast", help="Show the reconstruction with the stimulus's contrast.")
    ] = False,
    show_as: Annotated[
        str,
        typer.Option(
            metavar="HOW", help="Reconstruction in movie and figure: raw, paper (smoothed, matched) or matched."
        ),
    ] = "raw",
    outside: Annotated[
        str, typer.Option(metavar="WHAT", help="Outside the mask in movie and figure: grey, stimulus (dimmed), hidden.")
    ] = "grey",
    activity: Annotated[
        bool, typer.Option("--activity", help="Draw recorded and predicted activity below the movie.")
    ] = False,
    speed: Annotated[float, typer.Option(help="Of the movie; 1 is as the mouse saw it.")] = 1.0,
    json: Json = False,
) -> None:
    """Write a run as movie, figure, tables, NWB file or script.

    The script repeats the run. Files of the same names are replaced.
    """
    from napari_vidrecon.analysis.postprocess import Outside, Presentation, ShowAs
    from napari_vidrecon.figures import export as exports
    from napari_vidrecon.figures.nwb_export import NWB_ENDINGS, write_nwb
    from napari_vidrecon.reconstruction.results import Reconstruction
    from napari_vidrecon.reconstruction.script_texts import write_script
    from napari_vidrecon.reconstruction.scripts import script_of_folder

    if context.args:
        raise ConfigError(
            f"expected one run to export, found {1 + len(context.args)} ({run.name} and others); "
            f'give each files of its own: for run in {run.parent}/*.zarr; do vidrecon export "$run" --movie '
            '"${run%.zarr}.mp4"; done'
        )
    if not any((movie, figure, table, nwb, script)):
        raise ConfigError(f"{run}: expected --movie, --figure, --table, --nwb or --script to write, found none")
    if not 0 < speed <= 10:
        raise ConfigError(f"--speed: expected above 0, up to 10, found {speed:g}")
    for name, value, known in (("--show-as", show_as, get_args(ShowAs)), ("--outside", outside, get_args(Outside))):
        if value not in known:
            raise ConfigError(f"{name}: expected one of {', '.join(known)}, found {value!r}")
    presentation = Presentation(cast("ShowAs", show_as), cast("Outside", outside))
    for path, kind, endings in (
        (movie, "a movie", exports.MOVIE_ENDINGS),
        (figure, "a figure", exports.FIGURE_ENDINGS),
        (table, "a table", exports.TABLE_ENDINGS),
        (nwb, "an NWB file", NWB_ENDINGS),
        (script, "a script", (".py",)),
    ):
        # What cannot be written is told before anything is.
        if path is not None:
            exports.check_path(path, kind, endings)
    if table is not None:
        exports.check_path(exports.history_path(table), "a table", exports.TABLE_ENDINGS)
    result = Reconstruction.load(run)
    if script is not None:
        # A run that cannot be repeated is told before anything is written.
        script_of_folder(result, run)
    shown = exports.ShownMovie.of(result, error=error, activity=activity).with_presentation(presentation)
    written = _write(shown, movie, figure, table, match_contrast, speed)
    if nwb is not None:
        written["nwb"] = write_nwb(result, nwb)
    if script is not None:
        written["script"] = write_script(result, run, script)
    values = {"run": run, "simulated": result.simulated, **written}
    report.answer(json, values, f"{run.name} as", report.in_words(written))


def _write(
    shown: ShownMovie, movie: Path | None, figure: Path | None, table: Path | None, match_contrast: bool, speed: float
) -> dict[str, Path]:
    from napari_vidrecon.figures import export as exports

    written: dict[str, Path] = {}
    if movie is not None:
        matched = shown.with_matched_contrast() if match_contrast else shown
        written["movie"] = exports.write_movie(matched, movie, speed=speed)
    if figure is not None:
        written["figure"] = exports.write_figure(shown, figure, match_contrast=match_contrast)
    if table is not None:
        written["table"], written["history_table"] = exports.write_tables(shown, table)
    return written
