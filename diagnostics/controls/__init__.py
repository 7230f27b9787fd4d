"""Controls: what the same reading finds where there should be nothing to find, or where a trivial cue would do."""
