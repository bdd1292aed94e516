"""The simulated mouse: natural-like movies, behaviour, and a population of V1 neurons that watches them."""
