"""How large a benchmark is: sizes, steps and repeats of every case."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.speed.stand_ins import PUBLISHED, SMALL
from napari_vidrecon.encoders.architectures.dwiseneuro import DwiseNeuroConfig


@dataclass(frozen=True)
class Scale:
    """Sizes of the cases.

    Parameters
    ----------
    repeats, large_repeats
        Timed calls of each side; `large_repeats` for the large encoder.
    warmups
        Calls before that are not timed; none for the large encoder.
    small, large
        The two encoders with random weights.
    small_frames, large_frames, large_prediction_frames
        Lengths of their clips.
    sample_frames, sample_first_frame
        Which part of the sample's clips.
    clip_steps
        Steps of a whole reconstruction with tracking.
    run_steps
        Steps of each run of an ensemble, and of each of several clips.
    ensembles, clips
        How many at once.
    quality_clips
        held-out clips.
    quality_steps
        Steps of the preset `paper`, whose best lies before.
    quality_most_steps
        Of the other presets; None for their own.
    check_frames, large_check_frames
        Length of the clips whose gradients are compared.
    growth_...
        Sizes at which the cost is measured.
    """

    repeats: int = 5
    large_repeats: int = 5
    warmups: int = 1
    small: DwiseNeuroConfig = SMALL
    large: DwiseNeuroConfig = PUBLISHED
    small_frames: int = 300
    large_frames: int = 36
    large_prediction_frames: int = 36
    sample_frames: int = 64
    sample_first_frame: int = 30
    clip_steps: int = 30
    run_steps: int = 5
    ensembles: tuple[int, ...] = (1, 3, 5, 7)
    clips: tuple[int, ...] = (1, 2, 4)
    quality_clips: int = 10
    quality_steps: int = 100
    quality_most_steps: int | None = None
    check_frames: int = 60
    large_check_frames: int = 33
    growth_frames: tuple[int, ...] = (48, 96, 192, 300)
    growth_neurons: tuple[int, ...] = (500, 2000, 8000)
    growth_encoders: tuple[int, ...] = (1, 2, 4)
    growth_steps: tuple[int, ...] = (10, 20, 40)

    def with_repeats(self, repeats: int) -> Scale:
        """The same with another number of timed calls of everything."""
        return replace(self, repeats=repeats, large_repeats=repeats)


WHOLE = Scale()
"""What `docs/performance.md` holds; takes about half an hour on two cores."""

QUICK = Scale(
    repeats=1,
    large_repeats=1,
    warmups=0,
    small=replace(SMALL, core_features=(16, 16), spatial_strides=(4, 2)),
    large=replace(
        PUBLISHED,
        readout_outputs=(1000,),
        core_features=(16, 32),
        spatial_strides=(4, 2),
        cortex_features=(256, 512),
    ),
    small_frames=40,
    large_frames=33,
    large_prediction_frames=34,
    sample_frames=48,
    clip_steps=3,
    run_steps=2,
    ensembles=(3,),
    clips=(2,),
    quality_clips=1,
    quality_steps=10,
    quality_most_steps=10,
    check_frames=32,
    large_check_frames=32,
    growth_frames=(33, 48),
    growth_neurons=(500, 1000),
    growth_encoders=(1, 2),
    growth_steps=(2, 4),
)
"""A look at whether everything works, in seconds; its ratios say little."""
