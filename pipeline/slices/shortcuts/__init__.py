"""Shortcuts: marks of a class that a model relies on more than on the object."""
