"""Settings are checked, frozen, and come back from JSON as they were."""

from __future__ import annotations

import pytest

from napari_vidrecon.errors import ConfigError
from napari_vidrecon.reconstruction.config import PRESETS, ReconstructionConfig


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_json(name):
    config = ReconstructionConfig.preset(name, steps=7)
    assert ReconstructionConfig.model_validate_json(config.model_dump_json()) == config
    assert config.preset_name == name
    assert config.steps == 7


def test_the_paper_preset_has_the_published_constants():
    config = ReconstructionConfig.preset("paper")
    assert (config.steps, config.sub_batch_stride, config.learning_rate, config.warmup_steps) == (1000, 8, 1000.0, 10)
    assert (config.momentum, config.ramp, config.norm_epsilon, config.gradient_clip) == (0.9, 0.999, 1e-6, 1.0)
    assert config.gradient_blur_px == config.gradient_blur_frames == 0.0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 0}, "steps: input should be greater than or equal to 1, found 0"),
        ({"learning_rate": "fast"}, "learning_rate: .*found 'fast'"),
        ({"stride": 8}, "stride: extra inputs are not permitted"),
        ({"schedule": "random_offset", "sub_batch_stride": 1}, "random offset needs a stride"),
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
