"""What dialogs are answered with in place of a person: paths good and damaged, none, yes and no."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Protocol

from qtpy.QtWidgets import QFileDialog, QMessageBox


class Player(Protocol):
    """Whoever plays with the window."""

    random: Random
    answers: list[Path]
    folder: Path


def damaged_things(kit: dict[str, Path], folder: Path, chance: Random) -> list[Path]:
    """Copies with a part cut off, bits turned or a key of nonsense; one of each kind of thing.

    Parameters
    ----------
    kit
        Sound inputs by kind.
    folder
        Where the copies go.
    chance
        Chooses what is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for kind in ("encoder", "decoder", "mask", "fields"):
        if kind not in kit:
            continue
        content = bytearray(kit[kind].read_bytes())
        cut = folder / f"cut_{kit[kind].name}"
        cut.write_bytes(content[: chance.randrange(len(content))])
        for _ in range(20):
            content[chance.randrange(min(len(content), 4000))] ^= 1 << chance.randrange(8)
        turned = folder / f"turned_{kit[kind].name}"
        turned.write_bytes(content)
        made += [cut, turned]
    for kind in ("session", "run"):
        copy = folder / f"damaged_{kit[kind].name}"
        shutil.copytree(kit[kind], copy, dirs_exist_ok=True)
        files = sorted(path for path in copy.rglob("*") if path.is_file())
        for path in chance.sample(files, min(3, len(files))):
            path.write_bytes(path.read_bytes()[:-9])
        made.append(copy)
    (folder / "nonsense.npy").write_bytes(b"nonsense")
    return [*made, folder / "nonsense.npy", folder / "missing", folder]


class Answers:
    """Answers dialogs in place of a person: paths good and damaged, none, yes and no.

    Parameters
    ----------
    player
        Chooses.
    patch
        Sets an attribute of a class, as `setattr` does; a test takes it back.
    """

    def __init__(self, player: Player, patch: Callable[[Any, str, Any], None]) -> None:
        self._player = player
        for name in ("getOpenFileName", "getOpenFileNames", "getSaveFileName", "getExistingDirectory"):
            patch(QFileDialog, name, staticmethod(getattr(self, f"_{name}")))
        patch(QMessageBox, "question", staticmethod(self._question))

    def _one(self) -> str:
        random = self._player.random
        return "" if random.random() < 0.3 else str(random.choice(self._player.answers))

    def _getOpenFileName(self, *_: Any, **__: Any) -> tuple[str, str]:
        return self._one(), ""

    def _getOpenFileNames(self, *_: Any, **__: Any) -> tuple[list[str], str]:
        return [self._one() or str(self._player.folder) for _ in range(self._player.random.randrange(3))], ""

    def _getSaveFileName(self, *_: Any, **__: Any) -> tuple[str, str]:
        endings = ["png", "gif", "csv", "npy", "zarr", "svg", "nothing"]
        name = f"saved.{self._player.random.choice(endings)}"
        return str(self._player.folder / "saved" / name), ""

    def _getExistingDirectory(self, *_: Any, **__: Any) -> str:
        return self._one()

    def _question(self, *_: Any, **__: Any) -> QMessageBox.StandardButton:
        buttons = QMessageBox.StandardButton
        return self._player.random.choice([buttons.Yes, buttons.No])
