"""Several mice that saw the same clip: what each of them adds to one movie, and where on the common screen it looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from napari_vidrecon import metrics
from napari_vidrecon.encoders.answers import predicted
from napari_vidrecon.encoders.encoder import Canvas, Encoder, Traits
from napari_vidrecon.encoders.identity import identity
from napari_vidrecon.errors import one_line
from napari_vidrecon.reconstruction.config import GREY_LEVEL
from napari_vidrecon.reconstruction.masks import FULL_SCREEN, AlphaMask
from napari_vidrecon.reconstruction.recipe import MouseRecipe, content_hash, files_of
from napari_vidrecon.reconstruction.targets import Target
from napari_vidrecon.sessions.repeats import clip_in
from napari_vidrecon.sessions.screen import ScreenGeometry
from napari_vidrecon.sessions.session import Session, open_session
from napari_vidrecon.sessions.trial import Trial
from napari_vidrecon.settings import brief

LONGEST_NAME = 60
NOT_SEEN = -0.1
"""Alpha where a mouse's screen does not reach."""


@dataclass(frozen=True, eq=False)
class AnotherMouse:
    """A further mouse that saw a clip, with all that its activity is explained by.

    Parameters
    ----------
    trial
        Its presentation of the clip, of as many frames; behaviour and activity are its own.
    encoders
        Of this mouse: one, or as many as the first mouse has.
    mask
        Transparency mask of this mouse, on its own screen.
    screen
        Its own screen; None: as that of the first mouse.
    shown_on
        Screen of the first mouse, on which the movie is reconstructed; None: as its own.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> sample = vr.find_sample()
    >>> clip = vr.open_session(sample.session).trial(0).part(0, 64)
    >>> first, second = (vr.load_encoder(file, device="cpu") for file in sample.encoders[:2])
    >>> mask, config = vr.AlphaMask.load(sample.mask), vr.ReconstructionConfig.preset("fast", steps=1)
    >>> result = vr.reconstruct(clip, [first], mask, config, with_mice=[vr.AnotherMouse(clip, [second], mask)])
    >>> len(result.mice)
    2
    """

    trial: Trial
    encoders: Sequence[Encoder]
    mask: AlphaMask
    screen: ScreenGeometry | None = None
    shown_on: ScreenGeometry | None = None

    __repr__ = brief

    @property
    def same_screen(self) -> bool:
        """Whether it saw the movie pixel by pixel as the first mouse did."""
        return self.screen == self.shown_on

    @property
    def name(self) -> str:
        """Of its trial, as a person may read it."""
        return one_line(self.trial.name, LONGEST_NAME)

    def partners(self, places: Sequence[int]) -> list[Encoder]:
        """Its encoders that go with those of the first mouse; a single one goes with all.

        Parameters
        ----------
        places
            Of the first mouse's encoders, 0, 1, ...

        Returns
        -------
        list[Encoder]
            One a place.
        """
        return [self.encoders[place % len(self.encoders)] for place in places]

    def explained(self, movie: np.ndarray, target: Target, canvas: Canvas) -> float:
        """How well a movie explains its activity.

        Parameters
        ----------
        movie
            (T, rows, columns) on the common screen, grey levels 0..255.
        target
            Its activity, and who counts in it; recorded activity is taken where there is some.
        canvas
            Of the first mouse's encoders.

        Returns
        -------
        float
            Mean correlation over neurons with what its encoders predict, -1..1.
        """
        trial, answers = self.trial, []
        for encoder in self.encoders:
            own = encoder.spec.canvas
            seen, screen = movie, CommonScreen.of(canvas, own, self)
            if screen is not None:
                blank = torch.full((len(movie), own.rows, own.columns), GREY_LEVEL)
                whole = torch.as_tensor(canvas.embed(movie, GREY_LEVEL))
                seen = screen.show(whole, blank)[(slice(None), *own.screen)].numpy()
            clip = f"the reconstruction for {self.name}"
            answers.append(predicted(encoder, seen, trial.behavior, trial.pupil_center, clip=clip))
        recorded = trial.responses if trial.labelled else target.activity
        return metrics.response_correlation(target.measured(recorded), target.measured(np.mean(answers, axis=0)))

    def alpha_on(self, rows: int, columns: int) -> np.ndarray:
        """Its mask on the common screen.

        Parameters
        ----------
        rows, columns
            Of the screen that the movie is reconstructed on, pixels.

        Returns
        -------
        np.ndarray
            (rows, columns) alpha; below every usual threshold where its screen does not reach.
        """
        alpha = self.mask.for_screen(*self.trial.video.shape[1:]).screen
        if self.same_screen or self.screen is None or self.shown_on is None:
            return alpha
        down, across = self.screen.directions_onto(self.shown_on)
        reached = np.outer(down.sum(axis=1), across.sum(axis=1)) > 0
        return np.where(reached, down @ alpha @ across.T, NOT_SEEN).astype(np.float32)

    def described(self) -> MouseRecipe:
        """As a recipe says it."""
        source = self.trial.source
        identities = [identity(each) for each in self.encoders]
        return MouseRecipe(
            session="" if source is None else source.session,
            name=self.name,
            trial=self.trial.id,
            encoders=files_of(self.encoders, identities),
            mouse=self.encoders[0].spec.readout,
            mask=self.mask.source,
            mask_content=content_hash(self.mask.alpha.astype(np.float64)),
        )

    def decisive(self, target: Any) -> dict[str, Any]:
        """What of it decides a result, as plain values.

        Parameters
        ----------
        target
            What is matched; recorded activity decides nothing where it is predicted.

        Returns
        -------
        dict[str, Any]
            Hashes of its arrays, encoders and mask.
        """
        trial, precisions = self.trial, [Traits.of(each).precision for each in self.encoders]
        told = {
            "trial": trial.id,
            "behavior": content_hash(trial.behavior, trial.pupil_center),
            "encoders": [identity(each) for each in self.encoders],
            "mask": content_hash(self.mask.alpha),
            **({} if target == "predicted" else {"activity": content_hash(trial.responses)}),
            **({} if set(precisions) == {"float32"} else {"precision": precisions}),
        }
        if self.same_screen or self.screen is None or self.shown_on is None:
            return told
        pairs = (("screen", self.screen), ("shown_on", self.shown_on))
        return told | {
            name: [each.width_cm, each.height_cm, each.distance_cm, each.rows, each.cols] for name, each in pairs
        }


