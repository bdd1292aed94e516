"""How good the reconstructions of the simulated mouse are: the table of docs/sample.md.

    python benchmarks/sample_quality.py --out docs/sample_quality.json
    python benchmarks/sample_quality.py --print docs/sample_quality.json

Every held-out clip, single noisy trials. One figure a clip is the video correlation inside alpha >= 1 of the
last step, after the paper's smoothing (sigma 0.5); nothing is chosen by looking at the truth. A clip that was
done is not done again, so the command can be stopped and repeated; results of other settings are thrown away.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

import napari_vidrecon as vr
from napari_vidrecon.encoders.training.training_run import single_trial_correlation
from napari_vidrecon.sessions.sample import SAMPLE_TEST_TIER, find_sample

CLIP = (30, 78)
"""Frames of each 10 s clip that are reconstructed."""
MEASURED = slice(8, 44)
"""Frames of the reconstruction that are measured: its ends have little context."""


def measure(truth: np.ndarray, video: np.ndarray, pixels: np.ndarray) -> float:
    """Video correlation of a smoothed reconstruction."""
    return vr.metrics.video_correlation(truth[MEASURED], vr.postprocess.smooth(video)[MEASURED], pixels)


def reconstruct_clip(trial, others, encoders, mask, config) -> dict:
    """One clip from recorded activity with every encoder, and from predicted activity with the first.

    The controls are the averaged reconstruction measured against the movies of all other clips.
    """
    pixels = mask.binary(1.0)
    began = time.perf_counter()
    recorded = vr.reconstruct(trial, encoders, mask, config)
    seconds = (time.perf_counter() - began) / len(encoders)
    predicted = vr.reconstruct(trial, encoders[:1], mask, config, target="predicted", target_encoders=encoders)
    singles = [measure(trial.video, video, pixels) for video in recorded.videos]
    return {
        "single": singles,
        "averaged": [measure(trial.video, np.mean(recorded.videos[:k], axis=0), pixels) for k in range(1, 6)],
        "predicted": measure(trial.video, predicted.video, pixels),
        "seconds_an_encoder": seconds,
        "controls": [measure(other.video, recorded.video, pixels) for other in others],
    }


def run(out: Path, preset: str) -> None:
    """Measure every clip; `out` is rewritten after each."""
    sample = find_sample()
    session = vr.open_session(sample.session)
    encoders = [vr.load_encoder(path, device="cpu") for path in sample.encoders]
    mask = vr.AlphaMask.load(sample.mask)
    config = vr.ReconstructionConfig.preset(preset, track_every=1000, track_responses=False)
    ids = [trial_id for trial_id in session.trial_ids if session.tiers[trial_id] == SAMPLE_TEST_TIER]
    stored = start_or_go_on(out, config)
    for trial_id in ids:
        if str(trial_id) not in stored["clips"]:
            trials = {each: session.trial(each).part(*CLIP) for each in ids}
            trial = trials.pop(trial_id)
            stored["clips"][str(trial_id)] = reconstruct_clip(trial, trials.values(), encoders, mask, config)
            out.write_text(json.dumps(stored, indent=1))
            print(f"clip {trial_id}: {stored['clips'][str(trial_id)]['averaged']}", flush=True)
    for encoder in encoders:
        if encoder.spec.name not in stored["encoders"]:
            score = float(single_trial_correlation(encoder, session, ids).mean())
            stored["encoders"][encoder.spec.name] = score
            out.write_text(json.dumps(stored, indent=1))
            print(f"{encoder.spec.name}: single-trial correlation {score:.4f}", flush=True)


def start_or_go_on(out: Path, config: vr.ReconstructionConfig) -> dict:
    """What was measured before with these very settings; nothing else is reused."""
    settings = config.decisive
    stored = json.loads(out.read_text()) if out.exists() else {}
    if stored.get("settings") == settings:
        return stored
    if stored:
        print(f"{out}: was made with other settings; measured anew", flush=True)
    return {"preset": config.preset_name, "settings": settings, "clips": {}, "encoders": {}}


def interval(values: list[float]) -> str:
    """Mean with its 95 % t-interval."""
    from scipy import stats

    mean, half = np.mean(values), stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return f"{mean:.3f} ({mean - half:.3f} to {mean + half:.3f})"


def table(stored: dict) -> str:
    """The table of docs/sample.md."""
    clips = list(stored["clips"].values())
    first = [clip["single"][0] for clip in clips]
    rows = [
        ("encoder's single-trial correlation, mean of five", f"{np.mean(list(stored['encoders'].values())):.3f}"),
        ("one encoder (the first)", interval(first)),
        ("one encoder (mean of five)", interval([float(np.mean(clip["single"])) for clip in clips])),
        *[(f"{k} encoders averaged", interval([clip["averaged"][k - 1] for clip in clips])) for k in range(2, 6)],
        ("from predicted activity, one encoder", interval([clip["predicted"] for clip in clips])),
        ("control: against the movies of other clips", interval([float(np.mean(clip["controls"])) for clip in clips])),
    ]
    header = f"| simulated mouse, preset `{stored['preset']}`, {len(clips)} clips | mean (95 % interval) |\n|---|---|"
    return "\n".join([header, *(f"| {name} | {value} |" for name, value in rows)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/sample_quality.json"))
    parser.add_argument("--preset", default="best")
    parser.add_argument("--print", type=Path, metavar="JSON", help="print the table of an earlier run")
    arguments = parser.parse_args()
    if arguments.print is None:
        run(arguments.out, arguments.preset)
    print(table(json.loads((arguments.print or arguments.out).read_text())))
