"""Marks such as captions and logos on which the model relies."""
