"""What the plugin gives to napari: readers, a writer, a sample, commands, keys and settings."""
