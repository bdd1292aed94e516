"""The board: stimulus, reconstruction, error and activity as labelled, synced tiles in one napari viewer."""

from napari_vidrecon.viewer.board.board import Board

__all__ = ["Board"]
