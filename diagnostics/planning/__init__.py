"""What a call will cost, said before any weights are read."""
