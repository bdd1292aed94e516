"""Reconstruct movies from the activity of mouse visual cortex.

The names below are the stable public interface. They load on first use, so that importing the package
costs nothing: neither torch nor Qt is imported here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from napari_vidrecon.version import __version__

if TYPE_CHECKING:
    from napari_vidrecon import metrics as metrics
    from napari_vidrecon.analysis import postprocess as postprocess
    from napari_vidrecon.analysis.brain_adds import what_the_brain_adds as what_the_brain_adds
    from napari_vidrecon.analysis.ensembles import Calibration as Calibration
    from napari_vidrecon.analysis.ensembles import calibrate_uncertainty as calibrate_uncertainty
    from napari_vidrecon.analysis.receptive_field_mapping import map_receptive_fields as map_receptive_fields
    from napari_vidrecon.encoders.checkpoints import load_encoder as load_encoder
    from napari_vidrecon.encoders.encoder import Encoder as Encoder
    from napari_vidrecon.encoders.training.training_run import train_encoder as train_encoder
    from napari_vidrecon.errors import ConfigError as ConfigError
    from napari_vidrecon.errors import EncoderError as EncoderError
    from napari_vidrecon.errors import MaskError as MaskError
    from napari_vidrecon.errors import RunError as RunError
    from napari_vidrecon.errors import SessionError as SessionError
    from napari_vidrecon.errors import StorageError as StorageError
    from napari_vidrecon.errors import VidreconError as VidreconError
    from napari_vidrecon.reconstruction.config import ReconstructionConfig as ReconstructionConfig
    from napari_vidrecon.reconstruction.decoder import Decoder as Decoder
    from napari_vidrecon.reconstruction.decoder_fitting import fit_decoder as fit_decoder
    from napari_vidrecon.reconstruction.evidence import evidence_of_a_movie as evidence_of_a_movie
    from napari_vidrecon.reconstruction.gaze_fitting import fit_gaze as fit_gaze
    from napari_vidrecon.reconstruction.history import StepInfo as StepInfo
    from napari_vidrecon.reconstruction.inputs import RunInputs as RunInputs
    from napari_vidrecon.reconstruction.mask_fitting import fit_mask as fit_mask
    from napari_vidrecon.reconstruction.masks import AlphaMask as AlphaMask
    from napari_vidrecon.reconstruction.recipe import Recipe as Recipe
    from napari_vidrecon.reconstruction.results import Reconstruction as Reconstruction
    from napari_vidrecon.reconstruction.run import plan_run as plan_run
    from napari_vidrecon.reconstruction.runner import Runner as Runner
    from napari_vidrecon.reconstruction.runner import reconstruct as reconstruct
    from napari_vidrecon.reconstruction.several_mice import AnotherMouse as AnotherMouse
    from napari_vidrecon.reconstruction.several_mice import mouse_that_saw as mouse_that_saw
    from napari_vidrecon.reconstruction.targets import NeuronSet as NeuronSet
    from napari_vidrecon.sessions.importing.importer import import_recording as import_recording
    from napari_vidrecon.sessions.repeats import clips_shown as clips_shown
    from napari_vidrecon.sessions.repeats import repeats_of as repeats_of
    from napari_vidrecon.sessions.repeats import trials_showing as trials_showing
    from napari_vidrecon.sessions.sample import find_sample as find_sample
    from napari_vidrecon.sessions.screen import ScreenGeometry as ScreenGeometry
    from napari_vidrecon.sessions.session import Session as Session
    from napari_vidrecon.sessions.session import Trial as Trial
    from napari_vidrecon.sessions.session import open_session as open_session
    from napari_vidrecon.sessions.simulation.mouse import simulate_session as simulate_session
    from napari_vidrecon.sessions.stimuli.stimulus import GivenMovie as GivenMovie
    from napari_vidrecon.sessions.stimuli.stimulus import stimulus_trial as stimulus_trial
    from napari_vidrecon.sessions.trial import perceptual_hash as perceptual_hash
    from napari_vidrecon.studies.study import Study as Study

_NAMES = {
    "analysis.brain_adds": "what_the_brain_adds",
    "analysis.ensembles": "Calibration calibrate_uncertainty",
    "analysis.receptive_field_mapping": "map_receptive_fields",
    "encoders.checkpoints": "load_encoder",
    "encoders.encoder": "Encoder",
    "encoders.training.training_run": "train_encoder",
    "errors": "ConfigError EncoderError MaskError RunError SessionError StorageError VidreconError",
    "reconstruction.config": "ReconstructionConfig",
    "reconstruction.decoder": "Decoder",
    "reconstruction.decoder_fitting": "fit_decoder",
    "reconstruction.evidence": "evidence_of_a_movie",
    "reconstruction.gaze_fitting": "fit_gaze",
    "reconstruction.history": "StepInfo",
    "reconstruction.inputs": "RunInputs",
    "reconstruction.mask_fitting": "fit_mask",
    "reconstruction.masks": "AlphaMask",
    "reconstruction.recipe": "Recipe",
    "reconstruction.results": "Reconstruction",
    "reconstruction.run": "plan_run",
    "reconstruction.runner": "Runner reconstruct",
    "reconstruction.several_mice": "AnotherMouse mouse_that_saw",
    "reconstruction.targets": "NeuronSet",
    "sessions.importing.importer": "import_recording",
    "sessions.repeats": "clips_shown repeats_of trials_showing",
    "sessions.sample": "find_sample",
    "sessions.screen": "ScreenGeometry",
    "sessions.session": "Session Trial open_session",
    "sessions.simulation.mouse": "simulate_session",
    "sessions.stimuli.stimulus": "GivenMovie stimulus_trial",
    "sessions.trial": "perceptual_hash",
    "studies.study": "Study",
}
"""Of every module, those that are public."""
_HOME = {name: f"{__name__}.{module}" for module, names in _NAMES.items() for name in names.split()}
_MODULES = {"metrics": "napari_vidrecon.metrics", "postprocess": "napari_vidrecon.analysis.postprocess"}

__all__ = ["__version__", *sorted(_HOME), *sorted(_MODULES)]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
