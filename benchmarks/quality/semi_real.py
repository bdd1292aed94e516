"""The semi-real mouse end to end: receptive fields, mask, reconstruction, ablation by region of cortex, one figure.

    vidrecon simulate --like sensorium2022 --encoder sensorium_sota_model.pth --neurons 600 --out semi \
        --save-encoder semi_model.safetensors
    vidrecon train semi --out semi_0.safetensors
    python benchmarks/quality/semi_real.py semi --encoder model=semi_model.safetensors \
        --encoder trained=semi_0.safetensors --out docs/simulated_mice.json --figure docs/images/semi_real.png

The model's own encoder is the best case: the activity comes from it, but for noise. An encoder trained on the session
is the honest one: recorded activity of one model, inverted by another. Receptive-field centres, of each neuron's own
map and as `vidrecon rf` gives them with its neighbours in cortex, are compared with those of the model itself, by its
gradient (asked for: 1.5 px, median), and with the points that its readout looks at.
Neurons are real, noise and movies are simulated.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import napari_vidrecon as vr
from napari_vidrecon.analysis.receptive_field_mapping import map_receptive_fields
from napari_vidrecon.analysis.receptive_fields import ReceptiveFieldMaps
from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.figures.frame import part_shown, save_figure
from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD, AlphaMask

FRAMES, MEASURED = 64, slice(16, 64)
"""Of each clip, as in the arena."""
LARGEST_CENTRE_ERROR_PX = 1.5
PUBLIC_LEVEL = 80.0
"""Mean grey of the movies, shown outside the mask."""
STATED = {"prior_from": "stated"}
"""A prior of mean grey 127.5 instead of the session's."""
SHOWN_FRAMES, CROP_MARGIN_PX = range(20, FRAMES, 8), 2
REGIONS = {"all": None, "half of cortex with low x": 0, "half with high x": 1}
FIELDS, FIELD_RADIUS_PX = "of the receptive fields, as no pixel of the fitted one reaches alpha 1", 3.0


def known_places(session: vr.Session, readout: bool = False) -> np.ndarray:
    """(N, 2) row and column of the model's own fields, or of the points that its readout looks at, px."""
    known, name = session.simulation["per_neuron"], "readout_" if readout else ""
    return np.stack([known[f"{name}row_px"], known[f"{name}column_px"]], axis=1)


def found_centres(maps: ReceptiveFieldMaps, linear: bool = False) -> np.ndarray:
    """(N, 2) row and column of the fits, px; of the linear part, which the model's gradient sees, or of all."""
    fits = maps.linear_fits if linear else maps.fits
    return np.stack([fits.row, fits.column], axis=1)


def centre_error(true: np.ndarray, found: np.ndarray, responsive: np.ndarray) -> dict[str, float | list[float]]:
    """Distance of found from true centres (N, 2) of responsive neurons, and what of it all neurons share."""
    off = (found - true)[responsive]
    off = off[np.isfinite(off).all(axis=1)]
    shared = np.median(off, axis=0)
    low, median, high = np.percentile(np.hypot(*off.T), [25, 50, 75])
    return {
        "neurons": len(off),
        "median_px": float(median),
        "quartiles_px": [float(low), float(high)],
        "shared_px": [float(each) for each in shared],
        "without_shared_px": float(np.median(np.hypot(*(off - shared).T))),
    }


class Inverter:
    """Reconstructs clips of the mouse and scores them.

    Parameters
    ----------
    session : of the mouse.
    encoder : what is inverted.
    mask : where.
    """

    def __init__(self, session: vr.Session, encoder: Encoder, mask: AlphaMask) -> None:
        self.session, self.encoder, self.mask = session, encoder, mask
        self.pixels = mask.binary(EVALUATION_THRESHOLD)

    def movie(self, clip: int, target: str, region: int | None = None, **changes: str) -> np.ndarray:
        """The reconstruction of one clip."""
        config = vr.ReconstructionConfig.preset("best", track_every=10**6, track_responses=False, **changes)
        trial = self.session.trial(clip).part(0, FRAMES)
        neurons = None if region is None else self.half(region)
        return vr.reconstruct(trial, [self.encoder], self.mask, config, target=target, neurons=neurons).video

    def half(self, region: int) -> np.ndarray:
        """Neurons of one half of the cortex, by the first coordinate."""
        x = self.session.coordinates[:, 0]
        return (x > np.median(x)) if region else (x <= np.median(x))

    def scores(self, clip: int, video: np.ndarray, pixels: np.ndarray | None = None) -> tuple[float, float]:
        """Correlation after the paper's smoothing, and RMSE, within pixels of the mask."""
        pixels = self.pixels if pixels is None else pixels & self.pixels
        true = self.session.trial(clip).part(0, FRAMES).video
        shown, true = (vr.postprocess.smooth(each)[MEASURED] for each in (np.clip(video, 0, 255), true))
        value = vr.metrics.video_correlation(true, shown, pixels)
        rmse = float(np.sqrt(np.mean((shown - true)[:, pixels] ** 2)))
        return (float(value) if np.isfinite(value) else 0.0), rmse


