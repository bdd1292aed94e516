"""The figure of receptive fields: its panels, its examples, its words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_vidrecon.analysis.receptive_fields import ReceptiveFieldMaps
from napari_vidrecon.figures.frame import save_figure
from napari_vidrecon.figures.receptive_field_figure import example_neurons, receptive_field_figure
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.sessions.stimuli.synthetic import OnOffPatches


@pytest.fixture(scope="module")
def maps() -> ReceptiveFieldMaps:
    """Twelve neurons on a line across the screen, on and off in turn; the last does not respond."""
    rows, columns = np.mgrid[:36, :64]
    places = np.linspace(8, 56, 12)
    fields = np.exp(-0.5 * ((rows - 18) ** 2 + (columns - places[:, None, None]) ** 2) / 3.0**2)
    fields[-1] = 0
    light = (np.arange(12) % 2 == 0)[:, None, None]
    return ReceptiveFieldMaps(fields * light, fields * ~light, OnOffPatches(), {"session": "m", "simulated": True})


def texts(figure) -> str:
    return " | ".join(each.get_text() for axes in figure.axes for each in (axes.title, *axes.texts)) + (
        figure.get_suptitle() + " | ".join(axes.get_title(loc="left") for axes in figure.axes)
    )


def test_examples_run_outwards_and_respond(maps: ReceptiveFieldMaps) -> None:
    chosen = example_neurons(maps, 4)
    assert len(set(chosen)) == 4
    assert 11 not in chosen
    assert (np.diff(maps.eccentricity_px[chosen]) > 0).all()


def test_the_figure_says_whose_fields_they_are_and_draws_the_mask(maps: ReceptiveFieldMaps, tmp_path: Path) -> None:
    mask = AlphaMask(np.pad(np.ones((10, 20), np.float32), ((13, 13), (22, 22))))
    figure = receptive_field_figure(maps, mask, neurons=[3])
    told = texts(figure)
    for words in ("Simulated mouse", "11 of 12 neurons", "neuron 3: on", "alpha ≥ 0.5", "rings every 10°"):
        assert words in told
    with_line = [axes for axes in figure.axes if "on + off" in axes.get_title(loc="left")]
    assert len(with_line[0].lines) == 1
    saved = save_figure(figure, tmp_path / "rf.svg").read_text()
    assert "Simulated mouse" in saved


def test_a_population_without_a_response_can_still_be_drawn() -> None:
    silent = np.zeros((3, 36, 64))
    figure = receptive_field_figure(ReceptiveFieldMaps(silent, silent, OnOffPatches(), {}))
    assert "0 of 3 neurons" in texts(figure)
    assert "Simulated" not in texts(figure)


def test_cortex_is_drawn_by_what_its_neurons_look_at() -> None:
    places = np.random.default_rng(0).uniform(0, 500, (80, 2))
    rows, columns = np.mgrid[:36, :64]
    at = places[:, :, None, None] * [[[0.05]], [[0.1]]] + 6
    fields = np.exp(-0.5 * ((rows - at[:, 0]) ** 2 + (columns - at[:, 1]) ** 2) / 9.0)
    maps = ReceptiveFieldMaps(fields, 0 * fields, OnOffPatches(), {}, places=places)
    figure = receptive_field_figure(maps, neurons=[3])
    drawn = [axes for axes in figure.axes if axes.collections and "µm" not in axes.get_ylabel()]
    cortex = [axes for axes in drawn if "cortex" in axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in cortex] == ["cortex: row", "cortex: column"]
    np.testing.assert_allclose(cortex[0].collections[0].get_array(), at[:, 0, 0, 0], atol=1.0)
