"""Training encoders on sessions."""
