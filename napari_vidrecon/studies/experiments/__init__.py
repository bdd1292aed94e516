"""One file an experiment of the paper: its grid of runs, and what is measured, tested and drawn."""
