"""Predictions for arriving images."""
