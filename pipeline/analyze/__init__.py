"""Slices, words and a page for predictions that were made elsewhere: `nightshift analyze`."""
