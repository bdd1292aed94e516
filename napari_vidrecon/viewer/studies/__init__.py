"""The paper's experiments in the window: chosen, run in the background, looked at."""
