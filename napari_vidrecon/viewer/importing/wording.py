"""The core's messages name options of the command line; here they name the controls of the form."""

from __future__ import annotations

import re

from napari_vidrecon.sessions.importing.report import Kind

CONTROLS = {
    "give --overwrite": "tick “Replace a session imported before”",
    "give --all-regions": "tick “All regions, not only cells”",
    "take --signal dff": "take the activity “dF/F”",
    "--levels 0:4095": "tick “Black and white are”",
    "with --negative clip": "with “Activity below 0: set to 0”",
    "(--bad-neurons drop)": "(“Bad neurons: leave out”)",
    "(--within-movie)": "(“Hold out parts of movies”)",
    "(--trim)": "(“Cut the longer of two arrays”)",
    "with --trim": "with “Cut the longer of two arrays”",
    "(--clock-tolerance)": "(“Clocks may run apart by”)",
    "(--trial-frames)": "(“Longest trial”)",
    "see --preview": "see the table of arrays",
}
SERIES_OPTION = re.compile(r"name one with --(activity|stimulus|running|pupil-size|pupil-center)")
KINDS: dict[Kind, str] = {
    "read": "taken from",
    "resampled": "resampled",
    "filled": "filled in",
    "dropped": "left out",
    "repaired": "repaired",
    "assumed": "assumed",
    "warning": "warning",
}


def in_words_of_the_form(message: str) -> str:
    """A message of the core, with the controls of the form in place of options."""
    for option, control in CONTROLS.items():
        message = message.replace(option, control)
    return SERIES_OPTION.sub("choose one under “Series”", message)
