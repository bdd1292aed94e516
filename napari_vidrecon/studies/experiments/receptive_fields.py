"""Receptive fields, transparency masks, and where on the screen movies come back (Bauer et al. 2026, Fig. 1-S3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from napari_vidrecon import metrics
from napari_vidrecon.analysis.postprocess import match_luminance_contrast
from napari_vidrecon.analysis.receptive_fields import POLARITIES, ReceptiveFieldMaps
from napari_vidrecon.figures.matrix_figure import ScreenMap, screen_maps_figure
from napari_vidrecon.figures.receptive_field_figure import example_neurons
from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD, TRAINING_THRESHOLD, AlphaMask
from napari_vidrecon.studies.mice import Mouse
from napari_vidrecon.studies.runs.measuring import listed, mapped_fields
from napari_vidrecon.studies.runs.run_spec import RunSpec, RunStore
from napari_vidrecon.studies.study import Drawing, Finding, Outcome, Plan, Study, averaged

if TYPE_CHECKING:
    import pandas as pd


EXAMPLES_OF_ONE_MOUSE = 4
ALPHA_RANGE = (0.0, 1.5)
HALF = 0.5
MAPPING_NOTE = (
    "Fields are those that the encoders have: the mean prediction of all encoders of the mouse to single bright or "
    "dark patches on grey, for every neuron (the published maps are of the last encoder and the first 7863 neurons). "
    "Increases below 10 % count as none; maps are smoothed by {:.3g} px."
)


@dataclass(frozen=True)
class MouseMaps:
    """Everything of one mouse that has a value for every pixel of the screen.

    Parameters
    ----------
    mouse
        Whose.
    fields
        Receptive fields.
    mask
        Transparency.
    training, evaluation
        (36, 64) correlation over time of each pixel of the stimulus with its reconstruction, mean over clips, inside
        the training and the evaluation mask; NaN elsewhere.
    """

    mouse: Mouse
    fields: ReceptiveFieldMaps
    mask: AlphaMask
    training: np.ndarray
    evaluation: np.ndarray


def runs(plan: Plan) -> Sequence[RunSpec]:
    """The standard reconstructions of all clips; the mapping itself reconstructs nothing."""
    return [spec for clip in plan.clips for spec in plan.standard(clip)]


def evaluate(plan: Plan, store: RunStore) -> Outcome:
    """Maps of every mouse, and whether fields, mask and reconstructable part of the screen agree.

    The table `mice` has a row a mouse: mouse, neurons, responsive, centres (how many), alpha_field_correlation (over
    pixels), temporal_r_evaluation, temporal_r_between (mean over pixels), evaluation_height_deg,
    evaluation_width_deg, and for the training and the evaluation mask centres_in_..._mask, screen_in_..._mask
    (shares). The table `pixels` has a row a mouse and pixel: mouse, row, column, alpha, population_on,
    population_off, centres_on, centres_off, temporal_r_training_mask, temporal_r_evaluation_mask. The table `neurons`
    has a row a neuron: mouse, neuron, responsive, on_row, on_column, off_row, off_column (px), diameter_px,
    diameter_deg, eccentricity_deg, fit_r_squared.

    Parameters
    ----------
    plan
        Mice, clips and scale.
    store
        Where the finished runs lie.

    Returns
    -------
    Outcome
        Tables, findings and figures.
    """
    import pandas as pd

    everyone = [_maps_of(plan, store, mouse) for mouse in plan.mice]
    outcome = Outcome(
        tables={
            "mice": pd.DataFrame([_summary(maps) for maps in everyone]),
            "pixels": pd.concat([_pixels(maps) for maps in everyone], ignore_index=True),
            "neurons": pd.concat([_neurons(maps) for maps in everyone], ignore_index=True),
        }
    )
    summary = outcome.tables["mice"]
    outcome.findings = [
        _centres(summary),
        Finding(
            "the mask, fitted without knowing any field, covers the population's receptive field",
            _all(summary["alpha_field_correlation"] > HALF, summary["alpha_field_correlation"]),
            f"r over pixels of alpha and population field: {listed(summary['alpha_field_correlation'])}",
        ),
        Finding(
            "movies come back better inside the evaluation mask than between it and the edge of the training mask",
            _all(summary["temporal_r_evaluation"] > summary["temporal_r_between"], summary["temporal_r_between"]),
            f"mean pixel-wise r over time {listed(summary['temporal_r_evaluation'])} inside, "
            f"{listed(summary['temporal_r_between'])} between",
        ),
    ]
    outcome.drawings = _drawings(plan, everyone)
    outcome.notes = [MAPPING_NOTE.format(everyone[0].fields.smoothing_px)]
    return outcome


def _maps_of(plan: Plan, store: RunStore, mouse: Mouse) -> MouseMaps:
    mask = mouse.load_mask()
    masks = [mask.binary(threshold) for threshold in (TRAINING_THRESHOLD, EVALUATION_THRESHOLD)]
    by_clip: list[list[np.ndarray]] = []
    for clip in plan.clips:
        if clip.mouse != mouse:
            continue
        video = averaged(store, plan.standard(clip))
        part = plan.measured(len(video))
        truth, video = plan.trial(clip).video[part], video[part]
        matched = match_luminance_contrast(video, truth, masks[0])
        by_clip.append([metrics.pixel_correlation_map(truth, matched, pixels) for pixels in masks])
    training, evaluation = (_mean_map(np.stack(maps)) for maps in zip(*by_clip, strict=True))
    return MouseMaps(mouse, mapped_fields(plan, store, mouse), mask, training, evaluation)


def _summary(maps: MouseMaps) -> dict[str, object]:
    training, evaluation = maps.mask.binary(TRAINING_THRESHOLD), maps.mask.binary(EVALUATION_THRESHOLD)
    counts = sum(maps.fields.centre_counts(polarity) for polarity in POLARITIES)
    field = maps.fields.population_sum
    height, width = maps.mask.extent_deg(EVALUATION_THRESHOLD)
    row: dict[str, object] = {
        "mouse": maps.mouse.name,
        "neurons": len(maps.fields),
        "responsive": int(maps.fields.responsive.sum()),
        "centres": int(np.sum(counts)),
        "alpha_field_correlation": metrics.video_correlation(maps.mask.screen, field),
        "temporal_r_evaluation": _mean(maps.training[evaluation]),
        "temporal_r_between": _mean(maps.training[training & ~evaluation]),
        "evaluation_height_deg": height,
        "evaluation_width_deg": width,
    }
    for name, pixels in (("training", training), ("evaluation", evaluation)):
        total = np.sum(counts)
        row[f"centres_in_{name}_mask"] = float(np.sum(counts * pixels) / total) if total else float("nan")
        row[f"screen_in_{name}_mask"] = float(pixels.mean())
    return row


def _centres(summary: pd.DataFrame) -> Finding:
    inside, share = summary["centres_in_training_mask"], summary["screen_in_training_mask"]
    return Finding(
        "the centres of the receptive fields lie where the mask lets the movie through",
        _all((inside > HALF) & (inside > share), inside),
        f"{listed(100 * inside, '.0f')} % of the centres in the training mask, which is {listed(100 * share, '.0f')} "
        f"% of the screen; {listed(100 * summary['centres_in_evaluation_mask'], '.0f')} % in the evaluation mask, "
        f"{listed(100 * summary['screen_in_evaluation_mask'], '.0f')} % of the screen",
    )


def _all(holds: pd.Series, values: pd.Series) -> bool | None:
    """Whether something holds for every mouse; None where a mouse has no value."""
    return bool(holds.all()) if values.notna().all() else None


def _pixels(maps: MouseMaps) -> pd.DataFrame:
    import pandas as pd

    places = np.indices(maps.mask.screen.shape)
    values: dict[str, np.ndarray] = {
        **dict(zip(("row", "column"), places, strict=True)),
        "alpha": maps.mask.screen,
        **{f"population_{polarity}": maps.fields.population(polarity) for polarity in POLARITIES},
        **{f"centres_{polarity}": maps.fields.centre_counts(polarity) for polarity in POLARITIES},
        "temporal_r_training_mask": maps.training,
        "temporal_r_evaluation_mask": maps.evaluation,
    }
    table = pd.DataFrame({name: value.ravel() for name, value in values.items()})
    table.insert(0, "mouse", maps.mouse.name)
    return table


def _neurons(maps: MouseMaps) -> pd.DataFrame:
    import pandas as pd

    fields = maps.fields
    table = pd.DataFrame({"neuron": np.arange(len(fields)), "responsive": fields.responsive})
    for polarity in POLARITIES:
        table[f"{polarity}_row"], table[f"{polarity}_column"] = fields.centres(polarity).T
    found = fields.retinotopy
    for axis in ("row", "column"):
        table[f"retinotopic_{axis}"] = np.nan if found is None else getattr(found, axis)
    table["diameter_px"], table["diameter_deg"] = fields.diameter_px, fields.diameter_deg
    table["eccentricity_deg"], table["fit_r_squared"] = fields.eccentricity_deg, fields.fits.r_squared
    table.insert(0, "mouse", maps.mouse.name)
    return table


def _drawings(plan: Plan, everyone: Sequence[MouseMaps]) -> list[Drawing]:
    rings = "Dashed: eccentricity in steps of 10° and eight spokes; plot limits are the screen."
    return [
        Drawing(
            "examples",
            "Receptive fields of single neurons, mapped with bright (on) and dark (off) patches shown to the encoders, "
            "each over its largest value, and their difference.",
            "Fig. 1-S3 A",
            lambda: _figure(plan, _example_rows(everyone), "Example receptive fields", rings=False),
        ),
        Drawing(
            "population",
            "Mean of the receptive fields of all neurons, on, off, difference and sum, the last two over their largest "
            "value; the line is the training mask.",
            "Fig. 1-S3 B",
            lambda: _figure(plan, _population_rows(everyone), "Population receptive fields", rings=False),
        ),
        Drawing(
            "centres-masks",
            f"Number of on and off receptive field centres on every pixel (white: none), and the transparency mask "
            f"before any threshold. {rings}",
            "Fig. 1-S3 C, D",
            lambda: _figure(plan, _centre_rows(everyone), "Receptive field centres and transparency masks"),
        ),
        Drawing(
            "pixel-correlation",
            "Correlation over time of every pixel of the stimulus with its reconstruction, mean over clips, inside the "
            f"training and the evaluation mask, with the height and width of each. {rings}",
            "Fig. 1-S3 E",
            lambda: _figure(plan, _correlation_rows(everyone), "Pixel-wise temporal correlation"),
        ),
    ]


Rows = tuple[list[list["ScreenMap"]], list[str]]


def _figure(plan: Plan, rows: Rows, title: str, *, rings: bool = True) -> Figure:
    screen = plan.mice[0].open_session().screen
    return screen_maps_figure(*rows, title=title, rings=rings, screen=screen, simulated=plan.simulated)


def _example_rows(everyone: Sequence[MouseMaps]) -> Rows:
    rows, labels = [], []
    for maps in everyone:
        examples = example_neurons(maps.fields, EXAMPLES_OF_ONE_MOUSE if len(everyone) == 1 else 1) or [0]
        for neuron in examples:
            only = np.array([neuron])
            on, off = (np.nan_to_num(maps.fields.normalised(polarity, only)[0]) for polarity in POLARITIES)
            row = [
                ScreenMap(on, "on", colours="Reds", bar_label="increase / max"),
                ScreenMap(off, "off", colours="Blues", bar_label="increase / max"),
                ScreenMap(
                    maps.fields.difference(only)[0], "on − off", (-1.0, 1.0), "RdBu_r", bar_label="difference / max"
                ),
            ]
            rows.append(row)
            labels.append(f"{maps.mouse.name}\nneuron {neuron}")
    return rows, labels


def _population_rows(everyone: Sequence[MouseMaps]) -> Rows:
    rows = []
    for maps in everyone:
        on, off = (maps.fields.population(polarity) for polarity in POLARITIES)
        top = float(max(on.max(), off.max())) or 1.0
        difference = (on - off) / (float(np.abs(on - off).max()) or 1.0)
        outline = (maps.mask.binary(TRAINING_THRESHOLD),)
        row = [
            ScreenMap(on, "on", (0.0, top), "Reds", "mean field"),
            ScreenMap(off, "off", (0.0, top), "Blues", "mean field"),
            ScreenMap(difference, "on − off", (-1.0, 1.0), "RdBu_r", "difference / max"),
            ScreenMap(maps.fields.population_sum, "on + off", bar_label="sum / max", outlines=outline),
        ]
        rows.append(row)
    return rows, [maps.mouse.name for maps in everyone]


def _centre_rows(everyone: Sequence[MouseMaps]) -> Rows:
    rows = []
    for maps in everyone:
        row = []
        for polarity in POLARITIES:
            counts = maps.fields.centre_counts(polarity)
            shown = np.where(counts > 0, counts, np.nan)
            row.append(
                ScreenMap(shown, f"C  {polarity} centres", (0.0, float(counts.max()) or 1.0), bar_label="neurons")
            )
        row.append(ScreenMap(maps.mask.screen, "D  transparency mask", ALPHA_RANGE, bar_label="alpha"))
        rows.append(row)
    return rows, [maps.mouse.name for maps in everyone]


def _correlation_rows(everyone: Sequence[MouseMaps]) -> Rows:
    rows = []
    for maps in everyone:
        row = []
        for name, values, threshold in (
            ("training mask", maps.training, TRAINING_THRESHOLD),
            ("evaluation mask", maps.evaluation, EVALUATION_THRESHOLD),
        ):
            height, width = maps.mask.extent_deg(threshold)
            row.append(ScreenMap(values, f"{name}, {height:.0f}° x {width:.0f}°", bar_label="r over time"))
        rows.append(row)
    return rows, [maps.mouse.name for maps in everyone]


def _mean_map(maps: np.ndarray) -> np.ndarray:
    """(36, 64) mean over clips; NaN where a pixel has no value in any, as outside the mask."""
    known = np.isfinite(maps)
    counts = known.sum(axis=0)
    total = np.where(known, maps, 0.0).sum(axis=0)
    return np.divide(total, counts, out=np.full(total.shape, np.nan), where=counts > 0)


def _mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")


RECEPTIVE_FIELDS = Study(
    name="receptive-fields",
    title="Receptive fields and transparency masks",
    panels="Fig. 1-S3",
    runs=runs,
    evaluate=evaluate,
)
