"""What is written on the board: titles, legend, seconds; always of one size on the screen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from napari.layers import Points

from napari_vidrecon.errors import number_of
from napari_vidrecon.viewer.board.layers import ROLE_KEY, Role, RoleLayers
from napari_vidrecon.viewer.board.movies import briefly_named, clip_of, named, other_runs
from napari_vidrecon.viewer.board.outlines import SAMPLE_PX, bar_box, bar_is_short
from napari_vidrecon.viewer.board.tiles import LEGEND_LINES, LINE_PX, BoardLayout, Box
from napari_vidrecon.viewer.evaluation import silent_neurons
from napari_vidrecon.viewer.model import ActivityMode, ErrorMode, Layout, RasterOrder, ReconstructionModel
from napari_vidrecon.viewer.record import RunRecord

NOTHING = " "
"""An empty caption has no glyph, which the renderer does not take."""
BASE_PX, INDENT_PX, TICK_BELOW_PX = 5.0, 6.0, 14.0
"""Screen pixels: a text's base above the lower edge of its line; before it, after a sample; below an axis."""
LEAST_TICK_PX = 55.0
TICK_SPACINGS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
MOST_TICKS = 6
TEXT_POINTS = 7.0
LETTER_PX = 7.3
"""Mean width of a letter on the screen, for what must not reach into the next tile."""
POINT_SIZE = 0.01
NO_MOVIE = "No movie says what was shown"
STRIP_WORDS = (
    "Correlation with the stimulus, frame by frame, 0 to 1",
    "Frame correlation, 0 to 1",
    "Frame correlation",
)
STRIP_WORDS_NO_MOVIE = ("No movie, so no correlation with it", "No movie to compare with", "No movie")
STRIP_WORDS_BELOW = (
    "Correlation with the stimulus, frame by frame; rose: below 0",
    "Frame r (rose: below 0)",
    "Frame r",
)
"""Of a strip in which some frames are below zero."""
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
LEAST_ERROR_WORDS = {
    ErrorMode.STIMULUS: "Error",
    ErrorMode.PREDICTED: "Difference",
    ErrorMode.COMPARISON: "Difference",
    ErrorMode.LOST: "Lost",
    ErrorMode.UNCERTAINTY: "Uncertainty",
    ErrorMode.ADDED: "Added",
}
LEAST_MISSING_WORDS = {
    ErrorMode.STIMULUS: "No error",
    ErrorMode.PREDICTED: "No run to take",
    ErrorMode.COMPARISON: "No difference",
    ErrorMode.LOST: "No fuller run",
    ErrorMode.UNCERTAINTY: "No uncertainty",
    ErrorMode.ADDED: "Added: not known",
}
NO_PREDICTION = "No prediction yet"
MISSING_WORDS = {
    ActivityMode.FROM_STIMULUS: "No prediction from the stimulus yet",
    ActivityMode.FROM_RECONSTRUCTION: "No prediction from the reconstruction yet",
    ActivityMode.DIFFERENCE: "No two predictions to compare yet",
}


NOTHING_BESIDE = {
    Layout.COMPARE: ("To compare, run this clip once more", "Run it again to compare", "Run it again"),
    Layout.PAPER: ("Reconstruct other clips to see them here, too", "Run other clips, too"),
}
"""What to do where a layout has one run to show."""


