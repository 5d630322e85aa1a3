"""Health checks, near-duplicates and split strategies."""