def sides(session: vr.Session, inverter: Inverter) -> list[np.ndarray]:
    """The two halves of the screen that the halves of cortex look at: pixels nearer to the one's centres."""
    centres = known_places(session)
    middles = [centres[inverter.half(region)].mean(axis=0) for region in (0, 1)]
    rows, columns = np.mgrid[: session.screen.rows, : session.screen.cols]
    nearer = [np.hypot(rows - row, columns - column) for row, column in middles]
    return [nearer[0] <= nearer[1], nearer[0] > nearer[1]]


def measured(session: vr.Session, name: str, encoder: Encoder, clips: list[int], kept: dict) -> dict:
    """Everything of one encoder; movies, maps and mask are kept for the figure.

    Parameters
    ----------
    session : of the mouse.
    name, encoder : what is measured.
    clips : that are reconstructed.
    kept : filled.
    """
    print(f"{name}: receptive fields", flush=True)
    maps = map_receptive_fields(session, [encoder])
    print(f"{name}: mask", flush=True)
    mask, rule = vr.fit_mask(session, encoder), "resolved"
    if not mask.binary(EVALUATION_THRESHOLD).any():
        mask, rule = mask_of_fields(session), FIELDS
    inverter = Inverter(session, encoder, mask)
    found: dict = {"mask_px": int(inverter.pixels.sum()), "mask": rule}
    true, points = known_places(session), known_places(session, readout=True)
    found["placed_centres"] = centre_error(true, maps.looks_at, maps.responsive)
    found["centres"] = centre_error(true, found_centres(maps, linear=True), maps.responsive)
    found["whole_centres"] = centre_error(true, found_centres(maps), maps.responsive)
    found["readout_points"] = centre_error(points, found_centres(maps), maps.responsive)
    print(name, found, flush=True)
    kept[name] = {"maps": maps, "mask": mask, "clip": clips[-1], "inverter": inverter}
    for target, changes in (("predicted", {}), ("recorded", STATED), ("recorded", {})):
        words = f"{target}, prior of grey 127.5" if changes else target
        movies = [inverter.movie(clip, target, **changes) for clip in clips]
        scored = [inverter.scores(clip, movie) for clip, movie in zip(clips, movies, strict=True)]
        found[words] = {"correlation": [each[0] for each in scored], "rmse": [each[1] for each in scored]}
        kept[name][target] = movies[-1]
        print(name, words, np.mean(scored, axis=0).round(3), flush=True)
    halves = sides(session, inverter)
    clip = clips[-1]
    for words, region in REGIONS.items():
        movie = kept[name]["predicted"] if region is None else inverter.movie(clip, "predicted", region)
        found.setdefault("regions", {})[words] = [inverter.scores(clip, movie, side)[0] for side in halves]
        print(name, words, found["regions"][words], flush=True)
    return found


def mask_of_fields(session: vr.Session) -> AlphaMask:
    """Pixels near a true centre, where the fitted mask has none."""
    rows, columns = np.mgrid[: session.screen.rows, : session.screen.cols]
    distance = [np.hypot(rows - row, columns - column) for row, column in known_places(session)]
    return AlphaMask((np.min(distance, axis=0) <= FIELD_RADIUS_PX).astype(np.float32), FIELDS)


