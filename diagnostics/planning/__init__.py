"""What a call will cost, said before anything is loaded. Imports no torch."""
