"""The napari plugin. No science lives here."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_vidrecon.viewer.behaviour import Behaviour as Behaviour
    from napari_vidrecon.viewer.main_widget import ReconstructionWidget as ReconstructionWidget
    from napari_vidrecon.viewer.studies.studies_widget import Studies as Studies
    from napari_vidrecon.viewer.traces import Traces as Traces

_HOME = {
    "Behaviour": "napari_vidrecon.viewer.behaviour",
    "ReconstructionWidget": "napari_vidrecon.viewer.main_widget",
    "Studies": "napari_vidrecon.viewer.studies.studies_widget",
    "Traces": "napari_vidrecon.viewer.traces",
}

_NEEDED = ("napari", "qtpy", "superqt", "magicgui", "psygnal", "pyqtgraph")

__all__ = sorted(_HOME)

# Looked for here, before any of them is asked for: every way into the plugin comes by, and all say the same.
if _missing := [name for name in _NEEDED if find_spec(name) is None]:
    raise ModuleNotFoundError(
        f"the window needs {', '.join(_missing)}: pip install 'napari-vidrecon[gui]'", name=_missing[0]
    )


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
