"""Where exports of the window stood before; they stand in `napari_vidrecon.viewer.exporting` now."""
