"""The plan of a run: everything that goes in, checked and brought together before anything is optimised."""

from __future__ import annotations

import itertools
import logging
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from napari_vidrecon.encoders.answers import check_clip_fits, lacking_behavior
from napari_vidrecon.encoders.chunks import check_chunk
from napari_vidrecon.encoders.encoder import Encoder, Traits
from napari_vidrecon.encoders.identity import identity
from napari_vidrecon.errors import ConfigError, one_line
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.inputs import (
    LONGEST_VALUE,
    RunChoices,
    RunInputs,
    check_colour_levels,
    check_inputs,
    check_mice,
    check_one_window,
    check_repeats,
    choices_of,
    encoder_list,
)
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.presentations import Presentation, presentation_to
from napari_vidrecon.reconstruction.priors import prior_identity
from napari_vidrecon.reconstruction.provenance import check_can_be_read_back
from napari_vidrecon.reconstruction.recipe import Recipe, content_hash, files_of, fingerprint
from napari_vidrecon.reconstruction.reconstructor import Reconstructor, Steppable
from napari_vidrecon.reconstruction.several_mice import AnotherMouse, union_mask
from napari_vidrecon.reconstruction.spectral_prior import about_movies
from napari_vidrecon.reconstruction.targets import AVERAGED, NeuronSet, Target, build_target
from napari_vidrecon.reconstruction.tracking import Tracker
from napari_vidrecon.reconstruction.update import Draw
from napari_vidrecon.reconstruction.video_ensemble import VideoEnsemble
from napari_vidrecon.sessions.repeats import averaged
from napari_vidrecon.sessions.session import Trial
from napari_vidrecon.sessions.session_statistics import MovieStatistics
from napari_vidrecon.settings import brief, finite_number, shown
from napari_vidrecon.version import __version__