def mouse_that_saw(
    clip: Trial,
    session: Session,
    encoders: Sequence[Encoder],
    mask: AlphaMask,
    *,
    screen: ScreenGeometry | None = None,
    trial_id: int | None = None,
) -> AnotherMouse:
    """Another mouse with its presentation of a clip, found by what was on the screen and cut to the same frames.

    Parameters
    ----------
    clip
        A trial of the first mouse, or a part of one.
    session
        Of the other mouse.
    encoders
        Of the other mouse: one, or as many as the first one has.
    mask
        Transparency mask of the other mouse.
    screen
        Of the first mouse, `session.screen` of its session; None: as that of the other mouse. Screens of other pixels,
        size or distance are put onto one another by degrees of visual angle.
    trial_id
        The trial of the other mouse to take; None: the first with recorded activity that shows the clip.

    Returns
    -------
    AnotherMouse
        For `reconstruct(..., with_mice=[...])`.

    Raises
    ------
    SessionError
        No trial of it shows the clip, or sizes or rates differ; one line says what.

    Examples
    --------
    >>> import napari_vidrecon as vr
    >>> sample = vr.find_sample()
    >>> session = vr.open_session(sample.session)
    >>> encoder = vr.load_encoder(sample.encoders[0], device="cpu")
    >>> clip = session.trial(0).part(10, 74)
    >>> mouse = vr.mouse_that_saw(clip, session, [encoder], vr.AlphaMask.load(sample.mask))
    >>> mouse.trial.id, mouse.trial.source.frames
    (0, (10, 74))
    """
    found, first = clip_in(session, clip, screen, trial_id)
    whole = session.trial(found)
    part = whole if (first, clip.frames) == (0, whole.frames) else whole.part(first, first + clip.frames)
    own, common = session.screen, screen or session.screen
    return AnotherMouse(part, encoders, mask, own, common)


