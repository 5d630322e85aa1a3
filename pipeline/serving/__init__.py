"""The champion at work: prediction, export and monitoring."""
