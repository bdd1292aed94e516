"""What several experiments measure, predict, compare and show in the same way."""
