"""Pictures and movies from arrays, without a screen."""
