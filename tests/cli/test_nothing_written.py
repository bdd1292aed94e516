"""Exit code 2 means that nothing new is on the disk, whatever was damaged and however late it shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

LAST_TRAINING_TRIAL, ORACLE_TRIAL, TEST_TRIAL = 2, 1, 3


def zeroed(file: Path) -> None:
    file.write_bytes(bytes(100))


def infinite(file: Path) -> None:
    array = np.load(file)
    array[..., 9] = np.inf
    np.save(file, array)


@pytest.fixture(scope="module")
def broken_encoder(small_encoder_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights so large that its activity is no number."""
    file = tmp_path_factory.mktemp("broken") / small_encoder_file.name
    weights = load_file(small_encoder_file)
    weights |= {name: value * np.float32(1e30) for name, value in weights.items() if value.dtype.kind == "f"}
    with safe_open(small_encoder_file, "np") as stored:
        save_file(weights, file, stored.metadata())
    return file


def words_of(session: Path, encoder: Path, mask: Path, out: Path) -> dict[str, list]:
    """A short command of each verb that writes into a folder."""
    fit = ("--steps", 2, "--set", "skip_frames=0", "--device", "cpu")
    run = ("--mask", mask, "--evaluation-threshold", 0.6, "--preset", "fast", "--steps", 1, "--device", "cpu")
    return {
        "predict": ["predict", session, "--encoder", encoder, "--trial", ORACLE_TRIAL, "--out", out / "p.npy"],
        "mask": ["mask", session, "--encoder", encoder, "--out", out / "m.npy", *fit],
        "decoder": ["decoder", session, "--out", out / "d.safetensors", "--set", "lags_frames=0"],
        "rf": ["rf", session, "--encoder", encoder, "--set", "patch_px=12", "--out", out / "f.npz", "--device", "cpu"],
        "train": ["train", session, "--steps", 1, "--recipe", "features=4", "--out", out / "e.safetensors"],
        "reconstruct": ["reconstruct", session, "--encoder", encoder, *run, "--out", out / "runs"],
    }


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def assert_nothing(answer, out: Path, *named: str) -> None:
    assert answer.code == 2, answer.out
    assert list(out.iterdir()) == []
    assert len(answer.err.splitlines()) == 1
    for word in named:
        assert word in answer.err


@pytest.mark.parametrize("damage", [zeroed, infinite])
@pytest.mark.parametrize("stream", ["videos", "responses", "behavior"])
@pytest.mark.parametrize(
    ("verb", "trial", "more"),
    [
        ("predict", ORACLE_TRIAL, []),
        ("decoder", ORACLE_TRIAL, []),
        ("decoder", LAST_TRAINING_TRIAL, []),
        ("train", ORACLE_TRIAL, []),
        ("train", LAST_TRAINING_TRIAL, []),
        ("reconstruct", LAST_TRAINING_TRIAL, ["--trials", "train"]),
        ("reconstruct", LAST_TRAINING_TRIAL, ["--trials", "train", "--at-once", 2]),
    ],
)
def test_a_damaged_trial_is_found_before_anything_is_written(
    verb, trial, more, stream, damage, copy_of_small_session, small_encoder_file, mask_file, out, vidrecon
) -> None:
    file = copy_of_small_session / "data" / stream / f"{trial}.npy"
    damage(file)
    words = words_of(copy_of_small_session, small_encoder_file, mask_file, out)[verb]
    assert_nothing(vidrecon(*words, *more), out, str(file))


@pytest.mark.parametrize("verb", ["predict", "mask", "rf", "reconstruct"])
def test_an_encoder_that_answers_no_number_leaves_nothing_behind(
    verb, copy_of_small_session, broken_encoder, mask_file, out, vidrecon
) -> None:
    # A mask takes two trials.
    np.save(
        copy_of_small_session / "meta" / "trials" / "tiers.npy",
        np.array(["train", "oracle", "oracle", "live_test_main"]),
    )
    words = words_of(copy_of_small_session, broken_encoder, mask_file, out)[verb]
    more = ["--trial", 0] if verb == "reconstruct" else []
    assert_nothing(vidrecon(*words, *more), out, broken_encoder.name, "expected finite activity for", "neuron 0")


def test_an_encoder_that_answers_no_number_makes_no_target(
    small_session_folder, small_encoder_file, broken_encoder, mask_file, out, vidrecon
) -> None:
    words = words_of(small_session_folder, small_encoder_file, mask_file, out)["reconstruct"]
    for target in ("predicted", "recorded"):
        answer = vidrecon(*words, "--trial", 0, "--target", target, "--target-encoder", broken_encoder)
        assert_nothing(answer, out, "trial 0", "expected finite activity")


