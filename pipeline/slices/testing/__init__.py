"""Confirmation of slices, and estimates on the half that did not choose their rules."""
