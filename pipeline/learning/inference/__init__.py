"""Predictions, embeddings, saliency, calibration and label errors."""
