"""Which module's weights make the difference between two checkpoints: found by swapping modules."""
