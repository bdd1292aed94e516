"""The experiments of the paper: what to run, what to measure, what to draw."""
