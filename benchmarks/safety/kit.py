"""Sound inputs of every kind, made once and small, to be damaged one copy at a time (a simulated mouse)."""

from __future__ import annotations

import json
import shutil
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import scipy.io

import napari_vidrecon as vr
from napari_vidrecon.cli import main
from napari_vidrecon.encoders.training.trainer import Trainer
from napari_vidrecon.reconstruction.denoiser import Denoiser, DenoisingNetwork
from napari_vidrecon.reconstruction.denoiser_training import DenoiserRecipe, DenoiserTraining
from napari_vidrecon.sessions.activity_stream import ActivityFrame, frame_message

GOLDEN = Path(__file__).parents[2] / "tests" / "golden"
MOUSE = ("--neurons", "24", "--trials", "4", "--validation-trials", "2", "--test-trials", "1", "--frames", "45")
RECORDED = ("--neurons", "24", "--trials", "8", "--validation-trials", "2", "--test-trials", "1", "--frames", "45")
TRAINING = ("--recipe", "features=8", "--steps", "3", "--device", "cpu")
REPLAYED = ("--trial", "0", "--speed", "100")
STEPS = ("--steps", "4", "--set", "track_every=2", "--set", "track_skip_frames=8", "--device", "cpu")


def make_kit(folder: Path) -> dict[str, Path]:
    """Make every sound input, unless it is there already.

    Parameters
    ----------
    folder
        Where they go.

    Returns
    -------
    dict
        Name of a kind and its file or folder.
    """
    kit = {
        "session": folder / "mouse",
        "encoder": folder / "enc.safetensors",
        "checkpoint": folder / "m.pth",
        "training": folder / "half.training.safetensors",
        "decoder": folder / "dec.safetensors",
        "prior": folder / "prior.safetensors",
        "mask": folder / "mask.npy",
        "run": folder / "runs" / "mouse_trial0.zarr",
        "part": folder / "part" / "mouse_trial0.zarr",
        "published": folder / "pub.npy",
        "fields": folder / "fields.npz",
        "arrays": folder / "raw_arrays",
        "suite2p": folder / "raw_suite2p",
        "nwb": folder / "raw.nwb",
        "mp4": folder / "m.mp4",
        "avi": folder / "m.avi",
        "gif": folder / "m.gif",
        "tif": folder / "m.tif",
        "movie": folder / "movie.npy",
        "activity": folder / "activity.npy",
        "neurons": folder / "neurons.npy",
        "mice": folder / "mice.json",
        "archive": folder / "mouse.zip",
        "ledger": folder / "data" / "downloads.json",
        "live": folder / "live.zarr",
        "calibration": folder / "calibration.json",
        "half_prior": folder / "half_prior.checkpoint",
        "table": folder / "table.csv",
        "matlab": folder / "m.mat",
        "message": folder / "message.json",
    }
    if (folder / "whole").exists():
        return kit
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    session, encoder, mask = (str(kit[name]) for name in ("session", "encoder", "mask"))
    _run("simulate", *MOUSE, "--seed", "3", "--out", session)
    _run(
        "simulate", *RECORDED, "--seed", "3", "--out", str(folder / "raw"), *_each("--raw", "arrays", "suite2p", "nwb")
    )
    shutil.rmtree(folder / "raw")
    _run("train", session, "--out", encoder, *TRAINING)
    _half_trained(session, folder / "half.safetensors")
    row, column = np.mgrid[:36, :64]
    np.save(kit["mask"], np.clip(1.2 * (1 - np.hypot(row - 18, column - 30) / 17), 0, None).astype(np.float32))
    shutil.copy(GOLDEN / "checkpoints" / "fold_0-model-017-0.292118.pth", kit["checkpoint"])
    Denoiser(DenoisingNetwork(4)).save(kit["prior"])
    shutil.copy(GOLDEN / "reconstruction_summary_standard.npy", kit["published"])
    inputs = ("--encoder", encoder, "--mask", mask, "--trial", "0")
    _run("reconstruct", session, *inputs, *STEPS, "--out", str(kit["run"].parent))
    _run(
        "reconstruct",
        session,
        *inputs,
        *STEPS,
        "--preset",
        "paper",
        "--stop-after",
        "2",
        "--out",
        str(kit["part"].parent),
    )
    _run("decoder", session, "--out", str(kit["decoder"]), "--mask", mask)
    _run("rf", session, "--encoder", encoder, "--out", str(kit["fields"]), "--device", "cpu")
    _movies(kit)
    kit["mice"].write_text(json.dumps([{"session": session, "encoders": [encoder], "mask": mask}]))
    with zipfile.ZipFile(kit["archive"], "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(kit["session"].rglob("*")):
            if file.is_file():
                packed.write(file, Path("mouse") / file.relative_to(kit["session"]))
    kit["ledger"].parent.mkdir()
    entry = {"sha256": "0" * 64, "bytes": 10, "first_fetched": "2026-01-01T00:00:00+00:00", "licence": {"name": "x"}}
    kit["ledger"].write_text(json.dumps({"https://example.org/mask_m0.npy": entry}))
    _run("live", session, "--decoder", str(kit["decoder"]), *REPLAYED, "--out", str(kit["live"]))
    _small_files(kit)
    (folder / "whole").touch()
    return kit


def half_prior() -> DenoiserTraining:
    """The training of a prior that is quick, before its first step."""
    return DenoiserTraining(DenoiserRecipe(steps=2, batch=2, frames=8, rows=12, columns=16, movies=2, pairs=3))


def _small_files(kit: dict[str, Path]) -> None:
    of = {"trials": [1], "frames": 64, "preset": "best", "draws": 8, "encoders": 1}
    vr.Calibration(scale=0.8, half_widths={0.9: 1.4}, **of).save(kit["calibration"])
    training = half_prior()
    training.advance()
    training.keep(kit["half_prior"])
    rows = [f"{number / 30},{number % 7},2026-11-29T10:00:{number % 60:02}Z,clip{number % 3}" for number in range(60)]
    kit["table"].write_text("\n".join(["t,v,date,word", *rows]))
    scipy.io.savemat(kit["matlab"], {"a": np.eye(4), "s": {"x": np.arange(3), "word": "ab"}}, do_compression=True)
    frame = ActivityFrame(3, np.ones(24, np.float32), 0.1, 0.0, np.ones(2), np.ones(2), stream="a")
    kit["message"].write_bytes(frame_message(frame)[0])


def _each(option: str, *values: str) -> list[str]:
    return [word for value in values for word in (option, value)]


def _run(*words: str) -> None:
    code = main(list(words))
    if code != 0:
        raise RuntimeError(f"vidrecon {' '.join(words)}: exit code {code}")


def _half_trained(session: str, out: Path) -> None:
    """A training stopped by Ctrl-C after a step leaves its checkpoint."""
    step: Callable[[Trainer], float] = Trainer.step

    def stopped(trainer: Trainer) -> float:
        loss = step(trainer)
        signal.raise_signal(signal.SIGINT)
        return loss

    Trainer.step = stopped  # type: ignore[method-assign]
    try:
        main(["train", session, "--out", str(out), *TRAINING])
    finally:
        Trainer.step = step  # type: ignore[method-assign]


def _movies(kit: dict[str, Path]) -> None:
    chance = np.random.default_rng(0)
    frames = chance.integers(0, 255, (40, 36, 64, 3)).astype(np.uint8)
    for name in ("mp4", "avi"):
        imageio.imwrite(kit[name], frames, fps=30, macro_block_size=None)
    imageio.imwrite(kit["gif"], frames[..., 0])
    imageio.imwrite(kit["tif"], frames[..., 0])
    np.save(kit["movie"], frames[..., 0].astype(np.float32))
    np.save(kit["activity"], chance.random((24, 45)).astype(np.float32))
    np.save(kit["neurons"], np.arange(20))


def opens(kit: dict[str, Path]) -> bool:
    """Whether the kit's session opens at all; a kit that does not would prove nothing."""
    return vr.open_session(kit["session"]).n_neurons == 24
