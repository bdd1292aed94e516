"""How large a study is: the paper's own size, or one that a laptop finishes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ

StimulusTarget = Literal["self", "ensemble"]
MOST_SKIPPED_PART = 4
"""At most a fourth of the shortest cut is not measured, at either end."""


@dataclass(frozen=True)
class Scale:
    """Size of the grid of runs; its frames are those of movies at 30 Hz until `at_rate` says otherwise.

    Parameters
    ----------
    name
        "quick" or "paper".
    clips
        Clips a mouse, at most.
    many_clips
        Clips a mouse where a distribution over clips, or every clip, is shown.
    example_frames
        First and end frame of the few clips shown at length; None for the whole clip.
    frames
        First and end frame of each clip; None for the whole clip.
    encoders
        Encoders a mouse, at most; the ensembling study takes all there are.
    preset, changes
        The settings every run starts from.
    skip_first, skip_last
        Frames of a reconstruction that are not measured, at its ends.
    stimulus_preset, stimulus_changes
        The settings of noise and gratings; no preset takes those of every run.
    stimulus_target
        Who predicts the activity they are reconstructed from: the encoder itself, or all of them.
    stimulus_frames
        Length of noise and gratings.
    stimulus_skip
        Their first frames that are not measured.
    noise_mice, grating_mice
        Mice that see stimuli, at most.
    noise_px, noise_frames
        Length constants.
    noise_seeds
        Repetitions.
    grating_cycles_px, grating_hz, grating_directions
        Frequencies and directions.
    mapping
        Preset of the mapping of receptive fields, quick or published.
    """

    name: str
    clips: int
    frames: tuple[int, int] | None
    encoders: int | None
    preset: str
    changes: dict[str, Any] = field(default_factory=dict)
    skip_first: int = 30
    skip_last: int = 0
    stimulus_preset: str = ""
    stimulus_changes: dict[str, Any] = field(default_factory=dict)
    stimulus_target: StimulusTarget = "self"
    stimulus_frames: int = 60
    stimulus_skip: int = 30
    noise_mice: int = 3
    grating_mice: int = 1
    noise_px: tuple[int, ...] = (0, 1, 2, 4, 8, 16, 32)
    noise_frames: tuple[int, ...] = (0, 1, 2, 4, 8, 16, 32)
    noise_seeds: int = 5
    grating_cycles_px: tuple[float, ...] = (0.0625, 0.125, 0.25, 0.5)
    grating_hz: tuple[float, ...] = (15, 7.5, 3.75, 1.875, 0.9375, 0.46875, 0)
    grating_directions: int = 4
    mapping: str = "quick"
    many_clips: int = 10
    example_frames: tuple[int, int] | None = None

    def config(self) -> ReconstructionConfig:
        """Settings of a run at this scale."""
        return ReconstructionConfig.preset(self.preset, **self.changes)

    def stimulus_config(self) -> ReconstructionConfig:
        """Settings of a run that reconstructs noise or gratings."""
        if not self.stimulus_preset:
            return self.config()
        return ReconstructionConfig.preset(self.stimulus_preset, **self.stimulus_changes)

    def at_rate(self, frame_rate_hz: float) -> Scale:
        """The same scale for movies of another rate: clips as long in seconds, and never of fewer frames.

        Parameters
        ----------
        frame_rate_hz
            Of the movies, frames a second.

        Returns
        -------
        Scale
            A new one; itself up to 30 Hz.
        """
        longer = max(1.0, frame_rate_hz / FRAME_RATE_HZ)

        def cut(frames: tuple[int, int] | None) -> tuple[int, int] | None:
            return frames and (round(frames[0] * longer), round(frames[1] * longer))

        return replace(
            self,
            frames=cut(self.frames),
            example_frames=cut(self.example_frames),
            skip_first=round(self.skip_first * longer),
            skip_last=round(self.skip_last * longer),
            stimulus_frames=round(self.stimulus_frames * longer),
            stimulus_skip=round(self.stimulus_skip * longer),
        )

    def within(self, shortest: int) -> Scale:
        """The same scale for clips that may be short: their cut begins earlier, and most of it is measured.

        Parameters
        ----------
        shortest
            Frames of the shortest clip.

        Returns
        -------
        Scale
            A new one; equal to this one where every clip reaches to the end of its cut.
        """
        first, end = self.frames or (0, shortest)
        moved = min(first, max(0, end - shortest))
        most_skipped = min(end - first, shortest) // MOST_SKIPPED_PART
        return replace(
            self,
            frames=self.frames and (first - moved, end - moved),
            example_frames=self.example_frames and (self.example_frames[0] - moved, self.example_frames[1]),
            skip_first=min(self.skip_first, most_skipped),
            skip_last=min(self.skip_last, most_skipped),
        )

    def with_stimulus_target(self, name: str) -> Scale:
        """The same scale with another predictor of the activity that noise and gratings are reconstructed from.

        Returns
        -------
        Scale
            A new one.

        Raises
        ------
        ConfigError
            No such predictor.
        """
        known: dict[str, StimulusTarget] = {target: target for target in get_args(StimulusTarget)}
        if name not in known:
            raise ConfigError(f"--stimulus-target {name}: expected {' or '.join(known)}")
        return replace(self, stimulus_target=known[name])


SCALES = {
    "quick": Scale(
        "quick",
        clips=3,
        frames=(30, 78),
        example_frames=(30, 180),
        encoders=2,
        preset="fast",
        changes={"steps": 40, "track_every": 2},
        skip_first=8,
        skip_last=4,
        # A prior of natural movies would decide what noise and gratings look like, so none is used for them.
        stimulus_preset="paper",
        stimulus_changes={
            "steps": 30,
            "learning_rate": 5000.0,
            "schedule": "random_offset",
            "sub_batch_stride": 32,
            "duplicate_last_sub_batch": False,
            "track_responses": False,
        },
        noise_mice=1,
        noise_px=(0, 1, 2, 4, 8, 16),
        noise_frames=(0, 1, 2, 4, 8, 16),
        noise_seeds=1,
        grating_directions=1,
    ),
    "paper": Scale("paper", clips=10, frames=None, encoders=None, preset="paper", mapping="published"),
}


def scale_named(name: str) -> Scale:
    """A scale by name.

    Returns
    -------
    Scale
        Frozen.

    Raises
    ------
    ConfigError
        There is none of that name.
    """
    if name not in SCALES:
        raise ConfigError(f"--scale {name}: expected {' or '.join(SCALES)}")
    return SCALES[name]