def figure_of_all(session: vr.Session, kept: dict, found: dict) -> Figure:
    """True and found centres of each encoder, and frames of truth and reconstructions."""
    clip = next(iter(kept.values()))["clip"]
    truth = session.trial(clip).part(0, FRAMES).video
    rows: list[tuple[str, np.ndarray, np.ndarray]] = []
    first = next(iter(kept.values()))["inverter"]
    rows.append(("true movie", truth, first.pixels))
    for name, each in kept.items():
        for target in ("predicted", "recorded"):
            score = each["inverter"].scores(clip, each[target])[0]
            label = f"{name} encoder,\n{target} activity\nr = {score:.2f}"
            rows.append((label, vr.postprocess.smooth(np.clip(each[target], 0, 255)), each["inverter"].pixels))
    figure = Figure(figsize=(13.0, 3.6 + 1.25 * len(rows)), layout="constrained")
    model = session.simulation["model"]
    figure.suptitle(
        f"Semi-real mouse  ·  {session.n_neurons} neurons of {model['file']} (mouse {model['mouse']}), simulated noise",
        fontweight="bold",
    )
    above, below = figure.subfigures(2, 1, height_ratios=[3.2, 1.25 * len(rows)])
    for axes, (name, each) in zip(above.subplots(1, len(kept), squeeze=False)[0], kept.items(), strict=True):
        true, maps = known_places(session), each["maps"]
        there = maps.looks_at[maps.responsive]
        axes.scatter(true[:, 1], true[:, 0], s=9, color="#0072B2", label="fields of the published model")
        axes.scatter(
            there[:, 1], there[:, 0], s=9, color="#D55E00", alpha=0.6, label="vidrecon rf, with neighbours in cortex"
        )
        axes.contour(mask_outline_field(each["mask"]), levels=[0.5], colors="black", linewidths=1)
        axes.set(xlim=(-0.5, 63.5), ylim=(35.5, -0.5), aspect="equal", xlabel="column, px", ylabel="row, px")
        error = found[name]["placed_centres"]["median_px"]
        axes.set_title(f"{name} encoder: centres {error:.2f} px apart (median); line: pixels measured", fontsize=10)
    above.axes[0].legend(fontsize=8, loc="lower right")
    grid = below.subplots(len(rows), len(SHOWN_FRAMES), squeeze=False)
    part = part_shown([pixels for _, _, pixels in rows], truth.shape[1:], CROP_MARGIN_PX)
    for axes, frame in zip(grid[0], SHOWN_FRAMES, strict=True):
        axes.set_title(f"{frame / session.frame_rate_hz:.2f} s", fontsize=9)
    for line, (label, video, pixels) in zip(grid, rows, strict=True):
        for axes, frame in zip(line, SHOWN_FRAMES, strict=True):
            axes.imshow(np.where(pixels, video[frame], PUBLIC_LEVEL)[part], cmap="gray", vmin=0, vmax=255)
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    return figure


def mask_outline_field(mask: AlphaMask) -> np.ndarray:
    """The measured pixels as numbers, for a line around them."""
    return mask.binary(EVALUATION_THRESHOLD).astype(float)


def table(found: dict) -> str:
    """Figures of each encoder."""
    lines = [f"| | {' | '.join(found)} |", "|---" * (1 + len(found)) + "|"]
    for key, words in {
        "placed_centres": "the model's own fields, with neighbours in cortex",
        "centres": "the model's own fields, linear part of both",
        "whole_centres": "the model's own fields, on and off together",
        "readout_points": "the points its readout looks at",
    }.items():
        cells = [
            "{median_px:.2f} px ({without_shared_px:.2f} without what all share)".format(**each[key])
            for each in found.values()
        ]
        lines.append(f"| `vidrecon rf` centres from {words}, median | {' | '.join(cells)} |")
    masks = " | ".join(f"{each['mask_px']} ({each['mask']})" for each in found.values())
    lines.append(f"| pixels of the mask (alpha >= 1) and its rule | {masks} |")
    first = next(iter(found.values()))
    for name in first:
        if name.startswith(("recorded", "predicted")):
            cells = [
                f"{np.mean(each[name]['correlation']):.3f} (RMSE {np.mean(each[name]['rmse']):.1f})"
                for each in found.values()
            ]
            lines.append(f"| `best` from {name.replace(',', ' activity,', 1)} | {' | '.join(cells)} |")
    for region in first["regions"]:
        cells = ["{:.3f} / {:.3f}".format(*each["regions"][region]) for each in found.values()]
        lines.append(f"| predicted, neurons: {region}; screen of the low-x half / of the other | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure every encoder, print, draw; exit code 1 where the centres are too far apart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("session", type=Path)
    parser.add_argument(
        "--encoder", action="append", required=True, help="NAME=FILE, the model's own first; may be repeated"
    )
    parser.add_argument("--clips", type=int, nargs="+", default=[0, 1], help="test clips; the last one is drawn")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    session = vr.open_session(given.session)
    if not (session.simulation or {}).get("semi_real"):
        parser.error(f"{given.session}: expected the session of a semi-real mouse")
    files = dict(each.split("=", 1) for each in given.encoder)
    encoders = {name: vr.load_encoder(file, device="cpu") for name, file in files.items()}
    kept: dict = {}
    found = {name: measured(session, name, encoder, given.clips, kept) for name, encoder in encoders.items()}
    print(table(found))
    if given.out is not None:
        stored = json.loads(given.out.read_text()) if given.out.exists() else {}
        given.out.write_text(json.dumps({**stored, "semi_real": found}, indent=1) + "\n")
    if given.figure is not None:
        save_figure(figure_of_all(session, kept, found), given.figure)
    errors = [each["placed_centres"]["median_px"] for each in found.values()]
    raise SystemExit(int(max(errors) > LARGEST_CENTRE_ERROR_PX))


if __name__ == "__main__":
    main()
