"""Nightshift: finds the photos on which an image classifier fails, says why, and proves the repair."""

__version__ = "0.1.0"
