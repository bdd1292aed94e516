"""The study of receptive fields: known fields, a mask that fits them, and reconstructions of the tiny mouse."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vidrecon import metrics
from napari_vidrecon.analysis.postprocess import match_luminance_contrast
from napari_vidrecon.analysis.receptive_fields import ReceptiveFieldMaps
from napari_vidrecon.sessions.stimuli.synthetic import OnOffPatches
from napari_vidrecon.studies.experiments import receptive_fields
from napari_vidrecon.studies.experiments.receptive_fields import RECEPTIVE_FIELDS
from napari_vidrecon.studies.runs import measuring as mapping
from napari_vidrecon.studies.runs.measuring import MAPS_FOLDER, mapped_fields
from napari_vidrecon.studies.study import averaged

NEURONS = 20


def fields(column: float) -> ReceptiveFieldMaps:
    """Twenty neurons whose fields lie around row 18 and a column, on and off in turn; the last does not respond."""
    patches = OnOffPatches(patch_px=2)
    rows, columns = 2.0 * np.mgrid[: patches.rows, : patches.columns]
    places = column + np.linspace(-4, 4, NEURONS)[:, np.newaxis, np.newaxis]
    maps = np.exp(-0.5 * ((rows - 18) ** 2 + (columns - places) ** 2) / 3.0**2)
    maps[-1] = 0
    light = (np.arange(NEURONS) % 2 == 0)[:, np.newaxis, np.newaxis]
    return ReceptiveFieldMaps(maps * light, maps * ~light, patches, {"session": "tiny", "simulated": True})


@pytest.fixture
def outcome(outcome_of, tiny_plan, monkeypatch):
    monkeypatch.setattr(receptive_fields, "mapped_fields", lambda *_: fields(30))
    return outcome_of(RECEPTIVE_FIELDS, tiny_plan)


def test_fields_inside_the_mask_show_the_papers_result(outcome) -> None:
    summary = outcome.tables["mice"].iloc[0]
    assert (summary["neurons"], summary["responsive"], summary["centres"]) == (NEURONS, NEURONS - 1, NEURONS - 1)
    assert summary["centres_in_training_mask"] == 1.0
    assert [finding.shows for finding in outcome.findings[:2]] == [True, True]


def test_fields_beside_the_mask_do_not(outcome_of, tiny_plan, monkeypatch) -> None:
    monkeypatch.setattr(receptive_fields, "mapped_fields", lambda *_: fields(56))
    found = outcome_of(RECEPTIVE_FIELDS, tiny_plan)
    assert [finding.shows for finding in found.findings[:2]] == [False, False]


def test_a_population_without_a_response_says_nothing(outcome_of, tiny_plan, monkeypatch) -> None:
    known = fields(30)
    silent = ReceptiveFieldMaps(0 * known.on, 0 * known.off, known.patches, known.provenance)
    monkeypatch.setattr(receptive_fields, "mapped_fields", lambda *_: silent)
    outcome = outcome_of(RECEPTIVE_FIELDS, tiny_plan)
    assert [finding.shows for finding in outcome.findings[:2]] == [None, None]
    assert all(drawing.draw().axes for drawing in outcome.drawings)


def test_every_pixel_and_neuron_is_a_row(outcome) -> None:
    pixels, neurons = outcome.tables["pixels"], outcome.tables["neurons"]
    assert len(pixels) == 36 * 64
    assert pixels["centres_on"].sum() + pixels["centres_off"].sum() == NEURONS - 1
    assert pixels["temporal_r_evaluation_mask"].notna().sum() < pixels["temporal_r_training_mask"].notna().sum()
    assert pixels.loc[pixels["alpha"] < 0.5, "temporal_r_training_mask"].isna().all()
    assert neurons["responsive"].sum() == NEURONS - 1


def test_the_map_is_the_mean_over_clips_of_each_pixels_correlation(outcome, tiny_plan, shared_store) -> None:
    training, mask = (tiny_plan.mice[0].load_mask().binary(threshold) for threshold in (0.5, 1.0))
    by_clip = []
    for clip in tiny_plan.clips:
        video = averaged(shared_store, tiny_plan.standard(clip))
        part = tiny_plan.measured(len(video))
        truth = tiny_plan.trial(clip).video[part]
        shown = match_luminance_contrast(video[part], truth, training)
        by_clip.append(metrics.pixel_correlation_map(truth, shown, mask))
    found = outcome.tables["pixels"]["temporal_r_evaluation_mask"].to_numpy().reshape(36, 64)
    np.testing.assert_allclose(found[mask], np.mean(by_clip, axis=0)[mask])


def test_there_is_a_figure_for_every_panel_and_only_c_to_e_have_rings(outcome) -> None:
    figures = {drawing.panel: drawing.draw() for drawing in outcome.drawings}
    assert list(figures) == ["Fig. 1-S3 A", "Fig. 1-S3 B", "Fig. 1-S3 C, D", "Fig. 1-S3 E"]
    named = {
        panel: {text.get_text() for axes in figure.axes for text in axes.texts} for panel, figure in figures.items()
    }
    assert [("40°" in texts) for texts in named.values()] == [False, False, True, True]
    titles = [axes.get_title(loc="left") for axes in figures["Fig. 1-S3 E"].axes]
    assert any(title.startswith("evaluation mask, ") and "°" in title for title in titles)


def test_fields_are_mapped_once_and_again_only_where_the_file_is_damaged(tiny_plan, shared_store, monkeypatch) -> None:
    calls = []

    def map_instead(*_):
        calls.append(1)
        return fields(30)

    monkeypatch.setattr(mapping, "map_receptive_fields", map_instead)
    mouse = tiny_plan.mice[0]
    first = mapped_fields(tiny_plan, shared_store, mouse)
    again = mapped_fields(tiny_plan, shared_store, mouse)
    np.testing.assert_array_equal(first.on, again.on)
    assert len(calls) == 1
    (file,) = (shared_store.out / MAPS_FOLDER).iterdir()
    file.write_bytes(b"damaged")
    mapped_fields(tiny_plan, shared_store, mouse)
    assert len(calls) == 2
    assert list((shared_store.out / MAPS_FOLDER).iterdir()) == [file]
