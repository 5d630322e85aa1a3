"""Remedies for confirmed slices: treatments, repeated images, collection and relabeling."""
