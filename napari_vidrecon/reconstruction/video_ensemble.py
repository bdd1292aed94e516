"""Several reconstructions of one clip whose movies are averaged."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.gaze import Inferred
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.reconstructor import Reconstructor, StepInfo, measured, undone_on_failure
from napari_vidrecon.reconstruction.targets import Target
from napari_vidrecon.reconstruction.tracking import Tracker


@dataclass(eq=False)
class VideoEnsemble:
    """Several reconstructions of one clip in step, one an encoder and draw; their movies are averaged.

    Parameters
    ----------
    members
        One `Reconstructor` an encoder and draw, without trackers.
    tracker
        Measures the averaged movie, or None.
    """

    members: list[Reconstructor]
    tracker: Tracker | None = None

    def __post_init__(self) -> None:
        self.config = self.members[0].config

    @property
    def step_index(self) -> int:
        return self.members[0].step_index

    @property
    def finished(self) -> bool:
        # One that has stopped goes on with the others, and shows the movie it stopped at.
        return all(member.finished for member in self.members)

    @property
    def video(self) -> np.ndarray:
        """Mean of the members' movies, (T, 36, 64)."""
        return self._averaged(self.videos)

    @property
    def optimised_video(self) -> np.ndarray:
        """Mean of the members' movies, with what they have outside the mask."""
        return self._averaged([member.optimised_video for member in self.members])

    def _averaged(self, videos: list[np.ndarray]) -> np.ndarray:
        weights = self.member_weights()
        if weights is None:
            return np.mean(videos, axis=0)
        return np.average(videos, axis=0, weights=weights).astype(np.float32)

    def member_weights(self) -> np.ndarray | None:
        """(members,) what each counts: the more the better it explains the activity; None: all the same."""
        if self.config.member_weights == "equal":
            return None
        deviances = [member.deviance for member in self.members]
        if any(each is None or not np.isfinite(each) or each <= 0 for each in deviances):
            return None
        return 1 / np.asarray(deviances, dtype=float)

    @property
    def videos(self) -> list[np.ndarray]:
        """The members' movies."""
        return [member.video for member in self.members]

    @property
    def state(self) -> dict[str, Any]:
        return {"step": self.step_index, "members": [member.state for member in self.members]}

    def load_state(self, state: dict[str, Any]) -> None:
        if len(state.get("members", [])) != len(self.members):
            raise ConfigError(f"state: expected {len(self.members)} movies, found {len(state.get('members', []))}")
        for member, part in zip(self.members, state["members"], strict=True):
            member.load_state(part)

    @property
    def inferred(self) -> list[Inferred]:
        """Mean of what the members inferred of each presentation."""
        return [Inferred.mean(each) for each in zip(*(member.inferred for member in self.members), strict=True)]

    def set_target(self, target: Target) -> None:
        for member in self.members:
            member.set_target(target)

    def set_mask(self, mask: AlphaMask, threshold: float) -> None:
        for member in self.members:
            member.set_mask(mask, threshold)

    def set_training_threshold(self, threshold: float) -> None:
        for member in self.members:
            member.set_training_threshold(threshold)

    def step(self) -> StepInfo:
        began = time.perf_counter()
        with undone_on_failure(self.members):
            # All gradients first: then a GPU has work while the first update waits for its loss.
            gradients = [member.gradient() for member in self.members]
            infos = [member.advance(*each, began) for member, each in zip(self.members, gradients, strict=True)]
            return self.summarised(infos, began)

    def summarised(self, infos: Sequence[StepInfo], began: float) -> StepInfo:
        """One step of all members as one; `began` is when it did."""
        loss, tracked = float(np.mean([info.loss for info in infos])), measured(self, self.step_index - 1)
        return StepInfo(self.step_index, self.config.steps, loss, time.perf_counter() - began, tracked)
