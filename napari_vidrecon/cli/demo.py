"""`vidrecon demo`: one reconstruction of the simulated mouse, live in napari or headless."""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_vidrecon.cli import report
from napari_vidrecon.cli.options import Device, Json, Preset
from napari_vidrecon.cli.report import number, plain, print_table, tell
from napari_vidrecon.errors import SessionError, StorageError, number_of, one_line

if TYPE_CHECKING:
    from napari_vidrecon.reconstruction.config import ReconstructionConfig
    from napari_vidrecon.reconstruction.results import Reconstruction
    from napari_vidrecon.sessions.sample import Sample

DEMO_TRIAL = 0
DEMO_FRAMES = 64
SKIPPED_FRAMES = 8
"""The encoder knows nothing of what came before the clip; its first frames are not measured."""
RUN_NAME, MOVIE_NAME, PICTURE_NAME, SUMMARY_NAME = "run.zarr", "movie.mp4", "picture.png", "summary.json"
SIMULATED = ("attributes", "provenance", "simulated")
WHAT = "reconstruction of a movie from the activity of a simulated mouse"
HOW_TO_READ = """\
How to read them:
  Stimulus        the movie that was shown to the simulated mouse
  Reconstruction  the movie found again from the activity of its neurons alone, in one noisy presentation
  yellow line     solid: where these neurons see well enough to measure; dashed: what was reconstructed
  Error           in the movie: orange where it came back too bright, blue where too dark
  r               {verdict}"""
CLOSE, FAR = 0.7, 0.4
"""Video correlations that words are chosen by: what the sample reaches, and what real mice stay below at times."""
WINDOW_PROBE_SECONDS = 30.0
WINDOW_PROBE = "from qtpy.QtWidgets import QApplication; QApplication([])"


