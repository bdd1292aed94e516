"""Other mice that saw the clip: one row of a form."""

from __future__ import annotations

import html
import itertools
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from qtpy.QtWidgets import QFileDialog, QMenu, QWidget

from napari_vidrecon.encoders import ENCODER_SUFFIXES
from napari_vidrecon.errors import EncoderError, MaskError, SessionError, VidreconError
from napari_vidrecon.reconstruction.history import Evaluation
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.reconstruction.recipe import MouseRecipe, mask_fields
from napari_vidrecon.reconstruction.several_mice import mouse_that_saw
from napari_vidrecon.sessions.session import Session, open_session
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.viewer.background import subscribe
from napari_vidrecon.viewer.board.colormaps import MICE_COLOURS
from napari_vidrecon.viewer.folders import (
    MASK_NAME,
    find_companions,
    last_folder,
    remember_last_folder,
)
from napari_vidrecon.viewer.model import ReconstructionModel
from napari_vidrecon.viewer.opening import try_to
from napari_vidrecon.viewer.panels.controls import busily, button, menu_button, row, stack, words

NO_OTHERS = "none"
Found = tuple[MouseRecipe, np.ndarray]
"""A mouse that saw the clip, and its mask on this mouse's screen."""


class MiceChoice(QWidget):
    """Chooses further mice whose activity the movie is fitted to as well.

    Parameters
    ----------
    model
        The state of the window.
    """

    def __init__(self, model: ReconstructionModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self._known: tuple[MouseRecipe, ...] = ()
        self._clip: Trial | None = None
        self.names = words(NO_OTHERS, "mice")
        self.outlines = words()
        self.add_button = button("Add…", "add_mouse", self._ask)
        self.remove_button = menu_button("Remove", "remove_mouse", self._fill_remove)
        stack(self, row(self.names, self.add_button, self.remove_button, stretch=0), self.outlines)
        subscribe(self, model.session_changed, self._forget)
        subscribe(self, model.trial_changed, self._find_again)
        for signal in (model.settings_changed, model.shown_changed):
            subscribe(self, signal, self._show)
        self._show()

    def add(self, folder: Path, encoders: Sequence[Path] = (), mask: Path | None = None) -> bool:
        """Take the mouse of a session folder.

        Parameters
        ----------
        folder
            The session.
        encoders
            Its encoder files; none: those in a folder `encoders` in the session or beside it that fit it.
        mask
            File of its mask; None: `mask.npy` in the session.

        Returns
        -------
        bool
            Whether it saw the clip and was taken; if not, a message says why.
        """
        return self._busily(partial(self._add, folder, list(encoders), mask))

    def _add(self, folder: Path, encoders: list[Path], mask: Path | None) -> None:
        model, session = self._model, open_session(folder)
        if model.session is None or model.trial is None:
            return
        if session.path.resolve() == model.session.path.resolve():
            raise SessionError(f"{session.name}: expected another mouse, found the session that is open; see Repeats")
        files = encoders or _fitting(session)
        file = own_mask(folder) if mask is None else mask
        if not files:
            raise EncoderError(f"{session.name}: expected an encoder of this mouse in its folder encoders, found none")
        if file is None:
            raise MaskError(f"{session.name}: expected its mask as {MASK_NAME} in the session, found none")
        wanted = max(len(model.encoder_paths), 1)
        chosen = tuple(map(str, files[:wanted] if len(files) >= wanted else files[:1]))
        described = MouseRecipe(session=str(session.path), encoders=chosen, **mask_fields(AlphaMask.load(file)))
        found, at = self._seen(described)
        if any(each.session == found.session and each.trial == found.trial for each in model.mice):
            model.message.emit(f"{session.name} takes part already.", False)
            return
        self._known = (*self._known, found)
        model.set_mice((*model.mice, found), (*model.mice_alphas, at))

    def _seen(self, described: MouseRecipe) -> Found:
        """A mouse with its presentation of the present clip, and its mask on this mouse's screen."""
        model = self._model
        assert model.session is not None
        assert model.trial is not None
        session = open_session(described.session)
        mask = AlphaMask.load(described.mask).for_screen(*session.screen.size_px)
        mouse = mouse_that_saw(model.trial, session, [], mask, screen=model.session.screen)
        said = {"name": mouse.name, "trial": mouse.trial.id}
        return described.model_copy(update=said), mouse.alpha_on(*model.session.screen.size_px)

    def _busily(self, action: partial[None]) -> bool:
        with busily():
            return try_to(self._model, action)

    def _ask(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Open the session of another mouse", str(last_folder()))
        if not name:
            return
        folder, encoders, start = Path(name), [], str(Path(name).parent)
        mask = own_mask(folder)
        if not find_companions(folder).encoders:
            endings = " ".join(f"*{suffix}" for suffix in ENCODER_SUFFIXES)
            files, _ = QFileDialog.getOpenFileNames(self, f"Encoder of {folder.name}", start, f"Encoders ({endings})")
            encoders = [Path(file) for file in files]
        if mask is None:
            file, _ = QFileDialog.getOpenFileName(self, f"Mask of {folder.name}", start, "Masks (*.npy)")
            mask = Path(file) if file else None
        if self.add(folder, encoders, mask):
            remember_last_folder(folder.parent)

    def _remove(self, mouse: MouseRecipe) -> None:
        model = self._model
        left = [pair for pair in zip(model.mice, model.mice_alphas, strict=True) if pair[0] != mouse]
        self._known = tuple(each for each in self._known if each.session != mouse.session)
        model.set_mice(tuple(each for each, _ in left), tuple(alpha for _, alpha in left))

    def _fill_remove(self, menu: QMenu) -> None:
        for mouse in self._model.mice:
            menu.addAction(_name_of(mouse), partial(self._remove, mouse))

    def _forget(self) -> None:
        self._known, self._clip = (), None
        self._show()

    def _find_again(self) -> None:
        """Look in the same mice for the clip that was chosen now."""
        model = self._model
        if model.trial is self._clip or model.trial is None:
            return
        self._clip = model.trial
        if model.stimulus is None and self._known and not model.mice:
            self._busily(partial(self._take_those_that_saw, self._known))
        self._show()

    def _take_those_that_saw(self, known: Sequence[MouseRecipe]) -> None:
        found: list[Found] = []
        missing: list[str] = []
        for each in known:
            try:
                found.append(self._seen(each))
            except VidreconError:
                missing.append(_name_of(each))
        if missing:
            text = f"{self._model.clip_name}: not seen by {', '.join(missing)}; fitted without."
            self._model.message.emit(text, False)
        self._model.set_mice(tuple(each for each, _ in found), tuple(alpha for _, alpha in found))

    def _show(self) -> None:
        model = self._model
        if model.mice and not self._known:
            self._known = model.mice
        self.names.setText(f"{len(model.mice)}" if model.mice else NO_OTHERS)
        self.outlines.setVisible(bool(model.mice))
        self.outlines.setText("<br>".join(self._lines()))
        self.add_button.setEnabled(model.trial is not None and model.trial.has_movie and model.stimulus is None)
        self.remove_button.setEnabled(bool(model.mice))

    def _lines(self) -> list[str]:
        """Every mouse beside a sample of its outline, and how good the shown run is inside its mask."""
        model = self._model
        if not model.mice or model.session is None or model.trial is None:
            return []
        names = [
            f"{model.session.name}, trial {model.trial.id}",
            *(f"{_name_of(each)}, trial {each.trial}" for each in model.mice),
        ]
        scores = self._scores() or [""] * len(names)
        lines = zip(names, scores, itertools.cycle(MICE_COLOURS), strict=False)
        return [
            f'<span style="color: rgb{colour}">━</span> {html.escape(name)}{score}' for name, score, colour in lines
        ]

    def _scores(self) -> list[str]:
        """Video correlation inside each mask; none where the board shows a run of other mice, or no run."""
        shown = self._model.shown
        if (
            shown is None
            or shown.recipe.mice != self._model.mice
            or len(shown.result.mice) != 1 + len(self._model.mice)
        ):
            return []
        result = shown.result
        found = []
        for mask in result.masks_of_mice(self._model.evaluation_threshold):
            measured = result.has_movie and mask.any()
            measure = Evaluation(result.stimulus, mask, result.config.track_skip_frames) if measured else None
            found.append("" if measure is None else f": r {measure.video_correlation(result.video):.3f}")
        return found


def _name_of(mouse: MouseRecipe) -> str:
    return Path(mouse.session).name or mouse.name


def own_mask(folder: Path) -> Path | None:
    """The mask in a session folder; one that lies beside it may be another mouse's."""
    file = folder / MASK_NAME
    return file if file.is_file() else None


def _fitting(session: Session) -> list[Path]:
    """Encoders in or beside a session that are of its mouse; a folder beside it may hold those of several."""
    from napari_vidrecon.encoders.checkpoints import load_encoder

    fitting = []
    for file in find_companions(session.path).encoders:
        try:
            encoder = load_encoder(file, None, "cpu", neurons=session.n_neurons)
            encoder.require_neurons(session.n_neurons, session.name)
        except VidreconError:
            continue
        if encoder.spec.mouse in ("", session.name):
            fitting.append(file)
    return fitting
