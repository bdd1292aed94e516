"""How fast the package is: the published loop as a measuring stick, and what is timed beside it."""
