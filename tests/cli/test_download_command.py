"""`vidrecon download`: the licence is shown, the bytes are checked, faults are one line."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from file_server import FileServer, serving
from safetensors import safe_open
from safetensors.numpy import save_file

PLACE = "/Joel-Bauer/Movie_reconstruction/raw/master"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as held:
        buffer = io.BytesIO()
        np.save(buffer, np.ones((64, 64)))
        held.files = {f"{PLACE}/reconstructions/masks/mask_m{mouse}.npy": buffer.getvalue() for mouse in range(5)}
        held.files[f"{PLACE}/LICENSE"] = b"Share alike.\nAnd cite."
        yield held


def test_everything_public_is_listed_without_a_connection(vidrecon, tmp_path: Path) -> None:
    answer = vidrecon("download", "--list")
    assert answer.code == 0
    for name in ("dynamic29515-10-12", "weights-fold6", "mask-m4", "gaussian-noise"):
        assert name in answer.out
    assert "licence could not be checked" in answer.out
    listed = vidrecon("download", "--list", "--json").json["files"]
    assert len(listed) == 24


def test_a_group_is_fetched_after_its_licence_was_shown_once(vidrecon, server: FileServer, tmp_path: Path) -> None:
    words = ("download", "masks", "--out", tmp_path / "data", "--mirror", server.url)
    answer = vidrecon(*words)
    assert answer.code == 0, answer.err
    assert answer.err.count("Share alike.") == 1
    assert "cite: Bauer" in answer.err
    assert answer.out.count("recorded") == 5
    assert len(list((tmp_path / "data" / "masks").glob("*.npy"))) == 5
    again = vidrecon(*words, "--json")
    assert [each["was_there"] for each in again.json["downloads"]] == [True] * 5
    assert vidrecon("info", tmp_path / "data" / "masks" / "mask_m0.npy").code == 0


@pytest.mark.parametrize(
    ("words", "named"), [((), "--list"), (("mouse",), "none of that name"), (("gratings",), "404")]
)
def test_what_cannot_be_fetched_is_one_line(
    words: tuple[str, ...], named: str, vidrecon, server: FileServer, tmp_path: Path
) -> None:
    answer = vidrecon("download", *words, "--out", tmp_path / "data", "--mirror", server.url)
    assert answer.code == 2
    assert named in answer.err
    assert "Traceback" not in answer.err


def test_several_servers_are_tried_in_turn(vidrecon, server: FileServer, tmp_path: Path) -> None:
    gone = "http://127.0.0.1:9"
    words = ("download", "mask-m1", "--out", tmp_path / "data", "--mirror", gone, "--mirror", server.url)
    answer = vidrecon(*words)
    assert answer.code == 0, answer.err
    assert "trying the next address" in answer.err
    assert (tmp_path / "data/masks/mask_m1.npy").exists()
    answer = vidrecon("download", "mask-m2", "--out", tmp_path / "data", "--mirror", gone, "--mirror", gone)
    assert answer.code == 2
    assert gone in answer.err


def test_a_file_may_lie_anywhere(vidrecon, server: FileServer, tmp_path: Path) -> None:
    server.files["/elsewhere/m3"] = server.files[f"{PLACE}/reconstructions/masks/mask_m3.npy"]
    words = ("download", "mask-m3", "--out", tmp_path / "data", "--mirror", server.url)
    answer = vidrecon(*words, "--url", f"{server.url}/nowhere", "--url", f"{server.url}/elsewhere/m3")
    assert answer.code == 0, answer.err
    assert (tmp_path / "data/masks/mask_m3.npy").exists()
    assert f"{server.url}/elsewhere/m3" in (tmp_path / "data/downloads.json").read_text()
    answer = vidrecon("download", "masks", "--out", tmp_path / "data", "--url", f"{server.url}/elsewhere/m3")
    assert answer.code == 2
    assert "found 5 files" in answer.err


def test_how_a_public_mouse_may_be_used_is_shown_and_kept(
    vidrecon, server: FileServer, small_session_folder: Path, tmp_path: Path
) -> None:
    assert "CC BY-NC-ND 4.0" in vidrecon("download", "--list").out
    name = "dynamic29515-10-12-Video-9b4f6a1a067fe51e15306b9628efea20"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for file in small_session_folder.rglob("*"):
            if file.is_file():
                packed.write(file, f"{name}/{file.relative_to(small_session_folder)}")
    server.files[f"/pollytur/sensorium_2023_dataset/raw/master/{name}.zip"] = buffer.getvalue()
    answer = vidrecon("download", "dynamic29515-10-12", "--out", tmp_path, "--mirror", server.url)
    assert answer.code == 0, answer.err
    assert "terms: CC BY-NC-ND 4.0" in answer.err
    assert "get in touch" in answer.err
    session = tmp_path / "sessions" / name
    told = vidrecon("info", session, "--json").json
    assert told["licence"] == "CC BY-NC-ND 4.0"
    assert "before publishing a new analysis" in told["terms"]
    assert told["source"].startswith(server.url)
    assert vidrecon("validate", session).code == 0
    # One that came another way is known by its name.
    (session / "licence.json").unlink()
    told = vidrecon("info", session, "--json").json
    assert told["licence"] == "CC BY-NC-ND 4.0"
    assert "source" not in told


def test_an_encoder_is_shared_with_its_card_and_comes_back_the_same(
    vidrecon, server, small_encoder_file, tmp_path, monkeypatch
) -> None:
    words = ("push", small_encoder_file, "hf:lab/mouse", "--out", tmp_path / "shared", "--json")
    refused = vidrecon(*words, "--dry-run")
    assert refused.code == 2
    assert "--licence" in refused.err
    assert vidrecon(*words, "--licence", "mit", "--dry-run").code == 0
    card = (tmp_path / "shared" / "README.md").read_text("utf-8")
    assert "license: mit" in card
    assert "20 neurons" in card

    taken = []
    errors = SimpleNamespace(HfHubHTTPError=RuntimeError)
    api = SimpleNamespace(
        create_repo=lambda name, exist_ok: taken.append(name),
        upload_folder=lambda repo_id, folder_path: taken.append(folder_path) or f"{server.url}/{repo_id}",
    )
    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(HfApi=lambda: api, errors=errors))
    assert vidrecon(*words, "--licence", "mit").json["is at"] == f"{server.url}/lab/mouse"
    assert taken == ["lab/mouse", str(tmp_path / "shared")]
    (tmp_path / "shared" / "secret.txt").write_text("mine")
    assert "alone" in vidrecon(*words, "--licence", "mit").err
    assert len(taken) == 2
    (tmp_path / "shared" / "secret.txt").unlink()

    for file in (tmp_path / "shared").iterdir():
        place = "resolve" if file.suffix == ".safetensors" else "raw"
        server.files[f"/lab/mouse/{place}/v2/{file.name}"] = file.read_bytes()
    got = vidrecon("download", "hf:lab/mouse@v2", "--out", tmp_path / "data", "--mirror", server.url)
    assert got.code == 0
    assert "license: mit" in got.err
    came = tmp_path / "data" / "encoders" / "lab--mouse@v2-encoder.safetensors"
    assert came.read_bytes() == small_encoder_file.read_bytes()


def test_a_card_tells_whose_recordings_are_in_a_core_and_what_was_simulated(
    vidrecon, small_encoder_file, tmp_path
) -> None:
    public = "dynamic29515-10-12-Video-9b4f6a1a067fe51e15306b9628efea20"
    with safe_open(small_encoder_file, "np") as file:
        told = json.loads(file.metadata()["vidrecon"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    told["provenance"] |= {"core": {"mice": [public]}, "simulated": True}
    save_file(tensors, tmp_path / "core.safetensors", metadata={"vidrecon": json.dumps(told)})
    words = ("push", tmp_path / "core.safetensors", "hf:lab/mouse", "--out", tmp_path / "shared", "--licence", "mit")
    assert vidrecon(*words, "--dry-run").code == 0
    card = (tmp_path / "shared" / "README.md").read_text("utf-8")
    assert "CC BY-NC-ND 4.0" in card
    assert f"learned from | {public}" in card
    assert "(dynamic1-1-1-Video-small), simulated" in card


def test_whatever_keeps_the_hub_from_taking_an_encoder_is_one_line(
    vidrecon, small_encoder_file, tmp_path, monkeypatch
) -> None:
    class Offline(Exception):
        """As of a package that the hub's own reaches the network by."""

    def create_repo(name, exist_ok):
        raise Offline("no\nroute")

    errors, api = SimpleNamespace(HfHubHTTPError=KeyError), SimpleNamespace(create_repo=create_repo)
    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(HfApi=lambda: api, errors=errors))
    answer = vidrecon("push", small_encoder_file, "hf:lab/mouse", "--out", tmp_path / "shared", "--licence", "mit")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "is ready, but the hub did not take it (no route)" in answer.err


