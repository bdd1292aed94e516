"""Everything that decides a run, as plain values: where its inputs lie, what they hold, and every setting."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from napari_vidrecon.encoders.encoder import Encoder
from napari_vidrecon.reconstruction.config import ReconstructionConfig
from napari_vidrecon.reconstruction.masks import EVALUATION_THRESHOLD, TRAINING_THRESHOLD, AlphaMask
from napari_vidrecon.reconstruction.provenance import Provenance, ToldInputs
from napari_vidrecon.reconstruction.targets import Ablation, NeuronSet
from napari_vidrecon.sessions.stimuli.stimulus import STIMULUS_TRIAL
from napari_vidrecon.sessions.trial import ClipSource, Trial

if TYPE_CHECKING:
    from napari_vidrecon.reconstruction.decoder import Decoder
    from napari_vidrecon.reconstruction.results import Reconstruction

FINGERPRINT_FORMAT = 1
"""Raise it when equal inputs and settings no longer give equal bits: runs made before are then none of them.

The first one is not written, so that runs of earlier versions keep the fingerprint they have.
"""
WHOLE_TRIAL: tuple[int, int | None] = (0, None)
OF_THE_LOOK = ("evaluation_threshold", "device")
"""Say how a run is measured and where it is computed; a change of them never asks for another run."""
MADE_FROM = ("trial", "frames", "stimulus", "stimulus_content")
"""Two runs of one session with the same of these reconstruct the same clip."""
ARROW = "→"
MOST_NAMED = 4
"""Differences that one line tells."""
PLAIN = {
    "trial": "trial",
    "frames": "frames",
    "target": "target",
    "mask_threshold": "mask",
    "evaluation_threshold": "evaluation mask",
    "ablation": "ablated neurons:",
    "ensemble": "ensemble",
    "precision": "precision",
}
"""What differs and is told as it is, and what to call it."""
OF_NEURONS = ("neurons", "neurons_kept", "neurons_content")


class MouseRecipe(BaseModel):
    """A further mouse of a run, described so that it can be opened again.

    Parameters
    ----------
    session
        Folder of its session; empty where it is not known.
    name
        What to call it.
    trial
        Number of its presentation of the clip.
    encoders
        Files.
    mouse
        Index or name of the encoders' readout; None where the number of neurons chooses it.
    mask, mask_content
        File of its mask, and the hash of its alpha values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    session: str = ""
    name: str = ""
    trial: int = 0
    encoders: tuple[str, ...] = ()
    mouse: int | str | None = None
    mask: str = ""
    mask_content: str = ""


