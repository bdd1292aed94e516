"""What kind files are is told by their names; nothing but an imported session is ever replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_vidrecon.errors import StorageError
from napari_vidrecon.sessions.importing.sources import kind_of
from napari_vidrecon.sessions.writer import REPORT_FILE, require_replaceable


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        (["spks.npy", "iscell.npy"], "suite2p"),
        (["suite2p/plane0/F.npy", "stimulus.npy"], "suite2p"),
        (["plane0/spks.npy"], "suite2p"),
        (["activity.npy", "stimulus.npy"], "arrays"),
        ([], "arrays"),
    ],
)
def test_the_kind_of_a_folder_is_told_by_its_files(files: list[str], kind: str, tmp_path: Path) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert kind_of(tmp_path) == kind


def test_a_single_file_is_taken_for_nwb(tmp_path: Path) -> None:
    (tmp_path / "mouse.nwb").touch()
    assert kind_of(tmp_path / "mouse.nwb") == "nwb"
    assert kind_of(tmp_path / "not there.NWB") == "nwb"


def test_only_free_places_and_imported_sessions_may_be_written_to(tmp_path: Path) -> None:
    require_replaceable(tmp_path / "nothing", replace=False)
    require_replaceable(tmp_path, replace=False)
    (tmp_path / "thesis.docx").touch()
    for replace in (False, True):
        with pytest.raises(StorageError, match="found other files"):
            require_replaceable(tmp_path, replace)
    (tmp_path / REPORT_FILE).touch()
    with pytest.raises(StorageError, match="--overwrite"):
        require_replaceable(tmp_path, replace=False)
    require_replaceable(tmp_path, replace=True)
