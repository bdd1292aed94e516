"""Designing a stimulus and showing it to the encoders."""
