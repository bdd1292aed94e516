"""`vidrecon prior train`: a denoiser of movies, which `--set prior=denoiser` holds reconstructions against."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_vidrecon.cli import inputs, report
from napari_vidrecon.cli.options import Json, Overwrite, SaveEvery, Set, checked, parse_settings
from napari_vidrecon.cli.report import Progress, StopRequest, duration_text
from napari_vidrecon.errors import ConfigError, StorageError, number_of, one_line

if TYPE_CHECKING:
    import numpy as np

    from napari_vidrecon.reconstruction.denoiser_training import DenoiserRecipe, DenoiserTraining

WHAT = "train"
SCORED_MOVIES = 6
SCORED_SEED = 500_000
"""Added to the seed: of movies to score on."""
FEWEST_GAIN_DB = 0.3
FEWEST_FRAMES = 8
"""Of a piece that can be learned from."""
MOST_NAMED = 3
CHECKPOINT_SUFFIX = ".checkpoint"


def prior(
    what: Annotated[str, typer.Argument(metavar="train", help="What to do.")],
    films: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FOLDER]", help="Films to learn from too, as .npy, TIFF, GIF or any film that ffmpeg reads."
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option(metavar="FILE.safetensors", help="Denoiser to write.")],
    set_: Set = None,
    save_every: SaveEvery = 30.0,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Train a learned prior of movies.

    A small network learns what movies are like beyond their spectrum: from movies that it makes, of drifting surfaces
    and things that pass, and from films of yours. Don't give it what you reconstruct. A training that was stopped goes
    on where it was. One comes along, which --set prior=denoiser takes; add --set prior.file=FILE for another.
    """
    import torch

    from napari_vidrecon.reconstruction.denoiser import DENOISER_SUFFIX
    from napari_vidrecon.reconstruction.denoiser_training import DenoiserRecipe, DenoiserTraining, Spoiler, gains_db
    from napari_vidrecon.reconstruction.run_folder import at_work_on

    if what != WHAT:
        raise ConfigError(f"vidrecon prior: expected train, found {what!r}; as in: vidrecon prior train --out FILE")
    inputs.require_free(out, overwrite, "the denoiser", DENOISER_SUFFIX)
    recipe = checked(DenoiserRecipe, parse_settings("--set", set_ or [], DenoiserRecipe))
    given, source = opened_films(films, recipe)
    training = DenoiserTraining(recipe, given, source)
    checkpoint = out.with_suffix(CHECKPOINT_SUFFIX)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        stack.enter_context(at_work_on(out, what="denoiser"))
        if checkpoint.exists():
            training.go_on_from(checkpoint)
        progress = stack.enter_context(Progress("prior", recipe.steps, done=training.step))
        stop = stack.enter_context(StopRequest())
        _train(training, checkpoint, save_every, progress, stop)
        denoiser = training.denoiser()
        denoiser.save(out)
        checkpoint.unlink(missing_ok=True)
        unseen = recipe.model_copy(update={"seed": recipe.seed + SCORED_SEED, "movies": SCORED_MOVIES})
        gains = gains_db(denoiser, Spoiler(unseen), SCORED_MOVIES)
    parameters = sum(each.numel() for each in denoiser.network.parameters())
    values = {
        "out": out,
        "steps": training.step,
        "films": source,
        "parameters": parameters,
        "bytes": out.stat().st_size,
        "gain_db": gains,
        "torch": torch.__version__,
    }
    low = all(gain < FEWEST_GAIN_DB for gain in gains.values())
    report.answer(
        json,
        values,
        f"prior of movies -> {out}",
        [
            ("learned from", f"made movies{' and ' + number_of(len(given), 'film') + f' of {films}' if given else ''}"),
            ("steps", f"{training.step} in {duration_text(time.monotonic() - began)}"),
            ("file", f"{out.stat().st_size / 1e6:.1f} MB, {parameters} weights"),
            *[(_noise(name), f"{gain:+.2f} dB beside the spectral filter") for name, gain in gains.items()],
            *([("", "too little to help: train longer, with --set steps=N")] if low else []),
        ],
    )


