"""Maps receptive fields in a thread of its own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_vidrecon.viewer.background import Background, Counted
from napari_vidrecon.viewer.runs.jobs import Job
from napari_vidrecon.viewer.runs.run_job import EncoderShelf

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qtpy.QtCore import QObject

    from napari_vidrecon.analysis.receptive_field_mapping import MappingRecipe
    from napari_vidrecon.analysis.receptive_fields import ReceptiveFieldMaps
    from napari_vidrecon.sessions.session import Session
    from napari_vidrecon.viewer.receptive_fields import ReceptiveFieldChoice


class FieldMappingController(Background):
    """Start and stop the mapping of receptive fields; `counted` says how far it is, in clips.

    Parameters
    ----------
    fields
        Takes the maps.
    parent
        Qt owner.
    """

    def __init__(self, fields: ReceptiveFieldChoice, parent: QObject | None = None) -> None:
        super().__init__(fields.model.message.emit, parent)
        self.fields = fields
        self._session: Session | None = None

    def start(self, recipe: MappingRecipe | None = None) -> None:
        """Map with all chosen encoders.

        Parameters
        ----------
        recipe
            Default: the quick mapping.
        """
        from napari_vidrecon.analysis.receptive_field_mapping import MappingRecipe

        model = self.fields.model
        if not self.free:
            return
        if model.session is None or not model.encoder_paths:
            model.message.emit("Open a session and choose an encoder first, under Data.", True)
            return
        recipe, self._session = recipe or MappingRecipe(), model.session
        work = partial(map_fields, model.session, tuple(model.encoder_paths), model.mouse, model.device, recipe)
        clips = 2 * len(recipe.patches) * len(model.encoder_paths)
        self.begin(Job(work, "vidrecon-receptive-fields"), Counted(0, clips))

    def on_news(self, job: Job, maps: ReceptiveFieldMaps) -> None:
        """All clips were answered to."""
        model = self.fields.model
        if model.session is self._session:
            self.fields.take(maps)
            model.message.emit("The receptive fields were mapped: click a raster row or a cell.", False)


def map_fields(
    session: Session, encoder_paths: Sequence[Path], mouse: int | None, device: str, recipe: MappingRecipe, job: Job
) -> None:
    """In the thread: tells `Counted` after every batch and a `ReceptiveFieldMaps` at the end.

    Parameters
    ----------
    session
        The mouse.
    encoder_paths
        Encoder files.
    mouse
        Index of their readout; None where the number of neurons chooses it.
    device
        "auto", "cpu", "cuda", ...
    recipe
        Settings of the mapping.
    job
        Takes the news, and says when to stop.
    """
    from napari_vidrecon.analysis.receptive_field_mapping import map_receptive_fields

    encoders = EncoderShelf().get(encoder_paths, mouse, device, session.n_neurons)

    def told(done: int, total: int) -> bool:
        job.tell(Counted(done, total))
        return not job.cancelled.is_set()

    maps = map_receptive_fields(session, encoders, recipe, on_progress=told)
    if maps is not None:
        # Fitted here, because the window would stand still for it.
        _ = maps.fits, maps.responsive
        job.tell(maps)
