"""Downloads from a local server: interrupted, resumed, changed, damaged, and never half there."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from file_server import FileServer, serving

from napari_vidrecon.errors import ConfigError, StorageError, VidreconError
from napari_vidrecon.sessions.downloading import resuming
from napari_vidrecon.sessions.downloading.archives import unpack_session
from napari_vidrecon.sessions.downloading.catalogue import PublicFile, catalogue, chosen_files
from napari_vidrecon.sessions.downloading.download import Licence, download, read_licence
from napari_vidrecon.sessions.downloading.resuming import ResumingDownload
from napari_vidrecon.sessions.session import open_session

LICENCE = Licence("", "as they say")


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as held:
        yield held


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks, so that a little file comes in many; no pause before another attempt."""
    monkeypatch.setattr(resuming, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(resuming.time, "sleep", lambda seconds: None)


def mask_bytes(level: float = 1.0, rows: int = 64) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.random.default_rng(0).uniform(0, level, (rows, 64)))
    return buffer.getvalue()


@pytest.fixture
def mask(server: FileServer) -> PublicFile:
    file = catalogue(server.url)["mask-m2"]
    server.files[path_of(file)] = mask_bytes()
    return file


def path_of(file: PublicFile) -> str:
    return f"/{file.repository}/raw/master/{file.path}"


