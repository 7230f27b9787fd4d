"""Strata of patients and pictures: what is read in each, whether one lies below the rest, whether one is a shortcut."""
