"""Everything that decides a run, as plain values that can be compared and told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_vidrecon.viewer.chosen_decoder import ChosenDecoder
    from napari_vidrecon.viewer.model import ReconstructionModel


def run_settings(model: ReconstructionModel) -> dict[str, Any]:
    """The settings of a model that has a trial, by name; what goes into a run and how it is measured."""
    assert model.session is not None
    assert model.trial is not None
    assert model.neurons is not None
    return {
        "session": str(model.session.path),
        "trial": model.trial.id,
        "clip": list(model.clip),
        **shown_stimulus(model),
        "encoders": [str(path) for path in model.encoder_paths],
        "mouse": model.mouse,
        **chosen_decoder(model.decoder),
        "mask": model.mask.source,
        "mask_values": hash(model.mask.alpha.tobytes()),
        "training_threshold": model.training_threshold,
        "evaluation_threshold": model.evaluation_threshold,
        "neurons": model.neurons.reason,
        "neurons_kept": model.neurons.count,
        "neuron_values": hash(model.neurons.keep.tobytes()),
        "ablation": model.ablation if model.neurons.count < len(model.neurons.keep) else "none",
        "target": model.target,
        "ensemble": model.ensemble if len(model.encoder_paths) > 1 else "single",
        **{f"config.{name}": value for name, value in model.config.model_dump().items()},
    }


def changed_settings(made_with: dict[str, Any], present: dict[str, Any]) -> list[str]:
    """Names of the present settings that make another run than the one that was made; not how it is looked at."""
    return [
        name
        for name, value in present.items()
        if made_with.get(name, value) != value and name != "evaluation_threshold"
    ]


def chosen_decoder(chosen: ChosenDecoder | None) -> dict[str, str]:
    """File and hash of a decoder; both empty for none."""
    if chosen is None:
        return {"decoder": "", "decoder_values": ""}
    return {"decoder": str(chosen.path), "decoder_values": chosen.sha256}


def shown_stimulus(model: ReconstructionModel) -> dict[str, Any]:
    """Name and content of the stimulus on the board; both empty for a recorded clip."""
    if model.stimulus is None or model.trial is None:
        return {"stimulus": "", "stimulus_values": 0}
    return {"stimulus": model.stimulus.name, "stimulus_values": hash(model.trial.video.tobytes())}
