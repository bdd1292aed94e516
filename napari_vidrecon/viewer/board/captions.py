"""What is written on the board: titles, legend, seconds; always of one size on the screen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from napari.layers import Points

from napari_vidrecon.viewer.board.layers import ROLE_KEY, Role, RoleLayers
from napari_vidrecon.viewer.board.outlines import LEGEND_LINE_PX, LEGEND_TOP_PX
from napari_vidrecon.viewer.board.tiles import TITLE_PX, BoardLayout
from napari_vidrecon.viewer.evaluation import silent_neurons
from napari_vidrecon.viewer.model import ActivityMode, ErrorMode, RasterOrder, ReconstructionModel

NOTHING = " "
"""An empty caption has no glyph, which the renderer does not take."""
TITLE_ABOVE_PX = 1.0
LEGEND_INDENT_PX = LEGEND_LINE_PX + 2.0
LEGEND_BELOW_PX = LEGEND_TOP_PX + 3.0
BAR_BELOW_PX = LEGEND_TOP_PX + 7.0
TICK_BELOW_PX = 5.0
TICK_SPACINGS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
MOST_TICKS = 6
TEXT_HEIGHT_PX = 2.75
"""Height of the letters in pixels of the movie when the whole board is in view."""
SMALLEST_POINTS, LARGEST_POINTS = 7.0, 14.0
POINTS_PER_SCREEN_PX = 0.75
LETTER_WIDTH = 0.7
"""Mean width of a letter as a share of its height, for what must not reach into the next tile."""
POINT_SIZE = 0.01
BARS_TITLE_ABOVE_PX = 1.0
ORDER_WORDS = {
    RasterOrder.RECORDED: "as recorded",
    RasterOrder.SIMILARITY: "by similarity",
    RasterOrder.PREDICTION: "best predicted first",
    RasterOrder.EXPLAINED: "best explained first",
    RasterOrder.POSITION: "by position",
    RasterOrder.DEPTH: "by depth",
    RasterOrder.FIELD: "by receptive field, left to right",
}
ACTIVITY_WORDS = {
    ActivityMode.FROM_STIMULUS: "Predicted from the stimulus",
    ActivityMode.FROM_RECONSTRUCTION: "Predicted from the reconstruction",
    ActivityMode.DIFFERENCE: "Predicted: from reconstruction − from stimulus",
}
SHORT_ACTIVITY_WORDS = {
    ActivityMode.FROM_STIMULUS: "From the stimulus",
    ActivityMode.FROM_RECONSTRUCTION: "From the reconstruction",
    ActivityMode.DIFFERENCE: "Reconstruction − stimulus",
}
MOVIE_WORDS = {"shown": "as shown", "optimised": "as optimised", "grey": "grey outside the mask"}
"""Of which movie activity is predicted, by the setting `predicted_from`."""
MISSING_WORDS = {
    ActivityMode.FROM_STIMULUS: "No prediction from the stimulus yet",
    ActivityMode.FROM_RECONSTRUCTION: "No prediction from the reconstruction yet",
    ActivityMode.DIFFERENCE: "No two predictions to compare yet",
}


@dataclass(frozen=True)
class Caption:
    """A line of text on the board.

    Parameters
    ----------
    y, x
        Its lower left corner, world units.
    text
        What it says.
    """

    y: float
    x: float
    text: str


def titles(model: ReconstructionModel, has_error: bool) -> dict[Role, str]:
    """What each tile shows, in words.

    Parameters
    ----------
    model
        What is shown.
    has_error
        Whether there are two movies to take the chosen difference of.

    Returns
    -------
    dict[Role, str]
        {role: words}.
    """
    found = {
        Role.STIMULUS: "Stimulus",
        Role.RECONSTRUCTION: "Reconstruction",
        Role.COMPARISON: "Stimulus",
        Role.ERROR_MAP: _error_title(model, has_error),
        Role.RECORDED: _recorded_title(model),
        Role.PREDICTED: _predicted_title(model),
    }
    if model.recipe_of_board is not None and model.recipe_of_board.target == "predicted":
        found[Role.RECONSTRUCTION] = "Reconstruction from predicted activity"
    if model.compared is not None:
        shown = model.shown.name if model.shown is not None else "present run"
        found[Role.RECONSTRUCTION] = f"Reconstruction: {shown}"
        found[Role.COMPARISON] = f"Compared: {model.compared.name}"
    if model.blinking:
        found[Role.RECONSTRUCTION] += f" / {found[Role.COMPARISON]}"
    return found


def short_titles(model: ReconstructionModel, has_error: bool) -> dict[Role, str]:
    """The same in fewer letters, for the narrow tiles of napari's grid."""
    predicted = SHORT_ACTIVITY_WORDS[ActivityMode(model.activity_mode)]
    labelled = model.trial is not None and model.trial.labelled and model.neurons is not None
    recorded = f"Recorded: {_neurons_shown(model)}" if labelled else _recorded_title(model)
    return {**titles(model, has_error), Role.RECORDED: recorded, Role.PREDICTED: predicted}


