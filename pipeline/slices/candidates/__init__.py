"""Candidate slices: rules proposed on one half of the validation set."""
