"""Causes of confirmed slices, named by intervention."""
