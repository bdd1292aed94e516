"""Bringing one's own recordings in: readers of raw files, clocks, trials, and the session folder they become."""
