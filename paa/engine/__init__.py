"""Training: one step, the loop of steps, its schedule, checkpoints, numbers and progress."""
