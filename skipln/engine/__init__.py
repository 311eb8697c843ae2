"""One training loop for every task: step, evaluate, checkpoint, resume, record."""
