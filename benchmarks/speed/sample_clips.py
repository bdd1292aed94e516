"""The sample's held-out clips, encoders and mask, as the cases need them."""

from __future__ import annotations

from benchmarks.speed.scales import Scale
from benchmarks.speed.stand_ins import describe
from napari_vidrecon.encoders.checkpoints import load_encoder
from napari_vidrecon.encoders.window_encoder import WindowEncoder
from napari_vidrecon.reconstruction.masks import AlphaMask
from napari_vidrecon.sessions.sample import SAMPLE_TEST_TIER, find_sample
from napari_vidrecon.sessions.session import open_session
from napari_vidrecon.sessions.trial import Trial


class SampleClips:
    """Parts of the simulated mouse's held-out clips, at the length a scale names."""

    def __init__(self, scale: Scale) -> None:
        self._files, self._scale = find_sample(), scale
        self._session = open_session(self._files.session)
        self._ids = self._session.trials_in_tier(SAMPLE_TEST_TIER)
        self.mask = AlphaMask.load(self._files.mask)

    def clip(self, index: int) -> Trial:
        """A held-out clip; they repeat where there are too few."""
        first = self._scale.sample_first_frame
        return self._session.trial(self._ids[index % len(self._ids)]).part(first, first + self._scale.sample_frames)

    def encoder(self, index: int) -> WindowEncoder:
        """An encoder, read anew; they repeat where there are too few."""
        files = self._files.encoders
        return load_encoder(files[index % len(files)], device="cpu", neurons=self._session.n_neurons)

    def size(self, encoders: int) -> str:
        """Encoders and clip in a few words."""
        frames, encoder = self._scale.sample_frames, self.encoder(0)
        if encoders > 1:
            return f"{encoders} of the sample's encoders, {encoder.spec.neurons:,} neurons, {frames} frames"
        return f"the sample's {describe(encoder)}, {frames} frames"
