"""The sample: a part of it is installed, the rest is in a checkout or fetched by name and checksum."""

from __future__ import annotations

import hashlib
import io
import shutil
import tomllib
import zipfile
from pathlib import Path

import pytest
from file_server import serving

from napari_vidrecon.cli import main
from napari_vidrecon.errors import SessionError
from napari_vidrecon.sessions import sample as sample_module
from napari_vidrecon.sessions.sample import CHECKSUMS, SAMPLE_PLACE, find_sample, sample_checksums, whole_sample
from napari_vidrecon.sessions.session import open_session
from napari_vidrecon.sessions.validation import validate_session

ROOT = Path(__file__).resolve().parents[2]
MOST_BYTES_OF_THE_WHEEL = 6_000_000


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What an installation has beside the package's modules; nothing was fetched yet."""
    monkeypatch.delenv(SAMPLE_PLACE, raising=False)
    monkeypatch.setattr("platformdirs.user_data_path", lambda name: tmp_path / "user" / name)
    site = tmp_path / "site"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for source, target in project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"].items():
        (site / target).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
        copy(ROOT / source, site / target)
    monkeypatch.setattr(sample_module, "PACKAGE", site / "napari_vidrecon")
    return site / "napari_vidrecon" / "sample_data"


def test_a_checkout_has_the_whole_sample_with_the_checksums_that_are_told() -> None:
    folder = whole_sample().session.parent
    assert folder == ROOT / "sample_data"
    for name, sha256 in sample_checksums().items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256, name
    alone = (folder / "mask.npy", folder / "core.safetensors")
    files = [*(folder / "encoders").rglob("*"), *(folder / "simulated_mouse").rglob("*"), *alone]
    assert {str(file.relative_to(folder)) for file in files if file.is_file()} == sample_checksums().keys()


def test_the_installed_part_is_a_sound_session_with_encoders_and_mask(installed: Path) -> None:
    sample = find_sample()
    assert sample.session == installed / "simulated_mouse"
    assert open_session(sample.session).trial_ids == (0, 1)
    assert not validate_session(sample.session)
    assert len(sample.encoders) == 3
    assert sample.mask.is_file()


def test_what_needs_the_whole_sample_says_in_one_line_how_to_get_the_rest(installed: Path) -> None:
    assert not find_sample().whole
    with pytest.raises(SessionError, match=r"expected the whole sample, .*`vidrecon download sample`") as refused:
        whole_sample()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("words", [("--encoders", "5"), ("--trial", "5")])
def test_a_demo_that_asks_for_more_says_how_to_get_it(installed: Path, tmp_path: Path, capsys, words) -> None:
    assert main(["demo", "--headless", "--out", str(tmp_path / "demo"), *words]) == 2
    assert "`vidrecon download sample`" in capsys.readouterr().err


def test_an_installed_package_is_at_most_six_megabytes(installed: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        for folder in (installed, ROOT / "napari_vidrecon"):
            for file in folder.rglob("*"):
                if file.is_file() and file.suffix != ".pyc":
                    packed.write(file)
    assert len(content.getvalue()) < MOST_BYTES_OF_THE_WHEEL


def test_a_checkout_elsewhere_can_be_named(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SAMPLE_PLACE, str(ROOT / "sample_data"))
    assert whole_sample().session.parent == ROOT / "sample_data"
    monkeypatch.setenv(SAMPLE_PLACE, str(ROOT))
    with pytest.raises(SessionError, match="expected the folder sample_data of the repository"):
        find_sample()


def test_without_an_address_the_download_says_what_is_missing(installed: Path, capsys) -> None:
    assert main(["download", "sample"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "found none: none is published yet; they lie in the folder sample_data of the repository" in told


def test_the_rest_is_fetched_by_name_and_checksum_and_then_found(
    installed: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as server:
        server.files = {f"/raw/{name}": (ROOT / "sample_data" / name).read_bytes() for name in sample_checksums()}
        mask = server.files["/raw/mask.npy"]
        server.files["/raw/mask.npy"] = mask[:-1] + b"x"
        monkeypatch.setenv(SAMPLE_PLACE, f"{server.url}/raw/")
        assert main(["download", "sample"]) == 2
        assert "mask.npy: expected the file with the checksum" in capsys.readouterr().err
        assert not find_sample().whole
        server.files["/raw/mask.npy"] = mask
        assert main(["download", "sample"]) == 0
    sample = whole_sample()
    assert len(sample.encoders) == 5
    assert len(open_session(sample.session).trial_ids) == 10
    assert not (sample.session.parent / CHECKSUMS).exists()
