"""The training loop, its schedules, arms and checkpoints."""
