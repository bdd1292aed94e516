"""What leaves the window: movies, pictures, tables, and runs as text that repeats them."""
