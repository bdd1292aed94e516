"""`vidrecon predict`: the activity an encoder expects for a trial or any movie."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_vidrecon.cli.options import (
    Device,
    EncoderFiles,
    ForceMouse,
    Frames,
    Json,
    Mouse,
    Overwrite,
    SessionFolder,
)

if TYPE_CHECKING:
    import numpy as np

    from napari_vidrecon.sessions.session import Session, Trial


def predict(
    session: SessionFolder,
    encoder: EncoderFiles,
    out: Annotated[Path, typer.Option(metavar="FILE.npy", help="Activity to write, (neurons, frames) float32.")],
    trial: Annotated[int | None, typer.Option(metavar="N", help="Trial whose movie and behaviour are used.")] = None,
    movie: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npy",
            help="Another movie, (frames, 36, 64) grey levels 0..255 at 30 Hz; without --trial, the session's "
            "average behaviour goes with it.",
        ),
    ] = None,
    frames: Frames = None,
    mouse: Mouse = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    force_mouse: ForceMouse = False,
    json: Json = False,
) -> None:
    """Predict activity from a trial's or any movie.

    The predictions of several encoders are averaged.
    """
    import numpy as np

    from napari_vidrecon import metrics
    from napari_vidrecon.cli import inputs, report
    from napari_vidrecon.encoders.answers import predicted
    from napari_vidrecon.errors import ConfigError
    from napari_vidrecon.sessions.session import open_session
    from napari_vidrecon.storage import write_array

    if trial is None and movie is None:
        raise ConfigError("vidrecon predict: expected --trial, --movie or both, found neither")
    if trial is None and frames is not None:
        raise ConfigError(f"--frames {frames}: expected a --trial to take them from, found none")
    inputs.require_free(out, overwrite, "the activity")
    recording = open_session(session)
    clip = None if trial is None else inputs.open_trial(recording, trial, frames)
    video, behavior, pupil_center = _stimulus(recording, clip, movie)
    encoders = inputs.open_encoders(encoder, recording, mouse, device, force_mouse)
    shown = recording.name if trial is None else f"{recording.name}, trial {trial}"
    shown = shown if movie is None else f"{movie.name} shown to {shown}"
    answers = [predicted(each, video, behavior, pupil_center, clip=shown) for each in encoders]
    activity = np.mean(answers, axis=0).astype(np.float32)
    correlation = None
    if clip is not None and clip.labelled and movie is None:
        correlation = metrics.response_correlation(clip.responses, activity)
    write_array(out, activity)
    values = {
        "out": out,
        "neurons": activity.shape[0],
        "frames": activity.shape[1],
        "mean": float(activity.mean()),
        "simulated": recording.simulated,
        "response_correlation": correlation,
    }
    rows = [
        ("activity", f"{activity.shape[0]} neurons x {activity.shape[1]} frames -> {out}"),
        ("correlation with recorded", "no recorded activity" if correlation is None else report.number(correlation)),
    ]
    of = f"{report.mouse_name(recording)}, {'movie' if movie else f'trial {trial}'}"
    report.answer(json, values, f"{of}: predicted", rows)


def _stimulus(recording: Session, clip: Trial | None, movie: Path | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Movie, behaviour and eye position of equal length."""
    import numpy as np

    from napari_vidrecon.cli.options import read_movie
    from napari_vidrecon.errors import StorageError

    if movie is None:
        assert clip is not None
        return clip.video, clip.behavior, clip.pupil_center
    video = read_movie(movie, recording.screen)
    if clip is None:
        behavior, pupil_center = recording.average_behavior()
        return video, np.tile(behavior[:, None], len(video)), np.tile(pupil_center[:, None], len(video))
    if len(video) > clip.frames:
        raise StorageError(
            f"{movie}: expected at most {clip.frames} frames, as trial {clip.id} has behaviour for, found {len(video)}"
        )
    return video, clip.behavior[:, : len(video)], clip.pupil_center[:, : len(video)]
