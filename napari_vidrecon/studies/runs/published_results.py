"""Published reconstructions in the place of runs: the same measurements and figures from files of the paper's code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_vidrecon.encoders.checkpoints import file_hash
from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.errors import EncoderError, RunError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.masks import TRAINING_THRESHOLD, AlphaMask
from napari_vidrecon.reconstruction.published import read_published
from napari_vidrecon.reconstruction.results import Reconstruction
from napari_vidrecon.sessions.screen import ScreenGeometry
from napari_vidrecon.sessions.session import Session
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ, Trial
from napari_vidrecon.storage import check_inside
from napari_vidrecon.studies.mice import Mouse
from napari_vidrecon.studies.runs.run_spec import RunSpec, RunStore
from napari_vidrecon.studies.scale import Scale
from napari_vidrecon.studies.study import Plan

NOTE = (
    "Published results: nothing was reconstructed here. The files do not say whether the mouse was simulated; their "
    "names are listed with the configuration below."
)
PATTERN = "reconstruction_summary_*.npy"
TIER = "published"
VARIANTS = ("fit_to_predicted", "nontrainmask", "strictmask", "popreduc")
"""Parts of the published folder names that tell a variant from the standard method."""


@dataclass(frozen=True)
class PublishedMouse(Mouse):
    """A mouse of whom only results are there; one file an encoder and clip stands for the encoders.

    Parameters
    ----------
    results
        Each clip's trial and its files.
    """

    results: tuple[tuple[int, tuple[Path, ...]], ...] = field(default=())

    def open_session(self) -> Session:
        """The clips, as far as the files hold them."""
        return PublishedSession(self.name, dict(self.results))

    def load_encoder(self, index: int, device: str = "auto") -> Encoder:
        """There is none.

        Raises
        ------
        EncoderError
            Always.
        """
        raise EncoderError(f"{self.name}: expected encoders, found published results alone; take another study")

    def load_mask(self) -> AlphaMask:
        """The mask kept in its first file."""
        return AlphaMask(read_published(self.mask).alpha, str(self.mask))

    def clips(self) -> tuple[int, ...]:
        """Trials with results."""
        return tuple(trial for trial, _ in self.results)

    def provenance(self) -> dict[str, Any]:
        """Name, clips, and the hash of every file."""
        files = [file for _, some in self.results for file in some]
        return {
            "name": self.name,
            "published": {str(file): file_hash(file) for file in files},
            "clips": list(self.clips()),
        }


class PublishedSession(Session):
    """The clips of published results: movie and recorded activity; behaviour is not read and counts as unknown."""

    def __init__(self, name: str, results: dict[int, tuple[Path, ...]]) -> None:
        self._results = {trial: files[0] for trial, files in results.items()}
        self.name, self.path = name, next(iter(self._results.values())).parent
        self.frame_rate_hz, self.screen, self.simulation = FRAME_RATE_HZ, ScreenGeometry(), None
        self.tiers = dict.fromkeys(self._results, TIER)
        self.trial_ids = tuple(self._results)
        self.neuron_ids = np.arange(len(self._read(self.trial_ids[0]).target))

    def trial(self, trial_id: int) -> Trial:
        """A clip."""
        result = self._read(trial_id)
        unknown = np.full((2, len(result.stimulus)), np.nan, np.float32)
        name = f"{self.name}, trial {trial_id}"
        return Trial(trial_id, TIER, result.stimulus, unknown, unknown, result.target, self.frame_rate_hz, name)

    def clip_frames(self, trial_id: int) -> int:
        """Length of a clip in frames."""
        return len(self._read(trial_id).stimulus)

    def _read(self, trial_id: int) -> Reconstruction:
        return read_published(self._results[trial_id])


@dataclass
class PublishedStore(RunStore):
    """Published results as finished runs.

    Parameters
    ----------
    files
        The file that stands for each run.
    """

    files: dict[RunSpec, Path] = field(default_factory=dict)

    def require(self, specs: Iterable[RunSpec]) -> None:
        """Refuse runs that no file stands for.

        Raises
        ------
        RunError
            Names the first.
        """
        for spec in specs:
            if spec not in self.files:
                raise RunError(
                    f"{spec.label}: expected a published result for it, found none; only studies of the standard "
                    "reconstructions can be made from published results"
                )

    def load(self, spec: RunSpec) -> Reconstruction:
        """A result.

        Returns
        -------
        Reconstruction
            As the published code left it.

        Raises
        ------
        RunError
            There is none of that kind.
        """
        self.require([spec])
        return read_published(self.files[spec])


def open_published(places: Sequence[Path], out: Path) -> tuple[Plan, PublishedStore]:
    """Take published results for runs.

    Parameters
    ----------
    places
        Files `reconstruction_summary_*.npy`, or folders that hold such files, of the standard method.
    out
        Where studies are written.

    Returns
    -------
    tuple[Plan, PublishedStore]
        A plan of the mice and clips that the files hold.

    Raises
    ------
    RunError
        No file; a file that is no result, or one of a variant; files that do not belong together.
    """
    found: dict[str, dict[int, list[Path]]] = {}
    config: ReconstructionConfig | None = None
    stimuli: dict[tuple[str, int], np.ndarray] = {}
    for file in _files(places):
        result = read_published(file)
        _require_standard(file, result)
        config = config or result.config
        if result.config != config:
            raise RunError(
                f"{file}: expected the settings of the other files, found {result.config.differences(config)}"
            )
        mouse, trial = f"mouse {result.provenance['mouse_index'] + 1}", int(result.provenance["trial"])
        if not np.array_equal(stimuli.setdefault((mouse, trial), result.stimulus), result.stimulus):
            raise RunError(
                f"{file}: expected the same clip as in the other files of {mouse}, trial {trial}, found another"
            )
        found.setdefault(mouse, {}).setdefault(trial, []).append(file)
    assert config is not None
    mice = tuple(_mouse(name, found[name]) for name in sorted(found))
    clips = max(len(mouse.results) for mouse in mice)
    changes = {"steps": config.steps, "learning_rate": config.update.learning_rate}
    scale = Scale(
        "published", clips=clips, many_clips=clips, frames=None, encoders=None, preset="paper", changes=changes
    )
    plan = Plan(mice, scale)
    files = {
        spec: file
        for clip in plan.clips
        for spec, file in zip(plan.standard(clip), found[clip.mouse.name][clip.trial], strict=True)
    }
    return plan, PublishedStore(out, files=files)


def _files(places: Iterable[Path]) -> Iterator[Path]:
    files = [file for place in places for file in (_files_in(place) if place.is_dir() else [place])]
    if not files:
        raise RunError(f"{', '.join(map(str, places))}: expected files {PATTERN}, found none")
    yield from dict.fromkeys(files)


def _files_in(folder: Path) -> list[Path]:
    files = sorted(folder.rglob(PATTERN))
    for file in files:
        check_inside(folder, file, RunError)
    return files


def _require_standard(file: Path, result: Reconstruction) -> None:
    told = str(result.provenance["settings"].get("save_path", ""))
    variant = [name for name in VARIANTS if name in told or name in str(file)]
    if not result.keep.all() or result.provenance["mask_threshold"] != TRAINING_THRESHOLD:
        variant.append("fewer neurons" if not result.keep.all() else "another training mask")
    if variant:
        raise RunError(f"{file}: expected a standard reconstruction, found a variant of the method ({variant[0]})")


def _mouse(name: str, clips: dict[int, list[Path]]) -> PublishedMouse:
    counts = {len(files) for files in clips.values()}
    if len(counts) > 1:
        raise RunError(f"{name}: expected as many results for each clip, found from {min(counts)} to {max(counts)}")
    results = tuple((trial, tuple(files)) for trial, files in sorted(clips.items()))
    first = results[0][1]
    return PublishedMouse(first[0].parent, first, first[0], name, results=results)
