"""The semi-real mouse: neurons of a published model of real ones, with simulated noise.

Where its neurons look, where they lie in cortex and what they answer to a picture is what a model learned of a real
mouse. Simulated are the temporal kernel, the gain, behaviour, noise and, unless films are given, the movies.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_vidrecon.encoders.architectures.sensorium2022 import Sensorium2022, additions
from napari_vidrecon.encoders.checkpoints import load_encoder, save_encoder
from napari_vidrecon.encoders.encoder import INPUT_CHANNELS, EncoderSpec
from napari_vidrecon.encoders.window_encoder import WindowEncoder
from napari_vidrecon.errors import ConfigError, EncoderError, StorageError
from napari_vidrecon.sessions.simulation import signals
from napari_vidrecon.sessions.simulation.behavior import EYE_CENTRE_PX, PUPIL_MEAN, simulate_behavior
from napari_vidrecon.sessions.simulation.movies import movie
from napari_vidrecon.sessions.simulation.public_mice import PUBLIC_GRADING, PublicActivity
from napari_vidrecon.sessions.simulation.visual_cortex import CALIBRATION_SEEDS_FROM
from napari_vidrecon.sessions.stimuli.stimulus import MovieFile, movie_files
from napari_vidrecon.sessions.trial import Trial

LIKENESS = "sensorium2022"
PICK_STREAM = 14
UM_PER_GRID = 308.0
"""The files tell places in cortex in parts of the largest distance; the public mice's planes are 616 µm wide."""
CALIBRATION_CLIPS, CALIBRATION_FRAMES = 8, 90
NEUTRAL_BEHAVIOR = np.array([PUPIL_MEAN, 0.0, *EYE_CENTRE_PX])
"""Of the simulated behaviour: pupil size, running, pupil x and y."""
NOTE = (
    "Semi-real mouse made by napari-vidrecon: where neurons look, where they lie and what they answer to a picture is a"
    " published model of a real mouse; temporal kernel, gain, behaviour and noise are simulated. No recording. Every "
    "clip is shown once; all tiers have responses; the train tier is the only one to learn from."
)


def picked_neurons(available: int, wanted: int, seed: int) -> np.ndarray:
    """Which of a model's neurons a mouse has.

    Parameters
    ----------
    available
        Neurons of the model.
    wanted
        How many.
    seed
        Of the mouse.

    Returns
    -------
    np.ndarray
        (N,) ascending indices.

    Raises
    ------
    ConfigError
        The model has fewer.
    """
    if not 1 <= wanted <= available:
        raise ConfigError(f"--neurons: expected 1 to {available}, as many as the encoder has, found {wanted}")
    drawn = np.random.default_rng([seed, PICK_STREAM]).permutation(available)[:wanted]
    return np.sort(drawn)


@dataclass(frozen=True)
class Films:
    """Movies that a person gives, cut into clips one after the other.

    Parameters
    ----------
    path
        A film, or a folder of films in the order of their names.
    clips
        (clips, frames, 36, 64) uint8.
    """

    path: Path
    clips: np.ndarray

    @classmethod
    def read(cls, path: Path, frames: int, wanted: int) -> Films:
        """The first clips of a film, or of the films of a folder.

        Parameters
        ----------
        path
            Where they are.
        frames
            Of a clip.
        wanted
            How many clips.

        Returns
        -------
        Films
            Of as many.

        Raises
        ------
        StorageError
            There are fewer, or a film cannot be read.
        """
        files = movie_files(path) if path.is_dir() else [path]
        clips: list[np.ndarray] = []
        for file in files:
            shown = np.rint(MovieFile(file).video()).clip(0, 255).astype(np.uint8)
            clips += [shown[first : first + frames] for first in range(0, len(shown) - frames + 1, frames)]
            if len(clips) >= wanted:
                return cls(path, np.stack(clips[:wanted]))
        raise StorageError(
            f"{path}: expected {wanted} clips of {frames} frames, found {len(clips)}; give more films, "
            "or fewer --trials, --validation-trials and --test-trials"
        )


