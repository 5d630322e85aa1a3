"""Connections to other systems: object stores, MLflow and notifications."""
