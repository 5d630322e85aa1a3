"""Causes of confirmed slices, found by intervention."""
