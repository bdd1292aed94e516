"""One run of a study: everything that decides it, the hash it is found by, and the runs that are finished."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_vidrecon.errors import RunError, SessionError, StorageError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.inputs import RunChoices, RunInputs, choices_of
from napari_vidrecon.reconstruction.priors import prior_identity
from napari_vidrecon.reconstruction.recipe import fingerprint
from napari_vidrecon.reconstruction.results import SUFFIX, Reconstruction
from napari_vidrecon.reconstruction.run import Run
from napari_vidrecon.reconstruction.run_folder import read_video
from napari_vidrecon.reconstruction.runner import Runner
from napari_vidrecon.reconstruction.targets import NeuronSet
from napari_vidrecon.sessions.session import Session
from napari_vidrecon.sessions.stimuli.stimulus import Stimulus, stimulus_trial
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.sessions.trial_files import STREAMS
from napari_vidrecon.storage import file_hash, read_json
from napari_vidrecon.studies.mice import Mouse

KEY_FORMAT = 1
"""Part of every key: raise it when the same inputs no longer lead to the same result."""
KEY_LETTERS = 24
SAVE_EVERY_SECONDS = 60.0
ABLATED_WORDS = {"drop": "left out", "silence": "held at 0"}
SIZES = ("steps", "track_every", "track_skip_frames", "track_responses")
"""Settings that a scale changes for all runs alike; they tell none from another."""

TargetKind = Literal["recorded", "predicted", "permuted", "other clip"]


@dataclass(frozen=True)
class RunSpec(RunChoices):
    """One reconstruction: a pure function of these fields and of the files they name.

    Parameters
    ----------
    mouse
        Whose files are used.
    config
        Every setting of the optimisation.
    encoders
        Which of the mouse's encoders reconstruct; several only with `ensemble="gradients"`.
    trial
        The clip, or None for a stimulus.
    stimulus
        What is shown instead of a clip.
    frames
        Part of the clip, first frame and end.
    target
        Activity to match; "other clip" takes what was recorded during `other_trial`.
    other_trial
        Trial whose recorded activity is taken, with the target "other clip".
    target_encoders
        Who predict a predicted target; empty means `encoders`.
    ablated_fraction, ablation_seed
        Neurons left out; `ablation` says what becomes of them.
    """

    mouse: Mouse
    config: ReconstructionConfig
    encoders: tuple[int, ...] = (0,)
    trial: int | None = None
    stimulus: Stimulus | None = None
    frames: tuple[int, int] | None = None
    target: TargetKind = "recorded"
    other_trial: int | None = None
    target_encoders: tuple[int, ...] = ()
    ablated_fraction: float = 0.0
    ablation_seed: int = 0

    def changed(self, **fields: Any) -> RunSpec:
        """The same run with some fields changed."""
        return replace(self, **fields)

    @property
    def label(self) -> str:
        """What it reconstructs and what is special about it, for people."""
        shown = self.stimulus.name if self.stimulus is not None else f"trial {self.trial}"
        return ", ".join([self.mouse.name, shown, _numbered(self.encoders), *self._special()])

    def _special(self) -> Iterator[str]:
        """What tells this run from the standard one of the whole clip, in words."""
        if self.frames is not None:
            yield f"frames {self.frames[0]} to {self.frames[1]}"
        if self.target == "other clip":
            yield f"from the activity of trial {self.other_trial}"
        elif self.target == "predicted" and self.target_encoders not in ((), self.encoders):
            yield f"from activity predicted by {_numbered(self.target_encoders)}"
        elif self.target != "recorded":
            yield f"from {self.target} activity"
        if self.ablated_fraction:
            yield f"{100 * self.ablated_fraction:g} % of the neurons {ABLATED_WORDS[self.ablation]}"
        for name in ("mask_threshold", "evaluation_threshold"):
            usual = next(each.default for each in fields(self) if each.name == name)
            if getattr(self, name) != usual:
                yield f"{name.replace('_', ' ')} {getattr(self, name):g}"
        if len(self.encoders) > 1:
            yield f"{self.ensemble} averaged"
        preset = ReconstructionConfig.preset(self.config.preset_name)
        for name, (mine, _) in self.config.differences(preset).items():
            if name not in SIZES:
                yield f"{name.replace('_', ' ')} {mine}"

    def open_trial(self, session: Session) -> Trial:
        """The clip or stimulus that is reconstructed.

        Returns
        -------
        Trial
            Cut to `frames`.

        Raises
        ------
        SessionError
            The clip cannot be read, or is too short.
        """
        if self.stimulus is not None:
            return stimulus_trial(self.stimulus, session)
        if self.trial is None:
            raise SessionError(f"{self.mouse.session}: expected a trial or a stimulus, found neither")
        return _part(session.trial(self.trial), self.frames)

    def plan(self, device: str = "auto") -> Run:
        """Open everything and build the run.

        Returns
        -------
        Run
            Nothing is optimised yet.

        Raises
        ------
        VidreconError
            An input cannot be read, or does not fit the others.
        """
        session = self.mouse.open_session()
        trial = self.open_trial(session)
        opened = {index: self.mouse.load_encoder(index, device) for index in {*self.encoders, *self.target_encoders}}
        target: str | np.ndarray = self.target
        if self.target == "other clip":
            if self.other_trial is None:
                raise SessionError(f"{self.mouse.session}: expected the other clip's trial, found none")
            target = _part(session.trial(self.other_trial), self.frames).responses
        neurons = None
        if self.ablated_fraction:
            neurons = NeuronSet.random(session.n_neurons, self.ablated_fraction, self.ablation_seed)
        encoders, measuring = ([opened[each] for each in chosen] for chosen in (self.encoders, self.target_encoders))
        more = {**choices_of(self), "target": target, "target_encoders": measuring, "neurons": neurons}
        return Run.plan(RunInputs(trial, encoders, self.mouse.load_mask(), self.config, **more))

    def compute(self, folder: Path, device: str = "auto") -> None:
        """Reconstruct into a run folder; goes on where an earlier process was killed.

        Raises
        ------
        VidreconError
            An input cannot be read, or the folder cannot be written.
        """
        run = self.plan(device)
        run.provenance["study"] = {"label": self.label}
        # Another process with the same run is waited for; what it made is taken over. A damaged or foreign copy is no
        # loss: the run starts anew and replaces it.
        runner = Runner(run, save_to=folder, save_every_seconds=SAVE_EVERY_SECONDS)
        runner.resume_or_start(wait_s=-1, replace=True)


def _numbered(encoders: Sequence[int]) -> str:
    return f"encoder{'s' if len(encoders) > 1 else ''} {', '.join(map(str, encoders))}"


def _part(trial: Trial, frames: tuple[int, int] | None) -> Trial:
    return trial if frames is None else trial.part(frames[0], min(frames[1], trial.frames))


@dataclass
class Keys:
    """Hashes of runs, from the content of every file they read; each file is read once.

    Two runs share a key exactly when the same files, settings and stimulus go into them, wherever the files lie.
    """

    _digests: dict[Path, str] = field(default_factory=dict)

    def of(self, spec: RunSpec) -> str:
        """Hexadecimal key of a run; the name of its folder.

        Returns
        -------
        str
            24 digits.

        Raises
        ------
        StorageError
            A file it would read is not there.
        """
        session = spec.mouse.open_session()
        decisive: dict[str, Any] = {
            "format": KEY_FORMAT,
            "config": spec.config.decisive,
            "encoders": [self._file(spec.mouse.encoders[index]) for index in spec.encoders],
            "target_encoders": [self._file(spec.mouse.encoders[index]) for index in spec.target_encoders],
            "readout": spec.mouse.readout,
            "mask": self._file(spec.mouse.mask),
            "frames": spec.frames,
            "shown": self._shown(spec, session),
            "target": spec.target,
            "other_trial": None if spec.other_trial is None else self._trial(session, spec.other_trial),
            "ablated": [spec.ablated_fraction, spec.ablation_seed, spec.ablation] if spec.ablated_fraction else None,
            "thresholds": [spec.mask_threshold, spec.evaluation_threshold],
            "ensemble": spec.ensemble if len(spec.encoders) > 1 else "single",
        }
        if spec.config.outside_prior:
            settings = spec.config.values["prior_settings"]
            decisive["prior"] = prior_identity(spec.config.outside_prior, settings, session.frame_rate_hz)
        return fingerprint(decisive)[:KEY_LETTERS]

    def _shown(self, spec: RunSpec, session: Session) -> Any:
        if spec.stimulus is None:
            return self._trial(session, spec.trial if spec.trial is not None else -1)
        behavior, pupil = session.average_behavior()
        # What it is shown on is told by the session, and was no part of a key before it could be chosen.
        told = asdict(spec.stimulus).items()  # type: ignore[call-overload]
        fields = {name: str(value) for name, value in told if name not in ("screen", "frame_rate_hz")}
        content = getattr(spec.stimulus, "content", "")
        return [type(spec.stimulus).__name__, fields, content, behavior.tolist(), pupil.tolist()]

    def _trial(self, session: Session, trial: int) -> list[str]:
        files = [session.file(stream, trial) for stream in STREAMS]
        return [self._file(file) if file.exists() else "none" for file in files]

    def _file(self, file: Path) -> str:
        if file not in self._digests:
            self._digests[file] = file_hash(file, "a file to read")
        return self._digests[file]


def without_repeats(specs: Sequence[RunSpec], keys: Keys) -> dict[str, RunSpec]:
    """Runs by key, each once, in order."""
    return {keys.of(spec): spec for spec in specs}


RUNS_FOLDER = "runs"
DESCRIPTION = "zarr.json"
"""Where zarr keeps a folder's attributes."""


