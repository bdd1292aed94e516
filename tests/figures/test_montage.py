from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from napari_vidrecon import metrics
from napari_vidrecon.errors import StorageError
from napari_vidrecon.figures.frame import save_figure
from napari_vidrecon.figures.montage import reconstruction_figure


@pytest.fixture(scope="module")
def clip() -> dict[str, np.ndarray]:
    random = np.random.default_rng(6)
    truth = random.uniform(0, 255, (45, 36, 64))
    rows, columns = np.mgrid[:36, :64]
    distance = np.hypot(rows - 18, columns - 30)
    return {
        "truth": truth,
        "reconstruction": 0.4 * truth + random.normal(70, 20, truth.shape),
        "mask": distance < 8,
        "training_mask": distance < 13,
    }


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in drawn_texts(figure)]


def heading(figure: Figure) -> str:
    return figure.texts[0].get_text()


def drawn_texts(figure: Figure) -> list[Text]:
    """All texts but tick labels beyond the ends of an axis, which exist and are never drawn."""
    found = [*figure.texts, *(text for legend in figure.legends for text in legend.texts)]
    for axes in figure.axes:
        found += [axes.xaxis.label, axes.yaxis.label, axes.title, *axes.texts]
        found += [child for child in axes.get_children() if isinstance(child, Text)]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True)
            found += [label for place, label in ticks if low <= place <= high]
    return [text for text in dict.fromkeys(found) if text.get_text() and text.get_visible()]


def pictures(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def test_ten_stimulus_frames_stand_above_the_reconstructions_of_the_same_times(clip: dict) -> None:
    figure = reconstruction_figure(**clip)
    shown = pictures(figure)
    assert len(shown) == 20
    np.testing.assert_array_equal(shown[0], clip["truth"][0])
    np.testing.assert_array_equal(shown[9], clip["truth"][-1])
    np.testing.assert_array_equal(shown[10], clip["reconstruction"][0])


def test_the_error_is_a_third_row(clip: dict) -> None:
    figure = reconstruction_figure(**clip, error=clip["reconstruction"] - clip["truth"])
    shown = pictures(figure)
    assert len([picture for picture in shown if picture.ndim == 3]) == 10
    assert any("error in grey levels" in text for text in texts(figure))


def test_the_title_says_when_the_mouse_is_simulated(clip: dict) -> None:
    said = heading(reconstruction_figure(**clip, title="trial 22", simulated=True))
    assert said.startswith("Simulated mouse")
    assert "trial 22" in said
    assert not any("Simulated" in text for text in texts(reconstruction_figure(**clip)))


def test_the_title_states_the_video_correlation_inside_the_mask(clip: dict) -> None:
    value = metrics.video_correlation(clip["truth"], clip["reconstruction"], clip["mask"])
    assert f"r = {value:.2f}" in heading(reconstruction_figure(**clip))


def test_the_curve_is_the_frame_correlation_over_seconds(clip: dict) -> None:
    figure = reconstruction_figure(**clip, start_s=1.0)
    axes = next(axes for axes in figure.axes if "(s)" in axes.get_xlabel())
    line = next(line for line in axes.lines if len(np.atleast_1d(line.get_xdata())) == 45)
    expected = metrics.frame_correlation(clip["truth"], clip["reconstruction"], clip["mask"])
    np.testing.assert_allclose(line.get_ydata(), expected)
    np.testing.assert_allclose(line.get_xdata(), 1 + np.arange(45) / 30)


def test_the_optimisation_is_drawn_by_step(clip: dict) -> None:
    steps, values = np.arange(0, 50, 10), np.array([np.nan, 0.1, 0.2, 0.3, 0.35])
    figure = reconstruction_figure(**clip, optimisation=(steps, values))
    axes = next(axes for axes in figure.axes if axes.get_xlabel() == "optimisation step")
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), steps)
    assert axes.get_ylabel() == "video correlation r"


def test_the_training_mask_is_dashed_and_the_evaluation_mask_solid(clip: dict) -> None:
    figure = reconstruction_figure(**clip)
    styles = {
        text.get_text(): line.get_linestyle()
        for text, line in zip(figure.legends[0].texts, figure.legends[0].get_lines(), strict=True)
    }
    assert styles == {"evaluation mask": "-", "training mask": "--"}


