"""Listening for as long as a Qt object lives, and not a moment longer."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from qtpy.QtCore import QObject


class Emitter(Protocol):
    """A signal of the model, or one of napari's events; both keep methods weakly."""

    def connect(self, slot: Callable[..., Any], /) -> Any: ...
    def disconnect(self, slot: Callable[..., Any], /) -> Any: ...


def subscribe(owner: QObject, emitter: Emitter, slot: Callable[..., Any]) -> None:
    """Connect a signal or an event to a method of a Qt object, until that object is destroyed.

    The model and the viewer may outlive a widget by far, and would otherwise call a widget whose Qt half is gone.

    Parameters
    ----------
    owner : the Qt object the method belongs to.
    emitter : of the model or of napari.
    slot : a bound method of `owner`.
    """
    emitter.connect(slot)
    weak = weakref.WeakMethod(slot)

    def stop_listening() -> None:
        method = weak()
        if method is not None:
            with contextlib.suppress(ValueError):
                emitter.disconnect(method)

    owner.destroyed.connect(stop_listening)