@dataclass(frozen=True)
class Caption:
    """A line of text on the board.

    Parameters
    ----------
    y, x
        Its lower left corner, world units.
    text
        What it says.
    of
        The tile that it is the title of; None for what belongs to none.
    """

    y: float
    x: float
    text: str
    of: Box | None = None

    def in_view(self, view: Box, unit: float) -> Caption:
        """The same within what is seen: a title stays while anything of its tile does.

        Parameters
        ----------
        view
            The part of the stage on the canvas.
        unit
            World units a pixel of the screen.

        Returns
        -------
        Caption
            Moved, if it has to be.
        """
        if self.of is None:
            return self
        lowest, last = self.of.bottom, max(self.of.right - len(self.text) * LETTER_PX * unit, self.of.left)
        y = min(max(self.y, view.top + (LINE_PX - BASE_PX) * unit), lowest)
        return replace(self, y=y, x=min(max(self.x, view.left + INDENT_PX * unit), last))


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
        Role.STIMULUS: NO_MOVIE if without_movie(model) else "Stimulus",
        Role.RECONSTRUCTION: "Reconstruction",
        Role.COMPARISON: "Stimulus",
        Role.ERROR_MAP: _error_title(model, has_error),
        Role.RECORDED: _recorded_title(model),
        Role.PREDICTED: _predicted_title(model),
    }
    if colours_in_words(model):
        found[Role.STIMULUS] += f" ({colours_in_words(model)})"
    if model.recipe_of_board is not None and model.recipe_of_board.target == "predicted":
        found[Role.RECONSTRUCTION] = "Reconstruction from predicted activity"
    if model.recipe_of_board is not None and model.recipe_of_board.mice:
        found[Role.RECONSTRUCTION] += f", {1 + len(model.recipe_of_board.mice)} mice together"
    if model.looked_back is not None:
        found[Role.RECONSTRUCTION] += f" at step {model.looked_back.step}"
    if model.presented.words:
        found[Role.RECONSTRUCTION] += f" ({model.presented.words})"
    elif model.presentation.show_as != "raw":
        found[Role.RECONSTRUCTION] += " (raw: no movie to match)"
    if model.compared is not None:
        shown = model.shown.name if model.shown is not None else "present run"
        found[Role.RECONSTRUCTION] = f"Reconstruction: {shown}"
        found[Role.COMPARISON] = f"Compared: {named(model, model.compared)}"
    elif model.ghost is not None and not model.blinking:
        found[Role.COMPARISON] = f"Before: {model.ghost.name}"
    elif model.layout is Layout.COMPARE and model.shown is not None:
        found[Role.RECONSTRUCTION] = model.shown.name + _r_of(model.shown)
    if model.blinking:
        found[Role.RECONSTRUCTION] += f" / {found[Role.COMPARISON]}"
    return found


def short_titles(model: ReconstructionModel, has_error: bool) -> dict[Role, str]:
    """The same in fewer letters, for narrow tiles and those of napari's grid."""
    predicted = SHORT_ACTIVITY_WORDS[ActivityMode(model.activity_mode)]
    labelled = model.trial is not None and model.trial.labelled and model.neurons is not None
    recorded = f"Recorded: {_neurons_shown(model)}" if labelled else _recorded_title(model)
    if _predicted_title(model) in MISSING_WORDS.values():
        predicted = NO_PREDICTION
    found = titles(model, has_error)
    shown_as = {"raw": "", "paper": "Shown as in the paper", "matched": "Shown matched"}[model.presented.show_as]
    if model.error_mode == ErrorMode.STIMULUS:
        found[Role.ERROR_MAP] = "Error"
    if shown_as and model.compared is None and not model.blinking:
        found[Role.RECONSTRUCTION] = shown_as
    if model.layout is Layout.COMPARE and model.shown is not None:
        found[Role.RECONSTRUCTION] = model.shown.name
    return {**found, Role.RECORDED: recorded, Role.PREDICTED: predicted}


def least_titles(model: ReconstructionModel, has_error: bool) -> dict[Role, str]:
    """The same in a word, or in two, for a narrow column beside the movies."""
    found = {**short_titles(model, has_error), Role.STIMULUS: "No movie" if without_movie(model) else "Stimulus"}
    if model.looked_back is not None:
        found[Role.RECONSTRUCTION] = f"At step {model.looked_back.step}"
    elif model.compared is None and not model.blinking:
        found[Role.RECONSTRUCTION] = "Reconstruction"
    compares = model.activity_mode == ActivityMode.DIFFERENCE and found[Role.PREDICTED] != NO_PREDICTION
    found |= {Role.RECORDED: "Recorded", Role.PREDICTED: "Difference" if compares else "Predicted"}
    if model.error_mode in LEAST_ERROR_WORDS:
        found[Role.ERROR_MAP] = (LEAST_ERROR_WORDS if has_error else LEAST_MISSING_WORDS)[model.error_mode]
    return found


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


