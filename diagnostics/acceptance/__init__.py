"""The acceptance record: criteria fixed beforehand, and what a run says of each."""
