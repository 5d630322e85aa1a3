"""Predictions for images that arrive."""