def colours_in_words(model: ReconstructionModel) -> str:
    """Which part of each movie is which colour, from the top; empty for grey levels."""
    return "" if model.trial is None else " above ".join(model.trial.colours)


def short_heading(model: ReconstructionModel) -> str:
    """The clip alone; that a mouse is simulated is always said."""
    simulated = "Simulated · " if model.trial is not None and model.trial.simulated else ""
    return f"{simulated}{model.clip_name}"


def captions(
    model: ReconstructionModel,
    layout: BoardLayout,
    row: tuple[Role, ...],
    has_error: bool,
    error_limit: float | None,
    curves: str = "",
    *,
    below_zero: bool = False,
) -> list[Caption]:
    """Every caption in its place.

    Parameters
    ----------
    model
        The state of the window.
    layout
        Where the tiles lie.
    row
        What the movies' tiles show.
    has_error
        There is a map of the error.
    error_limit
        Grey levels at the ends of the colour bar; None where no error is shown.
    curves
        Whose activity is drawn above the rasters.
    below_zero
        Some frames of the strip have a negative correlation.

    Returns
    -------
    list[Caption]
        Empty ones included.
    """
    if model.trial is None:
        return []
    words, short = titles(model, has_error), short_titles(model, has_error)
    least = least_titles(model, has_error)
    written: list[Caption] = []
    if layout.titled:
        # The lower one of a cell needs no title of its own, and in the paper's rows the clip is the title of both.
        titled = {Layout.COMPARE: row[:2], Layout.PAPER: ()}.get(layout.kind, row)
        written += _movie_titles((words, short, least), layout, titled)
        written += _other_titles(model, layout)
    colours = colours_in_words(model)
    is_said = any(colours in caption.text for caption in written)
    written = [*_legend(model, layout, error_limit, "" if is_said else colours), *written]
    frame_s = 1 / model.trial.frame_rate_hz
    if layout.strip is not None and layout.words.axis:
        of_strip = STRIP_WORDS_BELOW if below_zero else STRIP_WORDS
        written.append(_above(layout.strip, STRIP_WORDS_NO_MOVIE if without_movie(model) else of_strip, layout))
        written += _seconds(layout.strip, layout, frame_s)
    if layout.has_rasters and layout.words.axis:
        for number, role in enumerate((Role.RECORDED, Role.PREDICTED)):
            about = f"; curve: {curves}" if curves and role == Role.RECORDED and model.trial.labelled else ""
            box = layout.raster(number)
            offered = (words[role] + about, short[role] + about, words[role], short[role], least[role])
            written.append(_above(Box(layout.activity.top, box.left, box.height, box.width), offered, layout))
            written += _seconds(layout.raster(number), layout, frame_s)
        if layout.bars.width >= LETTER_PX * layout.unit:
            written.append(_above(layout.bars, ("r",), layout))
    return written


def _legend(
    model: ReconstructionModel, layout: BoardLayout, error_limit: float | None, colours: str
) -> Iterator[Caption]:
    px, lines = layout.unit, layout.legend
    if lines:
        hints: tuple[str, ...] = ()
        if layout.kind is Layout.PAPER:
            hints = NOTHING_BESIDE[Layout.PAPER]
        if layout.kind is Layout.PAPER and layout.others:
            hints = (f"truth above, {model.presented.words or 'reconstruction'} below",)
        least = ("Simulated",) if model.trial is not None and model.trial.simulated else ()
        clips = (heading(model), short_heading(model), *least)
        if colours:
            # Which part of a movie is which colour is said somewhere on every board that has a line for it.
            halves = colours.replace(" above ", "/")
            clips = (*(f"{words}   ·   {colours}" for words in clips), *(f"{words} · {halves}" for words in least))
            clips = (*clips, colours, *least)
        offered = (f"{words}   ·   {hint}" for hint in hints for words in clips[:2])
        yield _in_line(lines[0], (*offered, *clips), layout)
    masks = (("evaluation", "eval.", model.evaluation_threshold), ("training", "train.", model.training_threshold))
    of_masks = lines[1:-1] if len(lines) == LEGEND_LINES else ()
    for line, (name, short_name, threshold) in zip(of_masks, masks, strict=False):
        level, numbers = f"α ≥ {threshold:.2f}", (f"{word} {threshold:.2f}" for word in (name, short_name, "α"))
        texts = (f"{name} mask, {level}", f"{name}, {level}", *numbers)
        yield _in_line(line, texts, layout, SAMPLE_PX + INDENT_PX)
    if error_limit is None or layout.colours is None:
        return
    bar = bar_box(layout.colours, px)
    signed, short = model.error_has_sign, bar_is_short(layout.colours, px)
    less, more = ("gained", "lost") if model.error_mode == ErrorMode.LOST else ("darker", "brighter")
    low = (f"−{error_limit:.0f}" + ("" if short else f" {less}")) if signed else "0"
    high = f"+{error_limit:.0f} {more}" if signed else f"{error_limit:.0f} grey levels"
    yield _in_line(lines[-1], (low,), layout)
    yield _in_line(lines[-1], (high, f"{error_limit:.0f}"), layout, (bar.right - lines[-1].left) / px + INDENT_PX)


