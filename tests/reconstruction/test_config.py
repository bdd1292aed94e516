"""Settings are checked, frozen, and come back from JSON as they were."""

from __future__ import annotations

import hashlib
import json

import pytest

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.composition import Momentum, NaturalPrior, RandomOffset, Spectral, StopAtPlateau
from napari_vidrecon.reconstruction.config import PRESETS, ReconstructionConfig


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_json(name):
    config = ReconstructionConfig.preset(name, steps=7)
    assert ReconstructionConfig.model_validate_json(config.model_dump_json()) == config
    assert config.preset_name == name
    assert config.steps == 7


def test_the_paper_preset_has_the_published_constants():
    config = ReconstructionConfig.preset("paper")
    rule = config.update
    assert (config.steps, config.schedule.stride) == (1000, 8)
    assert (rule.kind, rule.learning_rate, rule.warmup_steps) == ("momentum", 1000.0, 10)
    assert (rule.momentum, rule.ramp, rule.norm_epsilon, rule.gradient_clip) == (0.9, 0.999, 1e-6, 1.0)
    assert config.gradient_blur_px == config.gradient_blur_frames == 0.0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 0}, "steps: input should be greater than or equal to 1, found 0"),
        ({"learning_rate": "fast"}, "learning_rate: .*found 'fast'"),
        ({"stride": 8}, "stride: extra inputs are not permitted"),
        (
            {"schedule": "random_offset", "sub_batch_stride": 1},
            "sub_batch_stride: input should be greater than or equal to 2, found 1",
        ),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_clear_line(fields, message):
    with pytest.raises(ConfigError, match=message) as caught:
        ReconstructionConfig.preset("paper", **fields)
    assert "\n" not in str(caught.value)


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(ConfigError, match="expected one of paper, fast, best"):
        ReconstructionConfig.preset("quick")


def test_differences_are_named():
    paper = ReconstructionConfig.preset("paper")
    assert paper.differences(paper.changed(steps=5)) == {"steps": (1000, 5)}


OF_BEFORE = {
    "preset_name": "fast",
    "steps": 5,
    "sub_batch_stride": 16,
    "schedule": "random_offset",
    "duplicate_last_sub_batch": False,
    "initial_level": 100.0,
    "padding_level": 127.5,
    "update": "spectral",
    "learning_rate": 0.3,
    "learning_rate_decay": "cosine",
    "warmup_steps": 0,
    "momentum": 0.8,
    "second_momentum": 0.9,
    "ramp": 0.5,
    "bias_corrections": 2,
    "skip_first_update": True,
    "gradient_norm": "none",
    "norm_epsilon": 1e-6,
    "gradient_clip": 1.0,
    "gradient_blur_px": 0.0,
    "gradient_blur_frames": 0.0,
    "gradient_blur_end": 1.0,
    "total_variation": 0.0,
    "input_jitter_px": 0,
    "input_noise": 30.0,
    "likelihood_weight": 0.1,
    "variance_power": 1.0,
    "prior_sd": 50.0,
    "prior_spatial_corner": 0.035,
    "prior_spatial_exponent": 2.5,
    "prior_temporal_corner": 0.65,
    "prior_temporal_exponent": 2.0,
    "prior_from": "session",
    "decoded_sd": 30.0,
    "decoded_spatial_corner": 0.07,
    "draws": 3,
    "neuron_noise": "own",
    "neuron_noise_shrinkage": 3.0,
    "poisson_epsilon": 1e-8,
    "include_negative_alpha": False,
    "surround": "inferred",
    "outcome": "plateau",
    "outcome_steps": 4,
    "held_out_share": 0.2,
    "plateau_share": 0.02,
    "member_weights": "equal",
    "track_every": 1,
    "track_responses": False,
    "track_skip_frames": 30,
    "seed": 4,
    "predicted_from": "grey",
}
"""Settings as a run folder held them before they were nested; `ramp`, `held_out_share` ... were read by nothing."""


