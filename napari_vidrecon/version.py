"""The version; below everything, so that nobody has to import the whole face of the package for it."""

__version__ = "0.1.0"
