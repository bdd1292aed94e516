"""Runs of studies: what decides them, where they lie, who computes them, what they cost."""
