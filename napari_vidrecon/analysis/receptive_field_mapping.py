"""Showing every patch to every encoder, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from napari_vidrecon.analysis.receptive_fields import ReceptiveFieldMaps
from napari_vidrecon.encoders.answers import check_finite, check_session_fits, check_windows
from napari_vidrecon.encoders.chunks import chunk_that_fits
from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.encoders.windows import FrameWindows
from napari_vidrecon.errors import ConfigError, EncoderError
from napari_vidrecon.reconstruction.inputs import encoder_list
from napari_vidrecon.sessions.screen import USUAL_SCREEN, ScreenGeometry
from napari_vidrecon.sessions.session import Session
from napari_vidrecon.sessions.stimuli.synthetic import GREY_LEVEL, OFF_LEVEL, ON_LEVEL, OnOffPatches
from napari_vidrecon.sessions.trial import FRAME_RATE_HZ
from napari_vidrecon.settings import Settings, listed, of_kind, shown

MOST_FRAMES = 300
"""Ten seconds of each: what an encoder sees of a patch is over long before."""
LEAST_ACTIVITY = 1e-6
LARGEST_INCREASE = 1e4
"""A neuron that is silent before the patch would have no finite increase."""


class MappingRecipe(Settings):
    """Which patches are shown, and through how many of an encoder's windows they are seen.

    The published mapping shows 4608 single pixels and takes all 15 windows of each clip. The quick one shows
    patches of 2 x 2 pixels through three of the windows, a twentieth of the work; the maps are blurred by as
    much afterwards.

    Parameters
    ----------
    before_frames
        Grey before a patch.
    shown_frames
        A patch is on the screen.
    after_frames
        Grey after it.
    """

    patch_px: int = Field(2, ge=1, le=12, description="side of a patch, px")
    before_frames: int = Field(15, ge=1, le=MOST_FRAMES)
    shown_frames: int = Field(15, ge=1, le=MOST_FRAMES)
    after_frames: int = Field(15, ge=0, le=MOST_FRAMES)
    window_stride: int = Field(
        7,
        ge=1,
        le=3 * MOST_FRAMES,
        description="every so many windows are taken, at 30 Hz, and as far apart in time at other rates; 1 takes all",
    )

    @classmethod
    def preset(cls, name: Literal["quick", "published"] | str) -> MappingRecipe:
        """The quick or the published mapping.

        Parameters
        ----------
        name
            "quick" or "published".

        Returns
        -------
        MappingRecipe
            Its settings.

        Raises
        ------
        ConfigError
            No such preset.
        """
        if not isinstance(name, str) or name not in ("quick", "published"):
            raise ConfigError(f"receptive fields: expected the preset quick or published, found {shown(name)}")
        return cls(patch_px=1, window_stride=1) if name == "published" else cls()

    def stride_at(self, frame_rate_hz: float) -> int:
        """Every how many windows are taken of movies of a rate: they lie as far apart in seconds; 1 stays 1."""
        scaled = round(self.window_stride * frame_rate_hz / FRAME_RATE_HZ)
        return self.window_stride if self.window_stride == 1 else max(1, scaled)

    @property
    def patches(self) -> OnOffPatches:
        """The stimulus on the usual screen."""
        return self.patches_on(USUAL_SCREEN, FRAME_RATE_HZ)

    def patches_on(
        self, screen: ScreenGeometry, frame_rate_hz: float, windows: Sequence[FrameWindows] = ()
    ) -> OnOffPatches:
        """The stimulus on a screen: as large, and its parts as long, as on the usual one.

        Parameters
        ----------
        screen, frame_rate_hz
            What it is shown on.
        windows
            Of the encoders. Where at a lower rate a part is shorter than their step it is as long, and where the clip
            is shorter than they are there is more grey before.

        Returns
        -------
        OnOffPatches
            As many patches whatever the windows.
        """
        ratio = frame_rate_hz / FRAME_RATE_HZ
        parts = (self.before_frames, self.shown_frames, self.after_frames)
        step, span = (max((getattr(each, name) for each in windows), default=1) for name in ("step", "span"))
        before, shown, after = (max(round(each * ratio), min(each, step)) for each in parts)
        before += max(0, min(span, sum(parts)) - before - shown - after)
        return OnOffPatches(max(1, round(self.patch_px * screen.px_per_usual_px)), before, shown, after, screen)


def map_receptive_fields(
    session: Session,
    encoders: Sequence[Encoder],
    recipe: MappingRecipe | None = None,
    *,
    on_progress: Callable[[int, int], bool | None] | None = None,
) -> ReceptiveFieldMaps | None:
    """Show every patch, bright and dark, to all encoders and average what they predict.

    Parameters
    ----------
    session
        The mouse; its average behaviour goes with every clip.
    encoders
        Bound to this mouse; all count the same.
    recipe
        Settings; default: the quick mapping.
    on_progress
        Called with (clips done, clips in all) after every batch; return False to stop.

    Returns
    -------
    ReceptiveFieldMaps | None
        The maps, or None if it was stopped.

    Raises
    ------
    ConfigError
        No encoder.
    EncoderError
        An encoder does not fit the session, needs longer clips, or answers NaN or infinity.

    References
    ----------
    Bauer et al. 2026, Fig. 1-S3; there only the last of seven encoders was used by mistake.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> sample = vr.find_sample()
    >>> session = vr.open_session(sample.session)
    >>> from napari_vidrecon.analysis.receptive_field_mapping import MappingRecipe
    >>> encoder = vr.load_encoder(sample.encoders[0], device="cpu")
    >>> maps = vr.map_receptive_fields(session, [encoder], MappingRecipe(patch_px=12))
    >>> len(maps) == session.n_neurons
    True
    """
    recipe, encoders = of_kind(recipe, MappingRecipe, "recipe"), encoder_list(listed(encoders, "encoders"), "encoders")
    windows = [encoder.spec.windows for encoder in encoders]
    patches = recipe.patches_on(session.screen, session.frame_rate_hz, windows)
    for encoder in encoders:
        encoder.require_neurons(session.n_neurons, session.name)
        check_session_fits(encoder, session)
    clips = 2 * len(patches)
    done, total = 0, clips * len(encoders)
    activity = np.zeros((2, len(patches), 2, session.n_neurons), np.float32)
    behavior = [np.repeat(mean[:, None], patches.frames, axis=1) for mean in session.average_behavior()]
    for encoder in encoders:
        viewing = _Viewing(encoder, patches, recipe.stride_at(session.frame_rate_hz), behavior)
        for polarity, level in enumerate((ON_LEVEL, OFF_LEVEL)):
            for places in viewing.batches():
                answer = viewing.activity(places, level)
                check_finite(encoder, answer, f"a patch of grey level {level:g} at place {places[0]} or after")
                activity[polarity, places] += answer / len(encoders)
                done += len(places)
                if on_progress is not None and on_progress(done, total) is False:
                    return None
    before, during = activity[:, :, 0], activity[:, :, 1]
    increase = np.minimum(during / np.maximum(before, LEAST_ACTIVITY) - 1.0, LARGEST_INCREASE)
    on, off = increase.transpose(0, 2, 1).reshape(2, -1, patches.rows, patches.columns)
    provenance = {
        "session": session.name,
        "session_fingerprint": session.fingerprint(),
        "simulated": session.simulated,
        "encoders": [{"name": each.spec.name, "sha256": each.spec.sha256} for each in encoders],
        "recipe": recipe.model_dump(),
    }
    return ReceptiveFieldMaps(on, off, patches, provenance, session.screen, session.coordinates)


class _Viewing:
    """How one encoder sees a patch: the windows it takes, and which of their frames count for what."""

    def __init__(
        self, encoder: Encoder, patches: OnOffPatches, window_stride: int, behavior: Sequence[np.ndarray]
    ) -> None:
        self.encoder, self.patches = encoder, patches
        windows = encoder.spec.windows
        starts = windows.starts(patches.frames)[::window_stride]
        if len(starts) == 0:
            raise EncoderError(
                f"{encoder.spec.name}: expected clips of at least {windows.span} frames, "
                f"found {patches.frames}; show the patches, or the grey, for longer"
            )
        frames = windows.indices(starts)
        # Grey around the screen too, as the published mapping has it; in clips the canvas around it is 0.
        canvas = encoder.spec.canvas
        grey = np.full((patches.frames, canvas.screen_rows, canvas.screen_columns), GREY_LEVEL, np.float32)
        inputs = encoder.pack(grey, *behavior, padding=GREY_LEVEL)
        self._grey = inputs[:, torch.as_tensor(frames, device=encoder.device)].transpose(0, 1)
        self._windows = self._grey.clone()
        shown = (frames >= patches.before) & (frames < patches.before + patches.shown)
        if not (shown.any() and (frames < patches.before).any()):
            raise EncoderError(
                f"{encoder.spec.name}: expected windows that see the patches, and the grey before them, found none "
                f"among every {window_stride} of them; take all with window_stride=1, or show the patches for longer"
            )
        self._shown = torch.as_tensor(shown, device=encoder.device)
        self._weights = torch.as_tensor(
            np.stack([_period_weights(frames, frames < patches.before), _period_weights(frames, shown)]),
            dtype=encoder.dtype,
            device=encoder.device,
        )

    def batches(self) -> Iterator[np.ndarray]:
        """Places shown at once: as many as their windows fit through the encoder."""
        at_once = max(1, chunk_that_fits(self.encoder, gradient=False) // len(self._grey))
        for first in range(0, len(self.patches), at_once):
            yield np.arange(first, min(first + at_once, len(self.patches)))

    @torch.no_grad()
    def activity(self, places: np.ndarray, level: float) -> np.ndarray:
        """Mean activity before and during the patch: (len(places), 2, N)."""
        if len(self._windows) != len(places) * len(self._grey):
            self._windows = self._grey.repeat(len(places), 1, 1, 1, 1)
        windows = self._windows
        self._show(places, level)
        chunk = chunk_that_fits(self.encoder, gradient=False)
        answers = []
        for part in windows.split(chunk):
            answers.append(self.encoder.responses(part))
            check_windows(self.encoder, answers[-1], len(part), self.encoder.spec.neurons)
        seen = torch.cat(answers)
        # Taken off again, which is less work than to copy all of the grey for every batch.
        self._show(places, GREY_LEVEL)
        by_place = seen.unflatten(0, (len(places), len(self._grey)))
        return torch.einsum("bwnk,pwk->bpn", by_place, self._weights).float().cpu().numpy()

    def _show(self, places: np.ndarray, level: float) -> None:
        """Give each place's patch a grey level, in windows of its own."""
        screen = self.encoder.spec.canvas.screen
        for index, place in enumerate(places):
            rows, columns = self.patches.pixels(int(place))
            mine = self._windows[index * len(self._grey) : (index + 1) * len(self._grey), 0]
            video = mine[(slice(None), slice(None), *screen)][:, :, rows, columns]
            video[self._shown] = level


def _period_weights(frames: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Weights, (windows, size), that make the mean over a period of the mean over all windows of each frame."""
    coverage = np.bincount(frames.ravel())
    weights = np.where(counts, 1.0 / coverage[frames], 0.0)
    return weights / weights.sum()