class Recipe(BaseModel):
    """One run, described so that it can be opened again, compared with another and told.

    Parameters
    ----------
    session
        Folder of the session; empty where it is not known.
    trial
        Number of the clip; `STIMULUS_TRIAL` for a stimulus.
    frames
        First frame and the frame after the last one, None for the end of the trial.
    stimulus, stimulus_content
        Name and hash of the movie that was shown instead of a trial; empty for a trial.
    repeats
        Numbers of further presentations of the clip that the movie is fitted to as well.
    mice
        Further mice that saw the clip; the movie is fitted to their activity as well.
    encoders, target_encoders
        Files; the second are empty where the same predict the target and measure the result.
    mouse
        Index or name of the encoders' readout; None where the number of neurons chooses it.
    decoder, decoder_content
        File and hash of the decoder that it starts from; empty for none.
    mask, mask_content
        Where the mask came from, and the hash of its alpha values.
    mask_threshold, evaluation_threshold
        Alpha of the pixels that are reconstructed and measured.
    neurons, neuron_details, neurons_content
        How the neurons were chosen, in words and in numbers, and the hash of the choice.
    neurons_kept, neurons_of
        How many take part, of how many.
    neuron_weights
        Hash of what each neuron counts; empty where all count the same.
    target
        "recorded", "predicted", "permuted", "averaged" or "given".
    ablation
        What becomes of neurons that take no part: "drop" or "silence".
    ensemble
        How several encoders work together: "videos" or "gradients"; "single" for one.
    config
        Every setting of the optimisation.
    device, precision
        As in `load_encoder`.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> sample = vr.find_sample()
    >>> session = vr.open_session(sample.session)
    >>> encoder = vr.load_encoder(sample.encoders[0], device="cpu")
    >>> clip = session.trial(0).part(0, 64)
    >>> config = vr.ReconstructionConfig.preset("fast", steps=1)
    >>> recipe = vr.Recipe.of(vr.reconstruct(clip, [encoder], vr.AlphaMask.full(), config))
    >>> recipe.clip_name, recipe.frames, recipe.target
    ('trial 0', (0, 64), 'recorded')
    >>> recipe.differences(recipe.changed(mask_threshold=0.7))
    ['mask 0.5 → 0.7']
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    session: str = ""
    trial: int = STIMULUS_TRIAL
    frames: tuple[int, int | None] = WHOLE_TRIAL
    stimulus: str = ""
    stimulus_content: str = ""
    repeats: tuple[int, ...] = ()
    mice: tuple[MouseRecipe, ...] = ()
    encoders: tuple[str, ...] = ()
    target_encoders: tuple[str, ...] = ()
    mouse: int | str | None = None
    decoder: str = ""
    decoder_content: str = ""
    mask: str = ""
    mask_content: str = ""
    mask_threshold: float = TRAINING_THRESHOLD
    evaluation_threshold: float = EVALUATION_THRESHOLD
    neurons: str = "all neurons"
    neuron_details: dict[str, Any] = {}
    neurons_content: str = ""
    neurons_kept: int = 0
    neurons_of: int = 0
    neuron_weights: str = ""
    target: str = "recorded"
    ablation: Ablation = "drop"
    ensemble: str = "single"
    config: ReconstructionConfig
    device: str = "auto"
    precision: str = "float32"

    @classmethod
    def of(cls, result: Reconstruction) -> Recipe:
        """Of a result, of earlier versions too; what it does not say is empty.

        Parameters
        ----------
        result
            Finished or partial.

        Returns
        -------
        Recipe
            Of this version, whichever version made the result.

        Raises
        ------
        ValueError
            It says something that cannot be.
        """
        told = Provenance.model_validate(result.provenance)
        inputs = told.inputs or ToldInputs()
        shown = told.trial == STIMULUS_TRIAL
        others = inputs.target_encoders or []
        start, stop = inputs.frames or WHOLE_TRIAL
        single = len(told.encoders or told.encoder_names) == 1
        return cls(
            session=inputs.session or "",
            trial=told.trial,
            frames=(start or 0, stop),
            stimulus=(inputs.stimulus or told.session.partition(", ")[2]) if shown else "",
            stimulus_content=stimulus_hash(result.stimulus) if shown else "",
            repeats=tuple(inputs.repeats or ()),
            mice=tuple(MouseRecipe(**each.model_dump()) for each in inputs.mice or ()),
            encoders=tuple(inputs.encoders or ()),
            target_encoders=tuple(others) if others != inputs.encoders else (),
            # Studies may name a readout by a number in words.
            mouse=int(inputs.mouse) if isinstance(inputs.mouse, str) and inputs.mouse.isdecimal() else inputs.mouse,
            decoder=(inputs.decoder or "") if told.decoder else "",
            decoder_content=told.decoder or "",
            mask=told.mask_source,
            mask_content=content_hash(result.own_alpha.astype(np.float64)),
            mask_threshold=told.mask_threshold,
            evaluation_threshold=told.evaluation_threshold,
            neurons=told.neuron_reason,
            neuron_details=told.neuron_details.model_dump(exclude_none=True),
            neurons_content=content_hash(result.keep),
            neurons_kept=int(result.keep.sum()),
            neurons_of=len(result.keep),
            neuron_weights=told.neurons.weights,
            target=told.target.kind,
            ablation=told.ablation,
            ensemble="single" if single else told.ensemble,
            config=result.config,
            device=inputs.device or next(iter(told.devices), "auto"),
            precision=inputs.precision or "float32",
        )

    @classmethod
    def of_inputs(
        cls,
        trial: Trial,
        encoder: Encoder,
        decoder: Decoder | None,
        mask: AlphaMask,
        neurons: NeuronSet,
        **settings: Any,
    ) -> Recipe:
        """Of what was opened.

        Parameters
        ----------
        trial
            The clip, or the stimulus as a trial.
        encoder
            The first of them.
        decoder
            What the run starts from, or None.
        mask
            Transparency mask of the mouse.
        neurons
            Who takes part.
        settings
            The other fields, by name.

        Returns
        -------
        Recipe
            Files that a part did not come from are empty.
        """
        source = trial.source or ClipSource("")
        return cls(
            session=source.session,
            trial=trial.id,
            frames=WHOLE_TRIAL if source.frames is None else source.frames,
            stimulus=source.stimulus,
            stimulus_content=stimulus_hash(trial.video) if source.stimulus else "",
            mouse=encoder.spec.readout,
            **decoder_fields(decoder),
            **mask_fields(mask),
            **neuron_fields(neurons),
            device=str(encoder.device),
            precision=getattr(encoder, "precision", "float32"),
            **settings,
        )

    def changed(self, **fields: Any) -> Recipe:
        """The same run with some fields changed.

        Parameters
        ----------
        fields
            New values by name.

        Returns
        -------
        Recipe
            A new one.
        """
        return self.model_copy(update=fields)

    def for_counterpart(self) -> Recipe:
        """The other half of an error map (Bauer et al. 2026, Fig. 6): from predicted activity, or from recorded."""
        return self.changed(target="recorded" if self.target == "predicted" else "predicted")

    @property
    def clip_name(self) -> str:
        """What is reconstructed: "trial 22", or the name of the stimulus."""
        return self.stimulus or f"trial {self.trial}"

    @property
    def inputs(self) -> dict[str, Any]:
        """Where everything lies, as a run's folder keeps it (`ToldInputs`)."""
        return {
            "session": self.session or None,
            "trial": self.trial,
            "frames": None if self.frames == WHOLE_TRIAL else list(self.frames),
            **({"stimulus": self.stimulus} if self.stimulus else {}),
            **({"repeats": list(self.repeats)} if self.repeats else {}),
            **({"mice": [each.model_dump(mode="json") for each in self.mice]} if self.mice else {}),
            "encoders": list(self.encoders),
            "target_encoders": list(self.target_encoders),
            "decoder": self.decoder or None,
            "mouse": self.mouse,
            "device": self.device,
            "precision": self.precision,
        }

    def compared(self) -> dict[str, Any]:
        """What can differ between two runs, by name; one entry a setting of the optimisation."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        for name in ("config", "neuron_details", "neurons_of", "target_encoders"):
            del values[name]
        # How ablated neurons are treated, and which way movies are averaged, says nothing where there are none.
        everyone = self.neurons_of > 0 and self.neurons_kept == self.neurons_of
        values["ablation"] = "none" if everyone else self.ablation
        values["ensemble"] = "single" if len(self.encoders) == 1 else self.ensemble
        return {**values, **{f"config.{name}": value for name, value in self.config.values.items()}}

    def changed_in(self, other: Recipe) -> list[str]:
        """Names of what makes another run of `other` than of this one; not how it is looked at.

        Parameters
        ----------
        other
            The run that is asked about.

        Returns
        -------
        list[str]
            In the order of the fields.
        """
        mine, theirs = self.compared(), other.compared()
        return [name for name, value in theirs.items() if mine[name] != value and name not in OF_THE_LOOK]

    def differences(self, other: Recipe) -> list[str]:
        """Short phrases such as "mask 0.5 → 0.7", the most telling first; empty if nothing differs.

        Parameters
        ----------
        other
            What is changed to.

        Returns
        -------
        list[str]
            For people.
        """
        before, after = self.compared(), other.compared()
        changed = {name for name in after if before[name] != after[name]} - {"device"}
        phrases = []
        if "none" in (before["ablation"], after["ablation"]):
            changed.discard("ablation")
        if {"stimulus", "stimulus_content"} & changed:
            changed.discard("trial")
            phrases.append(f"stimulus: {other.clip_name}")
        if "repeats" in changed:
            phrases.append(f"presentations {1 + len(self.repeats)} {ARROW} {1 + len(other.repeats)}")
        if "mice" in changed:
            phrases.append(f"mice {_mice(self)} {ARROW} {_mice(other)}")
        for name, label in PLAIN.items():
            if name in changed:
                phrases.append(f"{label} {_two_in_words(before[name], after[name])}")
        if {"mask", "mask_content"} & changed:
            phrases.append(f"mask: {_file_name(other.mask) or 'another'}" if "mask" in changed else "mask painted")
        if {*OF_NEURONS, "neuron_weights"} & changed:
            phrases.append(f"{other.neurons_kept} neurons ({other.neurons})")
        if "encoders" in changed or "mouse" in changed:
            phrases.append(_encoders(self.encoders, other.encoders))
        if {"decoder", "decoder_content"} & changed:
            phrases.append(f"decoder {_file_name(other.decoder)}" if other.decoder_content else "without the decoder")
        if "config.preset_name" in changed:
            phrases.append(f"preset {before['config.preset_name']} {ARROW} {after['config.preset_name']}")
            steps = f"steps {before['config.steps']} {ARROW} {after['config.steps']}"
            return [*phrases, steps] if "config.steps" in changed else phrases
        for name in sorted(changed):
            if name.startswith("config."):
                label = name.removeprefix("config.").replace("_", " ")
                phrases.append(f"{label} {in_words(before[name])} {ARROW} {in_words(after[name])}")
        return phrases


def content_hash(*arrays: np.ndarray) -> str:
    """SHA-256 of arrays with their shapes and types."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str((array.shape, array.dtype)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def stimulus_hash(movie: np.ndarray) -> str:
    """Of a movie that was shown, whatever type its grey levels have."""
    return content_hash(np.asarray(movie, np.float32))


