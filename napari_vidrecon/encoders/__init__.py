"""Dynamic neural encoding models: predict activity from movie and behaviour, under gradient."""

ENCODER_SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt")
"""Of files that may hold one."""
