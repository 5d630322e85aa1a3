"""MLflow's record of the runs. The run folder is the truth: this reads it, and nothing reads this."""
