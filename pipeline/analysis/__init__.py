"""Analyses outside a run: predictions made elsewhere, and a data set by itself."""