def _movie_titles(
    offered: tuple[dict[Role, str], ...], layout: BoardLayout, row: tuple[Role, ...]
) -> Iterator[Caption]:
    for number, role in enumerate(row):
        box, texts = layout.movie(number), tuple(words[role] for words in offered)
        if layout.titles_beside:
            line = Box(box.top, layout.panel.left, LINE_PX * layout.unit, layout.panel.width)
            yield _in_line(line, texts, layout)
        else:
            yield _above(box, texts, layout)


def _other_titles(model: ReconstructionModel, layout: BoardLayout) -> Iterator[Caption]:
    runs = other_runs(model) if layout.others else []
    if not runs and layout.kind is Layout.COMPARE and layout.legend:
        below = Box(layout.legend[-1].bottom, layout.panel.left, layout.legend[-1].height, layout.panel.width)
        yield _in_line(below, NOTHING_BESIDE[layout.kind], layout)
    if layout.kind is Layout.PAPER:
        r = "" if model.shown is None else _r_of(model.shown)
        texts = (f"{model.clip_name}{r}; reconstruction below", model.clip_name + r, model.clip_name)
        # With others beside it the line at the top says so of all.
        yield _above(layout.tiles[0], texts[1:] if layout.others else texts, layout)
    each = 2 if layout.kind is Layout.PAPER else 1
    for run, box in zip(runs, layout.others[::each], strict=False):
        name = clip_of(run) if each > 1 else named(model, run)
        least = () if each > 1 else (briefly_named(model, run),)
        yield _above(box, (name + _r_of(run), name, *least), layout)


def _in_line(line: Box, texts: tuple[str, ...], layout: BoardLayout, indent_px: float = 0.0) -> Caption:
    """The first of the texts that a line has room for, or what it has room for of the last."""
    letters = (line.width / layout.unit - indent_px) / LETTER_PX
    text = next((text for text in texts if len(text) <= letters), texts[-1])
    return Caption(line.bottom - BASE_PX * layout.unit, line.left + indent_px * layout.unit, fitted(text, letters))


def _above(box: Box, texts: tuple[str, ...], layout: BoardLayout) -> Caption:
    line_height = LINE_PX * layout.unit
    title = _in_line(Box(box.top - line_height, box.left, line_height, box.width), texts, layout)
    return replace(title, of=box)


def _seconds(box: Box, layout: BoardLayout, frame_s: float) -> Iterator[Caption]:
    duration_s = layout.frames * frame_s
    most = int(box.width / layout.unit / LEAST_TICK_PX)
    for time_s, text in ticks(duration_s, most):
        yield Caption(box.bottom + TICK_BELOW_PX * layout.unit, box.left + time_s / duration_s * box.width, text)