logger = logging.getLogger(__name__)
NOTHING_RECORDED = (
    "all recorded activity is 0, as where it was withheld or lost; what is reconstructed from it is a guess, and "
    "no score of activity can be believed"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class RunPlan(RunChoices):
    """What a run is made of, once everything that goes in was checked and brought together.

    Parameters
    ----------
    inputs
        What was asked for.
    trial
        The clip; the mean of all presentations where that is the target.
    encoders, measuring
        Those that are optimised through, and those that predict a target and measure.
    config, stated
        Every setting; the same with the numbers of the session's movies.
    movies
        Whose numbers these are; None where the settings stated them.
    own_mask, mask
        Of the first mouse; the union with those of the others.
    goal
        Activity to match.
    repeats, presentations
        Further presentations of the clip; those that the movie is fitted to by themselves, each with its target.
    mice
        Further mice, each with its target.
    """

    inputs: RunInputs
    trial: Trial
    encoders: Sequence[Encoder]
    measuring: Sequence[Encoder]
    config: ReconstructionConfig
    stated: ReconstructionConfig
    movies: MovieStatistics | None
    own_mask: AlphaMask
    mask: AlphaMask
    goal: Target
    repeats: Sequence[Trial]
    presentations: Sequence[tuple[Trial, Target]]
    mice: Sequence[tuple[AnotherMouse, Target]]

    __repr__ = brief

    @classmethod
    def of(cls, inputs: RunInputs) -> RunPlan:
        """Check everything and bring it together; raises as `plan_run`."""
        trial, target = inputs.trial, inputs.target
        config = ReconstructionConfig.preset("best") if inputs.config is None else inputs.config
        encoders, measuring = _encoders_of(inputs)
        check_inputs(trial, inputs.mask, config, inputs.decoder)
        repeats = presentations = check_repeats(trial, inputs.repeats, target)
        for each in repeats:
            check_inputs(each, inputs.mask, config)
        if repeats and target == AVERAGED:
            trial, presentations = averaged([trial, *repeats]), []
        mice = check_mice(trial, encoders, inputs.with_mice, target, config)
        stated, movies = about_movies(config, trial, encoders)
        check_chunk(inputs.chunk)
        choices = _checked_choices(inputs)
        _check_encoders(trial, encoders, measuring)
        check_colour_levels(stated, trial)
        canvas = encoders[0].spec.canvas
        own_mask = inputs.mask.for_screen(canvas.screen_rows, canvas.screen_columns)
        mask = union_mask(own_mask, [mouse.alpha_on(*own_mask.screen.shape) for mouse in mice])

        def goal_of(clip: Trial, predicting: Sequence[Encoder], neurons: NeuronSet | np.ndarray | None) -> Target:
            goal = build_target(target, clip, predicting, neurons, inputs.ablation, config.seed)
            if goal.kind not in ("given", "predicted") and not goal.activity.any():
                logger.warning("%s: %s", one_line(clip.name, LONGEST_VALUE), NOTHING_RECORDED)
            return goal

        goal = goal_of(trial, measuring, inputs.neurons)
        mask.on(canvas, choices["evaluation_threshold"])
        for other in measuring:
            if all(other is not each for each in encoders):
                # Otherwise its faults would show only once all steps are done.
                check_one_window(other, trial)
        return cls(
            inputs=inputs,
            trial=trial,
            encoders=encoders,
            measuring=measuring,
            config=config,
            stated=stated,
            movies=movies,
            own_mask=own_mask,
            mask=mask,
            goal=goal,
            repeats=repeats,
            presentations=[(each, goal_of(each, measuring, inputs.neurons)) for each in presentations],
            mice=[(mouse, goal_of(mouse.trial, mouse.encoders, None)) for mouse in mice],
            **choices,
        )

    def tracker(self) -> Tracker:
        """Measures what is reconstructed."""
        blank = self.stated.blank(self.trial.video.shape[1])
        return Tracker(self.trial, self.mask, self.evaluation_threshold, self.goal, self.measuring, self.config, blank)

    def steppable(self, tracker: Tracker) -> Steppable:
        """One reconstruction, or one a team of encoders and draw."""
        together = self.ensemble == "gradients" or len(self.encoders) == 1
        teams = [self.encoders] if together else [[encoder] for encoder in self.encoders]
        count = self.config.update.draws
        draws = [Draw(self.config.seed, index) for index in range(count)] if count > 1 else [None]
        if len(teams) == len(draws) == 1:
            return self._member(self.encoders, tracker)
        pairs = enumerate(itertools.product(teams, draws))
        return VideoEnsemble([self._member(team, None, draw, index) for index, (team, draw) in pairs], tracker)

    def _member(
        self, team: Sequence[Encoder], tracker: Tracker | None, draw: Draw | None = None, index: int = 0
    ) -> Reconstructor:
        further = [Presentation(each, team, goal, self.stated, draw) for each, goal in self.presentations]
        places = [place for place, each in enumerate(self.encoders) if any(each is mine for mine in team)]
        canvas = self.encoders[0].spec.canvas
        for number, (mouse, goal) in enumerate(self.mice, start=1):
            # Its chance is its own: neurons of two mice are no pairs.
            its_draw = None if draw is None else replace(draw, seed=draw.seed + number)
            further.append(presentation_to(mouse, places, goal, self.stated, its_draw, canvas))
        shared = (self.trial, team, self.mask, self.goal, self.stated, self.mask_threshold)
        return Reconstructor(*shared, tracker, self.inputs.chunk, draw, self.inputs.decoder, index, further)

    def _decisive(self, identities: list[str], measurers: list[str]) -> dict[str, Any]:
        """Everything that decides the result."""
        trial, goal, decoder, asked = self.trial, self.goal, self.inputs.decoder, self.inputs.target
        kept = {"kept": goal.neurons.count, "of": len(goal.neurons.keep), "set": content_hash(goal.neurons.keep)}
        decisive: dict[str, Any] = {
            "config": self.config.decisive,
            "trial": trial.id,
            "session": trial.name,
            "clip": content_hash(trial.video, trial.behavior, trial.pupil_center),
            "encoders": identities,
            "target": {"kind": goal.kind, "activity": content_hash(goal.activity)},
            "neurons": kept,
            "ablation": self.ablation,
            "mask": content_hash(self.own_mask.alpha if self.mice else self.mask.alpha),
            "mask_threshold": self.mask_threshold,
            "evaluation_threshold": self.evaluation_threshold,
            "ensemble": self.ensemble if len(self.encoders) > 1 else "single",
        }
        if self.movies is not None:
            # Whose they are decides nothing: a session may be renamed.
            decisive["movies"] = self.movies.model_dump(exclude={"source"})
        if self.repeats:
            decisive["repeats"] = [_presentation(each, asked) for each in self.repeats]
        if self.mice:
            decisive["mice"] = [mouse.decisive(asked) for mouse, _ in self.mice]
        if self.config.outside_prior:
            settings = self.stated.values["prior_settings"]
            decisive["prior"] = prior_identity(self.config.outside_prior, settings, trial.frame_rate_hz)
        if goal.neurons.weights is not None:
            kept["weights"] = content_hash(goal.neurons.weights)
        if decoder is not None:
            decisive["decoder"] = decoder.sha256
        if measurers != identities and goal.kind != "predicted":
            # A predicted target tells itself who predicted it.
            decisive["measured_by"] = measurers
        precisions = [Traits.of(encoder).precision for encoder in self.encoders]
        if set(precisions) != {"float32"}:
            decisive["precision"] = precisions
        return decisive

    def provenance(self) -> dict[str, Any]:
        """What decides the result, where it lay, and what else a reader asks for."""
        trial, neurons = self.trial, self.goal.neurons
        known = {id(each): identity(each) for each in (*self.encoders, *self.measuring)}
        identities, measurers = ([known[id(each)] for each in team] for team in (self.encoders, self.measuring))
        decisive = self._decisive(identities, measurers)
        recipe = Recipe.of_inputs(
            trial,
            self.encoders[0],
            self.inputs.decoder,
            self.own_mask,
            neurons,
            encoders=files_of(self.encoders, identities),
            target_encoders=() if measurers == identities else files_of(self.measuring, measurers),
            target=self.goal.kind,
            repeats=tuple(each.id for each in self.repeats),
            mice=tuple(mouse.described() for mouse, _ in self.mice),
            config=self.config,
            **{**choices_of(self), "ensemble": decisive["ensemble"]},
        )
        told = {
            **decisive,
            **({} if self.movies is None else {"movies": self.movies.model_dump()}),
            "fingerprint": fingerprint(decisive),
            "inputs": recipe.inputs,
            "encoder_names": [encoder.spec.name for encoder in self.encoders],
            "neuron_reason": neurons.reason,
            "neuron_details": neurons.details,
            "mask_source": self.mask.source,
            "simulated": trial.simulated,
            **({} if trial.has_movie else {"movie": False}),
            "frame_rate_hz": trial.frame_rate_hz,
            **({"colours": list(trial.colours)} if trial.colours else {}),
            **_lacking_behavior(self.encoders, trial),
            **({"bridged_behavior": trial.bridged_behavior} if trial.bridged_behavior else {}),
            "versions": _versions(),
            "devices": [str(encoder.device) for encoder in self.encoders],
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        check_can_be_read_back(told)
        return told


def _encoders_of(inputs: RunInputs) -> tuple[Sequence[Encoder], Sequence[Encoder]]:
    """Those that are optimised through, and those that predict a target and measure."""
    encoders, others = encoder_list(inputs.encoders, "encoders"), inputs.target_encoders
    given = others is not None and not (isinstance(others, (list, tuple)) and not others)
    return encoders, encoder_list(others, "target_encoders") if given else encoders


def _checked_choices(inputs: RunInputs) -> dict[str, Any]:
    thresholds = ("mask_threshold", "evaluation_threshold")
    choices = choices_of(inputs) | {name: finite_number(getattr(inputs, name), name) for name in thresholds}
    if not isinstance(inputs.ensemble, str) or inputs.ensemble not in ("videos", "gradients"):
        raise ConfigError(f"ensemble: expected videos or gradients, found {shown(inputs.ensemble)}")
    return choices


def _check_encoders(trial: Trial, encoders: Sequence[Encoder], measuring: Sequence[Encoder]) -> None:
    for encoder in {id(each): each for each in [*encoders, *measuring]}.values():
        if trial.labelled:
            encoder.require_neurons(trial.responses.shape[0], f"{trial.name or 'the session'}, trial {trial.id},")
    for encoder in encoders:
        check_clip_fits(encoder, trial)


def _lacking_behavior(encoders: Sequence[Encoder], trial: Trial) -> dict[str, dict[str, list[str]]]:
    found = {encoder.spec.name: lacking_behavior(encoder, trial.recorded_behavior) for encoder in encoders}
    named = {name: lacking for name, lacking in found.items() if lacking}
    return {"lacking_behavior": named} if named else {}


def _presentation(trial: Trial, target: Any) -> dict[str, Any]:
    """What of a further presentation decides a result."""
    told = {"trial": trial.id, "behavior": content_hash(trial.behavior, trial.pupil_center)}
    return told if target == "predicted" else {**told, "activity": content_hash(trial.responses)}


def _versions() -> dict[str, str]:
    return {
        "napari_vidrecon": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
    }