def fingerprint(decisive: Mapping[str, Any]) -> str:
    """Hash of all that decides a result, as plain values; equal fingerprints give equal results."""
    told = dict(decisive) if FINGERPRINT_FORMAT == 1 else {**decisive, "format": FINGERPRINT_FORMAT}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def mask_fields(mask: AlphaMask) -> dict[str, Any]:
    """What a recipe says of a mask."""
    return {"mask": mask.source, "mask_content": content_hash(mask.alpha.astype(np.float64))}


def neuron_fields(neurons: NeuronSet) -> dict[str, Any]:
    """What a recipe says of a choice of neurons."""
    return {
        "neurons": neurons.reason,
        "neuron_details": neurons.details,
        "neurons_content": content_hash(neurons.keep),
        "neurons_kept": neurons.count,
        "neurons_of": len(neurons.keep),
        "neuron_weights": "" if neurons.weights is None else content_hash(neurons.weights),
    }


def decoder_fields(decoder: Decoder | None) -> dict[str, Any]:
    """What a recipe says of a decoder, or of none."""
    return {} if decoder is None else {"decoder": decoder.path, "decoder_content": decoder.sha256}


def files_of(encoders: Sequence[Encoder], identities: Sequence[str]) -> tuple[str, ...]:
    """Files that hold these encoders; none at all if one of them lies in no file, or was trained further since."""
    pairs = zip(encoders, identities, strict=True)
    files = [each.spec.path if known == each.spec.sha256 else "" for each, known in pairs]
    return tuple(files) if all(files) else ()