@pytest.mark.parametrize("name", ["hf:lab", "hf:lab/../x", "hf:lab/mouse:../e.safetensors", "hf:lab/mouse:e.pth"])
def test_what_is_no_name_on_the_hub_is_one_line(vidrecon, name: str, tmp_path) -> None:
    answer = vidrecon("download", name, "--out", tmp_path)
    assert answer.code == 2
    assert "hf:owner/name" in answer.err
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_gives_no_encoder_for_a_name_on_the_hub_leaves_nothing(vidrecon, server, tmp_path) -> None:
    server.files["/lab/mouse/resolve/main/encoder.safetensors"] = b"<html>sign in</html>" * 50
    answer = vidrecon("download", "hf:lab/mouse", "--out", tmp_path / "data", "--mirror", server.url)
    assert answer.code == 2
    assert not list((tmp_path / "data").rglob("*.safetensors"))


def test_a_public_mask_of_another_screen_is_refused_and_not_recorded(vidrecon, server, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.ones((3, 5)))
    server.files[f"{PLACE}/reconstructions/masks/mask_m1.npy"] = buffer.getvalue()
    answer = vidrecon("download", "mask-m1", "--out", tmp_path / "data", "--mirror", server.url)
    assert answer.code == 2
    assert "found 3x5" in answer.err
    assert not list((tmp_path / "data").rglob("*.npy"))
    assert not (tmp_path / "data" / "downloads.json").exists()
