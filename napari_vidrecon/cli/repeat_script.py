"""The Python script that repeats a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_vidrecon.errors import RunError, StorageError

if TYPE_CHECKING:
    from napari_vidrecon.reconstruction.results import Reconstruction

TEMPLATE = '''"""Repeats a reconstruction of {name}.

Usage: python {file} SESSION ENCODER [ENCODER ...]
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
    text = script_text(result, run, path.name)
    with replacing_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def script_text(result: Reconstruction, run: Path, file: str = "repeat.py") -> str:
    """The script as text; parameters as for `write_script`.

    Raises
    ------
    RunError : a published run, or one that was changed while it went on.
    """
    from napari_vidrecon.cli.pictures import name_of
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
    clip = inputs.get("frames") or [0, None]
    mouse = inputs.get("mouse")
    kind = told["target"]["kind"]
    known = "" if inputs else "\nWhere the session and the encoders lie was not recorded with the run: say it.\n"
    decoder = (inputs.get("decoder") or "") if "decoder" in told else None
    if decoder == "":
        known += "\nWhere its decoder lies was not recorded with the run: write it below, as DECODER.\n"
    return TEMPLATE.format(
        name=name_of(result),
        file=file,
        known=known,
        run=str(run.absolute()),
        session=inputs.get("session", ""),
        encoders=inputs.get("encoders", []),
        target_encoders=inputs.get("target_encoders", []),
        decoder_file="" if decoder is None else f"DECODER = {decoder!r}\n",
        decoder="" if decoder is None else "    decoder=vr.Decoder.load(DECODER),\n",
        trial=told["trial"],
        part=_part(clip),
        mouse=int(mouse) if isinstance(mouse, str) and mouse.isdecimal() else mouse,
        device=inputs.get("device", "auto"),
        precision=", precision='bfloat16'" if inputs.get("precision") == "bfloat16" else "",
        config="\n".join(f"    {name}={value!r}," for name, value in result.config.model_dump().items()),
        target="saved.target" if kind == "given" else repr(kind),
        ablation=told["ablation"],
        mask_threshold=told["mask_threshold"],
        evaluation_threshold=told["evaluation_threshold"],
        ensemble="gradients" if told["ensemble"] == "gradients" else "videos",
    )


def _part(clip: list[int | None]) -> str:
    start, stop = clip
    if (start, stop) == (0, None):
        return "\n"
    return f"trial = trial.part({start}, {'trial.frames' if stop is None else stop})\n\n"
