"""Which films of a folder a learned prior learns from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_vidrecon.cli.prior import opened_films
from napari_vidrecon.errors import StorageError
from napari_vidrecon.reconstruction.denoiser_training import DenoiserRecipe

RECIPE = DenoiserRecipe(frames=32)


def film(file: Path, frames: int) -> None:
    np.save(file, np.random.default_rng(frames).integers(0, 256, (frames, 36, 64)).astype(np.uint8))


def test_films_that_are_too_short_are_left_out_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film(tmp_path / "long.npy", 40)
    film(tmp_path / "short.npy", 20)
    films, _ = opened_films(tmp_path, RECIPE)
    assert [len(each) for each in films] == [40]
    assert "take care: 1 of 2 films" in capsys.readouterr().err


def test_where_all_are_too_short_the_longest_is_told(tmp_path: Path) -> None:
    film(tmp_path / "short.npy", 20)
    with pytest.raises(StorageError, match=r"at least 32 frames, found 1, the longest of 20; .*--set frames=20"):
        opened_films(tmp_path, RECIPE)


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"at least 32 frames, found none; give longer ones$"):
        opened_films(tmp_path, RECIPE)


def test_a_file_that_is_no_film_is_named_with_what_to_do_and_hidden_ones_are_passed_over(tmp_path: Path) -> None:
    film(tmp_path / "film.npy", 40)
    (tmp_path / ".DS_Store").write_bytes(b"of a system")
    assert len(opened_films(tmp_path, RECIPE)[0]) == 1
    (tmp_path / "README.txt").write_text("what they are")
    with pytest.raises(StorageError, match=r"README\.txt: expected a movie, .*; move what is no film out of"):
        opened_films(tmp_path, RECIPE)


def test_films_in_which_nothing_moves_are_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "grey.npy", np.full((40, 36, 64), 127, np.uint8))
    with pytest.raises(StorageError, match=r"found nothing that moves in grey\.npy"):
        opened_films(tmp_path, RECIPE)
    film(tmp_path / "moves.npy", 40)
    films, source = opened_films(tmp_path, RECIPE)
    assert len(films) == 1
    assert "left out, as nothing moves in it: grey.npy" in capsys.readouterr().err
    (tmp_path / "grey.npy").unlink()
    assert opened_films(tmp_path, RECIPE)[1] == source


def test_films_of_fewer_pixels_are_taken_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "tiny.npy", np.random.default_rng(0).integers(0, 256, (40, 4, 6)).astype(np.uint8))
    assert len(opened_films(tmp_path, RECIPE)[0]) == 1
    assert "tiny.npy (4 x 6)" in capsys.readouterr().err


def test_a_film_scaled_to_0_to_1_is_not_taken_for_black(tmp_path: Path) -> None:
    np.save(tmp_path / "scaled.npy", np.random.default_rng(0).random((40, 36, 64), dtype=np.float32))
    with pytest.raises(StorageError, match=r"scaled\.npy: .*none above 1; multiply it by 255"):
        opened_films(tmp_path, RECIPE)
