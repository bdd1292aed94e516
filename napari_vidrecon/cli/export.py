"""`vidrecon export`: a run as a movie, a figure, tables, or a script that repeats it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_vidrecon.cli.options import Json

if TYPE_CHECKING:
    import numpy as np

    from napari_vidrecon.reconstruction.results import Reconstruction


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN.zarr", help="Run folder.")],
    movie: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Side by side as .mp4 or .gif; .tif: the reconstruction alone.")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Frames and correlation as .png, .svg, .pdf.")
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="History, step by step; FILE_frames.csv beside it: frame by frame."),
    ] = None,
    script: Annotated[Path | None, typer.Option(metavar="FILE.py", help="Python script that repeats the run.")] = None,
    error: Annotated[bool, typer.Option("--error", help="Show the error over the stimulus, too.")] = False,
    match_contrast: Annotated[
        bool, typer.Option("--match-contrast", help="Show the reconstruction with the stimulus's contrast.")
    ] = False,
    speed: Annotated[float, typer.Option(help="Of the movie; 1 is as the mouse saw it.")] = 1.0,
    json: Json = False,
) -> None:
    """Write a run as movie, figure, tables or script.

    The script repeats the run. Files of the same names are replaced.
    """
    from napari_vidrecon.cli import pictures, report
    from napari_vidrecon.cli.repeat_script import script_text, write_script
    from napari_vidrecon.errors import ConfigError
    from napari_vidrecon.reconstruction.results import Reconstruction

    if not any((movie, figure, table, script)):
        raise ConfigError(f"{run}: expected --movie, --figure, --table or --script to write, found none")
    if not 0 < speed <= 10:
        raise ConfigError(f"--speed: expected above 0, up to 10, found {speed:g}")
    _check_names(movie, figure, table, script)
    result = Reconstruction.load(run)
    if script is not None:
        # A run that cannot be repeated is told before anything is written.
        script_text(result, run)
    written: dict[str, Path] = {}
    if movie is not None:
        written["movie"] = pictures.write_movie(result, movie, error=error, match_contrast=match_contrast, speed=speed)
    if figure is not None:
        written["figure"] = pictures.write_figure(result, figure, error=error, match_contrast=match_contrast)
    if table is not None:
        written["table"], written["frames_table"] = write_tables(result, table)
    if script is not None:
        written["script"] = write_script(result, run, script)
    if json:
        report.print_json({"run": run, "simulated": bool(result.provenance.get("simulated")), **written})
    else:
        report.print_table(f"{run.name} as", ((name.replace("_", " "), path) for name, path in written.items()))


def _check_names(movie: Path | None, figure: Path | None, table: Path | None, script: Path | None) -> None:
    """Refuse what cannot be written before anything is: another ending, or a folder of that name."""
    from napari_vidrecon.cli.pictures import FIGURE_SUFFIXES, MOVIE_SUFFIXES
    from napari_vidrecon.errors import StorageError, one_line

    kinds = (
        (movie, "a movie", MOVIE_SUFFIXES),
        (figure, "a figure", FIGURE_SUFFIXES),
        (table, "a table", (".csv",)),
        (table and _frames_table(table), "a table", (".csv",)),
        (script, "a script", (".py",)),
    )
    for path, kind, endings in kinds:
        if path is None:
            continue
        if path.suffix.lower() not in endings:
            raise StorageError(
                f"{one_line(path)}: expected {kind}'s name ending in {', '.join(endings)}, found "
                f"'{one_line(path.suffix or ' ')}'"
            )
        if os.path.isdir(path):  # noqa: PTH112  # has an answer for every name there is
            raise StorageError(
                f"{one_line(path)}: expected {kind} or nothing there, found a folder; choose another name"
            )


def _frames_table(path: Path) -> Path:
    return path.with_name(f"{path.stem}_frames.csv")


def write_tables(result: Reconstruction, path: Path) -> tuple[Path, Path]:
    """Write the history (one row a step) and, beside it, the correlation and motion energy of every frame.

    Returns
    -------
    tuple[Path, Path]
        Both files: `path`, and the same name with `_frames`.

    Raises
    ------
    StorageError
        Not a name ending in .csv, or it cannot be written.
    """
    import numpy as np

    from napari_vidrecon import metrics
    from napari_vidrecon.cli.pictures import frame_rate_hz
    from napari_vidrecon.cli.scores import evaluation_mask, measured_frames
    from napari_vidrecon.errors import StorageError

    if path.suffix != ".csv":
        raise StorageError(f"{path}: expected a table's name ending in .csv, found '{path.suffix}'")
    history = result.history
    _write_csv(path, {name: history[name] for name in history.names})
    mask, count = evaluation_mask(result), len(result.video)
    measured = np.zeros(count)
    measured[measured_frames(result)] = 1
    columns = {
        "frame": np.arange(count, dtype=np.float64),
        "time_s": np.arange(count) / frame_rate_hz(result),
        "measured": measured,
        "frame_correlation": metrics.frame_correlation(result.stimulus, result.video, mask),
        "stimulus_motion_energy": np.append(np.nan, metrics.motion_energy(result.stimulus, mask)),
        "reconstruction_motion_energy": np.append(np.nan, metrics.motion_energy(result.video, mask)),
    }
    frames = _frames_table(path)
    _write_csv(frames, columns)
    return path, frames


def _write_csv(path: Path, columns: dict[str, np.ndarray]) -> None:
    """Rows of numbers that read back exactly; what was not measured is left empty."""
    from napari_vidrecon.storage import write_csv

    write_csv(path, list(columns), ([_cell(value) for value in row] for row in zip(*columns.values(), strict=True)))


def _cell(value: float) -> float | int | str:
    return "" if value != value else int(value) if float(value).is_integer() else float(value)
