"""Comparison of the arms on validation, and once on the sealed test set."""
