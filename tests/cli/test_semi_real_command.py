"""`vidrecon simulate --like`: mice like the public ones and semi-real ones, and what cannot be one."""

from __future__ import annotations

import json

import numpy as np
import pytest
from published_weights import made_up, saved

from napari_vidrecon.sessions.session import open_session

FEW = ("--trials", 2, "--validation-trials", 1, "--test-trials", 1, "--frames", 45)


def test_a_semi_real_mouse_and_its_encoder_are_made_and_shown_as_such(vidrecon, tmp_path):
    model, out, encoder = saved(tmp_path, made_up()), tmp_path / "mouse", tmp_path / "mouse.safetensors"
    words = ("simulate", "--like", "sensorium2022", "--encoder", model, "--neurons", 4, "--out", out, *FEW)
    made = vidrecon(*words, "--save-encoder", encoder)
    assert made.code == 0, made.err
    assert "semi-real mouse ->" in made.out
    session = open_session(out)
    assert (session.n_neurons, session.simulated, len(session.tiers)) == (4, True, 4)
    shown = vidrecon("info", out)
    assert "session of a semi-real mouse" in shown.out
    assert json.loads(vidrecon("info", out, "--json").out)["semi_real"] is True
    told = vidrecon("info", encoder, "--check")
    assert told.code == 0
    assert "0 (mouse): 4 neurons" in told.out
    assert "not of the published model, which answers a picture, not a movie" in told.out
    again = vidrecon(*words, "--save-encoder", encoder)
    assert (again.code, "expected a free name" in again.err) == (2, True)
    assert vidrecon(*words, "--overwrite", "--save-encoder", encoder).code == 0


def test_films_of_one_s_own_are_shown(vidrecon, tmp_path):
    model, film = saved(tmp_path, made_up()), tmp_path / "film.npy"
    np.save(film, np.random.default_rng(0).integers(0, 256, (180, 36, 64)).astype(np.uint8))
    words = ("simulate", "--like", "sensorium2022", "--encoder", model, "--neurons", 2, "--out", tmp_path / "mouse")
    made = vidrecon(*words, "--film", film, *FEW)
    assert made.code == 0, made.err
    assert np.array_equal(open_session(tmp_path / "mouse").trial(1).video, np.load(film)[45:90])
    short = vidrecon(*words, "--film", film, "--trials", 9, "--frames", 45, "--overwrite")
    assert short.code == 2
    assert "clips of 45 frames, found 4; give more films" in short.err


def test_a_mouse_like_the_public_ones_is_made(vidrecon, tmp_path):
    made = vidrecon("simulate", "--like", "public", "--neurons", 3, "--out", tmp_path / "mouse", *FEW)
    assert made.code == 0, made.err
    assert open_session(tmp_path / "mouse").simulation["like"] == "public"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--like", "monkey"), "--like: expected one of usual, public, sensorium2022, found 'monkey'"),
        (("--like", "sensorium2022"), "expected --encoder FILE, found none"),
        (("--like", "public", "--encoder", "x.pth"), "--encoder: is for --like sensorium2022, found --like public"),
        (("--film", "x.npy"), "--film: is for --like sensorium2022, found --like usual"),
        (("--like", "sensorium2022", "--encoder", "nothing.pth"), "nothing.pth: expected an encoder file"),
        (("--like", "sensorium2022", "--encoder", "a.pth", "--save-encoder", "a.pth"), "ending in .safetensors"),
    ],
)
def test_what_cannot_be_made_is_one_line(words, expected, vidrecon, tmp_path):
    answer = vidrecon("simulate", "--out", tmp_path / "mouse", *FEW, *words)
    assert answer.code == 2
    assert expected in answer.err
    assert len(answer.err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