def _train(
    training: DenoiserTraining, checkpoint: Path, save_every: float, progress: Progress, stop: StopRequest
) -> None:
    steps, kept = training.recipe.steps, time.monotonic()
    while training.step < steps:
        share = training.advance()
        progress.update(training.step, f"error {share:.3f} of the spectral filter's")
        if stop.asked or time.monotonic() - kept > save_every:
            training.keep(checkpoint)
            kept = time.monotonic()
        if stop.asked and training.step < steps:
            raise stop.stopped(
                f"stopped after step {training.step} of {steps}; what is learned is kept in {checkpoint}, "
                "and the same command goes on from there"
            )


def _noise(name: str) -> str:
    return "seen by neurons" if name == "neurons" else f"noise of {name} grey levels"


def _named(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return one_line(", ".join(names[:MOST_NAMED])) + more


def opened_films(folder: Path | None, recipe: DenoiserRecipe) -> tuple[list[np.ndarray], str]:
    """A user's films at the recipe's size, and what they are in one word.

    Parameters
    ----------
    folder
        Where they lie; None: none are given.
    recipe
        Size of the movies.

    Returns
    -------
    tuple[list[np.ndarray], str]
        Each (frames, rows, columns) uint8, and a hash of all; none and "" without a folder.

    Raises
    ------
    StorageError
        The folder is not there, holds no film, or one that cannot be read.
    """
    import hashlib

    import numpy as np

    from napari_vidrecon.sessions.screen import USUAL_SCREEN
    from napari_vidrecon.sessions.stimuli.stimulus import MovieFile, movie_files

    if folder is None:
        return [], ""
    if not folder.is_dir():
        raise StorageError(f"{folder}: expected a folder of films, found none")
    screen = replace(USUAL_SCREEN, rows=recipe.rows, cols=recipe.columns)
    films, digest, longest = [], hashlib.sha256(), 0
    files = movie_files(folder)
    unmoving, small = [], []
    for file in files:
        movie = MovieFile(file, screen=screen)
        try:
            film = np.rint(movie.video()).clip(0, 255).astype(np.uint8)
        except StorageError as error:
            raise StorageError(f"{error}; move what is no film out of {folder}") from None
        if len(film) > 1 and (film == film[0]).all():
            unmoving.append(file.name)
            continue
        longest = max(longest, len(film))
        if len(film) >= recipe.frames:
            films.append(film)
            digest.update(film.tobytes())
            pixels = movie.size_px
            if pixels[0] < recipe.rows or pixels[1] < recipe.columns:
                small.append(f"{file.name} ({pixels[0]} x {pixels[1]})")
    if unmoving and not films:
        raise StorageError(
            f"{folder}: expected films, found nothing that moves in {_named(unmoving)}: the same picture in every frame"
        )
    if not films:
        found = f"{len(files)}, the longest of {longest}" if files else "none"
        raise StorageError(
            f"{folder}: expected films of at least {recipe.frames} frames, found {found}; give longer ones"
            + (f", or learn from shorter pieces, with --set frames={longest}" if longest >= FEWEST_FRAMES else "")
        )
    short = len(files) - len(films) - len(unmoving)
    if short:
        left = f"{short} of {number_of(len(files), 'film')}"
        report.tell(f"take care: {left} in {folder} left out, of fewer than {recipe.frames} frames")
    if unmoving:
        report.tell(f"take care: left out, as nothing moves in it: {_named(unmoving)}")
    if small:
        report.tell(
            f"take care: enlarged to {recipe.rows} x {recipe.columns} pixels, which lack detail then: {_named(small)}; "
            "take them out where that is not meant"
        )
    return films, digest.hexdigest()