def demo(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the files go.")] = Path("demo_output"),
    headless: Annotated[bool, typer.Option("--headless", help="Open no window even if there is a display.")] = False,
    trial: Annotated[int, typer.Option(metavar="N", help="Held-out clip of the simulated mouse.")] = DEMO_TRIAL,
    frames: Annotated[
        int, typer.Option(min=32, help="Frames of the clip, from its beginning, at 30 Hz.")
    ] = DEMO_FRAMES,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimisation steps; default: the preset's.")] = None,
    preset: Preset = "best",
    encoders: Annotated[int, typer.Option(min=1, max=5, help="Encoders whose reconstructions are averaged.")] = 1,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Reconstruct a clip of the simulated mouse.

    It ends with a movie, a picture and a summary in the output folder.
    With a display, napari opens and shows the reconstruction as it grows; without one everything is done
    headless. The files are written either way.
    """
    from napari_vidrecon.reconstruction.config import ReconstructionConfig
    from napari_vidrecon.sessions.sample import HOW_TO_GET_THE_REST, find_sample
    from napari_vidrecon.sessions.session import open_session

    began = time.monotonic()
    require_own(out)
    sample = find_sample()
    rest = "" if sample.whole else f"; {HOW_TO_GET_THE_REST}"
    if len(sample.encoders) < encoders:
        found = f"found {len(sample.encoders)}{rest}"
        raise SessionError(f"{sample.session}: expected {encoders} encoders beside it, {found}")
    sample = replace(sample, encoders=sample.encoders[:encoders])
    trials = open_session(sample.session).trial_ids
    if trial not in trials:
        raise SessionError(f"{sample.session}: expected a trial from {trials[0]} to {trials[-1]}, found {trial}{rest}")
    changes: dict[str, Any] = {} if steps is None else {"steps": steps}
    config = ReconstructionConfig.preset(preset, track_skip_frames=SKIPPED_FRAMES, **changes)
    windowed = not headless and _window_can_open()
    result = None
    if windowed:
        result = _in_napari(sample, trial, frames, config, out)
        if result is not None:
            result.save(out / RUN_NAME)
    if result is None:
        result = _headless(sample, trial, frames, config, out, device)
    summary = write_files(result, out)
    summary |= {"seconds": round(time.monotonic() - began, 1), "window": windowed}
    _write_summary(summary, out / SUMMARY_NAME)
    if json:
        report.print_json(summary)
    else:
        _show(summary, out)


def require_own(out: Path) -> None:
    """Refuse a folder in which the demo would replace what it did not write.

    Parameters
    ----------
    out
        Where the files go.

    Raises
    ------
    StorageError
        It is no folder, or holds something else under one of the demo's names.
    """
    if os.path.lexists(out) and not out.is_dir():
        raise StorageError(f"{one_line(out)}: expected a folder, found something else; choose another name with --out")
    # A demo that was killed leaves its run, which it writes first, and perhaps no summary.
    if _says(out / SUMMARY_NAME, "what") == WHAT or _says(out / RUN_NAME / "zarr.json", *SIMULATED) is True:
        return
    for name in (MOVIE_NAME, PICTURE_NAME, SUMMARY_NAME):
        if os.path.lexists(out / name):
            raise StorageError(
                f"{one_line(out / name)}: expected a free name, or an earlier demo, found another file; "
                "choose another folder with --out"
            )


def _says(file: Path, *names: str) -> Any:
    """What a JSON file says under nested names; None if it does not, or cannot be read."""
    from napari_vidrecon.storage import read_json

    try:
        told = read_json(file)
    except StorageError:
        return None
    for name in names:
        told = told.get(name) if isinstance(told, dict) else None
    return told


def _window_can_open() -> bool:
    """Whether Qt reaches the display; asked of another process, because Qt ends the one it fails in."""
    import subprocess

    from napari_vidrecon.cli.doctor import has_display

    if not has_display():
        tell("vidrecon demo: no display here, so no window opens")
        return False
    try:
        importlib.import_module("napari_vidrecon.viewer")
    except ImportError as error:
        tell(f"vidrecon demo: {error}; going on headless")
        return False
    try:
        probe = subprocess.run(
            [sys.executable, "-c", WINDOW_PROBE], capture_output=True, timeout=WINDOW_PROBE_SECONDS, check=False
        )
        opened = probe.returncode == 0
    except (subprocess.TimeoutExpired, OSError):
        opened = False
    if not opened:
        tell("vidrecon demo: the display cannot be used (`vidrecon doctor` says why); going on headless")
    return opened


def _in_napari(
    sample: Sample, trial: int, frames: int, config: ReconstructionConfig, out: Path
) -> Reconstruction | None:
    """The result of the run in the window, or None if napari cannot be loaded here."""
    try:
        importlib.import_module("napari")
        from napari_vidrecon.viewer.demo import show_demo
    except (ImportError, OSError) as error:
        reason = str(error).splitlines()[0]
        tell(f"vidrecon demo: napari cannot be loaded ({reason}); going on headless")
        return None
    tell(f"vidrecon demo: a window opens; close it, and the files are written to {out} (not after Ctrl-C)")
    return show_demo(sample, trial, frames, config, out)


def _headless(
    sample: Sample, trial_id: int, frames: int, config: ReconstructionConfig, out: Path, device: str
) -> Reconstruction:
    from napari_vidrecon.cli.driven_run import drive_run
    from napari_vidrecon.encoders.checkpoints import load_encoder
    from napari_vidrecon.reconstruction.masks import AlphaMask
    from napari_vidrecon.reconstruction.results import Reconstruction
    from napari_vidrecon.reconstruction.run import plan_run
    from napari_vidrecon.sessions.session import open_session

    session = open_session(sample.session)
    trial = session.trial(trial_id)
    trial = trial.part(0, min(frames, trial.frames))
    encoders = [load_encoder(file, device=device, neurons=session.n_neurons) for file in sample.encoders]
    run = plan_run(trial, encoders, AlphaMask.load(sample.mask), config)
    path = out / RUN_NAME
    drive_run(run, path, overwrite=True, save_every=30.0, label=f"simulated mouse, trial {trial_id}")
    return Reconstruction.load(path)


def write_files(result: Reconstruction, out: Path) -> dict[str, Any]:
    """Write movie and picture of a result that is saved in `out`; returns what the summary says of it.

    Parameters
    ----------
    result
        A reconstruction of the simulated mouse.
    out
        The folder; made if it is not there.

    Returns
    -------
    dict[str, Any]
        Plain values, by name.

    Raises
    ------
    StorageError
        They cannot be written.
    """
    from napari_vidrecon.figures.export import ShownMovie, write_figure, write_movie

    movie = write_movie(ShownMovie.of(result, error=True), out / MOVIE_NAME)
    picture = write_figure(ShownMovie.of(result), out / PICTURE_NAME)
    told = result.provenance
    return {
        "what": WHAT,
        "simulated": True,
        "of": result.name,
        "trial": told.get("trial"),
        "frames": len(result.video),
        "frames_measured": len(result.video[result.measured_frames]),
        "pixels_measured": int(result.evaluation_mask.sum()),
        "neurons": int(result.keep.sum()),
        "encoders": told.get("encoder_names", []),
        "preset": result.config.preset_name,
        "steps_done": int(max(result.history["step"], default=0)),
        "steps": result.config.steps,
        "optimisation_seconds": round(float(told.get("wall_seconds", 0.0)), 1),
        **{name: round(value, 4) for name, value in result.scores().items()},
        "movie": str(movie),
        "picture": str(picture),
        "run": str(out / RUN_NAME),
        "versions": told.get("versions", {}),
    }


def _write_summary(summary: dict[str, Any], path: Path) -> None:
    from napari_vidrecon.storage import replacing_file

    with replacing_file(path) as temporary:
        temporary.write_text(json.dumps(plain(summary), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _show(summary: dict[str, Any], out: Path) -> None:
    seconds = f"{summary['seconds']:.0f} s in all, {summary['optimisation_seconds']:.0f} s of it optimisation"
    count = len(summary["encoders"])
    print_table(
        "Movie reconstructed from the activity of a simulated mouse",
        [
            ("video correlation", f"{number(summary['video_correlation'])} (all pixels in the mask, all frames)"),
            ("mean frame correlation", number(summary["mean_frame_correlation"])),
            (
                "from",
                f"{number_of(summary['neurons'], 'neuron')}, one presentation, {number_of(summary['frames'], 'frame')}",
            ),
            (
                "with",
                f"{number_of(count, 'encoder')}, preset {summary['preset']}, {summary['steps_done']} steps",
            ),
            ("time", seconds),
            ("movie", summary["movie"]),
            ("picture", summary["picture"]),
            ("run", summary["run"]),
            ("summary", out / SUMMARY_NAME),
        ],
    )
    print(HOW_TO_READ.format(verdict=_verdict(summary["video_correlation"])))
    print("Next:")
    print(f"  vidrecon info {summary['run']}")
    print("  vidrecon demo --encoders 3 --out demo_ensemble    average three encoders: a better picture")
    print("  vidrecon download --list                           public Sensorium 2023 mice, encoders and masks")
    print("  vidrecon import --help                             a recording of your own")


def _verdict(correlation: float) -> str:
    """A video correlation in words."""
    if correlation >= CLOSE:
        return "1 would be the movie itself, 0 any other movie: shapes came back, fine detail and fast change did not"
    if correlation >= FAR:
        return "1 would be the movie itself, 0 any other movie: large shapes came back, as of real mice"
    return "1 would be the movie itself, 0 any other movie: little came back; try more steps, or the preset best"
