"""Comparison of predicted traffic with the data of its model."""