def heading(model: ReconstructionModel) -> str:
    """Which mouse, which clip."""
    trial = model.trial
    if trial is None:
        return NOTHING
    mouse = "Simulated mouse" if trial.simulated else (model.session.name if model.session is not None else "")
    start, frame_s = model.clip[0], 1 / trial.frame_rate_hz
    length = f"{start * frame_s:.1f} to {(start + trial.frames) * frame_s:.1f} s"
    clip = model.clip_name if model.stimulus is not None else f"trial {trial.id} ({trial.tier})"
    return "   ·   ".join(part for part in (mouse, clip, length) if part)


def captions(
    model: ReconstructionModel,
    layout: BoardLayout,
    has_error: bool,
    error_limit: float,
    frame_s: float,
    letter_px: float = TEXT_HEIGHT_PX * LETTER_WIDTH,
    curves: str = NOTHING,
) -> list[Caption]:
    """Every caption in its place; as many for every state of one trial.

    Parameters
    ----------
    model
        The state of the window.
    layout
        Where the tiles lie.
    has_error
        There is a map of the error.
    error_limit
        Grey levels at the ends of the colour bar.
    frame_s
        Time of a frame in seconds.
    letter_px
        Width of a letter in pixels of the movie; captions are cut to their tiles by it.
    curves
        Whose activity is drawn above the rasters.

    Returns
    -------
    list[Caption]
        Empty ones included.
    """
    pitch, words = layout.pitch, titles(model, has_error)
    movie_row = [Role.STIMULUS, Role.RECONSTRUCTION, Role.COMPARISON, Role.ERROR_MAP]
    if layout.columns < len(movie_row):
        movie_row.remove(Role.COMPARISON)
    above = -TITLE_ABOVE_PX * pitch
    written = [Caption(above - TITLE_PX * pitch, 0.0, heading(model))]
    for column, role in enumerate(movie_row):
        box = layout.movie(column)
        written.append(Caption(above, box.left, fitted(words[role], box.width / pitch / letter_px)))
    bottom = layout.movie(0).bottom
    room = int((layout.cols - LEGEND_INDENT_PX) / letter_px)
    legend = [
        f"{name} mask, {level}" if len(f"{name} mask, {level}") <= room else fitted(f"{name}, {level}", room)
        for name, level in (
            ("evaluation", f"α ≥ {model.evaluation_threshold:.3g}"),
            ("training", f"α ≥ {model.training_threshold:.3g}"),
        )
    ]
    written += [
        Caption(bottom + LEGEND_BELOW_PX * pitch, layout.movie(column).left + LEGEND_INDENT_PX * pitch, text)
        for column, text in enumerate(legend)
    ]
    bar = layout.movie(layout.columns - 1)
    shown = model.error_mode != ErrorMode.NONE
    low = f"−{error_limit:.0f} darker" if model.error_has_sign else "0"
    high = f"brighter +{error_limit:.0f}" if model.error_has_sign else f"{error_limit:.0f} grey levels"
    ends = ((bar.left, low), (bar.right - len(high) * letter_px * pitch, high))
    written += [Caption(bottom + BAR_BELOW_PX * pitch, x, text if shown else NOTHING) for x, text in ends]
    shorter = short_titles(model, has_error)
    bars = layout.bars
    written.append(Caption(bars.top - BARS_TITLE_ABOVE_PX * pitch, bars.left, "r" if model.neurons else NOTHING))
    for column, role in enumerate((Role.RECORDED, Role.PREDICTED)):
        box = layout.raster(column)
        letters = box.width / pitch / letter_px
        about = f"; curve: {curves}" if curves and role == Role.RECORDED else ""
        offered = (words[role] + about, shorter[role] + about, words[role])
        title = next((each for each in offered if len(each) <= letters), fitted(shorter[role], letters))
        written.append(Caption(layout.activity.top - TITLE_ABOVE_PX * pitch, box.left, title))
        written += [
            Caption(box.bottom + TICK_BELOW_PX * pitch, box.left + time_s / (layout.frames * frame_s) * box.width, text)
            for time_s, text in ticks(layout.frames * frame_s)
        ]
    return written


