"""Dynamic neural encoding models: predict activity from movie and behaviour, under gradient."""
