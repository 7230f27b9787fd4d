"""Remedies that need no training, tried on the diagnosed model: what each gives back, and what it costs."""
