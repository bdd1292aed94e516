"""The napari plugin. No science lives here."""
