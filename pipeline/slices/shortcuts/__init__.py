"""Shortcuts: marks of a class on which a model relies more than on the object."""