def ticks(duration_s: float) -> list[tuple[float, str]]:
    """Round times within a clip, and how they are written."""
    spacing = next((s for s in TICK_SPACINGS_S if duration_s / s <= MOST_TICKS), TICK_SPACINGS_S[-1])
    # None at the very end: its text would leave the board.
    times = np.arange(0, duration_s - spacing / 4, spacing)
    return [(float(time_s), f"{time_s:g} s" if index == 0 else f"{time_s:g}") for index, time_s in enumerate(times)]


def fitted(text: str, letters: float) -> str:
    """A caption cut to so many letters."""
    most = max(int(letters), 1)
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def write(layers: RoleLayers, written: list[Caption], colour: str) -> None:
    """Put captions on the board.

    Parameters
    ----------
    layers
        Of the board.
    written
        All captions.
    colour
        Of the letters.
    """
    layer = layers.adopt(Role.CAPTIONS, Points)
    if layer is not None and not layer.visible:
        # Of a hidden layer napari goes on to look for the texts of all points that were there.
        written = written + [replace(written[-1], text=NOTHING)] * (len(layer.data) - len(written))
    positions = np.array([(caption.y, caption.x) for caption in written])
    texts = {"caption": [caption.text or NOTHING for caption in written]}
    if layer is None:
        active = layers.viewer.layers.selection.active
        layer = layers.viewer.add_points(
            positions,
            name="captions",
            features=texts,
            text={"string": "{caption}", "anchor": "upper_left", "size": SMALLEST_POINTS, "color": colour},
            size=POINT_SIZE,
            face_color="transparent",
            border_color="transparent",
            units=(layers.unit,) * 2,
            metadata={ROLE_KEY: str(Role.CAPTIONS)},
        )
        # A layer that was just added is selected; a tap on Delete should not hit it, and tools stay as they were.
        layers.viewer.layers.selection.active = active
        return
    if {str(unit) for unit in layer.units} != {layers.unit}:
        layer.units = (layers.unit,) * 2
    if not np.array_equal(layer.data, positions):
        layer.data = positions
    if list(layer.features["caption"]) != texts["caption"]:
        layer.features = texts
    layer.text.color = colour


def text_points(screen_px_per_pixel: float) -> float:
    """Font size, in points, that fits the tiles when a movie pixel is so many pixels on the screen."""
    size = TEXT_HEIGHT_PX * screen_px_per_pixel * POINTS_PER_SCREEN_PX
    return float(np.clip(size, SMALLEST_POINTS, LARGEST_POINTS))


def _error_title(model: ReconstructionModel, has_error: bool) -> str:
    if model.error_mode == ErrorMode.NONE:
        return "Reconstruction" if model.error_over == "reconstruction" else "Stimulus"
    if model.error_mode == ErrorMode.PREDICTED:
        return "From recorded − from predicted" if has_error else "No run from predicted activity yet"
    if model.error_mode == ErrorMode.COMPARISON:
        return "Shown − compared run" if has_error else "No run to compare"
    if model.error_mode == ErrorMode.UNCERTAINTY:
        return "Uncertainty (1 SD)" if has_error else "One movie: no uncertainty"
    return "Reconstruction − stimulus"


def _recorded_title(model: ReconstructionModel) -> str:
    if model.trial is None or model.neurons is None:
        return NOTHING
    if not model.trial.labelled:
        return f"Recorded activity: {'none for a stimulus' if model.stimulus is not None else 'withheld'}"
    return f"Recorded: {_neurons_shown(model, 'silent ones folded away')}; {ORDER_WORDS[model.raster_order]}"


def _neurons_shown(model: ReconstructionModel, silent_are: str = "silent") -> str:
    """How many neurons, how many of them take part, how many are silent in the clip."""
    assert model.neurons is not None
    count, kept = len(model.neurons.keep), model.neurons.count
    silent = int(silent_neurons(model.trial).sum())
    number = f"{count} neurons" if kept == count else f"{kept} of {count} neurons"
    return f"{number}, {silent} {silent_are}" if silent else number


def _predicted_title(model: ReconstructionModel) -> str:
    from_video, from_stimulus = model.reconstruction_prediction, model.stimulus_prediction
    needed = {
        ActivityMode.FROM_STIMULUS: (from_stimulus,),
        ActivityMode.FROM_RECONSTRUCTION: (from_video,),
        ActivityMode.DIFFERENCE: (from_stimulus, from_video),
    }[model.activity_mode]
    complete = all(activity is not None for activity in needed)
    words = (ACTIVITY_WORDS if complete else MISSING_WORDS)[model.activity_mode]
    made_with = model.recipe_of_board
    if not complete or made_with is None or model.activity_mode == ActivityMode.FROM_STIMULUS:
        return words
    return f"{words} ({MOVIE_WORDS[made_with.config.predicted_from]})"
