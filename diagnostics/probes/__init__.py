"""From features to readings: what a small classifier reads at a locus, on images held out from it."""