def union_mask(mask: AlphaMask, alphas: Sequence[np.ndarray]) -> AlphaMask:
    """Where any of the mice looks.

    Parameters
    ----------
    mask
        Of the first mouse, on the common screen.
    alphas
        (rows, columns) of the others there.

    Returns
    -------
    AlphaMask
        The largest alpha of all at each pixel; the first mouse's own where it is alone.
    """
    if not len(alphas):
        return mask
    (rows, columns), (canvas_rows, canvas_columns) = mask.screen.shape, mask.alpha.shape
    alpha: np.ndarray = mask.alpha.copy()
    # What lies around the screen stays as the first mouse has it.
    screen = Canvas(canvas_rows, canvas_columns, rows, columns).screen
    for other in alphas:
        alpha[screen] = np.maximum(alpha[screen], other)
    return AlphaMask(alpha, mask.source, (rows, columns))


def open_mouse(described: MouseRecipe, clip: Trial, screen: ScreenGeometry, device: str = "auto") -> AnotherMouse:
    """A mouse of a recipe, opened.

    Parameters
    ----------
    described
        Where everything of it lies.
    clip
        As the first mouse saw it.
    screen
        Of the first mouse.
    device
        "auto", "cpu", "cuda", ...

    Returns
    -------
    AnotherMouse
        With its presentation of the clip.

    Raises
    ------
    VidreconError
        Something is not where it was, or its trial shows another clip.
    """
    from napari_vidrecon.encoders.checkpoints import load_encoder

    session = open_session(described.session)
    rows, columns = session.screen.size_px
    encoders = [load_encoder(file, described.mouse, device, neurons=session.n_neurons) for file in described.encoders]
    whole = described.mask in ("", FULL_SCREEN)
    mask = AlphaMask.full(Canvas.of_screen(rows, columns)) if whole else AlphaMask.load(described.mask)
    given = session, encoders, mask.for_screen(rows, columns)
    return mouse_that_saw(clip, *given, screen=screen, trial_id=described.trial)


class CommonScreen:
    """Shows the movie on the first mouse's canvas to another mouse's encoder, and takes gradients back.

    Parameters
    ----------
    canvas
        Of the first mouse's encoder.
    own
        Of the other mouse's encoder.
    mouse
        Whose screens say which directions pixels lie in.
    """

    def __init__(self, canvas: Canvas, own: Canvas, mouse: AnotherMouse) -> None:
        self._canvas, self._own = canvas, own
        self._matrices: tuple[torch.Tensor, torch.Tensor] | None = None
        self._reached: torch.Tensor | None = None
        if not mouse.same_screen and mouse.screen is not None and mouse.shown_on is not None:
            down, across = mouse.shown_on.directions_onto(mouse.screen)
            self._matrices = torch.as_tensor(down), torch.as_tensor(across)
            self._reached = torch.as_tensor(np.outer(down.sum(axis=1), across.sum(axis=1)))

    @classmethod
    def of(cls, canvas: Canvas, own: Canvas, mouse: AnotherMouse) -> CommonScreen | None:
        """None where both see the very same pixels.

        Parameters
        ----------
        canvas, own, mouse
            As the class has them.

        Returns
        -------
        CommonScreen | None
            To show the movie and to take gradients back.
        """
        return None if mouse.same_screen and canvas == own else cls(canvas, own, mouse)

    def show(self, movie: torch.Tensor, blank: torch.Tensor) -> torch.Tensor:
        """The movie as the other mouse's encoder sees it.

        Parameters
        ----------
        movie
            (T, rows, columns) of the first mouse's canvas.
        blank
            (T, rows, columns) of the other one's, as it is where the common screen does not reach.

        Returns
        -------
        torch.Tensor
            As `blank`.
        """
        shown_here = movie[(slice(None), *self._canvas.screen)].to(blank)
        seen, place = blank.clone(), (slice(None), *self._own.screen)
        if self._matrices is not None and self._reached is not None:
            down, across = (each.to(blank) for each in self._matrices)
            shown_here = down @ shown_here @ across.T + (1 - self._reached.to(blank)) * blank[place]
        seen[place] = shown_here
        return seen

    def back(self, gradient: torch.Tensor) -> torch.Tensor:
        """The gradient (..., rows, columns) of what the other encoder sees as one of the first mouse's canvas."""
        there = gradient[(..., *self._own.screen)]
        if self._matrices is not None:
            down, across = (each.to(there) for each in self._matrices)
            there = down.T @ there @ across
        taken = there.new_zeros(*gradient.shape[:-2], self._canvas.rows, self._canvas.columns)
        taken[(..., *self._canvas.screen)] = there
        return taken
