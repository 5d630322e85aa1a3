"""Batches of images: sampling, loading ahead, and transforms of whole batches."""
