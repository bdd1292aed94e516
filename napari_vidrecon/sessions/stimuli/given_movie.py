"""Where `GivenMovie` was before it joined the other stimuli; scripts of that time find it here still."""

from napari_vidrecon.sessions.stimuli.stimulus import GivenMovie

__all__ = ["GivenMovie"]
