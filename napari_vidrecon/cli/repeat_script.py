"""The Python script that repeats a run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_vidrecon.errors import RunError, StorageError, one_line

if TYPE_CHECKING:
    from napari_vidrecon.reconstruction.results import Reconstruction

TEMPLATE = '''"""Repeats a reconstruction that `vidrecon` made; RUN below says which.

Usage: python SCRIPT [SESSION ENCODER [ENCODER ...]]
{known}
The mask, the neurons and the activity to match are taken from the run itself, so nothing is left to chance.
"""

import sys

import numpy as np

import napari_vidrecon as vr

RUN = {run!r}
SESSION = {session!r}
ENCODERS = {encoders!r}
TARGET_ENCODERS = {target_encoders!r}
{decoder_file}
session_folder = sys.argv[1] if len(sys.argv) > 1 else SESSION
encoder_files = sys.argv[2:] or ENCODERS

saved = vr.Reconstruction.load(RUN)
session = vr.open_session(session_folder)
trial = session.trial({trial})
{part}
def load(file):
    return vr.load_encoder(file, mouse={mouse!r}, device={device!r}, neurons=session.n_neurons{precision})


config = vr.ReconstructionConfig(
{config}
)
result = vr.reconstruct(
    trial,
    [load(file) for file in encoder_files],
    vr.AlphaMask(saved.alpha),
    config,
    target={target},
    target_encoders=[load(file) for file in TARGET_ENCODERS] or None,
    neurons=saved.keep,
    ablation={ablation!r},
    mask_threshold={mask_threshold!r},
    evaluation_threshold={evaluation_threshold!r},
    ensemble={ensemble!r},
{decoder})

same_inputs = result.provenance["fingerprint"] == saved.provenance["fingerprint"]
largest = float(np.abs(result.video - saved.video).max())
print("same inputs and settings:", "yes" if same_inputs else "no")
print(f"largest difference to the saved movie: {{largest:g}} grey levels")
print(f"video correlation: {{result.history.last('video_correlation'):.4f}}")
'''


def write_script(result: Reconstruction, run: Path, path: Path) -> Path:
    """Write the script.

    Parameters
    ----------
    result : the run.
    run : its folder; the script reads mask, neurons and target from it.
    path : ends in .py.

    Raises
    ------
    RunError : a published run, whose inputs are not known.
    StorageError : another ending, or it cannot be written.
    """
    from napari_vidrecon.storage import replacing_file

    if path.suffix != ".py":
        raise StorageError(f"{path}: expected a script's name ending in .py, found '{path.suffix}'")
    text = script_text(result, run)
    with replacing_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def script_text(result: Reconstruction, run: Path) -> str:
    """The script as text; parameters as for `write_script`.

    Whatever comes from the run's folder is written as the `repr` of a value whose type was checked, and nowhere else:
    a folder from elsewhere must not become code.

    Raises
    ------
    RunError : a published run, or one that was changed while it went on.
    """
    from napari_vidrecon.sessions.stimuli.stimulus import STIMULUS_TRIAL

    told = result.provenance
    if told.get("published") or "fingerprint" not in told:
        raise RunError(f"{run}: expected a run of this program to repeat, found a published result")
    if told.get("changes"):
        raise RunError(f"{run}: expected fixed settings to repeat, found some that were changed while it went on")
    if told["trial"] == STIMULUS_TRIAL:
        raise RunError(
            f"{run}: expected the run of a recorded trial to repeat, found one of a stimulus "
            f"({told['session'].partition(', ')[2]}); open it in the window and copy it as Python there"
        )
    inputs: dict[str, Any] = told.get("inputs") or {}
    mouse = inputs.get("mouse")
    kind = told["target"]["kind"]
    known = "" if inputs else "\nWhere the session and the encoders lie was not recorded with the run: say it.\n"
    decoder = str(inputs.get("decoder") or "") if "decoder" in told else None
    if decoder == "":
        known += "\nWhere its decoder lies was not recorded with the run: write it below, as DECODER.\n"
    return TEMPLATE.format(
        known=known,
        run=str(run.absolute()),
        session=str(inputs.get("session") or ""),
        encoders=[str(file) for file in inputs.get("encoders") or []],
        target_encoders=[str(file) for file in inputs.get("target_encoders") or []],
        decoder_file="" if decoder is None else f"DECODER = {decoder!r}\n",
        decoder="" if decoder is None else "    decoder=vr.Decoder.load(DECODER),\n",
        trial=_whole(run, "trial", told["trial"]),
        part=_part(run, inputs.get("frames") or [0, None]),
        mouse=int(mouse) if isinstance(mouse, str) and mouse.isdecimal() else _plain(run, "mouse", mouse),
        device=str(inputs.get("device", "auto")),
        precision=", precision='bfloat16'" if inputs.get("precision") == "bfloat16" else "",
        config="\n".join(f"    {name}={value!r}," for name, value in result.config.model_dump().items()),
        target="saved.target" if kind == "given" else repr(str(kind)),
        ablation=str(told["ablation"]),
        mask_threshold=_number(run, "mask_threshold", told["mask_threshold"]),
        evaluation_threshold=_number(run, "evaluation_threshold", told["evaluation_threshold"]),
        ensemble="gradients" if told["ensemble"] == "gradients" else "videos",
    )


def _part(run: Path, clip: Any) -> str:
    if not isinstance(clip, (list, tuple)) or len(clip) != 2:
        raise RunError(f"{run}: expected a first frame and an end, found other frames")
    start, stop = clip
    if (start, stop) == (0, None):
        return "\n"
    end = "trial.frames" if stop is None else _whole(run, "frames", stop)
    return f"trial = trial.part({_whole(run, 'frames', start)}, {end})\n\n"


def _whole(run: Path, name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise RunError(f"{run}: expected a whole number as its {name}, found {one_line(repr(value), 60)}")
    return value


def _number(run: Path, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise RunError(f"{run}: expected a number as its {name}, found {one_line(repr(value), 60)}")
    return float(value)


def _plain(run: Path, name: str, value: Any) -> int | str | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, str))):
        raise RunError(f"{run}: expected the name or index of a {name}, found {one_line(repr(value), 60)}")
    return value
