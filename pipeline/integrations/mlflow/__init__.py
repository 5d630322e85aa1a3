"""MLflow as a mirror of the runs; the run folders stay the source."""
