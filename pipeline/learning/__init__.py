"""Backbone, fit, predict and batches: torch lives here. Nothing in this package knows a stage or a remedy."""
