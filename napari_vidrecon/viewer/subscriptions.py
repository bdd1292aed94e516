"""Listening for as long as a Qt object lives, and not a moment longer."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from qtpy.QtCore import QObject

KEPT = "_vidrecon_subscriptions"


class Emitter(Protocol):
    """A signal of the model, or one of napari's events; both keep methods weakly."""

    def connect(self, slot: Callable[..., Any], /) -> Any: ...
    def disconnect(self, slot: Callable[..., Any], /) -> Any: ...


def subscribe(owner: QObject, emitter: Emitter, slot: Callable[..., Any]) -> None:
    """Connect a signal or an event to a method of a Qt object, until that object is destroyed.

    The model and the viewer may outlive a widget by far, and would otherwise call a widget whose Qt half is gone.

    Parameters
    ----------
    owner
        The Qt object the method belongs to.
    emitter
        Of the model or of napari.
    slot
        A bound method of `owner`.
    """
    emitter.connect(slot)
    listening = _Listening(emitter, slot)
    # Kept by the owner; nobody else has to.
    vars(owner).setdefault(KEPT, []).append(listening)
    owner.destroyed.connect(listening.stop)


class _Listening:
    """A connection, for ending it.

    An object and not a closure: of a method PyQt knows whether its object is still there. A closure that the garbage
    collector has emptied together with a widget is called nevertheless, when the widget's Qt half is deleted later,
    and takes the program along.
    """

    def __init__(self, emitter: Emitter, slot: Callable[..., Any]) -> None:
        self._emitter, self._slot = emitter, weakref.WeakMethod(slot)

    def stop(self) -> None:
        """End it."""
        method = self._slot()
        if method is not None:
            with contextlib.suppress(ValueError):
                self._emitter.disconnect(method)
