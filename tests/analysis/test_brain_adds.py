"""What the brain adds is coloured where it was planted; noise, and a fault that recurs, are not."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import napari_vidrecon as vr
from napari_vidrecon.analysis import brain_adds
from napari_vidrecon.analysis.brain_adds import surrogate
from napari_vidrecon.analysis.excess import USUAL_SIGMA, Presented, beyond_chance, discoveries, smoothing_on
from napari_vidrecon.errors import ConfigError
from napari_vidrecon.sessions.screen import USUAL_SCREEN

MASK = np.zeros((36, 64), bool)
MASK[10:26, 20:44] = True
PLANTED = np.s_[10:22, 14:20, 26:32]


def smooth_noise(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """SD 1, as smooth as reconstructions are."""
    noise = gaussian_filter(rng.standard_normal((*shape, 28, 36, 64)), (*[0] * len(shape), 3, 2, 2))
    return noise / noise.std()


@pytest.fixture(scope="module")
def clips() -> list[Presented]:
    """Nine clips, three presentations each: noise, faults of each clip, and a fault that is the same in all."""
    rng = np.random.default_rng(3)
    expected = 127.5 + 30 * smooth_noise(rng, 9, 1).repeat(3, axis=1)
    faults = 8 * smooth_noise(rng, 9, 1) + 20 * smooth_noise(rng)[:1] - 0.2 * (expected - 127.5)
    experienced = expected + faults + 6 * smooth_noise(rng, 9, 3)
    return [Presented(*pair, f"clip {at}") for at, pair in enumerate(zip(expected, experienced, strict=True))]


def planted(clips: list[Presented], grey_levels: float) -> list[Presented]:
    first, *others = clips
    experienced = first.experienced.copy()
    experienced[:, *PLANTED] += grey_levels
    return [Presented(first.expected, experienced), *others]


def test_noise_and_faults_that_recur_are_not_coloured(clips) -> None:
    added = beyond_chance(clips, MASK, q=0.1)
    assert max(each.share for each in added) <= 0.01
    p = np.concatenate([each.p[np.isfinite(each.p)] for each in added])
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.03)


def test_without_other_clips_faults_of_the_encoder_are_coloured_too(clips) -> None:
    assert np.mean([each.share for each in beyond_chance(clips, MASK, against="noise")]) > 0.2


def test_what_was_planted_is_coloured_with_its_sign_and_little_else(clips) -> None:
    first, *others = beyond_chance(planted(clips, -70.0), MASK)
    inside = np.zeros(first.exceeds.shape, bool)
    inside[PLANTED] = True
    assert first.exceeds[inside].mean() > 0.7
    assert first.exceeds[inside].sum() > 0.4 * first.exceeds.sum()
    assert (first.shown[first.exceeds] < 0).mean() > 0.95
    assert max(each.share for each in others) <= 0.01
    assert "false discovery rate 0.1, BH" in first.sentence


def test_what_was_planted_in_a_third_of_the_clips_hides_none_of_it(clips) -> None:
    third = [planted(clips[at : at + 3], 70.0) for at in (0, 3, 6)]
    added = beyond_chance([clip for some in third for clip in some], MASK)
    assert min(each.exceeds[PLANTED].mean() for each in added[::3]) > 0.25
    assert max(each.share for at, each in enumerate(added) if at % 3) <= 0.01


def test_the_interval_holds_the_mean_and_needs_two_presentations(clips) -> None:
    many = beyond_chance(clips, MASK)[0]
    assert (many.low[:, MASK] < many.difference[:, MASK]).all()
    once = [Presented(clip.expected[:1], clip.experienced[:1]) for clip in clips]
    assert np.isnan(beyond_chance(once, MASK)[0].low).all()
    with pytest.raises(ConfigError, match="at least 2 presentations"):
        beyond_chance(once, MASK, against="noise")


def test_flipped_signs_of_many_presentations_are_a_null_of_noise_alone() -> None:
    rng = np.random.default_rng(0)
    still = np.full((6, 28, 36, 64), 127.5)
    noise = Presented(still, still + smooth_noise(rng, 6))
    more = Presented(still, still + smooth_noise(rng, 6) + 3.0)
    nothing, something = beyond_chance([noise, more], MASK, against="noise")
    assert nothing.share < 0.15
    assert something.share > 0.9


def test_too_few_clips_are_refused_in_a_line_that_says_how_many_it_takes(clips) -> None:
    with pytest.raises(ConfigError, match=r"at least 3 other clips .* found 2"):
        beyond_chance(clips[:3], MASK)


def test_any_dependence_costs_discoveries() -> None:
    p = np.concatenate([np.full(10, 1e-4), np.linspace(0.01, 1, 90), [np.nan]])
    assert discoveries(p, 0.1, "bh").sum() >= discoveries(p, 0.1, "by").sum() >= 10
    with pytest.raises(ConfigError, match="between 0 and 1"):
        discoveries(p, 1.5)


def test_a_surrogate_keeps_the_residuals_at_another_time(small_session_folder, small_encoder_file) -> None:
    trial = vr.open_session(small_session_folder).trial(0).part(0, 40)
    encoder = vr.load_encoder(small_encoder_file, device="cpu")
    (made,) = surrogate([trial], [encoder], 10)
    expected = encoder.predict(trial.video, trial.behavior, trial.pupil_center)
    positive = made.responses > 0
    shifted = np.roll(trial.responses - expected, 10, axis=1)
    np.testing.assert_allclose((made.responses - expected)[positive], shifted[positive], atol=1e-3)


def test_what_cannot_be_tested_is_refused_before_a_run(small_session_folder, small_encoder_file) -> None:
    session = vr.open_session(small_session_folder)
    encoder, mask = vr.load_encoder(small_encoder_file, device="cpu"), vr.AlphaMask(MASK.astype(np.float32))
    with pytest.raises(ConfigError, match="shown at least twice, found none"):
        vr.what_the_brain_adds(session, [encoder], mask)
    with pytest.raises(ConfigError, match="trial 1: expected 2 presentations"):
        vr.what_the_brain_adds(session, [encoder], mask, clips=[[0, 2], [1]], against="noise")
    with pytest.raises(ConfigError, match="procedure 'holm': expected bh or by"):
        vr.what_the_brain_adds(session, [encoder], mask, clips=[[0]], procedure="holm")


def test_nothing_is_smoothed_from_one_colour_into_another(clips) -> None:
    mask = np.zeros((36, 64), bool)
    mask[4:14, 20:44] = mask[20:34, 20:44] = True
    altered = []
    for clip in clips:
        experienced = clip.experienced.copy()
        experienced[:, :, 18:] += 50.0 * np.sign(np.arange(28) - 14)[:, None, None]
        altered.append(Presented(clip.expected, experienced))
    same, apart = (beyond_chance(given, mask, colours=2)[0].difference for given in (clips, altered))
    assert np.array_equal(same[:, :18], apart[:, :18])
    assert np.abs(same[:, 18:] - apart[:, 18:]).max() > 20
    whole = np.ones((36, 64), bool)
    leaks = [beyond_chance(given, whole)[0].difference[:, 17] for given in (clips, altered)]
    assert not np.array_equal(*leaks)


def test_a_clip_is_held_against_others_that_were_shown_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = {3: 40, 4: 64, 6: 40}
    session = SimpleNamespace(clip_frames=lambda trial_id: lengths.get(trial_id, 300))
    shown = [[0, 1, 2], [3, 4], [5, 6, 7, 8], *[[first, first + 1] for first in range(10, 30, 2)]]
    monkeypatch.setattr(brain_adds, "clips_shown", lambda _session: shown)
    own, *others = brain_adds.clips_to_compare(session, [2, 0], 64)
    assert own == [2, 0]
    assert others == [[5, 7], *shown[3:9]]
    assert brain_adds.clips_to_compare(session, [0], 32)[1:3] == [[3], [5]]


def test_what_is_smoothed_before_the_test_lasts_as_long_and_is_as_wide_on_every_screen() -> None:
    assert smoothing_on(USUAL_SCREEN, 30.0) == USUAL_SIGMA
    finer = replace(USUAL_SCREEN, rows=72, cols=128)
    assert smoothing_on(finer, 60.0) == pytest.approx((6.0, 3.0, 3.0), rel=0.02)
    assert smoothing_on(USUAL_SCREEN, 8.0)[0] == pytest.approx(0.8)
