"""Parts that other people's packages bring, and how such a package comes to lie where Python finds it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write_package(site: Path, package: str, code: str, entries: Mapping[str, str]) -> Path:
    """A package of one module with its entry points, as an installer leaves it; returns the folder for `sys.path`.

    Parameters
    ----------
    site
        Where it is put.
    package
        Its name, and its module's.
    code
        Of the module.
    entries
        "name = module:object" by kind of part: encoders, readers, studies, priors.
    """
    described = site / f"{package}-0.1.dist-info"
    described.mkdir(parents=True)
    (site / f"{package}.py").write_text(code)
    (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1\n")
    groups = (f"[napari_vidrecon.{kind}]\n{entry}\n" for kind, entry in entries.items())
    (described / "entry_points.txt").write_text("\n".join(groups))
    return site


SPOTS = """
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from napari_vidrecon.encoders.architecture import Architecture
from napari_vidrecon.encoders.training_recipe import Schedule, TrainingRecipe


class SpotsConfig(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    readout_outputs: tuple[Annotated[int, Field(ge=1, le=100_000)], ...] = (1,)
    features: Annotated[int, Field(ge=1, le=64)] = 3


class SpotsRecipe(TrainingRecipe):
    architecture: Literal["spots"] = "spots"
    features: int = Field(3, ge=1, le=64)
    steps: int = Field(3, ge=1, le=1000)
    learning_rate: float = Field(1e-2, gt=0)

    def schedule(self, mice=1):
        return Schedule(self.steps * mice, 1, self.learning_rate, 0.0)


class Spots(Architecture):
    config_class = SpotsConfig
    recipe_class = SpotsRecipe
    causal = True

    def __init__(self, config):
        super().__init__(config)
        self.filters = nn.Conv2d(1, config.features, 5, stride=4)
        self.readouts = nn.ModuleList(nn.Linear(config.features, n) for n in config.readout_outputs)

    def shared(self, x):
        frames = (x[:, 0] - 127.5) / 60.0
        return (self.filters(frames.flatten(0, 1)[:, None]).mean(dim=(2, 3)).unflatten(0, frames.shape[:2]),)

    def activity(self, shared, mouse):
        return nn.functional.softplus(super().activity(shared, mouse)).transpose(1, 2)
"""

BOXES = """
import numpy as np
from pydantic import Field

from napari_vidrecon.sessions.importing.columns import Column
from napari_vidrecon.sessions.importing.recording_reader import Reader
from napari_vidrecon.sessions.importing.recording import Presentation, Recording, Signal
from napari_vidrecon.sessions.importing.stimuli import stimulus_movie
from napari_vidrecon.settings import Settings


class BoxOptions(Settings):
    gain: float = Field(1.0, gt=0, le=100, title="Gain", description="What the activity is multiplied by.")
    out: bool = Field(False, description="An option that the command has already.")


class BoxReader(Reader):
    title = "lab box"
    suffixes = (".box",)
    options_class = BoxOptions

    def __enter__(self):
        self._arrays = np.load(self.path, allow_pickle=False)
        return self

    def __exit__(self, *_):
        self._arrays.close()

    def columns(self):
        uses = {"activity": "activity", "movies": "stimulus"}
        return [Column.of(name, self._arrays[name], uses.get(name, "times")) for name in self._arrays]

    def recording(self):
        box = self._arrays
        movies, onsets = box["movies"], box["onsets"]
        frames = np.arange(movies.shape[1])
        shown = tuple(Presentation(index, frames, start + frames / 30.0) for index, start in enumerate(onsets))
        activity = Signal(box["activity"] * self.options.gain, box["times"] + 1 / 16, str(self.path))
        return Recording(
            self.path.stem, activity, tuple(stimulus_movie(f"clip {i}", m) for i, m in enumerate(movies)), shown
        )
"""

BRIGHTNESS = """
from napari_vidrecon.studies.study import Finding, Outcome, Study


def runs(plan):
    return [spec for clip in plan.clips for spec in plan.standard(clip)]


def evaluate(plan, store):
    import pandas as pd

    rows = [{"clip": clip.name, "grey_level": plan.trial(clip).video.mean()} for clip in plan.clips]
    return Outcome(
        tables={"brightness": pd.DataFrame(rows)},
        findings=[Finding("clips are neither black nor white", True, f"{len(rows)} clips")],
    )


STUDY = Study("brightness", "How bright the clips are", "none", runs, evaluate)
"""

WHITE = """
from pydantic import Field

from napari_vidrecon.reconstruction.priors import Prior
from napari_vidrecon.settings import Settings


class WhiteSettings(Settings):
    sd: float = Field(40.0, gt=0, le=128, description="SD of a pixel, grey levels")
    flipped: bool = Field(False, description="of the sign")


class WhitePrior(Prior):
    settings_class = WhiteSettings

    def build(self, shape, frame_rate_hz, like):
        return White(like.new_full(shape, self.settings.sd), -1.0 if self.settings.flipped else 1.0)


class White:
    def __init__(self, deviations, sign):
        self.deviations, self.sign = deviations, sign

    def synthesis(self, coefficients):
        return self.sign * self.deviations * coefficients

    adjoint = synthesis

    def analysis(self, movie):
        return self.sign * movie / self.deviations
"""


def write_box(raw: object, path: Path) -> Path:
    """A raw recording in the one file that `BOXES` reads."""
    import numpy as np

    arrays = {"activity": raw.activity, "times": raw.activity_times, "movies": raw.movies, "onsets": raw.onsets}
    with path.open("wb") as file:
        np.savez(file, **arrays)
    return path


PARTS = {
    "encoders": "spots = lab_parts:Spots",
    "readers": "box = lab_parts:BoxReader",
    "studies": "bright = lab_parts:STUDY",
    "priors": "white = lab_parts:WhitePrior",
}
"""Entry points of the package `lab_parts`, which brings one part of each kind; its module is `EVERYTHING`."""
EVERYTHING = SPOTS + BOXES + BRIGHTNESS + WHITE


def write_spots(path: Path, neurons: Mapping[str, int]) -> Path:
    """An encoder file of the architecture in `SPOTS`, its weights by chance; `neurons` are those of each mouse."""
    import torch

    from napari_vidrecon.encoders.architecture import architecture_named
    from napari_vidrecon.encoders.checkpoints import save_encoder
    from napari_vidrecon.encoders.encoder import Canvas
    from napari_vidrecon.encoders.windows import FrameWindows

    spots = architecture_named("spots")
    torch.manual_seed(0)
    module = spots(spots.config_class(readout_outputs=tuple(neurons.values()), features=2))
    layout = {"canvas": Canvas(36, 64), "windows": FrameWindows(16, 2)}
    save_encoder(path, module, architecture="spots", mice=list(neurons), **layout)
    return path