class SemiRealMouse:
    """Some neurons of a published model that watch movies and are recorded by a slow, noisy microscope.

    Parameters
    ----------
    module
        The model of these neurons alone.
    spec
        Of the encoder that the module is of.
    neurons
        (N,) their indices in it.
    seed
        Of movies, behaviour and noise.
    films
        Movies instead of made ones.

    Attributes
    ----------
    fields, readout_points
        (N, 2) row and column of the screen where receptive fields lie, and of the points that the readout looks at, px.
    coordinates
        (N, 3) int place in cortex [x, y, z], µm; z is 0, as the model does not tell the depth.
    gain
        (N,) response units for a unit of the model's answer: with it, mean responses are those of the public mice.
    """

    def __init__(
        self, module: Sensorium2022, spec: EncoderSpec, neurons: np.ndarray, seed: int, films: Films | None = None
    ) -> None:
        self.module, self.spec, self.neurons, self.seed, self.films = module, spec, neurons, seed, films
        self.fields, self.readout_points = module.fields().numpy(), module.centres().numpy()
        self.activity = PublicActivity(len(neurons), seed)
        grid = module.readout().source_grid.numpy()
        self.coordinates = np.rint(np.column_stack([grid * UM_PER_GRID, np.zeros(len(grid))])).astype(np.int64)
        answers = [self._answer(*self._calibration(clip)).mean(axis=1) for clip in range(CALIBRATION_CLIPS)]
        self.gain = (self.activity.mean_response / np.mean(answers, axis=0)).astype(np.float32)
        module.readout().gain *= torch.from_numpy(self.gain)

    @classmethod
    def of_file(
        cls, path: Path, neurons: int, seed: int, mouse: int | str | None = None, films: Films | None = None
    ) -> SemiRealMouse:
        """A mouse with some neurons of a published encoder.

        Parameters
        ----------
        path
            The encoder.
        neurons
            How many.
        seed
            Draws which ones, movies, behaviour and noise.
        mouse
            Readout of the encoder; None where it has only one.
        films
            Movies instead of made ones.

        Returns
        -------
        SemiRealMouse
            Its noise has the statistics of the public mice.

        Raises
        ------
        EncoderError
            No such encoder, or of another architecture.
        ConfigError
            It has fewer neurons.
        """
        encoder = load_encoder(path, mouse, "cpu")
        if not isinstance(encoder.module, Sensorium2022):
            raise EncoderError(
                f"{path}: expected a published encoder of Sensorium 2022, found one of the architecture "
                f"{encoder.spec.architecture}"
            )
        picked = picked_neurons(encoder.spec.neurons, neurons, seed)
        return cls(encoder.module.of_neurons(torch.from_numpy(picked)), encoder.spec, picked, seed, films)

    def __len__(self) -> int:
        return len(self.neurons)

    @torch.no_grad()
    def _answer(self, video: np.ndarray, behavior: np.ndarray, pupil_center: np.ndarray) -> np.ndarray:
        """(N, T) what the neurons answer, each frame computed once and not in every window it stands in."""
        frames, size = len(video), video.shape[1:]
        x = torch.zeros(INPUT_CHANNELS, frames, *size)
        x[0] = torch.as_tensor(video)
        state = torch.as_tensor(np.concatenate([behavior, pupil_center]), dtype=torch.float32)
        x[1:] = state[:, :, None, None]
        step, first = self.spec.windows.step, x[:, :1]
        drive = torch.zeros(len(self), frames)
        for phase in range(step):
            # Frames a step apart, as in a window, so that the pupil's change is told over the same time.
            part = x[:, phase::step] if phase < frames else first
            drive[:, phase::step] = self.module.drive(part[None])[0]
        return self.module.answer(drive[None], step=step)[0].numpy()

    def _calibration(self, clip: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A movie and behaviour that no trial has; of films given, one of theirs."""
        seed = self.seed + CALIBRATION_SEEDS_FROM
        if self.films is None:
            video = movie(seed, clip, CALIBRATION_FRAMES, PUBLIC_GRADING)
        else:
            every = max(len(self.films.clips) // CALIBRATION_CLIPS, 1)
            video = self.films.clips[clip * every % len(self.films.clips)][:CALIBRATION_FRAMES].astype(np.float32)
        return video, *simulate_behavior(seed, clip, len(video))

    def rates(self, video: np.ndarray, behavior: np.ndarray, pupil_center: np.ndarray) -> np.ndarray:
        """Expected response: what recordings would average to over endless repeats.

        Parameters
        ----------
        video
            (T, 36, 64) grey levels 0..255.
        behavior
            (2, T) pupil dilation and running speed.
        pupil_center
            (2, T) camera pixels.

        Returns
        -------
        np.ndarray
            (N, T) float32, response units.
        """
        counts = self.activity.counts(self._answer(video, behavior, pupil_center))
        return signals.to_video_clock(signals.residual(counts) * self.activity.event_size[:, None], len(video))

    def trial(self, trial: int, *, frames: int, tier: str) -> Trial:
        """One trial: a pure function of the mouse and the trial's number.

        Parameters
        ----------
        trial
            Its number, and that of the clip it shows.
        frames
            Length of the clip.
        tier
            Label of the trial.

        Returns
        -------
        Trial
            Responses included.
        """
        if self.films is None:
            video = movie(self.seed, trial, frames, PUBLIC_GRADING)
        else:
            video = self.films.clips[trial].astype(np.float32)
        behavior, pupil_center = simulate_behavior(self.seed, trial, frames)
        counts = self.activity.counts(self._answer(video, behavior, pupil_center))
        return Trial(
            id=trial,
            tier=tier,
            video=video,
            behavior=behavior,
            pupil_center=pupil_center,
            recorded_responses=signals.to_video_clock(self.activity.scan(counts, trial), frames),
            name=f"semi-real mouse {self.seed}, trial {trial}",
            simulated=True,
        )

    def notes(self) -> dict[str, Any]:
        """Everything that a reader of its files may want to check, ready for JSON."""
        per_neuron = {
            "row_px": self.fields[:, 0],
            "column_px": self.fields[:, 1],
            "readout_row_px": self.readout_points[:, 0],
            "readout_column_px": self.readout_points[:, 1],
            "mean_response": self.activity.mean_response,
            "event_size": self.activity.event_size,
            "gain": self.gain,
        }
        return {
            "simulated": True,
            "semi_real": True,
            "vidrecon_note": NOTE,
            "like": LIKENESS,
            "model": {"file": self.spec.name, "sha256": self.spec.sha256, "mouse": self.spec.mouse},
            "additions": self._additions(),
            "seed": self.seed,
            "neurons": len(self),
            "films": None if self.films is None else self.films.path.name,
            "per_neuron": {
                "model_neuron": self.neurons.tolist(),
                **{name: np.round(values.astype(float), 4).tolist() for name, values in per_neuron.items()},
            },
        }

    def _additions(self) -> str:
        return additions(self.module.config.temporal_kernel, "of each neuron, mean responses of the public mice")

    def encoder(self) -> WindowEncoder:
        """The model of these neurons in units of the recorded activity: the best there is for this mouse."""
        spec = replace(self.spec, neurons=len(self), sha256="", weights="", path="", provenance=self._provenance())
        return WindowEncoder(self.module, spec, neutral_behavior=NEUTRAL_BEHAVIOR)

    def save_encoder(self, path: Path, session: str) -> None:
        """Write the encoder of these neurons.

        Parameters
        ----------
        path
            The `.safetensors` file.
        session
            Name of the mouse's session, which the readout is bound to.
        """
        save_encoder(
            path,
            self.module,
            architecture=LIKENESS,
            mice=[session],
            canvas=self.spec.canvas,
            windows=self.spec.windows,
            frame_rate_hz=self.spec.frame_rate_hz,
            provenance=self._provenance(),
        )

    def _provenance(self) -> dict[str, Any]:
        told = {name: self.spec.provenance[name] for name in ("citation", "licence") if name in self.spec.provenance}
        model = f"{len(self)} neurons of {self.spec.name} ({self.spec.mouse}), sha256 {self.spec.sha256}"
        return {
            **told,
            "simulated": True,
            "semi_real": model,
            "additions": self._additions(),
            "neutral_behavior": NEUTRAL_BEHAVIOR.tolist(),
        }
