"""Slices across runs, and in arriving traffic."""
