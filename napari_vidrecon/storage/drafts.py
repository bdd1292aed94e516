"""Work in progress beside what it will replace, in folders that only this program makes and only it clears up.

A draft is a folder `.vidrecon-draft-...` with a lock that its process holds while it lives, a note of what it will
replace, and what is being written in `new`; what it replaces rests in `old` until the new one stands. A process that
was killed leaves its draft; nobody holds its lock then, and the next process that writes there clears it up.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = ".vidrecon-draft-"
FORMAT = "napari-vidrecon draft 1"
LOCK = "owner.lock"
NOTE = "draft.json"
LONGEST_NOTE_BYTES = 4 << 20
ATTEMPTS = 20


class Draft:
    """One folder of work in progress.

    Parameters
    ----------
    folder
        The draft's own folder.
    target
        What it will replace, beside the folder.
    """

    def __init__(self, folder: Path, target: Path) -> None:
        self.folder, self.target = folder, target
        self.new, self.old = folder / "new" / target.name, folder / "old" / target.name

    def note(self, keep: list[str], *, done: bool = False) -> None:
        """Write down what is replaced, and what of it belongs to the user and moves back afterwards.

        Parameters
        ----------
        keep
            Paths inside the replaced folder.
        done
            Nothing in the draft is wanted any more.
        """
        draft = self.folder / (NOTE + ".new")
        told = {"format": FORMAT, "target": self.target.name, "keep": keep, "done": done}
        draft.write_text(json.dumps(told), encoding="utf-8")
        draft.replace(self.folder / NOTE)

    @property
    def holds_the_only_copy(self) -> bool:
        """Whether what was moved aside could not be brought back."""
        return os.path.lexists(self.old) and not os.path.lexists(self.target)

    def swap(self, keep: list[str]) -> None:
        """Put the new one in the old one's place, and what belongs to the user back into it.

        Parameters
        ----------
        keep
            Paths inside the replaced folder that stay where they were.
        """
        if os.path.lexists(self.target):
            self.note(keep)
            self.old.parent.mkdir()
            self.target.replace(self.old)
        try:
            self.new.replace(self.target)
        except BaseException:
            # An interrupt may come between the two moves; what stood there goes back then.
            self.restore([])
            raise
        self.restore(keep)

    def restore(self, keep: list[str]) -> None:
        """Bring back what was moved aside: all of it if nothing took its place, else what belongs to the user."""
        if not os.path.lexists(self.old):
            return
        if not os.path.lexists(self.target):
            self.old.replace(self.target)
            return
        for name in keep:
            kept, place = self.old / name, self.target / name
            if os.path.lexists(kept) and not os.path.lexists(place):
                place.parent.mkdir(parents=True, exist_ok=True)
                kept.replace(place)


@contextlib.contextmanager
def drafting(target: Path) -> Iterator[Draft]:
    """A draft for `target`, gone at the end; drafts that killed processes left beside it go first.

    Parameters
    ----------
    target
        What will be written; its parent is made if need be.

    Yields
    ------
    Draft
        Its folder is there and empty.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target.parent)
    folder, lock = _make(target.parent)
    try:
        draft = Draft(folder, target)
        draft.note([])
        draft.new.parent.mkdir()
        yield draft
    finally:
        with contextlib.suppress(OSError):
            _remove(Draft(folder, target))
        lock.release()


def _remove(draft: Draft) -> None:
    """Remove a draft, its note and its lock last: a process that is killed meanwhile leaves what is still known."""
    folder = draft.folder
    if draft.holds_the_only_copy:
        return
    with contextlib.suppress(OSError):
        draft.note([], done=True)
    for entry in folder.iterdir():
        if entry.name in (NOTE, LOCK):
            continue
        _remove_tree(entry)
    for name in (NOTE, LOCK):
        (folder / name).unlink(missing_ok=True)
    _remove_tree(folder)


def _remove_tree(path: Path) -> None:
    """As `shutil.rmtree`, which keeps a folder open for each level: one at a time is there even at the limit."""
    with contextlib.suppress(OSError):
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
            return
        for name in os.listdir(path):  # noqa: PTH208  # read whole and closed before anything is removed
            _remove_tree(path / name)
        path.rmdir()


def _make(parent: Path) -> tuple[Path, FileLock]:
    for attempt in range(ATTEMPTS):
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=PREFIX))
        lock = FileLock(folder / LOCK, timeout=1)
        try:
            lock.acquire()
        except (FileNotFoundError, Timeout):
            # Another process took the folder for a dead one before it had its lock.
            if attempt + 1 == ATTEMPTS:
                raise
            continue
        except BaseException:
            # As where the disk has room for a folder more, and not for a file in it.
            _remove_tree(folder)
            raise
        return folder, lock
    raise FileNotFoundError(str(parent))


def sweep(parent: Path | str) -> list[Path]:
    """Clear up the drafts that killed processes left in a folder; those of living ones stay.

    What a killed process had moved aside goes back first. A folder of the same name that this program did not make
    is left alone.

    Parameters
    ----------
    parent
        The folder that holds them.

    Returns
    -------
    list[Path]
        What was cleared up.
    """
    try:
        with os.scandir(parent) as entries:
            found = [Path(each.path) for each in entries if each.name.startswith(PREFIX) and each.is_dir()]
    except OSError:
        return []
    return [folder for folder in found if _clear_up(folder)]


def _clear_up(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        inside = {each.name for each in folder.iterdir()}
        if not inside:
            folder.rmdir()
            return True
        if not (inside == {LOCK} or _noted(folder) or inside == {LOCK, NOTE + ".new"}):
            return False
        lock = FileLock(folder / LOCK)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return False
        try:
            target, keep, done = _noted(folder) or (folder.name, [], True)
            draft = Draft(folder, folder.parent / target)
            if not done:
                draft.restore(keep)
            _remove(draft)
        finally:
            lock.release()
        return True
    return False


def _noted(folder: Path) -> tuple[str, list[str], bool] | None:
    """Target and kept paths that a draft's note names, and whether it is done; None if it is none of ours."""
    file = folder / NOTE
    try:
        if not file.is_file() or file.stat().st_size > LONGEST_NOTE_BYTES:
            return None
        told = json.loads(file.read_text(encoding="utf-8"))
        target, keep = told["target"], told["keep"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    if told.get("format") != FORMAT or not isinstance(target, str) or not isinstance(keep, list):
        return None
    # A note from elsewhere must not move anything out of its place.
    names = [target, *keep]
    if any(not isinstance(each, str) or ".." in Path(each).parts or Path(each).anchor for each in names):
        return None
    return (target, keep, told.get("done") is True) if Path(target).name == target and target else None