def files_below(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def zipped(folder: Path, top: str = "", junk: bool = True) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                packed.write(file, f"{top}{file.relative_to(folder)}")
        if junk:
            packed.writestr(f"__MACOSX/{top}._config.json", "junk")
    return buffer.getvalue()


@pytest.fixture
def mouse(server: FileServer, small_session_folder: Path) -> PublicFile:
    file = catalogue(server.url)["dynamic29515-10-12"]
    server.files[path_of(file)] = zipped(small_session_folder, f"{file.file_name.removesuffix('.zip')}/")
    return file


def test_what_is_fetched_is_what_the_server_has_and_its_checksum_is_recorded(mask: PublicFile, tmp_path: Path) -> None:
    left = download(mask, tmp_path, LICENCE)
    assert left.path.read_bytes() == mask_bytes()
    assert left.sha256 == hashlib.sha256(mask_bytes()).hexdigest()
    assert not left.checked
    entry = json.loads((tmp_path / "downloads.json").read_text())[mask.url]
    assert (entry["sha256"], entry["bytes"]) == (left.sha256, len(mask_bytes()))
    assert entry["licence"]["sha256"] == LICENCE.sha256
    assert files_below(tmp_path) == ["downloads.json", "masks/mask_m2.npy"]


def test_what_is_there_is_not_fetched_again(mask: PublicFile, server: FileServer, tmp_path: Path) -> None:
    download(mask, tmp_path, LICENCE)
    assert download(mask, tmp_path, LICENCE).was_there
    assert len(server.requests) == 1


def test_a_broken_connection_goes_on_where_it_broke(mask: PublicFile, server: FileServer, tmp_path: Path) -> None:
    server.breaks_after = [9000, 5000]
    assert download(mask, tmp_path, LICENCE).path.read_bytes() == mask_bytes()
    spans = server.asked_for(path_of(mask))
    assert spans[0] == ""
    assert [int(span.removeprefix("bytes=").rstrip("-")) for span in spans[1:]] == [
        9000 - resuming.OVERLAP_BYTES,
        14000 - 2 * resuming.OVERLAP_BYTES,
    ]


def test_a_connection_that_stays_broken_keeps_what_came_for_the_next_command(
    mask: PublicFile, server: FileServer, tmp_path: Path
) -> None:
    server.breaks_after = [9000, *[0] * 50]
    with pytest.raises(StorageError, match="9000 bytes are kept"):
        download(mask, tmp_path, LICENCE)
    assert not (tmp_path / mask.goes_to).exists()
    server.breaks_after.clear()
    server.requests.clear()
    assert download(mask, tmp_path, LICENCE).path.read_bytes() == mask_bytes()
    assert server.asked_for(path_of(mask)) == [f"bytes={9000 - resuming.OVERLAP_BYTES}-"]
    assert files_below(tmp_path) == ["downloads.json", "masks/mask_m2.npy"]


def test_an_interrupt_keeps_what_came(mask: PublicFile, server: FileServer, tmp_path: Path) -> None:
    def interrupt(what: str, done: int, total: int) -> None:
        if done > 12_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(mask, tmp_path, LICENCE, interrupt)
    assert not (tmp_path / mask.goes_to).exists()
    assert download(mask, tmp_path, LICENCE).path.read_bytes() == mask_bytes()
    assert server.asked_for(path_of(mask))[1].startswith("bytes=1")


@pytest.mark.parametrize("tags", [True, False])
def test_a_part_of_a_file_that_has_changed_since_is_thrown_away(
    tags: bool, mask: PublicFile, server: FileServer, tmp_path: Path
) -> None:
    server.tags = tags
    server.breaks_after = [9000, *[0] * 50]
    with pytest.raises(StorageError):
        download(mask, tmp_path, LICENCE)
    changed = mask_bytes(2.0) if tags else mask_bytes(1.0, rows=65)
    server.files[path_of(mask)] = changed
    server.breaks_after.clear()
    assert download(mask, tmp_path, LICENCE).path.read_bytes() == changed


def test_a_server_that_sends_no_parts_sends_all_again(mask: PublicFile, server: FileServer, tmp_path: Path) -> None:
    server.ranges = False
    server.breaks_after = [9000]
    assert download(mask, tmp_path, LICENCE).path.read_bytes() == mask_bytes()


def test_a_part_that_was_whole_already_is_taken(mask: PublicFile, server: FileServer, tmp_path: Path) -> None:
    fetch = ResumingDownload(tmp_path / "mask.part")
    server.breaks_after = [len(mask_bytes()) - 10, *[0] * 50]
    with pytest.raises(StorageError):
        fetch(mask.url)
    fetch.part.write_bytes(mask_bytes())
    server.breaks_after.clear()
    assert fetch(mask.url).read_bytes() == mask_bytes()
    fetch.discard()
    assert files_below(tmp_path) == []


def test_a_file_that_changed_after_its_first_download_is_refused(
    mask: PublicFile, server: FileServer, tmp_path: Path
) -> None:
    left = download(mask, tmp_path, LICENCE)
    left.path.unlink()
    server.files[path_of(mask)] = mask_bytes(3.0)
    with pytest.raises(StorageError, match=r"checksum.*first download.*downloads\.json"):
        download(mask, tmp_path, LICENCE)
    assert files_below(tmp_path) == ["downloads.json"]
    server.files[path_of(mask)] = mask_bytes()
    assert download(mask, tmp_path, LICENCE).checked


def test_a_file_without_its_published_checksum_is_refused(mask: PublicFile, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="published checksum"):
        download(replace(mask, sha256="0" * 64), tmp_path, LICENCE)
    assert files_below(tmp_path) == []
    right = hashlib.sha256(mask_bytes()).hexdigest()
    assert download(replace(mask, sha256=right), tmp_path, LICENCE).checked


@pytest.mark.parametrize("answer", [b"<!DOCTYPE html><p>busy", b"/annex/objects/MD5-s34", b""])
def test_a_web_page_in_place_of_the_file_is_refused(
    answer: bytes, mask: PublicFile, server: FileServer, tmp_path: Path
) -> None:
    server.files[path_of(mask)] = answer
    with pytest.raises(StorageError, match=r"expected a \.npy file, found one that starts with"):
        download(mask, tmp_path, LICENCE)
    assert files_below(tmp_path) == []


def test_what_is_not_there_and_a_server_that_is_not_there_are_one_line(mask: PublicFile, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="404"):
        download(replace(mask, path="nowhere.npy"), tmp_path, LICENCE)
    with pytest.raises(StorageError, match="connection"):
        download(replace(mask, host="http://127.0.0.1:9"), tmp_path, LICENCE)
    with pytest.raises(StorageError, match="connection"):
        read_licence(replace(mask, host="http://127.0.0.1:9"))


def test_a_disk_without_room_is_told_before_anything_comes(
    mask: PublicFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(resuming.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(StorageError, match="room"):
        download(mask, tmp_path, LICENCE)


def test_a_mouse_becomes_a_session_folder(mouse: PublicFile, server: FileServer, tmp_path: Path) -> None:
    server.breaks_after = [300_000]
    told: list[str] = []
    left = download(mouse, tmp_path, LICENCE, lambda what, done, total: told.append(what))
    assert left.path.name == "dynamic29515-10-12-Video-9b4f6a1a067fe51e15306b9628efea20"
    assert open_session(left.path).trial(0).frames == 60
    assert set(told) == {"fetching", "unpacking"}
    below = files_below(tmp_path)
    assert not [name for name in below if "MACOSX" in name or name.endswith((".zip", ".part", ".incoming"))]


def test_an_interrupted_unpacking_leaves_no_session_and_needs_no_second_download(
    mouse: PublicFile, server: FileServer, tmp_path: Path
) -> None:
    def interrupt(what: str, done: int, total: int) -> None:
        if what == "unpacking" and done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(mouse, tmp_path, LICENCE, interrupt)
    assert not (tmp_path / mouse.goes_to).exists()
    download(mouse, tmp_path, LICENCE)
    assert len(server.asked_for(path_of(mouse))) == 1
    assert open_session(tmp_path / mouse.goes_to).n_neurons == 20


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(255 - value for value in content[middle : middle + 200]) + content[middle + 200 :]


def without_video(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            if not name.endswith("videos/2.npy"):
                new.writestr(name, old.read(name))
    return buffer.getvalue()


def only_text(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as new:
        new.writestr("session/readme.txt", "hello")
    return buffer.getvalue()


@pytest.mark.parametrize("damage", [cut, flip, without_video, only_text])
def test_a_damaged_or_incomplete_zip_leaves_nothing_and_a_sound_one_can_follow(
    damage, mouse: PublicFile, server: FileServer, tmp_path: Path
) -> None:
    sound = server.files[path_of(mouse)]
    server.files[path_of(mouse)] = damage(sound)
    with pytest.raises(VidreconError, match="expected"):
        download(mouse, tmp_path, LICENCE)
    assert files_below(tmp_path) == []
    server.files[path_of(mouse)] = sound
    assert open_session(download(mouse, tmp_path, LICENCE).path).n_neurons == 20


def archive_with(folder: Path, name: str, mode: int = 0) -> Path:
    archive = folder / "session.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("session/meta/a.txt", "a")
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        packed.writestr(member, "../../outside")
    return archive


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("../evil.txt", 0),
        ("session/../../evil.txt", 0),
        ("/tmp/evil.txt", 0),
        ("C:/evil.txt", 0),
        ("session\\..\\..\\evil.txt", 0),
        ("session/link", stat.S_IFLNK | 0o777),
        ("session/device", stat.S_IFCHR | 0o666),
    ],
)
def test_a_zip_that_points_outside_its_folder_is_refused_whole(name: str, mode: int, tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    archive = archive_with(inner, name, mode)
    with pytest.raises(StorageError, match="nothing was unpacked"):
        unpack_session(archive, inner / "session")
    assert files_below(tmp_path) == ["a/b/session.zip"]


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("session/data/zeros.npy", bytes(50_000_000))
    with pytest.raises(StorageError, match="grow to"):
        unpack_session(tmp_path / "bomb.zip", tmp_path / "session")
    assert files_below(tmp_path) == ["bomb.zip"]


def test_a_zip_without_a_top_folder_is_a_session_too(small_session_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "session.zip").write_bytes(zipped(small_session_folder))
    assert open_session(unpack_session(tmp_path / "session.zip", tmp_path / "session")).n_neurons == 20


def test_the_licence_is_that_of_the_repository_or_said_to_be_missing(mask: PublicFile, server: FileServer) -> None:
    assert read_licence(mask).url == ""
    server.files[f"/{mask.repository}/raw/master/README.md"] = b"all of it, with a citation"
    assert read_licence(mask).text == "all of it, with a citation"
    server.files[f"/{mask.repository}/raw/master/LICENSE"] = b"CC BY"
    assert read_licence(mask) == Licence(f"{server.url}/{mask.repository}/raw/master/LICENSE", "CC BY")


def test_every_public_thing_has_a_place_and_an_address_of_its_own() -> None:
    files = catalogue().values()
    assert len({file.url for file in files}) == len({file.goes_to for file in files}) == len(files) == 24
    assert [file.kind for file in files].count("mouse") == 10
    assert all(file.url.startswith("https://gin.g-node.org/") and " " not in file.url for file in files)
    assert "fold_3/model-017-0.291853.pth" in catalogue()["weights-fold3"].url


def test_names_are_those_of_the_catalogue_or_of_a_group() -> None:
    assert [file.name for file in chosen_files(["mask-m1", "mask-m1", "gratings"])] == ["mask-m1", "gratings"]
    assert len(chosen_files(["weights", "weights-fold2"])) == 7
    with pytest.raises(ConfigError, match="did you mean mask-m1"):
        chosen_files(["mask1"])


def test_a_part_that_is_a_link_to_elsewhere_is_not_written_through(
    mask: PublicFile, server: FileServer, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    place = tmp_path / "data" / mask.goes_to
    place.parent.mkdir(parents=True)
    (place.parent / f".{place.name}.part").symlink_to(outside)
    (place.parent / f".{place.name}.part.json").symlink_to(outside)
    assert download(mask, tmp_path / "data", LICENCE).path.read_bytes() == mask_bytes()
    assert outside.read_text() == "mine"


@pytest.mark.parametrize(
    "note",
    ["", "[]", "{}", '{"url": "URL", "validator": 3, "total": 5}', '{"url": "URL", "validator": "", "total": -1}'],
)
def test_a_damaged_note_beside_a_part_means_to_start_again(
    note: str, mask: PublicFile, server: FileServer, tmp_path: Path
) -> None:
    place = tmp_path / mask.goes_to
    place.parent.mkdir(parents=True)
    (place.parent / f".{place.name}.part").write_bytes(b"something else" * 1000)
    (place.parent / f".{place.name}.part.json").write_text(note.replace("URL", mask.url))
    assert download(mask, tmp_path, LICENCE).path.read_bytes() == mask_bytes()


def test_a_zip_left_from_an_unpacking_in_vain_is_still_held_against_its_checksum(
    mouse: PublicFile, server: FileServer, tmp_path: Path
) -> None:
    left = download(mouse, tmp_path, LICENCE).path
    shutil.rmtree(left)
    left.with_name(left.name + ".zip").write_bytes(server.files[path_of(mouse)])
    assert download(mouse, tmp_path, LICENCE).checked
    shutil.rmtree(left)
    left.with_name(left.name + ".zip").write_bytes(without_video(server.files[path_of(mouse)]))
    with pytest.raises(StorageError, match="checksum"):
        download(mouse, tmp_path, LICENCE)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("session/data", "found both"),
        ("session/META/a.txt", "found two at|found both"),
        ("session/meta/a.txt/x", "found both"),
        ("session/" + "a" * 300, "longer or deeper"),
        ("session/" + "a/" * 50 + "b", "longer or deeper"),
        ("session/meta/nul.txt", "not every system"),
        ("session/meta/a\x1b[2J", "characters that hide"),
    ],
)
def test_a_zip_whose_names_no_folder_can_hold_is_refused_whole(name: str, found: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "session.zip", "w") as packed:
        for each in ("session/meta/a.txt", "session/data/videos/0.npy", name):
            packed.writestr(each, "a")
    with pytest.raises(StorageError, match=found):
        unpack_session(tmp_path / "session.zip", tmp_path / "session")
    assert files_below(tmp_path) == ["session.zip"]


@pytest.mark.parametrize("kind", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_damage_in_any_compression_is_one_line(kind: int, small_session_folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "session.zip", "w", kind) as packed:
        for file in sorted(small_session_folder.rglob("*.npy")):
            packed.write(file, str(file.relative_to(small_session_folder)))
    content = bytearray((tmp_path / "session.zip").read_bytes())
    content[400:440] = b"\xff" * 40
    (tmp_path / "session.zip").write_bytes(content)
    with pytest.raises(StorageError, match=r"expected a sound zip|found lzma"):
        unpack_session(tmp_path / "session.zip", tmp_path / "session")