def test_the_check_of_an_encoder_says_what_is_not_finite(broken_encoder, vidrecon) -> None:
    answer = vidrecon("info", broken_encoder, "--check", "--json")
    assert answer.code == 1
    assert all(finding.startswith("finite: expected finite activity") for finding in answer.json["findings"])


def test_a_figure_that_cannot_be_drawn_leaves_no_maps(
    small_session_folder, small_encoder_file, mask_file, out, vidrecon, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_vidrecon.errors import StorageError

    def full(*_: object) -> None:
        raise StorageError("figure: could not be written: the disk is full; make room")

    monkeypatch.setattr("napari_vidrecon.figures.frame.save_figure", full)
    words = words_of(small_session_folder, small_encoder_file, mask_file, out)["rf"]
    assert_nothing(vidrecon(*words, "--figure", out / "f.png"), out, "the disk is full")


def test_runs_that_are_whole_stay_and_the_line_says_so(
    small_session_folder, small_encoder_file, mask_file, out, vidrecon, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_vidrecon.reconstruction.outcome import NotFinite
    from napari_vidrecon.reconstruction.reconstructor import Reconstructor

    step = Reconstructor.step

    def second_fails(run: Reconstructor):
        if run.trial.id == LAST_TRAINING_TRIAL:
            raise NotFinite("step 1: trial 2: the movie is not finite")
        return step(run)

    monkeypatch.setattr(Reconstructor, "step", second_fails)
    words = words_of(small_session_folder, small_encoder_file, mask_file, out)["reconstruct"]
    answer = vidrecon(*words, "--trials", "train")
    assert answer.code == 2
    assert answer.err.splitlines()[-1].endswith(
        f"not finite; the run of trial 0 is complete and kept in {out / 'runs'}"
    )
    assert [folder.name for folder in (out / "runs").iterdir()] == [f"{small_session_folder.name}_trial0.zarr"]


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ("predict", ["--frames", "5:3"]),
        ("predict", ["--frames", "0:" + "9" * 5000]),
        ("predict", ["--mouse", "9" * 5000]),
        ("mask", ["--steps", 10**12]),
        ("mask", ["--seed", 10**30]),
        ("mask", ["--set", "blur_kernel_px=10"]),
        ("decoder", ["--trials", "fold:" + "9" * 5000]),
        ("decoder", ["--set", f"lags_frames=0,{10**30}"]),
        ("rf", ["--set", f"shown_frames={10**9}"]),
        ("train", ["--instances", 10**12]),
        ("train", ["--steps", 10**12]),
        ("train", ["--seed", -1]),
        ("train", ["--held-out-fold", "9" * 5000]),
        ("train", ["--recipe", "betas=0.9,nan"]),
        ("train", ["--recipe", f"features={10**9}"]),
        ("reconstruct", ["--trial", 10**30]),
        ("reconstruct", ["--trial", 0, "--steps", 10**12]),
        ("reconstruct", ["--trial", 0, "--set", f"draws={10**9}"]),
        ("reconstruct", ["--trial", 0, "--set", "learning_rate=inf"]),
        ("reconstruct", ["--trial", 0, "--mask-threshold", "nan"]),
        ("reconstruct", ["--trial", 0, "--evaluation-threshold=-inf"]),
        ("reconstruct", ["--trial", 0, "--ablate", "nan"]),
        ("reconstruct", ["--trial", 0, "--ablate", 0.5, "--ablation-seed", -1]),
        ("reconstruct", ["--trial", 0, "--memory", "inf"]),
        ("reconstruct", ["--trial", 0, "--save-every", "nan"]),
    ],
    ids=lambda value: " ".join(str(each)[:20] for each in value) if isinstance(value, list) else value,
)
def test_an_odd_number_is_one_line_and_nothing_is_written(
    verb, words, small_session_folder, small_encoder_file, mask_file, out, vidrecon
) -> None:
    given = words_of(small_session_folder, small_encoder_file, mask_file, out)[verb]
    answer = vidrecon(*given, *words)
    assert_nothing(answer, out)
    assert len(answer.err) < 700


@pytest.mark.parametrize("folder", ["/", "."])
@pytest.mark.parametrize("verb", ["predict", "mask", "decoder", "rf", "train"])
def test_a_folder_that_has_no_name_of_its_own_is_no_file_to_write(
    verb: str, folder: str, small_session_folder, small_encoder_file, mask_file, vidrecon, out, monkeypatch
) -> None:
    monkeypatch.chdir(out)
    words = words_of(small_session_folder, small_encoder_file, mask_file, out)[verb]
    words[words.index("--out") + 1] = folder
    assert_nothing(vidrecon(*words), out)
