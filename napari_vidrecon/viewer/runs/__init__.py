"""A run of the window: its thread, what goes in, what comes back, and how it is told and kept."""
