"""Metrics, costs and decisions of classifiers, as functions of arrays."""
