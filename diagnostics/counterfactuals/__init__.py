"""The model asked again under other inputs: what its family knows that this checkpoint may have set wrongly."""