def test_settings_of_before_are_read_and_their_fingerprint_stays():
    config = ReconstructionConfig(**OF_BEFORE)
    assert (config.schedule, config.stopping) == (RandomOffset(stride=16), StopAtPlateau(steps=4, loss_share=0.02))
    assert (config.update.prior, config.update.draws) == (NaturalPrior(sd=50.0), 3)
    assert config.unread == {
        "duplicate_last_sub_batch": False,
        "ramp": 0.5,
        "held_out_share": 0.2,
    }
    told = json.dumps(config.decisive, sort_keys=True)
    assert told == json.dumps(OF_BEFORE, sort_keys=True)
    again = ReconstructionConfig.model_validate_json(config.model_dump_json())
    assert again == config
    assert hashlib.sha256(json.dumps(again.decisive, sort_keys=True).encode()).hexdigest() == (
        "321309a71d8676e32434d9df22f1714d6fe18b98e9af42b9343cd91aae56bd08"
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"update.learning_rate": "0.3"}, {"learning_rate": 0.3}),
        ({"prior.sd": 50}, {"prior_sd": 50.0}),
        ({"update.prior": {"kind": "natural", "sd": 50}}, {"prior_sd": 50.0}),
        ({"update": {"learning_rate": 0.3, "prior": {"sd": 50}}}, {"learning_rate": 0.3, "prior_sd": 50}),
        ({"stopping": "plateau", "stopping.loss_share": 0.02}, {"outcome": "plateau", "plateau_share": 0.02}),
        ({"stopping": StopAtPlateau(steps=5)}, {"outcome": "plateau", "outcome_steps": 5}),
        ({"update": Momentum(gradient_clip=2.0)}, {"update": {"kind": "momentum", "gradient_clip": 2}}),
    ],
)
def test_names_with_a_dot_flat_names_and_parts_say_the_same(one, other):
    best = ReconstructionConfig.preset("best")
    assert best.changed(**one) == best.changed(**other) == ReconstructionConfig.preset("best", **one) != best
    assert best.model_copy(update=one).update == best.changed(**other).update


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"update": "adam"}, "update: input should be 'momentum' or 'spectral', found 'adam'"),
        ({"stopping.share": 1}, "stopping.share: 'last' has no such setting"),
        ({"prior.sd": 40}, "prior.sd: 'momentum' has no such setting"),
        ({"draws": 3}, "draws: with momentum it must be 1, found 3"),
        ({"update": {"kind": "spectral", "draws": 0}}, "update.draws: input should be greater than or equal to 1"),
        ({"update": {"kind": "spectral", "prior": {"kind": "natural", "sd": -1}}}, "prior.sd: input should be greater"),
        ({"prior_sd": -1}, "prior_sd: input should be greater than 0, found -1"),
    ],
)
def test_a_setting_that_no_part_takes_is_one_clear_line(fields, message):
    with pytest.raises(ConfigError, match=message) as caught:
        ReconstructionConfig.preset("paper", **fields)
    assert "\n" not in str(caught.value)


def test_another_update_rule_takes_along_what_both_have_and_finds_its_own_again():
    best = ReconstructionConfig.preset("best", prior_sd=50, second_momentum=0.5)
    momentum = best.changed(update="momentum")
    assert isinstance(momentum.update, Momentum)
    assert (momentum.update.learning_rate, momentum.update.surround, momentum.update.draws) == (0.2, "grey", 1)
    again = momentum.changed(update="spectral", surround="inferred")
    assert again == best


def test_a_flat_name_is_still_read_and_says_what_it_is_called_now():
    config = ReconstructionConfig.preset("best")
    with pytest.warns(DeprecationWarning, match=r"prior_sd is now update\.prior\.sd"):
        assert config.prior_sd == 60.0
    assert config.update == "spectral"
    assert isinstance(config.update, Spectral)
    with pytest.raises(AttributeError):
        _ = config.nothing


def test_a_file_of_a_prior_is_the_same_wherever_its_run_is_repeated(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = ReconstructionConfig.preset("best", **{"prior": "denoiser", "prior.file": "mine.safetensors"})
    assert config.values["prior_settings"]["file"] == str(tmp_path / "mine.safetensors")
    usual = ReconstructionConfig.preset("best", **{"prior": "denoiser", "prior.file": ""})
    assert not usual.values["prior_settings"].get("file")