def ticks(duration_s: float, most: int = MOST_TICKS) -> list[tuple[float, str]]:
    """Round times within a clip, no more than so many, and how they are written."""
    most = min(max(most, 1), MOST_TICKS)
    # None at the very end: its text would leave the board.
    found = [np.arange(0, duration_s - spacing / 4, spacing) for spacing in TICK_SPACINGS_S]
    times = next((times for times in found if len(times) <= most), found[-1])
    return [(float(time_s), f"{time_s:g} s" if index == 0 else f"{time_s:g}") for index, time_s in enumerate(times)]


def fitted(text: str, letters: float) -> str:
    """A caption cut to so many letters."""
    most = max(int(letters), 1)
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def write(layers: RoleLayers, written: list[Caption], colour: str, letters: float = 1.0) -> None:
    """Put captions on the board.

    Parameters
    ----------
    layers
        Of the board.
    written
        All captions.
    colour
        Of the letters.
    letters
        How large they are, 1.0 for their usual size.
    """
    points = TEXT_POINTS * letters
    layer = layers.adopt(Role.CAPTIONS, Points)
    # Where there is room for none, one that is empty: of no points napari has no text to show.
    written = written or [Caption(0.0, 0.0, NOTHING)]
    if layer is not None:
        # Of a hidden layer, and where it slices in threads of its own, napari looks for all points that were there.
        written = written + [replace(written[-1], text=NOTHING)] * (len(layer.data) - len(written))
    positions = np.array([(caption.y, caption.x) for caption in written])
    texts = {"caption": [caption.text or NOTHING for caption in written]}
    if layer is None:
        active = layers.viewer.layers.selection.active
        layer = layers.viewer.add_points(
            positions,
            name="captions",
            features=texts,
            text={"string": "{caption}", "anchor": "upper_left", "size": points, "color": colour},
            size=POINT_SIZE,
            face_color="transparent",
            border_color="transparent",
            units=layers.units[-2:],
            metadata={ROLE_KEY: str(Role.CAPTIONS)},
        )
        # A layer that was just added is selected; a tap on Delete should not hit it, and tools stay as they were.
        layers.viewer.layers.selection.active = active
        return
    if tuple(str(unit) for unit in layer.units) != layers.units[-2:]:
        layer.units = layers.units[-2:]
    if not np.array_equal(layer.data, positions):
        layer.data = positions
    if list(layer.features["caption"]) != texts["caption"]:
        layer.features = texts
    layer.text.color = colour
    if layer.text.size != points:
        layer.text.size = points


def _error_title(model: ReconstructionModel, has_error: bool) -> str:
    if model.error_mode == ErrorMode.NONE:
        return "Reconstruction" if model.error_over == "reconstruction" else "Stimulus"
    if model.error_mode == ErrorMode.PREDICTED:
        return "From recorded − from predicted" if has_error else "No run from predicted activity yet"
    if model.error_mode == ErrorMode.COMPARISON:
        if model.compared is not None and not model.shows_same_movie(model.compared):
            return "Another movie: no difference"
        return "Shown − compared run" if has_error else "No run to compare"
    if model.error_mode == ErrorMode.LOST:
        against = "" if model.fuller is None else model.fuller.name
        return f"Lost against {against}" if has_error else "No run with more neurons to lose against"
    if model.error_mode == ErrorMode.UNCERTAINTY:
        if not has_error or model.shown is None:
            return "One movie: no uncertainty"
        calibrated = model.shown.result.config.uncertainty_scale != 1.0
        return "Uncertainty (1 SD, calibrated)" if calibrated else "Uncertainty (1 SD)"
    if model.error_mode == ErrorMode.ADDED:
        added = None if model.shown is None else model.shown.added
        return "Added by the brain: not known" if added is None else f"Added by the brain, FDR {added.q:g}"
    return "No movie, so no error" if without_movie(model) else "Reconstruction − stimulus"


def _r_of(run: RunRecord) -> str:
    """Its correlation, to follow a name; empty where it has none, as without a movie."""
    return f", r = {run.correlation:.2f}" if np.isfinite(run.correlation) else ""


def without_movie(model: ReconstructionModel) -> bool:
    """Whether nothing says what was shown: the grey on the board is then none of the clip's."""
    return model.trial is not None and not model.trial.has_movie


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
    number = number_of(count, "neuron") if kept == count else f"{kept} of {count} neurons"
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
