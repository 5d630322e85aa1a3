"""Stages, each named by a verb: one file a stage, `Config` on top and `run()` below.

Stages never import each other.
"""
