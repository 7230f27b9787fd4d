"""Low-rank adapters tuned on one part of a data set's patients, to be diagnosed on the other."""