def in_words(value: Any) -> str:
    """A setting's value for people."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return f"{value[0]}–{'end' if value[1] is None else value[1]}"
    return str(value).replace("_", " ")


def _two_in_words(before: Any, after: Any) -> str:
    """As thresholds are told everywhere else: of two digits, where those tell them apart."""
    if isinstance(before, float) and isinstance(after, float) and round(before, 2) != round(after, 2):
        before, after = round(before, 2), round(after, 2)
    return f"{in_words(before)} {ARROW} {in_words(after)}"


def most_telling(phrases: Sequence[str]) -> str:
    """One line; what is beyond the most telling few is counted."""
    if len(phrases) <= MOST_NAMED:
        return ", ".join(phrases)
    return ", ".join(phrases[:MOST_NAMED]) + f" and {len(phrases) - MOST_NAMED} more"


def _mice(recipe: Recipe) -> str:
    names = [Path(each.session).name or each.name for each in recipe.mice]
    return " + ".join([Path(recipe.session).name or "1", *names])


def _encoders(before: Sequence[str], after: Sequence[str]) -> str:
    if len(before) != len(after):
        return f"encoders {len(before)} {ARROW} {len(after)}"
    return "encoder " + ", ".join(map(_file_name, after))


def _file_name(path: str) -> str:
    return Path(path).name
