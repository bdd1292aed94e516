"""The Python script that repeats a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_vidrecon.errors import RunError, StorageError, one_line

if TYPE_CHECKING:
    from napari_vidrecon.reconstruction.results import Reconstruction

NEEDED = ("trial", "target", "mask_threshold", "evaluation_threshold")

TEMPLATE = '''"""Repeats a reconstruction that `vidrecon` made; RUN below says which.

Usage: python SCRIPT [SESSION ENCODER [ENCODER ...]]
{known}
The mask, the neurons and the activity to match are taken from the run itself, so nothing is left to chance.
"""

import sys

import numpy as np

import napari_vidrecon as vr

RUN = {run}
SESSION = {session}
ENCODERS = {encoders}
TARGET_ENCODERS = {target_encoders}
{decoder_file}
session_folder = sys.argv[1] if len(sys.argv) > 1 else SESSION
encoder_files = sys.argv[2:] or ENCODERS

saved = vr.Reconstruction.load(RUN)
session = vr.open_session(session_folder)
trial = session.trial({trial})
{part}
def load(file):
    return vr.load_encoder(file, mouse={mouse}, device={device}, neurons=session.n_neurons{precision})


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
    ablation={ablation},
    mask_threshold={mask_threshold},
    evaluation_threshold={evaluation_threshold},
    ensemble={ensemble},
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
    result
        The run.
    run
        Its folder; the script reads mask, neurons and target from it.
    path
        Ends in .py.

    Raises
    ------
    RunError
        A published run, whose inputs are not known.
    StorageError
        Another ending, or it cannot be written.
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

    Whatever comes from the run's folder is written as the literal of a value whose kind was checked, and nowhere else:
    a folder from elsewhere must not become code.

    Raises
    ------
    RunError
        A published run, or one that was changed while it went on.
    """
    from napari_vidrecon.reconstruction.provenance import Provenance, ToldInputs
    from napari_vidrecon.reconstruction.scripts import literal
    from napari_vidrecon.sessions.stimuli.stimulus import STIMULUS_TRIAL

    told = Provenance.model_validate(result.provenance)
    if told.published or not told.fingerprint:
        raise RunError(f"{run}: expected a run of this program to repeat, found a published result")
    if told.changes:
        raise RunError(f"{run}: expected fixed settings to repeat, found some that were changed while it went on")
    for name in NEEDED:
        if name not in told.model_fields_set:
            raise RunError(f"{run}: expected a run that says its {name}, found none of it")
    if told.trial == STIMULUS_TRIAL:
        raise RunError(
            f"{run}: expected the run of a recorded trial to repeat, found one of a stimulus "
            f"({one_line(told.session.partition(', ')[2])}); open it in the window and copy it as Python there"
        )
    inputs = told.inputs or ToldInputs()
    mouse = inputs.mouse
    known = "" if told.inputs else "\nWhere the session and the encoders lie was not recorded with the run: say it.\n"
    decoder = None if told.decoder is None else inputs.decoder or ""
    if decoder == "":
        known += "\nWhere its decoder lies was not recorded with the run: write it below, as DECODER.\n"
    settings = result.config.model_dump().items()
    return TEMPLATE.format(
        known=known,
        run=literal(run.absolute()),
        session=literal(inputs.session or ""),
        encoders=literal(inputs.encoders or []),
        target_encoders=literal(inputs.target_encoders or []),
        decoder_file="" if decoder is None else f"DECODER = {literal(decoder)}\n",
        decoder="" if decoder is None else "    decoder=vr.Decoder.load(DECODER),\n",
        trial=literal(told.trial),
        part=_part(inputs.frames or [0, None]),
        mouse=literal(int(mouse) if isinstance(mouse, str) and mouse.isdecimal() else mouse),
        device=literal(inputs.device or "auto"),
        precision=", precision='bfloat16'" if inputs.precision == "bfloat16" else "",
        config="\n".join(f"    {name}={literal(value)}," for name, value in settings),
        target="saved.target" if told.target.kind == "given" else literal(told.target.kind),
        ablation=literal(told.ablation),
        mask_threshold=literal(told.mask_threshold),
        evaluation_threshold=literal(told.evaluation_threshold),
        ensemble=literal("gradients" if told.ensemble == "gradients" else "videos"),
    )


def _part(clip: list[int | None]) -> str:
    from napari_vidrecon.reconstruction.scripts import literal

    start, stop = clip
    if (start, stop) == (0, None):
        return "\n"
    return f"trial = trial.part({literal(start or 0)}, {'trial.frames' if stop is None else literal(stop)})\n\n"
