"""Maps receptive fields in a thread of its own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

from napari_vidrecon.viewer.controller import POLL_MILLISECONDS
from napari_vidrecon.viewer.faults import Faults, guarded
from napari_vidrecon.viewer.receptive_fields import ReceptiveFieldChoice
from napari_vidrecon.viewer.runs.jobs import Failed, Job, OpenJobs
from napari_vidrecon.viewer.runs.run_job import EncoderShelf

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_vidrecon.analysis.receptive_field_mapping import MappingRecipe
    from napari_vidrecon.sessions.session import Session


class FieldMappingController(QObject):
    """Start and stop the mapping of receptive fields; `fields.mapping` says how far it is.

    Parameters
    ----------
    fields
        Takes the maps.
    parent
        Qt owner.
    """

    def __init__(self, fields: ReceptiveFieldChoice, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.fields = fields
        self.faults = Faults(fields.model.message.emit)
        self._job: Job | None = None
        self._session: Session | None = None
        self._open = OpenJobs()
        self.destroyed.connect(self._open.close)
        self._poll_timer = QTimer(self, interval=POLL_MILLISECONDS)
        self._poll_timer.timeout.connect(self.poll)

    @property
    def busy(self) -> bool:
        """Whether a mapping goes on."""
        return self._job is not None

    def start(self, recipe: MappingRecipe | None = None) -> None:
        """Map with all chosen encoders.

        Parameters
        ----------
        recipe
            Default: the quick mapping.
        """
        from napari_vidrecon.analysis.receptive_field_mapping import MappingRecipe

        model = self.fields.model
        if self.busy or self._open.closed:
            return
        if model.session is None or not model.encoder_paths:
            model.message.emit("Open a session and choose an encoder first, under Data.", True)
            return
        recipe, self._session = recipe or MappingRecipe(), model.session
        work = partial(map_fields, model.session, tuple(model.encoder_paths), model.mouse, model.device, recipe)
        self._job = Job(work, "vidrecon-receptive-fields")
        self.fields.set_mapping((0, 2 * len(recipe.patches) * len(model.encoder_paths)))
        self._open.start(self._job)
        self._poll_timer.start()

    def stop(self) -> None:
        """End after the present clips; the maps that were there before stay."""
        if self._job is not None:
            self._job.cancel()

    def wait(self, seconds: float = 60.0) -> bool:
        """Wait for the end, then take in the maps; for scripts. Returns whether it came in time."""
        ended = self._job is None or self._job.wait(seconds)
        self.poll()
        return ended

    @guarded
    def poll(self) -> None:
        """Fetch what came."""
        job = self._job
        if job is None:
            self._poll_timer.stop()
            return
        ended = not job.running
        for news in job.fetch():
            self._take(news)
        if ended:
            self._job = None
            self._poll_timer.stop()
            self.fields.set_mapping(None)

    @guarded
    def _take(self, news: Any) -> None:
        from napari_vidrecon.analysis.receptive_fields import ReceptiveFieldMaps

        model = self.fields.model
        if isinstance(news, tuple):
            self.fields.set_mapping(news)
        elif isinstance(news, ReceptiveFieldMaps) and model.session is self._session:
            self.fields.take(news)
            model.message.emit("The receptive fields were mapped: click a raster row or a cell.", False)
        elif isinstance(news, Failed):
            model.message.emit(news.message, True)


def map_fields(
    session: Session, encoder_paths: Sequence[Path], mouse: int | None, device: str, recipe: MappingRecipe, job: Job
) -> None:
    """In the thread: tells (clips done, in all) after every batch and a `ReceptiveFieldMaps` at the end."""
    from napari_vidrecon.analysis.receptive_field_mapping import map_receptive_fields

    encoders = EncoderShelf().get(encoder_paths, mouse, device, session.n_neurons)

    def told(done: int, total: int) -> bool:
        job.tell((done, total))
        return not job.cancelled.is_set()

    maps = map_receptive_fields(session, encoders, recipe, on_progress=told)
    if maps is not None:
        # Fitted here, because the window would stand still for it.
        _ = maps.fits, maps.responsive
        job.tell(maps)
