"""Live with many neurons: how long after its frame a picture is there, and whether memory grows.

    python -m benchmarks.live --minutes 10 --cores 2                   # a process sends over ZeroMQ, another one shows
    python -m benchmarks.live --minutes 1 --encoder A.safetensors --session SESSION    # with the optimisation behind

Activity is simulated noise (gamma): speed does not depend on what is seen. The sender is a process of its own, and so
is what listens: `vidrecon live`, with its run on disk. Latencies are those of the run's `live/latency_s`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

import napari_vidrecon as vr
from napari_vidrecon.reconstruction.decoder_fitting import CAUSAL_LAGS_FRAMES, decoded_frequencies
from napari_vidrecon.sessions.activity_stream import ActivityFrame, end_message, frame_message

FRAME_RATE_HZ = 30.0
DEADLINE_S = 0.033
SECONDS_BETWEEN_LOOKS = 5.0
WARM_UP_S = 15.0
"""Memory is compared from here on."""


def noise_session(folder: Path, neurons: int) -> Path:
    """A session of one short trial, for its number of neurons and its behaviour."""
    from napari_vidrecon.sessions.trial import Trial
    from napari_vidrecon.sessions.writer import write_session

    random, frames = np.random.default_rng(0), 60
    responses = random.gamma(0.5, 6.0, (neurons, frames)).astype(np.float32)
    still = np.ones((2, frames), np.float32)
    trial = Trial(0, "train", np.full((frames, 36, 64), 127.0, np.float32), still, still, responses)
    path = folder / "dynamic9-9-9-Video-noise"
    write_session(path, [trial], coordinates=None, unit_ids=np.arange(neurons))
    return path


def noise_decoder(path: Path, neurons: int, mouse: str) -> None:
    """A causal decoder of usual size whose weights mean nothing."""
    random, frequencies = np.random.default_rng(1), decoded_frequencies(0.2)
    weights = random.normal(0, 0.1, (len(CAUSAL_LAGS_FRAMES), neurons, len(frequencies))).astype(np.float32)
    vr.Decoder(weights, np.ones(neurons, np.float32), CAUSAL_LAGS_FRAMES, frequencies, mouse).save(path)


def send(address: str, neurons: int, seconds: float) -> None:
    """Frames at their times; in a process of its own."""
    import zmq

    random = np.random.default_rng(2)
    frames = random.gamma(0.5, 6.0, (256, neurons)).astype(np.float32)
    socket = zmq.Context().socket(zmq.PUB)
    socket.bind(address)
    time.sleep(2.0)
    began = time.time()
    for number in range(round(seconds * FRAME_RATE_HZ)):
        time.sleep(max(0.0, began + number / FRAME_RATE_HZ - time.time()))
        socket.send_multipart(
            frame_message(ActivityFrame(number, frames[number % 256], time.time(), 0.0, stream="bench"))
        )
    for _ in range(5):
        socket.send_multipart(end_message())
        time.sleep(0.2)


def measured(args: argparse.Namespace, folder: Path) -> dict[str, object]:
    """One run of the benchmark."""
    session = args.session or noise_session(folder, args.neurons)
    neurons = vr.open_session(session).n_neurons
    decoder = folder / "decoder.safetensors"
    noise_decoder(decoder, neurons, "")
    address, run = f"ipc://{folder}/frames", folder / "seen.zarr"
    words = ["live", session, "--decoder", decoder, "--source", address, "--out", run, "--json", "--force-mouse"]
    words += ["--encoder", args.encoder] if args.encoder else []
    cores = sorted(os.sched_getaffinity(0))[: args.cores]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "napari_vidrecon.cli", *map(str, words)]
    shown = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    told = [sys.executable, "-m", "benchmarks.live", "--send", address, "--neurons", str(neurons)]
    sender = subprocess.Popen([*told, "--minutes", str(args.minutes)], env=environment)
    for each in (shown, sender):
        psutil.Process(each.pid).cpu_affinity(cores)
        if args.alone:
            os.sched_setscheduler(each.pid, os.SCHED_RR, os.sched_param(1))
    memory: list[tuple[float, float]] = []
    began = time.monotonic()
    while sender.poll() is None:
        time.sleep(SECONDS_BETWEEN_LOOKS)
        with contextlib.suppress(psutil.Error):
            memory.append((time.monotonic() - began, psutil.Process(shown.pid).memory_info().rss / 2**20))
    out, _ = shown.communicate(timeout=120)
    latency_s = np.concatenate([np.fromfile(each, "<f4") for each in sorted((run / "live/latency_s/c").iterdir())])
    known = latency_s[np.isfinite(latency_s) & (latency_s != 0)]
    warm = [size for at, size in memory if at > WARM_UP_S and size] or [memory[-1][1]]
    answer = json.loads(out)
    return {
        "neurons": neurons,
        "minutes": args.minutes,
        "cores": len(cores),
        "before_all_others": args.alone,
        "load_average": round(os.getloadavg()[0], 1),
        "refined_behind": bool(args.encoder),
        **{name: answer[name] for name in ("frames", "late", "lost", "twice", "refined")},
        "latency_ms": {str(share): round(1000 * float(np.quantile(known, share)), 2) for share in (0.5, 0.9, 0.99, 1)},
        "within_33_ms": round(float((known <= DEADLINE_S).mean()), 5),
        "memory_mib": {"after_15_s": round(warm[0]), "largest": round(max(warm)), "at_the_end": round(warm[-1])},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--neurons", type=int, default=8000)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument(
        "--alone",
        action="store_true",
        help="before every other process (Linux, root): as on a machine of one's own, where others use it too",
    )
    parser.add_argument("--session", type=Path, help="a session instead of noise; for --encoder")
    parser.add_argument("--encoder", type=Path, help="refines behind")
    parser.add_argument("--out", type=Path, help="JSON to write")
    parser.add_argument("--send", metavar="ADDRESS", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.send:
        send(args.send, args.neurons, 60 * args.minutes)
        return
    with tempfile.TemporaryDirectory() as folder:
        values = measured(args, Path(folder))
    text = json.dumps(values, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
