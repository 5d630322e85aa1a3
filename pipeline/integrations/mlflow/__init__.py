"""Runs recorded in MLflow. The run folder stays the source of truth."""
