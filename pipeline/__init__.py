"""Nightshift finds the images on which a classifier fails, says why, and proves the remedy.

The public Python API is `import nightshift` (see `pipeline/nightshift`).
"""

__version__ = "0.2.0"
