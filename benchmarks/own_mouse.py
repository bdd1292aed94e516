"""How well receptive fields and mask of a simulated mouse agree with what it was made of.

    python benchmarks/own_mouse.py SESSION --encoder E.safetensors --mask mask.npy --out own_mouse.json

The simulation notes every neuron's field. Measured are the distance of the fitted centres from the true ones
(responsive neurons only, median <= 2 px asked for), and the overlap of alpha >= 0.5 with the true field (IoU >= 0.6
asked for). The true field is where the sum over neurons of a Gaussian of height 1, with each neuron's own centre and
width, reaches half of its largest value. Neither mapping nor mask fit sees any of it. Without --mask, a mask is fitted
with the first encoder. The exit code is 1 where something asked for is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

import napari_vidrecon as vr
from napari_vidrecon.analysis.receptive_field_mapping import MappingRecipe, map_receptive_fields
from napari_vidrecon.analysis.receptive_fields import ReceptiveFieldMaps
from napari_vidrecon.reconstruction.mask_fitting import fit_mask

LARGEST_CENTRE_ERROR_PX = 2.0
LEAST_OVERLAP = 0.6
TRAINING_THRESHOLD = 0.5
FIELD_SHARES = (0.25, 0.5, 0.75)


def true_field(session: vr.Session, share: float) -> np.ndarray:
    """(36, 64) bool, from the notes of the simulation."""
    known = session.simulation["per_neuron"]
    row, column, sigma = (np.array(known[name]) for name in ("row_px", "column_px", "sigma_px"))
    rows, columns = np.mgrid[: session.screen.rows, : session.screen.cols]
    density = np.zeros(rows.shape)
    for each in range(len(row)):
        density += np.exp(-0.5 * ((rows - row[each]) ** 2 + (columns - column[each]) ** 2) / sigma[each] ** 2)
    return density >= share * density.max()


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union."""
    return float((one & other).sum() / max((one | other).sum(), 1))


def centre_errors(session: vr.Session, maps: ReceptiveFieldMaps) -> dict:
    """Distances in px, of the fits and of the peaks of the on and off maps."""
    known = session.simulation["per_neuron"]
    true = np.stack([known["row_px"], known["column_px"]], axis=1)
    fitted = np.stack([maps.fits.row, maps.fits.column], axis=1)
    places = {"fit": fitted, "on_peak": maps.centres("on"), "off_peak": maps.centres("off")}
    measured = {}
    for name, found in places.items():
        distance = np.hypot(*(found - true).T)[maps.responsive]
        distance = distance[np.isfinite(distance)]
        quartiles = np.percentile(distance, [25, 50, 75]).tolist() if len(distance) else [float("nan")] * 3
        measured[name] = {"neurons": len(distance), "median_px": quartiles[1], "quartiles_px": quartiles[::2]}
    return measured


def measure(session: vr.Session, encoders: list, mask: vr.AlphaMask, preset: str) -> dict:
    """Everything this script tells."""
    began = time.perf_counter()
    maps = map_receptive_fields(session, encoders, MappingRecipe.preset(preset))
    seconds = time.perf_counter() - began
    truth, alpha = true_field(session, 0.5), mask.binary(TRAINING_THRESHOLD)
    fitted = maps.responsive & np.isfinite(maps.fits.row)
    return {
        "session": session.name,
        "simulated": True,
        "preset": preset,
        "encoders": len(encoders),
        "neurons": len(maps),
        "responsive": int(maps.responsive.sum()),
        "centres": centre_errors(session, maps),
        "sigma_px": float(np.median(maps.fits.sigma[fitted])),
        "true_sigma_px": float(np.median(session.simulation["per_neuron"]["sigma_px"])),
        "true_field_px": int(truth.sum()),
        "mask_px": int(alpha.sum()),
        "mask_overlap": overlap(alpha, truth),
        "mask_overlap_by_share": {str(share): overlap(alpha, true_field(session, share)) for share in FIELD_SHARES},
        "population_field_px": int(maps.population_field.sum()),
        "population_overlap": overlap(maps.population_field, truth),
        "mapping_seconds": seconds,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("session", type=Path)
    parser.add_argument("--encoder", type=Path, action="append", required=True)
    parser.add_argument("--mask", type=Path)
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    session = vr.open_session(arguments.session)
    if not session.simulated:
        sys.exit(f"{arguments.session}: expected a simulated mouse, whose receptive fields are known")
    encoders = [vr.load_encoder(path, neurons=session.n_neurons) for path in arguments.encoder]
    mask = fit_mask(session, encoders[0]) if arguments.mask is None else vr.AlphaMask.load(arguments.mask)
    measured = measure(session, encoders, mask, arguments.preset)
    text = json.dumps(measured, indent=1)
    print(text)
    if arguments.out is not None:
        arguments.out.write_text(text + "\n")
    good = measured["centres"]["fit"]["median_px"] <= LARGEST_CENTRE_ERROR_PX
    sys.exit(0 if good and measured["mask_overlap"] >= LEAST_OVERLAP else 1)
