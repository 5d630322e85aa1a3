"""The training loop, its batches, schedules and checkpoints."""
