"""Fetching what is public: mice, weights, masks and stimuli; resumed, checked, and whole or not there at all."""