def test_pictures_show_the_surroundings_of_the_masks_unless_told_otherwise(clip: dict) -> None:
    cropped = reconstruction_figure(**clip).axes[0]
    assert cropped.get_xlim() == (30 - 12 - 4 - 0.5, 30 + 12 + 4 + 0.5)
    assert reconstruction_figure(**clip, crop=False).axes[0].get_xlim() == (-0.5, 63.5)


def test_matching_changes_the_pictures_and_not_the_numbers(clip: dict) -> None:
    plain, matched = (reconstruction_figure(**clip, match_contrast=match) for match in (False, True))
    assert heading(plain) == heading(matched)
    assert pictures(matched)[10].std() > pictures(plain)[10].std()


@pytest.mark.parametrize("frames", [1, 4])
def test_short_constant_clips_without_masks_can_be_drawn(frames: int, tmp_path: Path) -> None:
    grey = np.full((frames, 36, 64), 127.5)
    figure = reconstruction_figure(grey, grey, title="grey", optimisation=([], []))
    assert any("not defined" in text for text in texts(figure))
    assert save_figure(figure, tmp_path / "grey.png").stat().st_size > 0


def test_masks_at_the_edge_of_the_screen_and_empty_ones_can_be_drawn(clip: dict) -> None:
    full = np.ones((36, 64), dtype=bool)
    figure = reconstruction_figure(clip["truth"], clip["reconstruction"], full, training_mask=~full)
    assert figure.axes[0].get_xlim() == (-0.5, 63.5)


def test_no_text_lies_over_another_or_leaves_the_figure(clip: dict) -> None:
    figure = reconstruction_figure(
        **clip,
        error=clip["reconstruction"] - clip["truth"],
        optimisation=(np.arange(0, 1001, 10), np.linspace(0, 0.6, 101)),
        drawn_as=("smoothed and matched, outside: stimulus, dimmed", clip["reconstruction"]),
        title="trial 22, five encoders",
        simulated=True,
    )
    figure.canvas.draw()
    boxes = [(text.get_text(), text.get_window_extent()) for text in drawn_texts(figure)]
    assert len(boxes) > 30
    width, height = figure.canvas.get_width_height()
    for index, (label, box) in enumerate(boxes):
        assert box.x0 >= 0, label
        assert box.x1 <= width, label
        assert box.y0 >= 0, label
        assert box.y1 <= height, label
        assert not [other for other, rest in boxes[index + 1 :] if box.overlaps(rest)], label


def test_a_png_has_the_size_asked_for(clip: dict, tmp_path: Path) -> None:
    figure = reconstruction_figure(**clip)
    save_figure(figure, tmp_path / "picture.png", dpi=100)
    with Image.open(tmp_path / "picture.png") as image:
        assert image.format == "PNG"
        assert image.width == 1300
        assert np.asarray(image.convert("L")).std() > 10


def test_text_in_an_svg_stays_text(clip: dict, tmp_path: Path) -> None:
    save_figure(reconstruction_figure(**clip, title="trial 22"), tmp_path / "picture.svg")
    content = (tmp_path / "picture.svg").read_text()
    assert "trial 22" in content
    assert "time in the clip (s)" in content


def test_an_unknown_ending_is_refused_and_leaves_nothing(clip: dict, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"picture\.bmp.*\.png"):
        save_figure(reconstruction_figure(**clip), tmp_path / "picture.bmp")
    assert not list(tmp_path.iterdir())


def test_drawing_leaves_the_settings_and_the_figures_of_others_alone(clip: dict) -> None:
    before = dict(matplotlib.rcParams)
    reconstruction_figure(**clip)
    assert dict(matplotlib.rcParams) == before
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def test_movies_that_do_not_fit_together_are_refused(clip: dict) -> None:
    with pytest.raises(ValueError, match=r"\(45, 36, 64\).*\(40, 36, 64\)"):
        reconstruction_figure(clip["truth"], clip["reconstruction"][:40])
    with pytest.raises(ValueError, match="no frame"):
        reconstruction_figure(np.zeros((0, 36, 64)), np.zeros((0, 36, 64)))
    with pytest.raises(ValueError, match="one of each"):
        reconstruction_figure(**clip, optimisation=([1, 2], [0.5]))