@dataclass
class RunStore:
    """The runs of all studies that share an output folder.

    Parameters
    ----------
    out
        The output folder; runs lie in `out/runs/<key>.zarr`.
    keys
        Keys of runs, so that files are hashed once.
    """

    out: Path
    keys: Keys = field(default_factory=Keys)

    def folder(self, key: str) -> Path:
        """Where a run of this key lies."""
        return self.out / RUNS_FOLDER / f"{key}{SUFFIX}"

    def has(self, key: str) -> bool:
        """Whether a finished run of this key is there."""
        return is_finished(self.folder(key))

    def load(self, spec: RunSpec) -> Reconstruction:
        """A finished run.

        Returns
        -------
        Reconstruction
            Its arrays are in memory.

        Raises
        ------
        RunError
            It was not run, or is not finished.
        """
        folder = self.folder(self.keys.of(spec))
        with _told_to_remove():
            found = Reconstruction.load(folder)
        if not found.finished:
            raise RunError(f"{folder}: expected a finished run, found one of {len(found.history)} steps; run it again")
        return found

    def videos(self, specs: Iterable[RunSpec]) -> list[np.ndarray]:
        """The movies of several runs, each clipped to 0..255 as before an average over encoders."""
        return [np.clip(self._video(spec), 0.0, 255.0) for spec in specs]

    def _video(self, spec: RunSpec) -> np.ndarray:
        folder = self.folder(self.keys.of(spec))
        if not is_finished(folder):
            # Tells what is the matter.
            return self.load(spec).video
        with _told_to_remove():
            return read_video(folder)


@contextlib.contextmanager
def _told_to_remove() -> Iterator[None]:
    try:
        yield
    except RunError as error:
        raise RunError(f"{error}; remove this folder, and the same command runs it again") from None


def is_finished(folder: Path) -> bool:
    """Whether a folder holds a finished run; reads its description only, never its arrays.

    Parameters
    ----------
    folder
        The run's own; a damaged one is not finished.

    Returns
    -------
    bool
        False, too, where nothing is there.
    """
    try:
        told = read_json(folder / DESCRIPTION)
    except StorageError:
        return False
    attributes = told.get("attributes") if isinstance(told, dict) else None
    return isinstance(attributes, dict) and attributes.get("finished") is True
