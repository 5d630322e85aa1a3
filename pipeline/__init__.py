"""Nightshift finds the failures of an image classifier, names the cause, and proves the remedy.

The public Python API is `import nightshift` (see `pipeline/nightshift`).
"""

__version__ = "0.2.0"
