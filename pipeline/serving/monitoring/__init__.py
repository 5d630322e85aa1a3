"""Predicted traffic compared with the data of the model."""
