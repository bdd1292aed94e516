"""Encoders with frozen weights: the same numbers, and their gradient in the movie, for less work."""
